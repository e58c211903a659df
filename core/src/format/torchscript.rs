//! TorchScript: which operators and native classes an archive's code names.
//!
//! The source under `code/` looks like Python and is another language. `torch` stands for the
//! operators of `aten`, `ops.<namespace>` for those of any namespace, and `__torch__` for the
//! archive's own classes and for native ones below `__torch__.torch.classes`
//! (`torch/csrc/jit/serialization/import_source.cpp`: `env_`, `findNamedType`). Nothing is imported
//! and no Python runs, so all that the code can reach is what is registered, and [`read`] judges
//! each operator that it names by `spec/rules/names.toml`, called or not. [`bytecode`] does the
//! same for the strings of a mobile archive's `bytecode.pkl`, whose operators stand there as text
//! (`torch/csrc/jit/mobile/import.cpp`: `parseMethods`).
//!
//! It refuses to follow a value. `a = torch` and `getattr(ops.aten, "save")` compile, and no
//! archive that `torch.jit.save` has written holds either, so there the operators' module alone is
//! a finding. What the code computes with honest operators is not judged.

use super::event::Sink;
use super::python::lex::{Kind, Lexer, Token};
use super::python::path::Path;
use crate::limits::Limits;
use crate::pickle::decode::{Arg, Step, decode};
use crate::rules::names::{Named, System, named};

anomaly_kinds! {
    /// What TorchScript code names.
    pub enum ScriptAnomaly;
    Operator, TorchscriptOperator, "torchscript.operator", "the code names an operator that touches files, other machines, the interpreter, or memory outside its tensors";
    Value, TorchscriptOperator, "torchscript.value", "the operators' module is handed on as a value, which no serializer writes, and what is called through it cannot be followed";
    Namespace, ReferenceUnknown, "torchscript.namespace", "the code names an operator of a native library that PyTorch does not bring along, and nobody has judged it";
    Class, ReferenceUnknown, "torchscript.class", "the code names a class of a native library that PyTorch does not bring along, and nobody has judged it";
    Unreadable, TorchscriptOperator, "torchscript.unreadable", "the code cannot be read to its end, so that nobody can say what it names";
}

/// Where classes of native code are found (`getCustomClass`).
const CLASSES: &[u8] = b"__torch__.torch.classes.";

/// Walks a source file, and tells of the operators and the native classes that it names.
pub fn read(bytes: &[u8], _limits: &Limits, sink: Sink<'_>) {
    if core::str::from_utf8(bytes).is_err() || bytes.contains(&0) {
        sink(ScriptAnomaly::Unreadable.at(0, b"not UTF-8 text"));
    }
    let mut lexer = Lexer::script(bytes);
    let mut before = None::<Token<'_>>;
    while let Some(token) = lexer.next() {
        let at = u64::try_from(token.at).unwrap_or(u64::MAX);
        let attribute = before.is_some_and(|it| it.is(Kind::Operator, b"."));
        before = Some(token);
        match token.kind {
            Kind::Broken => sink(ScriptAnomaly::Unreadable.at(at, b"")),
            Kind::Name if !attribute && matches!(token.text, b"torch" | b"ops" | b"__torch__") => {
                let mut path = Path::<192>::of(token.text);
                while next_is(&lexer, b".") {
                    before = lexer.next();
                    let Some(part) = lexer.clone().next().filter(|it| it.kind == Kind::Name) else {
                        break;
                    };
                    before = lexer.next();
                    path.push(part.text);
                }
                // A class has attributes of any name, and a call keywords: `ops : List[int]`.
                let declared = next_is(&lexer, b":") || next_is(&lexer, b"=");
                judge_path(path.bytes(), at, declared, sink);
            }
            _ => {}
        }
    }
}

fn next_is(lexer: &Lexer<'_>, text: &[u8]) -> bool {
    lexer.clone().next().is_some_and(|token| token.is(Kind::Operator, text))
}

/// Judges a dotted name that starts where operators or classes are.
fn judge_path(path: &[u8], at: u64, declared: bool, sink: Sink<'_>) {
    if path.starts_with(b"__torch__") {
        return judge_class(path, at, sink);
    }
    let mut parts = path.split(|&byte| byte == b'.').peekable();
    let mut namespace: Option<&[u8]> = match parts.next() {
        Some(b"torch") => Some(b"aten"),
        _ => parts.next(),
    };
    // `BuiltinModule::attr` gives `aten` again for this name, whatever the module.
    while parts.next_if_eq(&&b"autograd"[..]).is_some() {
        namespace = Some(b"aten");
    }
    match (namespace, parts.next()) {
        (Some(namespace), Some(name)) => {
            let mut operator = Path::<192>::of(namespace);
            operator.append(b"::");
            operator.append(name);
            judge_operator(operator.bytes(), at, sink);
        }
        _ if declared => {}
        _ => sink(ScriptAnomaly::Value.at(at, path)),
    }
}

/// Judges an operator, as `namespace::name`.
pub(super) fn judge_operator(name: &[u8], at: u64, sink: Sink<'_>) {
    match named(System::Torchscript, name) {
        Some(Named::Known(_)) => {}
        Some(Named::Dangerous(_)) => sink(ScriptAnomaly::Operator.at(at, name)),
        None => sink(ScriptAnomaly::Namespace.at(at, name)),
    }
}

fn judge_class(name: &[u8], at: u64, sink: Sink<'_>) {
    if !name.starts_with(CLASSES) {
        return;
    }
    match named(System::Torchscript, name) {
        Some(Named::Known(_)) => {}
        Some(Named::Dangerous(_)) => sink(ScriptAnomaly::Operator.at(at, name)),
        None => sink(ScriptAnomaly::Class.at(at, name)),
    }
}

