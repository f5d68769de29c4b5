/* serve.c - the way of a request through larder.
 *
 *   bytes in -> whole? (resp) -> known? (command) -> allowed? -> where does it go?
 *
 *      ordinary, session plain:    straight to the shared link; those that follow each other in the
 *                                  buffer leave as one run, which is what makes a pipeline cheap
 *      a read that a policy keeps: from memory, or asked for once (near.c)
 *      anything else:             route.c: answered here (local.c, client_command.c), in a
 *                                 transaction (transaction.c), to a lent link (borrow.c), a
 *                                 subscription (subscribe.c), too large to collect (large.c)
 *
 * A request that cannot be dealt with now stays in the buffer: the session notes what it waits for
 * (LATER), reads ahead a little at most, and the request is looked at again from its start when
 * that has come. So every handler may be entered more than once for one request and does nothing
 * final before it says NEXT.
 *
 * Order (P4): the commands of a session go to one link at a time, and it changes link only when
 * nothing of its own is unanswered (WAIT_DRAIN). */
#include "client/client.h"
#include "client/near.h"
#include "client/outage.h"
#include "client/quota.h"
#include "client/rules.h"
#include "client/tenants.h"
#include "client/turns.h"
#include "net/loop.h"
#include "resp/write.h"

/* Requests that stand one behind the other in the read buffer and go to the shared link as they
 * are. */
struct run {
    const char *p;
    size_t n;
    uint32_t count, most; /* requests */
    size_t most_n;        /* bytes; one more request is fine */
};

/* ---- the shared link ---- */

/* A local answer is held at this point: replies before and after it must not come in one piece. */
static bool at_held_answer(const struct client *c)
{
    return c->more != NULL && c->more->held_last != NULL && c->more->held_last->at == c->asked;
}

/* A command that has waited for a link waits no longer for its reply than is left of its time. */
void client_asked_late(struct client *c, struct link *l)
{
    uint64_t waited_ms = client_now(c) - c->more->wait_ms;

    if (c->more->wait_ms != 0 && waited_ms < pool_command_timeout(c->all->pool))
        link_ask_since(l, c->more->wait_ms);
    c->more->wait_ms = 0;
}

INLINED void ask(struct client *c, struct link *l, struct slice bytes, uint32_t n)
{
    if (UNLIKELY(client_is_muted(c))) {
        c->more->muted_owed += n;
        c->more->muted_asked += n;
        if (UNLIKELY(c->heavy))
            heavy_muted(c, n, bytes.n);
        link_ask(l, &c->more->muted, bytes, n, false);
        return;
    }
    link_ask(l, &c->asker, bytes, n, at_held_answer(c));
    c->owed += n;
    c->asked += n;
    if (UNLIKELY(c->heavy))
        heavy_asked(c, n, bytes.n);
    if (UNLIKELY(c->more != NULL))
        client_asked_late(c, l);
}

/* Asks q on the shared link, its reply to pass as it comes. */
enum next client_ask(struct client *c, const struct request *q)
{
    enum next next = NEXT;
    struct link *l = client_link(c, &next);

    if (l == NULL)
        return next;
    if (UNLIKELY(q->shape != NULL))
        shape_ask(c, l, q);
    else if (UNLIKELY(q->strip != STRIP_NOTHING))
        exchange_ask(c, l, q->bytes, EX_STRIP, q->strip);
    else if (LIKELY(c->all->outage == NULL) || q->fresh || !outage_ask(c, l, q))
        ask(c, l, q->bytes, 1);
    return NEXT;
}

void client_ask_on(struct client *c, struct link *l, const struct request *q)
{
    ask(c, l, q->bytes, 1);
}

/* These are not queued in a MULTI: Redis answers them at once. */
static bool is_queued(const struct command *cmd)
{
    return cmd == NULL || (cmd->id != CMD_MULTI && cmd->id != CMD_WATCH);
}

/* Asks q on the lent link. */
enum next client_ask_lent(struct client *c, const struct request *q)
{
    struct link *l = client_lent(c);

