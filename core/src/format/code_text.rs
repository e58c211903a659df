//! Text in metadata that looks like a program, and chat templates that reach for more than a
//! conversation.
//!
//! Text does not run by itself, but descriptions, training arguments and templates travel with
//! models, and tools evaluate, render or paste them. Two questions are answered, each by one
//! table of patterns and one pass over the text: [`code_like`] is for any metadata, and
//! [`template_escape`] for Jinja templates.
//!
//! What it refuses to do: parse any language. A pattern is a few fixed characters and what may
//! stand on either side of them, chosen so that licences, model cards, configurations, honest
//! chat templates and prose about programs hit none: `model.eval()`, `import torch` and
//! `messages[0]['role']` are not remarkable, `eval(atob(` and `x.__class__` are. Whoever hides
//! better than that is not found here; `metadata.code` is advice, not a proof.
//!
//! The tables stand here and not in `spec/rules/names.toml` because a row is no name: what
//! surrounds it decides.
//!
//! Sources: Jinja, `sandbox.py` (`UNSAFE_*_ATTRIBUTES`, `is_internal_attribute`) and
//! `defaults.py` (`DEFAULT_NAMESPACE`); CVE-2024-34359, where a GGUF file's chat template was
//! rendered without a sandbox.

/// Where the first thing stands that looks like a program, if anything does.
#[must_use]
pub fn code_like(text: &[u8]) -> Option<usize> {
    let opening = text.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let start = text.get(opening..).unwrap_or_default();
    if opens_as_program(start) || is_packed_pickle(start) {
        return Some(opening);
    }
    code_like_inside(text)
}

/// [`code_like`] of a later part of a text, whose start says nothing.
pub(super) fn code_like_inside(text: &[u8]) -> Option<usize> {
    first(text, &CODE, &CODE_STARTS)
}

/// Where a Jinja template first reaches for what leads out of its sandbox, if it does.
#[must_use]
pub fn template_escape(text: &[u8]) -> Option<usize> {
    first(text, &TEMPLATE, &TEMPLATE_STARTS)
}

/// No pattern looks further than this many bytes.
pub const REACH: usize = 1024;

/// Fixed characters, and what has to stand before and behind them.
struct Pattern {
    text: &'static str,
    /// Whether the case of letters is of no account.
    any_case: bool,
    before: fn(&[u8]) -> bool,
    behind: fn(&[u8]) -> bool,
}

const fn exact(
    text: &'static str,
    before: fn(&[u8]) -> bool,
    behind: fn(&[u8]) -> bool,
) -> Pattern {
    Pattern { text, any_case: false, before, behind }
}

const fn any_case(
    text: &'static str,
    before: fn(&[u8]) -> bool,
    behind: fn(&[u8]) -> bool,
) -> Pattern {
    Pattern { text, any_case: true, before, behind }
}

