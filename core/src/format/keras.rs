//! Keras configurations: the JSON of a `.keras` archive, of an HDF5 file's `model_config`, or of
//! a file of its own.
//!
//! Each object with a `class_name` names what its loader makes: a class or function, found by
//! `module` or among what the user registered. Up to Keras 3.8 any module was imported
//! (CVE-2025-1550), and later versions take Keras's own functions, of which some download files
//! or switch the loader's safe mode off (CVE-2025-8747, CVE-2025-9906). Lambda layers carry
//! Python bytecode (CVE-2024-3660), which the HDF5 loader ran whatever it was told
//! (CVE-2025-9905). All of these are findings; so are layers that open a file of any name.
//!
//! It refuses to guess what an object means by where it stands: every object of the text is
//! looked at, under any key, because the loader recurses into all of them. Of a class that no
//! module is named for, only what the user registers can come; nothing is imported for it, and it
//! is no finding.
//!
//! Stricter than Python's `json`: keys that matter stand once, and the text is UTF-8 and what
//! `serde_json` reads too. A text that is not is found by its strings alone, so that nothing that
//! Keras would read passes for something else.
//!
//! Source: Keras 3.11, `keras/src/saving/serialization_lib.py` (`deserialize_keras_object`,
//! `_retrieve_class_or_fn`), `keras/src/layers/core/lambda_layer.py`,
//! `keras/src/layers/preprocessing/index_lookup.py` (`set_vocabulary`); Keras 2.15,
//! `keras/src/layers/core/lambda_layer.py` (`_parse_function_from_config`).

use super::event::{Event, Sink};
use super::objects::{Encoding, NAME_BYTES, Object, Seen, each, join, speaks};
use crate::json::Str;
use crate::limits::Limits;
use crate::rules::names::{Named, System, named};
use crate::rules::{Class, judge};

anomaly_kinds! {
    /// What is odd about a configuration.
    pub enum KerasKind;

    Json, FormatStructure, "keras.json",
        "the configuration is no JSON that all readers take alike, and Python's reader may take it";
    Encoding, FormatStructure, "keras.encoding",
        "the configuration is not plain UTF-8, and Python's reader of JSON takes UTF-16, UTF-32 and a mark in front too";
    RepeatedKey, FormatStructure, "keras.repeated-key",
        "a key that decides what is made stands twice in an object, and readers take the first or the last";
    LambdaCode, CodeBytecode, "keras.lambda",
        "a Lambda layer carries compiled Python, which Keras unmarshals and calls";
    LambdaFunction, ReferenceUnknown, "keras.lambda-function",
        "a Lambda layer calls a function that it names, which is none of Keras's";
    Unknown, ReferenceUnknown, "keras.reference",
        "the configuration names a class or function of a module that Keras does not bring along, and Keras up to 3.8 imports it";
    Dangerous, ReferenceDangerous, "keras.reference-dangerous",
        "the configuration names a class or function that gives its loader files, processes, code or the network";
    File, ReferenceDangerous, "keras.file",
        "a layer is to read a file of this name, here or elsewhere, when it is made";
}

/// Whether Keras would find something to make in the bytes.
#[must_use]
pub fn accepts(bytes: &[u8]) -> bool {
    let text = match Encoding::of(bytes) {
        Encoding::Utf8(text) => text,
        Encoding::Wide(text) => return speaks(text.units(), &["class_name", "config"]),
        Encoding::None => return false,
    };
    let (mut found, mut manifest) = (false, false);
    let read = each(text, &KEYS, &mut |object| {
        let made = Made::of(object);
        // A class is made of a configuration that is `null`, too.
        found |= made.class_name.is_there() && made.config.is_named();
        manifest |= object.depth == 0 && made.manifest.is_there();
    });
    match read {
        // The reader of such files judges their shards, and hands the model back.
        Ok(()) => found && !manifest,
        Err(_) => speaks(text.iter().copied(), &["class_name", "config"]),
    }
}

