// The tensors of a checkpoint as at::Tensor, without a copy.
//
// One storage of the checkpoint is one c10::Storage, so that tensors that share memory in the file share
// it here, as with torch.load. Its deleter holds the memory: tensors outlive the checkpoint. Writing to
// one is seen by its aliases and never reaches the file.
//
// What it refuses, each time with a Failure that names the tensor: a tensor subclass, an element type that
// this libtorch does not have, and whatever libtorch itself throws at. Nothing is left out or replaced.
//
// The counterparts in PyTorch are torch/_utils.py (`_rebuild_tensor` and its kin) and, for map_location,
// torch/serialization.py (`_get_restore_location`).
#pragma once

#include <secure_torch.hpp>

#if !SECURE_TORCH_EXCEPTIONS
#error "libtorch reports errors by exceptions: this layer cannot be compiled with -fno-exceptions"
#endif

#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/ScalarType.h>
#include <c10/core/Storage.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <exception>
#include <functional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace secure_torch::libtorch {

// Where a storage goes that was saved on a device such as `cpu` or `cuda:0`.
using MapLocation = std::function<at::Device(std::string_view saved)>;

// Everything to one device.
inline MapLocation to(at::Device device) {
  return [device](std::string_view) { return device; };
}

// How tensors are made.
struct Options {
  // The CPU for all, wherever they were saved, where there is none. A storage that goes elsewhere is
  // copied there, once.
  MapLocation map_location;
  // Memory that shares nothing with the file, instead of its mapping. What others write to the file
  // after it was judged does not show then.
  bool copy = false;
};

namespace detail {

// A text of the file's in a message, safe to print and not too long.
inline std::string shown(std::string_view text) { return printable(text, 1024); }

inline Failure unsupported(std::string message) {
  return Failure(SECURE_TORCH_RESULT_MODEL_UNSUPPORTED, std::move(message));
}

// What libtorch says, in its own words but without the trace.
inline std::string said(const std::exception& error) {
  if (const auto* torch = dynamic_cast<const c10::Error*>(&error)) {
    return torch->what_without_backtrace();
  }
  return error.what();
}

// Does something with libtorch; what that throws becomes a Failure.
template <typename T, typename Work>
Result<T> guarded(const std::string& about, Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (const std::exception& error) {
    // It can quote the file.
    return unsupported(about + ": libtorch refused it: " + shown(said(error)));
  }
}

inline at::IntArrayRef sizes(const std::int64_t* first, std::uint32_t rank) {
  return at::IntArrayRef(first, rank);
}

// The numbers are libtorch's own (torch/headeronly/core/ScalarType.h); these would tell if they moved.
static_assert(SECURE_TORCH_DTYPE_FLOAT32 == static_cast<std::uint32_t>(at::kFloat));
static_assert(SECURE_TORCH_DTYPE_BOOL == static_cast<std::uint32_t>(at::kBool));
static_assert(SECURE_TORCH_DTYPE_BFLOAT16 == static_cast<std::uint32_t>(at::kBFloat16));
static_assert(SECURE_TORCH_DTYPE_QUINT8 == static_cast<std::uint32_t>(at::kQUInt8));
static_assert(SECURE_TORCH_DTYPE_FLOAT8_E4M3FN == static_cast<std::uint32_t>(at::kFloat8_e4m3fn));

}  // namespace detail

// The element type of libtorch's; nothing where this libtorch is older than the type.
inline std::optional<at::ScalarType> scalar_type(Dtype dtype) {
  if (dtype.number() >= static_cast<std::uint32_t>(at::ScalarType::Undefined)) return std::nullopt;
  const auto type = static_cast<at::ScalarType>(dtype.number());
  if (c10::elementSize(type) != dtype.size()) return std::nullopt;
  return type;
}

// Makes the tensors of one checkpoint, which has to outlive it. Tensors that one reader gives share
// storages; those of two readers do so on the CPU alone. For one thread at a time.
class Reader {
 public:
  explicit Reader(const Checkpoint& checkpoint, Options options = {})
      : checkpoint_(checkpoint), options_(std::move(options)), storages_(checkpoint.storage_count()) {}

