//! Python source in an archive: which modules it names, and what it reaches through them.
//!
//! [`read`] walks the tokens of `Lib/tokenize.py` twice. First it notes what names stand for
//! modules: `import a.b as c`, `from a import b as c`, and `d = c.e` behind them. Then it looks at
//! every dotted name, called or not: what it resolves to is judged by the families of
//! `spec/rules/dangerous.toml`, without the names that honest programs use every day. Besides come
//! the builtins that run text, the attributes that lead from any object to the interpreter, and
//! the ways in which the text that people read is not the text that Python runs: another encoding
//! (PEP 263), and letters that Python takes for others (PEP 3131 normalises names by NFKC).
//!
//! It refuses to say that a program is harmless. A name that is put together while it runs, or
//! fetched out of a container, is not seen, and scopes are not told apart: a name that stands for
//! a module anywhere does so everywhere. That a program is there at all is a finding of its own
//! (`code.program`), and blocks; what is found here explains it.

pub(in crate::format) mod lex;
pub(in crate::format) mod path;
mod table;

use super::event::Sink;
use crate::limits::Limits;
use lex::{Kind, Lexer, Token};
use path::Path;
use table::{BUILTINS, LEADING_OUT};

anomaly_kinds! {
    /// What a program does that none beside weights has to do.
    pub enum PythonAnomaly;
    Dangerous, CodeDangerous, "python.dangerous", "the source reaches for something that starts processes, loads code or other pickles, reaches the network or touches raw memory";
    Star, CodeDangerous, "python.star", "the source takes in every name of a module that starts processes or loads code, and they cannot be followed";
    Value, CodeDangerous, "python.value", "a module that starts processes or loads code is handed on as a value, and what is reached through it cannot be followed";
    Walk, CodeDangerous, "python.walk", "the source uses an attribute that leads from any object to the interpreter";
    Letters, CodeDangerous, "python.letters", "a name is spelled in letters that Python takes for other ones";
    Coding, CodeDangerous, "python.coding", "the source declares an encoding in which other text than the one that stands here is run";
    Unreadable, CodeDangerous, "python.unreadable", "the source cannot be read to its end, so that nobody can say what it names";
    Names, CodeDangerous, "python.names", "the source binds more names to modules than are followed";
    Extern, ReferenceDangerous, "python.extern", "the package takes a module from outside that starts processes, loads code, reaches the network or touches raw memory";
    Bytecode, CodeBytecode, "python.bytecode", "compiled Python code, which runs when it is imported and hides what it names";
}

/// How many names that stand for modules are followed in one source.
const NAMES: usize = 512;

/// How often a name that stands for a module is followed through `d = c.e`.
const ROUNDS: usize = 4;

/// Whether a file name promises Python source.
#[must_use]
pub fn is_source_name(name: &[u8]) -> bool {
    [&b".py"[..], b".pyw", b".pyi"].iter().any(|ending| ends_with(name, ending))
}

fn ends_with(name: &[u8], ending: &[u8]) -> bool {
    name.len()
        .checked_sub(ending.len())
        .filter(|&start| start > 0)
        .and_then(|start| name.get(start..))
        .is_some_and(|end| end.eq_ignore_ascii_case(ending))
}

/// Whether bytes are a `.pyc` file: `\r\n` behind a version number, flags that PEP 552 knows, and
/// a marshalled code object (`TYPE_CODE`, with or without `FLAG_REF`) behind the header.
///
/// Python 2 wrote eight bytes of header, 3.3 to 3.6 twelve, and 3.7 and later sixteen.
#[must_use]
pub fn is_bytecode(bytes: &[u8]) -> bool {
    let code = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0x7f == b'c');
    bytes.get(2..4) == Some(b"\r\n") && (code(8) || code(12) || code(16))
}

