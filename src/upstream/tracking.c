/* tracking.c - one connection under CLIENT TRACKING.
 *
 *      OFF --> WAITING --lent--> PROBING --> NUMBERING --> ASKING --> SUBSCRIBING --> ARMED
 *       ^                     PING |      CLIENT ID | CLIENT TRACKING  | SUBSCRIBE  ^
 *       |                          +---- RESP3 -----+--> ASKING -------+--- RESP3 --+
 *       +---- tracking_end(), refused(), lost(), from everywhere
 *
 * BCAST: the upstream pushes every key below the prefixes, whoever changed it and whoever read it,
 * and keeps no table. So one connection's life is the validity of the whole near cache, and the
 * others need not be tracked. In RESP2 the pushes are redirected to the connection itself, as
 * messages of a channel; in RESP3 they are frames of their own.
 *
 * What a PING proves: Redis writes the pushes of a turn of its loop before it waits for the next,
 * and answers PING in a turn that began after the PING had come. So when the answer is here, all
 * pushes of what was written before the PING was sent have been here: the time that counts is that
 * of asking. It is read before the bytes leave, never after. One PING is under way at a time: with
 * several, a slow upstream would be asked ever more. */
#include "upstream/tracking.h"

#include <stdio.h>

#include "net/loop.h"
#include "resp/reply.h"
#include "resp/write.h"
#include "upstream/pool_inside.h"

static const struct loan_ops tracking_loan_ops;
static const struct asker_ops tracking_asker_ops;

void tracking_init(struct tracking *t, struct loop *loop, struct pool *pool,
                   const struct tracking_ops *ops, void *owner)
{
    *t = (struct tracking){.loan = {.ops = &tracking_loan_ops},
                           .asker = {&tracking_asker_ops},
                           .ops = ops,
                           .owner = owner,
                           .pool = pool,
                           .loop = loop};
}

/* ---- begin and end ---- */

static void release_lane(struct tracking *t)
{
    if (t->lane != NULL)
        lane_release(t->lane);
    t->lane = NULL;
}

static void forget(struct tracking *t)
{
    release_lane(t);
    prefixes_done(&t->prefixes);
    notice_reader_done(&t->reader);
    t->state = TRACKING_OFF;
    t->asked = t->again = false;
    pool_own_loans(t->pool, -1);
}

static void say_step(struct tracking *t, enum tracking_state state)
{
    t->state = state;
    t->asked_ms = loop_now_ms(t->loop);
}

static void begin_arming(struct tracking *t)
{
    struct link *l = t->loan.link;

    release_lane(t); /* a lane that nobody is in need not keep a link open besides */
    t->loan.own = true;
    t->loan.patient = true; /* tracking_tick() looks after deadlines */
    stream_hasten(&l->stream, t->loop);
    say_step(t, TRACKING_PROBING);
    link_say(l, &t->asker, "PING", NULL);
}

void tracking_begin(struct tracking *t, int proto, const struct prefixes *prefixes)
{
    struct lane *lane = lane_hold_default(t->pool, 2);

    CHECK(t->state == TRACKING_OFF);
    if (proto == 3) {
        t->lane = lane_hold_sibling(lane, 3);
        lane_release(lane);
    } else {
        t->lane = lane;
    }
    prefixes_set(&t->prefixes, prefixes->v, prefixes->n);
    t->proto = proto;
    t->pings = 0;
    t->state = TRACKING_WAITING;
    pool_own_loans(t->pool, 1);
    if (loan_ask(&t->loan, t->lane, LOAN_LONG, -1))
        begin_arming(t);
}

void tracking_end(struct tracking *t)
{
    if (t->state == TRACKING_OFF)
        return;
    t->state = TRACKING_OFF; /* the askers of a link that is closed are told */
    loan_end(&t->loan, LOAN_CLOSE);
    forget(t);
}

static const char *state_word(enum tracking_state state)
{
    static const char *const words[] = {
        [TRACKING_OFF] = "off",
        [TRACKING_WAITING] = "connecting",
        [TRACKING_PROBING] = "PING",
        [TRACKING_NUMBERING] = "CLIENT ID",
        [TRACKING_ASKING] = "CLIENT TRACKING",
        [TRACKING_SUBSCRIBING] = ("SUBSCRIBE " INVALIDATION_CHANNEL),
        [TRACKING_ARMED] = "PING",
    };

    return words[state];
}

