//! Statements to bytes.
//!
//! An upper-case word is a pickle opcode; a lower-case one is a statement of the language or a
//! macro of `spec/vectors/src/macros.txt`. Nothing is executed: a pickle is a list of bytes
//! here, and so is an archive.

use std::collections::HashMap;
use std::rc::Rc;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;

use super::deflate;
use super::packed;
use super::pickle::{self, Operands, number};
use super::rope::Rope;
use super::script::{self, Argument, Statement};
use super::sevenz::SevenZip;
use super::tar;
use super::zip::{Fields, Zip};

type Block = Rc<Vec<Statement>>;

/// Macros, by name.
#[derive(Default)]
pub(super) struct Assembler {
    macros: HashMap<Vec<u8>, (Vec<String>, Block)>,
}

#[derive(Clone)]
enum Value {
    Text(Vec<u8>),
    Block(Block, Rc<Names>),
}

type Names = HashMap<String, Value>;

/// What statements write to.
enum Target {
    Bytes(Rope),
    Zip(Zip),
    Tar(Rope),
    SevenZip(SevenZip),
}

impl Target {
    fn bytes(&mut self) -> Result<&mut Rope> {
        match self {
            Self::Bytes(rope) => Ok(rope),
            _ => bail!("bytes belong into a member, or into `bytes {{ … }}`"),
        }
    }
}

impl Assembler {
    /// Reads `macro NAME PARAMETER … { … }` statements.
    pub(super) fn new(library: &str) -> Result<Self> {
        let mut macros = HashMap::new();
        for statement in script::parse(library).context("in the macros")? {
            let line = statement.line;
            ensure!(statement.head == b"macro", "macros, line {line}: not a macro");
            let mut words = Vec::new();
            let mut body = None;
            for argument in statement.arguments {
                match argument {
                    Argument::Word(word) => words.push(String::from_utf8(word)?),
                    Argument::Block(block) => body = Some(block),
                    _ => bail!("macros, line {line}: parameters are words"),
                }
            }
            ensure!(!words.is_empty(), "macros, line {line}: no name");
            let name = words.remove(0).into_bytes();
            macros.insert(name, (words, body.context("a macro without a body")?));
        }
        Ok(Self { macros })
    }

    /// The bytes that a script describes.
    pub(super) fn assemble(&self, text: &str) -> Result<Rope> {
        self.block(&script::parse(text)?, &Rc::new(Names::new()))
    }

    fn block(&self, block: &[Statement], names: &Rc<Names>) -> Result<Rope> {
        let mut target = Target::Bytes(Rope::default());
        self.run(block, names, &mut target)?;
        Ok(std::mem::take(target.bytes()?))
    }

    fn run(&self, block: &[Statement], names: &Rc<Names>, target: &mut Target) -> Result<()> {
        for statement in block {
            self.statement(statement, names, target)
                .with_context(|| format!("line {}", statement.line))?;
        }
        Ok(())
    }

