//! Metrics over HTTP: a scrape is well-formed, its numbers move, and no caller can put a label into it.

#![allow(
    unused_results,
    clippy::unwrap_used,
    dead_code,
    reason = "a test stops where it cannot go on, and looks at what it is about; the support is shared"
)]

mod support;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::SocketAddr;

use storage_server::metrics::endpoint;
use storage_server::proto;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use crate::support::TestServer;
use crate::support::message;
use crate::support::put;
use crate::support::read;

/// What a server on HTTP/1.1 answers.
async fn ask(address: SocketAddr, head: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{head} HTTP/1.1\r\nhost: metrics\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// Reads the text format strictly: every sample belongs to the family declared before it, and the end is told.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut families = BTreeSet::new();
    let mut family = (String::new(), String::new());
    assert!(text.ends_with("# EOF\n"), "{text}");
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            assert!(families.insert(name.to_owned()), "{name} comes twice");
            family = (name.to_owned(), kind.to_owned());
        }
        if line.starts_with('#') {
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let bare = name.split('{').next().unwrap();
        let suffix =
            bare.strip_prefix(family.0.as_str()).unwrap_or_else(|| panic!("{line} after {family:?}"));
        let allowed: &[&str] = match family.1.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_sum", "_count", "_bucket"],
            other => panic!("{other}"),
        };
        assert!(allowed.contains(&suffix), "{line} in a {}", family.1);
        assert!(name == bare || name.ends_with('}'), "{line}");
        assert!(samples.insert(name.to_owned(), value.parse().unwrap()).is_none(), "{name} comes twice");
    }
    samples
}

#[track_caller]
fn is(value: f64, wanted: f64) {
    assert!((value - wanted).abs() < 1e-9, "{value} is not {wanted}");
}

#[tokio::test]
async fn a_scrape_tells_what_was_done() {
    let server = TestServer::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving =
        endpoint::serve(listener, server.metrics.clone(), server.engine.clone(), server.shutdown.clone());
    let serving = tokio::spawn(serving);
    let (head, before) = ask(address, "GET /metrics").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("application/openmetrics-text"), "{head}");
    let before = samples(&before);

    let mut client = server.client().await;
    for number in 0..7 {
        client.messages.put_message(put(&format!("m-{number}"), message(number, 5_000))).await.unwrap();
    }
    client.messages.put_message(put("m-0", message(0, 5_000))).await.unwrap();
    let content = proto::PutContentRequest { options: None, data: message(50, 3_000) };
    client.contents.put_content(content).await.unwrap();
    read(&mut client, "m-3").await.unwrap();
    read(&mut client, "absent").await.unwrap_err();
    client.admin.sweep(proto::SweepRequest::default()).await.unwrap();
    drop(client);

    let (_, text) = ask(address, "GET /metrics").await;
    let after = samples(&text);
    let at = |name: &str| *after.get(name).unwrap_or_else(|| panic!("{name} is not in {text}"));
    let moved = |name: &str| at(name) - before.get(name).copied().unwrap_or(0.0);
    let method = |name: &str, code: &str| {
        moved(&format!(r#"storage_requests_total{{method="storage.v1.{name}",code="{code}"}}"#))
    };
    is(method("MessageService/PutMessage", "Ok"), 8.0);
    is(method("MessageService/GetMessage", "Ok"), 1.0);
    is(method("MessageService/GetMessage", "NotFound"), 1.0);
    let counted = r#"storage_request_seconds_count{method="storage.v1.MessageService/PutMessage"}"#;
    is(at(counted), 8.0);
    is(moved(r#"storage_puts_total{outcome="message"}"#), 7.0);
    is(moved(r#"storage_puts_total{outcome="content"}"#), 1.0);
    is(moved(r#"storage_puts_total{outcome="known"}"#), 1.0);
    is(moved(r#"storage_gets_total{tier="hot"}"#), 1.0);
    assert!(moved(r#"storage_get_bytes_total{tier="hot"}"#) >= 5_000.0);
    is(at(r#"storage_read_seconds_count{tier="hot"}"#), 1.0);
    is(at(r#"storage_read_seconds_bucket{le="+Inf",tier="hot"}"#), 1.0);
    assert!(moved("storage_log_groups_total") > 0.0);
    assert!(moved("storage_log_group_requests_total") >= moved("storage_log_groups_total"));
    is(at("storage_writable"), 1.0);
    is(at(r#"storage_job_done{kind="sweep"}"#), 1.0);
    assert!(at(r#"storage_job_succeeded_timestamp_seconds{kind="sweep"}"#) > 1.6e9);
    assert!(at(r#"storage_packs{tier="hot"}"#) >= 1.0);
    assert!(at(r#"storage_pack_bytes{tier="hot"}"#) > 30_000.0);
    for present in [
        "storage_requests_in_flight",
        "storage_receive_memory_bytes",
        "storage_put_memory_bytes",
        "storage_get_memory_bytes",
        "storage_connections",
        "storage_disk_free_bytes",
        "process_resident_memory_bytes",
        r#"storage_queue{queue="log"}"#,
        r#"storage_cache_bytes{cache="blocks"}"#,
        "storage_damaged_units_total",
    ] {
        assert!(after.contains_key(present), "{present} is not in {text}");
    }
    assert!(!text.contains("default"), "no tenant is named: {text}");

    assert!(ask(address, "GET /").await.0.starts_with("HTTP/1.1 404"));
    assert!(ask(address, "POST /metrics").await.0.starts_with("HTTP/1.1 405"));
    server.shutdown.cancel();
    serving.await.unwrap();
    server.stop().await;
}
