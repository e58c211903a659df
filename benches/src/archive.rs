//! Archives as `torch.save` writes them: stored members, data at multiples of 64, always ZIP64.
//!
//! The bytes follow PyTorch's writer (`caffe2/serialize/inline_container.cc` over
//! `third_party/miniz`): no dates, no versions, an extra field `FB` that pads, a data descriptor
//! behind each member that is not empty. Tensor data may be a hole: the file then has its full
//! length and takes next to no room on disk.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

/// Where a member's data starts: a multiple of this.
const ALIGNMENT: u64 = 64;

/// What does not fit 32 bits goes to ZIP64 fields.
const WIDE: u64 = 0xffff_ffff;

const FLAG_DESCRIPTOR: u16 = 0x0008;
const FLAG_UTF8: u16 = 0x0800;

/// A member's content.
#[derive(Clone, Copy, Debug)]
pub enum Content<'c> {
    /// These bytes.
    Bytes(&'c [u8]),
    /// So many zeros that are not written, with their CRC-32.
    Hole {
        /// How many.
        length: u64,
        /// Their CRC-32.
        crc: u32,
    },
}

/// The CRC-32 of `length` zeros, in time logarithmic in their number.
#[must_use]
pub fn crc_of_zeros(length: u64) -> u32 {
    let mut all = crc32fast::Hasher::new();
    let mut power = crc32fast::Hasher::new();
    power.update(&[0]);
    let mut left = length;
    while left > 0 {
        if left & 1 == 1 {
            all.combine(&power);
        }
        let same = power.clone();
        power.combine(&same);
        left >>= 1;
    }
    all.finalize()
}

/// An archive in the making.
#[derive(Debug)]
pub struct Writer {
    file: BufWriter<File>,
    at: u64,
    directory: Vec<u8>,
    entries: u64,
}

impl Writer {
    /// An archive at the start of an empty file.
    #[must_use]
    pub fn new(file: File) -> Self {
        Self { file: BufWriter::new(file), at: 0, directory: Vec::new(), entries: 0 }
    }

    /// Adds a member.
    ///
    /// # Errors
    /// What writing the file fails with.
    pub fn add(&mut self, name: &str, content: Content<'_>) -> io::Result<()> {
        let (size, crc) = match content {
            Content::Bytes(bytes) => (bytes.len() as u64, crc32fast::hash(bytes)),
            Content::Hole { length, crc } => (length, crc),
        };
        let start = self.at;
        let mut zip64 = Vec::new();
        if size >= WIDE {
            zip64.extend(size.to_le_bytes());
            zip64.extend(size.to_le_bytes());
        }
        if start >= WIDE {
            zip64.extend(start.to_le_bytes());
        }
        if !zip64.is_empty() {
            let mut header = vec![1, 0];
            header.extend(low16(zip64.len() as u64));
            header.append(&mut zip64);
            zip64 = header;
        }
        let flags = if size == 0 { FLAG_UTF8 } else { FLAG_UTF8 | FLAG_DESCRIPTOR };

        let unpadded = start + 30 + name.len() as u64 + zip64.len() as u64 + 4;
        let padding = unpadded.next_multiple_of(ALIGNMENT) - unpadded;
        let mut local = b"PK\x03\x04\0\0".to_vec();
        local.extend(flags.to_le_bytes());
        // Method, time, date, CRC and both sizes: all zero, the descriptor has them.
        local.extend([0; 18]);
        local.extend(low16(name.len() as u64));
        local.extend(low16(zip64.len() as u64 + 4 + padding));
        local.extend(name.as_bytes());
        local.extend(&zip64);
        local.extend(b"FB");
        local.extend(low16(padding));
        local.resize(local.len() + padding as usize, b'Z');
        self.write(&local)?;

        match content {
            Content::Bytes(bytes) => self.write(bytes)?,
            Content::Hole { length, .. } => {
                let skip = i64::try_from(length).map_err(io::Error::other)?;
                self.file.seek(SeekFrom::Current(skip))?;
                self.at += length;
            }
        }
        if size > 0 {
            let mut descriptor = b"PK\x07\x08".to_vec();
            descriptor.extend(crc.to_le_bytes());
            for size in [size, size] {
                if zip64.is_empty() {
                    descriptor.extend(low32(size));
                } else {
                    descriptor.extend(size.to_le_bytes());
                }
            }
            self.write(&descriptor)?;
        }

        let central = &mut self.directory;
        central.extend(b"PK\x01\x02\0\0\0\0");
        central.extend(flags.to_le_bytes());
        // Method, time, date.
        central.extend([0; 6]);
        central.extend(crc.to_le_bytes());
        central.extend(low32(size));
        central.extend(low32(size));
        central.extend(low16(name.len() as u64));
        central.extend(low16(zip64.len() as u64));
        // Comment, disk, attributes.
        central.extend([0; 10]);
        central.extend(low32(start));
        central.extend(name.as_bytes());
        central.extend(&zip64);
        self.entries += 1;
        Ok(())
    }

