/* client.h - one connection and its session, as the files of this room see it.
 *
 * What every client needs is in struct client, kept small: an idle one costs little more than this.
 * What only some need is in struct session, made when first needed (client_session()). */
#ifndef LARDER_CLIENT_CLIENT_H
#define LARDER_CLIENT_CLIENT_H

#include "base/buffer.h"
#include "base/limits.h"
#include "base/list.h"
#include "cache/keyring.h"
#include "client/clients.h"
#include "client/heavy.h"
#include "client/request.h"
#include "client/session_walls.h"
#include "client/subscriptions.h"
#include "command/table.h"
#include "net/stream.h"
#include "resp/cutter.h"
#include "resp/request.h"
#include "upstream/pool.h"

/* Where the session's commands go. */
enum mode {
    MODE_PLAIN,  /* to a shared link, any other link per command */
    MODE_TX,     /* to a lent link: WATCH or MULTI is in force */
    MODE_LISTEN, /* to a lent link, everything: RESP2 subscriber, MONITOR */
    MODE_OWN,    /* to a lent link, for life: state larder does not model */
};

/* What a client's next command waits for. */
enum wait {
    WAIT_NOTHING,
    WAIT_DRAIN,   /* nothing of its own unanswered */
    WAIT_LINK,    /* a usable shared link; deadline command_timeout */
    WAIT_LOAN,    /* a link lent; deadline queue_timeout */
    WAIT_REPLY,   /* the reply to the command before it */
    WAIT_BLOCKED, /* the same, and that command may block for ever */
    WAIT_PENDING, /* fewer than max_pending unanswered, its own or its tenant's */
    WAIT_OUTPUT,  /* its own reading of its replies */
    WAIT_ROOM,    /* room in the lent link's output */
    WAIT_PAUSE,   /* the end of CLIENT PAUSE */
    WAIT_RATE,    /* its tenant's max_ops to let it on */
};

enum work { WORK_SERVE = 1, WORK_FLUSH = 2 };

struct block;
struct near;
struct out_ref;
struct rules;
struct shape;
struct session;
struct tenant;
struct tenants;

struct client {
    struct stream stream;
    /* What every request looks at stands together: most of what a hit among a thousand clients
     * costs is fetching these. */
    struct clients *all;
    struct session *more;
    struct tenant *tenant; /* NULL: nobody's; then names are as the client says them */
    struct buffer in;      /* what is not served yet */
    struct buffer out;     /* what the socket would not take yet */
    uint64_t active_ms;    /* when it last said something */
    uint32_t owed;         /* replies due */
    uint32_t asked;        /* requests asked in all, wraps: a clock for `held` */
    uint32_t wrote_at;     /* the value of `asked` behind its last write */
    uint16_t scope;        /* db and user as the near cache numbers them; 0: not looked up */
    uint16_t promised;     /* answers of other clients' questions it waits for */
    uint16_t command;      /* enum command_id of the last one */
    uint8_t proto;         /* 2 or 3 */
    uint8_t mode;          /* enum mode */
    uint8_t waits;         /* enum wait */
    uint8_t work_flags;    /* enum work */
    bool open : 1;         /* false: a shade */
    bool plain : 1; /* nothing special: an ordinary command may go straight to the shared link */
    bool authenticated : 1;
    bool ending : 1; /* closes when all it is owed has been sent; serves no more */
    bool eof : 1;    /* the client has said all it will say */
    bool is_unix : 1;
    bool no_evict : 1;
    bool queued : 1;        /* it waits for its next turn, see turns.c */
    bool heavy : 1;         /* .. and does so whenever it has said something */
    bool heavy_link : 1;    /* it was, when its link was chosen */
    bool half_out : 1;      /* a reply that comes in pieces has begun and not ended */
    uint8_t end_reason : 4; /* enum close_reason, while ending */
    struct asker asker;     /* of plain requests: replies pass as they come */
    struct link *link;      /* its shared link; valid while link_number is the link's */
    uint64_t link_number;
    struct list work; /* among those the beat looks at */
    struct list node; /* among the open, or the shades: closed with replies still due */
    struct lane *lane;
    struct listener *listener;
    uint64_t id;
    uint32_t born_s;
    int32_t db;
};

_Static_assert(CLOSE_REASON_COUNT <= 16, "end_reason has four bits");
_Static_assert(sizeof(struct client) <= 344, "what an idle connection costs");

