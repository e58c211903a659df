//! Every reader of a format that is neither an archive nor a pickle.

use super::detect::Format;
use super::event::Reader;
use super::{
    coreml, executorch, gguf, graph_text, hdf5, hub, keras, msgpack, npy, onnx, openvino, paddle,
    paddle_json, safetensors, savedmodel, skops, tflite, torch_mobile,
};

/// The readers, in the order of their formats. Each is tried on every part.
pub static READERS: &[Reader] = &[
    Reader { format: Format::Npy, accepts: npy::accepts, read: npy::read },
    Reader { format: Format::Safetensors, accepts: safetensors::accepts, read: safetensors::read },
    Reader { format: Format::Gguf, accepts: gguf::accepts, read: gguf::read },
    Reader { format: Format::Onnx, accepts: onnx::accepts, read: onnx::read },
    Reader { format: Format::SavedModel, accepts: savedmodel::accepts, read: savedmodel::read },
    Reader { format: Format::SavedModel, accepts: graph_text::accepts, read: graph_text::read },
    Reader { format: Format::CoreMl, accepts: coreml::accepts, read: coreml::read },
    Reader { format: Format::Paddle, accepts: paddle::accepts, read: paddle::read },
    Reader { format: Format::Paddle, accepts: paddle_json::accepts, read: paddle_json::read },
    Reader { format: Format::TfLite, accepts: tflite::accepts, read: tflite::read },
    Reader { format: Format::ExecuTorch, accepts: executorch::accepts, read: executorch::read },
    Reader {
        format: Format::TorchMobile,
        accepts: torch_mobile::accepts,
        read: torch_mobile::read,
    },
    Reader { format: Format::OpenVino, accepts: openvino::accepts, read: openvino::read },
    Reader { format: Format::Hdf5, accepts: hdf5::accepts, read: hdf5::read },
    Reader { format: Format::KerasConfig, accepts: keras::accepts, read: keras::read },
    Reader { format: Format::Skops, accepts: skops::accepts, read: skops::read },
    Reader { format: Format::Msgpack, accepts: msgpack::accepts, read: msgpack::read },
    Reader { format: Format::HubConfig, accepts: hub::accepts_config, read: hub::read },
    Reader { format: Format::ShardIndex, accepts: hub::accepts_index, read: hub::read },
];