  // A storage, on the device where it goes.
  Result<at::Storage> storage(std::uint64_t number) {
    if (number >= storages_.size()) {
      return Failure(SECURE_TORCH_RESULT_USAGE, "the checkpoint has no such storage");
    }
    if (storages_[number]) return storages_[number];
    auto memory = options_.copy ? checkpoint_.copy(number) : checkpoint_.memory(number);
    if (!memory) return std::move(memory).error();
    auto info = secure_torch::detail::filled<secure_torch_storage>(
        secure_torch_storage_info, checkpoint_.get(), number);
    if (!info) return std::move(info).error();
    const auto location = secure_torch::detail::view(info->location);
    return detail::guarded<at::Storage>("storage " + std::to_string(number), [&]() -> at::Storage {
      at::Storage made = own(std::move(*memory));
      const at::Device device = options_.map_location ? options_.map_location(location) : at::kCPU;
      if (!device.is_cpu()) made = moved(made, device);
      storages_[number] = made;
      return made;
    });
  }

  // A tensor, with its quantiser, its bits and its flag for gradients.
  Result<at::Tensor> tensor(const Tensor& tensor) {
    const std::string about = "a tensor of the type " + std::string(tensor.dtype().name());
    const auto type = libtorch::scalar_type(tensor.dtype());
    if (!type) return detail::unsupported(about + ": this libtorch does not have it");
    const ClassName named = tensor.class_name();
    const bool plain = named.name.empty() || (named.module == "torch" && named.name == "Tensor") ||
                       named.module == "torch.nn.parameter";
    if (!plain) {
      return detail::unsupported(about + ": it is of the class `" + std::string(named.module) + "." +
                                 std::string(named.name) + "`, which libtorch does not have");
    }
    const auto shape = detail::sizes(tensor.info().shape, tensor.info().rank);
    const auto strides = detail::sizes(tensor.info().strides, tensor.info().rank);
    at::Storage storage;
    if (!tensor.is_meta()) {
      auto found = this->storage(*tensor.storage());
      if (!found) return std::move(found).error();
      storage = std::move(*found);
    }
    auto empty = quantized(tensor, *type, storage);
    if (!empty) return std::move(empty).error();
    return detail::guarded<at::Tensor>(about, [&]() -> at::Tensor {
      const at::NoGradGuard no_grad;
      at::Tensor made = std::move(*empty);
      if (tensor.is_meta()) {
        made = at::empty_strided(shape, strides, at::TensorOptions(*type).device(at::kMeta));
      } else {
        if (!made.defined()) {
          made = at::empty({0}, at::TensorOptions(*type).device(storage.device()));
        }
        made.set_(storage, static_cast<std::int64_t>(tensor.storage_offset()), shape, strides);
      }
      if (tensor.is_conj()) made._set_conj(true);
      if (tensor.is_neg()) made._set_neg(true);
      if (tensor.requires_grad()) made.set_requires_grad(true);
      return made;
    });
  }

  // What a value holds: a tensor, a parameter, a sparse tensor, or an array of numpy's.
  Result<at::Tensor> tensor(const Value& value) {
    if (const auto found = value.as_tensor()) return tensor(*found);
    if (secure_torch::detail::asked<secure_torch_sparse>(secure_torch_value_sparse,
                                                         value.checkpoint(), value.raw())) {
      return sparse(value);
    }
    if (value.kind() == Kind::Array) return array(value);
    if (value.kind() == Kind::Parameter) {
      return detail::unsupported("a parameter is not initialised");
    }
    return detail::unsupported("a value is no tensor: it is of the kind `" +
                               std::string(name(value.kind())) + "`");
  }

 private:
  // A storage over memory, which it holds.
  static at::Storage own(Memory memory) {
    void* const data = memory.data();
    const std::size_t length = memory.size();
    secure_torch_memory* const held = memory.release();
    c10::DataPtr pointer(data, held, &end, at::kCPU);
    // Without an allocator it cannot be made larger, which would move it out of the mapping.
    return at::Storage(at::Storage::use_byte_size_t(), length, std::move(pointer), nullptr, false);
  }
  static void end(void* held) { secure_torch_memory_free(static_cast<secure_torch_memory*>(held)); }

