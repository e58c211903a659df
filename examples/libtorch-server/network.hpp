// The network that this server serves, and how its weights get in.
//
// P-Net is the first of the three networks of MTCNN (Zhang and others, 2016), which proposes where
// faces are: a small fully convolutional network. Its weights are published as `pnet.pt` in the
// Python package `facenet_pytorch`, whose `models/mtcnn.py` says the architecture.
//
// What it refuses: weights that do not fit this network name by name and shape by shape. A file that
// the gate lets through is harmless to load; that it is the right model is another question.
#pragma once

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

#include <memory>
#include <utility>

#include <secure_torch.hpp>
#include <secure_torch/libtorch.hpp>

namespace server {

class PNetImpl : public torch::nn::Module {
 public:
  PNetImpl() {
    using torch::nn::Conv2dOptions;
    using torch::nn::PReLUOptions;
    conv1_ = register_module("conv1", torch::nn::Conv2d(Conv2dOptions(3, 10, 3)));
    prelu1_ = register_module("prelu1", torch::nn::PReLU(PReLUOptions().num_parameters(10)));
    conv2_ = register_module("conv2", torch::nn::Conv2d(Conv2dOptions(10, 16, 3)));
    prelu2_ = register_module("prelu2", torch::nn::PReLU(PReLUOptions().num_parameters(16)));
    conv3_ = register_module("conv3", torch::nn::Conv2d(Conv2dOptions(16, 32, 3)));
    prelu3_ = register_module("prelu3", torch::nn::PReLU(PReLUOptions().num_parameters(32)));
    face_ = register_module("conv4_1", torch::nn::Conv2d(Conv2dOptions(32, 2, 1)));
    box_ = register_module("conv4_2", torch::nn::Conv2d(Conv2dOptions(32, 4, 1)));
  }

  // The chance of a face and the corrections of its box, for each place of the grid.
  std::pair<at::Tensor, at::Tensor> forward(at::Tensor image) {
    auto x = prelu1_(conv1_(image));
    x = at::max_pool2d(x, {2, 2}, {2, 2}, {0, 0}, {1, 1}, /*ceil_mode=*/true);
    x = prelu2_(conv2_(x));
    x = prelu3_(conv3_(x));
    return {at::softmax(face_(x), 1), box_(x)};
  }

 private:
  torch::nn::Conv2d conv1_{nullptr}, conv2_{nullptr}, conv3_{nullptr}, face_{nullptr}, box_{nullptr};
  torch::nn::PReLU prelu1_{nullptr}, prelu2_{nullptr}, prelu3_{nullptr};
};
TORCH_MODULE(PNet);

// A network that is ready to answer, and what the gate said about its file. Never changed once made:
// any number of threads may ask it.
struct Model {
  PNet network;
  std::string report;
};

}  // namespace server
