//! Readers that load: from bytes that were judged to a [`Checkpoint`](crate::checkpoint::Checkpoint).
//!
//! Each is a pure function that puts what a format holds into a
//! [`Builder`](crate::checkpoint::Builder), and says where the bytes of its storages are. They refuse
//! to execute, import or guess: what they do not rebuild is a
//! [`LoadError`](crate::checkpoint::LoadError) with its place.

mod dense;
pub mod index;
pub mod npy;
pub mod npz;
pub mod onnx;
pub mod pickle;
pub mod safetensors;
pub mod torch_legacy;
pub mod torch_tar;
pub mod torch_zip;

/// How a file is loaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The number of the file, which [`Place::File`](crate::checkpoint::Place::File) repeats.
    pub file: u32,
    /// How the strings of Python 2 are decoded.
    pub text: Python2Text,
    /// What the file may ask for.
    pub limits: crate::limits::Limits,
}

/// How the `str` of Python 2 in a pickle is decoded: the `encoding` of `torch.load`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Python2Text {
    /// As UTF-8, which is what `torch.load` takes unless it is told otherwise.
    #[default]
    Utf8,
    /// As ASCII, which is what `pickle.load` takes.
    Ascii,
    /// As Latin-1.
    Latin1,
    /// Not at all: they become `bytes`.
    Bytes,
}

fn offset(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
