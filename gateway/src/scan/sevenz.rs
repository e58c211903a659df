//! Judging 7z archives: the header, each name, and each member as if it were a file.
//!
//! Model repositories have carried pickles in 7z archives because scanners passed them over
//! (nullifAI, 2025). Blocks are unpacked once, in the archive's order, and every member is
//! judged as it comes out.
//!
//! What it refuses to do: ask for passwords (what is encrypted is a finding), guess where a
//! broken header may lie, unpack by methods that the reader does not know, or grant a
//! dictionary, a model or a header more than `archive.window_bytes`. What members unpack to is
//! bounded for the archive as a whole, so that many members of one block cannot share a ratio.
//!
//! References: 7-Zip, `DOC/7zFormat.txt` and `CPP/7zip/Archive/7z/7zIn.cpp`.

use std::collections::HashSet;
use std::io::{self, Cursor};

use secure_torch_core::format::detect::Format;
use secure_torch_core::format::zip::path_anomalies;
use secure_torch_core::pickle::audit::PersistentIds;
use secure_torch_core::score::Rule;
use sevenz_rust2::{Archive, ArchiveEntry, BlockDecoder, Error, Password};

use super::{Context, Judge, Unknown, is_judged, member_path};
use crate::text::printable;

pub(super) const SIGNATURE: [u8; 6] = *b"7z\xbc\xaf\x27\x1c";
const START_HEADER: usize = 32;

/// What a Windows attribute says where Unix attributes stand above it (`7zFormat.txt`).
const UNIX_EXTENSION: u32 = 0x8000;
const REPARSE_POINT: u32 = 0x400;

/// Whether the bytes start with a header whose checksum is right: 7-Zip refuses others, unless
/// it is told to recover.
pub(super) fn is_seven_zip(bytes: &[u8]) -> bool {
    let sum = bytes.get(8..12).zip(bytes.get(12..START_HEADER));
    bytes.starts_with(&SIGNATURE)
        && sum.is_some_and(|(sum, start)| crc32fast::hash(start).to_le_bytes() == *sum)
}

/// Where the archive ends, by its header.
fn end(bytes: &[u8]) -> Option<u64> {
    let number = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    number(12)?.checked_add(number(20)?)?.checked_add(START_HEADER as u64)
}

