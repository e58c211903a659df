//! `spec/rules/*.toml`: what is allowed, what is dangerous, what Python 2 called it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail, ensure};
use secure_torch_core::pickle::kind::Kind;
use serde::Deserialize;

use super::dump::{head, list, text};
use super::shape::{rust_kind, rust_kinds, rust_shape};

/// The three tables together: each is checked against the others.
pub(super) struct Tables {
    pub(super) allowed: Allowed,
    pub(super) dangerous: Dangerous,
    pub(super) renames: Renames,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Allowed {
    pub(super) global: Vec<Group>,
}

/// Names that share everything but their spelling.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    pub(super) module: Modules,
    pub(super) names: Vec<String>,
    pub(super) kind: String,
    pub(super) call: Option<String>,
    pub(super) build: Option<String>,
    pub(super) gives: Option<String>,
    #[serde(default)]
    pub(super) items: bool,
    pub(super) source: String,
    pub(super) why: String,
}

/// One module, or several that hold the same names.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Modules {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dangerous {
    pub(super) reached: Reached,
    pub(super) family: Vec<Family>,
    pub(super) considered: Vec<Considered>,
}

/// What an attribute walk reaches.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reached {
    pub(super) family: String,
    /// How many components the longest honest name has.
    pub(super) deepest: usize,
    pub(super) modules: Vec<String>,
    pub(super) vendored: Vec<String>,
    pub(super) harmless_dunders: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Family {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) reason: String,
    #[serde(default)]
    pub(super) refs: Vec<String>,
    pub(super) globals: Vec<String>,
}

/// Modules of the standard library that are in no family, and why.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Considered {
    pub(super) reason: String,
    pub(super) modules: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Renames {
    pub(super) standard_library: Vec<String>,
    pub(super) modules: BTreeMap<String, String>,
    pub(super) names: Vec<[String; 4]>,
}

impl Modules {
    pub(super) fn all(&self) -> &[String] {
        match self {
            Self::One(module) => std::slice::from_ref(module),
            Self::Many(modules) => modules,
        }
    }
}

/// The patterns of every family, sorted for binary search.
#[derive(Default)]
pub(super) struct Patterns<'t> {
    exact: BTreeMap<(&'t str, &'t str), &'t str>,
    modules: BTreeMap<&'t str, &'t str>,
    packages: BTreeMap<&'t str, &'t str>,
}

impl<'t> Patterns<'t> {
    /// Reads `module:name name …`, `module:*` and `package.**`.
    fn add(&mut self, pattern: &'t str, family: &'t str) -> Result<()> {
        let before = if let Some(package) = pattern.strip_suffix(".**") {
            self.packages.insert(package, family)
        } else if let Some(module) = pattern.strip_suffix(":*") {
            self.modules.insert(module, family)
        } else {
            let (module, names) =
                pattern.split_once(':').with_context(|| format!("`{pattern}` names no module"))?;
            for name in names.split_whitespace() {
                ensure!(!name.contains(['.', '*']), "`{pattern}` holds a dotted name");
                if let Some(other) = self.exact.insert((module, name), family) {
                    bail!("`{module}:{name}` is in `{other}` and in `{family}`");
                }
            }
            None
        };
        match before {
            Some(other) => bail!("`{pattern}` is in `{other}` and in `{family}`"),
            None => Ok(()),
        }
    }

    /// How many patterns there are.
    pub(super) fn len(&self) -> usize {
        self.exact.len() + self.modules.len() + self.packages.len()
    }

    fn tops(&self) -> BTreeSet<&'t str> {
        let modules = self.exact.keys().map(|&(module, _)| module);
        modules
            .chain(self.modules.keys().copied())
            .chain(self.packages.keys().copied())
            .map(top)
            .collect()
    }

    fn longest(&self) -> usize {
        let modules = self.exact.keys().map(|&(module, _)| module);
        let all = modules.chain(self.modules.keys().copied()).chain(self.packages.keys().copied());
        all.map(str::len).max().unwrap_or(0)
    }
}

