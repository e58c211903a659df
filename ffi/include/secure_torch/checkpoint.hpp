// What was in a model file: values, tensors, and the memory below them.
//
// A Checkpoint is the handle; Value and Tensor are views of it, as cheap to copy as two words, and end
// with its last handle. Memory and DLPack keep what they show alive by themselves.
//
// What it refuses: to guess. A value is asked for what it is, and has nothing to say (std::nullopt, an
// empty range) when it is asked for something else.
#pragma once

#include <secure_torch/report.hpp>

#include <complex>
#include <type_traits>

namespace secure_torch {

class Tensor;
class Value;

// What a value is: the numbers of SECURE_TORCH_KIND_*. A later release may know more of them.
enum class Kind : std::uint32_t {
  None = SECURE_TORCH_KIND_NONE,
  Bool = SECURE_TORCH_KIND_BOOL,
  Int = SECURE_TORCH_KIND_INT,
  BigInt = SECURE_TORCH_KIND_BIGINT,
  Float = SECURE_TORCH_KIND_FLOAT,
  String = SECURE_TORCH_KIND_STRING,
  Bytes = SECURE_TORCH_KIND_BYTES,
  Tuple = SECURE_TORCH_KIND_TUPLE,
  Size = SECURE_TORCH_KIND_SIZE,
  Dtype = SECURE_TORCH_KIND_DTYPE,
  Global = SECURE_TORCH_KIND_GLOBAL,
  Storage = SECURE_TORCH_KIND_STORAGE,
  ByteArray = SECURE_TORCH_KIND_BYTEARRAY,
  Complex = SECURE_TORCH_KIND_COMPLEX,
  List = SECURE_TORCH_KIND_LIST,
  Dict = SECURE_TORCH_KIND_DICT,
  Set = SECURE_TORCH_KIND_SET,
  FrozenSet = SECURE_TORCH_KIND_FROZENSET,
  Deque = SECURE_TORCH_KIND_DEQUE,
  Slice = SECURE_TORCH_KIND_SLICE,
  Range = SECURE_TORCH_KIND_RANGE,
  Device = SECURE_TORCH_KIND_DEVICE,
  Tensor = SECURE_TORCH_KIND_TENSOR,
  Parameter = SECURE_TORCH_KIND_PARAMETER,
  Sparse = SECURE_TORCH_KIND_SPARSE,
  Array = SECURE_TORCH_KIND_ARRAY,
  ObjectArray = SECURE_TORCH_KIND_OBJECT_ARRAY,
  Scalar = SECURE_TORCH_KIND_SCALAR,
  NumpyDtype = SECURE_TORCH_KIND_NUMPY_DTYPE,
  Instance = SECURE_TORCH_KIND_INSTANCE,
};

// The name of a kind, for people: `list`.
inline std::string_view name(Kind kind) noexcept {
  return detail::view(secure_torch_kind_name(static_cast<std::uint32_t>(kind)));
}

// The type of a tensor's elements. Its numbers are those of c10::ScalarType.
class Dtype {
 public:
  constexpr explicit Dtype(std::uint32_t number) noexcept : number_(number) {}

  [[nodiscard]] constexpr std::uint32_t number() const noexcept { return number_; }
  // Torch's name: `float32`.
  [[nodiscard]] std::string_view name() const noexcept {
    return detail::view(secure_torch_dtype_name(number_));
  }
  // The bytes of an element.
  [[nodiscard]] std::uint64_t size() const noexcept { return secure_torch_dtype_size(number_); }

  friend constexpr bool operator==(Dtype a, Dtype b) noexcept { return a.number_ == b.number_; }
  friend constexpr bool operator!=(Dtype a, Dtype b) noexcept { return !(a == b); }

 private:
  std::uint32_t number_;
};

// Numbers or bytes that something else keeps alive (std::span came with C++20).
template <typename T>
class Span {
 public:
  constexpr Span() noexcept = default;
  constexpr Span(T* data, std::size_t size) noexcept : data_(data), size_(size) {}
  [[nodiscard]] constexpr T* data() const noexcept { return data_; }
  [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
  [[nodiscard]] constexpr bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] constexpr T* begin() const noexcept { return data_; }
  [[nodiscard]] constexpr T* end() const noexcept { return data_ + size_; }
  [[nodiscard]] constexpr T& operator[](std::size_t index) const {
    if (index >= size_) std::abort();
    return data_[index];
  }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

// The sizes or strides of a tensor.
using Dims = Span<const std::int64_t>;
// Bytes of the checkpoint.
using ByteView = Span<const std::uint8_t>;

// A class by its name alone: nothing was imported.
struct ClassName {
  std::string_view module;
  std::string_view name;
};

struct Entry;

namespace detail {

// Calls a C function that fills something in, and fails only where it is asked the wrong thing.
template <typename T, typename Function, typename... Arguments>
std::optional<T> asked(Function function, Arguments... arguments) noexcept {
  T out;
  if (function(arguments..., &out, nullptr) != SECURE_TORCH_RESULT_OK) return std::nullopt;
  return out;
}

}  // namespace detail

// A value of a checkpoint, which has to outlive it.
class Value {
 public:
  Value(const secure_torch_checkpoint* checkpoint, secure_torch_value value) noexcept
      : checkpoint_(checkpoint), value_(value) {}

