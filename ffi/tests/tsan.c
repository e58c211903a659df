/* LLVM's instrumentation, and so rustc's, calls these; GCC's runtime does not have them before its 14th
   release. The functions that they call are intercepted by either runtime, so nothing goes unseen. */
#include <stddef.h>
#include <string.h>

#define WEAK __attribute__((weak))

WEAK void *__tsan_memcpy(void *to, const void *from, size_t length) {
    return memcpy(to, from, length);
}

WEAK void *__tsan_memmove(void *to, const void *from, size_t length) {
    return memmove(to, from, length);
}

WEAK void *__tsan_memset(void *to, int byte, size_t length) {
    return memset(to, byte, length);
}
