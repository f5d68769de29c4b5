/* pool_inside.h - what the files of this room share: the pool's and the lane's bodies. */
#ifndef LARDER_UPSTREAM_POOL_INSIDE_H
#define LARDER_UPSTREAM_POOL_INSIDE_H

#include "base/limits.h"
#include "net/address.h"
#include "upstream/breaker.h"
#include "upstream/pool.h"

struct resolver_query;
struct timer;

#define HOST_TEXT 256 /* room for a host's name */

struct lane {
    struct list node;
    struct pool *pool;
    uint32_t holders; /* sessions */
    uint32_t keepers; /* see lane_keep() */
    int proto;
    char *user, *password;
    struct list links[LINK_STATE_COUNT]; /* by state; STOCK stays empty */
    uint32_t count[LINK_STATE_COUNT];
    uint32_t retiring;         /* of those that are shared */
    struct list waiters;       /* struct lane_waiter */
    struct list loans[2];      /* by kind: waiting for a link, first come first served */
    uint32_t waiting[2];       /* .. and how many */
    struct buffer hello;       /* the reply to HELLO, whole */
    size_t id_at, id_len;      /* where in it the connection's number stands; 0: nowhere */
    struct buffer hello_error; /* or the error line that answered it */
    struct buffer
        refusal;       /* error line that ended the last greeting; empty after one that went well */
    uint32_t login;    /* the same for lanes that log in with the same words */
    int next_db;       /* of the next link that is opened */
    uint64_t retry_ms; /* no attempt before this: upstream refused this user */
    int refused_db;    /* what `refusal` is of; -1: of every database */
    uint32_t refusals; /* in a row */
    bool rejected;     /* the last login was answered -WRONGPASS */
    bool proven;       /* a link of it has been up: worth keeping one open */
};

struct pool {
    struct loop *loop;
    struct resolver *resolver;
    const struct upstream_settings *settings;
    const struct tls *tls; /* NULL: plain */
    struct list lanes;
    struct list dirty;  /* links with unsent requests */
    struct list buried; /* links that ended in this turn */
    struct list stock;  /* link structs for reuse */
    struct timer *tick;
    bool ticking;
    bool serve_loans; /* somebody has begun to wait for one in this turn */
    uint32_t busy;    /* answers of the turn, see pool_busy(); 0: few */
    bool wake_all;    /* .. whoever waits for a link is to look again */
    struct breaker breaker;
    struct lost_requests lost; /* see pool_lost() */
    uint64_t link_numbers;
    uint32_t logins;    /* given to lanes so far */
    uint32_t own_loans; /* of larder's own, beside max_lent */
    uint64_t retry_ms;  /* no attempt to connect before this */
    uint32_t failures;  /* in a row */
    unsigned version;
    const struct address *to;       /* where it is; NULL: not known */
    struct sock_address at;         /* .. when guided: found there */
    const struct pool_guide *guide; /* NULL: it is where the settings say */
    bool held;                      /* nothing is dialled for the moment */
    char held_why[700];
    const struct pool_prelude *prelude; /* NULL: nobody has words before the clients */
    const struct pool_return *back;     /* NULL: nobody waits for its return */
    int known_db;                       /* the highest it has let anybody into */
    uint64_t loading_ms;                /* when it said last that it cannot serve yet; 0: never */
    struct address guided;              /* .. as the guide says */
    char host[HOST_TEXT];               /* of that */
    char address[ADDRESS_TEXT + HOST_TEXT];
    char trouble[256];
    struct upstream_counters count;
};

/* A reply that is an error: what it tells of the upstream as a whole. */
void pool_note_error(struct pool *pool, struct slice error);

/* pool.c */
void pool_tick_soon(struct pool *pool);
/* The upstream, which was away, is there again. */
void pool_reached(struct pool *pool);
void link_become(struct link *l, enum link_state state);
/* Closes and buries; the failed askers are link_fail()'s. */
void pool_link_down(struct link *l, enum link_failure why);
/* A link has come up or become free: give it to whoever waits. */
void pool_link_free(struct link *l);
/* Links that will be idle soon: connecting, greeting, cleaning. */
MUST_USE
uint32_t lane_coming(const struct lane *lane);
MUST_USE
bool lane_may_open(const struct lane *lane);

/* Links that are idle, or will be soon. */
static inline uint64_t pool_spare(const struct pool *pool)
{
    const struct upstream_counters *c = &pool->count;

    return c->links - c->links_shared - c->links_lent_pool - c->links_lent_long;
}

static inline uint32_t lane_loans_waiting(const struct lane *lane)
{
    return lane->waiting[LOAN_POOL] + lane->waiting[LOAN_LONG];
}

/* See pool_is_out(). */
static inline bool pool_out(const struct pool *pool)
{
    return UNLIKELY(pool->breaker.state != BREAKER_CLOSED);
}

/* Shared links that will go on. */
static inline uint32_t lane_shared(const struct lane *lane)
{
    return lane->count[LINK_SHARED] - lane->retiring;
}

/* gather.c: what is to be sent on the link waits for more; *ret_again: for a turn that does not
 * wait for anything, else for a reply on the link. */
MUST_USE
bool record_holds(struct link *l, bool *ret_again);
/* Some of it has been sent. */
void record_sent(struct link *l);

static inline bool record_waits(struct link *l, bool *ret_again)
{
    return UNLIKELY(l->pool->busy || stream_secured(&l->stream)) && record_holds(l, ret_again);
}

/* lifetime.c: it has come up. */
void lifetime_begin(struct link *l);
/* It has reached max_lifetime. */
MUST_USE
bool link_is_old(const struct link *l);
/* Nobody begins there from now on; the tick closes it. */
void link_retire(struct link *l);
/* A link that nobody uses ends if it is old; true: it has. */
MUST_USE
bool lifetime_ends(struct link *l);
/* Replaces what is old. True: to be called again soon. */
MUST_USE
bool lifetime_tick(struct lane *lane);

/* dial.c: a link of the lane starts to connect. */
void link_dial(struct lane *lane);
void dial_failed(struct pool *pool, const char *why);
void dial_refused(struct lane *lane, const char *why);
/* Nothing is tried on this lane for a moment. */
void dial_pause(struct lane *lane);
/* How long to pause after `failures` in a row, the last not counted: full jitter. */
MUST_USE
uint64_t dial_backoff_ms(const struct pool *pool, uint32_t failures);
void dial_forget(struct link *l);
/* 0 .. n - 1. */
MUST_USE
uint64_t random_below(uint64_t n);

/* greeting.c */
void greeting_begin(struct link *l);
/* DISCARD or UNWATCH and back to idle. */
void cleaning_begin(struct link *l);
/* SELECT and back to idle. */
void prepare_begin(struct link *l, int db);
/* PING, for the breaker. */
void probe_ping(struct link *l);
extern const struct asker_ops greeting_asker_ops;

/* loan.c */
/* One shared link more becomes idle, of a lane that has others; false when none can be spared. */
MUST_USE bool lane_reclaim_shared(struct pool *pool);
/* Closes what other lanes can do without until there is room; false when there is none. */
MUST_USE
bool lane_make_room(struct lane *lane, bool (*fits)(const struct pool *pool));
void loans_serve(struct pool *pool);
void loans_expire(struct pool *pool, uint64_t now_ms);
/* All but larder's own: the upstream is away. */
void loans_refuse_all(struct pool *pool);
/* Those that want database db; -1: all. */
void loans_refuse(struct lane *lane, struct slice error, int db);

#endif
