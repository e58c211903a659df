//! The judgement of a file that is read in pieces.

use super::scan;
use crate::error::Error;
use crate::policy::Policy;
use crate::report::Report;
use crate::source::Ranged;

/// Judges a file of which pieces are read: the report is the one that [`scan`] gives of its bytes,
/// or one that blocks it for its size.
///
/// # Errors
/// Where a piece cannot be read, or does not fit in memory: there is no verdict then.
pub fn scan_ranged(file: &Ranged, policy: &Policy) -> Result<Report, Error> {
    let source = file.whole(policy.limits.file.held_bytes)?;
    Ok(scan(&source, policy))
}
