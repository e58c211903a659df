//! Tar archives by hand: each header field can be set.

use anyhow::{Context, Result, ensure};

use super::pickle::number;
use super::rope::Rope;
use super::zip::Fields;

const KEYS: [&str; 6] = ["type", "link", "mode", "size", "checksum", "magic"];

/// A member: its ustar header, its content, and zeros up to the next block.
pub(super) fn member(name: &[u8], content: &Rope, fields: &Fields, out: &mut Rope) -> Result<()> {
    for key in fields.keys() {
        ensure!(KEYS.contains(&key.as_str()), "no such key: `{key}`");
    }
    let text = |key: &str| fields.get(key).map(Vec::as_slice);
    let size = match text("size") {
        Some(size) => number(size)?,
        None => i128::try_from(content.len())?,
    };
    let mut header = [0_u8; 512];
    let mut put = |at: usize, bytes: &[u8]| -> Result<()> {
        header.get_mut(at..at + bytes.len()).context("a field is too long")?.copy_from_slice(bytes);
        Ok(())
    };
    ensure!(name.len() <= 100, "a name is longer than 100 bytes");
    put(0, name)?;
    put(100, text("mode").unwrap_or(b"0000644"))?;
    put(108, b"0000000")?;
    put(116, b"0000000")?;
    put(124, format!("{size:011o}").as_bytes())?;
    put(136, b"00000000000")?;
    put(148, b"        ")?;
    put(156, text("type").unwrap_or(b"0"))?;
    put(157, text("link").unwrap_or_default())?;
    put(257, text("magic").unwrap_or(b"ustar\x0000"))?;
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    let sum = match text("checksum") {
        Some(sum) => u32::try_from(number(sum)?)?,
        None => sum,
    };
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    out.push(&header);
    out.append(content);
    let padding = content.len().next_multiple_of(512) - content.len();
    out.push(&vec![0; padding]);
    Ok(())
}
