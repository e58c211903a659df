//! Indexes: which other files hold the weights.

use super::path::stays_inside;
use super::{Kind, LONGEST, Walk};
use crate::format::event::{Event, External};
use crate::json::{JsonError, Reader, Str, Token};

impl<'a> Walk<'a, '_> {
    /// `weight_map`: which shard each tensor is in.
    pub(super) fn weight_map(&mut self) -> Result<(), JsonError> {
        let token = self.reader.token()?;
        let start = self.reader.start();
        if token != Some(Token::ObjectStart) {
            self.at(Kind::ShardName, start, b"weight_map");
            return self.pass(token);
        }
        let mut last: Option<Str<'a>> = None;
        while let Some(key) = self.reader.key()? {
            let token = self.reader.token()?;
            match token {
                // Writers list the tensors of a shard one behind the other.
                Some(Token::String(shard)) if last.is_some_and(|last| last.means(&shard)) => {}
                Some(Token::String(shard)) => {
                    self.shard(&shard, None);
                    last = Some(shard);
                }
                token => {
                    self.at(Kind::ShardName, key.offset(), key.raw().as_bytes());
                    self.pass(token)?;
                }
            }
        }
        Ok(())
    }

    /// `weightsManifest`: groups of files, and of the weights that are in them in a row.
    pub(super) fn manifest(&mut self) -> Result<(), JsonError> {
        let token = self.reader.token()?;
        if token != Some(Token::ArrayStart) {
            let start = self.reader.start();
            self.at(Kind::ShardName, start, b"weightsManifest");
            return self.pass(token);
        }
        loop {
            match self.reader.token()? {
                Some(Token::ObjectStart) => self.group()?,
                Some(Token::ArrayEnd) | None => return Ok(()),
                token => self.pass(token)?,
            }
        }
    }

    fn group(&mut self) -> Result<(), JsonError> {
        // The number of bytes may stand behind the names of the files.
        let length = group_bytes(self.reader.clone())?;
        while let Some(key) = self.reader.key()? {
            if key == "paths" {
                self.paths(length)?;
            } else {
                self.value(false)?;
            }
        }
        Ok(())
    }

    fn paths(&mut self, length: Option<u64>) -> Result<(), JsonError> {
        let token = self.reader.token()?;
        if token != Some(Token::ArrayStart) {
            let start = self.reader.start();
            self.at(Kind::ShardName, start, b"paths");
            return self.pass(token);
        }
        // Where there are several, how much is in each is the writer's choice.
        let mut ahead = self.reader.clone();
        ahead.token()?;
        let single = ahead.token()? == Some(Token::ArrayEnd);
        loop {
            match self.reader.token()? {
                Some(Token::String(path)) => {
                    self.shard(&path, length.filter(|_| single));
                }
                Some(Token::ArrayEnd) | None => return Ok(()),
                token => {
                    let start = self.reader.start();
                    self.at(Kind::ShardName, start, b"paths");
                    self.pass(token)?;
                }
            }
        }
    }

    /// The folder of a module: its files are opened.
    pub(super) fn folder(&mut self, string: &Str<'a>) {
        let mut buffer = [0; LONGEST];
        let inside = string.text(&mut buffer).is_some_and(|p| p.is_empty() || stays_inside(p));
        if !inside {
            self.at(Kind::Shard, string.offset(), string.raw().as_bytes());
        }
    }

    fn shard(&mut self, string: &Str<'a>, length: Option<u64>) {
        let mut buffer = [0; LONGEST];
        match string.text(&mut buffer) {
            Some(location) if stays_inside(location) => {
                (self.sink)(Event::External(External { location, offset: 0, length }));
            }
            _ => self.at(Kind::Shard, string.offset(), string.raw().as_bytes()),
        }
    }

    /// Reads over the rest of a value whose first token was read.
    fn pass(&mut self, token: Option<Token<'a>>) -> Result<(), JsonError> {
        match token {
            Some(Token::ObjectStart | Token::ArrayStart) => self.reader.leave(),
            _ => Ok(()),
        }
    }
}

/// How many bytes the weights of a group take, where each one says so.
fn group_bytes(mut reader: Reader<'_>) -> Result<Option<u64>, JsonError> {
    let mut total = None;
    while let Some(key) = reader.key()? {
        if key != "weights" {
            reader.skip_value()?;
            continue;
        }
        if reader.token()? != Some(Token::ArrayStart) {
            return Ok(None);
        }
        let mut sum = Some(0_u64);
        while reader.token()? == Some(Token::ObjectStart) {
            let weight = weight_bytes(&mut reader)?;
            sum = sum.zip(weight).and_then(|(sum, weight)| sum.checked_add(weight));
        }
        total = sum;
    }
    Ok(total)
}

/// How many bytes one weight takes. A quantised one is stored as the type of its quantisation.
fn weight_bytes(reader: &mut Reader<'_>) -> Result<Option<u64>, JsonError> {
    let (mut count, mut size, mut stored) = (None, None, None);
    while let Some(key) = reader.key()? {
        if key == "shape" {
            count = extents(reader)?;
        } else if key == "dtype" {
            size = element(reader)?;
        } else if key == "quantization" {
            stored = quantised(reader)?;
        } else {
            reader.skip_value()?;
        }
    }
    Ok(count.zip(stored.or(size)).and_then(|(count, size): (u64, u64)| count.checked_mul(size)))
}

/// The product of a shape.
fn extents(reader: &mut Reader<'_>) -> Result<Option<u64>, JsonError> {
    if !starts(reader, Token::ArrayStart)? {
        return Ok(None);
    }
    let mut product = Some(1_u64);
    loop {
        let extent = match reader.token()? {
            Some(Token::ArrayEnd) | None => return Ok(product),
            Some(Token::Number(number)) => number.as_u64(),
            Some(Token::ObjectStart | Token::ArrayStart) => {
                reader.leave()?;
                None
            }
            Some(_) => None,
        };
        product = product.zip(extent).and_then(|(product, extent)| product.checked_mul(extent));
    }
}

/// Bytes of an element as it is stored, where a quantisation says so.
fn quantised(reader: &mut Reader<'_>) -> Result<Option<u64>, JsonError> {
    let mut size = None;
    if starts(reader, Token::ObjectStart)? {
        while let Some(key) = reader.key()? {
            if key == "dtype" {
                size = element(reader)?;
            } else {
                reader.skip_value()?;
            }
        }
    }
    Ok(size)
}

/// Whether the next value is of this container, which is then open; any other one is read over.
fn starts(reader: &mut Reader<'_>, container: Token<'_>) -> Result<bool, JsonError> {
    let token = reader.token()?;
    let expected = token == Some(container);
    if !expected && matches!(token, Some(Token::ObjectStart | Token::ArrayStart)) {
        reader.leave()?;
    }
    Ok(expected)
}

/// Bytes of an element; strings have none that could be told.
fn element(reader: &mut Reader<'_>) -> Result<Option<u64>, JsonError> {
    const SIZES: [(&str, u64); 7] = [
        ("float32", 4),
        ("int32", 4),
        ("complex64", 8),
        ("float16", 2),
        ("uint16", 2),
        ("uint8", 1),
        ("bool", 1),
    ];
    Ok(match reader.token()? {
        Some(Token::String(name)) => {
            SIZES.iter().find(|(known, _)| name == *known).map(|&(_, size)| size)
        }
        Some(Token::ObjectStart | Token::ArrayStart) => {
            reader.leave()?;
            None
        }
        _ => None,
    })
}
