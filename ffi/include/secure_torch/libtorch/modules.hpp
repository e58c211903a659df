// The parameters and buffers of a torch::nn::Module, filled from a checkpoint by their dotted names.
//
// As torch.nn.Module.load_state_dict (torch/nn/modules/module.py): names that are missing or unexpected
// are an error unless `strict` is off, and what does not fit is an error in any case. All of it is found
// before anything is written: a module is filled whole or stays as it was.
//
// Stricter than load_state_dict: an element type that would lose what the file says (complex to real,
// float to integer) does not fit.
#pragma once

#include <c10/core/ScalarType.h>
#include <torch/nn/module.h>

#include <algorithm>

#include <secure_torch/libtorch/tensors.hpp>

namespace secure_torch::libtorch {

struct StateDictOptions {
  // Whether names that are missing or unexpected are an error.
  bool strict = true;
  // Make the module's tensors look at the checkpoint's memory instead of copying into their own. Their
  // element types become those of the file, and they go where `tensors` says.
  bool assign = false;
  // What leads to the state_dict inside the file, with its dot: `state_dict.`. Names that start
  // otherwise are not looked at.
  std::string prefix;
  Options tensors;
};

// What was passed over, with `strict` off.
struct Passed {
  std::vector<std::string> missing;
  std::vector<std::string> unexpected;
};

namespace detail {

inline std::string shape_text(at::IntArrayRef shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  }
  return text + "]";
}

inline std::string type_text(const at::Tensor& tensor) {
  std::string text = c10::toString(tensor.scalar_type());
  if (tensor.layout() != at::kStrided) text += ", sparse";
  return text;
}

// Why a tensor does not fit into another; empty where it does.
inline std::string misfit(const at::Tensor& own, const at::Tensor& given, bool assign) {
  if (own.sizes() != given.sizes()) {
    return "the module has the shape " + shape_text(own.sizes()) + ", the file " +
           shape_text(given.sizes());
  }
  const bool other_kind = own.layout() != given.layout() || own.is_quantized() != given.is_quantized();
  const bool lossy = !assign && !c10::canCast(given.scalar_type(), own.scalar_type());
  if (other_kind || lossy) {
    return "the module has elements of the type " + type_text(own) + ", the file of " +
           type_text(given);
  }
  if (!assign && given.is_meta() && !own.is_meta()) return "the file has no data for it";
  return {};
}

// Whether filling one tensor from another converts nothing.
inline bool is_plain(const at::Tensor& own, const at::Tensor& given) {
  return own.scalar_type() == given.scalar_type() && own.layout() == at::kStrided &&
         !own.is_quantized();
}

// BatchNorm counts its batches since PyTorch 0.4.1. Files from before have no such key and load all the
// same (torch/nn/modules/batchnorm.py, _NormBase._load_from_state_dict).
inline bool is_counter(const std::string& name) {
  static const std::string COUNTER = "num_batches_tracked";
  return name.size() >= COUNTER.size() &&
         name.compare(name.size() - COUNTER.size(), COUNTER.size(), COUNTER) == 0;
}

// A file can have any number of names: a message lists so many of each kind.
constexpr std::size_t MOST_LISTED = 100;

inline void list(std::string& text, const char* title, const std::vector<std::string>& names) {
  if (names.empty()) return;
  text += std::string("; ") + title + ":";
  const std::size_t listed = std::min(names.size(), MOST_LISTED);
  for (std::size_t i = 0; i < listed; ++i) text += " " + shown(names[i]) + ",";
  text.pop_back();
  if (listed < names.size()) text += " and " + std::to_string(names.size() - listed) + " more";
}

}  // namespace detail

// Fills a module. With `strict` off, the value says what was passed over.
inline Result<Passed> load_state_dict(torch::nn::Module& module, const Checkpoint& checkpoint,
                                      const StateDictOptions& options = {}) {
  // What the module has; names in the order in which it registered them.
  std::vector<std::pair<std::string, at::Tensor>> own;
  std::unordered_map<std::string, std::size_t> places;
  const auto add = [&](const std::string& name, const at::Tensor& tensor) {
    if (!tensor.defined()) return;
    places.emplace(name, own.size());
    own.emplace_back(name, tensor);
  };
  for (const auto& item : module.named_parameters()) add(item.key(), item.value());
  for (const auto& item : module.named_buffers()) add(item.key(), item.value());

  Reader reader(checkpoint, options.tensors);
  std::vector<at::Tensor> given(own.size());
  std::vector<bool> met(own.size(), false);
  Passed passed;
  std::vector<std::string> misfits;
  bool counted = false;
  auto names = checkpoint.tensors();
  if (!names) return std::move(names).error();
  for (const NamedTensor named : *names) {
    if (named.name.substr(0, options.prefix.size()) != options.prefix) continue;
    const std::string name(named.name.substr(options.prefix.size()));
    counted = counted || detail::is_counter(name);
    const auto place = places.find(name);
    if (place == places.end()) {
      passed.unexpected.push_back(name);
      continue;
    }
    // `{"a.b": …}` beside `{"a": {"b": …}}`.
    if (met[place->second]) {
      misfits.push_back(name + " (is there twice)");
      continue;
    }
    met[place->second] = true;
    auto made = reader.tensor(named.value);
    if (!made) {
      misfits.push_back(name + " (" + std::string(made.error().message()) + ")");
      continue;
    }
    const std::string why = detail::misfit(own[place->second].second, *made, options.assign);
    if (!why.empty()) misfits.push_back(name + " (" + why + ")");
    given[place->second] = std::move(*made);
  }
  for (std::size_t i = 0; i < own.size(); ++i) {
    const auto& name = own[i].first;
    if (!met[i] && (counted || !detail::is_counter(name))) passed.missing.push_back(name);
  }
  if (!misfits.empty() ||
      (options.strict && !(passed.missing.empty() && passed.unexpected.empty()))) {
    std::string text = "the file does not fit the module";
    if (options.strict) {
      detail::list(text, "missing", passed.missing);
      detail::list(text, "unexpected", passed.unexpected);
    }
    detail::list(text, "does not fit", misfits);
    return detail::unsupported(std::move(text));
  }
  return detail::guarded<Passed>("filling the module", [&]() -> Passed {
    const at::NoGradGuard no_grad;
    // What libtorch has no way to copy, such as packed integers to floats, shows before anything is
    // written: whatever is not a plain copy of bytes is made beside the module first.
    for (std::size_t i = 0; i < own.size() && !options.assign; ++i) {
      if (!given[i].defined() || detail::is_plain(own[i].second, given[i])) continue;
      given[i] = own[i].second.detach().clone().copy_(given[i]);
    }
    for (std::size_t i = 0; i < own.size(); ++i) {
      if (!given[i].defined()) continue;
      // A copy keeps the module's own memory and type; `set_data` keeps the variable alone, with its
      // place in graphs and optimizers.
      if (options.assign) {
        own[i].second.set_data(given[i].detach());
      } else {
        own[i].second.copy_(given[i]);
      }
    }
    return std::move(passed);
  });
}

}  // namespace secure_torch::libtorch
