/* greeting.c - the first words on a link, and the words that make a used one clean again.
 *
 *   greeting:  HELLO 2|3 [AUTH user password]   -> lane's hello, the connection's id
 *              AUTH [user] password                            only where HELLO is not known
 *              SELECT db                                       when the first user is not in db 0
 *   probing:   PING                             for the breaker, before anybody else may use it
 *   held:      whoever has words for an upstream that was away says them first (pool_prelude)
 *   cleaning:  DISCARD (which also forgets WATCH), then UNWATCH if it was not in MULTI
 *
 * A server that refuses HELLO is served all the same where that can be: without credentials of
 * larder's own the client's AUTH may come later (-NOAUTH), and an old or restricted server may not
 * know or allow HELLO 2. Only RESP3 cannot be had then; the client is given the refusal. */
#include <stdio.h>
#include <string.h>

#include "net/loop.h"
#include "resp/reply.h"
#include "resp/write.h"
#include "upstream/pool.h"
#include "upstream/pool_inside.h"

enum step {
    STEP_HELLO,
    STEP_AUTH,
    STEP_SELECT,
    STEP_HELD, /* all is said; it is not the clients' yet */
    STEP_DISCARD,
    STEP_UNWATCH,
    STEP_PING,
    STEP_PREPARE, /* SELECT on a link that nobody uses, for one who needs that database */
};

static void say_db(struct link *l, int db, enum step step)
{
    char text[16];

    (void)snprintf(text, sizeof text, "%d", db);
    l->step = (uint8_t)step;
    l->db = db;
    link_say(l, &l->own, "SELECT", text, NULL);
}

static bool is_kept(struct link *l)
{
    const struct pool_prelude *prelude = l->pool->prelude;

    return prelude != NULL && prelude->ready(prelude->context, l);
}

/* It can be used. */
static void greeted(struct link *l)
{
    l->step = STEP_HELD;
    /* The breaker's probe comes here once more, when it has proved itself. */
    if (l->state > LINK_PROBING || (l->probe && pool_out(l->pool)) || !is_kept(l))
        pool_link_free(l);
}

/* The first that is held and need be no more. */
static struct link *held_in_vain(const struct pool *pool)
{
    for (list_each (lane_node, &pool->lanes)) {
        const struct lane *lane = CONTAINER_OF(lane_node, struct lane, node);

        for (enum link_state state = LINK_GREETING; state <= LINK_PROBING; state++) {
            for (list_each (node, &lane->links[state])) {
                struct link *l = CONTAINER_OF(node, struct link, node);

                if (l->step == STEP_HELD && !is_kept(l))
                    return l;
            }
        }
    }
    return NULL;
}

void pool_precede(struct pool *pool, const struct pool_prelude *prelude)
{
    pool->prelude = prelude;
}

void pool_admit(struct pool *pool)
{
    struct link *l;

    while ((l = held_in_vain(pool)) != NULL)
        pool_link_free(l);
}

void pool_give_up(struct link *l, const char *why)
{
    CHECK(l->state == LINK_GREETING || l->state == LINK_PROBING);
    l->trouble = why;
    if (l->state == LINK_PROBING)
        dial_failed(l->pool, why);
    link_fail(l, LINK_UNREACHED);
}

static void say_first_db(struct link *l)
{
    if (l->db == 0)
        greeted(l);
    else
        say_db(l, l->db, STEP_SELECT);
}

void greeting_begin(struct link *l)
{
    const struct lane *lane = l->lane;
    const char *proto = lane->proto == 3 ? "3" : "2";
    const char *user = lane->user[0] ? lane->user : "default";

    link_become(l, LINK_GREETING);
    stream_want(&l->stream, WANT_READ);
    l->step = STEP_HELLO;
    if (lane->password[0])
        link_say(l, &l->own, "HELLO", proto, "AUTH", user, lane->password, NULL);
    else
        link_say(l, &l->own, "HELLO", proto, NULL);
}

void cleaning_begin(struct link *l)
{
    link_become(l, LINK_CLEANING);
    l->step = STEP_DISCARD;
    link_say(l, &l->own, "DISCARD", NULL);
}

void probe_ping(struct link *l)
{
    link_become(l, LINK_PROBING);
    l->step = STEP_PING;
    link_say(l, &l->own, "PING", NULL);
}

/* Major * 10000 + minor * 100 + patch. */
static unsigned version_number(struct slice text)
{
    unsigned part[3] = {0, 0, 0};
    size_t k = 0;

    for (size_t i = 0; i < text.n && k < 3; i++) {
        if (text.p[i] == '.')
            k++;
        else if (text.p[i] < '0' || text.p[i] > '9' || part[k] > 99)
            break;
        else
            part[k] = part[k] * 10 + (unsigned)(text.p[i] - '0');
    }
    return part[0] * 10000 + part[1] * 100 + part[2];
}

/* A server that Sentinels call the master says that it is none. */
static bool is_replica(const struct link *l, struct slice hello)
{
    struct reply r, value;

    if (l->pool->guide == NULL || !reply_read(&hello, &r))
        return false;
    while (hello.n > 0 && reply_read(&hello, &r)) {
        struct slice at = hello;

        if (!reply_skip(&hello) || !reply_read(&at, &value))
            return false;
        if (slice_eq(r.text, SLICE("role")))
            return slice_eq(value.text, SLICE("replica")) || slice_eq(value.text, SLICE("slave"));
    }
    return false;
}

