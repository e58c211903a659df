//! Compressed streams in a row, as one reader of what is inside them all.

use std::io::{self, Read};
use std::ops::RangeInclusive;

use bzip2::bufread::BzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use lz4_flex::frame::FrameDecoder as Lz4Decoder;
use lzma_rust2::{LzmaReader, XzReader};
use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder as ZstdDecoder};
use secure_torch_core::score::Rule;

use super::{Kind, lz4};

pub(super) const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The magic numbers of frames that every reader of Zstandard and of LZ4 skips.
pub(super) const SKIPPABLE: RangeInclusive<u32> = 0x184d_2a50..=0x184d_2a5f;

/// Something that is said of a stream that does unpack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remark {
    pub(super) rule: Rule,
    pub(super) offset: u64,
    pub(super) message: &'static str,
}

/// All streams of one kind that follow one another in some bytes.
pub(super) struct Stream<'a> {
    kind: Kind,
    bytes: &'a [u8],
    /// Where the stream under way, or the next one, starts.
    at: usize,
    window: u64,
    /// How many streams may still be begun.
    left: u32,
    members: u32,
    member: Option<Member<'a>>,
    /// Kept for all frames, whose windows it would else get anew each time.
    zstd: ZstdDecoder,
    failure: Option<io::Error>,
    ended: bool,
    remarks: Vec<Remark>,
}

