//! How records and content stand in the file: deflated where that makes them smaller, and never unpacked beyond the length that they claim.
//!
//! The first byte says how. A record is small and looks like every other, so it is deflated against a dictionary of what records are made of;
//! what is read back are the bytes that were written, or an error.

use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

const PLAIN: u8 = 0;
const DEFLATED: u8 = 1;
/// Deflated against [`RECORD_WORDS`].
const RECORD: u8 = 2;

/// Less is not worth the header.
const PACKED_BYTES_MIN: usize = 64;
const LEVEL: i32 = 5;
/// Raw deflate.
const WINDOW_BITS: i32 = -15;

/// No record is larger: it holds no free content.
const RECORD_BYTES_MAX: usize = 64 << 20;

/// What records are made of, the most frequent last. Once released, it is never changed: another one gets a number of its own.
const RECORD_WORDS: &[u8] = include_bytes!("record_words.txt");

/// Why stored bytes cannot be unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unpacking {
    /// No release wrote that, or a newer one.
    #[error("it is packed in a way that this release does not know")]
    Unknown,
    /// It claims to be larger than it can be.
    #[error("it claims more bytes than it can have")]
    TooLarge,
    /// It does not come to what it claims.
    #[error("it does not unpack")]
    Broken,
}

/// Content of any size.
pub(crate) fn content(bytes: &[u8]) -> Vec<u8> {
    packed(DEFLATED, &[], bytes)
}

/// The bytes of a record.
pub(crate) fn record(bytes: &[u8]) -> Vec<u8> {
    packed(RECORD, RECORD_WORDS, bytes)
}

/// The record that was packed.
pub(crate) fn unpack_record(stored: &[u8]) -> Result<Vec<u8>, Unpacking> {
    unpack(stored, RECORD_BYTES_MAX)
}

/// What was packed, if it has no more than `bytes_max` bytes.
pub(crate) fn unpack(stored: &[u8], bytes_max: usize) -> Result<Vec<u8>, Unpacking> {
    let (kind, rest) = stored.split_first().ok_or(Unpacking::Broken)?;
    let words = match *kind {
        PLAIN if rest.len() > bytes_max => return Err(Unpacking::TooLarge),
        PLAIN => return Ok(rest.to_vec()),
        DEFLATED => &[],
        RECORD => RECORD_WORDS,
        _ => return Err(Unpacking::Unknown),
    };
    let (claimed, deflated) = length(rest)?;
    if claimed > bytes_max {
        return Err(Unpacking::TooLarge);
    }
    let mut out = Vec::with_capacity(words.len() + claimed);
    out.extend_from_slice(words);
    out.resize(words.len() + claimed, 0);
    let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut inflater = Box::<DecompressorOxide>::default();
    let (status, read, written) = decompress(&mut inflater, deflated, &mut out, words.len(), flags);
    if status != TINFLStatus::Done || read != deflated.len() || written != claimed {
        return Err(Unpacking::Broken);
    }
    out.drain(..words.len());
    Ok(out)
}

fn packed(kind: u8, words: &[u8], bytes: &[u8]) -> Vec<u8> {
    let deflated = (bytes.len() >= PACKED_BYTES_MIN).then(|| deflated(kind, words, bytes)).flatten();
    deflated.filter(|deflated| deflated.len() <= bytes.len()).unwrap_or_else(|| {
        let mut plain = Vec::with_capacity(bytes.len() + 1);
        plain.push(PLAIN);
        plain.extend_from_slice(bytes);
        plain
    })
}

/// None if it does not become smaller.
fn deflated(kind: u8, words: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    let flags = create_comp_flags_from_zip_params(LEVEL, WINDOW_BITS, 0);
    let mut compressor = Box::new(CompressorOxide::new(flags));
    // What comes out for the words is what the reader has already.
    let mut known = vec![0; words.len() + 64];
    if !words.is_empty() {
        let (status, read, _) = compress(&mut compressor, words, &mut known, TDEFLFlush::Sync);
        if status != TDEFLStatus::Okay || read != words.len() {
            return None;
        }
    }
    let mut out = vec![kind];
    put_length(&mut out, bytes.len());
    let header = out.len();
    out.resize(header + bytes.len(), 0);
    let (status, read, written) = compress(&mut compressor, bytes, &mut out[header..], TDEFLFlush::Finish);
    if status != TDEFLStatus::Done || read != bytes.len() {
        return None;
    }
    out.truncate(header + written);
    Some(out)
}

/// Seven bits a byte, the lowest first.
fn put_length(out: &mut Vec<u8>, mut length: usize) {
    while length > 0x7f {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

fn length(bytes: &[u8]) -> Result<(usize, &[u8]), Unpacking> {
    let mut length = 0;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok((length, &bytes[index + 1..]));
        }
    }
    Err(Unpacking::Broken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..3_000), repeat in 1_usize..40) {
            let bytes = bytes.repeat(repeat);
            prop_assert_eq!(unpack(&content(&bytes), bytes.len()), Ok(bytes.clone()));
            prop_assert_eq!(unpack_record(&record(&bytes)), Ok(bytes));
        }

        #[test]
        fn nothing_that_is_damaged_panics(stored in proptest::collection::vec(any::<u8>(), 0..200), kind in 0_u8..4) {
            let stored = [&[kind], stored.as_slice()].concat();
            if let Ok(bytes) = unpack(&stored, 1_000) {
                prop_assert!(bytes.len() <= 1_000);
            }
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let bomb = content(&vec![0; 10 << 20]);
        assert!(bomb.len() < 64 << 10);
        assert_eq!(unpack(&bomb, 1_000), Err(Unpacking::TooLarge));
        // One that claims less than it holds.
        let mut liar = vec![DEFLATED];
        put_length(&mut liar, 1_000);
        let (_, deflated) = length(&bomb[1..]).expect("a length");
        liar.extend_from_slice(deflated);
        assert_eq!(unpack(&liar, 1_000), Err(Unpacking::Broken));
    }

    #[test]
    fn a_newer_way_of_packing_is_not_guessed_at() {
        assert_eq!(unpack(&[9, 1, 2], 10), Err(Unpacking::Unknown));
        assert_eq!(unpack(&[], 10), Err(Unpacking::Broken));
    }
}
