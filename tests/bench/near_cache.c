/* near_cache.c - what the shelf costs: memory, as the kernel sees it against what the shelf reports,
 * and the time of a look-up.
 *
 *   near_cache memory | speed
 *
 * Each measure runs in a process of its own. The entries of `memory` are as larder keeps them: the
 * reply's `$100\r\n..\r\n` is part of what an entry costs beyond key and value. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cache/shares.h"

#define NEVER (UINT64_C(1) << 41)

struct shape {
    const char *name;
    uint64_t count, max_mb;
    unsigned key, value; /* bytes */
    uint64_t rounds;     /* how often all of it is put */
    uint32_t owners;     /* keys have so many, with shares of equal size; 0: none */
};

static const struct shape shapes[] = {
    {"1M of 20 + 100 bytes", 1000000, 1024, 20, 100, 1, 0},
    {"1M of 20 + 100, 200 MB, full", 4000000, 200, 20, 100, 1, 0},
    {"1M of 20 + 100, 100 owners", 1000000, 1024, 20, 100, 1, 100},
    {"1M of 20 + 100, 10000 owners", 1000000, 1024, 20, 100, 1, 10000},
    {"4M .. 100 owners, shares full", 4000000, 1024, 20, 100, 1, 100},
    {"10M of 9 + 1", 10000000, 4096, 9, 1, 1, 0},
    {"100 of 8 MB", 100, 4096, 20, 8u << 20, 1, 0},
    {"100 of 8 MB, 256 MB, full", 100, 256, 20, 8u << 20, 5, 0},
    {"8K of 20 KB, 64 MB, full", 8000, 64, 20, 20000, 3, 0},
    {"64K of 3 KB, 64 MB, full", 64000, 64, 20, 3000, 2, 0},
};

static size_t rss(void)
{
    unsigned long total = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    if (f == NULL || fscanf(f, "%lu %lu", &total, &resident) != 2)
        abort();
    fclose(f);
    return resident * 4096;
}

static uint64_t ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t dice(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static struct slice key_of(char *into, unsigned n, uint64_t number)
{
    for (unsigned i = n; i-- > 0; number /= 10)
        into[i] = (char)('0' + number % 10);
    return slice_of(into, n);
}

/* `$n CR LF bytes CR LF` of n bytes of value. */
static struct slice reply_of(char *into, unsigned n)
{
    int head = sprintf(into, "$%u\r\n", n);

    memset(into + head, 'x', n);
    memcpy(into + (size_t)head + n, "\r\n", 2);
    return slice_of(into, (size_t)head + n + 2);
}

/* By the last digits of the key. */
static uint32_t owner_of(void *context, struct slice key)
{
    const struct shape *shape = context;
    uint32_t n = 0;

    for (size_t i = key.n - 5; i < key.n; i++)
        n = n * 10 + (uint32_t)(key.p[i] - '0');
    return n % shape->owners + 1;
}

/* Shares take 256 MB together. */
static void share_out(struct shelf *s, struct shape *shape)
{
    shelf_owners(s, owner_of, shape);
    for (uint32_t i = 1; i <= shape->owners; i++)
        shelf_share(s, i, ((uint64_t)256 << 20) / shape->owners);
}

static uint64_t fill(struct shelf *s, const struct shape *shape)
{
    char *reply = malloc(shape->value + 32u), key[64];
    struct entry e = {.bytes = reply_of(reply, shape->value),
                      .deadline_ms = NEVER,
                      .expiry_ms = EXPIRY_NEVER};
    uint64_t refused = 0;

    for (uint64_t i = 0; i < shape->count * shape->rounds; i++) {
        struct question q = {.key = key_of(key, shape->key, i)};

        refused += !shelf_put(s, &q, &e);
    }
    free(reply);
    return refused;
}

static void memory(const struct shape *of)
{
    struct shape copy = *of, *shape = &copy;
    size_t before = rss(), grown;
    struct shelf *s = shelf_new((size_t)shape->max_mb << 20);
    uint64_t began, refused, took;
    struct shelf_usage u;

    if (shape->owners > 0)
        share_out(s, shape);
    began = ns();
    refused = fill(s, shape);
    took = ns() - began;
    u = shelf_usage_total(s);
    grown = rss() - before;
    printf("%-30s %9lu %9.1f %9.1f %7.1f%% %9.1f %8.0f %7lu\n", shape->name, (unsigned long)u.entries,
           (double)u.bytes / 1048576, (double)grown / 1048576,
           100 * ((double)grown / (double)u.bytes - 1),
           (double)grown / (double)u.entries - shape->key - shape->value,
           (double)took / (double)(shape->count * shape->rounds), (unsigned long)refused);
    shelf_free(s);
}

static void one_speed(uint64_t count, const char *name)
{
    struct shelf *s = shelf_new((size_t)2048 << 20);
    struct shape shape = {.count = count, .key = 20, .value = 100, .rounds = 1};
    uint64_t began, random = 1, hits = 0, finds = 4000000;
    char key[64];
    double hit, miss;

    (void)fill(s, &shape);
    for (int round = 0; round < 2; round++) {
        began = ns();
        for (uint64_t i = 0; i < finds; i++) {
            struct question q = {.key = key_of(key, 20, dice(&random) % count)};
            struct entry e;

            if (shelf_find(s, &q, &e))
                hits += (uint64_t)(e.bytes.p[e.bytes.n - 3] == 'x');
        }
    }
    hit = (double)(ns() - began) / (double)finds;
    began = ns();
    for (uint64_t i = 0; i < finds; i++) {
        struct question q = {.key = key_of(key, 20, count + dice(&random) % count)};
        struct entry e;

        hits += shelf_find(s, &q, &e);
    }
    miss = (double)(ns() - began) / (double)finds;
    began = ns();
    for (uint64_t i = 0; i < finds; i++)
        hits += (uint64_t)key_of(key, 20, dice(&random) % count).p[19];
    began = ns() - began;
    printf("%-30s %9.1f %9.1f   (of it the loop: %.1f; %lu)\n", name, hit, miss,
           (double)began / (double)finds, (unsigned long)hits % 10);
    shelf_free(s);
}

static void apart(void (*run)(const struct shape *), const struct shape *shape)
{
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        run(shape);
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
    bool all = argc < 2;

    if (all || strcmp(argv[1], "memory") == 0) {
        printf("%-30s %9s %9s %9s %8s %9s %8s %7s\n", "memory", "entries", "says MB", "RSS MB", "off",
               "B/entry+", "ns/put", "refused");
        for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)
            apart(memory, &shapes[i]);
    }
    if (all || strcmp(argv[1], "speed") == 0) {
        printf("%-30s %9s %9s\n", "ns per look-up", "hit", "miss");
        one_speed(1000, "1,000 entries");
        one_speed(100000, "100,000 entries");
        one_speed(5000000, "5,000,000 entries");
    }
    return 0;
}
