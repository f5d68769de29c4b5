/* sentinels.h - the set of Sentinels that say where the master is, and the pool that follows them.
 *
 * How an answer becomes the pool's address is drawn in sentinels.c. */
#ifndef LARDER_UPSTREAM_SENTINELS_H
#define LARDER_UPSTREAM_SENTINELS_H

#include "base/buffer.h"
#include "base/check.h"
#include "base/counters.h"
#include "config/settings.h"

struct loop;
struct pool;
struct resolver;
struct sentinels;

#define SENTINELS_COUNTERS(X)                                                                      \
    X(switches, TOTAL, "times the master became another: all connections to the old one ended")    \
    X(rounds, TOTAL, "times all Sentinels were asked")                                             \
    X(answers, TOTAL, "answers that name a master")                                                \
    X(failures, TOTAL, "questions that a Sentinel did not answer in time, or refused")             \
    X(unknown, TOTAL, "answers that there is no master of that name")                              \
    X(stale, TOTAL, "answers passed over, being of an older configuration than is known")          \
    X(announcements, TOTAL, "messages of a Sentinel that the master is another now")               \
    X(checks, TOTAL, "times a server was asked whether it is the master")                          \
    X(checks_failed, TOTAL, "of these, without an answer")                                         \
    X(checks_refused, TOTAL, "of these, answered that it is none")                                 \
    X(watching, LEVEL, "Sentinels whose messages are listened to")

struct sentinels_counters {
    SENTINELS_COUNTERS(COUNTER_FIELD)
};

struct sentinels_ops {
    /* The pool has been aimed at another server than before, and no link to that is left. */
    void (*moved)(void *context);
};

/* NULL when the settings name an address. The pool is guided from now on: it dials nothing before a
 * master has been found. Begins to ask with the next turn. What it needs of the settings is copied;
 * ops, context, loop, resolver and pool are borrowed. After pool_secure(), whose certificates are
 * those for the Sentinels, too. */
MUST_USE
struct sentinels *sentinels_new(struct loop *loop, struct resolver *resolver, struct pool *pool,
                                const struct upstream_settings *settings);
void sentinels_tell(struct sentinels *s, const struct sentinels_ops *ops, void *context);
/* Before the pool. */
void sentinels_free(struct sentinels *s);

/* NULL: all zero. */
struct counter_set sentinels_counters(struct sentinels *s);
/* A line for the set, and one for each Sentinel, the one that is believed first. NULL: nothing. */
void sentinels_describe(const struct sentinels *s, struct buffer *out);

#endif
