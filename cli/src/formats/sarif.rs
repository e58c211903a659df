//! SARIF 2.1.0 (OASIS), as the gateway writes it, with what the command could not judge and the
//! code that it ends with.

use std::io::{self, Write};

use secure_torch::sarif::{Unjudged, log};
use serde_json::Value;

use super::Scan;
use crate::json;
use crate::output::Page;

/// Prints the log.
pub(crate) fn print<W: Write>(scan: &Scan<'_>, page: &mut Page<W>) -> io::Result<()> {
    json::print(&log_of(scan), page)
}

fn log_of(scan: &Scan<'_>) -> Value {
    let unjudged = scan.problems.iter().map(|problem| Unjudged {
        code: problem.code,
        path: &problem.path,
        message: &problem.message,
        hint: &problem.hint,
    });
    log(&scan.files, &unjudged.collect::<Vec<_>>(), scan.exit_code)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::tests::{hostile_problems, hostile_reports, scan_of};
    use super::*;
    use crate::errors::Problem;

    #[test]
    fn hostile_names_make_no_placeholder_no_link_and_no_control_character() {
        let log = log_of(&scan_of(&hostile_reports(), &hostile_problems()));
        let run = &log["runs"][0];
        let results = run["results"].as_array().unwrap();
        let notes = run["invocations"][0]["toolExecutionNotifications"].as_array().unwrap();
        assert_eq!(notes.len(), hostile_problems().len());
        for result in results.iter().chain(notes) {
            let text = result["message"]["text"].as_str().unwrap();
            assert!(!text.contains("](") && !text.chars().any(char::is_control), "{text}");
            let braces = text.replace("{{", "").replace("}}", "");
            assert!(!braces.contains(['{', '}']), "{text}");
            let place = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
            let uri = place.as_str().unwrap();
            assert!(
                uri.chars().all(|c| c.is_ascii_alphanumeric() || "-._~/%:".contains(c)),
                "{uri}"
            );
        }
    }

    #[test]
    fn what_could_not_be_judged_is_told_and_fails_the_run() {
        let problem = Problem::nothing_at(Path::new("models"));
        let log = log_of(&scan_of(&[], std::slice::from_ref(&problem)));
        let invocation = &log["runs"][0]["invocations"][0];
        assert_eq!(invocation["executionSuccessful"], false);
        let note = &invocation["toolExecutionNotifications"][0];
        assert_eq!(note["descriptor"]["id"], "io-not-found");
        assert_eq!(
            note["message"]["text"],
            "`models` holds no file to judge. Check the path; an empty folder is not a verdict."
        );
    }
}