  // The same bytes on another device.
  static at::Storage moved(const at::Storage& storage, at::Device device) {
    const auto length = static_cast<std::int64_t>(storage.nbytes());
    const auto bytes = at::empty({0}, at::TensorOptions(at::kByte)).set_(storage, 0, {length}, {1});
    auto there = at::empty({length}, at::TensorOptions(at::kByte).device(device));
    if (device.type() != at::kMeta) there.copy_(bytes);
    return there.storage();
  }

  // An empty tensor with the quantiser of another; an undefined one where that has none.
  Result<at::Tensor> quantized(const Tensor& tensor, at::ScalarType type, const at::Storage& storage) {
    const std::string about = "a quantised tensor";
    if (!tensor.is_quantized()) return at::Tensor();
    auto told = secure_torch::detail::filled<secure_torch_quantizer>(
        secure_torch_tensor_quantizer, tensor.checkpoint(), tensor.number());
    if (!told) return std::move(told).error();
    const auto device = storage ? storage.device() : at::Device(at::kMeta);
    const auto options = at::TensorOptions(type).device(device);
    if (told->kind == SECURE_TORCH_QUANTIZER_PER_TENSOR) {
      return detail::guarded<at::Tensor>(about, [&] {
        return at::_empty_affine_quantized({0}, options, told->scale, told->zero_point);
      });
    }
    auto scales = numbered(told->scales);
    if (!scales) return std::move(scales).error();
    auto zero_points = numbered(told->zero_points);
    if (!zero_points) return std::move(zero_points).error();
    // libtorch copies them in full; strides of zero would let a small file ask for any amount.
    if (!scales->is_contiguous() || !zero_points->is_contiguous()) {
      return detail::unsupported(about + ": its scales are spread out in their storage");
    }
    // Only the axis has to have its size: the others are set with the storage.
    std::vector<std::int64_t> sizes(tensor.rank(), 0);
    sizes.at(told->axis) = tensor.shape()[told->axis];
    return detail::guarded<at::Tensor>(about, [&] {
      // Whether they are floats says which of the two schemes it is: torch writes the same name for
      // both (torch/_utils.py, _rebuild_qtensor).
      const bool floats = told->kind == SECURE_TORCH_QUANTIZER_PER_CHANNEL_FLOAT;
      const auto to_float = [&](const at::Tensor& x) { return floats ? x.to(at::kFloat) : x; };
      return at::_empty_per_channel_affine_quantized(sizes, to_float(*scales), to_float(*zero_points),
                                                     told->axis, options);
    });
  }

  Result<at::Tensor> numbered(std::uint32_t number) {
    auto info = secure_torch::detail::filled<secure_torch_tensor>(
        secure_torch_tensor_info, checkpoint_.get(), number);
    if (!info) return std::move(info).error();
    return tensor(Tensor(checkpoint_.get(), number, *info));
  }

  // An array of numpy's as a tensor over the same bytes.
  Result<at::Tensor> array(const Value& value) {
    auto told = secure_torch::detail::filled<secure_torch_array>(secure_torch_value_array,
                                                                 value.checkpoint(), value.raw());
    if (!told) return std::move(told).error();
    const secure_torch_numpy_dtype& dtype = told->dtype;
    const auto type = scalar_type(static_cast<char>(dtype.kind), dtype.size);
    if (!type || (dtype.big_endian && dtype.size > 1)) {
      return detail::unsupported(std::string("an array has elements that libtorch does not have: kind `") +
                                 static_cast<char>(dtype.kind) + "`, " + std::to_string(dtype.size) +
                                 (dtype.big_endian ? " bytes, big-endian" : " bytes"));
    }
    auto storage = this->storage(told->storage);
    if (!storage) return std::move(storage).error();
    const auto shape = detail::sizes(told->shape, told->rank);
    return detail::guarded<at::Tensor>("an array", [&] {
      std::vector<std::int64_t> strides(shape.size());
      std::int64_t step = 1;
      for (std::size_t i = 0; i < shape.size(); ++i) {
        const std::size_t axis = told->fortran ? i : shape.size() - 1 - i;
        strides[axis] = step;
        step *= std::max<std::int64_t>(shape[axis], 1);
      }
      const auto options = at::TensorOptions(*type).device(storage->device());
      return at::empty({0}, options).set_(*storage, 0, shape, strides);
    });
  }

