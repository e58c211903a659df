//! What formats other than pickle refer to by name: operators, layers, types, domains.
//!
//! The rows are made by `cargo xtask spec` from `spec/rules/names.toml`. A name that has no row
//! is unknown here, and the reader that asks decides what that means in its format.

mod generated;

pub use generated::System;

/// What is known of a name, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// Part of the format, or of the library that reads it.
    Known(&'static str),
    /// It touches files, processes, other modules or the interpreter.
    Dangerous(&'static str),
}

/// One row: a name, or what names of any ending start with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    name: &'static str,
    prefix: bool,
    named: Named,
}

impl Row {
    /// The name, or what names start with.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether names of any ending are meant.
    #[must_use]
    pub const fn is_prefix(&self) -> bool {
        self.prefix
    }

    /// What is known of it.
    #[must_use]
    pub const fn named(&self) -> Named {
        self.named
    }
}

/// What is known of a name: by its own row, or by the longest prefix that has one.
#[must_use]
pub fn named(system: System, name: &[u8]) -> Option<Named> {
    let rows = system.rows();
    let exact = rows.partition_point(|row| (row.name.as_bytes(), row.prefix) < (name, false));
    if let Some(row) = rows.get(exact)
        && row.name.as_bytes() == name
        && !row.prefix
    {
        return Some(row.named);
    }
    // A prefix of the name stands before it in byte order, and the longest stands last.
    let before = rows.partition_point(|row| row.name.as_bytes() <= name);
    let before = rows.get(..before).unwrap_or_default();
    let row = before.iter().rev().find(|row| row.prefix && name.starts_with(row.name.as_bytes()));
    row.map(|row| row.named)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::format;

    #[test]
    fn rows_are_found_by_name_and_by_prefix() {
        for system in System::ALL {
            assert!(system.rows().is_sorted_by_key(|row| (row.name, row.prefix)));
            for row in system.rows() {
                let longest = |name: &str| {
                    let rows = system.rows().iter();
                    let fits = rows.filter(|row| {
                        row.name == name && !row.prefix || row.prefix && name.starts_with(row.name)
                    });
                    fits.max_by_key(|row| (!row.prefix, row.name.len())).map(|row| row.named)
                };
                for name in
                    [row.name.into(), format!("{}x", row.name), format!("{}.a::b", row.name)]
                {
                    assert_eq!(named(system, name.as_bytes()), longest(&name), "{name}");
                }
            }
            assert_eq!(named(system, b""), None);
        }
    }
}