/// Walks a configuration.
pub fn read(bytes: &[u8], _limits: &Limits, sink: Sink<'_>) {
    // Other JSON is nobody's configuration of Keras, whatever its name promises.
    if !accepts(bytes) {
        return;
    }
    let text = match Encoding::of(bytes) {
        Encoding::Utf8(text) => text,
        Encoding::Wide(_) | Encoding::None => {
            return sink(KerasKind::Encoding.at(0, b""));
        }
    };
    if text.len() < bytes.len() {
        sink(KerasKind::Encoding.at(0, b"byte order mark"));
    }
    let mark = bytes.len().saturating_sub(text.len());
    let base = u64::try_from(mark).unwrap_or(u64::MAX);
    let read = each(text, &KEYS, &mut |object| {
        let offset = object.offset.saturating_add(base);
        if object.repeated {
            sink(KerasKind::RepeatedKey.at(offset, b""));
        }
        Made::of(object).judge(offset, sink);
    });
    if let Err(error) = read {
        let why = error.kind.message().as_bytes();
        sink(KerasKind::Json.at(error.offset.saturating_add(base), why));
    }
    sink(Event::Unjudged("what the layers of a Keras model compute is not judged"));
}

/// The keys of an object that decide what is made of it.
const KEYS: [&str; 15] = [
    "class_name",
    "config",
    "module",
    "registered_name",
    "spec_name",
    "function",
    "function_type",
    "mask_type",
    "output_shape_type",
    "vocabulary",
    "idf_weights",
    "cls_symbol",
    "op",
    "node_def",
    // Of the file of a whole model of TensorFlow.js.
    "weightsManifest",
];

