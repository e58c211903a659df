// secure-torch for libtorch: a judged checkpoint as at::Tensor, c10::IValue and torch::nn::Module.
//
//     auto checkpoint = secure_torch::load("model.pt").value();
//     secure_torch::libtorch::load_state_dict(*network, checkpoint).value();
//
// Header-only. It needs the headers of libtorch and its libraries c10 and torch_cpu; the CMake target is
// `secure_torch::libtorch` (docs/cpp.md).
#pragma once

#include <secure_torch/libtorch/modules.hpp>
#include <secure_torch/libtorch/tensors.hpp>
#include <secure_torch/libtorch/values.hpp>
