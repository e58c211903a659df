/* What is wrong: NULL everywhere, hostile bytes, forged values. Each is an error that says so, or a
   verdict, and nothing is left behind. */
#include "test.h"

static void gone(secure_torch_error *error, secure_torch_result result, secure_torch_result wanted) {
    CHECK(result == wanted && secure_torch_error_result(error) == wanted);
    CHECK(secure_torch_error_message(error).length > 0 && secure_torch_error_hint(error).length > 0);
    secure_torch_str name = secure_torch_result_name(result), code = secure_torch_error_code(error);
    CHECK(name.length == code.length && memcmp(name.data, code.data, code.length) == 0);
    secure_torch_error_free(error);
}

/* A call that must fail in one way, whether somebody listens to its error or not. */
#define FAILS(wanted, call)                                          \
    do {                                                             \
        secure_torch_error *heard = NULL, **error = &heard;          \
        secure_torch_result result = (call);                         \
        gone(heard, result, (wanted));                               \
        error = NULL;                                                \
        CHECK((call) == (wanted));                                   \
    } while (0)

#define USAGE SECURE_TORCH_RESULT_USAGE

static void nulls(void) {
    secure_torch_report *report = NULL;
    secure_torch_checkpoint *made = NULL;
    secure_torch_policy *policy = NULL;
    secure_torch_finding finding;
    secure_torch_value value = {SECURE_TORCH_KIND_LIST, 0, 0};
    FAILS(USAGE, secure_torch_scan_path(NULL, 0, NULL, &report, error));
    FAILS(USAGE, secure_torch_scan_path(NULL, 9, NULL, &report, error));
    FAILS(USAGE, secure_torch_scan_path(TEXT("x"), NULL, NULL, error));
    FAILS(USAGE, secure_torch_scan_bytes(TEXT("x"), NULL, 3, NULL, &report, error));
    FAILS(USAGE, secure_torch_scan_bytes(TEXT("\xff"), NULL, 0, NULL, &report, error));
    FAILS(USAGE, secure_torch_scan_bytes(TEXT("x"), (const uint8_t *)"", SIZE_MAX, NULL, &report, error));
    FAILS(USAGE, secure_torch_load_path(NULL, 1, NULL, NULL, &made, NULL, error));
    FAILS(USAGE, secure_torch_load_bytes(TEXT("x"), NULL, 1, NULL, NULL, &made, &report, error));
    FAILS(USAGE, secure_torch_load_bytes(TEXT("x"), NULL, 0, NULL, NULL, NULL, NULL, error));
    FAILS(USAGE, secure_torch_policy_set_max_threat_score(NULL, 1, error));
    FAILS(USAGE, secure_torch_policy_allow(NULL, TEXT("a.b"), error));
    FAILS(USAGE, secure_torch_policy_open(NULL, 0, &policy, error));
    FAILS(USAGE, secure_torch_report_finding(NULL, 0, &finding, error));
    FAILS(USAGE, secure_torch_value_length(NULL, value, NULL, error));
    FAILS(USAGE, secure_torch_checkpoint_prepare(NULL, false, error));
    FAILS(SECURE_TORCH_RESULT_FEATURE_MISSING,
          secure_torch_verify_path(TEXT("x"), NULL, &report, error));
    CHECK(report == NULL && made == NULL && policy == NULL);
    CHECK(secure_torch_report_threat_score(NULL) == 100 && !secure_torch_report_load_allowed(NULL));
    CHECK(secure_torch_report_verdict(NULL) == SECURE_TORCH_VERDICT_BLOCK);
    CHECK(secure_torch_report_json(NULL).length == 0 && secure_torch_report_json(NULL).data != NULL);
    CHECK(secure_torch_checkpoint_clone(NULL) == NULL && secure_torch_memory_data(NULL) == NULL);
    CHECK(secure_torch_error_result(NULL) == SECURE_TORCH_RESULT_OK);
    secure_torch_error_free(NULL);
    secure_torch_policy_free(NULL);
    secure_torch_report_free(NULL);
    secure_torch_reports_free(NULL);
    secure_torch_load_options_free(NULL);
    secure_torch_convert_options_free(NULL);
    secure_torch_conversion_free(NULL);
    secure_torch_checkpoint_free(NULL);
    secure_torch_memory_free(NULL);
}

