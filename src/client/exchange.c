/* exchange.c - requests whose replies larder looks at, because they change the session, or are
 * changed on the way.
 *
 * An exchange counts as one reply due like a plain request, and is asked on the session's own link,
 * so its place in the order is right by itself. Objects are reused: none is allocated per request
 * once there are as many as are ever in flight. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/tenants.h"
#include "client/redirect.h"
#include "client/unwrap.h"
#include "resp/reply.h"
#include "resp/write.h"

struct exchange {
    struct asker asker;
    struct client *client;
    struct list node; /* among the spare ones */
    uint8_t kind;     /* enum exchange_kind */
    bool muted;
    char type; /* first byte of the reply, while it comes in pieces */
    int32_t detail;
    uint32_t due;           /* replies still to come */
    struct wrapped wrapped; /* EX_UNWRAP */
};

static const struct asker_ops piece_ops, whole_ops;

/* Replies that are looked into, and so are collected; the rest may pass in pieces. */
static bool needs_whole(enum exchange_kind kind)
{
    return kind == EX_INFO || kind == EX_HELLO || kind == EX_OWN_HELLO || kind == EX_EXEC_DB ||
           kind == EX_REDIR || kind == EX_AUTH || kind == EX_EXISTS || kind == EX_QUEUED ||
           kind == EX_FOLLOW || kind == EX_DROP || kind == EX_DROP_LAST;
}

static struct exchange *exchange_new(struct client *c, enum exchange_kind kind, int32_t detail)
{
    struct clients *all = c->all;
    struct exchange *x;

    if (list_empty(&all->spare_exchanges)) {
        x = must_alloc(sizeof *x);
    } else {
        x = CONTAINER_OF(all->spare_exchanges.next, struct exchange, node);
        list_leave(&x->node);
    }
    *x = (struct exchange){.asker = {needs_whole(kind) ? &whole_ops : &piece_ops},
                           .client = c,
                           .kind = (uint8_t)kind,
                           .muted = client_is_muted(c),
                           .due = 1,
                           .detail = detail};
    list_init(&x->node);
    return x;
}

static void ask(struct exchange *x, struct link *l, struct slice bytes)
{
    struct client *c = x->client;

    link_ask(l, &x->asker, bytes, x->due, true);
    c->owed++;
    c->asked++;
    if (UNLIKELY(c->heavy))
        heavy_asked(c, 1, bytes.n);
    if (c->more != NULL)
        client_asked_late(c, l);
}

void exchange_ask(struct client *c, struct link *l, struct slice bytes, enum exchange_kind kind,
                  int32_t detail)
{
    ask(exchange_new(c, kind, detail), l, bytes);
}

void exchange_exec(struct client *c, struct link *l, struct wrapped w)
{
    struct exchange *x = exchange_new(c, EX_UNWRAP, 0);

    x->wrapped = w;
    ask(x, l, SLICE("*1\r\n$4\r\nEXEC\r\n"));
}

void exchange_follow(struct client *c, struct link *l, struct slice bytes, uint32_t n,
                     enum exchange_kind kind)
{
    struct exchange *x = exchange_new(c, kind, 0);

    (void)client_session(c);
    x->due = n;
    ask(x, l, bytes);
}

void exchanges_done(struct clients *all)
{
    while (!list_empty(&all->spare_exchanges)) {
        struct exchange *x = CONTAINER_OF(all->spare_exchanges.next, struct exchange, node);

        list_leave(&x->node);
        free(x);
    }
}

static void spare(struct exchange *x)
{
    list_push_back(&x->client->all->spare_exchanges, &x->node);
}

