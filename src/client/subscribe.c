/* subscribe.c - pub/sub.
 *
 * RESP2: a subscriber may say little else, so the whole session moves to a lent link (MODE_LISTEN)
 * whose frames all go to the client as they come; it moves back when nothing is subscribed, all
 * confirmations have come, and it says something that is not of pub/sub.
 *
 * RESP3: confirmations and messages are pushes, and the session goes on as ever. A second lent link
 * carries the subscriptions only. Confirmations must not swap places with replies: SUBSCRIBE waits
 * for the replies before it, and what follows waits for the confirmations. */
#include "client/tenants.h"
#include "client/redirect.h"
#include "net/loop.h"
#include "resp/reply.h"
#include "resp/write.h"

struct form {
    enum sub_kind kind;
    bool off;
};

static struct form form_of(const struct command *cmd)
{
    struct form f = {SUB_CHANNEL, false};

    f.off =
        cmd->id == CMD_UNSUBSCRIBE || cmd->id == CMD_PUNSUBSCRIBE || cmd->id == CMD_SUNSUBSCRIBE;
    if (cmd->id == CMD_PSUBSCRIBE || cmd->id == CMD_PUNSUBSCRIBE)
        f.kind = SUB_PATTERN;
    if (cmd->id == CMD_SSUBSCRIBE || cmd->id == CMD_SUNSUBSCRIBE)
        f.kind = SUB_SHARD;
    return f;
}

/* Sends a command of pub/sub; its confirmations are frames, not replies in the link's order. */
static void send_on(struct client *c, struct link *l, const struct request *q)
{
    struct form f = form_of(q->command);

    /* Without a channel SUBSCRIBE is an error: one frame. UNSUBSCRIBE then means all. */
    if (subscriptions_quiet(&c->more->subs))
        c->more->confirm_ms = client_now(c);
    subscriptions_expect(&c->more->subs, f.kind, q->argc > 1 ? q->argc - 1 : f.off ? 0 : 1);
    clients_sweep_soon(c->all);
    link_ask_more(l, q->bytes);
}

static void listen_begin(struct client *c)
{
    struct session *m = c->more;

    m->loan.link->listening = true;
    m->loan.patient = true;
    c->mode = MODE_LISTEN;
    client_count_listening(c);
    client_settle(c);
}

static void listen_end(struct client *c)
{
    struct session *m = c->more;

    m->loan.patient = false;
    if (m->loan.for_life || m->named) {
        m->loan.link->listening = false;
        borrow_keep(c);
    } else {
        c->mode = MODE_PLAIN;
        loan_end(&m->loan, LOAN_CLEAN);
    }
    client_count_listening(c);
    client_settle(c);
}

static enum next subscribe_resp2(struct client *c, const struct request *q)
{
    struct session *m = client_session(c);
    enum next next;

    if (!client_drained(c))
        return client_wait(c, WAIT_DRAIN);
    if (m->loan.link == NULL && m->sub.link != NULL && !m->sub.link->listening)
        loan_pass(&m->sub, &m->loan); /* others have named it by that link's id */
    if (m->loan.link == NULL) {
        next = borrow(c, LOAN_LONG, -1);
        if (m->loan.link == NULL)
            return next;
    }
    listen_begin(c);
    send_on(c, m->loan.link, q);
    return NEXT;
}

static enum next subscribe_resp3(struct client *c, const struct request *q)
{
    struct session *m = client_session(c);
    /* Subscriptions stay on the link they began on. */
    bool own = c->mode == MODE_OWN && m->sub.link == NULL;
    enum next next;

    if (!client_drained(c) || !subscriptions_quiet(&m->subs))
        return client_wait(c, WAIT_DRAIN);
    if (!own && m->sub.link == NULL) {
        next = borrow_sub(c);
        if (m->sub.link == NULL)
            return next;
    }
    if (!own) {
        m->sub.link->listening = true;
        m->sub.patient = true;
        client_count_listening(c);
    }
    send_on(c, own ? m->loan.link : m->sub.link, q);
    (void)client_wait(c, WAIT_REPLY);
    return NEXT;
}

