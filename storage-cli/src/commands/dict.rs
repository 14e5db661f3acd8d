//! `dict`: trains and lists dictionaries.

use clap::Subcommand;
use serde::Serialize;
use storage_server::proto;

use crate::commands::Context;
use crate::failure::Result;
use crate::output::human;
use crate::wire::rfc3339;

/// What to do with dictionaries.
#[derive(Debug, Subcommand)]
pub enum DictCommand {
    /// Make new dictionaries from a tenant's mail.
    Train,
    /// List dictionaries, of one tenant if --tenant names it, and the built-in one, which small tenants share.
    #[command(visible_alias = "list")]
    Ls,
}

#[derive(Debug, Serialize)]
struct Dictionary {
    id: String,
    tenant: String,
    class: String,
    origin: String,
    bytes: u64,
    stored_bytes: u64,
    gain: f64,
    created: Option<String>,
    packs: u64,
    version: u32,
    state: String,
    samples: u64,
    served_bytes: u64,
}

impl From<proto::Dictionary> for Dictionary {
    fn from(dictionary: proto::Dictionary) -> Self {
        Self {
            id: dictionary.id,
            tenant: dictionary.tenant,
            class: dictionary.class,
            origin: dictionary.origin,
            bytes: dictionary.bytes,
            stored_bytes: dictionary.stored_bytes,
            gain: dictionary.gain,
            created: dictionary.created.as_ref().map(rfc3339),
            packs: dictionary.packs,
            version: dictionary.version,
            state: dictionary.state,
            samples: dictionary.samples,
            served_bytes: dictionary.served_bytes,
        }
    }
}

/// Trains or lists.
pub async fn run(command: &DictCommand, context: &mut Context) -> Result<()> {
    let store = &context.store;
    let answer = match command {
        DictCommand::Train => store.tenant().admin.train_dictionary(proto::TrainDictionaryRequest {}).await?,
        DictCommand::Ls => store.all().admin.list_dictionaries(proto::ListDictionariesRequest {}).await?,
    };
    let dictionaries: Vec<Dictionary> =
        answer.into_inner().dictionaries.into_iter().map(Dictionary::from).collect();
    for dictionary in &dictionaries {
        context.output.entry(dictionary)?;
    }
    if dictionaries.is_empty() {
        return context.output.say(match command {
            DictCommand::Train => {
                "No dictionary was made: there is too little mail for one to pay for itself."
            }
            DictCommand::Ls => "There is no dictionary yet.",
        });
    }
    let rows = dictionaries.into_iter().map(|dictionary| {
        vec![
            dictionary.id,
            dictionary.tenant,
            dictionary.class,
            dictionary.version.to_string(),
            dictionary.state,
            dictionary.origin,
            dictionary.samples.to_string(),
            human(dictionary.bytes),
            human(dictionary.stored_bytes),
            format!("{:.1} %", dictionary.gain * 100.0),
            human(dictionary.served_bytes),
            dictionary.packs.to_string(),
            dictionary.created.unwrap_or_default(),
        ]
    });
    let headers = [
        "id", "tenant", "class", ">version", "state", "origin", ">samples", ">size", ">stored", ">gain",
        ">serves", ">packs", "created",
    ];
    context.output.table(&headers, rows)
}
