//! A file of which pieces are read: where there is no mapping, and it may not fit in memory.
//!
//! A browser hands out slices of a file, and its memory ends at 4 GiB. [`crate::scan_ranged`]
//! judges such a file by reading what a judgement looks at. It is no [`Source`]: whoever loads or
//! converts needs the bytes, and gets them by [`Ranged::whole`] or not at all.
//!
//! A piece that cannot be read is an error, and never bytes that look like a file's.

#[cfg(any(unix, windows))]
use std::fs::File;
use std::io;

use super::Source;
use crate::error::{Code, Error};

/// Reads pieces of a file that does not change.
pub trait ReadAt {
    /// Fills the buffer with the bytes that start at `offset`.
    ///
    /// # Errors
    /// Where not all of them can be read; what the buffer holds then is not looked at.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

/// A file that is read in pieces.
pub struct Ranged {
    name: String,
    length: u64,
    reader: Box<dyn ReadAt>,
}

impl std::fmt::Debug for Ranged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ranged")
            .field("name", &self.name)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl Ranged {
    /// A file of `length` bytes that `reader` reads, reported under `name`.
    pub fn new(name: &str, length: u64, reader: impl ReadAt + 'static) -> Self {
        Self { name: name.to_owned(), length, reader: Box::new(reader) }
    }

    /// The name that reports carry.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many bytes the file has.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// All of it, where it is no longer than `most` bytes.
    ///
    /// # Errors
    /// [`Code::TooLarge`] where it is longer or memory does not suffice, and what reading it gives.
    pub fn whole(&self, most: u64) -> Result<Source, Error> {
        if self.length > most {
            let cause = format!("it has {} bytes, and at most {most} are read whole", self.length);
            return Err(Error::new(Code::TooLarge, self.name.clone(), cause));
        }
        Ok(Source::from_bytes(&self.name, self.piece(0, self.length)?))
    }

    /// `length` bytes from `offset` on, which must lie in the file.
    pub(crate) fn piece(&self, offset: u64, length: u64) -> Result<Vec<u8>, Error> {
        let room = || {
            let cause = format!("{length} bytes of it do not fit in memory");
            Error::new(Code::TooLarge, self.name.clone(), cause)
        };
        let within = offset.checked_add(length).is_some_and(|end| end <= self.length);
        let count = usize::try_from(length).map_err(|_| room())?;
        if !within {
            return Err(Error::new(Code::Changed, self.name.clone(), ""));
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(count).map_err(|_| room())?;
        bytes.resize(count, 0);
        self.reader.read_at(offset, &mut bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::new(Code::Changed, self.name.clone(), ""),
            _ => Error::io(self.name.clone(), &error),
        })?;
        Ok(bytes)
    }
}

#[cfg(unix)]
impl ReadAt for File {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }
}

#[cfg(windows)]
impl ReadAt for File {
    fn read_at(&self, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        use std::os::windows::fs::FileExt;
        while !buffer.is_empty() {
            match self.seek_read(buffer, offset)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => {
                    offset += count as u64;
                    buffer = &mut buffer[count..];
                }
            }
        }
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let there = start.and_then(|start| self.get(start..)?.get(..buffer.len()));
        buffer.copy_from_slice(there.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl<R: ReadAt + ?Sized> ReadAt for std::rc::Rc<R> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_an_error() {
        let code = |length| Ranged::new("x", length, vec![1, 2]).whole(3).unwrap_err().code();
        assert_eq!(Ranged::new("x", 2, vec![1, 2]).whole(2).unwrap().bytes(), [1, 2]);
        assert_eq!(code(3), Code::Changed);
        assert_eq!(code(4), Code::TooLarge);
        let ranged = Ranged::new("x", u64::MAX, vec![]);
        assert_eq!(ranged.piece(u64::MAX, 1).unwrap_err().code(), Code::Changed);
        assert_eq!(ranged.piece(0, u64::MAX).unwrap_err().code(), Code::TooLarge);
    }
}
