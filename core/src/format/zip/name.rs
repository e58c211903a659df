//! What is wrong with a member's name, for ZIP and for tar.
//!
//! One linear pass over the stored bytes. It knows no Unicode tables: names that differ only
//! in normalisation or in the case of letters beyond ASCII pass as different names, as they do
//! in every reader of these archives (a file system that folds them is where they meet).

use super::AnomalyKind;

/// A fault of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Fault {
    Empty,
    Nul,
    Control,
    Backslash,
    Dot,
    CodePage,
    NotUtf8,
    Absolute,
    Drive,
    Parent,
}

impl From<Fault> for AnomalyKind {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Empty => Self::NameEmpty,
            Fault::Nul => Self::NameNul,
            Fault::Control => Self::NameControl,
            Fault::Backslash => Self::NameBackslash,
            Fault::Dot => Self::NameDot,
            Fault::CodePage => Self::NameCodePage,
            Fault::NotUtf8 => Self::NameNotUtf8,
            Fault::Absolute => Self::NameAbsolute,
            Fault::Drive => Self::NameDrive,
            Fault::Parent => Self::NameParent,
        }
    }
}

/// The faults of a path, whatever its encoding. A backslash counts as a separator wherever
/// taking it for one makes things worse.
pub(in super::super) fn path_faults(name: &[u8]) -> impl Iterator<Item = Fault> + use<> {
    if is_plain(name) {
        return [None; 8].into_iter().flatten();
    }
    let drive = matches!(name, [letter, b':', ..] if letter.is_ascii_alphabetic());
    let absolute = matches!(name, [b'/' | b'\\', ..]);
    let parent = name.split(is_separator).any(|part| part == b"..");
    // One slash at the end marks a folder, and a slash at the start has its own fault.
    let inner = name.strip_suffix(b"/").unwrap_or(name);
    let inner = inner.strip_prefix(b"/").unwrap_or(inner);
    let dot = !name.is_empty() && inner.split(is_separator).any(|part| matches!(part, b"" | b"."));
    let nul = name.contains(&0);
    let control = name.iter().any(|&byte| byte != 0 && byte.is_ascii_control());
    [
        (name.is_empty(), Fault::Empty),
        (nul, Fault::Nul),
        (control, Fault::Control),
        (name.contains(&b'\\'), Fault::Backslash),
        (dot, Fault::Dot),
        (absolute, Fault::Absolute),
        (drive, Fault::Drive),
        (parent, Fault::Parent),
    ]
    .map(|(found, fault)| found.then_some(fault))
    .into_iter()
    .flatten()
}

/// Whether a path is as nearly all are: no byte of it is odd, and no component is empty or starts
/// with a dot.
fn is_plain(name: &[u8]) -> bool {
    let mut before = b'/';
    let mut odd = name.is_empty();
    for &byte in name {
        odd |= byte.is_ascii_control() | matches!(byte, b'\\' | b':');
        odd |= (before == b'/') & matches!(byte, b'/' | b'.');
        before = byte;
    }
    !odd
}

/// The fault of a ZIP name's encoding (APPNOTE appendix D).
pub(super) fn encoding_fault(name: &[u8], says_utf8: bool) -> Option<Fault> {
    if name.is_ascii() {
        None
    } else if !says_utf8 {
        Some(Fault::CodePage)
    } else {
        core::str::from_utf8(name).is_err().then_some(Fault::NotUtf8)
    }
}

/// A name as it is compared: ASCII letters lower-case, no slashes at the end.
pub(in super::super) fn folded(name: &[u8]) -> impl Iterator<Item = u8> + '_ {
    trimmed(name).iter().map(u8::to_ascii_lowercase)
}

/// A name without slashes at the end, so that `a` and `a/` count as one name.
pub(in super::super) fn trimmed(name: &[u8]) -> &[u8] {
    let mut rest = name;
    while let [head @ .., b'/'] = rest {
        rest = head;
    }
    rest
}

/// The first eight bytes of a folded name as a number that sorts as they do.
pub(in super::super) fn sort_key(name: &[u8]) -> u64 {
    let mut first = [0_u8; 8];
    for (slot, byte) in first.iter_mut().zip(folded(name)) {
        *slot = byte;
    }
    u64::from_be_bytes(first)
}

