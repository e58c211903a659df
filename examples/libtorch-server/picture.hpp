// A picture in the simplest format that there is: binary PPM (netpbm's ppm(5)), 8 bits a channel.
//
// What it refuses: comments, other depths, several pictures in a row, a body that is a byte too short
// or too long, and sides that the network cannot take or that would take it too long.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace server {

struct Picture {
  static constexpr std::int64_t SMALLEST = 12;
  static constexpr std::int64_t LARGEST = 2048;

  std::int64_t width = 0;
  std::int64_t height = 0;
  // Rows from the top, red, green and blue in turn. They are the given bytes.
  std::string_view pixels;

  static std::optional<Picture> parse(std::string_view bytes) {
    if (bytes.substr(0, 2) != "P6") return std::nullopt;
    bytes.remove_prefix(2);
    const auto width = number(bytes);
    const auto height = number(bytes);
    const auto depth = number(bytes);
    // One space ends the header; whatever follows is the first pixel.
    if (!width || !height || depth != 255 || bytes.empty() || !is_space(bytes.front())) {
      return std::nullopt;
    }
    bytes.remove_prefix(1);
    const auto fits = [](std::int64_t side) { return side >= SMALLEST && side <= LARGEST; };
    if (!fits(*width) || !fits(*height)) return std::nullopt;
    if (bytes.size() != static_cast<std::size_t>(*width * *height * 3)) return std::nullopt;
    return Picture{*width, *height, bytes};
  }

 private:
  static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

  static std::optional<std::int64_t> number(std::string_view& bytes) {
    if (bytes.empty() || !is_space(bytes.front())) return std::nullopt;
    while (!bytes.empty() && is_space(bytes.front())) bytes.remove_prefix(1);
    std::int64_t value = 0;
    std::size_t digits = 0;
    while (digits < bytes.size() && bytes[digits] >= '0' && bytes[digits] <= '9') {
      value = value * 10 + (bytes[digits] - '0');
      if (++digits > 5) return std::nullopt;
    }
    bytes.remove_prefix(digits);
    if (digits == 0) return std::nullopt;
    return value;
  }
};

}  // namespace server
