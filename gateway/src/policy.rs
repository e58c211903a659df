//! What the caller lets through.

use secure_torch_core::limits::Limits;
use secure_torch_core::score::DEFAULT_MAX_THREAT_SCORE;

use crate::error::{Code, Error};

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
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_threat_score: DEFAULT_MAX_THREAT_SCORE,
            allow: Vec::new(),
            limits: Limits::default(),
        }
    }
}

impl Policy {
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
mod tests {
    use super::*;

    #[test]
    fn names_split_at_the_last_dot_or_the_colon() {
        let name = |text: &str| text.parse::<GlobalName>().map(|n| (n.module, n.name)).ok();
        assert_eq!(name("a.b.C"), Some(("a.b".into(), "C".into())));
        assert_eq!(name("a.b:C.d"), Some(("a.b".into(), "C.d".into())));
        for bad in ["", "a", ".a", "a.", ":"] {
            assert_eq!(name(bad), None, "{bad}");
        }
    }
}