/// What a program does that no description does.
static CODE: [Pattern; 70] = [
    // Python: evaluated text, loaded modules, and ways around either.
    exact("exec(", word, literal_or_call),
    exact("eval(", word, literal_or_call),
    exact("compile(", word, compiled),
    exact("__import__(", anything, argument),
    exact("import_module(", anything, argument),
    exact("__builtins__", anything, reached_into),
    exact("__globals__", anything, reached_into),
    exact("__subclasses__(", anything, anything),
    exact("__reduce__", anything, defined),
    exact("pickle.loads(", anything, argument),
    exact("marshal.loads(", anything, argument),
    exact("ctypes.CDLL(", anything, anything),
    exact("import os;", name, anything),
    exact("import sys;", name, anything),
    exact("import base64;", name, anything),
    exact("import socket;", name, anything),
    exact("import subprocess;", name, anything),
    // Python: processes, shells, sockets.
    exact("os.system(", name, argument),
    exact("os.popen(", name, argument),
    exact("os.exec", name, exec_suffix),
    exact("os.spawn", name, exec_suffix),
    exact("posix.system(", name, argument),
    exact("nt.system(", name, argument),
    exact("pty.spawn(", name, argument),
    exact("popen(", dotted, argument),
    exact("subprocess.Popen(", name, argument),
    exact("subprocess.run(", name, argument),
    exact("subprocess.call(", name, argument),
    exact("subprocess.check_", name, anything),
    exact("subprocess.get", name, anything),
    exact("socket.socket(", name, anything),
    exact("!!python/", unquoted, anything),
    // Shells.
    exact("curl ", commanded, piped_into_shell),
    exact("wget ", commanded, piped_into_shell),
    exact("base64 -d", name, piped_into_shell),
    exact("base64 --decode", name, piped_into_shell),
    exact("$(curl ", anything, anything),
    exact("$(wget ", anything, anything),
    exact("$(bash ", anything, anything),
    exact("$(sh ", anything, anything),
    exact("$(nc ", anything, anything),
    exact("$(cat ", anything, anything),
    exact("$(id)", anything, anything),
    exact("$(whoami)", anything, anything),
    exact("$(uname", anything, anything),
    exact("$(hostname", anything, anything),
    exact("$(touch ", anything, anything),
    exact("$(rm ", anything, anything),
    exact("$(python", anything, anything),
    exact("${IFS}", anything, anything),
    exact("/dev/tcp/", anything, anything),
    exact("bash -i", name, anything),
    exact("nc -e", name, anything),
    exact("rm -rf /", name, all_of_it),
    exact("rm -rf ~", name, all_of_it),
    any_case("powershell -", commanded, anything),
    any_case("powershell.exe", commanded, anything),
    any_case("cmd /c", name, anything),
    any_case("cmd.exe /", name, anything),
    any_case("invoke-expression", name, anything),
    any_case("iex(", name, argument),
    any_case(".downloadstring(", anything, anything),
    // What a page, a template or a logger of other languages would run.
    any_case("<script", unquoted, script),
    any_case("javascript:", name, address),
    any_case("onerror=", blank, anything),
    any_case("onload=", blank, anything),
    exact("${jndi:", anything, anything),
    exact("require('child_process')", anything, anything),
    exact("getRuntime().exec(", anything, anything),
    exact("<?php", anything, anything),
];

/// How an expression leaves Jinja's sandbox, and how it spells what it may not name.
static TEMPLATE: [Pattern; 36] = [
    // Attributes between double underscores, whole or in pieces.
    exact("__", anything, internal),
    exact("__", quote, letter),
    exact("__", letter_before, quoted),
    exact("__", quote, quoted),
    exact(".__", anything, letter),
    exact("_", quote, doubled),
    exact("_", quote, enclosed),
    exact("_", kept, quoted),
    exact("(_=", anything, anything),
    exact(",_=", anything, anything),
    // The same underscore as an escape: Jinja's strings know Python's.
    exact("\\x5f", anything, anything),
    exact("\\x5F", anything, anything),
    exact("\\u005f", anything, anything),
    exact("\\u005F", anything, anything),
    exact("\\U0000005f", anything, anything),
    exact("\\U0000005F", anything, anything),
    exact("\\137", anything, anything),
    exact("\\N{", anything, anything),
    exact("%c", quote, anything),
    // Attributes by a name that is worked out.
    exact("attr", filter, unnamed),
    exact("attr", quote, quoted),
    exact(".decode(", anything, anything),
    // What leads from a function or a frame to everything.
    exact("_globals", attribute, word_end),
    exact("f_builtins", attribute, word_end),
    exact("f_locals", attribute, word_end),
    exact("_frame", attribute, frame),
    exact("func_code", attribute, word_end),
    exact("mro(", attribute, anything),
    exact("popen(", anything, anything),
    exact("_TemplateReference", anything, anything),
    exact("self._", name, anything),
    // Names that every environment has, and that no conversation needs.
    exact("lipsum", name, reached_into),
    exact("cycler", name, reached_into),
    exact("joiner", name, reached_into),
    exact("get_flashed_messages", name, reached_into),
    // Other files.
    exact("{%", anything, loads_template),
];

/// For each byte, which patterns start with it: one bit each.
type Starts = [u128; 256];

