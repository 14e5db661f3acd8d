//! The built program from end to end, on a data directory of its own.

#![expect(clippy::unwrap_used, reason = "a test that panics is a test that failed")]

mod analyze;
mod erase;
mod inspect;
mod integrity;
mod server;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use serde_json::json;
use storage_fixtures::rng::Rng;
use support::Sandbox;
use support::program;
use support::run_in;
use support::stderr;

const MBOX: &[u8] = b"From a@b.example Thu Jan  1 00:00:00 1970\nSubject: one\n\n>From the start\nbody\n\n\
    From c@d.example Thu Jan  1 00:00:01 1970\nSubject: two\n\nbody\n\n";

fn messages_of(dir: &Path) -> BTreeSet<Vec<u8>> {
    let entries: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(
        entries.iter().all(|path| path.extension().is_some_and(|extension| extension == "eml")),
        "{entries:?}"
    );
    entries.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn counts(imported: u64, already_there: u64, skipped: u64) -> Value {
    json!({ "imported": imported, "already_there": already_there, "failed": 0, "skipped": skipped })
}

fn without_bytes(mut report: Value) -> Value {
    let _ = report.as_object_mut().unwrap().remove("bytes").unwrap();
    report
}

#[test]
fn what_is_imported_is_exported_and_importing_again_changes_nothing() {
    let sandbox = Sandbox::new();
    let large: Vec<u8> = b"Subject: large\r\n\r\n"
        .iter()
        .copied()
        .chain((0..3 << 20).map(|n| b"abcdefghijklmnopqrstuvw"[n % 23]))
        .collect();
    let _ = sandbox.write("mail/a.eml", b"Subject: a\r\n\r\nno final newline");
    let _ = sandbox.write("mail/sub/copy.eml", b"Subject: a\r\n\r\nno final newline");
    let _ = sandbox.write("mail/large.eml", &large);
    let _ = sandbox.write("mail/Inbox/cur/1.host:2,S", b"From x@y Thu\nSubject: looks like an mbox\n\n");
    let _ = sandbox.write("mail/Inbox/new/2.host", b"");
    let _ = sandbox.write("mail/Inbox/tmp/3.host", b"Subject: not delivered\n\n");
    let _ = sandbox.write("mail/notes.txt", b"no mail");
    let _ = sandbox.write("list", MBOX);

    let import = ["import", "mail", "list", "--manifest", "manifest"];
    assert_eq!(without_bytes(sandbox.document(&import)), counts(7, 0, 2));
    assert_eq!(without_bytes(sandbox.document(&import)), counts(0, 7, 2));
    assert_eq!(sandbox.document(&["stats"])["messages"], 7);

    let manifest = fs::read_to_string(sandbox.path("manifest")).unwrap();
    let lines: Vec<Value> = manifest.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sources: BTreeSet<&str> = lines.iter().map(|line| line["source"].as_str().unwrap()).collect();
    assert_eq!(lines.len(), 7);
    assert!(sources.contains("list#1") && sources.contains("mail/Inbox/cur/1.host:2,S"), "{sources:?}");

    let report = sandbox.document(&["export", "out"]);
    assert_eq!((&report["exported"], &report["already_there"]), (&json!(7), &json!(0)));
    let expected: BTreeSet<Vec<u8>> = [
        b"Subject: a\r\n\r\nno final newline".to_vec(),
        large,
        b"From x@y Thu\nSubject: looks like an mbox\n\n".to_vec(),
        b"".to_vec(),
        b"Subject: one\n\nFrom the start\nbody\n".to_vec(),
        b"Subject: two\n\nbody\n".to_vec(),
    ]
    .into();
    assert_eq!(messages_of(&sandbox.path("out")), expected);
    for line in &lines {
        let bytes =
            fs::read(sandbox.path("out").join(format!("{}.eml", line["id"].as_str().unwrap()))).unwrap();
        assert_eq!(line["bytes"], bytes.len());
    }

    let damaged = sandbox.path("out").join(format!("{}.eml", lines[0]["id"].as_str().unwrap()));
    fs::write(damaged, b"half").unwrap();
    let report = sandbox.document(&["export", "out"]);
    assert_eq!((&report["exported"], &report["already_there"]), (&json!(1), &json!(6)));
    assert_eq!(messages_of(&sandbox.path("out")), expected);
}

#[test]
fn an_exported_mbox_imports_as_the_same_messages() {
    let sandbox = Sandbox::new();
    let _ = sandbox.write("list", MBOX);
    assert_eq!(without_bytes(sandbox.document(&["import", "list"])), counts(2, 0, 0));
    assert_eq!(sandbox.document(&["export", "--mbox", "again"])["exported"], 2);
    let again = fs::read_to_string(sandbox.path("again")).unwrap();
    assert!(again.contains("\n>From the start\n"), "{again}");
    assert_eq!(without_bytes(sandbox.document(&["import", "again", "--source", "second"])), counts(2, 0, 0));
    let items = sandbox.json(&["list"]);
    let hashes: BTreeSet<&str> = items.iter().map(|item| item["sha256"].as_str().unwrap()).collect();
    assert_eq!((items.len(), hashes.len()), (4, 2));
}

#[test]
fn a_source_name_outlives_a_move() {
    let sandbox = Sandbox::new();
    let _ = sandbox.write("old/x/a.eml", b"Subject: a\n\n");
    assert_eq!(without_bytes(sandbox.document(&["import", "old", "--source", "s"])), counts(1, 0, 0));
    fs::rename(sandbox.path("old"), sandbox.path("new")).unwrap();
    assert_eq!(without_bytes(sandbox.document(&["import", "new/", "--source", "s"])), counts(0, 1, 0));
    assert_eq!(without_bytes(sandbox.document(&["import", "./new"])), counts(1, 0, 0));
    assert_eq!(without_bytes(sandbox.document(&["import", "new/"])), counts(0, 1, 0));
}

#[test]
fn put_get_stat_update_rm() {
    let sandbox = Sandbox::new();
    let message = b"Message-ID: <m@x.example>\r\nSubject: put\r\n\r\nHello\r\n";
    let _ = sandbox.write("m.eml", message);
    let receipt = sandbox.document(&["put", "m.eml", "--id", "mine", "--label", "k=v"]);
    assert_eq!((&receipt["created"], &receipt["bytes"]), (&json!(true), &json!(message.len())));
    assert_eq!(sandbox.document(&["put", "m.eml", "--id", "mine"])["created"], false);
    let id = receipt["id"].as_str().unwrap();

    assert_eq!(sandbox.run(&["get", id]).stdout, message);
    assert_eq!(sandbox.run(&["get", "mine", "--range", "12-24"]).stdout, &message[12..25]);
    let got = sandbox.document(&["get", id, "-o", "copy.eml"]);
    assert_eq!(got["sha256"], receipt["sha256"]);
    assert_eq!(fs::read(sandbox.path("copy.eml")).unwrap(), message);

    let item = sandbox.document(&["stat", id]);
    assert_eq!((&item["caller_id"], &item["message_id"]), (&json!("mine"), &json!("m@x.example")));
    assert_eq!(item["labels"], json!({ "k": "v" }));

    let item =
        sandbox.document(&["update", id, "--hold", "--pin", "cold", "--label", "a=b", "--unlabel", "k"]);
    assert_eq!(
        (&item["hold"], &item["pin"], &item["labels"]),
        (&json!(true), &json!("cold"), &json!({ "a": "b" }))
    );
    let refused = sandbox.run(&["rm", id]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).starts_with(&format!("error: {id}: ")), "{}", stderr(&refused));
    let _ = sandbox.document(&["update", id, "--no-hold", "--unpin"]);
    assert_eq!(sandbox.json(&["rm", id]), [json!({ "id": id, "deleted": true })]);
    let gone = sandbox.run(&["get", id, "-o", "gone.eml"]);
    assert_eq!((gone.status.code(), gone.stdout.len()), (Some(1), 0));
    assert!(!sandbox.path("gone.eml").exists());
}