    if (link_full(l))
        return client_wait(c, WAIT_ROOM);
    if (UNLIKELY(q->shape != NULL)) {
        shape_ask_lent(c, q, false);
        return NEXT;
    }
    if (LIKELY(q->strip == STRIP_NOTHING)) {
        ask(c, l, q->bytes, 1);
    } else if (c->more->in_multi) {
        tenant_queued(c, q);
        ask(c, l, q->bytes, 1);
    } else {
        exchange_ask(c, l, q->bytes, EX_STRIP, q->strip);
    }
    c->more->tx_sent += c->more->in_multi && is_queued(q->command);
    return NEXT;
}

void client_after_command(struct client *c)
{
    struct session *m = c->more;

    if (m == NULL || m->reply_mode == REPLY_ON || m->reply_mode == REPLY_OFF)
        return;
    m->reply_mode = m->reply_mode == REPLY_SKIP_NEXT ? REPLY_SKIP : REPLY_ON;
    client_settle(c);
}

/* ---- the buffer ---- */

/* Sends the run off. */
static void end_run(struct client *c, struct run *run)
{
    if (run->count == 0)
        return;
    ask(c, c->link, slice_of(run->p, run->n), run->count);
    quota_changed(c);
    c->all->count.commands += run->count;
    run->count = 0;
}

/* So many may be unanswered besides those that are: as many a run may have that begins now. */
static inline bool has_room(const struct client *c, struct run *run)
{
    uint64_t most = client_most_pending(c);

    run->most = (uint32_t)(most - c->owed);
    run->most_n = UNLIKELY(c->heavy) ? heavy_most_bytes(c) : LINK_OUT_BYTES / 4;
    return c->owed < most;
}

/* May this one join the run? The first of a run has to find a link. */
INLINED bool joins_run(struct client *c, struct run *run, const struct command *cmd, char first)
{
    struct link *l = c->link;

    if (cmd == NULL || cmd->route != ROUTE_SHARED || (cmd->flags & c->all->refused_flags) != 0 ||
        first != '*')
        return false;
    if (run->count > 0)
        return run->count < run->most && run->n < run->most_n;
    return c->plain && c->heavy == c->heavy_link && c->promised == 0 && !c->all->pause.on &&
           l != NULL && l->number == c->link_number && !link_full(l) &&
           !pool_is_out(c->all->pool) && (c->owed > 0 ? !l->retiring : link_takes_newcomers(l)) &&
           has_room(c, run);
}

/* A request of the run, the one that will be number `at`, concerns the near cache. */
static void note_in_run(struct client *c, const struct command *cmd, uint32_t at,
                        enum concern concern)
{
    struct request q = {.command = cmd, .argv = c->all->args.v, .argc = c->all->args.n};

    if (concern == CONCERN_WRITES)
        writes_note(c, &q, at, false);
    else if (concern == CONCERN_BYPASS)
        near_bypassed(c->all->near, cmd, &c->all->args);
}

static inline void join_run(struct client *c, struct run *run, const struct command *cmd,
                            struct slice bytes, enum concern concern)
{
    if (run->count++ == 0) {
        run->p = bytes.p;
        run->n = 0;
    }
    run->n += bytes.n;
    c->command = cmd->id;
    if ((cmd->flags & CF_READ) == 0)
        c->wrote_at = c->asked + run->count;
    if (UNLIKELY(concern != CONCERN_NONE))
        note_in_run(c, cmd, c->asked + run->count, concern);
}

/* What the near cache has to say to the request; a hit is answered. */
static enum concern near_step(struct client *c, const struct command *cmd, struct run *run,
                              bool more)
{
    struct clients *all = c->all;
    enum concern concern;

    if (cmd->route != ROUTE_SHARED || all->pause.on)
        return CONCERN_NONE;
    concern = near_concern(c, cmd, &all->args, run->count);
    if (concern != CONCERN_HIT)
        return concern;
    end_run(c, run);
    client_spend(all, 0, all->near->block != NULL ? all->near->block->n : all->near->answer.n);
    near_give(c, more);
    all->count.commands++;
    c->command = cmd->id;
    return CONCERN_HIT;
}

static enum next protocol_error(struct client *c, const struct request_scan *scan)
{
    char text[96];

    if (c->more != NULL && !subscriptions_quiet(&c->more->subs))
        return client_wait(c, WAIT_DRAIN); /* the error stands behind the confirmations */
    c->all->count.protocol_errors++;
    request_error_text(scan, text, sizeof text);
    write_error(client_answer(c), "ERR %s", text);
    client_end(c, CLOSE_PROTOCOL);
    return GONE;
}

