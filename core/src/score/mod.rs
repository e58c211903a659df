//! From rules hit to a score, from a score to a level and a verdict.
//!
//! A rule gives its points once, however often it is hit, so a score depends on neither order
//! nor repetition and a set of rules is all that must be kept. This module does not find
//! anything, and it does not know why a rule was hit.

mod generated;

pub use generated::{BANDS, CAP, DEFAULT_MAX_THREAT_SCORE, Rule};

/// How grave a score is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Nothing was found.
    Safe,
    /// Worth a note.
    Low,
    /// Worth a look: the default gate lies inside this band.
    Medium,
    /// Not what an honest file looks like.
    High,
    /// An attack, or as good as one.
    Critical,
}

impl Level {
    /// The level of a score. A score above the cap is as grave as can be.
    #[must_use]
    pub fn of(score: u8) -> Self {
        BANDS
            .iter()
            .find(|(_, first, last)| (*first..=*last).contains(&score))
            .map_or(Self::Critical, |(level, _, _)| *level)
    }

    /// The name that reports print.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Safe => "SAFE",
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
            Self::Critical => "CRITICAL",
        }
    }
}

/// A set of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct RuleSet(u64);

impl RuleSet {
    /// No rule.
    pub const EMPTY: Self = Self(0);

    const fn bit(rule: Rule) -> u64 {
        1_u64.wrapping_shl(rule as u32)
    }

    /// Adds a rule; adding it again changes nothing.
    pub const fn insert(&mut self, rule: Rule) {
        self.0 |= Self::bit(rule);
    }

    /// Whether the rule is in the set.
    #[must_use]
    pub const fn contains(self, rule: Rule) -> bool {
        self.0 & Self::bit(rule) != 0
    }

    /// Whether no rule is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The rules of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The rules, in the order of the table.
    pub fn iter(self) -> impl Iterator<Item = Rule> {
        Rule::ALL.into_iter().filter(move |rule| self.contains(*rule))
    }
}

impl FromIterator<Rule> for RuleSet {
    fn from_iter<I: IntoIterator<Item = Rule>>(rules: I) -> Self {
        let mut set = Self::EMPTY;
        for rule in rules {
            set.insert(rule);
        }
        set
    }
}

impl Extend<Rule> for RuleSet {
    fn extend<I: IntoIterator<Item = Rule>>(&mut self, rules: I) {
        for rule in rules {
            self.insert(rule);
        }
    }
}

/// The threat score of the rules hit: the sum of their points, no higher than [`CAP`].
#[must_use]
pub fn score(rules: RuleSet) -> u8 {
    rules.iter().fold(0_u8, |sum, rule| sum.saturating_add(rule.points())).min(CAP)
}

/// Whether a file may be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It may.
    Allow,
    /// It may not.
    Block,
}

/// Lets scores through up to a maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gate {
    /// The highest score that passes.
    pub max_threat_score: u8,
}

impl Default for Gate {
    fn default() -> Self {
        Self { max_threat_score: DEFAULT_MAX_THREAT_SCORE }
    }
}

