//! The description language: text to statements.
//!
//! A script is a sequence of statements, one a line or parted by `;`. A statement is a word,
//! then arguments: words, quoted strings (Python's escapes), `key=value`, and blocks in braces.
//! `#` starts a comment. What the words mean is the business of `assemble`.

use std::rc::Rc;

use anyhow::{Context, Result, bail, ensure};

/// One statement.
#[derive(Debug, PartialEq)]
pub(super) struct Statement {
    pub(super) line: usize,
    pub(super) head: Vec<u8>,
    pub(super) arguments: Vec<Argument>,
}

/// One argument of a statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Argument {
    /// A bare word.
    Word(Vec<u8>),
    /// A quoted string.
    Text(Vec<u8>),
    /// `key=value`, the value quoted or not.
    Named(String, Vec<u8>),
    /// Statements in braces.
    Block(Rc<Vec<Statement>>),
}

/// Parses a whole script.
pub(super) fn parse(text: &str) -> Result<Vec<Statement>> {
    let mut parser = Parser { rest: text.as_bytes(), line: 1 };
    let statements = parser.statements(false)?;
    ensure!(parser.rest.is_empty(), "line {}: a `}}` too many", parser.line);
    Ok(statements)
}

struct Parser<'t> {
    rest: &'t [u8],
    line: usize,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }

    fn statements(&mut self, inside: bool) -> Result<Vec<Statement>> {
        let mut statements = Vec::new();
        loop {
            match self.rest.first() {
                None if inside => bail!("line {}: a block is not closed", self.line),
                None => return Ok(statements),
                Some(b'}') => {
                    if inside {
                        self.next();
                    }
                    return Ok(statements);
                }
                Some(b' ' | b'\t' | b'\r' | b'\n' | b';') => drop(self.next()),
                Some(b'#') => self.comment(),
                Some(_) => statements.push(self.statement()?),
            }
        }
    }

    fn comment(&mut self) {
        while !matches!(self.rest.first(), None | Some(b'\n')) {
            self.next();
        }
    }

    fn statement(&mut self) -> Result<Statement> {
        let line = self.line;
        let head = self.word()?;
        let mut arguments = Vec::new();
        loop {
            match self.rest.first() {
                // A block on the next line belongs to the statement.
                Some(b'\n') if self.rest.trim_ascii_start().starts_with(b"{") => drop(self.next()),
                None | Some(b'\n' | b';' | b'}') => break,
                Some(b' ' | b'\t' | b'\r') => drop(self.next()),
                Some(b'#') => self.comment(),
                Some(_) => arguments.push(self.argument()?),
            }
        }
        Ok(Statement { line, head, arguments })
    }

    fn argument(&mut self) -> Result<Argument> {
        match self.rest.first() {
            Some(b'"') => Ok(Argument::Text(self.quoted()?)),
            Some(b'{') => {
                self.next();
                Ok(Argument::Block(Rc::new(self.statements(true)?)))
            }
            _ => {
                let word = self.word()?;
                let Some(at) = word.iter().position(|&byte| byte == b'=') else {
                    return Ok(Argument::Word(word));
                };
                let key = String::from_utf8(word[..at].to_vec())?;
                let quoted = at + 1 == word.len() && self.rest.first() == Some(&b'"');
                let value = if quoted { self.quoted()? } else { word[at + 1..].to_vec() };
                Ok(Argument::Named(key, value))
            }
        }
    }

    /// A bare word; `${name}` inside it is one piece.
    fn word(&mut self) -> Result<Vec<u8>> {
        let mut word = Vec::new();
        while let Some(&byte) = self.rest.first() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'"' | b'#' | b'}' => break,
                b'{' if word.last() != Some(&b'$') => break,
                b'{' => {
                    while let Some(byte) = self.next() {
                        word.push(byte);
                        if byte == b'}' {
                            break;
                        }
                    }
                }
                _ => {
                    self.next();
                    word.push(byte);
                }
            }
        }
        ensure!(!word.is_empty(), "line {}: a word is missing", self.line);
        Ok(word)
    }

    fn quoted(&mut self) -> Result<Vec<u8>> {
        let line = self.line;
        self.next();
        let mut text = Vec::new();
        loop {
            let byte = self.next().with_context(|| format!("line {line}: an open string"))?;
            match byte {
                b'"' => return Ok(text),
                b'\\' => self.escape(&mut text)?,
                _ => text.push(byte),
            }
        }
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<()> {
        let line = self.line;
        let escape = self.next().with_context(|| format!("line {line}: an open escape"))?;
        match escape {
            b'n' => text.push(b'\n'),
            b'r' => text.push(b'\r'),
            b't' => text.push(b'\t'),
            b'0' => text.push(0),
            b'\\' | b'"' | b'\'' => text.push(escape),
            b'x' => {
                let value = self.hex(2)?;
                text.push(u8::try_from(value)?);
            }
            b'u' => {
                let character = char::from_u32(self.hex(4)?).context("not a character")?;
                text.extend(character.to_string().as_bytes());
            }
            _ => bail!("line {line}: no such escape: \\{}", char::from(escape)),
        }
        Ok(())
    }

    fn hex(&mut self, digits: usize) -> Result<u32> {
        let mut value = 0;
        for _ in 0..digits {
            let digit = self.next().and_then(|byte| char::from(byte).to_digit(16));
            value = value * 16 + digit.with_context(|| format!("line {}: bad hex", self.line))?;
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_have_words_strings_names_and_blocks() {
        let script = parse("A 1 \"b\\x00\" k=v n=\"x y\" { B; C } # note\nD ${i}+1\n").unwrap();
        assert_eq!(script.len(), 2);
        assert_eq!(script[0].arguments[1], Argument::Text(b"b\0".to_vec()));
        assert_eq!(script[0].arguments[2], Argument::Named("k".into(), b"v".to_vec()));
        assert_eq!(script[0].arguments[3], Argument::Named("n".into(), b"x y".to_vec()));
        let Argument::Block(block) = &script[0].arguments[4] else { panic!() };
        assert_eq!(block.len(), 2);
        assert_eq!(script[1].arguments[0], Argument::Word(b"${i}+1".to_vec()));
        assert!(parse("A {").is_err());
        assert!(parse("A }").is_err());
        assert!(parse("A \"").is_err());
    }
}
