//! What the benches share: inputs made by formula, and a clock of process CPU time.
//!
//! Every input is the same bytes on every machine: a small pickler and a small archive writer
//! make it from a seed, and it is kept in the cache outside the tree (see [`inputs`]). The
//! criterion benches, the runner of `cargo xtask bench` and the peers' script all read those
//! files, so that every number of one table is about the same bytes.
//!
//! Nothing here is a format writer for others to use: the pickler writes what the inputs need
//! and no more.

pub mod archive;
pub mod clock;
pub mod inputs;
pub mod mixed;
pub mod pickler;
pub mod random;
pub mod state_dict;
pub mod subject;
