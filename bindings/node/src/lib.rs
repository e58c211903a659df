//! The native half of the npm package `secure-torch`.
//!
//! It converts arguments, calls the gateway, and converts what comes back. It judges nothing and
//! reads no format. Its errors are values (`Failure`), which the package's own code throws; no
//! panic leaves it.

pub mod command;
pub mod convert;
pub mod failure;
pub mod input;
pub mod judgement;
pub mod load;
pub mod memory;
pub mod policy;
pub mod tree;
pub mod wire;
pub mod work;
