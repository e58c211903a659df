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

/// What an allowed global takes with it out of the score.
const OF_UNKNOWN: [Rule; 3] =
    [Rule::PickleGlobalUnknown, Rule::PickleCallUnknown, Rule::PickleGlobalDotted];

/// What stands in the way of a file whatever else it holds, the gravest first. No switch that
/// would let the file through is named.
const GRAVE: [(&[Rule], &str); 8] = [
    (
        // What is done on purpose: no honest exporter writes these.
        &[
            Rule::PickleGlobalDangerous,
            Rule::PickleGlobalUnresolvable,
            Rule::PickleDivergent,
            Rule::PickleExtension,
            Rule::PickleCallShape,
            Rule::OnnxExternalDataEscape,
            Rule::MetadataTemplate,
            Rule::ReferenceDangerous,
            Rule::NativeCode,
        ],
        "Do not load this file, with any tool and in any environment that matters. Keep it as \
         evidence, report it to the place that it came from, and ask the publisher for the weights \
         as safetensors.",
    ),
    (
        // What makes readers disagree, or unpackers suffer.
        &[
            Rule::ArchiveAmbiguous,
            Rule::ArchiveTraversal,
            Rule::ArchiveBomb,
            Rule::ArchiveEncrypted,
            Rule::FormatPolyglot,
        ],
        "Do not load it: its container is built so that tools see different contents or choke on \
         it. Fetch the file again from its source and compare checksums; if they agree, the file \
         was made this way, so report it.",
    ),
    (
        &[Rule::CodeBytecode],
        "It carries compiled Python code that its loader would run, as a Keras Lambda layer does. \
         Do not switch the loader's safe mode off for it: nobody can read what the code does. Ask \
         the publisher for the weights alone, and build the model from source that you can read.",
    ),
    (
        &[Rule::CodeDangerous, Rule::TorchscriptOperator, Rule::TensorflowOperator],
        "Do not run it. What it computes reaches for files, processes, the network or other code, \
         which a model needs for nothing: the findings name each place. Ask the publisher what it \
         is for, and for the weights without it.",
    ),
    (
        // What a broken download looks like.
        &[
            Rule::PickleTruncated,
            Rule::PickleMalformed,
            Rule::ArchiveCorrupt,
            Rule::FormatStructure,
            Rule::OnnxStructure,
            Rule::SafetensorsStructure,
        ],
        "Fetch the file again and compare its size and checksum with what the source states. If \
         they agree, the file itself is broken, and a reader may act on what stands before the \
         broken place: do not load it.",
    ),
    (
        &[Rule::RepositoryShard],
        "Fetch the whole repository again, at one revision: the index and the files beside it do \
         not belong together, and a loader would take whatever lies under the names that the index \
         gives.",
    ),
    (
        &[Rule::FormatUnknown],
        "Nothing in it could be judged. If it is not meant to be a model, leave it out of the \
         scan; if it is, export it as safetensors or as a PyTorch state_dict.",
    ),
    (
        &[Rule::PickleLimit],
        "A limit was reached before the end, and what lies behind it is not judged. Honest models \
         stay far below the limits (see `secure-torch rules`): ask the publisher for the weights \
         as safetensors.",
    ),
];

/// What only its source can answer for: the maximum may be raised for such a file alone.
const OF_SOURCE: [(&[Rule], &str); 5] = [
    (
        &[Rule::RepositoryRemoteCode],
        "Loading it with `trust_remote_code=True` runs Python files of the repository. Without that \
         switch its loader refuses or uses code of its own: prefer that. If you need the code, read \
         it, pin the revision that you read",
    ),
    (
        &[Rule::ReferenceUnknown],
        "Its configuration names classes or functions that the loader imports, and importing runs \
         their code. If you do not know them, do not load it. If you trust them and its source",
    ),
    (
        &[Rule::OnnxCustomDomain],
        "It holds operators that the runtime does not bring along, so whoever runs it must load a \
         native library that does. Take that library from somebody you trust, never from beside \
         the model. If you have it",
    ),
    (
        &[Rule::TorchscriptCode],
        "It is a TorchScript program: loading it imports nothing, and its code runs, inside \
         TorchScript's interpreter, when the model runs. If you trust its source",
    ),
    (
        &[Rule::CodeProgram],
        "It carries a program that its loader may run, with all that Python can do. Read it before \
         you load it. If you trust its source",
    ),
];

/// What an allowed file still asks of whoever loads it.
const OF_ALLOWED: [(&[Rule], &str); 6] = [
    (
        &[Rule::OnnxExternalData],
        "Its weights lie in other files: keep the folder together, and judge all of it.",
    ),
    (
        &[Rule::RepositoryCode],
        "Python source lies beside it: load it without `trust_remote_code`, and not from a folder \
         that Python imports from.",
    ),
    (
        &[Rule::FormatPartial],
        "Its structure and the known ways to run code were judged; keep the runtime that executes \
         it up to date, for the rest is up to that.",
    ),
    (&[Rule::MetadataCode], "Text in its metadata looks like a program: let no tool execute it."),
    (
        &[Rule::TrustUnsigned],
        "Nobody has signed it: what it holds was judged, and who made it was not.",
    ),
    (
        &[Rule::FormatMismatch],
        "Give it a name that says what it is, so that no tool reads it as something else.",
    ),
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
    let mut sentences = vec!["It may be loaded."];
    let said = OF_ALLOWED.iter().filter(|(rules, _)| is_hit(report, rules));
    sentences.extend(said.map(|(_, sentence)| *sentence));
    if sentences.len() == 1 && !report.findings.is_empty() {
        sentences.push("Look through the findings: they are too few to block it.");
    }
    sentences.join(" ")
}

