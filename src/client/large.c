/* large.c - requests too large to collect (over LARGE_REQUEST_BYTES): streamed to a lent link.
 *
 * A shared link takes only whole requests, for a slow sender would hold up everybody else on it. So
 * the session gets a link to itself for the time, and passes on what has come, at the pace upstream
 * takes it: neither side of it is ever kept in memory. What larder would answer itself, refuse or
 * change is not streamed: it is swallowed, and refused. */
#include "client/client.h"
#include "client/near.h"
#include "client/outage.h"
#include "client/quota.h"
#include "client/rules.h"
#include "client/tenants.h"
#include "net/loop.h"
#include "resp/write.h"

enum { STREAM_NONE, STREAM_PASS, STREAM_SWALLOW };

static struct request_limits limits_of(const struct client *c)
{
    return (struct request_limits){.max_bulk = c->all->settings->max_bulk,
                                   .max_request = c->all->settings->max_request,
                                   .unauthenticated = !c->authenticated};
}

/* Swallows the request; the error stands in its place. Within MULTI that spoils the transaction. */
static void swallow(struct client *c, const char *why)
{
    struct session *m = c->more;

    m->streaming = STREAM_SWALLOW;
    m->spoilt |= m->in_multi;
    c->all->count.commands_refused++;
    write_error(client_answer(c), "%s", why);
}

static bool passes(const struct client *c, const struct command *cmd)
{
    if (c->mode == MODE_LISTEN || (c->mode == MODE_OWN && client_lent(c)->raw))
        return false;
    if (cmd == NULL || c->mode == MODE_OWN || (c->mode == MODE_TX && c->more->in_multi))
        return true;
    return cmd->route == ROUTE_SHARED || cmd->route == ROUTE_LENT || cmd->id == CMD_ECHO ||
           cmd->id == CMD_PING || cmd->id == CMD_SELECT || /* so long a number is an error */
           (cmd->route == ROUTE_BLOCK && c->mode == MODE_PLAIN);
}

/* The link to stream to; NULL: not now, or answered by an error (*ret_next). */
static struct link *link_for(struct client *c, enum next *ret_next)
{
    struct session *m = client_session(c);

    if (c->mode == MODE_PLAIN && m->loan.link == NULL) {
        *ret_next = borrow(c, LOAN_POOL, c->db);
        if (m->loan.link == NULL && *ret_next == NEXT)
            m->streaming = STREAM_SWALLOW; /* refused, and the client told so */
    } else if (buffer_len(&m->loan.link->out) > 0) {
        *ret_next = client_wait(c, WAIT_ROOM);
        return NULL;
    }
    return m->loan.link;
}

/* The head of the request, with what is said in front of it. */
static void ask_head(struct client *c, struct link *l, struct slice head)
{
    struct session *m = c->more;
    bool plain = c->mode == MODE_PLAIN;

    m->tx_sent += m->in_multi && m->large_shape == NULL;
    if (m->large_shape == NULL) {
        exchange_ask(c, l, head, plain ? EX_LENT : EX_PASS, 0);
    } else if (plain) {
        shape_open(c, l, m->large_shape);
        exchange_ask(c, l, head, EX_QUEUED, 0);
    } else {
        shape_before(c, l, m->large_shape);
        exchange_ask(c, l, head, EX_PASS, 0);
    }
}

/* The number of the reply with which all that is said is done. */
static uint32_t last_reply(const struct client *c)
{
    const struct shape *s = c->more->large_shape;

    return s == NULL ? c->asked : c->asked + (s->behind_n > 0) + (c->mode == MODE_PLAIN);
}

