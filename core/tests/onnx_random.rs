//! ONNX models, whole and broken: what counts as one, and that no change of one goes unseen.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "a test may fail loudly"
)]

use proptest::prelude::*;
use secure_torch_core::format::event::{Anomaly, Event};
use secure_torch_core::format::onnx::{Violation, accepts, read};
use secure_torch_core::limits::Limits;
use secure_torch_core::score::Rule;

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A field of bytes.
fn run(number: u64, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [varint(number << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

/// A field that is a number.
fn int(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

fn node(operator: &str, domain: &str, more: &[u8]) -> Vec<u8> {
    let ends = [run(1, "x"), run(2, "y"), run(4, operator), run(7, domain)].concat();
    run(1, [&ends, more].concat())
}

fn import(domain: &str, version: u64) -> Vec<u8> {
    run(8, [run(1, domain), int(2, version)].concat())
}

/// An attribute that holds a graph.
fn branch(graph: &[u8]) -> Vec<u8> {
    run(5, [run(1, "then_branch"), run(6, graph), int(20, 5)].concat())
}

fn value(number: u64, name: &str) -> Vec<u8> {
    let shape = run(2, run(1, int(1, 2)));
    run(number, [run(1, name), run(2, run(1, [int(1, 1), shape].concat()))].concat())
}

fn model(content: &[u8]) -> Vec<u8> {
    let ends = [run(2, "graph"), value(11, "x"), value(12, "y")].concat();
    let graph = run(7, [content, &ends].concat());
    [int(1, 8), run(2, "test"), graph, import("", 18), import("somebody", 1)].concat()
}

/// A model with one of most things.
fn rich() -> Vec<u8> {
    let raw = run(9, [0; 8]);
    let tensor = [int(1, 2), int(2, 1), run(8, "w"), raw].concat();
    let keys = [run(1, "location"), run(2, "w.bin")].concat();
    let outside = [int(1, 2), int(2, 1), run(8, "v"), run(13, keys), int(14, 1)].concat();
    let graph = [node("Neg", "", &[]), run(5, outside)].concat();
    let entry = [run(1, "author"), run(2, "somebody")].concat();
    [model(&[node("If", "", &branch(&graph)), run(5, tensor)].concat()), run(14, entry)].concat()
}

#[derive(Debug, Default)]
struct Seen {
    rules: Vec<Rule>,
    ids: Vec<&'static str>,
    events: usize,
}

fn walk(bytes: &[u8]) -> Seen {
    let mut seen = Seen::default();
    read(bytes, &Limits::DEFAULT, &mut |event| {
        seen.events += 1;
        if let Event::Anomaly(Anomaly { rule, id, offset, .. }) = event {
            assert!(offset <= bytes.len() as u64, "{id} at {offset}");
            seen.rules.push(rule);
            seen.ids.push(id);
        }
    });
    seen
}

fn structure(bytes: &[u8]) -> bool {
    walk(bytes).rules.contains(&Rule::OnnxStructure)
}

#[test]
fn a_rich_model_is_sound() {
    let bytes = rich();
    assert!(accepts(&bytes));
    assert_eq!(walk(&bytes).ids, [Violation::ExternalInside.id()]);
}

/// No single byte makes the reader lose a model without a word.
#[test]
fn every_byte_changed_to_every_other() {
    let whole = rich();
    assert!(whole.len() < 400, "{}", whole.len());
    let (mut sound, mut broken) = (0, 0);
    for at in 0..whole.len() {
        for byte in 0..=u8::MAX {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            let reported = structure(&bytes);
            assert!(accepts(&bytes) || reported, "byte {at} as {byte:#04x}");
            sound += usize::from(!reported);
            broken += usize::from(reported);
        }
    }
    assert!(sound > 1000 && broken > 1000, "{sound} sound, {broken} broken");
}

#[test]
fn every_cut_is_reported_and_most_are_still_called_onnx() {
    let whole = rich();
    let mut claimed = 0;
    // Where one of the last two fields starts, what is left is a model with less in it.
    let metadata = whole.len() - run(14, [run(1, "author"), run(2, "somebody")].concat()).len();
    let less = [metadata, metadata - import("somebody", 1).len()];
    for end in 0..whole.len() {
        let bytes = &whole[..end];
        assert_eq!(structure(bytes), !less.contains(&end), "cut at {end}");
        claimed += usize::from(accepts(bytes));
    }
    assert!(claimed * 10 > whole.len() * 8, "{claimed} of {}", whole.len());
}

#[test]
fn operators_are_found_as_deep_as_messages_nest() {
    let nest = |depth: usize| {
        let inner = node("Run", "somebody", &[]);
        (0..depth).fold(inner, |graph, _| node("If", "", &branch(&graph)))
    };
    // The graph is one message deep; each level adds a node, an attribute and a graph.
    for depth in [0, 1, 2, 10, 32] {
        let bytes = model(&nest(depth));
        assert_eq!(walk(&bytes).ids, [Violation::DomainCustom.id()], "{depth} deep");
    }
    for depth in [33, 40, 200] {
        let bytes = model(&nest(depth));
        assert!(walk(&bytes).ids.contains(&Violation::Depth.id()), "{depth} deep");
    }
}

#[test]
fn other_protobuf_is_not_claimed() {
    let layers = run(500, run(1, run(1, run(1, "layer"))));
    let coreml = [int(1, 4), run(2, run(1, run(1, "input"))), layers].concat();
    let meta_graph = run(2, [run(1, run(4, "serve")), run(2, run(1, run(1, "x")))].concat());
    let saved_model = [int(1, 1), meta_graph].concat();
    let graph_def = [run(1, [run(1, "x"), run(2, "Placeholder")].concat()), run(4, int(1, 27))];
    let paddle = [run(1, [int(1, 0), int(2, u64::MAX)].concat()), run(4, int(1, 0))].concat();
    let pieces = run(1, [run(1, "<unk>"), vec![0x15, 0, 0, 0, 0], int(3, 2)].concat());
    let tensor = [int(1, 2), int(2, 1), run(8, "w"), run(9, [0; 8])].concat();
    for bytes in [coreml, saved_model, graph_def.concat(), paddle, pieces, tensor] {
        assert!(!accepts(&bytes));
        for end in 0..bytes.len() {
            assert!(!accepts(&bytes[..end]));
        }
    }
}

#[test]
fn many_messages_end_the_walk() {
    let mut limits = Limits::DEFAULT;
    limits.format.objects = 100;
    let bytes = model(&node("Neg", "", &[]).repeat(200));
    let mut ids = Vec::new();
    read(&bytes, &limits, &mut |event| {
        if let Event::Anomaly(anomaly) = event {
            ids.push(anomaly.id);
        }
    });
    assert_eq!(ids, [Violation::TooManyMessages.id()]);
}

proptest! {
    #[test]
    fn anything_is_walked_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let seen = walk(&bytes);
        prop_assert!(seen.events <= 8 * bytes.len() + 8);
        // Nothing is claimed that has not one thing of a model.
        prop_assert!(!accepts(&bytes) || bytes.contains(&0x3a) || bytes.contains(&0x42));
    }

    #[test]
    fn text_is_not_claimed(text in "[ -~\n\t]{0,400}") {
        prop_assert!(!accepts(text.as_bytes()));
    }

    #[test]
    fn several_changes_are_walked_to_an_end(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut bytes = rich();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let seen = walk(&bytes);
        prop_assert!(seen.events <= 8 * bytes.len());
    }
}
