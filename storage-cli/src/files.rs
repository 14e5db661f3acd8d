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

/// A file that gets its name only when it is complete; dropped before, it vanishes.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    file: NamedTempFile,
}

impl NewFile {
    /// Begins a file beside its final place.
    pub fn create(path: &Path) -> Result<Self> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let file = tempfile::Builder::new()
            .prefix(".storage-cli-")
            .permissions_like_new()
            .tempfile_in(parent.unwrap_or(Path::new(".")))
            .map_err(|error| Failure::file("Creating", path, &error))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| Failure::file("Writing", &self.path, &error))
    }

    /// Gives it its name, replacing what had it.
    pub fn finish(self) -> Result<()> {
        match self.file.persist(&self.path) {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::file("Writing", &self.path, &error.error)),
        }
    }
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
