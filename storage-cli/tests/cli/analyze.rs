//! `analyze` from outside: it keeps nothing, adds up, and measures what it says it measures.

use std::fs;
use std::io::Write;

use serde_json::Value;

use crate::support::Sandbox;
use crate::support::run_in;
use crate::support::stderr;

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("{key} of {value}"))
}

/// Forty replies that quote each other, each with the same attachment.
fn write_thread(sandbox: &Sandbox) -> u64 {
    let attachment = "QUJD".repeat(19).as_str().to_owned() + "\r\n";
    let mut total = 0;
    for reply in 0..40 {
        let lines = (0..30).map(|line| format!("> line {line} of what {} people said", reply + line));
        let text = lines.collect::<Vec<_>>().join("\r\n");
        let mail = format!(
            "From: a{reply}@example.org\r\nSubject: Re: thread\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; \
             boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n{text}\r\n--b\r\nContent-Type: \
             application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--b--\r\n",
            attachment.repeat(100)
        );
        total += mail.len() as u64;
        let _ = sandbox.write(&format!("mail/{reply}.eml"), mail.as_bytes());
    }
    total
}

#[test]
fn analyze_measures_every_tier_and_keeps_nothing() {
    let sandbox = Sandbox::new();
    let bytes = write_thread(&sandbox);
    let _ = sandbox.write("mail/notes.txt", b"no mail");
    fs::create_dir(sandbox.path("scratch")).unwrap();
    let found = sandbox.document(&["analyze", "mail", "--compare", "--scratch", "scratch"]);

    assert_eq!((number(&found, "messages"), number(&found, "logical_bytes")), (40, bytes));
    assert_eq!((number(&found, "failed"), number(&found, "skipped")), (0, 1));
    let tiers = found["tiers"].as_array().unwrap();
    assert_eq!(
        tiers.iter().map(|tier| &tier["tier"]).collect::<Vec<_>>(),
        ["hot", "warm", "cold", "archive"]
    );
    let stored: Vec<u64> = tiers.iter().map(|tier| number(&tier["stats"], "stored_bytes")).collect();
    assert!(stored.is_sorted_by(|before, after| before > after), "{stored:?}");
    for tier in tiers {
        let stats = &tier["stats"];
        // What the classes have, and everything that belongs to no class, is what is stored.
        let media: u64 =
            tier["media"].as_array().unwrap().iter().map(|row| number(row, "stored_bytes")).sum();
        let unique: u64 =
            tier["media"].as_array().unwrap().iter().map(|row| number(row, "unique_bytes")).sum();
        assert_eq!(unique, number(stats, "unique_bytes"));
        let others = number(&stats["added"], "dictionaries") + number(&stats["added"], "indexes");
        let records = number(stats, "stored_bytes") - media - others;
        assert!(records < 1_000, "{records} bytes of tombstones, policies and tenants: {tier}");
    }
    let ways = found["compared"].as_array().unwrap();
    let of = |way: &str| {
        number(ways.iter().find(|row| row["way"].as_str().unwrap().starts_with(way)).unwrap(), "bytes")
    };
    assert!(of("zstd -19 --long") < of("zstd -19, each"), "{ways:?}");
    assert!(of("zstd -19, each") <= of("zstd -3, each"), "{ways:?}");
    let mut gzip = 0;
    for reply in 0..40 {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        encoder.write_all(&fs::read(sandbox.path(&format!("mail/{reply}.eml"))).unwrap()).unwrap();
        gzip += encoder.finish().unwrap().len() as u64;
    }
    assert_eq!(of("gzip -6"), gzip);

    assert_eq!(fs::read_dir(sandbox.path("scratch")).unwrap().count(), 0, "nothing is kept");
    assert!(!sandbox.path("data").exists(), "no store is opened");
}

#[test]
fn analyze_says_what_it_cannot_do() {
    let sandbox = Sandbox::new();
    let dir = sandbox.path("");
    let missing = run_in(&dir, &["analyze", "nowhere"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("nowhere"), "{}", stderr(&missing));
    let _ = sandbox.write("mail/notes.txt", b"no mail");
    let none = run_in(&dir, &["analyze", "mail"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).contains("No mail was found"), "{}", stderr(&none));
    let _ = sandbox.write("mail/a.eml", b"Subject: a\n\nb");
    let nowhere = run_in(&dir, &["analyze", "mail", "--scratch", "missing"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(stderr(&nowhere).contains("missing"), "{}", stderr(&nowhere));
}

#[test]
fn what_is_not_mail_and_what_is_add_up_to_what_is_stored() {
    let sandbox = Sandbox::new();
    let _ = write_thread(&sandbox);
    let _ = sandbox.document(&["import", "mail"]);
    let _ = sandbox.document(&["migrate", "--to", "archive"]);
    let rows = sandbox.json(&["stats", "--by", "overhead"]);
    let of = |key: &str| {
        let row = rows.iter().find(|row| row["key"] == key).unwrap_or_else(|| panic!("no {key} in {rows:?}"));
        number(row, "stored_bytes")
    };
    let stats = sandbox.document(&["stats"]);
    let all: u64 = rows.iter().map(|row| number(row, "stored_bytes")).sum();
    assert_eq!(all, number(&stats, "stored_bytes") + number(&stats, "catalog_bytes"));
    assert_eq!(of("catalog"), number(&stats, "catalog_bytes"));
    let codecs: u64 =
        sandbox.json(&["stats", "--by", "codec"]).iter().map(|row| number(row, "stored_bytes")).sum();
    assert_eq!(of("streams"), codecs);
    assert_eq!(of("pack headers and indexes"), number(&stats["added"], "indexes"));
}
