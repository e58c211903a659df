//! The JSON document of a scan.

mod common;

use std::collections::BTreeSet;

use common::{BENIGN, Folder, HOSTILE, run};
use serde_json::Value;

#[test]
fn the_document_holds_reports_and_errors() {
    let folder = Folder::new();
    let hostile = folder.file("hostile.pkl", HOSTILE);
    let benign = folder.file("benign.pkl", BENIGN);
    let missing = folder.path().join("missing.pt");
    let ran = run(&["scan", "--format", "json"], &[&hostile, &benign, &missing]);
    assert_eq!(ran.code(), 1);
    assert_eq!(ran.out().lines().count(), 1, "a pipe gets one line");
    let document = ran.json();
    assert_eq!(document["schema"], "secure-torch/report/1");
    assert_eq!(document["rules"]["sha256"].as_str().map(str::len), Some(64));
    let verdicts: Vec<&Value> =
        document["reports"].as_array().unwrap().iter().map(|report| &report["verdict"]).collect();
    assert_eq!(verdicts, ["block", "allow"]);
    assert_eq!(document["reports"][0]["score_breakdown"]["pickle.global.dangerous"], 70);
    assert_eq!(document["reports"][0]["globals"][0]["python3"], "posix.system");
    assert_eq!(document["errors"][0]["code"], "io-not-found");
    assert_eq!(document["errors"][0]["path"].as_str(), missing.to_str());
    for key in ["message", "hint"] {
        assert!(!document["errors"][0][key].as_str().unwrap().is_empty());
    }
}

/// The schema itself is checked by the Python tests, which have a validator; here every object
/// has exactly the keys that the schema lists.
#[test]
fn every_object_has_the_keys_of_the_schema() {
    let schema: Value =
        serde_json::from_str(include_str!("../../spec/report.schema.json")).unwrap();
    let folder = Folder::new();
    let hostile = folder.file("hostile.pkl", HOSTILE);
    let document =
        run(&["scan", "--format", "json"], &[&hostile, &folder.path().join("missing")]).json();
    let definition = |name: &str| &schema["$defs"][name];
    let report = &document["reports"][0];
    for (value, schema) in [
        (&document, &schema),
        (&document["rules"], definition("rules")),
        (&document["errors"][0], definition("error")),
        (report, definition("report")),
        (&report["findings"][0], definition("finding")),
        (&report["globals"][0], definition("global")),
        (&report["globals"][0]["calls"][0], definition("call")),
        (&report["parts"][0], definition("part")),
    ] {
        let keys: BTreeSet<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        let listed: BTreeSet<&str> =
            schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let required: BTreeSet<&str> =
            schema["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(keys, listed);
        assert_eq!(keys, required);
        assert_eq!(schema["additionalProperties"], false);
    }
}
