//! The step of `cargo xtask test` about the browser build and its page, in headless Chromium.

use anyhow::Result;

use crate::env;

/// Runs the step.
pub(crate) fn test(_system_packages: bool, _skips: &mut env::Skips) -> Result<()> {
    Ok(())
}
