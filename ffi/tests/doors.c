/* Judges every input of a list and prints its report.

   doors bytes|path FOLDER: the working directory becomes FOLDER; `list.tsv` in it has a line for each
   input: an id, the name that the input is given under, its relative path. With `bytes` the program reads
   the input and gives its bytes under the name, with `path` it gives the relative path. Prints a line for
   each: the id, a tab, the report as JSON. */
#define _POSIX_C_SOURCE 200809L
#include <unistd.h>

#include "test.h"

static unsigned char *contents(const char *path, size_t *length) {
    FILE *in = fopen(path, "rb");
    CHECK(in != NULL && fseek(in, 0, SEEK_END) == 0);
    const long end = ftell(in);
    CHECK(end >= 0 && fseek(in, 0, SEEK_SET) == 0);
    unsigned char *bytes = malloc((size_t)end + 1);
    CHECK(bytes != NULL);
    *length = fread(bytes, 1, (size_t)end, in);
    CHECK(*length == (size_t)end && fclose(in) == 0);
    return bytes;
}

static char *field(char **rest) {
    char *start = *rest;
    if (start == NULL) return NULL;
    char *tab = strchr(start, '\t');
    if (tab != NULL) *tab = '\0';
    *rest = tab == NULL ? NULL : tab + 1;
    return start;
}

int main(int count, char **arguments) {
    CHECK(count == 3 && chdir(arguments[2]) == 0);
    const int by_path = strcmp(arguments[1], "path") == 0;
    CHECK(by_path || strcmp(arguments[1], "bytes") == 0);
    FILE *list = fopen("list.tsv", "r");
    CHECK(list != NULL);
    char *line = NULL;
    size_t room = 0;
    ssize_t got;
    while ((got = getline(&line, &room, list)) >= 0) {
        if (got > 0 && line[got - 1] == '\n') line[got - 1] = '\0';
        if (line[0] == '\0') continue;
        char *rest = line;
        const char *id = field(&rest), *name = field(&rest), *path = field(&rest);
        CHECK(name != NULL && path != NULL);
        secure_torch_report *report = NULL;
        if (by_path) {
            OK(secure_torch_scan_path(path, strlen(path), NULL, &report, &error));
        } else {
            size_t length = 0;
            unsigned char *bytes = contents(path, &length);
            OK(secure_torch_scan_bytes(name, strlen(name), bytes, length, NULL, &report, &error));
            free(bytes);
        }
        const secure_torch_str json = secure_torch_report_json(report);
        printf("%s\t%.*s\n", id, (int)json.length, json.data);
        secure_torch_report_free(report);
    }
    free(line);
    fclose(list);
    return 0;
}