/* The first piece: a request begins of which scan->pos bytes are understood, to be sent as head. */
static size_t begin_pass(struct client *c, struct slice head, const struct request_scan *scan,
                         const struct command *cmd)
{
    struct session *m = c->more;
    enum next next = NEXT;
    struct link *l = link_for(c, &next);
    bool plain = c->mode == MODE_PLAIN;

    if (l == NULL && m->streaming != STREAM_SWALLOW)
        return 0;
    m->scan = *scan;
    if (l == NULL)
        return (size_t)scan->pos;
    m->streaming = STREAM_PASS;
    m->was_patient = m->loan.patient || (plain && cmd != NULL && cmd->route == ROUTE_BLOCK);
    m->loan.patient = true;
    c->all->count.commands_large++;
    ask_head(c, l, head);
    if (m->large_shape != NULL)
        rules_asked(
            c, &(struct request){.command = cmd, .argv = c->all->args.v, .argc = c->all->args.n});
    if (c->all->near != NULL)
        writes_note_large(c, cmd, &c->all->args, last_reply(c));
    return (size_t)scan->pos;
}

/* Policies have a say in what only the whole request tells. */
static bool must_collect(struct client *c, const struct command *cmd, uint64_t need,
                         enum namespace_result put)
{
    struct clients *all = c->all;
    struct session *m = c->more;
    struct request known = {.command = cmd, .argv = all->args.v, .argc = all->args.n};
    enum large_rules rules = LARGE_PASSES;

    shape_free(m->large_shape);
    m->large_shape = NULL;
    if (c->mode == MODE_LISTEN || all->args.n == 0 || put > NAMESPACE_PUT)
        return false;
    if ((c->tenant != NULL && put == NAMESPACE_AS_IS) || (cmd != NULL && cmd->id == CMD_LARDER))
        rules = LARGE_COLLECT; /* its names are to be prefixed; MSETEX */
    else if (all->rules != NULL)
        rules = rules_large(c, &known);
    if (rules == LARGE_SHAPED)
        m->large_shape = shape_take(&all->rules->shape);
    if (rules == LARGE_COLLECT && need > LARGE_COLLECT_BYTES)
        swallow(c, "ERR request too large for larder to see what its policies say of it");
    return rules == LARGE_COLLECT && need <= LARGE_COLLECT_BYTES;
}

/* The tenant's max_ops: true, and it waits; or it is swallowed, or goes on. */
static bool is_held(struct client *c, const struct command *cmd)
{
    struct buffer error = {0};
    bool waits;

    if (c->tenant == NULL || c->more->streaming != STREAM_NONE || quota_pays(c, cmd))
        return false;
    waits = quota_hold_large(c, cmd, &error);
    if (!waits)
        swallow(c, buffer_head(&error));
    buffer_done(&error);
    return waits;
}

/* A request that needs more than LARGE_REQUEST_BYTES begins at p. Returns how much is dealt with.
 */
