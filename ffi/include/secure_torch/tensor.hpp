// Tensors, the memory below them, and the checkpoint that both come from.
//
// What it refuses: to copy elements. `data()` is the file's own mapping wherever that can be, private to
// this process: what is written there never reaches the file.
#pragma once

#include <secure_torch/checkpoint.hpp>

#include <cstring>

namespace secure_torch {

namespace detail {

// Calls a C function that gives a handle.
template <typename Made, typename Raw, typename Function, typename... Arguments>
Result<Made> made(Function function, Arguments... arguments) {
  Raw* out = nullptr;
  secure_torch_error* error = nullptr;
  const secure_torch_result result = function(arguments..., &out, &error);
  if (result != SECURE_TORCH_RESULT_OK) return Failure(result, error);
  return Made(out);
}

// Calls a C function that fills something in.
template <typename Out, typename Function, typename... Arguments>
Result<Out> filled(Function function, Arguments... arguments) {
  Out out;
  secure_torch_error* error = nullptr;
  const secure_torch_result result = function(arguments..., &out, &error);
  if (result != SECURE_TORCH_RESULT_OK) return Failure(result, error);
  return out;
}

// Calls a C function that gives nothing.
template <typename Function, typename... Arguments>
Result<void> done(Function function, Arguments... arguments) {
  secure_torch_error* error = nullptr;
  const secure_torch_result result = function(arguments..., &error);
  if (result != SECURE_TORCH_RESULT_OK) return Failure(result, error);
  return {};
}

}  // namespace detail

// The memory of one storage. Move-only; it outlives the checkpoint.
class Memory {
 public:
  explicit Memory(secure_torch_memory* memory) noexcept : handle_(memory) {}

  // The first byte, aligned for the storage's elements.
  [[nodiscard]] void* data() const noexcept { return secure_torch_memory_data(handle_.get()); }
  [[nodiscard]] std::size_t size() const noexcept {
    return secure_torch_memory_length(handle_.get());
  }
  // Whether it is the file's own mapping, of which nothing was copied.
  [[nodiscard]] bool is_mapped() const noexcept {
    return secure_torch_memory_is_mapped(handle_.get());
  }
  // Another handle to the same memory.
  [[nodiscard]] Memory clone() const { return Memory(secure_torch_memory_clone(handle_.get())); }
  // The C handle, which is the caller's to free from now on.
  [[nodiscard]] secure_torch_memory* release() noexcept { return handle_.release(); }

 private:
  detail::Handle<secure_torch_memory, secure_torch_memory_free> handle_;
};

namespace detail {

// How DLManagedTensorVersioned begins. dlpack.h promises that the version, the manager and the deleter
// keep their places in every version; the rest of it is nobody's business here, and dlpack.h, which
// defines it, need not be there.
struct DLPackStart {
  std::uint32_t major, minor;
  void* manager;
  void (*deleter)(DLManagedTensorVersioned*);
};

// DLPack's own way to end what was handed over.
struct EndDLPack {
  void operator()(DLManagedTensorVersioned* managed) const noexcept {
    DLPackStart start;
    std::memcpy(&start, managed, sizeof start);
    if (start.deleter != nullptr) start.deleter(managed);
  }
};

}  // namespace detail

// A tensor as DLPack 1.x. `release()` hands it to a library that takes it over.
using DLPack = std::unique_ptr<DLManagedTensorVersioned, detail::EndDLPack>;

// A tensor of a checkpoint, which has to outlive it.
class Tensor {
 public:
  Tensor(const secure_torch_checkpoint* checkpoint, std::uint32_t number,
         const secure_torch_tensor& info) noexcept
      : checkpoint_(checkpoint), number_(number), info_(info) {}

