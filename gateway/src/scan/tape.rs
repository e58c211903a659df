//! Judging tar archives: PyTorch's oldest layout, and any other.

use secure_torch_core::format::detect::Format;
use secure_torch_core::format::tar::Archive;
use secure_torch_core::format::torch_tar::{interleaved, is_layout};
use secure_torch_core::format::zip;
use secure_torch_core::pickle::audit::PersistentIds;
use secure_torch_core::score::Rule;

use super::{Context, Judge, Script, Unknown, is_judged, member_path};
use crate::text::printable_bytes;

/// Whether a ZIP archive that some reader finds in a tar is one of its members, whole: it is
/// judged as that member, and those who look for end records alone see nothing else.
pub(super) fn holds(bytes: &[u8], zip: &zip::Archive<'_>) -> bool {
    let extent = zip.extent();
    let mut members =
        Archive::open(bytes).into_iter().flat_map(|tar| tar.members().map_while(Result::ok));
    members.any(|member| {
        let data = member.data_range();
        data.start <= extent.start && extent.end <= data.end
    })
}

impl Judge<'_> {
    /// Judges an archive; the format that it turns out to be.
    pub(super) fn tar(&mut self, bytes: &[u8], context: &Context<'_>) -> Format {
        let archive = match Archive::open(bytes) {
            Ok(archive) => archive,
            Err(error) => {
                let why = error.kind.message();
                self.tally.find(Rule::ArchiveCorrupt, context.path, Some(error.offset), "", why);
                return Format::Tar;
            }
        };
        let limit = u64::from(self.policy.limits.archive.entries);
        if archive.member_bound() > limit && archive.members().count() as u64 > limit {
            let why = "the archive has more members than the limit; they could not be judged";
            self.tally.find(Rule::ArchiveBomb, context.path, None, "", why);
            return Format::Tar;
        }
        let tally = &mut self.tally;
        archive.audit_alloc(&mut |anomaly| {
            let name = printable_bytes(&anomaly.name.bytes().collect::<Vec<u8>>());
            let rule = anomaly.kind.rule();
            tally.find(rule, context.path, Some(anomaly.offset), &name, anomaly.kind.message());
        });
        let members: Vec<_> = archive.members().map_while(Result::ok).collect();
        let names: Vec<Vec<u8>> =
            members.iter().map(|member| member.name.bytes().collect()).collect();
        let torch = is_layout(names.iter().map(Vec::as_slice));
        let mut judged = torch;
        for (member, name) in members.iter().zip(&names) {
            self.tally.examine(512);
            if !member.is_file() {
                continue;
            }
            let place = member.data_range();
            let (Ok(start), Ok(end)) = (usize::try_from(place.start), usize::try_from(place.end))
            else {
                continue;
            };
            // A member that the end of the archive cuts is an anomaly; what is there is judged.
            let content = bytes.get(start..end.min(bytes.len())).unwrap_or_default();
            let shown = printable_bytes(name);
            let path = member_path(context.path, &shown);
            let inner = Context {
                path: &path,
                name: &shown,
                depth: context.depth + 1,
                ids: if torch { PersistentIds::Tensors } else { PersistentIds::None },
                unknown: Unknown::Blocks,
                script: Script::No,
                own: &[],
                ..*context
            };
            match interleaved(name).filter(|_| torch) {
                Some(records) => {
                    self.records(content, records, &inner);
                    self.tally.part(&path, Format::Pickle, content.len() as u64);
                }
                None => {
                    judged |= self.part(content, &inner).iter().any(|&format| is_judged(format));
                }
            }
        }
        if !judged {
            let why = "the archive holds nothing that can be judged as a model";
            self.tally.find(Rule::FormatUnknown, context.path, None, "", why);
        }
        if torch { Format::PytorchTar } else { Format::Tar }
    }
}
