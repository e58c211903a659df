//! The project's chores: `cargo xtask <chore>`.
//!
//! Each chore is a module with a `run` function; this file only names them.

mod bench;
mod capi;
mod demo;
mod doors;
mod env;
mod inputs;
mod libtorch;
mod node;
mod place;
mod shell;
mod spec;
mod test;
mod torch;
mod vectors;
mod web;
mod wheel;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "xtask", about = "The project's chores")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Measure beside the peers, on the same bytes, and print the ratios.
    Bench(bench::Arguments),
    /// Fetch small real models, make hostile files, and show the verdicts.
    Demo,
    /// Install what the tests need into ignored folders.
    Env(env::Arguments),
    /// Fetch the real published model files of `spec/inputs.toml`.
    Inputs(inputs::Arguments),
    /// Run everything that must hold.
    Test(test::Arguments),
    /// Make every generated file anew from the tables in `spec/`.
    Spec(spec::Arguments),
    /// Make every test vector anew from the descriptions in `spec/vectors/src/`.
    Vectors(vectors::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Bench(arguments) => bench::run(&arguments),
        Chore::Demo => demo::run(),
        Chore::Env(arguments) => env::run(&arguments),
        Chore::Inputs(arguments) => inputs::run(&arguments),
        Chore::Test(arguments) => test::run(&arguments),
        Chore::Spec(arguments) => spec::run(&arguments),
        Chore::Vectors(arguments) => vectors::run(&arguments),
    };
    // No backtrace: a chore that fails says why in one line.
    if let Err(error) = result {
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
