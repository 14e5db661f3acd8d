//! What every backend must do, as one suite. It panics at the first thing that is not so.

use std::collections::VecDeque;

use bytes::Bytes;
use uuid::Uuid;

use crate::backend::BoxFuture;
use crate::backend::LogBackend;
use crate::backend::Source;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::pack::PackName;

/// Runs the suite on a backend without packs; leaves none behind.
///
/// # Panics
/// Where the backend does not do what the traits say.
pub async fn check(backend: &dyn LogBackend) {
    put_once(backend).await;
    failed_put_leaves_nothing(backend).await;
    ranges(backend).await;
    missing(backend).await;
    logs_grow(backend).await;
    logs_are_cut(backend).await;
    let left = backend.list().await;
    assert!(left.is_ok_and(|packs| packs.is_empty()), "the suite deletes what it made");
}

fn name(number: u128) -> PackName {
    PackName(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number))
}

fn source(chunks: &[&'static [u8]]) -> VecDeque<Bytes> {
    chunks.iter().map(|chunk| Bytes::from_static(chunk)).collect()
}

fn kind<T>(result: Result<T>) -> Option<Kind> {
    result.err().map(|error| error.kind())
}

async fn content(backend: &dyn LogBackend, name: PackName, bytes: u64) -> Option<Bytes> {
    backend.read(name, 0..bytes).await.ok()
}

async fn put_once(backend: &dyn LogBackend) {
    let put = backend.put(name(1), &mut source(&[b"one ", b"", b"pack"])).await;
    assert_eq!(put.ok(), Some(8), "put tells the length");
    assert_eq!(content(backend, name(1), 8).await.as_deref(), Some(&b"one pack"[..]));
    let again = backend.put(name(1), &mut source(&[b"other"])).await;
    assert_eq!(kind(again), Some(Kind::AlreadyExists), "a name is taken once");
    assert_eq!(content(backend, name(1), 8).await.as_deref(), Some(&b"one pack"[..]), "and keeps its bytes");
    assert_eq!(backend.put(name(0), &mut source(&[])).await.ok(), Some(0), "an empty pack is one");
    assert_eq!(backend.list().await.ok(), Some(vec![(name(0), 0), (name(1), 8)]), "sorted by name");
    for number in [0, 1, 1] {
        assert!(backend.delete(name(number)).await.is_ok(), "deleting twice is fine");
    }
    assert_eq!(kind(backend.length(name(1)).await), Some(Kind::NotFound), "what is deleted is gone");
    assert_eq!(kind(backend.read(name(1), 0..8).await), Some(Kind::NotFound), "for readers, too");
}

/// A source that fails after its first chunk.
#[derive(Debug)]
struct Broken(u8);

impl Source for Broken {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>> {
        self.0 += 1;
        let first = self.0 == 1;
        Box::pin(async move {
            if first {
                Ok(Some(Bytes::from_static(b"half")))
            } else {
                Err(Error::new(Kind::Cancelled, "stop"))
            }
        })
    }
}

async fn failed_put_leaves_nothing(backend: &dyn LogBackend) {
    let put = backend.put(name(2), &mut Broken(0)).await;
    assert_eq!(kind(put), Some(Kind::Cancelled), "the source's own error comes back");
    assert_eq!(kind(backend.length(name(2)).await), Some(Kind::NotFound), "nothing is left");
    assert_eq!(backend.put(name(2), &mut source(&[b"whole"])).await.ok(), Some(5), "the name is free");
    assert!(backend.delete(name(2)).await.is_ok());
}

async fn ranges(backend: &dyn LogBackend) {
    assert_eq!(backend.put(name(3), &mut source(&[b"0123456789"])).await.ok(), Some(10));
    for (range, expected) in [(0..10, &b"0123456789"[..]), (3..5, b"34"), (10..10, b""), (4..4, b"")] {
        assert_eq!(backend.read(name(3), range).await.ok().as_deref(), Some(expected));
    }
    for range in [0..11, 11..12, 0..u64::MAX] {
        assert_eq!(kind(backend.read(name(3), range).await), Some(Kind::Corrupt), "beyond the end");
    }
    let backwards = std::ops::Range { start: 5, end: 4 };
    assert_eq!(kind(backend.read(name(3), backwards).await), Some(Kind::Internal));
    assert!(backend.delete(name(3)).await.is_ok());
}

async fn missing(backend: &dyn LogBackend) {
    assert_eq!(kind(backend.read(name(4), 0..1).await), Some(Kind::NotFound));
    assert_eq!(kind(backend.length(name(4)).await), Some(Kind::NotFound));
    assert_eq!(kind(backend.open_log(name(4), 0).await), Some(Kind::NotFound));
    assert!(backend.delete(name(4)).await.is_ok());
}

async fn logs_grow(backend: &dyn LogBackend) {
    let log = backend.create_log(name(5)).await;
    assert_eq!(kind(backend.create_log(name(5)).await), Some(Kind::AlreadyExists));
    assert_eq!(kind(backend.put(name(5), &mut source(&[b"x"])).await), Some(Kind::AlreadyExists));
    if let Ok(mut log) = log {
        assert_eq!(backend.length(name(5)).await.ok(), Some(0), "its name is there at once");
        let parts = vec![Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"cd")];
        assert_eq!(log.append(parts).await.ok(), Some(0));
        assert_eq!(content(backend, name(5), 4).await.as_deref(), Some(&b"abcd"[..]), "readable unsynced");
        assert_eq!(log.append_sync(vec![Bytes::from_static(b"ef")]).await.ok(), Some(4));
        assert!(log.sync().await.is_ok());
        assert_eq!(log.length(), 6);
        assert_eq!(content(backend, name(5), 6).await.as_deref(), Some(&b"abcdef"[..]), "in order");
    } else {
        panic!("a log can be created: {log:?}");
    }
}