fn is_hit(report: &Report, rules: &[Rule]) -> bool {
    rules.iter().any(|rule| report.score_breakdown.contains_key(rule.id()))
}

fn blocked(report: &Report, policy: &Policy) -> Vec<Step> {
    let of = |table: &'static [(&'static [Rule], &'static str)]| {
        table.iter().find(|(rules, _)| is_hit(report, rules)).map(|(_, sentence)| *sentence)
    };
    if let Some(sentence) = of(&GRAVE) {
        return vec![Step::Say(sentence.to_owned())];
    }
    if report.threat_score <= policy.max_threat_score {
        return vec![Step::Say(
            "Its score would let it through, and the policy does not: the reasons stand under the \
             verdict. Ask whoever keeps the policy, or take another file."
                .to_owned(),
        )];
    }
    if is_hit(report, &OF_UNKNOWN) {
        return unknown(report, policy);
    }
    match of(&OF_SOURCE) {
        Some(sentence) => vec![
            Step::Say(format!("{sentence}, raise the maximum for this file alone:")),
            Step::Run(command(&[format!("--max-threat-score {}", report.threat_score)], report)),
        ],
        None => vec![Step::Say(
            "Read the findings above. `--max-threat-score` lets the file through without judging \
             it any further, so raise it only for a file whose findings you can explain."
                .to_owned(),
        )],
    }
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
    use secure_torch::{Source, Verdict, scan};

    /// A report as if these rules had been hit, and nothing else but that nobody signed it.
    fn hit(rules: &[Rule]) -> Report {
        let source = Source::from_bytes("model.bin", b"\x80\x02}.".to_vec());
        let mut report = scan(&source, &Policy::default());
        for rule in rules {
            report.score_breakdown.insert(rule.id(), rule.points());
        }
        report.threat_score = report.score_breakdown.values().sum::<u8>().min(100);
        if report.threat_score > DEFAULT_MAX_THREAT_SCORE {
            report.verdict = Verdict::Block;
        }
        report
    }

    fn said(report: &Report) -> String {
        let steps = advice(report, &Policy::default());
        let words = steps.into_iter().map(|step| match step {
            Step::Say(sentences) => sentences,
            Step::Run(lines) => lines.join("\n"),
        });
        words.collect::<Vec<String>>().join("\n")
    }

    #[test]
    fn every_rule_that_blocks_an_unsigned_file_has_advice_of_its_own() {
        for rule in Rule::ALL {
            let report = hit(&[rule]);
            let generic = said(&report).starts_with("Read the findings above.");
            // Honest pickles that are odd in one way: the finding says all there is.
            let odd = [Rule::PicklePersistentIdUnexpected, Rule::PickleTrailingData];
            let own = report.load_allowed() || !generic || odd.contains(&rule);
            assert!(own || rule == Rule::MetadataCode, "{}", rule.id());
        }
    }

    #[test]
    fn the_gravest_finding_decides_and_names_no_way_past_the_gate() {
        for (rules, sentence) in GRAVE {
            assert!(!sentence.contains("--"), "{sentence}");
            for rule in rules {
                let text = said(&hit(&[*rule, Rule::TorchscriptCode, Rule::ReferenceUnknown]));
                assert!(!text.contains("--"), "{}: {text}", rule.id());
            }
        }
    }

    #[test]
    fn what_its_source_must_answer_for_names_the_score_of_this_file() {
        let text = said(&hit(&[Rule::OnnxCustomDomain]));
        assert!(text.contains("native library"), "{text}");
        assert!(text.ends_with("secure-torch scan --max-threat-score 35 model.bin"), "{text}");
        assert!(said(&hit(&[Rule::RepositoryRemoteCode])).contains("pin the revision"));
        assert!(said(&hit(&[Rule::CodeProgram])).contains("Read it before"));
    }

    #[test]
    fn an_allowed_file_says_what_is_left_to_do() {
        let text = said(&hit(&[Rule::FormatPartial]));
        assert!(text.starts_with("It may be loaded. Its structure and "), "{text}");
        assert!(text.ends_with("who made it was not."), "{text}");
        assert!(said(&hit(&[Rule::OnnxExternalData])).contains("judge all of it"));
    }

    #[test]
    fn a_block_that_is_the_policys_is_told_as_one() {
        let mut report = hit(&[]);
        report.verdict = Verdict::Block;
        assert!(said(&report).starts_with("Its score would let it through"));
    }

    #[test]
    fn only_plain_names_become_switches() {
        assert_eq!(switch("a.b", "C").as_deref(), Some("--allow a.b.C"));
        assert_eq!(switch("a", "B.C").as_deref(), Some("--allow a:B.C"));
        for (module, name) in [("a;rm -rf ~", "b"), ("a", "$(b)"), ("", "b"), ("a", "\u{1b}[0m")] {
            assert_eq!(switch(module, name), None);
        }
    }
}
