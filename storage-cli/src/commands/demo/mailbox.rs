//! Where the demo's mail comes from. The only place that knows the generator.

use storage_fixtures::mailbox::Mailbox;
use storage_server::proto;
use uuid::Uuid;

/// A generated message.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// Its folder and file, unique in the mailbox.
    pub(super) path: String,
    /// The message.
    pub(super) bytes: Vec<u8>,
    /// What its sender's systems know about it.
    pub(super) external: proto::ExternalIds,
}

/// The mailbox of `seed`; the same each time.
pub(super) fn messages(seed: u64, count: u32) -> impl Iterator<Item = Message> + Send {
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    Mailbox::new(seed, count as usize).map(move |message| Message {
        external: proto::ExternalIds {
            campaign_id: text(message.campaign),
            account_id: text(message.account),
            lead_id: text(message.lead),
        },
        path: message.path,
        bytes: message.bytes,
    })
}