impl Judge<'_> {
    /// Judges an archive; its format, if the bytes are one.
    pub(super) fn seven_zip(&mut self, bytes: &[u8], context: &Context<'_>) -> Option<Format> {
        if !is_seven_zip(bytes) {
            return None;
        }
        let limits = self.policy.limits.archive;
        let memory = usize::try_from(limits.window_bytes / 1024).unwrap_or(usize::MAX);
        let mut source = Cursor::new(bytes);
        let password = Password::empty();
        let archive = match Archive::read_with_memory_limit(&mut source, &password, memory) {
            Ok(archive) => archive,
            Err(error) => {
                self.seven_zip_error(&error, context.path);
                return Some(Format::SevenZip);
            }
        };
        if end(bytes).is_some_and(|end| end < bytes.len() as u64) {
            let why = "bytes follow the archive, which some readers refuse and others skip";
            self.tally.find(Rule::ArchiveAmbiguous, context.path, end(bytes), "", why);
        }
        let most = limits.entries as usize;
        if archive.files.len() > most || archive.blocks.len() > most {
            let why = "the archive has more members than the limit; they could not be judged";
            self.tally.find(Rule::ArchiveBomb, context.path, None, "", why);
            return Some(Format::SevenZip);
        }
        self.entries(&archive.files, context);
        let mut left = self.budget(bytes.len());
        let mut judged = false;
        for block in 0..archive.blocks.len() {
            let decoder = BlockDecoder::new_with_memory_limit(
                1,
                memory,
                block,
                &archive,
                &password,
                &mut source,
            );
            let done = decoder.for_each_entries(&mut |entry, reader| {
                let name = printable(entry.name());
                let path = member_path(context.path, &name);
                let most = left.min(limits.member_bytes);
                let Some((content, error)) = self.unpack(reader, most, &path, 0) else {
                    // The rest of the block lies behind what is too much.
                    return Ok(false);
                };
                left = left.saturating_sub(content.len() as u64);
                judged |= self.entry(entry, &content, &path, context);
                error.map_or(Ok(true), |error| Err(error.into()))
            });
            if let Err(error) = done {
                self.seven_zip_error(&error, context.path);
            }
        }
        if !judged {
            let why = "the archive holds nothing that can be judged as a model";
            self.tally.find(Rule::FormatUnknown, context.path, None, "", why);
        }
        self.tally.examine(bytes.len() as u64);
        Some(Format::SevenZip)
    }

    /// Judges a member; whether a reader accepted it.
    fn entry(
        &mut self,
        entry: &ArchiveEntry,
        content: &[u8],
        path: &str,
        context: &Context<'_>,
    ) -> bool {
        if entry.is_directory || content.is_empty() {
            return false;
        }
        let name = printable(entry.name());
        let inner = Context {
            path,
            name: &name,
            depth: context.depth + 1,
            ids: PersistentIds::None,
            unknown: Unknown::Blocks,
            ..*context
        };
        self.part(content, &inner).iter().any(|&format| is_judged(format))
    }

    /// What the names and attributes of the members do wherever they are unpacked.
    fn entries(&mut self, entries: &[ArchiveEntry], context: &Context<'_>) {
        let mut names = HashSet::new();
        for entry in entries {
            let name = printable(entry.name());
            for anomaly in path_anomalies(entry.name().as_bytes()) {
                self.tally.find(anomaly.rule(), context.path, None, &name, anomaly.message());
            }
            let folded = entry.name().trim_end_matches('/').to_ascii_lowercase();
            if !names.insert(folded) {
                let why = "two members have one name, or names that differ only in ASCII case";
                self.tally.find(Rule::ArchiveAmbiguous, context.path, None, &name, why);
            }
            if entry.is_anti_item {
                let why = "a member deletes a file where the archive is unpacked";
                self.tally.find(Rule::ArchiveTraversal, context.path, None, &name, why);
            }
            let attributes = entry.windows_attributes;
            let kind = if attributes & UNIX_EXTENSION == 0 { 0 } else { attributes >> 28 };
            // The type bits of `st_mode`: a file is 8 and a folder 4.
            if !matches!(kind, 0 | 4 | 8) || attributes & REPARSE_POINT != 0 {
                let why = "a member is a link or a device";
                self.tally.find(Rule::ArchiveTraversal, context.path, None, &name, why);
            }
        }
    }

    fn seven_zip_error(&mut self, error: &Error, path: &str) {
        let (rule, why) = match error {
            Error::PasswordRequired | Error::MaybeBadPassword(_) => {
                (Rule::ArchiveEncrypted, "the archive is encrypted".to_owned())
            }
            Error::UnsupportedCompressionMethod(method) if method.contains("AES") => {
                (Rule::ArchiveEncrypted, "the archive is encrypted".to_owned())
            }
            Error::UnsupportedCompressionMethod(method) => {
                let method = printable(method);
                (Rule::ArchiveCorrupt, format!("members packed by `{method}` cannot be judged"))
            }
            Error::MaxMemLimited { .. } => {
                let why = "unpacking it asks for more memory than the limit";
                (Rule::ArchiveBomb, why.to_owned())
            }
            Error::Io(error, _) if error.kind() == io::ErrorKind::OutOfMemory => {
                let why = "unpacking it asks for more memory than the limit";
                (Rule::ArchiveBomb, why.to_owned())
            }
            Error::Io(error, _) => {
                (Rule::ArchiveCorrupt, format!("it cannot be unpacked: {error}"))
            }
            Error::Other(why) | Error::Unsupported(why) => {
                (Rule::ArchiveCorrupt, format!("it cannot be unpacked: {why}"))
            }
            _ => (Rule::ArchiveCorrupt, "the archive's header is broken".to_owned()),
        };
        self.tally.find(rule, path, None, "", why);
    }
}
