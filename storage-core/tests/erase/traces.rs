//! Looking for what must be gone: every file of a data directory as it is, every frame of every pack decoded through its
//! codec and dictionary, every table, every recoded object made again.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use storage_core::codec::CodecId;
use storage_core::codec::Dictionary;
use storage_core::codec::builtin;
use storage_core::codec::decode_alone;
use storage_core::model::Sha256;
use storage_core::pack::EntryBody;
use storage_core::pack::Footer;
use storage_core::pack::Frame;
use storage_core::pack::FrameKind;
use storage_core::pack::ObjectEntry;
use storage_core::pack::PackName;
use storage_core::pack::ScanDepth;
use storage_core::pack::ScanStep;
use storage_core::pack::Scanner;
use storage_core::pack::TransformId;
use storage_core::recode;
use storage_core::similarity;
use uuid::Uuid;

/// Bytes in a row that tell content apart.
const WINDOW: usize = 16;

type Window = [u8; WINDOW];

fn windows(bytes: &[u8]) -> impl Iterator<Item = &Window> {
    bytes.windows(WINDOW).map(|window| window.try_into().unwrap())
}

/// Windows of fewer different bytes are nobody's: zeros and the like are everywhere.
const DIFFERENT: usize = 4;

fn is_telling(window: &Window) -> bool {
    let new = |at: &usize| !window[..*at].contains(&window[*at]);
    (0..WINDOW).filter(new).take(DIFFERENT).count() == DIFFERENT
}

/// What only some messages have: all their windows but those that others have, too.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traces(HashSet<Window>);

impl Traces {
    /// Those of these bytes.
    pub(crate) fn of<'a>(pieces: impl IntoIterator<Item = &'a Bytes>) -> Self {
        Self(
            pieces
                .into_iter()
                .flat_map(|piece| windows(piece))
                .filter(|window| is_telling(window))
                .copied()
                .collect(),
        )
    }

    /// Others have these bytes.
    pub(crate) fn forget(&mut self, bytes: &[u8]) {
        for window in windows(bytes) {
            let _ = self.0.remove(window);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The first of them in some bytes.
    fn first_in<'a>(&self, bytes: &'a [u8]) -> Option<&'a Window> {
        windows(bytes).find(|window| self.0.contains(*window))
    }
}

/// Places that hold traces, and the first one of each.
pub(crate) type Found = BTreeMap<String, String>;

/// Looks through all files of a data directory, but for the content of `living` owners in packs.
pub(crate) fn in_directory(dir: &Path, traces: &Traces, living: &HashSet<Owner>) -> Found {
    let mut found = Found::new();
    let mut packs = Vec::new();
    let mut directories = vec![dir.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let bytes = Bytes::from(std::fs::read(&path).unwrap());
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            look(traces, &name, "as it is", &bytes, &mut found);
            if let Some(id) = name.strip_suffix(".pack") {
                packs.push((PackName(Uuid::try_parse(id).unwrap()), bytes));
            }
        }
    }
    in_packs(&packs, traces, living, &mut found);
    found
}

fn look(traces: &Traces, name: &str, what: &str, bytes: &[u8], found: &mut Found) {
    if let Some(window) = traces.first_in(bytes) {
        let _ = found.insert(format!("{name} {what}"), window.escape_ascii().to_string());
    }
}

/// Looks through decoded packs, but for the content of `living` owners. A frame that cannot be decoded is a failure: nobody
/// knows what it holds.
pub(crate) fn in_packs(
    packs: &[(PackName, Bytes)],
    traces: &Traces,
    living: &HashSet<Owner>,
    found: &mut Found,
) {
    let frames: Vec<(PackName, Vec<Frame>)> =
        packs.iter().map(|(name, bytes)| (*name, frames(*name, bytes))).collect();
    let mut dictionaries: HashMap<Uuid, Arc<Dictionary>> = HashMap::new();
    let _ =
        dictionaries.insert(builtin::BUILTIN_V1, builtin::dictionary(builtin::BUILTIN_V1).unwrap().unwrap());
    for frame in frames.iter().flat_map(|(_, frames)| frames) {
        if frame.header().kind == FrameKind::Dictionary {
            let record = frame.head().dictionary().unwrap();
            let bytes = Arc::from(&*frame.stream(None).unwrap());
            let dictionary = Dictionary::stored(record.id, record.kind, bytes).unwrap();
            let _ = dictionaries.insert(record.id, Arc::new(dictionary));
        }
    }
    let decoded = |frame: &Frame| {
        let needed = frame.header().dictionary();
        let dictionary = needed.map(|id| dictionaries.get(&id).expect("a dictionary that a frame needs"));
        frame.stream(dictionary.map(|dictionary| &**dictionary)).unwrap()
    };
    let all = frames.iter().flat_map(|(_, frames)| frames);
    let whole: Whole = all.flat_map(|frame| whole_in(frame, &decoded(frame))).collect();
    for (pack, frames) in &frames {
        let segments = segments_in_use(frames, living);
        for frame in frames {
            let name = format!("{pack}:{} {}", frame.header().ordinal, frame.header().kind.name());
            let stream = decoded(frame);
            look(traces, &name, "table", &table(frame.bytes()), found);
            for (owner, content) in contents(frame, &stream, &whole) {
                if !living.contains(&owner) && !segments.contains(&owner) {
                    look(traces, &name, "content", &content, found);
                }
            }
        }
    }
}

