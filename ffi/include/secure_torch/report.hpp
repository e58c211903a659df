// The judgement of a file, as the library tells it.
//
// What it refuses: to judge. Scores, levels and verdicts are the library's.
#pragma once

#include <secure_torch/result.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>

namespace secure_torch {

namespace detail {

// A range over numbers from 0 on, each of which `Owner::at` turns into an item.
template <typename Owner, typename Item, Item (*at)(const Owner&, std::size_t)>
class Range {
 public:
  class iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Item;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = Item;

    iterator(const Owner* owner, std::size_t index) noexcept : owner_(owner), index_(index) {}
    Item operator*() const { return at(*owner_, index_); }
    iterator& operator++() noexcept {
      ++index_;
      return *this;
    }
    iterator operator++(int) noexcept {
      iterator before = *this;
      ++index_;
      return before;
    }
    friend bool operator==(const iterator& a, const iterator& b) noexcept {
      return a.index_ == b.index_;
    }
    friend bool operator!=(const iterator& a, const iterator& b) noexcept { return !(a == b); }

   private:
    const Owner* owner_;
    std::size_t index_;
  };

  Range(Owner owner, std::size_t count) noexcept : owner_(owner), count_(count) {}
  [[nodiscard]] iterator begin() const noexcept { return iterator(&owner_, 0); }
  [[nodiscard]] iterator end() const noexcept { return iterator(&owner_, count_); }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  Item operator[](std::size_t index) const { return at(owner_, index); }

 private:
  Owner owner_;
  std::size_t count_;
};

}  // namespace detail

// The band of a threat score.
enum class Level : std::uint32_t {
  Safe = SECURE_TORCH_LEVEL_SAFE,
  Low = SECURE_TORCH_LEVEL_LOW,
  Medium = SECURE_TORCH_LEVEL_MEDIUM,
  High = SECURE_TORCH_LEVEL_HIGH,
  Critical = SECURE_TORCH_LEVEL_CRITICAL,
};

// Whether the policy lets a file through.
enum class Verdict : std::uint32_t {
  Allow = SECURE_TORCH_VERDICT_ALLOW,
  Block = SECURE_TORCH_VERDICT_BLOCK,
};

// A rule that was hit. Its texts belong to the report.
struct Finding {
  std::string_view rule;
  std::uint8_t points = 0;
  std::string_view path;
  std::optional<std::uint64_t> offset;
  std::string_view subject;
  std::string_view message;
  std::uint64_t count = 0;
  std::optional<std::string_view> ignored;
};

// A rule and its points.
struct RulePoints {
  std::string_view rule;
  std::uint8_t points = 0;
};

// A report that something else keeps alive. As cheap to copy as a pointer; every text and range that
// it gives lives as long as the report.
class ReportView {
 public:
  explicit ReportView(const secure_torch_report* report) noexcept : report_(report) {}

  [[nodiscard]] std::string_view path() const noexcept {
    return detail::view(secure_torch_report_path(report_));
  }
  [[nodiscard]] std::string_view format() const noexcept {
    return detail::view(secure_torch_report_format(report_));
  }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept {
    return secure_torch_report_size_bytes(report_);
  }
  [[nodiscard]] std::uint8_t threat_score() const noexcept {
    return secure_torch_report_threat_score(report_);
  }
  [[nodiscard]] Level threat_level() const noexcept {
    return static_cast<Level>(secure_torch_report_threat_level(report_));
  }
  [[nodiscard]] Verdict verdict() const noexcept {
    return static_cast<Verdict>(secure_torch_report_verdict(report_));
  }
  [[nodiscard]] bool load_allowed() const noexcept {
    return secure_torch_report_load_allowed(report_);
  }
  [[nodiscard]] std::uint64_t findings_omitted() const noexcept {
    return secure_torch_report_findings_omitted(report_);
  }
  // The report's canonical JSON: the same bytes in every language.
  [[nodiscard]] std::string_view json() const noexcept {
    return detail::view(secure_torch_report_json(report_));
  }
  // The report as a SARIF 2.1.0 log.
  [[nodiscard]] std::string_view sarif() const noexcept {
    return detail::view(secure_torch_report_sarif(report_));
  }

