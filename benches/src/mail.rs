//! The messages that a run sends, in memory before the clock starts: generated ones or a directory of files.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use prost_types::Timestamp;
use storage_fixtures::mailbox::GeneratedMessage;
use storage_fixtures::mailbox::Mailbox;
use storage_server::proto::ExternalIds;
use storage_server::proto::PutOptions;

/// One message and what is said about it when it is put.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The message.
    pub bytes: Vec<u8>,
    /// Options of the put.
    pub options: PutOptions,
}

/// `messages` generated messages of `seed`.
pub fn generated(seed: u64, messages: usize) -> Vec<Mail> {
    Mailbox::new(seed, messages).map(from_generated).collect()
}

fn from_generated(message: GeneratedMessage) -> Mail {
    let [campaign_id, account_id, lead_id] = [message.campaign, message.account, message.lead]
        .map(|id| id.map_or_else(String::new, |id| id.to_string()));
    let external = ExternalIds { campaign_id, account_id, lead_id };
    let nanos = message.created_millis.rem_euclid(1000) * 1_000_000;
    let created = Timestamp {
        seconds: message.created_millis.div_euclid(1000),
        nanos: i32::try_from(nanos).unwrap_or(0),
    };
    let options = PutOptions { external: Some(external), created: Some(created), ..PutOptions::default() };
    Mail { bytes: message.bytes, options }
}

/// Every regular file below `folder`, as mail, by name; at most `messages` of them.
pub fn from_files(folder: &Path, messages: Option<usize>) -> Result<Vec<Mail>> {
    let mut paths = paths_below(folder)?;
    paths.truncate(messages.unwrap_or(usize::MAX));
    let read = |path: &PathBuf| {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Mail { bytes, options: PutOptions::default() })
    };
    paths.iter().map(read).collect()
}

/// Every regular file below `folder`, by name.
pub fn paths_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                paths.push(entry.path());
            }
        }
    }
    paths.sort_unstable();
    Ok(paths)
}
