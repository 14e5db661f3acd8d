//! A disk for [`crate::backend::LocalBackend`] that forgets: what was written is durable once its file was synced, a name
//! once its directory was, and nothing before. Its calls follow the plan of [`crate::testing::faults`], so that a crash can
//! come between any two of them. A sync that fails leaves bytes behind that read well and that no later sync writes.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hash;
use std::hash::Hasher;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::backend::Disk;
use crate::backend::DiskFile;
use crate::backend::Fate;
use crate::testing::faults::Call;
use crate::testing::faults::Effect;
use crate::testing::faults::Faults;
use crate::testing::power;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Node {
    Directory,
    File(u64),
}

/// Something that is not durable yet.
#[derive(Debug, Clone, Hash)]
enum Pending {
    /// A name that now stands for this, or for nothing.
    Name(PathBuf, Option<Node>),
    /// The second name stands for this now, and the first one for nothing.
    Rename(PathBuf, PathBuf, Node),
    Write {
        file: u64,
        offset: usize,
        bytes: Vec<u8>,
    },
    Length {
        file: u64,
        bytes: usize,
    },
}

impl Pending {
    fn is_of(&self, file: u64) -> bool {
        match self {
            Self::Name(..) | Self::Rename(..) => false,
            Self::Write { file: of, .. } | Self::Length { file: of, .. } => *of == file,
        }
    }
}

/// Names and bytes.
#[derive(Debug, Clone, Default, Hash)]
struct Content {
    names: BTreeMap<PathBuf, Node>,
    files: BTreeMap<u64, Vec<u8>>,
}

impl Content {
    fn apply(&mut self, change: &Pending) {
        match change {
            Pending::Name(path, Some(node)) => drop(self.names.insert(path.clone(), *node)),
            Pending::Name(path, None) => drop(self.names.remove(path)),
            Pending::Rename(from, to, node) => {
                let _ = self.names.remove(from);
                let _ = self.names.insert(to.clone(), *node);
            }
            Pending::Write { file, offset, bytes } => {
                let content = self.files.entry(*file).or_default();
                let end = offset.saturating_add(bytes.len());
                content.resize(content.len().max(end), 0);
                content.get_mut(*offset..end).into_iter().for_each(|place| place.copy_from_slice(bytes));
            }
            Pending::Length { file, bytes } => self.files.entry(*file).or_default().resize(*bytes, 0),
        }
    }
}

#[derive(Debug, Clone, Default, Hash)]
struct State {
    seen: Content,
    durable: Content,
    /// In the order in which they were asked for.
    pending: Vec<Pending>,
    files: u64,
}

impl State {
    fn change(&mut self, change: Pending) {
        self.seen.apply(&change);
        self.pending.push(change);
    }

    /// Makes durable what is pending and `wanted`.
    fn settle(&mut self, wanted: impl Fn(&Pending) -> bool) {
        for change in std::mem::take(&mut self.pending) {
            if wanted(&change) {
                self.durable.apply(&change);
            } else {
                self.pending.push(change);
            }
        }
    }

    fn file(&self, path: &Path) -> io::Result<u64> {
        match self.seen.names.get(path) {
            Some(Node::File(file)) => Ok(*file),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn free(&self, path: &Path) -> io::Result<()> {
        let taken = self.seen.names.contains_key(path);
        if taken { Err(io::ErrorKind::AlreadyExists.into()) } else { Ok(()) }
    }
}

/// A disk that forgets. Clones share it.
#[derive(Clone, Default)]
pub struct ModelDisk {
    state: Arc<Mutex<State>>,
    faults: Faults,
}

impl fmt::Debug for ModelDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModelDisk({} changes not durable)", self.lock().pending.len())
    }
}

/// Tells disks apart that differ in anything, also in what of them is durable.
impl Hash for ModelDisk {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.lock().hash(state);
    }
}

impl ModelDisk {
    /// One without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same disk, whose calls follow that plan.
    #[must_use]
    pub fn following(&self, faults: &Faults) -> Self {
        Self { state: Arc::clone(&self.state), faults: faults.clone() }
    }

