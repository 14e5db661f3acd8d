//! Progress of long work on stderr: shown on a terminal, absent in a pipe (indicatif sees the difference).

use indicatif::ProgressBar;
use indicatif::ProgressStyle;

const COUNTED: &str = "{spinner} {msg} {human_pos} ({per_sec}, {elapsed})";
const MEASURED: &str = "{msg} [{bar:40}] {percent}% ({eta} left)";

/// Progress towards an unknown total.
pub fn counter(what: &'static str) -> ProgressBar {
    styled(ProgressBar::new_spinner(), COUNTED, what)
}

/// Progress towards a known total, which may be set later.
pub fn bar(what: &'static str) -> ProgressBar {
    styled(ProgressBar::new(0), MEASURED, what)
}

fn styled(bar: ProgressBar, template: &str, what: &'static str) -> ProgressBar {
    // The templates are constants; were one wrong, indicatif's own style would still do.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style).with_message(what)
}
