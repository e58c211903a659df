//! Configurations in YAML or JSON that name Python for their loader to call: `_target_`, which
//! Hydra's `instantiate` imports and calls (NeMo's `model_config.yaml` is read so), and the tags
//! of PyYAML's unsafe loaders.
//!
//! It refuses to parse YAML: a name behind the key counts wherever it stands, and a name that is
//! spelled with escapes, or taken from elsewhere, counts as one that nobody knows. A key that is
//! itself spelled with escapes is not found. Names that the rules do not call dangerous are the
//! business of the application that instantiates them.
//!
//! Source: Hydra, `hydra/_internal/instantiate/_instantiate2.py` (`_resolve_target`); PyYAML,
//! `lib/yaml/constructor.py` (`UnsafeConstructor`).

use super::event::Sink;
use crate::limits::Limits;
use crate::rules;

anomaly_kinds! {
    /// What a configuration makes its loader call.
    pub enum TargetKind;
    Dangerous, ReferenceDangerous, "target.dangerous", "the configuration names a function for its loader to call that gives it files, processes, code or the network";
    Hidden, ReferenceUnknown, "target.hidden", "the configuration hides the name of what its loader is to call";
    Tag, ReferenceDangerous, "target.tag", "a tag makes unsafe readers of YAML import and call Python";
}

const KEY: &[u8] = b"_target_";
const TAG: &[u8] = b"!!python/";

/// Whether a file of this name is read as a configuration.
#[must_use]
pub fn is_configuration_name(name: &[u8]) -> bool {
    const ENDINGS: [&[u8]; 3] = [b"yaml", b"yml", b"json"];
    let ending = name.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
    ending.len() < name.len() && ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// Judges every name behind the key, and every tag.
pub fn read(bytes: &[u8], _limits: &Limits, sink: Sink<'_>) {
    for (at, &byte) in bytes.iter().enumerate() {
        if !matches!(byte, b'_' | b'!') {
            continue;
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let offset = u64::try_from(at).unwrap_or(u64::MAX);
        if let Some(behind) = rest.strip_prefix(KEY) {
            target(behind, offset, sink);
        } else if let Some(behind) = rest.strip_prefix(TAG) {
            tag(behind, offset, sink);
        }
    }
}

/// What stands behind the key: punctuation, a tag or an anchor, and the name.
fn target(behind: &[u8], offset: u64, sink: Sink<'_>) {
    /// No configuration puts more between a key and its value.
    const REACH: usize = 256;
    let mut rest = behind.get(..REACH).unwrap_or(behind);
    let skipped = |byte: &u8| byte.is_ascii_whitespace() || b":=\"'>|-+?".contains(byte);
    loop {
        let length = rest.iter().take_while(|byte| skipped(byte)).count();
        rest = rest.get(length..).unwrap_or_default();
        if !matches!(rest.first(), Some(b'!' | b'&')) {
            break;
        }
        let length = rest.iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
        rest = rest.get(length..).unwrap_or_default();
    }
    let name = path(rest);
    let next = rest.get(name.len()..).and_then(<[u8]>::first);
    if matches!(next, Some(b'\\' | b'$')) || matches!(rest.first(), Some(b'*')) {
        sink(TargetKind::Hidden.at(offset, name));
    } else if is_dangerous(name) {
        sink(TargetKind::Dangerous.at(offset, name));
    }
}

fn tag(behind: &[u8], offset: u64, sink: Sink<'_>) {
    const CALLS: [&[u8]; 3] = [b"object/apply:", b"object/new:", b"object:"];
    const NAMES: [&[u8]; 2] = [b"name:", b"module:"];
    let is_call = CALLS.iter().any(|call| behind.starts_with(call));
    let named = NAMES.iter().find_map(|kind| behind.strip_prefix(*kind));
    if is_call || named.is_some_and(|name| is_dangerous(path(name))) {
        sink(TargetKind::Tag.at(offset, b"!!python/"));
    }
}

fn path(bytes: &[u8]) -> &[u8] {
    let part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    let length = bytes.iter().take_while(|byte| part(byte)).count();
    bytes.get(..length).unwrap_or_default()
}

fn is_dangerous(path: &[u8]) -> bool {
    let Ok(path) = core::str::from_utf8(path) else { return false };
    path.rsplit_once('.').is_some_and(|(module, name)| rules::dangerous(module, name).is_some())
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::format::testing;
    use std::vec::Vec;

    fn seen(text: &str) -> Vec<&'static str> {
        testing::ids(read, text.as_bytes())
    }

    #[test]
    fn dangerous_targets_and_tags_are_found() {
        for text in [
            "a:\n  _target_: os.system\n",
            "{\"_target_\": \"builtins.exec\"}",
            "? _target_\n: !!str &a 'subprocess.run'",
            "_target_: >-\n  os.system",
        ] {
            assert_eq!(seen(text), ["target.dangerous"], "{text}");
        }
        assert_eq!(seen("_target_: \"\\x6fs.system\""), ["target.hidden"]);
        assert_eq!(seen("_target_: ${a}.system"), ["target.hidden"]);
        assert_eq!(seen("_target_: *a"), ["target.hidden"]);
        assert_eq!(seen("a: !!python/object/apply:os.system ['id']"), ["target.tag"]);
    }

    #[test]
    fn honest_configurations_are_silent() {
        for text in [
            "_target_: nemo.collections.asr.modules.ConformerEncoder",
            "_target_: torch.optim.AdamW",
            "a: !!python/tuple [1, 2]",
            "the key `_target_` names a class",
        ] {
            assert!(seen(text).is_empty(), "{text}");
        }
    }
}
