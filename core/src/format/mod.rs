//! Formats: one reader per format, each a pure function from bytes to a description and to
//! findings.
//!
//! A reader here never decides, never executes, and never allocates unless asked to. It says
//! what is there and what is odd about it; the score decides.

/// Makes an enum of oddities from one table: variant, scoring rule, stable id, sentence.
macro_rules! anomaly_kinds {
    (
        $(#[$about:meta])*
        pub enum $name:ident;
        $($variant:ident, $rule:ident, $id:literal, $message:literal;)+
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $(#[doc = concat!("`", $id, "`: ", $message, ".")] $variant,)+
        }

        impl $name {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The scoring rule that the kind hits.
            pub const fn rule(self) -> $crate::score::Rule {
                match self { $(Self::$variant => $crate::score::Rule::$rule,)+ }
            }

            /// The kind's own stable id.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$variant => $id,)+ }
            }

            /// One sentence, lower case: what the readers would disagree about.
            pub const fn message(self) -> &'static str {
                match self { $(Self::$variant => $message,)+ }
            }

            /// The kind as an event: seen at `offset`, on `subject`.
            #[must_use]
            pub const fn at(self, offset: u64, subject: &[u8]) -> $crate::format::event::Event<'_> {
                $crate::format::event::Event::Anomaly($crate::format::event::Anomaly {
                    rule: self.rule(),
                    id: self.id(),
                    message: self.message(),
                    offset,
                    subject,
                })
            }
        }
    };
}

pub mod code_text;
pub mod coreml;
pub mod detect;
mod embedded;
pub mod event;
pub mod executorch;
pub mod flatbuffer;
pub mod gguf;
pub mod graph_text;
pub mod hdf5;
pub mod hub;
pub mod json_text;
pub mod keras;
pub mod msgpack;
pub mod npy;
mod objects;
pub mod onnx;
pub mod openvino;
pub mod paddle;
pub mod paddle_json;
pub mod protobuf;
pub mod python;
pub mod ranges;
mod readers;
pub mod safetensors;
pub mod savedmodel;
pub mod skops;
pub mod start;
pub mod store;
pub mod tar;
pub mod target_text;
#[cfg(test)]
mod testing;
pub mod tflite;
pub mod torch_export;
pub mod torch_legacy;
pub mod torch_mobile;
pub mod torch_tar;
pub mod torch_zip;
pub mod torchscript;
pub mod zip;
pub mod zip_kind;

pub use readers::READERS;
