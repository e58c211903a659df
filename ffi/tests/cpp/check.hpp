// A test that says where it failed, without a framework and without exceptions.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace check {

// How many checks were made: a program that made none has not tested anything.
inline int made = 0;

[[noreturn]] inline void fail(const char* what, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
  std::exit(1);
}

inline int close(const char* name) {
  std::printf("%s: %d checks hold\n", name, made);
  return made > 0 ? 0 : 1;
}

}  // namespace check

#define REQUIRE(condition)                                             \
  do {                                                               \
    ++check::made;                                                   \
    if (!(condition)) check::fail(#condition, __FILE__, __LINE__);   \
  } while (false)
