//! What the `zip` crate sees in archives, for the test that compares readers.
//!
//! Reads archives from standard input, each behind its length in four bytes (little-endian),
//! and prints one JSON line for each: the names, sizes and CRC-32s of all members in order, or
//! the error. It uses nothing of this crate, so that the crate's own reading is not what it is
//! compared with.

use std::io::{self, Cursor, Read, Write};

fn main() -> io::Result<()> {
    let mut input = io::stdin().lock();
    let mut output = io::BufWriter::new(io::stdout().lock());
    let mut length = [0; 4];
    while input.read_exact(&mut length).is_ok() {
        let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
        input.read_exact(&mut bytes)?;
        let answer = match listing(&bytes) {
            Ok(members) => serde_json::json!({ "members": members }),
            Err(error) => serde_json::json!({ "error": error.to_string() }),
        };
        writeln!(output, "{answer}")?;
    }
    output.flush()
}

/// Each member's name in hexadecimal digits, its content's length and its content's CRC-32, or
/// the error that reading it ends with.
fn listing(bytes: &[u8]) -> zip::result::ZipResult<Vec<serde_json::Value>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes))?;
    let mut members = Vec::new();
    for index in 0..archive.len() {
        let name = archive.by_index_raw(index).map(|file| hex(file.name_raw()));
        let content = archive.by_index(index).map_err(io::Error::from).and_then(|mut file| {
            let mut content = Vec::new();
            file.read_to_end(&mut content).map(|_| content)
        });
        let name = name.unwrap_or_default();
        members.push(match content {
            Ok(content) => {
                serde_json::json!([name, content.len(), crc32fast::hash(&content)])
            }
            Err(error) => serde_json::json!([name, "error", error.to_string()]),
        });
    }
    Ok(members)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
