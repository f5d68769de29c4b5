/* ghost.c - fingerprints of the evicted, see ghost.h. */
#include "cache/ghost.h"

#include <string.h>

#define PRINTS 32

/* Half a page of fingerprints: with fewer the buckets are filled too unevenly. */
#define GHOSTS_MIN 32u

struct ghost_bucket {
    uint16_t prints[PRINTS];
};
_Static_assert(sizeof(struct ghost_bucket) == 64, "a cache line");

static size_t ghost_size(uint64_t buckets)
{
    return (size_t)buckets * sizeof(struct ghost_bucket);
}

static uint64_t most_ghosts(uint64_t most)
{
    return most / PRINTS + GHOSTS_MIN;
}

bool ghost_init(struct ghost *g, uint64_t most)
{
    *g = (struct ghost){0};
    return region_init(&g->memory, ghost_size(most_ghosts(most)));
}

void ghost_done(struct ghost *g)
{
    region_done(&g->memory);
}

bool ghost_reserve(struct ghost *g, uint64_t most)
{
    return region_grow(&g->memory, ghost_size(most_ghosts(most)));
}

static struct ghost_bucket *ghost_bucket(const struct ghost *g, uint32_t i)
{
    return (struct ghost_bucket *)(void *)g->memory.base + i;
}

static struct ghost_bucket *ghost_home(const struct ghost *g, uint64_t hash)
{
    uint32_t i = (uint32_t)hash & (2 * g->half - 1);

    return ghost_bucket(g, i < g->n ? i : i & (g->half - 1));
}

/* 0 is a free slot. The bits are none of those that table.c takes as a tag. */
static uint16_t print_of(uint64_t hash)
{
    uint16_t print = (uint16_t)(hash >> 32);

    return print ? print : 1;
}

static void ghost_begin(struct ghost *g, uint64_t buckets)
{
    g->n = g->half = GHOSTS_MIN;
    while (2 * (uint64_t)g->half <= buckets &&
           ghost_size(2 * (uint64_t)g->half) <= g->memory.reserved)
        g->half *= 2;
    g->n = g->half;
    region_use(&g->memory, ghost_size(g->n));
}

static void ghost_fit(struct ghost *g, uint64_t want)
{
    uint64_t buckets = (want + PRINTS - 1) / PRINTS;

    if (g->n == 0) {
        ghost_begin(g, buckets);
    } else if (g->n < buckets && ghost_size((uint64_t)g->n + 1) <= g->memory.reserved) {
        region_use(&g->memory, ghost_size((uint64_t)g->n + 1));
        *ghost_bucket(g, g->n) = *ghost_bucket(g, g->n - g->half);
        if (++g->n == 2 * g->half)
            g->half = g->n;
    } else if (g->n > 2 * buckets && g->n > GHOSTS_MIN) {
        if (--g->n < g->half)
            g->half /= 2;
        if (g->n % (16 * GHOSTS_MIN) == 0)
            region_cut(&g->memory, ghost_size(g->n));
    }
}

void ghost_add(struct ghost *g, uint64_t hash, uint64_t want)
{
    struct ghost_bucket *b;

    ghost_fit(g, want);
    b = ghost_home(g, hash);
    memmove(b->prints + 1, b->prints, sizeof(b->prints) - sizeof(b->prints[0]));
    b->prints[0] = print_of(hash);
}

bool ghost_has(const struct ghost *g, uint64_t hash)
{
    const struct ghost_bucket *b;
    uint16_t print = print_of(hash);
    unsigned found = 0;

    if (g->n == 0)
        return false;
    b = ghost_home(g, hash);
    for (unsigned i = 0; i < PRINTS; i++)
        found |= b->prints[i] == print;
    return found != 0;
}
