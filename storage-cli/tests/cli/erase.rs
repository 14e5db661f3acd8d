//! `erase` through the built program: what it tells, its exit codes, and that the data directory holds nothing afterwards.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support::Sandbox;
use crate::support::stderr;

/// Whether a file below a directory holds these bytes as they are.
fn holds(directory: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, bytes);
        }
        fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes)
    })
}

#[test]
fn erase_tells_what_it_does_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    for name in ["one", "two", "three", "four"] {
        let text = format!("Subject: about {name}\n\nThis is the secret of {name}, and of nobody else.\n");
        let _ = sandbox.write("m.eml", text.as_bytes());
        let _ = sandbox.document(&["put", "m.eml", "--id", &format!("{name}@mail.example")]);
    }
    let secret = |name: &str| format!("secret of {name},");
    let there = |name: &str| holds(&sandbox.path("data"), secret(name).as_bytes());
    assert!(there("one") && there("two"));
    let plan = sandbox.document(&["erase", "one@mail.example", "--dry-run"]);
    assert_eq!(
        (&plan["planned_packs"], &plan["pending"], &plan["erased_at"]),
        (&json!(1), &json!(1), &json!(null))
    );
    let text = |arguments: &[&str]| String::from_utf8(sandbox.run(arguments).stdout).unwrap();
    let told = text(&["erase", "one@mail.example", "--dry-run"]);
    assert!(told.starts_with("Nothing was changed. Erasing 1 item would empty 1 pack of "), "{told}");

    let done = sandbox.document(&["erase", "one@mail.example"]);
    assert_eq!((&done["erased"], &done["pending"], &done["left"]), (&json!(1), &json!(0), &json!([])));
    assert!(done["erased_at"].is_string() && done["packs_deleted"] == 1, "{done}");
    assert!(!there("one") && there("two"));
    assert!(!holds(&sandbox.path("data"), b"one@mail.example"), "nor is its id");
    let _ = sandbox.write("m.eml", b"Subject: again\n\n");
    let again = sandbox.run(&["put", "m.eml", "--id", "one@mail.example"]);
    assert_eq!(again.status.code(), Some(1), "its id stays gone: {}", stderr(&again));

    let _ = sandbox.document(&["rm", "two@mail.example"]);
    let later = sandbox.document(&["erase", "two@mail.example", "--later"]);
    assert_eq!((&later["requested"], &later["pending"]), (&json!(1), &json!(1)));
    assert!(there("two"));
    let told = text(&["erase"]);
    assert!(told.starts_with("1 item erased at "), "{told}");
    assert!(!there("two") && there("three"));
    assert_eq!(text(&["erase"]), "Nothing was to be erased.\n");

    let _ = sandbox.json(&["update", "three@mail.example", "--hold"]);
    let held = sandbox.run(&["erase", "three@mail.example", "four@mail.example"]);
    assert!(held.status.code() == Some(1) && stderr(&held).contains("hold"), "{}", stderr(&held));
    let unknown = sandbox.run(&["erase", "five@mail.example"]);
    assert!(unknown.status.code() == Some(1) && stderr(&unknown).contains("five@mail.example"));
    assert_eq!(sandbox.document(&["stats"])["messages"], 2);
    assert_eq!(sandbox.document(&["scrub"])["findings"], 0);
    assert_eq!(sandbox.json(&["jobs"])[1]["kind"], "erase");
}