  [[nodiscard]] Dtype dtype() const noexcept { return Dtype(info_.dtype); }
  [[nodiscard]] std::size_t rank() const noexcept { return info_.rank; }
  [[nodiscard]] Dims shape() const noexcept { return Dims(info_.shape, info_.rank); }
  // In elements.
  [[nodiscard]] Dims strides() const noexcept { return Dims(info_.strides, info_.rank); }
  [[nodiscard]] std::uint64_t elements() const noexcept { return info_.elements; }
  // The number of its storage: tensors of one number share memory. None on torch's `meta` device.
  [[nodiscard]] std::optional<std::uint64_t> storage() const noexcept {
    if (info_.is_meta) return std::nullopt;
    return info_.storage;
  }
  // In elements.
  [[nodiscard]] std::uint64_t storage_offset() const noexcept { return info_.storage_offset; }
  [[nodiscard]] bool requires_grad() const noexcept { return info_.requires_grad; }
  [[nodiscard]] bool is_conj() const noexcept { return info_.is_conj; }
  [[nodiscard]] bool is_neg() const noexcept { return info_.is_neg; }
  [[nodiscard]] bool is_meta() const noexcept { return info_.is_meta; }
  [[nodiscard]] bool is_parameter() const noexcept { return info_.is_parameter; }
  [[nodiscard]] bool is_quantized() const noexcept { return info_.is_quantized; }
  // The class that the file names for it; empty where it names none.
  [[nodiscard]] ClassName class_name() const noexcept {
    return {detail::view(info_.class_of.module), detail::view(info_.class_of.name)};
  }

  // Its elements, from the first to the end of the last, laid out as shape and strides say. They
  // belong to the checkpoint.
  [[nodiscard]] Result<Span<std::uint8_t>> data() const {
    auto found = detail::filled<secure_torch_elements>(secure_torch_tensor_data,
                                                                 checkpoint_, number_);
    if (!found) return std::move(found).error();
    return Span<std::uint8_t>(static_cast<std::uint8_t*>(found->data), found->length);
  }
  // For a library that takes DLPack. It outlives the checkpoint.
  [[nodiscard]] Result<DLPack> to_dlpack() const {
    return detail::made<DLPack, DLManagedTensorVersioned>(secure_torch_tensor_to_dlpack, checkpoint_,
                                                          number_);
  }

  // For a function of the C header that has no twin here.
  [[nodiscard]] const secure_torch_checkpoint* checkpoint() const noexcept { return checkpoint_; }
  [[nodiscard]] std::uint32_t number() const noexcept { return number_; }
  [[nodiscard]] const secure_torch_tensor& info() const noexcept { return info_; }

 private:
  const secure_torch_checkpoint* checkpoint_;
  std::uint32_t number_;
  secure_torch_tensor info_;
};

inline std::optional<Tensor> Value::as_tensor() const noexcept {
  const auto number = get<std::uint32_t>(secure_torch_value_tensor);
  if (!number) return std::nullopt;
  const auto info =
      detail::asked<secure_torch_tensor>(secure_torch_tensor_info, checkpoint_, *number);
  if (!info) return std::nullopt;
  return Tensor(checkpoint_, *number, *info);
}

// What was in a model file, and the file, kept open. Move-only; any number of threads may use it at one
// time. `clone()` is another handle to the same checkpoint.
class Checkpoint {
 public:
  Checkpoint(secure_torch_checkpoint* checkpoint, std::shared_ptr<const Report> report) noexcept
      : handle_(checkpoint), report_(std::move(report)) {}

  Checkpoint(Checkpoint&&) noexcept = default;
  Checkpoint& operator=(Checkpoint&&) noexcept = default;
  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;
  ~Checkpoint() = default;

  [[nodiscard]] Checkpoint clone() const {
    return Checkpoint(secure_torch_checkpoint_clone(handle_.get()), report_);
  }

