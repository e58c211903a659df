//! Tests of the audit: what it sees, and what it does when the stream is broken.
#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

extern crate std;

use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::pickle::store::Fixed;

/// Keeps everything it hears.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    imports: Vec<(u64, String, String)>,
    calls: Vec<(u32, u64, Opcode)>,
    findings: Vec<(Rule, u64)>,
    literals: Vec<(u64, usize)>,
}

impl Sink for Heard {
    fn import(&mut self, import: &ImportSeen<'_>) {
        self.imports.push((import.offset, import.module.to_string(), import.name.to_string()));
    }

    fn call(&mut self, import: u32, offset: u64, opcode: Opcode) {
        self.calls.push((import, offset, opcode));
    }

    fn finding(&mut self, finding: Finding<'_>) {
        assert!(!format!("{}", finding.detail).is_empty());
        self.findings.push((finding.rule, finding.offset));
    }

    fn literal(&mut self, literal: Literal<'_>) {
        self.literals.push((literal.offset, literal.data.len()));
    }
}

/// Audits in fixed memory: enough for every stream of these tests.
fn hear_with(stream: &[u8], options: &Options<'_>) -> (Outcome, Heard) {
    let mut heard = Heard::default();
    let (mut stack, mut marks) = (vec![Value::Missing; 512], vec![0; 64]);
    let (mut memo, mut imports) =
        (vec![None; 512], vec![Import { class: Class::Unknown, offset: 0 }; 64]);
    let mut containers = vec![Container::default(); 512];
    let mut workspace = FixedWorkspace {
        stack: Fixed::new(&mut stack),
        marks: Fixed::new(&mut marks),
        memo: Fixed::new(&mut memo),
        imports: Fixed::new(&mut imports),
        containers: Fixed::new(&mut containers),
    };
    let outcome = audit(stream, options, &mut workspace, &mut heard);
    (outcome, heard)
}

fn hear(stream: &[u8]) -> (Outcome, Heard) {
    hear_with(stream, &Options { nested: true, ..Options::default() })
}

fn names(stream: &[u8]) -> Vec<(String, String)> {
    hear(stream).1.imports.into_iter().map(|(_, module, name)| (module, name)).collect()
}

