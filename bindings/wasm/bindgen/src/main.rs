//! `secure-torch-wasm-bindgen MODULE FOLDER`: what the `wasm-bindgen` command does for the npm
//! package, in the version that the workspace's lock file names.
//!
//! The command of the same project brings a web server and TLS along, and comes in whatever version
//! was installed; both halves have to be of one version.

use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(module), Some(folder)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: secure-torch-wasm-bindgen MODULE FOLDER");
        return ExitCode::from(2);
    };
    let mut bindgen = Bindgen::new();
    bindgen.input_path(module).out_name("engine").typescript(true);
    bindgen.remove_producers_section(true).remove_name_section(true);
    let written = bindgen.web(true).and_then(|bindgen| bindgen.generate(folder));
    if let Err(error) = written {
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
