//! `secure-torch.toml`: its entries, and what makes them valid.
//!
//! A file is read whole or not at all. An unknown key, a value of another kind, a path pattern
//! that could never match, a rule, format or limit that does not exist: each is an error with its
//! place. A gate whose policy is misread would be worse than none.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use secure_torch_core::format::detect::{Format, SIGNATURES};
use secure_torch_core::limits::Limits;
use secure_torch_core::score::{CAP, Rule};
use sha2::{Digest, Sha256};
use toml::de::DeTable;

use super::GlobalName;
use super::date::Date;
use super::read::{Text, Value, entry, value};
use crate::error::{Code, Error};
use crate::text::printable;

/// A policy file, read and valid.
#[derive(Clone, Debug)]
pub struct PolicyFile {
    path: PathBuf,
    /// The folder from which the paths of entries count: absolute, without links.
    base: PathBuf,
    sha256: String,
    max_threat_score: Option<(u8, u32)>,
    limits: Vec<(String, u64, u32)>,
    pub(super) formats_allow: Option<(Vec<String>, u32)>,
    pub(super) formats_deny: Vec<(String, u32)>,
    pub(super) allow: Vec<Allow>,
    pub(super) ignore: Vec<Ignore>,
}

/// Where, why and until when an entry holds.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) line: u32,
    pub(super) reason: String,
    paths: Option<GlobSet>,
    expires: Option<Date>,
    expired: bool,
}

/// `[[allow]]`: a global.
#[derive(Clone, Debug)]
pub(super) struct Allow {
    pub(super) global: GlobalName,
    pub(super) scope: Scope,
}

/// `[[ignore]]`: findings.
#[derive(Clone, Debug)]
pub(super) struct Ignore {
    pub(super) rule: Rule,
    pub(super) subject: Option<String>,
    pub(super) scope: Scope,
}

/// What an entry of a policy file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// `max_threat_score`
    MaxThreatScore,
    /// An entry of `[formats] allow`: the whole list.
    FormatsAllow,
    /// An entry of `[formats] deny`.
    FormatsDeny,
    /// An entry of `[limits]`.
    Limit,
    /// `[[allow]]`
    Allow,
    /// `[[ignore]]`
    Ignore,
}

impl EntryKind {
    /// The name that reports carry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MaxThreatScore => "max_threat_score",
            Self::FormatsAllow => "formats.allow",
            Self::FormatsDeny => "formats.deny",
            Self::Limit => "limits",
            Self::Allow => "allow",
            Self::Ignore => "ignore",
        }
    }
}

/// An entry of a policy file, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: EntryKind,
    /// Its line in the file.
    pub line: u32,
    /// What it says: a name, a rule with its subject, a number. Safe to print.
    pub what: String,
    /// The reason that the file gives. Safe to print.
    pub reason: String,
    /// The last day on which it holds.
    pub expires: Option<String>,
    /// Whether that day is over.
    pub expired: bool,
}

impl PolicyFile {
    /// The file's path, as it was given or found.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The SHA-256 of its text.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Every entry, in the order of the lines.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let plain = |kind, line, what| Entry {
            kind,
            line,
            what,
            reason: String::new(),
            expires: None,
            expired: false,
        };
        let scoped = |kind, scope: &Scope, what: String| Entry {
            kind,
            line: scope.line,
            what: printable(&what),
            reason: printable(&scope.reason),
            expires: scope.expires.map(|day| day.to_string()),
            expired: scope.expired,
        };
        let mut entries = Vec::new();
        if let Some((most, line)) = self.max_threat_score {
            entries.push(plain(EntryKind::MaxThreatScore, line, most.to_string()));
        }
        for (name, value, line) in &self.limits {
            entries.push(plain(EntryKind::Limit, *line, format!("{name} = {value}")));
        }
        if let Some((ids, line)) = &self.formats_allow {
            entries.push(plain(EntryKind::FormatsAllow, *line, ids.join(", ")));
        }
        for (id, line) in &self.formats_deny {
            entries.push(plain(EntryKind::FormatsDeny, *line, id.clone()));
        }
        for allow in &self.allow {
            entries.push(scoped(EntryKind::Allow, &allow.scope, allow.global.to_string()));
        }
        for ignore in &self.ignore {
            entries.push(scoped(EntryKind::Ignore, &ignore.scope, ignore.what()));
        }
        entries.sort_by_key(|entry| (entry.line, entry.kind));
        entries
    }

    pub(super) fn max_threat_score(&self) -> Option<u8> {
        self.max_threat_score.map(|(most, _)| most)
    }

    pub(super) fn limits(&self) -> impl Iterator<Item = (&str, u64)> {
        self.limits.iter().map(|(name, value, _)| (name.as_str(), *value))
    }

    /// The globals that are allowed at a path.
    pub(super) fn allowed_at(&self, path: Option<&Path>) -> impl Iterator<Item = &GlobalName> {
        let place = self.place(path);
        let holds = move |allow: &&Allow| allow.scope.holds(place.as_deref());
        self.allow.iter().filter(holds).map(|allow| &allow.global)
    }

    /// Where a path lies, seen from the policy's folder; nothing where it lies elsewhere.
    ///
    /// The folder is taken as it is, links resolved, so that `..` and links cannot carry a path
    /// into a scope. The file's own name is not resolved: whoever can put a link there could put
    /// a file there, and caches keep files under other names than the ones they are used by.
    pub(super) fn place(&self, path: Option<&Path>) -> Option<PathBuf> {
        let path = path?;
        let absolute = match (path.file_name(), path.parent()) {
            (Some(name), Some(folder)) if !path.is_dir() => {
                let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
                folder.canonicalize().ok()?.join(name)
            }
            _ => path.canonicalize().ok()?,
        };
        absolute.strip_prefix(&self.base).ok().map(Path::to_owned)
    }
}

