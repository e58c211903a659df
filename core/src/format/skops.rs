//! The schema of a skops archive: a tree of nodes, each with the class that it makes.
//!
//! skops loads a file only if the user trusts every type in it, and many programs answer
//! `get_untrusted_types` by trusting what it lists. Here the types that skops trusts by itself are
//! known, with the rest of scikit-learn and the types that its nodes make; functions and types
//! that open files, start processes or run code are dangerous, and all else is unknown. A bound
//! method or a callable of `operator` is never trusted, as in skops, because what it calls is a
//! string.
//!
//! It refuses to follow the tree: every object with the three keys is a node, wherever it stands.
//!
//! Source: skops 0.13, `skops/io/_audit.py`, `_general.py`, `_numpy.py`, `_sklearn.py`,
//! `_trusted_types.py`. Stricter than skops: a schema is UTF-8, and no key stands twice.

use super::event::Sink;
use super::objects::{Encoding, NAME_BYTES, Seen, each, join, speaks};
use crate::limits::Limits;
use crate::rules::names::{Named, System, named};
use crate::rules::{Class, judge};

anomaly_kinds! {
    /// What is odd about a schema.
    pub enum SkopsKind;

    Json, FormatStructure, "skops.json",
        "the schema is no JSON that all readers take alike, and Python's reader may take it";
    Encoding, FormatStructure, "skops.encoding",
        "the schema is not plain UTF-8, and Python's reader of JSON takes UTF-16, UTF-32 and a mark in front too";
    RepeatedKey, FormatStructure, "skops.repeated-key",
        "a key that decides what is made stands twice in a node, and readers take the first or the last";
    Node, FormatStructure, "skops.node",
        "a node does not say by text what it makes";
    Unknown, ReferenceUnknown, "skops.type",
        "the schema names a type or function that skops imports, and that it does not trust by itself";
    Method, ReferenceUnknown, "skops.method",
        "the schema names a method or an operator by a string, and skops makes it callable";
    Dangerous, ReferenceDangerous, "skops.type-dangerous",
        "the schema names a type or function that gives files, processes, code or the network";
}

const KEYS: [&str; 3] = ["__class__", "__module__", "__loader__"];

/// Whether skops would find a node in the bytes.
#[must_use]
pub fn accepts(bytes: &[u8]) -> bool {
    match Encoding::of(bytes) {
        Encoding::Utf8(text) => {
            let mut found = false;
            let read = each(text, &KEYS, &mut |object| {
                found |= object.seen.iter().all(|seen| seen.is_there());
            });
            if read.is_ok() { found } else { speaks(text.iter().copied(), &KEYS) }
        }
        Encoding::Wide(text) => speaks(text.units(), &KEYS),
        Encoding::None => false,
    }
}

/// Walks a schema.
pub fn read(bytes: &[u8], _limits: &Limits, sink: Sink<'_>) {
    // Other JSON is nobody's schema, whatever its name promises.
    if !accepts(bytes) {
        return;
    }
    let text = match Encoding::of(bytes) {
        Encoding::Utf8(text) if text.len() == bytes.len() => text,
        _ => return sink(SkopsKind::Encoding.at(0, b"")),
    };
    let read = each(text, &KEYS, &mut |object| {
        if object.repeated {
            sink(SkopsKind::RepeatedKey.at(object.offset, b""));
        }
        let [class, module, loader] = object.seen;
        if class.is_there() && module.is_there() {
            node(class, module, loader, object.offset, sink);
        }
    });
    if let Err(error) = read {
        sink(SkopsKind::Json.at(error.offset, error.kind.message().as_bytes()));
    }
}

