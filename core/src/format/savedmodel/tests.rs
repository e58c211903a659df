extern crate std;

use super::*;
use crate::format::testing;
use std::vec;
use std::vec::Vec;

/// A field of bytes shorter than 128, of a number below 16.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap();
    [&[number << 3 | 2, length], bytes].concat()
}

fn node(name: &[u8], operator: &[u8]) -> Vec<u8> {
    [field(1, name), field(2, operator)].concat()
}

fn ids(bytes: &[u8]) -> Vec<&'static str> {
    testing::ids(read, bytes)
}

#[test]
fn each_kind_is_told_by_its_fields() {
    let graph = field(1, &node(b"a", b"NoOp"));
    let meta = field(2, &graph);
    let saved = [&b"\x08\x01"[..], &field(2, &meta)].concat();
    let library = field(2, &field(1, &field(3, &node(b"a", b"NoOp"))));
    let keras = field(1, &[field(4, b"_tf_keras_layer"), field(5, b"{}")].concat());
    let fingerprint = b"\x08\x01\x10\x02\x18\x03\x20\x04\x32\x02\x10\x01";
    for whole in [&graph[..], &meta, &saved, &library, &keras, fingerprint] {
        assert!(accepts(whole), "{whole:?}");
        assert_eq!(ids(whole), ["tensorflow-partial"]);
        assert!(!accepts(&whole[..whole.len() - 1]), "{whole:?}");
    }
    for other in [
        &b""[..],
        b"\x08\x01",
        // A node without a name, one whose inputs are messages, one whose attributes are texts.
        &field(1, &field(2, b"NoOp")),
        &field(1, &[node(b"a", b"NoOp"), field(3, b"\x0a\0")].concat()),
        &field(1, &[node(b"a", b"NoOp"), field(5, b"text")].concat()),
        &field(1, &node(b"a", b"two words")),
        b"\x08\x01\x10\x02\x18\x03\x20\x04\x38\x01",
    ] {
        assert!(!accepts(other), "{other:?}");
    }
}

#[test]
fn operators_are_found_wherever_they_stand() {
    let bad = node(b"a", b"WriteFile");
    let attribute = |value: &[u8]| {
        let entry = [field(1, b"f"), field(2, value)].concat();
        field(1, &[node(b"a", b"NoOp"), field(5, &entry)].concat())
    };
    let function = field(1, b"WriteFile");
    for graph in [
        field(1, &bad),
        field(2, &field(1, &field(3, &bad))),
        attribute(&field(10, &function)),
        attribute(&field(1, &field(9, &function))),
    ] {
        let graph = [field(1, &node(b"a", b"NoOp")), graph].concat();
        assert_eq!(ids(&graph), ["tensorflow-operator", "tensorflow-partial"]);
        assert_eq!(ids(&field(2, &graph)), ["tensorflow-operator", "tensorflow-partial"]);
    }
}

#[test]
fn nodes_are_counted() {
    let graph = field(1, &node(b"a", b"NoOp")).repeat(3);
    let mut limits = Limits::DEFAULT;
    limits.format.objects = 2;
    let mut ids = vec![];
    read(&graph, &limits, &mut |event| {
        if let Event::Anomaly(anomaly) = event {
            ids.push(anomaly.id);
        }
    });
    assert_eq!(ids, ["tensorflow-objects", "tensorflow-partial"]);
}
