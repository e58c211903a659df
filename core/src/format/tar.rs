//! Tar archives: v7, ustar, GNU and pax, as CPython's `tarfile` reads them.
//!
//! PyTorch's oldest layout is a tar archive, and `torch.load` tries `tarfile` before anything
//! else (`torch/serialization.py`, `_legacy_load`), so `tarfile` decides here what a member is;
//! [`Archive::audit`] names every place where GNU tar, libarchive or a Rust reader would see
//! another one. Reads headers and extension headers only, never member data.
//!
//! What it refuses to do: unpack, follow links, rebuild sparse files, or read on behind a
//! broken header (`tarfile` silently ends there: we end with an error). The known desync, where
//! a pax header's size and the member's own disagree and a reader skips by the wrong one
//! (CVE-2025-62518), is an anomaly and never a choice.
//!
//! References: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Header Block"; GNU tar
//! manual, "Basic Tar Format"; CPython `Lib/tarfile.py` (`TarInfo.frombuf`, `_proc_member`).

mod audit;
mod header;
mod pax;

use core::fmt;
use core::ops::Range;

pub use audit::{Anomaly, AnomalyKind, Slot};
pub use header::Name;

use audit::Faults;
use header::{BLOCK, Header, Number, block_at, padded, text};

/// Extension headers longer than this are refused: GNU tar and Python write a few hundred
/// bytes, and a path is at most some thousand.
const EXTENSION_LIMIT: u64 = 1 << 20;

/// Why bytes could not be read as a tar archive or as a member of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TarError {
    /// What is wrong.
    pub kind: TarErrorKind,
    /// Where, counted from the start of the file.
    pub offset: u64,
}

/// The ways in which reading can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TarErrorKind {
    /// The file ends inside a header, an extension or a member's data.
    Truncated,
    /// A header's checksum is wrong.
    Checksum,
    /// A number field holds something else than a number.
    Number,
    /// A size is negative: `tarfile` went into an endless loop over it (CVE-2025-8194).
    NegativeSize,
    /// An extension header is longer than any honest one.
    ExtensionTooLong,
    /// An extension header is the last thing in the archive.
    ExtensionAlone,
}

impl TarErrorKind {
    /// One sentence, lower case.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Truncated => "the archive ends inside a member",
            Self::Checksum => "a header has a wrong checksum",
            Self::Number => "a number field of a header holds no number",
            Self::NegativeSize => "a member has a negative size",
            Self::ExtensionTooLong => "an extension header is longer than 1 MiB",
            Self::ExtensionAlone => "an extension header describes no member",
        }
    }
}

impl TarError {
    const fn new(kind: TarErrorKind, offset: u64) -> Self {
        Self { kind, offset }
    }
}

impl fmt::Display for TarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.kind.message(), self.offset)
    }
}

impl core::error::Error for TarError {}

/// Whether the bytes start with a header that some reader takes for tar's: its checksum is right,
/// read as leniently as any does. Where a number of it is spelled oddly the archive is then an
/// anomaly, not something else. There is no magic number to go by: v7 headers have none.
pub fn is_tar(bytes: &[u8]) -> bool {
    block_at(bytes, 0).is_some_and(header::sums_up)
}

/// A tar archive over the bytes of a whole file.
#[derive(Clone, Copy, Debug)]
pub struct Archive<'a> {
    bytes: &'a [u8],
}

impl<'a> Archive<'a> {
    /// Checks the first header. A file of zeros is no archive here, though `tarfile` opens it
    /// as an empty one.
    pub fn open(bytes: &'a [u8]) -> Result<Self, TarError> {
        let block = block_at(bytes, 0).ok_or(TarError::new(TarErrorKind::Truncated, 0))?;
        Header::parse(block, 0)?;
        Ok(Self { bytes })
    }

    /// The members in order. The first broken header is yielded as an error and ends the walk.
    pub fn members(&self) -> Members<'a> {
        Members {
            bytes: self.bytes,
            next: 0,
            index: 0,
            global: Faults::default(),
            state: State::Running,
        }
    }

    /// The last member with exactly this name: the one that `tarfile.getmember` returns. When
    /// names repeat the archive is ambiguous, and [`Archive::audit`] says so.
    pub fn find(&self, name: &[u8]) -> Option<Member<'a>> {
        self.members().map_while(Result::ok).filter(|member| member.name.equals(name)).last()
    }

    /// The most members that the file has room for: what to size scratch memory by.
    pub fn member_bound(&self) -> u64 {
        length(self.bytes).checked_div(BLOCK).unwrap_or(0)
    }
}

