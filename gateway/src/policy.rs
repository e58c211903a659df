//! What the caller lets through.
//!
//! A [`Policy`] is a few numbers and names, and perhaps a file of them: `secure-torch.toml`, which
//! says for which paths a name is allowed or a finding is ignored, by whom and why. What a policy
//! names is let through and nothing else is: no entry reaches beyond the paths, the rule and the
//! names that it spells out, and what the rules call an attack stays one. See `docs/policy.md`.

mod apply;
mod date;
mod discover;
mod file;
mod read;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secure_torch_core::limits::Limits;
use secure_torch_core::score::DEFAULT_MAX_THREAT_SCORE;

use crate::error::{Code, Error};
pub(crate) use apply::{Outcome, Seen};
pub use discover::FILE_NAME;
pub(crate) use discover::folder_of;
pub use file::{Entry, EntryKind, PolicyFile};

/// What the caller lets through.
///
/// The default allows scores up to 20: SAFE, LOW and lower MEDIUM (16–20). 21–35 are MEDIUM and
/// blocked, HIGH and CRITICAL are blocked.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The highest score that is let through.
    pub max_threat_score: u8,
    /// Globals that are allowed beyond the rules, exactly as a pickle names them. A global that
    /// the rules call dangerous stays dangerous.
    pub allow: Vec<GlobalName>,
    /// The limits of the judgement.
    pub limits: Limits,
    /// The file that the policy comes from, whose entries hold for some paths. The fields above
    /// win over it.
    pub file: Option<Arc<PolicyFile>>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_threat_score: DEFAULT_MAX_THREAT_SCORE,
            allow: Vec::new(),
            limits: Limits::default(),
            file: None,
        }
    }
}

impl Policy {
    /// Reads a policy from the text of a `secure-torch.toml` that lies, or might lie, in the
    /// folder `base`. Its `paths` count from there.
    ///
    /// # Errors
    /// [`Code::Policy`], with line and column, where anything in it is not as `docs/policy.md`
    /// says. Nothing is half applied.
    pub fn from_toml(text: &str, base: &Path) -> Result<Self, Error> {
        Ok(Self::of(file::parse(text, &base.join(FILE_NAME), base, date::today())?))
    }

    /// [`Self::from_toml`] on the day that is so many days after 1970-01-01 in UTC: for whoever
    /// knows the day better than this machine, or runs where there is no clock.
    ///
    /// # Errors
    /// As [`Self::from_toml`].
    pub fn from_toml_on(text: &str, base: &Path, days: u64) -> Result<Self, Error> {
        Ok(Self::of(file::parse(text, &base.join(FILE_NAME), base, date::day(days))?))
    }

    /// Reads the policy in a file, which the caller names and therefore trusts.
    ///
    /// # Errors
    /// Where it cannot be read, and as [`Self::from_toml`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        discover::open(path)
    }

    /// The policy file that holds for a path, where one does: the nearest `secure-torch.toml` in
    /// the working directory or above it that lies above what this path names.
    ///
    /// A file in the folder that is judged, or in the folder of the file that is judged, is never
    /// obeyed: whoever made the model may have put it there. Files are never merged.
    ///
    /// # Errors
    /// Where the file that is found cannot be read or belongs to somebody else, and as
    /// [`Self::from_toml`].
    pub fn discover(path: &Path) -> Result<Option<(PathBuf, Self)>, Error> {
        discover::discover(path)
    }

    /// [`Self::discover`] for standard input, which lies nowhere: from the working directory.
    ///
    /// # Errors
    /// As [`Self::discover`].
    pub fn discover_here() -> Result<Option<(PathBuf, Self)>, Error> {
        discover::here()
    }

    fn of(file: PolicyFile) -> Self {
        let mut policy = Self::default();
        if let Some(most) = file.max_threat_score() {
            policy.max_threat_score = most;
        }
        for (name, value) in file.limits() {
            // The reader has tried it: name and value are those of a limit.
            policy.limits.set(name, value);
        }
        policy.file = Some(Arc::new(file));
        policy
    }

    /// The policy for one path, with the names that its file allows there.
    pub(crate) fn at(&self, path: Option<&Path>) -> Cow<'_, Self> {
        let Some(file) = &self.file else { return Cow::Borrowed(self) };
        let names: Vec<GlobalName> = file.allowed_at(path).cloned().collect();
        if names.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut policy = self.clone();
        policy.allow.extend(names);
        Cow::Owned(policy)
    }

    /// The globals that are allowed beyond the rules, as the engine takes them.
    pub(crate) fn allowed_globals(&self) -> Vec<(&str, &str)> {
        self.allow.iter().map(|global| (global.module.as_str(), global.name.as_str())).collect()
    }
}

/// A module and a name in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GlobalName {
    /// The module.
    pub module: String,
    /// The name.
    pub name: String,
}

impl std::fmt::Display for GlobalName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let separator = if self.name.contains('.') { ':' } else { '.' };
        write!(f, "{}{separator}{}", self.module, self.name)
    }
}

impl std::str::FromStr for GlobalName {
    type Err = Error;

    /// Reads `module.name`, split at the last dot, or `module:name`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let split = text.split_once(':').or_else(|| text.rsplit_once('.'));
        match split {
            Some((module, name)) if !module.is_empty() && !name.is_empty() => {
                Ok(Self { module: module.to_owned(), name: name.to_owned() })
            }
            _ => Err(Error::new(
                Code::Policy,
                "",
                format!("`{}` is not MODULE.NAME", crate::text::printable(text)),
            )),
        }
    }
}

#[cfg(test)]
mod tests;
