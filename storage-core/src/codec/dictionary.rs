//! Dictionaries, prepared once and shared. A raw-content dictionary is a sample of whole messages; a trained one
//! carries zstd's own header. Zstd tells the two apart by that header, so a raw one may not begin with its magic.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;
use zstd_safe::CDict;
use zstd_safe::DDict;

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;

/// The longest dictionary.
pub const DICTIONARY_BYTES_MAX: usize = 16 << 20;
/// The shortest one: zstd ignores less than this.
const DICTIONARY_BYTES_MIN: usize = 8;
/// What a trained dictionary begins with: zstd's magic `0xEC30A437`, little-endian.
const TRAINED_MAGIC: [u8; 4] = [0x37, 0xA4, 0x30, 0xEC];

/// Where a dictionary's bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DictionaryKind {
    /// Made by zstd's trainer.
    Trained,
    /// Content as it is.
    RawContent,
}

/// A dictionary that is ready to decode with.
pub struct Dictionary {
    id: Uuid,
    kind: DictionaryKind,
    bytes: Arc<[u8]>,
    /// The tables of a trained dictionary. Raw content has none: it is referred to where it lies.
    prepared: Option<DDict<'static>>,
}

impl Dictionary {
    /// Checks that the bytes are what `kind` says, and prepares them.
    pub fn new(id: Uuid, kind: DictionaryKind, bytes: Arc<[u8]>) -> Result<Self> {
        if !(DICTIONARY_BYTES_MIN..=DICTIONARY_BYTES_MAX).contains(&bytes.len()) {
            return Err(Error::invalid(format!(
                "a dictionary of {} bytes: it must have {DICTIONARY_BYTES_MIN} to {DICTIONARY_BYTES_MAX}",
                bytes.len()
            )));
        }
        let trained = bytes.starts_with(&TRAINED_MAGIC);
        if trained != (kind == DictionaryKind::Trained) {
            return Err(Error::invalid("a dictionary's bytes do not fit its kind: check where it came from"));
        }
        let prepared = if trained {
            let prepared = DDict::try_create(&bytes);
            Some(prepared.ok_or_else(|| Error::corrupt("zstd does not accept a trained dictionary"))?)
        } else {
            None
        };
        Ok(Self { id, kind, bytes, prepared })
    }

    /// The same for bytes that were read from a pack: what does not fit there is `Corrupt`.
    pub fn stored(id: Uuid, kind: DictionaryKind, bytes: Arc<[u8]>) -> Result<Self> {
        Self::new(id, kind, bytes).map_err(|error| match error.kind() {
            Kind::InvalidArgument => {
                Error::corrupt(format!("a stored dictionary is none: {}", error.message()))
            }
            _ => error,
        })
    }

    /// The id that frames refer to.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Trained or raw.
    pub fn kind(&self) -> DictionaryKind {
        self.kind
    }

    /// The bytes as stored.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    pub(super) fn prepared(&self) -> Option<&DDict<'static>> {
        self.prepared.as_ref()
    }
}

impl fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dictionary({}, {:?}, {} bytes)", self.id, self.kind, self.bytes.len())
    }
}

/// A dictionary with the search tables for encoding at one level. The tables of a 4 MiB dictionary at level 19
/// take some 80 MiB and a second to build: keep it for as many blocks as there are.
///
/// Levels below 9 search no more than the end of a 4 MiB dictionary, and levels below 19 no more than the end of a
/// 16 MiB one: zstd cuts what its tables for that level cannot hold.
pub struct DictionaryEncoder {
    dictionary: Arc<Dictionary>,
    level: i32,
    prepared: CDict<'static>,
}

impl DictionaryEncoder {
    /// Builds the search tables.
    pub fn new(dictionary: Arc<Dictionary>, level: i32) -> Result<Self> {
        super::zstd::check_level(level)?;
        let prepared = CDict::try_create(dictionary.bytes(), level)
            .ok_or_else(|| Error::corrupt("zstd does not accept a dictionary for encoding"))?;
        Ok(Self { dictionary, level, prepared })
    }

    /// The dictionary that decoding will need.
    pub fn dictionary(&self) -> &Arc<Dictionary> {
        &self.dictionary
    }

    /// The level the tables were built for.
    pub fn level(&self) -> i32 {
        self.level
    }

    pub(super) fn prepared(&self) -> &CDict<'static> {
        &self.prepared
    }
}

impl fmt::Debug for DictionaryEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DictionaryEncoder({:?}, level {})", self.dictionary, self.level)
    }
}

/// A trained dictionary of at most `bytes_max` bytes from samples of what it will serve.
pub fn train(samples: &[&[u8]], bytes_max: usize) -> Result<Vec<u8>> {
    let sizes: Vec<usize> = samples.iter().map(|sample| sample.len()).collect();
    let mut trained = Vec::with_capacity(bytes_max.clamp(256, DICTIONARY_BYTES_MAX));
    let written = zstd_safe::train_from_buffer(&mut trained, &samples.concat(), &sizes);
    let _bytes = written.map_err(|code| {
        Error::precondition("these samples do not make a dictionary: give more of them, and longer ones")
            .with_source(zstd_safe::get_error_name(code))
    })?;
    Ok(trained)
}
