//! `spec/detection.toml`: formats, signatures, and what names promise.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use super::dump::{camel, cell, head, text};

/// The whole table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    format: Vec<Format>,
    signature: Vec<Signature>,
    promise: Vec<Promise>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Format {
    id: String,
    /// The name of the Rust variant, where the id does not give it.
    variant: Option<String>,
    kind: Kind,
    title: String,
    detected: String,
    read: String,
    unread: String,
    reader: String,
}

/// What becomes of a part of a format.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Judged,
    Passed,
    Counted,
    Blocked,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    id: String,
    title: String,
    #[serde(default)]
    native: bool,
    #[serde(default)]
    image: bool,
    #[serde(default)]
    start: usize,
    magic: Vec<String>,
    check: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Promise {
    endings: Vec<String>,
    keepers: Vec<String>,
    #[serde(default)]
    unread: Vec<String>,
}

/// The signatures whose `check` there is code for (`detect::signature`).
const CHECKED: [&str; 5] = ["elf", "java-class", "mach-o", "mach-o-fat", "pe"];

impl Table {
    pub(super) fn validate(&self, root: &std::path::Path) -> Result<()> {
        let mut formats = BTreeSet::new();
        for format in &self.format {
            let id = &format.id;
            ensure!(formats.insert(id.as_str()), "format {id} is listed twice");
            for (what, value) in
                [("title", &format.title), ("way to be detected", &format.detected)]
            {
                ensure!(!value.trim().is_empty(), "format {id} has no {what}");
            }
            ensure!(root.join(&format.reader).is_file(), "the reader of format {id} is no file");
        }
        ensure!(formats.contains("unknown"), "no format is called `unknown`");
        let mut seen: Vec<(usize, Vec<u8>, &str)> = Vec::new();
        let mut signatures = BTreeSet::new();
        for signature in &self.signature {
            let id = &signature.id;
            ensure!(signatures.insert(id.as_str()), "signature {id} is listed twice");
            ensure!(
                signature.check.is_some() == CHECKED.contains(&id.as_str()),
                "signature {id} is checked further in the table or in the code, but not in both"
            );
            for magic in &signature.magic {
                let magic = bytes(magic).with_context(|| format!("in signature {id}"))?;
                for (start, earlier, other) in &seen {
                    ensure!(
                        *start != signature.start || !magic.starts_with(earlier),
                        "signature {id} is never reached: {other} starts like it"
                    );
                }
                if signature.check.is_none() {
                    seen.push((signature.start, magic, id));
                }
            }
        }
        let mut endings = BTreeSet::new();
        for promise in &self.promise {
            for ending in &promise.endings {
                ensure!(endings.insert(ending), "the ending {ending} promises twice");
                ensure!(
                    ending.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()),
                    "the ending {ending} is not lower case"
                );
            }
            for keeper in &promise.keepers {
                let known =
                    formats.contains(keeper.as_str()) || signatures.contains(keeper.as_str());
                ensure!(
                    known != promise.unread.contains(keeper),
                    "{keeper} is promised; it has a row, or it is listed as unread"
                );
            }
        }
        Ok(())
    }
}

/// `7f 45` or `text:PK` as bytes.
fn bytes(magic: &str) -> Result<Vec<u8>> {
    if let Some(plain) = magic.strip_prefix("text:") {
        ensure!(!plain.is_empty() && plain.is_ascii(), "`{magic}` is no ASCII text");
        return Ok(plain.as_bytes().to_vec());
    }
    let pair = |pair: &str| u8::from_str_radix(pair, 16).ok().filter(|_| pair.len() == 2);
    match magic.split_whitespace().map(pair).collect::<Option<Vec<u8>>>() {
        Some(bytes) if !bytes.is_empty() => Ok(bytes),
        _ => bail!("`{magic}` is neither hexadecimal nor `text:`"),
    }
}

/// Bytes as the inside of a Rust byte string.
fn escaped(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|&byte| std::ascii::escape_default(byte)).map(char::from).collect()
}

