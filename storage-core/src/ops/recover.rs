//! What opening a store mends. The packs' tail is the write-ahead log: what is durable in a log pack beyond the
//! catalog's watermark is replayed.
//!
//! Order, per pack that is open in the catalog or unknown to it: make durable what it holds -> scan and verify -> replay
//! each frame beyond the watermark as one catalog commit -> cut a torn tail and end the pack with its index, durable ->
//! seal it in the catalog. A crash at any step leaves a state that the same steps mend again.
//!
//! What a process that was killed had written and not synced reads well, and is not durable. A catalog that relied on it
//! could outlive it: that is why the sync comes first, also of a pack that has its end.
//!
//! A large put's pack counts only when it is complete; a rewrite's pack only when the catalog knows it (its content
//! still stands at the old locations otherwise). Both are deleted else.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::catalog::rows::LogCommit;
use crate::catalog::rows::NewPack;
use crate::catalog::rows::PackOrigin;
use crate::catalog::rows::PackProgress;
use crate::catalog::rows::PackState;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::ids::PackKey;
use crate::model::Tier;
use crate::ops::log::pack::pack_bytes;
use crate::ops::replay::Replayer;
use crate::ops::replay::tenant_change;
use crate::pack::Footer;
use crate::pack::FrameKind;
use crate::pack::Origin;
use crate::pack::PackHeader;
use crate::pack::PackName;
use crate::pack::PackWriter;
use crate::pack::ScanDepth;
use crate::pack::ScanStep;
use crate::pack::Scanner;
use crate::store::Store;

/// What recovery found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Packs that were open or unknown.
    pub packs: u64,
    /// Frames replayed.
    pub frames: u64,
    /// Bytes of torn tails cut off.
    pub torn_bytes: u64,
    /// Packs deleted because they never counted.
    pub deleted: u64,
    /// Packs that the catalog knows and the backend lacks.
    pub missing: u64,
}

/// A pack to look at.
struct Unfinished {
    name: Uuid,
    bytes: u64,
    known: Option<(PackKey, PackProgress)>,
}

/// Whether the catalog is the one of these packs, so that what it does not know never counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Whole,
    /// It relies on packs that are gone.
    Older,
    /// It has not even the tenant that the first opening makes, durably, before anything is rewritten: its file was cut off
    /// or made anew.
    Empty,
}

impl Trust {
    /// Refuses to judge a rewritten pack that the catalog does not know.
    fn check(self, pack: &Unfinished) -> Result<()> {
        let what = match self {
            Self::Whole => return Ok(()),
            Self::Older => "is older than the packs: it relies on packs that are gone and",
            Self::Empty => "is empty and the packs are not: it",
        };
        Err(Error::precondition(format!(
            "The catalog {what} does not know pack {}. Put the newest catalog.db (with its -wal file) beside these packs, or \
             restore both from one backup. With neither, put catalog.db aside and run rebuild-catalog.",
            pack.name
        )))
    }
}

/// Brings catalog and packs together.
pub(crate) async fn recover(store: &Arc<Store>) -> Result<Recovered> {
    let mut known: BTreeMap<Uuid, _> =
        store.catalog.packs().await?.into_iter().map(|row| (row.name, row)).collect();
    let mut done = Recovered::default();
    let mut unfinished = Vec::new();
    for (name, bytes) in store.backend.list().await? {
        store.saw_pack(name.0);
        let row = known.remove(&name.0);
        let row = match row {
            Some(row) if row.state != PackState::Open => continue,
            row => row.map(|row| (row.key, row.progress)),
        };
        unfinished.push(Unfinished { name: name.0, bytes, known: row });
    }
    done.packs = unfinished.len() as u64;
    let trust = if known.values().any(|row| row.state == PackState::Sealed) {
        Trust::Older
    } else if store.catalog.tenants().await?.is_empty() {
        Trust::Empty
    } else {
        Trust::Whole
    };
    recover_packs(store, unfinished, trust, &mut done).await?;
    for row in known.into_values() {
        match row.state {
            // Its deletion was under way, or it was never written.
            PackState::Condemned(_) => store.catalog.remove_pack(row.key).await?,
            PackState::Open if row.progress.bytes.decoded == 0 => store.catalog.remove_pack(row.key).await?,
            _ => {
                done.missing += 1;
                tracing::error!(pack = %row.name, "a pack is missing from the backend; what it held cannot be read");
            }
        }
    }
    Ok(done)
}