/// A stream under way.
enum Member<'a> {
    Deflate(Box<Deflate<'a>>),
    Bzip2(BzDecoder<&'a [u8]>),
    Xz(Box<XzReader<&'a [u8]>>),
    Lzma(Box<LzmaReader<&'a [u8]>>),
    Zstd { rest: &'a [u8], size: Option<u64>, given: u64 },
    Lz4 { decoder: Box<Lz4Decoder<&'a [u8]>>, end: usize },
}

/// Deflated data, and what is checked of what it gives.
struct Deflate<'a> {
    rest: &'a [u8],
    inflate: Decompress,
    ended: bool,
    sum: Sum,
    given: u64,
}

impl<'a> Stream<'a> {
    /// `left` streams are read at most, and none that asks for a window of more than `window`.
    pub(super) fn new(kind: Kind, bytes: &'a [u8], window: u64, left: u32) -> Self {
        let mut zstd = ZstdDecoder::new();
        zstd.set_max_window_size(window);
        Self {
            kind,
            bytes,
            at: 0,
            window,
            left,
            members: 0,
            member: None,
            zstd,
            failure: None,
            ended: false,
            remarks: Vec::new(),
        }
    }

    /// Where the stream under way starts, or where the last one ended.
    pub(super) const fn offset(&self) -> u64 {
        self.at as u64
    }

    /// How many streams were begun.
    pub(super) const fn members(&self) -> u32 {
        self.members
    }

    /// What is odd about those that were read.
    pub(super) fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    fn remark(&mut self, rule: Rule, at: usize, message: &'static str) {
        // One of each is enough: a file may hold a million streams.
        if self.remarks.iter().all(|remark| remark.message != message) {
            self.remarks.push(Remark { rule, offset: at as u64, message });
        }
    }

    /// Begins the next stream; whether there is one.
    fn begin(&mut self) -> io::Result<bool> {
        self.pass_padding();
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(false);
        }
        if self.members > 0 && !self.starts(rest) {
            // Command line tools warn, Python's `bz2` and `lzma` ignore it, its `gzip` fails.
            let message =
                "bytes follow the compressed stream, which some readers refuse and others skip";
            self.remark(Rule::ArchiveAmbiguous, self.at, message);
            return Ok(false);
        }
        if self.left == 0 {
            let message = "more streams follow one another than the limit; the rest was not judged";
            self.remark(Rule::ArchiveBomb, self.at, message);
            return Ok(false);
        }
        self.left -= 1;
        self.members += 1;
        let memory = u32::try_from(self.window.div_ceil(1024) + 1024).unwrap_or(u32::MAX);
        self.member = Some(match self.kind {
            Kind::Gzip => {
                let header = self.gzip_header(rest)?;
                let sum = Sum::Crc(crc32fast::Hasher::new());
                Member::Deflate(Box::new(Deflate::new(&rest[header..], sum)))
            }
            Kind::Zlib => {
                let sum = Sum::Adler(1, 0);
                Member::Deflate(Box::new(Deflate::new(rest.get(2..).unwrap_or_default(), sum)))
            }
            Kind::Bzip2 => Member::Bzip2(BzDecoder::new(rest)),
            Kind::Xz => Member::Xz(Box::new(XzReader::new_mem_limit(rest, false, memory))),
            Kind::Lzma => {
                let dictionary = rest.get(1..).and_then(|rest| rest.first_chunk());
                if u32::from_le_bytes(*dictionary.ok_or_else(cut)?).div_ceil(1024) > memory {
                    // For the largest ones the decoder would call the header broken.
                    return Err(io::ErrorKind::OutOfMemory.into());
                }
                let mut reader = LzmaReader::new_mem_limit(rest, memory, None)?;
                reader.set_relaxed_end_condition(false);
                reader.set_defer_errors(true);
                Member::Lzma(Box::new(reader))
            }
            Kind::Zstd => {
                let mut rest = rest;
                let descriptor = rest.get(4).copied().unwrap_or(0);
                self.zstd.init(&mut rest).map_err(zstd_error)?;
                // RFC 8878, section 3.1.1.1.1: the size is there by its flag or with a single
                // segment.
                let sized = descriptor >> 6 != 0 || descriptor & 0x20 != 0;
                let size = sized.then(|| self.zstd.content_size());
                Member::Zstd { rest, size, given: 0 }
            }
            Kind::Lz4 => {
                // Of a frame that is cut, what is there comes out all the same.
                let end = match lz4::frame_length(rest) {
                    Ok(end) => end,
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                        self.failure = Some(error);
                        rest.len()
                    }
                    Err(error) => return Err(error),
                };
                let decoder = Box::new(Lz4Decoder::new(&rest[..end]));
                Member::Lz4 { decoder, end }
            }
        });
        Ok(true)
    }

    /// Whether another stream of the kind starts here.
    fn starts(&self, rest: &[u8]) -> bool {
        match self.kind {
            Kind::Gzip => rest.starts_with(&[0x1f, 0x8b]),
            Kind::Bzip2 => rest.starts_with(b"BZh"),
            Kind::Xz => rest.starts_with(b"\xfd7zXZ\0"),
            Kind::Zstd => rest.starts_with(&ZSTD),
            Kind::Lz4 => lz4::is_frame(rest),
            // Only joblib reads several of these in a row (`BinaryZlibFile`), and nobody writes them.
            Kind::Zlib | Kind::Lzma => false,
        }
    }

    /// Passes what every reader skips between streams.
    fn pass_padding(&mut self) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let zeros = rest.iter().take_while(|&&byte| byte == 0).count();
        match self.kind {
            // `Lib/gzip.py`, `_GzipReader.read`: zeros may pad a gzip file.
            Kind::Gzip if self.members > 0 => self.at += zeros,
            // Section 2.2: stream padding is a multiple of four; `xz` reads on behind it, and
            // Python's `lzma` takes it for the end.
            Kind::Xz if self.members > 0 && zeros % 4 == 0 => {
                if zeros > 0 && zeros < rest.len() {
                    let message =
                        "another stream follows padding, which some readers take for the end";
                    self.remark(Rule::ArchiveAmbiguous, self.at, message);
                }
                self.at += zeros;
            }
            Kind::Zstd | Kind::Lz4 => self.at = self.bytes.len() - behind_skippable(rest).len(),
            _ => {}
        }
    }

    /// The stream under way has given all: checks its end, and moves behind it.
    fn finish(&mut self) -> io::Result<()> {
        let rest = &self.bytes[self.at..];
        match self.member.take() {
            None => {}
            Some(Member::Deflate(deflate)) => {
                if !deflate.ended {
                    return Err(cut());
                }
                let body = rest.len() - deflate.rest.len();
                let checked = deflate.sum.check(deflate.rest, deflate.given);
                let (sum, size, length) = checked.ok_or_else(cut)?;
                if !sum {
                    self.remark(Rule::ArchiveCorrupt, self.at + body, CHECKSUM);
                }
                if !size {
                    self.remark(Rule::ArchiveCorrupt, self.at + body, SIZE);
                }
                self.at += body + length;
            }
            Some(Member::Bzip2(decoder)) => self.at += decoder.total_in() as usize,
            Some(Member::Xz(reader)) => self.at = self.bytes.len() - reader.inner().len(),
            Some(Member::Lzma(reader)) => {
                let (left, buffered) = reader.into_parts();
                self.at = self.bytes.len() - left.len() - buffered.len();
            }
            Some(Member::Zstd { rest, size, given }) => {
                if size.is_some_and(|size| size != given) {
                    self.remark(Rule::ArchiveCorrupt, self.at, SIZE);
                }
                let stored = self.zstd.get_checksum_from_data();
                if stored.is_some() && stored != self.zstd.get_calculated_checksum() {
                    self.remark(Rule::ArchiveCorrupt, self.at, CHECKSUM);
                }
                self.at = self.bytes.len() - rest.len();
            }
            Some(Member::Lz4 { end, .. }) => {
                self.at += end;
                if let Some(error) = self.failure.take() {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Where the deflated data starts behind a gzip header (RFC 1952, section 2.3).
    fn gzip_header(&mut self, rest: &[u8]) -> io::Result<usize> {
        let flags = *rest.get(3).ok_or_else(cut)?;
        if flags & 0xe0 != 0 {
            // zlib refuses them, `Lib/gzip.py` does not look.
            let message = "reserved flags are set, which some readers refuse";
            self.remark(Rule::ArchiveAmbiguous, self.at, message);
        }
        let mut at = 10;
        if flags & 4 != 0 {
            let [low, high] =
                *rest.get(at..).and_then(|rest| rest.first_chunk()).ok_or_else(cut)?;
            at += 2 + usize::from(u16::from_le_bytes([low, high]));
        }
        for flag in [8, 16] {
            if flags & flag != 0 {
                let text = rest.get(at..).ok_or_else(cut)?;
                let length = text.iter().position(|&byte| byte == 0).ok_or_else(cut)?;
                let name = &text[..length];
                if flag == 8 && (name.contains(&b'/') || name.contains(&b'\\') || name == b"..") {
                    // Section 2.3.1: a file name has no folders in it.
                    let message = "the name in the header leads to another folder";
                    self.remark(Rule::ArchiveTraversal, self.at + at, message);
                }
                at += length + 1;
            }
        }
        if flags & 2 != 0 {
            let stored = rest.get(at..).and_then(|rest| rest.first_chunk()).ok_or_else(cut)?;
            let [low, high, ..] = crc32fast::hash(&rest[..at]).to_le_bytes();
            if *stored != [low, high] {
                let message = "the header's checksum is wrong, which some readers do not look at";
                self.remark(Rule::ArchiveCorrupt, self.at + at, message);
            }
            at += 2;
        }
        if at > rest.len() { Err(cut()) } else { Ok(at) }
    }
}

const CHECKSUM: &str = "the checksum is wrong; loaders that do not read to the end do not notice";
const SIZE: &str = "the content has another size than the stream says";

impl Stream<'_> {
    /// Goes on by one step: what it gave, and nothing where it only moved.
    fn step(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(member) = &mut self.member else {
            self.ended = !self.begin()?;
            return Ok(0);
        };
        let count = match member {
            Member::Deflate(deflate) => deflate.read(buffer),
            Member::Bzip2(decoder) => decoder.read(buffer),
            Member::Xz(reader) => reader.read(buffer),
            Member::Lzma(reader) => reader.read(buffer),
            Member::Lz4 { decoder, .. } => decoder.read(buffer),
            Member::Zstd { rest, given, .. } => {
                let read = read_zstd(&mut self.zstd, rest, buffer);
                *given += *read.as_ref().unwrap_or(&0) as u64;
                read
            }
        }?;
        if count == 0 {
            self.finish()?;
        }
        Ok(count)
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.ended && !buffer.is_empty() {
            match self.step(buffer) {
                Ok(0) => {}
                Ok(count) => return Ok(count),
                Err(error) => {
                    self.ended = true;
                    return Err(error);
                }
            }
        }
        Ok(0)
    }
}

impl<'a> Deflate<'a> {
    fn new(rest: &'a [u8], sum: Sum) -> Self {
        Self { rest, inflate: Decompress::new(false), ended: false, sum, given: 0 }
    }
}

impl Read for Deflate<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.ended {
            let (taken, given) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(self.rest, buffer, FlushDecompress::None);
            let taken = (self.inflate.total_in() - taken) as usize;
            let given = (self.inflate.total_out() - given) as usize;
            self.rest = &self.rest[taken..];
            self.given += given as u64;
            self.sum.update(&buffer[..given]);
            self.ended = matches!(status, Ok(Status::StreamEnd));
            if given > 0 {
                // An error shows again in the next call.
                return Ok(given);
            }
            status?;
            if taken == 0 {
                break;
            }
        }
        Ok(0)
    }
}

/// What a stream checks its content by.
enum Sum {
    /// RFC 1952, section 8.
    Crc(crc32fast::Hasher),
    /// RFC 1950, section 8.2: two sums modulo 65521.
    Adler(u32, u32),
}

impl Sum {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(hasher) => hasher.update(bytes),
            Self::Adler(low, high) => {
                // So many bytes fit before 32 bits overflow.
                for chunk in bytes.chunks(5_552) {
                    for &byte in chunk {
                        *low += u32::from(byte);
                        *high += *low;
                    }
                    *low %= 65_521;
                    *high %= 65_521;
                }
            }
        }
    }

    /// Whether the bytes behind the stream are this sum and, for gzip, the size; how long they
    /// are.
    fn check(self, trailer: &[u8], given: u64) -> Option<(bool, bool, usize)> {
        match self {
            Self::Crc(hasher) => {
                let [c0, c1, c2, c3, s0, s1, s2, s3] = *trailer.first_chunk()?;
                let size = u64::from(u32::from_le_bytes([s0, s1, s2, s3]));
                let sum = u32::from_le_bytes([c0, c1, c2, c3]) == hasher.finalize();
                Some((sum, size == given & u64::from(u32::MAX), 8))
            }
            Self::Adler(low, high) => {
                let sum = u32::from_be_bytes(*trailer.first_chunk()?) == high << 16 | low;
                Some((sum, true, 4))
            }
        }
    }
}

