//! The JSON of a torch.export archive: what its loader evaluates, imports and calls.
//!
//! `models/<name>.json` describes a graph, and four of its keys do more than describe
//! (`torch/_export/serde/serialize.py`, PyTorch 2.13):
//!
//! - `expr_str` goes to `sympy.sympify`, which is `eval` with SymPy's names and Python's builtins;
//! - `guards_code` is pasted into a function that `exec` makes (`torch/export/_unlift.py`);
//! - `target` is looked up attribute by attribute from `torch`, `math` or `operator` on, and an
//!   operator found so runs when the module does;
//! - a tree specification with `default_factory_module` or `__enum__` imports the module that it
//!   names (`torch/utils/_pytree.py`).
//!
//! [`read`] walks the strings, each with the key before it, and judges those. It refuses text that
//! is escaped without need, which no `json.dumps` writes and which would hide a key. It is no
//! reader of JSON: what does not parse is refused by the loader before any of it counts.

use super::event::{Event, Sink};
use super::python::lex::{Kind, Lexer};
use super::python::path::Path;
use super::torchscript::judge_operator;
use crate::limits::Limits;

anomaly_kinds! {
    /// What the loader of a torch.export archive would run.
    pub enum ExportAnomaly;
    Expression, CodeDangerous, "export.expression", "the loader evaluates this text as Python, and it is more than arithmetic on sizes";
    Target, TorchscriptOperator, "export.target", "a node of the graph names something that is no operator of PyTorch";
    Imports, ReferenceUnknown, "export.import", "a tree specification names a module that the loader imports";
    Partial, FormatPartial, "export.partial", "what the graph computes was not judged, only what its loader would run by its names";
    Escaped, FormatStructure, "export.escaped", "letters of the JSON text are escaped, which no serializer writes and which hides what it says";
}

/// Walks the description of a graph.
pub fn read(bytes: &[u8], _limits: &Limits, sink: Sink<'_>) {
    let mut key: &[u8] = b"";
    let mut at = 0_usize;
    while let Some(start) = find(bytes, at, b'"') {
        let body = start.saturating_add(1);
        let end = string_end(bytes, body);
        let text = bytes.get(body..end).unwrap_or_default();
        let place = u64::try_from(start).unwrap_or(u64::MAX);
        at = end.saturating_add(1);
        if is_escaped(text) {
            sink(ExportAnomaly::Escaped.at(place, text));
        }
        let rest = bytes.get(at..).unwrap_or_default().trim_ascii_start();
        if rest.starts_with(b":") {
            key = text;
            continue;
        }
        match key {
            b"expr_str" if !is_arithmetic(text, false) => {
                sink(ExportAnomaly::Expression.at(place, text));
            }
            b"guards_code" if !is_arithmetic(text, true) => {
                sink(ExportAnomaly::Expression.at(place, text));
            }
            b"target" => judge_target(text, place, sink),
            _ => {}
        }
        if contains(text, b"default_factory_module") || contains(text, b"__enum__") {
            sink(ExportAnomaly::Imports.at(place, text));
        }
    }
    sink(ExportAnomaly::Partial.at(0, b""));
    sink(Event::Unjudged("what the graph of a torch.export archive computes was not judged"));
}

fn find(bytes: &[u8], from: usize, byte: u8) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.iter().position(|&it| it == byte).map(|at| from.saturating_add(at))
}

/// Where the closing quote of a string stands, or the end of the bytes.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at = at.saturating_add(2),
            _ => at = at.saturating_add(1),
        }
    }
    bytes.len()
}

fn contains(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|window| window == what)
}

