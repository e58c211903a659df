//! `trace`: a pickle's opcodes, one to a line, with what the audit says beneath.
//!
//! The listing is the gateway's (`secure_torch::trace`); this module only prints it.

use std::io::{self, Write};

use secure_torch::trace::{Ended, Note, Row, Stream};
use serde::Serialize;

use crate::args::{TraceArgs, When};
use crate::errors::Problem;
use crate::output::{
    BAD, BOLD, DIM, GOOD, NAME, Page, WARN, closed_is_fine, path_text, shown_path,
};
use crate::{file, json};

/// Columns of the opcode's name; the longest has 16 letters.
const OPCODE: usize = 16;
/// Columns of the argument; a longer one pushes the stack to the right.
const ARGUMENT: usize = 28;

/// Runs the command.
pub(crate) fn run(args: &TraceArgs, color: When) -> u8 {
    let mut page = Page::stdout(color);
    let printed = match listing(args, &mut page) {
        Ok(printed) => printed.and_then(|()| page.flush()),
        Err(problem) => {
            problem.tell();
            return 2;
        }
    };
    if let Err(error) = closed_is_fine(printed) {
        Problem::output(&error).tell();
        return 2;
    }
    0
}

/// Reads the file and lists its pickles; the inner result is the writer's.
fn listing<W: Write>(args: &TraceArgs, page: &mut Page<W>) -> Result<io::Result<()>, Problem> {
    let policy = args.reading.policy();
    let source = file::open(&args.file, &policy)?;
    let mut listed = false;
    let mut others: Vec<String> = Vec::new();
    let mut printed = Ok(());
    secure_torch::trace::streams(&source, &policy, |stream| {
        // A report shows the path escaped, so that form names it too.
        let shown = secure_torch::text::printable(stream.path);
        if args.member.as_ref().is_some_and(|wanted| wanted != stream.path && *wanted != shown) {
            others.push(shown);
        } else if printed.is_ok() {
            listed = true;
            printed = pickle(args, stream, page);
        }
    });
    if listed {
        return Ok(printed);
    }
    others.dedup();
    Err(if others.is_empty() {
        let hint = "`secure-torch scan` tells what the file is";
        Problem::usage(&args.file, "the file holds no pickle", hint)
    } else {
        let hint = format!("its pickles are: {}", others.join(", "));
        Problem::usage(&args.file, "no pickle has that path", hint)
    })
}

/// Lists one pickle.
fn pickle<W: Write>(args: &TraceArgs, stream: &Stream<'_>, page: &mut Page<W>) -> io::Result<()> {
    let end = stream.offset.saturating_add(u64::try_from(stream.bytes.len()).unwrap_or(u64::MAX));
    let offset_width = end.to_string().len().max(6);
    if !args.json {
        header(args, stream, offset_width, page)?;
    }
    let mut result = Ok(());
    let ended = secure_torch::trace::trace(stream, |row| {
        result = if args.json {
            tagged(stream.path, row).and_then(|line| json::line(&line, page))
        } else {
            self::row(row, offset_width, page)
        };
        result.is_ok()
    });
    result?;
    if args.json {
        json::line(&tagged(stream.path, &ended)?, page)
    } else {
        self::end(&ended, offset_width, page)
    }
}

/// Which pickle this is, and the columns' names.
fn header<W: Write>(
    args: &TraceArgs,
    stream: &Stream<'_>,
    offset_width: usize,
    page: &mut Page<W>,
) -> io::Result<()> {
    let mut name = shown_path(&path_text(&args.file));
    if !stream.path.is_empty() {
        name.push_str("!/");
        name.push_str(&secure_torch::text::printable(stream.path));
    }
    let title = page.paint(BOLD, name);
    let place = page.paint(DIM, format!("pickle at byte {}", stream.offset));
    page.line(format_args!("{title}  {place}"))?;
    let columns = format!(
        "{:>offset_width$}  {:<OPCODE$}  {:<ARGUMENT$}  depth  marks  top of the stack",
        "byte", "opcode", "argument"
    );
    let columns = page.paint(DIM, columns);
    page.line(columns)
}

/// A row, or the end, with the path of its pickle.
fn tagged(path: &str, row: &impl Serialize) -> io::Result<String> {
    #[derive(Serialize)]
    struct Tagged<'p, R: Serialize> {
        path: &'p str,
        #[serde(flatten)]
        row: R,
    }
    Ok(serde_json::to_string(&Tagged { path, row })?)
}

fn row<W: Write>(row: &Row, offset_width: usize, page: &mut Page<W>) -> io::Result<()> {
    let marks = if row.marks > 0 { row.marks.to_string() } else { "-".to_owned() };
    let objects = usize::try_from(row.depth.saturating_add(row.marks)).unwrap_or(usize::MAX);
    let below = if objects > row.top.len() { "… " } else { "" };
    let stack = page.paint(DIM, format!("{below}{}", row.top.join("  ")));
    let opcode = page.paint(BOLD, format!("{:<OPCODE$}", row.opcode));
    let line = format!(
        "{:>offset_width$}  {opcode}  {:<ARGUMENT$}  {:>5}  {marks:>5}  {stack}",
        row.offset, row.argument, row.depth
    );
    page.line(line.trim_end())?;
    notes(&row.notes, offset_width, page)
}

fn end<W: Write>(ended: &Ended, offset_width: usize, page: &mut Page<W>) -> io::Result<()> {
    let what = match ended.end {
        "stop" => "the pickle ends",
        "malformed" => "no instruction can start here",
        "truncated" => "the input ends",
        _ => "a limit ends the reading",
    };
    let line = page.paint(DIM, format!("{:>offset_width$}  {what}", ended.offset));
    page.line(line)?;
    notes(&ended.notes, offset_width, page)?;
    page.blank()
}

fn notes<W: Write>(notes: &[Note], offset_width: usize, page: &mut Page<W>) -> io::Result<()> {
    for note in notes {
        let text = match note {
            Note::Import { global, python3, class, family } => {
                let style = match *class {
                    "allowed" => GOOD,
                    "dangerous" => BAD,
                    _ => WARN,
                };
                let mut text = format!("import {global}");
                if python3 != global {
                    text.push_str(&format!(" (Python 3: {python3})"));
                }
                let class = match family {
                    Some(family) => format!("{class}, {family}"),
                    None => (*class).to_owned(),
                };
                format!("{text}: {}", page.paint(style, class))
            }
            Note::Call { global } => format!("acts on {global}"),
            Note::Nested { offset, length } => {
                format!("the {length} bytes at {offset} may be a pickle")
            }
            Note::Finding { rule, points, message } => {
                format!("{} +{points}: {message}", page.paint(NAME, rule))
            }
        };
        page.line(format_args!("{:offset_width$}    ^ {text}", ""))?;
    }
    Ok(())
}