/// Decodes block after block until some of it is no longer needed to look back to. Of a frame
/// that breaks, what the window still holds does not come out.
fn read_zstd(decoder: &mut ZstdDecoder, rest: &mut &[u8], buffer: &mut [u8]) -> io::Result<usize> {
    while decoder.can_collect() == 0 && !decoder.is_finished() {
        decoder
            .decode_blocks(&mut *rest, BlockDecodingStrategy::UptoBlocks(1))
            .map_err(zstd_error)?;
    }
    decoder.read(buffer)
}

fn zstd_error(error: FrameDecoderError) -> io::Error {
    let kind = match error {
        FrameDecoderError::WindowSizeTooBig { .. } | FrameDecoderError::FrameHeaderError(_) => {
            io::ErrorKind::OutOfMemory
        }
        FrameDecoderError::DictNotProvided { .. } => io::ErrorKind::Unsupported,
        _ => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}

/// What is behind the frames that every reader of Zstandard and of LZ4 skips.
pub(super) fn behind_skippable(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let Some((head, behind)) = rest.split_first_chunk::<8>() {
        let [m0, m1, m2, m3, s0, s1, s2, s3] = *head;
        let length = usize::try_from(u32::from_le_bytes([s0, s1, s2, s3])).unwrap_or(usize::MAX);
        match behind.get(length..) {
            Some(behind) if SKIPPABLE.contains(&u32::from_le_bytes([m0, m1, m2, m3])) => {
                rest = behind;
            }
            _ => break,
        }
    }
    rest
}

/// The stream needs something that the file does not hold.
pub(super) fn refused(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, message)
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ends early")
}
