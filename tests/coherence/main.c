/* main.c - coherence: is what two larders before one Redis answer ever too old?
 *
 *   coherence hot|spread|deadline a=PORT b=PORT direct=PORT [name=number]..
 *
 * It only speaks RESP to three ports; tests/coherence/run starts the servers and torments them. Its
 * last line says what came of it, and so does the exit code: 0 fine, 1 wrong, 2 not run. When it
 * says `peace?` it waits for a line on stdin, which comes when the servers are left alone. */
#include "hot.h"
#include "spread.h"

#include <stdio.h>
#include <string.h>

enum setting {
    A,
    B,
    DIRECT,
    SECONDS,
    SEED,
    SETTLE_MS,
    AGE_MS,
    KEYS_N,
    READERS,
    RATE,
    STALE_PPM,
    LATE_US,
    AHEAD_MS,
    GIVEN_MS,
    SETTINGS
};

static const char *const setting_name[SETTINGS] = {
    "a",    "b",       "direct", "seconds",   "seed",    "settle_ms", "age_ms",
    "keys", "readers", "rate",   "stale_ppm", "late_us", "ahead_ms",  "given_ms"};

static bool read_setting(const char *text, uint64_t value[SETTINGS])
{
    const char *is = strchr(text, '=');

    for (int i = 0; is != NULL && i < SETTINGS; i++) {
        uint64_t n = 0;

        if (strlen(setting_name[i]) != (size_t)(is - text) ||
            memcmp(setting_name[i], text, (size_t)(is - text)) != 0)
            continue;
        for (is++; *is >= '0' && *is <= '9' && n < UINT32_MAX; is++)
            n = n * 10 + (uint64_t)(*is - '0');
        value[i] = n;
        return *is == '\0';
    }
    return false;
}

static int run_hot(const uint64_t *v, const int port[VIA_COUNT])
{
    struct hot_options o = {.seconds = (int)v[SECONDS],
                            .seed = v[SEED],
                            .settle_us = v[SETTLE_MS] * 1000,
                            .given_ms = v[GIVEN_MS],
                            .age_limit_us = v[AGE_MS] * 1000};

    memcpy(o.port, port, sizeof o.port);
    return hot_run(&o);
}

static int run_spread(const uint64_t *v, const int port[VIA_COUNT])
{
    struct spread_options o = {.seconds = (int)v[SECONDS],
                               .keys = (int)v[KEYS_N],
                               .readers = (int)v[READERS],
                               .seed = v[SEED],
                               .rate = v[RATE],
                               .age_limit_us = v[AGE_MS] * 1000,
                               .stale_percent = (double)v[STALE_PPM] / 10000};

    memcpy(o.port, port, sizeof o.port);
    return spread_run(&o);
}

static int run_deadline(const uint64_t *v, const int port[VIA_COUNT])
{
    struct deadline_options o = {.keys = (int)v[KEYS_N],
                                 .readers = (int)v[READERS],
                                 .seed = v[SEED],
                                 .late_us = v[LATE_US],
                                 .ahead_ms = v[AHEAD_MS]};

    memcpy(o.port, port, sizeof o.port);
    return deadline_run(&o);
}

int main(int argc, char **argv)
{
    uint64_t v[SETTINGS] = {
        [SECONDS] = 10, [SEED] = 1,    [SETTLE_MS] = 150,  [AGE_MS] = 3500,  [KEYS_N] = 1000,
        [READERS] = 8,  [RATE] = 2000, [STALE_PPM] = 3300, [LATE_US] = 5000, [AHEAD_MS] = 4000};
    const char *mode = argc > 1 ? argv[1] : "";
    int port[VIA_COUNT];

    for (int i = 2; i < argc; i++)
        if (!read_setting(argv[i], v)) {
            fprintf(stderr, "coherence: what is %s?\n", argv[i]);
            return 2;
        }
    for (int i = 0; i < VIA_COUNT; i++)
        port[i] = (int)v[A + i];
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (port[VIA_DIRECT] == 0 || port[VIA_A] == 0 || port[VIA_B] == 0) {
        fputs("coherence: a=, b= and direct= are needed\n", stderr);
        return 2;
    }
    if (strcmp(mode, "hot") == 0)
        return run_hot(v, port);
    if (strcmp(mode, "spread") == 0)
        return run_spread(v, port);
    if (strcmp(mode, "deadline") == 0)
        return run_deadline(v, port);
    fprintf(stderr, "coherence: hot, spread or deadline, not '%s'\n", mode);
    return 2;
}
