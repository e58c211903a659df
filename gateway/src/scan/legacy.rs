//! PyTorch's layouts in which pickles and raw bytes take turns: the legacy file's five pickles
//! and storages, and the members of the tar layout.

use secure_torch_core::format::torch_legacy::STREAMS;
use secure_torch_core::format::torch_tar::Records;
use secure_torch_core::pickle::audit::{End, PersistentIds};
use secure_torch_core::score::Rule;

use super::large::{CUT, Undecided};
use super::sink::{Seen, Storages};
use super::{Context, Judge};

impl Judge<'_> {
    /// Five pickles, then storages.
    pub(super) fn legacy(&mut self, bytes: &[u8], context: &Context<'_>) {
        // All of them decide.
        let _ = self.legacy_start(bytes, bytes.len() as u64, context);
    }

    /// [`Self::legacy`] of a file of `length` bytes that starts with these. Where they do not
    /// decide, what was found of them is worth nothing.
    pub(super) fn legacy_start(
        &mut self,
        bytes: &[u8],
        length: u64,
        context: &Context<'_>,
    ) -> Result<(), Undecided> {
        let behind = length.saturating_sub(bytes.len() as u64);
        let mut at = 0;
        let mut storages = Storages::default();
        for name in STREAMS {
            let rest = bytes.get(at..).unwrap_or_default();
            // Only the object's pickle is read with torch's own `persistent_load`.
            let object = name == "object";
            let ids = if object { PersistentIds::LegacyStorages } else { PersistentIds::None };
            let seen = self.stream(rest, at as u64, &Context { ids, joblib: false, ..*context });
            at = at.saturating_add(seen.length());
            if seen.outcome.cut.is_some_and(|more| more <= behind) {
                return Err(Undecided::More(CUT));
            }
            if seen.outcome.end != End::Stop {
                return Ok(());
            }
            if object {
                storages = seen.heard.storages;
            }
        }
        let there = length.saturating_sub(at as u64);
        let more = storages.legacy_bytes().is_some_and(|expected| there > expected);
        self.legacy_storages(bytes, there, at, &storages, context);
        if behind > 0 && more {
            return Err(Undecided::Whole("bytes follow that its layout does not account for"));
        }
        Ok(())
    }

    /// The storages behind a legacy file's pickles: each takes eight bytes and its elements.
    fn legacy_storages(
        &mut self,
        bytes: &[u8],
        there: u64,
        at: usize,
        storages: &Storages,
        context: &Context<'_>,
    ) {
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

    /// A member of PyTorch's tar layout: a pickled count, so many records, and for storages a
    /// pickled list of views.
    ///
    /// A record's pickle names one class, and how many raw bytes follow depends on it. A pickle
    /// that names any other number of globals could make PyTorch read on elsewhere than here.
    pub(super) fn records(&mut self, bytes: &[u8], records: Records, context: &Context<'_>) {
        let mut at = 0;
        let Some(count) = self.plain_record(bytes, &mut at, context) else { return };
        let Some(count) = count.outcome.integer.and_then(|count| u64::try_from(count).ok()) else {
            return self.lost_record(at, context, "a member does not start with a count");
        };
        for _ in 0..count {
            let Some(seen) = self.record(bytes, &mut at, context) else { return };
            let [class] = seen.heard.names.as_slice() else {
                let why = "a record's pickle names more or less than the one class of its data";
                return self.lost_record(at, context, why);
            };
            let rest = bytes.get(at..).unwrap_or_default();
            let raw = records.raw_length(Some(class), rest);
            match raw.and_then(|raw| usize::try_from(raw).ok()).filter(|&raw| raw <= rest.len()) {
                Some(raw) => at = at.saturating_add(raw),
                None => {
                    let why = "the raw bytes of a record do not fit the member";
                    return self.lost_record(at, context, why);
                }
            }
        }
        if records == Records::Storages && self.plain_record(bytes, &mut at, context).is_none() {
            return;
        }
        if at < bytes.len() {
            self.trailing(bytes, at, context);
        }
    }

    /// A pickle that names no global.
    fn plain_record(
        &mut self,
        bytes: &[u8],
        at: &mut usize,
        context: &Context<'_>,
    ) -> Option<Seen> {
        let seen = self.record(bytes, at, context)?;
        if !seen.heard.names.is_empty() {
            self.lost_record(*at, context, "a count or a list of views names a global");
            return None;
        }
        Some(seen)
    }

    fn record(&mut self, bytes: &[u8], at: &mut usize, context: &Context<'_>) -> Option<Seen> {
        let context = Context { joblib: false, ..*context };
        let seen = self.stream(bytes.get(*at..).unwrap_or_default(), *at as u64, &context);
        *at = at.saturating_add(seen.length());
        (seen.outcome.end == End::Stop).then_some(seen)
    }

    fn lost_record(&mut self, at: usize, context: &Context<'_>, why: &str) {
        self.tally.find(Rule::PickleDivergent, context.path, Some(at as u64), "", why);
    }
}
