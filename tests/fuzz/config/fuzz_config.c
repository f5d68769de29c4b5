/* fuzz_config.c - any bytes as a configuration file. What is refused says so in clean lines; what
 * loads can be dumped, and the dump loads to the same dump. */
#include <stdint.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/check.h"
#include "config/load.h"
#include "config/settings.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Something for ${..} to find. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    CHECK(setenv("A", "1", 1) == 0);
    CHECK(setenv("E", "", 1) == 0);
    CHECK(setenv("T", "${A} $$\n[x] ;", 1) == 0);
    CHECK(unsetenv("U") == 0);
    return 0;
}

static void check_errors(const struct buffer *errors)
{
    struct slice s = buffer_slice(errors);

    CHECK(s.n > 0 && s.p[s.n - 1] == '\n');
    CHECK(slice_starts(s, SLICE("f.ini:")));
    for (size_t i = 0; i < s.n; i++)
        CHECK(s.p[i] == '\n' || (s.p[i] >= ' ' && s.p[i] <= '~'));
}

static void check_dump(const struct settings *s)
{
    struct buffer dump = {0}, again = {0}, errors = {0}, changes = {0};
    struct settings *loaded;

    CHECK(s->listener_count > 0);
    settings_diff_restart(s, s, &changes);
    CHECK(buffer_len(&changes) == 0);
    settings_dump(s, &dump);
    loaded = settings_load_text("dump.ini", buffer_slice(&dump), &errors);
    CHECK(loaded && buffer_len(&errors) == 0);
    settings_dump(loaded, &again);
    CHECK(slice_eq(buffer_slice(&dump), buffer_slice(&again)));
    settings_free(loaded);
    buffer_done(&dump);
    buffer_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer errors = {0};
    struct settings *s = settings_load_text("f.ini", slice_of((const char *)data, size), &errors);

    CHECK((s == NULL) == (buffer_len(&errors) > 0));
    if (s)
        check_dump(s);
    else
        check_errors(&errors);
    settings_free(s);
    buffer_done(&errors);
    return 0;
}
