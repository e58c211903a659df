//! A copy of a file that nobody can change any more.
//!
//! On Linux it is an anonymous file in memory under the seals `F_SEAL_WRITE`, `F_SEAL_GROW` and
//! `F_SEAL_SHRINK` (`memfd_create(2)`, `fcntl(2)`), which the kernel enforces against every holder,
//! this process included. Elsewhere it is memory of this process.

use super::Bytes;
use crate::error::{Code, Error};

/// Copies what is mapped.
#[cfg(target_os = "linux")]
pub(super) fn copy(bytes: &[u8], name: &str) -> Result<Bytes, Error> {
    use std::fs::File;
    use std::io::{self, Write};
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    use super::mapping::Mapping;

    let fail = |error: &io::Error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::OutOfMemory => full(name),
        _ => Error::io(name, error),
    };
    // SAFETY: the name is a C string that lives through the call, and the flags are the kernel's.
    let raw = unsafe {
        libc::memfd_create(c"secure-torch".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING)
    };
    if raw < 0 {
        return Err(fail(&io::Error::last_os_error()));
    }
    // SAFETY: the call just gave this descriptor, which nothing else owns.
    let mut file = File::from(unsafe { OwnedFd::from_raw_fd(raw) });
    file.write_all(bytes).map_err(|error| fail(&error))?;
    let seals = libc::F_SEAL_WRITE | libc::F_SEAL_GROW | libc::F_SEAL_SHRINK | libc::F_SEAL_SEAL;
    // SAFETY: `F_ADD_SEALS` takes a number, and the descriptor is open.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
        return Err(fail(&io::Error::last_os_error()));
    }
    let metadata = file.metadata().map_err(|error| fail(&error))?;
    match Mapping::new(&file).map_err(|error| fail(&error))? {
        Some(map) => Ok(Bytes::Mapped { file, metadata, map }),
        None => owned(bytes, name),
    }
}

/// Copies what is mapped.
#[cfg(not(target_os = "linux"))]
pub(super) fn copy(bytes: &[u8], name: &str) -> Result<Bytes, Error> {
    owned(bytes, name)
}

fn owned(bytes: &[u8], name: &str) -> Result<Bytes, Error> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).map_err(|_| full(name))?;
    copy.extend_from_slice(bytes);
    Ok(Bytes::Owned(copy))
}

fn full(name: &str) -> Error {
    Error::new(Code::TooLarge, name, "it does not fit in memory")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use crate::source::Source;

    #[test]
    fn a_sealed_source_does_not_change_with_its_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[7; 100_000]).unwrap();
        let sealed = Source::open(file.path()).unwrap().seal().unwrap();
        std::fs::write(file.path(), [8; 10]).unwrap();
        assert_eq!(sealed.bytes(), [7; 100_000]);
        assert_eq!(sealed.path(), Some(file.path()));
        sealed.verify_unchanged().unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn nobody_can_write_to_what_is_sealed() {
        use std::os::fd::AsRawFd;

        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[7; 100_000]).unwrap();
        let sealed = Source::open(file.path()).unwrap().seal().unwrap();
        let super::Bytes::Mapped { file, .. } = &sealed.bytes else { panic!("it is mapped") };
        // SAFETY: the descriptor is open, and the byte is there to be read.
        let wrote = unsafe { libc::write(file.as_raw_fd(), [0_u8].as_ptr().cast(), 1) };
        assert_eq!(wrote, -1);
        assert!(file.set_len(0).is_err());
    }
}