/* A local answer that must wait for replies due before it; or a promise of one that is to come. */
struct held {
    struct held *next;
    uint32_t at; /* the value of `asked` when it was made */
    struct buffer bytes;
    size_t counted; /* of them, in the session's held_bytes */
    struct client *client;
    struct waiter waiter; /* a promise: among those of the flight */
    bool pending;         /* a promise that is not kept yet */
    uint64_t until_ms;    /* a read that waits for a load: no longer than this; else 0 */
    struct list by_time;  /* .. among all that do */
    uint32_t fields;      /* .. of HMGET, 1 of MGET */
    uint16_t command;
    uint16_t policy; /* its number; 0: none */
};

/* Writes handed over and not answered, in their order, with the keys they hold. */
struct hold_queue {
    struct hold *first, *last;
};

/* Large values on their way out, see output.c. */
struct out_refs {
    struct out_ref *v;
    uint32_t first, n, cap;
    size_t bytes;    /* of the blocks, still to be sent */
    size_t buffered; /* of `out`, in front of the last of them */
};

/* Elements of EXEC's reply, from 0, that are none of the client's: to be cut out, see shape.c. */
struct cuts {
    uint32_t *v;
    uint32_t n, cap;
};

enum reply_mode { REPLY_ON, REPLY_OFF, REPLY_SKIP_NEXT, REPLY_SKIP };

/* What CLIENT PAUSE and UNPAUSE, unanswered or queued in MULTI, will do if Redis agrees. */
struct pause_wish {
    uint64_t ms;
    bool pause, all, unpause; /* unpause comes first */
};

struct session {
    struct client *client;
    struct lane_waiter waiter;
    struct loan loan; /* for MODE_TX, MODE_LISTEN, MODE_OWN, and single commands */
    struct loan sub;  /* RESP3: carries the subscriptions */
    struct subscriptions subs;
    struct asker muted; /* of requests whose replies the client does not want */
    uint32_t muted_owed, muted_asked;
    struct hold_queue writes, muted_writes, tx_writes;
    struct held *held_first, *held_last;
    struct request_scan scan; /* of the request that is not whole yet */
    char *name, *lib_name, *lib_ver;
    char *next_name;        /* of the HELLO under way */
    uint64_t redirect_id;   /* whom CLIENT TRACKING REDIRECT named last; .. */
    uint64_t redirect_link; /* .. and Redis' id of the link that was its then */
    uint64_t awaits;        /* the client who must have a link before this one's request goes on */
    uint64_t wait_ms;       /* since when nothing could be asked (WAIT_LINK) */
    size_t stall_unsent;    /* what the kernel kept for it when it was looked at last */
    uint64_t confirm_ms;    /* since when a confirmation of pub/sub is due */
    size_t held_bytes;      /* in `held` */
    struct heavy heavy;
    struct out_refs refs;
    uint64_t stall_ms;      /* since when the client has taken nothing of too much */
    struct lane *next_lane; /* AUTH or HELLO under way: to be joined if it succeeds */
    struct link *resting;   /* a link that waits for this client to read, see link_resume() */
    uint64_t resting_number;
    uint8_t reply_mode; /* enum reply_mode */
    bool monitor;
    bool in_multi, watching; /* as far as the replies seen so far tell */
    uint32_t queued;         /* commands queued since MULTI */
    uint32_t tx_sent;        /* .. with larder's own */
    struct cuts cuts;        /* .. which these are; while a write is unwrapped, all but it */
    struct cutter cutter;
    struct session_walls walls; /* of a tenant's session */
    bool unwrapping;            /* .. is for a write that comes in pieces */
    struct buffer shape_answer; /* what a write was answered that could not be queued */
    struct buffer shape_error;  /* what larder's words about it were */
    struct list leases;         /* keys it has been told to load */
    struct list loads;          /* .. for which nobody waits */
    struct held *parked;        /* its read that waits for a load; it is its only promise */
    uint64_t no_park_ms;        /* none of its reads waits until then */
    struct buffer tx_read;      /* sliding keys read in a transaction, each behind its length */
    struct shape *large_shape;  /* what is to be said behind the large request under way */
    struct pause_wish wish;
    uint32_t no_retry_at;     /* what was asked before is not asked again: see retry.c */
    bool unclear;             /* CLIENT PAUSE: its command is, or will be, Redis' to judge */
    bool name_upstream;       /* CLIENT SETNAME was queued: only the link knows the name */
    bool multi_refused;       /* larder could not begin a MULTI: all up to its EXEC is refused */
    bool watch_refused;       /* .. nor a WATCH: the EXEC it was meant for must fail */
    bool login_any_db;        /* AUTH goes over a link in whatever database */
    bool multi_asked;         /* a MULTI is unanswered (MODE_OWN) */
    bool named;               /* in a REDIRECT: it keeps the link it has for life */
    bool listening;           /* counted among those who listen */
    bool spoilt;              /* larder has refused a command since MULTI: EXEC must fail */
    bool want_exec_db;        /* SELECT was queued: after EXEC the db must be asked for */
    bool loan_refused;        /* the loan waited for was refused; .. */
    struct buffer loan_error; /* .. upstream's error line, or empty */
    uint8_t streaming;        /* a large request under way: see large.c */
    bool was_patient;         /* what the loan's patience was before a large request */
};

