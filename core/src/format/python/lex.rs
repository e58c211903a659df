//! The tokens of Python source, and of TorchScript source, whose tokens are fewer of the same.
//!
//! It follows `Parser/lexer/lexer.c` of CPython for what ends a comment, a string and a line: a
//! carriage return does, a form feed does not, and a backslash joins lines. An f-string is read as
//! CPython does since 3.12 (PEP 701): its literal parts are text, and what stands in braces are
//! tokens like any others; a source that older versions accept reads the same. It keeps no
//! indentation, since nobody here asks which block a name stands in.
//!
//! It refuses to guess: a string without an end, or a byte that is in no token, ends the walk
//! with [`Kind::Broken`].

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::format) enum Kind {
    /// A name or a keyword.
    Name,
    /// A number.
    Number,
    /// A string without anything to fill in: its text is what stands between the quotes.
    Text,
    /// The start of an f-string, or a literal part of one.
    Template,
    /// An operator or a bracket.
    Operator,
    /// The end of a line that no bracket and no backslash goes on from.
    Line,
    /// Bytes that are no token of Python.
    Broken,
}

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::format) struct Token<'a> {
    pub(in crate::format) kind: Kind,
    pub(in crate::format) at: usize,
    pub(in crate::format) text: &'a [u8],
}

impl Token<'_> {
    pub(in crate::format) fn is(&self, kind: Kind, text: &[u8]) -> bool {
        self.kind == kind && self.text == text
    }
}

/// F-strings inside f-strings, and fields inside the formats of fields: Python's own limit is 150,
/// and people write one or two.
const DEEPEST: usize = 8;

/// A field of an f-string that is open, or the string itself.
#[derive(Clone, Copy, Debug, Default)]
struct Field {
    quote: u8,
    triple: bool,
    raw: bool,
    /// Whether what comes next is literal text, and no token.
    literal: bool,
    /// Whether the literal text is the format of a field, which `}` ends.
    format: bool,
    /// Whether this is a field in the format of another, which ends with its own `}`.
    inner: bool,
    brackets: u32,
}

/// Reads tokens one after another.
#[derive(Clone, Copy, Debug)]
pub(in crate::format) struct Lexer<'a> {
    source: &'a [u8],
    at: usize,
    brackets: u32,
    fields: [Field; DEEPEST],
    depth: usize,
    /// Whether a carriage return is a blank, as in TorchScript, and ends no line.
    script: bool,
    broken: bool,
}

impl<'a> Lexer<'a> {
    pub(in crate::format) fn new(source: &'a [u8]) -> Self {
        let at = if source.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let fields = [Field::default(); DEEPEST];
        Self { source, at, brackets: 0, fields, depth: 0, script: false, broken: false }
    }

    /// The tokens of TorchScript (`torch/csrc/jit/frontend/lexer.h`): every `isspace` but the
    /// newline is a blank, and only the newline ends a comment.
    pub(in crate::format) fn script(source: &'a [u8]) -> Self {
        Self { at: 0, script: true, ..Self::new(source) }
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.source.get(self.at.saturating_add(ahead)).copied()
    }

    fn skip(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }

