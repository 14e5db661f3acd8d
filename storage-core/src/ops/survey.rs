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
use crate::pack::ScanEnd;
use crate::pack::ScanStep;
use crate::pack::Scanner;
use crate::store::Store;

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
    /// How far a scan came, where there was no index to go by.
    pub(crate) scanned: Option<ScanEnd>,
}

/// Tells damage from failures to read at all.
pub(crate) fn damage<T>(result: Result<T>) -> Result<Result<T, Damage>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) if is_damage(&error) => Ok(Err(error.message().to_owned())),
        Err(error) => Err(error),
    }
}

/// Whether an error tells of bytes that are not as they should be, or that this version does not know.
pub(crate) fn is_damage(error: &Error) -> bool {
    matches!(error.kind(), Kind::Corrupt | Kind::Unimplemented)
}

impl Store {
    /// Looks at a sealed pack of that length. `NotFound` where it is gone.
    pub(crate) async fn survey(&self, pack: Uuid, bytes: u64) -> Result<Survey> {
        let header = damage(self.pack_header(pack).await)?;
        let footer = damage(self.footer(pack, bytes).await)?;
        let index = match &footer {
            Ok(footer) => damage(self.index_of(pack, footer).await)?,
            Err(damage) => Err(damage.clone()),
        };
        let (entries, scanned) = match (&index, &footer) {
            (Ok(index), _) => (index.entries().to_vec(), None),
            (Err(_), footer) => {
                let end = footer.as_ref().map_or(bytes, |footer| footer.index_offset);
                let (entries, end) = self.scan(pack, end).await?;
                (entries, Some(end))
            }
        };
        Ok(Survey { header, footer, index, entries, scanned })
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

    /// The frames before `end` without an index, until the first one that is not whole.
    async fn scan(&self, pack: Uuid, end: u64) -> Result<(Vec<IndexEntry>, ScanEnd)> {
        let mut scanner = Scanner::new(PackName(pack), end, ScanDepth::Tables);
        let mut entries = Vec::new();
        if end < PackHeader::BYTES as u64 {
            let torn = Some("a pack is shorter than its header".to_owned());
            return Ok((entries, ScanEnd { valid_bytes: 0, frames: 0, torn }));
        }
        loop {
            match scanner.step() {
                Ok(ScanStep::Read { offset, bytes }) => {
                    let range = offset..offset.saturating_add(u64::from(bytes));
                    scanner.feed(self.backend.read(PackName(pack), range).await?)?;
                }
                Ok(ScanStep::Frame(frame)) => entries.push(frame.index_entry()),
                Ok(ScanStep::End(end)) => return Ok((entries, end)),
                Err(error) if is_damage(&error) => {
                    let valid_bytes = entries.last().map_or(PackHeader::BYTES as u64, |last| {
                        last.offset.saturating_add(u64::from(last.bytes()))
                    });
                    let frames = u32::try_from(entries.len()).unwrap_or(u32::MAX);
                    let torn = Some(error.message().to_owned());
                    return Ok((entries, ScanEnd { valid_bytes, frames, torn }));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The frames of a pack whose index is damaged, as far as they can be told. Slow: nothing of it is kept.
    pub(crate) async fn scanned_entries(&self, pack: Uuid) -> Result<Vec<IndexEntry>> {
        let bytes = self.backend.length(PackName(pack)).await?;
        Ok(self.scan(pack, bytes).await?.0)
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