#[test]
fn contents_come_from_stdin_and_live_apart_from_messages() {
    let sandbox = Sandbox::new();
    let data_dir = sandbox.path("data").to_str().unwrap().to_owned();
    let arguments =
        ["--data-dir", &data_dir, "put", "-", "--content", "--media-type", "text/plain", "--id", "c"];
    let mut child =
        program(&sandbox.path("."), &arguments).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"content").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(sandbox.run(&["get", "c", "--content"]).stdout, b"content");
    assert_eq!(sandbox.document(&["stat", "c", "--content"])["media_type"], "text/plain");
    assert_eq!(sandbox.run(&["get", "c"]).status.code(), Some(1));
    assert_eq!(sandbox.json(&["list", "--content"]).len(), 1);
    assert_eq!(sandbox.json(&["list"]).len(), 0);
}

#[test]
fn tenants_see_their_own() {
    let sandbox = Sandbox::new();
    let _ = sandbox.write("m.eml", b"Subject: x\n\n");
    assert_eq!(sandbox.run(&["--tenant", "acme", "put", "m.eml"]).status.code(), Some(1));
    assert_eq!(sandbox.document(&["tenant", "create", "acme"])["name"], "acme");
    let names: Vec<Value> =
        sandbox.json(&["tenant", "ls"]).into_iter().map(|tenant| tenant["name"].clone()).collect();
    assert!(names.contains(&json!("acme")) && names.contains(&json!("default")), "{names:?}");
    let _ = sandbox.document(&["--tenant", "acme", "put", "m.eml"]);
    assert_eq!(sandbox.json(&["list"]).len(), 0);
    assert_eq!(sandbox.json(&["--tenant", "acme", "list"]).len(), 1);
    assert_eq!(sandbox.document(&["stats"])["messages"], 1);
    assert_eq!(sandbox.document(&["--tenant", "default", "stats"])["messages"], 0);
    let policy = sandbox.document(&["--tenant", "acme", "policy", "set", "--warm-after", "3d"]);
    assert_eq!((&policy["warm_after_days"], &policy["cold_after_days"]), (&json!(3), &json!(30)));
    assert_eq!(sandbox.document(&["policy", "show"])["warm_after_days"], 7);
}

