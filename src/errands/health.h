/* health.h - is the upstream well? Asked by a round trip: a key is set, read and deleted, and the
 * server says what its role is.
 *
 * What came of the last one holds for a moment, so that many may ask often; and who has to wait
 * does so for HEALTH_DEADLINE_MS at most. */
#ifndef LARDER_ERRANDS_HEALTH_H
#define LARDER_ERRANDS_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"

struct health;
struct loop;
struct pool;

/* By then the round trip has come to nothing. */
#define HEALTH_DEADLINE_MS 2000u
/* So long what is known is not asked again. */
#define HEALTH_HOLDS_MS 1000u

#define UPSTREAM_STATES(X)                                                                         \
    X(UPSTREAM_UNKNOWN, "unknown") /* never asked */                                               \
    X(UPSTREAM_WELL, "ok")         /* the key was set and read */                                  \
    X(UPSTREAM_REFUSES, "refuses") /* it answers, but not as it should */                          \
    X(UPSTREAM_AWAY, "away")       /* it does not answer */

#define UPSTREAM_STATE_NAME(name, word) name,
enum upstream_state { UPSTREAM_STATES(UPSTREAM_STATE_NAME) UPSTREAM_STATE_COUNT };

const char *upstream_state_word(enum upstream_state state);

struct health_view {
    enum upstream_state state;
    uint64_t took_us; /* of the last round trip that was well; 0: none was */
    uint64_t age_ms;  /* since this is known */
    const char *role; /* as the server calls it; "" when it would not say */
    const char *why;  /* it is not well; "" when it is */
};

/* Loop and pool are borrowed. To be freed before the pool. */
MUST_USE
struct health *health_new(struct loop *loop, struct pool *pool);
void health_free(struct health *h);

/* True: what is known is young enough. False: `known` will be called, from the loop, never from
 * within a call of this room's; it is one for all who ask. */
MUST_USE
bool health_ask(struct health *h, void (*known)(void *context), void *context);
MUST_USE
struct health_view health_look(const struct health *h);

#endif
