/* Eight threads share a policy, a report and a checkpoint, and judge and load beside that.

   What the header forbids, ThreadSanitizer has to tell: with `write` they write to one tensor at once, with
   `set` they set the policy that others use, which happens inside the library. */
#include <pthread.h>

#include "test.h"

#define THREADS 8
#define ROUNDS 12

static unsigned char file[MAPPED + 512];
static size_t length;
static const char *path;
static secure_torch_policy *policy;
static secure_torch_report *report;
static secure_torch_checkpoint *shared;
static int writing, setting;

static void *work(void *given) {
    const size_t mine = *(size_t *)given;
    for (int round = 0; round < ROUNDS; round++) {
        secure_torch_report *other = NULL;
        OK(secure_torch_scan_path(path, strlen(path), policy, &other, &error));
        CHECK(secure_torch_report_load_allowed(other));
        secure_torch_report_free(other);
        OK(secure_torch_scan_bytes(TEXT("evil"), (const uint8_t *)EVIL, sizeof(EVIL) - 1, policy, &other,
                                   &error));
        CHECK(!secure_torch_report_load_allowed(other));
        secure_torch_report_free(other);
        CHECK(secure_torch_report_json(report).data == secure_torch_report_json(report).data);
        CHECK(secure_torch_report_sarif(report).length > 0);
        secure_torch_checkpoint *made = secure_torch_checkpoint_clone(shared), *own = NULL;
        OK(secure_torch_load_bytes(TEXT("m"), file, length, policy, NULL, &own, NULL, &error));
        secure_torch_named_tensor named;
        OK(secure_torch_checkpoint_tensor(made, mine % 2, &named, &error));
        secure_torch_elements elements, again;
        OK(secure_torch_tensor_data(made, named.tensor, &elements, &error));
        OK(secure_torch_tensor_data(shared, named.tensor, &again, &error));
        CHECK(elements.data == again.data);
        if (writing) ((unsigned char *)elements.data)[0] = (unsigned char)mine;
        if (setting) OK(secure_torch_policy_set_max_threat_score(policy, 20, &error));
        OK(secure_torch_checkpoint_prepare(made, true, &error));
        secure_torch_checkpoint_free(made);
        secure_torch_checkpoint_free(own);
        if (secure_torch_scan_path(TEXT("/no/such/file"), policy, &other, NULL) !=
            SECURE_TORCH_RESULT_IO_NOT_FOUND) {
            return given;
        }
    }
    return NULL;
}

int main(int count, char **arguments) {
    CHECK(count >= 2);
    path = arguments[1];
    writing = count > 2 && strcmp(arguments[2], "write") == 0;
    setting = count > 2 && strcmp(arguments[2], "set") == 0;
    length = safetensors(file, MAPPED);
    FILE *out = fopen(path, "wb");
    CHECK(out && fwrite(file, 1, length, out) == length && fclose(out) == 0);
    policy = secure_torch_policy_new();
    OK(secure_torch_load_path(path, strlen(path), policy, NULL, &shared, &report, &error));
    pthread_t threads[THREADS];
    size_t numbers[THREADS];
    for (size_t at = 0; at < THREADS; at++) {
        numbers[at] = at;
        CHECK(pthread_create(&threads[at], NULL, work, &numbers[at]) == 0);
    }
    for (size_t at = 0; at < THREADS; at++) {
        void *failed = NULL;
        CHECK(pthread_join(threads[at], &failed) == 0 && failed == NULL);
    }
    secure_torch_checkpoint_free(shared);
    secure_torch_report_free(report);
    secure_torch_policy_free(policy);
    remove(path);
    puts("threads: passed");
    return 0;
}
