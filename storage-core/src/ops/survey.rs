//! What a pack is made of, as far as its bytes tell: from its index, or from the frames themselves where the index cannot
//! be read. Whoever checks, mends or rebuilds uses it; damage is an answer here, not an error.

use uuid::Uuid;

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::ops::read::moved_away;
use crate::pack::Footer;
use crate::pack::Frame;
use crate::pack::FrameHead;
use crate::pack::IndexEntry;
use crate::pack::PackHeader;
use crate::pack::PackIndex;
use crate::pack::PackName;
use crate::pack::ScanDepth;
use crate::pack::ScanStep;
use crate::pack::Scanner;
use crate::pack::find_header;
use crate::store::Store;

/// Bytes searched at once for the next whole frame.
const SEARCH_BYTES: u64 = 1 << 20;

/// The header of a frame has at most as many bytes.
const HEADER_BYTES_MAX: u64 = 64 << 10;

/// Where a pack is damaged, in words.
pub(crate) type Damage = String;

/// A pack as its bytes tell of it.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) header: Result<PackHeader, Damage>,
    pub(crate) footer: Result<Footer, Damage>,
    /// The index; what the footer lacks where that is damaged.
    pub(crate) index: Result<PackIndex, Damage>,
    /// All frames that can be told, by number.
    pub(crate) entries: Vec<IndexEntry>,
    /// Where a scan met the first frame that is not whole, and why, where there was no index to go by. Behind the last
    /// frame of a pack without a footer that is where its frames end.
    pub(crate) torn: Option<(u64, Damage)>,
    /// There are whole frames behind that.
    pub(crate) resumed: bool,
    /// Some of it is of a newer version.
    pub(crate) newer: bool,
}

/// What frames tell without an index.
#[derive(Debug, Default)]
struct Scan {
    entries: Vec<IndexEntry>,
    torn: Option<(u64, Damage)>,
    resumed: bool,
}

/// Tells damage from failures to read at all.
fn damage<T>(result: Result<T>, newer: &mut bool) -> Result<Result<T, Damage>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) if is_damage(&error) => {
            *newer |= error.kind() == Kind::Unimplemented;
            Ok(Err(error.message().to_owned()))
        }
        Err(error) => Err(error),
    }
}

/// Whether an error tells of bytes that are not as they should be, or that this version does not know.
pub(crate) fn is_damage(error: &Error) -> bool {
    matches!(error.kind(), Kind::Corrupt | Kind::Unimplemented)
}

/// Whether it is damage to whoever checks: a disk that refuses to read, too.
pub(crate) fn is_unreadable(error: &Error) -> bool {
    is_damage(error) || error.kind() == Kind::Io
}

impl Store {
    /// Looks at a sealed pack of that length. `NotFound` where it is gone.
    pub(crate) async fn survey(&self, pack: Uuid, bytes: u64) -> Result<Survey> {
        let mut newer = false;
        let header = damage(self.pack_header(pack).await, &mut newer)?;
        let footer = damage(self.footer(pack, bytes).await, &mut newer)?;
        let index = match &footer {
            Ok(footer) => damage(self.index_of(pack, footer).await, &mut newer)?,
            Err(damage) => Err(damage.clone()),
        };
        let scan = if let Ok(index) = &index {
            Scan { entries: index.entries().to_vec(), ..Scan::default() }
        } else {
            let end = footer.as_ref().map_or(bytes, |footer| footer.index_offset);
            self.scan(pack, end).await?
        };
        let Scan { entries, torn, resumed } = scan;
        Ok(Survey { header, footer, index, entries, torn, resumed, newer })
    }

    /// A pack's header, which must name the pack.
    pub(crate) async fn pack_header(&self, pack: Uuid) -> Result<PackHeader> {
        let bytes = self.backend.read(PackName(pack), 0..PackHeader::BYTES as u64).await?;
        let header = PackHeader::parse(&bytes)?;
        if header.name.0 == pack {
            return Ok(header);
        }
        Err(Error::corrupt(format!("The file of pack {pack} holds pack {}.", header.name)))
    }

    async fn footer(&self, pack: Uuid, bytes: u64) -> Result<Footer> {
        let from = bytes.saturating_sub(Footer::BYTES as u64);
        let last = self.backend.read(PackName(pack), from..bytes).await?;
        Footer::parse(PackName(pack), &last, bytes)
    }

    async fn index_of(&self, pack: Uuid, footer: &Footer) -> Result<PackIndex> {
        let end = footer.index_offset.saturating_add(u64::from(footer.index_bytes));
        let bytes = self.backend.read(PackName(pack), footer.index_offset..end).await?;
        PackIndex::parse(footer, &bytes)
    }