  // The judgement under which it was let through.
  [[nodiscard]] const Report& report() const noexcept { return *report_; }
  // The value that the file holds.
  [[nodiscard]] Value root() const noexcept {
    return Value(handle_.get(), secure_torch_checkpoint_root(handle_.get()));
  }
  // The metadata that the format keeps beside the values, such as safetensors' `__metadata__`.
  [[nodiscard]] auto metadata() const noexcept {
    return detail::Range<const secure_torch_checkpoint*, std::pair<std::string_view, std::string_view>,
                         metadata_at>(handle_.get(),
                                      secure_torch_checkpoint_metadata_count(handle_.get()));
  }
  // Every tensor with its dotted name, in the order of the file. It fails where the names take more
  // memory than those of any honest file.
  [[nodiscard]] inline auto tensors() const;
  // The tensor of a dotted name, where it is one with strides.
  [[nodiscard]] inline std::optional<Tensor> tensor(std::string_view name) const;

  [[nodiscard]] std::uint64_t storage_count() const noexcept {
    return secure_torch_checkpoint_storage_count(handle_.get());
  }
  // The memory of a storage, which several tensors may look at.
  [[nodiscard]] Result<Memory> memory(std::uint64_t storage) const {
    return detail::made<Memory, secure_torch_memory>(secure_torch_storage_memory, handle_.get(),
                                                     storage);
  }
  // A copy of it that shares nothing with the file.
  [[nodiscard]] Result<Memory> copy(std::uint64_t storage) const {
    return detail::made<Memory, secure_torch_memory>(secure_torch_storage_copy, handle_.get(), storage);
  }
  // Unpacks now, on several threads, what `memory` (or with `copy`, `copy`) would unpack later.
  [[nodiscard]] Result<void> prepare(bool copy = false) const {
    return detail::done(secure_torch_checkpoint_prepare, handle_.get(), copy);
  }

  // For a function of the C header that has no twin here.
  [[nodiscard]] const secure_torch_checkpoint* get() const noexcept { return handle_.get(); }

 private:
  static std::pair<std::string_view, std::string_view> metadata_at(
      const secure_torch_checkpoint* const& checkpoint, std::size_t index) {
    const auto found = detail::asked<secure_torch_metadata>(secure_torch_checkpoint_metadata,
                                                            checkpoint, index);
    if (!found) return {};
    return {detail::view(found->key), detail::view(found->value)};
  }

  detail::Handle<secure_torch_checkpoint, secure_torch_checkpoint_free> handle_;
  std::shared_ptr<const Report> report_;
};

// A tensor, and the keys that lead to it, joined by dots. A tensor that two keys lead to has two names.
struct NamedTensor {
  std::string_view name;
  // A tensor, a parameter, a sparse tensor or an array of numpy's.
  Value value;
  // Nothing for what is sparse or numpy's.
  std::optional<Tensor> tensor;
};

namespace detail {

inline NamedTensor named_at(const secure_torch_checkpoint* const& checkpoint, std::size_t index) {
  const auto named =
      asked<secure_torch_named_tensor>(secure_torch_checkpoint_tensor, checkpoint, index);
  if (!named) return {{}, Value(checkpoint, secure_torch_value{}), std::nullopt};
  const Value value(checkpoint, named->value);
  return {view(named->name), value, value.as_tensor()};
}

using NamedTensors = Range<const secure_torch_checkpoint*, NamedTensor, named_at>;

}  // namespace detail

inline auto Checkpoint::tensors() const {
  auto count = detail::filled<std::size_t>(secure_torch_checkpoint_tensor_count, handle_.get());
  using All = Result<detail::NamedTensors>;
  return count ? All(detail::NamedTensors(handle_.get(), *count)) : All(std::move(count).error());
}

inline std::optional<Tensor> Checkpoint::tensor(std::string_view name) const {
  const auto all = tensors();
  if (!all) return std::nullopt;
  for (const NamedTensor named : *all) {
    if (named.name == name) return named.tensor;
  }
  return std::nullopt;
}

}  // namespace secure_torch