/* An error of the upstream's that says how it is, not what it thinks of the question. */
static bool is_passing(struct slice error)
{
    static const char *const heads[] = {"LOADING",     "BUSY ",    "MASTERDOWN",
                                        "CLUSTERDOWN", "TRYAGAIN", "ERR max number of clients"};

    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        if (slice_starts(error, slice_str(heads[i])))
            return true;
    }
    return false;
}

/* error: without its minus and CR LF. */
static void refuse(struct tracking *t, struct slice error, bool passing)
{
    char why[200];

    (void)snprintf(why, sizeof why, "%s: %.*s", state_word(t->state),
                   (int)(error.n < sizeof why ? error.n : sizeof why), error.p);
    tracking_end(t);
    t->ops->refused(t, why, passing);
}

/* ---- arming ---- */

static void ask_tracking(struct tracking *t, struct slice id)
{
    struct slice *words = must_calloc(6 + 2 * t->prefixes.n, sizeof *words);
    struct buffer text = {0};
    size_t n = 0;

    words[n++] = SLICE("CLIENT");
    words[n++] = SLICE("TRACKING");
    words[n++] = SLICE("ON");
    if (id.n > 0) {
        words[n++] = SLICE("REDIRECT");
        words[n++] = id;
    }
    words[n++] = SLICE("BCAST");
    /* Without any, or with "", it is every key. */
    for (size_t i = 0; i < t->prefixes.n && t->prefixes.v[i].n > 0; i++) {
        words[n++] = SLICE("PREFIX");
        words[n++] = t->prefixes.v[i];
    }
    say_step(t, TRACKING_ASKING);
    write_request(&text, words, n);
    link_ask(t->loan.link, &t->asker, buffer_slice(&text), 1, true);
    buffer_done(&text);
    free(words);
}

static void become_armed(struct tracking *t)
{
    t->state = TRACKING_ARMED;
    t->ops->armed(t);
}

static void on_tracking_on(struct tracking *t)
{
    struct buffer text = {0};

    if (t->proto == 3) {
        become_armed(t);
        return;
    }
    t->loan.link->listening = true;
    say_step(t, TRACKING_SUBSCRIBING);
    write_command(&text, "SUBSCRIBE", INVALIDATION_CHANNEL, NULL);
    link_ask_more(t->loan.link, buffer_slice(&text));
    buffer_done(&text);
}

/* ---- PING ---- */

void tracking_ping(struct tracking *t)
{
    static const struct slice ping = {"*1\r\n$4\r\nPING\r\n", 14};

    if (t->state != TRACKING_ARMED)
        return;
    if (t->asked) {
        t->again = true;
        return;
    }
    t->asked = true;
    t->again = false;
    t->pings++;
    t->asked_ms = loop_now_ms(t->loop);
    if (t->proto == 3)
        link_ask(t->loan.link, &t->asker, ping, 1, true);
    else
        link_ask_more(t->loan.link, ping); /* its answer is a frame */
}

static void on_pong(struct tracking *t)
{
    const struct link *l = t->loan.link;

    t->asked = false;
    t->ops->answered(t, t->asked_ms);
    if (t->loan.link == l && t->again)
        tracking_ping(t);
}

/* A script that runs long answers so, and the next PING may fare better. Else whoever may not say
 * PING has to be told so by another arming. */
static void on_ping_error(struct tracking *t, struct slice error)
{
    t->asked = false;
    if (!is_passing(error))
        link_fail(t->loan.link, LINK_CLOSED);
}

void tracking_tick(struct tracking *t, uint64_t now_ms, uint64_t patience_ms)
{
    struct link *l = t->loan.link;

    if (l == NULL)
        return;
    if (t->state == TRACKING_ARMED && !t->asked) {
        tracking_ping(t);
        return;
    }
    if (t->state == TRACKING_ARMED)
        t->again = true; /* it is late: the next goes with its answer, not a tick later */
    if (now_ms - t->asked_ms >= patience_ms && now_ms - l->read_ms >= patience_ms)
        link_fail(l, LINK_TIMEOUT);
}

/* ---- what comes ---- */

static struct tracking *of_asker(struct asker *a)
{
    return CONTAINER_OF(a, struct tracking, asker);
}

static struct tracking *of_loan(struct loan *loan)
{
    return CONTAINER_OF(loan, struct tracking, loan);
}

