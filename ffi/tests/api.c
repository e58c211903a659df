/* A walk through the whole surface, over files that the test makes itself. */
#include "test.h"

/* As dlpack.h 1.1 lays it out. */
typedef struct {
    void *data;
    struct { int32_t type, id; } device;
    int32_t ndim;
    struct { uint8_t code, bits; uint16_t lanes; } dtype;
    int64_t *shape, *strides;
    uint64_t byte_offset;
} dl_tensor;

struct DLManagedTensorVersioned {
    struct { uint32_t major, minor; } version;
    void *manager_ctx;
    void (*deleter)(struct DLManagedTensorVersioned *);
    uint64_t flags;
    dl_tensor tensor;
};

static unsigned char file[MAPPED + 512];
static size_t length;

static void library(void) {
    CHECK(secure_torch_abi_version() == SECURE_TORCH_ABI_VERSION);
    CHECK(secure_torch_version().length > 0);
    CHECK(is(secure_torch_result_name(SECURE_TORCH_RESULT_MODEL_BLOCKED), "model-blocked"));
    CHECK(secure_torch_result_hint(SECURE_TORCH_RESULT_MODEL_BLOCKED).length > 0);
    CHECK(secure_torch_rules_json().data[0] == '{');
    CHECK(is(secure_torch_dtype_name(SECURE_TORCH_DTYPE_BFLOAT16), "bfloat16"));
    CHECK(secure_torch_dtype_size(SECURE_TORCH_DTYPE_BFLOAT16) == 2);
    CHECK(secure_torch_dtype_name(1000).length == 0);
    char shown[16];
    CHECK(secure_torch_text_printable("a\033b", 3, shown, sizeof shown) == 8);
    CHECK(memcmp(shown, "a\\u{1b}b", 8) == 0);
}

static void judged(void) {
    secure_torch_report *report = NULL;
    OK(secure_torch_scan_bytes(TEXT("evil.pkl"), (const uint8_t *)EVIL, sizeof(EVIL) - 1, NULL, &report,
                               &error));
    CHECK(secure_torch_report_verdict(report) == SECURE_TORCH_VERDICT_BLOCK);
    CHECK(!secure_torch_report_load_allowed(report));
    CHECK(secure_torch_report_threat_level(report) == SECURE_TORCH_LEVEL_CRITICAL);
    CHECK(is(secure_torch_report_path(report), "evil.pkl"));
    CHECK(is(secure_torch_report_format(report), "pickle"));
    CHECK(secure_torch_report_size_bytes(report) == sizeof(EVIL) - 1);
    CHECK(secure_torch_report_reason_count(report) > 0);
    CHECK(secure_torch_report_reason(report, 0).length > 0);
    CHECK(secure_torch_report_reason(report, 1000).length == 0);
    for (size_t at = 0; at < secure_torch_report_finding_count(report); at++) {
        secure_torch_finding finding;
        OK(secure_torch_report_finding(report, at, &finding, &error));
        CHECK(finding.rule.length > 0 && finding.message.length > 0 && finding.count > 0);
    }
    unsigned sum = 0;
    for (size_t at = 0; at < secure_torch_report_breakdown_count(report); at++) {
        secure_torch_rule_points points;
        OK(secure_torch_report_breakdown(report, at, &points, &error));
        sum += points.points;
    }
    CHECK((sum > 100 ? 100 : sum) == secure_torch_report_threat_score(report));
    secure_torch_global global;
    OK(secure_torch_report_global(report, 0, &global, &error));
    CHECK(is(global.python3, "posix.system") && is(global.classification, "dangerous"));
    secure_torch_part part;
    CHECK(secure_torch_report_part_count(report) > 0);
    OK(secure_torch_report_part(report, 0, &part, &error));
    const secure_torch_str json = secure_torch_report_json(report);
    CHECK(json.length > 2 && json.data[0] == '{' && json.data[json.length - 1] == '}');
    CHECK(secure_torch_report_json(report).data == json.data);
    CHECK(secure_torch_report_sarif(report).data[0] == '{');
    secure_torch_report_free(report);
}

