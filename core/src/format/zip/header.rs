//! Central and local headers (APPNOTE 4.3.7, 4.3.12), and the entry that they describe.
//!
//! Central headers decide, as in every reader that matters here; local headers are read only
//! on request, in constant time, and compared by the audit.

use core::ops::Range;

use super::super::ranges::Bytes;
use super::bytes::{u16_at, u32_at};
use super::extra::{ExtraFields, Numbers, Zip64Use};
use super::{ZipError, ZipErrorKind};

/// `PK\1\2`, APPNOTE 4.3.12.
pub(super) const CENTRAL: [u8; 4] = *b"PK\x01\x02";
/// `PK\3\4`, APPNOTE 4.3.7.
pub(super) const LOCAL: [u8; 4] = *b"PK\x03\x04";
/// Bytes in a central header before the name.
pub(super) const CENTRAL_LENGTH: u64 = 46;
/// The same as a length in memory.
const FIXED: usize = 46;
/// Bytes in a local header before the name.
pub(super) const LOCAL_LENGTH: u64 = 30;
/// The same as a length in memory.
const LOCAL_FIXED: usize = 30;

/// General purpose bits (APPNOTE 4.4.4) that change what a reader sees.
pub(super) mod flag {
    /// The data is encrypted.
    pub(in super::super) const ENCRYPTED: u16 = 0x0001;
    /// CRC and sizes follow the data.
    pub(in super::super) const DESCRIPTOR: u16 = 0x0008;
    /// The data is a patch.
    pub(in super::super) const PATCH: u16 = 0x0020;
    /// Strong encryption.
    pub(in super::super) const STRONG_ENCRYPTION: u16 = 0x0040;
    /// The name is UTF-8.
    pub(in super::super) const UTF8: u16 = 0x0800;
    /// Local header values are masked.
    pub(in super::super) const MASKED: u16 = 0x2000;
    /// The bits that both headers must agree on. The others are hints to a decompressor, or
    /// reserved, and honest writers set them in one header only.
    pub(in super::super) const COMPARED: u16 =
        ENCRYPTED | DESCRIPTOR | PATCH | STRONG_ENCRYPTION | UTF8 | MASKED;
    /// The bits that say that the content is out of reach.
    pub(in super::super) const SECRET: u16 = ENCRYPTED | STRONG_ENCRYPTION | MASKED;
}

/// What the central directory says about an entry, with sizes, offset and disk resolved
/// through the ZIP64 block. A number whose ZIP64 block is missing or too short keeps its 32-bit
/// value, and the audit says so.
#[derive(Clone, Copy, Debug)]
pub struct CentralHeader<'a> {
    /// Where the header is in the file.
    pub offset: u64,
    /// Who wrote the entry: system in the upper byte, version in the lower (APPNOTE 4.4.2).
    pub version_made_by: u16,
    /// The version that a reader needs (APPNOTE 4.4.3).
    pub version_needed: u16,
    /// General purpose bits (APPNOTE 4.4.4).
    pub flags: u16,
    /// Compression method (APPNOTE 4.4.5): 0 is stored, 8 is deflate.
    pub method: u16,
    /// Modification time and date in MS-DOS form, date in the upper half.
    pub modified: u32,
    /// CRC-32 of the uncompressed content.
    pub crc: u32,
    /// Bytes that the data takes in the archive.
    pub compressed_size: u64,
    /// Bytes that the content has.
    pub uncompressed_size: u64,
    /// The disk on which the entry starts: 0 in every archive that we accept.
    pub disk: u32,
    /// Internal attributes (APPNOTE 4.4.14).
    pub internal_attributes: u16,
    /// External attributes (APPNOTE 4.4.15): a Unix mode in the upper half.
    pub external_attributes: u32,
    /// Where the local header is, counted from the start of the archive and not of the file.
    pub header_offset: u64,
    /// The name, as stored.
    pub name: &'a [u8],
    /// The extra field, as stored.
    pub extra: &'a [u8],
    /// The comment, as stored.
    pub comment: &'a [u8],
    pub(super) zip64: Zip64Use,
}

impl<'a> CentralHeader<'a> {
    /// Reads the header at `offset`, which must lie wholly before `limit`.
    #[inline]
    pub(super) fn parse(bytes: Bytes<'a>, offset: u64, limit: u64) -> Result<Self, ZipError> {
        let cut = ZipError::new(ZipErrorKind::CentralTruncated, offset);
        let within = bytes.range(offset..limit).ok_or(cut)?;
        if !within.starts_with(&CENTRAL) {
            return Err(ZipError::new(ZipErrorKind::CentralSignature, offset));
        }
        Self::fields(within, offset).ok_or(cut)
    }

