//! What to do next, in one or two sentences that follow from the findings.
//!
//! Advice never talks anybody into loading an attack: where something dangerous was found, no
//! switch that would let the file through is named. A command is only suggested with names
//! that are safe to paste into a shell.

use std::collections::BTreeSet;

use secure_torch::core::score::{DEFAULT_MAX_THREAT_SCORE, Rule};
use secure_torch::{Policy, Report};

/// How many `--allow` switches are worth writing out.
const SWITCHES: usize = 6;

/// What is done to us on purpose: no honest exporter writes these.
const ATTACKS: [Rule; 6] = [
    Rule::PickleGlobalDangerous,
    Rule::PickleGlobalUnresolvable,
    Rule::PickleDivergent,
    Rule::PickleExtension,
    Rule::PickleCallShape,
    Rule::NativeCode,
];

/// What an allowed global takes with it out of the score.
const OF_UNKNOWN: [Rule; 3] =
    [Rule::PickleGlobalUnknown, Rule::PickleCallUnknown, Rule::PickleGlobalDotted];

/// What a broken download looks like.
const BROKEN: [Rule; 3] = [Rule::PickleTruncated, Rule::PickleMalformed, Rule::ArchiveCorrupt];

/// What makes readers disagree, or unpackers suffer.
const HOSTILE_ARCHIVE: [Rule; 5] = [
    Rule::ArchiveAmbiguous,
    Rule::ArchiveTraversal,
    Rule::ArchiveBomb,
    Rule::ArchiveEncrypted,
    Rule::FormatPolyglot,
];

/// A step of an advice.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Sentences.
    Say(String),
    /// A command to run, line by line, whole and safe to paste.
    Run(Vec<String>),
}

/// The steps for a report.
pub(crate) fn advice(report: &Report, policy: &Policy) -> Vec<Step> {
    if report.load_allowed() { vec![Step::Say(allowed(report))] } else { blocked(report, policy) }
}

fn allowed(report: &Report) -> String {
    if report.threat_score > DEFAULT_MAX_THREAT_SCORE {
        return format!(
            "It is let through because the maximum score was raised: {DEFAULT_MAX_THREAT_SCORE} \
             would block it. Load it only where its findings do no harm."
        );
    }
    let hit = |rule: Rule| report.score_breakdown.contains_key(rule.id());
    let mut sentences = vec!["It may be loaded.".to_owned()];
    if hit(Rule::TrustUnsigned) {
        sentences.push(
            "Nobody has signed it: what it holds was judged, and who made it was not.".to_owned(),
        );
    } else if hit(Rule::FormatMismatch) {
        sentences.push(
            "Give it a name that says what it is, so that no tool reads it as something else."
                .to_owned(),
        );
    } else if !report.findings.is_empty() {
        sentences.push("Look through the findings: they are too few to block it.".to_owned());
    }
    sentences.join(" ")
}

fn blocked(report: &Report, policy: &Policy) -> Vec<Step> {
    let hit = |rules: &[Rule]| rules.iter().any(|r| report.score_breakdown.contains_key(r.id()));
    match grave(hit) {
        Some(sentences) => vec![Step::Say(sentences.to_owned())],
        None if hit(&OF_UNKNOWN) => unknown(report, policy),
        None if hit(&[Rule::TorchscriptCode]) => vec![
            Step::Say(
                "It is a TorchScript program: loading it imports nothing, and its code runs, \
                 inside TorchScript's interpreter, when the model runs. If you trust its source, \
                 raise the maximum for this file alone:"
                    .to_owned(),
            ),
            Step::Run(command(&[format!("--max-threat-score {}", report.threat_score)], report)),
        ],
        None => vec![Step::Say(
            "Read the findings above. `--max-threat-score` lets the file through without judging \
             it any further, so raise it only for a file whose findings you can explain."
                .to_owned(),
        )],
    }
}