 private:
  static std::string_view format_at(const ReportView& self, std::size_t index) {
    return detail::view(secure_torch_report_format_at(self.report_, index));
  }
  static std::string_view reason_at(const ReportView& self, std::size_t index) {
    return detail::view(secure_torch_report_reason(self.report_, index));
  }
  static std::string_view limit_at(const ReportView& self, std::size_t index) {
    return detail::view(secure_torch_report_limit(self.report_, index));
  }
  // What is asked for lies inside the range, whose end the library has said. Past it, nothing is made
  // up: the item is empty.
  static Finding finding_at(const ReportView& self, std::size_t index) {
    secure_torch_finding found;
    Finding finding;
    if (secure_torch_report_finding(self.report_, index, &found, nullptr) != SECURE_TORCH_RESULT_OK) {
      return finding;
    }
    finding.rule = detail::view(found.rule);
    finding.points = found.points;
    finding.path = detail::view(found.path);
    if (found.has_offset) finding.offset = found.offset;
    finding.subject = detail::view(found.subject);
    finding.message = detail::view(found.message);
    finding.count = found.count;
    if (found.is_ignored) finding.ignored = detail::view(found.ignored);
    return finding;
  }
  static RulePoints points_at(const ReportView& self, std::size_t index) {
    secure_torch_rule_points found;
    if (secure_torch_report_breakdown(self.report_, index, &found, nullptr) !=
        SECURE_TORCH_RESULT_OK) {
      return {};
    }
    return {detail::view(found.rule), found.points};
  }

 public:
  // Every format whose loader would accept the file; more than one is a polyglot.
  [[nodiscard]] auto formats() const noexcept {
    return detail::Range<ReportView, std::string_view, format_at>(
        *this, secure_torch_report_format_count(report_));
  }
  // Each reason for a block, as a sentence.
  [[nodiscard]] auto reasons() const noexcept {
    return detail::Range<ReportView, std::string_view, reason_at>(
        *this, secure_torch_report_reason_count(report_));
  }
  // What the judgement does not cover, as sentences.
  [[nodiscard]] auto limits() const noexcept {
    return detail::Range<ReportView, std::string_view, limit_at>(
        *this, secure_torch_report_limit_count(report_));
  }
  [[nodiscard]] auto findings() const noexcept {
    return detail::Range<ReportView, Finding, finding_at>(
        *this, secure_torch_report_finding_count(report_));
  }
  [[nodiscard]] auto score_breakdown() const noexcept {
    return detail::Range<ReportView, RulePoints, points_at>(
        *this, secure_torch_report_breakdown_count(report_));
  }

 private:
  const secure_torch_report* report_;
};

// A report of one's own. Move-only; any number of threads may read it.
class Report : public ReportView {
 public:
  explicit Report(secure_torch_report* report) noexcept : ReportView(report), handle_(report) {}

 private:
  detail::Handle<secure_torch_report, secure_torch_report_free> handle_;
};

inline std::optional<ReportView> Failure::report() const noexcept {
  const secure_torch_report* report = error_ ? secure_torch_error_report(error_.get()) : nullptr;
  if (report == nullptr) return std::nullopt;
  return ReportView(report);
}

#if SECURE_TORCH_EXCEPTIONS
inline std::optional<ReportView> Error::report() const noexcept { return failure_->report(); }
#endif

// What one file of a folder came to: a report, or why there is none. It belongs to the Reports.
struct Judged {
  std::string_view path;
  std::optional<ReportView> report;
  // Of the error: its number, name, message and hint. OK and empty where there is a report.
  secure_torch_result result = SECURE_TORCH_RESULT_OK;
  std::string_view code, message, hint;
};

// The judgements of everything at and below a path, in order. Move-only.
class Reports {
 public:
  explicit Reports(secure_torch_reports* reports) noexcept : handle_(reports) {}

  [[nodiscard]] auto all() const noexcept {
    return detail::Range<const secure_torch_reports*, Judged, judged_at>(
        handle_.get(), secure_torch_reports_count(handle_.get()));
  }

 private:
  static Judged judged_at(const secure_torch_reports* const& reports, std::size_t index) {
    Judged judged;
    judged.path = detail::view(secure_torch_reports_path(reports, index));
    if (const auto* report = secure_torch_reports_report(reports, index)) {
      judged.report = ReportView(report);
    } else if (const auto* error = secure_torch_reports_error(reports, index)) {
      judged.result = secure_torch_error_result(error);
      judged.code = detail::view(secure_torch_error_code(error));
      judged.message = detail::view(secure_torch_error_message(error));
      judged.hint = detail::view(secure_torch_error_hint(error));
    }
    return judged;
  }

  detail::Handle<secure_torch_reports, secure_torch_reports_free> handle_;
};

}  // namespace secure_torch