/// One member of an archive, after its extension headers have had their say.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// The member's place in the archive, from 0.
    pub index: u32,
    /// Where the member starts in the file: its first extension header, or its header.
    pub offset: u64,
    /// Where the member's own header is in the file.
    pub header_offset: u64,
    /// The type as stored: `0` or NUL a file, `1` a hard link, `2` a symbolic link, `5` a
    /// folder.
    pub typeflag: u8,
    /// The name, from a pax `path`, a GNU long name, or the header, in this order.
    pub name: Name<'a>,
    /// Where a link leads; empty for anything else.
    pub link_name: &'a [u8],
    /// Bytes of content, from a pax `size` or the header.
    pub size: u64,
    data_start: u64,
    data_end: u64,
    faults: Faults,
}

impl Member<'_> {
    /// Where the content lies in the file. Empty for what has none, whatever its size says.
    pub fn data_range(&self) -> Range<u64> {
        self.data_start..self.data_end
    }

    /// Whether `tarfile` reads content from the member: files, and every type it does not know.
    pub fn is_file(&self) -> bool {
        !matches!(self.typeflag, b'1'..=b'6') && !self.is_folder()
    }

    /// Whether the member is a folder. v7 marks folders by a slash at the end of the name.
    pub fn is_folder(&self) -> bool {
        self.typeflag == b'5' || (self.typeflag == 0 && self.name.ends_with_slash())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// At a block of zeros, or at the end of the file.
    Ended,
    Broken,
}

/// The members of an archive, in order.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    bytes: &'a [u8],
    next: u64,
    index: u32,
    global: Faults,
    state: State,
}

/// What the extension headers before a member say.
#[derive(Clone, Copy, Debug, Default)]
struct Extensions<'a> {
    pax: u32,
    long_names: u32,
    long_links: u32,
    path: Option<&'a [u8]>,
    link_path: Option<&'a [u8]>,
    size: Option<u64>,
    long_name: Option<&'a [u8]>,
    long_link: Option<&'a [u8]>,
    faults: Faults,
}

impl<'a> Members<'a> {
    /// Where the walk stands: behind the last member; after the walk, where the archive ends.
    pub fn offset(&self) -> u64 {
        self.next
    }

