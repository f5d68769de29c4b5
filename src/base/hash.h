/* hash.h - SipHash-1-3 (Aumasson, Bernstein 2012) with a key from the kernel.
 *
 * Clients choose keys; who does not know the seed cannot choose keys that meet in one place of a
 * hash table. Values are the machine's own: never sent, never stored. */
#ifndef LARDER_BASE_HASH_H
#define LARDER_BASE_HASH_H

#include <stdint.h>

#include "base/check.h"
#include "base/slice.h"

struct hash_seed {
    uint64_t k0, k1;
};

/* Random from getrandom(2); ends the process when the kernel has none. */
void hash_seed_init(struct hash_seed *seed);

MUST_USE
uint64_t hash_bytes(const struct hash_seed *seed, const void *bytes, size_t n);
/* Of head and tail, one behind the other: without waiting for a copy of them to have arrived where
 * it could be read. */
MUST_USE
uint64_t hash_two(const struct hash_seed *seed, struct slice head, struct slice tail);

#endif