    #[inline]
    fn fields(within: &'a [u8], offset: u64) -> Option<Self> {
        // Of an array the reads below need no checks of their own.
        let (fixed, rest) = within.split_first_chunk::<FIXED>()?;
        let name_length = usize::from(u16_at(fixed, 28)?);
        let extra_length = usize::from(u16_at(fixed, 30)?);
        let comment_length = usize::from(u16_at(fixed, 32)?);
        let (name, rest) = rest.split_at_checked(name_length)?;
        let (extra, rest) = rest.split_at_checked(extra_length)?;
        let numbers = Numbers {
            uncompressed: u64::from(u32_at(fixed, 24)?),
            compressed: u64::from(u32_at(fixed, 20)?),
            offset: u64::from(u32_at(fixed, 42)?),
            disk: u32::from(u16_at(fixed, 34)?),
        };
        let (numbers, zip64) = numbers.resolve(extra);
        Some(Self {
            offset,
            version_made_by: u16_at(fixed, 4)?,
            version_needed: u16_at(fixed, 6)?,
            flags: u16_at(fixed, 8)?,
            method: u16_at(fixed, 10)?,
            modified: u32_at(fixed, 12)?,
            crc: u32_at(fixed, 16)?,
            compressed_size: numbers.compressed,
            uncompressed_size: numbers.uncompressed,
            disk: numbers.disk,
            internal_attributes: u16_at(fixed, 36)?,
            external_attributes: u32_at(fixed, 38)?,
            header_offset: numbers.offset,
            name,
            extra,
            comment: rest.get(..comment_length)?,
            zip64,
        })
    }

    /// Where the next header starts.
    #[inline]
    pub(super) fn end(&self) -> u64 {
        [self.name, self.extra, self.comment]
            .into_iter()
            .fold(self.offset.saturating_add(CENTRAL_LENGTH), |end, part| {
                end.saturating_add(super::bytes::length(part))
            })
    }

    /// The blocks of the extra field.
    pub fn extra_fields(&self) -> ExtraFields<'a> {
        ExtraFields::new(self.extra)
    }

    pub(super) fn numbers(&self) -> Numbers {
        Numbers {
            uncompressed: self.uncompressed_size,
            compressed: self.compressed_size,
            offset: self.header_offset,
            disk: self.disk,
        }
    }
}

/// What stands before an entry's data.
#[derive(Clone, Copy, Debug)]
pub struct LocalHeader<'a> {
    /// Where the header is in the file.
    pub offset: u64,
    /// The version that a reader needs.
    pub version_needed: u16,
    /// General purpose bits.
    pub flags: u16,
    /// Compression method.
    pub method: u16,
    /// Modification time and date in MS-DOS form.
    pub modified: u32,
    /// CRC-32 as it stands here: 0 when it follows the data.
    pub crc: u32,
    /// The 32-bit field: 0 when it follows the data, `0xFFFF_FFFF` when ZIP64 has it.
    pub compressed_size: u32,
    /// The 32-bit field: 0 when it follows the data, `0xFFFF_FFFF` when ZIP64 has it.
    pub uncompressed_size: u32,
    /// The name, as stored.
    pub name: &'a [u8],
    /// The extra field, as stored; PyTorch pads here so that tensors are aligned.
    pub extra: &'a [u8],
    /// Where the data starts in the file.
    pub data_offset: u64,
}

impl<'a> LocalHeader<'a> {
    #[inline]
    pub(super) fn parse(bytes: Bytes<'a>, offset: u64) -> Result<Self, ZipError> {
        let cut = ZipError::new(ZipErrorKind::LocalTruncated, offset);
        let whole = match bytes {
            Bytes::Held(bytes) => usize::try_from(offset).ok().and_then(|at| bytes.get(at..)),
            Bytes::Asked(_) => Self::ask(bytes, offset),
        };
        let (fixed, rest) = whole.and_then(<[u8]>::split_first_chunk::<LOCAL_FIXED>).ok_or(cut)?;
        if !fixed.starts_with(&LOCAL) {
            return Err(ZipError::new(ZipErrorKind::LocalSignature, offset));
        }
        Self::fields(fixed, rest, offset).ok_or(cut)
    }