impl Tables {
    pub(super) fn patterns(&self) -> Result<Patterns<'_>> {
        let mut patterns = Patterns::default();
        for family in &self.dangerous.family {
            for pattern in &family.globals {
                patterns.add(pattern, &family.id)?;
            }
        }
        Ok(patterns)
    }

    pub(super) fn validate(&self) -> Result<()> {
        for family in &self.dangerous.family {
            ensure!(!family.reason.trim().is_empty(), "family {} has no reason", family.id);
        }
        ensure!(
            self.dangerous.family.iter().any(|family| family.id == self.dangerous.reached.family),
            "the family of attribute walks is not a family"
        );
        self.standard_library()?;
        let patterns = self.patterns()?;
        for group in &self.allowed.global {
            let (first, name) = (group.module.all().first(), group.names.first());
            let place = || format!("in the allowed group of {first:?} {name:?}");
            group.rust_parts().with_context(place)?;
            ensure!(!group.why.trim().is_empty(), "no reason {}", place());
            ensure!(!group.source.trim().is_empty(), "no source {}", place());
            for (module, name) in group.each() {
                ensure!(!name.contains('.'), "`{module}:{name}` is a dotted name");
                ensure!(
                    !patterns.exact.contains_key(&(module, name))
                        && !patterns.modules.contains_key(module),
                    "`{module}:{name}` is allowed and dangerous"
                );
            }
        }
        Ok(())
    }

    /// Every module of the standard library is in a family or was considered, not both.
    fn standard_library(&self) -> Result<()> {
        let tops = self.patterns()?.tops();
        let mut considered = BTreeSet::new();
        for group in &self.dangerous.considered {
            for module in &group.modules {
                ensure!(considered.insert(module.as_str()), "`{module}` was considered twice");
            }
        }
        let left: Vec<_> = self
            .renames
            .standard_library
            .iter()
            .map(String::as_str)
            .filter(|module| !tops.contains(module) && !considered.contains(module))
            .collect();
        ensure!(left.is_empty(), "nobody has judged the modules {}", left.join(" "));
        Ok(())
    }

    /// `core/src/rules/generated.rs`.
    pub(super) fn rust(&self, version: &str, hash: &str) -> Result<String> {
        let mut out = head("`spec/rules/*.toml`");
        out.push_str(
            "use super::{AllowedGlobal, Family, Global};\nuse crate::pickle::kind::{Kind, KindSet, Shape};\n\n",
        );
        let _ = write!(
            out,
            "/// The version of the rules and of the scores.\npub const VERSION: &str = {};\n\n\
             /// SHA-256 of the tables that the rules and the scores come from.\n\
             pub const SHA256: &str = {};\n\n",
            text(version),
            text(hash)
        );
        self.families(&mut out);
        self.allowed(&mut out)?;
        self.dangerous(&mut out)?;
        self.renames(&mut out);
        Ok(out)
    }

    fn families(&self, out: &mut String) {
        for family in &self.dangerous.family {
            let _ = writeln!(
                out,
                "static {}: Family = Family {{ id: {}, title: {}, reason: {} }};",
                constant(&family.id),
                text(&family.id),
                text(&family.title),
                text(&family.reason)
            );
        }
        list(
            out,
            "Every family, in the order of the table.",
            "FAMILIES",
            "&Family",
            self.dangerous.family.iter().map(|family| format!("&{}", constant(&family.id))),
        );
        let _ = writeln!(
            out,
            "/// The family of names that walk from one module to another.\n\
             pub(super) static WALK: &Family = &{};\n",
            constant(&self.dangerous.reached.family)
        );
    }

    fn allowed(&self, out: &mut String) -> Result<()> {
        let mut entries = BTreeMap::new();
        let mut groups = String::new();
        for (index, group) in self.allowed.global.iter().enumerate() {
            let parts = group.rust_parts()?;
            let _ = writeln!(
                groups,
                "const G{index}: AllowedGlobal = AllowedGlobal {{ module: \"\", name: \"\", {parts}, \
                 items: {}, why: {}, source: {} }};",
                group.items,
                text(&group.why),
                text(&group.source)
            );
            for key in group.each() {
                ensure!(
                    entries.insert(key, index).is_none(),
                    "`{}:{}` is allowed twice",
                    key.0,
                    key.1
                );
            }
        }
        if groups.contains("ANY") {
            let every = Kind::NAMES.iter().map(|(kind, _)| format!("Kind::{kind:?}.set().0"));
            let every = every.collect::<Vec<_>>().join(" | ");
            let _ = writeln!(out, "const ANY: KindSet = KindSet({every});\n");
        }
        out.push_str(&groups);
        out.push('\n');
        list(
            out,
            "Every allowed global, sorted by module and name.",
            "ALLOWED",
            "AllowedGlobal",
            entries.iter().map(|((module, name), index)| {
                format!("G{index}.called({}, {})", text(module), text(name))
            }),
        );
        Ok(())
    }

    fn dangerous(&self, out: &mut String) -> Result<()> {
        let patterns = self.patterns()?;
        list(
            out,
            "Dangerous globals by exact module and name, sorted.",
            "EXACT",
            "(&str, &str, &Family)",
            patterns.exact.iter().map(|((module, name), family)| {
                format!("({}, {}, &{})", text(module), text(name), constant(family))
            }),
        );
        list(
            out,
            "Modules of which every name is dangerous, sorted.",
            "MODULES",
            "(&str, &Family)",
            patterns
                .modules
                .iter()
                .map(|(module, family)| format!("({}, &{})", text(module), constant(family))),
        );
        list(
            out,
            "Packages of which every module is dangerous, sorted.",
            "PACKAGES",
            "(&str, &Family)",
            patterns
                .packages
                .iter()
                .map(|(package, family)| format!("({}, &{})", text(package), constant(family))),
        );
        let _ = writeln!(
            out,
            "/// The length of the longest module name in the tables above.\n\
             pub(super) const LONGEST_MODULE: usize = {};\n",
            patterns.longest()
        );
        let _ = writeln!(
            out,
            "/// How many components a name may have before it is taken for a walk.\n\
             pub(super) const DEEPEST: usize = {};\n",
            self.dangerous.reached.deepest
        );
        let reached: BTreeSet<_> = self.dangerous.reached.modules.iter().collect();
        list(
            out,
            "Module names that nothing else is called by, sorted, without leading underscores.",
            "REACHED",
            "&str",
            reached.into_iter().map(|name| text(name)),
        );
        let vendored: BTreeSet<_> = self.dangerous.reached.vendored.iter().collect();
        list(
            out,
            "Libraries that other packages carry a copy of, sorted.",
            "VENDORED",
            "&str",
            vendored.into_iter().map(|name| text(name)),
        );
        let harmless: BTreeSet<_> = self.dangerous.reached.harmless_dunders.iter().collect();
        list(
            out,
            "Double-underscore names that lead nowhere, sorted.",
            "HARMLESS_DUNDERS",
            "&str",
            harmless.into_iter().map(|name| text(name)),
        );
        let mut known = patterns.tops();
        known.extend(self.renames.standard_library.iter().map(String::as_str));
        known.extend(
            self.allowed.global.iter().flat_map(Group::each).map(|(module, _)| top(module)),
        );
        list(
            out,
            "Top-level packages that some table or the standard library knows, sorted.",
            "KNOWN",
            "&str",
            known.into_iter().map(text),
        );
        Ok(())
    }

    fn renames(&self, out: &mut String) {
        list(
            out,
            "Modules that Python 3 renamed, sorted.",
            "MODULE_RENAMES",
            "(&str, &str)",
            self.renames.modules.iter().map(|(old, new)| format!("({}, {})", text(old), text(new))),
        );
        let names: BTreeSet<_> = self.renames.names.iter().collect();
        list(
            out,
            "Names that Python 3 moved or renamed, sorted.",
            "NAME_RENAMES",
            "(Global, Global)",
            names.into_iter().map(|[module, name, new_module, new_name]| {
                format!(
                    "(({}, {}), ({}, {}))",
                    text(module),
                    text(name),
                    text(new_module),
                    text(new_name)
                )
            }),
        );
    }
}

