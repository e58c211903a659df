//! The judgement of a file that is read in pieces.
//!
//! A short one is read whole. Of a longer one its start is held, and the pieces that the reader of
//! ZIP archives asks for; a member is read when it is judged. The report is the one that [`scan`]
//! gives of all its bytes, to the letter, for what PyTorch and safetensors write: ZIP archives of
//! members that each fit, safetensors, GGUF and PyTorch's legacy layout.
//!
//! Every loader that [`scan`] tries is asked here too: each says whether what is held decides its
//! answer for the whole file. Where one cannot tell, more of the start is read; where all that may
//! be held does not decide, or another format is accepted that takes the whole file to judge, the
//! file is blocked for its size, and nothing else is said of it. So it is never laxer than [`scan`],
//! and it never says half of what that would say.

use secure_torch_core::format::READERS;
use secure_torch_core::format::detect::Format;
use secure_torch_core::format::ranges::Ranges;
use secure_torch_core::format::start::Start;
use secure_torch_core::format::zip::Archive;
use secure_torch_core::format::{hub, python, tar, target_text, torch_legacy};
use secure_torch_core::score::Rule;

use super::probe::Names;
use super::tally::{Subject, Tally};
use super::{Context, Judge, listen, packed, scan, sevenz};
use crate::error::Error;
use crate::policy::Policy;
use crate::report::Report;
use crate::source::Ranged;
use crate::source::pieces::{Failure, Pieces};
use crate::trace::Stream;

/// How much of the start is held at first, and by what factor more is if that does not decide.
const HEAD: u64 = 64 << 10;
const FACTOR: u64 = 32;

/// Judges a file of which pieces are read: the report is the one that [`scan`] gives of its bytes,
/// or one that blocks it for its size.
///
/// # Errors
/// Where a piece cannot be read, or does not fit in memory: there is no verdict then.
pub fn scan_ranged(file: &Ranged, asked: &Policy) -> Result<Report, Error> {
    let limits = &asked.limits.file;
    if file.length() <= limits.whole_bytes {
        return Ok(scan(&file.whole(limits.whole_bytes)?, asked));
    }
    let policy = asked.at(None);
    match by_pieces(file, &policy)? {
        Judged::Done(report, _) => Ok(*report),
        Judged::Undecided(_) if file.length() <= limits.held_bytes => {
            Ok(scan(&file.whole(limits.held_bytes)?, asked))
        }
        Judged::Undecided(why) => Ok(refused(file, &policy, why)),
    }
}