fn node(class: Seen<'_>, module: Seen<'_>, loader: Seen<'_>, offset: u64, sink: Sink<'_>) {
    let (Some(name), Some(module)) = (class.text(), module.text()) else {
        return sink(SkopsKind::Node.at(offset, b""));
    };
    let mut buffer = [0_u8; NAME_BYTES];
    let Some((joined, Some(dot))) = join(Some(module), name, &mut buffer) else {
        return sink(SkopsKind::Unknown.at(offset, name.raw().as_bytes()));
    };
    let module = joined.get(..dot).unwrap_or_default();
    let name = joined.get(dot.saturating_add(1)..).unwrap_or_default();
    let texts = core::str::from_utf8(module).ok().zip(core::str::from_utf8(name).ok());
    let class = texts.map(|(module, name)| judge(module, name, false).class);
    let kind = match (class, named(System::Skops, joined)) {
        (Some(Class::Dangerous(_)), _) | (_, Some(Named::Dangerous(_))) => SkopsKind::Dangerous,
        _ if loader.is("MethodNode") || loader.is("OperatorFuncNode") => SkopsKind::Method,
        // A name with dots walks on from what it names.
        (_, Some(Named::Known(_))) if !name.contains(&b'.') => return,
        _ => SkopsKind::Unknown,
    };
    sink(kind.at(offset, joined));
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::format::testing;
    use std::string::String;
    use std::vec::Vec;

    fn walk(text: &[u8]) -> Vec<String> {
        testing::subjects(read, text)
    }

    fn one(module: &str, class: &str, loader: &str) -> Vec<String> {
        let text = std::format!(
            r#"{{"a": {{"__class__": "{class}", "__module__": "{module}", "__loader__": "{loader}"}}}}"#
        );
        walk(text.as_bytes())
    }

    #[test]
    fn types_are_judged_by_module_and_class() {
        for (module, class) in [
            ("sklearn.linear_model._logistic", "LogisticRegression"),
            ("numpy", "ndarray"),
            ("builtins", "dict"),
            ("numpy.random.mtrand", "RandomState"),
        ] {
            assert!(one(module, class, "ObjectNode").is_empty(), "{module}.{class}");
        }
        for (module, class, loader, id) in [
            ("os", "system", "FunctionNode", "skops.type-dangerous"),
            ("numpy", "load", "FunctionNode", "skops.type-dangerous"),
            ("builtins", "eval", "TypeNode", "skops.type-dangerous"),
            ("operator", "methodcaller", "OperatorFuncNode", "skops.type-dangerous"),
            ("sklearn.datasets._openml", "fetch_openml", "FunctionNode", "skops.type-dangerous"),
            ("sklearn.svm._classes", "SVC", "MethodNode", "skops.method"),
            ("mine", "Model", "ObjectNode", "skops.type"),
            ("builtins", "object", "ObjectNode", "skops.type"),
            ("sklearn.utils", "fixes.x", "FunctionNode", "skops.type"),
            ("scipy.sparse", "save_npz", "FunctionNode", "skops.type-dangerous"),
        ] {
            let seen = one(module, class, loader);
            assert!(seen.len() == 1 && seen[0].starts_with(id), "{module}.{class}: {seen:?}");
        }
    }

    #[test]
    fn numpy_is_known_but_for_what_reaches_files_and_code() {
        for (module, class) in [
            ("numpy", "fromfile"),
            ("numpy", "save"),
            ("numpy", "savetxt"),
            ("numpy", "loadtxt"),
            ("numpy", "genfromtxt"),
            ("numpy", "memmap"),
            ("numpy", "DataSource"),
            ("numpy.lib.npyio", "load"),
            ("numpy.lib._npyio_impl", "load"),
            ("numpy.lib._datasource", "open"),
            ("numpy.lib.format", "open_memmap"),
            ("numpy.ctypeslib", "load_library"),
            ("numpy.f2py", "compile"),
            ("numpy.testing._private.utils", "runstring"),
            ("numpy.core.records", "fromfile"),
        ] {
            let seen = one(module, class, "FunctionNode");
            let dangerous = seen.first().is_some_and(|seen| seen.starts_with("skops.type-d"));
            assert!(dangerous, "{module}.{class}: {seen:?}");
        }
    }

    #[test]
    fn what_python_reads_otherwise_does_not_pass() {
        let node = r#"{"__class__": "a", "__module__": "os", "__loader__": "x"}"#;
        let twice = node.replace("\"x\"", "\"x\", \"__class__\": \"system\"");
        assert_eq!(
            walk(twice.as_bytes()),
            ["skops.repeated-key ", "skops.type-dangerous os.system"]
        );
        let wide: Vec<u8> = node.bytes().flat_map(|byte| [0, byte]).collect();
        assert_eq!(walk(&wide), ["skops.encoding "]);
        assert_eq!(
            walk(br#"{"__class__": 1, "__module__": "os", "__loader__": "x"}"#),
            ["skops.node "]
        );
        let not_a_number = node.replace("\"x\"", "NaN, \"__loader\\u005f_\": 1");
        assert!(walk(not_a_number.as_bytes())[0].starts_with("skops.json"), "{not_a_number}");
        assert!(!accepts(br#"{"__class__": "x"}"#) && !accepts(b"") && !accepts(b"__class__"));
    }
}
