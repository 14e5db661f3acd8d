//! What the clients and jobs of a simulation ask for.

use futures::future::BoxFuture;
use storage_core::engine::Engine;
use storage_core::error::Error;
use storage_core::error::Result;
use storage_core::model::ItemUpdate;
use storage_core::report::MigrateOptions;
use storage_core::report::SweepOptions;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::erasures::erase;
use crate::jobs::compact;
use crate::jobs::scrub;
use crate::lab::Put;
use crate::lab::ask_put;
use crate::lab::ask_streamed;
use crate::lab::read;
use crate::world::Key;

/// What one client asks for.
#[derive(Debug, Clone)]
pub(crate) enum Wish {
    Put(Put),
    Streamed(Put),
    Delete(Key),
    Update(Key, ItemUpdate),
    Read(Key),
    Migrate(MigrateOptions),
    Sweep(SweepOptions),
    Compact,
    Scrub,
    /// Items of one tenant and kind.
    Erase(Vec<Key>),
}

pub(crate) fn wish_name(wish: &Wish) -> &'static str {
    match wish {
        Wish::Put(_) => "put",
        Wish::Streamed(_) => "streamed put",
        Wish::Delete(_) => "delete",
        Wish::Update(..) => "update",
        Wish::Read(_) => "read",
        Wish::Migrate(_) => "migrate",
        Wish::Sweep(_) => "sweep",
        Wish::Compact => "compact",
        Wish::Scrub => "scrub",
        Wish::Erase(_) => "erase",
    }
}

/// Asks the engine. A put's receipt and a report say nothing that is not looked at later.
pub(crate) fn ask(engine: Engine, wish: Wish) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        match wish {
            Wish::Put(put) => ask_put(engine, put).await.map(drop),
            Wish::Streamed(put) => ask_streamed(engine, put).await.map(drop),
            Wish::Delete(key) => engine.delete(key.0, key.1, &key.2).await,
            Wish::Update(key, update) => engine.update(key.0, key.1, &key.2, update).await.map(drop),
            Wish::Read(key) => read(&engine, &key, true).await.map(drop),
            Wish::Migrate(options) => {
                let (progress, _ignored) = mpsc::channel(1);
                let report = engine.migrate(options, progress, CancellationToken::new()).await?;
                assert_eq!(report.damaged, 0, "{report:?}");
                Ok(())
            }
            Wish::Sweep(options) => engine.sweep(options).await.map(drop),
            Wish::Compact => {
                let report = compact(engine).await?;
                assert_eq!(report.damaged, 0, "{report:?}");
                Ok(())
            }
            Wish::Erase(keys) => erase(engine, &keys).await.map(drop),
            Wish::Scrub => match scrub(engine).await? {
                findings if findings.is_empty() => Ok(()),
                // Looked at by whoever knows whether something failed meanwhile.
                findings => Err(Error::corrupt(format!("a scrub finds {findings:?}"))),
            },
        }
    })
}