  // The element type of a letter of numpy's.
  static std::optional<at::ScalarType> scalar_type(char kind, std::uint32_t size) {
    switch (kind) {
      case 'b':
        return at::kBool;
      case 'i':
        return size == 1 ? at::kChar : size == 2 ? at::kShort : size == 4 ? at::kInt : at::kLong;
      case 'u':
        return size == 1   ? at::kByte
               : size == 2 ? at::kUInt16
               : size == 4 ? at::kUInt32
                           : at::kUInt64;
      case 'f':
        if (size > 8) return std::nullopt;
        return size == 2 ? at::kHalf : size == 4 ? at::kFloat : at::kDouble;
      case 'c':
        if (size > 16) return std::nullopt;
        return size == 8 ? at::kComplexFloat : at::kComplexDouble;
      default:
        return std::nullopt;
    }
  }

  // A sparse tensor, whose indices the library has found sound.
  Result<at::Tensor> sparse(const Value& value) {
    auto told = secure_torch::detail::filled<secure_torch_sparse>(secure_torch_value_sparse,
                                                                  value.checkpoint(), value.raw());
    if (!told) return std::move(told).error();
    auto indices = numbered(told->indices);
    if (!indices) return indices;
    auto values = numbered(told->values);
    if (!values) return values;
    const auto shape = detail::sizes(told->shape, told->rank);
    const auto layout = secure_torch::detail::view(told->layout);
    if (!told->has_plain_indices) {
      std::optional<bool> coalesced;
      if (told->coalesced != SECURE_TORCH_COALESCED_UNKNOWN) {
        coalesced = told->coalesced == SECURE_TORCH_COALESCED_YES;
      }
      return detail::guarded<at::Tensor>("a sparse tensor", [&] {
        const at::NoGradGuard no_grad;
        return at::sparse_coo_tensor(*indices, *values, shape, values->options().layout(at::kSparse),
                                     coalesced);
      });
    }
    auto plain = numbered(told->plain_indices);
    if (!plain) return plain;
    const at::Layout wanted = layout == "sparse_csr"   ? at::kSparseCsr
                              : layout == "sparse_csc" ? at::kSparseCsc
                              : layout == "sparse_bsr" ? at::kSparseBsr
                                                       : at::kSparseBsc;
    return detail::guarded<at::Tensor>("a sparse tensor", [&] {
      const at::NoGradGuard no_grad;
      return at::sparse_compressed_tensor(*indices, *plain, *values, shape,
                                          values->options().layout(wanted));
    });
  }

  const Checkpoint& checkpoint_;
  Options options_;
  std::vector<at::Storage> storages_;
};

// Every tensor by its dotted name, in the order of the file: the names of a state_dict.
inline Result<std::vector<std::pair<std::string, at::Tensor>>> named_tensors(
    const Checkpoint& checkpoint, Options options = {}) {
  Reader reader(checkpoint, std::move(options));
  std::vector<std::pair<std::string, at::Tensor>> all;
  auto names = checkpoint.tensors();
  if (!names) return std::move(names).error();
  all.reserve(names->size());
  for (const NamedTensor named : *names) {
    auto made = reader.tensor(named.value);
    if (!made) {
      return Failure(made.error().result(),
                     "`" + detail::shown(named.name) + "`: " + std::string(made.error().message()));
    }
    all.emplace_back(std::string(named.name), std::move(*made));
  }
  return all;
}

}  // namespace secure_torch::libtorch
