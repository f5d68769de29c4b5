/* hit_ratio.c - what share of requests the shelf answers, beside an LRU of the same bytes.
 *
 *   hit_ratio [REQUESTS]
 *
 * The shelf is the real one. The LRU is ideal: it is charged what a record and its place in the
 * table take in the shelf, but nothing for list pointers, half empty segments or ghosts. Both see
 * the same requests: look a key up, put it if it is not there. The generator is seeded. Exit status
 * 1 when the shelf is worse by more than one percentage point anywhere, or not better under scans.
 *
 * The length of a loop is told in shares of what the shelf holds when it is full, which is printed:
 * a loop that only fits where bookkeeping takes no room would measure that, and not who is evicted.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/record.h"

#define OBJECTS    200000u
#define NONE       UINT32_MAX
#define TABLE_SIZE 10u /* bytes a reference takes, see table.h */

static uint64_t dice(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static double chance(uint64_t *state)
{
    return (double)(dice(state) >> 11) / 9007199254740992.0;
}

/* ------------------------------------------------------------------- requests */

/* Zipf by Vose's alias method: two throws a draw. */
struct zipf {
    double *keep;
    uint32_t *other;
};

static struct zipf zipf_new(double skew)
{
    struct zipf z = {calloc(OBJECTS, sizeof(double)), calloc(OBJECTS, sizeof(uint32_t))};
    uint32_t *small = calloc(OBJECTS, sizeof(uint32_t)), *large = calloc(OBJECTS, sizeof(uint32_t));
    uint32_t small_n = 0, large_n = 0;
    double sum = 0;

    for (uint32_t i = 0; i < OBJECTS; i++)
        sum += z.keep[i] = pow(i + 1, -skew);
    for (uint32_t i = 0; i < OBJECTS; i++) {
        z.keep[i] *= OBJECTS / sum;
        z.other[i] = i;
        if (z.keep[i] < 1)
            small[small_n++] = i;
        else
            large[large_n++] = i;
    }
    while (small_n > 0 && large_n > 0) {
        uint32_t s = small[--small_n], l = large[large_n - 1];

        z.other[s] = l;
        z.keep[l] -= 1 - z.keep[s];
        if (z.keep[l] < 1) {
            large_n--;
            small[small_n++] = l;
        }
    }
    free(small);
    free(large);
    return z;
}

struct traffic {
    const char *name;
    double skew;      /* of the Zipf part; 0: none */
    double scanned;   /* share of requests that belong to scans over keys never seen again */
    double loop;      /* or: the length of a loop, in shares of what the shelf holds */
    bool must_better; /* the shelf has to be better than LRU here, not only as good */
};

static const struct traffic traffics[] = {
    {"zipf 0.8", 0.8, 0, 0, false},
    {"zipf 0.9", 0.9, 0, 0, false},
    {"zipf 1.0", 1.0, 0, 0, false},
    {"zipf 1.1", 1.1, 0, 0, false},
    {"zipf 0.8, 20 % scans", 0.8, 0.2, 0, true},
    {"zipf 0.9, 20 % scans", 0.9, 0.2, 0, true},
    {"zipf 1.0, 20 % scans", 1.0, 0.2, 0, true},
    {"zipf 1.1, 20 % scans", 1.1, 0.2, 0, true},
    {"zipf 1.0, 50 % scans", 1.0, 0.5, 0, true},
    {"loop, 0.8 of the cache", 0, 0, 0.8, false},
    {"loop, 0.95 of the cache", 0, 0, 0.95, false},
    {"loop, 1.2 of the cache", 0, 0, 1.2, false},
    {"loop, 2 of the cache", 0, 0, 2, false},
    {"zipf 1.0 and loop of 2", 1.0, 0, 2, false},
};

struct generator {
    const struct traffic *t;
    struct zipf zipf;
    uint64_t random, scanned, looped;
    uint32_t loop; /* keys */
    uint32_t scan_left;
};

/* Objects have numbers below OBJECTS, those of a loop above, those of scans above these. */
static uint64_t next_key(struct generator *g)
{
    if (g->scan_left > 0) {
        g->scan_left--;
        return (UINT64_C(1) << 32) + g->scanned++;
    }
    if (g->t->scanned > 0) {
        /* In runs of a thousand, as somebody's report does. */
        if (chance(&g->random) < g->t->scanned / (1 - g->t->scanned) / 1000)
            g->scan_left = 1000;
    }
    if (g->loop > 0 && (g->t->skew == 0 || dice(&g->random) % 2))
        return (UINT64_C(1) << 31) + g->looped++ % g->loop;
    else {
        uint32_t i = (uint32_t)(dice(&g->random) % OBJECTS);

        return chance(&g->random) < g->zipf.keep[i] ? i : g->zipf.other[i];
    }
}

/* 20 bytes of key, 20 to 400 of value: the same ones for the same key. */
static size_t value_bytes(uint64_t key)
{
    uint64_t state = key;

    return 20 + dice(&state) % 381;
}

/* ------------------------------------------------------------------------ LRU */

struct node {
    uint64_t key;
    uint32_t prev, next, chain;
};

struct lru {
    struct node *nodes;
    uint32_t *heads;
    uint32_t mask, used, free, newest, oldest;
    size_t bytes, max;
};

static size_t charge(uint64_t key)
{
    return align_record(RECORD_HEADER + 20 + value_bytes(key)) + TABLE_SIZE;
}

static struct lru lru_new(size_t max)
{
    struct lru l = {.max = max, .newest = NONE, .oldest = NONE, .free = NONE, .mask = (1u << 20) - 1};

    l.nodes = calloc(max / 60 + 1, sizeof(*l.nodes));
    l.heads = malloc((l.mask + 1) * sizeof(uint32_t));
    memset(l.heads, 0xff, (l.mask + 1) * sizeof(uint32_t));
    return l;
}

static uint32_t *lru_head(struct lru *l, uint64_t key)
{
    uint64_t state = key;

    return &l->heads[dice(&state) & l->mask];
}

static void lru_leave(struct lru *l, uint32_t i)
{
    struct node *n = &l->nodes[i];

    *(n->prev == NONE ? &l->newest : &l->nodes[n->prev].next) = n->next;
    *(n->next == NONE ? &l->oldest : &l->nodes[n->next].prev) = n->prev;
}

static void lru_enter(struct lru *l, uint32_t i)
{
    l->nodes[i].prev = NONE;
    l->nodes[i].next = l->newest;
    *(l->newest == NONE ? &l->oldest : &l->nodes[l->newest].prev) = i;
    l->newest = i;
}

static void lru_evict(struct lru *l)
{
    uint32_t i = l->oldest, *at = lru_head(l, l->nodes[i].key);

    while (*at != i)
        at = &l->nodes[*at].chain;
    *at = l->nodes[i].chain;
    lru_leave(l, i);
    l->bytes -= charge(l->nodes[i].key);
    l->nodes[i].chain = l->free;
    l->free = i;
}

static bool lru_request(struct lru *l, uint64_t key)
{
    uint32_t *head = lru_head(l, key), i;

    for (i = *head; i != NONE; i = l->nodes[i].chain) {
        if (l->nodes[i].key != key)
            continue;
        lru_leave(l, i);
        lru_enter(l, i);
        return true;
    }
    l->bytes += charge(key);
    while (l->bytes > l->max)
        lru_evict(l);
    i = l->free;
    if (i == NONE)
        i = l->used++;
    else
        l->free = l->nodes[i].chain;
    l->nodes[i].key = key;
    l->nodes[i].chain = *head;
    *head = i;
    lru_enter(l, i);
    return false;
}

static void lru_done(struct lru *l)
{
    free(l->nodes);
    free(l->heads);
}

/* ------------------------------------------------------------------- side by side */

static bool shelf_request(struct shelf *s, uint64_t key)
{
    static const char bytes[512];
    struct entry e;
    char name[20];
    struct question q = {.key = slice_of(name, sizeof(name))};

    memset(name, 'k', sizeof(name));
    memcpy(name, &key, sizeof(key));
    if (shelf_find(s, &q, &e))
        return true;
    e = (struct entry){.bytes = slice_of(bytes, value_bytes(key)),
                       .deadline_ms = UINT64_C(1) << 41,
                       .expiry_ms = EXPIRY_NEVER};
    shelf_put(s, &q, &e);
    return false;
}

static size_t footprint(void)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < OBJECTS; i++)
        bytes += charge(i);
    return bytes;
}

