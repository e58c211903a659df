//! Judges the files that the command line names.
//!
//! `cargo run -p secure-torch --example scan -- model.pt`

use std::path::PathBuf;
use std::process::ExitCode;

use secure_torch::{Policy, scan_paths};

fn main() -> ExitCode {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let mut allowed = true;
    for (path, report) in scan_paths(&paths, &Policy::default(), &()) {
        match report {
            Ok(report) => {
                allowed &= report.load_allowed();
                let (level, score) = (report.threat_level.name(), report.threat_score);
                println!(
                    "{}: {} {level} {score} {:?}",
                    path.display(),
                    report.format,
                    report.verdict
                );
                for finding in &report.findings {
                    let (rule, subject) = (finding.rule, &finding.subject);
                    println!("  {rule}: {} {subject} ({})", finding.path, finding.message);
                }
            }
            Err(error) => {
                allowed = false;
                eprintln!("{error}; {}", error.hint());
            }
        }
    }
    if allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
