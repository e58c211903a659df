//! Running the readers of `core`, and judging what they hand out.

use secure_torch_core::format::READERS;
use secure_torch_core::format::detect::{Format, promises};
use secure_torch_core::format::event::{Anomaly, Event, External, Reader, Sink};
use secure_torch_core::limits::Limits;
use secure_torch_core::score::Rule;

use super::{Context, Judge, Script, Unknown, member_path};
use crate::text::printable_bytes;

/// How much of a subject is looked at: a report keeps less.
const SUBJECT: usize = 1024;

/// Another file that a part refers to, as it spells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// The format that refers to it.
    pub(crate) by: Format,
    /// The path, as spelled.
    pub(crate) location: Vec<u8>,
    /// The first byte that is used there.
    pub(crate) offset: u64,
    /// How many bytes are used there, where that is said.
    pub(crate) length: Option<u64>,
}

impl Judge<'_> {
    /// Has every reader that accepts the bytes walk them; adds the formats.
    pub(super) fn readers(
        &mut self,
        bytes: &[u8],
        context: &Context<'_>,
        formats: &mut Vec<Format>,
    ) {
        for reader in READERS {
            if (reader.accepts)(bytes) {
                self.read(reader, bytes, context);
                formats.push(reader.format);
            }
        }
    }

    /// Has the readers of the formats that the name promises say why they refuse the bytes.
    pub(super) fn refused(&mut self, bytes: &[u8], context: &Context<'_>) {
        for reader in READERS {
            if !bytes.is_empty() && promises(context.name, reader.format.id()) {
                self.read(reader, bytes, context);
            }
        }
    }

    fn read(&mut self, reader: &Reader, bytes: &[u8], context: &Context<'_>) {
        self.read_by(reader.format, bytes.len() as u64, context, |limits, sink| {
            (reader.read)(bytes, limits, sink);
        });
    }

    /// Has a reader walk a part of so many bytes.
    pub(super) fn read_by(
        &mut self,
        format: Format,
        length: u64,
        context: &Context<'_>,
        read: impl FnOnce(&Limits, Sink<'_>),
    ) {
        let limits = &self.policy.limits;
        let archive = limits.archive;
        let mut examined = length;
        // Offsets may lead to the same bytes again and again: what is handed back is held to the
        // ratio of what is unpacked.
        let most = examined.saturating_mul(u64::from(archive.ratio)).max(archive.ratio_floor_bytes);
        let mut members = 0_u64;
        read(limits, &mut |event| match event {
            Event::Read(length) => examined = length,
            Event::Member { offset, bytes: member, .. } => {
                members = members.saturating_add(member.len() as u64);
                if members <= most {
                    self.event(format, event, context);
                } else {
                    let why = "files in it share bytes past a limit; the rest could not be judged";
                    self.tally.find(Rule::ArchiveBomb, context.path, Some(offset), "", why);
                }
            }
            event => self.event(format, event, context),
        });
        self.tally.examine(examined.min(length));
    }

    pub(super) fn event(&mut self, format: Format, event: Event<'_>, context: &Context<'_>) {
        match event {
            Event::Anomaly(Anomaly { rule, message, offset, subject, .. }) => {
                let subject = printable_bytes(&subject[..subject.len().min(SUBJECT)]);
                self.tally.find(rule, context.path, Some(offset), &subject, message);
            }
            Event::Member { name, bytes, .. } => {
                let name = printable_bytes(&name[..name.len().min(SUBJECT)]);
                let path = member_path(context.path, &name);
                let inner = Context {
                    path: &path,
                    name: &name,
                    depth: context.depth + 1,
                    unknown: match format {
                        Format::Msgpack | Format::Hdf5 => Unknown::Value,
                        _ => Unknown::Passes,
                    },
                    script: Script::No,
                    own: &[],
                    ..*context
                };
                self.part(bytes, &inner);
            }
            Event::External(External { location, offset, length }) => {
                if context.depth == 0
                    && self.references.len() < self.policy.limits.archive.entries as usize
                {
                    let location = location.to_vec();
                    self.references.push(Reference { by: format, location, offset, length });
                }
            }
            Event::Unjudged(sentence) => self.tally.note(sentence),
            _ => self.tally.note("a reader reported something that this build does not know"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    #[test]
    fn bytes_that_are_handed_back_again_and_again_end_at_a_limit() {
        let policy = Policy::default();
        let reader = Reader {
            format: Format::TfLite,
            accepts: |_| true,
            starts: |_| Some(true),
            read_start: None,
            read: |bytes, _, sink| {
                for _ in 0..1_000_000 {
                    sink(Event::Member { name: b"buffer", offset: 0, bytes });
                }
            },
        };
        for (length, bomb) in [(1, false), (64 << 10, true)] {
            let mut judge = Judge::new(&policy);
            judge.read(&reader, &vec![b' '; length], &Context::file("model.tflite"));
            assert!(judge.members <= u64::from(policy.limits.archive.entries) + 1_000_000);
            // One byte a million times is many members, and few bytes.
            let seen = judge.tally.hits(Rule::ArchiveBomb);
            assert!(seen, "{length}");
            assert_eq!(judge.members < 1_000, bomb);
        }
    }
}