static void values(const secure_torch_checkpoint *checkpoint) {
    const secure_torch_value root = secure_torch_checkpoint_root(checkpoint);
    CHECK(root.kind == SECURE_TORCH_KIND_DICT);
    size_t count = 0;
    OK(secure_torch_value_length(checkpoint, root, &count, &error));
    CHECK(count == 2);
    secure_torch_entry entry;
    OK(secure_torch_value_entry(checkpoint, root, 0, &entry, &error));
    secure_torch_str key;
    OK(secure_torch_value_text(checkpoint, entry.key, &key, &error));
    CHECK(is(key, "layer.weight"));
    uint32_t tensor = 0;
    OK(secure_torch_value_tensor(checkpoint, entry.value, &tensor, &error));
    secure_torch_named_tensor named;
    OK(secure_torch_checkpoint_tensor(checkpoint, 0, &named, &error));
    CHECK(named.tensor == tensor && is(named.name, "layer.weight"));
    CHECK(named.value.payload == entry.value.payload && named.value.kind == entry.value.kind);
    CHECK(secure_torch_checkpoint_metadata_count(checkpoint) == 1);
    secure_torch_metadata metadata;
    OK(secure_torch_checkpoint_metadata(checkpoint, 0, &metadata, &error));
    CHECK(is(metadata.key, "made") && is(metadata.value, "here"));
}

static void tensors(secure_torch_checkpoint *checkpoint, bool mapped) {
    secure_torch_named_tensor named;
    OK(secure_torch_checkpoint_tensor(checkpoint, 0, &named, &error));
    secure_torch_tensor info;
    OK(secure_torch_tensor_info(checkpoint, named.tensor, &info, &error));
    CHECK(info.dtype == SECURE_TORCH_DTYPE_FLOAT32 && info.rank == 2 && info.elements == 6);
    CHECK(info.shape[0] == 2 && info.shape[1] == 3 && info.strides[0] == 3 && info.strides[1] == 1);
    CHECK(!info.is_meta && !info.is_quantized && !info.requires_grad && info.data_length == 24);
    secure_torch_elements elements;
    OK(secure_torch_tensor_data(checkpoint, named.tensor, &elements, &error));
    CHECK(elements.length == 24 && (size_t)elements.data % 4 == 0);
    const float *numbers = elements.data;
    for (int at = 0; at < 6; at++) CHECK(numbers[at] == (float)at);
    secure_torch_quantizer quantizer;
    OK(secure_torch_tensor_quantizer(checkpoint, named.tensor, &quantizer, &error));
    CHECK(quantizer.kind == SECURE_TORCH_QUANTIZER_NONE);

    secure_torch_memory *memory = NULL, *copy = NULL;
    struct DLManagedTensorVersioned *managed = NULL;
    OK(secure_torch_checkpoint_prepare(checkpoint, true, &error));
    OK(secure_torch_storage_memory(checkpoint, info.storage, &memory, &error));
    OK(secure_torch_storage_copy(checkpoint, info.storage, &copy, &error));
    OK(secure_torch_tensor_to_dlpack(checkpoint, named.tensor, &managed, &error));
    secure_torch_storage storage;
    OK(secure_torch_storage_info(checkpoint, info.storage, &storage, &error));
    CHECK(storage.length == secure_torch_memory_length(memory));
    CHECK(secure_torch_memory_is_mapped(memory) == mapped);

    /* Another handle keeps it alive; the exports stay when that goes too. */
    secure_torch_checkpoint *other = secure_torch_checkpoint_clone(checkpoint);
    secure_torch_checkpoint_free(checkpoint);
    CHECK(numbers[5] == 5.0f);
    secure_torch_checkpoint_free(other);
    numbers = secure_torch_memory_data(memory);
    CHECK(numbers[5] == 5.0f);
    numbers = secure_torch_memory_data(copy);
    CHECK(numbers[4] == 4.0f && !secure_torch_memory_is_mapped(copy));
    CHECK(managed->version.major == 1 && managed->tensor.ndim == 2 && managed->flags == 0);
    CHECK(managed->tensor.dtype.code == 2 && managed->tensor.dtype.bits == 32);
    CHECK(managed->tensor.shape[1] == 3 && managed->tensor.strides[0] == 3);
    numbers = managed->tensor.data;
    CHECK(numbers[3] == 3.0f);
    secure_torch_memory *again = secure_torch_memory_clone(memory);
    secure_torch_memory_free(memory);
    secure_torch_memory_free(again);
    secure_torch_memory_free(copy);
    managed->deleter(managed);
}

