//! Sealed packs: what is damaged in them reads as damage, wherever it is.

use std::sync::Arc;

use bytes::Bytes;
use storage_core::backend::Backend;
use storage_core::catalog::Catalog;
use storage_core::error::Kind;
use storage_core::model::ItemKind;
use storage_core::model::Tier;
use storage_core::pack::Footer;
use storage_core::pack::PackHeader;
use storage_core::pack::PackIndex;
use storage_core::pack::PackName;
use storage_fixtures::rng::Rng;

use crate::store::Built;
use crate::store::Found;
use crate::store::ITEMS;
use crate::store::Packs;
use crate::store::backend;
use crate::store::check;
use crate::store::engine;
use crate::store::open_catalog;

/// A closed store, to be opened again with other packs.
struct Sealed {
    built: Built,
    catalog: Arc<dyn Catalog>,
    packs: Packs,
}

impl Sealed {
    async fn of(built: Built) -> Self {
        built.engine.close().await.expect("a clean end");
        let packs = built.packs().await;
        let catalog = open_catalog(built.dir.path()).await.expect("the catalog again");
        Self { built, catalog, packs }
    }

    /// What every item reads as with these packs. Opening does not look into sealed packs, so it succeeds.
    async fn found(&self, packs: &Packs) -> Vec<Found> {
        let engine =
            engine(&backend(packs).await, Arc::clone(&self.catalog)).await.expect("an engine that opens");
        let mut found = Vec::new();
        for item in ITEMS {
            found.push(check(&engine, item).await);
        }
        found
    }

    fn with(&self, name: PackName, bytes: Bytes) -> Packs {
        let mut packs = self.packs.clone();
        let _old = packs.insert(name, bytes);
        packs
    }

    /// Flips a bit of every byte and cuts at every length, from `first` on. Returns where nobody noticed a flip.
    async fn damage(&self, name: PackName) -> Vec<usize> {
        let intact = &self.packs[&name];
        let frames_end = index_offset(name, intact);
        let mut unnoticed = Vec::new();
        for position in 0..intact.len() {
            let mut bytes = intact.to_vec();
            bytes[position] ^= 1 << (position % 8);
            let found = self.found(&self.with(name, Bytes::from(bytes))).await;
            assert!(found.iter().all(|found| allowed(*found)), "byte {position}: {found:?}");
            if found.iter().all(|found| *found == Found::Right) {
                unnoticed.push(position);
            }
        }
        for length in 0..intact.len() {
            let found = self.found(&self.with(name, intact.slice(..length))).await;
            assert!(found.iter().all(|found| allowed(*found)), "cut to {length}: {found:?}");
            // Where all frames are left, they are found without the index.
            let noticed = found.contains(&Found::Failed(Kind::Corrupt));
            assert_eq!(noticed, length < frames_end, "cut to {length}: {found:?}");
        }
        unnoticed
    }
}

fn allowed(found: Found) -> bool {
    matches!(found, Found::Right | Found::Failed(Kind::Corrupt))
}

fn index(name: PackName, bytes: &Bytes) -> PackIndex {
    let footer = Footer::parse(name, bytes, bytes.len() as u64).expect("a footer");
    let start = usize::try_from(footer.index_offset).expect("a small pack");
    PackIndex::parse(&footer, &bytes[start..bytes.len() - Footer::BYTES]).expect("an index")
}

/// Where the frames end.
fn index_offset(name: PackName, bytes: &Bytes) -> usize {
    let footer = Footer::parse(name, bytes, bytes.len() as u64).expect("a footer");
    usize::try_from(footer.index_offset).expect("a small pack")
}

/// The pack that holds everything.
fn only(packs: &Packs) -> PackName {
    *packs.iter().max_by_key(|(_, bytes)| bytes.len()).expect("a pack").0
}

/// Where damage goes unnoticed by reads: in the pack's header, which only recovery and rebuilding look at, in frames that
/// these items do not need, and in index and footer, without which frames are found one by one. Scrub tells of all.
fn carries_nothing_for_reads(name: PackName, bytes: &Bytes, positions: &[usize]) {
    let index = index(name, bytes);
    for position in positions {
        let position = *position as u64;
        let frame = index
            .entries()
            .iter()
            .find(|entry| (entry.offset..entry.offset + u64::from(entry.bytes())).contains(&position));
        let needless = frame.is_some_and(|frame| frame.kind == storage_core::pack::FrameKind::Tenant);
        let behind = position >= index_offset(name, bytes) as u64;
        assert!(
            position < PackHeader::BYTES as u64 || needless || behind,
            "byte {position} is read by nobody"
        );
    }
    assert!(positions.len() >= PackHeader::BYTES, "the header is not read");
}

#[tokio::test]
async fn a_hot_pack_reads_right_or_corrupt() {
    let sealed = Sealed::of(Built::filled().await).await;
    let name = only(&sealed.packs);
    assert_eq!(sealed.found(&sealed.packs).await, [Found::Right; 3]);
    let unnoticed = sealed.damage(name).await;
    carries_nothing_for_reads(name, &sealed.packs[&name], &unnoticed);
}