/// A number that is the same for names that are compared as equal, and hardly ever for others.
///
/// It takes a few more bytes for the same than ASCII case, all those that differ in one bit as its
/// letters do, and whoever wants to can make names that share it: it can only rule a match out.
pub(super) fn digest(name: &[u8]) -> u64 {
    const CASE: u64 = 0x2020_2020_2020_2020;
    /// The golden ratio's digits, an odd number without a pattern.
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |sum: u64, word: u64| (sum ^ (word | CASE)).wrapping_mul(SPREAD).rotate_left(29);
    let mut words = trimmed(name).chunks_exact(8);
    let sum = words.by_ref().filter_map(|word| word.try_into().ok()).map(u64::from_le_bytes);
    let sum = sum.fold(0, mix);
    let rest = words.remainder();
    let mut last = [0_u8; 8];
    for (slot, &byte) in last.iter_mut().zip(rest) {
        *slot = byte;
    }
    // The length tells a byte from the zeros, or blanks, behind the last one.
    let length = u64::try_from(trimmed(name).len()).unwrap_or(u64::MAX);
    mix(sum, u64::from_le_bytes(last)).wrapping_mul(SPREAD) ^ length
}

fn is_separator(byte: &u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate alloc;

    fn has(name: &[u8], fault: Fault) -> bool {
        path_faults(name).any(|found| found == fault)
    }

    #[test]
    fn ordinary_names_have_no_fault() {
        for name in ["archive/data.pkl", "a", "a/", "a b/c-d.e", "..a/b..", "ab:c", "...", "é"] {
            assert_eq!(path_faults(name.as_bytes()).count(), 0, "{name}");
        }
    }

    #[test]
    fn each_fault_is_found() {
        assert!(has(b"", Fault::Empty));
        assert!(has(b"a\0b", Fault::Nul));
        assert!(has(b"a\nb", Fault::Control));
        assert!(has(b"a\x7f", Fault::Control));
        assert!(has(b"a\\b", Fault::Backslash));
        for name in [&b"./a"[..], b"a/./b", b"a//b", b"a//", b"a/.", b"//a", b"a\\\\b"] {
            assert!(has(name, Fault::Dot), "{name:?}");
        }
        assert!(has(b"/a", Fault::Absolute) && !has(b"/a", Fault::Dot));
        assert!(has(b"\\a", Fault::Absolute));
        assert!(has(b"C:\\a", Fault::Drive) && has(b"c:a", Fault::Drive));
        for name in [&b".."[..], b"../a", b"a/..", b"a/../b", b"a\\..\\b", b"../"] {
            assert!(has(name, Fault::Parent), "{name:?}");
        }
    }

    #[test]
    fn encodings() {
        assert_eq!(encoding_fault(b"a", false), None);
        assert_eq!(encoding_fault("é".as_bytes(), true), None);
        assert_eq!(encoding_fault("é".as_bytes(), false), Some(Fault::CodePage));
        assert_eq!(encoding_fault(b"\xff", true), Some(Fault::NotUtf8));
    }

    #[test]
    fn names_that_are_compared_as_equal_have_one_digest() {
        let names: [&[u8]; 12] = [
            b"a",
            b"A/",
            b"a//",
            b"a\0",
            b"a ",
            b"abcdefgh",
            b"ABCDEFGH/",
            b"abcdefghi",
            b"ABCDEFGHi",
            b"abcdefgH\xc3\xa4.PKL",
            b"abcdefgh\xc3\xa4.pkl",
            b"",
        ];
        for left in names {
            for right in names {
                let equal = folded(left).eq(folded(right));
                assert!(!equal || digest(left) == digest(right), "{left:?} {right:?}");
            }
        }
        assert_ne!(digest(b"a"), digest(b"a "));
        let numbers: alloc::collections::BTreeSet<u64> =
            (0..100_000).map(|at| digest(alloc::format!("archive/data/{at}").as_bytes())).collect();
        assert_eq!(numbers.len(), 100_000);
    }

    #[test]
    fn keys_sort_as_names_do() {
        let names = [&b"a"[..], b"A/", b"a\0", b"abcdefgh", b"ABCDEFGHi", b"b", b""];
        for left in names {
            for right in names {
                let by_key = sort_key(left).cmp(&sort_key(right));
                let by_name = folded(left).cmp(folded(right));
                assert!(by_key.is_eq() || by_key == by_name, "{left:?} {right:?}");
            }
        }
    }
}
