//! `spec/opcodes.md`: the opcode table, which is Rust, for those who do not read Rust.

use std::fmt::Write as _;

use secure_torch_core::pickle::opcode::{Item, OPCODES};

use super::dump::{cell, markdown_head};

/// `spec/opcodes.md`.
pub(super) fn markdown() -> String {
    let mut out = markdown_head("`core/src/pickle/opcode.rs`");
    let _ = write!(
        out,
        "# Pickle opcodes\n\n\
         All {} opcodes of protocols 0 to 5, ordered by their byte. Names, arguments and stack \
         effects are those of CPython's `Lib/pickletools.py`, and `tests/python/test_opcodes.py` \
         compares them in both directions. *Before* and *after* show the part of the stack that \
         the opcode touches, its top at the right; `mark` is what `MARK` pushes, `stackslice` \
         everything above the topmost mark. What unpicklers *do* with an opcode, and where they \
         part, is in [`docs/pickle.md`](../docs/pickle.md).\n\n\
         | byte | | name | protocol | argument | before | after | meaning |\n\
         |---|---|---|---:|---|---|---|---|\n",
        OPCODES.len()
    );
    for row in &OPCODES {
        let byte = row.opcode.byte();
        let letter = if byte.is_ascii_graphic() {
            format!("`{}`", cell(&char::from(byte).to_string()))
        } else {
            String::new()
        };
        let _ = writeln!(
            out,
            "| `{byte:02x}` | {letter} | `{}` | {} | {} | {} | {} | {} |",
            row.name,
            row.protocol,
            row.argument.name().map_or_else(|| "–".to_owned(), |name| format!("`{name}`")),
            stack(row.before),
            stack(row.after),
            cell(row.meaning)
        );
    }
    out
}

fn stack(items: &[Item]) -> String {
    if items.is_empty() {
        return "–".to_owned();
    }
    items.iter().map(|item| item.name()).collect::<Vec<_>>().join(" ")
}
