//! The step of `cargo xtask test` about the C ABI: its header, its libraries, and the C and C++ tests of them.

use anyhow::Result;

use crate::env;

/// Runs the step.
pub(crate) fn test(_system_packages: bool, _skips: &mut env::Skips) -> Result<()> {
    Ok(())
}