const fn starts(patterns: &[Pattern]) -> Starts {
    let mut table = [0; 256];
    let mut rest = patterns;
    let mut bit = 1_u128;
    while let Some((pattern, others)) = rest.split_first() {
        assert!(bit != 0, "no more than 128 patterns");
        if let Some((&byte, _)) = pattern.text.as_bytes().split_first() {
            mark(&mut table, byte, bit);
            if pattern.any_case {
                mark(&mut table, byte.to_ascii_uppercase(), bit);
            }
        }
        bit <<= 1;
        rest = others;
    }
    table
}

const fn mark(table: &mut Starts, byte: u8, bit: u128) {
    let (_, rest) = table.split_at_mut(byte as usize);
    if let Some((place, _)) = rest.split_first_mut() {
        *place |= bit;
    }
}

static CODE_STARTS: Starts = starts(&CODE);
static TEMPLATE_STARTS: Starts = starts(&TEMPLATE);

/// Where the first pattern fits.
fn first(text: &[u8], patterns: &[Pattern], starts: &Starts) -> Option<usize> {
    text.iter().enumerate().position(|(at, &byte)| {
        let mut mask = starts.get(usize::from(byte)).copied().unwrap_or(0);
        while mask != 0 {
            let index = usize::try_from(mask.trailing_zeros()).unwrap_or(usize::MAX);
            if patterns.get(index).is_some_and(|pattern| pattern.fits(text, at)) {
                return true;
            }
            mask &= mask.wrapping_sub(1);
        }
        false
    })
}

impl Pattern {
    fn fits(&self, text: &[u8], at: usize) -> bool {
        let (before, rest) = text.split_at_checked(at).unwrap_or_default();
        let Some((here, behind)) = rest.split_at_checked(self.text.len()) else { return false };
        let same = if self.any_case {
            here.eq_ignore_ascii_case(self.text.as_bytes())
        } else {
            here == self.text.as_bytes()
        };
        same && (self.before)(before) && (self.behind)(behind)
    }
}

// What may stand before a pattern: each takes the text up to it.

const fn anything(_: &[u8]) -> bool {
    true
}

/// No identifier goes on here.
fn name(before: &[u8]) -> bool {
    !before.last().is_some_and(|&byte| is_name(byte))
}

/// Neither an identifier nor an attribute: `model.eval(` is a method of somebody's.
fn word(before: &[u8]) -> bool {
    name(before) && before.last() != Some(&b'.')
}

/// A command of its own: the text starts here, or a quote, a bracket or another command ends.
/// In a line of its own it is what a page on how to install something says.
fn commanded(before: &[u8]) -> bool {
    let line = before.trim_ascii_end();
    matches!(line.last(), None | Some(b';' | b'&' | b'|' | b'(' | b'"' | b'\''))
}

/// Not in the quotes by which prose names it.
fn unquoted(before: &[u8]) -> bool {
    before.last() != Some(&b'`')
}

fn dotted(before: &[u8]) -> bool {
    before.last() == Some(&b'.')
}

fn blank(before: &[u8]) -> bool {
    before
        .last()
        .is_some_and(|byte| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'/'))
}

fn quote(before: &[u8]) -> bool {
    before.last().is_some_and(|&byte| is_quote(byte))
}

fn letter_before(before: &[u8]) -> bool {
    before.last().is_some_and(u8::is_ascii_alphanumeric)
}

/// An attribute by a dot, or a name as a string, of which only the ending is the pattern.
fn attribute(before: &[u8]) -> bool {
    let start = before.iter().rev().take(64).find(|&&byte| !is_name(byte));
    start.is_some_and(|&byte| byte == b'.' || is_quote(byte))
}

/// A filter's bar.
fn filter(before: &[u8]) -> bool {
    before.trim_ascii_end().last() == Some(&b'|')
}

/// A quote, and before it what keeps the string for later: an assignment, a list, a tuple. An
/// underscore between two other things is a separator, as in `name + '_' + index`.
fn kept(before: &[u8]) -> bool {
    let Some((&last, before)) = before.split_last() else { return false };
    is_quote(last)
        && match before.trim_ascii_end() {
            [.., b'=' | b'!' | b'<' | b'>', b'='] => false,
            [.., b'=' | b'['] => true,
            [rest @ .., b'('] => !rest.last().is_some_and(|&byte| is_name(byte)),
            _ => false,
        }
}

// What may stand behind a pattern: each takes the text from there.

