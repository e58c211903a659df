//! Every input of a list through the gateway itself: what each other door is compared with.
//!
//! `doors bytes|path|ascii FOLDER`: `FOLDER/list.tsv` has a line for each input, its id, the name
//! under which it is given, and its path below FOLDER, with tabs between. For each a line comes out:
//! the id, a tab, and the canonical JSON of the report, or `error:` and the code of what could not be
//! judged. `bytes` gives the file's bytes under the name; `path` gives the path, with FOLDER as the
//! working directory; `ascii` is `path` in the spelling of the command.

use std::io::{self, Write};
use std::path::Path;
use std::{env, fs};

use secure_torch::text::ascii_json;
use secure_torch::{Error, Policy, Report, Source, scan, scan_path};

fn main() -> io::Result<()> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [mode, folder] = arguments.as_slice() else {
        return Err(wrong("usage: doors bytes|path|ascii FOLDER"));
    };
    env::set_current_dir(folder)?;
    let policy = Policy::default();
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in fs::read_to_string("list.tsv")?.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [id, name, path] = fields.as_slice() else {
            return Err(wrong("a line of list.tsv has no three fields"));
        };
        let report: Result<Report, Error> = match mode.as_str() {
            "bytes" => Ok(scan(&Source::from_bytes(name, fs::read(path)?), &policy)),
            _ => scan_path(Path::new(path), &policy),
        };
        match report {
            Ok(report) if mode == "ascii" => writeln!(out, "{id}\t{}", ascii_json(&report.json()))?,
            Ok(report) => writeln!(out, "{id}\t{}", report.json())?,
            Err(error) => writeln!(out, "{id}\terror:{}", error.code().name())?,
        }
    }
    out.flush()
}
