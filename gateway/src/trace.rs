//! A pickle as a listing: each instruction with the stack behind it, what it imports and what
//! the rules say about it.
//!
//! The rows come from the audit itself ([`audit_observed`]): there is no second interpreter
//! that could see another stack than the one that is judged. A row keeps only what a line of a
//! listing shows; rows are handed on one by one, because a pickle may have millions.

mod pages;
mod show;

use std::cell::RefCell;

use secure_torch_core::pickle::audit::{
    Detail, End, Finding, GrowingWorkspace, ImportSeen, Literal, Options, Sink, Value,
    audit_observed,
};
use secure_torch_core::pickle::decode::Instruction;
use secure_torch_core::pickle::opcode::Opcode;
use secure_torch_core::rules::Class;
use serde::Serialize;

use crate::policy::Policy;
use crate::source::Source;
pub use pages::{Listed, Pages};
use show::{argument, dotted, top};

/// One instruction, as it was executed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Where the opcode stands, from the start of the part.
    pub offset: u64,
    /// CPython's name of the opcode; `RAW` for bytes that joblib reads from between opcodes.
    pub opcode: &'static str,
    /// How many bytes the opcode and its argument take.
    pub length: u64,
    /// The argument, cut and safe to print. Empty where there is none.
    pub argument: String,
    /// How many objects the stack holds behind the instruction.
    pub depth: u64,
    /// How many marks are open behind it.
    pub marks: u64,
    /// The topmost objects and marks behind it, the topmost last. Safe to print.
    pub top: Vec<String>,
    /// What the audit said about it.
    pub notes: Vec<Note>,
}

/// What the audit said about an instruction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "note", rename_all = "lowercase")]
pub enum Note {
    /// It asks for a global.
    Import {
        /// Module and name. Safe to print.
        global: String,
        /// What Python 3 would import. Safe to print.
        python3: String,
        /// `allowed`, `dangerous` or `unknown`.
        class: &'static str,
        /// The family of a dangerous global.
        family: Option<&'static str>,
    },
    /// It calls, builds or extends what an import gave.
    Call {
        /// The import. Safe to print.
        global: String,
    },
    /// It holds a literal that may be a pickle itself.
    Nested {
        /// Where the literal's bytes start.
        offset: u64,
        /// How many they are.
        length: u64,
    },
    /// It hits a rule.
    Finding {
        /// The rule's id.
        rule: &'static str,
        /// The rule's points.
        points: u8,
        /// What was seen. Safe to print.
        message: String,
    },
}

/// How a listing ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// `stop`, `malformed`, `truncated` or `limit`.
    pub end: &'static str,
    /// The offset of the first byte that was not read.
    pub offset: u64,
    /// What the audit said about the place where it ended.
    pub notes: Vec<Note>,
}

/// A pickle of a source, and how it is read.
#[derive(Clone, Copy, Debug)]
pub struct Stream<'s> {
    /// The part that holds it: empty for the file itself.
    pub path: &'s str,
    /// Where it starts in that part.
    pub offset: u64,
    /// Its bytes and everything behind them.
    pub bytes: &'s [u8],
    /// How it is read, as its surroundings say.
    pub options: Options<'s>,
}

/// Hands on every pickle of a source, in the order in which the scan meets them, with the options
/// under which it judges them; of a joblib dump, joblib's own view.
pub fn streams(source: &Source, policy: &Policy, mut each: impl FnMut(&Stream<'_>)) {
    crate::scan::listen(source, policy, &mut each);
}

/// Lists a pickle, a row at a time. Offsets count from the start of its part.
///
/// `emit` returns whether it wants more; the pickle is read to its end either way.
pub fn trace(stream: &Stream<'_>, mut emit: impl FnMut(&Row) -> bool) -> Ended {
    let mut wanted = true;
    walk(stream, |at| {
        wanted = wanted && emit(&at.row());
    })
}

/// Where a walk stands: behind an instruction, or behind bytes between two.
struct At<'w> {
    /// Where that is, from the start of the part.
    offset: u64,
    make: &'w dyn Fn() -> Row,
}

impl At<'_> {
    /// The row of a listing. Making it takes much longer than getting here.
    fn row(&self) -> Row {
        (self.make)()
    }
}

/// Goes through a pickle from its start to its end.
fn walk(stream: &Stream<'_>, mut see: impl FnMut(&At<'_>)) -> Ended {
    let Stream { bytes: stream, offset: base, ref options, .. } = *stream;
    let heard = RefCell::new(Heard::default());
    let mut workspace = GrowingWorkspace::new(&options.limits);
    let mut expected = 0_u64;
    let mut listener = Listener { heard: &heard, base };
    let observer = |at: &Instruction<'_>, stack: &[Value], marks: &[usize]| {
        if at.offset > expected {
            let (offset, length) = (base.saturating_add(expected), at.offset - expected);
            see(&At { offset, make: &|| raw(offset, length, stack.len(), marks.len()) });
        }
        expected = at.end();
        let offset = base.saturating_add(at.offset);
        let mut heard = heard.borrow_mut();
        let make = || Row {
            offset,
            opcode: at.opcode.name(),
            length: as_u64(at.length),
            argument: argument(at),
            depth: as_u64(stack.len()),
            marks: as_u64(marks.len()),
            top: top(stream, stack, marks, &heard.globals),
            notes: heard.notes.clone(),
        };
        see(&At { offset, make: &make });
        heard.notes.clear();
    };
    let outcome = audit_observed(stream, options, &mut workspace, &mut listener, observer);
    let end = match outcome.end {
        End::Stop => "stop",
        End::Malformed => "malformed",
        End::Truncated => "truncated",
        End::Limit => "limit",
    };
    let offset = base.saturating_add(outcome.offset);
    Ended { end, offset, notes: heard.into_inner().notes }
}