fn word_end(behind: &[u8]) -> bool {
    !behind.first().is_some_and(|&byte| is_name(byte))
}

fn letter(behind: &[u8]) -> bool {
    behind.first().is_some_and(u8::is_ascii_alphanumeric)
}

fn quoted(behind: &[u8]) -> bool {
    behind.first().is_some_and(|&byte| is_quote(byte))
}

/// A call that is handed something.
fn argument(behind: &[u8]) -> bool {
    behind.trim_ascii_start().first().is_some_and(|&byte| byte != b')')
}

/// The call is handed text, or what another call gives: `exec("…`, `eval(atob(…`.
fn literal_or_call(behind: &[u8]) -> bool {
    let behind = behind.trim_ascii_start();
    let end = behind.iter().position(|&byte| !is_name(byte) && byte != b'.');
    match end.and_then(|end| behind.get(end).map(|&byte| (end, byte))) {
        // Letters before a quote are a string's own: `b"…`, `rb'…`.
        Some((end, byte)) if is_quote(byte) => end <= 2,
        Some((end, b'(')) => end > 0,
        _ => false,
    }
}

/// Python's `compile` is told what to compile for.
fn compiled(behind: &[u8]) -> bool {
    let line = within(behind, 256);
    [b"'exec'", b"\"exec\"", b"'eval'", b"\"eval\""]
        .iter()
        .any(|mode| line.windows(mode.len()).any(|window| window == *mode))
}

/// An attribute, an item, a call or a filter of what stands before.
fn reached_into(behind: &[u8]) -> bool {
    matches!(behind.trim_ascii_start().first(), Some(b'.' | b'[' | b'|'))
        || matches!(behind, [b'\'' | b'"', b']', ..] | [b'\'' | b'"', b')', ..])
}

/// A method being defined or called, not the name in prose.
fn defined(behind: &[u8]) -> bool {
    behind.first() == Some(&b'(')
}

/// `execv(`, `spawnlp(` and their kin.
fn exec_suffix(behind: &[u8]) -> bool {
    let end = behind.iter().position(|byte| !matches!(byte, b'l' | b'v' | b'p' | b'e'));
    end.is_some_and(|end| (1..=3).contains(&end) && behind.get(end) == Some(&b'('))
}

