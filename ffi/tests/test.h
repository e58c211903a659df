/* What the tests share: a check that ends the program, and files that they make themselves. */
#ifndef SECURE_TORCH_TEST_H
#define SECURE_TORCH_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "secure_torch.h"

#define CHECK(condition)                                                          \
    do {                                                                          \
        if (!(condition)) {                                                       \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                              \
        }                                                                         \
    } while (0)

/* A call that must succeed; its error, if there is one, is shown. */
#define OK(call)                                                                         \
    do {                                                                                 \
        secure_torch_error *error = NULL;                                              \
        secure_torch_result result = (call);                                             \
        if (result != SECURE_TORCH_RESULT_OK) {                                          \
            secure_torch_str message = secure_torch_error_message(error);                \
            fprintf(stderr, "%s:%d: %s: %.*s\n", __FILE__, __LINE__, #call,              \
                    (int)message.length, message.data);                                  \
            exit(1);                                                                     \
        }                                                                                \
        CHECK(error == NULL);                                                            \
    } while (0)

#define TEXT(literal) (literal), (sizeof(literal) - 1)

static inline int is(secure_torch_str text, const char *wanted) {
    return text.length == strlen(wanted) && memcmp(text.data, wanted, text.length) == 0;
}

/* A pickle that calls os.system. Nobody unpickles it. */
static const char EVIL[] = "cposix\nsystem\n(S'echo hello'\ntR.";

/* From here on a file is mapped instead of read. */
#define MAPPED 70000

/* A safetensors file of a matrix and a vector that lie one behind the other, with metadata. Its header is
   padded with so many spaces, a multiple of eight: with MAPPED of them the file is mapped. */
static inline size_t safetensors(unsigned char *file, size_t padding) {
    static const char header[] =
        "{\"__metadata__\":{\"made\":\"here\"},"
        "\"layer.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
        "\"layer.bias\":{\"dtype\":\"I16\",\"shape\":[2],\"data_offsets\":[24,28]}}";
    const size_t length = (sizeof(header) - 1 + 7) / 8 * 8 + padding;
    const float weight[6] = {0.0f, 1.0f, 2.0f, 3.0f, 4.0f, 5.0f};
    const int16_t bias[2] = {-7, 300};
    for (int at = 0; at < 8; at++) file[at] = (unsigned char)((uint64_t)length >> (8 * at) & 255);
    memset(file + 8, ' ', length);
    memcpy(file + 8, header, sizeof(header) - 1);
    memcpy(file + 8 + length, weight, sizeof(weight));
    memcpy(file + 8 + length + sizeof(weight), bias, sizeof(bias));
    return 8 + length + sizeof(weight) + sizeof(bias);
}

#endif
