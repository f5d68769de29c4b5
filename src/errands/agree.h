/* agree.h - do two replies to the same request say the same?
 *
 * Redis keeps sets and hashes in no order: it moves their elements when it rehashes, which it does
 * by itself and between any two reads, and that is no change of the key. So replies that list them
 * are compared as bags; all others byte for byte. */
#ifndef LARDER_ERRANDS_AGREE_H
#define LARDER_ERRANDS_AGREE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/slice.h"

enum reply_order {
    ORDER_FIXED, /* the order says something: byte for byte */
    ORDER_FREE,  /* a bag of elements: SMEMBERS, HKEYS .. */
    ORDER_PAIRS, /* a bag of pairs: HGETALL */
};

/* What the replies to a command (enum command_id) are. */
MUST_USE
enum reply_order reply_order_of(uint16_t command);

/* Both whole and well formed, in the same protocol. Bags are compared by a sum of hashes: in the
 * time it takes to read them, without memory; who does not know the seed cannot make two differing
 * ones look alike. */
MUST_USE
bool replies_agree(enum reply_order order, const struct hash_seed *seed, struct slice a,
                   struct slice b);

#endif