static void on_word(struct tracking *t, const struct reply *r)
{
    switch (t->state) {
    case TRACKING_PROBING:
        if (t->proto == 3) {
            ask_tracking(t, slice_of("", 0));
        } else {
            say_step(t, TRACKING_NUMBERING);
            link_say(t->loan.link, &t->asker, "CLIENT", "ID", NULL);
        }
        break;
    case TRACKING_NUMBERING:
        if (r->type == ':')
            ask_tracking(t, r->text);
        else
            refuse(t, SLICE("no number"), false);
        break;
    case TRACKING_ASKING:
        if (r->type == '+')
            on_tracking_on(t);
        else
            refuse(t, SLICE("no OK"), false);
        break;
    case TRACKING_ARMED:
        on_pong(t);
        break;
    case TRACKING_SUBSCRIBING:
    case TRACKING_OFF:
    case TRACKING_WAITING:
        break;
    }
}

static void on_replies(struct asker *a, struct slice bytes, uint32_t n)
{
    struct tracking *t = of_asker(a);
    struct reply r;
    bool error;

    (void)n; /* one: each was asked afresh */
    if (!reply_read(&bytes, &r))
        return;
    error = r.type == '-' || r.type == '!';
    if (error && t->state == TRACKING_ARMED)
        on_ping_error(t, r.text);
    else if (error)
        refuse(t, r.text, is_passing(r.text));
    else
        on_word(t, &r);
}

static void on_failed(struct asker *a, uint32_t n, enum link_failure why, bool begun)
{
    (void)a; /* on_lost() tells, or whoever has ended it knows */
    (void)n;
    (void)why;
    (void)begun;
}

static void on_error(struct tracking *t, struct slice error)
{
    if (t->state == TRACKING_SUBSCRIBING)
        refuse(t, error, is_passing(error));
    else if (t->state == TRACKING_ARMED && t->asked && t->proto == 2)
        on_ping_error(t, error);
    else
        link_fail(t->loan.link, LINK_STRAY);
}

static void on_notice(struct tracking *t, const struct notice *n)
{
    switch (n->kind) {
    case NOTICE_MESSAGE:
    case NOTICE_KEY:
    case NOTICE_FLUSH:
        t->ops->notice(t, n);
        break;
    case NOTICE_SUBSCRIBED:
        if (t->state == TRACKING_SUBSCRIBING)
            become_armed(t);
        else
            link_fail(t->loan.link, LINK_STRAY);
        break;
    case NOTICE_PONG:
        if (t->state == TRACKING_ARMED && t->asked && t->proto == 2)
            on_pong(t);
        else
            link_fail(t->loan.link, LINK_STRAY);
        break;
    case NOTICE_ERROR:
        on_error(t, n->text);
        break;
    case NOTICE_BROKEN:
        link_fail(t->loan.link, LINK_LOST);
        break;
    case NOTICE_GARBAGE:
        link_fail(t->loan.link, LINK_GARBLED);
        break;
    }
}

static void on_frame(struct loan *loan, struct slice bytes, bool first, bool last)
{
    struct tracking *t = of_loan(loan);
    const struct link *l = loan->link;
    struct notice n;

    notice_feed(&t->reader, bytes, first, last);
    while (loan->link == l && notice_next(&t->reader, &n))
        on_notice(t, &n);
}

/* ---- the loan ---- */

static void on_lent(struct loan *loan)
{
    begin_arming(of_loan(loan));
}

static void on_refused(struct loan *loan, struct slice error)
{
    struct tracking *t = of_loan(loan);
    const char *trouble = pool_trouble(t->pool);
    struct slice why = slice_str(trouble[0] ? trouble : "no connection within queue_timeout");
    bool passing = true;

    if (error.n > 3) {
        why = slice_of(error.p + 1, error.n - 3);
        passing = t->proto == 2 || is_passing(why); /* who is refused RESP2 is refused everything */
    }
    refuse(t, why, passing);
}

static void on_room(struct loan *loan)
{
    (void)loan; /* what is said is little, and queued whatever is unsent */
}

static void on_lost(struct loan *loan, enum link_failure why)
{
    struct tracking *t = of_loan(loan);
    bool armed = t->state == TRACKING_ARMED;

    forget(t);
    t->ops->lost(t, armed, why);
}

static const struct loan_ops tracking_loan_ops = {on_lent, on_refused, on_frame, on_room, on_lost};
static const struct asker_ops tracking_asker_ops = {on_replies, NULL, on_failed, NULL};
