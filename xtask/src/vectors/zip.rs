//! ZIP archives of which every field can lie.
//!
//! By default each field is the true one. A key of an entry sets it in both headers,
//! `local.key` and `central.key` in one of them; see `spec/vectors/README.md`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use super::deflate::deflate;
use super::pickle::number;
use super::rope::Rope;

/// `key=value` as written.
pub(super) type Fields = BTreeMap<String, Vec<u8>>;

const ENTRY_KEYS: [&str; 22] = [
    "name",
    "flags",
    "method",
    "crc",
    "size",
    "packed",
    "extra",
    "version",
    "time",
    "date",
    "offset",
    "disk",
    "attributes",
    "made-by",
    "comment",
    "signature",
    "pack",
    "descriptor",
    "only",
    "at",
    "align",
    "zip64",
];
const END_KEYS: [&str; 11] = [
    "disk",
    "directory-disk",
    "count-here",
    "count",
    "size",
    "offset",
    "comment",
    "comment-length",
    "locator-offset",
    "locator-disks",
    "skip",
];

/// An archive in the making.
#[derive(Default)]
pub(super) struct Zip {
    out: Rope,
    central: Rope,
    count: i128,
    offsets: BTreeMap<Vec<u8>, usize>,
    behind_directory: Rope,
    zip64: Option<Fields>,
    ends: Vec<Fields>,
}

/// The view of one entry's fields that one of its headers has.
struct Side<'f> {
    fields: &'f Fields,
    prefix: &'static str,
}

impl Side<'_> {
    fn text(&self, key: &str) -> Option<&[u8]> {
        let own = self.fields.get(&format!("{}.{key}", self.prefix));
        own.or_else(|| self.fields.get(key)).map(Vec::as_slice)
    }

    /// A number of `width` bytes, little-endian, cut to the width.
    fn push(&self, key: &str, default: i128, width: usize, out: &mut Rope) -> Result<()> {
        let value = self.text(key).map_or(Ok(default), number);
        out.push(&value.with_context(|| format!("in `{key}`"))?.to_le_bytes()[..width]);
        Ok(())
    }
}

fn known(fields: &Fields, keys: &[&str]) -> Result<()> {
    for key in fields.keys() {
        let bare = key.strip_prefix("local.").or(key.strip_prefix("central.")).unwrap_or(key);
        ensure!(keys.contains(&bare), "no such key: `{key}`");
    }
    Ok(())
}

fn count_of(rope: &Rope) -> i128 {
    i128::try_from(rope.len()).unwrap_or(i128::MAX)
}

impl Zip {
    /// Bytes that belong to no entry.
    pub(super) fn bytes(&mut self, bytes: &Rope) {
        self.out.append(bytes);
    }

    /// Bytes between the central directory and the end record.
    pub(super) fn before_end(&mut self, bytes: &Rope) {
        self.behind_directory.append(bytes);
    }

    /// The ZIP64 end record and its locator.
    pub(super) fn zip64(&mut self, fields: Fields) -> Result<()> {
        known(&fields, &END_KEYS)?;
        self.zip64 = Some(fields);
        Ok(())
    }

    /// An end record, in place of the one that is written by default.
    pub(super) fn end(&mut self, fields: Fields) -> Result<()> {
        known(&fields, &END_KEYS)?;
        self.ends.push(fields);
        Ok(())
    }

    /// An entry: local header, data, central header.
    pub(super) fn file(&mut self, name: &[u8], content: &Rope, fields: &Fields) -> Result<()> {
        known(fields, &ENTRY_KEYS)?;
        let flag = |key: &str| fields.get(key).map(Vec::as_slice).unwrap_or_default();
        let flat = content.flatten();
        let (data, method) = match flag("pack") {
            b"deflate" => (deflate(&flat).into(), 8),
            _ => (content.clone(), 0),
        };
        let descriptor = flag("descriptor");
        let mut entry = Plain {
            name: name.to_vec(),
            flags: if descriptor.is_empty() { 0 } else { 8 },
            method,
            crc: i128::from(crc32fast::hash(&flat)),
            packed: count_of(&data),
            size: count_of(content),
            extra: Vec::new(),
        };
        let mut offset = self.out.len();
        if let Some(at) = fields.get("at") {
            offset = *self.offsets.get(at).context("`at` names no earlier entry")?;
        }
        if flag("zip64") == b"yes" {
            entry.extra =
                [&[1, 0, 16, 0], &entry.size.to_le_bytes()[..8], &entry.packed.to_le_bytes()[..8]]
                    .concat();
            (entry.size, entry.packed) = (0xffff_ffff, 0xffff_ffff);
        }
        if flag("only") != b"central" {
            let local = Side { fields, prefix: "local" };
            let mut local_entry = entry.clone();
            if let Some(align) = fields.get("align") {
                let align = usize::try_from(number(align)?)?;
                let name = local.text("name").unwrap_or(name).len();
                let start = self.out.len() + 30 + name + 4;
                let padding = start.next_multiple_of(align) - start;
                let length = u16::try_from(padding)?.to_le_bytes();
                local_entry.extra = [&b"FB"[..], &length, &vec![b'Z'; padding]].concat();
            }
            if !descriptor.is_empty() {
                (local_entry.crc, local_entry.packed, local_entry.size) = (0, 0, 0);
            }
            self.offsets.entry(name.to_vec()).or_insert(offset);
            local.header(&local_entry, None, &mut self.out)?;
            self.out.append(&data);
            if !descriptor.is_empty() {
                let width = if descriptor == b"zip64" { 8 } else { 4 };
                if descriptor != b"bare" {
                    self.out.push(b"PK\x07\x08");
                }
                self.out.push(&entry.crc.to_le_bytes()[..4]);
                self.out.push(&entry.packed.to_le_bytes()[..width]);
                self.out.push(&entry.size.to_le_bytes()[..width]);
            }
        }
        if flag("only") != b"local" {
            let central = Side { fields, prefix: "central" };
            central.header(&entry, Some(offset), &mut self.central)?;
            self.count += 1;
        }
        Ok(())
    }

