//! The command itself: everything is in the library, which the Python wheel runs too.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(secure_torch_cli::run(std::env::args_os()))
}
