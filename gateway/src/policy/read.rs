//! Reading TOML with the place of everything, so that each mistake is told with its line.

use std::ops::Range;

use secure_torch_core::score::Rule;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::date::Date;
use crate::error::{Code, Error};
use crate::text::printable;

/// A policy's text and the name under which its mistakes are told.
#[derive(Clone, Copy)]
pub(super) struct Text<'t> {
    pub(super) path: &'t str,
    pub(super) text: &'t str,
}

/// A value with its place.
pub(super) type Value<'v> = Spanned<DeValue<'v>>;

impl<'t> Text<'t> {
    /// The whole as a table.
    pub(super) fn table(self) -> Result<DeTable<'t>, Error> {
        let table = DeTable::parse(self.text)
            .map_err(|error| self.mistake(error.span().unwrap_or(0..0), error.message().trim()))?;
        Ok(table.into_inner())
    }

    /// The line of a place, from one.
    pub(super) fn line(self, at: usize) -> u32 {
        let before = self.text.get(..at).unwrap_or(self.text);
        u32::try_from(before.matches('\n').count() + 1).unwrap_or(u32::MAX)
    }

    /// A mistake at a place.
    pub(super) fn mistake(self, span: Range<usize>, what: impl AsRef<str>) -> Error {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        let (path, line) = (printable(self.path), self.line(span.start));
        let cause = format!("{path}, line {line}, column {column}: {}", what.as_ref());
        Error::new(Code::Policy, self.path, cause)
    }

    /// Refuses keys that nobody reads: a mistyped `expires` must not last for ever.
    pub(super) fn only(self, table: &DeTable<'_>, known: &[&str]) -> Result<(), Error> {
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let what = format!(
                    "`{}` is no key here; the keys are {}",
                    printable(name),
                    known.join(", ")
                );
                return Err(self.mistake(key.span(), what));
            }
        }
        Ok(())
    }

    fn other(self, value: &Value<'_>, wanted: &str) -> Error {
        let what = format!("{wanted} is wanted, not {}", kind(value.get_ref()));
        self.mistake(value.span(), what)
    }

    pub(super) fn as_table<'v, 'd>(self, value: &'v Value<'d>) -> Result<&'v DeTable<'d>, Error> {
        value.get_ref().as_table().ok_or_else(|| self.other(value, "a table"))
    }

    pub(super) fn as_array<'v, 'd>(self, value: &'v Value<'d>) -> Result<&'v [Value<'d>], Error> {
        let array = value.get_ref().as_array().ok_or_else(|| self.other(value, "a list"))?;
        Ok(array)
    }

    /// Text that says something.
    pub(super) fn as_text<'v>(self, value: &'v Value<'_>) -> Result<&'v str, Error> {
        let text = value.get_ref().as_str().ok_or_else(|| self.other(value, "text"))?;
        if text.trim().is_empty() {
            return Err(self.mistake(value.span(), "the text is empty"));
        }
        Ok(text)
    }

    pub(super) fn as_number(self, value: &Value<'_>) -> Result<u64, Error> {
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
        number.ok_or_else(|| self.other(value, "a whole number from 0 on"))
    }

    pub(super) fn as_date(self, value: &Value<'_>) -> Result<Date, Error> {
        match value.get_ref().as_datetime() {
            Some(toml::value::Datetime { date: Some(date), time: None, offset: None }) => {
                Ok(Date(date.year, date.month, date.day))
            }
            _ => Err(self.other(value, "a day, as in 2027-01-01 and without quotes,")),
        }
    }

    /// A rule that findings may be ignored of.
    pub(super) fn as_rule(self, value: &Value<'_>) -> Result<Rule, Error> {
        let id = self.as_text(value)?;
        let rule = Rule::from_id(id).ok_or_else(|| {
            let what =
                format!("no rule is called `{}`; `secure-torch rules` lists them", printable(id));
            self.mistake(value.span(), what)
        })?;
        match super::file::never_ignored(rule) {
            Some(why) => Err(self.mistake(value.span(), format!("`{id}` is never ignored: {why}"))),
            None => Ok(rule),
        }
    }
}

/// The value of a key, and the key's own place.
pub(super) fn entry<'t, 'd>(
    table: &'t DeTable<'d>,
    name: &str,
) -> Option<(&'t Spanned<DeString<'d>>, &'t Value<'d>)> {
    table.iter().find(|(key, _)| key.get_ref() == name)
}

/// The value of a key.
pub(super) fn value<'t, 'd>(table: &'t DeTable<'d>, name: &str) -> Option<&'t Value<'d>> {
    entry(table, name).map(|(_, value)| value)
}

/// What a value is, in words.
const fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "this number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "this date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