    /// The whole archive.
    pub(super) fn finish(mut self) -> Result<Rope> {
        let offset = count_of(&self.out);
        let size = count_of(&self.central);
        self.out.append(&self.central);
        self.out.append(&self.behind_directory);
        if let Some(fields) = &self.zip64 {
            let side = Side { fields, prefix: "" };
            let record = count_of(&self.out);
            if side.text("skip") != Some(b"record") {
                self.out.push(b"PK\x06\x06\x2c\0\0\0\0\0\0\0\x1e\x03\x2d\0");
                side.push("disk", 0, 4, &mut self.out)?;
                side.push("directory-disk", 0, 4, &mut self.out)?;
                side.push("count-here", self.count, 8, &mut self.out)?;
                side.push("count", self.count, 8, &mut self.out)?;
                side.push("size", size, 8, &mut self.out)?;
                side.push("offset", offset, 8, &mut self.out)?;
            }
            if side.text("skip") != Some(b"locator") {
                self.out.push(b"PK\x06\x07\0\0\0\0");
                side.push("locator-offset", record, 8, &mut self.out)?;
                side.push("locator-disks", 1, 4, &mut self.out)?;
            }
        }
        if self.ends.is_empty() {
            self.ends.push(Fields::new());
        }
        for fields in &self.ends {
            let side = Side { fields, prefix: "" };
            if side.text("skip").is_some() {
                continue;
            }
            let comment = side.text("comment").unwrap_or_default();
            self.out.push(b"PK\x05\x06");
            side.push("disk", 0, 2, &mut self.out)?;
            side.push("directory-disk", 0, 2, &mut self.out)?;
            side.push("count-here", self.count, 2, &mut self.out)?;
            side.push("count", self.count, 2, &mut self.out)?;
            side.push("size", size, 4, &mut self.out)?;
            side.push("offset", offset, 4, &mut self.out)?;
            side.push("comment-length", i128::try_from(comment.len())?, 2, &mut self.out)?;
            self.out.push(comment);
        }
        Ok(self.out)
    }
}

/// The values of an entry before any override.
#[derive(Clone)]
struct Plain {
    name: Vec<u8>,
    flags: i128,
    method: i128,
    crc: i128,
    packed: i128,
    size: i128,
    extra: Vec<u8>,
}

impl Side<'_> {
    /// A central header where `offset` is given, else a local one.
    fn header(&self, entry: &Plain, offset: Option<usize>, out: &mut Rope) -> Result<()> {
        let name = self.text("name").unwrap_or(&entry.name);
        let extra = self.text("extra").unwrap_or(&entry.extra);
        let comment = self.text("comment").unwrap_or_default();
        let signature = if offset.is_some() { b"PK\x01\x02" } else { b"PK\x03\x04" };
        out.push(self.text("signature").unwrap_or(signature));
        if offset.is_some() {
            self.push("made-by", 0x031e, 2, out)?;
        }
        self.push("version", 20, 2, out)?;
        self.push("flags", entry.flags, 2, out)?;
        self.push("method", entry.method, 2, out)?;
        self.push("time", 0, 2, out)?;
        self.push("date", 0x21, 2, out)?;
        self.push("crc", entry.crc, 4, out)?;
        self.push("packed", entry.packed, 4, out)?;
        self.push("size", entry.size, 4, out)?;
        out.push(&u16::try_from(name.len())?.to_le_bytes());
        out.push(&u16::try_from(extra.len())?.to_le_bytes());
        if let Some(offset) = offset {
            out.push(&u16::try_from(comment.len())?.to_le_bytes());
            self.push("disk", 0, 2, out)?;
            out.push(&[0, 0]);
            self.push("attributes", 0, 4, out)?;
            self.push("offset", i128::try_from(offset)?, 4, out)?;
        }
        out.push(name);
        out.push(extra);
        if offset.is_some() {
            out.push(comment);
        }
        Ok(())
    }
}