/// Whether a pickle of a TorchScript archive may name a module: one of the archive's own, for
/// which nothing is imported, or native classes that PyTorch brings along.
#[must_use]
pub fn is_own_module(module: &str) -> bool {
    let module = module.as_bytes();
    let own = module == b"__torch__" || module.starts_with(b"__torch__.");
    // A class's name stands behind its namespace: `__torch__.torch.classes.quantized`, `Name`.
    let mut namespace = Path::<192>::of(module);
    namespace.append(b".");
    own && (!namespace.bytes().starts_with(CLASSES)
        || matches!(named(System::Torchscript, namespace.bytes()), Some(Named::Known(_))))
}

/// Tells of the operators and native classes that a mobile archive's `bytecode.pkl` names.
///
/// Its unpickler cannot put a string together, so every operator stands there as one literal.
pub fn bytecode(bytes: &[u8], _limits: &Limits, sink: Sink<'_>) {
    let mut at = 0_usize;
    while let Ok(Step::Instruction(instruction)) =
        decode(bytes.get(at..).unwrap_or_default(), u64::try_from(at).unwrap_or(u64::MAX))
    {
        if let Arg::Data(text) | Arg::Line(text) = instruction.arg {
            if is_operator(text) {
                judge_operator(text, instruction.offset, sink);
            } else {
                judge_class(text, instruction.offset, sink);
            }
        }
        at = at.saturating_add(instruction.length.max(1));
    }
}

/// Whether text is of the form `namespace::name`.
fn is_operator(text: &[u8]) -> bool {
    let is_name = |name: &[u8]| {
        !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    };
    text.windows(2).position(|pair| pair == b"::").is_some_and(|at| {
        let name = text.get(at.saturating_add(2)..).unwrap_or_default();
        // An overload may follow.
        let name = name.split(|&byte| byte == b'.').next().unwrap_or_default();
        text.get(..at).is_some_and(is_name) && is_name(name)
    })
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::format::event::Event;
    use std::string::String;
    use std::vec::Vec;
    use std::{format, vec};

    fn found(walk: fn(&[u8], &Limits, Sink<'_>), bytes: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        walk(bytes, &Limits::default(), &mut |event| {
            if let Event::Anomaly(anomaly) = event {
                let subject = String::from_utf8_lossy(anomaly.subject);
                found.push(format!("{} {subject}", anomaly.id));
            }
        });
        found
    }

    #[test]
    fn every_spelling_of_an_operator_is_the_same_operator() {
        for source in [
            "torch.save(x, \"f\")",
            "ops.aten.save(x, \"f\")",
            "torch.autograd.save(x, \"f\")",
            "ops.quantized.autograd.autograd.save(x, \"f\")",
            "torch . \\\n save (x, \"f\")",
            "(torch.\n  save)(x, \"f\")",
            "f = torch.save\n",
            "# '''\r'''\ntorch.save(x, \"f\")\n# '''",
        ] {
            assert_eq!(
                found(read, source.as_bytes()),
                ["torchscript.operator aten::save"],
                "{source:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_followed_is_a_finding() {
        for (source, id) in [
            ("a = torch\na.save(x, \"f\")", "torchscript.value torch"),
            ("getattr(torch, \"save\")(x, \"f\")", "torchscript.value torch"),
            ("o = ops.aten\n", "torchscript.value ops.aten"),
            ("(ops, x)", "torchscript.value ops"),
            ("x = \"never ends", "torchscript.unreadable "),
            ("ops.my_library.run(x)", "torchscript.namespace my_library::run"),
            (
                "__torch__.torch.classes.mine.Thing()",
                "torchscript.class __torch__.torch.classes.mine.Thing",
            ),
            ("ops.prim.rpc_sync(x)", "torchscript.operator prim::rpc_sync"),
        ] {
            assert_eq!(found(read, source.as_bytes()), vec![id], "{source:?}");
        }
    }

    #[test]
    fn what_serializers_write_is_none() {
        let source = "class Net(Module):\n  __parameters__ = [\"weight\", ]\n  ops : Tensor\n  def forward(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n    y = torch.add(self.ops, x, alpha=1)\n    ops.prim.RaiseException(\"torch.save\", \"builtins.RuntimeError\")\n    z = annotate(List[Tensor], [])\n    w = ops.quantized.linear_unpack(self._packed)\n    q : __torch__.torch.classes.quantized.LinearPackedParamsBase = w\n    return torch.conv1d(y, CONSTANTS.c0)\n";
        assert_eq!(found(read, source.as_bytes()), Vec::<String>::new());
    }

    #[test]
    fn strings_of_bytecode_are_judged() {
        let mut pickle = vec![0x80, 2];
        for text in ["aten::add", "aten::save", "other::op", "not::an operator", "plain"] {
            pickle.push(b'X');
            pickle.extend_from_slice(&u32::try_from(text.len()).unwrap().to_le_bytes());
            pickle.extend_from_slice(text.as_bytes());
        }
        pickle.push(b'.');
        let expected = ["torchscript.operator aten::save", "torchscript.namespace other::op"];
        assert_eq!(found(bytecode, &pickle), expected);
    }

    #[test]
    fn own_modules_are_told_from_native_classes() {
        assert!(is_own_module("__torch__") && is_own_module("__torch__.torch.nn.Linear"));
        assert!(is_own_module("__torch__.torch.classes.quantized"));
        assert!(!is_own_module("__torch__.torch.classes.mine"));
        assert!(!is_own_module("__torch__.torch.classes.dist_rpc"));
        assert!(!is_own_module("__torch__x") && !is_own_module("os"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_walked_to_an_end(bytes: Vec<u8>) {
            read(&bytes, &Limits::default(), &mut |_| {});
            bytecode(&bytes, &Limits::default(), &mut |_| {});
        }
    }
}
