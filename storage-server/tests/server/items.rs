//! Messages and contents: put, get, ranges, parts, lists, updates, tenants.

use bytes::Bytes;
use storage_server::client::Client;
use storage_server::proto;
use tonic::Code;

use crate::support::TestServer;
use crate::support::collect;
use crate::support::get;
use crate::support::message;
use crate::support::options;
use crate::support::put;
use crate::support::read;

#[tokio::test]
async fn what_is_put_comes_back() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    for (seed, bytes) in [(1, 1), (2, 70_000), (3, 3 << 20)] {
        let sent = message(seed, bytes);
        let receipt = client.messages.put_message(put("", sent.clone())).await.unwrap().into_inner();
        assert!(receipt.created);
        assert_eq!(receipt.bytes, sent.len() as u64);
        let (item, received) =
            collect(client.messages.get_message(get(&receipt.id)).await.unwrap().into_inner()).await.unwrap();
        assert_eq!(item.id, receipt.id);
        assert_eq!(item.sha256, receipt.sha256);
        assert!(received == sent, "{bytes} bytes came back differently");
    }
    server.stop().await;
}

#[tokio::test]
async fn ranges_are_cut_to_the_item() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let sent = message(1, 200_000);
    client.messages.put_message(put("r", sent.clone())).await.unwrap();
    let length = sent.len() as u64;
    for (offset, wanted) in
        [(0, None), (5, Some(0)), (7, Some(100_000)), (length - 1, None), (100, Some(u64::MAX - 100))]
    {
        let request = proto::GetRequest { id: "r".into(), offset, length: wanted, touch: Some(false) };
        let (_, received) =
            collect(client.messages.get_message(request).await.unwrap().into_inner()).await.unwrap();
        let until = wanted.map_or(length, |wanted| length.min(offset + wanted));
        assert!(
            received == sent[usize::try_from(offset).unwrap()..usize::try_from(until).unwrap()],
            "{offset} {wanted:?}"
        );
    }
    for (offset, wanted) in [(length + 1, None), (1, Some(u64::MAX))] {
        let request = proto::GetRequest { id: "r".into(), offset, length: wanted, touch: None };
        let status = match client.messages.get_message(request).await {
            Ok(answer) => collect(answer.into_inner()).await.unwrap_err(),
            Err(status) => status,
        };
        assert_eq!(status.code(), Code::InvalidArgument);
    }
    server.stop().await;
}

#[tokio::test]
async fn parts_are_read_decoded() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    client.messages.put_message(put("p", message(1, 50_000))).await.unwrap();
    let stat =
        client.messages.stat_message(proto::StatRequest { id: "p".into() }).await.unwrap().into_inner();
    let part = stat.parts.first().expect("a message with a body has a part");
    let request = proto::GetPartRequest { id: "p".into(), part: part.index, ..Default::default() };
    let mut answer = client.messages.get_part(request).await.unwrap().into_inner();
    let mut bytes = 0;
    while let Some(frame) = answer.message().await.unwrap() {
        match frame.frame.unwrap() {
            proto::get_part_response::Frame::Part(first) => assert_eq!(&first, part),
            proto::get_part_response::Frame::Data(data) => bytes += data.len() as u64,
        }
    }
    assert_eq!(bytes, part.decoded_bytes);
    server.stop().await;
}

#[tokio::test]
async fn an_id_stands_for_the_same_bytes() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let first = client.messages.put_message(put("x", message(1, 100))).await.unwrap().into_inner();
    let again = client.messages.put_message(put("x", message(1, 100))).await.unwrap().into_inner();
    assert_eq!((again.id, again.created), (first.id, false));
    let other = client.messages.put_message(put("x", message(2, 100))).await.unwrap_err();
    assert_eq!(other.code(), Code::AlreadyExists);
    // Contents have ids of their own.
    let content =
        proto::PutContentRequest { options: Some(options("x")), data: Bytes::from_static(b"content") };
    assert!(client.contents.put_content(content).await.unwrap().into_inner().created);

    client.messages.delete_message(proto::DeleteRequest { id: "x".into() }).await.unwrap();
    assert_eq!(read(&mut client, "x").await.unwrap_err().code(), Code::NotFound);
    let late = client.messages.put_message(put("x", message(1, 100))).await.unwrap_err();
    assert_eq!(late.code(), Code::FailedPrecondition);
    server.stop().await;
}