size_t large_begin(struct client *c, const char *p, size_t n)
{
    struct clients *all = c->all;
    struct session *m = client_session(c);
    struct request_limits limits = limits_of(c);
    struct request_scan scan = {0};
    const struct command *cmd = NULL;
    enum pause_effect effect;
    struct request q;
    enum namespace_result put = NAMESPACE_AS_IS;
    struct slice head;
    size_t used = 0;
    uint64_t need;

    m->scan = (struct request_scan){0};
    if (request_scan(&scan, p, n, &limits, &all->args, &all->words, &need) != SCAN_MORE)
        return 0;
    if (all->args.n > 0)
        cmd = command_of(all->args.v, all->args.n);
    head = slice_of(p, (size_t)scan.pos);
    q = (struct request){.command = cmd, .argv = all->args.v, .argc = scan.argc};
    effect = pause_effect(c, &q);
    if (effect == PAUSE_HOLDS || (effect == PAUSE_UNCLEAR && c->mode != MODE_PLAIN)) {
        (void)client_wait(c, WAIT_PAUSE);
        return 0;
    }
    if (tx_unclear(c)) {
        (void)client_wait(c, WAIT_DRAIN);
        return 0;
    }
    if (c->tenant != NULL && all->args.n > 0)
        put = tenant_put_head(c, cmd, scan.argc, &head);
    if (must_collect(c, cmd, need, put)) {
        m->scan = scan;
        return 0;
    }
    if (is_held(c, cmd))
        return 0;
    if (c->mode == MODE_TX && m->in_multi)
        m->queued++;
    if (m->streaming != STREAM_NONE)
        ; /* refused above */
    else if (all->args.n == 0)
        swallow(c, "ERR unknown command: its name is longer than larder collects");
    else if (put > NAMESPACE_PUT)
        swallow(c, "NOPERM refused to tenants, or not as the command wants its arguments");
    else if (cmd == NULL && memchr(all->args.v[0].p, 0, all->args.v[0].n) != NULL)
        swallow(c, "ERR unknown command");
    else if (cmd != NULL && (cmd->flags & all->refused_flags) != 0)
        swallow(c, "NOPERM refused by larder: it administers the server (admin_commands)");
    else if (UNLIKELY(all->outage != NULL) && outage_serve_large(c, &q))
        m->streaming = STREAM_SWALLOW;
    else if (!passes(c, cmd))
        swallow(c, "ERR request too large for a command that larder answers or watches itself");
    if (m->streaming == STREAM_SWALLOW) {
        m->scan = scan;
        used = (size_t)scan.pos;
    } else {
        used = begin_pass(c, head, &scan, cmd);
        /* Its reply may be long in coming: the client waits as if it were blocked. */
        m->unclear = effect == PAUSE_UNCLEAR && m->streaming == STREAM_PASS;
        m->was_patient |= m->unclear;
    }
    quota_changed(c);
    if (m->streaming == STREAM_NONE && c->tenant != NULL)
        quota_paid(c);
    return m->streaming ? used + large_serve(c, p + used, n - used) : used;
}

/* What is said behind the request. */
static void end_shape(struct client *c)
{
    struct session *m = c->more;

    if (m->large_shape == NULL)
        return;
    if (c->mode == MODE_PLAIN)
        shape_close(c, m->loan.link, m->large_shape);
    else
        shape_behind(c, m->loan.link, m->large_shape, EX_DROP);
    shape_free(m->large_shape);
    m->large_shape = NULL;
}

static void end_of_request(struct client *c)
{
    struct session *m = c->more;
    bool passed = m->streaming == STREAM_PASS;

    m->streaming = STREAM_NONE;
    m->scan = (struct request_scan){0};
    c->all->count.commands++;
    if (passed) {
        m->loan.patient = m->was_patient;
        link_ask_done(m->loan.link);
        end_shape(c);
    }
    client_after_command(c);
    /* The reply to a request may come before its end (an error): then there is nothing to wait for.
     */
    if (passed && c->mode == MODE_PLAIN && c->owed > 0)
        (void)client_wait(c, m->was_patient ? WAIT_BLOCKED : WAIT_REPLY);
}

/* The next pieces of the request under way. Returns how much of p[0..n) belonged to it. */
size_t large_serve(struct client *c, const char *p, size_t n)
{
    struct session *m = c->more;
    struct request_limits limits = limits_of(c);
    size_t used = 0;
    enum scan r;

    if (m->streaming == STREAM_PASS && buffer_len(&m->loan.link->out) >= LINK_STREAM_BYTES) {
        (void)client_wait(c, WAIT_ROOM);
        return 0;
    }
    r = request_stream(&m->scan, p, n, &limits, &used);
    if (r == SCAN_BAD) {
        char text[96];

        request_error_text(&m->scan, text, sizeof text);
        c->all->count.protocol_errors++;
        /* Half a request is out: there is nothing to wait for, and no order left to keep. */
        write_error(&c->out, "ERR %s", text);
        client_flush(c);
        client_close(c, CLOSE_PROTOCOL);
        return n;
    }
    if (m->streaming == STREAM_PASS)
        link_ask_more(m->loan.link, slice_of(p, used));
    if (r == SCAN_OK)
        end_of_request(c);
    return used;
}
