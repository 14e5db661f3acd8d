//! The files of the real catalog after a power cut: the log is cut anywhere, torn there, or damaged behind; the database is
//! half-way through a checkpoint. Nothing acknowledged is lost, because packs hold what the catalog forgot. Files that lost
//! what was synced are refused, with what to do, and nothing is deleted.

use std::collections::BTreeSet;

use storage_core::engine::Engine;
use storage_core::model::ItemUpdate;
use storage_core::model::Tier;
use storage_core::pack::PackName;
use storage_core::store::Doors;
use storage_core::testing::chance::Chance;
use storage_core::testing::faults::Faults;

use crate::check::Verdict;
use crate::check::agree;
use crate::check::done;
use crate::check::mended;
use crate::lab::Lab;
use crate::lab::Put;
use crate::lab::settings;
use crate::packs::Packs;
use crate::rows::Files;
use crate::rows::Rows;
use crate::stores::content;
use crate::stores::mail;
use crate::stores::message;
use crate::stores::noise;
use crate::stores::stock;

/// What SQLite puts before the frames of its log, and before the page in each.
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const SECTOR: usize = 512;

/// A store that is open: much of it moved and swept, which is durable, and then everything that callers can ask for, which
/// is not.
async fn busy() -> Verdict<Lab> {
    let mut lab = Lab::over(Packs::memory(), Rows::files());
    done("a store", stock(&mut lab).await)?;
    let _report = done("a migration", lab.migrate_to(Tier::Warm).await)?;
    let _report = done("a sweep", lab.sweep().await)?;
    let _receipt = done("a put", lab.put(Put::message("new", mail(3))).await)?;
    done("a delete", lab.delete(&content("c1")).await)?;
    let held = ItemUpdate { hold: Some(true), ..ItemUpdate::default() };
    done("a hold", lab.update(&message("m1"), held).await)?;
    done("a policy", lab.set_policy("default", Some(5)).await)?;
    let _report = done("a migration", lab.migrate_to(Tier::Cold).await)?;
    done("a tenant", lab.create_tenant("globex").await)?;
    let _receipt = done("a put", lab.put(Put::content("newer", noise(9, 3_000))).await)?;
    Ok(lab)
}

/// SQLite writes it with its high byte first.
fn page_bytes(files: &Files) -> usize {
    usize::from(files.database[16]) << 8 | usize::from(files.database[17])
}

/// Where to cut: in the log's header, and about each of some frames: at its begin, in its header, in its page.
fn places(files: &Files) -> Vec<usize> {
    let frame = FRAME_HEADER + page_bytes(files);
    let frames = (files.log.len() - LOG_HEADER) / frame;
    assert!(frames > 40, "the log is long: {frames} frames");
    let mut places = vec![0, 1, LOG_HEADER - 1, files.log.len() - 1];
    for number in (0..frames).step_by(frames / 16) {
        let begin = LOG_HEADER + number * frame;
        places.extend([begin, begin + 10, begin + FRAME_HEADER + SECTOR]);
    }
    places
}

/// What a power cut leaves of a log of which nothing was synced beyond `at`.
fn cut(files: &Files, at: usize, chance: &mut Chance) -> Vec<Files> {
    let with = |change: &mut dyn FnMut(&mut Vec<u8>)| {
        let mut files = files.clone();
        change(&mut files.log);
        files
    };
    let noise: Vec<u8> = (at..files.log.len()).map(|_| chance.below(256).to_le_bytes()[0]).collect();
    vec![
        with(&mut |log| log.truncate(at)),
        // The length reached the disk and the bytes did not.
        with(&mut |log| log[at..].fill(0)),
        with(&mut |log| log[at..].copy_from_slice(&noise)),
        // What lies behind a lost sector did.
        with(&mut |log| {
            let end = log.len().min(at + SECTOR);
            log[at..end].fill(0);
        }),
    ]
}