/* What there is to say of a request besides. */
struct how {
    bool more; /* further bytes of the client stand behind it */
    bool throttled;
    enum namespace_result put;
    enum next next; /* when it has been served already */
};

/* The number of the reply behind which q has been executed. What larder says about a command that
 * blocks comes behind that: who has been told of it may not read what was there before. */
static uint32_t done_at(const struct client *c, const struct command *cmd, uint32_t asked_before)
{
    bool blocks = cmd != NULL && cmd->route == ROUTE_BLOCK;

    return c->asked - (blocks && c->asked - asked_before > 1);
}

static enum next serve_one(struct client *c, const struct command *cmd, struct slice bytes,
                           struct how how)
{
    struct clients *all = c->all;
    struct request q = {.command = cmd,
                        .argv = all->args.v,
                        .argc = all->args.n,
                        .bytes = bytes,
                        .more = how.more,
                        .throttled = how.throttled,
                        .put = (uint8_t)how.put};
    uint32_t asked = c->asked, muted = c->more != NULL ? c->more->muted_asked : 0;
    enum next next;

    if (UNLIKELY(c->tenant != NULL) && cmd != NULL)
        q.strip = cmd->reply;
    if (bytes.p[0] != '*') {
        buffer_done(&all->scratch);
        write_request(&all->scratch, q.argv, q.argc);
        q.bytes = buffer_slice(&all->scratch);
    }
    c->command = cmd != NULL ? cmd->id : CMD_UNKNOWN;
    all->present = &q;
    all->present_client = c;
    next = client_route(c, &q);
    all->present = NULL;
    quota_changed(c);
    if (next == LATER && c->tenant != NULL && !how.throttled)
        quota_paid(c);
    if (next == LATER)
        return LATER;
    if (all->near != NULL && c->asked != asked)
        writes_note(c, &q, done_at(c, cmd, asked), false);
    else if (all->near != NULL && c->more != NULL && c->more->muted_asked != muted)
        writes_note(c, &q, c->more->muted_asked, true);
    else if (c->asked != asked && may_write(cmd))
        c->wrote_at = c->asked;
    all->count.commands++;
    if (c->open)
        client_after_command(c);
    return next;
}

INLINED enum next serve_named(struct client *c, struct run *run, const struct command *cmd,
                              struct slice bytes, struct how how)
{
    struct clients *all = c->all;
    enum concern concern = CONCERN_NONE;

    if (UNLIKELY(all->near != NULL) && cmd != NULL && bytes.p[0] == '*')
        concern = near_step(c, cmd, run, how.more);
    if (concern == CONCERN_HIT)
        return NEXT;
    if (LIKELY(concern != CONCERN_ASK && joins_run(c, run, cmd, bytes.p[0])) &&
        !(UNLIKELY(all->rules != NULL) && rules_concern(all->rules, cmd, &all->args)) &&
        !(UNLIKELY(all->outage != NULL) && outage_concerns(all->outage, cmd, &all->args))) {
        join_run(c, run, cmd, bytes, concern);
        return NEXT;
    }
    end_run(c, run);
    return serve_one(c, cmd, bytes, how);
}

/* As the tenant's: what it is then. Or it is served, as it cannot be as others are: then nothing,
 * and how->next. */
NOINLINE static struct slice put_tenants(struct client *c, struct run *run,
                                         const struct command *cmd, struct slice bytes,
                                         struct how *how)
{
    how->throttled = !quota_pays(c, cmd);
    if (LIKELY(!how->throttled)) {
        how->put = tenant_put(c, cmd, &bytes, run->count > 0);
        if (run->count > 0) /* it has grown, and may have moved */
            run->p = buffer_head(&c->all->tenants->words);
        if (how->put <= NAMESPACE_PUT && cmd->reply == STRIP_NOTHING && cmd->tenant != TENANT_OWN)
            return bytes;
    }
    end_run(c, run);
    how->next = serve_one(c, cmd, bytes, *how);
    return slice_of(NULL, 0);
}

