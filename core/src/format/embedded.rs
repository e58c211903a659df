//! Byte strings inside other formats that some library unpickles.
//!
//! It says which are worth a judgement; the judgement itself is that of a file.

use crate::pickle::probe::Probe;

/// Whether an unpickler would reach an import in the bytes. It need not get any further: what
/// comes before a broken byte has run by then.
#[must_use]
pub(super) fn may_be_pickle(bytes: &[u8]) -> bool {
    let behind = match bytes {
        [0x80, 0..=5, rest @ ..] => rest,
        _ => bytes,
    };
    let probe = Probe::of(behind);
    probe.imports || probe.stack_imports || Probe::may_import(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_is_enough() {
        assert!(may_be_pickle(b"cposix\nsystem\n."));
        assert!(may_be_pickle(b"cposix\nsystem\n(Vecho\ntR\xff"), "broken behind the call");
        assert!(may_be_pickle(b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x01x\x85R"));
        assert!(!may_be_pickle(b"\x80\x02}."), "plain data");
        assert!(
            !may_be_pickle(b"\x80\x02\xff\xff") && !may_be_pickle(b"text") && !may_be_pickle(b"")
        );
    }
}
