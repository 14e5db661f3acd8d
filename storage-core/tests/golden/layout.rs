//! The layout that the code prints: pinned, and the same as in `docs/format.md`.

use std::fs;
use std::path::Path;

use storage_core::pack::inspect;

fn layout() -> String {
    inspect::layout().iter().map(ToString::to_string).collect()
}

fn read(path: &str) -> String {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    fs::read_to_string(workspace.join(path)).expect("a readable file")
}

#[test]
fn the_layout_is_pinned() {
    assert_eq!(layout(), include_str!("layout.txt"));
}

/// The rows of the first table below a heading.
fn table<'a>(document: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let after = document.split(heading).nth(1).unwrap_or_else(|| panic!("{heading} is in docs/format.md"));
    let rows =
        after.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    rows.skip(2).map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// Offsets and lengths of the fields of a structure as the code prints them.
fn fields(what: &str) -> Vec<(String, String)> {
    let text = layout();
    let lines = text.lines().skip_while(|line| !line.starts_with(what)).skip(1);
    let fields = lines.take_while(|line| line.starts_with("  "));
    let fact = |line: &str, name: &str| {
        let found = line.split_whitespace().find_map(|word| word.strip_prefix(name));
        found.expect("a fact").to_owned()
    };
    fields.map(|line| (fact(line, "offset="), fact(line, "bytes="))).collect()
}

#[test]
fn the_document_has_the_same_offsets() {
    let document = read("docs/format.md");
    for (what, heading) in [
        ("pack_header", "### Pack header: 44 bytes"),
        ("frame_header", "## A frame\n"),
        ("footer", "### Footer: the last 40 bytes"),
    ] {
        let documented: Vec<(String, String)> =
            table(&document, heading).iter().map(|row| (row[0].to_owned(), row[1].to_owned())).collect();
        assert_eq!(documented, fields(what), "{what}");
        assert!(documented.len() > 7, "{what}: the table was found");
    }
}

#[test]
fn the_document_has_the_same_numbers() {
    let document = read("docs/format.md");
    let text = layout();
    for (heading, what) in
        [("### Frame kinds", "frame_kind"), ("### Codecs", "codec"), ("### Entries of a block", "entry")]
    {
        let rows = table(&document, heading);
        let assigned = rows.iter().filter(|row| !row[1].starts_with("reserved"));
        let documented: Vec<String> = assigned
            .filter(|row| row[0].parse::<u32>().is_ok())
            .map(|row| format!("  {what} number={} name={}", row[0], row[1]))
            .collect();
        let printed: Vec<&str> =
            text.lines().filter(|line| line.starts_with(&format!("  {what} number="))).collect();
        assert_eq!(documented, printed);
    }
}

#[test]
fn the_document_has_the_same_bounds() {
    let document = read("docs/format.md");
    let text = layout();
    for (bound, documented) in [
        ("pack_bytes_max=4294967296", "end before 4 GiB"),
        ("pack_frames_max=1048576", "At most 2^20 frames"),
        ("table_bytes_max=16777216", "more than 16 MiB of verbatim or of decoded bytes"),
        ("stream_decoded_bytes_max=67108864", "decodes to more than 64 MiB"),
        ("dictionary_bytes_max=16777216", "8 bytes to 16 MiB"),
        ("skeleton_operations_max=65536", "at most 65,536"),
    ] {
        assert!(text.contains(bound), "{bound}");
        assert!(document.contains(documented), "{documented}");
    }
}