fn rules(stream: &[u8]) -> Vec<Rule> {
    let mut rules: Vec<Rule> = hear(stream).1.findings.into_iter().map(|(rule, _)| rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

fn system() -> Vec<(String, String)> {
    vec![("posix".to_string(), "system".to_string())]
}

#[test]
fn every_form_of_import_is_seen() {
    for stream in [
        &b"cposix\nsystem\n."[..],
        b"(iposix\nsystem\n.",
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93.",
        b"X\x05\0\0\0posixX\x06\0\0\0system\x93.",
        b"\x8d\x05\0\0\0\0\0\0\0posix\x8d\x06\0\0\0\0\0\0\0system\x93.",
        b"S'posix'\nS\"system\"\n\x93.",
        b"S'p\\x6fsix'\nS'syste\\155'\n\x93.",
        b"U\x05posixU\x06system\x93.",
        b"T\x05\0\0\0posixT\x06\0\0\0system\x93.",
        b"Vposix\nVs\\u0079stem\n\x93.",
    ] {
        assert_eq!(names(stream), system(), "{}", stream.escape_ascii());
    }
}

#[test]
fn the_memo_gives_back_what_was_stored() {
    for stream in [
        // MEMOIZE numbers what is filled: PUT 5 first, so this is index 1.
        &b"N2p5\n0\x8c\x05posix\x940\x8c\x06system\x940h\x01h\x02\x93."[..],
        // MEMOIZE after BINGET stores the object, not the index.
        b"\x8c\x05posix\x940h\x00\x940\x8c\x06system\x940h\x01h\x02\x93.",
        // PUT over an older entry: the number of entries stays.
        b"\x8c\x03oldq\x000\x8c\x05posixq\x000\x8c\x06system\x940h\x00h\x01\x93.",
        // An index as text.
        b"\x8c\x05posixp7\n0\x8c\x06systemr\x09\0\0\x000g7\nj\x09\0\0\0\x93.",
        // DUP and POP between.
        b"\x8c\x05posix20\x94\x8c\x06system2\x940h\x00\x8c\x06system\x93.",
        // Marks between, dropped with POP and POP_MARK.
        b"\x8c\x05posix\x94(0(NN1\x8c\x06system\x93.",
    ] {
        assert_eq!(names(stream), system(), "{}", stream.escape_ascii());
    }
}

#[test]
fn computed_names_are_unresolvable() {
    for stream in [
        // What a call returned, what the memo never held, a persistent id, a registry entry.
        &b"cx\ny\n)R\x8c\x06system\x93."[..],
        b"h\x00\x8c\x06system\x93.",
        b"Pid\n\x8c\x06system\x93.",
        b"\x82\x01\x8c\x06system\x93.",
        // A Python 2 string beyond ASCII means what the loader's encoding says.
        b"U\x02\xc3\xa9\x8c\x06system\x93.",
    ] {
        assert!(rules(stream).contains(&Rule::PickleGlobalUnresolvable), "{stream:?}");
    }
    // "STACK_GLOBAL requires str": nothing is imported, and every unpickler stops.
    assert_eq!(rules(b"NN\x93."), [Rule::PickleMalformed]);
}

#[test]
fn calls_are_told_with_their_opcode() {
    let calls = |stream: &[u8]| -> Vec<Opcode> {
        hear(stream).1.calls.into_iter().map(|(_, _, opcode)| opcode).collect()
    };
    assert_eq!(calls(b"ca\nb\n)R."), [Opcode::Reduce]);
    assert_eq!(calls(b"ca\nb\n)\x81."), [Opcode::NewObj]);
    assert_eq!(calls(b"ca\nb\n)}\x92."), [Opcode::NewObjEx]);
    assert_eq!(calls(b"(ia\nb\n."), [Opcode::Inst]);
    assert_eq!(calls(b"(ca\nb\nNo."), [Opcode::Obj]);
    assert_eq!(calls(b"ca\nb\n)\x81}b."), [Opcode::NewObj, Opcode::Build]);
    assert_eq!(calls(b"ca\nb\n)RNa0N."), [Opcode::Reduce, Opcode::Append]);
    // Dropping the result does not undo the call.
    assert_eq!(calls(b"ca\nb\n)R0N."), [Opcode::Reduce]);
    assert_eq!(calls(b"(ca\nb\n)R1N."), [Opcode::Reduce]);
}

#[test]
fn allowed_callables_are_held_to_their_shapes() {
    let ordered = |rest: &[u8]| rules(&[b"ccollections\nOrderedDict\n", rest].concat());
    assert_eq!(ordered(b")R."), []);
    assert_eq!(ordered(b"((lp0\ntp1\nR."), []);
    assert_eq!(ordered(b"]\x85R."), []);
    // A string is no argument of an OrderedDict: its module was replaced by another.
    assert_eq!(ordered(b"S'code'\n\x85R."), [Rule::PickleCallShape]);
    assert_eq!(ordered(b"NR."), [Rule::PickleCallShape]);
    // Attributes of the class itself, instead of an instance.
    assert_eq!(ordered(b"}b."), [Rule::PickleCallShape]);
    // Items set on something that holds none.
    assert_eq!(rules(b"\x80\x02K\x01K\x02K\x03s."), [Rule::PickleCallShape]);
}

#[test]
fn broken_streams_are_judged_up_to_the_break() {
    for (stream, end, rule) in [
        (&b"cposix\nsystem\n(S'id'\ntR\xff"[..], End::Malformed, Rule::PickleMalformed),
        (b"cposix\nsystem\n(S'id'\ntR", End::Truncated, Rule::PickleTruncated),
        (b"cposix\nsystem\n(S'id'\ntRX\xff\xff\xff\x7fx", End::Truncated, Rule::PickleTruncated),
        (b"0cposix\nsystem\n(S'id'\ntR.", End::Stop, Rule::PickleMalformed),
        (b"\x80\x09cposix\nsystem\n(S'id'\ntR.", End::Stop, Rule::PickleMalformed),
    ] {
        let (outcome, heard) = hear(stream);
        assert_eq!(outcome.end, end, "{}", stream.escape_ascii());
        assert!(heard.findings.iter().any(|&(seen, _)| seen == rule));
        assert_eq!(heard.calls.len(), 1);
        assert_eq!(heard.imports.len(), 1);
    }
}

#[test]
fn a_global_that_the_end_cuts_is_what_pickle_py_would_import() {
    // `readline()[:-1]` drops the last byte, newline or not.
    assert_eq!(names(b"cposix\nsystemX"), system());
    assert_eq!(names(b"cposixX"), [("posix".to_string(), String::new())]);
    assert_eq!(names(b"(iposix\nsystemX"), system());
}

#[test]
fn unpicklers_part_over_frames() {
    let frame = |length: u64, rest: &[u8]| {
        let mut stream = b"\x80\x04\x95".to_vec();
        stream.extend(length.to_le_bytes());
        stream.extend(rest);
        stream
    };
    assert_eq!(rules(&frame(2, b"N.")), []);
    // Inside a literal, inside a literal's length, behind the input, short of STOP, nested.
    assert_eq!(rules(&frame(3, b"\x8c\x02hi.")), [Rule::PickleDivergent]);
    assert_eq!(rules(&frame(3, b"X\x02\0\0\0hi.")), [Rule::PickleDivergent]);
    assert_eq!(rules(&frame(9, b"N.")), [Rule::PickleDivergent]);
    assert_eq!(rules(&frame(3, b"N..")), [Rule::PickleDivergent]);
    // Between two reads the boundary is harmless, as every pickler of CPython makes it.
    assert_eq!(rules(&frame(2, b"\x8c\x02hi.")), []);
    assert_eq!(rules(&frame(4, b"\x8c\x02hi.")), []);
}

#[test]
fn persistent_ids_are_storages_in_a_torch_file_alone() {
    let stream = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQ.";
    assert_eq!(rules(stream), [Rule::PicklePersistentIdUnexpected]);
    let torch = Options { persistent_ids: PersistentIds::Storages, ..Options::default() };
    assert_eq!(hear_with(stream, &torch).1.findings, []);
    assert_eq!(hear_with(b"K\x01Q.", &torch).1.findings.len(), 1);
}

#[test]
fn bombs_are_measured_and_not_built() {
    // Each level holds the one before twice, through the memo.
    let mut laughs = b"]\x94".to_vec();
    for level in 0..40_u8 {
        laughs.extend([b']', 0x94, b'(', b'h', level, b'h', level, b'e']);
    }
    laughs.push(b'.');
    assert_eq!(rules(&laughs), [Rule::PickleLimit]);
    let tuples = [&b"N"[..], &b"2\x86".repeat(40), b"."].concat();
    assert_eq!(rules(&tuples), [Rule::PickleLimit]);
    let deep = [&b"N"[..], &b"\x85".repeat(101), b"."].concat();
    assert_eq!(rules(&deep), [Rule::PickleLimit]);
    let deep = [&b"N"[..], &b"\x85".repeat(99), b"."].concat();
    assert_eq!(rules(&deep), []);
    assert_eq!(rules(b"]\x94h\x00a."), [Rule::PickleLimit]);
    assert_eq!(rules(b"Nr\xff\xff\xff\xff."), [Rule::PickleLimit]);
}

#[test]
fn full_memory_ends_the_audit_with_a_finding() {
    let full = [&b"N".repeat(600)[..], b"cposix\nsystem\n."].concat();
    let (outcome, heard) = hear(&full);
    assert_eq!(outcome.end, End::Limit);
    assert_eq!(heard.findings, [(Rule::PickleLimit, 512)]);
}

#[test]
fn joblib_takes_arrays_from_between_the_opcodes() {
    let dump = |dtype: &[u8], shape: &[u8], array: &[u8]| {
        [
            &b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(X\x05\0\0\0shape"[..],
            shape,
            b"X\x05\0\0\0dtypecnumpy\ndtype\nX\x02\0\0\0",
            dtype,
            b"K\x00K\x01\x87Rub",
            array,
            b"cposix\nsystem\n.",
        ]
        .concat()
    };
    let joblib = Options { joblib: true, ..Options::default() };
    let last = |stream: &[u8]| {
        let (outcome, heard) = hear_with(stream, &joblib);
        (outcome.end, heard.imports.last().map(|(_, module, _)| module.clone()))
    };
    let posix = Some("posix".to_string());
    // Two items of four bytes, which are no opcodes; a scalar; an empty array; an object array.
    assert_eq!(last(&dump(b"i4", b"K\x02\x85", &[0xff; 8])), (End::Stop, posix.clone()));
    assert_eq!(last(&dump(b"i4", b")", &[0xff; 4])), (End::Stop, posix.clone()));
    assert_eq!(last(&dump(b"i4", b"K\x00\x85", b"")), (End::Stop, posix.clone()));
    assert_eq!(last(&dump(b"O8", b"K\x01\x85", b"\x80\x02]q\x00.")), (End::Stop, posix));
    // What the pickle in an object array imports is seen too.
    let inner = hear_with(&dump(b"O8", b"K\x01\x85", b"cos\nsystem\n."), &joblib).1;
    assert!(inner.imports.iter().any(|(_, module, _)| module == "os"));
    // A size that no literal tells cannot be followed.
    let lost = hear_with(&dump(b"x9", b"K\x01\x85", b""), &joblib).1;
    assert!(lost.findings.iter().any(|&(rule, _)| rule == Rule::PickleDivergent));
    let cut = hear_with(&dump(b"i4", b"M\xff\xff\x85", b""), &joblib);
    assert_eq!(cut.0.end, End::Truncated);
}

#[test]
fn byte_strings_that_are_pickles_are_offered() {
    let nested = |stream: &[u8]| hear(stream).1.literals.len();
    assert_eq!(nested(b"C\x0fcposix\nsystem\n.."), 1);
    assert_eq!(nested(b"U\x0fcposix\nsystem\n.."), 1);
    assert_eq!(nested(b"C\x05plain."), 0);
    assert_eq!(nested(b"X\x08\0\0\0\xc2\x80abcdef."), 1);
}

proptest! {
    /// Any bytes at all: no panic, every offset inside, and the end is reached or named.
    #[test]
    fn any_stream_is_judged(stream in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (outcome, heard) = hear(&stream);
        prop_assert!(outcome.offset <= stream.len() as u64);
        prop_assert!(outcome.instructions <= stream.len() as u64);
        prop_assert!(heard.findings.iter().all(|&(_, offset)| offset <= stream.len() as u64));
        prop_assert!(outcome.end == End::Stop || !heard.findings.is_empty());
    }

    /// Streams of opcodes that mostly fit: the two kinds of memory judge alike.
    #[test]
    #[cfg(feature = "alloc")]
    fn fixed_memory_judges_like_growing_memory(picks in proptest::collection::vec(any::<u8>(), 0..200)) {
        const PARTS: [&[u8]; 28] = [
            b"N", b"(", b"0", b"1", b"2", b")", b"]", b"}", b"t", b"l", b"d", b"a", b"e", b"s",
            b"u", b"\x85", b"\x86", b"\x94", b"h\x00", b"h\x01", b"q\x02", b"R", b"b", b"\x81",
            b"\x8c\x02os", b"\x93", b"cos\nsystem\n", b"K\x01",
        ];
        let stream: Vec<u8> =
            picks.iter().flat_map(|&pick| PARTS[usize::from(pick) % PARTS.len()]).copied().collect();
        let mut heard = Heard::default();
        let options = Options { nested: true, ..Options::default() };
        let mut workspace = GrowingWorkspace::new(&options.limits);
        let outcome = audit(&stream, &options, &mut workspace, &mut heard);
        let (fixed_outcome, fixed_heard) = hear(&stream);
        prop_assert_eq!(outcome, fixed_outcome);
        prop_assert_eq!(heard, fixed_heard);
    }

    /// What was not cut is told in the same way whatever follows.
    #[test]
    fn bytes_behind_what_is_not_cut_do_not_matter(
        picks in proptest::collection::vec(any::<u8>(), 0..40),
        at in 0_usize..200,
        keep_memo: bool,
    ) {
        const PARTS: [&[u8]; 20] = [
            b"N", b"(", b"0", b")", b"]", b"}", b"t", b"\x85", b"\x94", b"h\x00", b"R", b"b", b".",
            b"\x8c\x02os", b"\x93", b"cos\nsystem\n", b"\x95\x06\0\0\0\0\0\0\0",
            b"\x95\x40\0\0\0\0\0\0\0", b"B\x05\0\0\0hello", b"B\x7f\0\0\0",
        ];
        let stream: Vec<u8> =
            picks.iter().flat_map(|&pick| PARTS[usize::from(pick) % PARTS.len()]).copied().collect();
        let head = &stream[..at.min(stream.len())];
        let options = Options { nested: true, keep_memo, ..Options::default() };
        let (some, heard) = hear_with(head, &options);
        let more = (stream.len() - head.len()) as u64;
        if some.cut.is_none_or(|cut| cut > more) {
            let (mut all, all_heard) = hear_with(&stream, &options);
            prop_assert_eq!(all.cut, some.cut.map(|cut| cut - more));
            all.cut = some.cut;
            prop_assert_eq!((some, heard), (all, all_heard));
        }
    }

    /// What stands behind `STOP` does not change what is judged before it.
    #[test]
    fn bytes_behind_stop_do_not_matter(tail in proptest::collection::vec(any::<u8>(), 0..40)) {
        let stream = b"\x80\x02cposix\nsystem\nX\x02\0\0\0id\x85R.";
        let whole = [&stream[..], &tail].concat();
        prop_assert_eq!(hear(stream), hear(&whole));
    }
}
