//! A small deflate encoder whose output never changes.
//!
//! Compressors choose their matches by version and by processor, and the vectors are compared
//! byte for byte; so this one knows two blocks only (RFC 1951): fixed codes with runs, and one
//! dynamic block for a single repeated byte, which reaches the 1032 to 1 of real bombs.

/// Raw deflate.
pub(super) fn deflate(data: &[u8]) -> Vec<u8> {
    let mut bits = Bits::default();
    match data {
        [first, rest @ ..] if data.len() > 1_000 && rest.iter().all(|byte| byte == first) => {
            run(*first, data.len(), &mut bits);
        }
        _ => fixed(data, &mut bits),
    }
    bits.bytes
}

/// RFC 1950.
pub(super) fn zlib(data: &[u8]) -> Vec<u8> {
    let (a, b) = data.iter().fold((1_u32, 0_u32), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    [&[0x78, 0x9c], deflate(data).as_slice(), &((b << 16) | a).to_be_bytes()].concat()
}

/// RFC 1952.
pub(super) fn gzip(data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes();
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let crc = crc32fast::hash(data).to_le_bytes();
    [head.as_slice(), &deflate(data), &crc, &length].concat()
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    /// Appends `count` bits, the lowest first.
    fn push(&mut self, value: u32, count: u32) {
        for at in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= u8::from(value >> at & 1 == 1) << (self.used % 8);
            }
            self.used += 1;
        }
    }

    /// Appends a Huffman code: the highest bit first.
    fn code(&mut self, code: u32, count: u32) {
        self.push(code.reverse_bits() >> (32 - count), count);
    }

    /// The fixed code of a literal or length symbol.
    fn symbol(&mut self, symbol: u32) {
        match symbol {
            0..=143 => self.code(0x30 + symbol, 8),
            144..=255 => self.code(0x190 + symbol - 144, 9),
            256..=279 => self.code(symbol - 256, 7),
            _ => self.code(0xc0 + symbol - 280, 8),
        }
    }
}

fn fixed(data: &[u8], bits: &mut Bits) {
    bits.push(0b011, 3);
    let mut at = 0;
    while at < data.len() {
        bits.symbol(u32::from(data[at]));
        let same = data[at + 1..].iter().take_while(|&&byte| byte == data[at]).count();
        at += 1;
        // Length 258 alone: symbol 285, no extra bits, distance code 0.
        for _ in 0..same / 258 {
            bits.symbol(285);
            bits.code(0, 5);
            at += 258;
        }
    }
    bits.symbol(256);
}

/// `length` times `byte`: symbol 285 takes one bit, the distance another.
fn run(byte: u8, length: usize, bits: &mut Bits) {
    // The code lengths that follow use 0, 1, 2, 17 and 18; their own lengths are 2, 2, 2, 3, 3,
    // in the order 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1.
    bits.push(0b101, 3);
    bits.push(29, 5);
    bits.push(0, 5);
    bits.push(14, 4);
    for own in [0, 3, 3, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2] {
        bits.push(own, 3);
    }
    zeros(usize::from(byte), bits);
    bits.code(0b10, 2);
    zeros(255 - usize::from(byte), bits);
    bits.code(0b10, 2);
    zeros(28, bits);
    bits.code(0b01, 2);
    bits.code(0b01, 2);
    // Codes: 285 is 0, the byte 10, the end 11.
    bits.code(0b10, 2);
    for _ in 0..(length - 1) / 258 {
        bits.push(0, 2);
    }
    for _ in 0..(length - 1) % 258 {
        bits.code(0b10, 2);
    }
    bits.code(0b11, 2);
}

/// So many symbols of code length zero.
fn zeros(mut count: usize, bits: &mut Bits) {
    while count > 0 {
        let (chunk, code, extra) = match count {
            11.. => (count.min(138), 0b111, 7),
            3.. => (count, 0b110, 3),
            _ => (1, 0, 0),
        };
        let base = if extra == 7 { 11 } else { 3 };
        if extra == 0 {
            bits.code(0, 2);
        } else {
            bits.code(code, 3);
            bits.push(u32::try_from(chunk - base).unwrap_or(0), extra);
        }
        count -= chunk;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn an_inflater_gives_the_bytes_back() {
        let mixed: Vec<u8> = (0..=255).chain([7; 700]).chain(*b"end").collect();
        let zeros = vec![0; 100_000];
        let last = vec![0xff; 2_000];
        for data in [&b""[..], b"a", &mixed, &zeros, &last] {
            let mut inflated = Vec::new();
            flate2::read::DeflateDecoder::new(&deflate(data)[..])
                .read_to_end(&mut inflated)
                .unwrap();
            assert!(inflated == data);
            inflated.clear();
            flate2::read::ZlibDecoder::new(&zlib(data)[..]).read_to_end(&mut inflated).unwrap();
            assert!(inflated == data);
            inflated.clear();
            flate2::read::GzDecoder::new(&gzip(data)[..]).read_to_end(&mut inflated).unwrap();
            assert!(inflated == data);
        }
        assert!(deflate(&zeros).len() * 500 < zeros.len());
    }
}
