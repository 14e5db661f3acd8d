//! What is nearly the same: signatures that find it, scores that tell how near it is, and deltas that store one object as
//! its difference from another. Pure: takes bytes and returns bytes; knows no catalog, no clock, no pool.
//!
//! Two methods stand side by side, because each finds what the other misses:
//! - **ssdeep** digests the whole object into some sixty characters. It scores resent and slightly edited files, and its
//!   digests are what other tools exchange. Two digests score above zero only where they share seven characters in a row
//!   (a *gram*), so grams are what the index holds.
//! - **windows**: hashes of short content-defined windows, of which the highest are the object's sketch. They find two
//!   objects that share a part, wherever it lies and however different the rest is.
//!
//! Both look at what deflate streams hold, not at the streams: an edit near the start of a stream changes all of it.

mod delta;
mod digest;
mod signature;
#[cfg(test)]
mod tests;
mod windows;

pub use delta::Base;
pub use delta::Delta;
pub use delta::alone;
pub use delta::base_of;
pub use delta::decode;
pub use digest::Digest;
pub use signature::Likeness;
pub use signature::Signature;
pub use signature::is_useful;

/// What an index is asked for: the hash of a gram or of a window. Those of grams are even, those of windows odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Feature(pub u32);

/// Spreads the bits of a number over all of it.
fn mixed(mut bits: u64) -> u64 {
    bits ^= bits >> 32;
    bits = bits.wrapping_mul(0x9E6C_63D0_876A_68DD);
    bits ^= bits >> 29;
    bits = bits.wrapping_mul(0xD1B5_4A32_D192_ED03);
    bits ^ bits >> 32
}

/// The upper half of a number.
fn upper(bits: u64) -> u32 {
    let [.., a, b, c, d] = bits.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}
