// HTTP for the service: Boost.Beast reads and writes, this says how much and how long.
//
// One request a connection. What it refuses, before it reads a body: a header over 8 KiB, a method or
// a path that it does not have, a body over the limit, more uploads at one time than were agreed.
// What is slower than the time allowed is hung up on. Nothing is written to a disk.
#pragma once

#include <chrono>
#include <cstdint>

#include "service.hpp"

namespace server {

struct Options {
  std::uint16_t port = 8080;
  std::uint64_t largest_model = std::uint64_t{256} << 20;
  std::uint64_t largest_picture = std::uint64_t{16} << 20;
  unsigned most_uploads = 4;
  unsigned most_connections = 64;
  unsigned threads = 2;
  std::chrono::seconds patience{30};
};

// Serves on 127.0.0.1 until SIGTERM or SIGINT, then finishes what was begun.
void serve(Service& service, const Options& options);

}  // namespace server
