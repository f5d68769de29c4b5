/* leases.h - one client loads what is missing, the others wait for it (stampede = wait).
 *
 *     C1: GET k --> absent     C1 is given the nil, and the lease
 *     C2: GET k                parked: its answer is to come
 *     C1: SET k v --> OK       one question: GET k + PTTL k, kept as any
 *                              C2 is given v; the lease is over
 *
 * park.c has those who wait, leases.c the leases, lease_fleet.c those that all larders have
 * together (scope = fleet). A lease is
 *
 *     HELD    --write, absent still----------------------> HELD
 *             --DEL, push, holder gone: VACANT, absent---> HELD by one of those who wait
 *             --lease_ttl, LARDER MISS: LAPSED, absent---> over: all are given nil
 *             --a value--------------------------------> over: all are given it
 *
 * and under scope = fleet, where it would be HELD, first ASKED for, and then HELD or ELSEWHERE.
 *
 * Whether there is a value is always the upstream's to say, whatever a write was answered: one
 * question for each kind of read that waits. Times are in ms. */
#ifndef LARDER_CLIENT_LEASES_H
#define LARDER_CLIENT_LEASES_H

#include "base/counters.h"
#include "base/hash.h"
#include "client/near.h"

#define LEASE_COUNTERS(X)                                                                          \
    X(held, LEVEL, "leases: keys that a client is loading")                                        \
    X(waiting, LEVEL, "clients parked until a key is loaded")                                      \
    X(no_park, LEVEL, "connections whose reads do not wait, for they have sent on while one did")  \
    X(no_park_policies, LEVEL, "policies in which nobody waits for now: most waits timed out")     \
    X(granted, TOTAL, "leases given to a client that found a key absent")                          \
    X(promoted, TOTAL, "leases given to one of those who waited, for the one before had no value") \
    X(loaded, TOTAL, "leases that ended with a value")                                             \
    X(voided, TOTAL, "leases ended by DEL, a flush, or a change by others")                        \
    X(lapsed, TOTAL, "leases whose holder did not load in time, or said that there is nothing")    \
    X(failed, TOTAL, "leases that ended because the upstream could not be asked")                  \
    X(parked, TOTAL, "reads that waited for a load")                                               \
    X(timed_out, TOTAL, "reads that waited for lease_wait, and were answered nil")                 \
    X(interrupted, TOTAL,                                                                          \
      "reads that waited, and were answered nil because their client had more to say; it is not "  \
      "made to wait again for a minute")                                                           \
    X(refused, TOTAL, "reads that did not wait because too many did")                              \
    X(asked, TOTAL, "times the upstream was asked for a lease (scope = fleet)")                    \
    X(elsewhere, TOTAL, "of these, those when a client of another larder had it")                  \
    X(alone, TOTAL, "of these, those when the upstream refused it: it was a lease of this larder's")

struct lease_counters {
    LEASE_COUNTERS(COUNTER_FIELD)
};

struct lease;
struct park;

/* Reads of the same kind that wait for a key. */
struct park {
    struct list node; /* in its lease */
    struct list waiters;
    struct lease *lease;
    struct question q; /* of the text below */
    uint8_t form;
    uint16_t command;
    uint32_t fields; /* asked for by HMGET; 1 by MGET */
    uint32_t request_n;
    char text[]; /* the request, the ask */
};

enum lease_state {
    LEASE_HELD,
    LEASE_VACANT,
    LEASE_LAPSED,
    LEASE_COOL,
    LEASE_DRAINS,
    LEASE_ASKED,
    LEASE_ELSEWHERE,
};

/* larder:lease:KEY upstream. */
struct fleet_claim {
    uint64_t id;       /* its value */
    struct lane *lane; /* held; NULL: there is none */
    int32_t db;
};