impl Gate {
    /// The verdict on a score.
    #[must_use]
    pub const fn verdict(self, score: u8) -> Verdict {
        if score > self.max_threat_score { Verdict::Block } else { Verdict::Allow }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Rules that alone do not block: signs that honest files carry too, each of which must
    /// meet another finding before the default gate shuts.
    const ALONE_ALLOWED: [&str; 12] = [
        // Only ever hit together with `pickle.global.unknown`, which blocks.
        "pickle.call.unknown",
        "pickle.persistent-id.unexpected",
        "pickle.trailing-data",
        "pickle.nested",
        "format.mismatch",
        "format.partial",
        "torchscript.code",
        "onnx.external-data",
        "metadata.code",
        "code.program",
        "repository.code",
        "trust.unsigned",
    ];

    #[test]
    fn every_other_rule_blocks_alone() {
        for rule in Rule::ALL {
            let alone = score(RuleSet::from_iter([rule]));
            let verdict = Gate::default().verdict(alone);
            let expected =
                if ALONE_ALLOWED.contains(&rule.id()) { Verdict::Allow } else { Verdict::Block };
            assert_eq!(verdict, expected, "{}", rule.id());
        }
    }

    #[test]
    fn unsigned_clean_checkpoints_pass() {
        let unsigned = score(RuleSet::from_iter([Rule::TrustUnsigned]));
        assert_eq!(Level::of(unsigned), Level::Low);
        assert_eq!(Gate::default().verdict(unsigned), Verdict::Allow);
        assert_eq!(Level::of(score(RuleSet::EMPTY)), Level::Safe);
    }

    #[test]
    fn a_dangerous_global_is_critical_and_an_unknown_one_is_blocked() {
        assert_eq!(Level::of(Rule::PickleGlobalDangerous.points()), Level::Critical);
        assert_eq!(Gate::default().verdict(Rule::PickleGlobalUnknown.points()), Verdict::Block);
    }

    #[test]
    fn the_gate_lies_inside_medium() {
        let max = Gate::default().max_threat_score;
        assert_eq!(max, 20);
        assert_eq!(
            (Level::of(16), Level::of(max), Level::of(21)),
            (Level::Medium, Level::Medium, Level::Medium)
        );
        assert_eq!(Gate::default().verdict(max), Verdict::Allow);
        assert_eq!(Gate::default().verdict(max + 1), Verdict::Block);
    }

    #[test]
    fn the_bands_partition_the_scores() {
        for score in 0..=CAP {
            let holding =
                BANDS.iter().filter(|(_, first, last)| (*first..=*last).contains(&score)).count();
            assert_eq!(holding, 1, "score {score}");
        }
        assert!(BANDS.is_sorted_by_key(|(level, first, _)| (*level, *first)));
        assert_eq!(Level::of(u8::MAX), Level::Critical);
    }

    #[test]
    fn ids_lead_back_to_their_rules() {
        for rule in Rule::ALL {
            assert_eq!(Rule::from_id(rule.id()), Some(rule));
            assert!(!rule.family().is_empty() && !rule.reason().is_empty());
            assert!(!rule.reference().is_empty());
        }
        assert_eq!(Rule::from_id("pickle.global"), None);
    }

    fn any_rules() -> impl Strategy<Value = Vec<Rule>> {
        prop::collection::vec(prop::sample::select(Rule::ALL.to_vec()), 0..40)
    }

    proptest! {
        #[test]
        fn levels_rise_with_scores(low in 0_u8..=CAP, high in 0_u8..=CAP) {
            prop_assume!(low <= high);
            prop_assert!(Level::of(low) <= Level::of(high));
        }

        #[test]
        fn a_new_rule_never_lowers_a_score(rules in any_rules(), more in any_rules()) {
            let few: RuleSet = rules.iter().copied().collect();
            let all = few.union(more.iter().copied().collect());
            prop_assert!(score(all) >= score(few));
            prop_assert!(score(all) <= CAP);
        }

        #[test]
        fn order_and_repetition_change_nothing(rules in any_rules()) {
            let once: RuleSet = rules.iter().copied().collect();
            let again: RuleSet = rules.iter().rev().chain(&rules).copied().collect();
            prop_assert_eq!(once, again);
            prop_assert_eq!(score(once), score(again));
        }

        #[test]
        fn a_score_is_the_naive_sum(rules in any_rules()) {
            let mut seen: Vec<Rule> = rules.clone();
            seen.sort_unstable();
            seen.dedup();
            let sum: u32 = seen.iter().map(|rule| u32::from(rule.points())).sum();
            prop_assert_eq!(u32::from(score(rules.into_iter().collect())), sum.min(u32::from(CAP)));
        }
    }
}
