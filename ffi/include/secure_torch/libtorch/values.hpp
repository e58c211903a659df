// A whole checkpoint as c10::IValue: dicts, lists, tuples, numbers and texts, with at::Tensor inside.
//
// One object of the file is one object here: a list that two keys lead to is one list, and so is a
// tensor. An array of numpy's becomes a tensor over the same bytes. What c10 has no type for is a Failure
// that says where it stands: a set, a bytes, an array of objects, an instance of a class.
#pragma once

#include <ATen/core/Dict.h>
#include <ATen/core/List.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>

#include <map>
#include <secure_torch/libtorch/tensors.hpp>

namespace secure_torch::libtorch {

namespace detail {

// Where a value stands: a key or a number, below another place. Its text is made for a Failure alone:
// one for each value would take the length of its keys times the number of values below them.
struct Place {
  const Place* above;
  std::string_view key;

  [[nodiscard]] std::string text() const {
    return above == nullptr ? shown(key) : above->text() + "." + shown(key);
  }
};

class Tree {
 public:
  Tree(const Checkpoint& checkpoint, Options options) : reader_(checkpoint, std::move(options)) {}

  // A value. `place` is where it stands, for the Failure.
  Result<c10::IValue> value(const Value& value, const Place& place) {
    // Whatever has an identity is made once.
    const std::pair<std::uint32_t, std::uint64_t> identity(value.raw().kind, value.raw().payload);
    const bool shared = value.raw().kind >= SECURE_TORCH_KIND_BYTEARRAY;
    if (shared) {
      const auto known = made_.find(identity);
      if (known != made_.end()) return known->second;
    }
    auto made = make(value, place);
    if (made && shared) made_.emplace(identity, *made);
    return made;
  }

 private:
  static Failure lost(const Value& value, const Place& place, const std::string& what) {
    return unsupported("`" + place.text() + "` is " + what + ", and c10::IValue has no such type (kind `" +
                       std::string(name(value.kind())) + "`)");
  }

  // What was made; of a Failure, with its place.
  template <typename T>
  static Result<c10::IValue> placed(Result<T> made, const Place& place) {
    if (made) return c10::IValue(*std::move(made));
    return Failure(made.error().result(),
                   "`" + place.text() + "`: " + std::string(made.error().message()));
  }

  Result<c10::IValue> make(const Value& value, const Place& place) {
    switch (value.kind()) {
      case Kind::None:
        return c10::IValue();
      case Kind::Bool:
        return c10::IValue(*value.as_bool());
      case Kind::Int:
        return c10::IValue(*value.as_int());
      case Kind::Float:
        return c10::IValue(*value.as_float());
      case Kind::Complex:
        return c10::IValue(c10::complex<double>(*value.as_complex()));
      case Kind::String:
        return c10::IValue(std::string(*value.as_text()));
      case Kind::Dtype: {
        // TorchScript has them as integers too.
        const auto type = scalar_type(*value.as_dtype());
        if (!type) return lost(value, place, "an element type that this libtorch does not have");
        return c10::IValue(*type);
      }
      case Kind::Device:
        return device(value, place);
      case Kind::Size:
      case Kind::Tuple:
      case Kind::List:
        return sequence(value, place);
      case Kind::Dict:
        return dict(value, place);
      case Kind::Tensor:
      case Kind::Parameter:
      case Kind::Sparse:
      case Kind::Array:
        return placed(reader_.tensor(value), place);
      case Kind::Storage:
        return placed(reader_.storage(*value.as_storage()), place);
      case Kind::BigInt:
        return lost(value, place, "an integer of more than 64 bits");
      case Kind::Bytes:
      case Kind::ByteArray:
        return lost(value, place, "bytes");
      case Kind::Global:
      case Kind::Instance: {
        const ClassName found = value.class_name().value_or(ClassName{});
        return lost(value, place,
                    "`" + std::string(found.module) + "." + std::string(found.name) + "`");
      }
      case Kind::Set:
      case Kind::FrozenSet:
      case Kind::Deque:
      case Kind::Slice:
      case Kind::Range:
      case Kind::ObjectArray:
      case Kind::Scalar:
      case Kind::NumpyDtype:
        break;
    }
    return lost(value, place, "something else than a tensor or plain data");
  }

  static Result<c10::IValue> device(const Value& value, const Place& place) {
    const auto told = value.as_device();
    if (!told) return lost(value, place, "a device that cannot be read");
    std::string text(secure_torch::detail::view(told->type_name));
    if (told->has_index) text += ":" + std::to_string(told->index);
    return placed(guarded<c10::IValue>("a device", [&] { return c10::IValue(c10::Device(text)); }),
                  place);
  }

  Result<c10::IValue> sequence(const Value& value, const Place& place) {
    std::vector<c10::IValue> items;
    items.reserve(value.size());
    for (const Value item : value.items()) {
      const std::string number = std::to_string(items.size());
      auto made = this->value(item, Place{&place, number});
      if (!made) return made;
      items.push_back(std::move(*made));
    }
    auto made = guarded<c10::IValue>("items", [&]() -> c10::IValue {
      if (value.kind() == Kind::Tuple) return c10::ivalue::Tuple::create(std::move(items));
      if (value.kind() == Kind::Size) {
        c10::List<std::int64_t> sizes;
        for (const auto& item : items) sizes.push_back(item.toInt());
        return sizes;
      }
      c10::impl::GenericList list(c10::AnyType::get());
      for (auto& item : items) list.push_back(std::move(item));
      return list;
    });
    return placed(std::move(made), place);
  }

  Result<c10::IValue> dict(const Value& value, const Place& place) {
    std::vector<std::pair<c10::IValue, c10::IValue>> entries;
    entries.reserve(value.size());
    bool texts = true;
    bool integers = true;
    for (const Entry entry : value.entries()) {
      const auto text = entry.key.as_text();
      const auto number = entry.key.as_int();
      texts = texts && text;
      integers = integers && number;
      const std::string digits = number ? std::to_string(*number) : "?";
      const Place below{&place, text ? *text : std::string_view(digits)};
      auto key = this->value(entry.key, below);
      if (!key) return key;
      auto found = this->value(entry.value, below);
      if (!found) return found;
      entries.emplace_back(std::move(*key), std::move(*found));
    }
    // Code that asks for a Dict[str, …] gets one; what has keys of several types has any.
    const c10::TypePtr keys = texts      ? c10::TypePtr(c10::StringType::get())
                              : integers ? c10::TypePtr(c10::IntType::get())
                                         : c10::TypePtr(c10::AnyType::get());
    auto made = guarded<c10::IValue>("entries", [&]() -> c10::IValue {
      c10::impl::GenericDict dict(keys, c10::AnyType::get());
      dict.reserve(entries.size());
      for (auto& [key, found] : entries) {
        // Two keys of the file can be one here, a dtype and its number.
        TORCH_CHECK(dict.insert(std::move(key), std::move(found)).second, "two keys are the same");
      }
      return dict;
    });
    return placed(std::move(made), place);
  }

  Reader reader_;
  std::map<std::pair<std::uint32_t, std::uint64_t>, c10::IValue> made_;
};

}  // namespace detail

// What the file holds.
inline Result<c10::IValue> to_ivalue(const Checkpoint& checkpoint, Options options = {}) {
  return detail::Tree(checkpoint, std::move(options)).value(checkpoint.root(),
                                                                   detail::Place{nullptr, "root"});
}

}  // namespace secure_torch::libtorch