/* INFO: upstream's text and a section of larder's own behind it, if that is asked for. */
static void put_info(struct client *c, struct slice bytes, bool section)
{
    struct buffer *out = &c->all->scratch, text = {0};
    struct slice rest = bytes;
    struct reply r;

    if (!reply_read(&rest, &r) || (r.type != '$' && r.type != '=')) {
        client_put(c, bytes);
        return;
    }
    if (r.type == '=' && r.text.n >= 4)
        r.text = slice_of(r.text.p + 4, r.text.n - 4);
    buffer_add(&text, r.text.p, r.text.n);
    if (c->all->pause.on)
        pause_count_held(c->all, &text);
    if (section && r.text.n > 0)
        buffer_add(&text, "\r\n", 2);
    if (section)
        c->all->console->info(c->all->console->context, &text);
    buffer_done(out);
    if (r.type == '=')
        write_text(out, 3, buffer_slice(&text));
    else
        write_bulk(out, buffer_slice(&text));
    client_put(c, buffer_slice(out));
    buffer_done(&text);
}

/* The number that stands under `key` in a map, as the bytes of the reply have it (`:17` CR LF);
 * empty when there is none. */
static struct slice number_under(struct slice bytes, struct slice key)
{
    struct slice rest = bytes;
    struct reply r;

    if (!reply_read(&rest, &r) || (r.type != '*' && r.type != '%'))
        return slice_of("", 0);
    while (rest.n > 0 && reply_read(&rest, &r)) {
        const char *value = rest.p;

        if (!reply_skip(&rest))
            break;
        if (slice_eq(r.text, key) && value[0] == ':')
            return slice_of(value, (size_t)(rest.p - value));
    }
    return slice_of("", 0);
}

/* The reply, with another number in place of that one. */
static void put_number(struct client *c, struct slice bytes, struct slice old, uint64_t number)
{
    struct buffer *out = &c->all->scratch;
    const char *behind = old.p + old.n;

    buffer_done(out);
    buffer_add(out, bytes.p, (size_t)(old.p - bytes.p));
    buffer_printf(out, ":%llu\r\n", (unsigned long long)number);
    buffer_add(out, behind, (size_t)(bytes.p + bytes.n - behind));
    client_put(c, buffer_slice(out));
}

/* HELLO's map with larder's number for this connection. */
static void put_hello(struct client *c, struct slice bytes)
{
    struct slice id = number_under(bytes, SLICE("id"));

    if (id.n > 0)
        put_number(c, bytes, id, c->id);
    else
        client_put(c, bytes);
}

/* CLIENT INFO of the link, asked after an EXEC that had queued a SELECT: `... db=3 ...`. */
static void learn_db(struct client *c, struct slice bytes)
{
    const char *at = memmem(bytes.p, bytes.n, " db=", 4);
    int db = 0;

    if (at == NULL) { /* refused: where session and link are now cannot be told */
        if (client_lent(c) != NULL)
            client_lent(c)->db = -1;
        client_end(c, CLOSE_UPSTREAM);
        return;
    }
    for (at += 4; *at >= '0' && *at <= '9' && db < 100000000; at++)
        db = db * 10 + (*at - '0');
    local_selected(c, db, true);
}

/* An id of upstream's, as CLIENT GETREDIR and TRACKINGINFO tell it, becomes that of the larder
 * client who has, or had, that link. */
static void put_redir(struct client *c, struct slice bytes)
{
    struct slice named = tenant_strip(c, STRIP_TRACKING, bytes, true);
    struct slice old = named.p[0] == ':' ? named : number_under(named, SLICE("redirect"));
    struct slice rest = old;
    struct reply r;

    if (reply_read(&rest, &r) && r.number > 0)
        put_number(c, named, old, redirect_id(c, (uint64_t)r.number));
    else
        client_put(c, named);
}

/* EXISTS of some keys: those that larder knew to exist are added. */
static void put_sum(struct client *c, struct slice bytes, int32_t known)
{
    struct slice rest = bytes;
    struct reply r;

    if (!reply_read(&rest, &r) || r.type != ':') {
        client_put(c, bytes);
        return;
    }
    buffer_done(&c->all->scratch);
    write_int(&c->all->scratch, r.number + known);
    client_put(c, buffer_slice(&c->all->scratch));
}

