//! One pack of the backend in memory: its bytes as readers see them, how many of them are durable, and which writes the
//! others came by.

use bytes::Bytes;

use crate::backend::Fate;
use crate::backend::Unsynced;
use crate::pack::PackName;

/// A pack in memory. A file only grows, or is cut durably: so what is durable is a prefix.
#[derive(Debug, Clone, Default, Hash)]
pub(super) struct MemoryFile {
    content: Vec<u8>,
    /// Bytes that a power cut does not touch.
    durable: usize,
    /// The lengths of the writes behind them, in order.
    writes: Vec<usize>,
    /// Whether its name is not durable yet.
    unnamed: bool,
}

impl MemoryFile {
    /// One that is durable as a whole.
    pub(super) fn durable(content: Vec<u8>) -> Self {
        Self { durable: content.len(), content, writes: Vec::new(), unnamed: false }
    }

    /// An empty one whose name a power cut may take away.
    pub(super) fn unnamed() -> Self {
        Self { unnamed: true, ..Self::default() }
    }

    pub(super) fn content(&self) -> &[u8] {
        &self.content
    }

    pub(super) fn bytes(&self) -> u64 {
        wide(self.content.len())
    }

    /// One write of all parts.
    pub(super) fn append(&mut self, parts: &[Bytes]) {
        let before = self.content.len();
        for part in parts {
            self.content.extend_from_slice(part);
        }
        if self.content.len() > before {
            self.writes.push(self.content.len() - before);
        }
    }

    pub(super) fn sync(&mut self) {
        self.durable = self.content.len();
        self.writes.clear();
    }

    /// The directory that holds its name is durable.
    pub(super) fn sync_name(&mut self) {
        self.unnamed = false;
    }

    /// Cuts it, durably. Its length, where it is shorter.
    pub(super) fn cut(&mut self, bytes: u64) -> Result<(), u64> {
        if self.bytes() < bytes {
            return Err(self.bytes());
        }
        self.content.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
        self.sync();
        Ok(())
    }

    /// What a power cut leaves; none where its name is lost.
    pub(super) fn after_power_cut(
        &self,
        name: PackName,
        fate: &mut dyn FnMut(Unsynced) -> Fate,
    ) -> Option<Self> {
        if self.unnamed && fate(Unsynced::Name(name)) != Fate::Kept {
            return None;
        }
        let mut content = self.content.get(..self.durable).unwrap_or_default().to_vec();
        let mut start = self.durable;
        for length in &self.writes {
            let write = self.content.get(start..start + length).unwrap_or_default();
            let reached = match fate(Unsynced::Append(name, wide(*length))) {
                Fate::Kept => write,
                Fate::Lost => &[],
                Fate::Torn(bytes) => {
                    write.get(..usize::try_from(bytes).unwrap_or(usize::MAX)).unwrap_or(write)
                }
            };
            if !reached.is_empty() {
                content.resize(start, 0);
                content.extend_from_slice(reached);
            }
            start += length;
        }
        Some(Self::durable(content))
    }
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use uuid::Uuid;

    use super::MemoryFile;
    use crate::backend::Fate;
    use crate::backend::Unsynced;
    use crate::pack::PackName;

    fn after(file: &MemoryFile, fates: &[Fate]) -> Option<Vec<u8>> {
        let mut fates = fates.iter().copied();
        let left = file.after_power_cut(PackName(Uuid::nil()), &mut |_| fates.next().unwrap());
        assert_eq!(fates.next(), None, "asked about everything");
        left.map(|file| file.content().to_vec())
    }

    #[test]
    fn a_power_cut_takes_what_was_not_synced() {
        let mut file = MemoryFile::default();
        file.append(&[Bytes::from_static(b"ab"), Bytes::from_static(b"c")]);
        file.sync();
        file.append(&[Bytes::from_static(b"def")]);
        file.append(&[]);
        file.append(&[Bytes::from_static(b"gh")]);
        assert_eq!(after(&file, &[Fate::Kept, Fate::Kept]).unwrap(), b"abcdefgh");
        assert_eq!(after(&file, &[Fate::Lost, Fate::Lost]).unwrap(), b"abc");
        assert_eq!(after(&file, &[Fate::Kept, Fate::Torn(1)]).unwrap(), b"abcdefg");
        assert_eq!(after(&file, &[Fate::Lost, Fate::Kept]).unwrap(), b"abc\0\0\0gh");
        file.sync();
        assert_eq!(after(&file, &[]).unwrap(), b"abcdefgh");
        assert_eq!(file.cut(4), Ok(()));
        assert_eq!(file.cut(5), Err(4));
        assert_eq!(after(&file, &[]).unwrap(), b"abcd");
    }

    #[test]
    fn a_name_that_is_not_durable_may_be_lost() {
        let mut file = MemoryFile::unnamed();
        file.append(&[Bytes::from_static(b"ab")]);
        assert_eq!(after(&file, &[Fate::Lost]), None);
        assert_eq!(after(&file, &[Fate::Kept, Fate::Lost]).unwrap(), b"");
        let mut asked = Vec::new();
        let _left = file.after_power_cut(PackName(Uuid::nil()), &mut |what| {
            asked.push(what);
            Fate::Kept
        });
        let name = PackName(Uuid::nil());
        assert_eq!(asked, [Unsynced::Name(name), Unsynced::Append(name, 2)]);
        file.sync();
        assert_eq!(after(&file, &[Fate::Lost]), None, "bytes without a name");
        file.sync_name();
        assert_eq!(after(&file, &[]).unwrap(), b"ab");
    }
}
