//! Local files: read in bounded pieces, hashed, and written so that a file of the final name is always complete.
//! It knows no server.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use sha2::Digest;
use sha2::Sha256;
use tempfile::NamedTempFile;

use crate::failure::Failure;
use crate::failure::Result;

const PIECE_BYTES: usize = 128 * 1024;

/// What is written to a path. A regular file gets its name only when it is complete, and vanishes if it is dropped before;
/// a device or a pipe is written to as it is.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    into: Target,
}

#[derive(Debug)]
enum Target {
    Beside(NamedTempFile),
    Itself(File),
}

impl NewFile {
    /// Begins a file beside its final place; behind a symbolic link, beside the file that it leads to.
    pub fn create(path: &Path) -> Result<Self> {
        let failed = |error: io::Error| Failure::file("Creating", path, &error);
        let path = match std::fs::metadata(path) {
            Ok(there) if is_opened_by_name(path) || (!there.is_file() && !there.is_dir()) => {
                let file = File::options().append(true).open(path).map_err(failed)?;
                return Ok(Self { path: path.to_owned(), into: Target::Itself(file) });
            }
            Ok(_) => path.canonicalize().map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(failed(error)),
        };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let file = tempfile::Builder::new()
            .prefix(".storage-cli-")
            .permissions_like_new()
            .tempfile_in(parent.unwrap_or(Path::new(".")))
            .map_err(failed)?;
        Ok(Self { path, into: Target::Beside(file) })
    }

    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = match &mut self.into {
            Target::Beside(file) => file.write_all(bytes),
            Target::Itself(file) => file.write_all(bytes),
        };
        written.map_err(|error| Failure::file("Writing", &self.path, &error))
    }

    /// Gives it its name, replacing the file that had it.
    pub fn finish(self) -> Result<()> {
        match self.into {
            Target::Beside(file) => match file.persist(&self.path) {
                Ok(_) => Ok(()),
                Err(error) => Err(Failure::file("Writing", &self.path, &error.error)),
            },
            Target::Itself(_) => Ok(()),
        }
    }
}

/// Whether a name stands for what a process has open, or for a device: `/dev/stdout` may be a file that others write to.
fn is_opened_by_name(path: &Path) -> bool {
    path.starts_with("/dev") || path.starts_with("/proc")
}

/// Permissions of new files as other programs would create them, rather than private ones.
trait PermissionsLikeNew {
    fn permissions_like_new(&mut self) -> &mut Self;
}

impl PermissionsLikeNew for tempfile::Builder<'_, '_> {
    #[cfg(unix)]
    fn permissions_like_new(&mut self) -> &mut Self {
        use std::os::unix::fs::PermissionsExt;
        // The process's umask takes away from this what it takes away from every file.
        self.permissions(std::fs::Permissions::from_mode(0o666))
    }

    #[cfg(not(unix))]
    fn permissions_like_new(&mut self) -> &mut Self {
        self
    }
}

/// Hands the bytes of `input` to `take` in pieces, and returns their SHA-256 and number.
pub fn hash_pieces(
    input: &mut impl Read,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<([u8; 32], u64)> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut bytes = 0_u64;
    loop {
        let read = match input.read(&mut piece) {
            Ok(0) => return Ok((hash.finalize().into(), bytes)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let read = piece.get(..read).unwrap_or_default();
        hash.update(read);
        bytes = bytes.saturating_add(read.len() as u64);
        take(read)?;
    }
}

/// Whether the file at `path` has this size and SHA-256; false where there is none.
pub fn is_complete(path: &Path, bytes: u64, sha256: &[u8]) -> io::Result<bool> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if file.metadata()?.len() != bytes {
        return Ok(false);
    }
    let (found, _) = hash_pieces(&mut file, |_| Ok(()))?;
    Ok(found.as_slice() == sha256)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::FileTypeExt;
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: &Path, bytes: &[u8]) -> Result<()> {
        let mut file = NewFile::create(path)?;
        file.write(bytes)?;
        file.finish()
    }

    #[test]
    fn a_device_stays_one() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("null");
        symlink("/dev/null", &link).unwrap();
        write(&link, b"gone").unwrap();
        assert!(link.is_symlink());
        assert!(std::fs::metadata(&link).unwrap().file_type().is_char_device());
    }

    #[test]
    fn a_link_still_leads_to_the_file_that_was_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        std::fs::write(&file, b"old").unwrap();
        symlink(&file, &link).unwrap();
        write(&link, b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
    }

    #[test]
    fn what_is_dropped_leaves_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"old").unwrap();
        let mut file = NewFile::create(&path).unwrap();
        file.write(b"half").unwrap();
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
