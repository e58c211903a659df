// secure-torch for C++17: judge model files, and load them without running anything of them.
//
//     #include <secure_torch.hpp>
//
//     auto checkpoint = secure_torch::load("model.pt").value();      // or test it: no exceptions needed
//     for (const auto& named : checkpoint.tensors().value()) … named.name, named.tensor->shape() …
//
// Header-only, over the C library (`secure_torch.h`), which does everything. Handles are move-only and
// end themselves; texts and ranges are views that live as long as the handle that gave them. Every
// function that can fail gives a Result (`secure_torch/result.hpp`). `secure_torch/libtorch.hpp` makes
// at::Tensor of it.
//
// What it refuses: to decide anything, and to run a file that the policy does not let through.
#pragma once

#include <secure_torch/result.hpp>
#include <secure_torch/report.hpp>
#include <secure_torch/checkpoint.hpp>
#include <secure_torch/tensor.hpp>

namespace secure_torch {

static_assert(SECURE_TORCH_ABI_VERSION == 1, "this header is for version 1 of the ABI");

// Whether the library that is running is the one that this header is for. Where it is not, call
// nothing else.
inline bool is_compatible() noexcept {
  return secure_torch_abi_version() == SECURE_TORCH_ABI_VERSION;
}
// The version of the library: `0.1.0`.
inline std::string_view version() noexcept { return detail::view(secure_torch_version()); }
// The rules by which files are judged, as JSON.
inline std::string_view rules() noexcept { return detail::view(secure_torch_rules_json()); }

// Bytes that a call looks at and does not keep: a pointer and a length, or anything that has `data()`
// and `size()` over single bytes.
class Bytes {
 public:
  Bytes(const void* data, std::size_t size) noexcept
      : data_(static_cast<const std::uint8_t*>(data)), size_(size) {}
  template <typename Container,
            typename = std::enable_if_t<
                sizeof(*std::declval<const Container&>().data()) == 1 &&
                std::is_convertible_v<decltype(std::declval<const Container&>().size()), std::size_t>>>
  // NOLINTNEXTLINE(google-explicit-constructor): a view, like std::string_view.
  Bytes(const Container& bytes) noexcept : Bytes(bytes.data(), bytes.size()) {}

  [[nodiscard]] const std::uint8_t* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

// What is let through. Move-only. A policy that is not set any more may be used by several threads.
class Policy {
 public:
  // The default one.
  Policy() noexcept : handle_(secure_torch_policy_new()) {}

  // From the text of a `secure-torch.toml` (docs/policy.md). Its paths count from `base`.
  static Result<Policy> from_toml(std::string_view text, std::string_view base = {}) {
    return detail::made<Policy, secure_torch_policy>(secure_torch_policy_from_toml, text.data(),
                                                     text.size(), base.data(), base.size());
  }
  // From a file that you name and therefore trust.
  static Result<Policy> open(std::string_view path) {
    return detail::made<Policy, secure_torch_policy>(secure_torch_policy_open, path.data(),
                                                     path.size());
  }
  // The one whose file holds for a path; the default one where none does.
  static Result<Policy> discover(std::string_view path) {
    auto found = detail::made<Policy, secure_torch_policy>(secure_torch_policy_discover, path.data(),
                                                           path.size());
    if (found && found->get() == nullptr) return Policy();
    return found;
  }

  [[nodiscard]] std::uint8_t max_threat_score() const noexcept {
    return secure_torch_policy_max_threat_score(handle_.get());
  }
  // From 0 to 100.
  Result<void> set_max_threat_score(std::uint8_t score) {
    return detail::done(secure_torch_policy_set_max_threat_score, handle_.get(), score);
  }
  // Allows a global beyond the rules: `module.name`.
  Result<void> allow(std::string_view global) {
    return detail::done(secure_torch_policy_allow, handle_.get(), global.data(), global.size());
  }
  // Sets a limit of `spec/limits.toml`: `archive.total_bytes`.
  Result<void> set_limit(std::string_view limit, std::uint64_t value) {
    return detail::done(secure_torch_policy_set_limit, handle_.get(), limit.data(), limit.size(),
                        value);
  }
  // The path of the file that it comes from; empty without one.
  [[nodiscard]] std::string_view path() const noexcept {
    return detail::view(secure_torch_policy_path(handle_.get()));
  }

  [[nodiscard]] const secure_torch_policy* get() const noexcept { return handle_.get(); }

  explicit Policy(secure_torch_policy* policy) noexcept : handle_(policy) {}

