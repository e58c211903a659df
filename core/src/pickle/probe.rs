//! Whether bytes could be a pickle, by decoding alone.
//!
//! Any file can be handed to `pickle.load`, so a ZIP, a tar or a picture is also a pickle if its
//! first bytes are. The probe decodes without executing, which ends within a few bytes on most
//! data; what it lets through is then audited, and what it turns away names no global that an
//! import could find.

use super::decode::{Arg, Instruction, Step, decode};
use super::opcode::Opcode;

/// What decoding from the front of some bytes came upon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// The bytes open with `PROTO` and a protocol that exists, and an instruction follows.
    pub proto: bool,
    /// `STOP` was reached behind at least one other instruction.
    pub stop: bool,
    /// An opcode was reached that imports by two lines that Python could look for.
    pub imports: bool,
    /// An opcode was reached that imports by what the stack holds. Whether the stack holds
    /// anything takes the machine to tell.
    pub stack_imports: bool,
}

impl Probe {
    /// Decodes from the front of `bytes` to `STOP`, to what is no instruction, or until enough
    /// is known to have them audited.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut probe = Self::default();
        if let [0x80, 0..=5, next, ..] = bytes {
            probe.proto = Opcode::from_byte(*next).is_some();
        }
        let (mut at, mut instructions) = (0_usize, 0_usize);
        while !(probe.proto || probe.imports || probe.stop) {
            let rest = bytes.get(at..).unwrap_or_default();
            let Ok(Step::Instruction(instruction)) = decode(rest, 0) else {
                probe.imports |= instructions == 0 && is_cut_import(rest);
                break;
            };
            at = at.saturating_add(instruction.length);
            instructions = instructions.saturating_add(1);
            probe.see(&instruction);
            if instruction.opcode == Opcode::Stop {
                probe.stop = instructions > 1;
                break;
            }
        }
        probe
    }

    /// Whether some unpickler would get anywhere with the bytes. `None` where only the machine
    /// can tell: an import from the stack, with nothing else that speaks for a pickle.
    #[must_use]
    pub const fn accepts(self) -> Option<bool> {
        if self.proto || self.imports || self.stop {
            return Some(true);
        }
        if self.stack_imports { None } else { Some(false) }
    }

    /// Whether a byte string inside a pickle may be a pickle that imports, or several in a row of
    /// which one does: it opens with `PROTO` or decodes to `STOP`, and reaches an opcode that
    /// imports. Text of two lines that happens to start with `c` is no pickle by that test.
    #[must_use]
    pub fn may_import(bytes: &[u8]) -> bool {
        let (mut at, mut start) = (0_usize, true);
        let (mut proto, mut probe) = (false, Self::default());
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            if start {
                (proto, probe) = (matches!(rest, [0x80, 0..=5, ..]), Self::default());
            }
            let Ok(Step::Instruction(instruction)) = decode(rest, 0) else { return false };
            at = at.saturating_add(instruction.length);
            probe.see(&instruction);
            start = instruction.opcode == Opcode::Stop;
            if (probe.imports || probe.stack_imports) && (start || proto) {
                return true;
            }
        }
    }

    /// Whether the bytes reach an opcode that imports at all, whatever becomes of them behind it.
    #[must_use]
    pub fn reaches_import(bytes: &[u8]) -> bool {
        let (mut at, mut probe) = (0_usize, Self::default());
        while let Ok(Step::Instruction(instruction)) =
            decode(bytes.get(at..).unwrap_or_default(), 0)
        {
            at = at.saturating_add(instruction.length);
            probe.stack_imports |= matches!(instruction.opcode, Opcode::Global | Opcode::Inst);
            probe.see(&instruction);
            if probe.stack_imports {
                return true;
            }
        }
        is_cut_import(bytes)
    }

    fn see(&mut self, instruction: &Instruction<'_>) {
        match (instruction.opcode, instruction.arg) {
            (Opcode::Global | Opcode::Inst, Arg::Lines(module, name)) => {
                self.imports |= is_path(module) && is_path(name);
            }
            (Opcode::StackGlobal | Opcode::Ext1 | Opcode::Ext2 | Opcode::Ext4, _) => {
                self.stack_imports = true;
            }
            _ => {}
        }
    }
}

/// Whether the bytes are a `GLOBAL` or `INST` that the end of input cuts: `Lib/pickle.py` imports
/// for it what is there, less the last byte.
fn is_cut_import(bytes: &[u8]) -> bool {
    let [b'c' | b'i', lines @ ..] = bytes else { return false };
    let mut lines = lines.split(|&byte| byte == b'\n');
    let (module, name) = (lines.next().unwrap_or_default(), lines.next());
    is_path(module) && name.is_none_or(is_path) && lines.next().is_none()
}

/// Whether text could be a module or an attribute: letters, digits, underscores and dots, and
/// anything beyond ASCII.
#[must_use]
pub fn is_path(text: &[u8]) -> bool {
    !text.is_empty()
        && core::str::from_utf8(text).is_ok()
        && text.iter().all(|&b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.') || b >= 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pickles_are_told_from_other_bytes() {
        for pickle in [
            &b"cposix\nsystem\n"[..],
            b"\x80\x04N.",
            b"\x80\x02\x8c\x05broken",
            b"(lp0\n.",
            b"I1\n.",
            b"\x80\x04\x8c\x02os\x8c\x06system\x93\xff",
            b"\x80\x04\x8e\0\0\0\0\0\0\0\x10",
            b"cposix\nsyst",
            b"(iposix\nsystem\n",
        ] {
            assert_eq!(Probe::of(pickle).accepts(), Some(true), "{pickle:?}");
        }
        assert_eq!(Probe::of(b"\x8c\x02os\x8c\x06system\x93\xff").accepts(), None);
        for other in [
            &b""[..],
            b"PK\x03\x04rest",
            b"\x80",
            b"import os\nimport sys\n",
            b"crate one\ncrate two",
            b"{\"a\": 1}",
            b"\x89PNG\r\n\x1a\n",
            b".",
        ] {
            assert_eq!(Probe::of(other).accepts(), Some(false), "{other:?}");
        }
    }

    #[test]
    fn byte_strings_must_name_a_global() {
        assert!(Probe::may_import(b"cos\nsystem\n."));
        assert!(Probe::may_import(b"\x80\x02cos\nsystem\n"));
        assert!(Probe::may_import(b"\x80\x04\x8c\x02os\x8c\x06system\x93."));
        assert!(Probe::may_import(b"N.\x80\x02K\x01.cos\nsystem\n."));
        assert!(!Probe::may_import(b"cos\nsystem\n"));
        assert!(!Probe::may_import(b"\x80\x02]."));
        assert!(!Probe::may_import(b"plain text"));
    }
}
