/* replay.c - what libFuzzer's main does, without libFuzzer: hands each file named on the command
 * line to the fuzz target it is linked with. `make unit` replays seeds and crashes with it, so that
 * a crash once found stays fixed, with any compiler and under any sanitizer. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* False when the file cannot be read whole. */
static bool replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data;
    long size;
    bool ok;

    if (file == NULL)
        return false;
    ok =
        fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0 && fseek(file, 0, SEEK_SET) == 0;
    if (ok) {
        /* Exactly as large as the input: ASan then sees a read behind its end. */
        data = must_alloc((size_t)size);
        ok = fread(data, 1, (size_t)size, file) == (size_t)size;
        if (ok)
            (void)LLVMFuzzerTestOneInput(data, (size_t)size);
        free(data);
    }
    (void)fclose(file);
    return ok;
}

int main(int argc, char **argv)
{
    /* A file that makes the process crash is the last one named. */
    for (int i = 1; i < argc; i++) {
        fprintf(stderr, "%s\n", argv[i]);
        if (!replay(argv[i])) {
            fprintf(stderr, "cannot read %s\n", argv[i]);
            return 1;
        }
    }
    return 0;
}