/// Walks a source, and tells of what it reaches for.
pub fn read(bytes: &[u8], _limits: &Limits, sink: Sink<'_>) {
    if is_bytecode(bytes) {
        return sink(PythonAnomaly::Bytecode.at(0, b""));
    }
    declared_coding(bytes, sink);
    if core::str::from_utf8(bytes).is_err() || bytes.contains(&0) {
        sink(PythonAnomaly::Unreadable.at(0, b"not UTF-8 text"));
    }
    let mut names = Names { slots: [Name::EMPTY; NAMES], count: 0, full: false };
    // Statements that import, then names that are bound to what was imported.
    for round in 0..ROUNDS {
        let before = names.count;
        let mut walk = Walk { lexer: Lexer::new(bytes), names: &mut names, before: None };
        walk.run(if round == 0 { Task::Imports } else { Task::Bindings }, &mut |_| {});
        names.sort();
        if round > 0 && names.count == before {
            break;
        }
    }
    if names.full {
        sink(PythonAnomaly::Names.at(0, b""));
    }
    let mut walk = Walk { lexer: Lexer::new(bytes), names: &mut names, before: None };
    walk.run(Task::Uses, sink);
}

/// Walks a package's list of the modules that it takes from outside, one a line
/// (`PackageImporter._read_extern`). What honest sources import, a package may take.
pub fn extern_modules(bytes: &[u8], _limits: &Limits, sink: Sink<'_>) {
    let mut at = 0_usize;
    for line in bytes.split(|&byte| byte == b'\n') {
        let module = line.trim_ascii();
        let everyday = matches!(module, b"builtins" | b"importlib" | b"os" | b"pickle" | b"sys");
        if !everyday && table::is_dangerous_module(Path::<128>::of(module).text()) {
            sink(PythonAnomaly::Extern.at(offset(at), module));
        }
        at = at.saturating_add(line.len()).saturating_add(1);
    }
}

/// A name that stands for a module, or for something in one.
#[derive(Clone, Copy)]
struct Name<'a> {
    name: &'a [u8],
    path: Path<64>,
}

impl Name<'_> {
    const EMPTY: Self = Self { name: b"", path: Path::EMPTY };
}

struct Names<'a> {
    slots: [Name<'a>; NAMES],
    count: usize,
    full: bool,
}

impl<'a> Names<'a> {
    fn all(&self) -> &[Name<'a>] {
        self.slots.get(..self.count).unwrap_or_default()
    }

    fn sort(&mut self) {
        if let Some(slots) = self.slots.get_mut(..self.count) {
            slots.sort_unstable_by(|a, b| a.name.cmp(b.name));
        }
    }

    fn add(&mut self, name: &'a [u8], path: Path<64>) {
        if self.full || self.all().iter().any(|known| known.name == name && known.path == path) {
            return;
        }
        match self.slots.get_mut(self.count) {
            Some(slot) => {
                *slot = Name { name, path };
                self.count = self.count.saturating_add(1);
            }
            None => self.full = true,
        }
    }

    /// What a name stands for; the table must be sorted.
    fn of(&self, name: &[u8]) -> &[Name<'a>] {
        let all = self.all();
        let start = all.partition_point(|known| known.name < name);
        let rest = all.get(start..).unwrap_or_default();
        let length = rest.partition_point(|known| known.name == name);
        rest.get(..length).unwrap_or_default()
    }
}

/// What a walk over the tokens is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    Imports,
    Bindings,
    Uses,
}

struct Walk<'a, 'n> {
    lexer: Lexer<'a>,
    names: &'n mut Names<'a>,
    before: Option<Token<'a>>,
}

