//! The memory of another process, as the kernel tells it.

use std::fs;

use anyhow::Context;
use anyhow::Result;

/// Kilobytes of one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Resident now.
    pub resident: u64,
    /// The most that was ever resident, as the kernel counts it.
    pub peak: u64,
}

impl Sample {
    /// The memory of a process; none where it has ended.
    pub fn take(pid: u32) -> Option<Self> {
        fs::read_to_string(format!("/proc/{pid}/status")).ok().as_deref().and_then(parse)
    }

    /// The same, where the process has to be there.
    pub fn first(pid: u32) -> Result<Self> {
        Self::take(pid).with_context(|| format!("there is no process {pid}, or it names no memory"))
    }
}

fn parse(status: &str) -> Option<Sample> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().strip_suffix("kB")?.trim().parse().ok()
    };
    Some(Sample { resident: field("VmRSS")?, peak: field("VmHWM")? })
}

#[cfg(test)]
mod tests {
    use super::Sample;
    use super::parse;

    #[test]
    fn a_status_is_read() {
        let status = "Name:\tserver\nVmHWM:\t  204800 kB\nVmRSS:\t    1024 kB\nThreads:\t4\n";
        assert_eq!(parse(status), Some(Sample { resident: 1024, peak: 204_800 }));
        assert_eq!(parse("Name:\tzombie\n"), None);
    }
}
