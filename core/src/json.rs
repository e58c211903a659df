//! JSON (RFC 8259): a pull reader that accepts exactly what `serde_json` accepts.
//!
//! safetensors headers are read by `serde_json`, so its answer decides there what a file says. The
//! reader hands out tokens that borrow from the
//! text, holds one bit for each open container, and needs no heap.
//!
//! [`Reader::lenient`] takes what Python's and JavaScript's readers take besides: configurations are
//! loaded by those, and what they load has to be judged.
//!
//! What it refuses to do: build values, decide what a repeated key means, or convert a number
//! that the caller did not ask for. Duplicate keys are handed out as they come, because two
//! readers of JSON rarely agree about them and the caller has to know.
//!
//! Source: `serde_json` 1.0 with its default features, `src/de.rs` (`parse_any_number`,
//! `f64_from_parts`, `check_recursion`) and `src/read.rs` (`parse_escape`); a test in
//! `core/tests/json.rs` holds the two together.

mod error;
mod text;

use core::ops::Range;

pub use error::{JsonError, JsonErrorKind};
pub use text::{Chars, Number, Str};

use crate::limits;

/// One step of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// `{`.
    ObjectStart,
    /// A key, with its colon.
    Key(Str<'a>),
    /// `}`.
    ObjectEnd,
    /// `[`.
    ArrayStart,
    /// `]`.
    ArrayEnd,
    /// A string that is a value.
    String(Str<'a>),
    /// A number.
    Number(Number<'a>),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
}

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Value,
    FirstItem,
    FirstKey,
    AfterValue,
    Done,
    Failed(JsonError),
}

/// A walk through one text.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    start: usize,
    state: State,
    lenient: bool,
    depth: u32,
    /// One bit for each open container, the innermost lowest: set for an object. 127 fit.
    objects: u128,
}

const _: () = assert!(limits::FORMAT_JSON_DEPTH <= u128::BITS, "one bit for each container");