#[tokio::test]
async fn an_archive_pack_with_a_dictionary_reads_right_or_corrupt() {
    let built = Built::filled().await;
    let hot = built.packs().await;
    built.migrate(Tier::Archive).await;
    let mut sealed = Sealed::of(built).await;
    let name = *sealed.packs.keys().find(|name| !hot.contains_key(name)).expect("the archive's pack");
    let entries = index(name, &sealed.packs[&name]);
    assert!(entries.entries().iter().any(|entry| entry.dictionary.is_some()), "a dictionary is used");
    // Nothing is read from the hot pack any more.
    sealed.packs.retain(|pack, _| *pack == name);
    assert_eq!(sealed.found(&sealed.packs).await, [Found::Right; 3]);
    let unnoticed = sealed.damage(name).await;
    carries_nothing_for_reads(name, &sealed.packs[&name], &unnoticed);
}

#[tokio::test]
async fn segments_read_right_or_corrupt() {
    let large = Bytes::from(Rng::new(3).bytes((1 << 20) + 1_000));
    let built = Built::empty().await;
    built.put(ItemKind::Content, "large", large.clone()).await;
    let sealed = Sealed::of(built).await;
    let name = only(&sealed.packs);
    let intact = &sealed.packs[&name];
    let index = index(name, intact);
    let frame_heads = index.entries().iter().flat_map(|entry| {
        let head = u64::from(entry.header_bytes + entry.table_bytes);
        (entry.offset..entry.offset + head).step_by(13).chain([entry.offset + head + 500])
    });
    let tail =
        (index.entries().last().map_or(0, |last| last.offset + u64::from(last.bytes())))..intact.len() as u64;
    for position in frame_heads.chain(tail.step_by(9)) {
        let position = usize::try_from(position).expect("a small pack").min(intact.len() - 1);
        let mut bytes = intact.to_vec();
        bytes[position] ^= 0x40;
        let backend = backend(&sealed.with(name, Bytes::from(bytes))).await;
        let engine = engine(&backend, Arc::clone(&sealed.catalog)).await.expect("an engine");
        let found = check(&engine, (ItemKind::Content, "large", &large)).await;
        let tenants =
            index.entries().iter().filter(|entry| entry.kind == storage_core::pack::FrameKind::Tenant);
        let needless = tenants.into_iter().any(|entry| {
            (entry.offset..entry.offset + u64::from(entry.bytes())).contains(&(position as u64))
        });
        assert!(
            if needless || position >= index_offset(name, intact) {
                found == Found::Right
            } else {
                found == Found::Failed(Kind::Corrupt)
            },
            "byte {position}: {found:?}"
        );
    }
}

/// Whole frames in the wrong place: each is valid by itself.
#[tokio::test]
async fn frames_in_another_place_are_corrupt() {
    let built = Built::empty().await;
    // Frames of the same length, so that nothing but their place tells them apart.
    for number in 0..3_u8 {
        let bytes = Bytes::from(vec![b'a' + number; 300]);
        built.put(ItemKind::Content, &format!("id-{number}"), bytes).await;
    }
    let sealed = Sealed::of(built).await;
    let name = only(&sealed.packs);
    let intact = &sealed.packs[&name];
    let index = index(name, intact);
    let blocks: Vec<_> =
        index.entries().iter().filter(|entry| entry.kind == storage_core::pack::FrameKind::Block).collect();
    let [first, second, third] = blocks[..] else { panic!("three puts") };
    assert_eq!((first.bytes(), second.bytes()), (second.bytes(), third.bytes()));
    let range = |entry: &storage_core::pack::IndexEntry| {
        let start = usize::try_from(entry.offset).expect("a small pack");
        start..start + entry.bytes() as usize
    };
    let mut swapped = intact.to_vec();
    swapped[range(first)].copy_from_slice(&intact[range(second)]);
    swapped[range(second)].copy_from_slice(&intact[range(first)]);
    let engine =
        engine(&backend(&sealed.with(name, Bytes::from(swapped))).await, Arc::clone(&sealed.catalog))
            .await
            .expect("an engine");
    let mut found = Vec::new();
    for number in 0..3_u8 {
        let bytes = vec![b'a' + number; 300];
        found.push(check(&engine, (ItemKind::Content, &format!("id-{number}"), &bytes)).await);
    }
    let corrupt = Found::Failed(Kind::Corrupt);
    assert_eq!(found, [corrupt, corrupt, Found::Right]);
    drop(sealed.built.backend.list().await);
}

/// Two stores with the same items: their packs differ in nothing but names, ids and times.
#[tokio::test]
async fn packs_under_other_names_and_frames_of_other_packs_are_corrupt() {
    let (one, two) = (Sealed::of(Built::filled().await).await, Sealed::of(Built::filled().await).await);
    let (name, other) = (only(&one.packs), only(&two.packs));
    assert_ne!(name, other);
    let corrupt = [Found::Failed(Kind::Corrupt); 3];
    assert_eq!(one.found(&one.with(name, two.packs[&other].clone())).await, corrupt);
    let (index, foreign) = (index(name, &one.packs[&name]), index(other, &two.packs[&other]));
    let mut copied = one.packs[&name].to_vec();
    for (entry, source) in index.entries().iter().zip(foreign.entries()) {
        assert_eq!((entry.offset, entry.bytes()), (source.offset, source.bytes()));
        let start = usize::try_from(entry.offset).expect("a small pack");
        let range = start..start + entry.bytes() as usize;
        copied[range.clone()].copy_from_slice(&two.packs[&other][range]);
    }
    assert_eq!(one.found(&one.with(name, Bytes::from(copied))).await, corrupt);
}
