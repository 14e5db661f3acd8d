//! Requests that passed the edge, carried out by an engine: they work or are refused for what they ask. Whatever moments,
//! ranges and lengths they name, nothing overflows and nothing is the engine's own failure.

use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;

use bytes::Bytes;
use storage_core::backend::MemoryBackend;
use storage_core::catalog::sqlite::SqliteCatalog;
use storage_core::clock::SystemClock;
use storage_core::engine::Engine;
use storage_core::error::Kind;
use storage_core::error::Result;
use storage_core::model::ItemKind;
use storage_core::model::PutOptions;
use storage_core::settings::Settings;
use storage_core::store::Doors;
use storage_server::convert::admin;
use storage_server::convert::item;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::targets::edges::Request;
use crate::targets::edges::request;

struct World {
    runtime: Runtime,
    engine: Engine,
    _dir: TempDir,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let runtime = Runtime::new().expect("a runtime");
        let dir = tempfile::tempdir().expect("a directory");
        let engine = runtime.block_on(open(dir.path()));
        World { runtime, engine, _dir: dir }
    })
}

async fn open(dir: &Path) -> Engine {
    let catalog = SqliteCatalog::open(&dir.join("catalog.db")).await.expect("a catalog");
    let doors = Doors { backend: Arc::new(MemoryBackend::new()), catalog: Arc::new(catalog) };
    let engine = Engine::open_doors(Settings::new("unused"), Arc::new(SystemClock), doors, [1; 32]);
    let engine = engine.await.expect("an engine");
    let options = PutOptions { caller_id: Some("id".to_owned()), ..PutOptions::default() };
    let bytes = Bytes::from_static(b"Subject: x\r\n\r\nbody\r\n");
    let _receipt = engine.put("default", ItemKind::Message, options, bytes).await.expect("a put");
    engine
}

#[track_caller]
fn settle<T>(result: Result<T>) {
    if let Err(error) = result {
        let allowed = [
            Kind::InvalidArgument,
            Kind::NotFound,
            Kind::AlreadyExists,
            Kind::FailedPrecondition,
            Kind::ResourceExhausted,
        ];
        assert!(allowed.contains(&error.kind()), "{error:?}");
    }
}

pub(crate) fn requests(input: &[u8]) {
    if let Some(request) = request(input) {
        let world = world();
        world.runtime.block_on(carry_out(&world.engine, request));
    }
}

async fn carry_out(engine: &Engine, request: Request) {
    let (tenant, kind) = ("default", ItemKind::Message);
    match request {
        Request::Put(options) => {
            let Ok(options) = item::put_options(options) else { return };
            let bytes = Bytes::from_static(b"Subject: y\r\n\r\nbody\r\n");
            settle(engine.put(tenant, ItemKind::Content, options, bytes).await);
        }
        Request::List(request) => {
            let Ok(query) = item::list_query(request) else { return };
            let page = engine.list(tenant, ItemKind::Content, query).await;
            settle(page.map(item::wire_page));
        }
        Request::Update(request) => {
            let Ok((_id, update)) = item::update(request) else { return };
            settle(engine.update(tenant, kind, "id", update).await.map(item::wire_item));
        }
        Request::Get(request) => {
            let Ok(options) = item::get_options(request.offset, request.length, request.touch) else {
                return;
            };
            match engine.get(tenant, kind, "id", options).await {
                Ok((_stat, mut stream)) => {
                    while let Some(piece) = stream.next().await {
                        settle(piece);
                    }
                }
                Err(error) => settle(Err::<(), _>(error)),
            }
        }
        Request::Policy(policy) => {
            let Ok(policy) = admin::policy(&policy) else { return };
            settle(engine.set_policy(tenant, Some(policy)).await);
            settle(engine.explain(tenant, kind, "id").await);
        }
        Request::Migrate(request) => {
            let Ok(options) = admin::migrate_options(None, &request) else { return };
            let options = storage_core::report::MigrateOptions { dry_run: true, ..options };
            let (progress, mut reports) = mpsc::channel(64);
            let drained = async { while reports.recv().await.is_some() {} };
            let migrated = engine.migrate(options, progress, CancellationToken::new());
            let (migrated, ()) = tokio::join!(migrated, drained);
            settle(migrated);
        }
        Request::Sweep(request) => {
            let Ok(options) = admin::sweep_options(request) else { return };
            settle(engine.sweep(storage_core::report::SweepOptions { dry_run: true, ..options }).await);
        }
        Request::Stats(request) => {
            let Ok(Some(by)) = admin::stats_by(&request.by) else { return };
            settle(engine.stats_by(Some(tenant), by).await);
        }
    }
}