impl Group {
    /// Every module and name of the group.
    pub(super) fn each(&self) -> impl Iterator<Item = (&str, &str)> {
        self.module
            .all()
            .iter()
            .flat_map(|module| self.names.iter().map(move |name| (module.as_str(), name.as_str())))
    }

    fn rust_parts(&self) -> Result<String> {
        let call = match &self.call {
            None => "None".to_owned(),
            Some(shape) => format!("Some({})", rust_shape(shape)?),
        };
        let build = match &self.build {
            None => "None".to_owned(),
            Some(kinds) => format!("Some({})", rust_kinds(kinds)?),
        };
        let gives = match &self.gives {
            None => {
                ensure!(self.call.is_none(), "a callable must say what it gives");
                // An instance that nobody may make is of no kind that anybody knows.
                "Kind::Unknown".to_owned()
            }
            Some(kind) => rust_kind(kind)?,
        };
        ensure!(
            matches!(self.kind.as_str(), "class" | "function" | "constant" | "dtype" | "text"),
            "a global is no {}",
            self.kind
        );
        Ok(format!(
            "kind: {}, call: {call}, build: {build}, gives: {gives}",
            rust_kind(&self.kind)?
        ))
    }
}

fn top(module: &str) -> &str {
    module.split('.').next().unwrap_or(module)
}

fn constant(id: &str) -> String {
    id.to_uppercase().replace('-', "_")
}
