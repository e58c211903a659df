/* Judges a published file, loads it, and walks everything in it. */
#include "test.h"

static size_t seen, bytes_read;

static void tensor(const secure_torch_checkpoint *made, uint32_t number) {
    secure_torch_tensor info;
    secure_torch_elements elements;
    OK(secure_torch_tensor_info(made, number, &info, &error));
    OK(secure_torch_tensor_data(made, number, &elements, &error));
    CHECK(elements.length == info.data_length);
    CHECK(info.element_size && (size_t)elements.data % info.element_size == 0);
    const unsigned char *data = elements.data;
    unsigned sum = 0;
    for (size_t at = 0; at < elements.length; at++) sum += data[at];
    bytes_read += elements.length + (sum & 0);
}

static void value(const secure_torch_checkpoint *made, secure_torch_value given, int depth) {
    CHECK(depth < 100);
    CHECK(secure_torch_kind_name(given.kind).length > 0);
    seen++;
    size_t length = 0;
    if (given.kind == SECURE_TORCH_KIND_TENSOR || given.kind == SECURE_TORCH_KIND_PARAMETER) {
        uint32_t number;
        OK(secure_torch_value_tensor(made, given, &number, &error));
        tensor(made, number);
        return;
    }
    if (secure_torch_value_length(made, given, &length, NULL) != SECURE_TORCH_RESULT_OK) return;
    for (size_t at = 0; at < length; at++) {
        if (given.kind == SECURE_TORCH_KIND_DICT) {
            secure_torch_entry entry;
            OK(secure_torch_value_entry(made, given, at, &entry, &error));
            value(made, entry.key, depth + 1);
            value(made, entry.value, depth + 1);
        } else {
            secure_torch_value item;
            OK(secure_torch_value_item(made, given, at, &item, &error));
            value(made, item, depth + 1);
        }
    }
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    secure_torch_checkpoint *made = NULL;
    secure_torch_report *report = NULL;
    OK(secure_torch_load_path(arguments[1], strlen(arguments[1]), NULL, NULL, &made, &report, &error));
    CHECK(secure_torch_report_load_allowed(report));
    value(made, secure_torch_checkpoint_root(made), 0);
    size_t tensors = 0;
    OK(secure_torch_checkpoint_tensor_count(made, &tensors, &error));
    CHECK(tensors > 0 && seen > tensors && bytes_read > 0);
    printf("walk: passed, %zu tensors, %zu values, %zu bytes\n", tensors, seen, bytes_read);
    secure_torch_checkpoint_free(made);
    secure_torch_report_free(report);
    return 0;
}
