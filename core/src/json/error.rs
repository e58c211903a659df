//! What makes a text no JSON.

use core::fmt;

/// Why a text is no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// What is wrong.
    pub kind: JsonErrorKind,
    /// Where, counted from the start of the text.
    pub offset: u64,
}

/// The ways in which a text can be no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JsonErrorKind {
    /// The text ends before the value does.
    End,
    /// Something else stands where a value has to.
    Value,
    /// Something else stands where a key has to.
    Key,
    /// No colon behind a key.
    Colon,
    /// Neither a comma nor the end of the object or array.
    Comma,
    /// A number that the grammar does not know.
    Number,
    /// A number that no double holds.
    Range,
    /// A backslash before something that is not escaped.
    Escape,
    /// Half of a surrogate pair.
    Surrogate,
    /// A control character inside a string.
    Control,
    /// Bytes that are not UTF-8 inside a string.
    Utf8,
    /// Objects and arrays nest deeper than readers follow.
    Depth,
    /// Something follows the value.
    Trailing,
}

impl JsonErrorKind {
    /// One sentence, lower case.
    pub const fn message(self) -> &'static str {
        match self {
            Self::End => "the JSON text ends too early",
            Self::Value => "the JSON text has no value where one is due",
            Self::Key => "a JSON object has something else than a string for a key",
            Self::Colon => "a JSON key is not followed by a colon",
            Self::Comma => "a JSON value is followed by neither a comma nor an end",
            Self::Number => "a JSON number is misspelled",
            Self::Range => "a JSON number is out of range",
            Self::Escape => "a JSON string has an escape that is none",
            Self::Surrogate => "a JSON string has half a surrogate pair",
            Self::Control => "a JSON string has a bare control character",
            Self::Utf8 => "a JSON string is not UTF-8",
            Self::Depth => "the JSON text nests too deep",
            Self::Trailing => "something follows the JSON value",
        }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.kind.message(), self.offset)
    }
}

impl core::error::Error for JsonError {}
