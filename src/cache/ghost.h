/* ghost.h - whom eviction threw out of the small queue lately: fingerprints of 16 bits, no data.
 *
 * Who is asked for again while it is remembered goes straight to the main queue. Each bucket is a
 * cache line of 32 fingerprints, newest first: a new one pushes the oldest of its bucket out, so
 * that about the last `want` are remembered, 2 bytes each. It grows and shrinks with `want` by a
 * bucket per ghost_add(), like table.c; a bucket that is split is copied, so both halves hold all:
 * what does not belong is pushed out in time, and a wrong answer only costs a place in a queue. */
#ifndef LARDER_CACHE_GHOST_H
#define LARDER_CACHE_GHOST_H

#include <stdint.h>

#include "cache/region.h"

/* Of memory for one that is remembered. */
#define GHOST_BYTES sizeof(uint16_t)

struct ghost {
    struct region memory;
    uint32_t n, half; /* buckets, as in table.h; 0: nobody was ever thrown out */
};

/* Room for `most` fingerprints. False: no addresses. */
MUST_USE
bool ghost_init(struct ghost *g, uint64_t most);
void ghost_done(struct ghost *g);
MUST_USE
bool ghost_reserve(struct ghost *g, uint64_t most);

/* Remembers one among the last `want`. */
void ghost_add(struct ghost *g, uint64_t hash, uint64_t want);
MUST_USE
bool ghost_has(const struct ghost *g, uint64_t hash);

#endif
