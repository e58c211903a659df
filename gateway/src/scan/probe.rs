//! Whether bytes that nobody calls a pickle would import something all the same.

use secure_torch_core::pickle::audit::{
    Detail, End, Finding, ImportSeen, Literal, Options, Sink, audit,
};
use secure_torch_core::pickle::machine::Fault;
use secure_torch_core::pickle::opcode::Opcode;
use secure_torch_core::pickle::probe::{Probe, is_path};
use secure_torch_core::rules::Class;
use secure_torch_core::score::Rule;

use super::Judge;

/// What it takes for bytes to count as importing something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// Any name. For bytes that are nothing else in their own right.
    Any,
    /// Any name that a file could have: Python imports a module of whatever name, if such a file
    /// lies beside it. For bytes that open an archive.
    Files,
    /// Names of text without control characters. For bytes that are something else, among which
    /// any name would make a pickle of what is there by chance.
    Paths,
    /// The same, and a call of what was imported, or a dangerous name. For a tensor's numbers, of
    /// which three words in a row would do otherwise.
    Numbers,
    /// Names that the rules call dangerous. For a ZIP whose signature is read as `PERSID`: every
    /// unpickler stops there that does not bring a `persistent_load` of its own for such text,
    /// and in an honest archive the lines behind it are those of its own pickle, out of step.
    Dangerous,
    /// Any name, and a call of what was imported, or a dangerous one. For text: every list of
    /// words that starts with `c` spells an import, and none goes on to call it.
    Called,
}

impl Judge<'_> {
    /// Whether some unpickler would get anywhere with the bytes.
    pub(super) fn is_pickle(&mut self, bytes: &[u8], names: Names) -> bool {
        let probe = Probe::of(bytes);
        probe.proto
            || names != Names::Called && (probe.stop || probe.imports)
            || self.would_import(bytes, names)
    }

    /// Whether an unpickler would import something before it met what stops it.
    ///
    /// Raw numbers decode as a few opcodes by chance, but hardly as two strings and the opcode
    /// that imports by them; the audit tells the two apart.
    pub(super) fn would_import(&mut self, bytes: &[u8], names: Names) -> bool {
        let options = Options { limits: self.policy.limits.pickle, ..Options::default() };
        let mut at = 0;
        self.last_probe = 0;
        self.probe_cut = None;
        // Several pickles may follow one another, and an honest one may come first.
        let mut row = 0;
        while row < self.policy.limits.pickle.pickles_in_a_row {
            let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) else {
                self.probe_cut = Some(1);
                break;
            };
            let mut sink = ProbeSink::new(rest, names);
            let outcome = audit(rest, &options, &mut self.workspace, &mut sink);
            self.probe_cut = [self.probe_cut, outcome.cut].into_iter().flatten().min();
            self.last_probe =
                at.saturating_add(usize::try_from(outcome.offset).unwrap_or(usize::MAX));
            // A pickle that is whole counts too, whether or not it calls anything.
            let whole = outcome.end == End::Stop && !sink.stopped;
            let does = sink.called || whole;
            let call = matches!(names, Names::Called | Names::Numbers);
            if sink.imports && (does || !call) || sink.extension && does {
                return true;
            }
            if outcome.end != End::Stop {
                break;
            }
            at = self.last_probe;
            row += 1;
        }
        // More pickles in a row than are looked at.
        row >= self.policy.limits.pickle.pickles_in_a_row
    }

    /// Where a pickle that imports starts among bytes that are none, if one does.
    ///
    /// Every place is tried where `PROTO` or an import by two lines stands. How much is audited
    /// in all is bounded by a multiple of the bytes' length, so that bytes made of such places
    /// take no more than linear time; past that the search ends at the place that it has
    /// reached, which is then judged.
    pub(super) fn hidden_pickle(&mut self, bytes: &[u8]) -> Option<usize> {
        let by_lines = import_by_lines(bytes);
        let before = &bytes[..by_lines.unwrap_or(bytes.len())];
        let mut budget = bytes.len().saturating_mul(8).max(4096);
        for (at, _) in before.iter().enumerate().filter(|&(_, &byte)| byte == 0x80) {
            let rest = &bytes[at..];
            let proto = matches!(rest, [_, 0..=5, next, ..] if Opcode::from_byte(*next).is_some());
            if !proto {
                continue;
            }
            if budget == 0 || self.would_import(rest, Names::Paths) {
                return Some(at);
            }
            budget = budget.saturating_sub(self.last_probe.max(16));
        }
        by_lines
    }
}

