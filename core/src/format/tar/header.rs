//! One 512-byte tar header (POSIX.1-2017 "ustar Interchange Format"; GNU tar "Basic Tar
//! Format"), read as `TarInfo.frombuf` reads it.

use super::audit::{AnomalyKind, Faults};
use super::{Extensions, TarError, TarErrorKind, numeric, slice};

/// The unit of a tar archive.
pub(super) const BLOCK: u64 = 512;
/// The first size that eleven octal digits cannot hold: 8 GiB.
const OCTAL_LIMIT: u64 = 1 << 33;

/// The block at `offset`, when it is whole.
pub(super) fn block_at(bytes: &[u8], offset: u64) -> Option<&[u8; 512]> {
    slice(bytes, offset, BLOCK)?.try_into().ok()
}

/// A size rounded up to whole blocks.
pub(super) fn padded(size: u64) -> u64 {
    size.checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX)
}

/// The bytes before the first NUL.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// A member's name. A ustar header splits long names in two; extension headers do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// The part before the slash, of a split name; empty otherwise.
    pub prefix: &'a [u8],
    /// The name, or the part after the slash.
    pub rest: &'a [u8],
}

impl<'a> Name<'a> {
    /// The name's bytes, joined.
    pub fn bytes(&self) -> impl Iterator<Item = u8> + 'a {
        let slash: &[u8] = if self.prefix.is_empty() { b"" } else { b"/" };
        self.prefix.iter().chain(slash).chain(self.rest).copied()
    }

    /// Whether the name is `other`.
    pub fn equals(&self, other: &[u8]) -> bool {
        self.bytes().eq(other.iter().copied())
    }

    /// The name in one piece, when it is not split.
    pub fn whole(&self) -> Option<&'a [u8]> {
        self.prefix.is_empty().then_some(self.rest)
    }

    /// Whether the name marks a folder.
    pub fn ends_with_slash(&self) -> bool {
        self.rest.ends_with(b"/") || (self.rest.is_empty() && !self.prefix.is_empty())
    }
}

/// What a number field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Value(u64),
    Negative,
    Invalid,
}

/// Reads a number field: octal digits, or base 256 when the first byte is `0x80` (`0xff` for a
/// negative number). Python's `int` would also take signs, underscores and `0o`; no writer
/// does that, and GNU tar reads something else, so they are no numbers here.
pub(super) fn number(field: &[u8]) -> Number {
    match field {
        [0x80, rest @ ..] => {
            let value = rest.iter().try_fold(0_u64, |value, &byte| {
                Some(value.checked_mul(256)?.saturating_add(u64::from(byte)))
            });
            value.map_or(Number::Invalid, Number::Value)
        }
        [0xff, ..] => Number::Negative,
        _ => {
            let digits = text(field).trim_ascii();
            let value = digits.iter().try_fold(0_u64, |value, &byte| match byte {
                b'0'..=b'7' => {
                    value.checked_mul(8)?.checked_add(u64::from(byte.saturating_sub(b'0')))
                }
                _ => None,
            });
            value.map_or(Number::Invalid, Number::Value)
        }
    }
}

/// One header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header<'a> {
    pub(super) offset: u64,
    pub(super) typeflag: u8,
    pub(super) size: u64,
    pub(super) own_name: &'a [u8],
    pub(super) prefix: &'a [u8],
    pub(super) link_name: &'a [u8],
    pub(super) sparse_more: bool,
    posix: bool,
}

impl<'a> Header<'a> {
    /// Reads the block that is at `offset` in the file. Every number that `tarfile` parses has
    /// to be one, since it ends the archive where one is not.
    pub(super) fn parse(block: &'a [u8; 512], offset: u64) -> Result<Self, TarError> {
        let broken = TarError::new(TarErrorKind::Checksum, offset);
        let field = |start: usize, end: usize| block.get(start..end).unwrap_or_default();
        match number(field(148, 156)) {
            Number::Value(sum)
                if i64::try_from(sum).is_ok_and(|sum| checksum_matches(block, sum)) => {}
            _ => return Err(broken),
        }
        // mode, uid, gid, mtime, devmajor, devminor: negative times are allowed.
        for (start, end) in [(100, 108), (108, 116), (116, 124), (136, 148), (329, 337), (337, 345)]
        {
            if number(field(start, end)) == Number::Invalid {
                return Err(TarError::new(TarErrorKind::Number, offset));
            }
        }
        let size = numeric(number(field(124, 136)), offset)?;
        Ok(Self { size, ..Self::unchecked(block, offset) })
    }

    /// The fields of a block that has been checked before, without its size.
    pub(super) fn unchecked(block: &'a [u8; 512], offset: u64) -> Self {
        let field = |start: usize, end: usize| block.get(start..end).unwrap_or_default();
        Self {
            offset,
            typeflag: field(156, 157).first().copied().unwrap_or(0),
            size: 0,
            own_name: text(field(0, 100)),
            prefix: text(field(345, 500)),
            link_name: text(field(157, 257)),
            sparse_more: field(482, 483) != [0],
            posix: field(257, 263) == b"ustar\0",
        }
    }