/* Bytes, as the LRU is charged for them, that the shelf keeps before it throws anything away. */
static size_t holds(size_t max)
{
    struct shelf *s = shelf_new(max);
    size_t bytes = 0;

    for (uint64_t key = 0; shelf_usage_total(s).evictions == 0; key++) {
        (void)shelf_request(s, key);
        bytes += charge(key);
    }
    shelf_free(s);
    return bytes;
}

/* Hits are counted from a fifth of the requests on, when both are full. True: good enough. */
static bool compare(const struct traffic *t, struct zipf zipf, size_t max, uint64_t requests)
{
    struct generator g = {.t = t, .zipf = zipf, .random = 7};
    struct shelf *s = shelf_new(max);
    struct lru lru = lru_new(max);
    uint64_t ours = 0, theirs = 0, counted = 0;
    double a, b;
    bool good;

    g.loop = (uint32_t)(t->loop * (double)holds(max) / ((double)footprint() / OBJECTS));
    for (uint64_t i = 0; i < requests; i++) {
        uint64_t key = next_key(&g);
        bool ours_hit = shelf_request(s, key), theirs_hit = lru_request(&lru, key);

        if (i < requests / 5)
            continue;
        counted++;
        ours += ours_hit;
        theirs += theirs_hit;
    }
    a = 100 * (double)ours / (double)counted;
    b = 100 * (double)theirs / (double)counted;
    good = a >= b - 1 && (!t->must_better || a > b);
    printf("%9.2f %9.2f %+8.2f%c", a, b, a - b, good ? ' ' : '!');
    fflush(stdout);
    lru_done(&lru);
    shelf_free(s);
    return good;
}

