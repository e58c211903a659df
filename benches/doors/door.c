/* The C door, asked for time and memory: see README.md. */
#define _POSIX_C_SOURCE 200809L
#include <secure_torch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void need(int good, const char *what) {
    if (good) return;
    fprintf(stderr, "door: %s\n", what);
    exit(1);
}

static long long now(void) {
    struct timespec time;
    need(clock_gettime(CLOCK_MONOTONIC, &time) == 0, "no clock");
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static unsigned long long resident(void) {
    unsigned long long all = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    need(file != NULL && fscanf(file, "%llu %llu", &all, &pages) == 2, "no resident pages");
    fclose(file);
    return pages;
}

static void scans(long times, const char *path) {
    const size_t length = strlen(path);
    for (long at = 0; at < times; at++) {
        const long long start = now();
        secure_torch_report *report = NULL;
        need(secure_torch_scan_path(path, length, NULL, &report, NULL) == SECURE_TORCH_RESULT_OK, "no report");
        const bool allowed = secure_torch_report_load_allowed(report);
        secure_torch_report_free(report);
        printf("%s%lld", at ? " " : "", now() - start);
        need(allowed, "the file is blocked");
    }
    printf("\n");
}

static void load(const char *path) {
    const unsigned long long before = resident();
    secure_torch_checkpoint *checkpoint = NULL;
    need(secure_torch_load_path(path, strlen(path), NULL, NULL, &checkpoint, NULL, NULL) == SECURE_TORCH_RESULT_OK,
         "not loaded");
    size_t tensors = 0;
    need(secure_torch_checkpoint_tensor_count(checkpoint, &tensors, NULL) == SECURE_TORCH_RESULT_OK, "no tensors");
    secure_torch_elements *seen = calloc(tensors + 1, sizeof *seen);
    need(seen != NULL, "no memory");
    for (size_t at = 0; at < tensors; at++) {
        secure_torch_named_tensor named;
        need(secure_torch_checkpoint_tensor(checkpoint, at, &named, NULL) == SECURE_TORCH_RESULT_OK &&
                 secure_torch_tensor_data(checkpoint, named.tensor, &seen[at], NULL) == SECURE_TORCH_RESULT_OK,
             "a tensor without data");
    }
    const unsigned long long after = resident();
    unsigned long long bytes = 0, sum = 0;
    for (size_t at = 0; at < tensors; at++) {
        const volatile unsigned char *data = seen[at].data;
        for (size_t byte = 0; byte < seen[at].length; byte += 4096) sum += data[byte];
        bytes += seen[at].length;
    }
    printf("%llu %llu %llu %zu %llu\n", before, after, resident(), tensors, bytes);
    need(sum != (unsigned long long)-1, "never");
    free(seen);
    secure_torch_checkpoint_free(checkpoint);
}

int main(void) {
    static char line[1 << 16];
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "scan\t", 5) == 0) {
            char *path = NULL;
            const long times = strtol(line + 5, &path, 10);
            need(*path == '\t', "no such request");
            scans(times, path + 1);
        } else {
            need(strncmp(line, "load\t", 5) == 0, "no such request");
            load(line + 5);
        }
        fflush(stdout);
    }
    return 0;
}
