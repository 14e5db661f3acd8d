//! Whole messages.

use std::sync::Arc;

use futures::stream::BoxStream;
use storage_core::engine::Engine;
use storage_core::model::ItemKind;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;
use tonic::async_trait;

use crate::convert::failed;
use crate::convert::item;
use crate::gate::Gate;
use crate::ingest;
use crate::jobs::Jobs;
use crate::patience::Patience;
use crate::proto;
use crate::proto::message_service_server::MessageService;
use crate::services::items::Items;
use crate::services::reply;
use crate::tenant;

/// `storage.v1.MessageService`.
#[derive(Debug, Clone)]
pub(crate) struct Messages {
    items: Items,
    jobs: Jobs,
    gate: Arc<Gate>,
}

impl Messages {
    /// The service on `engine`.
    pub(crate) fn new(engine: Engine, jobs: Jobs, gate: Arc<Gate>, patience: Patience) -> Self {
        Self { items: Items { engine, kind: ItemKind::Message, patience }, jobs, gate }
    }
}

#[async_trait]
impl MessageService for Messages {
    async fn put_message(
        &self,
        request: Request<proto::PutMessageRequest>,
    ) -> Result<Response<proto::PutReceipt>, Status> {
        let tenant = tenant::required(request.metadata())?;
        let request = request.into_inner();
        self.items.put(&tenant, request.options, request.data).await
    }

    async fn put_message_stream(
        &self,
        request: Request<Streaming<proto::PutStreamRequest>>,
    ) -> Result<Response<proto::PutReceipt>, Status> {
        self.items.put_stream(request).await
    }

    type IngestMessagesStream = BoxStream<'static, Result<proto::IngestResponse, Status>>;

    async fn ingest_messages(
        &self,
        request: Request<Streaming<proto::IngestRequest>>,
    ) -> Result<Response<Self::IngestMessagesStream>, Status> {
        let tenant = tenant::required(request.metadata())?;
        let stop = self.jobs.stop().clone();
        let memory = self.gate.memory(self.gate.key(request.metadata().as_ref()));
        let from = (tenant, memory);
        Ok(Response::new(ingest::run(self.items.engine.clone(), from, request.into_inner(), stop)))
    }

    type GetMessageStream = BoxStream<'static, Result<proto::GetResponse, Status>>;

    async fn get_message(
        &self,
        request: Request<proto::GetRequest>,
    ) -> Result<Response<Self::GetMessageStream>, Status> {
        self.items.get(request).await
    }

    type GetPartStream = BoxStream<'static, Result<proto::GetPartResponse, Status>>;

    async fn get_part(
        &self,
        request: Request<proto::GetPartRequest>,
    ) -> Result<Response<Self::GetPartStream>, Status> {
        let tenant = tenant::required(request.metadata())?;
        let request = request.into_inner();
        let id = item::item_id(request.id)?;
        let options = item::get_options(request.offset, request.length, request.touch)?;
        let part = self.items.engine.get_part(&tenant, &id, request.part, options);
        let (stat, bytes) = part.await.map_err(failed("get part"))?;
        Ok(Response::new(reply::part(stat, bytes)))
    }

    async fn stat_message(
        &self,
        request: Request<proto::StatRequest>,
    ) -> Result<Response<proto::Item>, Status> {
        self.items.stat(request).await
    }

    async fn list_messages(
        &self,
        request: Request<proto::ListRequest>,
    ) -> Result<Response<proto::ListResponse>, Status> {
        self.items.list(request).await
    }

    async fn update_message(
        &self,
        request: Request<proto::UpdateRequest>,
    ) -> Result<Response<proto::Item>, Status> {
        self.items.update(request).await
    }

    async fn delete_message(
        &self,
        request: Request<proto::DeleteRequest>,
    ) -> Result<Response<proto::DeleteResponse>, Status> {
        self.items.delete(request).await
    }
}
