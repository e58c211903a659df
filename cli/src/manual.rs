//! Completions and the manual page, made from the command line's own description.

use std::io::{self, Write};

use clap::{Command, CommandFactory};

use crate::args::{Cli, CompletionsArgs, ManArgs};
use crate::errors::Problem;
use crate::output::closed_is_fine;

/// `completions`
pub(crate) fn completions(args: &CompletionsArgs) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "secure-torch", &mut script);
    deliver(&script)
}

/// `man`
pub(crate) fn man(args: &ManArgs) -> u8 {
    let mut command = Cli::command();
    command.build();
    let page = match &args.subcommand {
        None => Some(command),
        Some(name) => command
            .get_subcommands()
            .find(|sub| sub.get_name() == name && !sub.is_hide_set())
            .cloned(),
    };
    let Some(page) = page else {
        Problem::usage(
            "".as_ref(),
            "there is no subcommand of that name",
            "run with `--help` to see the subcommands",
        )
        .tell();
        return 2;
    };
    match render(page) {
        Ok(page) => deliver(&page),
        Err(error) => {
            Problem::output(&error).tell();
            2
        }
    }
}

fn render(command: Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(page)
}

fn deliver(bytes: &[u8]) -> u8 {
    let mut out = io::stdout().lock();
    match closed_is_fine(out.write_all(bytes).and_then(|()| out.flush())) {
        Ok(()) => 0,
        Err(error) => {
            Problem::output(&error).tell();
            2
        }
    }
}
