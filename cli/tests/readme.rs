//! What README.md and docs/pickle.md show is what the command prints.
//!
//! The published file in its second block is fetched, and compared in
//! `tests/python/test_documents.py`.

mod common;

use common::{Folder, run};

const README: &str = include_str!("../../README.md");
const PICKLE: &str = include_str!("../../docs/pickle.md");

/// `posix.system("echo inert")`, its names memoized, dropped and read back; the second MEMOIZE
/// counts on from the key that a BINPUT set.
const MEMO: &[u8] = b"\x80\x04\x8c\x05posixq\x00\x8c\x06system\x940\
    0h\x00h\x01\x93\x8c\x0aecho inert\x85R.";

/// What stands under a command in a block of the README, up to the next command.
fn shown(command: &str) -> &'static str {
    let prompt = format!("```console\n$ {command}\n");
    let start = README.find(&prompt).expect("the README shows the command") + prompt.len();
    let rest = &README[start..];
    let ends = [rest.find("\n$ "), rest.find("\n```")];
    let end = ends.into_iter().flatten().min().expect("the block ends");
    &rest[..end + 1]
}

#[test]
fn the_first_block_is_what_the_command_prints() {
    let folder = Folder::new();
    let path = folder.file("model.bin", MEMO);
    let ran = run(&["scan"], &[&path]);
    let out = ran.out().replace(&path.display().to_string(), "model.bin");
    assert_eq!(out, shown("secure-torch scan model.bin"));
    assert!(README.contains(&format!("$ echo $?\n{}\n```", ran.code())));
}

#[test]
fn every_command_in_the_readme_is_one() {
    for line in README.lines().filter(|line| line.starts_with("secure-torch ")) {
        let name = line.split_whitespace().nth(1).expect("a subcommand follows");
        assert_eq!(run(&[name, "--help"], &[]).code(), 0, "{line}");
        for switch in line.split_whitespace().filter(|word| word.starts_with("--")) {
            let help = run(&[name, "--help"], &[]).out();
            assert!(help.contains(switch), "{line}");
        }
    }
}

#[test]
fn the_listing_in_the_documents_is_what_trace_prints() {
    let (_, rest) = PICKLE.split_once("```\n  byte  opcode").expect("the document has a listing");
    let (block, _) = rest.split_once("```").expect("the listing ends");
    let folder = Folder::new();
    let out = run(&["trace"], &[&folder.file("model.bin", MEMO)]).out();
    assert!(out.contains(&format!("  byte  opcode{block}")), "{out}");
}