/// Whether an escape stands for a printable ASCII character. `\u0022` and `\u005c` do, too, but
/// serializers write those two shorter.
fn is_escaped(text: &[u8]) -> bool {
    text.windows(6).any(|window| {
        let digits = window.strip_prefix(b"\\u00").and_then(|it| core::str::from_utf8(it).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        code.is_some_and(|code| matches!(code, 0x20..=0x7e))
    })
}

/// Whether text is arithmetic on sizes: numbers, operators, symbols as `ShapeEnv` calls them
/// (`s0`, `u12`, `zuf0`), functions of SymPy's kind (`Max`, `FloorDiv`, `Symbol('s0',
/// positive=True)`), and in guards the arguments (`L['x'].size()[0]`).
///
/// SymPy evaluates strings that its functions are given, so outside guards a string may hold a
/// name or a number and no more.
fn is_arithmetic(text: &[u8], guard: bool) -> bool {
    // A quote inside would be escaped, and a backslash joins lines and escapes letters.
    !text.contains(&b'\\')
        && Lexer::new(text).all(|token| match token.kind {
            Kind::Number => true,
            Kind::Operator => guard || token.text != b".",
            Kind::Text => {
                let plain = |it: &u8| is_letter(*it) || matches!(it, b'.' | b'+' | b'-');
                guard || token.text.iter().all(plain)
            }
            Kind::Name => is_symbol(token.text) || guard && OF_TENSORS.contains(&token.text),
            Kind::Template | Kind::Line | Kind::Broken => false,
        })
}

/// What guards ask of arguments.
const OF_TENSORS: [&[u8]; 22] = [
    b"L",
    b"args",
    b"kwargs",
    b"is",
    b"in",
    b"None",
    b"len",
    b"min",
    b"max",
    b"abs",
    b"int",
    b"float",
    b"bool",
    b"size",
    b"stride",
    b"shape",
    b"storage_offset",
    b"numel",
    b"isnan",
    b"isinf",
    b"item",
    b"dtype",
];

/// Whether a name is a symbol, a function of SymPy's, or a word of its arithmetic.
fn is_symbol(name: &[u8]) -> bool {
    const WORDS: [&[u8]; 30] = [
        b"and",
        b"or",
        b"not",
        b"True",
        b"False",
        b"true",
        b"false",
        b"oo",
        b"zoo",
        b"nan",
        b"inf",
        b"int_oo",
        b"pi",
        b"sqrt",
        b"floor",
        b"ceiling",
        b"log",
        b"exp",
        b"math",
        // What is assumed of a symbol, and of a number.
        b"positive",
        b"negative",
        b"nonnegative",
        b"nonpositive",
        b"nonzero",
        b"zero",
        b"integer",
        b"real",
        b"finite",
        b"precision",
        b"evaluate",
    ];
    // Those of SymPy's that evaluate text or make functions.
    const EVALUATORS: [&[u8]; 4] = [b"S", b"Lambda", b"Function", b"UndefinedFunction"];
    if !name.iter().all(|&it| is_letter(it)) || name.starts_with(b"_") {
        return false;
    }
    let numbered = name.last().is_some_and(u8::is_ascii_digit);
    let function = name.first().is_some_and(u8::is_ascii_uppercase);
    numbered || WORDS.contains(&name) || function && !EVALUATORS.contains(&name)
}

const fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Judges what a node calls.
fn judge_target(target: &[u8], at: u64, sink: Sink<'_>) {
    if let Some(operator) = target.strip_prefix(b"torch.ops.") {
        let mut parts = operator.split(|&byte| byte == b'.');
        let mut name = Path::<192>::of(parts.next().unwrap_or_default());
        name.append(b"::");
        name.append(parts.next().unwrap_or_default());
        return judge_operator(name.bytes(), at, sink);
    }
    let mut parts = target.split(|&byte| byte == b'.');
    let (first, second, third) = (parts.next(), parts.next(), parts.next());
    let plain = match (first, second, third) {
        (Some(b"math" | b"_operator"), Some(name), None) => is_plain(name),
        (Some(b"torch"), Some(name), None) => name.starts_with(b"sym_") || name == b"_sym_sqrt",
        (Some(b"torch"), Some(b"_sym_ops" | b"_higher_order_ops"), _) => {
            target.iter().all(|&it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'.'))
                && !contains(target, b"__")
        }
        (Some(b"torch"), Some(b"_C"), Some(_)) => false,
        // The loader asks how the text starts, takes nothing else for a path, and refuses a node
        // that calls text. `#` is an extension that some program has registered.
        _ => ![&b"torch"[..], b"math", b"_operator", b"#"].iter().any(|it| target.starts_with(it)),
    };
    if !plain {
        sink(ExportAnomaly::Target.at(at, target));
    }
}

fn is_plain(name: &[u8]) -> bool {
    const LEADING_OUT: [&[u8]; 5] =
        [b"attrgetter", b"call", b"itemgetter", b"methodcaller", b"concat"];
    !name.starts_with(b"__") && !LEADING_OUT.contains(&name)
}

/// Whether a configuration of weights or constants asks for any to be unpickled: `use_pickle`
/// with anything but `false`, or text in which the key could be hidden.
#[must_use]
pub fn asks_for_pickle(config: &[u8]) -> bool {
    const KEY: &[u8] = b"\"use_pickle\"";
    is_escaped(config)
        || core::str::from_utf8(config).is_err()
        || config.windows(KEY.len()).enumerate().any(|(at, window)| {
            window == KEY && !is_false(config.get(at.saturating_add(KEY.len())..))
        })
}

