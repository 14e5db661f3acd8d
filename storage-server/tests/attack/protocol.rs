//! Bytes that are not what the protocol asks for.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use storage_fixtures::rng::Rng;
use storage_server::patience::Patience;
use storage_server::server::Settings;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tonic::Code;

use crate::Attacked;
use crate::raw::Raw;
use crate::raw::ended;
use crate::raw::framed;
use crate::requests::all_paths;
use crate::requests::mutated;
use crate::requests::valid;

/// Mutations of each call's request.
const MUTATIONS: usize = 25;

#[tokio::test]
async fn whatever_a_request_holds_it_is_answered() {
    let attacked = Attacked::start(Settings::default()).await;
    let mut rng = Rng::new(7);
    let paths = all_paths();
    assert!(paths.len() > 25, "the calls were found: {paths:?}");
    let mut raw = Raw::connect(attacked.server.address).await;
    for path in &paths {
        let body = valid(path);
        // The valid ones are really understood.
        let code = raw.call(path, body.clone().into()).await;
        let fine = [Code::Ok, Code::NotFound, Code::Unimplemented, Code::FailedPrecondition];
        assert!(fine.contains(&code), "{path}: {code:?}");
        let mut bodies = vec![
            Vec::new(),
            vec![0],
            framed(&[0xff; 40]),
            framed(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
            vec![1, 0, 0, 0, 1, 7],
            vec![9, 0, 0, 0, 0],
            vec![0, 0xff, 0xff, 0xff, 0xff, 1],
            [body.as_slice(), &[0, 0, 0]].concat(),
        ];
        bodies.extend((0..MUTATIONS).map(|_| mutated(&body, &mut rng)));
        for body in bodies {
            let code = raw.call(path, Bytes::from(body.clone())).await;
            assert!(
                ![Code::Unavailable, Code::DataLoss, Code::DeadlineExceeded].contains(&code),
                "{path} {body:?}: {code:?}"
            );
        }
    }
    let code = raw.call("/storage.v1.MessageService/GetMessage", framed(&[0x0a, 0xff]).into()).await;
    assert_eq!(code, Code::InvalidArgument, "the caller is at fault, not the server");
    drop(raw);
    attacked.ends_well().await;
}

#[tokio::test]
async fn headers_and_messages_above_their_bounds_are_refused() {
    let patience = Patience { message: Duration::from_millis(200), ..Patience::default() };
    let attacked = Attacked::start(Settings { patience, ..Settings::default() }).await;
    let path = "/storage.v1.MessageService/StatMessage";
    for bytes in [20 << 10, 200 << 10] {
        let mut raw = Raw::connect(attacked.server.address).await;
        let mut headers = HeaderMap::new();
        headers.insert("x-long", HeaderValue::from_bytes(&vec![b'x'; bytes]).unwrap());
        // Refused by the client's own library, which was told the bound, or by the server.
        if let Ok((response, _body)) = raw.open_with(path, headers).await {
            assert_ne!(ended(response).await, Code::Ok);
        }
    }
    let mut raw = Raw::connect(attacked.server.address).await;
    let path = "/storage.v1.MessageService/PutMessage";
    for length in [[0, 0x40, 0xff, 0xff], [0x7f, 0xff, 0xff, 0xff]] {
        let (response, mut send) = raw.open(path).await;
        send.send_data(Bytes::from([&[0][..], &length].concat()), false).unwrap();
        let code = ended(response).await;
        // Above the bound the length alone is enough; below it the rest is waited for.
        let wanted = if length[0] == 0 { Code::DeadlineExceeded } else { Code::ResourceExhausted };
        assert_eq!(code, wanted);
        drop(send);
        break_off(&mut raw).await;
    }
    drop(raw);
    attacked.ends_well().await;
}

/// Another call on the same connection still works.
async fn break_off(raw: &mut Raw) {
    let path = "/storage.v1.MessageService/StatMessage";
    assert_eq!(raw.call(path, valid(path).into()).await, Code::Ok);
}

#[tokio::test]
async fn what_is_not_http2_is_closed() {
    let attacked = Attacked::start(Settings::default()).await;
    for sent in [
        &b"GET / HTTP/1.1\r\nhost: server\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot frames at all, but enough of them to be looked at",
        // A HEADERS frame on stream 0.
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x05\0\0\0\0\x82",
        &[0xff; 200],
    ] {
        let mut stream = TcpStream::connect(attacked.server.address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let mut answer = Vec::new();
        // It ends, cleanly or with a reset; it does not hang.
        drop(stream.read_to_end(&mut answer).await);
    }
    attacked.ends_well().await;
}