struct pause {
    uint64_t until_ms; /* 0: none in force */
    bool all;          /* else only what may write */
    uint32_t asked;    /* CLIENT PAUSE that Redis has not answered yet */
    bool asked_all;    /* .. one of them without WRITE */
    bool on;           /* in force or asked */
};

struct clients {
    struct loop *loop;
    struct pool *pool;
    const struct larder_settings *settings;
    const struct console *console;
    struct list open, shades, work, buried;
    struct health *health;
    struct list health_waiters;
    struct list again;  /* questions to be asked once more, for which there is no link yet */
    struct list queued; /* who waits for a turn, by `work` */
    uint32_t turn_left; /* units (TURN_UNITS) of the client being served */
    struct heavies heavies;
    struct args args;        /* scratch: the present request's arguments */
    struct buffer words;     /* scratch: an inline request's words */
    struct buffer scratch;   /* scratch: requests larder words anew */
    struct buffer trash;     /* answers nobody wants to have */
    struct buffer spare_out; /* memory for the answers to whoever is being served */
    struct list spare_exchanges;
    struct unknowns *unknowns;
    struct near *near;       /* NULL: no policy keeps anything */
    struct rules *rules;     /* NULL: no policy asks anything of commands */
    struct outage *outage;   /* NULL: no policy says anything of outages */
    struct tenants *tenants; /* NULL: there are none, nor a namespace */
    struct timer *pause_timer, *sweep;
    struct pause pause;
    struct client_counters count;
    uint64_t next_id;
    uint64_t local_before;         /* commands answered here, up to the last beat */
    uint16_t refused_flags;        /* commands with any of these are refused */
    const struct request *present; /* the request being served, and whose it is: CLIENT LIST */
    const struct client *present_client;
    bool draining;
    void (*drained)(void *context);
    void *drained_context;
};

/* session.c */
struct session *client_session(struct client *c);
void session_free(struct session *m);
void client_settle(struct client *c); /* recomputes `plain` */

/* client.c */
void client_close(struct client *c, enum close_reason why);
void client_end(struct client *c, enum close_reason why); /* .. when all it is owed is sent */
enum next client_wait(struct client *c, enum wait why);
enum next client_wait_link(struct client *c, struct lane *lane);
enum next client_again(struct client *c); /* the request is to be looked at anew */
void client_wake(struct client *c);
void client_set_proto(struct client *c, int32_t proto);
void client_join_lane(struct client *c, struct lane *lane); /* takes over the hold on it */
/* Reads once, and serves what there is then. */
void client_read(struct client *c);
void client_adjust_wants(struct client *c);
void client_count_listening(struct client *c);
MUST_USE bool client_listens(const struct client *c);
void client_bury(struct client *c); /* freed by the beat */
void client_free(struct client *c);
void client_shade_check(struct client *c);
MUST_USE
bool client_drained(const struct client *c);
MUST_USE
bool client_quiet(const struct client *c); /* .. and no confirmation of pub/sub due */
uint64_t client_now(const struct client *c);
void clients_sweep_soon(struct clients *all);
/* Of those that are open; NULL: none has that id. */
MUST_USE
struct client *client_by_id(struct clients *all, uint64_t id);

/* turns.c */
void client_work(struct client *c, enum work what);

/* answers.c: replies and local answers, in order */
extern const struct asker_ops plain_asker_ops, muted_asker_ops;
MUST_USE
struct buffer *client_answer(struct client *c);
void client_answered(struct client *c, uint32_t n);
/* An answer that is to come stands here in the order; kept with its bytes, or in pieces. */
MUST_USE
struct held *client_promise(struct client *c);
/* .. in place of the reply that is due next, which the caller takes back: client_answered(). */
MUST_USE
struct held *client_promise_now(struct client *c);
void client_answer_now(struct client *c, struct slice bytes); /* the same, of an answer */
void client_keep_promise(struct held *h, struct slice bytes);
bool client_keep_piece(struct held *h, struct slice bytes, bool last, struct link *from);
void client_break_promises(struct client *c); /* it is gone: nobody waits any more */
void client_failed(struct client *c, uint32_t n, enum link_failure why, bool begun);
MUST_USE
bool client_is_muted(const struct client *c);
MUST_USE size_t client_unread(struct client *c);