impl<'a> Walk<'a, '_> {
    fn take(&mut self) -> Option<Token<'a>> {
        let token = self.lexer.next();
        self.before = token.or(self.before);
        token
    }

    fn peek(&self) -> Option<Token<'a>> {
        self.lexer.clone().next()
    }

    fn next_is(&self, kind: Kind, text: &[u8]) -> bool {
        self.peek().is_some_and(|token| token.is(kind, text))
    }

    fn take_if(&mut self, kind: Kind, text: &[u8]) -> bool {
        let taken = self.next_is(kind, text);
        if taken {
            self.take();
        }
        taken
    }

    fn take_name(&mut self) -> Option<Token<'a>> {
        let name = self.peek().filter(|token| token.kind == Kind::Name);
        if name.is_some() {
            self.take();
        }
        name
    }

    fn run(&mut self, task: Task, sink: Sink<'_>) {
        loop {
            let before = self.before;
            let Some(token) = self.take() else { break };
            match token.kind {
                Kind::Broken if task == Task::Uses => {
                    sink(PythonAnomaly::Unreadable.at(offset(token.at), b""));
                }
                Kind::Name => {
                    if task == Task::Uses && is_compatible(token.text) {
                        sink(PythonAnomaly::Letters.at(offset(token.at), token.text));
                    }
                    let attribute = before.is_some_and(|it| it.is(Kind::Operator, b"."));
                    match token.text {
                        b"import" if !attribute => self.import(task, sink),
                        b"from" if !attribute => self.from(task, token, sink),
                        b"def" | b"class" if !attribute => {
                            if let Some(name) = self.take_name()
                                && task == Task::Uses
                            {
                                walk_out(name, sink);
                            }
                        }
                        _ => self.dotted(task, token, attribute, before, sink),
                    }
                }
                _ => {}
            }
        }
    }

    /// `a.b as c, d`, behind `import`.
    fn import(&mut self, task: Task, sink: Sink<'_>) {
        loop {
            let Some(first) = self.take_name() else { return };
            let mut path = Path::EMPTY;
            self.rest(first, &mut path, task, sink);
            let bound = if self.take_if(Kind::Name, b"as") { self.take_name() } else { None };
            if task == Task::Imports {
                match bound {
                    Some(name) => self.names.add(name.text, path),
                    None => self.names.add(first.text, Path::of(first.text)),
                }
            }
            if !self.take_if(Kind::Operator, b",") {
                return;
            }
        }
    }

    /// `a.b import c as d, e`, behind `from`. Other statements hold a `from` too.
    fn from(&mut self, task: Task, from: Token<'a>, sink: Sink<'_>) {
        let mut relative = false;
        while self.take_if(Kind::Operator, b".") {
            relative = true;
        }
        let mut path = Path::EMPTY;
        if !self.next_is(Kind::Name, b"import") {
            let Some(first) = self.take_name() else { return };
            // `yield from x` and `raise x from y`: a name like any other.
            let mut ahead = Walk { lexer: self.lexer, names: &mut *self.names, before: None };
            ahead.rest(first, &mut path, Task::Imports, &mut |_| {});
            if !ahead.next_is(Kind::Name, b"import") {
                return self.dotted(task, first, false, Some(from), sink);
            }
            path = Path::EMPTY;
            self.rest(first, &mut path, task, sink);
        }
        self.take_if(Kind::Name, b"import");
        self.take_if(Kind::Operator, b"(");
        if self.next_is(Kind::Operator, b"*") {
            if task == Task::Uses && !relative && table::is_dangerous_module(path.text()) {
                sink(PythonAnomaly::Star.at(offset(from.at), path.bytes()));
            }
            return;
        }
        while let Some(member) = self.take_name() {
            let bound = if self.take_if(Kind::Name, b"as") { self.take_name() } else { None };
            let mut whole = path;
            whole.push(member.text);
            match task {
                _ if relative => {}
                Task::Imports => self.names.add(bound.unwrap_or(member).text, whole),
                Task::Bindings => {}
                // The name alone says what for.
                Task::Uses => judge(whole.text(), member.at, sink),
            }
            if !self.take_if(Kind::Operator, b",") {
                return;
            }
        }
    }

    /// The rest of a dotted name, behind its first part.
    fn rest<const N: usize>(
        &mut self,
        first: Token<'a>,
        path: &mut Path<N>,
        task: Task,
        sink: Sink<'_>,
    ) {
        path.push(first.text);
        while self.next_is(Kind::Operator, b".") {
            self.take();
            let Some(part) = self.take_name() else { return };
            if task == Task::Uses {
                walk_out(part, sink);
                if is_compatible(part.text) {
                    sink(PythonAnomaly::Letters.at(offset(part.at), part.text));
                }
            }
            path.push(part.text);
        }
    }

    /// A dotted name that is no part of an import.
    fn dotted(
        &mut self,
        task: Task,
        first: Token<'a>,
        attribute: bool,
        before: Option<Token<'a>>,
        sink: Sink<'_>,
    ) {
        let mut path = Path::<128>::EMPTY;
        if task == Task::Uses {
            walk_out(first, sink);
        }
        self.rest(first, &mut path, task, sink);
        let alone = path.bytes().len() == first.text.len();
        let binds = alone
            && !attribute
            && (self.next_is(Kind::Operator, b"=") || self.next_is(Kind::Operator, b":="));
        match task {
            Task::Imports => {}
            Task::Bindings if binds => self.bind(first),
            Task::Bindings => {}
            Task::Uses if binds || attribute => {}
            Task::Uses => {
                let deletes = before.is_some_and(|it| {
                    matches!(it.text, b"del" | b"global" | b"nonlocal" | b"as")
                        && it.kind == Kind::Name
                });
                if !(alone && deletes) {
                    self.judge_use(first, &path, alone, sink);
                }
            }
        }
    }

    /// `name = a.b`, where `a` stands for a module.
    fn bind(&mut self, name: Token<'a>) {
        let mut ahead = self.lexer;
        ahead.next();
        let Some(value) = ahead.next().filter(|token| token.kind == Kind::Name) else { return };
        let mut found = [Path::<64>::EMPTY; 4];
        for (slot, known) in found.iter_mut().zip(self.names.of(value.text)) {
            *slot = known.path;
        }
        let mut rest = Path::<64>::EMPTY;
        let mut walk = Walk { lexer: ahead, names: &mut *self.names, before: None };
        walk.rest(value, &mut rest, Task::Bindings, &mut |_| {});
        if walk.next_is(Kind::Operator, b"(") {
            return;
        }
        for base in found.iter().filter(|path| !path.bytes().is_empty()) {
            let mut whole = *base;
            whole.push_rest(rest.bytes(), value.text.len());
            self.names.add(name.text, whole);
        }
    }

    fn judge_use(&self, first: Token<'a>, path: &Path<128>, alone: bool, sink: Sink<'_>) {
        if BUILTINS.contains(&first.text) {
            sink(PythonAnomaly::Dangerous.at(offset(first.at), path.bytes()));
        }
        for known in self.names.of(first.text) {
            let mut whole = Path::<128>::EMPTY;
            whole.push(known.path.bytes());
            whole.push_rest(path.bytes(), first.text.len());
            if !whole.bytes().contains(&b'.') {
                if table::is_dangerous_module(whole.text()) {
                    sink(PythonAnomaly::Value.at(offset(first.at), whole.bytes()));
                }
            } else if !alone || known.path.bytes().contains(&b'.') {
                judge(whole.text(), first.at, sink);
            }
        }
    }
}

