//! Turns the decoded bytes of a part back into the bytes that stood in the message, streaming. Guarantees
//! bounded memory, never more output than stated, and `Corrupt` where recipe and bytes disagree.

use crate::error::Error;
use crate::error::Result;
use crate::mime::base64::Base64Encoder;
use crate::mime::limits::RECIPE_BYTES_MAX;
use crate::mime::part::Encoding;
use crate::mime::quoted_printable::QuotedEncoder;
use crate::mime::varint::to_u64;

/// Decoded bytes encoded at a time, so that output over the stated length is noticed early.
const STRIDE_BYTES: usize = 64 * 1024;

/// Redoes the transfer encoding of one part.
#[derive(Debug)]
pub struct Encoder {
    form: Form,
    /// Bytes still to come out.
    left: u64,
}

#[derive(Debug)]
enum Form {
    Identity,
    Base64(Base64Encoder),
    Quoted(Box<QuotedEncoder>),
}

impl Encoder {
    /// An encoder of a part whose encoded bytes are `encoded_bytes` long.
    pub fn new(encoding: Encoding, recipe: &[u8], encoded_bytes: u64) -> Result<Self> {
        let needless = encoding == Encoding::Identity && !recipe.is_empty();
        if needless || recipe.len() > RECIPE_BYTES_MAX {
            return Err(Error::corrupt("A recipe has an impossible length. Restore from a backup."));
        }
        let form = match encoding {
            Encoding::Identity => Form::Identity,
            Encoding::Base64 => Form::Base64(Base64Encoder::new(recipe)),
            Encoding::QuotedPrintable => Form::Quoted(Box::new(QuotedEncoder::new(recipe)?)),
        };
        Ok(Self { form, left: encoded_bytes })
    }

    /// Takes decoded bytes and appends what they become to `out`; some may come later.
    pub fn push(&mut self, decoded: &[u8], out: &mut Vec<u8>) -> Result<()> {
        for stride in decoded.chunks(STRIDE_BYTES) {
            let before = out.len();
            let done = match &mut self.form {
                Form::Identity => {
                    out.extend_from_slice(stride);
                    Ok(())
                }
                Form::Base64(encoder) => encoder.push(stride, out),
                Form::Quoted(encoder) => encoder.push(stride, out),
            };
            self.count(done, before, out)?;
        }
        Ok(())
    }

    /// Everything was pushed: appends the rest.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<()> {
        let before = out.len();
        let done = match std::mem::replace(&mut self.form, Form::Identity) {
            Form::Identity => Ok(()),
            Form::Base64(encoder) => encoder.finish(out),
            Form::Quoted(encoder) => encoder.finish(out),
        };
        self.count(done, before, out)?;
        if self.left == 0 { Ok(()) } else { Err(wrong_length()) }
    }

    /// Counts what was written since `before`; takes it back where it failed or is more than was stated.
    fn count(&mut self, done: Result<()>, before: usize, out: &mut Vec<u8>) -> Result<()> {
        let written = to_u64(out.len().saturating_sub(before));
        match done.and_then(|()| self.left.checked_sub(written).ok_or_else(wrong_length)) {
            Ok(left) => {
                self.left = left;
                Ok(())
            }
            Err(error) => {
                out.truncate(before);
                Err(error)
            }
        }
    }
}

fn wrong_length() -> Error {
    Error::corrupt("A part does not have the length that its skeleton states. Restore from a backup.")
}
