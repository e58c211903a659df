//! Whether bytes that nobody calls a pickle would import something all the same.

use secure_torch_core::pickle::audit::{Finding, ImportSeen, Literal, Options, Sink, audit};
use secure_torch_core::pickle::opcode::Opcode;
use secure_torch_core::pickle::probe::{Probe, is_path};
use secure_torch_core::score::Rule;

use super::Judge;

impl Judge<'_> {
    /// Whether some unpickler would get anywhere with the bytes.
    pub(super) fn is_pickle(&mut self, bytes: &[u8]) -> bool {
        Probe::of(bytes).accepts().unwrap_or_else(|| self.would_import(bytes))
    }

    /// Whether an unpickler would import something before it met what stops it.
    ///
    /// Raw numbers decode as a few opcodes by chance, but hardly as two strings and the opcode
    /// that imports by them; the audit tells the two apart.
    pub(super) fn would_import(&mut self, bytes: &[u8]) -> bool {
        let options = Options { limits: self.policy.limits.pickle, ..Options::default() };
        let mut sink = ProbeSink { imports: false, stopped: false };
        audit(bytes, &options, &mut self.workspace, &mut sink);
        sink.imports
    }
}

struct ProbeSink {
    imports: bool,
    stopped: bool,
}

impl Sink for ProbeSink {
    fn import(&mut self, import: &ImportSeen<'_>) {
        let named = is_path(import.module.as_bytes()) && is_path(import.name.as_bytes());
        self.imports |= named && !self.stopped;
    }

    fn call(&mut self, _import: u32, _offset: u64, _opcode: Opcode) {}

    fn finding(&mut self, finding: Finding<'_>) {
        match finding.rule {
            Rule::PickleMalformed | Rule::PickleTruncated => self.stopped = true,
            Rule::PickleGlobalUnresolvable => self.imports |= !self.stopped,
            _ => {}
        }
    }

    fn literal(&mut self, _literal: Literal<'_>) {}
}
