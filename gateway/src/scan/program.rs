//! Judging programs: what a loader imports, runs or renders, by its name, its place or its first
//! line.

use secure_torch_core::format::detect::Format;
use secure_torch_core::format::event::Sink;
use secure_torch_core::format::{hub, python, target_text, torchscript};
use secure_torch_core::limits::Limits;
use secure_torch_core::score::Rule;

use super::{Context, Judge, Script};

impl Judge<'_> {
    /// Judges a part that is a program, whatever else it may be; its format, if it is one by its
    /// name alone.
    pub(super) fn program(&mut self, bytes: &[u8], context: &Context<'_>) -> Option<Format> {
        // Windows takes dots and blanks off the end of a name, and so does whoever unpacks there
        // (`Lib/zipfile`, `_sanitize_windows_name`).
        let name = context.name.trim_end_matches(['.', ' ']);
        let outside = context.depth > 0 && context.script != Script::Only;
        let source = outside && python::is_source_name(name.as_bytes());
        if source || python::is_bytecode(bytes) {
            self.walk(Format::Python, python::read, bytes, context);
        }
        if outside && (source || is_script(name) || bytes.starts_with(b"#!")) {
            let why = "the archive carries a program that its loader may run";
            self.tally.find(Rule::CodeProgram, context.path, None, context.name, why);
        }
        if hub::is_template_name(name.as_bytes()) {
            self.walk(Format::HubConfig, hub::read_template, bytes, context);
        }
        if target_text::is_configuration_name(name.as_bytes()) {
            self.walk(Format::Text, target_text::read, bytes, context);
        }
        if context.script != Script::No {
            self.walk(Format::TorchScript, torchscript::read, bytes, context);
        }
        (source && self.is_text(bytes)).then_some(Format::Python)
    }

    pub(super) fn walk(
        &mut self,
        format: Format,
        read: fn(&[u8], &Limits, Sink<'_>),
        bytes: &[u8],
        context: &Context<'_>,
    ) {
        let limits = &self.policy.limits;
        self.tally.examine(bytes.len() as u64);
        read(bytes, limits, &mut |event| self.event(format, event, context));
    }
}

/// Endings of programs in other languages than Python.
const SCRIPTS: [&str; 9] = ["sh", "bash", "js", "mjs", "bat", "cmd", "ps1", "vbs", "rb"];

/// Whether a member of this name is a program that an interpreter or a shell runs.
fn is_script(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.rsplit_once('.').is_some_and(|(stem, ending)| {
        !stem.is_empty() && SCRIPTS.iter().any(|script| ending.eq_ignore_ascii_case(script))
    })
}