    /// The header with its name and its extra field; where they are cut, only what has one length.
    fn ask(bytes: Bytes<'a>, offset: u64) -> Option<&'a [u8]> {
        let fixed = bytes.slice(offset, LOCAL_LENGTH)?;
        let (name, extra) = (u16_at(fixed, 26)?, u16_at(fixed, 28)?);
        let behind = u64::from(name).saturating_add(u64::from(extra));
        // Of what is no header the lengths are anything.
        let whole = if fixed.starts_with(&LOCAL) {
            bytes.slice(offset, LOCAL_LENGTH.saturating_add(behind))
        } else {
            None
        };
        Some(whole.unwrap_or(fixed))
    }

    #[inline]
    fn fields(fixed: &[u8; LOCAL_FIXED], rest: &'a [u8], offset: u64) -> Option<Self> {
        let name_length = u16_at(fixed, 26)?;
        let extra_length = u16_at(fixed, 28)?;
        let (name, rest) = rest.split_at_checked(usize::from(name_length))?;
        let start = offset.checked_add(LOCAL_LENGTH)?;
        let extra_start = start.checked_add(u64::from(name_length))?;
        Some(Self {
            offset,
            version_needed: u16_at(fixed, 4)?,
            flags: u16_at(fixed, 6)?,
            method: u16_at(fixed, 8)?,
            modified: u32_at(fixed, 10)?,
            crc: u32_at(fixed, 14)?,
            compressed_size: u32_at(fixed, 18)?,
            uncompressed_size: u32_at(fixed, 22)?,
            name,
            extra: rest.get(..usize::from(extra_length))?,
            data_offset: extra_start.checked_add(u64::from(extra_length))?,
        })
    }

    /// The blocks of the extra field.
    pub fn extra_fields(&self) -> ExtraFields<'a> {
        ExtraFields::new(self.extra)
    }
}

/// One entry of an archive.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub(super) bytes: Bytes<'a>,
    /// The entry's place in the central directory, from 0.
    pub index: u32,
    /// What the central directory says.
    pub central: CentralHeader<'a>,
    /// Where the local header is in the file: the directory's offset plus the archive's prefix.
    pub header_offset: u64,
}

impl<'a> Entry<'a> {
    /// The name, as stored in the central directory.
    #[inline]
    pub fn name(&self) -> &'a [u8] {
        self.central.name
    }

    /// The local header, or why there is none. Constant time.
    #[inline]
    pub fn local(&self) -> Result<LocalHeader<'a>, ZipError> {
        LocalHeader::parse(self.bytes, self.header_offset)
    }

    /// Where the stored or compressed data lies in the file. It starts behind the *local*
    /// header, since only that one knows the length of its own extra field, and has the
    /// *central* size, as zipfile and miniz read it.
    #[inline]
    pub fn data_range(&self) -> Result<Range<u64>, ZipError> {
        let start = self.local()?.data_offset;
        let outside = ZipError::new(ZipErrorKind::DataOutside, start);
        let end = start.checked_add(self.central.compressed_size).ok_or(outside)?;
        if end > self.bytes.length() {
            return Err(outside);
        }
        Ok(start..end)
    }

    /// The stored or compressed data itself.
    ///
    /// Whoever inflates it has one more thing to check, which headers cannot tell: the deflate
    /// stream has to end, with its last byte, exactly where the data does, and give exactly
    /// [`CentralHeader::uncompressed_size`] bytes. zipfile returns what it has when the last
    /// block is missing; miniz, and so PyTorch, refuses.
    pub fn data(&self) -> Result<&'a [u8], ZipError> {
        let place = self.data_range()?;
        let outside = ZipError::new(ZipErrorKind::DataOutside, place.start);
        self.bytes.range(place).ok_or(outside)
    }

    /// Whether the archive's bytes are all in memory.
    #[inline]
    pub fn is_held(&self) -> bool {
        matches!(self.bytes, Bytes::Held(_))
    }

    /// Whether the entry is a folder by its name. Folders have no content.
    #[inline]
    pub fn is_folder(&self) -> bool {
        self.central.name.ends_with(b"/")
    }

    /// Whether the data is stored as it is (method 0).
    #[inline]
    pub fn is_stored(&self) -> bool {
        self.central.method == super::METHOD_STORED
    }
}
