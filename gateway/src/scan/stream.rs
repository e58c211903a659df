//! Judging pickles: one, several in a row, and those inside their byte strings.

use std::collections::HashMap;

use secure_torch_core::format::detect::Format;
use secure_torch_core::format::torch_legacy;
use secure_torch_core::format::torch_tar::Records;
use secure_torch_core::format::zip::Archive;
use secure_torch_core::pickle::audit::{
    Detail, End, Finding, ImportSeen, Literal, Options, Outcome, PersistentIds, Sink, StorageSeen,
    audit, is_joblib_wrapper,
};
use secure_torch_core::pickle::opcode::Opcode;
use secure_torch_core::pickle::probe::Probe;
use secure_torch_core::score::Rule;

use super::probe::Names;
use super::tally::Tally;
use super::{Context, Judge, Unknown};
use crate::trace::Stream;

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
    storages: Storages,
}

/// What a stream showed.
struct Seen {
    outcome: Outcome,
    /// The last global that it names, without its module.
    class: Option<String>,
    storages: Storages,
}

impl Seen {
    fn length(&self) -> usize {
        usize::try_from(self.outcome.offset).unwrap_or(usize::MAX)
    }
}

/// The storages that a stream asks for, each key once, with their bytes.
#[derive(Default)]
struct Storages {
    bytes: HashMap<String, u64>,
    unknown: bool,
}

impl Storages {
    /// The bytes that they take behind a legacy file's pickles, where all are known.
    fn legacy_bytes(&self) -> Option<u64> {
        if self.unknown {
            return None;
        }
        self.bytes.values().try_fold(0_u64, |sum, &bytes| sum.checked_add(bytes)?.checked_add(8))
    }
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

    fn storage(&mut self, storage: StorageSeen<'_>) {
        let bytes = storage
            .known
            .and_then(|(key, size, count)| Some((key.to_owned(), size.checked_mul(count)?)));
        match bytes {
            // Views name the storage that they look into again, with its whole size.
            Some((key, bytes)) => {
                let seen = self.storages.bytes.entry(key).or_insert(bytes);
                self.storages.unknown |= *seen != bytes;
            }
            None => self.storages.unknown = true,
        }
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
        self.in_a_row(bytes, 0, context)
    }

    /// Judges pickles that follow one another, from `at` on.
    fn in_a_row(&mut self, bytes: &[u8], mut at: usize, context: &Context<'_>) -> Format {
        let mut format = Format::Pickle;
        for count in 0.. {
            let rest = bytes.get(at..).unwrap_or_default();
            if count > 0 {
                if rest.is_empty() {
                    break;
                }
                if !self.is_pickle(rest, Names::Paths) {
                    self.trailing(bytes, at, context);
                    break;
                }
            }
            if count >= self.policy.limits.pickle.pickles_in_a_row as usize {
                let why = "more pickles in a row than the limit; the rest could not be judged";
                self.tally.find(Rule::PickleLimit, context.path, Some(at as u64), "", why);
                break;
            }
            let seen = self.stream(rest, at as u64, context);
            if seen.outcome.joblib {
                format = Format::Joblib;
            }
            at = at.saturating_add(seen.length());
            if seen.outcome.end != End::Stop {
                break;
            }
        }
        format
    }

    /// Bytes that no layout accounts for: a finding, and a search for a pickle among them, which
    /// a loader that seeks would find.
    fn trailing(&mut self, bytes: &[u8], at: usize, context: &Context<'_>) {
        let rest = bytes.get(at..).unwrap_or_default();
        let why = format!("{} bytes follow that no known layout accounts for", rest.len());
        self.tally.find(Rule::PickleTrailingData, context.path, Some(at as u64), "", why);
        if let Some(found) = self.hidden_pickle(rest) {
            let start = at.saturating_add(found);
            self.in_a_row(bytes, start, context);
        }
    }

    /// Five pickles, then storages.
    fn legacy(&mut self, bytes: &[u8], context: &Context<'_>) {
        let mut at = 0;
        let mut storages = Storages::default();
        for name in torch_legacy::STREAMS {
            let rest = bytes.get(at..).unwrap_or_default();
            // Only the object's pickle is read with torch's own `persistent_load`.
            let object = name == "object";
            let ids = if object { PersistentIds::LegacyStorages } else { PersistentIds::None };
            let seen = self.stream(rest, at as u64, &Context { ids, ..*context });
            at = at.saturating_add(seen.length());
            if seen.outcome.end != End::Stop {
                return;
            }
            if object {
                storages = seen.storages;
            }
        }
        self.legacy_storages(bytes, at, &storages, context);
    }