static inline enum next serve_whole(struct client *c, struct run *run, struct slice bytes,
                                    bool more)
{
    struct clients *all = c->all;
    const struct command *cmd;

    if (UNLIKELY(all->args.n == 0)) { /* an empty line, `*0`: ignored, as Redis does */
        end_run(c, run);
        return NEXT;
    }
    cmd = command_of(all->args.v, all->args.n);
    if (UNLIKELY(c->tenant != NULL)) {
        struct how how = {.more = more};

        bytes = put_tenants(c, run, cmd, bytes, &how);
        if (bytes.p == NULL)
            return how.next;
    }
    return serve_named(c, run, cmd, bytes, (struct how){.more = more});
}

/* What is left is a request that is not whole, or one that must wait. */
static size_t leave_off(struct client *c, const char *p, size_t n, uint64_t need,
                        const struct request_scan *scan)
{
    if (c->waits == WAIT_NOTHING && need > LARGE_REQUEST_BYTES && n > 0)
        return large_begin(c, p, n);
    if (scan->begun || c->more != NULL)
        client_session(c)->scan = *scan;
    return 0;
}

/* Not asked of who has just joined a run: that changes nothing. */
static inline bool goes_on(const struct client *c, enum next next)
{
    return next == NEXT && c->waits == WAIT_NOTHING && !c->ending;
}

/* p[at..n); looked: near_gets() has been there. */
NOINLINE static size_t serve_on(struct client *c, const char *p, size_t n, size_t at, bool looked)
{
    struct clients *all = c->all;
    struct request_limits limits = {.max_bulk = all->settings->max_bulk,
                                    .max_request = all->settings->max_request,
                                    .unauthenticated = !c->authenticated};
    struct request_scan scan = c->more != NULL ? c->more->scan : (struct request_scan){0};
    struct run run = {0};
    enum next next = NEXT;
    uint64_t need = 0, spent = 0;

    if (UNLIKELY(c->more != NULL && c->more->streaming)) {
        at = large_serve(c, p, n);
        if (c->more->streaming)
            return at;
        scan = (struct request_scan){0};
    }
    while (at < n && (LIKELY(run.count > 0) || goes_on(c, next))) {
        size_t length;
        enum scan r;

        if (UNLIKELY(spent >= all->turn_left)) {
            client_queue(c);
            break;
        }
        if (UNLIKELY(all->near != NULL) && run.count == 0 && !scan.begun && !looked) {
            size_t got = near_gets(c, p + at, n - at);

            if (got > 0)
                scan = (struct request_scan){0}; /* of the first of them, maybe begun before */
            at += got;
            if (at == n)
                break;
        }
        r = request_scan(&scan, p + at, n - at, &limits, &all->args, &all->words, &need);
        if (r == SCAN_MORE)
            break;
        need = 0;
        if (UNLIKELY(c->more != NULL || c->out.p != NULL) &&
            client_unread(c) > all->settings->client_buffer_max / 4) {
            all->count.paused_output++;
            next = client_wait(c, WAIT_OUTPUT);
            break;
        }
        if (r == SCAN_BAD) {
            end_run(c, &run);
            next = protocol_error(c, &scan); /* at the end it is seen that c is ending */
            break;
        }
        length = (size_t)scan.pos;
        scan = (struct request_scan){0};
        looked = false;
        spent += 2 + (all->args.n * 1024 + length) / 4096;
        next = serve_whole(c, &run, slice_of(p + at, length), at + length < n);
        if (next != LATER)
            at += length;
        if (run.count == 0) /* it may have logged in */
            limits.unauthenticated = !c->authenticated;
    }
    end_run(c, &run);
    client_spend(all, spent, 0);
    if (!c->open || c->ending || LIKELY(at == n && c->more == NULL))
        return n;
    if (next != NEXT || c->waits != WAIT_NOTHING)
        scan = (struct request_scan){0};
    return at + leave_off(c, p + at, n - at, need, &scan);
}

/* Serves what is whole in p[0..n); returns how much of it is done with. Mostly it is all on the
 * shelf: then nothing else is begun. */
size_t client_serve(struct client *c, const char *p, size_t n)
{
    bool afresh = c->more == NULL || (!c->more->scan.begun && !c->more->streaming);
    bool look = c->all->near != NULL && afresh && c->waits == WAIT_NOTHING && !c->ending &&
                c->all->turn_left > 0;
    size_t at = look ? near_gets(c, p, n) : 0;

    return LIKELY(look && at == n) ? n : serve_on(c, p, n, at, look);
}
