//! Tests of the log. What the command adds to it is tested there, and so are hostile names.

use super::*;
use crate::{Source, scan};

const HERE: &str = "/project/tree";

fn log_of(report: &Report) -> Value {
    log_at(&[(report, &Policy::default())], &[], u8::from(!report.load_allowed()), Path::new(HERE))
}

fn judged(path: &str, bytes: &[u8]) -> Report {
    scan(&Source::from_bytes(path, bytes.to_vec()), &Policy::default())
}

const EVIL: &[u8] = b"cposix\nsystem\n(S'echo'\ntR.";

#[test]
fn a_finding_is_a_result_with_rule_place_and_fingerprint() {
    let log = log_of(&judged("models/evil.pkl", EVIL));
    let run = &log["runs"][0];
    let result = &run["results"][0];
    assert_eq!(result["ruleId"], "pickle.global.dangerous");
    assert_eq!(result["level"], "error");
    let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    let rule = &run["tool"]["driver"]["rules"][index];
    assert_eq!(rule["id"], result["ruleId"]);
    assert_eq!(rule["properties"]["security-severity"], "7.0");
    assert_eq!(rule["properties"]["tags"], json!(["security", "pickle", "external/cwe/cwe-502"]));
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"], json!({ "uri": "models/evil.pkl", "uriBaseId": ROOT }));
    assert_eq!(place["region"], json!({ "startLine": 1 }));
    let byte = &result["relatedLocations"][0]["physicalLocation"]["region"];
    assert_eq!(byte, &json!({ "byteOffset": 0 }));
    assert_eq!(run["invocations"][0]["exitCode"], 1);
    assert_eq!(run["artifacts"][0]["properties"]["verdict"], "block");
}

#[test]
fn a_file_without_findings_is_a_result_only_where_it_is_blocked() {
    let allowed = log_of(&judged("ok.pkl", b"\x80\x02}."));
    assert_eq!(allowed["runs"][0]["results"], json!([]));
    assert_eq!(allowed["runs"][0]["artifacts"][0]["properties"]["verdict"], "allow");
    let strict = Policy { max_threat_score: 0, ..Policy::default() };
    let report = scan(&Source::from_bytes("ok.pkl", b"\x80\x02}.".to_vec()), &strict);
    let blocked = log_of(&report);
    assert_eq!(blocked["runs"][0]["results"][0]["ruleId"], "trust.unsigned");
    assert_eq!(blocked["runs"][0]["results"][0]["level"], "warning");
}

#[test]
fn a_block_without_any_rule_is_a_result_of_the_policy() {
    let mut report = judged("evil.pkl", EVIL);
    report.findings.clear();
    report.score_breakdown.clear();
    report.reasons = vec!["the policy says no".to_owned()];
    let log = log_of(&report);
    let result = &log["runs"][0]["results"][0];
    assert_eq!((result["ruleId"].as_str(), result["ruleIndex"].as_u64()), (Some(POLICY), Some(0)));
    assert_eq!(result["message"]["text"], "The policy says no.");
}

#[test]
fn what_the_policy_ignores_is_suppressed_and_never_hides_a_block() {
    let mut report = judged("evil.pkl", EVIL);
    for finding in &mut report.findings {
        finding.ignored = Some("reviewed".to_owned());
    }
    report.score_breakdown.clear();
    let log = log_of(&report);
    let results = log["runs"][0]["results"].as_array().unwrap();
    let (suppressed, others): (Vec<&Value>, Vec<&Value>) =
        results.iter().partition(|result| result["suppressions"].is_array());
    assert_eq!(suppressed[0]["suppressions"][0]["justification"], "reviewed");
    assert_eq!(others.len(), 1);
    assert_eq!(others[0]["ruleId"], POLICY);
}

#[test]
fn fingerprints_stay_where_the_file_is_rebuilt_and_differ_by_name() {
    let fingerprints = |path: &str, bytes: &[u8]| {
        let log = log_of(&judged(path, bytes));
        log["runs"][0]["results"][0]["partialFingerprints"]["secureTorch/v1"].clone()
    };
    let moved = [b"(S'moved'\n0", EVIL].concat();
    assert_eq!(fingerprints("a.pkl", EVIL), fingerprints("a.pkl", &moved));
    assert_eq!(fingerprints("a.pkl", EVIL), fingerprints("./a.pkl", EVIL));
    assert_eq!(fingerprints("a.pkl", EVIL), fingerprints("/project/tree/a.pkl", EVIL));
    assert_ne!(fingerprints("a.pkl", EVIL), fingerprints("b.pkl", EVIL));
}

#[test]
fn paths_are_uris_relative_where_they_are_below() {
    let location = |path: &str| artifact_location(path, Path::new(HERE));
    let relative = |uri: &str| json!({ "uri": uri, "uriBaseId": ROOT });
    assert_eq!(location("a b/c:d.pt"), relative("a%20b/c%3Ad.pt"));
    assert_eq!(location("./x/../y.pt"), relative("y.pt"));
    assert_eq!(location("/project/tree/模.pt"), relative("%E6%A8%A1.pt"));
    assert_eq!(location("../other/x.pt"), json!({ "uri": "file:///project/other/x.pt" }));
    assert_eq!(location("/tmp/%2e.pt"), json!({ "uri": "file:///tmp/%252e.pt" }));
    let nowhere = |path: &str| artifact_location(path, Path::new(""));
    assert_eq!(nowhere("y.pt"), relative("y.pt"));
    assert_eq!(nowhere("/y.pt"), json!({ "uri": "file:///y.pt" }));
    assert_eq!(location("-"), json!({ "uri": "urn:secure-torch:standard-input" }));
}

#[test]
fn levels_follow_the_bands() {
    assert_eq!(
        [0, 15, 16, 35, 36, 100].map(level),
        ["note", "note", "warning", "warning", "error", "error"]
    );
}

#[test]
fn several_reports_make_one_log_in_ascii() {
    let (good, evil) = (judged("ok.pkl", b"\x80\x02}."), judged("a\u{202e}模.pkl", EVIL));
    let policy = Policy::default();
    let text = sarif(&[(&good, &policy), (&evil, &policy)]);
    assert!(text.is_ascii() && !text.contains('\n'));
    let log: Value = serde_json::from_str(&text).unwrap();
    let run = &log["runs"][0];
    assert_eq!(run["artifacts"].as_array().map(Vec::len), Some(2));
    assert_eq!(run["invocations"][0]["exitCode"], 1);
    let allowed = sarif(&[(&good, &policy)]);
    assert!(allowed.contains("\"exitCode\":0"), "{allowed}");
}
