//! The native half of the Python package `secure_torch`.
//!
//! It converts arguments, calls the gateway, and converts what comes back. It judges nothing and
//! reads no format; it imports no module and calls no object because a file names it. What it may
//! import is spelled out in the package's own Python modules.

mod arrays;
mod command;
mod convert;
mod dlpack;
mod errors;
mod input;
mod judgement;
mod load;
mod policy;
mod tensors;
mod tree;

/// Native half of `secure_torch`. Use the package; this module is not for you.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use super::command::{rules, run};
    #[pymodule_export]
    use super::convert::convert;
    #[pymodule_export]
    use super::judgement::{Judgement, scan};
    #[pymodule_export]
    use super::load::load;
    #[pymodule_export]
    use super::policy::Policy;

    /// The version of the package and of the engine in it.
    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "it is Python's name")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
