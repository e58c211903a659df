//! Builds ZIP archives field by field, so that each field can lie.

/// One entry. What is `None` is filled in truthfully.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) data: Vec<u8>,
    pub(crate) uncompressed: Option<u32>,
    pub(crate) compressed: Option<u32>,
    pub(crate) crc: Option<u32>,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) version: u16,
    pub(crate) made_by: u16,
    pub(crate) disk: u16,
    pub(crate) external: u32,
    pub(crate) extra: Vec<u8>,
    pub(crate) offset: Option<u32>,
    pub(crate) local_name: Option<Vec<u8>>,
    pub(crate) local_flags: Option<u16>,
    pub(crate) local_method: Option<u16>,
    pub(crate) local_crc: Option<u32>,
    pub(crate) local_compressed: Option<u32>,
    pub(crate) local_uncompressed: Option<u32>,
    pub(crate) local_extra: Vec<u8>,
    pub(crate) local_signature: Option<[u8; 4]>,
    /// What follows the data: a descriptor, a gap.
    pub(crate) after: Vec<u8>,
}

impl Entry {
    pub(crate) fn new(name: &str, data: &[u8]) -> Self {
        Self {
            name: name.as_bytes().to_vec(),
            data: data.to_vec(),
            version: 20,
            made_by: 20,
            ..Self::default()
        }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Bit 3 in both headers and zeros in the local one.
    pub(crate) fn streamed(self, signature: bool, wide: bool) -> Self {
        let crc = crc32fast::hash(&self.data);
        let size = self.data.len();
        self.with(|entry| {
            entry.flags |= 8;
            entry.local_crc = Some(0);
            entry.local_compressed = Some(0);
            entry.local_uncompressed = Some(0);
            if signature {
                entry.after.extend(b"PK\x07\x08");
            }
            entry.after.extend(crc.to_le_bytes());
            for _ in 0..2 {
                if wide {
                    entry.after.extend((size as u64).to_le_bytes());
                } else {
                    entry.after.extend((size as u32).to_le_bytes());
                }
            }
        })
    }
}

/// An archive.
#[derive(Clone, Debug, Default)]
pub(crate) struct Zip {
    pub(crate) prefix: Vec<u8>,
    pub(crate) shift_offsets: bool,
    pub(crate) entries: Vec<Entry>,
    pub(crate) gap_before_directory: Vec<u8>,
    pub(crate) gap_after_directory: Vec<u8>,
    pub(crate) directory_tail: Vec<u8>,
    pub(crate) comment: Vec<u8>,
    pub(crate) comment_length: Option<u16>,
    pub(crate) trailing: Vec<u8>,
    pub(crate) count: Option<u16>,
    pub(crate) count_here: Option<u16>,
    pub(crate) disk: u16,
    pub(crate) size: Option<u32>,
    pub(crate) offset: Option<u32>,
    pub(crate) zip64: Option<Zip64>,
}

/// A ZIP64 record and locator.
#[derive(Clone, Debug, Default)]
pub(crate) struct Zip64 {
    pub(crate) count: Option<u64>,
    pub(crate) size: Option<u64>,
    pub(crate) offset: Option<u64>,
    pub(crate) record_size: Option<u64>,
    pub(crate) locator_offset: Option<u64>,
    pub(crate) disks: Option<u32>,
    pub(crate) signature: Option<[u8; 4]>,
    pub(crate) extensible: Vec<u8>,
}

impl Zip {
    pub(crate) fn of(entries: impl IntoIterator<Item = Entry>) -> Self {
        Self { entries: entries.into_iter().collect(), ..Self::default() }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let mut out = self.prefix.clone();
        let base = if self.shift_offsets { 0 } else { self.prefix.len() };
        let mut directory = Vec::new();
        for entry in &self.entries {
            let at = (out.len() - base) as u32;
            let crc = entry.crc.unwrap_or_else(|| crc32fast::hash(&entry.data));
            let compressed = entry.compressed.unwrap_or(entry.data.len() as u32);
            let uncompressed = entry.uncompressed.unwrap_or(entry.data.len() as u32);
            let local_name = entry.local_name.as_ref().unwrap_or(&entry.name);
            out.extend(entry.local_signature.unwrap_or(*b"PK\x03\x04"));
            out.extend(entry.version.to_le_bytes());
            out.extend(entry.local_flags.unwrap_or(entry.flags).to_le_bytes());
            out.extend(entry.local_method.unwrap_or(entry.method).to_le_bytes());
            out.extend([0; 4]);
            out.extend(entry.local_crc.unwrap_or(crc).to_le_bytes());
            out.extend(entry.local_compressed.unwrap_or(compressed).to_le_bytes());
            out.extend(entry.local_uncompressed.unwrap_or(uncompressed).to_le_bytes());
            out.extend((local_name.len() as u16).to_le_bytes());
            out.extend((entry.local_extra.len() as u16).to_le_bytes());
            out.extend(local_name);
            out.extend(&entry.local_extra);
            out.extend(&entry.data);
            out.extend(&entry.after);

            directory.extend(b"PK\x01\x02");
            directory.extend(entry.made_by.to_le_bytes());
            directory.extend(entry.version.to_le_bytes());
            directory.extend(entry.flags.to_le_bytes());
            directory.extend(entry.method.to_le_bytes());
            directory.extend([0; 4]);
            directory.extend(crc.to_le_bytes());
            directory.extend(compressed.to_le_bytes());
            directory.extend(uncompressed.to_le_bytes());
            directory.extend((entry.name.len() as u16).to_le_bytes());
            directory.extend((entry.extra.len() as u16).to_le_bytes());
            directory.extend([0; 2]);
            directory.extend(entry.disk.to_le_bytes());
            directory.extend([0; 2]);
            directory.extend(entry.external.to_le_bytes());
            directory.extend(entry.offset.unwrap_or(at).to_le_bytes());
            directory.extend(&entry.name);
            directory.extend(&entry.extra);
        }
        directory.extend(&self.directory_tail);
        out.extend(&self.gap_before_directory);
        let start = (out.len() - base) as u64;
        let size = directory.len() as u64;
        out.extend(directory);
        out.extend(&self.gap_after_directory);
        let count = self.entries.len() as u64;
        if let Some(zip64) = &self.zip64 {
            let record = (out.len() - base) as u64;
            out.extend(zip64.signature.unwrap_or(*b"PK\x06\x06"));
            let record_size = zip64.record_size.unwrap_or(44 + zip64.extensible.len() as u64);
            out.extend(record_size.to_le_bytes());
            out.extend([45, 0, 45, 0]);
            out.extend([0; 8]);
            out.extend(zip64.count.unwrap_or(count).to_le_bytes());
            out.extend(zip64.count.unwrap_or(count).to_le_bytes());
            out.extend(zip64.size.unwrap_or(size).to_le_bytes());
            out.extend(zip64.offset.unwrap_or(start).to_le_bytes());
            out.extend(&zip64.extensible);
            out.extend(b"PK\x06\x07");
            out.extend([0; 4]);
            out.extend(zip64.locator_offset.unwrap_or(record).to_le_bytes());
            out.extend(zip64.disks.unwrap_or(1).to_le_bytes());
        }
        out.extend(b"PK\x05\x06");
        out.extend(self.disk.to_le_bytes());
        out.extend(self.disk.to_le_bytes());
        out.extend(self.count_here.or(self.count).unwrap_or(count as u16).to_le_bytes());
        out.extend(self.count.unwrap_or(count as u16).to_le_bytes());
        out.extend(self.size.unwrap_or(size as u32).to_le_bytes());
        out.extend(self.offset.unwrap_or(start as u32).to_le_bytes());
        out.extend(self.comment_length.unwrap_or(self.comment.len() as u16).to_le_bytes());
        out.extend(&self.comment);
        out.extend(&self.trailing);
        out
    }
}

/// One extra field block.
pub(crate) fn block(tag: u16, data: &[u8]) -> Vec<u8> {
    let mut out = tag.to_le_bytes().to_vec();
    out.extend((data.len() as u16).to_le_bytes());
    out.extend(data);
    out
}

/// The content of a ZIP64 block.
pub(crate) fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
