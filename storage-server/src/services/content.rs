//! Single bodies and attachments.

use futures::stream::BoxStream;
use storage_core::engine::Engine;
use storage_core::model::ItemKind;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;
use tonic::async_trait;

use crate::convert::failed;
use crate::convert::similar;
use crate::patience::Patience;
use crate::proto;
use crate::proto::content_service_server::ContentService;
use crate::services::items::Items;
use crate::tenant;

/// `storage.v1.ContentService`.
#[derive(Debug, Clone)]
pub(crate) struct Contents {
    items: Items,
}

impl Contents {
    /// The service on `engine`.
    pub(crate) fn new(engine: Engine, patience: Patience) -> Self {
        Self { items: Items { engine, kind: ItemKind::Content, patience } }
    }
}

#[async_trait]
impl ContentService for Contents {
    async fn put_content(
        &self,
        request: Request<proto::PutContentRequest>,
    ) -> Result<Response<proto::PutReceipt>, Status> {
        let tenant = tenant::required(request.metadata())?;
        let request = request.into_inner();
        self.items.put(&tenant, request.options, request.data).await
    }

    async fn put_content_stream(
        &self,
        request: Request<Streaming<proto::PutStreamRequest>>,
    ) -> Result<Response<proto::PutReceipt>, Status> {
        self.items.put_stream(request).await
    }

    type GetContentStream = BoxStream<'static, Result<proto::GetResponse, Status>>;

    async fn get_content(
        &self,
        request: Request<proto::GetRequest>,
    ) -> Result<Response<Self::GetContentStream>, Status> {
        self.items.get(request).await
    }

    async fn stat_content(
        &self,
        request: Request<proto::StatRequest>,
    ) -> Result<Response<proto::Item>, Status> {
        self.items.stat(request).await
    }

    async fn list_content(
        &self,
        request: Request<proto::ListRequest>,
    ) -> Result<Response<proto::ListResponse>, Status> {
        self.items.list(request).await
    }

    async fn update_content(
        &self,
        request: Request<proto::UpdateRequest>,
    ) -> Result<Response<proto::Item>, Status> {
        self.items.update(request).await
    }

    async fn delete_content(
        &self,
        request: Request<proto::DeleteRequest>,
    ) -> Result<Response<proto::DeleteResponse>, Status> {
        self.items.delete(request).await
    }

    async fn find_similar(
        &self,
        request: Request<proto::FindSimilarRequest>,
    ) -> Result<Response<proto::FindSimilarResponse>, Status> {
        let tenant = tenant::required(request.metadata())?;
        let request = request.into_inner();
        let kind = if request.message { ItemKind::Message } else { ItemKind::Content };
        let options = similar::options(&request);
        let found = self.items.engine.find_similar(&tenant, kind, &request.id, options).await;
        let found = found.map_err(failed("find similar"))?;
        let similar = found.iter().map(similar::wire_similar).collect();
        Ok(Response::new(proto::FindSimilarResponse { similar }))
    }
}