    /// The frames before `end` without an index. A frame that is not whole ends a run of them; the next one that verifies
    /// begins another.
    async fn scan(&self, pack: Uuid, end: u64) -> Result<Scan> {
        let mut scan = Scan::default();
        if end < PackHeader::BYTES as u64 {
            scan.torn = Some((0, "a pack is shorter than its header".to_owned()));
            return Ok(scan);
        }
        let mut start = Some((PackHeader::BYTES as u64, 0));
        while let Some(from) = start {
            let (torn_at, why) = self.scan_run(pack, (from, end), &mut scan.entries).await?;
            let Some(why) = why else {
                break;
            };
            start = self.next_frame(pack, torn_at.saturating_add(1), end).await?;
            scan.resumed = scan.resumed || start.is_some();
            let _ = scan.torn.get_or_insert((torn_at, why));
        }
        Ok(scan)
    }

    /// Frames that follow each other. Returns where that ended, and why if not at the end.
    async fn scan_run(
        &self,
        pack: Uuid,
        (from, end): ((u64, u32), u64),
        entries: &mut Vec<IndexEntry>,
    ) -> Result<(u64, Option<String>)> {
        let mut scanner = Scanner::from(PackName(pack), from, end, ScanDepth::Tables);
        let mut reached = from.0;
        loop {
            match scanner.step() {
                Ok(ScanStep::Read { offset, bytes }) => {
                    let range = offset..offset.saturating_add(u64::from(bytes));
                    scanner.feed(self.backend.read(PackName(pack), range).await?)?;
                }
                Ok(ScanStep::Frame(frame)) => {
                    let entry = frame.index_entry();
                    reached = entry.offset.saturating_add(u64::from(entry.bytes()));
                    entries.push(entry);
                }
                Ok(ScanStep::End(end)) => return Ok((end.valid_bytes, end.torn)),
                Err(error) if is_damage(&error) => return Ok((reached, Some(error.message().to_owned()))),
                Err(error) => return Err(error),
            }
        }
    }

    /// The first frame at or behind an offset whose header verifies.
    async fn next_frame(&self, pack: Uuid, mut offset: u64, end: u64) -> Result<Option<(u64, u32)>> {
        while offset < end {
            let until = end.min(offset.saturating_add(SEARCH_BYTES));
            let window = self.backend.read(PackName(pack), offset..until).await?;
            if let Some((start, ordinal)) = find_header(PackName(pack), &window) {
                return Ok(Some((offset.saturating_add(start as u64), ordinal)));
            }
            if until == end {
                break;
            }
            // A header that the window cuts off is whole in the next one.
            offset = until - HEADER_BYTES_MAX;
        }
        Ok(None)
    }

    /// The frames of a pack whose index is damaged, as far as they can be told. Slow: nothing of it is kept.
    pub(crate) async fn scanned_entries(&self, pack: Uuid) -> Result<Vec<IndexEntry>> {
        let bytes = self.backend.length(PackName(pack)).await?;
        Ok(self.scan(pack, bytes).await?.entries)
    }

    /// All frames of a pack that can be told, open or sealed; none where the pack is gone.
    pub(crate) async fn entries_of(&self, pack: Uuid) -> Result<Vec<IndexEntry>> {
        if let Some(open) = self.caches.open_entries(pack) {
            return Ok(open.all());
        }
        let entries = match self.pack_index(pack).await {
            Ok(index) => return Ok(index.entries().to_vec()),
            Err(error) if moved_away(&error) => return Ok(Vec::new()),
            Err(error) if is_damage(&error) => self.scanned_entries(pack).await,
            Err(error) => return Err(error),
        };
        match entries {
            Err(error) if error.kind() == Kind::NotFound => Ok(Vec::new()),
            entries => entries,
        }
    }

    /// A whole frame straight from the backend, its checksums verified.
    pub(crate) async fn frame_at(&self, pack: Uuid, entry: &IndexEntry) -> Result<Frame> {
        let end = entry.offset.saturating_add(u64::from(entry.bytes()));
        let bytes = self.backend.read(PackName(pack), entry.offset..end).await?;
        Frame::parse(PackName(pack), entry.ordinal, bytes)
    }

    /// Header and table of a frame straight from the backend, verified; its stream is not read.
    pub(crate) async fn head_at(&self, pack: Uuid, entry: &IndexEntry) -> Result<FrameHead> {
        let end = entry.offset.saturating_add(u64::from(entry.bytes()));
        let start = (entry.offset, entry.ordinal);
        let mut scanner = Scanner::from(PackName(pack), start, end, ScanDepth::Tables);
        loop {
            match scanner.step()? {
                ScanStep::Read { offset, bytes } => {
                    let range = offset..offset.saturating_add(u64::from(bytes));
                    scanner.feed(self.backend.read(PackName(pack), range).await?)?;
                }
                ScanStep::Frame(frame) => return Ok(frame.head),
                ScanStep::End(end) => {
                    let why = end.torn.unwrap_or_else(|| "there is no frame".to_owned());
                    return Err(Error::corrupt(why));
                }
            }
        }
    }
}
