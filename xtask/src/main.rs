//! The project's chores: `cargo xtask <chore>`.
//!
//! Each chore is a module with a `run` function; this file only names them.

mod bench;
mod capi;
mod demo;
mod doors;
mod env;
mod header;
mod inputs;
mod install;
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
    /// Judge every vector through every door, and compare the reports byte for byte.
    Doors(doors::Arguments),
    /// Install what the tests need into ignored folders.
    Env(env::Arguments),
    /// Make the C header anew from the source of the C ABI.
    Header(header::Arguments),
    /// Fetch the real published model files of `spec/inputs.toml`.
    Inputs(inputs::Arguments),
    /// Install the C library, its header and what finds it, below a prefix.
    Install(install::Arguments),
    /// Run everything that must hold.
    Test(test::Arguments),
    /// Make every generated file anew from the tables in `spec/`.
    Spec(spec::Arguments),
    /// Make every test vector anew from the descriptions in `spec/vectors/src/`.
    Vectors(vectors::Arguments),
    /// Build the browser package, and serve its page to this machine.
    Web(web::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Bench(arguments) => bench::run(&arguments),
        Chore::Demo => demo::run(),
        Chore::Doors(arguments) => doors::run(&arguments),
        Chore::Env(arguments) => env::run(&arguments),
        Chore::Header(arguments) => header::run(&arguments),
        Chore::Inputs(arguments) => inputs::run(&arguments),
        Chore::Install(arguments) => install::run(&arguments),
        Chore::Test(arguments) => test::run(&arguments),
        Chore::Spec(arguments) => spec::run(&arguments),
        Chore::Vectors(arguments) => vectors::run(&arguments),
        Chore::Web(arguments) => web::run(&arguments),
    };
    // No backtrace: a chore that fails says why in one line.
    if let Err(error) = result {
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
