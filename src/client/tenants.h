/* tenants.h - sessions that share larder and its Redis with others, and see nothing of them.
 *
 * tenants.c   who they are, across reloads; whose a connection is
 * login.c     AUTH and HELLO AUTH of a tenant; those that fail are answered late
 * walls.c     a request's names prefixed on its way in, what tenants may not say, and the prefix
 *             taken off replies
 * quota.c     how much a tenant may ask for: max_ops, max_pending
 * tenant_shelf.c  whose what the near cache keeps is
 * sweep.c     KEYS, DBSIZE, RANDOMKEY, FLUSHDB, FLUSHALL: of the tenant's keys, in slices
 *
 * A client without a tenant (c->tenant NULL) pays one branch for all of it. */
#ifndef LARDER_CLIENT_TENANTS_H
#define LARDER_CLIENT_TENANTS_H

#include "base/counters.h"
#include "base/rate.h"
#include "client/client.h"
#include "command/namespace.h"
#include "config/bounds.h"

/* Counted for each tenant. */
#define TENANT_COUNTERS(X)                                                                         \
    X(clients, LEVEL, "client connections of the tenant")                                          \
    X(blocked, LEVEL, ".. of these in a blocking command, or held up by CLIENT PAUSE")             \
    X(accepted, TOTAL, "connections that became the tenant's")                                     \
    X(commands, TOTAL, "commands received from the tenant")                                        \
    X(refused, TOTAL, "commands refused to the tenant: they are not for tenants")                  \
    X(auth_failures, TOTAL, "failed logins with the tenant's name")                                \
    X(refused_max_clients, TOTAL, "logins and connections refused at the tenant's max_clients")    \
    X(throttled, TOTAL, "commands refused because they were past the tenant's max_ops")            \
    X(delayed, TOTAL, "times a client's commands waited because they were past max_ops")           \
    X(delayed_ms, TOTAL, ".. for so many ms in all")                                               \
    X(paused_pending, TOTAL, "times a client's requests waited for the tenant's max_pending")      \
    X(pending, LEVEL, "requests of the tenant's clients that wait for their reply")                \
    X(cache_entries, LEVEL, "replies kept of the tenant's keys")                                   \
    X(cache_bytes, LEVEL, ".. and what counts of them for max_cache_memory")                       \
    X(cache_evictions, TOTAL, "replies dropped to make room, of the tenant's keys")

struct tenant_counters {
    TENANT_COUNTERS(COUNTER_FIELD)
};

/* See quota.h. */
struct quota {
    struct rate ops; /* max_ops */
    bool delays;     /* throttle = delay */
    uint64_t max_pending, pending;
    struct list late;    /* sessions that wait for max_ops, .. */
    struct list crowded; /* .. for max_pending; who has waited longest is first */
    struct timer *timer; /* lets them on; NULL until somebody has waited */
};

struct tenant {
    char *name;                        /* owned; "" of the namespace */
    const struct tenant_settings *set; /* borrowed; NULL: of the namespace, or removed */
    struct namespace ns;
    struct tenant_counters count;
    struct quota quota;
    uint32_t owner; /* its number on the shelf (cache/shares.h); 0: none yet */
    uint64_t share; /* .. and what it may have of it */
    bool kept;      /* at a reload: is there still */
};

struct tenants {
    struct tenant **v; /* by name, bytewise */
    size_t n;
    struct tenant **owners; /* by prefix, bytewise: those the shelf has been told */
    size_t owners_n;
    bool own;                    /* .. that there are owners at all */
    struct tenant_counters sum;  /* of all; taken when asked for */
    struct tenant *common;       /* of all sessions without a tenant: `namespace`; NULL: none */
    struct buffer words;         /* scratch: requests with their names prefixed, of a whole run */
    struct buffer reply;         /* scratch: replies with the prefix taken off */
    const struct tenant *key_of; /* scratch: a key, behind the prefix of whose it was last */
    char key[CONFIG_PREFIX_BYTES + 1000];
    struct list late; /* failed logins that are not answered yet, the first due first */
    struct timer *late_timer;
};

