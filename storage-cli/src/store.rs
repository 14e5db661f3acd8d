//! The store a command talks to: a server, or an engine in this process behind the same service. Commands cannot tell
//! the two apart.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use storage_core::clock::SystemClock;
use storage_core::engine::Engine;
use storage_core::settings::Settings;
use storage_server::client;
use storage_server::client::Client;
use storage_server::proto;
use storage_server::proto::get_response::Frame;
use tokio_stream::Stream;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::args::KindFlag;
use crate::args::TENANT;
use crate::args::Target;
use crate::failure::Failure;
use crate::failure::Result;

/// An open connection to a store.
#[derive(Debug, Clone)]
pub struct Store {
    tenant: Client,
    all: Client,
    engine: Option<Engine>,
}

impl Store {
    /// Opens the store that the arguments name.
    pub async fn open(target: &Target) -> Result<Self> {
        let (channel, engine) = match &target.data_dir {
            Some(data_dir) => {
                let engine = open_engine(data_dir).await?;
                (client::in_process(engine.clone()), Some(engine))
            }
            None => (connect(&target.server).await?, None),
        };
        let named = target.tenant.as_deref();
        let clients = Client::new(channel.clone(), Some(named.unwrap_or(TENANT)))
            .and_then(|tenant| Ok((tenant, Client::new(channel, named)?)));
        match clients {
            Ok((tenant, all)) => Ok(Self { tenant, all, engine }),
            Err(status) => {
                if let Some(engine) = engine {
                    engine.close().await.map_err(|error| Failure::new(error.message()))?;
                }
                Err(Failure::Usage(status.message().to_owned()))
            }
        }
    }

    /// Makes everything durable and releases the data directory, where this process opened one.
    pub async fn close(self) -> Result<()> {
        let Self { tenant, all, engine } = self;
        drop((tenant, all));
        let Some(engine) = engine else { return Ok(()) };
        engine.close().await.map_err(|error| Failure::new(error.message()))
    }

    /// Clients for calls about one tenant: the one named, or `default`.
    pub fn tenant(&self) -> Client {
        self.tenant.clone()
    }

    /// Clients for admin calls about the tenant that was named, or about all of them.
    pub fn all(&self) -> Client {
        self.all.clone()
    }

    /// What is known about an item.
    pub async fn stat(&self, kind: KindFlag, id: &str) -> Result<proto::Item> {
        let request = proto::StatRequest { id: id.to_owned() };
        let answer = if kind.content {
            self.tenant().contents.stat_content(request).await
        } else {
            self.tenant().messages.stat_message(request).await
        };
        Ok(answer?.into_inner())
    }

    /// A page of items.
    pub async fn list(&self, kind: KindFlag, request: proto::ListRequest) -> Result<proto::ListResponse> {
        let answer = if kind.content {
            self.tenant().contents.list_content(request).await
        } else {
            self.tenant().messages.list_messages(request).await
        };
        Ok(answer?.into_inner())
    }

    /// Changes what is known about an item.
    pub async fn update(&self, kind: KindFlag, request: proto::UpdateRequest) -> Result<proto::Item> {
        let answer = if kind.content {
            self.tenant().contents.update_content(request).await
        } else {
            self.tenant().messages.update_message(request).await
        };
        Ok(answer?.into_inner())
    }

    /// Deletes an item.
    pub async fn delete(&self, kind: KindFlag, id: &str) -> Result<()> {
        let request = proto::DeleteRequest { id: id.to_owned() };
        let answer = if kind.content {
            self.tenant().contents.delete_content(request).await
        } else {
            self.tenant().messages.delete_message(request).await
        };
        let _ = answer?;
        Ok(())
    }

    /// Stores what `frames` carry.
    pub async fn put(
        &self,
        kind: KindFlag,
        frames: impl Stream<Item = proto::PutStreamRequest> + Send + 'static,
    ) -> Result<proto::PutReceipt> {
        let request = frames;
        let answer = if kind.content {
            self.tenant().contents.put_content_stream(request).await
        } else {
            self.tenant().messages.put_message_stream(request).await
        };
        Ok(answer?.into_inner())
    }

    /// Begins to read an item: what it is, and its bytes.
    pub async fn get(&self, kind: KindFlag, request: proto::GetRequest) -> Result<(proto::Item, ItemBytes)> {
        let answer = if kind.content {
            self.tenant().contents.get_content(request).await
        } else {
            self.tenant().messages.get_message(request).await
        };
        let mut frames = answer?.into_inner();
        match frames.message().await?.and_then(|answer| answer.frame) {
            Some(Frame::Item(item)) => Ok((item, ItemBytes { frames })),
            _ => Err(unexpected()),
        }
    }
}

/// The bytes of an item, in order.
#[derive(Debug)]
pub struct ItemBytes {
    frames: Streaming<proto::GetResponse>,
}

impl ItemBytes {
    /// The next bytes; none at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        match self.frames.message().await? {
            None => Ok(None),
            Some(proto::GetResponse { frame: Some(Frame::Data(data)) }) => Ok(Some(data)),
            Some(_) => Err(unexpected()),
        }
    }
}

/// The failure of a server that does not keep to the protocol.
pub fn unexpected() -> Failure {
    Failure::new("The server sent an answer of another kind than asked for; is it another version?")
}

async fn open_engine(data_dir: &Path) -> Result<Engine> {
    Engine::open(Settings::new(data_dir), Arc::new(SystemClock))
        .await
        .map_err(|error| Failure::new(format!("{}: {}", data_dir.display(), error.message())))
}

async fn connect(url: &str) -> Result<Channel> {
    client::connect(url).await.map_err(|error| {
        Failure::new(format!(
            "{error} Start one with storage-server, or work on a store without a server: --data-dir DIR."
        ))
    })
}
