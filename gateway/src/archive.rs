//! Where the members of an archive lie in its file, for people who want to see it.
//!
//! It says what the directory says, in the order of the directory, and which part PyTorch's readers
//! give to each member. It judges nothing: what is odd about a directory is the report's to say.

use secure_torch_core::format::torch_zip::Role;
use secure_torch_core::format::zip::{Archive, METHOD_DEFLATED, METHOD_STORED};
use serde::Serialize;

use crate::error::Error;
use crate::policy::Policy;
use crate::scan;
use crate::source::pieces::Pieces;
use crate::source::{Ranged, Source};
use crate::text::printable_bytes;

/// The name and version of the JSON form.
pub const SCHEMA: &str = "secure-torch/archive/1";

/// An archive and what lies in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Map {
    /// [`SCHEMA`]
    pub schema: &'static str,
    /// The file's length.
    pub size_bytes: u64,
    /// The bytes before the archive's own start.
    pub prefix_bytes: u64,
    /// Where the central directory starts.
    pub directory_offset: u64,
    /// How many bytes it takes.
    pub directory_bytes: u64,
    /// The bytes from the directory's end to that of the archive's comment.
    pub end_bytes: u64,
    /// The members, in the order of the directory.
    pub members: Vec<Member>,
    /// How many members are beyond the limit of entries, or behind a broken header.
    pub omitted: u64,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its name. Safe to print.
    pub name: String,
    /// What it is for: `pickle`, `storage`, `code`, `mark`, `folder` or `other`.
    pub role: &'static str,
    /// How it is compressed: `stored`, `deflated` or `method` and its number.
    pub method: String,
    /// How many bytes it takes in the file.
    pub packed_bytes: u64,
    /// How many bytes it unpacks to, as the directory says.
    pub size_bytes: u64,
    /// Where its local header starts.
    pub header_offset: u64,
    /// Where its data starts; nothing where the local header is broken.
    pub data_offset: Option<u64>,
}

impl Map {
    /// The map as one JSON object.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The map of a ZIP archive; nothing where the source is none.
#[must_use]
pub fn map(source: &Source, policy: &Policy) -> Option<Map> {
    let archive = Archive::open(source.bytes()).ok()?;
    let view = scan::view_of(&archive, None, policy);
    Some(of(&archive, &view, source.bytes().len() as u64, policy))
}

/// [`map`] of a file that is read in pieces: no member's data is read for it.
///
/// # Errors
/// Where a piece cannot be read, or does not fit in memory.
pub fn map_ranged(file: &Ranged, policy: &Policy) -> Result<Option<Map>, Error> {
    let pieces = Pieces::new(file, policy.limits.file.held_bytes);
    let map = Archive::open_ranges(&pieces).ok().map(|archive| {
        let view = scan::view_of(&archive, Some(&pieces), policy);
        of(&archive, &view, file.length(), policy)
    });
    pieces.check()?;
    Ok(map)
}

fn of(archive: &Archive<'_>, view: &scan::View<'_>, size_bytes: u64, policy: &Policy) -> Map {
    let directory = archive.directory();
    let extent = archive.extent();
    let limit = policy.limits.archive.entries as usize;
    let entries = archive.entries().map_while(Result::ok).take(limit);
    let members: Vec<Member> = entries
        .map(|entry| Member {
            name: printable_bytes(entry.name()),
            role: if entry.is_folder() { "folder" } else { name_of(view.role(entry.name())) },
            method: match entry.central.method {
                METHOD_STORED => "stored".to_owned(),
                METHOD_DEFLATED => "deflated".to_owned(),
                other => format!("method {other}"),
            },
            packed_bytes: entry.central.compressed_size,
            size_bytes: entry.central.uncompressed_size,
            header_offset: entry.header_offset,
            data_offset: entry.data_range().ok().map(|range| range.start),
        })
        .collect();
    Map {
        schema: SCHEMA,
        size_bytes,
        prefix_bytes: archive.prefix_length(),
        directory_offset: directory.start,
        directory_bytes: directory.end.saturating_sub(directory.start),
        end_bytes: extent.end.saturating_sub(directory.end),
        omitted: archive.declared_entries().saturating_sub(members.len() as u64),
        members,
    }
}

const fn name_of(role: Role) -> &'static str {
    match role {
        Role::Pickle => "pickle",
        Role::Storage => "storage",
        Role::Code => "code",
        Role::Mark => "mark",
        Role::Other => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    #[test]
    fn members_are_where_the_map_says() {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let stored =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        let deflated =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        let members: [(&str, &[u8], SimpleFileOptions); 4] = [
            ("m/data.pkl", b"\x80\x02}.", stored),
            ("m/data/0", &[7; 4096], stored),
            ("m/code/\u{202e}x.py", b"pass", deflated),
            ("m/version", b"3\n", stored),
        ];
        for (name, content, options) in members {
            writer.start_file(name, options).unwrap();
            writer.write_all(content).unwrap();
        }
        let bytes = writer.finish().unwrap().into_inner();
        let map = map(&Source::from_bytes("m.pt", bytes.clone()), &Policy::default()).unwrap();
        let roles: Vec<&str> = map.members.iter().map(|member| member.role).collect();
        assert_eq!(roles, ["pickle", "storage", "code", "mark"]);
        assert_eq!(map.members[2].method, "deflated");
        assert!(!map.members[2].name.contains('\u{202e}'));
        for (member, (_, content, _)) in map.members.iter().zip(members) {
            let start = member.data_offset.unwrap() as usize;
            assert_eq!(member.size_bytes, content.len() as u64);
            if member.method == "stored" {
                assert_eq!(&bytes[start..start + content.len()], content);
            }
            assert_eq!(&bytes[member.header_offset as usize..][..4], b"PK\x03\x04");
        }
        assert_eq!(map.directory_offset + map.directory_bytes + map.end_bytes, bytes.len() as u64);
        assert_eq!((map.omitted, map.prefix_bytes, map.size_bytes), (0, 0, bytes.len() as u64));
        let ranged = Ranged::new("m.pt", bytes.len() as u64, bytes.clone());
        assert_eq!(map_ranged(&ranged, &Policy::default()).unwrap(), Some(map));
        let broken = Ranged::new("m.pt", bytes.len() as u64 + 1, bytes);
        assert!(map_ranged(&broken, &Policy::default()).is_err());
    }

    #[test]
    fn what_is_no_archive_has_no_map() {
        let none = map(&Source::from_bytes("x", b"\x80\x02}.".to_vec()), &Policy::default());
        assert_eq!(none, None);
    }
}
