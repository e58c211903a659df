//! Judging pickles: one, several in a row, and those inside their byte strings.

use secure_torch_core::format::detect::Format;
use secure_torch_core::format::torch_legacy;
use secure_torch_core::format::torch_tar::Records;
use secure_torch_core::pickle::audit::{
    Detail, End, Finding, ImportSeen, Literal, Options, Outcome, Sink, audit, is_joblib_wrapper,
};
use secure_torch_core::pickle::opcode::Opcode;
use secure_torch_core::pickle::probe::Probe;
use secure_torch_core::score::Rule;

use super::tally::Tally;
use super::{Context, Judge};

/// Puts what the auditor tells into the tally.
struct StreamSink<'t> {
    tally: &'t mut Tally,
    part: &'t str,
    base: u64,
    /// Whether the stream is read as joblib reads it.
    joblib_view: bool,
    /// Whether it names joblib's array wrapper.
    joblib: bool,
    /// Whether what follows is not this view's to judge: `pickle.load` on a joblib dump stops
    /// at the bytes of the first array. What it reads of them is not the file's fault; what it
    /// imports before that is.
    broken: bool,
    /// For each import: where its global is kept, and its name for findings.
    imports: Vec<(Option<usize>, String)>,
    /// Literals that may be pickles: where, how long, and whether they are Latin-1 text.
    literals: Vec<(usize, usize, bool)>,
}

impl Sink for StreamSink<'_> {
    fn import(&mut self, import: &ImportSeen<'_>) {
        self.joblib |= is_joblib_wrapper(import.judgement.class);
        let (module, name) = import.judgement.python3;
        let subject = format!("{module}.{name}");
        let kept = if self.broken {
            None
        } else {
            let offset = self.base.saturating_add(import.offset);
            self.tally.global(self.part, offset, import.module, import.name, &import.judgement)
        };
        self.imports.push((kept, subject));
    }

    fn call(&mut self, import: u32, offset: u64, opcode: Opcode) {
        if self.broken {
            return;
        }
        if let Some((Some(global), _)) = self.imports.get(import as usize) {
            self.tally.call(*global, self.base.saturating_add(offset), opcode);
        }
    }

    fn finding(&mut self, finding: Finding<'_>) {
        if self.joblib && !self.joblib_view {
            self.broken |= matches!(
                finding.rule,
                Rule::PickleMalformed | Rule::PickleTruncated | Rule::PickleDivergent
            );
            if self.broken {
                return;
            }
        }
        let subject = match finding.detail {
            Detail::Import(import) | Detail::Call(import, _) => {
                self.imports.get(import as usize).map_or("", |(_, subject)| subject.as_str())
            }
            _ => "",
        };
        let offset = self.base.saturating_add(finding.offset);
        let message = finding.detail;
        self.tally.find(finding.rule, self.part, Some(offset), subject, message);
    }

    fn literal(&mut self, literal: Literal<'_>) {
        if self.broken {
            return;
        }
        if let Ok(offset) = usize::try_from(literal.offset) {
            self.literals.push((offset, literal.data.len(), literal.latin1));
        }
    }
}

