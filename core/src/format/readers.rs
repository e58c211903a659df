//! Every reader of a format that is neither an archive nor a pickle.

use super::detect::Format;
use super::event::Reader;
use super::{
    coreml, executorch, gguf, graph_text, hdf5, hub, keras, msgpack, npy, onnx, openvino, paddle,
    paddle_json, safetensors, savedmodel, skops, tflite, torch_mobile,
};

/// Makes the table: format, module, `accepts`, `read`, and what the start of a file tells.
macro_rules! readers {
    ($($format:ident, $module:ident, $accepts:ident, $starts:expr, $read_start:expr;)+) => {
        /// The readers, in the order of their formats. Each is tried on every part.
        pub static READERS: &[Reader] = &[$(Reader {
            format: Format::$format,
            accepts: $module::$accepts,
            starts: $starts,
            read: $module::read,
            read_start: $read_start,
        },)+];
    };
}

readers! {
    Npy, npy, accepts, |start| start.fixed(6, npy::accepts), None;
    Safetensors, safetensors, accepts,
        |start| start.fixed(safetensors::LOOK, safetensors::accepts), Some(safetensors::read_start);
    Gguf, gguf, accepts, |start| start.fixed(8, gguf::accepts), Some(gguf::read_start);
    Onnx, onnx, accepts, |start| start.message(onnx::accepts), None;
    SavedModel, savedmodel, accepts, |start| start.message(savedmodel::accepts), None;
    SavedModel, graph_text, accepts, |start| start.graph(), None;
    CoreMl, coreml, accepts, |start| start.message(coreml::accepts), None;
    Paddle, paddle, accepts, |start| start.parameters(paddle::accepts), None;
    Paddle, paddle_json, accepts, |start| start.json(), None;
    TfLite, tflite, accepts, |start| start.flatbuffer(|found| found == b"TFL3"), None;
    ExecuTorch, executorch, accepts, |start| start.flatbuffer(executorch::is_identifier), None;
    TorchMobile, torch_mobile, accepts, |start| start.flatbuffer(|found| found == b"PTMF"), None;
    OpenVino, openvino, accepts, |start| start.xml(openvino::accepts), None;
    Hdf5, hdf5, accepts, |start| start.hdf5(), None;
    KerasConfig, keras, accepts, |start| start.json(), None;
    Skops, skops, accepts, |start| start.json(), None;
    Msgpack, msgpack, accepts, |start| start.msgpack(), None;
    HubConfig, hub, accepts_config, |start| start.configuration(), None;
    ShardIndex, hub, accepts_index, |start| start.configuration(), None;
}
