// What libtorch's own archive reader sees, for the test that compares readers.
//
// Reads archives from standard input, each behind its length in four bytes (little-endian), and
// prints one JSON line for each: every record's name in hexadecimal digits, its size and its
// CRC-32 in the reader's order, or the error. It opens records and nothing more: no pickle is
// read and no code is run.
//
// Follows caffe2/serialize/inline_container.h: names come without the archive's folder.

#include <caffe2/serialize/inline_container.h>
#include <caffe2/serialize/read_adapter_interface.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using caffe2::serialize::PyTorchStreamReader;
using caffe2::serialize::ReadAdapterInterface;

class Bytes final : public ReadAdapterInterface {
 public:
  explicit Bytes(std::string bytes) : bytes_(std::move(bytes)) {}

  size_t size() const override {
    return bytes_.size();
  }

  size_t read(uint64_t position, void* buffer, size_t count, const char*) const override {
    if (position >= bytes_.size()) {
      return 0;
    }
    const size_t there = std::min<size_t>(count, bytes_.size() - position);
    std::memcpy(buffer, bytes_.data() + position, there);
    return there;
  }

 private:
  std::string bytes_;
};

// libtorch allocates and clears what a header declares, gigabytes at a time.
constexpr size_t most = size_t{1} << 24;

uint32_t crc32(const void* data, size_t size) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> made{};
    for (uint32_t at = 0; at < 256; ++at) {
      uint32_t value = at;
      for (int bit = 0; bit < 8; ++bit) {
        value = (value & 1) != 0 ? 0xedb88320U ^ (value >> 1) : value >> 1;
      }
      made[at] = value;
    }
    return made;
  }();
  uint32_t sum = 0xffffffffU;
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (size_t at = 0; at < size; ++at) {
    sum = table[(sum ^ bytes[at]) & 0xff] ^ (sum >> 8);
  }
  return ~sum;
}

std::string hex(const std::string& text) {
  std::string digits;
  char pair[3];
  for (const unsigned char byte : text) {
    std::snprintf(pair, sizeof pair, "%02x", byte);
    digits += pair;
  }
  return digits;
}

// libtorch's messages carry a stack trace behind their first line.
std::string first_line(const std::exception& error) {
  const std::string text = error.what();
  return hex(text.substr(0, text.find('\n')));
}

std::string answer(std::string archive) {
  std::string line;
  try {
    PyTorchStreamReader reader(std::make_shared<Bytes>(std::move(archive)));
    for (const std::string& name : reader.getAllRecords()) {
      line += line.empty() ? "" : ",";
      line += "[\"" + hex(name) + "\",";
      try {
        if (reader.getRecordSize(name) > most) {
          throw std::length_error("the record is too large");
        }
        const auto record = reader.getRecord(name);
        const size_t size = std::get<1>(record);
        line += std::to_string(size) + "," + std::to_string(crc32(std::get<0>(record).get(), size));
      } catch (const std::exception& error) {
        line += "\"error\",\"" + first_line(error) + "\"";
      }
      line += "]";
    }
    return "{\"members\":[" + line + "]}";
  } catch (const std::exception& error) {
    return "{\"error\":\"" + first_line(error) + "\"}";
  }
}

} // namespace

int main() {
  std::ios::sync_with_stdio(false);
  std::array<unsigned char, 4> length{};
  while (std::cin.read(reinterpret_cast<char*>(length.data()), length.size())) {
    const size_t size = length[0] | length[1] << 8 | length[2] << 16 |
        static_cast<size_t>(length[3]) << 24;
    std::string archive(size, '\0');
    if (!std::cin.read(archive.data(), static_cast<std::streamsize>(size))) {
      return 1;
    }
    std::cout << answer(std::move(archive)) << '\n';
  }
  return 0;
}