fn judge(path: &str, at: usize, sink: Sink<'_>) {
    if table::dangerous(path).is_some() {
        sink(PythonAnomaly::Dangerous.at(offset(at), path.as_bytes()));
    }
}

fn walk_out(name: Token<'_>, sink: Sink<'_>) {
    if LEADING_OUT.contains(&name.text) {
        sink(PythonAnomaly::Walk.at(offset(name.at), name.text));
    }
}

fn offset(at: usize) -> u64 {
    u64::try_from(at).unwrap_or(u64::MAX)
}

/// Whether a name holds a letter that NFKC may make an ASCII letter, digit or underscore: the
/// blocks of compatibility characters of Unicode 16 that decompose so and may stand in a name.
fn is_compatible(name: &[u8]) -> bool {
    !name.is_ascii()
        && core::str::from_utf8(name).is_ok_and(|name| {
            name.chars().any(|c| {
                matches!(u32::from(c),
                    0xaa | 0xba | 0x132..=0x133 | 0x13f..=0x140 | 0x149 | 0x17f | 0x1c4..=0x1cc
                    | 0x1f1..=0x1f3 | 0x2b0..=0x2b8 | 0x2e1..=0x2e3 | 0x1d2c..=0x1d6a
                    | 0x1e9a..=0x1e9b | 0x203f..=0x2040 | 0x2054 | 0x2070..=0x209c
                    | 0x2100..=0x2149 | 0x2160..=0x217f | 0x24b6..=0x24e9 | 0x2c7c..=0x2c7d
                    | 0xa7f2..=0xa7f4 | 0xfb00..=0xfb06 | 0xfe33..=0xfe34 | 0xfe4d..=0xfe4f
                    | 0xff10..=0xff5a | 0x1ccd6..=0x1ccf9 | 0x1d400..=0x1d7ff | 0x1f130..=0x1f189
                    | 0x1fbf0..=0x1fbf9)
            })
        })
}