int main(int argc, char **argv)
{
    static const double shares[] = {0.01, 0.03, 0.1, 0.3};
    int64_t requests = 1000000;
    bool good = true;
    size_t all = footprint();

    if (argc > 1 && !slice_int(slice_str(argv[1]), &requests))
        return 2;
    printf("%u keys, %.1f MB, %ld requests; hits in %%, S3-FIFO (the shelf) and LRU\n%-24s", OBJECTS,
           (double)all / 1048576, (long)requests, "");
    for (size_t i = 0; i < ARRAY_LEN(shares); i++)
        printf("   cache of %4.1f %% (%4.1f MB)", 100 * shares[i], shares[i] * (double)all / 1048576);
    printf("\n%-24s", "");
    for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
        double max = shares[i] * (double)all;

        printf("   the shelf holds %5.1f %%  ", 100 * (double)holds((size_t)max) / max);
    }
    printf("\n%-24s", "");
    for (size_t i = 0; i < ARRAY_LEN(shares); i++)
        printf("%9s %9s %8s ", "S3-FIFO", "LRU", "");
    for (size_t i = 0; i < ARRAY_LEN(traffics); i++) {
        struct zipf zipf = zipf_new(traffics[i].skew);

        printf("\n%-24s", traffics[i].name);
        for (size_t k = 0; k < ARRAY_LEN(shares); k++)
            good &= compare(&traffics[i], zipf, (size_t)(shares[k] * (double)all),
                            (uint64_t)requests);
        free(zipf.keep);
        free(zipf.other);
    }
    printf("\n%s\n", good ? "nowhere worse by a point, better under scans" : "! not good enough");
    return !good;
}
