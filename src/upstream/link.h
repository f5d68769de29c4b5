/* link.h - one connection to the upstream: requests out, replies back to whoever asked, in order.
 *
 * A link moves bytes and keeps the order; which link serves whom is the pool's business (pool.h).
 * States and who may move between them are drawn in link.c. */
#ifndef LARDER_UPSTREAM_LINK_H
#define LARDER_UPSTREAM_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "base/list.h"
#include "net/stream.h"
#include "resp/reply.h"
#include "upstream/asker.h"
#include "upstream/kept.h"
#include "upstream/slots.h"

struct lane;
struct loan;
struct pool;

#define RECORDS_AHEAD 8u /* unanswered: from then on one waits until it is worth it */

#define LINK_STATES(X)                                                                             \
    X(LINK_STOCK, "stock") /* no connection; kept for reuse, so that pointers stay valid */        \
    X(LINK_CONNECTING, "connecting") /* resolving the name, connecting */                          \
    X(LINK_GREETING, "greeting")     /* HELLO, AUTH, SELECT under way */                           \
    X(LINK_PROBING, "probing")       /* PING under way: is the upstream back? See breaker.c */     \
    X(LINK_SHARED, "shared")         /* carries the ordinary commands of many sessions */          \
    X(LINK_IDLE, "idle")             /* clean, waiting to be lent */                               \
    X(LINK_LENT, "lent")             /* one session's */                                           \
    X(LINK_CLEANING, "cleaning")     /* DISCARD or UNWATCH under way before it is idle again */

#define LINK_STATE_NAME(name, word) name,
enum link_state { LINK_STATES(LINK_STATE_NAME) LINK_STATE_COUNT };

/* How requests have become records of TLS. */
struct records {
    uint32_t asked, answered;      /* requests, in all; they wrap */
    uint32_t marks[RECORDS_AHEAD]; /* `asked` when each was sent that is not answered; a ring */
    uint32_t held;                 /* bytes of `out` when they were last held back, and .. */
    uint8_t turns;                 /* .. for how many turns so far */
    uint8_t at, count;             /* of marks: the oldest, how many */
};

struct link {
    struct stream stream;
    struct list node;  /* in its lane's list for its state */
    struct list dirty; /* in the pool's list of links with unsent requests */
    struct pool *pool;
    struct lane *lane;
    struct loan *loan; /* whom it is lent to */
    struct asker own;  /* the asker of larder's own words: greeting, cleaning, SELECT */
    struct slots slots;
    struct buffer in;  /* a reply that is not whole yet */
    struct buffer out; /* requests not sent yet */
    struct kept kept;  /* requests not answered yet, while it is shared */
    struct reply_scan scan;
    size_t scanned; /* bytes of `in` that the scan has seen */
    struct resolver_query *query;
    uint64_t since_ms;      /* of the state */
    uint64_t up_ms;         /* when it came up: see lifetime.c; 0: it never was logged in */
    uint64_t read_ms;       /* last bytes from upstream */
    uint64_t write_ms;      /* last bytes it took, or when the first of those unsent were queued */
    uint64_t id;            /* upstream's client id; 0 when it would not say */
    uint64_t number;        /* larder's own number, never reused: tells a reused struct apart */
    const char *trouble;    /* why it could not come up, where the stream does not know; static */
    struct records records; /* with TLS: see gather.c */
    uint32_t expired;       /* slots at the front that have had their timeout answered */
    int db;                 /* the database once all that is queued has run */
    int db_before;          /* .. and before the SELECT of larder's that is under way */
    uint8_t state;          /* enum link_state */
    bool streaming;         /* the head's reply is handed on in pieces */
    bool streaming_oob;     /* .. and it is a frame that nobody asked for */
    bool listening;         /* every frame goes to the loan: subscriber, MONITOR */
    bool refusal;           /* ended by upstream's own refusal, which has been told already */
    bool raw;               /* bytes go to the loan unread: SYNC */
    bool mixed;             /* not every slot was asked later than the one before it */
    bool stalled;           /* the head has waited long: newcomers go elsewhere */
    bool outdated;          /* to where the upstream is no more: about to end */
    bool probe;             /* the breaker's */
    bool aside;             /* shared by those who ask for much: see lane.c */
    bool retiring;          /* shared, and too old: it ends when nothing is due on it */
    uint8_t spread;         /* how much shorter its life is than others' */
    bool resting;           /* not read: a slow client's large reply, see link_resume() */
    uint8_t step;           /* of the greeting or cleaning */
};

/* Queues n requests (whole, in bytes, RESP multibulk) for `a`; sent at the end of the turn. fresh:
 * their replies are not to be handed over in one piece with earlier ones of the same asker. */
void link_ask(struct link *l, struct asker *a, struct slice bytes, uint32_t n, bool fresh);
/* What was asked last has waited since then already: so much earlier is its deadline. */
void link_ask_since(struct link *l, uint64_t since_ms);
/* A further piece of the last request asked (streamed). */
void link_ask_more(struct link *l, struct slice bytes);
/* .. which is now complete: its deadline begins. */
void link_ask_done(struct link *l);
/* Words of larder's own, NUL-terminated, last NULL: the reply goes to `a`. */
void link_say(struct link *l, struct asker *a, const char *word, ...) __attribute__((sentinel));

/* Sends what is queued. Called by the pool's beat. */
void link_flush(struct link *l);

/* The asker that said "I have more than I can send" can take more. */
void link_resume(struct link *l);

/* Ends the connection: everybody in its slots is told, the loan is told, the pool is told. */
void link_fail(struct link *l, enum link_failure why);

/* Unsent requests have reached LINK_OUT_BYTES. */
static inline bool link_full(const struct link *l)
{
    return buffer_len(&l->out) >= LINK_OUT_BYTES;
}

/* Whether a session that has nothing unanswered here should rather begin elsewhere. */
static inline bool link_takes_newcomers(const struct link *l)
{
    return !l->streaming && !l->stalled && !l->retiring;
}

/* Tells slots whose deadline has passed; fails a link that is silent for good. Called by the pool's
 * tick. */
void link_tick(struct link *l, uint64_t now_ms);

extern const struct stream_ops link_stream_ops;
const char *link_state_word(enum link_state state);

#endif
