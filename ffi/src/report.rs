//! `secure_torch_report`: the judgement of one file.

use std::mem::MaybeUninit;
use std::sync::OnceLock;

use secure_torch::{Level, Verdict};

use crate::boundary::{Failure, end, fill, given, tell};
use crate::error::Error;
use crate::library::ResultNumber;
use crate::text::Str;

/// The judgement of one file: what was seen, what it is worth, and the verdict.
///
/// Ownership: yours where a function gave it to you as an output; end it with
/// secure_torch_report_free(). Threads: it never changes, and any number of them may read it.
#[derive(Debug)]
pub struct Report {
    pub(crate) inner: secure_torch::Report,
    policy: secure_torch::Policy,
    json: OnceLock<String>,
    sarif: OnceLock<String>,
}

/// The band of a threat score: one of SECURE_TORCH_LEVEL_*.
pub type LevelNumber = u32;
/// Nothing was found.
pub const SECURE_TORCH_LEVEL_SAFE: LevelNumber = 0;
/// A note.
pub const SECURE_TORCH_LEVEL_LOW: LevelNumber = 1;
/// Several notes together, or a name that nobody has judged.
pub const SECURE_TORCH_LEVEL_MEDIUM: LevelNumber = 2;
/// Not what an honest file looks like, or not something that can be judged.
pub const SECURE_TORCH_LEVEL_HIGH: LevelNumber = 3;
/// An attack, or bytes that can only be meant as one.
pub const SECURE_TORCH_LEVEL_CRITICAL: LevelNumber = 4;

/// Whether the policy lets a file through: one of SECURE_TORCH_VERDICT_*.
pub type VerdictNumber = u32;
/// The policy lets it through.
pub const SECURE_TORCH_VERDICT_ALLOW: VerdictNumber = 0;
/// It does not.
pub const SECURE_TORCH_VERDICT_BLOCK: VerdictNumber = 1;

impl Report {
    pub(crate) fn new(inner: secure_torch::Report, policy: &secure_torch::Policy) -> Self {
        let (json, sarif) = (OnceLock::new(), OnceLock::new());
        Self { inner, policy: policy.clone(), json, sarif }
    }
}

fn text(report: Option<&Report>, of: impl FnOnce(&secure_torch::Report) -> &str) -> Str {
    tell(Str::default(), || Str::of(report.map(|report| of(&report.inner))))
}

fn count<T>(report: Option<&Report>, of: impl FnOnce(&secure_torch::Report) -> &[T]) -> usize {
    report.map_or(0, |report| of(&report.inner).len())
}

/// An item of a list, or why there is none.
pub(crate) fn item<'r, T>(list: &'r [T], index: usize, what: &str) -> Result<&'r T, Failure> {
    let message = || format!("`index` is {index}, and there are {} {what}", list.len());
    list.get(index).ok_or_else(|| Failure::usage(message()))
}

/// The path or name under which the file was given: not safe to print.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_path(report: Option<&Report>) -> Str {
    text(report, |report| &report.path)
}

/// What the file is, by structure: `pytorch-zip`.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_format(report: Option<&Report>) -> Str {
    text(report, |report| report.format)
}

/// How many formats' loaders would accept the file; more than one is a polyglot.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_format_count(report: Option<&Report>) -> usize {
    count(report, |report| &report.formats)
}

/// One of the formats whose loaders would accept the file; empty past the last.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_format_at(report: Option<&Report>, index: usize) -> Str {
    text(report, |report| report.formats.get(index).copied().unwrap_or_default())
}

/// The file's length in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_size_bytes(report: Option<&Report>) -> u64 {
    report.map_or(0, |report| report.inner.size_bytes)
}

/// The points of every rule that was hit, summed: 0 to 100. NULL is worth 100.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_threat_score(report: Option<&Report>) -> u8 {
    report.map_or(100, |report| report.inner.threat_score)
}

/// The band that the score lies in. NULL is CRITICAL.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_threat_level(report: Option<&Report>) -> LevelNumber {
    match report.map(|report| report.inner.threat_level) {
        Some(Level::Safe) => SECURE_TORCH_LEVEL_SAFE,
        Some(Level::Low) => SECURE_TORCH_LEVEL_LOW,
        Some(Level::Medium) => SECURE_TORCH_LEVEL_MEDIUM,
        Some(Level::High) => SECURE_TORCH_LEVEL_HIGH,
        Some(Level::Critical) | None => SECURE_TORCH_LEVEL_CRITICAL,
    }
}

/// Whether the policy lets the file through. NULL is blocked.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_verdict(report: Option<&Report>) -> VerdictNumber {
    match report.map(|report| report.inner.verdict) {
        Some(Verdict::Allow) => SECURE_TORCH_VERDICT_ALLOW,
        Some(Verdict::Block) | None => SECURE_TORCH_VERDICT_BLOCK,
    }
}

