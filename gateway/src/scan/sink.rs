//! From what the auditor tells to what the tally keeps.

use std::ops::Range;

use secure_torch_core::pickle::audit::{
    Detail, Finding, ImportSeen, Literal, Outcome, Sink, StorageSeen, is_joblib_wrapper,
};
use secure_torch_core::pickle::opcode::Opcode;
use secure_torch_core::score::Rule;

use super::asked::Asked;
use super::tally::Tally;

/// Which reader's view of a stream is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// `pickle.load`. On a joblib dump it stops at the bytes of the first array: what it reads
    /// of them is not the file's fault; what it imports before every unpickler stops is.
    Pickle,
    /// `joblib.load`.
    Joblib,
    /// `pickle.load` in a loader of PyTorch's own, which knows no joblib.
    Torch,
    /// An unpickler that loads several pickles and keeps its memo. Honest pickles that were
    /// written one by one make little sense to it, so what it would import counts, and not the
    /// sense that it makes.
    KeptMemo {
        /// What stands before this offset was judged already.
        from: u64,
    },
}

/// Puts what the auditor tells into the tally.
pub(super) struct StreamSink<'t> {
    tally: &'t mut Tally,
    part: &'t str,
    base: u64,
    view: View,
    /// Whether the stream names joblib's array wrapper.
    joblib: bool,
    /// Whether what follows is read by nobody who takes this view.
    broken: bool,
    /// Where `pickle.load` goes on in a pickle that joblib reads by itself. The memo that it has
    /// there is another's, so an honest pickle makes no sense to it, and only what is dangerous
    /// counts.
    foreign: Option<u64>,
    /// For each import: where its global is kept, and its name for findings.
    imports: Vec<(Option<usize>, String)>,
    seen: Heard,
}

/// What is wanted of a stream beyond its findings.
#[derive(Default)]
pub(super) struct Heard {
    /// The names of the globals, without their modules.
    pub(super) names: Vec<String>,
    /// Literals that may be pickles.
    pub(super) literals: Vec<Place>,
    /// Where pickles stand that joblib reads by themselves.
    pub(super) embedded: Vec<Range<usize>>,
    /// The storages that the stream asks for.
    pub(super) storages: Storages,
}

/// Where a literal stands in its stream.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) offset: usize,
    pub(super) length: usize,
    /// Whether it is text of which Latin-1 makes bytes.
    pub(super) latin1: bool,
    /// Whether the stream itself has it loaded.
    pub(super) loaded: bool,
}

/// What a stream showed.
pub(super) struct Seen {
    pub(super) outcome: Outcome,
    pub(super) heard: Heard,
}

impl Seen {
    pub(super) fn length(&self) -> usize {
        usize::try_from(self.outcome.offset).unwrap_or(usize::MAX)
    }
}

/// The storages that a stream asks for, each key once, with their bytes.
#[derive(Default)]
pub(super) struct Storages {
    pub(super) bytes: Asked,
    /// Whether the stream asks for one that it does not spell out, or for one in two sizes.
    pub(super) unknown: bool,
}

impl Storages {
    /// The bytes that they take behind a legacy file's pickles, where all are known.
    pub(super) fn legacy_bytes(&self) -> Option<u64> {
        if self.unknown {
            return None;
        }
        self.bytes.bytes().try_fold(0_u64, |sum, bytes| sum.checked_add(bytes)?.checked_add(8))
    }
}

impl<'t> StreamSink<'t> {
    pub(super) fn new(tally: &'t mut Tally, part: &'t str, base: u64, view: View) -> Self {
        Self {
            tally,
            part,
            base,
            view,
            joblib: false,
            broken: false,
            foreign: None,
            imports: Vec::new(),
            seen: Heard::default(),
        }
    }

    pub(super) fn into_heard(self) -> Heard {
        self.seen
    }

    /// Whether an event at this offset is this view's to tell.
    fn tells(&self, offset: u64) -> bool {
        let judged = matches!(self.view, View::KeptMemo { from } if offset < from);
        !self.broken && !judged
    }
}

impl Sink for StreamSink<'_> {
    fn import(&mut self, import: &ImportSeen<'_>) {
        self.joblib |= is_joblib_wrapper(import.judgement.class);
        let (module, name) = import.judgement.python3;
        self.seen.names.push(name.to_owned());
        let kept = self.tells(import.offset).then(|| {
            let offset = self.base.saturating_add(import.offset);
            self.tally.global(self.part, offset, import.module, import.name, &import.judgement)
        });
        self.imports.push((kept.flatten(), format!("{module}.{name}")));
    }

    fn call(&mut self, import: u32, offset: u64, opcode: Opcode) {
        if !self.tells(offset) {
            return;
        }
        if let Some((Some(global), _)) = self.imports.get(import as usize) {
            self.tally.call(*global, self.base.saturating_add(offset), opcode);
        }
    }

    fn finding(&mut self, finding: Finding<'_>) {
        let broken_view = match self.view {
            View::Pickle => self.joblib,
            View::Joblib | View::Torch => false,
            View::KeptMemo { .. } => true,
        };
        self.broken |= broken_view && finding.stops();
        if !self.tells(finding.offset) {
            return;
        }
        let imports = matches!(
            finding.rule,
            Rule::PickleGlobalDangerous
                | Rule::PickleGlobalUnknown
                | Rule::PickleGlobalUnresolvable
                | Rule::PickleGlobalDotted
                | Rule::PickleExtension
        );
        if matches!(self.view, View::KeptMemo { .. }) && !imports {
            return;
        }
        let foreign = self.foreign.is_some_and(|from| finding.offset >= from);
        let counts =
            finding.rule == Rule::PickleGlobalDangerous || matches!(finding.detail, Detail::Loads);
        if foreign && !counts {
            return;
        }
        let subject = match finding.detail {
            Detail::Import(import) | Detail::Call(import, _) => {
                self.imports.get(import as usize).map_or("", |(_, subject)| subject.as_str())
            }
            _ => "",
        };
        let offset = self.base.saturating_add(finding.offset);
        self.tally.find(finding.rule, self.part, Some(offset), subject, finding.detail);
    }

    fn storage(&mut self, storage: StorageSeen<'_>) {
        let bytes =
            storage.known.and_then(|(key, size, count)| Some((key, size.checked_mul(count)?)));
        let storages = &mut self.seen.storages;
        match bytes {
            // Views name the storage that they look into again, with its whole size.
            Some((key, bytes)) => storages.unknown |= storages.bytes.add(key, bytes) != bytes,
            None => storages.unknown = true,
        }
    }

    fn embedded(&mut self, offset: u64, starts: bool) {
        if self.view == View::Pickle {
            self.foreign.get_or_insert(offset);
            return;
        }
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        match self.seen.embedded.last_mut() {
            Some(last) if !starts => last.end = at,
            _ => self.seen.embedded.push(at..usize::MAX),
        }
    }

    fn literal(&mut self, literal: Literal<'_>) {
        // What is loaded here may stand in a pickle before this one.
        if self.broken || !literal.loaded && !self.tells(literal.offset) {
            return;
        }
        if let Ok(offset) = usize::try_from(literal.offset) {
            self.seen.literals.push(Place {
                offset,
                length: literal.data.len(),
                latin1: literal.latin1,
                loaded: literal.loaded,
            });
        }
    }
}
