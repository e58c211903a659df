//! Hostile files, each showing one way around a scanner.
//!
//! Their payload is inert (`echo`), and nothing ever runs it.

use std::io::{Cursor, Write};

use anyhow::{Context, Result};
use zip::write::SimpleFileOptions;

/// `posix.system("echo inert")`, the plain way.
const REDUCE: &[u8] = b"cposix\nsystem\n(S'echo inert'\ntR.";

/// STACK_GLOBAL of two names that stand nowhere near it: memoised, dropped, and
/// read back; the second MEMOIZE counts on from the key that a BINPUT set.
const MEMO: &[u8] = b"\x80\x04\
    \x8c\x05posixq\x00\
    \x8c\x06system\x940\
    0h\x00h\x01\x93\
    \x8c\x0aecho inert\x85R.";

/// PyTorch's legacy layout opens with five pickles; the payload is in the third.
const LEGACY: &[u8] = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\
    \x80\x02M\xe9\x03.\
    \x80\x02cposix\nsystem\nX\x0a\x00\x00\x00echo inert\x85R.\
    \x80\x02}.\
    \x80\x02].";

/// Name and bytes of each file.
pub(super) fn files() -> Result<[(&'static str, Vec<u8>); 5]> {
    let mut broken = REDUCE[..REDUCE.len().saturating_sub(1)].to_vec();
    broken.extend_from_slice(b"0\xff\xff\xff");
    Ok([
        ("reduce.pkl", REDUCE.to_vec()),
        ("names-from-the-memo.bin", MEMO.to_vec()),
        ("third-of-five-pickles.pt", LEGACY.to_vec()),
        ("breaks-after-the-payload.p", broken),
        ("archive.pt", archive().context("cannot make a hostile archive")?),
    ])
}

/// A PyTorch archive whose `data.pkl` calls out.
fn archive() -> Result<Vec<u8>> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let entries: [(&str, &[u8]); 3] =
        [("model/data.pkl", REDUCE), ("model/version", b"3\n"), ("model/data/0", &[0; 16])];
    for (name, bytes) in entries {
        archive.start_file(name, stored)?;
        archive.write_all(bytes)?;
    }
    Ok(archive.finish()?.into_inner())
}
