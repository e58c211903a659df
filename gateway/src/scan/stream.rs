//! Judging pickles: one, several in a row, and those inside their byte strings.

use std::collections::BTreeMap;

use secure_torch_core::format::detect::Format;
use secure_torch_core::format::torch_legacy;
use secure_torch_core::format::zip::Archive;
use secure_torch_core::pickle::audit::{End, Options, PersistentIds, audit};
use secure_torch_core::pickle::probe::Probe;
use secure_torch_core::score::Rule;

use super::probe::Names;
use super::sink::{Place, Seen, StreamSink, View};
use super::{Context, Judge, Script, Unknown, is_judged};
use crate::trace::Stream;

impl Judge<'_> {
    /// Judges what is a pickle from its first byte on; the format that it turns out to be.
    pub(super) fn pickles(&mut self, bytes: &[u8], context: &Context<'_>) -> Format {
        if torch_legacy::starts_with_magic(bytes) {
            self.legacy(bytes, context);
            return Format::PytorchLegacy;
        }
        self.in_a_row(bytes, 0, context)
    }

    /// Judges pickles that follow one another, from `start` on.
    fn in_a_row(&mut self, bytes: &[u8], start: usize, context: &Context<'_>) -> Format {
        let mut format = Format::Pickle;
        let mut at = start;
        let mut first_end = None;
        for count in 0.. {
            let rest = bytes.get(at..).unwrap_or_default();
            if count > 0 {
                if rest.is_empty() {
                    break;
                }
                if !self.is_pickle(rest, Names::Any) {
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
            if count == 1 {
                self.kept_memo(bytes, start, first_end.unwrap_or(start), context);
            }
            first_end = first_end.or(Some(at));
            if seen.outcome.end != End::Stop {
                break;
            }
        }
        format
    }

    /// Several pickles as one `Unpickler` object loads them, whose memo outlives each.
    fn kept_memo(&mut self, bytes: &[u8], start: usize, first_end: usize, context: &Context<'_>) {
        let from = first_end.saturating_sub(start) as u64;
        let rest = bytes.get(start..).unwrap_or_default();
        let mut options = self.options(context);
        options.keep_memo = true;
        let policy = self.policy;
        let allow = policy.allowed_globals();
        options.allow = &allow;
        self.view(rest, start as u64, context, &options, View::KeptMemo { from });
    }

    /// Bytes that no layout accounts for: a finding, unless they are padding of zeros, and a
    /// search for a pickle among them, which a loader that seeks would find.
    pub(super) fn trailing(&mut self, bytes: &[u8], at: usize, context: &Context<'_>) {
        let rest = bytes.get(at..).unwrap_or_default();
        if rest.iter().all(|&byte| byte == 0) {
            self.tally.note(format!("{} zero bytes of padding follow", rest.len()));
            return;
        }
        let why = format!("{} bytes follow that no known layout accounts for", rest.len());
        self.tally.find(Rule::PickleTrailingData, context.path, Some(at as u64), "", why);
        self.hidden(bytes, at, bytes.len(), context);
    }

    /// Judges the first pickle that imports among bytes that no reader takes for one.
    fn hidden(&mut self, bytes: &[u8], from: usize, to: usize, context: &Context<'_>) {
        let among = bytes.get(from..to).unwrap_or_default();
        if let Some(found) = self.hidden_pickle(among) {
            self.in_a_row(bytes, from.saturating_add(found), context);
        }
    }

    fn options<'c>(&self, context: &Context<'c>) -> Options<'c> {
        Options {
            persistent_ids: context.ids,
            torchscript: context.torchscript,
            own: context.own,
            joblib: false,
            keep_memo: false,
            nested: true,
            allow: &[],
            limits: self.policy.limits.pickle,
        }
    }

    /// Judges one pickle at the front of `bytes`, which stand at `base` of their part, as each of
    /// its readers sees it.
    pub(super) fn stream(&mut self, bytes: &[u8], base: u64, context: &Context<'_>) -> Seen {
        let policy = self.policy;
        let allow = policy.allowed_globals();
        let mut options = Options { allow: &allow, ..self.options(context) };
        let view = if context.joblib { View::Pickle } else { View::Torch };
        let mut seen = self.view(bytes, base, context, &options, view);
        if seen.outcome.joblib && context.joblib {
            // `joblib.load` takes arrays from between the opcodes; `pickle.load` does not, and
            // may stop among their bytes, where another `pickle.load` would go on.
            let plain = seen;
            options.joblib = true;
            seen = self.view(bytes, base, context, &options, View::Joblib);
            if plain.outcome.end == End::Stop && plain.length() < seen.length() {
                // Where joblib reads a pickle by itself, it has been judged as one.
                let mut from = plain.length();
                for pickle in std::mem::take(&mut seen.heard.embedded) {
                    if from < pickle.start {
                        self.hidden_in_array(bytes, base, (from, pickle.start), context);
                    }
                    from = from.max(pickle.end);
                }
                if from < seen.length() {
                    self.hidden_in_array(bytes, base, (from, seen.length()), context);
                }
            }
        }
        if let Some(listener) = &mut self.listener {
            listener(&Stream { path: context.path, offset: base, bytes, options });
        }
        if context.ids == PersistentIds::Storages {
            self.records.extend(std::mem::take(&mut seen.heard.storages.bytes));
        }
        self.tally.examine(seen.outcome.offset);
        seen
    }

    fn hidden_in_array(
        &mut self,
        bytes: &[u8],
        base: u64,
        (from, to): (usize, usize),
        context: &Context<'_>,
    ) {
        // Right where `pickle.load` stops anything that imports counts; further on, in numbers,
        // what does so with names that could be.
        let rest = bytes.get(from..).unwrap_or_default();
        let among = bytes.get(from..to).unwrap_or_default();
        let found =
            if self.would_import(rest, Names::Any) { Some(0) } else { self.hidden_pickle(among) };
        let Some(found) = found else { return };
        let start = from.saturating_add(found);
        let place = base.saturating_add(start as u64);
        let why = "pickle.load stops among the bytes of a joblib array, and a pickle stands there";
        self.tally.find(Rule::PickleDivergent, context.path, Some(place), "", why);
        let options = self.options(context);
        let rest = bytes.get(start..).unwrap_or_default();
        self.view(rest, place, context, &options, View::Torch);
    }

    /// One reader's view of a stream.
    fn view(
        &mut self,
        bytes: &[u8],
        base: u64,
        context: &Context<'_>,
        options: &Options<'_>,
        view: View,
    ) -> Seen {
        let mut sink = StreamSink::new(&mut self.tally, context.path, base, view);
        let outcome = audit(bytes, options, &mut self.workspace, &mut sink);
        let heard = sink.into_heard();
        self.nested(bytes, base, &heard.literals, context);
        Seen { outcome, heard }
    }

    /// Judges the literals of a stream that are pickles themselves.
    fn nested(&mut self, bytes: &[u8], base: u64, literals: &[Place], context: &Context<'_>) {
        // What is loaded often, or offered first and loaded then, is judged once.
        let mut places = BTreeMap::new();
        for place in literals {
            *places.entry((place.offset, place.length, place.latin1)).or_insert(false) |=
                place.loaded;
        }
        for ((offset, length, latin1), loaded) in places {
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
            // `torch.load` opens an archive in a byte string too.
            let archive = data.starts_with(b"PK\x03\x04") && Archive::open(data).is_ok();
            let pickle = Probe::may_import(data) && self.would_import(data, Names::Paths);
            if !loaded && !archive && !pickle {
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
                script: Script::No,
                ..*context
            };
            let formats = self.part(data, &inner);
            // What is loaded and is nothing else, `torch.load` takes for a legacy file.
            if loaded && !formats.iter().any(|&format| is_judged(format)) {
                self.pickles(data, &inner);
            }
        }
    }
}

/// The bytes that text of characters below U+0100 stands for.
fn latin1_bytes(text: &[u8]) -> Option<Vec<u8>> {
    std::str::from_utf8(text).ok()?.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}
