//! Many nights of migration, compaction and sweep: few packs are left, and little more than one migration would store.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use storage_core::model::Tier;
use storage_core::report::CompactOptions;
use storage_core::report::MigrateOptions;
use storage_core::report::SweepOptions;
use storage_fixtures::mailbox::Mailbox;

use crate::shelf::Shelf;

const DAY: Duration = Duration::from_hours(24);

/// What the nightly schedule does; decoded bytes that a compaction wrote again.
async fn night(shelf: &Shelf) -> u64 {
    let _ = shelf.migrate_with(MigrateOptions { wait: true, ..MigrateOptions::default() }).await;
    let report = shelf.try_compact(CompactOptions::default()).await.unwrap();
    assert_eq!((report.overtaken, report.damaged, report.stopped), (0, 0, false));
    let _ = shelf.engine.sweep(SweepOptions::default()).await.unwrap();
    report.decoded_bytes
}

/// A few messages a day for some weeks end in few packs, all is there, and the nights end with nothing to do.
#[tokio::test]
async fn quiet_nights_come_to_rest() {
    let mut shelf = Shelf::open().await;
    for day in 0..24 {
        shelf.put_text("default", day, 2, 6_000).await;
        shelf.clock.advance(DAY);
        let _ = night(&shelf).await;
    }
    shelf.holds_everything().await;
    for _ in 0..40 {
        shelf.clock.advance(5 * DAY);
        let _ = night(&shelf).await;
    }
    assert!(shelf.packs().len() <= 4, "{:?}", shelf.packs());
    let stats = shelf.stats().await;
    assert_eq!(stats.tiers[3].unique_bytes, stats.unique_bytes, "all is archived");
    shelf.holds_everything().await;
    let (packs, report) = (shelf.packs(), shelf.compact(CompactOptions::default()).await);
    assert_eq!((report.planned_objects, shelf.packs()), (0, packs), "{report:?}");
    shelf.close().await;
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// The files of the directory `NIGHTS_MAIL` in order of name, or generated mail.
fn mail() -> Vec<Bytes> {
    let Ok(directory) = std::env::var("NIGHTS_MAIL") else {
        let messages = Mailbox::new(1, number("NIGHTS_MESSAGES", 3_000));
        return messages.map(|message| Bytes::from(message.bytes)).collect();
    };
    let entries = std::fs::read_dir(directory).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| Bytes::from(std::fs::read(file).unwrap())).collect()
}

/// The mail arrives over as many nights as `NIGHTS` says, evenly, `tenants` by turns; then nights go on until all of it
/// is in the archive.
async fn age(shelf: &mut Shelf, mail: &[Bytes], tenants: &[String]) -> u64 {
    let nights = number("NIGHTS", 180);
    let mut rewritten = 0;
    for day in 0..nights {
        for index in mail.len() * day / nights..mail.len() * (day + 1) / nights {
            let _ = shelf.put(&tenants[index % tenants.len()], mail[index].clone()).await;
        }
        shelf.clock.advance(DAY);
        rewritten += night(shelf).await;
    }
    for _ in 0..230 {
        shelf.clock.advance(DAY);
        rewritten += night(shelf).await;
    }
    rewritten
}

/// What the same mail takes that is migrated once.
async fn at_once(mail: &[Bytes], tenants: &[String]) -> u64 {
    let mut shelf = Shelf::open().await;
    for name in tenants.iter().skip(1) {
        shelf.tenant(name).await;
    }
    for (index, message) in mail.iter().enumerate() {
        let _ = shelf.put(&tenants[index % tenants.len()], message.clone()).await;
    }
    shelf.migrate_to(Tier::Archive).await;
    shelf.sweep().await;
    let stats = shelf.stats().await;
    eprintln!("one migration: {:?}, {:?}", stats.added, stats.saved);
    let bytes = stats.stored_bytes;
    shelf.close().await;
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes in a release build; docs/testing.md tells how to run it"]
async fn half_a_year_of_nights_costs_little() {
    let (mail, tenants) = (mail(), vec!["default".to_owned()]);
    let raw: usize = mail.iter().map(Bytes::len).sum();
    let mut shelf = Shelf::open().await;
    let rewritten = age(&mut shelf, &mail, &tenants).await;
    let stats = shelf.stats().await;
    let once = at_once(&mail, &tenants).await;
    eprintln!(
        "{raw} bytes of mail: {} stored in {} packs after the nights, {once} after one migration; compaction wrote \
         {rewritten} decoded bytes; {:?}, {:?}",
        stats.stored_bytes,
        shelf.packs().len(),
        stats.added,
        stats.saved,
    );
    for dictionary in shelf.engine.dictionaries(None).await.unwrap() {
        eprintln!("{dictionary:?}");
    }
    shelf.holds_everything().await;
    assert!(stats.stored_bytes * 100 <= once * 107, "{} bytes against {once}", stats.stored_bytes);
    shelf.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes in a release build; docs/testing.md tells how to run it"]
async fn a_thousand_tenants_end_in_few_packs() {
    let mail = mail();
    let mut shelf = Shelf::open().await;
    let mut tenants = vec!["default".to_owned()];
    for number in 1..number("NIGHTS_TENANTS", 1_000) {
        let name = format!("tenant-{number}");
        shelf.tenant(&name).await;
        tenants.push(name);
    }
    let rewritten = age(&mut shelf, &mail, &tenants).await;
    let stats = shelf.stats().await;
    let once = at_once(&mail, &tenants).await;
    let packs = shelf.packs().len();
    eprintln!(
        "{} tenants: {} stored in {packs} packs after the nights, {once} after one migration; compaction wrote \
         {rewritten} decoded bytes; {:?}",
        tenants.len(),
        stats.stored_bytes,
        stats.added,
    );
    shelf.holds_everything().await;
    assert!(packs <= 64, "{packs} packs");
    shelf.close().await;
}