fn frames(name: PackName, bytes: &Bytes) -> Vec<Frame> {
    let footer = bytes.len().checked_sub(Footer::BYTES).map(|at| &bytes[at..]);
    let footer = footer.and_then(|last| Footer::parse(name, last, bytes.len() as u64).ok());
    let end = footer.map_or(bytes.len() as u64, |footer| footer.index_offset);
    let mut scanner = Scanner::new(name, end, ScanDepth::Everything);
    let mut frames = Vec::new();
    loop {
        match scanner.step().unwrap() {
            ScanStep::Read { offset, bytes: wanted } => {
                let from = usize::try_from(offset).unwrap();
                let until = (from + wanted as usize).min(bytes.len());
                scanner.feed(bytes.slice(from..until)).unwrap();
            }
            ScanStep::Frame(frame) => frames.push(frame.frame().unwrap().clone()),
            ScanStep::End(end) => {
                assert_eq!(end.torn, None, "pack {name}");
                return frames;
            }
        }
    }
}

/// Both parts of a frame's table, decoded. The offsets are those of `docs/format.md`.
fn table(frame: &[u8]) -> Vec<u8> {
    let u16_at = |at: usize| u16::from_le_bytes(frame[at..at + 2].try_into().unwrap());
    let u32_at = |at: usize| u32::from_le_bytes(frame[at..at + 4].try_into().unwrap()) as usize;
    let (header, sort) = (usize::from(u16_at(6)), CodecId(u16_at(8)));
    let (verbatim, stored, decoded) = (u32_at(32), u32_at(36), u32_at(40));
    let mut table = frame[header..header + verbatim].to_vec();
    let coded = &frame[header + verbatim..header + verbatim + stored];
    table.extend_from_slice(&decode_alone(sort, coded, decoded).unwrap());
    table
}

/// Whose some content is: what its hash or its record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    Item(Uuid),
    Object(Sha256),
    Segment(u32),
    Nobody,
}

/// What a frame's stream holds: each by itself, as it is stored, and made again where that is another form.
fn contents(frame: &Frame, stream: &Bytes, whole: &Whole) -> Vec<(Owner, Bytes)> {
    let header = frame.header();
    if header.kind != FrameKind::Block {
        let segment = header.kind == FrameKind::Segment;
        let owner = if segment { Owner::Segment(header.ordinal) } else { Owner::Nobody };
        let form = header.form().unwrap();
        let again =
            form.map(|form| recode::decode(form.transform, &form.params, stream, form.bytes as usize));
        let again = again.map(|bytes| Bytes::from(bytes.unwrap()));
        return [stream.clone()].into_iter().chain(again).map(|bytes| (owner, bytes)).collect();
    }
    let mut contents = Vec::new();
    for entry in frame.head().block_table().unwrap().entries {
        let stored = entry.cut(stream).unwrap();
        let owner = match &entry.body {
            EntryBody::Message(message) => Owner::Item(message.record.id),
            EntryBody::Object(object) => Owner::Object(object.sha256),
            EntryBody::Segmented(object) => Owner::Object(object.sha256),
        };
        if let EntryBody::Object(object) = &entry.body
            && object.transform != TransformId::NONE
        {
            contents.push((owner, made_again(object, &stored, whole)));
        }
        contents.push((owner, stored));
    }
    contents
}

/// Objects that are stored by themselves: what differences need.
type Whole = HashMap<Sha256, Bytes>;

fn made_again(object: &ObjectEntry, stored: &Bytes, whole: &Whole) -> Bytes {
    let bytes = usize::try_from(object.bytes).unwrap();
    Bytes::from(if object.transform == TransformId::DELTA {
        let base =
            whole.get(&similarity::base_of(&object.params).unwrap()).expect("the base of a difference");
        similarity::decode(&object.params, stored, bytes, base).unwrap()
    } else {
        recode::decode(object.transform, &object.params, stored, bytes).unwrap()
    })
}

/// The objects of a block that are stored by themselves.
fn whole_in(frame: &Frame, stream: &Bytes) -> Vec<(Sha256, Bytes)> {
    let mut whole = Vec::new();
    if frame.header().kind != FrameKind::Block {
        return whole;
    }
    for entry in frame.head().block_table().unwrap().entries {
        if let EntryBody::Object(object) = &entry.body {
            let stored = entry.cut(stream).unwrap();
            match object.transform {
                TransformId::NONE => whole.push((object.sha256, stored)),
                TransformId::DELTA => {}
                _ => whole.push((object.sha256, made_again(object, &stored, &Whole::new()))),
            }
        }
    }
    whole
}

/// The segments of a pack's objects that are in use.
fn segments_in_use(frames: &[Frame], living: &HashSet<Owner>) -> HashSet<Owner> {
    let mut named = HashSet::new();
    for frame in frames.iter().filter(|frame| frame.header().kind == FrameKind::Block) {
        for entry in frame.head().block_table().unwrap().entries {
            if let EntryBody::Segmented(object) = &entry.body
                && living.contains(&Owner::Object(object.sha256))
            {
                named.extend(object.segments.iter().map(|segment| Owner::Segment(segment.ordinal)));
            }
        }
    }
    named
}
