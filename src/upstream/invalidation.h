/* invalidation.h - the invalidation link: the upstream says which keys have changed, whoever
 * changed them, so that the near cache may be trusted.
 *
 *      auto        pushes over RESP2, else over RESP3, else (the upstream refuses both) none:
 *                  what is kept then lives at most local_ttl
 *      broadcast   the same but for the last: without pushes nothing is served from the cache
 *      ttl         no link at all
 *
 * What the owner is told, in which order, is drawn in invalidation.c. */
#ifndef LARDER_UPSTREAM_INVALIDATION_H
#define LARDER_UPSTREAM_INVALIDATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/counters.h"
#include "base/slice.h"

struct loop;
struct pool;
struct invalidation;

#define INVALIDATION_COUNTERS(X)                                                                   \
    X(mode, LEVEL,                                                                                 \
      "how keys are known to have changed: 0 not known, 1 pushes over RESP2, 2 pushes over "       \
      "RESP3, "                                                                                    \
      "3 not at all, only local_ttl")                                                              \
    X(pushes, TOTAL, "messages about keys that have changed")                                      \
    X(keys, TOTAL, "keys named in them")                                                           \
    X(flushes, TOTAL, "of these messages, those that say that any key may have changed")           \
    X(armings, TOTAL, "times the upstream has begun to push")                                      \
    X(losses, TOTAL, "times a link with pushes was lost")                                          \
    X(handovers, TOTAL, "times other prefixes came into force without a gap")                      \
    X(refusals, TOTAL, "times the upstream refused one of the ways to have pushes")                \
    X(silences, TOTAL, "times it did not answer on the link for coherence_timeout")                \
    X(proofs, TOTAL, "answers on the link that show that no push is outstanding")

struct invalidation_counters {
    INVALIDATION_COUNTERS(COUNTER_FIELD)
};

enum coherence_mode {
    COHERENCE_NONE, /* not known yet, or the link is away */
    COHERENCE_BROADCAST2,
    COHERENCE_BROADCAST3,
    COHERENCE_TTL, /* nobody says what changes */
};

/* In words: "none", "broadcast (RESP2)", .. */
const char *coherence_word(enum coherence_mode mode);

enum coherence_wish { COHERENCE_WISH_AUTO, COHERENCE_WISH_BROADCAST, COHERENCE_WISH_TTL };

struct invalidation_settings {
    enum coherence_wish wish;
    uint64_t timeout_ms; /* coherence_timeout */
};

/* Called from the loop, never from within a call of the owner's except invalidation_aim() and
 * invalidation_resettle(), which may call lost(). They must not call back, but for what is const
 * below. Slices live during the call. */
struct invalidation_ops {
    void (*keys)(void *context, struct slice key); /* one key has changed, by anybody */
    void (*flush)(void *context);                  /* everything may have changed */
    void (*armed)(void *context);                  /* pushes come from now on */
    void (*alone)(void *context);                  /* none will: COHERENCE_TTL, until lost() */
    void (*lost)(void *context);                   /* they come no more */
    /* A PING sent at asked_ms (of the loop's clock) was answered: all pushes about what changed
     * before have been handed on. */
    void (*proven)(void *context, uint64_t asked_ms);
};

/* Watches nothing before invalidation_aim(). The settings are copied, ops and context borrowed.
 * To be freed before the pool. */
MUST_USE
struct invalidation *invalidation_new(struct loop *loop, struct pool *pool,
                                      const struct invalidation_settings *settings,
                                      const struct invalidation_ops *ops, void *context);
/* Tells nothing. */
void invalidation_free(struct invalidation *inv);

/* Keys that begin with one of the prefixes are of interest ("": every key; overlaps are fine);
 * none: no link is kept. At a reload the old prefixes stay in force until the new ones are, without
 * a gap and without lost(). */
void invalidation_aim(struct invalidation *inv, const struct slice *prefixes, size_t n);
/* After a reload, before invalidation_aim(). */
void invalidation_resettle(struct invalidation *inv, const struct invalidation_settings *settings);

/* The upstream is another server now, and no link to the old one is left: what is kept without
 * pushes is told to be lost as well. NULL is fine. */
void invalidation_moved(struct invalidation *inv);

MUST_USE
enum coherence_mode invalidation_mode(const struct invalidation *inv);

/* May what is asked for now under this key be kept? When pushes about it come (after a reload with
 * more prefixes that is so only once they are in force), or none ever do (COHERENCE_TTL). To be
 * asked before the question leaves, not when the answer is here. */
MUST_USE
bool invalidation_covers(const struct invalidation *inv, struct slice key);

/* When the last PING that was answered was sent; 0: none since the link was armed. */
MUST_USE
uint64_t invalidation_proven_ms(const struct invalidation *inv);

/* Why it is not pushes over RESP2, as the upstream said it; "" when it is, or is not known. */
const char *invalidation_trouble(const struct invalidation *inv);

/* NULL: all zero. */
struct counter_set invalidation_counters(const struct invalidation *inv);

#endif
