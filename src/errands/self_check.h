/* self_check.h - larder measures its own staleness: of the hits that are served, some are asked of
 * the upstream as well, and what it says is compared.
 *
 * Whoever serves hits looks at self_check_due() and, while that is above zero, hands a hit over;
 * nobody waits for what becomes of it. The story is in self_check.c. */
#ifndef LARDER_ERRANDS_SELF_CHECK_H
#define LARDER_ERRANDS_SELF_CHECK_H

#include <stdint.h>

#include "base/counters.h"
#include "cache/cache.h"
#include "upstream/pool.h"

struct loop;
struct self_check;

#define SELF_CHECK_COUNTERS(X)                                                                     \
    X(sampled, TOTAL, "hits that were to be compared with what the upstream says")                 \
    X(agreed, TOTAL, "of these, those it says the same of")                                        \
    X(transient, TOTAL,                                                                            \
      "of these, those it did not, and that went from memory (or were right again) by the time "   \
      "their push had to have come")                                                               \
    X(disagreed, TOTAL,                                                                            \
      "of these, those it did not, and that were still served although it had proved that no "     \
      "push was outstanding: stale, and dropped")                                                  \
    X(stale_ttl, TOTAL, "of these, those it did not where only local_ttl bounds how old a hit is") \
    X(skipped, TOTAL,                                                                              \
      "of these, those not compared: no connection, an error, too large, too many at once")        \
    X(pending, LEVEL, "of these, those not decided yet")

struct self_check_counters {
    SELF_CHECK_COUNTERS(COUNTER_FIELD)
};

/* rate: hits a second; 0: none. The cache is borrowed. */
MUST_USE
struct self_check *self_check_new(struct loop *loop, struct cache *cache, uint64_t rate);
/* To be freed before the pool; what it has asked there and is not answered frees itself then. */
void self_check_free(struct self_check *s);
void self_check_resettle(struct self_check *s, uint64_t rate);

/* How many hits are wanted now: mostly none. Good as long as s. */
MUST_USE
const uint32_t *self_check_due(const struct self_check *s);

/* A hit. All of it is copied or held during the call. */
struct checked_hit {
    const struct slice *argv; /* the request; argv[1] is the only key */
    uint32_t argc;
    uint16_t command;     /* enum command_id */
    struct slice asks[2]; /* of the questions that may have found the entry */
    uint16_t scope;       /* .. of both */
    uint64_t stamp;       /* the entry's */
    struct lane *lane;    /* of the user that asked */
    int proto, db;
    struct slice served; /* in that protocol */
    struct block *block; /* where `served` is, or NULL */
};
/* Only while *self_check_due() > 0. Changes nothing on the shelf. */
void self_check_sample(struct self_check *s, const struct checked_hit *hit);

/* ---- what the invalidation link says: after the cache has been told ---- */
void self_check_proven(struct self_check *s, uint64_t asked_ms);
void self_check_lost(struct self_check *s);

MUST_USE
struct counter_set self_check_counters(const struct self_check *s);

#endif