#[tokio::test]
async fn a_log_that_is_cut_anywhere_loses_nothing() {
    async fn run() -> Verdict<usize> {
        let lab = busy().await?;
        let files = lab.rows.bytes();
        let mut chance = Chance::new(5);
        let mut opened = 0;
        for (number, at) in places(&files).into_iter().enumerate() {
            let ways = cut(&files, at, &mut chance);
            let way = number % ways.len();
            let mut left = lab.with_rows(Rows::of(&ways[way]));
            let what = |what| format!("the log is cut at {at}, way {way}: {what}");
            mended(&mut left).await.map_err(what)?;
            opened += 1;
        }
        Ok(opened)
    }
    let opened = run().await.expect("a store that survives");
    assert!(opened > 40, "{opened} stores were opened");
}

/// A checkpoint writes pages of a log that is durable as a whole, in any order.
#[tokio::test]
async fn a_checkpoint_that_is_cut_off_loses_nothing() {
    async fn run() -> Verdict {
        let lab = busy().await?;
        let before = lab.rows.bytes();
        done("a barrier", lab.catalog().barrier().await)?;
        let after = lab.rows.bytes();
        assert!(after.log.is_empty() && after.database != before.database, "the barrier did something");
        for seed in 0..10 {
            let mut chance = Chance::new(seed);
            let mut files = before.clone();
            files
                .database
                .resize(if seed % 2 == 0 { after.database.len() } else { before.database.len() }, 0);
            let page = page_bytes(&before);
            for (old, new) in files.database.chunks_mut(page).zip(after.database.chunks(page)) {
                let written = match chance.below(3) {
                    0 => 0,
                    1 => page,
                    _ => SECTOR * usize::try_from(chance.below(8)).expect("a small number"),
                };
                old[..written].copy_from_slice(&new[..written]);
            }
            mended(&mut lab.with_rows(Rows::of(&files)))
                .await
                .map_err(|what| format!("seed {seed}: {what}"))?;
        }
        Ok(())
    }
    run().await.expect("a store that survives");
}

fn names(lab: &Lab) -> BTreeSet<PackName> {
    lab.packs.contents().into_iter().map(|(name, _)| name).collect()
}

/// The same packs with a catalog that is rebuilt from them.
async fn rebuilt(lab: &Lab) -> Verdict<Lab> {
    let mut lab = lab.with_rows(Rows::files());
    let catalog = done("a new catalog", lab.rows.door().await)?;
    let Doors { backend, catalog } = done("doors", lab.packs.doors(catalog, &Faults::new()).await)?;
    let clock = std::sync::Arc::clone(&lab.clock);
    let doors = Doors { backend, catalog };
    let _report = done("a rebuild", Engine::rebuild_doors(settings(), clock, doors).await)?;
    done("opening what was rebuilt", lab.open().await)?;
    Ok(lab)
}

/// A database that lost what was synced, as some file systems leave it: empty, or without its end.
#[tokio::test]
async fn a_database_that_lost_what_was_synced_is_refused_and_can_be_rebuilt() {
    async fn run() -> Verdict<usize> {
        let mut lab = busy().await?;
        let _report = done("a sweep", lab.sweep().await)?;
        done("closing", lab.close().await)?;
        let (files, packs) = (lab.rows.bytes(), names(&lab));
        let page = page_bytes(&files);
        let mut refused = 0;
        for bytes in [0, 1, 99, page, 2 * page, files.database.len() / 2, files.database.len() - page] {
            let mut left = lab
                .with_rows(Rows::of(&Files { database: files.database[..bytes].to_vec(), log: Vec::new() }));
            if let Err(error) = left.open().await {
                refused += 1;
                assert!(error.message().contains("rebuild-catalog"), "{bytes} bytes are left: {error:?}");
            }
            let lost: Vec<_> = packs.difference(&names(&left)).copied().collect();
            assert!(lost.is_empty(), "{bytes} bytes are left, and {lost:?} are deleted");
            left.abandon();
        }
        let lab = rebuilt(&lab).await?;
        let _seen = agree(&lab).await?;
        Ok(refused)
    }
    let refused = run().await.expect("a store that can be rebuilt");
    assert!(refused > 2, "{refused} were refused");
}