 private:
  detail::Handle<secure_torch_policy, secure_torch_policy_free> handle_;
};

// How the strings of Python 2 in a pickle are decoded.
enum class Python2Text : std::uint32_t {
  Utf8 = SECURE_TORCH_PYTHON2_TEXT_UTF8,
  Ascii = SECURE_TORCH_PYTHON2_TEXT_ASCII,
  Latin1 = SECURE_TORCH_PYTHON2_TEXT_LATIN1,
  Bytes = SECURE_TORCH_PYTHON2_TEXT_BYTES,
};

// How a file is judged and loaded.
struct LoadOptions {
  // The default policy where there is none. It is used during the call alone.
  const Policy* policy = nullptr;
  // Work on a copy of the file that nobody can change.
  bool sealed = false;
  // Load what the policy blocks as well, for a program that only listens to the report. Nothing of
  // the file is run either way.
  bool audit_only = false;
  Python2Text text = Python2Text::Utf8;
};

namespace detail {

using OptionsHandle = Handle<secure_torch_load_options, secure_torch_load_options_free>;

inline const secure_torch_policy* of(const Policy* policy) noexcept {
  return policy == nullptr ? nullptr : policy->get();
}

// The options as C takes them.
inline Result<OptionsHandle> given(const LoadOptions& options) {
  OptionsHandle handle(secure_torch_load_options_new());
  auto set = done(secure_torch_load_options_set_sealed, handle.get(), options.sealed);
  if (set) set = done(secure_torch_load_options_set_audit_only, handle.get(), options.audit_only);
  if (set) {
    set = done(secure_torch_load_options_set_python2_text, handle.get(),
               static_cast<std::uint32_t>(options.text));
  }
  if (!set) return std::move(set).error();
  return handle;
}

template <typename Function, typename... Arguments>
Result<Checkpoint> loaded(const LoadOptions& options, Function function, Arguments... arguments) {
  auto loading = given(options);
  if (!loading) return std::move(loading).error();
  secure_torch_checkpoint* checkpoint = nullptr;
  secure_torch_report* report = nullptr;
  secure_torch_error* error = nullptr;
  const secure_torch_result result = function(arguments..., of(options.policy), loading->get(),
                                              &checkpoint, &report, &error);
  if (result != SECURE_TORCH_RESULT_OK) return Failure(result, error);
  return Checkpoint(checkpoint, std::make_shared<const Report>(report));
}

}  // namespace detail

// Judges a file without running anything of it. A hostile file is a verdict and no failure.
inline Result<Report> scan(std::string_view path, const Policy* policy = nullptr) {
  return detail::made<Report, secure_torch_report>(secure_torch_scan_path, path.data(), path.size(),
                                                   detail::of(policy));
}
inline Result<Report> scan(std::string_view path, const Policy& policy) { return scan(path, &policy); }

// Judges bytes, which the report calls `name`.
inline Result<Report> scan_bytes(std::string_view name, Bytes bytes, const Policy* policy = nullptr) {
  return detail::made<Report, secure_torch_report>(secure_torch_scan_bytes, name.data(), name.size(),
                                                   bytes.data(), bytes.size(), detail::of(policy));
}
inline Result<Report> scan_bytes(std::string_view name, Bytes bytes, const Policy& policy) {
  return scan_bytes(name, bytes, &policy);
}

// Judges everything at and below a path, on several threads.
inline Result<Reports> scan_tree(std::string_view path, const Policy* policy = nullptr) {
  return detail::made<Reports, secure_torch_reports>(secure_torch_scan_tree, path.data(), path.size(),
                                                     detail::of(policy));
}

// Judges a file and loads what it holds, from the same opened bytes. What the policy blocks is a
// Failure whose `report()` says why.
inline Result<Checkpoint> load(std::string_view path, const LoadOptions& options = {}) {
  return detail::loaded(options, secure_torch_load_path, path.data(), path.size());
}

// The same of bytes, which the report calls `name`. They are copied.
inline Result<Checkpoint> load_bytes(std::string_view name, Bytes bytes,
                                     const LoadOptions& options = {}) {
  return detail::loaded(options, secure_torch_load_bytes, name.data(), name.size(), bytes.data(),
                        bytes.size());
}

// Judges who signed a file. No release can do that yet: the Failure is `feature-missing`.
inline Result<Report> verify(std::string_view path, const Policy* policy = nullptr) {
  return detail::made<Report, secure_torch_report>(secure_torch_verify_path, path.data(), path.size(),
                                                   detail::of(policy));
}

// How a file is converted.
struct ConvertOptions {
  LoadOptions load;
  // The part to convert: keys joined by dots. All of it where it is empty.
  std::string_view key;
  // Leave out what is no tensor, and count it.
  bool drop_rest = false;
  // Write a tensor that has several names once for each.
  bool duplicate_shared = false;
  // Replace the file that is written, if it is there.
  bool force = false;
};

// What was converted. Move-only.
class Conversion {
 public:
  explicit Conversion(secure_torch_conversion* conversion) noexcept : handle_(conversion) {}

  [[nodiscard]] std::uint64_t tensors() const noexcept {
    return secure_torch_conversion_tensors(handle_.get());
  }
  [[nodiscard]] std::uint64_t bytes() const noexcept {
    return secure_torch_conversion_bytes(handle_.get());
  }
  [[nodiscard]] std::uint64_t dropped() const noexcept {
    return secure_torch_conversion_dropped(handle_.get());
  }
  [[nodiscard]] ReportView report() const noexcept {
    return ReportView(secure_torch_conversion_report(handle_.get()));
  }
  [[nodiscard]] const secure_torch_conversion* get() const noexcept { return handle_.get(); }

 private:
  detail::Handle<secure_torch_conversion, secure_torch_conversion_free> handle_;
};

// Judges a file, loads it, and writes its tensors to a new safetensors file. Nothing is half-written.
inline Result<Conversion> convert(std::string_view path, std::string_view written,
                                  const ConvertOptions& options = {}) {
  auto loading = detail::given(options.load);
  if (!loading) return std::move(loading).error();
  const detail::Handle<secure_torch_convert_options, secure_torch_convert_options_free> given(
      secure_torch_convert_options_new());
  auto set = detail::done(secure_torch_convert_options_set_key, given.get(), options.key.data(),
                          options.key.size());
  if (set) {
    set = detail::done(secure_torch_convert_options_set_drop_rest, given.get(), options.drop_rest);
  }
  if (set) {
    set = detail::done(secure_torch_convert_options_set_duplicate_shared, given.get(),
                       options.duplicate_shared);
  }
  if (set) set = detail::done(secure_torch_convert_options_set_force, given.get(), options.force);
  if (!set) return std::move(set).error();
  return detail::made<Conversion, secure_torch_conversion>(
      secure_torch_convert_path, path.data(), path.size(), written.data(), written.size(),
      detail::of(options.load.policy), loading->get(), given.get());
}

}  // namespace secure_torch
