/* breaker.h - is the upstream away? One breaker for the endpoint, whatever user or protocol.
 *
 * For the files of this room; everybody else asks pool_is_out() (pool.h). The states are drawn in
 * breaker.c. */
#ifndef LARDER_UPSTREAM_BREAKER_H
#define LARDER_UPSTREAM_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "base/slice.h"
#include "upstream/asker.h"

struct link;
struct pool;
struct timer;

#define BREAKER_STATES(X)                                                                          \
    X(BREAKER_CLOSED, "closed")                                                                    \
    X(BREAKER_HALF_OPEN, "half-open")                                                              \
    X(BREAKER_OPEN, "open")

#define BREAKER_STATE_NAME(name, word) name,
enum breaker_state { BREAKER_STATES(BREAKER_STATE_NAME) BREAKER_STATE_COUNT };

struct breaker {
    enum breaker_state state;
    uint32_t failures;   /* in a row, while closed */
    uint32_t row;        /* times it has opened since it was closed */
    uint64_t failed_ms;  /* of the last failure that was counted */
    uint64_t out_ms;     /* since when it is not closed */
    uint64_t next_ms;    /* while open: when the upstream is probed */
    struct timer *timer; /* .. */
    char why[160];       /* the failure that opened it last */
};

void breaker_init(struct pool *pool);
void breaker_done(struct pool *pool);

/* n more failures; nothing unless it is closed. `why` is copied. */
void breaker_failed(struct pool *pool, uint32_t n, const char *why);
/* The link has ended. Before it forgets what it was. */
void breaker_link_ended(struct link *l, enum link_failure why);
/* Replies, not to larder's own words on a link; this is the first of them. */
void breaker_heard(struct pool *pool, struct slice reply);
/* Some sign that the upstream is back: if it is open, the probe comes soon. */
void breaker_hint(struct pool *pool);
/* The upstream is another server now, of which nothing bad is known. */
void breaker_forget(struct pool *pool);

/* A link has been logged in. True: it is the probe, and is not free yet. */
MUST_USE
bool breaker_takes(struct link *l);
/* .. and the reply to its PING. True: the link may be used. */
MUST_USE
bool breaker_proved(struct link *l, struct slice reply);

#endif
