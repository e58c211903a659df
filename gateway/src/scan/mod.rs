//! The judgement of one file.
//!
//! A file is tried against every reader, because whoever loads it chooses the loader: a ZIP
//! whose first bytes are a pickle is both, and that is a finding. Containers are opened, within
//! limits, and each member is judged like a file. Nothing is executed, imported or unpickled.

mod asked;
mod large;
mod legacy;
mod packed;
mod probe;
mod program;
mod read;
mod sevenz;
mod sink;
mod stream;
pub(crate) mod tally;
mod tape;
mod unpack;
mod view;
mod zip;

use std::borrow::Cow;

use secure_torch_core::format::detect::{Format, is_text_within, promises, signature};
use secure_torch_core::format::tar;
use secure_torch_core::format::tflite;
use secure_torch_core::format::zip::{Archive, ZipError};
use secure_torch_core::pickle::audit::{GrowingWorkspace, PersistentIds};
use secure_torch_core::score::Rule;

use crate::policy::Policy;
use crate::report::Report;
use crate::repository;
use crate::source::Source;
use crate::source::pieces::Pieces;
use crate::trace::Stream;
use asked::Asked;
pub(crate) use large::listen_ranged;
pub use large::scan_ranged;
use probe::Names;
pub(crate) use read::Reference;
use tally::{Subject, Tally};
pub(crate) use view::View;

/// Judges a source. It cannot fail: what cannot be judged is a finding that blocks.
#[must_use]
pub fn scan(source: &Source, policy: &Policy) -> Report {
    judge(source, policy, None).0
}

/// [`scan`] of a file in a folder: `claim` says which file beside it takes it for raw numbers.
/// Gives the other files that it refers to as well.
pub(crate) fn scan_among(
    source: &Source,
    policy: &Policy,
    claim: Option<&str>,
) -> (Report, Vec<Reference>) {
    let (report, references, _) = judge(source, policy, claim);
    (report, references)
}

/// [`scan_among`], with the formats whose loaders would accept the file.
pub(crate) fn judge(
    source: &Source,
    policy: &Policy,
    claim: Option<&str>,
) -> (Report, Vec<Reference>, Vec<Format>) {
    let policy = policy.at(source.path());
    let mut judge = Judge::new(&policy);
    let mut context = Context::file(source.name());
    if claim.is_some() {
        context.unknown = Unknown::Claimed;
    }
    let formats = judge.part(source.bytes(), &context);
    let Judge { mut tally, references, .. } = judge;
    if let (Some(claim), [Format::Weights]) = (claim, formats.as_slice()) {
        tally.note(format!(
            "raw numbers that `{}` claims; only their start was examined",
            crate::text::printable(claim)
        ));
    }
    if let Some(path) = source.path() {
        repository::follow(path, source.bytes(), &references, &policy, &mut tally);
        if path.file_name().is_some_and(|name| name == crate::policy::FILE_NAME) {
            tally.note(repository::NOT_OBEYED);
        }
    }
    let size = source.bytes().len() as u64;
    let subject = Subject { name: source.name(), path: source.path(), size };
    (tally.into_report(&subject, &policy, &formats), references, formats)
}

/// Hands every pickle of a source to `listener`, in the order in which they are met, with the
/// options under which it is judged.
pub(crate) fn listen<'p>(
    source: &Source,
    policy: &'p Policy,
    listener: &'p mut dyn FnMut(&Stream<'_>),
) {
    let policy = policy.at(source.path());
    let mut judge = Judge::new(&policy);
    judge.listener = Some(listener);
    judge.part(source.bytes(), &Context::file(source.name()));
}

/// How an archive that is a file of its own is read by its own loader. `pieces` are those that it
/// was opened over, where it is not held in memory.
pub(crate) fn view_of<'a>(
    archive: &Archive<'a>,
    pieces: Option<&'a Pieces<'a>>,
    policy: &Policy,
) -> View<'a> {
    let mut judge = Judge::new(policy);
    judge.pieces = pieces;
    judge.view_of(archive, &Context::file(""))
}