/// What to do where more than unknown globals stands in the way.
fn grave(hit: impl Fn(&[Rule]) -> bool) -> Option<&'static str> {
    if hit(&ATTACKS) {
        return Some(
            "Do not load this file, with any tool and in any environment that matters. Keep it \
             as evidence, report it to the place that it came from, and ask the publisher for \
             the weights as safetensors.",
        );
    }
    if hit(&HOSTILE_ARCHIVE) {
        return Some(
            "Do not load it: its container is built so that tools see different contents or \
             choke on it. Fetch the file again from its source and compare checksums; if they \
             agree, the file was made this way, so report it.",
        );
    }
    if hit(&BROKEN) {
        return Some(
            "Fetch the file again and compare its size and checksum with what the source \
             states. If they agree, the file itself is broken, and everything before the broken \
             place would still run: do not load it.",
        );
    }
    if hit(&[Rule::FormatUnknown]) {
        return Some(
            "Nothing in it could be judged. If it is not meant to be a model, leave it out of \
             the scan; if it is, export it as safetensors or as a PyTorch state_dict.",
        );
    }
    if hit(&[Rule::PickleLimit]) {
        return Some(
            "A limit was reached before the end, and what lies behind it is not judged. Honest \
             models stay far below the limits (see `secure-torch rules`): ask the publisher for \
             the weights as safetensors.",
        );
    }
    None
}

/// Only globals that nobody has judged stand in the way.
fn unknown(report: &Report, policy: &Policy) -> Vec<Step> {
    let globals: BTreeSet<(&str, &str)> = report
        .globals
        .iter()
        .filter(|global| global.class == "unknown")
        .map(|global| (global.module.as_str(), global.name.as_str()))
        .collect();
    let mut say = "Loading it imports packages that no rule covers, and importing runs their \
                   code. If you do not know them, do not load it; ask for a state_dict or \
                   safetensors instead."
        .to_owned();
    let switches: Option<Vec<String>> =
        globals.iter().map(|(module, name)| switch(module, name)).collect();
    let rest = report
        .score_breakdown
        .iter()
        .filter(|(rule, _)| OF_UNKNOWN.iter().all(|known| known.id() != **rule))
        .fold(0_u8, |sum, (_, points)| sum.saturating_add(*points));
    let mut run = None;
    say.push_str(match switches {
        _ if rest > policy.max_threat_score => {
            " Allowing them would not be enough: the other findings block the file too."
        }
        Some(switches) if !switches.is_empty() => {
            if switches.len() <= SWITCHES {
                run = Some(command(&switches, report));
            }
            " If you trust both the file's source and these packages, allow each name exactly, \
             with `--allow MODULE.NAME`."
        }
        _ => {
            " Some of the names hold characters that no honest package uses: treat the file as \
             hostile."
        }
    });
    [Some(Step::Say(say)), run.map(Step::Run)].into_iter().flatten().collect()
}

/// A scan of the same file with more switches: on one line, or with a line for each.
fn command(switches: &[String], report: &Report) -> Vec<String> {
    let path = path(report);
    if let [switch] = switches {
        return vec![format!("secure-torch scan {switch} {path}")];
    }
    let switches = switches.iter().map(|switch| format!("  {switch} \\"));
    let mut lines = vec!["secure-torch scan \\".to_owned()];
    lines.extend(switches);
    lines.push(format!("  {path}"));
    lines
}

/// The report's path, where it is safe to paste.
fn path(report: &Report) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-' | '+');
    let switch = report.path.starts_with('-') && report.path != "-";
    if !switch && report.path.chars().all(plain) { &report.path } else { "FILE" }
}

/// The switch that allows a global, where its name is safe to paste.
fn switch(module: &str, name: &str) -> Option<String> {
    let plain = |text: &str| {
        !text.is_empty()
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
    };
    let separator = if name.contains('.') { ':' } else { '.' };
    (plain(module) && plain(name)).then(|| format!("--allow {module}{separator}{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_become_switches() {
        assert_eq!(switch("a.b", "C").as_deref(), Some("--allow a.b.C"));
        assert_eq!(switch("a", "B.C").as_deref(), Some("--allow a:B.C"));
        for (module, name) in [("a;rm -rf ~", "b"), ("a", "$(b)"), ("", "b"), ("a", "\u{1b}[0m")] {
            assert_eq!(switch(module, name), None);
        }
    }
}
