//! The vectors, damaged: whatever the bytes, a report comes out that agrees with itself.

#[path = "common/content.rs"]
mod content;
#[path = "common/damage.rs"]
mod damage;
#[path = "common/files.rs"]
mod files;
#[path = "common/numbers.rs"]
mod numbers;

use damage::damage;
use files::files;
use numbers::Numbers;
use secure_torch::core::score::{CAP, Gate, Level};
use secure_torch::{Policy, Source, scan};

#[test]
fn damaged_vectors_are_judged_without_panic() {
    let mut numbers = Numbers::seeded(0x5eed_0001);
    let inputs = files(1 << 16);
    let policy = Policy::default();
    for _ in 0..20_000 {
        let (_, name, bytes) = &inputs[numbers.below(inputs.len())];
        let (_, _, other) = &inputs[numbers.below(inputs.len())];
        let mut bytes = bytes.clone();
        for _ in 0..=numbers.below(3) {
            damage(&mut numbers, &mut bytes, other);
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
