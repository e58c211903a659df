extern crate std;

use super::*;
use crate::format::event::Event;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

static LEAF: Shape = Shape { fields: &[Kind::Inline(4), Kind::Text] };
static NODE: Shape = Shape {
    fields: &[
        Kind::Tables(&NODE),
        Kind::Texts,
        Kind::Inline(1),
        Kind::Union(&[Kind::Table(&LEAF), Kind::Structure(8)]),
        Kind::Vector(8),
        Kind::Any,
    ],
};

/// What the walk reports, and how many tables it visits.
fn walked(bytes: &[u8], limits: &Limits) -> (Vec<&'static str>, usize) {
    let (mut ids, mut tables) = (Vec::new(), 0);
    walk(
        bytes,
        &NODE,
        limits,
        &mut |event| {
            if let Event::Anomaly(anomaly) = event {
                ids.push(anomaly.id);
            }
        },
        &mut |_, _, _| tables += 1,
    );
    (ids, tables)
}

/// A table whose fields all lead forwards, written by hand: `slots` of four bytes each, and
/// behind them what they lead to.
fn table(slots: &[(u16, [u8; 4])], rest: &[u8]) -> Vec<u8> {
    let count = slots.iter().map(|&(slot, _)| slot + 1).max().unwrap_or(0);
    let vtable = 4 + 2 * count;
    let mut out = vec![];
    out.extend((8 + u32::from(vtable)).to_le_bytes());
    out.extend(b"TEST");
    out.extend(vtable.to_le_bytes());
    out.extend((4 + 4 * slots.len() as u16).to_le_bytes());
    let mut places = vec![0_u16; count.into()];
    for (at, (slot, _)) in (4..).step_by(4).zip(slots) {
        places[usize::from(*slot)] = at;
    }
    out.extend(places.iter().flat_map(|place| place.to_le_bytes()));
    out.extend(u32::from(vtable).to_le_bytes());
    out.extend(slots.iter().flat_map(|&(_, value)| value));
    out.extend(rest);
    out
}

fn one(slot: u16, offset: u32, rest: &[u8]) -> (Vec<&'static str>, usize) {
    walked(&table(&[(slot, offset.to_le_bytes())], rest), &Limits::DEFAULT)
}

#[test]
fn a_root_is_a_table_inside_the_file() {
    assert_eq!(walked(&table(&[], b""), &Limits::DEFAULT), (vec![], 1));
    assert_eq!(walked(b"", &Limits::DEFAULT), (vec!["flatbuffer-root"], 0));
    assert_eq!(walked(&[0xff; 40], &Limits::DEFAULT), (vec!["flatbuffer-root"], 0));
    let whole = table(&[(0, [1, 0, 0, 0])], b"");
    assert_eq!(walked(&whole[..whole.len() - 1], &Limits::DEFAULT).1, 0);
    assert!(is_flatbuffer(&whole, |found| found == b"TEST"));
    assert!(!is_flatbuffer(&whole, |found| found == b"TFL3"));
}

#[test]
fn offsets_lead_forwards_and_stay_inside() {
    let empty = [0; 4];
    assert_eq!(one(0, 4, &empty), (vec![], 1));
    assert_eq!(one(0, 0, &empty), (vec!["flatbuffer-offset"], 1));
    assert_eq!(one(0, 8, &empty), (vec!["flatbuffer-offset"], 1));
    assert_eq!(one(0, 0xffff_fff0, &empty), (vec!["flatbuffer-offset"], 1));
    assert_eq!(one(5, 4, &empty).0, ["flatbuffer-table"]);
    assert_eq!(one(4, 4, b"\x01\0\0\0").0, ["flatbuffer-vector"]);
    assert_eq!(one(4, 4, b"\xff\xff\xff\xff12345678").0, ["flatbuffer-vector"]);
    assert_eq!(one(4, 4, b"\x01\0\0\x0012345678"), (vec![], 1));
}

#[test]
fn texts_end_with_a_zero() {
    let texts = |text: &[u8]| {
        let vector = [&[1, 0, 0, 0, 4, 0, 0, 0], text].concat();
        one(1, 4, &vector).0
    };
    assert!(texts(b"\x02\0\0\0hi\0").is_empty());
    assert_eq!(texts(b"\x02\0\0\0hi!"), ["flatbuffer-text"]);
    assert_eq!(texts(b"\x02\0\0\0hi"), ["flatbuffer-text"]);
    assert_eq!(texts(b"\xff\0\0\0hi\0"), ["flatbuffer-text"]);
}

#[test]
fn a_union_is_what_the_slot_before_says() {
    let union = |chosen: u8| {
        let slots = [(2, [chosen, 0, 0, 0]), (3, 4_u32.to_le_bytes())];
        walked(&table(&slots, &[0xff; 4]), &Limits::DEFAULT)
    };
    assert_eq!(union(0), (vec![], 1));
    assert_eq!(union(1), (vec!["flatbuffer-table"], 1));
    assert_eq!(union(2), (vec!["flatbuffer-offset"], 1));
    assert_eq!(union(3), (vec![], 1));
}

#[test]
fn fields_lie_inside_their_table() {
    for place in [2_u16, 5, 0x7fff] {
        let mut bytes = table(&[(0, [4, 0, 0, 0])], &[0; 4]);
        bytes[12..14].copy_from_slice(&place.to_le_bytes());
        assert_eq!(walked(&bytes, &Limits::DEFAULT), (vec!["flatbuffer-field"], 1));
    }
}

/// A table whose `width` items are all the next such table, `steps` times.
fn doubling(width: u32, steps: u32) -> Vec<u8> {
    // Vtable of one slot, then for each step a table and a vector right behind it.
    let mut out = vec![];
    out.extend(14_u32.to_le_bytes());
    out.extend(b"TEST");
    out.extend([6, 0, 8, 0, 4, 0]);
    for step in 0..steps {
        let at = out.len() as u32;
        out.extend((at - 8).to_le_bytes());
        out.extend(4_u32.to_le_bytes());
        let items = if step + 1 == steps { 0 } else { width };
        out.extend(items.to_le_bytes());
        for item in 0..items {
            out.extend((4 * (items - item)).to_le_bytes());
        }
    }
    out
}

#[test]
fn shared_tables_are_not_followed_forever() {
    assert_eq!(walked(&doubling(2, 3), &Limits::DEFAULT), (vec![], 7));
    assert_eq!(walked(&doubling(2, 40), &Limits::DEFAULT).0, ["flatbuffer-sharing"]);
    assert_eq!(walked(&doubling(1, 100), &Limits::DEFAULT).0, ["flatbuffer-depth"]);
    let mut few = Limits::DEFAULT;
    few.format.objects = 6;
    assert_eq!(walked(&doubling(2, 3), &few).0, ["flatbuffer-objects"]);
}

proptest! {
    #[test]
    fn broken_bytes_end_within_the_limits(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = doubling(2, 6);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len()) + 1);
        let (_, tables) = walked(&bytes, &Limits::DEFAULT);
        prop_assert!(tables <= 1 + bytes.len() * 64 / 4);
    }
}