/// Where a part stands, and what its surroundings say about it.
#[derive(Clone, Copy)]
struct Context<'c> {
    /// The part's path: empty for the file itself.
    path: &'c str,
    /// The file name that promises a format.
    name: &'c str,
    /// How many containers the part lies in.
    depth: u32,
    /// How many pickles the part lies in.
    nesting: u32,
    /// The persistent ids that the part's own loader understands.
    ids: PersistentIds,
    /// Whether `__torch__` names are the archive's own.
    torchscript: bool,
    /// Whether a TorchScript loader reads the part as source.
    script: Script,
    /// Modules of the archive that the part lies in.
    own: &'c [&'c str],
    /// Whether joblib may read the part's pickles.
    joblib: bool,
    /// What an unknown part means.
    unknown: Unknown,
}

/// Whether a member is source of TorchScript.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    /// No.
    No,
    /// It lies where TorchScript looks, in an archive that others may read too.
    Also,
    /// It is nothing else.
    Only,
}

/// What it means when no reader accepts a part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unknown {
    /// It is what is to be loaded, or may be: nobody can say what it does.
    Blocks,
    /// A member that the archive's own loader does not read.
    Passes,
    /// A byte string among the values of a file: numbers, or whatever a program makes of it.
    Value,
    /// A file that another one beside it claims as raw numbers.
    Claimed,
}

impl<'c> Context<'c> {
    const fn file(name: &'c str) -> Self {
        Self {
            path: "",
            name,
            depth: 0,
            nesting: 0,
            ids: PersistentIds::None,
            torchscript: false,
            script: Script::No,
            own: &[],
            joblib: true,
            unknown: Unknown::Blocks,
        }
    }
}

/// The judgement under way.
struct Judge<'p> {
    policy: &'p Policy,
    tally: Tally,
    workspace: GrowingWorkspace,
    /// How many bytes all compressed members took so far.
    unpacked: u64,
    /// The storages that the pickles of the part under way ask for.
    records: Asked,
    /// How many members of archives were judged so far.
    members: u64,
    /// The other files that the file refers to.
    references: Vec<Reference>,
    /// How many bytes the last probe read.
    last_probe: usize,
    /// How many bytes more could have changed the last probe's answer; nothing where none could.
    probe_cut: Option<u64>,
    /// The file's pieces, where it is judged by them.
    pieces: Option<&'p Pieces<'p>>,
    /// Who wants to hear of each pickle.
    listener: Option<&'p mut dyn FnMut(&Stream<'_>)>,
}

impl<'p> Judge<'p> {
    fn new(policy: &'p Policy) -> Self {
        Self {
            policy,
            tally: Tally::new(policy.limits.report),
            workspace: GrowingWorkspace::new(&policy.limits.pickle),
            unpacked: 0,
            records: Asked::default(),
            members: 0,
            references: Vec::new(),
            last_probe: 0,
            probe_cut: None,
            pieces: None,
            listener: None,
        }
    }

    /// Tries every reader on a part; the formats whose readers accept it.
    fn part(&mut self, bytes: &[u8], context: &Context<'_>) -> Vec<Format> {
        let mut formats = Vec::new();
        if !self.is_within_limits(bytes, context) {
            return formats;
        }
        let is_tar = tar::is_tar(bytes);
        // The files that belong to a TensorFlow Lite model, such as its labels, are a ZIP behind it
        // (`tflite_support/metadata/python/metadata.py`).
        let lite = tflite::accepts(bytes);
        if let Some(archive) = self.opened(Archive::open(bytes), bytes, context)
            && !(is_tar && tape::holds(bytes, &archive))
        {
            let format = self.zip(&archive, context, lite);
            if !(lite && format == Format::Zip) {
                formats.push(format);
            }
        }
        if is_tar {
            formats.push(self.tar(bytes, context));
        }
        formats.extend(self.seven_zip(bytes, context));
        formats.extend(self.packed(bytes, context));
        self.readers(bytes, context, &mut formats);
        if self.opens_a_pickle(bytes, context, &formats) {
            formats.push(self.pickles(bytes, context));
        }
        self.polyglot(&formats, context);
        // Who imports a member does not ask whether it is something else as well.
        let program = self.program(bytes, context);
        if formats.is_empty() {
            formats.push(program.unwrap_or_else(|| self.unread(bytes, context)));
        }
        self.settle(&formats, bytes.len() as u64, context);
        formats
    }