/// On the same line, a bar and a shell or an interpreter.
fn piped_into_shell(behind: &[u8]) -> bool {
    const SHELLS: [&[u8]; 9] =
        [b"sh", b"bash", b"zsh", b"dash", b"python", b"python3", b"perl", b"ruby", b"node"];
    within(behind, 256).split(|&byte| byte == b'|').skip(1).take(8).any(|command| {
        let mut words = command
            .split(|byte| {
                byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`' | b';' | b')')
            })
            .filter(|word| !word.is_empty());
        let command = words.find(|word| *word != b"sudo" && !word.starts_with(b"-"));
        let command = command.map(|word| word.rsplit(|&byte| byte == b'/').next().unwrap_or(word));
        command.is_some_and(|command| SHELLS.contains(&command))
    })
}

/// The whole disk or home, not a folder in it.
fn all_of_it(behind: &[u8]) -> bool {
    !behind.first().is_some_and(|&byte| is_name(byte) || matches!(byte, b'.' | b'/' | b'$' | b'{'))
}

/// A page's script, which has a source or does something: not a word about the tag.
fn script(behind: &[u8]) -> bool {
    match behind.split_first() {
        Some((b'>', body)) => {
            let closed = body
                .get(..REACH)
                .unwrap_or(body)
                .windows(8)
                .any(|end| end.eq_ignore_ascii_case(b"</script"));
            !matches!(body.first(), Some(b':' | b'`'))
                && (closed || within(body, 256).contains(&b'('))
        }
        Some((byte, tag)) if byte.is_ascii_whitespace() || *byte == b'/' => {
            within(tag, 256).windows(4).any(|name| name.eq_ignore_ascii_case(b"src="))
        }
        _ => false,
    }
}

fn address(behind: &[u8]) -> bool {
    behind.first().is_some_and(u8::is_ascii_alphabetic)
}

/// `class__`: the rest of a name between double underscores.
fn internal(behind: &[u8]) -> bool {
    let end = behind.windows(2).take(40).position(|pair| pair == b"__");
    end.and_then(|end| behind.get(..end)).is_some_and(|inner| {
        !inner.is_empty()
            && inner.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
            && inner.iter().any(u8::is_ascii_lowercase)
    })
}

/// A closing quote, and behind it what makes two underscores of one: a factor, or another string
/// that starts with one.
fn doubled(behind: &[u8]) -> bool {
    let Some((&first, behind)) = behind.split_first() else { return false };
    is_quote(first)
        && match behind.trim_ascii_start() {
            [b'*', ..] => true,
            [b'~' | b'+', rest @ ..] => {
                let rest = rest.iter().position(|&b| !b.is_ascii_whitespace() && b != b'(');
                let rest =
                    rest.and_then(|at| behind.trim_ascii_start().get(at.saturating_add(1)..));
                matches!(rest, Some([quote, b'_', ..]) if is_quote(*quote))
            }
            _ => false,
        }
}

/// `class_'`: the rest of a string that starts with an underscore, and ends with one.
fn enclosed(behind: &[u8]) -> bool {
    let end = behind.iter().take(40).position(|&byte| !is_name(byte));
    end.is_some_and(|end| {
        behind.get(end).is_some_and(|&byte| is_quote(byte))
            && behind.get(..end).is_some_and(|inner| inner.len() > 1 && inner.ends_with(b"_"))
    })
}

/// `|attr(…)`, and not a filter whose name only starts so.
fn unnamed(behind: &[u8]) -> bool {
    behind.trim_ascii_start().first() == Some(&b'(')
}

/// `gi_frame`, `tb_frame` and `cr_frame` stand alone.
fn frame(behind: &[u8]) -> bool {
    matches!(behind.first(), Some(b'.' | b'['))
}

/// A tag that loads another template.
fn loads_template(behind: &[u8]) -> bool {
    const TAGS: [&[u8]; 4] = [b"include", b"import", b"from", b"extends"];
    let behind = match behind {
        [b'-' | b'+', rest @ ..] => rest,
        all => all,
    };
    let behind = behind.trim_ascii_start();
    TAGS.iter().any(|tag| behind.strip_prefix(*tag).is_some_and(word_end))
}

// Shared pieces.

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

const fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'')
}

/// The rest of the line, and no more than `most` bytes.
fn within(text: &[u8], most: usize) -> &[u8] {
    let text = text.get(..most).unwrap_or(text);
    text.split(|&byte| byte == b'\n').next().unwrap_or_default()
}

/// Whether the text is a program from its first word on.
fn opens_as_program(text: &[u8]) -> bool {
    const MODULES: [&[u8]; 12] = [
        b"os",
        b"sys",
        b"subprocess",
        b"socket",
        b"base64",
        b"pty",
        b"ctypes",
        b"shutil",
        b"pickle",
        b"marshal",
        b"builtins",
        b"importlib",
    ];
    if text.starts_with(b"#!/") {
        return true;
    }
    let line = within(text, 256);
    let mut words = line
        .split(|byte| byte.is_ascii_whitespace() || matches!(byte, b',' | b';'))
        .filter(|word| !word.is_empty());
    let module = |word: Option<&[u8]>| {
        let root = word.and_then(|word| word.split(|&byte| byte == b'.').next());
        root.is_some_and(|root| MODULES.contains(&root))
    };
    match words.next() {
        Some(b"import") => words.any(|word| module(Some(word))),
        Some(b"from") => module(words.next()) && words.next() == Some(b"import"),
        _ => false,
    }
}

/// Whether the whole text is the base64 of a pickle: `PROTO` and a frame, or what protocol 2 and
/// 3 start with.
fn is_packed_pickle(text: &[u8]) -> bool {
    const STARTS: [&[u8]; 6] = [b"gASV", b"gAWV", b"gAJj", b"gAJ9", b"gANj", b"gAN9"];
    let text = text.trim_ascii_end();
    text.len() >= 16
        && STARTS.iter().any(|start| text.starts_with(start))
        && text.iter().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=' | b'\n')
        })
}

#[cfg(test)]
mod tests;