impl Scope {
    /// Whether the path is one of the entry's.
    pub(super) fn covers(&self, place: Option<&Path>) -> bool {
        match (&self.paths, place) {
            (None, _) => true,
            (Some(paths), Some(place)) => paths.is_match(place),
            (Some(_), None) => false,
        }
    }

    /// Whether the entry holds for the path today.
    pub(super) fn holds(&self, place: Option<&Path>) -> bool {
        !self.expired && self.covers(place)
    }

    /// The day on which it ended, where it has.
    pub(super) fn ended(&self) -> Option<Date> {
        self.expires.filter(|_| self.expired)
    }
}

impl Ignore {
    pub(super) fn what(&self) -> String {
        match &self.subject {
            Some(subject) => format!("{} on {subject}", self.rule.id()),
            None => self.rule.id().to_owned(),
        }
    }
}

/// Why findings of a rule are never ignored, where they are not.
pub(super) fn never_ignored(rule: Rule) -> Option<&'static str> {
    if rule.points() >= ATTACK {
        return Some("rules of 70 points and more are attacks, and no policy makes them harmless");
    }
    if rule.id().starts_with("trust.") {
        return Some("it says who answers for the file, and ignoring that changes nothing");
    }
    None
}

/// Rules of so many points are never ignored.
const ATTACK: u8 = 70;

/// Reads the text of a policy file.
pub(super) fn parse(
    text: &str,
    path: &Path,
    base: &Path,
    today: Date,
) -> Result<PolicyFile, Error> {
    let name = path.to_string_lossy();
    let reader = Text { path: &name, text };
    let table = reader.table()?;
    reader.only(&table, &["max_threat_score", "limits", "formats", "allow", "ignore"])?;
    let base = absolute(base)?;
    let mut file = PolicyFile {
        path: path.to_owned(),
        base,
        sha256: Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect(),
        max_threat_score: None,
        limits: Vec::new(),
        formats_allow: None,
        formats_deny: Vec::new(),
        allow: Vec::new(),
        ignore: Vec::new(),
    };
    if let Some((key, most)) = entry(&table, "max_threat_score") {
        let number = reader.as_number(most)?;
        let fits = u8::try_from(number).ok().filter(|number| *number <= CAP);
        let number = fits.ok_or_else(|| {
            reader.mistake(most.span(), format!("a score is a whole number from 0 to {CAP}"))
        })?;
        file.max_threat_score = Some((number, reader.line(key.span().start)));
    }
    if let Some(limits) = value(&table, "limits") {
        let mut tried = Limits::default();
        read_limits(reader, reader.as_table(limits)?, "", &mut tried, &mut file.limits)?;
    }
    if let Some(formats) = value(&table, "formats") {
        read_formats(reader, reader.as_table(formats)?, &mut file)?;
    }
    for row in rows(reader, &table, "allow")? {
        let table = reader.as_table(row)?;
        reader.only(table, &["global", "paths", "reason", "expires"])?;
        let named = required(reader, row, "global")?;
        let global = reader
            .as_text(named)?
            .parse()
            .map_err(|_| reader.mistake(named.span(), "a global is MODULE.NAME, or MODULE:NAME"))?;
        file.allow.push(Allow { global, scope: scope(reader, row, today)? });
    }
    for row in rows(reader, &table, "ignore")? {
        let table = reader.as_table(row)?;
        reader.only(table, &["rule", "subject", "paths", "reason", "expires"])?;
        let rule = reader.as_rule(required(reader, row, "rule")?)?;
        let subject = value(table, "subject").map(|subject| reader.as_text(subject)).transpose()?;
        let subject = subject.map(str::to_owned);
        file.ignore.push(Ignore { rule, subject, scope: scope(reader, row, today)? });
    }
    Ok(file)
}

