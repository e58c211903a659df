//! Strings and numbers as they are spelled, and what they mean.

use core::cmp::Ordering;

/// A string, as it is spelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Str<'a> {
    raw: &'a str,
    offset: u64,
    escaped: bool,
}

impl<'a> Str<'a> {
    /// A string that the reader has checked.
    pub(super) const fn new(raw: &'a str, offset: u64, escaped: bool) -> Self {
        Self { raw, offset, escaped }
    }

    /// What stands between the quotes, escapes and all.
    #[must_use]
    pub const fn raw(&self) -> &'a str {
        self.raw
    }

    /// Where the first byte behind the opening quote is in the text.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether no character of it is escaped, so that [`Str::raw`] is what it means.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        !self.escaped
    }

    /// The characters that it means.
    #[must_use]
    pub fn chars(&self) -> Chars<'a> {
        Chars { raw: self.raw.chars() }
    }

    /// Whether it means the same as another one, however the two are spelled.
    #[must_use]
    pub fn means(&self, other: &Str<'_>) -> bool {
        self.compare(other).is_eq()
    }

    /// The order of what the two mean, by code points: equal however they are spelled.
    #[must_use]
    pub fn compare(&self, other: &Str<'_>) -> Ordering {
        if self.is_plain() && other.is_plain() {
            self.raw.cmp(other.raw)
        } else {
            self.chars().cmp(other.chars())
        }
    }

    /// What it means, as bytes: the text itself where nothing is escaped, else written into
    /// `buffer`. Nothing where it does not fit.
    pub fn text<'b>(&self, buffer: &'b mut [u8]) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        if self.is_plain() {
            return Some(self.raw.as_bytes());
        }
        let mut length = 0_usize;
        for character in self.chars() {
            let end = length.checked_add(character.len_utf8())?;
            character.encode_utf8(buffer.get_mut(length..end)?);
            length = end;
        }
        buffer.get(..length)
    }
}

impl PartialEq<str> for Str<'_> {
    #[inline]
    fn eq(&self, other: &str) -> bool {
        if self.is_plain() { self.raw == other } else { self.chars().eq(other.chars()) }
    }
}

impl PartialEq<&str> for Str<'_> {
    #[inline]
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

/// The characters that a string means.
#[derive(Clone, Debug)]
pub struct Chars<'a> {
    raw: core::str::Chars<'a>,
}

impl Chars<'_> {
    fn hexadecimal(&mut self) -> u32 {
        let digits = self.raw.by_ref().take(4).map(|digit| digit.to_digit(16).unwrap_or(0));
        digits.fold(0, |value, digit| value.wrapping_shl(4) | digit)
    }
}

impl Iterator for Chars<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let character = self.raw.next()?;
        if character != '\\' {
            return Some(character);
        }
        Some(match self.raw.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let first = self.hexadecimal();
                let mut ahead = self.clone();
                let pair = (0xd800..0xdc00).contains(&first)
                    && ahead.raw.next() == Some('\\')
                    && ahead.raw.next() == Some('u');
                let second = if pair { ahead.hexadecimal() } else { 0 };
                let code = if (0xdc00..0xe000).contains(&second) {
                    *self = ahead;
                    0x1_0000_u32.wrapping_add((first & 0x3ff) << 10 | second & 0x3ff)
                } else {
                    first
                };
                // Half a pair is no character; only a lenient reader lets it pass.
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            other => other,
        })
    }
}

/// A number, as it is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number<'a> {
    raw: &'a str,
    offset: u64,
}

impl<'a> Number<'a> {
    /// A number that the reader has checked.
    pub(super) const fn new(raw: &'a str, offset: u64) -> Self {
        Self { raw, offset }
    }

    /// The number's own spelling.
    #[must_use]
    pub const fn raw(&self) -> &'a str {
        self.raw
    }

    /// Where it starts in the text.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Its value where it is a whole number of 64 bits and not negative. Like `serde_json`, this
    /// does not take `1.0`, `1e3` or `-0` for whole numbers.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        self.raw.parse().ok()
    }

    /// Its value where it is a whole number that 64 bits and a sign hold.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        self.raw.parse().ok().filter(|_| self.raw != "-0")
    }
}