impl Judge<'_> {
    /// Judges what is a pickle from its first byte on; the format that it turns out to be.
    pub(super) fn pickles(&mut self, bytes: &[u8], context: &Context<'_>) -> Format {
        if torch_legacy::starts_with_magic(bytes) {
            self.legacy(bytes, context);
            return Format::PytorchLegacy;
        }
        let mut at = 0;
        let mut format = Format::Pickle;
        for count in 0.. {
            let rest = bytes.get(at..).unwrap_or_default();
            if count > 0 {
                if rest.is_empty() {
                    break;
                }
                if !self.is_pickle(rest) {
                    self.trailing(context, at, rest.len());
                    break;
                }
            }
            if count >= self.policy.limits.pickle.pickles_in_a_row as usize {
                let why = "more pickles in a row than the limit; the rest could not be judged";
                self.tally.find(Rule::PickleLimit, context.path, Some(at as u64), "", why);
                break;
            }
            let outcome = self.stream(rest, at as u64, context);
            if outcome.joblib {
                format = Format::Joblib;
            }
            at = at.saturating_add(length(&outcome));
            if outcome.end != End::Stop {
                break;
            }
        }
        format
    }

    fn trailing(&mut self, context: &Context<'_>, at: usize, length: usize) {
        let why =
            format!("{length} bytes follow the last STOP, and no known layout accounts for them");
        self.tally.find(Rule::PickleTrailingData, context.path, Some(at as u64), "", why);
    }

    /// Five pickles, then storages.
    fn legacy(&mut self, bytes: &[u8], context: &Context<'_>) {
        let mut at = 0;
        for name in torch_legacy::STREAMS {
            let rest = bytes.get(at..).unwrap_or_default();
            // Only the object's pickle is read with torch's own `persistent_load`.
            let object = name == "object";
            let context = Context { storages: object, source_ids: object, ..*context };
            let outcome = self.stream(rest, at as u64, &context);
            at = at.saturating_add(length(&outcome));
            if outcome.end != End::Stop {
                return;
            }
        }
        let storages = bytes.len().saturating_sub(at);
        if storages > 0 {
            self.tally.note(format!(
                "{storages} bytes behind the pickles are taken for tensor storages and were not examined"
            ));
        }
    }

    /// A member of PyTorch's tar layout that has raw bytes between its pickles.
    pub(super) fn records(&mut self, bytes: &[u8], records: Records, context: &Context<'_>) {
        let mut at = 0;
        while at < bytes.len() {
            let rest = bytes.get(at..).unwrap_or_default();
            let (outcome, class) = self.stream_with_class(rest, at as u64, context);
            at = at.saturating_add(length(&outcome));
            if outcome.end != End::Stop {
                return;
            }
            let rest = bytes.get(at..).unwrap_or_default();
            let raw = records.raw_length(class.as_deref(), rest);
            match raw.and_then(|raw| usize::try_from(raw).ok()).filter(|&raw| raw <= rest.len()) {
                Some(raw) => at = at.saturating_add(raw),
                None => {
                    let why = "the raw bytes of a tensor record do not fit the member";
                    self.tally.find(Rule::PickleTruncated, context.path, Some(at as u64), "", why);
                    return;
                }
            }
        }
    }

    /// Judges one pickle at the front of `bytes`, which stand at `base` of their part.
    pub(super) fn stream(&mut self, bytes: &[u8], base: u64, context: &Context<'_>) -> Outcome {
        self.stream_with_class(bytes, base, context).0
    }

    /// Judges a pickle as each of its readers sees it; also the last global that it names.
    fn stream_with_class(
        &mut self,
        bytes: &[u8],
        base: u64,
        context: &Context<'_>,
    ) -> (Outcome, Option<String>) {
        let mut seen = self.view(bytes, base, context, false);
        if seen.0.joblib {
            // `joblib.load` takes arrays from between the opcodes; `pickle.load` does not.
            seen = self.view(bytes, base, context, true);
        }
        self.tally.examine(seen.0.offset);
        seen
    }

    /// One reader's view of a stream.
    fn view(
        &mut self,
        bytes: &[u8],
        base: u64,
        context: &Context<'_>,
        joblib: bool,
    ) -> (Outcome, Option<String>) {
        let allow: Vec<(&str, &str)> = self
            .policy
            .allow
            .iter()
            .map(|global| (global.module.as_str(), global.name.as_str()))
            .collect();
        let options = Options {
            storages: context.storages,
            source_ids: context.source_ids,
            torchscript: context.torchscript,
            joblib,
            nested: true,
            allow: &allow,
            limits: self.policy.limits.pickle,
        };
        let mut sink = StreamSink {
            tally: &mut self.tally,
            part: context.path,
            base,
            joblib_view: joblib,
            joblib: false,
            broken: false,
            imports: Vec::new(),
            literals: Vec::new(),
        };
        let outcome = audit(bytes, &options, &mut self.workspace, &mut sink);
        let class = sink.imports.last().map(|(_, subject)| last_name(subject).to_owned());
        let literals = std::mem::take(&mut sink.literals);
        self.nested(bytes, base, &literals, context);
        (outcome, class)
    }

    /// Judges the literals of a stream that are pickles themselves.
    fn nested(
        &mut self,
        bytes: &[u8],
        base: u64,
        literals: &[(usize, usize, bool)],
        context: &Context<'_>,
    ) {
        for &(offset, length, latin1) in literals {
            let place = base.saturating_add(offset as u64);
            let Some(data) = bytes.get(offset..offset.saturating_add(length)) else {
                continue;
            };
            let decoded;
            let data = if latin1 {
                match latin1_bytes(data) {
                    Some(bytes) if Probe::may_import(&bytes) => decoded = bytes,
                    _ => continue,
                }
                &decoded
            } else {
                data
            };
            if !self.would_import(data) {
                continue;
            }
            let why = "a byte string of this pickle is a pickle itself";
            self.tally.find(Rule::PickleNested, context.path, Some(place), "", why);
            if context.nesting >= self.policy.limits.pickle.nested_depth {
                let why = "pickles nest deeper than the limit; the rest could not be judged";
                self.tally.find(Rule::PickleLimit, context.path, Some(place), "", why);
                return;
            }
            let path = format!("{}@{place}", context.path);
            let inner = Context {
                path: &path,
                nesting: context.nesting + 1,
                storages: false,
                source_ids: false,
                ..*context
            };
            self.pickles(data, &inner);
        }
    }
}

/// The bytes that text of characters below U+0100 stands for.
fn latin1_bytes(text: &[u8]) -> Option<Vec<u8>> {
    std::str::from_utf8(text).ok()?.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

fn last_name(subject: &str) -> &str {
    subject.rsplit('.').next().unwrap_or(subject)
}

fn length(outcome: &Outcome) -> usize {
    usize::try_from(outcome.offset).unwrap_or(usize::MAX)
}
