//! Running the readers of `core`, and judging what they hand out.

use secure_torch_core::format::READERS;
use secure_torch_core::format::detect::{Format, promises};
use secure_torch_core::format::event::{Anomaly, Event, External, Reader};

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
        let limits = &self.policy.limits;
        let mut examined = bytes.len() as u64;
        (reader.read)(bytes, limits, &mut |event| match event {
            Event::Read(length) => examined = length,
            event => self.event(reader.format, event, context),
        });
        self.tally.examine(examined.min(bytes.len() as u64));
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