/* Keeps the reply to HELLO for clients that say HELLO to larder, and what it tells. */
static void learn_hello(struct link *l, struct slice bytes)
{
    struct lane *lane = l->lane;
    struct slice rest = bytes;
    struct reply r, value;

    if (!reply_read(&rest, &r) || (r.type != '*' && r.type != '%'))
        return;
    lane->id_at = lane->id_len = 0;
    while (rest.n > 0 && reply_read(&rest, &r)) {
        struct slice at = rest;
        const char *from = rest.p;

        if (!reply_skip(&rest) || !reply_read(&at, &value))
            break;
        if (slice_eq(r.text, SLICE("id")) && value.type == ':') {
            /* `:17\r\n`: the digits are what a client is shown its own number in place of. */
            lane->id_at = (size_t)(from + 1 - bytes.p);
            lane->id_len = (size_t)(at.p - 2 - (from + 1));
            l->id = (uint64_t)value.number;
        } else if (slice_eq(r.text, SLICE("version"))) {
            l->pool->version = version_number(value.text);
        }
    }
    buffer_done(&lane->hello);
    buffer_add(&lane->hello, bytes.p, bytes.n);
    buffer_done(&lane->hello_error);
}

static void keep(struct buffer *b, struct slice error)
{
    struct buffer copy = {0}; /* error may be a slice of b */

    buffer_add(&copy, error.p, error.n);
    buffer_done(b);
    *b = copy;
}

/* The link cannot serve: tell those who wait what upstream said. */
static void refused(struct link *l, struct slice error)
{
    char why[160];

    l->lane->rejected = slice_starts(error, SLICE("-WRONGPASS"));
    keep(&l->lane->refusal, error);
    l->lane->refused_db = -1;
    (void)snprintf(why, sizeof why, "%.*s", (int)(error.n > 3 ? error.n - 3 : 0), error.p + 1);
    l->refusal = true;
    dial_refused(l->lane, why);
    loans_refuse(l->lane, buffer_slice(&l->lane->refusal), -1);
    link_fail(l, LINK_UNREACHED);
}

/* The link is well, only not in that database (-BUSY, -NOPERM ..): who wants just that is told so.
 * Before login every command is refused; then the clients' own are, too, and nobody need be told
 * here. */
static void select_refused(struct link *l, struct slice error)
{
    struct lane *lane = l->lane;
    bool login = slice_starts(error, SLICE("-NOAUTH"));
    struct buffer copy = {0};
    int db = l->db;

    buffer_add(&copy, error.p, error.n);
    l->db = l->db_before;
    if (!login) /* before the link is free: it would be sent there again for them */
        loans_refuse(lane, buffer_slice(&copy), db);
    greeted(l);
    if (!login) {
        keep(&lane->refusal, buffer_slice(&copy));
        lane->refused_db = db;
        dial_pause(lane);
        lane_wake(lane);
    }
    buffer_done(&copy);
}

static void on_hello(struct link *l, struct slice bytes)
{
    struct lane *lane = l->lane;

    if (is_replica(l, bytes)) {
        l->trouble = "it is a replica";
        pool_doubt(l->pool, DOUBT_REPLICA);
        link_fail(l, LINK_UNREACHED);
        return;
    }
    if (bytes.p[0] != '-') {
        learn_hello(l, bytes);
        say_first_db(l);
        return;
    }
    keep(&lane->hello_error, bytes);
    if (slice_starts(bytes, SLICE("-WRONGPASS"))) {
        refused(l, bytes);
        return;
    }
    if (lane->password[0]) {
        l->step = STEP_AUTH;
        if (lane->user[0])
            link_say(l, &l->own, "AUTH", lane->user, lane->password, NULL);
        else
            link_say(l, &l->own, "AUTH", lane->password, NULL);
        return;
    }
    /* -NOAUTH, or a server without HELLO: serve what can be served. In RESP3 nothing can. */
    if (lane->proto == 3)
        refused(l, bytes);
    else
        say_first_db(l);
}

static void on_step(struct link *l, struct slice bytes)
{
    bool error = bytes.p[0] == '-';

    switch ((enum step)l->step) {
    case STEP_HELLO:
        on_hello(l, bytes);
        return;
    case STEP_AUTH:
        if (error || l->lane->proto == 3)
            refused(l, error ? bytes : buffer_slice(&l->lane->hello_error));
        else
            say_first_db(l);
        return;
    case STEP_SELECT:
    case STEP_PREPARE:
        if (error) {
            select_refused(l, bytes);
            return;
        }
        pool_note_db(l->pool, l->db);
        greeted(l);
        return;
    case STEP_HELD:
        return;
    case STEP_PING:
        if (breaker_proved(l, bytes))
            greeted(l);
        return;
    case STEP_DISCARD:
        l->step = STEP_UNWATCH;
        if (error)
            link_say(l, &l->own, "UNWATCH", NULL);
        else
            pool_link_free(l);
        return;
    case STEP_UNWATCH:
        if (error)
            link_fail(l, LINK_CLOSED);
        else
            pool_link_free(l);
        return;
    }
}

static void own_replies(struct asker *a, struct slice bytes, uint32_t n)
{
    struct link *l = CONTAINER_OF(a, struct link, own);

    (void)n;
    on_step(l, bytes);
}

static void own_failed(struct asker *a, uint32_t n, enum link_failure why, bool begun)
{
    (void)a; /* link_tick() fails a link whose own words have no answer */
    (void)n;
    (void)why;
    (void)begun;
}

const struct asker_ops greeting_asker_ops = {own_replies, NULL, own_failed, NULL};

void prepare_begin(struct link *l, int db)
{
    buffer_done(&l->lane->refusal);
    l->db_before = l->db;
    link_become(l, LINK_CLEANING);
    say_db(l, db, STEP_PREPARE);
}