/// `core/src/format/detect/generated.rs`.
pub(super) fn rust(table: &Table) -> Result<String> {
    let mut out = head("`spec/detection.toml`");
    out.push_str(
        "use super::Signature;\n\n\
         /// A format that is judged, or recognised.\n\
         #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]\n\
         #[non_exhaustive]\npub enum Format {\n",
    );
    let variant = |format: &Format| format.variant.clone().unwrap_or_else(|| camel(&format.id));
    for format in &table.format {
        if matches!(format.kind, Kind::Blocked) {
            out.push_str(
                "/// Recognised by its signature; this version has no reader for it.\n\
                 Recognised(Signature),\n",
            );
        }
        let _ = writeln!(out, "/// `{}`: {}.\n{},", format.id, format.title, variant(format));
    }
    out.push_str(
        "}\n\nimpl Format {\n/// The ids of all formats that the table names, signatures left out.\n",
    );
    let ids: Vec<String> = table.format.iter().map(|format| text(&format.id)).collect();
    let _ = writeln!(out, "pub const IDS: [&'static str; {}] = [{}];\n", ids.len(), ids.join(", "));
    out.push_str(
        "/// The stable id, as reports carry it.\n#[must_use]\n\
         pub const fn id(self) -> &'static str {\nmatch self {\n",
    );
    for format in &table.format {
        let _ = writeln!(out, "Self::{} => {},", variant(format), text(&format.id));
    }
    out.push_str("Self::Recognised(signature) => signature.id,\n}\n}\n}\n\n");

    let mut rows = String::new();
    let mut count = 0_usize;
    for signature in &table.signature {
        for magic in &signature.magic {
            count += 1;
            let _ = writeln!(
                rows,
                "Signature {{ id: {}, title: {}, native: {}, image: {}, start: {}, magic: b\"{}\" }},",
                text(&signature.id),
                text(&signature.title),
                signature.native,
                signature.image,
                signature.start,
                escaped(&bytes(magic)?)
            );
        }
    }
    let _ = write!(
        out,
        "/// Every signature that is recognised, in the order in which they are tried.\n\
         pub static SIGNATURES: [Signature; {count}] = [\n{rows}];\n\n"
    );

    let endings: usize = table.promise.iter().map(|promise| promise.endings.len()).sum();
    let _ = writeln!(
        out,
        "/// Endings that promise a format, and the formats that keep the promise.\n\
         pub static PROMISES: [(&str, &[&str]); {endings}] = ["
    );
    for promise in &table.promise {
        let keepers: Vec<String> = promise.keepers.iter().map(|id| text(id)).collect();
        for ending in &promise.endings {
            let _ = writeln!(out, "({}, &[{}]),", text(ending), keepers.join(", "));
        }
    }
    out.push_str("];\n");
    Ok(out)
}

/// The tables of `docs/formats.md`, each with the name of its place there.
pub(super) fn blocks(table: &Table) -> Result<[(&'static str, String); 3]> {
    Ok([("formats", formats(table)), ("signatures", signatures(table)?), ("names", names(table))])
}

fn formats(table: &Table) -> String {
    let mut out = "| id | what it is | detected by | what is read | what is not read |\n\
                   |---|---|---|---|---|\n"
        .to_owned();
    // What is counted stands in the row of its archive, and what is blocked in its own section.
    let listed = |format: &&Format| matches!(format.kind, Kind::Judged | Kind::Passed);
    for format in table.format.iter().filter(listed) {
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} | {} |",
            format.id,
            cell(&format.title),
            cell(&format.detected),
            cell(&format.read),
            cell(&format.unread)
        );
    }
    out
}

fn signatures(table: &Table) -> Result<String> {
    let mut out = "| id | what it is | at byte | first bytes |\n|---|---|---:|---|\n".to_owned();
    for signature in &table.signature {
        let mut magics = Vec::new();
        for magic in &signature.magic {
            // Quotes need no escape there.
            let magic = escaped(&bytes(magic)?).replace("\\'", "'").replace("\\\"", "\"");
            magics.push(format!("`{}`", magic.replace('|', "\\|")));
        }
        let check = signature.check.as_ref().map(|check| format!(", and {}", cell(check)));
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {}{} |",
            signature.id,
            cell(&signature.title),
            signature.start,
            magics.join(", "),
            check.unwrap_or_default()
        );
    }
    Ok(out)
}

fn names(table: &Table) -> String {
    let mut out = "| ending | content that keeps the promise |\n|---|---|\n".to_owned();
    for promise in &table.promise {
        let endings: Vec<String> =
            promise.endings.iter().map(|ending| format!("`.{ending}`")).collect();
        let keepers: Vec<String> = promise
            .keepers
            .iter()
            .map(|id| {
                let unread = promise.unread.contains(id);
                format!("`{id}`{}", if unread { " (no reader yet)" } else { "" })
            })
            .collect();
        let _ = writeln!(out, "| {} | {} |", endings.join(" "), keepers.join(", "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magic_is_hexadecimal_or_text() {
        assert_eq!(bytes("7f 45").ok(), Some(vec![0x7f, 0x45]));
        assert_eq!(bytes("text:PK").ok(), Some(b"PK".to_vec()));
        for bad in ["", "text:", "7", "text:é", "xy", "100"] {
            assert_eq!(bytes(bad).ok(), None, "`{bad}`");
        }
    }

    #[test]
    fn a_table_that_contradicts_itself_is_refused() {
        let root = crate::place::root();
        let text = std::fs::read_to_string(root.join("spec/detection.toml")).unwrap();
        let check = |text: &str| toml::from_str::<Table>(text).unwrap().validate(&root);
        assert!(check(&text).is_ok());
        for (from, to) in [
            ("id = \"tar\"", "id = \"zip\""),
            ("reader = \"core/src/format/tar.rs\"", "reader = \"core/src/format/none.rs\""),
            ("magic = [\"text:%PDF-\"]", "magic = [\"text:GIF89a\"]"),
            ("keepers = [\"gguf\"]", "keepers = [\"guff\"]"),
            ("endings = [\"so\"]", "endings = [\"gz\"]"),
            ("keepers = [\"onnx\"]", "keepers = [\"onnx\"]\nunread = [\"onnx\"]"),
        ] {
            assert!(text.contains(from), "{from}");
            assert!(check(&text.replacen(from, to, 1)).is_err(), "{to}");
        }
    }
}