enum next subscribe_serve(struct client *c, const struct request *q)
{
    return c->proto == 3 ? subscribe_resp3(c, q) : subscribe_resp2(c, q);
}

/* In RESP2 as a subscriber, or monitoring: everything goes to the link. */
enum next listen_serve(struct client *c, const struct request *q)
{
    struct session *m = c->more;
    const struct command *cmd = q->command;

    if (link_full(m->loan.link))
        return client_wait(c, WAIT_ROOM);
    if (cmd != NULL && cmd->route == ROUTE_SUBSCRIBE) {
        send_on(c, m->loan.link, q);
        return NEXT;
    }
    /* Whether this is refused depends on whether anything is still subscribed. */
    if (!m->monitor && subscriptions_none(&m->subs)) {
        if (!subscriptions_quiet(&m->subs))
            return client_wait(c, WAIT_DRAIN);
        listen_end(c);
        return client_again(c);
    }
    if (!m->monitor && !subscriptions_quiet(&m->subs) && (cmd == NULL || cmd->id != CMD_PING))
        return client_wait(c, WAIT_DRAIN);
    subscriptions_expect(&m->subs, SUB_KINDS, 1);
    link_ask_more(m->loan.link, q->bytes);
    return NEXT;
}

static void sub_end(struct client *c)
{
    c->more->sub.patient = false;
    c->more->sub.link->listening = false;
    if (!c->more->named)
        loan_end(&c->more->sub, LOAN_CLEAN);
    client_count_listening(c);
}

/* The beginning of a push in the words of this client: ids are larder's; and who subscribed in
 * RESP3 and went back to RESP2 gets arrays for pushes, and for invalidations messages, as from
 * Redis. */
static struct slice reworded(struct client *c, struct slice bytes)
{
    const struct slice broken = SLICE(">2\r\n$21\r\ntracking-redir-broken\r\n");
    const struct slice invalidate = SLICE(">2\r\n$10\r\ninvalidate\r\n");
    struct buffer *out = &c->all->scratch;
    struct slice rest = bytes;
    struct reply r;

    buffer_done(out);
    if (slice_starts(bytes, broken)) {
        rest = slice_of(bytes.p + broken.n, bytes.n - broken.n);
        if (!reply_read(&rest, &r) || r.number <= 0)
            return bytes;
        buffer_add(out, broken.p, broken.n);
        buffer_printf(out, ":%llu\r\n", (unsigned long long)redirect_id(c, (uint64_t)r.number));
    } else if (c->proto == 2 && slice_starts(bytes, invalidate)) {
        rest = slice_of(bytes.p + invalidate.n, bytes.n - invalidate.n);
        buffer_printf(out, "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n");
        if (slice_eq(rest, SLICE("_\r\n")))
            rest = SLICE("$-1\r\n");
    } else if (c->proto == 2 && bytes.p[0] == '>') {
        rest = slice_of(bytes.p + 1, bytes.n - 1);
        buffer_add(out, "*", 1);
    } else {
        return bytes;
    }
    buffer_add(out, rest.p, rest.n);
    return buffer_slice(out);
}

static void put_frame(struct client *c, struct slice bytes, bool first)
{
    bytes = tenant_strip_frame(c, bytes, first);
    if (bytes.n > 0)
        client_put(c, first ? reworded(c, bytes) : bytes);
}

void subscribe_frame(struct client *c, struct slice bytes, bool first, bool last)
{
    struct session *m = c->more;
    bool waited = !subscriptions_quiet(&m->subs);

    if (first)
        subscriptions_frame(&m->subs, bytes);
    if (c->open)
        put_frame(c, bytes, first);
    if (c->open && !subscriptions_quiet(&m->subs))
        m->confirm_ms = client_now(c);
    if (!c->open || !last || !waited || !subscriptions_quiet(&m->subs))
        return;
    if (c->waits == WAIT_REPLY || c->waits == WAIT_DRAIN)
        client_wake(c);
    if (m->sub.link != NULL && subscriptions_none(&m->subs))
        sub_end(c);
    else if (c->ending)
        client_work(c, WORK_FLUSH);
}
