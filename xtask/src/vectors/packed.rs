//! Compressed streams whose bytes never change: bzip2, xz, lzma, Zstandard, LZ4.
//!
//! All are written by hand but bzip2's, whose one encoder has given the same bytes for decades.
//! Blocks are stored as they are, or as runs of one byte where the format knows them; a key of
//! the statement sets what the header asks of a reader.

use std::io::Write;

use anyhow::{Context, Result, ensure};

use super::lzma;
use super::pickle::number;
use super::zip::Fields;

/// A stream of the format that `head` names.
pub(super) fn stream(head: &[u8], data: &[u8], fields: &Fields) -> Result<Vec<u8>> {
    let known: &[&str] = match head {
        b"bzip2" => &[],
        b"lzma" | b"xz" => &["dictionary"],
        b"zstd" => &["window", "dictionary"],
        _ => &["legacy", "dictionary"],
    };
    for key in fields.keys() {
        ensure!(known.contains(&key.as_str()), "no such key: `{key}`");
    }
    let given = |key: &str, default: u32| -> Result<u32> {
        fields.get(key).map_or(Ok(default), |value| Ok(u32::try_from(number(value)?)?))
    };
    match head {
        b"bzip2" => bzip2(data),
        b"lzma" => Ok(lzma::alone(data, given("dictionary", 1 << 23)?)),
        b"xz" => xz(data, given("dictionary", 22)?.to_le_bytes()[0]),
        b"zstd" => {
            let dictionary = fields.get("dictionary").map(|id| number(id)).transpose()?;
            Ok(zstd(data, given("window", 0x38)?.to_le_bytes()[0], dictionary))
        }
        _ if fields.contains_key("legacy") => lz4_legacy(data),
        _ => lz4(data, fields.get("dictionary").map(|id| number(id)).transpose()?),
    }
}

/// bzip2, as `bzip2 -9` writes it.
pub(super) fn bzip2(data: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    encoder.write_all(data)?;
    Ok(encoder.finish()?)
}

/// LZMA2 chunks and their end: one compressed, or as many stored as it takes.
pub(super) fn lzma2(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let packed = lzma::raw(data);
    if (1..=1 << 21).contains(&data.len()) && packed.len() <= 1 << 16 {
        let size = (data.len() - 1).to_be_bytes();
        let [.., high, middle, low] = size;
        let [.., packed_high, packed_low] = (packed.len() - 1).to_be_bytes();
        out.extend([0xe0 | high, middle, low, packed_high, packed_low, lzma::PROPERTIES]);
        out.extend(packed);
    } else {
        for (at, chunk) in data.chunks(1 << 16).enumerate() {
            let [.., high, low] = (chunk.len() - 1).to_be_bytes();
            out.extend([if at == 0 { 1 } else { 2 }, high, low]);
            out.extend(chunk);
        }
    }
    out.push(0);
    out
}

/// xz (The .xz File Format, 1.2.1): one block, checked by CRC-32.
fn xz(data: &[u8], dictionary: u8) -> Result<Vec<u8>> {
    let crc = |bytes: &[u8]| crc32fast::hash(bytes).to_le_bytes();
    let flags = [0, 1];
    let mut out = [&b"\xfd7zXZ\0"[..], &flags, &crc(&flags)].concat();

    let header = [2, 0, 0x21, 1, dictionary, 0, 0, 0];
    let mut block = [&header[..], &crc(&header), &lzma2(data)].concat();
    let unpadded = block.len() + 4;
    pad(&mut block);
    block.extend(crc(data));
    out.extend(block);

    let mut index = vec![0];
    index.extend(varint(1));
    index.extend(varint(unpadded));
    index.extend(varint(data.len()));
    pad(&mut index);
    let sum = crc(&index);
    index.extend(sum);
    let backward = u32::try_from(index.len() / 4 - 1).context("too long")?.to_le_bytes();
    let end = [&backward[..], &flags].concat();
    out.extend(index);
    out.extend(crc(&end));
    out.extend(end);
    out.extend(b"YZ");
    Ok(out)
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
    bytes
}

