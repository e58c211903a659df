//! The C ABI of secure-torch. `include/secure_torch.h` is made from it by `cargo xtask header`.
//!
//! Every function converts its arguments, calls the gateway, and converts what comes back. What it
//! refuses to do: judge anything, read a format, let a panic cross the border ([`boundary`]), or hand
//! out memory that nobody keeps alive.
//!
//! Pointers that C passes for handles and outputs are taken as `Option<&T>`, `Option<&mut T>` and
//! `Option<Box<T>>`, which have the layout of a pointer that may be NULL (`std::boxed`, "Memory
//! layout"). That each is NULL or what the header asks for is the caller's part of the contract
//! (`spec/abi.md`); everything else about an argument is checked.

mod boundary;
mod input;
mod object;

// The order of the header. A line between them keeps rustfmt from sorting.
pub mod text;

pub mod library;

pub mod error;

pub mod policy;

pub mod report;

pub mod file;

pub mod scan;

pub mod load;

pub mod checkpoint;

pub mod value;

pub mod tree;

pub mod tensor;

pub mod memory;

pub mod dlpack;

pub mod numpy;

pub mod convert;

#[cfg(test)]
mod tests;

/// The version of this ABI: a higher one breaks programs that were built for a lower one. Compare it
/// with secure_torch_abi_version().
pub const SECURE_TORCH_ABI_VERSION: u32 = 1;
