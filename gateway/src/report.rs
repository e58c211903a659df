//! The report: what was seen, what it is worth, and the verdict.

use std::collections::BTreeMap;

use secure_torch_core::score::{Level, Verdict};
use serde::{Serialize, Serializer};

/// The name and version of the JSON form, as `spec/report.schema.json` describes it.
pub const SCHEMA: &str = "secure-torch/report/1";

/// The judgement of one file.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The path or name under which the file was given.
    pub path: String,
    /// What the file is, by structure.
    pub format: &'static str,
    /// Every format whose loader would accept the file; more than one is a polyglot.
    pub formats: Vec<&'static str>,
    /// The file's length.
    pub size_bytes: u64,
    /// How many bytes were read to judge it: directories, headers, pickles.
    pub bytes_examined: u64,
    /// The points of every rule that was hit, summed and capped at 100.
    pub threat_score: u8,
    /// The band that the score lies in.
    #[serde(serialize_with = "level_name")]
    pub threat_level: Level,
    /// Whether the policy lets the file through.
    #[serde(serialize_with = "verdict_name")]
    pub verdict: Verdict,
    /// Each reason for a block, as a sentence. Empty where the file is allowed.
    pub reasons: Vec<String>,
    /// Each rule that was hit, with its points.
    pub score_breakdown: BTreeMap<&'static str, u8>,
    /// What was seen, in the order of its weight, then of its place.
    pub findings: Vec<Finding>,
    /// How many findings are beyond the limit of [`Self::findings`].
    pub findings_omitted: u64,
    /// Every global that a pickle of the file asks for.
    pub globals: Vec<Global>,
    /// How many globals are beyond the limit of [`Self::globals`].
    pub globals_omitted: u64,
    /// What the file holds: itself and, for a container, each member that was judged.
    pub parts: Vec<Part>,
    /// What the judgement does not cover, as sentences.
    pub limits: Vec<String>,
    /// The policy file under which the verdict was reached, where there is one.
    pub policy: Option<PolicyInfo>,
    /// The rule set that judged.
    pub rules: RulesInfo,
}

/// A rule that was hit.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The rule's stable id.
    pub rule: &'static str,
    /// The rule's points. A rule counts once, however often it is hit.
    pub points: u8,
    /// Where: the file's own part is empty, a member's path follows `!/`.
    pub path: String,
    /// The byte offset inside the part, where there is one.
    pub offset: Option<u64>,
    /// What the finding is about: `posix.system`, a member's name. Safe to print.
    pub subject: String,
    /// What was seen, as a sentence. Safe to print.
    pub message: String,
    /// How often the same rule met the same subject in this part.
    pub count: u64,
    /// The reason for which the policy's file ignores it, where it does. Safe to print.
    pub ignored: Option<String>,
}

/// A global that a pickle asks for.
#[derive(Clone, Debug, Serialize)]
pub struct Global {
    /// The module as the stream names it, character for character: not safe to print.
    pub module: String,
    /// The name as the stream spells it: not safe to print.
    pub name: String,
    /// What Python 3 would import. Safe to print.
    pub python3: String,
    /// `allowed`, `dangerous` or `unknown`.
    pub class: &'static str,
    /// The family of a dangerous global.
    pub family: Option<&'static str>,
    /// The part that asks for it.
    pub path: String,
    /// Where the part first asks for it.
    pub offset: u64,
    /// The first calls of what it gives.
    pub calls: Vec<Call>,
    /// How many calls there are.
    pub call_count: u64,
}

/// A call of an imported object.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Call {
    /// Where the call stands in the part.
    pub offset: u64,
    /// `REDUCE`, `NEWOBJ`, `BUILD` and their kin.
    pub opcode: &'static str,
}

/// A part of the file that was judged.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    /// The member's path, empty for the file itself.
    pub path: String,
    /// What it is.
    pub format: &'static str,
    /// Its length, unpacked.
    pub size_bytes: u64,
}

/// A policy file, and what of it decided.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyInfo {
    /// The file's path, as it was given or found. Safe to print.
    pub path: String,
    /// The SHA-256 of the file.
    pub sha256: String,
    /// The entries that applied, in the order of the lines.
    pub applied: Vec<Applied>,
}

/// An entry of a policy file that applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// `max_threat_score`, `limits`, `formats.allow`, `formats.deny`, `allow` or `ignore`.
    pub entry: &'static str,
    /// The entry's line in the file.
    pub line: u32,
    /// What it says. Safe to print.
    pub what: String,
    /// The reason that the file gives. Safe to print.
    pub reason: String,
}

/// Which rules judged.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RulesInfo {
    /// The rule set's version.
    pub version: &'static str,
    /// The SHA-256 of its tables.
    pub sha256: &'static str,
}

impl RulesInfo {
    /// The rule set of this build.
    pub const CURRENT: Self = Self {
        version: secure_torch_core::rules::VERSION,
        sha256: secure_torch_core::rules::SHA256,
    };
}

impl Report {
    /// The report in its canonical form, the same bytes in every language: one JSON object in UTF-8,
    /// without spaces, its keys in the order of `spec/report.schema.json`.
    ///
    /// Only what JSON demands is escaped: names stand there as the file has them.
    #[must_use]
    pub fn json(&self) -> String {
        // Nothing in a report fails to be written: it is text and numbers under keys of text.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether the policy lets the file through.
    #[must_use]
    pub fn load_allowed(&self) -> bool {
        self.verdict == Verdict::Allow
    }
}

fn level_name<S: Serializer>(level: &Level, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(level.name())
}

fn verdict_name<S: Serializer>(verdict: &Verdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match verdict {
        Verdict::Allow => "allow",
        Verdict::Block => "block",
    })
}