    /// The storages behind a legacy file's pickles: each takes eight bytes and its elements.
    fn legacy_storages(
        &mut self,
        bytes: &[u8],
        at: usize,
        storages: &Storages,
        context: &Context<'_>,
    ) {
        let there = (bytes.len() as u64).saturating_sub(at as u64);
        let Some(expected) = storages.legacy_bytes() else {
            self.tally.note(format!(
                "{there} bytes behind the pickles are taken for tensor storages and were not examined"
            ));
            return;
        };
        if there < expected {
            let why = format!("the storages take {expected} bytes, and {there} follow the pickles");
            self.tally.find(Rule::PickleTruncated, context.path, Some(at as u64), "storages", why);
        } else if there > expected {
            let end = at.saturating_add(usize::try_from(expected).unwrap_or(usize::MAX));
            self.trailing(bytes, end, context);
        }
        if expected > 0 {
            self.tally.note(format!("{expected} bytes of tensor storages were not examined"));
        }
    }

    /// A member of PyTorch's tar layout that has raw bytes between its pickles.
    pub(super) fn records(&mut self, bytes: &[u8], records: Records, context: &Context<'_>) {
        let mut at = 0;
        while at < bytes.len() {
            let rest = bytes.get(at..).unwrap_or_default();
            let seen = self.stream(rest, at as u64, context);
            at = at.saturating_add(seen.length());
            if seen.outcome.end != End::Stop {
                return;
            }
            let rest = bytes.get(at..).unwrap_or_default();
            let raw = records.raw_length(seen.class.as_deref(), rest);
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

    /// Judges one pickle at the front of `bytes`, which stand at `base` of their part, as each of
    /// its readers sees it.
    fn stream(&mut self, bytes: &[u8], base: u64, context: &Context<'_>) -> Seen {
        let policy = self.policy;
        let allow: Vec<(&str, &str)> = policy
            .allow
            .iter()
            .map(|global| (global.module.as_str(), global.name.as_str()))
            .collect();
        let mut options = Options {
            persistent_ids: context.ids,
            torchscript: context.torchscript,
            joblib: false,
            nested: true,
            allow: &allow,
            limits: policy.limits.pickle,
        };
        let mut seen = self.view(bytes, base, context, &options);
        if seen.outcome.joblib {
            // `joblib.load` takes arrays from between the opcodes; `pickle.load` does not.
            options.joblib = true;
            seen = self.view(bytes, base, context, &options);
        }
        if let Some(listener) = &mut self.listener {
            listener(&Stream { path: context.path, offset: base, bytes, options });
        }
        self.tally.examine(seen.outcome.offset);
        seen
    }

    /// One reader's view of a stream.
    fn view(
        &mut self,
        bytes: &[u8],
        base: u64,
        context: &Context<'_>,
        options: &Options<'_>,
    ) -> Seen {
        let mut sink = StreamSink {
            tally: &mut self.tally,
            part: context.path,
            base,
            joblib_view: options.joblib,
            joblib: false,
            broken: false,
            imports: Vec::new(),
            literals: Vec::new(),
            storages: Storages::default(),
        };
        let outcome = audit(bytes, options, &mut self.workspace, &mut sink);
        let class = sink.imports.last().map(|(_, subject)| last_name(subject).to_owned());
        let literals = std::mem::take(&mut sink.literals);
        let storages = std::mem::take(&mut sink.storages);
        self.nested(bytes, base, &literals, context);
        Seen { outcome, class, storages }
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
                    Some(bytes) => decoded = bytes,
                    None => continue,
                }
                &decoded
            } else {
                data
            };
            // `torch.storage._load_from_bytes` opens an archive in a byte string.
            let archive = data.starts_with(b"PK\x03\x04") && Archive::open(data).is_ok();
            if !archive && !(Probe::may_import(data) && self.would_import(data, Names::Paths)) {
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
                name: "",
                nesting: context.nesting + 1,
                ids: PersistentIds::None,
                unknown: Unknown::Passes,
                ..*context
            };
            self.part(data, &inner);
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
