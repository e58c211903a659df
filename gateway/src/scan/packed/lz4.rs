//! Where an LZ4 frame ends: the decoder does not say, and takes an early end for the end.
//!
//! References: LZ4 Frame Format 1.6.2; its section "Legacy frame".

use std::io;

use super::stream::{SKIPPABLE, refused};

const FRAME: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
const LEGACY: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];
/// A legacy block unpacks to 8 MiB at most, and takes this much where nothing in it repeats
/// (`LZ4_compressBound`).
const LEGACY_BLOCK: u32 = (8 << 20) + (8 << 20) / 255 + 16;

/// Whether a frame starts here, of the format or of the one before it.
pub(super) fn is_frame(bytes: &[u8]) -> bool {
    bytes.starts_with(&FRAME) || bytes.starts_with(&LEGACY)
}

/// The length of the frame that starts here, if it is whole.
pub(super) fn frame_length(bytes: &[u8]) -> io::Result<usize> {
    if bytes.starts_with(&LEGACY) {
        return legacy_length(bytes);
    }
    let flags = *bytes.get(4).ok_or_else(cut)?;
    let (block_sum, size, content_sum, dictionary) =
        (flags & 16 != 0, flags & 8 != 0, flags & 4 != 0, flags & 1 != 0);
    if dictionary {
        return Err(refused("the frame needs a dictionary that the file does not hold"));
    }
    let mut at = 7 + usize::from(size) * 8;
    loop {
        let block = word(bytes, at).ok_or_else(cut)?;
        at += 4;
        if block == 0 {
            at += usize::from(content_sum) * 4;
            return if at <= bytes.len() { Ok(at) } else { Err(cut()) };
        }
        // The highest bit says that the block is stored as it is.
        let length = usize::try_from(block & 0x7fff_ffff).unwrap_or(usize::MAX);
        at = at.checked_add(length).filter(|at| *at <= bytes.len()).ok_or_else(cut)?;
        at += usize::from(block_sum) * 4;
    }
}

/// A legacy frame ends at the end of the file, or where another frame's magic number stands in
/// the place of a block's length.
fn legacy_length(bytes: &[u8]) -> io::Result<usize> {
    let mut at = LEGACY.len();
    while at < bytes.len() {
        let rest = &bytes[at..];
        if is_frame(rest) || SKIPPABLE.contains(&word(rest, 0).unwrap_or(0)) {
            break;
        }
        let block = word(rest, 0).ok_or_else(cut)?;
        if block > LEGACY_BLOCK {
            // What the tool takes for bytes that are none of its own.
            break;
        }
        let length = usize::try_from(block).unwrap_or(usize::MAX).saturating_add(4);
        at = at.checked_add(length).filter(|at| *at <= bytes.len()).ok_or_else(cut)?;
    }
    Ok(at)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the frame ends early")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_ends_at_its_end_mark() {
        let frame = b"\x04\x22\x4d\x18\x60\x40\x82\x02\0\0\x80hi\0\0\0\0";
        let more = [&frame[..], b"more"].concat();
        assert_eq!(frame_length(&more).unwrap(), frame.len());
        for length in 4..frame.len() {
            assert!(frame_length(&frame[..length]).is_err(), "{length}");
        }
        let legacy = b"\x02\x21\x4c\x18\x03\0\0\0\x20hi";
        assert_eq!(frame_length(legacy).unwrap(), legacy.len());
        assert_eq!(frame_length(&[&legacy[..], frame].concat()).unwrap(), legacy.len());
    }
}
