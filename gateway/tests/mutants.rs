//! The vectors, damaged: whatever the bytes, a report comes out that agrees with itself.

use std::fs;
use std::path::PathBuf;

use base64::Engine;
use secure_torch::core::score::{CAP, Gate, Level};
use secure_torch::{Policy, Source, scan};

/// A small generator of repeatable numbers (Marsaglia's xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    /// One change to the bytes: a bit, a byte, a cut, a repetition, or a piece of another input.
    fn damage(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        if bytes.is_empty() {
            bytes.extend(other);
            return;
        }
        let at = self.below(bytes.len());
        match self.below(6) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = self.below(256) as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..(at + self.below(16)).min(bytes.len()))),
            4 => {
                let piece = bytes[at..(at + self.below(64)).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            _ if other.is_empty() => {}
            _ => {
                let from = self.below(other.len());
                let piece = &other[from..(from + self.below(256)).min(other.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
}

/// Every vector's name and bytes, the long ones left out.
fn inputs() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors");
    let mut inputs = Vec::new();
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "json")) {
        let document: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        for vector in document["vectors"].as_array().into_iter().flatten() {
            if let Some(input) = vector["input"].as_str() {
                let bytes = base64::engine::general_purpose::STANDARD.decode(input).unwrap();
                inputs.push((vector["name"].as_str().unwrap().to_owned(), bytes));
            }
        }
    }
    assert!(inputs.len() > 400);
    inputs
}

#[test]
fn damaged_vectors_are_judged_without_panic() {
    let seed = match std::env::var("SECURE_TORCH_SEED").as_deref() {
        Err(_) => 0x5eed_0001,
        Ok("random") => std::time::UNIX_EPOCH.elapsed().unwrap().as_secs(),
        Ok(seed) => seed.parse().expect("a number, or `random`"),
    };
    println!("SECURE_TORCH_SEED={seed}");
    let mut numbers = Numbers(seed);
    let inputs = inputs();
    let policy = Policy::default();
    for _ in 0..20_000 {
        let (name, bytes) = &inputs[numbers.below(inputs.len())];
        let (_, other) = &inputs[numbers.below(inputs.len())];
        let mut bytes = bytes.clone();
        for _ in 0..=numbers.below(3) {
            numbers.damage(&mut bytes, other);
        }
        let report = scan(&Source::from_bytes(name, bytes), &policy);
        let sum: u32 = report.score_breakdown.values().map(|&points| u32::from(points)).sum();
        assert_eq!(u32::from(report.threat_score), sum.min(CAP.into()));
        assert_eq!(report.threat_level, Level::of(report.threat_score));
        assert_eq!(report.verdict, Gate::default().verdict(report.threat_score));
        for finding in &report.findings {
            assert_eq!(report.score_breakdown.get(finding.rule), Some(&finding.points));
            assert!(finding.count > 0 && !finding.message.contains(char::is_control));
            assert!(!finding.subject.contains(char::is_control));
        }
        assert!(report.json().starts_with("{\"path\":"));
    }
}