void tenants_free(struct tenants *ts);

/* NULL: there is none of that name. */
MUST_USE
struct tenant *tenants_find(const struct tenants *ts, struct slice name);

/* Does AUTH here mean a tenant, and nobody can do without? */
MUST_USE
bool tenants_ask_login(const struct client *c);

/* Has it as many clients as it may have? Then one is refused, which is counted. t may be NULL. */
MUST_USE
bool tenant_is_full(struct tenant *t);
/* The same, of whose a connection would be that comes on the listener. */
MUST_USE
bool tenants_full(const struct tenants *ts, const struct listener *l);

/* A connection begins, or begins anew: whose it is by its listener, or the namespace's; and whether
 * it has to log in. */
void tenant_greet(struct client *c);
/* It is t's from now on (NULL: nobody's). The session is drained, and not within anything. */
void tenant_join(struct client *c, struct tenant *t);
void tenant_leave(struct client *c); /* it ends */

/* May c see that the other is there? */
static inline bool tenant_sees(const struct client *c, const struct client *other)
{
    return c->tenant == NULL || c->tenant == other->tenant;
}

/* login.c: failed logins that are due are answered; the timer, of clients */
void tenants_late(void *context);

/* walls.c */
/* The request in all->args is put as the tenant's; *bytes with it. Its place in the run: behind
 * what is in ts->words, which is emptied first unless `more`. */
MUST_USE
enum namespace_result tenant_put(struct client *c, const struct command *cmd, struct slice *bytes,
                                 bool more);
/* The key (< 1000 bytes) as the tenant's, for a look at the near cache; lives until the next. */
MUST_USE
struct slice tenant_key(struct client *c, struct slice key);
/* The beginning of one too large to collect: in place of *head stands what is to be sent. */
MUST_USE
enum namespace_result tenant_put_head(struct client *c, const struct command *cmd, uint32_t argc,
                                      struct slice *head);
/* Is the request, which got past tenant_put(), not for a tenant where the session stands? */
MUST_USE
bool tenant_forbids(const struct client *c, const struct request *q);
enum next tenant_refuse(struct client *c, const struct request *q);
/* The reply, or its next piece, with the prefix taken off. Lives until the next. */
MUST_USE
struct slice tenant_strip(struct client *c, enum strip_rule rule, struct slice bytes, bool first);
/* EXEC's, by what was queued; q is queued as what stands at tx_sent. */
MUST_USE
struct slice tenant_strip_exec(struct client *c, struct slice bytes, bool first);
void tenant_queued(struct client *c, const struct request *q);
void tenant_forget(struct session *m); /* gives back what the session has of these */
/* A frame of pub/sub, or its next piece. */
MUST_USE
struct slice tenant_strip_frame(struct client *c, struct slice bytes, bool first);
/* What a tenant may know of the server. */
void tenant_info(const struct client *c, struct buffer *out);

/* quota.c: what c has pending has changed, or may have */
void quota_count(struct client *c);
static inline void quota_changed(struct client *c)
{
    if (UNLIKELY(c->tenant != NULL) && c->tenant->quota.max_pending > 0)
        quota_count(c);
}
/* It has to wait for max_pending: perhaps for other clients' replies. */
void quota_crowded(struct client *c);
/* Of `most` that its client may have pending, so many are allowed by what the others have. There
 * is a max_pending. */
MUST_USE
uint64_t quota_most_pending(const struct client *c, uint64_t most);

/* tenant_shelf.c: the shelf is told of new tenants, and of their shares; of one that goes, which
 * is not among ts->v any more */
void tenants_own(struct clients *all);
void tenant_disown(struct clients *all, struct tenant *t);
/* The counters of what is kept are of now. */
void tenants_shelf_view(const struct clients *all);

/* sweep.c */
enum next sweep_serve(struct client *c, const struct request *q);

#endif