    /// Several loaders would accept a part.
    fn polyglot(&mut self, formats: &[Format], context: &Context<'_>) {
        if formats.len() > 1 {
            let names: Vec<&str> = formats.iter().map(|format| format.id()).collect();
            let why =
                format!("loaders of {} would each accept these bytes", names.join(" and of "));
            self.tally.find(Rule::FormatPolyglot, context.path, None, "", why);
        }
    }

    /// The formats of a part are known.
    fn settle(&mut self, formats: &[Format], length: u64, context: &Context<'_>) {
        for &format in formats {
            if format.contradicts(context.name) {
                let why = format!("the name promises another format than {}", format.id());
                self.tally.find(Rule::FormatMismatch, context.path, None, context.name, why);
            }
            self.tally.part(context.path, format, length);
        }
    }

    /// Whether the containers so far are within their limits; a finding, if not.
    fn is_within_limits(&mut self, bytes: &[u8], context: &Context<'_>) -> bool {
        if context.depth > self.policy.limits.archive.depth {
            let why = "archives nest deeper than the limit; the rest could not be judged";
            self.tally.find(Rule::ArchiveBomb, context.path, None, "", why);
            return false;
        }
        if context.depth > 0 {
            self.members = self.members.saturating_add(1);
            if self.members > u64::from(self.policy.limits.archive.entries) {
                let why =
                    "the archives hold more members than the limit; the rest could not be judged";
                self.tally.find(Rule::ArchiveBomb, "", None, "", why);
                return false;
            }
        }
        let container = context.depth > 0 && (bytes.starts_with(b"PK") || tar::is_tar(bytes));
        if container {
            // What is stored in an archive inside an archive is read again for each level.
            self.unpacked = self.unpacked.saturating_add(bytes.len() as u64);
        }
        if self.unpacked > self.policy.limits.archive.total_bytes {
            let why = "unpacking takes more than the limit; the rest could not be judged";
            self.tally.find(Rule::ArchiveBomb, context.path, None, "", why);
            return false;
        }
        true
    }

    /// Whether an unpickler would get anywhere with bytes that are of these formats already.
    ///
    /// The first bytes of another format decode as a few opcodes too; what counts there is whether
    /// they import anything.
    fn opens_a_pickle(&mut self, bytes: &[u8], context: &Context<'_>, formats: &[Format]) -> bool {
        if formats.contains(&Format::Msgpack) {
            // Its first byte is an opcode that takes an extension code, for maps of two to four.
            self.would_import(bytes, Names::Paths)
        } else if formats.contains(&Format::Safetensors) {
            // It starts with a length, which may be any opcode: a `GLOBAL`, an extension, a frame.
            self.would_import(bytes, Names::Numbers)
        } else if !formats.is_empty() {
            let names = self.names_of_others(bytes);
            self.would_import(bytes, names)
        } else if context.unknown == Unknown::Claimed && !self.is_text(bytes) {
            // Raw numbers decode as a few opcodes by chance, as a storage's do.
            let names = if bytes.starts_with(b"\x80") { Names::Paths } else { Names::Numbers };
            self.would_import(bytes, names)
        } else if names_text(context.name) && self.is_text(bytes) {
            self.is_pickle(bytes, Names::Called)
        } else if context.unknown == Unknown::Value {
            self.would_import(bytes, Names::Files)
        } else {
            self.is_pickle(bytes, Names::Any)
        }
    }