struct lease {
    struct list node;  /* in its bucket; draining: among those */
    struct list order; /* by expires_ms */
    struct list held;  /* among its holder's */
    struct list unasked;
    uint64_t unasked_ms; /* since when; 0: it is not */
    struct list parks;
    struct client *holder;
    uint64_t granted_ms, expires_ms;
    uint64_t round; /* the last in which it was seen to */
    struct fleet_claim claim;
    uint64_t errand; /* the id that is asked for; 0: there was no link */
    uint32_t parked; /* so many have waited for it */
    uint16_t scope;
    uint8_t state;
    bool asking; /* a question about it is under way */
    bool again;  /* .. and is outdated */
    bool nil;    /* draining: all are given nil */
    bool doubt;  /* it may have been written since it was found absent: nobody may wait for what
                  * that write may have made, and be told in the end that there is nothing */
    bool moved;  /* larder:lease:KEY has changed since it was asked for */
    uint32_t key_n;
    char key[];
};

struct leases {
    struct near *near;
    struct list *buckets;
    struct list draining, by_expiry, by_wait;
    struct list unasked; /* leases for which there was no link */
    uint64_t retry_ms;   /* when it is tried again */
    struct hash_seed seed;
    uint64_t claims; /* so many ids were drawn */
    struct timer *timer;
    uint64_t round;
    struct lease_counters count;
};

/* ---- leases.c ---- */

void leases_use(struct near *near); /* the policies in force have changed */
void leases_free(struct leases *l);
/* All who wait are answered nil, and nobody waits from now on. */
void leases_clear(struct leases *l);

/* A miss of c's: true: it waits. */
MUST_USE
bool leases_park(struct client *c, const struct request *q, const struct near_question *nq);
/* A question has been answered; the waiters that stay in the list are to be given the answer. */
struct landing {
    const struct question *q;
    const struct fill_terms *terms;
    struct slice request;
    struct client *leader; /* or NULL; then also, when it is parked like the others */
    struct list *waiters;
    bool settles; /* it was asked by leases.c */
    bool absent;
};
void leases_landed(struct near *near, struct landing *landing);
/* .. or could not be. */
void leases_failed(struct near *near, const struct question *q, enum link_failure why);
/* Is anybody loading the key? */
MUST_USE
bool leases_known(const struct leases *l, struct slice key);
/* The key may have been written; voided: deleted. */
void leases_changed(struct near *near, struct slice key, bool voided);
/* The upstream says that it has changed, and it was not by a write under way here. */
void leases_pushed(struct near *near, struct slice key);
void leases_all_changed(struct near *near);
void leases_prefix_changed(struct near *near, struct slice prefix);
/* Pushes do not come any more: what was written is to be asked for. */
void leases_upstream_lost(struct near *near);
/* A key has changed: perhaps larder:lease:KEY. (lease_fleet.c) */
void leases_own_changed(struct near *near, struct slice key);
/* c is gone. */
void leases_left(struct client *c);
/* LARDER MISS: there is nothing to load. */
void leases_miss(struct client *c, struct slice key);
void leases_count_no_park(struct leases *l); /* into l->count */
/* For LARDER LEASES: a line each. */
void leases_describe(const struct leases *l, struct buffer *out);

/* ---- park.c ---- */

/* May c wait now, if `own` of the replies due to it are those of the read that is to wait? */
MUST_USE
bool park_may(const struct client *c, const struct policy *p, uint32_t own);
/* The kind of read that q is, in the lease; NULL: none that waits. */
MUST_USE
struct park *park_of(struct lease *lease, const struct question *q, const struct fill_terms *t,
                     struct slice request);
MUST_USE
bool park_waits(uint16_t command, uint32_t argc);
/* h, a promise that is not kept, waits there from now on, as the policy says; it may have waited
 * before. */
void park_add(struct leases *l, struct park *p, struct held *h, const struct policy *policy);
void park_free(struct park *p);
/* How a command is told that its key is absent; fields: asked for by HMGET, 1 by MGET. */
void park_write_nil(struct buffer *out, uint8_t proto, uint16_t command, uint32_t fields);
/* Keeps h's promise: there is nothing. */
void park_give_nil(struct held *h);
/* Those whose time is up are answered, at most so many. */
void park_expire(struct leases *l, uint32_t most);

#endif