static void pass(struct client *c, struct exchange *x, struct slice bytes)
{
    if (!c->open || x->muted)
        return;
    switch ((enum exchange_kind)x->kind) {
    case EX_DROP:
    case EX_EXEC_DB:
    case EX_QUEUED:
    case EX_FOLLOW:
    case EX_DROP_LAST:
        return;
    case EX_EXEC:
        client_put(c, exec_cut(c, tenant_strip_exec(c, bytes, true), true));
        return;
    case EX_INFO:
        put_info(c, bytes, x->detail != 0);
        return;
    case EX_HELLO:
    case EX_OWN_HELLO:
        put_hello(c, bytes);
        return;
    case EX_REDIR:
        put_redir(c, bytes);
        return;
    case EX_EXISTS:
        put_sum(c, bytes, x->detail);
        return;
    case EX_UNWRAP:
        client_put(c, unwrap(c, bytes, true, x->wrapped));
        return;
    case EX_ABORT:
        client_put(c, SLICE("-EXECABORT Transaction discarded because of previous errors.\r\n"));
        return;
    case EX_SELECT:
    case EX_MULTI:
    case EX_DISCARD:
    case EX_WATCH:
    case EX_UNWATCH:
    case EX_AUTH:
    case EX_PAUSE:
    case EX_PASS:
        client_put(c, bytes);
        return;
    case EX_OWN_TRY:
        client_put(c, tenant_strip(c, STRIP_ERROR, bytes, true));
        return;
    case EX_STRIP:
    case EX_LENT:
        client_put(c, tenant_strip(c, (enum strip_rule)x->detail, bytes, true));
        return;
    }
}

/* What the reply means for the session. The client is open. */
static void act(struct client *c, struct exchange *x, char type, struct slice bytes)
{
    bool ok = type != '-';

    switch ((enum exchange_kind)x->kind) {
    case EX_SELECT:
        local_selected(c, x->detail, ok);
        return;
    case EX_MULTI:
    case EX_EXEC:
    case EX_DISCARD:
    case EX_ABORT:
    case EX_WATCH:
    case EX_UNWATCH:
        tx_replied(c, (enum exchange_kind)x->kind, type, bytes);
        return;
    case EX_LENT:
    case EX_DROP_LAST:
        borrow_return(c, LOAN_CLEAN);
        return;
    case EX_UNWRAP:
        unwrap_done(c);
        if (c->mode == MODE_PLAIN && client_lent(c) != NULL)
            borrow_return(c, LOAN_CLEAN);
        return;
    case EX_OWN_TRY:
        borrow_tried(c, ok && x->detail != 0);
        return;
    case EX_AUTH:
    case EX_HELLO:
    case EX_OWN_HELLO:
        local_logged_in(c, (enum exchange_kind)x->kind, ok, x->detail);
        return;
    case EX_EXEC_DB:
        learn_db(c, bytes);
        tx_leave(c);
        return;
    case EX_INFO:
    case EX_DROP:
    case EX_REDIR:
    case EX_PAUSE:
    case EX_PASS:
    case EX_STRIP:
    case EX_EXISTS:
    case EX_QUEUED:
    case EX_FOLLOW:
        return;
    }
}

static void finish(struct exchange *x, char type, struct slice bytes)
{
    struct client *c = x->client;

    /* Whoever asked may have left: Redis has done it all the same. */
    if (x->kind == EX_PAUSE || x->kind == EX_EXEC)
        pause_answered(c, type == (x->kind == EX_PAUSE ? '+' : '*'));
    /* The answer to a large request that is still being sent, which nothing stands behind: an
     * error, and the link is useless. */
    if (c->open && c->more != NULL && c->more->streaming && c->owed == 1) {
        if (x->kind == EX_QUEUED)
            client_put(c, buffer_slice(&c->more->shape_answer));
        client_end(c, CLOSE_UPSTREAM);
    } else if (c->open)
        act(c, x, type, bytes);
    spare(x);
    if (c->open && (c->waits == WAIT_REPLY || c->waits == WAIT_BLOCKED) && c->owed == 1)
        client_wake(c);
    client_answered(c, 1);
}

