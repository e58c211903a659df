//! The secure-torch engine: reads model files as data, never as programs.
//!
//! Everything here is a pure function from bytes to findings. Nothing of a model is executed,
//! imported or built; no I/O happens; no byte is trusted.
//!
//! - [`pickle`]: the opcode table, the decoder, the machine and its audit domain.
//! - [`json`]: one reader of JSON for every format that carries it.
//! - [`format`]: strict readers for the containers that models come in.
//! - [`rules`]: which globals checkpoints may name, which are dangerous, and why.
//! - [`score`]: from rules hit to points, level and verdict.
//! - [`limits`]: every bound, named once.
//! - `checkpoint` (feature `alloc`): what a file holds, as data, with every tensor inside its storage.
//! - `load` (feature `alloc`): the readers that fill one.
//!
//! # Features
//! Without features the crate is `no_std`, allocates nothing and works in memory that the caller
//! gives. `alloc` adds memory that grows to the limits.

#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;

#[cfg(feature = "alloc")]
pub mod checkpoint;
pub mod format;
pub mod json;
pub mod limits;
#[cfg(feature = "alloc")]
pub mod load;
pub mod pickle;
pub mod rules;
pub mod score;