    /// Writes the directory and the end records.
    ///
    /// # Errors
    /// What writing the file fails with.
    pub fn finish(mut self) -> io::Result<()> {
        let (start, size) = (self.at, self.directory.len() as u64);
        let directory = std::mem::take(&mut self.directory);
        self.write(&directory)?;
        let record = self.at;
        let mut end = b"PK\x06\x06".to_vec();
        end.extend(44_u64.to_le_bytes());
        // Made by and needed versions, then two disk numbers.
        end.extend([0x1e, 3, 0x2d, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for number in [self.entries, self.entries, size, start] {
            end.extend(number.to_le_bytes());
        }
        end.extend(b"PK\x06\x07\0\0\0\0");
        end.extend(record.to_le_bytes());
        end.extend(1_u32.to_le_bytes());
        end.extend(b"PK\x05\x06\0\0\0\0");
        end.extend(low16(self.entries));
        end.extend(low16(self.entries));
        end.extend(low32(size));
        end.extend(low32(start));
        end.extend([0; 2]);
        self.write(&end)?;
        self.file.into_inner()?.set_len(self.at)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

/// A number in two bytes, or the mark that it is elsewhere.
fn low16(number: u64) -> [u8; 2] {
    u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes()
}

/// A number in four bytes, or the mark that it is elsewhere.
fn low32(number: u64) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes()
}

/// A whole checkpoint: the pickle, the marks that PyTorch puts beside it, and a storage for
/// each number of elements, zeros in a hole or small numbers in the file.
///
/// # Errors
/// What writing the file fails with.
pub fn checkpoint(file: File, pickle: &[u8], elements: &[u64], holes: bool) -> io::Result<()> {
    let mut writer = Writer::new(file);
    writer.add("archive/data.pkl", Content::Bytes(pickle))?;
    writer.add("archive/.format_version", Content::Bytes(b"1"))?;
    writer.add("archive/.storage_alignment", Content::Bytes(b"64"))?;
    writer.add("archive/byteorder", Content::Bytes(b"little"))?;
    for (index, &elements) in elements.iter().enumerate() {
        let name = format!("archive/data/{index}");
        let length = elements * 4;
        if holes {
            let crc = crc_of_zeros(length);
            writer.add(&name, Content::Hole { length, crc })?;
        } else {
            let data: Vec<u8> = (0..elements)
                .flat_map(|element| ((element as f32 + 0.5) / (index as f32 + 1.0)).to_le_bytes())
                .collect();
            writer.add(&name, Content::Bytes(&data))?;
        }
    }
    writer.add("archive/version", Content::Bytes(b"3\n"))?;
    let serial = b"1234567890123456789012345678901234567890";
    writer.add("archive/.data/serialization_id", Content::Bytes(serial))?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_of_zeros_is_that_of_zeros() {
        for length in [0, 1, 2, 3, 4_096, 1_000_003] {
            assert_eq!(crc_of_zeros(length), crc32fast::hash(&vec![0; length as usize]));
        }
    }
}
