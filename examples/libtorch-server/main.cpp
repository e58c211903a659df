// A small inference server behind the gate: it serves a published face detector, takes a new model by
// HTTP, and refuses one that would run something when it is loaded.
//
//     libtorch-server [--port N] [--model FILE] [--largest-model BYTES] [--patience SECONDS]
//                     [--uploads N] [--threads N]
//
// README.md shows it at work.

#include <ATen/Parallel.h>

#include <charconv>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <secure_torch.hpp>
#include <string>
#include <string_view>

#include "http.hpp"
#include "service.hpp"

namespace {

template <typename T>
bool whole(std::string_view text, T& value) {
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && rest == end && !text.empty();
}

int usage() {
  std::fputs("usage: libtorch-server [--port N] [--model FILE] [--largest-model BYTES]\n"
             "                       [--patience SECONDS] [--uploads N] [--threads N]\n",
             stderr);
  return 2;
}

int start(int count, char** arguments) {
  server::Options options;
  std::string model;
  for (int i = 1; i < count; i += 2) {
    if (i + 1 == count) return usage();
    const std::string_view name = arguments[i];
    const std::string_view value = arguments[i + 1];
    unsigned seconds = 0;
    bool good = true;
    if (name == "--port") {
      good = whole(value, options.port);
    } else if (name == "--model") {
      model = value;
    } else if (name == "--largest-model") {
      good = whole(value, options.largest_model);
    } else if (name == "--patience") {
      good = whole(value, seconds) && seconds > 0;
      options.patience = std::chrono::seconds(seconds);
    } else if (name == "--uploads") {
      good = whole(value, options.most_uploads);
    } else if (name == "--threads") {
      good = whole(value, options.threads) && options.threads > 0;
    } else {
      good = false;
    }
    if (!good) return usage();
  }
  // Requests run side by side; within one, threads would only wait for each other.
  at::set_num_threads(1);
  server::Service service;
  if (!model.empty()) {
    std::ifstream file(model, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (!file.is_open() || file.bad()) {
      std::fprintf(stderr, "libtorch-server: `%s` cannot be read\n", model.c_str());
      return 1;
    }
    const auto answer = service.replace(model, bytes);
    if (answer.status != 200) {
      // The report has names of the file's in it.
      std::fprintf(stderr, "%s\n", secure_torch::printable(answer.body, 1U << 20U).c_str());
      return 1;
    }
  }
  server::serve(service, options);
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    return start(count, arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "libtorch-server: %s\n", error.what());
    return 1;
  }
}
