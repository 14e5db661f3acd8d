//! What messages and contents have in common. It knows the kind of item it serves, and nothing of its inside.

use bytes::Bytes;
use futures::stream::BoxStream;
use storage_core::engine::Engine;
use storage_core::engine::PutStream;
use storage_core::model::ItemKind;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;

use crate::convert::failed;
use crate::convert::item;
use crate::limits;
use crate::pace::Pace;
use crate::patience::Patience;
use crate::proto;
use crate::proto::put_stream_request::Frame;
use crate::services::reply;
use crate::tenant;

/// The items of one kind.
#[derive(Debug, Clone)]
pub(super) struct Items {
    pub(super) engine: Engine,
    pub(super) kind: ItemKind,
    pub(super) patience: Patience,
}

impl Items {
    pub(super) async fn put(
        &self,
        tenant: &str,
        options: Option<proto::PutOptions>,
        data: Bytes,
    ) -> Result<Response<proto::PutReceipt>, Status> {
        if data.len() > limits::PUT_BYTES_MAX {
            return Err(too_large());
        }
        let options = item::put_options(options.unwrap_or_default())?;
        let receipt = self.engine.put(tenant, self.kind, options, data).await.map_err(failed("put"))?;
        Ok(Response::new(item::wire_receipt(&receipt)))
    }

    pub(super) async fn put_stream(
        &self,
        request: Request<Streaming<proto::PutStreamRequest>>,
    ) -> Result<Response<proto::PutReceipt>, Status> {
        let tenant = tenant::required(request.metadata())?;
        let mut frames = request.into_inner();
        let mut pace = Pace::new(self.patience);
        let Frame::Begin(options) = next_frame(&mut frames, &mut pace, || false).await? else {
            return Err(Status::invalid_argument("The first frame of a put is `begin`."));
        };
        let options = item::put_options(options)?;
        let mut put =
            self.engine.begin_put(&tenant, self.kind, options).await.map_err(failed("begin put"))?;
        loop {
            let in_the_way = || put.holds_memory() && self.engine.load().puts_waiting > 0;
            match next_frame(&mut frames, &mut pace, in_the_way).await? {
                Frame::Data(data) => {
                    pace.brought(data.len());
                    push(&mut put, data).await?;
                }
                Frame::End(end) => {
                    push(&mut put, end.data).await?;
                    let receipt = put.finish().await.map_err(failed("finish put"))?;
                    return Ok(Response::new(item::wire_receipt(&receipt)));
                }
                Frame::Begin(_) => {
                    return Err(Status::invalid_argument(
                        "A put has one `begin`; open another stream for the next item.",
                    ));
                }
            }
        }
    }

    pub(super) async fn get(
        &self,
        request: Request<proto::GetRequest>,
    ) -> Result<Response<BoxStream<'static, Result<proto::GetResponse, Status>>>, Status> {
        let tenant = tenant::required(request.metadata())?;
        let request = request.into_inner();
        let id = item::item_id(request.id)?;
        let options = item::get_options(request.offset, request.length, request.touch)?;
        let (stat, bytes) = self.engine.get(&tenant, self.kind, &id, options).await.map_err(failed("get"))?;
        Ok(Response::new(reply::item(stat, bytes)))
    }

    pub(super) async fn stat(
        &self,
        request: Request<proto::StatRequest>,
    ) -> Result<Response<proto::Item>, Status> {
        let tenant = tenant::required(request.metadata())?;
        let id = item::item_id(request.into_inner().id)?;
        let stat = self.engine.stat(&tenant, self.kind, &id).await.map_err(failed("stat"))?;
        Ok(Response::new(item::wire_item(stat)))
    }

    pub(super) async fn list(
        &self,
        request: Request<proto::ListRequest>,
    ) -> Result<Response<proto::ListResponse>, Status> {
        let tenant = tenant::required(request.metadata())?;
        let query = item::list_query(request.into_inner())?;
        let page = self.engine.list(&tenant, self.kind, query).await.map_err(failed("list"))?;
        Ok(Response::new(item::wire_page(page)))
    }

    pub(super) async fn update(
        &self,
        request: Request<proto::UpdateRequest>,
    ) -> Result<Response<proto::Item>, Status> {
        let tenant = tenant::required(request.metadata())?;
        let (id, update) = item::update(request.into_inner())?;
        let stat = self.engine.update(&tenant, self.kind, &id, update).await.map_err(failed("update"))?;
        Ok(Response::new(item::wire_item(stat)))
    }

    pub(super) async fn delete(
        &self,
        request: Request<proto::DeleteRequest>,
    ) -> Result<Response<proto::DeleteResponse>, Status> {
        let tenant = tenant::required(request.metadata())?;
        let id = item::item_id(request.into_inner().id)?;
        self.engine.delete(&tenant, self.kind, &id).await.map_err(failed("delete"))?;
        Ok(Response::new(proto::DeleteResponse {}))
    }
}

async fn push(put: &mut PutStream, data: Bytes) -> Result<(), Status> {
    if data.is_empty() { Ok(()) } else { put.push(data).await.map_err(failed("put")) }
}

/// The next frame. The end of the stream is an error: a put is complete with `end` only, because an upload that was
/// cancelled ends its stream like one that is complete.
async fn next_frame(
    frames: &mut Streaming<proto::PutStreamRequest>,
    pace: &mut Pace,
    in_the_way: impl Fn() -> bool,
) -> Result<Frame, Status> {
    match pace.next(frames, in_the_way).await?.transpose()? {
        Some(proto::PutStreamRequest { frame: Some(frame) }) => Ok(frame),
        Some(proto::PutStreamRequest { frame: None }) => {
            Err(Status::invalid_argument("A frame is `begin`, `data` or `end`; this one is empty."))
        }
        None => {
            Err(Status::invalid_argument("The stream stopped before its `end` frame; nothing was stored."))
        }
    }
}

fn too_large() -> Status {
    Status::resource_exhausted(limits::TOO_LARGE)
}
