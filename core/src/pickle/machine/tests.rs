//! The machine by itself, over a domain whose values are numbers.
#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

extern crate std;

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::pickle::decode::{Step, decode};
use crate::pickle::store::Fixed;

/// Values are the offsets of the instructions that made them; faults end the run.
#[derive(Default)]
struct Offsets {
    /// How many values were handed over in slices.
    handed: usize,
    lenient: bool,
}

type Out<V> = Result<V, Fault>;

impl<'a> Domain<'a> for Offsets {
    type Value = u64;
    type Error = Fault;

    fn fault(&mut self, at: &Instruction<'a>, fault: Fault) -> Out<u64> {
        if self.lenient { Ok(at.offset) } else { Err(fault) }
    }

    fn divergent(&mut self, _: &Instruction<'a>) -> Out<()> {
        Ok(())
    }

    fn literal(&mut self, at: &Instruction<'a>) -> Out<u64> {
        Ok(at.offset)
    }

    fn global(&mut self, at: &Instruction<'a>, _: &'a [u8], _: &'a [u8]) -> Out<u64> {
        Ok(at.offset)
    }

    fn stack_global(&mut self, at: &Instruction<'a>, _: u64, _: u64) -> Out<u64> {
        Ok(at.offset)
    }

    fn extension(&mut self, at: &Instruction<'a>, _: i64) -> Out<u64> {
        Ok(at.offset)
    }

    fn persistent(&mut self, at: &Instruction<'a>, _: Option<u64>) -> Out<u64> {
        Ok(at.offset)
    }

    fn call(&mut self, at: &Instruction<'a>, _: u64, arguments: Arguments<'_, u64>) -> Out<u64> {
        if let Arguments::Items(items) = arguments {
            self.handed += items.len();
        }
        Ok(at.offset)
    }

    fn build(&mut self, _: &Instruction<'a>, object: u64, _: u64) -> Out<u64> {
        Ok(object)
    }

    fn collect(&mut self, at: &Instruction<'a>, items: &[u64]) -> Out<u64> {
        self.handed += items.len();
        Ok(at.offset)
    }

    fn extend(&mut self, _: &Instruction<'a>, _: u64, items: &[u64]) -> Out<()> {
        self.handed += items.len();
        Ok(())
    }
}

/// Runs a stream to `STOP`, to a fault or to its end; the value, and the stack that is left.
fn run(stream: &[u8], domain: &mut Offsets) -> (Out<Option<u64>>, Vec<u64>) {
    let (mut stack, mut marks, mut memo) = (vec![0; 600], vec![0; 100], vec![None; 600]);
    let mut stack = Fixed::new(&mut stack);
    let mut marks = Fixed::new(&mut marks);
    let mut memo = Fixed::new(&mut memo);
    let mut machine = Machine::new(&mut stack, &mut marks, &mut memo, 256);
    let mut at = 0;
    let result = loop {
        let Ok(Step::Instruction(instruction)) = decode(&stream[at..], at as u64) else {
            break Ok(None);
        };
        at += instruction.length;
        match machine.execute(&instruction, domain) {
            Ok(Flow::Next) => {}
            Ok(Flow::Stop(value)) => break Ok(Some(value)),
            Ok(Flow::Halt) => break Ok(None),
            Err(fault) => break Err(fault),
        }
    };
    (result, machine.stack().to_vec())
}

fn value(stream: &[u8]) -> Out<Option<u64>> {
    run(stream, &mut Offsets::default()).0
}

#[test]
fn values_move_as_in_cpython() {
    // DUP, POP, and POP of a mark.
    assert_eq!(value(b"NK\x012."), Ok(Some(1)));
    assert_eq!(value(b"NK\x010."), Ok(Some(0)));
    assert_eq!(value(b"N(0."), Ok(Some(0)));
    assert_eq!(value(b"N(NN1."), Ok(Some(0)));
    // PUT 5, then MEMOIZE, fills index 1; PUT over an index does not count twice.
    assert_eq!(value(b"NK\x01p5\n0K\x02\x940h\x01."), Ok(Some(7)));
    assert_eq!(value(b"Nq\x00K\x01q\x00K\x02\x940h\x00."), Ok(Some(3)));
    assert_eq!(value(b"NK\x01r\x07\0\0\x000g7\n."), Ok(Some(1)));
}

#[test]
fn what_lies_below_a_mark_is_out_of_reach() {
    for stream in [&b"N(2"[..], b"N(\x85", b"NN(R", b"N(b", b"NN(\x93", b"N(.", b"N(q\x00", b"N(Q"]
    {
        assert_eq!(value(stream), Err(Fault::StackUnderflow), "{stream:?}");
    }
    // The container must lie between the two marks.
    assert_eq!(value(b"]((Ne"), Err(Fault::StackUnderflow));
}

#[test]
fn faults_have_their_names() {
    assert_eq!(value(b"t"), Err(Fault::NoMark));
    assert_eq!(value(b"h\x00"), Err(Fault::MissingMemo));
    assert_eq!(value(b"gx\n"), Err(Fault::BadMemoIndex));
    assert_eq!(value(b"Np-1\n"), Err(Fault::BadMemoIndex));
    assert_eq!(value(b"(Nd"), Err(Fault::OddItems));
    assert_eq!(value(b"}(Nu"), Err(Fault::OddItems));
    assert_eq!(value(b"\x80\x06"), Err(Fault::UnknownProtocol));
    assert_eq!(value(b"Nr\0\x01\0\0"), Err(Fault::MemoLimit));
    assert_eq!(value(&b"N".repeat(601)), Err(Fault::StackLimit));
    assert_eq!(value(&b"(".repeat(101)), Err(Fault::MarkLimit));
}

proptest! {
    /// Whatever the stream, no value is handed over more often than values were pushed, so the
    /// work is linear in the number of instructions.
    #[test]
    fn values_are_handed_over_once(picks in proptest::collection::vec(any::<u8>(), 0..400)) {
        const PARTS: &[u8] = b"N(012)]}tldaesubRo.\x85\x86\x87\x81\x8f\x90\x91\x92\x93\x94Q";
        let stream: Vec<u8> =
            picks.iter().map(|&pick| PARTS[usize::from(pick) % PARTS.len()]).collect();
        let mut domain = Offsets { lenient: true, ..Offsets::default() };
        let (_, left) = run(&stream, &mut domain);
        prop_assert!(domain.handed + left.len() <= stream.len());
    }
}
