//! What the machine says at a scrape about this process and the disk under the store. Where it says nothing, the metric is
//! left out.

use std::fmt;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use crate::metrics::sheet::Sheet;

/// Process and disk at one moment.
#[derive(Debug, Default)]
pub(super) struct ProcessSnapshot {
    resident_bytes: Option<u64>,
    open_files: Option<u64>,
    disk: Option<Disk>,
}

#[derive(Debug, Clone, Copy)]
struct Disk {
    bytes: u64,
    free_bytes: u64,
}

impl ProcessSnapshot {
    pub(super) async fn take(data_dir: PathBuf) -> Self {
        let taken = tokio::task::spawn_blocking(move || Self {
            resident_bytes: fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident),
            open_files: fs::read_dir("/proc/self/fd").ok().map(|files| files.map(|_| 1).sum()),
            disk: disk(&data_dir),
        });
        taken.await.unwrap_or_else(|error| {
            tracing::warn!(%error, "process and disk could not be looked at for a scrape");
            Self::default()
        })
    }
}

/// Resident bytes, from the text of a process's status.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

fn disk(path: &Path) -> Option<Disk> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(Disk {
        bytes: found.f_blocks.checked_mul(found.f_frsize)?,
        free_bytes: found.f_bavail.checked_mul(found.f_frsize)?,
    })
}

impl Collector for ProcessSnapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut sheet = Sheet::new(encoder);
        if let Some(bytes) = self.resident_bytes {
            sheet.gauge("process_resident_memory_bytes", "Resident memory of the process", bytes)?;
        }
        if let Some(files) = self.open_files {
            sheet.gauge("process_open_fds", "Open files of the process", files)?;
        }
        if let Some(disk) = self.disk {
            sheet.gauge("storage_disk_bytes", "Size of the file system that holds the store", disk.bytes)?;
            let help = "Bytes that the store could still take on its file system";
            sheet.gauge("storage_disk_free_bytes", help, disk.free_bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read() {
        assert_eq!(resident("Name:\tserver\nVmRSS:\t    1024 kB\nThreads:\t4\n"), Some(1 << 20));
        assert_eq!(resident("Name:\tzombie\n"), None);
    }

    #[test]
    fn the_disk_under_a_directory_is_found() {
        let found = disk(Path::new("/")).unwrap();
        assert!(found.bytes >= found.free_bytes && found.bytes > 0);
        assert!(disk(Path::new("/no/such/directory")).is_none());
    }
}