#[test]
fn migrate_and_sweep_report_in_json() {
    let sandbox = Sandbox::new();
    let _ = sandbox.write("list", MBOX);
    let _ = sandbox.document(&["import", "list"]);
    let plan = sandbox.document(&["migrate", "--as-of", "+400d", "--dry-run"]);
    assert_eq!((&plan["dry_run"], &plan["moves"][0]["to"]), (&json!(true), &json!("archive")));
    assert_eq!(sandbox.document(&["stats"])["tiers"][0]["tier"], "hot");
    let done = sandbox.document(&["migrate", "--as-of", "+400d"]);
    assert_eq!((&done["damaged"], &done["stopped"]), (&json!(0), &json!(false)));
    assert_eq!(sandbox.document(&["sweep", "--grace", "0"])["dry_run"], false);
    let stats = sandbox.document(&["stats"]);
    assert_eq!(stats["tiers"][3]["tier"], "archive");
    assert!(stats["tiers"][3]["objects"].as_u64().unwrap() > 0);
    assert!(!sandbox.json(&["stats", "--by", "tier"]).is_empty());
}

#[test]
fn dictionaries_are_listed_with_what_they_serve() {
    let sandbox = Sandbox::new();
    let _ = sandbox.write("m.eml", b"Subject: short\n\nbody\n");
    let _ = sandbox.document(&["put", "m.eml"]);
    let listed = sandbox.json(&["dict", "ls"]);
    assert_eq!(listed.len(), 1, "the one that small tenants share: {listed:?}");
    let built_in = &listed[0];
    assert_eq!(
        (&built_in["origin"], &built_in["state"], &built_in["tenant"]),
        (&json!("built in"), &json!("active"), &json!(""))
    );
    assert_eq!((&built_in["served_bytes"], &built_in["samples"]), (&json!(0), &json!(0)));

    let mut rng = Rng::new(10);
    let paragraphs: Vec<String> = (0..60).map(|_| rng.hex(1_000)).collect();
    for number in 0..130 {
        let mut text = format!("Subject: {number}\n\n");
        for _ in 0..10 {
            let paragraph: &String = rng.pick(&paragraphs);
            text.push_str(paragraph);
            text.push('\n');
        }
        let _ = sandbox.write(&format!("mail/{number}.eml"), text.as_bytes());
    }
    let _ = sandbox.document(&["import", "mail"]);
    let _ = sandbox.document(&["migrate", "--to", "archive"]);
    let listed = sandbox.json(&["dict", "ls"]);
    let sampled: Vec<_> = listed.iter().filter(|row| row["origin"] == "sampled").collect();
    assert_eq!(sampled.len(), 1, "{listed:?}");
    let told = sampled[0];
    assert_eq!(
        (&told["version"], &told["state"], &told["class"], &told["tenant"]),
        (&json!(1), &json!("active"), &json!("text"), &json!("default"))
    );
    assert!(told["gain"].as_f64().unwrap() > 0.01 && told["samples"].as_u64().unwrap() > 1, "{told}");
    assert!(told["served_bytes"].as_u64().unwrap() > 1_000_000 && told["packs"] == 1, "{told}");
    let text = String::from_utf8(sandbox.run(&["dict", "ls"]).stdout).unwrap();
    assert!(text.contains("version") && text.contains("serves") && text.contains("built in"), "{text}");
}

