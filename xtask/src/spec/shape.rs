//! Kinds and argument shapes, from the words of `spec/rules/allowed.toml` to Rust.

use anyhow::{Context as _, Result, ensure};
use secure_torch_core::pickle::kind::Kind;

/// `text, int | none, tuple?, any*` as a `Shape`.
pub(super) fn rust_shape(shape: &str) -> Result<String> {
    let mut required = 0_usize;
    let mut args = Vec::new();
    let mut rest = None;
    let mut optional = false;
    for argument in shape.split(',').map(str::trim).filter(|argument| !argument.is_empty()) {
        ensure!(rest.is_none(), "an argument follows the rest");
        if let Some(kinds) = argument.strip_suffix('*') {
            rest = Some(rust_kinds(kinds)?);
        } else if let Some(kinds) = argument.strip_suffix('?') {
            optional = true;
            args.push(rust_kinds(kinds)?);
        } else {
            ensure!(!optional, "a required argument follows an optional one");
            required += 1;
            args.push(rust_kinds(argument)?);
        }
    }
    let rest = rest.map_or_else(|| "None".to_owned(), |kinds| format!("Some({kinds})"));
    Ok(format!("Shape {{ required: {required}, args: &[{}], rest: {rest} }}", args.join(", ")))
}

pub(super) fn rust_kinds(kinds: &str) -> Result<String> {
    if kinds.trim() == "any" {
        return Ok("ANY".to_owned());
    }
    let sets: Result<Vec<_>> =
        kinds.split('|').map(|kind| Ok(format!("{}.set().0", rust_kind(kind.trim())?))).collect();
    Ok(format!("KindSet({})", sets?.join(" | ")))
}

pub(super) fn rust_kind(name: &str) -> Result<String> {
    let found = Kind::NAMES.iter().find(|(_, known)| *known == name);
    let (kind, _) = found.with_context(|| format!("no kind is called `{name}`"))?;
    Ok(format!("Kind::{kind:?}"))
}
