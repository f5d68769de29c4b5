/* loads.h - who is loading what, where nobody waits for it: stampede = stale, refresh_ahead.
 *
 *     C1: GET k --> absent    C1 is given the nil: it loads
 *     C2: GET k               C2 is given the value that has expired, until C1 has written the key
 *
 *     C1: GET k (fresh still) drawn by XFetch's rule: C1 is given nil, and loads; for the others it
 *                             stays the hit that it is
 *
 * A load begins when a client is told that a key is absent, and ends with a write of the key by
 * whomever, with the connection of that client, and after lease_ttl. In `doubt`, which a push of
 * the upstream brings about, the upstream is asked once more before anybody is given what is old.
 *
 * What is old is on the shelf until a write is answered, the upstream says that others wrote, or
 * stale_ttl is over: see shelf_past.c. A write that does not delete leaves it there until its
 * reply, for those who ask meanwhile; the writer itself does not come here until then. */
#ifndef LARDER_CLIENT_LOADS_H
#define LARDER_CLIENT_LOADS_H

#include "base/hash.h"
#include "client/near.h"

struct load {
    struct list node;  /* in its bucket */
    struct list order; /* by until_ms */
    struct list held;  /* among its holder's */
    struct client *holder;
    uint64_t begun_us, until_ms;
    uint16_t scope, policy;
    bool ahead; /* the key had not expired */
    bool doubt; /* something may have been written since */
    uint32_t key_n;
    char key[];
};

struct loads {
    struct near *near;
    struct list *buckets;
    struct list by_time;
    struct hash_seed seed;
    struct timer *timer;
    uint64_t drawn; /* numbers drawn so far */
    uint64_t count;
};

void loads_use(struct near *near); /* the policies in force have changed */
void loads_free(struct loads *l);
void loads_clear(struct loads *l);

/* Does a client that is told by this command that nothing is there go and load it? */
MUST_USE
bool loads_told(uint16_t command);
/* Does the policy want to know of loads? */
MUST_USE
bool loads_wanted(const struct policy *p);

/* A hit: may it be drawn to be loaded anew by now? */
MUST_USE
bool loads_soon(const struct near *near, const struct policy *p, const struct entry *e);
/* .. true: c is to; near_give() gives the nil that says so. */
MUST_USE
bool loads_ahead(struct client *c, const struct near_question *nq, const struct request *q,
                 const struct entry *e);
/* Nothing fresh: true: there is an old value for it, and it may be given now. */
MUST_USE
bool loads_stale(struct near *near, const struct near_question *nq, const struct request *q,
                 struct entry *ret_entry);
/* The same, and has given it. */
MUST_USE
bool loads_give(struct client *c, const struct near_question *nq, const struct request *q);

/* The upstream says that there is nothing. */
struct load_miss {
    const struct flight *flight;
    const struct question *q;
    const struct fill_terms *terms;
    const struct request *request;
    struct client *asks; /* who is told so first; NULL: nobody is there any more */
};
enum told {
    TOLD_SO,    /* all who asked are told so */
    TOLD_LOADS, /* `asks` is, and loads; the others are given the old value */
    TOLD_OLD,   /* all are given it */
};
MUST_USE
enum told loads_absent(struct near *near, const struct load_miss *m, struct entry *ret_entry);
/* The same of a GET among others: what `asks` is told, and those who joined. */
void loads_tell(struct near *near, struct load_miss *m, const struct list *joined,
                struct slice *ret_asks, struct slice *ret_joined);
/* .. or that there is a value, and how long it lives (the reply to PTTL). */
void loads_found(struct near *near, const struct question *q, const struct fill_terms *t,
                 struct slice ttl);
/* Do a reply and that to PTTL say the one, or the other? An error says neither. */
MUST_USE
bool loads_is_value(struct slice value, struct slice ttl);
MUST_USE
bool loads_is_absent(struct slice value, struct slice ttl);

/* The upstream says that the key has changed, and it was not by a write under way here. */
void loads_pushed(struct loads *l, struct slice key);
/* A write of the key is handed over. True: what is kept of it is old, and stays until the reply. */
MUST_USE
bool loads_spare(struct near *near, const struct policy *p, struct slice key);
/* What the hold is for is answered. */
void loads_written(struct near *near, const struct hold *h);
/* LARDER MISS: there is nothing to load. */
void loads_miss(struct client *c, struct slice key);
/* A load of the policy has taken so long. */
void loads_took(struct near *near, uint16_t policy, uint64_t us);

/* For LARDER LEASES: a line each. */
void loads_describe(const struct loads *l, struct buffer *out);

#endif
