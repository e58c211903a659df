//! The gate that every model file passes before anything loads it.
//!
//! ```
//! use secure_torch::{Policy, Source, Verdict, scan};
//!
//! let payload = b"cposix\nsystem\n(S'echo hello'\ntR.".to_vec();
//! let report = scan(&Source::from_bytes("model.pt", payload), &Policy::default());
//! assert_eq!(report.verdict, Verdict::Block);
//! assert!(report.globals.iter().any(|global| global.python3 == "posix.system"));
//! ```
//!
//! A [`Source`] is opened once; [`scan`] judges its bytes without executing, importing or
//! unpickling anything and gives a [`Report`]. The engine below is [`core`].

pub mod archive;
pub mod convert;
pub mod dlpack;
pub mod error;
pub mod inspect;
pub mod load;
pub mod policy;
pub mod report;
mod repository;
pub mod rules;
pub mod sarif;
pub mod scan;
pub mod source;
pub mod text;
pub mod trace;
mod tree;
mod view;
pub mod walk;

pub use convert::{ConvertOptions, Converted, convert, convert_path, convert_source};
pub use error::{Code, Error};
pub use inspect::{Inspection, inspect};
pub use load::{
    Checkpoint, LoadError, LoadOptions, Memory, NamedTensor, load, load_path, load_shared,
};
pub use policy::{GlobalName, Policy, PolicyFile};
pub use report::{Applied, Finding, Global, Part, PolicyInfo, Report, SCHEMA};
pub use rules::rules_json;
pub use sarif::sarif;
pub use scan::{scan, scan_ranged};
pub use secure_torch_core as core;
pub use secure_torch_core::score::{Level, Verdict};
pub use source::{Ranged, ReadAt, Source};
pub use walk::{Progress, scan_opened, scan_path, scan_paths};
