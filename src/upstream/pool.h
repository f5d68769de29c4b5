/* pool.h - the connections to one upstream, and who may use which.
 *
 * A *lane* is what connections must agree on: upstream user and protocol. A session belongs to one
 * lane and asks over one of its shared links, or over a link that is lent to it alone (a *loan*)
 * while connection state lives there. Everything is bounded: shared links and loans for
 * transactions by pool_size, other loans by max_lent, all together by max_links. */
#ifndef LARDER_UPSTREAM_POOL_H
#define LARDER_UPSTREAM_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/counters.h"
#include "base/list.h"
#include "base/slice.h"
#include "config/settings.h"
#include "upstream/link.h"

struct loop;
struct resolver;
struct pool;
struct tls;
struct lane;
struct sock_address;

#define UPSTREAM_COUNTERS(X)                                                                       \
    X(links_opened, TOTAL, "connections to the upstream that came up")                             \
    X(links_closed, TOTAL, "connections to the upstream that ended, for any reason")               \
    X(links_lost, TOTAL, "of these, ended by the upstream or the network")                         \
    X(links_garbled, TOTAL,                                                                        \
      "of these, ended because the upstream sent what is not RESP, or what nobody asked")          \
    X(links_timed_out, TOTAL, "of these, ended for silence")                                       \
    X(links_retired, TOTAL, "of these, ended for max_lifetime")                                    \
    X(connects, TOTAL, "attempts to connect")                                                      \
    X(connect_failures, TOTAL, "attempts to connect or log in that failed")                        \
    X(links, LEVEL, "connections to the upstream, all states")                                     \
    X(trip_us, LEVEL,                                                                              \
      "a round trip to the upstream, us, as TCP measures it when a connection comes up, the "      \
      "least of late")                                                                             \
    X(links_shared, LEVEL, "of these, shared by many sessions")                                    \
    X(links_lent_pool, LEVEL, "of these, lent for transactions and single commands")               \
    X(links_lent_long, LEVEL,                                                                      \
      "of these, lent to blocking, subscribed, monitoring or stateful sessions")                   \
    X(loans, TOTAL, "times a link was lent")                                                       \
    X(loans_waiting, LEVEL, "sessions waiting for a link to be lent")                              \
    X(loans_refused, TOTAL, "sessions that waited in vain for a link")                             \
    X(replies, TOTAL, "replies from the upstream")                                                 \
    X(timeouts, TOTAL, "commands that had no reply within command_timeout")                        \
    X(breaker, LEVEL, "is the upstream taken for away? 0 no, 1 it is being probed, 2 yes")         \
    X(breaker_opened, TOTAL, "times that it was found to be away")                                 \
    X(breaker_probes, TOTAL, "connections opened for a PING, to see if it is back")                \
    X(pushes_dropped, TOTAL, "push frames on shared links, which nobody asked for")                \
    X(bytes_in, TOTAL, "bytes from the upstream")                                                  \
    X(bytes_out, TOTAL, "bytes to the upstream")

struct upstream_counters {
    UPSTREAM_COUNTERS(COUNTER_FIELD)
};

/* The settings are borrowed; pool_resettle() after a reload. */
MUST_USE
struct pool *pool_new(struct loop *loop, struct resolver *resolver,
                      const struct upstream_settings *settings);
void pool_free(struct pool *pool);
void pool_resettle(struct pool *pool, const struct upstream_settings *settings);
/* Where the upstream speaks TLS, these are the certificates; borrowed. */
void pool_secure(struct pool *pool, const struct tls *tls);

/* Opens a first connection for the lanes that are held. */
void pool_warm(struct pool *pool);

/* How many answers whoever uses the pool has given in this turn by itself: after some the next turn
 * comes at once, and may bring more to ask. Said before pool_beat() of each turn. */
void pool_busy(struct pool *pool, uint64_t answers);

/* The beat that sends what was asked in this turn; true when work is left. */
bool pool_beat(void *pool);

struct counter_set pool_counters(const struct pool *pool);

