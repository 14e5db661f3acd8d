//! Makes the checksums of a pack right again after its bytes were changed: for what only a newer version, or somebody
//! who means harm, would write. It follows `docs/format.md` by itself, without the code under test.

const HEADER_BYTES: usize = 44;
const FRAME_BYTES: usize = 64;
const FOOTER_BYTES: usize = 40;

fn number(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    let value = bytes.get(at..at + width)?;
    Some(value.iter().rev().fold(0, |number, byte| (number << 8) | usize::from(*byte)))
}

fn put(bytes: &mut [u8], at: usize, checksum: u32) {
    if let Some(slot) = bytes.get_mut(at..at + 4) {
        slot.copy_from_slice(&checksum.to_le_bytes());
    }
}

/// Seals the frame that `bytes` begin with, and returns its length; none where no frame begins here.
pub(crate) fn frame(name: &[u8], bytes: &mut [u8]) -> Option<usize> {
    if !bytes.starts_with(b"tFRM") {
        return None;
    }
    let header = number(bytes, 6, 2).filter(|header| *header >= FRAME_BYTES)?;
    let table_end = header + number(bytes, 32, 4)? + number(bytes, 36, 4)?;
    let end = table_end + number(bytes, 44, 4)?;
    let (table, stream) = (bytes.get(header..table_end)?, bytes.get(table_end..end)?);
    let (table, stream) = (crc32c::crc32c(table), crc32c::crc32c(stream));
    put(bytes, 52, table);
    put(bytes, 56, stream);
    let named = crc32c::crc32c(name);
    let fixed = crc32c::crc32c_append(named, bytes.get(..60)?);
    let sealed = crc32c::crc32c_append(fixed, bytes.get(FRAME_BYTES..header)?);
    put(bytes, 60, sealed);
    Some(end)
}

/// Seals header, frames, index and footer of a pack, as far as they can be found.
pub(crate) fn pack(bytes: &mut [u8]) {
    let Some(covered) = bytes.get(..40) else {
        return;
    };
    let checksum = crc32c::crc32c(covered);
    put(bytes, 40, checksum);
    let name = bytes.get(16..32).unwrap_or_default().to_vec();
    let mut at = HEADER_BYTES;
    while let Some(length) = bytes.get_mut(at..).and_then(|rest| frame(&name, rest)) {
        at += length;
    }
    let _sealed = tail(&name, bytes);
}

fn tail(name: &[u8], bytes: &mut [u8]) -> Option<()> {
    let start = bytes.len().checked_sub(FOOTER_BYTES)?;
    let footer = bytes.get(start..).filter(|footer| footer.starts_with(b"PACKTAIL"))?;
    let (stored, offset) = (number(footer, 12, 4)?, number(footer, 28, 8)?);
    if let Some(index) = bytes.get(offset..offset.checked_add(stored)?) {
        let checksum = crc32c::crc32c(index);
        put(bytes, start + 24, checksum);
    }
    let named = crc32c::crc32c(name);
    let checksum = crc32c::crc32c_append(named, bytes.get(start..start + 36)?);
    put(bytes, start + 36, checksum);
    Some(())
}
