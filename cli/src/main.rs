//! The `secure-torch` command: the gateway's judgement, for people and for pipelines.
//!
//! The command holds no judgement of its own. It reads arguments, asks the gateway, prints what
//! came back and turns the verdict into an exit code. It never loads a model, and no byte of a
//! file reaches the terminal unless it is safe to print.

mod advice;
mod args;
mod errors;
mod file;
mod formats;
mod frames;
mod json;
mod manual;
mod output;
mod policy;
mod progress;
mod report;
mod rules;
mod rules_json;
mod rules_text;
mod scan;
mod summary;
mod trace;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    match &cli.command {
        Command::Scan(args) => scan::run(args, cli.color),
        Command::Trace(args) => trace::run(args, cli.color),
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
fn misused(error: &clap::Error) -> ExitCode {
    let hostile = |argument: std::ffi::OsString| {
        let argument = argument.to_string_lossy();
        secure_torch::text::printable(&argument) != argument
    };
    if error.use_stderr() && std::env::args_os().any(hostile) {
        for line in error.render().to_string().lines() {
            errors::to_stderr(&format!("{}\n", secure_torch::text::printable(line)));
        }
    } else {
        // Nobody is left to be told that printing failed.
        drop(error.print());
    }
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}