/* "127.0.0.1:6379: Connection refused": what last kept a link from coming up; "" when all is well.
 */
const char *pool_trouble(const struct pool *pool);
/* Is the upstream away, as far as is known: it is out (below), no connection to it is up and the
 * last attempt failed, or it has said just now that it cannot serve anybody yet (-LOADING,
 * -MASTERDOWN).
 */
MUST_USE
bool pool_is_away(const struct pool *pool);
/* ---- is the upstream away? breaker.c ---- */

/* It has failed so often in a row (breaker_failures) that it is taken for away, until it answers a
 * PING. No link is to be had meanwhile, and loans are refused at once. pool_trouble() says why. */
MUST_USE
bool pool_is_out(const struct pool *pool);
struct breaker_view {
    const char *state; /* closed, open, half-open */
    uint32_t failures; /* in a row */
    uint64_t away_ms;  /* since it opened; 0: it is closed */
    uint64_t probe_ms; /* until the next probe; 0: none is to come, or it is under way */
};
MUST_USE
struct breaker_view pool_breaker(const struct pool *pool);

/* Where the upstream is, as text. */
const char *pool_address(const struct pool *pool);

/* ---- where the upstream is: aim.c ---- */

/* Why whoever guides the pool should look again where the upstream is. */
enum pool_doubt {
    DOUBT_LOST,     /* a link was lost, or did not come up */
    DOUBT_REPLICA,  /* a new link is to a replica */
    DOUBT_READONLY, /* a write was answered -READONLY */
    DOUBT_SILENT,   /* a command, or the invalidation link, has no answer in time */
};

/* Called from anywhere; it may call pool_hold() and nothing else of this room's. */
struct pool_guide {
    void (*doubt)(void *context, enum pool_doubt why);
    void *context;
};

/* The address is not that of the settings: nothing is dialled before pool_aim(). Once, before
 * anything else; `guide` is borrowed. */
void pool_follow(struct pool *pool, const char *master, const struct pool_guide *guide);
/* No link is dialled before pool_aim() is called (again); those that are up stay. `why` is what
 * clients who wait in vain are told; "": what is known already. */
void pool_hold(struct pool *pool, const char *why);
MUST_USE
bool pool_held(const struct pool *pool);
/* All links end, as lost. From the loop only, as pool_aim(). */
void pool_drop(struct pool *pool);
/* The upstream is there: `to` as it is called, `at` as it was found. True when that is another than
 * before: all links have been dropped. The words of `to` are copied. */
MUST_USE
bool pool_aim(struct pool *pool, const struct address *to, const struct sock_address *at);
/* Some sign that the upstream may be elsewhere by now; nothing when the pool is not guided. */
void pool_doubt(struct pool *pool, enum pool_doubt why);

/* Somebody who would go on when the upstream is there again. Called from anywhere, deep in a call:
 * only to note it. */
struct pool_return {
    void (*reached)(void *context);
    void *context;
};
/* NULL: nobody (any more). Borrowed. */
void pool_tell_return(struct pool *pool, const struct pool_return *to);

/* ---- before all others: greeting.c ---- */

/* Somebody who has words for an upstream that was away, to be answered before any client's. */
struct pool_prelude {
    /* The link has come up and nobody has asked anything of it. True: it is nobody's until
     * pool_admit(), though the words may be said on it; it has connect_timeout for them. */
    bool (*ready)(void *context, struct link *l);
    void *context;
};
/* Once, before any link is dialled; borrowed. */
void pool_precede(struct pool *pool, const struct pool_prelude *prelude);
/* Every link that is kept from the clients comes before ready() once more. */
void pool_admit(struct pool *pool);
/* A link that was kept from them: the upstream cannot serve it yet. It ends, as one that could not
 * come up. `why` is static. */
void pool_give_up(struct link *l, const char *why);
/* While an asker is told that replies will not come, because their link broke: the requests, one
 * behind the other, perhaps behind some that have been answered; empty where they are not known. */
