//! 7z archives by hand (7-Zip, `7zFormat.txt`).
//!
//! `file NAME { … }` is a member. All members with content share one block, as in a solid
//! archive, or have one each with `solid=no`; `method` is `copy`, `lzma`, `lzma2`, `deflate`,
//! `bzip2`, or the digits of any method's id, whose data is then stored; `header=lzma` packs the
//! header as 7-Zip does.

use anyhow::{Context, Result, ensure};

use super::deflate::deflate;
use super::pickle::number;
use super::rope::Rope;
use super::zip::Fields;
use super::{lzma, packed};

const KEYS: [&str; 4] = ["attributes", "crc", "folder", "size"];
const ARCHIVE_KEYS: [&str; 4] = ["method", "solid", "header", "dictionary"];

/// An archive in the making.
#[derive(Default)]
pub(super) struct SevenZip {
    members: Vec<(String, Vec<u8>, Fields)>,
}

/// A block: its coder, what is stored of it, its size unpacked, and how many members it holds.
struct Block {
    coder: Vec<u8>,
    packed: Vec<u8>,
    sizes: Vec<u64>,
    sums: Vec<u32>,
}

impl SevenZip {
    pub(super) fn file(&mut self, name: &[u8], content: &Rope, fields: &Fields) -> Result<()> {
        for key in fields.keys() {
            ensure!(KEYS.contains(&key.as_str()), "no such key: `{key}`");
        }
        let name = std::str::from_utf8(name).context("names are UTF-16")?;
        self.members.push((name.to_owned(), content.flatten(), fields.clone()));
        Ok(())
    }

    /// The whole archive.
    pub(super) fn finish(&self, fields: &Fields) -> Result<Vec<u8>> {
        for key in fields.keys() {
            ensure!(ARCHIVE_KEYS.contains(&key.as_str()), "no such key: `{key}`");
        }
        let method = fields.get("method").map_or(&b"copy"[..], Vec::as_slice);
        let dictionary = match fields.get("dictionary") {
            Some(size) => u32::try_from(number(size)?)?,
            None => 1 << 20,
        };
        let filled: Vec<_> = self.members.iter().filter(|member| !member.1.is_empty()).collect();
        let solid = fields.get("solid").is_none_or(|solid| solid != b"no");
        let mut blocks = Vec::new();
        for group in filled.chunks(if solid { filled.len().max(1) } else { 1 }) {
            let data: Vec<u8> = group.iter().flat_map(|member| member.1.clone()).collect();
            let mut block = pack(method, &data, dictionary)?;
            for (_, content, fields) in group {
                block.sizes.push(match fields.get("size") {
                    Some(size) => u64::try_from(number(size)?)?,
                    None => u64::try_from(content.len())?,
                });
                block.sums.push(match fields.get("crc") {
                    Some(crc) => u32::try_from(number(crc)?)?,
                    None => crc32fast::hash(content),
                });
            }
            blocks.push(block);
        }
        let mut packed: Vec<u8> = blocks.iter().flat_map(|block| block.packed.clone()).collect();
        let mut header = vec![1];
        if !blocks.is_empty() {
            header.push(4);
            streams(0, &blocks, true, &mut header);
        }
        self.names(&mut header)?;
        header.push(0);
        if fields.contains_key("header") {
            let block = Block {
                sizes: vec![u64::try_from(header.len())?],
                sums: vec![crc32fast::hash(&header)],
                ..pack(b"lzma", &header, dictionary)?
            };
            let start = u64::try_from(packed.len())?;
            packed.extend(&block.packed);
            header = vec![0x17];
            streams(start, &[block], false, &mut header);
        }
        let mut start = u64::try_from(packed.len())?.to_le_bytes().to_vec();
        start.extend(u64::try_from(header.len())?.to_le_bytes());
        start.extend(crc32fast::hash(&header).to_le_bytes());
        let mut out = b"7z\xbc\xaf\x27\x1c\0\x04".to_vec();
        out.extend(crc32fast::hash(&start).to_le_bytes());
        Ok([out, start, packed, header].concat())
    }