impl<'a> Reader<'a> {
    /// A walk through all of `bytes`, which have to be one value and white space.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        let state = State::Value;
        Self { bytes, at: 0, start: 0, state, lenient: false, depth: 0, objects: 0 }
    }

    /// A walk that takes `NaN`, `Infinity`, numbers of any size, halves of surrogate pairs and a byte
    /// order mark as well, like Python's `json` (`Lib/json/scanner.py`, `decoder.py`, and
    /// `detect_encoding` in `__init__.py`).
    #[must_use]
    pub const fn lenient(bytes: &'a [u8]) -> Self {
        let at = if matches!(bytes, [0xef, 0xbb, 0xbf, ..]) { 3 } else { 0 };
        let strict = Self::new(bytes);
        Self { at, lenient: true, ..strict }
    }

    /// Where the last token starts; after an end of the text, its length.
    #[must_use]
    pub fn start(&self) -> u64 {
        offset(self.start)
    }

    /// Where the last token ends.
    #[must_use]
    pub fn end(&self) -> u64 {
        offset(self.at)
    }

    /// How many objects and arrays are open.
    #[must_use]
    pub const fn depth(&self) -> u32 {
        self.depth
    }

    /// The next token; nothing once the whole text is read, and nothing is left behind it.
    /// After an error it is the same error again.
    pub fn token(&mut self) -> Result<Option<Token<'a>>, JsonError> {
        let token = self.advance();
        if let Err(error) = token {
            self.state = State::Failed(error);
        }
        token
    }

    /// The next key of the innermost object, or nothing where that object ends. The value of the
    /// last key has to be read first; what is no place for a key is left alone, with nothing.
    pub fn key(&mut self) -> Result<Option<Str<'a>>, JsonError> {
        let due = match self.state {
            State::Failed(error) => return Err(error),
            State::FirstKey => true,
            State::AfterValue => self.in_object(),
            _ => false,
        };
        match if due { self.token()? } else { None } {
            Some(Token::Key(key)) => Ok(Some(key)),
            _ => Ok(None),
        }
    }

    /// Reads over one value, whatever it holds, and says where it stands. Where no value is due
    /// it reads over one token: a key, or the end of a container.
    pub fn skip_value(&mut self) -> Result<Range<u64>, JsonError> {
        let depth = self.depth;
        self.token()?;
        let start = self.start();
        while self.depth > depth {
            self.token()?;
        }
        Ok(start..self.end())
    }

    /// Reads to the end of the innermost open container.
    pub fn leave(&mut self) -> Result<(), JsonError> {
        let depth = self.depth;
        while depth > 0 && self.depth >= depth {
            self.token()?;
        }
        Ok(())
    }

    /// Reads all that is left.
    pub fn finish(&mut self) -> Result<(), JsonError> {
        while self.token()?.is_some() {}
        Ok(())
    }

    fn advance(&mut self) -> Result<Option<Token<'a>>, JsonError> {
        self.blanks();
        self.start = self.at;
        let next = self.peek();
        match self.state {
            State::Failed(error) => Err(error),
            State::Done if next.is_none() => Ok(None),
            State::Done => Err(self.error(JsonErrorKind::Trailing)),
            State::Value => self.value().map(Some),
            State::FirstItem if next == Some(b']') => Ok(Some(self.close(Token::ArrayEnd))),
            State::FirstItem => self.value().map(Some),
            State::FirstKey if next == Some(b'}') => Ok(Some(self.close(Token::ObjectEnd))),
            State::FirstKey => self.member().map(Some),
            State::AfterValue => match (next, self.in_object()) {
                (None, _) => Err(self.error(JsonErrorKind::End)),
                (Some(b'}'), true) => Ok(Some(self.close(Token::ObjectEnd))),
                (Some(b']'), false) => Ok(Some(self.close(Token::ArrayEnd))),
                (Some(b','), object) => {
                    self.step();
                    self.blanks();
                    self.start = self.at;
                    if object { self.member().map(Some) } else { self.value().map(Some) }
                }
                _ => Err(self.error(JsonErrorKind::Comma)),
            },
        }
    }

    fn member(&mut self) -> Result<Token<'a>, JsonError> {
        match self.peek() {
            Some(b'"') => {}
            None => return Err(self.error(JsonErrorKind::End)),
            Some(_) => return Err(self.error(JsonErrorKind::Key)),
        }
        let key = self.string()?;
        self.blanks();
        match self.peek() {
            Some(b':') => self.step(),
            None => return Err(self.error(JsonErrorKind::End)),
            Some(_) => return Err(self.error(JsonErrorKind::Colon)),
        }
        self.state = State::Value;
        Ok(Token::Key(key))
    }

    fn value(&mut self) -> Result<Token<'a>, JsonError> {
        let Some(first) = self.peek() else { return Err(self.error(JsonErrorKind::End)) };
        let token = match first {
            b'{' => return self.open(true, State::FirstKey, Token::ObjectStart),
            b'[' => return self.open(false, State::FirstItem, Token::ArrayStart),
            b'"' => Token::String(self.string()?),
            b'-' | b'N' | b'I' if self.lenient && self.constant() => {
                let raw = self.bytes.get(self.start..self.at).unwrap_or_default();
                let raw = core::str::from_utf8(raw).unwrap_or_default();
                Token::Number(Number::new(raw, offset(self.start)))
            }
            b'-' | b'0'..=b'9' => Token::Number(self.number()?),
            b't' => self.literal(b"true", Token::Bool(true))?,
            b'f' => self.literal(b"false", Token::Bool(false))?,
            b'n' => self.literal(b"null", Token::Null)?,
            _ => return Err(self.error(JsonErrorKind::Value)),
        };
        self.ended();
        Ok(token)
    }

    fn open(
        &mut self,
        object: bool,
        state: State,
        token: Token<'a>,
    ) -> Result<Token<'a>, JsonError> {
        // serde_json counts down from the limit and refuses the container that reaches zero.
        let depth = self.depth.saturating_add(1);
        if depth >= limits::FORMAT_JSON_DEPTH {
            return Err(self.error(JsonErrorKind::Depth));
        }
        self.step();
        self.depth = depth;
        self.objects = self.objects << 1 | u128::from(object);
        self.state = state;
        Ok(token)
    }

    fn close(&mut self, token: Token<'a>) -> Token<'a> {
        self.step();
        self.depth = self.depth.saturating_sub(1);
        self.objects >>= 1;
        self.ended();
        token
    }

    /// A value is whole.
    fn ended(&mut self) {
        self.state = if self.depth == 0 { State::Done } else { State::AfterValue };
    }

    const fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }

    fn literal(&mut self, word: &[u8], token: Token<'a>) -> Result<Token<'a>, JsonError> {
        for &expected in word {
            match self.peek() {
                Some(byte) if byte == expected => self.step(),
                None => return Err(self.error(JsonErrorKind::End)),
                Some(_) => return Err(self.error(JsonErrorKind::Value)),
            }
        }
        Ok(token)
    }

    /// A number that is none, as Python spells it, if it is next.
    fn constant(&mut self) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let word = ["NaN", "Infinity", "-Infinity"]
            .into_iter()
            .find(|word| rest.starts_with(word.as_bytes()));
        self.at = self.at.saturating_add(word.map_or(0, str::len));
        word.is_some()
    }

    /// A string whose opening quote is next.
    fn string(&mut self) -> Result<Str<'a>, JsonError> {
        self.step();
        let start = self.at;
        let mut escaped = false;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let plain = rest.iter().position(|&byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
            self.at = self.at.saturating_add(plain.unwrap_or(rest.len()));
            match self.peek() {
                None => return Err(self.error(JsonErrorKind::End)),
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.error(JsonErrorKind::Control)),
            }
        }
        let raw = core::str::from_utf8(self.bytes.get(start..self.at).unwrap_or_default());
        let raw = raw.map_err(|error| JsonError {
            kind: JsonErrorKind::Utf8,
            offset: offset(start.saturating_add(error.valid_up_to())),
        })?;
        self.step();
        Ok(Str::new(raw, offset(start), escaped))
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        let escape = self.at;
        self.step();
        match self.peek() {
            None => return Err(self.error(JsonErrorKind::End)),
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.step(),
            Some(b'u') => {
                self.step();
                let surrogate =
                    JsonError { kind: JsonErrorKind::Surrogate, offset: offset(escape) };
                match self.hexadecimal()? {
                    _ if self.lenient => {}
                    0xdc00..=0xdfff => return Err(surrogate),
                    0xd800..=0xdbff => {
                        if !self.bytes.get(self.at..).unwrap_or_default().starts_with(b"\\u") {
                            return Err(surrogate);
                        }
                        self.step();
                        self.step();
                        if !(0xdc00..=0xdfff).contains(&self.hexadecimal()?) {
                            return Err(surrogate);
                        }
                    }
                    _ => {}
                }
            }
            Some(_) => return Err(self.error(JsonErrorKind::Escape)),
        }
        Ok(())
    }

    fn hexadecimal(&mut self) -> Result<u32, JsonError> {
        let mut value = 0_u32;
        for _ in 0..4 {
            let Some(byte) = self.peek() else { return Err(self.error(JsonErrorKind::End)) };
            let Some(digit) = char::from(byte).to_digit(16) else {
                return Err(self.error(JsonErrorKind::Escape));
            };
            value = value << 4 | digit;
            self.step();
        }
        Ok(value)
    }

    /// A number, and whether a double holds it, worked out as `serde_json` does: what does not
    /// fit 64 bits counts by its place alone, and the digits behind the point beyond that by
    /// nothing.
    fn number(&mut self) -> Result<Number<'a>, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.step();
        }
        let mut significand = 0_u64;
        let mut exponent = 0_i32;
        let mut float = false;
        if self.peek() == Some(b'0') {
            self.step();
            if self.digit().is_some() {
                return Err(self.error(JsonErrorKind::Number));
            }
        } else {
            self.needs_digit()?;
            while let Some(digit) = self.digit() {
                match shifted(significand, digit).filter(|_| !float) {
                    Some(value) => significand = value,
                    None => {
                        float = true;
                        exponent = exponent.saturating_add(1);
                    }
                }
                self.step();
            }
        }
        if self.peek() == Some(b'.') {
            self.step();
            self.needs_digit()?;
            // A number that does not fit already is tried again here, as serde_json does: a zero
            // may fit where a nine did not.
            float = true;
            let mut full = false;
            while let Some(digit) = self.digit() {
                match shifted(significand, digit).filter(|_| !full) {
                    Some(value) => {
                        significand = value;
                        exponent = exponent.saturating_sub(1);
                    }
                    None => full = true,
                }
                self.step();
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.step();
            float = true;
            let negative = self.peek() == Some(b'-');
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.step();
            }
            self.needs_digit()?;
            let mut power = Some(0_i32);
            while let Some(digit) = self.digit() {
                let digit = i32::try_from(digit).unwrap_or(0);
                power = power
                    .and_then(|power| power.checked_mul(10))
                    .and_then(|power| power.checked_add(digit));
                self.step();
            }
            exponent = match power {
                Some(power) if negative => exponent.saturating_sub(power),
                Some(power) => exponent.saturating_add(power),
                None if negative => i32::MIN,
                None => i32::MAX,
            };
        }
        if float && !self.lenient && !is_finite(significand, exponent) {
            return Err(JsonError { kind: JsonErrorKind::Range, offset: offset(start) });
        }
        let raw = core::str::from_utf8(self.bytes.get(start..self.at).unwrap_or_default());
        Ok(Number::new(raw.unwrap_or_default(), offset(start)))
    }

    fn digit(&self) -> Option<u64> {
        let byte = self.peek().filter(u8::is_ascii_digit)?;
        Some(u64::from(byte.wrapping_sub(b'0')))
    }

    fn needs_digit(&self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'0'..=b'9') => Ok(()),
            Some(_) => Err(self.error(JsonErrorKind::Number)),
            None => Err(self.error(JsonErrorKind::End)),
        }
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.step();
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn error(&self, kind: JsonErrorKind) -> JsonError {
        JsonError { kind, offset: offset(self.at) }
    }
}

/// `value` with one more digit, where 64 bits hold it.
fn shifted(value: u64, digit: u64) -> Option<u64> {
    value.checked_mul(10)?.checked_add(digit)
}

/// Whether `serde_json` finds a double for the number.
#[expect(clippy::cast_precision_loss, reason = "serde_json rounds here as well")]
fn is_finite(significand: u64, exponent: i32) -> bool {
    /// The largest power of ten that a double holds.
    const LARGEST: u32 = 308;
    let Ok(exponent) = u32::try_from(exponent) else { return true };
    if significand == 0 {
        return true;
    }
    if exponent > LARGEST {
        return false;
    }
    // The power has to be the double that is nearest to it, as in serde_json's table.
    let mut spelled = *b"1e000";
    let digits = [exponent / 100, exponent / 10 % 10, exponent % 10];
    for (place, digit) in spelled.iter_mut().skip(2).zip(digits) {
        *place = u8::try_from(digit).unwrap_or(0).wrapping_add(b'0');
    }
    let power = core::str::from_utf8(&spelled).ok().and_then(|text| text.parse::<f64>().ok());
    power.is_some_and(|power| (significand as f64 * power).is_finite())
}

fn offset(at: usize) -> u64 {
    u64::try_from(at).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
