//! What the globals of a pickle are worth: allowed, dangerous or unknown.
//!
//! The tables are made by `cargo xtask spec` from `spec/rules/*.toml`; a lookup is a binary
//! search in read-only data. The allowed list decides: a name that is not on it, exactly, is at
//! least unknown, and unknown is blocked by default. The dangerous families explain what an
//! attack does, and raise its score.
//!
//! This module refuses to guess. It does not fold case, trim, or normalise a name, because
//! Python's import system does none of that either; it never builds a string, needs no heap,
//! and its time is linear in the length of the names it is given.

mod generated;
pub mod names;

#[cfg(test)]
mod published;
#[cfg(test)]
mod tests;

use core::cmp::Ordering;

use crate::pickle::kind::{Kind, KindSet, Shape};
pub use generated::{SHA256, VERSION};

/// A global that checkpoints may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedGlobal {
    /// The module, as Python 3 calls it.
    pub module: &'static str,
    /// The name in the module.
    pub name: &'static str,
    /// What the name stands for.
    pub kind: Kind,
    /// The arguments that it may be called with; `None` when it must not be called.
    pub call: Option<Shape>,
    /// The kinds of state that BUILD may give to an instance; `None` when BUILD is a finding.
    pub build: Option<KindSet>,
    /// The kind of what a call gives.
    pub gives: Kind,
    /// Whether SETITEM(S), APPEND(S) or ADDITEMS on an instance is usual.
    pub items: bool,
    /// Why it is harmless.
    pub why: &'static str,
    /// The file of CPython, PyTorch, numpy or joblib that says what it does.
    pub source: &'static str,
}

impl AllowedGlobal {
    /// The same entry under another name.
    const fn called(self, module: &'static str, name: &'static str) -> Self {
        Self { module, name, ..self }
    }
}

/// What dangerous globals have in common.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// The stable name, for reports and policies.
    pub id: &'static str,
    /// The name for people.
    pub title: &'static str,
    /// What a pickle gains by naming one.
    pub reason: &'static str,
}

/// The class of a global.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// On the allowed list, exactly.
    Allowed(&'static AllowedGlobal),
    /// Claimed by a family, directly or by a walk through other modules.
    Dangerous(&'static Family),
    /// Neither: importing it runs code that nobody has judged.
    Unknown,
}

/// What is known of one global.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement<'n> {
    /// The class.
    pub class: Class,
    /// Whether a dotted name walks attributes out of a package that is well known. A nested
    /// class of a package that nobody knows is merely unknown.
    pub dotted: bool,
    /// The module and the name that Python 3 imports when it applies its renames.
    pub python3: (&'n str, &'n str),
}

/// Every family, in the order of the table.
#[must_use]
pub fn families() -> &'static [&'static Family] {
    generated::FAMILIES
}

/// Every allowed global, sorted by module and name.
#[must_use]
pub fn allowed_globals() -> &'static [AllowedGlobal] {
    generated::ALLOWED
}

/// The allowed global of an exact module and name.
#[must_use]
pub fn allowed(module: &str, name: &str) -> Option<&'static AllowedGlobal> {
    find(generated::ALLOWED, |entry| entry.module.cmp(module).then_with(|| entry.name.cmp(name)))
}

/// What Python 3 calls a name of Python 2, as `pickle` maps it for protocols under 3.
///
/// CPython looks for the pair first and for the module after that
/// (`Lib/pickle.py`, `find_class`; `Lib/_compat_pickle.py`).
#[must_use]
pub fn python3_name<'n>(module: &'n str, name: &'n str) -> (&'n str, &'n str) {
    let pair = find(generated::NAME_RENAMES, |((old, old_name), _)| {
        (*old).cmp(module).then_with(|| (*old_name).cmp(name))
    });
    if let Some((_, new)) = pair {
        return *new;
    }
    match find(generated::MODULE_RENAMES, |(old, _)| (*old).cmp(module)) {
        Some((_, new)) => (new, name),
        None => (module, name),
    }
}

/// Judges the global that a pickle names.
///
/// `fix_imports` says that the stream's protocol is under 3, so that CPython applies its
/// renames before it imports. Danger is looked for under both names, whatever the protocol:
/// PyTorch's restricted unpickler renames always, Python 2 never.
#[must_use]
pub fn judge<'n>(module: &'n str, name: &'n str, fix_imports: bool) -> Judgement<'n> {
    let python3 = python3_name(module, name);
    let dangerous = dangerous(module, name).or_else(|| dangerous(python3.0, python3.1));
    let has_dot = name.contains('.') || python3.1.contains('.');
    let class = match dangerous {
        Some(family) => Class::Dangerous(family),
        None if has_dot => Class::Unknown,
        None => {
            let renamed = if fix_imports { python3 } else { (module, name) };
            allowed(renamed.0, renamed.1)
                .or_else(|| allowed(module, name))
                .map_or(Class::Unknown, Class::Allowed)
        }
    };
    Judgement { class, dotted: has_dot && (is_known(module) || is_known(python3.0)), python3 }
}

/// The family that claims a global, by its own name or by what its name walks through.
///
/// The name is taken as it is: [`judge`] looks under the renamed one too.
#[must_use]
pub fn dangerous(module: &str, name: &str) -> Option<&'static Family> {
    reach(module, name).or_else(|| walk(module, name))
}

