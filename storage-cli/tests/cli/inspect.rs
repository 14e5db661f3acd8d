//! `inspect`: offline, complete, and unimpressed by whatever a file holds.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::Sandbox;
use crate::support::stderr;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("fixtures/format/v1").join(name)
}

#[test]
fn a_pack_is_printed_as_its_text_says() {
    let sandbox = Sandbox::new();
    let pack = golden("kinds.pack");
    let output = sandbox.run(&["inspect", "pack", pack.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let expected = fs::read_to_string(golden("kinds.txt")).unwrap();
    assert_eq!(format!("{}problems 0\n", String::from_utf8(output.stdout).unwrap()), expected);
    let lines = sandbox.json(&["inspect", "pack", pack.to_str().unwrap()]);
    assert_eq!(lines[0]["what"], "pack");
    assert_eq!(lines[0]["origin"], "log");
    let kinds: Vec<&Value> =
        lines.iter().filter(|line| line["what"] == "frame").map(|line| &line["kind"]).collect();
    assert_eq!(kinds, ["tenant", "block", "tombstone", "policy"]);
    assert!(!sandbox.path("data").exists(), "no store is opened");
}

#[test]
fn damage_is_named_and_does_not_hide_the_rest() {
    let sandbox = Sandbox::new();
    let mut bytes = fs::read(golden("kinds.pack")).unwrap();
    bytes[200] ^= 1;
    let damaged = sandbox.write("damaged.pack", &bytes);
    let output = sandbox.run(&["inspect", "pack", damaged.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("1 problem in"), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("  problem kind=Corrupt says=\"the header of frame 1 does not match its checksum\"")
    );
    assert!(text.contains("kind=policy"), "frames behind the damage are read");
    for (name, bytes) in [("empty.pack", &[][..]), ("short.pack", b"TIERPACK"), ("other.pack", &[0; 4_096])] {
        let file = sandbox.write(name, bytes);
        let output = sandbox.run(&["inspect", "pack", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{name}");
    }
    let output = sandbox.run(&["inspect", "pack", "nowhere.pack"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_layout_is_printed() {
    let sandbox = Sandbox::new();
    let output = sandbox.run(&["inspect", "format"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, include_str!("../../../storage-core/tests/golden/layout.txt"));
    assert_eq!(sandbox.json(&["inspect", "format"]).len(), 5);
}
