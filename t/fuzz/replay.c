/* t/fuzz/replay.c: runs a fuzz target over its corpus, as a TAP test, where there is no libFuzzer
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "t/fuzz/fuzz.h"

#define FILE_MAX (1024 * 1024)

static void
replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(FILE_MAX);
    size_t length;

    if (file == NULL || bytes == NULL) {
        (void)printf("Bail out! cannot read %s\n", path);
        exit(1);
    }
    length = fread(bytes, 1, FILE_MAX, file);
    (void)fclose(file);
    bytes = realloc(bytes, length + 1); /* so that a byte too far is seen by the sanitizer */
    if (bytes != NULL)
        (void)LLVMFuzzerTestOneInput(bytes, length);
    free(bytes);
}

int
main(int count, char **arguments)
{
    const char *slash = strrchr(arguments[0], '/');
    const char *name = slash == NULL ? arguments[0] : slash + 1;
    char path[4096];
    struct dirent **entries;
    int files, tests = 0;

    (void)count;
    (void)snprintf(path, sizeof(path), TN_SOURCE_DIR "/t/fuzz/corpus/%s", name);
    files = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < files; i++) {
        if (entries[i]->d_name[0] != '.') {
            (void)snprintf(path, sizeof(path), TN_SOURCE_DIR "/t/fuzz/corpus/%s/%s", name,
                           entries[i]->d_name);
            replay(path);
            (void)printf("ok %d - %s\n", ++tests, entries[i]->d_name);
            (void)fflush(stdout);
        }
        free(entries[i]);
    }
    if (files >= 0)
        free(entries);
    (void)printf("1..%d\n", tests);
    return tests > 0 ? 0 : 1;
}
