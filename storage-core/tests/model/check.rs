//! Whether engine and model agree.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use storage_core::catalog::Catalog;
use storage_core::catalog::rows::Statistics;
use storage_core::catalog::rows::StatisticsRow;
use storage_core::catalog::sqlite::SqliteCatalog;
use storage_core::engine::Engine;
use storage_core::engine::GetStream;
use storage_core::error::Result;
use storage_core::ids::TenantKey;
use storage_core::model::GetOptions;
use storage_core::model::ItemKind;
use storage_core::model::ListQuery;
use storage_core::model::Tier;
use storage_core::report::ScrubEvent;
use storage_core::report::ScrubOptions;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::image::pack_bytes;
use crate::world::Item;
use crate::world::World;

/// All bytes of a stream.
pub(crate) async fn collect(mut stream: GetStream) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = stream.bytes();
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        assert!(!piece.is_empty() && piece.len() <= 256 << 10);
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(bytes.len() as u64, length, "the stream told another length");
    Ok(bytes)
}

/// An item's bytes, or some of them, without counting as a read.
pub(crate) async fn read(
    engine: &Engine,
    id: Uuid,
    item: &Item,
    range: Option<Range<u64>>,
) -> Result<Vec<u8>> {
    let options = GetOptions { range, touch: false };
    let (_, stream) = engine.get(item.tenant, item.kind, &id.to_string(), options).await?;
    collect(stream).await
}

/// Items above this many bytes are not read at every look.
const LARGE_BYTES: usize = 1 << 20;

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// All but large items.
    Short,
    /// All.
    Long,
}

/// Every item is there and nothing else; the statistics add up.
pub(crate) async fn agree(engine: &Engine, world: &World, data_dir: &Path, look: Look) {
    for (id, item) in &world.items {
        if look == Look::Short && item.bytes.len() > LARGE_BYTES {
            continue;
        }
        let bytes = read(engine, *id, item, None).await.expect("a stored item");
        assert!(bytes == item.bytes, "item {id} came back with other bytes");
    }
    for tenant in &world.tenants {
        for kind in [ItemKind::Message, ItemKind::Content] {
            listed(engine, world, (tenant, kind)).await;
        }
    }
    adds_up(engine, world, data_dir).await;
}

async fn listed(engine: &Engine, world: &World, (tenant, kind): (&'static str, ItemKind)) {
    let of = |item: &Item| item.tenant == tenant && item.kind == kind;
    let expected: BTreeSet<Uuid> =
        world.items.iter().filter(|(_, item)| of(item)).map(|(id, _)| *id).collect();
    let mut found = Vec::new();
    let mut query = ListQuery { limit: 7, ..ListQuery::default() };
    loop {
        let page = engine.list(tenant, kind, query.clone()).await.expect("a page");
        for stat in &page.items {
            let item = world.items.get(&stat.id).expect("only what was put is listed");
            assert_eq!(stat.bytes, item.bytes.len() as u64);
            assert_eq!(stat.created, item.created);
            let options = &item.options;
            assert_eq!(stat.caller_id, options.caller_id);
            assert_eq!(
                (stat.hold, stat.pin, stat.retention_end),
                (options.hold, options.pin, options.retention_end)
            );
            assert_eq!((&stat.labels, stat.external), (&options.labels, options.external));
        }
        found.extend(page.items.into_iter().map(|stat| stat.id));
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    assert!(found.is_sorted());
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected, "{tenant} {kind:?}");
}

async fn adds_up(engine: &Engine, world: &World, data_dir: &Path) {
    let stats = engine.stats(None).await.expect("statistics");
    let of = |kind| world.items.values().filter(|item| item.kind == kind).count() as u64;
    assert_eq!((stats.messages, stats.contents), (of(ItemKind::Message), of(ItemKind::Content)));
    assert_eq!(stats.logical_bytes, world.logical_bytes());
    assert_eq!(stats.stored_bytes, pack_bytes(data_dir), "packs on disk");
    let (saved, added) = (stats.saved, stats.added);
    let saved = saved.transfer_decoding
        + saved.exact_dedup
        + saved.similar_dedup
        + saved.recoding
        + saved.compression;
    assert!(added.dead >= 0 && added.copies >= 0, "{added:?}");
    let added = added.dictionaries + added.records + added.indexes + added.copies + added.dead;
    assert_eq!(signed(stats.logical_bytes) - saved + added, signed(stats.stored_bytes));
    let tiers: u64 = stats.tiers.iter().map(|tier| tier.unique_bytes).sum();
    assert_eq!(tiers, stats.unique_bytes);
    let mut logical = 0;
    for tenant in &world.tenants {
        logical += engine.stats(Some(tenant)).await.expect("statistics").logical_bytes;
    }
    assert_eq!(logical, stats.logical_bytes, "every item belongs to one tenant");
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).expect("a length")
}

/// A scrub finds nothing.
pub(crate) async fn scrubbed(engine: &Engine) {
    let (events, mut heard) = mpsc::channel(64);
    let listening = tokio::spawn(async move {
        let mut findings = Vec::new();
        while let Some(event) = heard.recv().await {
            if let ScrubEvent::Finding(finding) = event {
                findings.push(finding);
            }
        }
        findings
    });
    let report =
        engine.scrub(ScrubOptions::default(), events, CancellationToken::new()).await.expect("a scrub");
    let findings = listening.await.expect("findings");
    assert!(findings.is_empty() && report.findings.is_empty(), "{findings:#?}");
}

/// What the increments of a closed store add up to is what its rows count to.
pub(crate) async fn counted(data_dir: &Path) {
    let catalog = SqliteCatalog::open(&data_dir.join("catalog.db")).await.expect("a catalog");
    let increments = by_tier(catalog.statistics(None).await.expect("statistics"));
    let counted = by_tier(catalog.counted(None).await.expect("counts"));
    catalog.close().await.expect("a closed catalog");
    assert_eq!(increments, counted);
}

fn by_tier(rows: Vec<StatisticsRow>) -> BTreeMap<(TenantKey, Tier), [i64; 9]> {
    let mut sums: BTreeMap<_, [i64; 9]> = BTreeMap::new();
    for row in rows {
        let sum = sums.entry((row.tenant, row.tier)).or_default();
        sum.iter_mut().zip(columns(&row.sums)).for_each(|(sum, value)| *sum += value);
    }
    sums.retain(|_, sum| sum.iter().any(|value| *value != 0));
    sums
}

/// The columns that describe the present state.
fn columns(sums: &Statistics) -> [i64; 9] {
    [
        sums.messages,
        sums.contents,
        sums.logical_bytes,
        sums.referenced_bytes,
        sums.objects,
        sums.object_bytes,
        sums.skeletons,
        sums.skeleton_bytes,
        sums.copy_bytes,
    ]
}