/// What the sink has heard.
#[derive(Default)]
struct Heard {
    /// The name of every import so far.
    globals: Vec<String>,
    /// What was said since the last row.
    notes: Vec<Note>,
}

impl Heard {
    fn global(&self, import: u32) -> String {
        let index = usize::try_from(import).ok();
        let name = index.and_then(|index| self.globals.get(index));
        name.cloned().unwrap_or_else(|| "an import".to_owned())
    }
}

struct Listener<'h> {
    heard: &'h RefCell<Heard>,
    /// Where the stream starts in its part.
    base: u64,
}

impl Sink for Listener<'_> {
    fn import(&mut self, import: &ImportSeen<'_>) {
        let (module, name) = import.judgement.python3;
        let (class, family) = match import.judgement.class {
            Class::Allowed(_) => ("allowed", None),
            Class::Dangerous(family) => ("dangerous", Some(family.id)),
            Class::Unknown => ("unknown", None),
        };
        let global = dotted(import.module, import.name);
        let mut heard = self.heard.borrow_mut();
        heard.globals.push(global.clone());
        heard.notes.push(Note::Import { global, python3: dotted(module, name), class, family });
    }

    fn call(&mut self, import: u32, _offset: u64, _opcode: Opcode) {
        let mut heard = self.heard.borrow_mut();
        let global = heard.global(import);
        heard.notes.push(Note::Call { global });
    }

    fn finding(&mut self, finding: Finding<'_>) {
        let mut heard = self.heard.borrow_mut();
        let message = match finding.detail {
            Detail::Import(import) | Detail::Call(import, _) => {
                format!("{}: {}", heard.global(import), finding.detail)
            }
            other => other.to_string(),
        };
        let rule = finding.rule;
        heard.notes.push(Note::Finding { rule: rule.id(), points: rule.points(), message });
    }

    fn literal(&mut self, literal: Literal<'_>) {
        let length = as_u64(literal.data.len());
        let offset = self.base.saturating_add(literal.offset);
        self.heard.borrow_mut().notes.push(Note::Nested { offset, length });
    }
}

/// The row of bytes that joblib's unpickler takes from between two opcodes.
fn raw(offset: u64, length: u64, depth: usize, marks: usize) -> Row {
    Row {
        offset,
        opcode: "RAW",
        length,
        argument: format!("{length} bytes of an array"),
        depth: as_u64(depth),
        marks: as_u64(marks),
        top: Vec::new(),
        notes: Vec::new(),
    }
}

fn as_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> Stream<'_> {
        Stream { path: "", offset: 0, bytes, options: Options::default() }
    }

    fn rows(stream: &[u8]) -> (Vec<Row>, Ended) {
        let mut rows = Vec::new();
        let ended = trace(&whole(stream), |row| {
            rows.push(row.clone());
            true
        });
        (rows, ended)
    }

    #[test]
    fn rows_show_the_stack_behind_each_instruction() {
        let (rows, ended) = rows(b"cposix\nsystem\n(S'echo secure-torch'\ntR.");
        let seen: Vec<(&str, u64, u64, String)> =
            rows.iter().map(|row| (row.opcode, row.depth, row.marks, row.top.join(" "))).collect();
        assert_eq!(seen[0], ("GLOBAL", 1, 0, "posix.system".into()));
        assert_eq!(seen[1], ("MARK", 1, 1, "posix.system mark".into()));
        assert_eq!(seen[2], ("STRING", 2, 1, "posix.system mark 'echo secure-torch'".into()));
        assert_eq!(seen[3], ("TUPLE", 2, 0, "posix.system tuple(text)".into()));
        assert_eq!(seen[4], ("REDUCE", 1, 0, "posix.system(…)".into()));
        assert_eq!(seen[5], ("STOP", 0, 0, String::new()));
        assert_eq!((ended.end, ended.offset), ("stop", 39));
        assert!(
            matches!(&rows[0].notes[0], Note::Import { global, .. } if global == "posix.system")
        );
        assert!(rows[4].notes.iter().any(|note| matches!(note, Note::Call { .. })));
    }

    #[test]
    fn what_is_said_about_the_end_is_not_lost() {
        let (rows, ended) = rows(b"N\xff");
        assert_eq!(rows.len(), 1);
        assert_eq!((ended.end, ended.offset), ("malformed", 1));
        assert!(matches!(&ended.notes[..], [Note::Finding { rule: "pickle.malformed", .. }]));
    }

    #[test]
    fn rows_are_safe_to_print() {
        let (rows, _) = rows(b"X\x05\0\0\0\x1b[2Jx\x8c\x03\xe2\x80\xae.");
        let text: String =
            rows.iter().map(|row| format!("{}{:?}", row.argument, row.top)).collect();
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
    }

    #[test]
    fn every_pickle_in_a_row_is_listed_at_its_place() {
        let source = Source::from_bytes("two.pkl", b"\x80\x02}.\x80\x02]N.".to_vec());
        let mut seen = Vec::new();
        streams(&source, &Policy::default(), |stream| {
            let mut first = None;
            let ended = trace(stream, |row| {
                first.get_or_insert(row.offset);
                true
            });
            seen.push((stream.offset, first, ended.offset));
        });
        assert_eq!(seen, [(0, Some(0), 4), (4, Some(4), 9)]);
    }

    #[test]
    fn a_listing_can_end_early() {
        let mut seen = 0;
        let ended = trace(&whole(b"NNN."), |_| {
            seen += 1;
            false
        });
        assert_eq!((seen, ended.end), (1, "stop"));
    }
}