/// The family that claims a path by its own name, for programs: there `vllm.openai` is a module of
/// that package, where in a pickle such a name is a walk into another.
#[must_use]
pub fn claimed(module: &str, name: &str) -> Option<&'static Family> {
    reach(module, name)
}

/// Looks for a global below `module` along `name`, splitting the joined path at every dot of
/// the name: `numpy` and `f2py.crackfortran.myeval` is `numpy.f2py.crackfortran` and `myeval`.
/// An exact name speaks before its module, a module before its package.
fn reach(module: &str, name: &str) -> Option<&'static Family> {
    let mut start = 0_usize;
    loop {
        let path = Path { head: module, tail: name.get(..start.saturating_sub(1))? };
        if path.len() > generated::LONGEST_MODULE {
            break;
        }
        let rest = name.get(start..)?;
        let (part, last) = match rest.split_once('.') {
            Some((part, _)) => (part, false),
            None => (rest, true),
        };
        let end = start.saturating_add(part.len());
        // A name may itself be a module: importing `numpy` gives `f2py` by attribute.
        let below = Path { head: module, tail: name.get(..end)? };
        let exact = find(generated::EXACT, |(known, known_name, _)| {
            path.compare(known).then_with(|| (*known_name).cmp(part))
        });
        let found = exact
            .map(|(_, _, family)| *family)
            .or_else(|| lookup(generated::MODULES, &path))
            .or_else(|| lookup(generated::PACKAGES, &below))
            .or_else(|| last.then(|| lookup(generated::MODULES, &below)).flatten());
        if found.is_some() {
            return found;
        }
        if last {
            break;
        }
        start = end.saturating_add(1);
    }
    package(module)
}

/// Looks for a walk: a name, or a part of one, that is a module of another package, or a
/// double-underscore attribute.
fn walk(module: &str, name: &str) -> Option<&'static Family> {
    let below = |part: &str| is_vendored(part) || part != "__main__" && is_dunder(part);
    if module.split('.').skip(1).any(below) {
        return Some(generated::WALK);
    }
    if name.split('.').nth(generated::DEEPEST).is_some() {
        return Some(generated::WALK);
    }
    let mut rest = name;
    loop {
        let (part, after) = match rest.split_once('.') {
            Some((part, after)) => (part, Some(after)),
            None => (rest, None),
        };
        if is_module(part) || is_dunder(part) {
            return Some(generated::WALK);
        }
        let after = after?;
        let bare = part.trim_start_matches('_');
        let family =
            [part, bare].into_iter().filter(|top| is_known(top)).find_map(|top| reach(top, after));
        if family.is_some() {
            return family;
        }
        rest = after;
    }
}

/// Whether a component is the name of a module that nothing else is called by. Modules are
/// often imported under a leading underscore: `random._os`.
fn is_module(component: &str) -> bool {
    find(generated::REACHED, |known| (*known).cmp(component.trim_start_matches('_'))).is_some()
}

/// Whether a component below the top of a module is a copy of a library that others bundle.
fn is_vendored(component: &str) -> bool {
    find(generated::VENDORED, |known| (*known).cmp(component)).is_some()
}

fn is_dunder(component: &str) -> bool {
    component.len() > 4
        && component.starts_with("__")
        && component.ends_with("__")
        && find(generated::HARMLESS_DUNDERS, |known| (*known).cmp(component)).is_none()
}

/// Whether the module's top package is one that a table or the standard library knows.
fn is_known(module: &str) -> bool {
    let top = module.split('.').next().unwrap_or(module);
    find(generated::KNOWN, |known| (*known).cmp(top)).is_some()
}

/// The family of the shortest package that holds the module.
fn package(module: &str) -> Option<&'static Family> {
    let ends = module.match_indices('.').map(|(at, _)| at).chain([module.len()]);
    ends.take_while(|end| *end <= generated::LONGEST_MODULE)
        .filter_map(|end| module.get(..end))
        .find_map(|head| lookup(generated::PACKAGES, &Path { head, tail: "" }))
}

fn lookup(table: &[(&str, &'static Family)], path: &Path<'_>) -> Option<&'static Family> {
    find(table, |(known, _)| path.compare(known)).map(|(_, family)| *family)
}

/// A module and a name in it.
type Global = (&'static str, &'static str);

/// A binary search; `order` says how an entry compares with what is sought.
fn find<T>(table: &[T], order: impl FnMut(&T) -> Ordering) -> Option<&T> {
    table.binary_search_by(order).ok().and_then(|index| table.get(index))
}

/// A module path in two pieces, so that no string need be built to join them.
struct Path<'n> {
    head: &'n str,
    tail: &'n str,
}

impl Path<'_> {
    fn len(&self) -> usize {
        let dot = usize::from(!self.tail.is_empty());
        self.head.len().saturating_add(dot).saturating_add(self.tail.len())
    }

    /// How an entry compares with this path. Stops at the first byte that differs, so that it
    /// takes no longer than the entry is.
    fn compare(&self, known: &str) -> Ordering {
        if self.tail.is_empty() {
            return known.cmp(self.head);
        }
        let joined = self.head.bytes().chain([b'.']).chain(self.tail.bytes());
        known.bytes().cmp(joined)
    }
}