#[tokio::test]
async fn updates_show_and_a_hold_holds() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    client.messages.put_message(put("u", message(1, 100))).await.unwrap();
    let change = proto::UpdateRequest {
        id: "u".into(),
        hold: Some(true),
        pin: Some(proto::Tier::Hot.into()),
        set_labels: [("team".to_owned(), "legal".to_owned())].into(),
        ..Default::default()
    };
    let item = client.messages.update_message(change).await.unwrap().into_inner();
    assert!(item.hold);
    assert_eq!((item.pin(), item.labels["team"].as_str()), (proto::Tier::Hot, "legal"));
    let delete = proto::DeleteRequest { id: "u".into() };
    assert_eq!(
        client.messages.delete_message(delete.clone()).await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    let change = proto::UpdateRequest {
        id: "u".into(),
        hold: Some(false),
        pin: Some(proto::Tier::Unspecified.into()),
        remove_labels: vec!["team".into()],
        ..Default::default()
    };
    let item = client.messages.update_message(change).await.unwrap().into_inner();
    assert_eq!((item.hold, item.pin(), item.labels.len()), (false, proto::Tier::Unspecified, 0));
    client.messages.delete_message(delete).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn lists_come_in_pages() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let mut stored = Vec::new();
    for seed in 0..25 {
        stored.push(client.messages.put_message(put("", message(seed, 100))).await.unwrap().into_inner().id);
    }
    let mut listed = Vec::new();
    let mut token = String::new();
    loop {
        let request = proto::ListRequest { page_size: 10, page_token: token, ..Default::default() };
        let page = client.messages.list_messages(request).await.unwrap().into_inner();
        assert!(page.items.len() <= 10);
        listed.extend(page.items.into_iter().map(|item| item.id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    listed.sort();
    stored.sort();
    assert_eq!(listed, stored);
    server.stop().await;
}

#[tokio::test]
async fn tenants_are_named_known_and_apart() {
    let server = TestServer::start().await;
    let mut nobody = Client::new(server.channel().await, None).unwrap();
    let status = nobody.messages.put_message(put("t", message(1, 100))).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("tenant-id"));

    let mut acme = Client::new(server.channel().await, Some("acme")).unwrap();
    assert_eq!(
        acme.messages.put_message(put("t", message(1, 100))).await.unwrap_err().code(),
        Code::NotFound
    );
    let tenants = acme
        .admin
        .tenants(proto::TenantsRequest { create: "acme".into() })
        .await
        .unwrap()
        .into_inner()
        .tenants;
    assert!(
        tenants.iter().any(|tenant| tenant.name == "acme")
            && tenants.iter().any(|tenant| tenant.name == "default")
    );
    acme.messages.put_message(put("t", message(1, 100))).await.unwrap();

    let mut client = server.client().await;
    assert_eq!(read(&mut client, "t").await.unwrap_err().code(), Code::NotFound);
    // Without a tenant, admin calls mean all.
    assert_eq!(nobody.admin.stats(proto::StatsRequest::default()).await.unwrap().into_inner().messages, 1);
    server.stop().await;
}

#[tokio::test]
async fn contents_work_like_messages() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let sent = message(5, 300_000);
    let put = proto::PutContentRequest {
        options: Some(proto::PutOptions {
            media_type: "text/plain".into(),
            file_name: "a.txt".into(),
            ..options("c")
        }),
        data: sent.clone(),
    };
    client.contents.put_content(put).await.unwrap();
    let (item, received) =
        collect(client.contents.get_content(get("c")).await.unwrap().into_inner()).await.unwrap();
    assert_eq!((item.media_type.as_str(), item.file_name.as_str()), ("text/plain", "a.txt"));
    assert!(received == sent);
    let stat =
        client.contents.stat_content(proto::StatRequest { id: "c".into() }).await.unwrap().into_inner();
    assert_eq!(stat.bytes, sent.len() as u64);
    assert_eq!(
        client.contents.list_content(proto::ListRequest::default()).await.unwrap().into_inner().items.len(),
        1
    );
    client.contents.delete_content(proto::DeleteRequest { id: "c".into() }).await.unwrap();
    assert_eq!(client.contents.get_content(get("c")).await.unwrap_err().code(), Code::NotFound);
    server.stop().await;
}
