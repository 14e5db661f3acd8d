//! Scrub, repair and rebuild-catalog through the built program: exit codes, lines of JSON, and that what is lost is named and
//! comes back.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;
use serde_json::json;

use crate::messages_of;
use crate::support::Sandbox;
use crate::support::stderr;

fn documents(output: &Output) -> Vec<Value> {
    serde_json::Deserializer::from_slice(&output.stdout).into_iter().collect::<Result<_, _>>().unwrap()
}

/// A store of two messages with one attachment, archived.
fn archived() -> Sandbox {
    let sandbox = Sandbox::new();
    let attachment: Vec<u8> =
        (0_u32..30_000).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
    for name in ["one", "two"] {
        let head = format!(
            "Subject: {name}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"cut\"\r\n\r\n--cut\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        let message = [head.as_bytes(), &attachment, b"\r\n--cut--\r\n"].concat();
        let _ = sandbox.write(&format!("mail/{name}.eml"), &message);
    }
    let _ = sandbox.document(&["import", "mail", "--source", "test"]);
    let _ = sandbox.document(&["migrate", "--to", "archive"]);
    let _ = sandbox.document(&["sweep", "--grace", "0"]);
    sandbox
}

fn largest_pack(sandbox: &Sandbox) -> PathBuf {
    let packs = fs::read_dir(sandbox.path("data/packs")).unwrap().map(|entry| entry.unwrap().path());
    packs.max_by_key(|path| path.metadata().unwrap().len()).unwrap()
}

#[test]
fn damage_is_listed_mended_where_it_can_be_and_comes_back_with_the_next_import() {
    let sandbox = archived();
    let summary = sandbox.document(&["scrub"]);
    assert_eq!(
        (&summary["findings"], &summary["items"], &summary["objects"]),
        (&json!(0), &json!(2), &json!(1))
    );
    let skipping = sandbox.document(&["scrub", "--older-than", "1d", "--rate", "100MB/s"]);
    assert!(skipping["packs_skipped"].as_u64().unwrap() > 0, "{skipping}");
    let pack = largest_pack(&sandbox);
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&pack, &bytes).unwrap();

    let output = sandbox.run(&["--format", "json", "scrub"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let lines = documents(&output);
    let kinds: Vec<&str> = lines.iter().filter_map(|line| line["kind"].as_str()).collect();
    assert_eq!(kinds, ["frame-damaged", "object-damaged"]);
    assert_eq!(lines[1]["needed_by"].as_array().unwrap().len(), 2);
    assert_eq!(lines.last().unwrap()["findings"], 2);
    let output = sandbox.run(&["scrub"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.code() == Some(1) && text.contains("object-damaged") && text.contains("needed by"),
        "{text}"
    );

    for (apply, arguments) in
        [(false, vec!["--format", "json", "repair"]), (true, vec!["--format", "json", "repair", "--apply"])]
    {
        let output = sandbox.run(&arguments);
        assert_eq!(output.status.code(), Some(1), "what is lost cannot be mended");
        let lines = documents(&output);
        let summary = lines.last().unwrap();
        assert_eq!((&summary["applied"], &summary["quarantined"]), (&json!(apply), &json!(1)));
        assert_eq!(summary["damaged_items"].as_array().unwrap().len(), 2);
    }
    let again = sandbox.document(&["import", "mail", "--source", "test"]);
    assert_eq!((&again["imported"], &again["already_there"]), (&json!(0), &json!(2)));
    let _ = sandbox.document(&["export", "out"]);
    assert_eq!(messages_of(&sandbox.path("out")), messages_of(&sandbox.path("mail")));
    // The damaged frame stays in its pack until that is compacted; it is told, and nothing is wrong any more.
    let output = sandbox.run(&["--format", "json", "scrub"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = documents(&output);
    assert_eq!(
        lines.iter().filter_map(|line| line["kind"].as_str()).collect::<Vec<_>>(),
        ["damage-unneeded"]
    );
    assert_eq!((&lines[1]["findings"], &lines[1]["unneeded"]), (&json!(1), &json!(1)));
    let _ = sandbox.document(&["compact", "--threshold", "1"]);
    let _ = sandbox.document(&["sweep", "--grace", "0s"]);
    assert_eq!(sandbox.document(&["scrub"])["findings"], 0);
}

#[test]
fn a_lost_catalog_is_made_again_from_the_packs() {
    let sandbox = archived();
    let before = sandbox.document(&["stats"]);
    let refused = sandbox.run(&["rebuild-catalog"]);
    assert_eq!(refused.status.code(), Some(1), "there is a catalog");
    fs::remove_file(sandbox.path("data/catalog.db")).unwrap();
    let refused = sandbox.run(&["stats"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("rebuild-catalog"), "{}", stderr(&refused));
    let report = sandbox.document(&["rebuild-catalog"]);
    assert_eq!((&report["items"], &report["objects"], &report["tenants"]), (&json!(2), &json!(1), &json!(1)));
    let after = sandbox.document(&["stats"]);
    for field in ["messages", "objects", "logical_bytes", "unique_bytes", "stored_bytes", "saved", "added"] {
        assert_eq!(before[field], after[field], "{field}");
    }
    let _ = sandbox.document(&["export", "out"]);
    assert_eq!(messages_of(&sandbox.path("out")), messages_of(&sandbox.path("mail")));
    assert_eq!(sandbox.document(&["scrub"])["findings"], 0);
    let again = sandbox.document(&["import", "mail", "--source", "test"]);
    assert_eq!(again["already_there"], 2);
    let no_directory = crate::run_in(&sandbox.path("."), &["rebuild-catalog"]);
    assert_eq!(no_directory.status.code(), Some(2), "it needs a directory");
}
