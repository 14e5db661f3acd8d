//! How many files and connections the process may have open. Most systems start a program with a low limit that it may
//! raise by itself, and keep it low only for programs that use `select`.

use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::setrlimit;

/// Descriptors that packs, the catalog, metrics and the runtime may need beside the connections.
const OWN: u64 = 256;

/// Raises the limit of open files as far as it may be, and says how many connections fit under it, `wanted` at most.
pub fn connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let highest = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let allowed = match setrlimit(Resource::Nofile, highest) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files could not be raised");
            limit.current
        }
    };
    let fitting = fitting(wanted, allowed);
    if fitting < wanted {
        tracing::warn!(
            connections = fitting,
            "the limit of open files allows fewer connections than connections_max; raise it (ulimit -n)"
        );
    }
    fitting
}

/// How many connections fit where `allowed` files may be open; no number means any.
fn fitting(wanted: usize, allowed: Option<u64>) -> usize {
    let Some(allowed) = allowed else { return wanted };
    // Under a very low limit the connections get half of it.
    let room = allowed.saturating_sub(OWN).max(allowed / 2).max(1);
    wanted.min(usize::try_from(room).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::fitting;

    #[test]
    fn connections_leave_room_for_files() {
        assert_eq!(fitting(2048, None), 2048);
        assert_eq!(fitting(2048, Some(1 << 20)), 2048);
        assert_eq!(fitting(2048, Some(1024)), 768);
        assert_eq!(fitting(2048, Some(300)), 150);
        assert_eq!(fitting(2048, Some(0)), 1);
        assert_eq!(fitting(20, Some(1024)), 20);
    }
}