  [[nodiscard]] Kind kind() const noexcept { return static_cast<Kind>(value_.kind); }
  [[nodiscard]] bool is_none() const noexcept { return kind() == Kind::None; }

  [[nodiscard]] std::optional<bool> as_bool() const noexcept {
    return get<bool>(secure_torch_value_bool);
  }
  [[nodiscard]] std::optional<std::int64_t> as_int() const noexcept {
    return get<std::int64_t>(secure_torch_value_int);
  }
  [[nodiscard]] std::optional<double> as_float() const noexcept {
    return get<double>(secure_torch_value_float);
  }
  [[nodiscard]] std::optional<std::complex<double>> as_complex() const noexcept {
    const auto found = get<secure_torch_complex>(secure_torch_value_complex);
    if (!found) return std::nullopt;
    return std::complex<double>(found->real, found->imaginary);
  }
  // Of a string.
  [[nodiscard]] std::optional<std::string_view> as_text() const noexcept {
    const auto found = get<secure_torch_str>(secure_torch_value_text);
    if (!found) return std::nullopt;
    return detail::view(*found);
  }
  // Of a bytes, a bytearray, a numpy scalar, or an integer of more than 64 bits (two's complement,
  // little-endian).
  [[nodiscard]] std::optional<ByteView> as_bytes() const noexcept {
    const auto found = get<secure_torch_bytes>(secure_torch_value_bytes);
    if (!found) return std::nullopt;
    return ByteView(found->data, found->length);
  }
  [[nodiscard]] std::optional<Dtype> as_dtype() const noexcept {
    const auto found = get<std::uint32_t>(secure_torch_value_dtype);
    if (!found) return std::nullopt;
    return Dtype(*found);
  }
  [[nodiscard]] std::optional<secure_torch_range> as_range() const noexcept {
    return get<secure_torch_range>(secure_torch_value_range);
  }
  [[nodiscard]] std::optional<secure_torch_device> as_device() const noexcept {
    return get<secure_torch_device>(secure_torch_value_device);
  }
  // The number of a storage that is a value of its own.
  [[nodiscard]] std::optional<std::uint64_t> as_storage() const noexcept {
    return get<std::uint64_t>(secure_torch_value_storage);
  }
  // A tensor, or the one inside a parameter.
  [[nodiscard]] inline std::optional<Tensor> as_tensor() const noexcept;

  // Of a dict, a parameter, an instance or a global.
  [[nodiscard]] std::optional<ClassName> class_name() const noexcept {
    const auto found = get<secure_torch_class>(secure_torch_value_class);
    if (!found) return std::nullopt;
    return ClassName{detail::view(found->module), detail::view(found->name)};
  }
  // The attributes that the file gives to a dict, a parameter or an instance.
  [[nodiscard]] std::optional<Value> state() const noexcept {
    return inner(get<secure_torch_value>(secure_torch_value_state));
  }

  // How many items or entries there are; 0 for what has none.
  [[nodiscard]] std::size_t size() const noexcept {
    return get<std::size_t>(secure_torch_value_length).value_or(0);
  }
  // Of a tuple, a size, a list, a set, a frozenset, a deque, a slice, an object array, and the
  // arguments of an instance.
  [[nodiscard]] auto items() const noexcept {
    return detail::Range<Value, Value, item_at>(*this, kind() == Kind::Dict ? 0 : size());
  }
  // Of a dict.
  [[nodiscard]] inline auto entries() const noexcept;
  // What stands under a text key of a dict.
  [[nodiscard]] inline std::optional<Value> find(std::string_view key) const noexcept;

  // For a function of the C header that has no twin here.
  [[nodiscard]] const secure_torch_checkpoint* checkpoint() const noexcept { return checkpoint_; }
  [[nodiscard]] secure_torch_value raw() const noexcept { return value_; }

 private:
  template <typename T, typename Function>
  std::optional<T> get(Function function) const noexcept {
    return detail::asked<T>(function, checkpoint_, value_);
  }
  std::optional<Value> inner(std::optional<secure_torch_value> found) const noexcept {
    if (!found) return std::nullopt;
    return Value(checkpoint_, *found);
  }
  static Value item_at(const Value& self, std::size_t index) {
    const auto found = detail::asked<secure_torch_value>(secure_torch_value_item, self.checkpoint_,
                                                         self.value_, index);
    return Value(self.checkpoint_, found.value_or(secure_torch_value{}));
  }
  static inline Entry entry_at(const Value& self, std::size_t index);

  const secure_torch_checkpoint* checkpoint_;
  secure_torch_value value_;
};

// A key of a dict, and what stands under it.
struct Entry {
  Value key;
  Value value;
};

inline Entry Value::entry_at(const Value& self, std::size_t index) {
  const auto found = detail::asked<secure_torch_entry>(secure_torch_value_entry, self.checkpoint_,
                                                       self.value_, index);
  const secure_torch_entry entry = found.value_or(secure_torch_entry{});
  return {Value(self.checkpoint_, entry.key), Value(self.checkpoint_, entry.value)};
}

inline auto Value::entries() const noexcept {
  return detail::Range<Value, Entry, entry_at>(*this, kind() == Kind::Dict ? size() : 0);
}

inline std::optional<Value> Value::find(std::string_view key) const noexcept {
  for (const Entry entry : entries()) {
    if (entry.key.as_text() == key) return entry.value;
  }
  return std::nullopt;
}

}  // namespace secure_torch
