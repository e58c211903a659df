//! Reading pickles as data.
//!
//! [`decode`] turns bytes into instructions, [`machine`] executes them over a domain of values,
//! and [`audit`] is the domain that builds nothing and sees every import.

pub mod audit;
pub mod decode;
pub mod kind;
pub mod machine;
pub mod opcode;
pub mod probe;
pub mod store;
pub mod text;
