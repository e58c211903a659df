//! PyTorch's legacy layout: five pickles in a row, then the storages.
//!
//! `_legacy_load` in `torch/serialization.py` unpickles a magic number, a protocol version, a
//! dict that describes the machine, the object and the list of storage keys, and then reads each
//! storage: eight bytes that count its elements, and the elements. Each of the five is a pickle
//! of its own, and a payload in any of them runs.

use crate::pickle::decode::{Arg, Step, decode};
use crate::pickle::opcode::Opcode;

/// The five pickles, in their order.
pub const STREAMS: [&str; 5] =
    ["magic number", "protocol version", "system info", "object", "storage keys"];

/// `MAGIC_NUMBER` in `torch/serialization.py`, 0x1950a86a20f9469cfc6c, as `LONG1` spells it.
pub const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Whether the bytes start with a pickle of the magic number.
///
/// Picklers write `PROTO`, perhaps a `FRAME`, the number and `STOP`; protocols 0 and 1 write
/// the number as decimal text. A magic number that is computed is not recognised here, and the
/// file is then judged as the pickles in a row that it is.
#[must_use]
pub fn starts_with_magic(bytes: &[u8]) -> bool {
    let mut at = 0_usize;
    let mut magic = false;
    for _ in 0..4 {
        let rest = bytes.get(at..).unwrap_or_default();
        let Ok(Step::Instruction(instruction)) = decode(rest, 0) else {
            return false;
        };
        match (instruction.opcode, instruction.arg) {
            (Opcode::Proto | Opcode::Frame, _) if !magic => {}
            (Opcode::Long1, Arg::Data(data)) if data == MAGIC => magic = true,
            (Opcode::Long, Arg::Line(b"119547037146038801333356L")) => magic = true,
            (Opcode::Stop, _) => return magic,
            _ => return false,
        }
        at = at.saturating_add(instruction.length);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_magic_number_is_known_in_every_protocol() {
        let mut binary = [0; 15];
        binary[..4].copy_from_slice(b"\x80\x02\x8a\x0a");
        binary[4..14].copy_from_slice(&MAGIC);
        binary[14] = b'.';
        assert!(starts_with_magic(&binary));
        assert!(starts_with_magic(b"L119547037146038801333356L\n."));
        assert!(!starts_with_magic(b"\x80\x02K\x01."));
        assert!(!starts_with_magic(b"\x80\x02\x80\x02\x80\x02\x80\x02\x80\x02"));
        binary[13] = 0;
        assert!(!starts_with_magic(&binary));
        assert!(!starts_with_magic(b""));
    }
}