    /// The same content, which from now on changes apart from this one.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::of(self.lock().clone())
    }

    /// How many changes are not durable.
    pub fn pending(&self) -> usize {
        self.lock().pending.len()
    }

    /// What a power cut leaves. A name whose directory is lost is lost, too.
    #[must_use]
    pub fn after(&self, disk: power::Disk) -> Self {
        let state = self.lock();
        let mut left = state.durable.clone();
        let mut fate = power::fates(disk, u64::try_from(state.pending.len()).unwrap_or(u64::MAX));
        for change in &state.pending {
            let bytes = match change {
                Pending::Write { bytes, .. } => Some(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
                Pending::Name(..) | Pending::Rename(..) | Pending::Length { .. } => None,
            };
            match (fate(bytes), change) {
                (Fate::Kept, change) => left.apply(change),
                (Fate::Torn(kept), Pending::Write { file, offset, bytes }) => {
                    let kept = usize::try_from(kept).unwrap_or(usize::MAX).min(bytes.len());
                    let bytes = bytes.get(..kept).unwrap_or_default().to_vec();
                    left.apply(&Pending::Write { file: *file, offset: *offset, bytes });
                }
                _ => {}
            }
        }
        let stands = |names: &BTreeMap<PathBuf, Node>, path: &Path| {
            path.parent().is_none_or(|above| above.parent().is_none() || names.contains_key(above))
        };
        // Paths come after those above them.
        for path in left.names.keys().cloned().collect::<Vec<_>>() {
            if !stands(&left.names, &path) {
                let _ = left.names.remove(&path);
            }
        }
        Self::of(State { seen: left.clone(), durable: left, pending: Vec::new(), files: state.files })
    }

    /// All files with their bytes, as readers see them.
    pub fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let state = self.lock();
        let file = |(path, node): (&PathBuf, &Node)| match node {
            Node::File(file) => Some((path.clone(), state.seen.files.get(file).cloned().unwrap_or_default())),
            Node::Directory => None,
        };
        state.seen.names.iter().filter_map(file).collect()
    }

    fn of(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)), faults: Faults::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass<T>(
        &self,
        (name, effect): (&'static str, Effect),
        whole: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        self.faults.pass_now(Call { name, effect }, || whole(&mut self.lock()), || {})
    }

    fn handle(&self, file: u64) -> Arc<dyn DiskFile> {
        Arc::new(ModelFile { disk: self.clone(), file })
    }
}

impl Disk for ModelDisk {
    fn blocks(&self) -> bool {
        false
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.pass(("create_directory", Effect::Whole), |state| {
            state.free(path)?;
            state.change(Pending::Name(path.to_owned(), Some(Node::Directory)));
            Ok(())
        })
    }

    fn exists(&self, path: &Path) -> bool {
        path.parent().is_none() || self.lock().seen.names.contains_key(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
        self.pass(("list_files", Effect::Read), |_| Ok(()))?;
        let of = |(path, _): &(PathBuf, Vec<u8>)| path.parent() == Some(directory);
        let length = |bytes: &[u8]| u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(self.contents().into_iter().filter(of).map(|(path, bytes)| (path, length(&bytes))).collect())
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.pass(("sync_directory", Effect::Whole), |state| {
            state.settle(|change| match change {
                Pending::Name(path, _) | Pending::Rename(_, path, _) => path.parent() == Some(directory),
                Pending::Write { .. } | Pending::Length { .. } => false,
            });
            Ok(())
        })
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.pass(("create_file", Effect::Whole), |state| {
            state.free(path)?;
            state.files += 1;
            let file = state.files;
            state.change(Pending::Name(path.to_owned(), Some(Node::File(file))));
            Ok(file)
        })
        .map(|file| self.handle(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.pass(("open_file", Effect::Read), |state| state.file(path)).map(|file| self.handle(file))
    }

    fn open_to_write(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pass(("link", Effect::Whole), |state| {
            state.free(to)?;
            let file = state.file(from)?;
            state.change(Pending::Name(to.to_owned(), Some(Node::File(file))));
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pass(("rename_file", Effect::Whole), |state| {
            let file = state.file(from)?;
            state.change(Pending::Rename(from.to_owned(), to.to_owned(), Node::File(file)));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.pass(("remove_file", Effect::Whole), |state| {
            let _file = state.file(path)?;
            state.change(Pending::Name(path.to_owned(), None));
            Ok(())
        })
    }
}

/// An open file of such a disk.
#[derive(Debug)]
struct ModelFile {
    disk: ModelDisk,
    file: u64,
}

impl DiskFile for ModelFile {
    fn length(&self) -> io::Result<u64> {
        let bytes = self.disk.lock().seen.files.get(&self.file).map_or(0, Vec::len);
        Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.disk.pass(("read_file", Effect::Read), |state| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let end = start.saturating_add(bytes.len());
            let content = state.seen.files.get(&self.file).and_then(|content| content.get(start..end));
            bytes.copy_from_slice(content.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let write = |bytes: &[u8]| {
            let bytes = bytes.to_vec();
            self.disk.lock().change(Pending::Write { file: self.file, offset, bytes });
        };
        let call = Call { name: "write_file", effect: Effect::Parts };
        let whole = || {
            write(bytes);
            Ok(())
        };
        self.disk.faults.pass_now(call, whole, || write(bytes.get(..bytes.len() / 2).unwrap_or_default()))
    }

    fn set_length(&self, bytes: u64) -> io::Result<()> {
        self.disk.pass(("set_length", Effect::Whole), |state| {
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            state.change(Pending::Length { file: self.file, bytes });
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        let synced = self.disk.pass(("sync_file", Effect::Whole), |state| {
            state.settle(|change| change.is_of(self.file));
            Ok(())
        });
        if synced.is_err() && !self.disk.faults.has_crashed() {
            // The system tells of a failure once, and takes these bytes for written.
            self.disk.lock().pending.retain(|change| !change.is_of(self.file));
        }
        synced
    }
}
