// What every call that can fail gives: a value, or why there is none.
//
//     auto report = secure_torch::scan("model.pt");
//     if (!report) return complain(report.error().message());
//     use(*report);                                     // no exceptions anywhere
//
//     use(secure_torch::scan("model.pt").value());      // throws secure_torch::Error
//
// One call, two flavours, chosen where it is made. `value()` is there only where the compiler has
// exceptions on; everything else works with -fno-exceptions.
//
// What it refuses: to be left unlooked at ([[nodiscard]]), and to give out a value that is not there.
// `*` and `->` on a failure end the program (std::abort), in every build: nothing is undefined.
#pragma once

#include <secure_torch.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define SECURE_TORCH_EXCEPTIONS 1
#include <stdexcept>
#else
#define SECURE_TORCH_EXCEPTIONS 0
#endif

namespace secure_torch {

class ReportView;

namespace detail {

inline std::string_view view(secure_torch_str text) noexcept {
  return text.length == 0 ? std::string_view() : std::string_view(text.data, text.length);
}

template <auto free>
struct Free {
  template <typename T>
  void operator()(T* handle) const noexcept {
    free(handle);
  }
};

// A handle of the C library, freed exactly once.
template <typename T, auto free>
using Handle = std::unique_ptr<T, Free<free>>;

}  // namespace detail

// A text of a file's, a name or a report's JSON, so that it is safe to print; no more than `most` bytes.
inline std::string printable(std::string_view text, std::size_t most = 1024) {
  std::string shown(most, '\0');
  shown.resize(
      secure_torch_text_printable(text.data(), text.size(), shown.data(), shown.size()));
  return shown;
}

// Why something failed. Move-only, like every handle here.
class [[nodiscard]] Failure {
 public:
  // Of the library. It takes the error over.
  explicit Failure(secure_torch_result result, secure_torch_error* error) noexcept
      : result_(result), error_(error) {}
  // Of a layer above it, such as the one over libtorch.
  Failure(secure_torch_result result, std::string message)
      : result_(result), message_(std::move(message)) {}

  // The number, permanent: one of the SECURE_TORCH_RESULT_ constants.
  [[nodiscard]] secure_torch_result result() const noexcept { return result_; }
  // The name, permanent: `model-blocked`.
  [[nodiscard]] std::string_view code() const noexcept {
    return detail::view(secure_torch_result_name(result_));
  }
  // What went wrong and where. Safe to print. It lives as long as the failure.
  [[nodiscard]] std::string_view message() const noexcept {
    return error_ ? detail::view(secure_torch_error_message(error_.get())) : message_;
  }
  // What to do about it.
  [[nodiscard]] std::string_view hint() const noexcept {
    return error_ ? detail::view(secure_torch_error_hint(error_.get()))
                  : detail::view(secure_torch_result_hint(result_));
  }
  // The path or name that it is about; empty where there is none.
  [[nodiscard]] std::string_view path() const noexcept {
    return error_ ? detail::view(secure_torch_error_path(error_.get())) : std::string_view();
  }
  // The judgement, where the file was judged. It lives as long as the failure.
  [[nodiscard]] inline std::optional<ReportView> report() const noexcept;

 private:
  secure_torch_result result_;
  detail::Handle<secure_torch_error, secure_torch_error_free> error_;
  std::string message_;
};

#if SECURE_TORCH_EXCEPTIONS
// A Failure that is thrown. Copies share it, as copies of an exception must not throw.
class Error : public std::runtime_error {
 public:
  explicit Error(Failure failure)
      : std::runtime_error(std::string(failure.message())),
        failure_(std::make_shared<const Failure>(std::move(failure))) {}

  [[nodiscard]] secure_torch_result result() const noexcept { return failure_->result(); }
  [[nodiscard]] std::string_view code() const noexcept { return failure_->code(); }
  [[nodiscard]] std::string_view hint() const noexcept { return failure_->hint(); }
  [[nodiscard]] std::string_view path() const noexcept { return failure_->path(); }
  [[nodiscard]] inline std::optional<ReportView> report() const noexcept;

 private:
  std::shared_ptr<const Failure> failure_;
};
#endif

// A value, or a Failure.
template <typename T>
class [[nodiscard]] Result {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): `return value;` is the point.
  Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(Failure failure) : held_(std::in_place_index<1>, std::move(failure)) {}

  [[nodiscard]] bool has_value() const noexcept { return held_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  T& operator*() & noexcept { return got(); }
  const T& operator*() const& noexcept { return const_cast<Result*>(this)->got(); }
  // By value: a view that is asked of a call is not left hanging in a range-based `for`.
  T operator*() && noexcept { return std::move(got()); }
  T* operator->() noexcept { return &got(); }
  const T* operator->() const noexcept { return &const_cast<Result*>(this)->got(); }

  // Only of one that has no value.
  [[nodiscard]] const Failure& error() const& noexcept { return const_cast<Result*>(this)->why(); }
  [[nodiscard]] Failure&& error() && noexcept { return std::move(why()); }

#if SECURE_TORCH_EXCEPTIONS
  // The value, or an Error. It takes the value out, so that `value()` of a call is no copy.
  T value() && {
    if (!has_value()) throw Error(std::move(why()));
    return std::move(got());
  }
#endif

 private:
  T& got() noexcept {
    T* value = std::get_if<0>(&held_);
    if (value == nullptr) std::abort();
    return *value;
  }
  Failure& why() noexcept {
    Failure* failure = std::get_if<1>(&held_);
    if (failure == nullptr) std::abort();
    return *failure;
  }

  std::variant<T, Failure> held_;
};

// Whether something that gives no value was done.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() noexcept = default;
  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(Failure failure) : failure_(std::move(failure)) {}

  [[nodiscard]] bool has_value() const noexcept { return !failure_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }

  [[nodiscard]] const Failure& error() const& noexcept {
    if (!failure_) std::abort();
    return *failure_;
  }
  [[nodiscard]] Failure&& error() && noexcept {
    if (!failure_) std::abort();
    return std::move(*failure_);
  }

#if SECURE_TORCH_EXCEPTIONS
  void value() && {
    if (failure_) throw Error(std::move(*failure_));
  }
#endif

 private:
  std::optional<Failure> failure_;
};

}  // namespace secure_torch