    fn statement(
        &self,
        statement: &Statement,
        names: &Rc<Names>,
        target: &mut Target,
    ) -> Result<()> {
        let head = statement.head.as_slice();
        if let Some(name) = head.strip_prefix(b"${") {
            let name = std::str::from_utf8(name.strip_suffix(b"}").unwrap_or(name))?;
            return match names.get(name) {
                Some(Value::Block(block, inner)) => self.run(block, inner, target),
                _ => bail!("`{name}` is no block here"),
            };
        }
        if let Some((parameters, body)) = self.macros.get(head) {
            let given = &statement.arguments;
            ensure!(given.len() == parameters.len(), "it takes {} arguments", parameters.len());
            let mut inner = Names::new();
            for (parameter, argument) in parameters.iter().zip(given) {
                let value = match argument {
                    Argument::Block(block) => Value::Block(Rc::clone(block), Rc::clone(names)),
                    Argument::Word(text) | Argument::Text(text) => {
                        Value::Text(expand(text, names)?)
                    }
                    Argument::Named(..) => bail!("a macro takes no `key=value`"),
                };
                inner.insert(parameter.clone(), value);
            }
            return self.run(body, &Rc::new(inner), target);
        }
        if let Some(row) = pickle::row(head) {
            let operands = self.operands(&statement.arguments, names)?;
            return pickle::encode(row, &operands, target.bytes()?);
        }
        let call = self.call(&statement.arguments, names)?;
        match (head, target) {
            (b"repeat", target) => self.repeat(&call, target),
            (b"bytes", Target::Zip(zip)) => {
                zip.bytes(&self.content(&call)?);
                Ok(())
            }
            (b"before-end", Target::Zip(zip)) => {
                zip.before_end(&self.content(&call)?);
                Ok(())
            }
            (b"file", Target::Zip(zip)) => {
                zip.file(call.text(0)?, &self.content(&call)?, &call.fields)
            }
            (b"end" | b"zip64", Target::Zip(zip)) => {
                let mut fields = call.fields.clone();
                if call.block.is_some() {
                    fields.insert("comment".to_owned(), self.content(&call)?.flatten());
                }
                if head == b"end" { zip.end(fields) } else { zip.zip64(fields) }
            }
            (b"file", Target::Tar(tar)) => {
                tar::member(call.text(0)?, &self.content(&call)?, &call.fields, tar)
            }
            (b"file", Target::SevenZip(archive)) => {
                archive.file(call.text(0)?, &self.content(&call)?, &call.fields)
            }
            (b"bytes", Target::Tar(tar)) => {
                tar.append(&self.content(&call)?);
                Ok(())
            }
            (_, Target::Bytes(rope)) => self.bytes_statement(head, &call, rope),
            _ => bail!("no such statement here: `{}`", head.escape_ascii()),
        }
    }

    fn bytes_statement(&self, head: &[u8], call: &Call, rope: &mut Rope) -> Result<()> {
        let integer = |at| -> Result<i128> { number(call.text(at)?) };
        match head {
            b"text" => call.texts.iter().for_each(|text| rope.push(text)),
            b"raw" => {
                let digits = call.texts.concat();
                ensure!(digits.len() % 2 == 0, "hexadecimal digits come in pairs");
                for pair in digits.chunks(2) {
                    rope.push(&[u8::from_str_radix(std::str::from_utf8(pair)?, 16)?]);
                }
            }
            b"zeros" => rope.repeat(&[0], usize::try_from(integer(0)?)?),
            b"le16" => rope.push(&integer(0)?.to_le_bytes()[..2]),
            b"le32" => rope.push(&integer(0)?.to_le_bytes()[..4]),
            b"le64" => rope.push(&integer(0)?.to_le_bytes()[..8]),
            b"be16" => rope.push(&integer(0)?.to_be_bytes()[14..]),
            b"be32" => rope.push(&integer(0)?.to_be_bytes()[12..]),
            b"be64" => rope.push(&integer(0)?.to_be_bytes()[8..]),
            b"varint" => rope.push(&varint(integer(0)?)?),
            b"base64" => rope.push(
                &base64::engine::general_purpose::STANDARD
                    .decode(call.texts.concat())
                    .context("that is no base64")?,
            ),
            b"size8" => self.sized(call, 1, rope)?,
            b"size16" => self.sized(call, 2, rope)?,
            b"size32" => self.sized(call, 4, rope)?,
            b"size64" => self.sized(call, 8, rope)?,
            b"field" => self.field(call, rope)?,
            b"gzip" => rope.push(&deflate::gzip(&self.content(call)?.flatten())),
            b"zlib" => rope.push(&deflate::zlib(&self.content(call)?.flatten())),
            b"bzip2" | b"xz" | b"lzma" | b"zstd" | b"lz4" => {
                rope.push(&packed::stream(head, &self.content(call)?.flatten(), &call.fields)?);
            }
            b"sevenzip" => {
                let mut inner = Target::SevenZip(SevenZip::default());
                self.body(call, &mut inner)?;
                if let Target::SevenZip(archive) = inner {
                    rope.push(&archive.finish(&call.fields)?);
                }
            }
            b"latin1" => {
                let text: String =
                    self.content(call)?.flatten().into_iter().map(char::from).collect();
                rope.push(text.as_bytes());
            }
            b"frame" => {
                let content = self.content(call)?;
                rope.push(&[0x95]);
                let longer = call.texts.first().map_or(Ok(0), |text| number(text))?;
                let length = i128::try_from(content.len())? + longer;
                rope.push(&length.to_le_bytes()[..8]);
                rope.append(&content);
            }
            b"cut" => {
                let mut content = self.content(call)?.flatten();
                content.truncate(content.len().saturating_sub(usize::try_from(integer(0)?)?));
                rope.push(&content);
            }
            b"drop" => {
                let content = self.content(call)?.flatten();
                rope.push(content.get(usize::try_from(integer(0)?)?..).unwrap_or_default());
            }
            b"patch" => {
                let mut content = self.content(call)?.flatten();
                let at = usize::try_from(integer(0)?)?;
                let new = call.text(1)?;
                content.get_mut(at..at + new.len()).context("past the end")?.copy_from_slice(new);
                rope.push(&content);
            }
            b"zip" => {
                let mut inner = Target::Zip(Zip::default());
                self.body(call, &mut inner)?;
                if let Target::Zip(zip) = inner {
                    rope.append(&zip.finish()?);
                }
            }
            b"tar" => {
                let mut inner = Target::Tar(Rope::default());
                self.body(call, &mut inner)?;
                if let Target::Tar(tar) = inner {
                    rope.append(&tar);
                    rope.push(&[0; 1_024]);
                }
            }
            _ => bail!("no such statement: `{}`", head.escape_ascii()),
        }
        Ok(())
    }