    fn since(&self, start: usize) -> &'a [u8] {
        self.source.get(start..self.at.min(self.source.len())).unwrap_or_default()
    }

    fn token(&self, kind: Kind, start: usize) -> Token<'a> {
        Token { kind, at: start, text: self.since(start) }
    }

    fn broken(&mut self, start: usize) -> Token<'a> {
        self.broken = true;
        Token { kind: Kind::Broken, at: start, text: self.since(start) }
    }

    fn field(&mut self) -> Option<&mut Field> {
        self.depth.checked_sub(1).and_then(|top| self.fields.get_mut(top))
    }

    /// How many bytes the end of a line takes here, if one is here.
    fn line_end(&self, ahead: usize) -> Option<usize> {
        match (self.byte(ahead), self.byte(ahead.saturating_add(1))) {
            (Some(b'\r'), Some(b'\n')) if !self.script => Some(2),
            (Some(b'\r'), _) if !self.script => Some(1),
            (Some(b'\n'), _) => Some(1),
            _ => None,
        }
    }

    /// Skips blanks, comments and joined lines.
    fn skip_blanks(&mut self) {
        loop {
            match self.byte(0) {
                Some(b' ' | b'\t' | b'\x0c') => self.skip(1),
                Some(b'\r' | b'\x0b') if self.script => self.skip(1),
                Some(b'\\') => match self.line_end(1) {
                    Some(end) => self.skip(end.saturating_add(1)),
                    None => return,
                },
                Some(b'#') => {
                    while self.at < self.source.len() && self.line_end(0).is_none() {
                        self.skip(1);
                    }
                }
                _ => return,
            }
        }
    }

    fn name(&mut self, start: usize) -> Token<'a> {
        while self.byte(0).is_some_and(is_name) {
            self.skip(1);
        }
        let name = self.token(Kind::Name, start);
        let quote = self.byte(0).filter(|byte| matches!(byte, b'"' | b'\''));
        let Some(quote) = quote.filter(|_| is_prefix(name.text)) else { return name };
        let has = |letter: u8| name.text.iter().any(|byte| byte.eq_ignore_ascii_case(&letter));
        self.string(start, quote, has(b'f') || has(b't'), has(b'r'))
    }

    fn number(&mut self, start: usize) -> Token<'a> {
        let hexadecimal = matches!(self.byte(1), Some(b'x' | b'X'));
        while let Some(byte) = self.byte(0) {
            let exponent = matches!(byte, b'e' | b'E') && !hexadecimal;
            if exponent && matches!(self.byte(1), Some(b'+' | b'-')) {
                self.skip(2);
            } else if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_') {
                self.skip(1);
            } else {
                break;
            }
        }
        self.token(Kind::Number, start)
    }

    /// A string whose opening quote is next.
    fn string(&mut self, start: usize, quote: u8, template: bool, raw: bool) -> Token<'a> {
        let triple = self.byte(1) == Some(quote) && self.byte(2) == Some(quote);
        self.skip(if triple { 3 } else { 1 });
        if template {
            let field = Field { quote, triple, raw, literal: true, ..Field::default() };
            return match self.fields.get_mut(self.depth) {
                Some(slot) => {
                    *slot = field;
                    self.depth = self.depth.saturating_add(1);
                    self.token(Kind::Template, start)
                }
                None => self.broken(start),
            };
        }
        let body = self.at;
        while let Some(byte) = self.byte(0) {
            if byte == b'\\' {
                self.skip(self.line_end(1).unwrap_or(1).saturating_add(1));
            } else if self.closes(quote, triple) {
                let text = self.since(body);
                self.skip(if triple { 3 } else { 1 });
                return Token { kind: Kind::Text, at: start, text };
            } else if !triple && self.line_end(0).is_some() {
                break;
            } else {
                self.skip(1);
            }
        }
        self.broken(start)
    }

    fn closes(&self, quote: u8, triple: bool) -> bool {
        let ahead = if triple { 3 } else { 1 };
        (0..ahead).all(|at| self.byte(at) == Some(quote))
    }

    /// A literal part of an f-string, up to its field, its end, or the end of a field's format.
    fn template(&mut self, field: Field) -> Token<'a> {
        let start = self.at;
        while let Some(byte) = self.byte(0) {
            match byte {
                b'\\' if matches!(self.byte(1), Some(b'{' | b'}')) => self.skip(1),
                b'\\' if !field.raw && self.byte(1) == Some(b'N') && self.byte(2) == Some(b'{') => {
                    while self.byte(0).is_some_and(|byte| byte != b'}') {
                        self.skip(1);
                    }
                    self.skip(1);
                }
                b'\\' => self.skip(self.line_end(1).unwrap_or(1).saturating_add(1)),
                b'{' if !field.format && self.byte(1) == Some(b'{') => self.skip(2),
                b'}' if !field.format && self.byte(1) == Some(b'}') => self.skip(2),
                b'{' => {
                    let token = self.token(Kind::Template, start);
                    self.skip(1);
                    return self.open_field(field, token);
                }
                b'}' if field.format => {
                    let token = self.token(Kind::Template, start);
                    self.skip(1);
                    self.close_field();
                    return token;
                }
                _ if self.closes(field.quote, field.triple) => {
                    let token = self.token(Kind::Template, start);
                    self.skip(if field.triple { 3 } else { 1 });
                    if field.format {
                        return self.broken(start);
                    }
                    self.depth = self.depth.saturating_sub(1);
                    return token;
                }
                b'\r' | b'\n' if !field.triple => break,
                _ => self.skip(1),
            }
        }
        self.broken(start)
    }

    fn open_field(&mut self, outer: Field, token: Token<'a>) -> Token<'a> {
        let open = Field { literal: false, brackets: 0, ..outer };
        if !outer.format {
            if let Some(field) = self.field() {
                *field = open;
            }
            return token;
        }
        // A field in the format of another one.
        match self.fields.get_mut(self.depth) {
            Some(slot) => {
                *slot = Field { format: false, inner: true, ..open };
                self.depth = self.depth.saturating_add(1);
                token
            }
            None => self.broken(token.at),
        }
    }

    /// A field is at its `}`.
    fn close_field(&mut self) {
        let Some(field) = self.field() else { return };
        if field.inner {
            self.depth = self.depth.saturating_sub(1);
        } else {
            field.literal = true;
            field.format = false;
        }
    }

    /// An operator; the text of a longer one is taken whole where it holds a `=`.
    fn operator(&mut self, start: usize, byte: u8) -> Token<'a> {
        let equals = self.byte(1) == Some(b'=');
        let open = matches!(byte, b'(' | b'[' | b'{');
        let close = matches!(byte, b')' | b']' | b'}');
        let mut outside = false;
        if let Some(field) = self.field() {
            outside = field.brackets == 0;
            if open {
                field.brackets = field.brackets.saturating_add(1);
            } else if close {
                field.brackets = field.brackets.saturating_sub(1);
            }
        } else if open {
            self.brackets = self.brackets.saturating_add(1);
        } else if close {
            self.brackets = self.brackets.saturating_sub(1);
        }
        match byte {
            b'}' if outside => {
                self.skip(1);
                self.close_field();
                return Token { kind: Kind::Operator, at: start, text: b"}" };
            }
            b':' if outside => {
                self.skip(1);
                if let Some(field) = self.field() {
                    field.literal = true;
                    field.format = true;
                }
                return Token { kind: Kind::Operator, at: start, text: b":" };
            }
            b'=' | b'!' | b'<' | b'>' | b':' | b'+' | b'-' | b'*' | b'/' | b'%' | b'@' | b'&'
            | b'|' | b'^'
                if equals =>
            {
                self.skip(2);
            }
            b'!' if outside => self.skip(1),
            b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'=' | b'<' | b'>' | b':' | b'+' | b'-'
            | b'*' | b'/' | b'%' | b'@' | b'&' | b'|' | b'^' | b'~' | b',' | b';' | b'.' | b'`' => {
                self.skip(1);
            }
            _ => {
                self.skip(1);
                return self.broken(start);
            }
        }
        self.token(Kind::Operator, start)
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        if self.broken {
            return None;
        }
        if let Some(field) = self.field().copied().filter(|field| field.literal) {
            return Some(self.template(field));
        }
        self.skip_blanks();
        while self.brackets > 0 || self.depth > 0 {
            let Some(end) = self.line_end(0) else { break };
            self.skip(end);
            self.skip_blanks();
        }
        let start = self.at;
        let Some(byte) = self.byte(0) else {
            return (self.depth > 0).then(|| self.broken(start));
        };
        if let Some(end) = self.line_end(0) {
            self.skip(end);
            return Some(self.token(Kind::Line, start));
        }
        let point = byte == b'.' && self.byte(1).is_some_and(|byte| byte.is_ascii_digit());
        Some(match byte {
            b'"' | b'\'' => self.string(start, byte, false, false),
            _ if byte.is_ascii_digit() || point => self.number(start),
            _ if is_name(byte) => self.name(start),
            _ => self.operator(start, byte),
        })
    }
}

/// Whether a byte is part of a name. Every byte beyond ASCII is taken for a letter: Python
/// refuses those that are none.
const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Whether a name in front of a quote is the prefix of a string.
fn is_prefix(name: &[u8]) -> bool {
    matches!(name, [_] | [_, _])
        && name
            .iter()
            .all(|byte| matches!(byte.to_ascii_lowercase(), b'r' | b'u' | b'b' | b'f' | b't'))
}