    fn advance(&mut self) -> Result<Option<Member<'a>>, TarError> {
        let start = self.next;
        let mut extensions = Extensions::default();
        loop {
            let at = self.next;
            let alone = at != start;
            let Some(block) = block_at(self.bytes, at) else {
                return if at < length(self.bytes) {
                    Err(TarError::new(TarErrorKind::Truncated, at))
                } else if alone {
                    Err(TarError::new(TarErrorKind::ExtensionAlone, start))
                } else {
                    Ok(None)
                };
            };
            if block.iter().all(|&byte| byte == 0) {
                return if alone {
                    Err(TarError::new(TarErrorKind::ExtensionAlone, start))
                } else {
                    Ok(None)
                };
            }
            let header = Header::parse(block, at)?;
            let body = at.saturating_add(BLOCK);
            match header.typeflag {
                b'L' | b'K' | b'x' | b'X' | b'g' => {
                    self.next = self.extension(&header, body, &mut extensions)?;
                }
                _ => return self.member(&header, start, body, &extensions).map(Some),
            }
        }
    }

    /// Takes in one extension header and says where the next header is.
    fn extension(
        &mut self,
        header: &Header<'a>,
        body: u64,
        extensions: &mut Extensions<'a>,
    ) -> Result<u64, TarError> {
        if header.size > EXTENSION_LIMIT {
            return Err(TarError::new(TarErrorKind::ExtensionTooLong, header.offset));
        }
        let cut = TarError::new(TarErrorKind::Truncated, header.offset);
        let content = slice(self.bytes, body, header.size).ok_or(cut)?;
        let whole = slice(self.bytes, body, padded(header.size)).ok_or(cut)?;
        match header.typeflag {
            b'L' | b'K' => {
                // tarfile reads up to the first NUL of the *padded* content, others stop at
                // the size.
                if text(whole) != text(content) {
                    extensions.faults.add(AnomalyKind::LongNameSize);
                }
                if header.typeflag == b'L' {
                    extensions.long_names = extensions.long_names.saturating_add(1);
                    extensions.long_name = Some(text(whole));
                } else {
                    extensions.long_links = extensions.long_links.saturating_add(1);
                    extensions.long_link = Some(text(whole));
                }
            }
            _ => self.pax(header.typeflag, content, extensions),
        }
        Ok(body.saturating_add(padded(header.size)))
    }

    fn pax(&mut self, typeflag: u8, content: &'a [u8], extensions: &mut Extensions<'a>) {
        let mut records = pax::Records::new(content);
        let mut seen = Extensions::default();
        for (key, value) in records.by_ref() {
            let repeated = match key {
                b"path" => seen.path.replace(value).is_some(),
                b"linkpath" => seen.link_path.replace(value).is_some(),
                b"size" => match pax::decimal(value) {
                    Some(size) => seen.size.replace(size).is_some(),
                    None => {
                        extensions.faults.add(AnomalyKind::PaxRecord);
                        false
                    }
                },
                _ => {
                    if key.starts_with(b"GNU.sparse.") || key == b"SCHILY.realsize" {
                        extensions.faults.add(AnomalyKind::Sparse);
                    }
                    false
                }
            };
            if repeated {
                extensions.faults.add(AnomalyKind::PaxRecord);
            }
        }
        if !records.rest().is_empty() {
            extensions.faults.add(AnomalyKind::PaxRecord);
        }
        if typeflag == b'g' {
            if seen.path.is_some() || seen.link_path.is_some() || seen.size.is_some() {
                self.global.add(AnomalyKind::GlobalOverride);
            }
            return;
        }
        if typeflag == b'X' {
            extensions.faults.add(AnomalyKind::UnknownType);
        }
        extensions.pax = extensions.pax.saturating_add(1);
        extensions.path = extensions.path.or(seen.path);
        extensions.link_path = extensions.link_path.or(seen.link_path);
        extensions.size = extensions.size.or(seen.size);
    }

    fn member(
        &mut self,
        header: &Header<'a>,
        offset: u64,
        body: u64,
        extensions: &Extensions<'a>,
    ) -> Result<Member<'a>, TarError> {
        let mut faults = extensions.faults.union(self.global);
        let name = header.name(extensions, &mut faults);
        let size = extensions.size.unwrap_or(header.size);
        header.size_faults(extensions.size, &mut faults);
        if extensions.pax > 1
            || extensions.long_names > 1
            || extensions.long_links > 1
            || (extensions.pax > 0 && (extensions.long_names > 0 || extensions.long_links > 0))
        {
            faults.add(AnomalyKind::MixedExtensions);
        }
        let start = if header.typeflag == b'S' {
            faults.add(AnomalyKind::Sparse);
            self.skip_sparse(header, body)?
        } else {
            body
        };
        let link_name = extensions.link_path.or(extensions.long_link).unwrap_or(header.link_name);
        let mut member = Member {
            index: self.index,
            offset,
            header_offset: header.offset,
            typeflag: header.typeflag,
            name,
            link_name: if matches!(header.typeflag, b'1' | b'2') { link_name } else { b"" },
            size,
            data_start: start,
            data_end: start,
            faults,
        };
        // tarfile decides by the header's own name whether a v7 file is a folder.
        let folder =
            header.typeflag == b'5' || (header.typeflag == 0 && header.own_name.ends_with(b"/"));
        let has_data = !folder && !matches!(header.typeflag, b'1'..=b'4' | b'6');
        if has_data {
            let end = start.saturating_add(size);
            if end > length(self.bytes) {
                return Err(TarError::new(TarErrorKind::Truncated, header.offset));
            }
            member.data_end = end;
            self.next = start.saturating_add(padded(size));
        } else {
            if size != 0 {
                member.faults.add(AnomalyKind::SizeWithoutData);
            }
            self.next = start;
        }
        if header.typeflag != 0 && member.name.ends_with_slash() && has_data && size != 0 {
            member.faults.add(AnomalyKind::FolderWithData);
        }
        Ok(member)
    }

    /// Skips the extra map blocks of an old GNU sparse file.
    fn skip_sparse(&self, header: &Header<'a>, body: u64) -> Result<u64, TarError> {
        let mut at = body;
        let mut more = header.sparse_more;
        while more {
            let block = block_at(self.bytes, at)
                .ok_or(TarError::new(TarErrorKind::Truncated, header.offset))?;
            more = block.get(504).is_some_and(|&byte| byte != 0);
            at = at.saturating_add(BLOCK);
        }
        Ok(at)
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<Member<'a>, TarError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state != State::Running {
            return None;
        }
        match self.advance() {
            Ok(Some(member)) => {
                self.index = self.index.saturating_add(1);
                Some(Ok(member))
            }
            Ok(None) => {
                self.state = State::Ended;
                None
            }
            Err(error) => {
                self.state = State::Broken;
                Some(Err(error))
            }
        }
    }
}

impl core::iter::FusedIterator for Members<'_> {}

/// `length` bytes from the absolute `offset`, or nothing when they are not all there.
fn slice(bytes: &[u8], offset: u64, length: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = usize::try_from(offset.checked_add(length)?).ok()?;
    bytes.get(start..end)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// A number field as the error that it may be.
fn numeric(number: Number, offset: u64) -> Result<u64, TarError> {
    match number {
        Number::Value(value) => Ok(value),
        Number::Negative => Err(TarError::new(TarErrorKind::NegativeSize, offset)),
        Number::Invalid => Err(TarError::new(TarErrorKind::Number, offset)),
    }
}
