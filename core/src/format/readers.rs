//! Every reader of a format that is neither an archive nor a pickle.

use super::detect::Format;
use super::event::Reader;
use super::{gguf, onnx, safetensors};

/// The readers, in the order of their formats. Each is tried on every part.
pub static READERS: &[Reader] = &[
    Reader { format: Format::Safetensors, accepts: safetensors::accepts, read: safetensors::read },
    Reader { format: Format::Gguf, accepts: gguf::accepts, read: gguf::read },
    Reader { format: Format::Onnx, accepts: onnx::accepts, read: onnx::read },
];