/// Whether the verdict is SECURE_TORCH_VERDICT_ALLOW.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_load_allowed(report: Option<&Report>) -> bool {
    report.is_some_and(|report| report.inner.load_allowed())
}

/// How many reasons there are for the block; none where the file is let through.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_reason_count(report: Option<&Report>) -> usize {
    count(report, |report| &report.reasons)
}

/// A reason for the block, as a sentence; empty past the last. Safe to print.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_reason(report: Option<&Report>, index: usize) -> Str {
    text(report, |report| report.reasons.get(index).map_or("", String::as_str))
}

/// How many sentences say what the judgement does not cover.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_limit_count(report: Option<&Report>) -> usize {
    count(report, |report| &report.limits)
}

/// What the judgement does not cover, as a sentence; empty past the last.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_limit(report: Option<&Report>, index: usize) -> Str {
    text(report, |report| report.limits.get(index).map_or("", String::as_str))
}

/// The report as JSON, in the form of `spec/report.schema.json`: the same bytes in every language.
/// Made once, when it is first asked for.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_json(report: Option<&Report>) -> Str {
    tell(Str::default(), || {
        Str::of(report.map(|report| report.json.get_or_init(|| report.inner.json()).as_str()))
    })
}

/// The report as a SARIF 2.1.0 log. Made once, when it is first asked for.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_sarif(report: Option<&Report>) -> Str {
    tell(Str::default(), || {
        Str::of(report.map(|report| {
            let make = || secure_torch::sarif(&[(&report.inner, &report.policy)]);
            report.sarif.get_or_init(make).as_str()
        }))
    })
}

/// Ends a report. NULL is fine. One that belongs to another handle must not be ended.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_free(report: Option<Box<Report>>) {
    end(report);
}

/// A rule that was hit. Its texts belong to the report.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Finding {
    /// The rule's stable id.
    pub rule: Str,
    /// Where: the file's own part is empty, a member's path follows `!/`.
    pub path: Str,
    /// What the finding is about. Safe to print.
    pub subject: Str,
    /// What was seen, as a sentence. Safe to print.
    pub message: Str,
    /// The reason for which the policy's file ignores it; empty where it does not. Safe to print.
    pub ignored: Str,
    /// The byte offset inside the part, where `has_offset` says that there is one.
    pub offset: u64,
    /// How often the same rule met the same subject in this part.
    pub count: u64,
    /// The rule's points. A rule counts once, however often it is hit.
    pub points: u8,
    /// Whether there is an offset.
    pub has_offset: bool,
    /// Whether the policy's file ignores it.
    pub is_ignored: bool,
}

/// How many findings there are.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_finding_count(report: Option<&Report>) -> usize {
    count(report, |report| &report.findings)
}

/// How many findings are beyond the limit of those that are kept.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_findings_omitted(report: Option<&Report>) -> u64 {
    report.map_or(0, |report| report.inner.findings_omitted)
}

/// A finding, in the order of weight, then of place.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for NULL and past the last.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_finding(
    report: Option<&Report>,
    index: usize,
    finding: Option<&mut MaybeUninit<Finding>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("finding", finding, error, || {
        let report = given(report, "report")?;
        let found = item(&report.inner.findings, index, "findings")?;
        Ok(Finding {
            rule: Str::from(found.rule),
            path: Str::from(found.path.as_str()),
            subject: Str::from(found.subject.as_str()),
            message: Str::from(found.message.as_str()),
            ignored: Str::of(found.ignored.as_deref()),
            offset: found.offset.unwrap_or_default(),
            count: found.count,
            points: found.points,
            has_offset: found.offset.is_some(),
            is_ignored: found.ignored.is_some(),
        })
    })
}

/// A rule and its points.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct RulePoints {
    /// The rule's stable id.
    pub rule: Str,
    /// Its points.
    pub points: u8,
}

/// How many rules were hit.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_breakdown_count(report: Option<&Report>) -> usize {
    report.map_or(0, |report| report.inner.score_breakdown.len())
}

/// A rule that was hit, with its points, in the order of the ids.
///
/// Errors: SECURE_TORCH_RESULT_USAGE for NULL and past the last.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_report_breakdown(
    report: Option<&Report>,
    index: usize,
    points: Option<&mut MaybeUninit<RulePoints>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    fill("points", points, error, || {
        let breakdown = &given(report, "report")?.inner.score_breakdown;
        let past = || format!("`index` is {index}, and there are {} rules", breakdown.len());
        let found = breakdown.iter().nth(index).ok_or_else(|| Failure::usage(past()))?;
        Ok(RulePoints { rule: Str::from(*found.0), points: *found.1 })
    })
}