async fn logs_are_cut(backend: &dyn LogBackend) {
    assert_eq!(kind(backend.open_log(name(5), 7).await), Some(Kind::Corrupt), "shorter than known");
    match backend.open_log(name(5), 3).await {
        Ok(mut log) => {
            assert_eq!(backend.length(name(5)).await.ok(), Some(3));
            assert_eq!(log.append_sync(vec![Bytes::from_static(b"XY")]).await.ok(), Some(3));
        }
        Err(error) => panic!("a log can be reopened: {error:?}"),
    }
    assert_eq!(content(backend, name(5), 5).await.as_deref(), Some(&b"abcXY"[..]), "cut, then grown");
    assert!(backend.delete(name(5)).await.is_ok());
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bytes::Bytes;

    use super::check;
    use super::content;
    use super::name;
    use super::source;
    use crate::backend::Backend;
    use crate::backend::Disk;
    use crate::backend::LocalBackend;
    use crate::backend::LogFile;
    use crate::backend::Machine;
    use crate::backend::MemoryBackend;
    use crate::backend::local_log::LocalLog;
    use crate::error::Kind;

    #[tokio::test]
    async fn memory_conforms() {
        check(&MemoryBackend::new()).await;
    }

    #[tokio::test]
    async fn local_conforms() {
        let directory = tempfile::tempdir().unwrap();
        check(&LocalBackend::open(directory.path().join("packs")).await.unwrap()).await;
    }

    #[tokio::test]
    async fn opening_removes_what_a_crash_left() {
        let directory = tempfile::tempdir().unwrap();
        let leftover = directory.path().join(format!("{}.tmp", name(1)));
        let foreign = directory.path().join("README.tmp");
        for path in [&leftover, &foreign] {
            std::fs::write(path, b"half").unwrap();
        }
        std::fs::write(directory.path().join("notes.txt"), b"mine").unwrap();
        let backend = LocalBackend::open(directory.path().to_owned()).await.unwrap();
        assert!(!leftover.exists() && foreign.exists());
        assert_eq!(backend.list().await.unwrap(), []);
    }

    #[tokio::test]
    async fn packs_outlive_the_backend_and_many_stay_readable() {
        let directory = tempfile::tempdir().unwrap();
        let backend = LocalBackend::open(directory.path().to_owned()).await.unwrap();
        assert_eq!(backend.put(name(0), &mut source(&[b"x"])).await.unwrap(), 1);
        for number in 1..150 {
            std::fs::write(directory.path().join(format!("{}.pack", name(number))), b"x").unwrap();
        }
        let backend = LocalBackend::open(directory.path().to_owned()).await.unwrap();
        for number in (0..150).chain(0..3) {
            assert_eq!(content(&backend, name(number), 1).await.unwrap(), b"x"[..]);
        }
        assert_eq!(backend.list().await.unwrap().len(), 150);
    }

    #[tokio::test]
    async fn a_full_disk_shuts_the_log() {
        // Every write to this device fails as on a full disk.
        let full = Machine.open_to_write(Path::new("/dev/full")).unwrap();
        let mut log = LocalLog::new((name(1), full, true), 0);
        let error = log.append(vec![Bytes::from_static(b"x")]).await.unwrap_err();
        assert_eq!(error.kind(), Kind::ResourceExhausted);
        assert!(error.message().contains("free some space"), "{error}");
        assert_eq!(log.length(), 0);
        for again in [log.append(Vec::new()).await.map(drop), log.sync().await] {
            assert_eq!(again.unwrap_err().kind(), Kind::Unavailable);
        }
    }
}
