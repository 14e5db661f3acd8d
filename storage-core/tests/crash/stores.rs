//! What the scenarios are made of: bytes that differ and repeat in known ways, and stores that they meet.

use std::sync::LazyLock;

use bytes::Bytes;
use futures::future::BoxFuture;
use storage_core::error::Result;
use storage_core::model::ItemKind;
use storage_core::model::ItemUpdate;
use storage_core::model::Tier;
use storage_fixtures::documents::parts::JpegKind;
use storage_fixtures::documents::parts::gzip;
use storage_fixtures::documents::parts::jpeg;
use storage_fixtures::mailbox::Mailbox;
use storage_fixtures::rng::Rng;

use crate::lab::Cut;
use crate::lab::Lab;
use crate::lab::Put;
use crate::world::Key;

/// A part of a scenario.
pub(crate) type Done<'a> = BoxFuture<'a, Result<()>>;

/// A generated message of moderate length; the same number gives the same one.
pub(crate) fn mail(number: usize) -> Bytes {
    static MAIL: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
        let moderate = |bytes: &Vec<u8>| (4_000..30_000).contains(&bytes.len());
        let messages = Mailbox::new(3, 1_000).map(|message| message.bytes).filter(moderate);
        messages.take(8).map(Bytes::from).collect()
    });
    MAIL[number].clone()
}

/// Bytes that do not shrink.
pub(crate) fn noise(seed: u64, bytes: usize) -> Bytes {
    Bytes::from(Rng::new(seed).bytes(bytes))
}

/// Lines that shrink.
pub(crate) fn lines(seed: u64, bytes: usize) -> Bytes {
    let mut rng = Rng::new(seed);
    let mut text = String::new();
    while text.len() < bytes {
        text.push_str(rng.pick_text(&[
            "the same words ",
            "again and again\n",
            "and some others, ",
            "at times ",
        ]));
        if rng.chance(100) {
            text.push_str(&rng.hex(8));
        }
    }
    Bytes::from(text)
}

/// A JPEG file, which is recoded on its way to cold tiers.
pub(crate) fn photo(seed: u64) -> Bytes {
    Bytes::from(jpeg(seed, 20, JpegKind::Baseline))
}

/// A gzip file, which is, too.
pub(crate) fn zipped(seed: u64) -> Bytes {
    Bytes::from(gzip(&lines(seed, 60_000), 6))
}

/// More than is handled in memory: a large put. There are two.
pub(crate) fn large(number: usize) -> Bytes {
    static LARGE: LazyLock<Vec<Bytes>> =
        LazyLock::new(|| (10..12).map(|seed| noise(seed, (4 << 20) + 70_000)).collect());
    LARGE[number].clone()
}

/// Text whose sentences come again in other texts and rarely in the same one: what a dictionary is good for.
pub(crate) fn prose(number: u64, bytes: usize) -> Bytes {
    static SENTENCES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let mut rng = Rng::new(77);
        (0..900).map(|_| format!("{} {}\n", rng.base36(40), rng.base36(20))).collect()
    });
    let mut rng = Rng::new(number);
    let mut text = String::new();
    while text.len() < bytes {
        text.push_str(&SENTENCES[rng.below(SENTENCES.len())]);
    }
    Bytes::from(text)
}

pub(crate) fn content(id: &str) -> Key {
    ("default", ItemKind::Content, id.to_owned())
}

pub(crate) fn message(id: &str) -> Key {
    ("default", ItemKind::Message, id.to_owned())
}

pub(crate) fn plain(id: &str, bytes: Bytes) -> Put {
    Put::content(id, bytes).with(|options| options.media_type = Some("text/plain".into()))
}

/// Two tenants with a few items, among them the same content in both and twice in one.
pub(crate) async fn stock(lab: &mut Lab) -> Result<()> {
    lab.open().await?;
    lab.create_tenant("acme").await?;
    lab.set_policy("acme", Some(3)).await?;
    lab.put_all(vec![
        Put::message("m1", mail(0)),
        Put::new("acme", ItemKind::Message, "m1", mail(0)),
        plain("c1", lines(1, 9_000)),
        plain("c2", lines(1, 9_000)),
        Put::content("c3", noise(1, 5_000)),
    ])
    .await?;
    let held = Put::message("held", mail(1)).with(|options| options.hold = true);
    let _receipt = lab.put(held).await?;
    Ok(())
}

pub(crate) fn stocked(lab: &mut Lab) -> Done<'_> {
    Box::pin(async {
        stock(lab).await?;
        lab.close().await
    })
}

/// All in one tier, in sealed packs, the old ones swept.
pub(crate) fn in_tier(lab: &mut Lab, tier: Tier) -> Done<'_> {
    Box::pin(async move {
        stock(lab).await?;
        let _receipt = lab.put(Put::content("segments", noise(2, (1 << 20) + 9_000))).await?;
        let _report = lab.migrate_to(tier).await?;
        let _report = lab.sweep().await?;
        lab.close().await
    })
}

pub(crate) fn with_segments(lab: &mut Lab) -> Done<'_> {
    Box::pin(async {
        stock(lab).await?;
        let _receipt = lab.put(Put::content("segments", noise(2, (1 << 20) + 9_000))).await?;
        lab.close().await
    })
}

/// What a sweep has to do: dead packs, tombstones, changes, a log that holds nothing any more.
pub(crate) fn deleted_and_migrated(lab: &mut Lab) -> Done<'_> {
    Box::pin(async {
        stock(lab).await?;
        let update = ItemUpdate { hold: Some(true), ..ItemUpdate::default() };
        lab.update(&content("c3"), update).await?;
        lab.delete(&content("c1")).await?;
        lab.delete(&message("m1")).await?;
        let _report = lab.migrate_to(Tier::Warm).await?;
        lab.clock.advance(1_000);
        let _receipt = lab.put(Put::content("later", noise(7, 2_000))).await?;
        lab.delete(&content("later")).await?;
        lab.close().await
    })
}

/// A store that a power cut ended: nothing of its catalog since the stock, a large put that is complete, one that is
/// not, and a log with a torn tail.
pub(crate) fn cut_off(lab: &mut Lab) -> Done<'_> {
    Box::pin(async {
        stock(lab).await?;
        lab.delete(&content("c2")).await?;
        let _receipt = lab.put_streamed(Put::content("large", large(0))).await?;
        let _report = lab.migrate_to(Tier::Cold).await?;
        let _receipt = lab.put(Put::message("after", mail(3))).await?;
        lab.set_policy("acme", None).await?;
        lab.abandon();
        *lab = lab.cut(Cut::EVERYTHING);
        Ok(())
    })
}