    /// What it takes for bytes of another format to count as a pickle that imports.
    fn names_of_others(&self, bytes: &[u8]) -> Names {
        // A sound ZIP's own first bytes decode as a line and then as what comes by chance.
        // Whatever else opens an archive, or stands in one that is not sound, is there on
        // purpose.
        let sound =
            !self.tally.hits(Rule::ArchiveAmbiguous) && !self.tally.hits(Rule::ArchiveCorrupt);
        if bytes.starts_with(b"PK") && sound { Names::Dangerous } else { Names::Files }
    }

    /// A part that no reader accepts.
    fn unread(&mut self, bytes: &[u8], context: &Context<'_>) -> Format {
        self.refused(bytes, context);
        let format = match signature(bytes) {
            Some(signature) => Format::Recognised(signature),
            None if bytes.is_empty() && promises(context.name, Format::Text.id()) => Format::Text,
            None if !bytes.is_empty() && self.is_text(bytes) => Format::Text,
            None if context.unknown == Unknown::Claimed && !bytes.is_empty() => Format::Weights,
            None => Format::Unknown,
        };
        self.tally
            .examine((bytes.len() as u64).min(u64::from(self.policy.limits.archive.sniff_bytes)));
        let blocks = context.unknown == Unknown::Blocks;
        match format {
            Format::Recognised(signature) if signature.native => {
                self.tally.find(
                    Rule::NativeCode,
                    context.path,
                    Some(0),
                    signature.id,
                    signature.title,
                );
            }
            Format::Recognised(signature)
                if signature.image && promises(context.name, signature.id) =>
            {
                self.tally.note("a picture is no model; what else may read it was not judged");
            }
            Format::Recognised(signature) => {
                let why =
                    format!("{} is recognised, but this version cannot judge it", signature.title);
                self.tally.find(Rule::FormatUnknown, context.path, Some(0), signature.id, why);
            }
            Format::Text if context.path.is_empty() => {
                let what = "the file is text and no model; what else may read it was not judged";
                self.tally.note(what);
            }
            Format::Text => {}
            _ if bytes.is_empty() && context.path.is_empty() => {
                self.tally.find(Rule::FormatUnknown, context.path, None, "", "the file is empty");
            }
            _ if blocks && !bytes.is_empty() => {
                let why = "no format that can be judged";
                self.tally.find(Rule::FormatUnknown, context.path, Some(0), "", why);
            }
            _ => {}
        }
        format
    }

    fn is_text(&self, bytes: &[u8]) -> bool {
        is_text_within(bytes, self.policy.limits.file.text_bytes)
    }

    /// The archive that a part was opened as; a finding where it is none and starts as one.
    fn opened<'a>(
        &mut self,
        opened: Result<Archive<'a>, ZipError>,
        start: &[u8],
        context: &Context<'_>,
    ) -> Option<Archive<'a>> {
        match opened {
            Ok(archive) => Some(archive),
            Err(error) => {
                // The signature says that somebody's reader will try.
                if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
                    let offset = Some(error.offset);
                    let why = error.kind.message();
                    self.tally.find(Rule::ArchiveCorrupt, context.path, offset, "", why);
                }
                None
            }
        }
    }
}

/// Whether a reader accepted the part, whatever it then found.
const fn is_judged(format: Format) -> bool {
    !matches!(
        format,
        Format::Text | Format::Python | Format::Unknown | Format::Weights | Format::Recognised(_)
    )
}

/// Endings of files that are handed to `pickle.load` and its kin. Text of any other name takes a
/// call, a dangerous global or a whole pickle to count as one: lists of words and licences have
/// all kinds of names, or none.
const PICKLED: [&str; 16] = [
    "pkl", "pickle", "pck", "p", "pt", "pth", "ptl", "bin", "ckpt", "joblib", "jl", "dill",
    "model", "sav", "tar", "dat",
];

fn names_text(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending);
    !PICKLED.iter().any(|pickled| ending.eq_ignore_ascii_case(pickled))
}

/// A member's path inside a part.
fn member_path<'m>(part: &str, member: &'m str) -> Cow<'m, str> {
    if part.is_empty() { Cow::Borrowed(member) } else { Cow::Owned(format!("{part}!/{member}")) }
}