/// Tenants first, then packs of large puts, then the log in order of names, which is the order of creation. A large
/// put's pack needs nothing but its tenant, while a log pack that was begun before it may refer to its objects, or
/// delete its item.
///
/// A catalog that is not the one of these packs does not know what may be the only copy: then nothing is touched.
async fn recover_packs(
    store: &Arc<Store>,
    packs: Vec<Unfinished>,
    trust: Trust,
    done: &mut Recovered,
) -> Result<()> {
    let (mut large, mut others) = (Vec::new(), Vec::new());
    for pack in packs {
        let header = read_header(store, &pack).await?;
        let rewritten = header.as_ref().is_some_and(|header| header.origin == Origin::Rewrite);
        if rewritten && pack.known.is_none() {
            trust.check(&pack)?;
        }
        let is_large = header.as_ref().is_some_and(|header| header.origin == Origin::Large);
        if is_large { &mut large } else { &mut others }.push((pack, header));
    }
    if !large.is_empty() {
        for (pack, header) in &others {
            if header.as_ref().is_some_and(|header| header.origin == Origin::Log) {
                replay_tenants(store, pack).await?;
            }
        }
    }
    for (pack, header) in large.into_iter().chain(others) {
        recover_pack(store, pack, header, done).await?;
    }
    Ok(())
}

/// Creates the tenants that a log pack tells of. Its watermark stays: all of it is replayed in its turn.
async fn replay_tenants(store: &Arc<Store>, pack: &Unfinished) -> Result<()> {
    let mut scanner = Scanner::new(PackName(pack.name), pack.bytes, ScanDepth::Tables);
    loop {
        match scanner.step()? {
            ScanStep::Read { offset, bytes } => {
                let range = offset..offset.saturating_add(u64::from(bytes));
                scanner.feed(store.backend.read(PackName(pack.name), range).await?)?;
            }
            ScanStep::Frame(frame) if frame.head.header().kind == FrameKind::Tenant => {
                let change = tenant_change(frame.head.tenant()?)?;
                let commit = LogCommit { changes: vec![change], at: store.now(), ..LogCommit::default() };
                store.catalog.commit(&commit).await?;
            }
            ScanStep::Frame(_) => {}
            ScanStep::End(_) => return Ok(()),
        }
    }
}

async fn recover_pack(
    store: &Arc<Store>,
    pack: Unfinished,
    header: Option<PackHeader>,
    done: &mut Recovered,
) -> Result<()> {
    let Some(header) = header else {
        return give_up(store, &pack, done).await;
    };
    let footer = read_footer(store, &pack).await?;
    let counts = match header.origin {
        Origin::Log => true,
        Origin::Large => footer.is_some(),
        Origin::Rewrite => pack.known.is_some() && footer.is_some(),
    };
    if !counts {
        return give_up(store, &pack, done).await;
    }
    drop(store.backend.open_log(PackName(pack.name), pack.bytes).await?);
    let end = footer.as_ref().map_or(pack.bytes, |footer| footer.index_offset);
    let Some(scanned) = replay(store, (&pack, end), header, done).await? else {
        return give_up(store, &pack, done).await;
    };
    done.torn_bytes += end - scanned.valid_bytes;
    end_pack(store, &pack, scanned, footer.is_some()).await
}

/// What a scan found.
struct Scanned {
    key: PackKey,
    valid_bytes: u64,
    writer: PackWriter,
}

/// Scans a pack up to `end` and replays what lies beyond its watermark. None where it has no frame at all. `Corrupt`
/// where it is damaged before the watermark: then nothing of it may be cut off or deleted.
async fn replay(
    store: &Arc<Store>,
    (pack, end): (&Unfinished, u64),
    header: PackHeader,
    done: &mut Recovered,
) -> Result<Option<Scanned>> {
    let mut scanner = Scanner::new(PackName(pack.name), end, ScanDepth::Everything);
    let mut writer = PackWriter::new(header);
    let mut known = pack.known;
    let ended = loop {
        match scanner.step()? {
            ScanStep::Read { offset, bytes } => {
                let range = offset..offset.saturating_add(u64::from(bytes));
                scanner.feed(store.backend.read(PackName(pack.name), range).await?)?;
            }
            ScanStep::Frame(frame) => {
                let (key, progress) = match known {
                    Some(known) => known,
                    None => *known.insert(adopt(store, &header).await?),
                };
                writer.resume(frame.index_entry())?;
                if frame.place.offset >= progress.committed_bytes {
                    done.frames += 1;
                    let reached = PackProgress::of(pack_bytes(writer.counters()));
                    Replayer::new(store, key, header.origin).replay(&frame, reached).await?;
                }
            }
            ScanStep::End(end) => break end,
        }
    };
    if let Some(why) = &ended.torn {
        tracing::warn!(pack = %pack.name, valid_bytes = ended.valid_bytes, why, "a torn tail is cut off");
    }
    // The watermark of a pack that was committed as a whole lies behind its index, at which the scan ends. A pack without
    // an index must reach its watermark, also where it was cut between two frames.
    let ended_before = end < pack.bytes;
    let committed = pack.known.map_or(0, |(_, progress)| progress.committed_bytes);
    let relied_on = if ended_before { committed.min(end) } else { committed };
    if ended.valid_bytes < relied_on {
        return Err(damaged(pack, relied_on));
    }
    let known = known.filter(|_| ended.frames > 0);
    Ok(known.map(|(key, _)| Scanned { key, valid_bytes: ended.valid_bytes, writer }))
}

