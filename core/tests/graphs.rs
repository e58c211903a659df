//! Readers of graphs over the vectors' bytes and over broken ones: one reader for each honest file,
//! and an end within the limits for every other.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "an overflow or a panic fails the test"
)]

use proptest::prelude::*;
use secure_torch_core::format::READERS;
use secure_torch_core::format::detect::Format;
use secure_torch_core::format::event::{Event, Reader};
use secure_torch_core::limits::Limits;

/// The inputs of two groups of vectors: name, and bytes.
fn inputs() -> Vec<(String, Vec<u8>)> {
    let mut inputs = vec![];
    for group in ["graphs", "mobile"] {
        let path = format!("{}/../spec/vectors/{group}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        for vector in text.split("\"id\": \"").skip(1) {
            let id = vector.split('"').next().unwrap();
            let Some(input) = vector.split("\"input\": \"").nth(1) else { continue };
            inputs.push((id.to_owned(), base64(input.split('"').next().unwrap())));
        }
    }
    inputs
}

fn base64(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut held) = (vec![], 0_u32, 0);
    for byte in text.bytes().filter(|&byte| byte != b'=') {
        let value = alphabet.iter().position(|&other| other == byte).unwrap();
        bits = bits << 6 | value as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    out
}

fn accepting(bytes: &[u8]) -> Vec<&'static Reader> {
    READERS.iter().filter(|reader| (reader.accepts)(bytes)).collect()
}

#[test]
fn every_graph_has_one_reader() {
    let inputs = inputs();
    let benign: Vec<_> = inputs.iter().filter(|(id, _)| id.starts_with("benign-")).collect();
    assert!(benign.len() > 10, "{} vectors", benign.len());
    for (id, bytes) in benign {
        assert_eq!(accepting(bytes).len(), 1, "{id}");
    }
}

/// The readers whose vectors these are.
const OWN: [Format; 7] = [
    Format::SavedModel,
    Format::CoreMl,
    Format::Paddle,
    Format::TfLite,
    Format::ExecuTorch,
    Format::TorchMobile,
    Format::OpenVino,
];

#[test]
fn every_one_of_them_is_a_reader() {
    assert!(OWN.iter().all(|own| READERS.iter().any(|reader| reader.format == *own)));
}

/// Has each of them walk the bytes, accepted or not, and checks what it hands out.
fn walk(bytes: &[u8]) {
    let length = bytes.len() as u64;
    for reader in READERS.iter().filter(|reader| OWN.contains(&reader.format)) {
        (reader.accepts)(bytes);
        (reader.read)(bytes, &Limits::DEFAULT, &mut |event| match event {
            Event::Anomaly(anomaly) => assert!(anomaly.offset <= length, "{anomaly:?}"),
            Event::Member { offset, bytes: inner, .. } => {
                let start = usize::try_from(offset).unwrap();
                assert_eq!(bytes.get(start..start + inner.len()), Some(inner));
            }
            _ => {}
        });
    }
}

#[test]
fn every_reader_ends_on_every_vector() {
    for (_, bytes) in inputs() {
        walk(&bytes);
        for cut in 0..bytes.len().min(200) {
            walk(&bytes[..cut]);
        }
    }
}

proptest! {
    #[test]
    fn broken_graphs_end_within_the_limits(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let inputs = inputs();
        let mut bytes = which.get(&inputs).1.clone();
        if !bytes.is_empty() {
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        walk(&bytes);
    }
}