static void on_replies(struct asker *a, struct slice bytes, uint32_t n)
{
    struct exchange *x = CONTAINER_OF(a, struct exchange, asker);

    /* The null array that EXEC answers under WATCH is `_` of RESP3 in other letters. */
    char type = slice_starts(bytes, SLICE("*-")) ? '_' : bytes.p[0];

    CHECK(n <= x->due);
    if (x->kind == EX_QUEUED || x->kind == EX_FOLLOW)
        unwrap_note(x->client, bytes, x->kind == EX_QUEUED);
    x->due -= n;
    if (x->due > 0)
        return;
    writes_answered(x->client, 1);
    pass(x->client, x, bytes);
    /* If the client went just now, its link may have gone too, and with it the bytes. */
    finish(x, type, x->client->open ? bytes : slice_of("", 0));
}

/* What of a piece is the client's. */
static struct slice rework(const struct exchange *x, struct slice bytes, bool first)
{
    if (x->kind == EX_UNWRAP)
        return unwrap(x->client, bytes, first, x->wrapped);
    if (x->kind == EX_STRIP || x->kind == EX_LENT)
        return tenant_strip(x->client, (enum strip_rule)x->detail, bytes, first);
    if (x->kind != EX_EXEC)
        return bytes;
    return exec_cut(x->client, tenant_strip_exec(x->client, bytes, first), first);
}

static bool on_piece(struct asker *a, struct slice bytes, bool last)
{
    struct exchange *x = CONTAINER_OF(a, struct exchange, asker);
    struct client *c = x->client;
    struct link *l = client_lent(c) != NULL ? client_lent(c) : c->link;
    bool full = false, first;

    first = x->type == 0;
    if (first)
        x->type = bytes.p[0];
    writes_answered(c, 1);
    if (c->open && !x->muted)
        full = client_put_piece(c, rework(x, bytes, first), l);
    c->half_out = !last && !x->muted;
    if (last)
        finish(x, x->type, slice_of("", 0));
    return full;
}

static void on_failed(struct asker *a, uint32_t n, enum link_failure why, bool begun)
{
    struct exchange *x = CONTAINER_OF(a, struct exchange, asker);
    struct client *c = x->client;
    /* A large write: nothing behind it is asked yet, that could be answered by an error. */
    bool sending = c->open && c->more != NULL && c->more->streaming;
    bool silent = x->muted || x->kind == EX_DROP || x->kind == EX_EXEC_DB ||
                  (x->kind == EX_QUEUED && !sending) || x->kind == EX_FOLLOW ||
                  x->kind == EX_DROP_LAST;

    enum exchange_kind kind = (enum exchange_kind)x->kind;

    CHECK(n <= x->due);
    x->due -= n;
    if (x->due > 0)
        return;
    if (kind == EX_UNWRAP && c->open)
        unwrap_done(c);
    spare(x);
    if (kind == EX_PAUSE || kind == EX_EXEC)
        pause_answered(c, false);
    if (c->open && (c->waits == WAIT_REPLY || c->waits == WAIT_BLOCKED) && c->owed == 1)
        client_wake(c);
    writes_answered(c, 1);
    if (silent)
        client_answered(c, 1);
    else
        client_failed(c, 1, why, begun);
    /* Whether the session is in that database, or that user, is unknown: it cannot go on. */
    if (c->open && (kind == EX_SELECT || kind == EX_AUTH || kind == EX_HELLO))
        client_end(c, CLOSE_UPSTREAM);
}

static const void *whose(struct asker *a)
{
    return CONTAINER_OF(a, struct exchange, asker)->client;
}

static const struct asker_ops piece_ops = {on_replies, on_piece, on_failed, whose};
static const struct asker_ops whole_ops = {on_replies, NULL, on_failed, whose};
