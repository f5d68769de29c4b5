/* tracking.h - one connection on which the upstream says which keys change: arming it, hearing it,
 * proving that it is heard. Which way and when is invalidation.c's business. */
#ifndef LARDER_UPSTREAM_TRACKING_H
#define LARDER_UPSTREAM_TRACKING_H

#include "upstream/notices.h"
#include "upstream/pool.h"
#include "upstream/prefixes.h"

struct tracking;

enum tracking_state {
    TRACKING_OFF,
    TRACKING_WAITING,     /* for a link to be lent */
    TRACKING_PROBING,     /* PING said: without its answer pushes prove nothing */
    TRACKING_NUMBERING,   /* CLIENT ID said; RESP2 only */
    TRACKING_ASKING,      /* CLIENT TRACKING said */
    TRACKING_SUBSCRIBING, /* SUBSCRIBE said; RESP2 only */
    TRACKING_ARMED,
};

/* All but `notice` may end this tracking and others; none may begin one, or free it. */
struct tracking_ops {
    void (*armed)(struct tracking *t);
    /* Off now, before it was armed. passing: a state of the upstream that will end (it loads, it is
     * not there), not its answer to this way of asking. */
    void (*refused)(struct tracking *t, const char *why, bool passing);
    /* Off now; the link has ended, `armed` or before that. */
    void (*lost)(struct tracking *t, bool armed, enum link_failure why);
    /* MESSAGE, KEY or FLUSH; from the moment tracking was asked for. */
    void (*notice)(struct tracking *t, const struct notice *n);
    /* The PING sent at asked_ms is answered. */
    void (*answered)(struct tracking *t, uint64_t asked_ms);
};

struct tracking {
    struct loan loan;
    struct asker asker;
    const struct tracking_ops *ops;
    void *owner;
    struct pool *pool;
    struct loop *loop;
    struct lane *lane; /* held while it waits for a link of it */
    struct prefixes prefixes;
    struct notice_reader reader;
    enum tracking_state state;
    int proto;
    bool asked;        /* a PING is unanswered */
    bool again;        /* .. and another is wanted at once */
    uint64_t asked_ms; /* when the last PING, or word of arming, was said */
    uint64_t pings;    /* said since it was armed */
};

/* Off. `ops` is borrowed; the owner is kept for them. */
void tracking_init(struct tracking *t, struct loop *loop, struct pool *pool,
                   const struct tracking_ops *ops, void *owner);
/* Begins to arm, in RESP2 or 3; the prefixes are copied. It must be off. */
void tracking_begin(struct tracking *t, int proto, const struct prefixes *prefixes);
/* Whatever it is doing; nothing is told. */
void tracking_end(struct tracking *t);

/* Sends a PING, when armed: now, or as soon as the one under way is answered. At most one is. */
void tracking_ping(struct tracking *t);
/* To be called about every `interval_ms`: sends a PING when the last was answered; ends (lost) what
 * has been silent for patience_ms. */
void tracking_tick(struct tracking *t, uint64_t now_ms, uint64_t patience_ms);

#endif