struct lost_requests {
    struct slice bytes;
    uint64_t asked_ms;
};
MUST_USE
struct lost_requests pool_lost(const struct pool *pool);

/* ---- lanes ---- */

/* The lane of an upstream user (user "" with password "": whoever larder logs in as) and protocol 2
 * or 3. The caller holds it: lane_release(). */
MUST_USE
struct lane *lane_hold(struct pool *pool, struct slice user, struct slice password, int proto);
MUST_USE
struct lane *lane_hold_default(struct pool *pool, int proto);
/* The same user's lane of the other protocol. */
MUST_USE
struct lane *lane_hold_sibling(struct lane *lane, int proto);
void lane_release(struct lane *lane);
/* The lane is not forgotten, though nobody holds it: its links are opened and closed as if it were.
 * What is kept is let go once: lane_let_go(). */
void lane_keep(struct lane *lane);
void lane_let_go(struct lane *lane);
MUST_USE
int lane_proto(const struct lane *lane);
/* A number for what the lane logs in with, user and password, whatever its protocol: whom Redis
 * would give other answers has another. Not used again for others. */
MUST_USE
uint32_t lane_login(const struct lane *lane);
/* The upstream user's name; "default" when none was given. */
const char *lane_user(const struct lane *lane);

/* What the upstream said to HELLO on this lane, whole, with larder's number for the connection in
 * place of its own: false while no link has come up. If HELLO was refused, *ret_refusal is that
 * error line (with CR LF) and nothing is written. */
MUST_USE
bool lane_hello(struct lane *lane, uint64_t id, struct buffer *out, struct slice *ret_refusal);

/* ---- while the upstream is away: recall.c ---- */

/* The lane of a login that the upstream has accepted lately, held; NULL: of none that is known. */
MUST_USE
struct lane *lane_recall(struct pool *pool, struct slice user, struct slice password, int proto);
/* Appends what HELLO is answered on the lane by what the upstream has said on any. False: nothing
 * so far. */
MUST_USE
bool lane_recall_hello(const struct lane *lane, uint64_t id, struct buffer *out);
/* The upstream has let somebody into that database. */
void pool_note_db(struct pool *pool, int db);
/* That database, or one with a higher number, has been noted; database 0 always is. */
MUST_USE
bool pool_knows_db(const struct pool *pool, int64_t db);

/* Those in force. */
MUST_USE
const struct upstream_settings *pool_settings(const struct pool *pool);
/* command_timeout, in ms. */
MUST_USE
uint64_t pool_command_timeout(const struct pool *pool);
/* A round trip, us, the least of late; 0: not known, or not TCP. */
MUST_USE
uint32_t pool_trip_us(const struct pool *pool);
/* The database a session begins in. */
MUST_USE
int pool_database(const struct pool *pool);

/* A shared link's head has waited long: a script, a stopped server. */
MUST_USE
bool lane_is_slow(const struct lane *lane);
/* The upstream answers -NOAUTH there. */
MUST_USE
bool lane_wants_login(const struct lane *lane);

/* Whether some lane is of that upstream user: larder knows of no others. */
MUST_USE
bool lane_user_known(const struct pool *pool, struct slice user);

/* The upstream's version as major * 10000 + minor * 100 + patch; 0 while unknown. */
MUST_USE
unsigned pool_server_version(const struct pool *pool);

/* A waiter is woken once (and then waits no more) whenever a link may have become usable. */
struct lane_waiter {
    struct list node;
    void (*wake)(struct lane_waiter *w);
};

/* A shared link in database `db`; as long as it is shared it stays in it, so a command can never
 * run in another. NULL: there is none now; one is being opened or brought there if that is allowed.
 * Then either wait, or see lane_refusal(). */
MUST_USE
struct link *lane_link(struct lane *lane, int db);
/* The same for who asks for much at once: one that nobody else waits on. NULL: there is none now,
 * and lane_link() will have to do; *ret_coming: for the moment. */