/* health.c: LARDER HEALTH */
enum next health_serve(struct client *c);

/* output.c: what is ready to go */
void client_put(struct client *c, struct slice bytes);
bool client_put_piece(struct client *c, struct slice bytes, struct link *from);
void client_answer_block(struct client *c, struct block *b);
void client_flush(struct client *c);
void client_drop_refs(struct session *m);

/* reach.c */
MUST_USE
struct link *client_link(struct client *c, enum next *ret_next);
enum next client_no_link(struct client *c, struct lane *lane);
enum next client_answer_away(struct client *c);

/* serve.c, route.c */
void client_serve_input(struct client *c);
size_t client_serve(struct client *c, const char *p, size_t n);
/* A request is dealt with: CLIENT REPLY SKIP silences exactly the command behind it. */
void client_after_command(struct client *c);
enum next client_ask(struct client *c, const struct request *q);
/* Behind link_ask() of the session's own. */
void client_asked_late(struct client *c, struct link *l);
/* Asks q as it is on that link, whatever its shape. */
void client_ask_on(struct client *c, struct link *l, const struct request *q);
enum next client_ask_lent(struct client *c, const struct request *q);
enum next client_route(struct client *c, const struct request *q);
enum next client_refuse(struct client *c, const struct request *q);
MUST_USE
bool request_has_nul(const struct request *q);

/* exchange.c: requests whose replies larder looks at */
enum exchange_kind {
    EX_SELECT,
    EX_INFO,
    EX_MULTI,
    EX_EXEC,
    EX_DISCARD,
    EX_ABORT, /* DISCARD in place of EXEC */
    EX_WATCH,
    EX_UNWATCH,
    EX_LENT, /* the loan ends with the reply */
    EX_AUTH,
    EX_HELLO,
    EX_DROP,      /* of larder's own: not the client's */
    EX_DROP_LAST, /* .. with which the loan ends */
    EX_OWN_TRY,   /* an unknown CLIENT subcommand: if it succeeds the link is kept */
    EX_EXEC_DB,   /* CLIENT INFO after an EXEC with SELECT */
    EX_REDIR,     /* CLIENT GETREDIR, TRACKINGINFO: a number to be translated */
    EX_OWN_HELLO,
    EX_PAUSE,  /* CLIENT PAUSE or UNPAUSE */
    EX_PASS,   /* passes as it is; counted by itself */
    EX_STRIP,  /* .. with a tenant's prefix taken off; detail: enum strip_rule. So of EX_LENT */
    EX_EXISTS, /* a count, to which those known already are added */
    EX_QUEUED, /* a write within a MULTI of larder's: `+QUEUED`, or why not */
    EX_UNWRAP, /* .. its EXEC: what it says of the write is the client's */
    EX_FOLLOW, /* larder's words about that write: dropped, but an error is remembered */
};
void exchange_ask(struct client *c, struct link *l, struct slice bytes, enum exchange_kind kind,
                  int32_t detail);
/* EXEC of a MULTI of larder's, which is to answer `of` elements: the write's is number `at`. */
struct wrapped {
    uint32_t at, of;
};
void exchange_exec(struct client *c, struct link *l, struct wrapped w);
/* n requests of larder's; EX_FOLLOW, EX_DROP or EX_DROP_LAST. */
void exchange_follow(struct client *c, struct link *l, struct slice bytes, uint32_t n,
                     enum exchange_kind kind);
void exchanges_done(struct clients *all);

/* writes.c: what may change keys, and the near cache therefore */
void writes_answered(struct client *c, uint32_t n);
void writes_answered_muted(struct client *c);
void writes_forget(struct client *c);

/* local.c, client_command.c, near_console.c: answered here */
enum next local_serve(struct client *c, const struct request *q);
enum next client_command_serve(struct client *c, const struct request *q);
enum next near_console(struct client *c, const struct request *q, enum console_word word);

/* slide.c: the transaction is over */
void slide_tx_over(struct client *c);