    /// `repeat N { … }`: the body sees the round as `${i}`.
    fn repeat(&self, call: &Call, target: &mut Target) -> Result<()> {
        let count = usize::try_from(number(call.text(0)?)?)?;
        let (block, names) = call.block.as_ref().context("a block is missing")?;
        let round = |at: usize| {
            let mut inner = Names::clone(names);
            inner.insert("i".to_owned(), Value::Text(at.to_string().into_bytes()));
            Rc::new(inner)
        };
        if let Target::Bytes(rope) = target
            && count > 1
        {
            let first = self.block(block, &round(0))?;
            if first == self.block(block, &round(1))? {
                rope.repeat(&first.flatten(), count);
                return Ok(());
            }
        }
        (0..count).try_for_each(|at| self.run(block, &round(at), target))
    }

    fn operands(&self, arguments: &[Argument], names: &Rc<Names>) -> Result<Operands> {
        let mut operands = Operands::default();
        for argument in arguments {
            match argument {
                Argument::Word(text) | Argument::Text(text) => {
                    operands.items.push(expand(text, names)?.into());
                }
                Argument::Named(key, value) if key == "length" => {
                    operands.length = Some(number(&expand(value, names)?)?);
                }
                Argument::Named(key, _) => bail!("an opcode takes no `{key}`"),
                Argument::Block(block) => operands.items.push(self.block(block, names)?),
            }
        }
        Ok(operands)
    }

    fn call(&self, arguments: &[Argument], names: &Rc<Names>) -> Result<Call> {
        let mut call = Call::default();
        for argument in arguments {
            match argument {
                Argument::Word(text) | Argument::Text(text) => {
                    call.texts.push(expand(text, names)?)
                }
                Argument::Named(key, value) => {
                    call.fields.insert(key.clone(), expand(value, names)?);
                }
                Argument::Block(block) => call.block = Some((Rc::clone(block), Rc::clone(names))),
            }
        }
        Ok(call)
    }

    /// A block behind its own length, little-endian; a number before the block is added to it.
    fn sized(&self, call: &Call, width: usize, rope: &mut Rope) -> Result<()> {
        let content = self.content(call)?;
        let more = call.texts.first().map_or(Ok(0), |text| number(text))?;
        let length = i128::try_from(content.len())? + more;
        rope.push(&length.to_le_bytes()[..width]);
        rope.append(&content);
        Ok(())
    }

