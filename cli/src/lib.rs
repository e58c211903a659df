//! The `secure-torch` command: the gateway's judgement, for people and for pipelines.
//!
//! The command holds no judgement of its own. It reads arguments, asks the gateway, prints what
//! came back and turns the verdict into an exit code. It never runs anything of a model, and no byte
//! of a file reaches the terminal unless it is safe to print.
//!
//! It is a library so that whatever carries the command, such as a Python wheel, runs this one.

mod advice;
mod args;
mod convert;
mod errors;
mod file;
mod formats;
mod frames;
mod inspect;
mod json;
mod manual;
mod output;
mod policy;
mod progress;
mod report;
mod rules;
mod rules_text;
mod scan;
mod summary;
mod trace;

use std::ffi::OsString;

use clap::Parser;

use args::{Cli, Command};

/// Runs the command with its arguments, the first of which is its own name, and gives its exit code.
///
/// It prints to this process's standard output and error, and reads its standard input where it is
/// asked to.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => return misused(&error, &args),
    };
    match &cli.command {
        Command::Scan(args) => scan::run(args, cli.color),
        Command::Trace(args) => trace::run(args, cli.color),
        Command::Inspect(args) => inspect::run(args, cli.color),
        Command::Convert(args) => convert::run(args, cli.color),
        Command::Policy(args) => policy::run(args, cli.color),
        Command::Rules(args) => rules::run(args, cli.color),
        Command::Completions(args) => manual::completions(args),
        Command::Man(args) => manual::man(args),
        Command::Globals(args) => frames::run(args),
    }
}

/// Says what is wrong with the command line, or prints the help that was asked for.
///
/// An argument may be the name of a hostile file that a shell put there (`scan *`), and the
/// message repeats it. Where one holds what a terminal obeys, the message loses its colours.
fn misused(error: &clap::Error, args: &[OsString]) -> u8 {
    let hostile = |argument: &OsString| {
        let argument = argument.to_string_lossy();
        secure_torch::text::printable(&argument) != argument
    };
    if error.use_stderr() && args.iter().any(hostile) {
        for line in error.render().to_string().lines() {
            errors::to_stderr(&format!("{}\n", secure_torch::text::printable(line)));
        }
    } else {
        // Nobody is left to be told that printing failed.
        drop(error.print());
    }
    if error.use_stderr() { 2 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gets_the_exit_code() {
        let arguments = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(run(arguments(&["secure-torch", "--no-such-switch"])), 2);
        assert_eq!(run(arguments(&["secure-torch", "scan", "-q", "/no/such/model.pt"])), 2);
    }
}