/// Ends the pack with its index, if it has none, and seals it in the catalog.
async fn end_pack(store: &Store, pack: &Unfinished, scanned: Scanned, ended: bool) -> Result<()> {
    let finished = scanned.writer.finish()?;
    if !ended {
        let mut file = store.backend.open_log(PackName(pack.name), scanned.valid_bytes).await?;
        let _ = file.append_sync(vec![Bytes::from(finished.tail)]).await?;
    }
    store.catalog.seal_pack(scanned.key, PackProgress::of(pack_bytes(&finished.counters))).await
}

/// Adds the row of a pack whose row was lost with the catalog's last commits.
async fn adopt(store: &Store, header: &PackHeader) -> Result<(PackKey, PackProgress)> {
    let origin = if header.origin == Origin::Large { PackOrigin::Large } else { PackOrigin::Log };
    let progress = PackProgress::of(pack_bytes(PackWriter::new(*header).counters()));
    let new = NewPack {
        name: header.name.0,
        origin,
        tier: Tier::Hot,
        sealed: false,
        progress,
        created: header.created,
    };
    Ok((store.catalog.add_pack(&new).await?, progress))
}

fn damaged(pack: &Unfinished, relied_on: u64) -> Error {
    Error::corrupt(format!(
        "Pack {} is damaged before byte {relied_on}, where the catalog relies on it. Restore it from a backup.",
        pack.name
    ))
}

/// Deletes a pack that never counted. One whose frames the catalog relies on did count: what it is now is damage.
async fn give_up(store: &Store, pack: &Unfinished, done: &mut Recovered) -> Result<()> {
    let relied_on = pack.known.map_or(0, |(_, progress)| progress.committed_bytes);
    if relied_on > PackHeader::BYTES as u64 {
        return Err(damaged(pack, relied_on));
    }
    delete(store, pack, done).await
}

async fn delete(store: &Store, pack: &Unfinished, done: &mut Recovered) -> Result<()> {
    done.deleted += 1;
    tracing::info!(pack = %pack.name, bytes = pack.bytes, "a pack that never counted is deleted");
    store.backend.delete(PackName(pack.name)).await?;
    match pack.known {
        Some((key, _)) => store.catalog.remove_pack(key).await,
        None => Ok(()),
    }
}

/// The header; none where the file ends before it does or holds none, as after a crash while it was created.
async fn read_header(store: &Store, pack: &Unfinished) -> Result<Option<PackHeader>> {
    if pack.bytes < PackHeader::BYTES as u64 {
        return Ok(None);
    }
    let bytes = store.backend.read(PackName(pack.name), 0..PackHeader::BYTES as u64).await?;
    match PackHeader::parse(&bytes) {
        Ok(header) if header.name.0 == pack.name => Ok(Some(header)),
        Ok(_) => Err(Error::corrupt(format!(
            "The file of pack {} holds another pack. Restore it from a backup.",
            pack.name
        ))),
        Err(error) if error.kind() == Kind::Corrupt && pack.bytes == PackHeader::BYTES as u64 => Ok(None),
        Err(error) => Err(error),
    }
}

/// The footer, where the pack was ended before. One of a newer version is an error: whoever took it for none would cut
/// it off, or delete the pack.
async fn read_footer(store: &Store, pack: &Unfinished) -> Result<Option<Footer>> {
    let Some(offset) = pack.bytes.checked_sub(Footer::BYTES as u64) else {
        return Ok(None);
    };
    let bytes = store.backend.read(PackName(pack.name), offset..pack.bytes).await?;
    match Footer::parse(PackName(pack.name), &bytes, pack.bytes) {
        Ok(footer) => Ok(Some(footer)),
        Err(error) if error.kind() == Kind::Corrupt => Ok(None),
        Err(error) => Err(error),
    }
}