/// What came of judging a file by pieces of it.
enum Judged {
    /// The report, and how much of the start decided.
    Done(Box<Report>, u64),
    Undecided(&'static str),
}

/// Hands every pickle of a file to `listener`, as [`super::listen`] does, where the file is judged.
///
/// # Errors
/// As [`scan_ranged`], and [`crate::Code::TooLarge`] where that blocks the file for its size.
pub(crate) fn listen_ranged(
    file: &Ranged,
    policy: &Policy,
    listener: &mut dyn FnMut(&Stream<'_>),
) -> Result<(), Error> {
    let limits = &policy.limits.file;
    let at = policy.at(None);
    if file.length() > limits.whole_bytes
        && let Judged::Done(_, head) = by_pieces(file, &at)?
    {
        let pieces = Pieces::new(file, limits.held_bytes);
        let mut judge = Judge::new(&at);
        judge.pieces = Some(&pieces);
        judge.listener = Some(listener);
        // It has decided before.
        let _ = judge.large(&pieces, head, &Context::file(file.name()));
        return pieces.check();
    }
    listen(&file.whole(limits.whole_bytes.max(limits.held_bytes))?, policy, listener);
    Ok(())
}

fn by_pieces(file: &Ranged, policy: &Policy) -> Result<Judged, Error> {
    let limits = &policy.limits.file;
    let most = limits.held_bytes;
    let mut head = HEAD.min(limits.whole_bytes).max(Start::LEAST as u64);
    // No more than what would be read whole, and room is left for the rest.
    let longest = limits.whole_bytes.max(HEAD).min(most / 2).min(file.length());
    loop {
        let pieces = Pieces::new(file, most);
        let mut judge = Judge::new(policy);
        judge.pieces = Some(&pieces);
        let judged = judge.large(&pieces, head, &Context::file(file.name()));
        let tally = judge.tally;
        match pieces.failure() {
            Some(Failure::Read(error)) => return Err(error),
            Some(Failure::Room) => {
                return Ok(Judged::Undecided("what lies in one piece is longer than what is held"));
            }
            None => {}
        }
        match judged {
            Ok(formats) => {
                let subject = Subject { name: file.name(), path: None, size: file.length() };
                let report = tally.into_report(&subject, policy, &formats);
                return Ok(Judged::Done(Box::new(report), head));
            }
            Err(Undecided::More(_)) if head < longest => {
                head = head.saturating_mul(FACTOR).min(longest);
            }
            Err(Undecided::More(why) | Undecided::Whole(why)) => return Ok(Judged::Undecided(why)),
        }
    }
}

/// The report of a file that cannot be judged by pieces of it.
fn refused(file: &Ranged, policy: &Policy, why: &str) -> Report {
    let mut tally = Tally::new(policy.limits.report);
    let message = format!(
        "{why}, and with {} bytes it is too long to be read whole here: the command and the library judge the file itself, and `file.held_bytes` is the limit",
        file.length()
    );
    tally.find(Rule::FormatUnknown, "", None, "too-large", &message);
    // No policy can let through what nobody looked at.
    tally.refuse(format!("not judged: {message}"));
    let subject = Subject { name: file.name(), path: None, size: file.length() };
    tally.into_report(&subject, policy, &[Format::Unknown])
}

/// Why the start of a file did not decide.
pub(super) enum Undecided {
    /// More of it may.
    More(&'static str),
    /// It takes the whole file.
    Whole(&'static str),
}

const UNTOLD: &str = "its start does not show which loaders would accept the file";
const OTHER: &str = "files of its format are judged as a whole";
pub(super) const CUT: &str = "its start is a pickle that does not end there";

impl<'p> Judge<'p> {
    /// [`Judge::part`] of a file, by its first `head` bytes and by pieces.
    fn large(
        &mut self,
        pieces: &'p Pieces<'p>,
        head: u64,
        context: &Context<'_>,
    ) -> Result<Vec<Format>, Undecided> {
        let length = pieces.length();
        let Some(head) = pieces.piece(0, head.min(length)) else {
            return Err(Undecided::Whole(UNTOLD));
        };
        let behind = length.saturating_sub(head.len() as u64);
        let start = Start { head, file: pieces };
        let mut accepting = Vec::new();
        for reader in READERS {
            match reader.answer(&start) {
                Some(false) => {}
                Some(true) => match reader.read_start {
                    Some(read) => accepting.push((reader.format, read)),
                    None => return Err(Undecided::Whole(OTHER)),
                },
                None => return Err(Undecided::More(UNTOLD)),
            }
        }
        if tar::is_tar(head) || sevenz::is_seven_zip(head) {
            return Err(Undecided::Whole(OTHER));
        }
        let unpacked = packed::other(head).ok_or(Undecided::Whole(OTHER))?;
        let name = context.name.trim_end_matches(['.', ' ']).as_bytes();
        let named = hub::is_template_name(name) || target_text::is_configuration_name(name);
        if named || python::is_bytecode(head) || self.would_import(&unpacked, Names::Paths) {
            return Err(Undecided::Whole(OTHER));
        }

        let mut formats = Vec::new();
        if let Some(archive) = self.opened(Archive::open_ranges(pieces), head, context) {
            formats.push(self.zip(&archive, context, false));
        }
        for (format, read) in accepting {
            let mut enough = true;
            self.read_by(format, length, context, |limits, sink| {
                enough = read(head, length, limits, sink);
            });
            if !enough {
                return Err(Undecided::More("its header does not end in its start"));
            }
            formats.push(format);
        }
        if formats.is_empty() {
            // Text has no such byte, and a loader's pickle has no other in front.
            if !torch_legacy::starts_with_magic(head) || head.first() != Some(&0x80) {
                return Err(Undecided::Whole("it is of no format that is judged by pieces"));
            }
            self.legacy_start(head, length, context)?;
            formats.push(Format::PytorchLegacy);
        } else {
            let names = if formats.contains(&Format::Safetensors) {
                Names::Numbers
            } else {
                self.names_of_others(head)
            };
            let imports = self.would_import(head, names);
            if self.probe_cut.is_some_and(|more| more <= behind) {
                return Err(Undecided::More(CUT));
            }
            if imports {
                return Err(Undecided::Whole("it is a pickle besides"));
            }
        }
        self.polyglot(&formats, context);
        self.settle(&formats, length, context);
        Ok(formats)
    }
}