/// Encodings whose ASCII bytes are ASCII, as `Parser/tokenizer/helpers.c` and `Lib/tokenize.py`
/// spell them once case and underscores are evened out.
const CODINGS: [&[u8]; 16] = [
    b"utf-8",
    b"utf8",
    b"utf-8-sig",
    b"u8",
    b"ascii",
    b"us-ascii",
    b"latin-1",
    b"latin1",
    b"iso-latin-1",
    b"l1",
    b"iso-8859-1",
    b"iso8859-1",
    b"iso-8859-15",
    b"cp1252",
    b"windows-1252",
    b"utf-8-unix",
];

/// Looks for `coding: name` in a comment on the first or the second line (PEP 263).
fn declared_coding(bytes: &[u8], sink: Sink<'_>) {
    let start = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let mut at = start;
    for _ in 0..2 {
        let rest = bytes.get(at..).unwrap_or_default();
        let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
        let line = rest.get(..end).unwrap_or_default();
        let text = line.trim_ascii_start();
        if let Some(name) = text.strip_prefix(b"#").and_then(coding_name) {
            let mut even = [0; 16];
            let length = name.len().min(even.len());
            for (slot, byte) in even.iter_mut().zip(name) {
                *slot = if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
            }
            let even = even.get(..length).unwrap_or_default();
            if name.len() > length || !CODINGS.contains(&even) {
                sink(PythonAnomaly::Coding.at(offset(at), name));
            }
            return;
        }
        // A second line counts behind a blank or a comment alone.
        if !(text.is_empty() || text.starts_with(b"#")) {
            return;
        }
        let crlf = rest.get(end..).is_some_and(|rest| rest.starts_with(b"\r\n"));
        at = at.saturating_add(end).saturating_add(if crlf { 2 } else { 1 });
    }
}

/// The name behind `coding:` or `coding=`, the first that is followed by one.
fn coding_name(comment: &[u8]) -> Option<&[u8]> {
    let found = comment.windows(7).enumerate().filter(|(_, window)| {
        window.starts_with(b"coding") && matches!(window.last(), Some(b':' | b'='))
    });
    found.into_iter().find_map(|(at, _)| {
        let rest = comment.get(at.saturating_add(7)..)?;
        let rest =
            rest.get(rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()..)?;
        let length = rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
            .count();
        rest.get(..length).filter(|name| !name.is_empty())
    })
}

#[cfg(test)]
mod tests;