/// Where the first `c` or `i` stands that two lines follow of which both could be names: a
/// `GLOBAL` or `INST`. Each byte is looked at twice.
fn import_by_lines(bytes: &[u8]) -> Option<usize> {
    let mut start = 0;
    let mut lines = bytes.split(|&byte| byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        let Some(&next) = lines.peek() else { break };
        // Nothing before this place in the line can be part of a name.
        let from = line.iter().rposition(|&byte| !is_path(&[byte]) && byte < 0x80);
        let from = from.map_or(0, |at| at + 1);
        let opcode = line[from..].iter().position(|byte| matches!(byte, b'c' | b'i'));
        if let Some(opcode) = opcode
            && is_path(&line[from + opcode + 1..])
            && is_path(next)
        {
            return Some(start + from + opcode);
        }
        start += line.len() + 1;
    }
    None
}

/// Whether text could name a module: Python finds `a-b.py` too, if a pickle asks for it.
fn is_name(text: &[u8]) -> bool {
    let plain = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    std::str::from_utf8(text).is_ok_and(plain)
}

struct ProbeSink<'b> {
    /// What is audited.
    bytes: &'b [u8],
    names: Names,
    imports: bool,
    /// Whether an extension's number stands for something that may be called. By itself it does
    /// nothing: three bytes of 256 say so, and no program has registered most numbers.
    extension: bool,
    called: bool,
    stopped: bool,
}

impl<'b> ProbeSink<'b> {
    const fn new(bytes: &'b [u8], names: Names) -> Self {
        Self { bytes, names, imports: false, extension: false, called: false, stopped: false }
    }

    /// Whether a module of this name counts, as far as the name itself goes.
    fn could_name(&self, module: &[u8]) -> bool {
        match self.names {
            Names::Any => true,
            // No file system takes a NUL, and no module is named by nothing.
            Names::Files | Names::Called => !module.is_empty() && !module.contains(&0),
            Names::Paths | Names::Numbers | Names::Dangerous => is_path(module),
        }
    }

    /// Whether an import counts of which the audit does not know the name. Where the line that
    /// spells the module is only too long, as the header of a tar archive is whose first member
    /// starts with `c`, the line itself tells.
    fn unresolvable(&self, offset: u64) -> bool {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let module = match self.bytes.get(at..) {
            Some([b'c' | b'i', line @ ..]) => line.split(|&byte| byte == b'\n').next(),
            _ => None,
        };
        self.names != Names::Dangerous && module.is_none_or(|module| self.could_name(module))
    }
}

impl Sink for ProbeSink<'_> {
    fn import(&mut self, import: &ImportSeen<'_>) {
        let (module, name) = (import.module.as_bytes(), import.name.as_bytes());
        let paths = is_path(module) && is_path(name);
        let dangerous = paths && matches!(import.judgement.class, Class::Dangerous(_));
        let counts = match self.names {
            Names::Paths | Names::Numbers => is_name(module) && is_name(name),
            Names::Dangerous => dangerous,
            Names::Any | Names::Files | Names::Called => self.could_name(module),
        };
        self.imports |= counts && !self.stopped;
        self.called |= dangerous && !self.stopped;
    }

    fn call(&mut self, _import: u32, _offset: u64, _opcode: Opcode) {
        self.called |= !self.stopped;
    }

    fn finding(&mut self, finding: Finding<'_>) {
        self.stopped |= finding.stops();
        if self.stopped {
            return;
        }
        match finding.rule {
            Rule::PickleGlobalUnresolvable => self.imports |= self.unresolvable(finding.offset),
            // What is not stored is read as something unknown later, and an import by it counts.
            Rule::PickleLimit if matches!(finding.detail, Detail::Fault(Fault::MemoLimit, _)) => {}
            // Past a limit nobody has looked, and where readers part one may have gone on.
            Rule::PickleLimit | Rule::PickleDivergent
                if matches!(self.names, Names::Any | Names::Files | Names::Called) =>
            {
                self.imports = true;
                self.called = true;
            }
            Rule::PickleExtension => {
                self.extension |= matches!(self.names, Names::Any | Names::Files);
            }
            Rule::PickleCallUnknown | Rule::PickleCallShape => self.called = true,
            _ => {}
        }
    }

    fn literal(&mut self, _literal: Literal<'_>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_by_lines_is_found_where_it_stands() {
        assert_eq!(import_by_lines(b"junk \0cposix\nsystem\n"), Some(6));
        assert_eq!(import_by_lines(b"(iposix\nsystem\nrest"), Some(1));
        // `ine` and the line behind it would do: whoever seeks may start there as well.
        assert_eq!(import_by_lines(b"first\nsecond line\ncposix\nsystem\n"), Some(14));
        assert_eq!(import_by_lines(b"c\nsystem\n"), None);
        assert_eq!(import_by_lines(b"cposix"), None);
        assert_eq!(import_by_lines(b""), None);
    }
}