    /// A protobuf field: `field 7 { … }` is length-delimited, `field 7 42` a varint, and
    /// `field 7 fixed32 N` or `fixed64 N` what they say.
    fn field(&self, call: &Call, rope: &mut Rope) -> Result<()> {
        let key = number(call.text(0)?)? << 3;
        match (&call.block, call.texts.get(1).map(Vec::as_slice)) {
            (Some(_), None) => {
                let content = self.content(call)?;
                rope.push(&varint(key | 2)?);
                rope.push(&varint(i128::try_from(content.len())?)?);
                rope.append(&content);
            }
            (None, Some(b"fixed32")) => {
                rope.push(&varint(key | 5)?);
                rope.push(&number(call.text(2)?)?.to_le_bytes()[..4]);
            }
            (None, Some(b"fixed64")) => {
                rope.push(&varint(key | 1)?);
                rope.push(&number(call.text(2)?)?.to_le_bytes()[..8]);
            }
            (None, Some(value)) => {
                rope.push(&varint(key)?);
                rope.push(&varint(number(value)?)?);
            }
            _ => bail!("a field has a block or a number"),
        }
        Ok(())
    }

    /// The bytes of a statement's block; none without one.
    fn content(&self, call: &Call) -> Result<Rope> {
        match &call.block {
            Some((block, names)) => self.block(block, names),
            None => Ok(Rope::default()),
        }
    }

    fn body(&self, call: &Call, target: &mut Target) -> Result<()> {
        let (block, names) = call.block.as_ref().context("a block is missing")?;
        self.run(block, names, target)
    }
}

/// A base-128 varint, as protobuf writes it; a negative number takes ten bytes.
fn varint(value: i128) -> Result<Vec<u8>> {
    let value = i64::try_from(value).map(i64::cast_unsigned).or_else(|_| u64::try_from(value));
    let mut rest = value.context("a varint has 64 bits")?;
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    bytes.push(rest.to_le_bytes()[0]);
    Ok(bytes)
}

/// The arguments of a statement, expanded.
#[derive(Default)]
struct Call {
    texts: Vec<Vec<u8>>,
    fields: Fields,
    block: Option<(Block, Rc<Names>)>,
}

impl Call {
    fn text(&self, at: usize) -> Result<&[u8]> {
        self.texts.get(at).map(Vec::as_slice).context("an argument is missing")
    }
}

/// Replaces each `${name}` by the text of that name.
fn expand(text: &[u8], names: &Names) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"${") {
        let end = rest[at..].iter().position(|&byte| byte == b'}').context("an open `${`")? + at;
        let name = std::str::from_utf8(&rest[at + 2..end])?;
        match names.get(name) {
            Some(Value::Text(value)) => {
                out.extend_from_slice(&rest[..at]);
                out.extend_from_slice(value);
            }
            _ => bail!("`{name}` is no text here"),
        }
        rest = &rest[end + 1..];
    }
    out.extend_from_slice(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        let library = "macro call module name { GLOBAL ${module} ${name}; EMPTY_TUPLE; REDUCE }
            macro twice body { ${body}; ${body} }";
        Assembler::new(library).unwrap().assemble(text).unwrap().flatten()
    }

    #[test]
    fn macros_repeats_and_blocks_assemble() {
        assert_eq!(bytes("call os system; STOP"), b"cos\nsystem\n)R.");
        assert_eq!(bytes("twice { POP; POP_MARK }"), b"0101");
        assert_eq!(bytes("repeat 3 { BININT1 ${i}+1 }"), b"K\x01K\x02K\x03");
        assert_eq!(bytes("SHORT_BINBYTES { NONE; STOP }"), b"C\x02N.");
        assert_eq!(bytes("SHORT_BINUNICODE length=9 \"os\""), b"\x8c\x09os");
        assert_eq!(bytes("frame { NONE }; frame +1 { NONE }")[1..3], [1, 0]);
        assert_eq!(bytes("cut 1 { raw 0102 }; patch 1 \"z\" { text \"abc\" }"), b"\x01azc");
    }

    #[test]
    fn an_honest_archive_opens() {
        let archive = bytes(
            "zip { file a/b pack=deflate { text hello }; file c descriptor=yes { zeros 9 } }",
        );
        let mut zip = zip::ZipArchive::new(std::io::Cursor::new(archive)).unwrap();
        let content = std::io::read_to_string(zip.by_name("a/b").unwrap()).unwrap();
        assert_eq!(content, "hello");
        assert_eq!(zip.by_name("c").unwrap().size(), 9);
        let archive = bytes("tar { file pickle { text hello } }");
        let mut archive = ::tar::Archive::new(&archive[..]);
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_str(), Some("pickle"));
        assert_eq!(entry.size(), 5);
    }
}