    /// `FilesInfo`: which members are empty, names, attributes.
    fn names(&self, out: &mut Vec<u8>) -> Result<()> {
        out.push(5);
        int(u64::try_from(self.members.len())?, out);
        let empty: Vec<bool> = self.members.iter().map(|member| member.1.is_empty()).collect();
        if empty.contains(&true) {
            property(0x0e, &bits(&empty), out);
            let files: Vec<bool> = self
                .members
                .iter()
                .filter(|member| member.1.is_empty())
                .map(|member| !member.2.contains_key("folder"))
                .collect();
            property(0x0f, &bits(&files), out);
        }
        let mut names = vec![0];
        for (name, ..) in &self.members {
            names.extend(name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
        }
        property(0x11, &names, out);
        if self.members.iter().any(|member| member.2.contains_key("attributes")) {
            let mut attributes = vec![1, 0];
            for (_, _, fields) in &self.members {
                let value = fields.get("attributes").map_or(Ok(0x20), |value| number(value))?;
                attributes.extend(&value.to_le_bytes()[..4]);
            }
            property(0x15, &attributes, out);
        }
        out.push(0);
        Ok(())
    }
}

fn pack(method: &[u8], data: &[u8], dictionary: u32) -> Result<Block> {
    let (id, properties, packed) = match method {
        b"copy" => (vec![0], vec![], data.to_vec()),
        b"lzma" => {
            let properties = [&[lzma::PROPERTIES][..], &dictionary.to_le_bytes()].concat();
            (vec![3, 1, 1], properties, lzma::raw(data))
        }
        b"lzma2" => (vec![0x21], vec![18], packed::lzma2(data)),
        b"deflate" => (vec![4, 1, 8], vec![], deflate(data)),
        b"bzip2" => (vec![4, 2, 2], vec![], packed::bzip2(data)?),
        digits => {
            let text = std::str::from_utf8(digits)?;
            let id: Result<Vec<u8>, _> = (0..text.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(text.get(at..at + 2).unwrap_or("?"), 16))
                .collect();
            (id.context("a method is a name or digits")?, vec![], data.to_vec())
        }
    };
    let flags = u8::try_from(id.len())? | if properties.is_empty() { 0 } else { 0x20 };
    let mut coder = vec![1, flags];
    coder.extend(id);
    if !properties.is_empty() {
        int(u64::try_from(properties.len())?, &mut coder);
        coder.extend(properties);
    }
    Ok(Block { coder, packed, sizes: Vec::new(), sums: Vec::new() })
}

/// `PackInfo`, `UnpackInfo` and, for members, `SubStreamsInfo`.
fn streams(start: u64, blocks: &[Block], members: bool, out: &mut Vec<u8>) {
    let count = u64::try_from(blocks.len()).unwrap_or(0);
    out.push(6);
    int(start, out);
    int(count, out);
    out.push(9);
    blocks.iter().for_each(|block| int(u64::try_from(block.packed.len()).unwrap_or(0), out));
    out.extend([0, 7, 0x0b]);
    int(count, out);
    out.push(0);
    blocks.iter().for_each(|block| out.extend(&block.coder));
    out.push(0x0c);
    blocks.iter().for_each(|block| int(block.sizes.iter().sum(), out));
    let sums = |out: &mut Vec<u8>| {
        out.extend([0x0a, 1]);
        out.extend(blocks.iter().flat_map(|block| &block.sums).flat_map(|sum| sum.to_le_bytes()));
    };
    if !members {
        sums(out);
        out.extend([0, 0]);
        return;
    }
    out.extend([0, 8, 0x0d]);
    blocks.iter().for_each(|block| int(u64::try_from(block.sizes.len()).unwrap_or(0), out));
    if blocks.iter().any(|block| block.sizes.len() > 1) {
        out.push(9);
        for block in blocks {
            block.sizes.iter().rev().skip(1).rev().for_each(|size| int(*size, out));
        }
    }
    sums(out);
    out.extend([0, 0]);
}

fn property(id: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(id);
    int(u64::try_from(content.len()).unwrap_or(0), out);
    out.extend(content);
}

/// A bit for each, the highest first.
fn bits(values: &[bool]) -> Vec<u8> {
    let byte = |chunk: &[bool]| {
        chunk.iter().enumerate().fold(0, |byte, (at, set)| byte | u8::from(*set) << (7 - at))
    };
    values.chunks(8).map(byte).collect()
}

/// A number of 7z: the count of leading ones says how many bytes follow.
fn int(value: u64, out: &mut Vec<u8>) {
    let bytes = value.to_le_bytes();
    for more in 0..8_u32 {
        if value >> (7 * (more + 1)) == 0 {
            let high = if more == 0 { value } else { value >> (8 * more) };
            let ones = !(0xff_u8.checked_shr(more).unwrap_or(0));
            out.push(ones | high.to_le_bytes()[0]);
            out.extend(&bytes[..usize::try_from(more).unwrap_or(0)]);
            return;
        }
    }
    out.push(0xff);
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn a_reader_gives_the_members_back() {
        let mut archive = SevenZip::default();
        let members = [("a/b.pkl", vec![7; 90_000]), ("empty", vec![]), ("c", b"see".to_vec())];
        for (name, content) in &members {
            let mut rope = Rope::default();
            rope.push(content);
            archive.file(name.as_bytes(), &rope, &Fields::new()).unwrap();
        }
        for method in ["copy", "lzma", "lzma2", "deflate", "bzip2"] {
            for more in ["solid", "header"] {
                let fields = [("method", method), (more, "no")];
                let fields = fields.map(|(key, value)| (key.to_owned(), value.into()));
                let bytes = archive.finish(&Fields::from(fields)).unwrap();
                let password = sevenz_rust2::Password::empty();
                let mut reader =
                    sevenz_rust2::ArchiveReader::new(Cursor::new(bytes), password).unwrap();
                for (name, content) in &members {
                    assert!(reader.read_file(name).unwrap() == *content, "{name} by {method}");
                }
            }
        }
    }
}
