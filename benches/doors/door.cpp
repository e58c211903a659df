// The C++ door, asked for time and memory: see README.md.
#include <chrono>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <secure_torch.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

std::uint64_t resident() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t all = 0;
  std::uint64_t pages = 0;
  if (!(file >> all >> pages)) throw std::runtime_error("no resident pages");
  return pages;
}

void scans(long times, const std::string& path) {
  for (long at = 0; at < times; at++) {
    const auto start = std::chrono::steady_clock::now();
    bool allowed = false;
    {
      const auto report = secure_torch::scan(path);
      allowed = report && report->load_allowed();
    }
    const auto taken = std::chrono::steady_clock::now() - start;
    if (!allowed) throw std::runtime_error("the file is blocked");
    std::cout << (at == 0 ? "" : " ") << std::chrono::nanoseconds(taken).count();
  }
  std::cout << std::endl;
}

void load(const std::string& path) {
  const auto before = resident();
  const auto checkpoint = secure_torch::load(path);
  if (!checkpoint) throw std::runtime_error(std::string(checkpoint.error().message()));
  const auto tensors = checkpoint->tensors();
  if (!tensors) throw std::runtime_error("no tensors");
  std::vector<secure_torch::Span<std::uint8_t>> seen;
  for (const secure_torch::NamedTensor& named : *tensors) {
    if (!named.tensor) throw std::runtime_error("a tensor without data");
    const auto data = named.tensor->data();
    if (!data) throw std::runtime_error("a tensor without data");
    seen.push_back(*data);
  }
  const auto after = resident();
  std::uint64_t bytes = 0;
  volatile std::uint64_t sum = 0;
  for (const auto& data : seen) {
    for (std::size_t at = 0; at < data.size(); at += 4096) sum = sum + data.data()[at];
    bytes += data.size();
  }
  std::cout << before << ' ' << after << ' ' << resident() << ' ' << seen.size() << ' ' << bytes << std::endl;
}

}  // namespace

int main() try {
  for (std::string line; std::getline(std::cin, line);) {
    if (line.rfind("scan\t", 0) == 0) {
      const auto tab = line.find('\t', 5);
      if (tab == std::string::npos) throw std::runtime_error("no such request");
      scans(std::stol(line.substr(5, tab - 5)), line.substr(tab + 1));
    } else if (line.rfind("load\t", 0) == 0) {
      load(line.substr(5));
    } else {
      throw std::runtime_error("no such request");
    }
  }
  return 0;
} catch (const std::exception& error) {
  std::cerr << "door: " << error.what() << '\n';
  return 1;
}