/// What stands under them.
struct Made<'a> {
    class_name: Seen<'a>,
    config: Seen<'a>,
    module: Seen<'a>,
    registered_name: Seen<'a>,
    spec_name: Seen<'a>,
    function: Seen<'a>,
    types: [Seen<'a>; 3],
    files: [Seen<'a>; 2],
    class_symbol: Seen<'a>,
    nodes: [Seen<'a>; 2],
    manifest: Seen<'a>,
}

impl<'a> Made<'a> {
    const fn of(object: &Object<'a, 15>) -> Self {
        let [class_name, config, module, registered_name, spec_name, function, ..] = object.seen;
        let [.., function_type, mask_type, shape_type, _, _, _, _, _, _] = object.seen;
        let [.., vocabulary, weights, class_symbol, op, node, manifest] = object.seen;
        Self {
            class_name,
            config,
            module,
            registered_name,
            spec_name,
            function,
            types: [function_type, mask_type, shape_type],
            files: [vocabulary, weights],
            class_symbol,
            nodes: [op, node],
            manifest,
        }
    }

    /// What the object makes its loader do; it starts at `offset`.
    fn judge(&self, offset: u64, sink: Sink<'_>) {
        if self.class_name.is("__lambda__")
            || self.types.iter().any(|kind| kind.is("lambda"))
            || matches!(self.function, Seen::List)
        {
            sink(KerasKind::LambdaCode.at(offset, b"Lambda"));
        } else if let Some(function) = self.function.text() {
            let module = self.module.text();
            refer(module, function, offset, KerasKind::LambdaFunction, sink);
            if module.is_none() {
                symbol(function, offset, sink);
            }
        }
        if let Some(class) = self.class_symbol.text() {
            symbol(class, offset, sink);
        }
        for text in self.nodes.into_iter().filter_map(Seen::text) {
            node(text, offset, sink);
        }
        for file in self.files {
            if let Seen::Text(file) = file {
                sink(KerasKind::File.at(file.offset(), file.raw().as_bytes()));
            }
        }
        let Some(class) = self.class_name.text() else { return };
        if class == "function" {
            let registered = self.registered_name.text().filter(|name| *name != "function");
            for name in [self.config.text(), registered].into_iter().flatten() {
                self.refer(name, offset, sink);
            }
        } else {
            self.refer(class, offset, sink);
        }
        if let Some(name) = self.spec_name.text() {
            self.refer(name, offset, sink);
        }
    }

    fn refer(&self, name: Str<'_>, offset: u64, sink: Sink<'_>) {
        refer(self.module.text(), name, offset, KerasKind::Unknown, sink);
    }
}

/// Judges what a name of a module is; without a module, what Keras itself has under it.
fn refer(module: Option<Str<'_>>, name: Str<'_>, offset: u64, unknown: KerasKind, sink: Sink<'_>) {
    let mut buffer = [0_u8; NAME_BYTES];
    let Some((joined, dot)) = join(module, name, &mut buffer) else {
        return sink(unknown.at(offset, name.raw().as_bytes()));
    };
    let own = own(joined);
    let mut keras = [0_u8; NAME_BYTES];
    let known = match own {
        Some(rest) => prefixed(&[b"keras.", rest], &mut keras),
        None if dot.is_none() => prefixed(&[b"keras.layers.", joined], &mut keras),
        None => named(System::Keras, joined),
    };
    match known {
        Some(Named::Dangerous(_)) => return sink(KerasKind::Dangerous.at(offset, joined)),
        // Without a module only what the user registers can be found, or Keras's own.
        _ if dot.is_none() && matches!(unknown, KerasKind::Unknown) => return,
        Some(Named::Known(_)) => return,
        None => {}
    }
    let split = dot.and_then(|dot| Some((joined.get(..dot)?, joined.get(dot.checked_add(1)?..)?)));
    let (module, name) = split.unwrap_or((b"builtins", joined));
    let texts = core::str::from_utf8(module).ok().zip(core::str::from_utf8(name).ok());
    let class = texts.map(|(module, name)| judge(module, name, false).class);
    match class {
        Some(Class::Dangerous(_)) => sink(KerasKind::Dangerous.at(offset, joined)),
        // Keras writes its own functions as `builtins`, and looks for them among its own.
        _ if module == b"builtins" && dot.is_some() => {}
        _ => sink(unknown.at(offset, joined)),
    }
}

/// What is left of a name of Keras behind the package, which has had several names, and behind the
/// folders in which the package holds itself once more: `keras.api._tf_keras.keras.utils` is
/// `keras.utils`, and imported as well.
fn own(name: &[u8]) -> Option<&[u8]> {
    const PACKAGES: [&[u8]; 4] =
        [b"keras.", b"tf_keras.", b"tensorflow.keras.", b"tensorflow.python.keras."];
    const FOLDERS: [&[u8]; 7] =
        [b"src.", b"api.", b"keras.", b"_tf_keras.", b"_legacy.", b"_v1.", b"_v2."];
    let mut rest = PACKAGES.iter().find_map(|package| name.strip_prefix(*package))?;
    while let Some(inner) = FOLDERS.iter().find_map(|folder| rest.strip_prefix(*folder)) {
        rest = inner;
    }
    Some(rest)
}

/// Judges a symbol of TensorFlow that a layer of Keras 2 looks up and calls (`tf_op_layer.py`,
/// `TFOpLambda`, `ClassMethod`): named without a module, and without the package.
fn symbol(name: Str<'_>, offset: u64, sink: Sink<'_>) {
    let mut buffer = [0_u8; NAME_BYTES];
    let Some((joined, _)) = join(None, name, &mut buffer) else {
        return sink(KerasKind::LambdaFunction.at(offset, name.raw().as_bytes()));
    };
    // Every version of the interface holds the older ones.
    let mut rest = joined;
    while let Some(inner) =
        [&b"compat.v1."[..], b"compat.v2."].iter().find_map(|part| rest.strip_prefix(*part))
    {
        rest = inner;
    }
    let (root, rest) = match rest.strip_prefix(b"keras.") {
        Some(keras) => (&b"keras."[..], keras),
        None => (&b"tensorflow."[..], rest),
    };
    let mut buffer = [0_u8; NAME_BYTES];
    if matches!(prefixed(&[root, rest], &mut buffer), Some(Named::Dangerous(_))) {
        sink(KerasKind::Dangerous.at(offset, joined));
    }
}

/// Judges the operator of a `TensorFlowOpLayer`: `op` of its node, or the node's bytes as text, in
/// which the operator's name stands between what is no letter of one.
fn node(text: Str<'_>, offset: u64, sink: Sink<'_>) {
    let mut word = [0_u8; 64];
    let mut length = 0_usize;
    for character in text.chars().chain(['\0']) {
        if let (true, Ok(byte)) = (character.is_ascii_alphanumeric(), u8::try_from(character)) {
            if let Some(place) = word.get_mut(length) {
                *place = byte;
            }
            length = length.saturating_add(1);
            continue;
        }
        let name = word.get(..length).unwrap_or_default();
        if matches!(named(System::Tensorflow, name), Some(Named::Dangerous(_))) {
            sink(KerasKind::Dangerous.at(offset, name));
        }
        length = 0;
    }
}

fn prefixed(parts: &[&[u8]], buffer: &mut [u8; NAME_BYTES]) -> Option<Named> {
    let mut length = 0_usize;
    for part in parts {
        let end = length.checked_add(part.len())?;
        buffer.get_mut(length..end)?.copy_from_slice(part);
        length = end;
    }
    named(System::Keras, buffer.get(..length)?)
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

    fn layer(keys: &str) -> Vec<String> {
        walk(
            std::format!(
                r#"{{"layers": [{{"config": null, {keys}}}, {{"class_name": "x", "config": 1}}]}}"#
            )
            .as_bytes(),
        )
    }

    #[test]
    fn own_classes_and_registered_ones_say_nothing() {
        for keys in [
            r#""class_name": "Dense", "module": "keras.layers""#,
            r#""class_name": "Functional", "module": "keras.src.models.functional""#,
            r#""class_name": "Adam", "module": "tensorflow.keras.optimizers""#,
            r#""class_name": "Anything""#,
            r#""class_name": "Mine", "module": null, "registered_name": "package>Mine""#,
            r#""class_name": "function", "module": "builtins", "config": "relu", "registered_name": "function""#,
        ] {
            assert!(layer(keys).is_empty(), "{keys}: {:?}", layer(keys));
        }
    }

    #[test]
    fn references_are_judged_by_module_and_name() {
        for (keys, id) in [
            (
                r#""class_name": "Model", "module": "mine.layers""#,
                "keras.reference mine.layers.Model",
            ),
            (r#""class_name": "system", "module": "os""#, "keras.reference-dangerous os.system"),
            (
                r#""class_n\u0061me": "system", "module": "o\u0073""#,
                "keras.reference-dangerous os.system",
            ),
            (
                r#""class_name": "get_file", "module": "keras.utils""#,
                "keras.reference-dangerous keras.utils.get_file",
            ),
            (r#""class_name": "TFSMLayer""#, "keras.reference-dangerous TFSMLayer"),
            (
                r#""class_name": "TFSMLayer", "module": "keras.layers""#,
                "keras.reference-dangerous keras.layers.TFSMLayer",
            ),
            (
                r#""class_name": "keras_utils", "module": "kerasx""#,
                "keras.reference kerasx.keras_utils",
            ),
        ] {
            assert_eq!(layer(keys), [id], "{keys}");
        }
        let function = br#"{"a": {"class_name": "function", "config": "run", "module": "subprocess", "registered_name": "run"}}"#;
        assert_eq!(walk(function).len(), 2);
        let builtin = br#"{"class_name": "function", "config": "eval", "module": "builtins"}"#;
        assert_eq!(walk(builtin), ["keras.reference-dangerous builtins.eval"]);
    }

    #[test]
    fn lambdas_and_files_are_found_anywhere() {
        assert_eq!(layer(r#""class_name": "__lambda__""#), ["keras.lambda Lambda"]);
        let old = br#"{"class_name": "Lambda", "config": {"function": ["4wEAAA", null, null], "function_type": "lambda"}}"#;
        assert_eq!(walk(old), ["keras.lambda Lambda"]);
        let named = br#"{"class_name": "Lambda", "config": {"function": "scaling", "function_type": "function", "module": "__main__"}}"#;
        assert_eq!(walk(named), ["keras.lambda-function __main__.scaling"]);
        let file = br#"{"class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}}"#;
        assert_eq!(walk(file), ["keras.file /etc/passwd"]);
    }

    #[test]
    fn what_python_reads_otherwise_does_not_pass() {
        assert_eq!(
            walk(br#"{"class_name": "a", "class_name": "Lambda", "config": {}}"#),
            ["keras.repeated-key "]
        );
        assert!(
            walk(br#"{"a": NaN, "class\u005fname": "x", "config": 1}"#)[0]
                .starts_with("keras.json")
        );
        assert!(
            walk(b"\xef\xbb\xbf{\"class_name\": \"x\", \"config\": 1}")[0]
                .starts_with("keras.encoding")
        );
        let wide: Vec<u8> =
            r#"{"class_name": "x", "config": 1}"#.bytes().flat_map(|byte| [byte, 0]).collect();
        assert!(walk(&wide)[0].starts_with("keras.encoding"));
        assert!(
            !accepts(br#"{"class_name": "x"}"#) && !accepts(b"class_name config") && !accepts(b"")
        );
        assert!(!accepts(br#"{"model_type": "bert", "_class_name": "x", "config": {}}"#));
    }
}