static void loaded(const char *path) {
    secure_torch_checkpoint *checkpoint = NULL;
    secure_torch_report *report = NULL;
    OK(secure_torch_load_bytes(TEXT("m"), file, length, NULL, NULL, &checkpoint, &report, &error));
    CHECK(secure_torch_report_load_allowed(report));
    secure_torch_report_free(report);
    values(checkpoint);
    tensors(checkpoint, false);
    secure_torch_load_options *options = secure_torch_load_options_new();
    OK(secure_torch_load_options_set_sealed(options, true, &error));
    OK(secure_torch_load_options_set_audit_only(options, false, &error));
    OK(secure_torch_load_options_set_python2_text(options, SECURE_TORCH_PYTHON2_TEXT_LATIN1, &error));
    OK(secure_torch_load_path(path, strlen(path), NULL, options, &checkpoint, NULL, &error));
    values(checkpoint);
    tensors(checkpoint, true);
    secure_torch_load_options_free(options);
    OK(secure_torch_load_path(path, strlen(path), NULL, NULL, &checkpoint, NULL, &error));
    tensors(checkpoint, true);
}

static void converted(const char *path) {
    char out[1024];
    snprintf(out, sizeof(out), "%s.converted", path);
    secure_torch_convert_options *options = secure_torch_convert_options_new();
    OK(secure_torch_convert_options_set_force(options, true, &error));
    OK(secure_torch_convert_options_set_key(options, "", 0, &error));
    OK(secure_torch_convert_options_set_drop_rest(options, false, &error));
    OK(secure_torch_convert_options_set_duplicate_shared(options, false, &error));
    secure_torch_conversion *conversion = NULL;
    OK(secure_torch_convert_path(path, strlen(path), out, strlen(out), NULL, NULL, options, &conversion,
                                 &error));
    CHECK(secure_torch_conversion_tensors(conversion) == 2);
    CHECK(secure_torch_conversion_bytes(conversion) > 28);
    CHECK(secure_torch_conversion_tied_count(conversion) == 0);
    CHECK(secure_torch_conversion_dropped(conversion) == 0);
    CHECK(secure_torch_report_load_allowed(secure_torch_conversion_report(conversion)));
    secure_torch_conversion_free(conversion);
    secure_torch_error *error = NULL;
    CHECK(secure_torch_convert_path(path, strlen(path), out, strlen(out), NULL, NULL, NULL, &conversion,
                                    &error) == SECURE_TORCH_RESULT_IO_EXISTS);
    CHECK(conversion == NULL);
    secure_torch_error_free(error);
    secure_torch_convert_options_free(options);
    remove(out);
}

static void tree(const char *path) {
    secure_torch_reports *reports = NULL;
    OK(secure_torch_scan_tree(path, strlen(path), NULL, &reports, &error));
    CHECK(secure_torch_reports_count(reports) == 1);
    CHECK(is(secure_torch_reports_path(reports, 0), path));
    CHECK(secure_torch_report_load_allowed(secure_torch_reports_report(reports, 0)));
    CHECK(secure_torch_reports_error(reports, 0) == NULL);
    CHECK(secure_torch_reports_report(reports, 1) == NULL);
    secure_torch_reports_free(reports);
    OK(secure_torch_scan_tree(TEXT("/no/such/file"), NULL, &reports, &error));
    const secure_torch_error *inner = secure_torch_reports_error(reports, 0);
    CHECK(secure_torch_error_result(inner) == SECURE_TORCH_RESULT_IO_NOT_FOUND);
    secure_torch_reports_free(reports);
}

static void policies(void) {
    static const char toml[] = "max_threat_score = 3\n";
    secure_torch_policy *policy = NULL;
    OK(secure_torch_policy_from_toml(TEXT(toml), TEXT("/"), &policy, &error));
    CHECK(secure_torch_policy_max_threat_score(policy) == 3);
    CHECK(is(secure_torch_policy_path(policy), "/secure-torch.toml"));
    OK(secure_torch_policy_set_max_threat_score(policy, 0, &error));
    OK(secure_torch_policy_allow(policy, TEXT("collections.Counter"), &error));
    OK(secure_torch_policy_set_limit(policy, TEXT("archive.entries"), 10, &error));
    secure_torch_policy_free(policy);
    policy = secure_torch_policy_new();
    CHECK(secure_torch_policy_max_threat_score(policy) == 20);
    secure_torch_policy_free(policy);
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    const char *path = arguments[1];
    length = safetensors(file, MAPPED);
    FILE *out = fopen(path, "wb");
    CHECK(out && fwrite(file, 1, length, out) == length && fclose(out) == 0);
    library();
    judged();
    loaded(path);
    converted(path);
    tree(path);
    policies();
    remove(path);
    puts("api: passed");
    return 0;
}