#[test]
fn compact_reports_in_json_and_in_words() {
    let sandbox = Sandbox::new();
    for number in 0..3 {
        let _ = sandbox.write("m.eml", format!("Subject: {number}\n\nbody {number}\n").as_bytes());
        let _ = sandbox.document(&["put", "m.eml"]);
        let _ = sandbox.document(&["migrate", "--to", "cold"]);
    }
    let plan = sandbox.document(&["compact", "--dry-run"]);
    assert_eq!(
        (&plan["dry_run"], &plan["packs"], &plan["planned_objects"]),
        (&json!(true), &json!(0), &json!(3))
    );
    let text = |output: std::process::Output| String::from_utf8(output.stdout).unwrap();
    let told = text(sandbox.run(&["compact", "--dry-run"]));
    assert!(told.starts_with("Nothing was changed. A compaction would empty"), "{told}");
    let done = sandbox.document(&["compact", "--threshold", "50"]);
    assert_eq!((&done["packs"], &done["objects"], &done["stopped"]), (&json!(1), &json!(3), &json!(false)));
    assert_eq!(text(sandbox.run(&["compact"])), "Nothing had to be rewritten.\n");
    assert!(sandbox.document(&["sweep", "--grace", "0"])["packs_deleted"].as_u64().unwrap() >= 3);
    assert_eq!(sandbox.json(&["jobs"])[1]["kind"], "compact");
    let waiting = sandbox.document(&["migrate", "--as-of", "+181d", "--wait", "--dry-run"]);
    assert_eq!((&waiting["planned_objects"], &waiting["waiting_objects"]), (&json!(0), &json!(3)));
}

#[test]
fn a_file_that_cannot_be_read_fails_alone() {
    let sandbox = Sandbox::new();
    let _ = sandbox.write("a.eml", b"Subject: a\n\n");
    let output = sandbox.run(&["--format", "json", "import", "a.eml", "missing.eml"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["imported"], &report["failed"]), (&json!(1), &json!(1)));
    assert!(stderr(&output).contains("missing.eml"), "{}", stderr(&output));
}

#[test]
fn an_unknown_tenant_is_told_once() {
    let sandbox = Sandbox::new();
    for number in 0..50 {
        let _ = sandbox.write(&format!("mail/{number}.eml"), b"Subject: x\n\n");
    }
    let output = sandbox.run(&["--tenant", "nobody", "import", "mail"]);
    assert_eq!((output.status.code(), stderr(&output).lines().count()), (Some(1), 1), "{}", stderr(&output));
}

#[test]
fn exit_codes() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["stats", "--by", "moon"]).status.code(), Some(2));
    assert_eq!(sandbox.run(&["update", "x"]).status.code(), Some(2));
    assert_eq!(sandbox.run(&["--format", "json", "get", "x"]).status.code(), Some(2));
    assert_eq!(sandbox.run(&["--help"]).status.code(), Some(0));
    assert_eq!(sandbox.run(&["completions", "bash"]).status.code(), Some(0));
    assert!(!sandbox.path("data").exists(), "none of these opens a store");
    assert_eq!(sandbox.run(&["stat", "nothing"]).status.code(), Some(1));
}

#[test]
fn without_a_server_the_error_says_what_to_do() {
    let sandbox = Sandbox::new();
    let output = run_in(&sandbox.path("."), &["--server", "http://127.0.0.1:1", "--format", "json", "stats"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    let said = stderr(&output);
    assert_eq!(said.lines().count(), 1, "{said}");
    for word in ["error: ", "http://127.0.0.1:1", "storage-server", "--data-dir"] {
        assert!(said.contains(word), "{said}");
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let sandbox = Sandbox::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = program(&sandbox.path("."), &["completions", "zsh"]).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}

#[test]
fn the_demo_needs_nothing_and_reaches_the_archive() {
    let sandbox = Sandbox::new();
    let output = run_in(&sandbox.path("."), &["--format", "json", "demo", "--messages", "40", "--seed", "5"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let tour: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&tour["messages"], &tour["verified"]), (&json!(40), &json!(80)));
    let stages: Vec<&str> =
        tour["stages"].as_array().unwrap().iter().map(|s| s["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["hot", "warm", "cold", "archive"]);
    let tiers = &tour["stages"][3]["stats"]["tiers"];
    assert_eq!((&tiers[0]["objects"], &tiers[3]["tier"]), (&json!(0), &json!("archive")));

    let words = run_in(&sandbox.path("."), &["demo", "--messages", "10", "--keep", "kept"]);
    assert_eq!(words.status.code(), Some(0), "{}", stderr(&words));
    assert!(String::from_utf8_lossy(&words.stdout).contains("storage-server"));
    let listed = run_in(&sandbox.path("."), &["--data-dir", "kept", "--format", "json", "list"]);
    assert_eq!(listed.stdout.split(|byte| *byte == b'\n').count(), 11);
    assert_eq!(
        run_in(&sandbox.path("."), &["demo", "--messages", "10", "--keep", "kept"]).status.code(),
        Some(2)
    );
}