fn rows<'t, 'd>(
    reader: Text<'_>,
    table: &'t DeTable<'d>,
    name: &str,
) -> Result<&'t [Value<'d>], Error> {
    value(table, name).map_or(Ok(&[]), |rows| reader.as_array(rows))
}

fn required<'r, 'd>(
    reader: Text<'_>,
    row: &'r Value<'d>,
    name: &str,
) -> Result<&'r Value<'d>, Error> {
    value(reader.as_table(row)?, name)
        .ok_or_else(|| reader.mistake(row.span(), format!("this entry has no `{name}`")))
}

/// `[limits]`: `archive.depth = 2`, nested as TOML nests dotted keys.
fn read_limits(
    reader: Text<'_>,
    table: &DeTable<'_>,
    group: &str,
    tried: &mut Limits,
    out: &mut Vec<(String, u64, u32)>,
) -> Result<(), Error> {
    for (key, value) in table {
        let name = format!("{group}{}", key.get_ref());
        if value.get_ref().is_table() {
            read_limits(reader, reader.as_table(value)?, &format!("{name}."), tried, out)?;
            continue;
        }
        if !Limits::TABLE.iter().any(|(known, _, _)| *known == name) {
            let what = format!(
                "no limit is called `{}`; `secure-torch rules` lists them",
                printable(&name)
            );
            return Err(reader.mistake(key.span(), what));
        }
        let number = reader.as_number(value)?;
        if !tried.set(&name, number) {
            let what = format!("`{name}` cannot be set to this number");
            return Err(reader.mistake(value.span(), what));
        }
        out.push((name, number, reader.line(key.span().start)));
    }
    Ok(())
}

fn read_formats(reader: Text<'_>, table: &DeTable<'_>, file: &mut PolicyFile) -> Result<(), Error> {
    reader.only(table, &["allow", "deny"])?;
    let id = |value: &Value<'_>| {
        let id = reader.as_text(value)?;
        let known = Format::IDS.contains(&id) || SIGNATURES.iter().any(|row| row.id == id);
        if !known {
            let what =
                format!("no format is called `{}`; docs/formats.md lists them", printable(id));
            return Err(reader.mistake(value.span(), what));
        }
        Ok((id.to_owned(), reader.line(value.span().start)))
    };
    if let Some((key, list)) = entry(table, "allow") {
        let mut ids = Vec::new();
        for value in reader.as_array(list)? {
            ids.push(id(value)?.0);
        }
        file.formats_allow = Some((ids, reader.line(key.span().start)));
    }
    for value in rows(reader, table, "deny")? {
        let (id, line) = id(value)?;
        let both = file.formats_allow.as_ref().is_some_and(|(allow, _)| allow.contains(&id));
        if both {
            let what = format!("`{id}` is both allowed and denied");
            return Err(reader.mistake(value.span(), what));
        }
        file.formats_deny.push((id, line));
    }
    Ok(())
}

/// The folder from which paths count.
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
fn absolute(base: &Path) -> Result<PathBuf, Error> {
    base.canonicalize().map_err(|error| Error::io(base.to_string_lossy(), &error))
}

/// WebAssembly without a system has no folders, and nothing that is judged there has a path.
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
fn absolute(base: &Path) -> Result<PathBuf, Error> {
    Ok(base.to_owned())
}

fn scope(reader: Text<'_>, row: &Value<'_>, today: Date) -> Result<Scope, Error> {
    let table = reader.as_table(row)?;
    let reason = reader.as_text(required(reader, row, "reason")?)?.to_owned();
    let expires = value(table, "expires").map(|day| reader.as_date(day)).transpose()?;
    let paths = value(table, "paths").map(|paths| globs(reader, paths)).transpose()?;
    Ok(Scope {
        line: reader.line(row.span().start),
        reason,
        paths,
        expires,
        expired: expires.is_some_and(|last| today > last),
    })
}

/// Patterns of paths below the policy's folder.
fn globs(reader: Text<'_>, value: &Value<'_>) -> Result<GlobSet, Error> {
    let list = reader.as_array(value)?;
    if list.is_empty() {
        return Err(
            reader.mistake(value.span(), "an empty list matches no path; leave `paths` out")
        );
    }
    let mut set = GlobSetBuilder::new();
    for pattern in list {
        let text = reader.as_text(pattern)?;
        if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
            let what =
                "a pattern counts from the policy's folder: no `/` at either end, no `.`, no `..`";
            return Err(reader.mistake(pattern.span(), what));
        }
        let glob = GlobBuilder::new(text).literal_separator(true).build();
        set.add(
            glob.map_err(|error| reader.mistake(pattern.span(), printable(&error.to_string())))?,
        );
    }
    set.build()
        .map_err(|error| Error::new(Code::Policy, reader.path, printable(&error.to_string())))
}