/// One Zstandard frame (RFC 8878) of raw blocks and runs.
fn zstd(data: &[u8], window: u8, dictionary: Option<i128>) -> Vec<u8> {
    const BLOCK: usize = 1 << 17;
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd];
    out.extend([if dictionary.is_some() { 3 } else { 0 }, window]);
    out.extend(dictionary.iter().flat_map(|id| id.to_le_bytes()[..4].to_vec()));
    let mut chunks = data.chunks(BLOCK).peekable();
    if data.is_empty() {
        out.extend([1, 0, 0]);
    }
    while let Some(chunk) = chunks.next() {
        let run = chunk.len() > 1 && chunk.iter().all(|byte| *byte == chunk[0]);
        let last = usize::from(chunks.peek().is_none());
        let header = last | usize::from(run) << 1 | chunk.len() << 3;
        out.extend(&header.to_le_bytes()[..3]);
        out.extend(if run { &chunk[..1] } else { chunk });
    }
    out
}

/// One LZ4 frame (LZ4 Frame Format 1.6.2) of stored blocks, without checksums of content.
fn lz4(data: &[u8], dictionary: Option<i128>) -> Result<Vec<u8>> {
    let mut head = vec![0x60 | u8::from(dictionary.is_some()), 0x40];
    head.extend(dictionary.iter().flat_map(|id| id.to_le_bytes()[..4].to_vec()));
    let sum = xxh32(&head).to_le_bytes()[1];
    let mut out = [&b"\x04\x22\x4d\x18"[..], &head, &[sum]].concat();
    for chunk in data.chunks(1 << 16) {
        out.extend((u32::try_from(chunk.len())? | 1 << 31).to_le_bytes());
        out.extend(chunk);
    }
    out.extend([0; 4]);
    Ok(out)
}

/// The frame of LZ4's first versions: blocks of literals, without an end.
fn lz4_legacy(data: &[u8]) -> Result<Vec<u8>> {
    let mut out = b"\x02\x21\x4c\x18".to_vec();
    for chunk in data.chunks(8 << 20) {
        let mut block = Vec::new();
        match chunk.len().checked_sub(15) {
            None => block.push(u8::try_from(chunk.len() << 4)?),
            Some(more) => {
                block.push(0xf0);
                block.extend(std::iter::repeat_n(0xff, more / 255));
                block.push(u8::try_from(more % 255)?);
            }
        }
        block.extend(chunk);
        out.extend(u32::try_from(block.len())?.to_le_bytes());
        out.extend(block);
    }
    Ok(out)
}

/// xxHash of 32 bits with seed 0, of less than 16 bytes.
fn xxh32(bytes: &[u8]) -> u32 {
    const PRIMES: [u32; 5] = [0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d, 0x27d4_eb2f, 0x1656_67b1];
    let mut hash = PRIMES[4].wrapping_add(u32::try_from(bytes.len()).unwrap_or(0));
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let word = u32::from_le_bytes(*word).wrapping_mul(PRIMES[2]);
        hash = hash.wrapping_add(word).rotate_left(17).wrapping_mul(PRIMES[3]);
    }
    for &byte in rest {
        let byte = u32::from(byte).wrapping_mul(PRIMES[4]);
        hash = hash.wrapping_add(byte).rotate_left(11).wrapping_mul(PRIMES[0]);
    }
    hash = (hash ^ hash >> 15).wrapping_mul(PRIMES[1]);
    hash = (hash ^ hash >> 13).wrapping_mul(PRIMES[2]);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn decoders_give_the_bytes_back() {
        let mixed: Vec<u8> = (0..=255).chain([7; 70_000]).chain(*b"end").collect();
        let varied: Vec<u8> =
            (0..200_000_u32).map(|at| (at.wrapping_mul(at) >> 7).to_le_bytes()[0]).collect();
        for data in [&b""[..], b"a", &mixed, &varied, &[0; 300_000]] {
            for head in [&b"bzip2"[..], b"xz", b"zstd", b"lz4"] {
                let packed = stream(head, data, &Fields::new()).unwrap();
                let mut reader: Box<dyn Read> = match head {
                    b"bzip2" => Box::new(bzip2::read::BzDecoder::new(&packed[..])),
                    b"xz" => Box::new(lzma_rust2::XzReader::new(&packed[..], false)),
                    b"zstd" => {
                        Box::new(ruzstd::decoding::StreamingDecoder::new(&packed[..]).unwrap())
                    }
                    _ => Box::new(lz4_flex::frame::FrameDecoder::new(&packed[..])),
                };
                let mut unpacked = Vec::new();
                reader.read_to_end(&mut unpacked).unwrap();
                assert!(unpacked == data, "{} bytes in {}", data.len(), head.escape_ascii());
            }
        }
        let packed = lz4_legacy(&varied).unwrap();
        let mut unpacked = Vec::new();
        lz4_flex::frame::FrameDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == varied);
    }
}
