//! The one place that unpacks: whatever a compressor gives is read up to a bound.
//!
//! The bound is what the limits of one member, of the whole file and of the ratio leave; nothing
//! is allocated by what a header says. Reaching the bound is a finding that blocks.

use std::io::{self, Read};

use secure_torch_core::score::Rule;

use super::Judge;

impl Judge<'_> {
    /// How many bytes so many packed bytes may give, all members of them together.
    pub(super) fn budget(&self, packed: usize) -> u64 {
        let limits = self.policy.limits.archive;
        let ratio = (packed as u64).saturating_mul(u64::from(limits.ratio));
        let left = limits.total_bytes.saturating_sub(self.unpacked);
        left.min(ratio.max(limits.ratio_floor_bytes))
    }

    /// How many bytes so many packed bytes of one member may give.
    pub(super) fn allowance(&self, packed: usize) -> u64 {
        self.budget(packed).min(self.policy.limits.archive.member_bytes)
    }

    /// Reads up to `most` bytes, and the error that ended it: what comes out before a
    /// broken place is what a loader may act on. Nothing, and a finding, if it is too much.
    pub(super) fn unpack(
        &mut self,
        reader: impl Read,
        most: u64,
        path: &str,
        offset: u64,
    ) -> Option<(Vec<u8>, Option<io::Error>)> {
        let mut content = Vec::new();
        let read = reader.take(most.saturating_add(1)).read_to_end(&mut content);
        self.unpacked = self.unpacked.saturating_add(content.len() as u64);
        if content.len() as u64 > most {
            let why = format!(
                "unpacking gives more than {most} bytes, which is past a limit of size or ratio"
            );
            self.tally.find(Rule::ArchiveBomb, path, Some(offset), "", why);
            return None;
        }
        Some((content, read.err()))
    }

    /// What an error while unpacking is: a demand for too much memory, or broken data.
    pub(super) fn cannot_unpack(&mut self, error: &io::Error, path: &str, offset: u64) {
        let (rule, why) = if error.kind() == io::ErrorKind::OutOfMemory {
            (Rule::ArchiveBomb, "unpacking it asks for more memory than the limit")
        } else {
            (Rule::ArchiveCorrupt, "it cannot be unpacked")
        };
        self.tally.find(rule, path, Some(offset), "", format!("{why}: {error}"));
    }
}