/// Whether `false` stands behind a key. Only white space is passed over, and none of it twice.
fn is_false(rest: Option<&[u8]>) -> bool {
    let value = rest.unwrap_or_default().trim_ascii_start().strip_prefix(b":");
    value.is_some_and(|value| value.trim_ascii_start().starts_with(b"false"))
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::string::String;
    use std::vec::Vec;
    use std::{format, vec};

    #[test]
    fn white_space_is_passed_over_once() {
        // A walk that took it from the start for each byte would not end.
        let mut config = vec![b' '; 4 << 20];
        assert!(!asks_for_pickle(&config));
        config.extend_from_slice(b"\"use_pickle\"");
        config.resize(8 << 20, b' ');
        config.extend_from_slice(b": false");
        assert!(!asks_for_pickle(&config));
        config.extend_from_slice(b", \"use_pickle\" : true");
        assert!(asks_for_pickle(&config));
    }

    fn found(json: &str) -> Vec<String> {
        let mut found = Vec::new();
        read(json.as_bytes(), &Limits::default(), &mut |event| {
            if let Event::Anomaly(anomaly) = event
                && anomaly.id != "export.partial"
            {
                found.push(format!("{} {}", anomaly.id, String::from_utf8_lossy(anomaly.subject)));
            }
        });
        found
    }

    #[test]
    fn sizes_are_arithmetic() {
        for text in [
            "s0",
            "2*s77 + 1",
            "Max(1, FloorDiv(s0, 2))",
            "Eq(Mod(u0, 8), 0)",
            "s0 <= 1024",
            "-int_oo",
            "1.5*s3**2",
            "ToFloat(s0)",
            "OpaqueUnaryFn_sqrt(s0)",
            "Mul(Float('0.5', precision=53), Symbol('s53', positive=True, integer=True))",
            "GreaterThan(Symbol('u0', integer=True), Integer(-3))",
        ] {
            assert_eq!(
                found(&format!("{{\"expr_str\": \"{text}\"}}")),
                Vec::<String>::new(),
                "{text}"
            );
        }
        for text in [
            "__import__('os').system('x')",
            "eval(s0)",
            "().x",
            "S('x')",
            "exec",
            "open(1)",
            "[x for x in s0]",
            "lambda",
            "s0\\nimport os",
            "f(1)",
            "print(1)",
            "Max(1, 'exec(1)')",
            "Symbol('s0').name",
        ] {
            assert_eq!(found(&format!("{{\"expr_str\": \"{text}\"}}")).len(), 1, "{text}");
        }
        for text in
            ["L['x'].size()[0] <= 10", "math.isnan(L['flat_args'][0])", "not (L['a'] is None)"]
        {
            let json = format!("{{\"guards_code\": [\"s0 == 1\", \"{text}\"]}}");
            assert_eq!(found(&json), Vec::<String>::new(), "{text}");
        }
        for text in ["__import__('os')", "L['x'].__class__", "getattr(L, 'x')", "exec('1')"] {
            let json = format!("{{\"guards_code\": [\"s0 == 1\", \"{text}\"]}}");
            assert_eq!(found(&json).len(), 1, "{text}");
        }
    }

    #[test]
    fn targets_are_operators() {
        for target in [
            "torch.ops.aten.add.Tensor",
            "_operator.add",
            "math.trunc",
            "torch.sym_max",
            "torch.ops.higher_order.cond",
            "torch.ops.quantized_decomposed.quantize_per_tensor.default",
        ] {
            assert_eq!(
                found(&format!("{{\"target\": \"{target}\"}}")),
                Vec::<String>::new(),
                "{target}"
            );
        }
        for (target, id) in [
            ("torch.ops.aten.from_file.default", "torchscript.operator aten::from_file"),
            ("torch.ops.mine.run.default", "torchscript.namespace mine::run"),
            ("torch.hub.load", "export.target torch.hub.load"),
            ("torch.serialization.os.system", "export.target torch.serialization.os.system"),
            ("torchx.os.system", "export.target torchx.os.system"),
            ("_operator.methodcaller", "export.target _operator.methodcaller"),
        ] {
            assert_eq!(found(&format!("{{\"target\": \"{target}\"}}")), vec![id], "{target}");
        }
    }

    #[test]
    fn hidden_text_is_found() {
        assert_eq!(found("{\"\\u0065xpr_str\": \"eval(1)\"}").len(), 1);
        assert_eq!(
            found("{\"in_spec\": \"[1, {\\\"default_factory_module\\\": \\\"os\\\"}]\"}").len(),
            1
        );
        assert!(asks_for_pickle(b"{\"a\": {\"use_pickle\": true}}"));
        assert!(asks_for_pickle(b"{\"use_pickle\"\n:1, \"use_pickle\": false}"));
        assert!(asks_for_pickle(b"{\"use_p\\u0069ckle\": true}"));
        assert!(!asks_for_pickle(b"{\"a\": {\"use_pickle\": false}, \"b\": true}"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_walked_to_an_end(bytes: Vec<u8>) {
            read(&bytes, &Limits::default(), &mut |_| {});
            let _ = asks_for_pickle(&bytes);
        }
    }
}
