//! Every reader of a format that is neither an archive nor a pickle.

use super::event::Reader;

/// The readers, in the order of their formats. Each is tried on every part.
pub static READERS: &[Reader] = &[];
