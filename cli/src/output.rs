//! Where text goes: a page with or without colour, wrapped to the terminal.
//!
//! A reader that closes its end early (`| head`) ends the printing, not the judgement: the exit
//! code is the verdict's either way.

use std::fmt::Display;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::path::Path;

use anstream::ColorChoice;
use anstyle::{AnsiColor, Color, Style};

use crate::args::When;

/// Emphasis: what a line is about.
pub(crate) const BOLD: Style = Style::new().bold();
/// What matters less.
pub(crate) const DIM: Style = Style::new().dimmed();
/// Nothing to worry about.
pub(crate) const GOOD: Style = color(AnsiColor::Green).bold();
/// Worth a look.
pub(crate) const WARN: Style = color(AnsiColor::Yellow).bold();
/// An alarm.
pub(crate) const BAD: Style = color(AnsiColor::Red).bold();
/// A name of ours: a rule, a family.
pub(crate) const NAME: Style = color(AnsiColor::Cyan);

const fn color(color: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(color)))
}

const WIDEST: usize = 100;
const NARROWEST: usize = 40;

/// A page of text on its way to a writer.
pub(crate) struct Page<W: Write> {
    out: W,
    colored: bool,
    width: usize,
}

impl Page<BufWriter<io::StdoutLock<'static>>> {
    /// The page on standard output.
    pub(crate) fn stdout(when: When) -> Self {
        let stdout = io::stdout();
        let colored = match when {
            When::Always => true,
            When::Never => false,
            When::Auto => !matches!(anstream::AutoStream::choice(&stdout), ColorChoice::Never),
        };
        let width = terminal_size::terminal_size_of(&stdout)
            .map_or(WIDEST, |(width, _)| usize::from(width.0))
            .clamp(NARROWEST, WIDEST);
        Self { out: BufWriter::new(stdout.lock()), colored, width }
    }
}

impl<W: Write> Page<W> {
    /// A plain page of the widest width.
    pub(crate) const fn plain(out: W) -> Self {
        Self { out, colored: false, width: WIDEST }
    }

    /// What the page was written to.
    pub(crate) fn into_inner(self) -> W {
        self.out
    }

    /// The text in a style, or as it is where there is no colour.
    pub(crate) fn paint(&self, style: Style, text: impl Display) -> String {
        if self.colored { format!("{style}{text}{style:#}") } else { text.to_string() }
    }

    /// One line, as it is.
    pub(crate) fn line(&mut self, line: impl Display) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    /// An empty line.
    pub(crate) fn blank(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }

    /// The heading of a section.
    pub(crate) fn heading(&mut self, text: impl Display) -> io::Result<()> {
        let text = self.paint(BOLD, text);
        writeln!(self.out, "\n  {text}")
    }

    /// A paragraph, broken at spaces, each line behind `indent` spaces.
    pub(crate) fn paragraph(&mut self, indent: usize, text: &str) -> io::Result<()> {
        self.item(indent, "", text)
    }

    /// A paragraph whose first line opens with `lead`, the others hanging under its end.
    pub(crate) fn item(&mut self, indent: usize, lead: &str, text: &str) -> io::Result<()> {
        self.styled_item(indent, Style::new(), lead, text)
    }

    /// An [`Self::item`] with its lead in a style.
    pub(crate) fn styled_item(
        &mut self,
        indent: usize,
        style: Style,
        lead: &str,
        text: &str,
    ) -> io::Result<()> {
        let hang = indent.saturating_add(lead.chars().count());
        let room = self.width.saturating_sub(hang).max(NARROWEST / 2);
        let lead = self.paint(style, lead);
        for (index, line) in wrap(text, room).into_iter().enumerate() {
            let (pad, lead) = if index == 0 { (indent, lead.as_str()) } else { (hang, "") };
            writeln!(self.out, "{:pad$}{lead}{line}", "")?;
        }
        Ok(())
    }

    /// Hands everything over.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<W: Write> Write for Page<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The lines of a text, none longer than `width` unless a word is.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut length = 0_usize;
    for word in text.split_whitespace() {
        let word_length = word.chars().count();
        if length > 0 && length.saturating_add(1).saturating_add(word_length) > width {
            lines.push(std::mem::take(&mut line));
            length = 0;
        }
        if length > 0 {
            line.push(' ');
            length = length.saturating_add(1);
        }
        line.push_str(word);
        length = length.saturating_add(word_length);
    }
    lines.push(line);
    lines
}

/// Whether printing went well. A reader that has seen enough is no failure.
pub(crate) fn closed_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Whether standard output is a terminal.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// A path that is safe to print; `-` reads better in words.
pub(crate) fn shown_path(path: &str) -> String {
    if path == "-" { "standard input".to_owned() } else { secure_torch::text::printable(path) }
}

/// A path as text, whatever its bytes; not yet safe to print.
pub(crate) fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A size for people: `812 bytes`, `4.1 kB`, `2.3 GB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes == 1 {
        return "1 byte".to_owned();
    }
    if bytes < 1_000 {
        return format!("{bytes} bytes");
    }
    // Tenths of a unit, so that no float is needed.
    let mut tenths = bytes / 100;
    let mut unit = 0_usize;
    while tenths >= 10_000 && unit < UNITS.len() - 1 {
        tenths /= 1_000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// `1 file`, `2 files`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (1_234_567, "1.2 MB"),
            (10_000_000_000, "10.0 GB"),
            (u64::MAX, "18446.7 PB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn lines_break_at_spaces_and_words_stay_whole() {
        assert_eq!(wrap("a bb ccc", 4), ["a bb", "ccc"]);
        assert_eq!(wrap("abcdefgh i", 4), ["abcdefgh", "i"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn a_hanging_lead_keeps_its_column() {
        let mut page = Page::plain(Vec::new());
        let text = "word ".repeat(40);
        assert!(page.item(4, "- ", &text).is_ok());
        let text = String::from_utf8(page.out).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() > 1 && lines.iter().all(|line| line.len() <= WIDEST));
        assert!(lines[0].starts_with("    - word") && lines[1].starts_with("      word"));
    }
}
