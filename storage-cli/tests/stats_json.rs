//! The JSON of `stats` is a contract: names, nesting and order are pinned.

use std::collections::HashMap;

use storage_cli::commands::stats::stats;
use storage_cli::commands::stats::sums;
use storage_server::proto;

fn answer() -> proto::StatsResponse {
    proto::StatsResponse {
        messages: 3,
        contents: 1,
        objects: 5,
        logical_bytes: 1000,
        unique_bytes: 700,
        stored_bytes: 420,
        catalog_bytes: 80,
        saved: Some(proto::Saved {
            transfer_decoding: 200,
            exact_dedup: 100,
            similar_dedup: 0,
            recoding: -1,
            compression: 311,
        }),
        added: Some(proto::Added { dictionaries: 7, records: 11, indexes: 5, copies: 4, dead: 3 }),
        ratio: 2.0,
        tiers: vec![proto::TierStats {
            tier: "hot".to_owned(),
            objects: 5,
            unique_bytes: 700,
            stored_bytes: 420,
            codecs: HashMap::from([("zstd".to_owned(), 20), ("none".to_owned(), 400)]),
            read_latency_ms: Some(proto::Latency { p50: 0.25, p99: 1.5 }),
        }],
        rows: Vec::new(),
    }
}

#[test]
fn the_shape_is_pinned() {
    let expected = concat!(
        r#"{"messages":3,"contents":1,"objects":5,"logical_bytes":1000,"unique_bytes":700,"stored_bytes":420,"#,
        r#""catalog_bytes":80,"saved":{"transfer_decoding":200,"exact_dedup":100,"similar_dedup":0,"recoding":-1,"#,
        r#""compression":311},"added":{"dictionaries":7,"records":11,"indexes":5,"copies":4,"dead":3},"ratio":2.0,"#,
        r#""tiers":[{"tier":"hot","objects":5,"unique_bytes":700,"stored_bytes":420,"codecs":{"none":400,"zstd":20},"#,
        r#""read_latency_ms":{"p50":0.25,"p99":1.5}}]}"#
    );
    assert_eq!(serde_json::to_string(&stats(answer())).unwrap(), expected);
}

#[test]
fn what_a_server_leaves_out_is_zero() {
    let stats = stats(proto::StatsResponse::default());
    let json: serde_json::Value = serde_json::to_value(&stats).unwrap();
    assert_eq!(json["saved"]["compression"], 0);
    assert_eq!(json["added"]["dead"], 0);
}

#[test]
fn the_table_tells_savings_with_a_minus() {
    let rows = sums(&stats(answer()));
    assert_eq!(rows[0], ["received", "1000 B"]);
    assert_eq!(rows[1], ["saved by transfer decoding", "-200 B"]);
    assert_eq!(rows[4], ["saved by recoding", "1 B"]);
    assert_eq!(rows[11], ["stored", "420 B"]);
}
