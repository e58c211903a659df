//! A small LZMA encoder whose output never changes.
//!
//! It knows literals, runs of one byte as matches at distance one, and nothing else: enough to
//! make streams that real decoders read, and bombs. The range coder and the trees of
//! probabilities are those of the LZMA specification (7-Zip, `lzma-specification.txt`); a
//! literal's context is three bits of the byte before it, a position's two bits, as every
//! encoder has them by default.

/// `lc=3 lp=0 pb=2`, the properties of nearly every stream there is.
pub(super) const PROPERTIES: u8 = 0x5d;

const LITERAL_CONTEXT: u32 = 3;
const POSITION_MASK: usize = 3;
const HALF: u16 = 1 << 10;
const LONGEST: usize = 273;

/// The raw stream, without an end mark.
pub(super) fn raw(data: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    let mut at = 0;
    while at < data.len() {
        let run = match at.checked_sub(1).map(|before| data[before]) {
            Some(before) => {
                let same = data[at..].iter().take(LONGEST).take_while(|&&byte| byte == before);
                same.count()
            }
            None => 0,
        };
        if run >= 2 {
            let length = run.min(LONGEST);
            encoder.run(at, length);
            at += length;
        } else {
            encoder.literal(data, at);
            at += 1;
        }
    }
    encoder.range.finish()
}

/// The old file format: properties, dictionary size, size, stream.
pub(super) fn alone(data: &[u8], dictionary: u32) -> Vec<u8> {
    let size = u64::try_from(data.len()).unwrap_or(u64::MAX).to_le_bytes();
    [&[PROPERTIES], &dictionary.to_le_bytes()[..], &size, &raw(data)].concat()
}

struct Encoder {
    range: Range,
    state: usize,
    is_match: [[u16; 4]; 12],
    is_rep: [u16; 12],
    literals: Vec<u16>,
    long: [u16; 2],
    low: [[u16; 8]; 4],
    middle: [[u16; 8]; 4],
    high: [u16; 256],
    slots: [[u16; 64]; 4],
}

impl Encoder {
    fn new() -> Self {
        Self {
            range: Range::new(),
            state: 0,
            is_match: [[HALF; 4]; 12],
            is_rep: [HALF; 12],
            literals: vec![HALF; 0x300 << LITERAL_CONTEXT],
            long: [HALF; 2],
            low: [[HALF; 8]; 4],
            middle: [[HALF; 8]; 4],
            high: [HALF; 256],
            slots: [[HALF; 64]; 4],
        }
    }

    fn literal(&mut self, data: &[u8], at: usize) {
        let byte = u32::from(data[at]);
        let before = at.checked_sub(1).map_or(0, |before| data[before]);
        self.range.bit(&mut self.is_match[self.state][at & POSITION_MASK], 0);
        let start = 0x300 * usize::from(before >> (8 - LITERAL_CONTEXT));
        let tree = &mut self.literals[start..start + 0x300];
        let mut symbol = 1;
        // Behind a match, the byte at the match's distance is part of the context until the
        // first bit that differs; the distance is one here.
        let mut matched = self.state >= 7;
        for shift in (0..8).rev() {
            let bit = byte >> shift & 1;
            let offset = if matched {
                let other = u32::from(before) >> shift & 1;
                matched = other == bit;
                0x100 + usize::from(other == 1) * 0x100
            } else {
                0
            };
            self.range.bit(&mut tree[offset + symbol], bit);
            symbol = symbol * 2 + usize::from(bit == 1);
        }
        self.state = match self.state {
            0..=3 => 0,
            4..=9 => self.state - 3,
            _ => self.state - 6,
        };
    }

    /// A match at distance one.
    fn run(&mut self, at: usize, length: usize) {
        let position = at & POSITION_MASK;
        self.range.bit(&mut self.is_match[self.state][position], 1);
        self.range.bit(&mut self.is_rep[self.state], 0);
        let rest = length - 2;
        match rest {
            0..=7 => {
                self.range.bit(&mut self.long[0], 0);
                self.range.tree(&mut self.low[position], rest, 3);
            }
            8..=15 => {
                self.range.bit(&mut self.long[0], 1);
                self.range.bit(&mut self.long[1], 0);
                self.range.tree(&mut self.middle[position], rest - 8, 3);
            }
            _ => {
                self.range.bit(&mut self.long[0], 1);
                self.range.bit(&mut self.long[1], 1);
                self.range.tree(&mut self.high, rest - 16, 8);
            }
        }
        self.range.tree(&mut self.slots[rest.min(3)], 0, 6);
        self.state = if self.state < 7 { 7 } else { 10 };
    }
}

struct Range {
    low: u64,
    range: u32,
    cache: u8,
    pending: u64,
    bytes: Vec<u8>,
}

impl Range {
    fn new() -> Self {
        Self { low: 0, range: u32::MAX, cache: 0, pending: 1, bytes: Vec::new() }
    }

    fn bit(&mut self, probability: &mut u16, bit: u32) {
        let bound = (self.range >> 11) * u32::from(*probability);
        if bit == 0 {
            self.range = bound;
            *probability += (2048 - *probability) >> 5;
        } else {
            self.low += u64::from(bound);
            self.range -= bound;
            *probability -= *probability >> 5;
        }
        while self.range < 1 << 24 {
            self.range <<= 8;
            self.shift();
        }
    }

    fn tree(&mut self, tree: &mut [u16], value: usize, bits: u32) {
        let mut symbol = 1;
        for shift in (0..bits).rev() {
            let bit = value >> shift & 1;
            self.bit(&mut tree[symbol], u32::from(bit == 1));
            symbol = symbol * 2 + bit;
        }
    }

    fn shift(&mut self) {
        if self.low < 0xff00_0000 || self.low > u64::from(u32::MAX) {
            let carry = u8::from(self.low > u64::from(u32::MAX));
            let mut byte = self.cache;
            for _ in 0..self.pending {
                self.bytes.push(byte.wrapping_add(carry));
                byte = 0xff;
            }
            self.pending = 0;
            self.cache = self.low.to_le_bytes()[3];
        }
        self.pending += 1;
        self.low = (self.low & 0x00ff_ffff) << 8;
    }

    fn finish(mut self) -> Vec<u8> {
        for _ in 0..5 {
            self.shift();
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_decoder_gives_the_bytes_back() {
        let mixed: Vec<u8> = (0..=255).chain([7; 700]).chain(*b"end").chain([0; 9]).collect();
        let repeated = mixed.repeat(9);
        let zeros = vec![0; 1_000_000];
        for data in [&b""[..], b"a", b"aab", &mixed, &repeated, &zeros] {
            let packed = alone(data, 1 << 20);
            let mut reader =
                lzma_rust2::LzmaReader::new_mem_limit(&packed[..], u32::MAX, None).unwrap();
            let mut unpacked = Vec::new();
            reader.read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == data, "{} bytes", data.len());
        }
        assert!(raw(&zeros).len() * 500 < zeros.len());
    }
}
