//! What an analysis tells a person: a bar for each tier, what saved how much, and the media classes.

use std::collections::BTreeMap;

use crate::commands::analyze::Analysis;
use crate::commands::analyze::Stage;
use crate::commands::stats;
use crate::failure::Result;
use crate::output::Output;
use crate::output::counted;
use crate::output::human;

/// Characters of the longest bar.
const BAR_WIDTH: u64 = 40;

/// Prints everything.
pub(super) fn print(analysis: &Analysis, output: &mut Output) -> Result<()> {
    output.say(&format!(
        "{}, {}. Stored, catalog included, they would take:\n",
        counted(analysis.messages, "message"),
        human(analysis.logical_bytes)
    ))?;
    let raw = analysis.logical_bytes;
    let received = [("as received".to_owned(), raw)].into_iter();
    let tiers = analysis.tiers.iter().map(|stage| (stage.tier.to_owned(), whole(stage)));
    let others = analysis.compared.iter().map(|compared| (compared.way.to_owned(), compared.bytes));
    let rows = received
        .chain(tiers)
        .chain(others)
        .map(|(name, bytes)| vec![name, human(bytes), percent(bytes, raw), bar(bytes, raw)]);
    output.table(&["tier", ">bytes", ">of received", ""], rows)?;
    if let Some(last) = analysis.tiers.last() {
        output.say(&format!("\nHow it comes to that in the {} tier:\n", last.tier))?;
        output.table(&["from received to stored", ">size"], stats::sums(&last.stats))?;
    }
    output.say("\nBy media class (decoded and stored once; then what each tier keeps of it, without dictionaries):\n")?;
    media(analysis, output)
}

/// What a stage takes on disk.
fn whole(stage: &Stage) -> u64 {
    stage.stats.stored_bytes.saturating_add(stage.stats.catalog_bytes)
}

fn media(analysis: &Analysis, output: &mut Output) -> Result<()> {
    let stored: Vec<BTreeMap<&str, u64>> = analysis
        .tiers
        .iter()
        .map(|stage| stage.media.iter().map(|media| (media.class.as_str(), media.stored_bytes)).collect())
        .collect();
    let Some(hot) = analysis.tiers.first() else { return Ok(()) };
    let rows = hot.media.iter().map(|media| {
        let mut row = vec![media.class.clone(), media.objects.to_string(), human(media.unique_bytes)];
        row.extend(stored.iter().map(|of| human(of.get(media.class.as_str()).copied().unwrap_or(0))));
        row
    });
    let mut headers = vec!["class".to_owned(), ">objects".to_owned(), ">decoded".to_owned()];
    headers.extend(analysis.tiers.iter().map(|stage| format!(">{}", stage.tier)));
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    output.table(&headers, rows)
}

fn percent(bytes: u64, of: u64) -> String {
    let tenths = u128::from(bytes) * 1000 / u128::from(of.max(1));
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// A bar as long as its share, and never longer than that of everything.
fn bar(bytes: u64, of: u64) -> String {
    let width = u128::from(bytes) * u128::from(BAR_WIDTH) / u128::from(of.max(1));
    let width = usize::try_from(width.min(u128::from(BAR_WIDTH))).unwrap_or(0);
    "\u{2588}".repeat(width.max(usize::from(bytes > 0)))
}

#[cfg(test)]
mod tests {
    use super::bar;
    use super::percent;

    #[test]
    fn bars_and_shares_are_of_everything() {
        assert_eq!((percent(1, 8).as_str(), percent(8, 8).as_str()), ("12.5 %", "100.0 %"));
        assert_eq!((percent(0, 0).as_str(), percent(9, 8).as_str()), ("0.0 %", "112.5 %"));
        assert_eq!(bar(0, 100), "");
        assert_eq!(bar(1, 100_000).chars().count(), 1);
        assert_eq!(bar(50, 100).chars().count(), 20);
        assert_eq!(bar(500, 100).chars().count(), 40);
    }
}
