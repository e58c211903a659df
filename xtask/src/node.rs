//! The step of `cargo xtask test` about the npm package `secure-torch`, tested as it is installed.

use anyhow::Result;

use crate::env;

/// Runs the step.
pub(crate) fn test(_system_packages: bool, _skips: &mut env::Skips) -> Result<()> {
    Ok(())
}