    /// The member's name, and what is odd about how it came to be.
    pub(super) fn name(&self, extensions: &Extensions<'a>, faults: &mut Faults) -> Name<'a> {
        // tarfile joins the prefix whatever the magic says, unless the type is GNU's own;
        // GNU and v7 headers keep other things there.
        let gnu = matches!(self.typeflag, b'L' | b'K' | b'S');
        let own = Name { prefix: if gnu { b"" } else { self.prefix }, rest: self.own_name };
        if !own.prefix.is_empty() && !self.posix {
            faults.add(AnomalyKind::PrefixWithoutUstar);
        }
        let Some(extended) = extensions.path.or(extensions.long_name) else {
            return own;
        };
        // Honest writers extend a name only when it does not fit the header: 100 bytes, or not
        // ASCII in pax. A short one that differs is there for somebody to see the other.
        let needed = extended.len() >= 100 || !extended.is_ascii();
        if !needed && !own.equals(extended) {
            faults.add(AnomalyKind::NamesDisagree);
        }
        Name { prefix: b"", rest: extended }
    }

    /// A pax size that replaces another one is honest only when the header cannot hold it.
    pub(super) fn size_faults(&self, pax: Option<u64>, faults: &mut Faults) {
        if let Some(size) = pax
            && size != self.size
            && !(size >= OCTAL_LIMIT && self.size == 0)
        {
            faults.add(AnomalyKind::PaxSize);
        }
    }
}

/// Without the white space that Python's `str.strip` takes off ASCII text.
fn python_strip(text: &[u8]) -> &[u8] {
    let inner = |byte: &u8| !matches!(byte, b' ' | 0x09..=0x0d | 0x1c..=0x1f);
    let start = text.iter().position(inner).unwrap_or(text.len());
    let end = text.iter().rposition(inner).map_or(start, |last| last.saturating_add(1));
    text.get(start..end).unwrap_or_default()
}

/// Whether a block's checksum is right, its number read as Python's `nti` reads it: with white
/// space, a sign, a prefix and underscores, or in base 256; a sum of signed bytes may be negative.
pub(super) fn sums_up(block: &[u8; 512]) -> bool {
    let field = block.get(148..156).unwrap_or_default();
    let sum = match (number(field), field) {
        (Number::Value(sum), _) => i64::try_from(sum).ok(),
        (Number::Negative, [_, rest @ ..]) => rest
            .iter()
            .try_fold(-1_i64, |sum, &byte| sum.checked_mul(256)?.checked_add(i64::from(byte))),
        _ => python_int(text(field)),
    };
    sum.is_some_and(|sum| checksum_matches(block, sum))
}

/// Octal digits as Python's `int(…, 8)` reads them, or a few that it would refuse.
fn python_int(field: &[u8]) -> Option<i64> {
    let digits = python_strip(field);
    let negative = digits.strip_prefix(b"-");
    let digits = negative.or(digits.strip_prefix(b"+")).unwrap_or(digits);
    let digits = digits.strip_prefix(b"0o").or(digits.strip_prefix(b"0O")).unwrap_or(digits);
    let value = digits.iter().filter(|&&byte| byte != b'_').try_fold(0_i64, |sum, &byte| {
        sum.checked_mul(8)?.checked_add(char::from(byte).to_digit(8)?.into())
    })?;
    if negative.is_some() { value.checked_neg() } else { Some(value) }
}

/// The sum of all bytes with the checksum field taken as spaces; some old writers sum signed
/// bytes, and `tarfile` and GNU tar take either.
fn checksum_matches(block: &[u8; 512], sum: i64) -> bool {
    let mut unsigned = 0_i64;
    let mut signed = 0_i64;
    for (at, &byte) in block.iter().enumerate() {
        let byte = if (148..156).contains(&at) { b' ' } else { byte };
        unsigned = unsigned.saturating_add(i64::from(byte));
        signed = signed.saturating_add(i64::from(i8::from_le_bytes([byte])));
    }
    sum == unsigned || sum == signed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(number(b"0000017\0"), Number::Value(15));
        assert_eq!(number(b"   17 \0\0"), Number::Value(15));
        assert_eq!(number(b"17\x0099999"), Number::Value(15));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Number::Value(0));
        assert_eq!(number(b"\x80\0\0\0\0\0\0\x01\0\0\0\0"), Number::Value(1 << 32));
        assert_eq!(number(b"\x80\x01\0\0\0\0\0\0\0\0\0\0"), Number::Invalid);
        assert_eq!(number(b"\xff\xff\xff\xff"), Number::Negative);
        for odd in [&b"-1"[..], b"+1", b"0o1", b"1_0", b"8", b"1 1", b"\x81\x01"] {
            assert_eq!(number(odd), Number::Invalid, "{odd:?}");
        }
    }

    #[test]
    fn padding() {
        assert_eq!(padded(0), 0);
        assert_eq!(padded(1), 512);
        assert_eq!(padded(512), 512);
        assert_eq!(padded(u64::MAX), u64::MAX);
    }
}