MUST_USE
struct link *lane_link_aside(struct lane *lane, int db, bool *ret_coming);
/* One that is in `db` already, or NULL; none is opened or moved. */
MUST_USE
struct link *lane_link_in(struct lane *lane, int db);
void lane_wait(struct lane *lane, struct lane_waiter *w);
void lane_wake(struct lane *lane);
/* An upstream that answers but refuses (-NOAUTH, -WRONGPASS, -LOADING, -BUSY ..): its error line
 * with CR LF, to be given to clients at once; empty otherwise. */
MUST_USE
struct slice lane_refusal(const struct lane *lane, int db);

/* ---- loans ---- */

enum loan_kind {
    LOAN_POOL, /* bounded by pool_size: transactions, single commands */
    LOAN_LONG, /* bounded by max_lent: blocking, subscribed, monitoring, stateful sessions */
};

enum loan_end {
    LOAN_CLEAN,   /* the link is as it was: nothing unanswered, no state */
    LOAN_DISCARD, /* WATCH or MULTI may be in force: clean it */
    LOAN_CLOSE,   /* anything may be: close it */
};

struct loan;

struct loan_ops {
    void (*lent)(
        struct loan *loan); /* loan->link is set: from pool or tick, never from loan_ask() */
    /* Not lent, and no longer waiting. error: the upstream's own error line with CR LF, or empty:
     * queue_timeout passed. */
    void (*refused)(struct loan *loan, struct slice error);
    /* Bytes that answer no request of the session: see link.h's `listening`, `raw`, and pushes. */
    void (*frame)(struct loan *loan, struct slice bytes, bool first, bool last);
    void (*room)(struct loan *loan);                        /* the link can take more requests */
    void (*lost)(struct loan *loan, enum link_failure why); /* loan->link is NULL now */
};

struct loan {
    struct list node; /* among those waiting for a link */
    const struct loan_ops *ops;
    struct lane *lane;
    struct link *link; /* NULL: waiting, or not in use */
    uint64_t since_ms;
    int db; /* wanted; -1: any */
    uint8_t kind;
    bool waiting;
    bool patient;  /* no deadline for its commands: they block */
    bool own;      /* larder's, who looks after its deadlines: patient, and no ticks for it */
    bool for_life; /* frames nobody asked for are the session's */
};

/* Asks for a link of the lane. True: loan->link is set. False: it waits; ops->lent or ops->refused
 * will be called. loan_end() ends either. `loan` is all zero but for ops. */
MUST_USE
bool loan_ask(struct loan *loan, struct lane *lane, enum loan_kind kind, int db);
void loan_end(struct loan *loan, enum loan_end how);
/* So many loans more (or fewer) are of larder's own: max_lent is for clients. */
void pool_own_loans(struct pool *pool, int by);
/* A loan for a moment becomes one for long (a session that keeps its link). */
void loan_keep(struct loan *loan);
/* The link lent to `from` is lent to `to` (which asks for none) from now on. */
void loan_pass(struct loan *from, struct loan *to);
/* The link (which has just been logged in anew, or changed its protocol) belongs to `lane` from now
 * on; the loan holds it there. */
void loan_move(struct loan *loan, struct lane *lane);

/* ---- for the console ---- */

struct link_view {
    uint64_t number, id, age_ms, idle_ms;
    const char *state, *user, *tls; /* tls: its version; "" of a plain one */
    int proto, db;
    uint32_t waiting; /* replies due */
    size_t unsent;
    bool stalled, streaming, aside, retiring;
};
void pool_each_link(const struct pool *pool, void *context,
                    void (*row)(void *context, const struct link_view *view));
/* Upstream connections lent for long, shared, idle ..: how many are in `state`. */
MUST_USE
size_t pool_count_links(const struct pool *pool, enum link_state state);
/* Who waits for a shared link, and for one to be lent. */
MUST_USE
size_t pool_waiting(const struct pool *pool);
MUST_USE
size_t pool_loans_waiting(const struct pool *pool);
/* Nothing is unanswered on any link. */
MUST_USE
bool pool_quiet(const struct pool *pool);

#endif