/* park.c: the client has more to say while its read waits; that wait is over */
void client_interrupts(struct client *c);
void held_waits_no_more(struct held *h);

/* loads.c: the client is gone, and loads nothing */
void loads_left(struct client *c);

/* shape.c */
void shape_free(struct shape *s);

void local_selected(struct client *c, int32_t db, bool ok);
void local_logged_in(struct client *c, enum exchange_kind kind, bool ok, int32_t proto);
MUST_USE
bool client_name_valid(struct slice name);
/* A change of the session that could not be put to Redis: it ends. */
enum next client_part(struct client *c);
void client_set_text(char **field, struct slice value);
void client_describe(struct client *c, struct buffer *out);
void unknown_subcommand(struct buffer *out, const char *container, struct slice word);
void unknown_command(struct buffer *out, const struct request *q);
void wrong_arity(struct buffer *out, const char *name);

/* pause.c: CLIENT PAUSE */
enum pause_effect {
    PAUSE_NOTHING, /* the request goes its way */
    PAUSE_HOLDS,   /* it waits here */
    PAUSE_UNCLEAR, /* only Redis can tell */
};
MUST_USE
enum pause_effect pause_effect(const struct client *c, const struct request *q);
enum next pause_serve(struct client *c, const struct request *q);
void pause_queued(struct client *c, const struct request *q); /* within MULTI */
void pause_asked(struct client *c);               /* what was wished for goes to Redis now */
void pause_answered(struct client *c, bool done); /* .. and it has said yes or no */
void pause_over(void *clients);
/* To the blocked clients that Redis counts in INFO's text it adds those held up here. */
void pause_count_held(const struct clients *all, struct buffer *text);

/* borrow.c: lent links */
extern const struct loan_ops session_loan_ops, session_sub_ops;
enum next borrow(struct client *c, enum loan_kind kind, int db);
enum next borrow_serve(struct client *c, const struct request *q);
enum next borrow_own(struct client *c, const struct request *q);
/* Serves a request of PAUSE_UNCLEAR. */
enum next borrow_unclear(struct client *c, const struct request *q);
void borrow_judged(struct client *c);
void borrow_note_refusal(struct client *c, struct slice error);
/* Answers the request for whose sake a loan was refused. */
enum next borrow_refused(struct client *c, enum loan_kind kind);
void borrow_return(struct client *c, enum loan_end how);
enum next borrow_sub(struct client *c);
void borrow_keep(struct client *c);
void borrow_tried(struct client *c, bool keep);
enum next watched_serve(struct client *c, const struct request *q);
enum next own_serve(struct client *c, const struct request *q);

/* transaction.c */
enum next tx_serve(struct client *c, const struct request *q);
/* It cannot be told yet whether a MULTI is in force. */
MUST_USE
bool tx_unclear(const struct client *c);
enum next tx_refused_serve(struct client *c, const struct request *q);
enum next tx_exec(struct client *c, const struct request *q);
enum next tx_refuse(struct client *c, const char *what);
/* A MULTI or WATCH was answered with an error of larder's. */
void tx_note_refused(struct client *c, const struct request *q);
void tx_leave(struct client *c);
void tx_replied(struct client *c, enum exchange_kind kind, char type, struct slice bytes);

/* subscribe.c */
enum next subscribe_serve(struct client *c, const struct request *q);
enum next listen_serve(struct client *c, const struct request *q);
void subscribe_frame(struct client *c, struct slice bytes, bool first, bool last);

/* large.c: requests too large to collect */
size_t large_begin(struct client *c, const char *p, size_t n);
size_t large_serve(struct client *c, const char *p, size_t n);

/* Bytes that are ready to go. */
static inline size_t client_unsent(const struct client *c)
{
    return buffer_len(&c->out) + (UNLIKELY(c->more != NULL) ? c->more->refs.bytes : 0);
}

/* How often it has asked something of a link; wraps. */
static inline uint32_t client_asked(const struct client *c)
{
    return c->asked + (c->more != NULL ? c->more->muted_asked : 0);
}

/* Nothing is due to the client, nor on its way: an answer may go to the socket as it is. */
static inline bool client_idle_output(const struct client *c)
{
    return c->owed == 0 && c->out.p == NULL &&
           (LIKELY(c->more == NULL) || (c->more->held_first == NULL && c->more->refs.bytes == 0));
}

/* The bit of the link this client asks for everything in its present mode. */
static inline struct link *client_lent(const struct client *c)
{
    return c->more != NULL ? c->more->loan.link : NULL;
}

#endif