static void files(void) {
    secure_torch_report *report = NULL;
    secure_torch_policy *policy = NULL;
    FAILS(SECURE_TORCH_RESULT_IO_NOT_FOUND,
          secure_torch_scan_path(TEXT("/no/such/file"), NULL, &report, error));
    FAILS(SECURE_TORCH_RESULT_IO_NOT_A_FILE, secure_torch_scan_path(TEXT("/"), NULL, &report, error));
    FAILS(SECURE_TORCH_RESULT_POLICY_INVALID,
          secure_torch_policy_from_toml(TEXT("max_threat_score = 'high'"), NULL, 0, &policy, error));
    policy = secure_torch_policy_new();
    FAILS(SECURE_TORCH_RESULT_POLICY_INVALID, secure_torch_policy_allow(policy, TEXT("nodots"), error));
    FAILS(SECURE_TORCH_RESULT_POLICY_INVALID,
          secure_torch_policy_set_limit(policy, TEXT("no.such"), 1, error));
    FAILS(USAGE, secure_torch_policy_set_max_threat_score(policy, 101, error));
    CHECK(secure_torch_policy_max_threat_score(policy) == 20);
    secure_torch_policy_free(policy);
}

static void hostile(void) {
    secure_torch_checkpoint *made = NULL;
    secure_torch_report *report = NULL;
    secure_torch_error *error = NULL;
    const uint8_t *bytes = (const uint8_t *)EVIL;
    CHECK(secure_torch_load_bytes(TEXT("evil"), bytes, sizeof(EVIL) - 1, NULL, NULL, &made, &report,
                                  &error) == SECURE_TORCH_RESULT_MODEL_BLOCKED);
    CHECK(made == NULL && report == NULL);
    const secure_torch_report *why = secure_torch_error_report(error);
    CHECK(secure_torch_report_verdict(why) == SECURE_TORCH_VERDICT_BLOCK);
    CHECK(is(secure_torch_error_path(error), "evil"));
    secure_torch_error_free(error);
    /* Every stump and every flipped byte of an honest file: any result, and no memory that is not ours. */
    static unsigned char file[512];
    const size_t length = safetensors(file, 0);
    for (size_t at = 0; at < length; at++) {
        for (int how = 0; how < 2; how++) {
            unsigned char *copy = malloc(length);
            CHECK(copy != NULL);
            memcpy(copy, file, length);
            if (how) copy[at] ^= 0x55;
            secure_torch_result result = secure_torch_load_bytes(
                TEXT("m"), copy, how ? length : at, NULL, NULL, &made, &report, NULL);
            free(copy);
            CHECK((result == SECURE_TORCH_RESULT_OK) == (made != NULL));
            CHECK(result != SECURE_TORCH_RESULT_INTERNAL_PANIC);
            secure_torch_checkpoint_free(made);
            secure_torch_report_free(report);
        }
    }
}

static void forged(void) {
    static unsigned char file[512];
    secure_torch_checkpoint *made = NULL;
    OK(secure_torch_load_bytes(TEXT("m"), file, safetensors(file, 0), NULL, NULL, &made, NULL, &error));
    const uint64_t payloads[] = {0, 1, 3, 255, UINT32_MAX, (uint64_t)1 << 33, UINT64_MAX};
    for (uint32_t kind = 0; kind < 64; kind++) {
        for (size_t at = 0; at < sizeof(payloads) / sizeof(*payloads); at++) {
            secure_torch_value value = {kind, kind, payloads[at]}, inner;
            secure_torch_str text;
            secure_torch_bytes bytes;
            secure_torch_entry entry;
            secure_torch_class named;
            secure_torch_array array;
            secure_torch_sparse sparse;
            size_t length;
            uint32_t tensor;
            (void)secure_torch_value_length(made, value, &length, NULL);
            (void)secure_torch_value_item(made, value, 0, &inner, NULL);
            (void)secure_torch_value_entry(made, value, 0, &entry, NULL);
            (void)secure_torch_value_text(made, value, &text, NULL);
            (void)secure_torch_value_bytes(made, value, &bytes, NULL);
            (void)secure_torch_value_class(made, value, &named, NULL);
            (void)secure_torch_value_state(made, value, &inner, NULL);
            (void)secure_torch_value_array(made, value, &array, NULL);
            (void)secure_torch_value_sparse(made, value, &sparse, NULL);
            (void)secure_torch_value_tensor(made, value, &tensor, NULL);
            secure_torch_elements elements;
            (void)secure_torch_tensor_data(made, (uint32_t)payloads[at], &elements, NULL);
            for (size_t byte = 0; byte < bytes.length; byte++) CHECK(bytes.data[byte] <= 255);
            for (size_t byte = 0; byte < text.length; byte++) CHECK(text.data[byte] != 1);
        }
    }
    secure_torch_numpy_dtype dtype;
    memset(&dtype, 255, sizeof(dtype));
    dtype.big_endian = dtype.aligned = false;
    secure_torch_field field;
    FAILS(USAGE, secure_torch_numpy_field(made, &dtype, 0, &field, error));
    secure_torch_checkpoint_free(made);
}

int main(void) {
    nulls();
    files();
    hostile();
    forged();
    puts("errors: passed");
    return 0;
}
