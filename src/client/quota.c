/* quota.c - see quota.h. One timer for each tenant of whom somebody has waited: those past max_ops
 * are let on one request each as tokens come, the longest waiting first; those past max_pending as
 * soon as half of it is answered. Who is let on and does not need it, or has gone, keeps nobody:
 * the timer goes on while anybody could be let on. */
#include "client/quota.h"

#include "net/loop.h"
#include "resp/write.h"

static struct session *first_of(struct list *waiting)
{
    return CONTAINER_OF(CONTAINER_OF(waiting->next, struct session_walls, quota), struct session,
                        walls);
}

/* ---- letting on ---- */

/* Of those that wait for max_pending some can go on. */
static bool has_room(const struct quota *q)
{
    return q->max_pending == 0 || q->pending <= q->max_pending / 2;
}

static void let_on(void *context);

static void look_again(struct clients *all, struct tenant *t)
{
    struct quota *q = &t->quota;
    uint64_t ms;

    if (!list_empty(&q->crowded) && has_room(q))
        ms = 0;
    else if (!list_empty(&q->late))
        ms = rate_wait_ms(&q->ops, 1, loop_now_ms(all->loop));
    else
        return;
    if (q->timer == NULL)
        q->timer = timer_new(all->loop, let_on, t);
    timer_start(q->timer, ms);
}

static void let_on(void *context)
{
    struct tenant *t = context;
    struct quota *q = &t->quota;
    struct clients *all = NULL;
    uint64_t room = q->pending < q->max_pending ? q->max_pending - q->pending : 0;

    if (q->max_pending == 0)
        room = UINT64_MAX;
    while (!list_empty(&q->late)) {
        struct session *m = first_of(&q->late);

        all = m->client->all;
        if (!rate_take(&q->ops, 1, loop_now_ms(all->loop)))
            break;
        t->count.commands++;
        m->walls.paid = true;
        client_wake(m->client);
    }
    for (; room > 0 && !list_empty(&q->crowded); room--) {
        struct session *m = first_of(&q->crowded);

        all = m->client->all;
        client_wake(m->client);
    }
    if (all != NULL)
        look_again(all, t);
}

void quota_waits_no_more(struct client *c)
{
    struct session *m = c->more;

    if (c->waits != WAIT_RATE && c->waits != WAIT_PENDING)
        return;
    list_leave(&m->walls.quota);
    if (c->waits == WAIT_RATE)
        c->tenant->count.delayed_ms += client_now(c) - m->walls.since_ms;
}

/* ---- max_ops ---- */

/* Whoever cannot say these cannot come in, or go. */
static bool is_free(const struct command *cmd)
{
    return cmd != NULL && (cmd->id == CMD_AUTH || cmd->id == CMD_HELLO || cmd->id == CMD_QUIT ||
                           cmd->id == CMD_RESET);
}

/* What it ends has paid: all of a transaction is executed, or nothing. */
static bool ends_transaction(const struct client *c, const struct command *cmd)
{
    const struct session *m = c->more;

    return cmd != NULL && (cmd->id == CMD_EXEC || cmd->id == CMD_DISCARD) && m != NULL &&
           (m->in_multi || m->multi_refused || tx_unclear(c));
}

/* Refused, what stands behind it would mean something else. */
static bool must_not_be_refused(const struct command *cmd)
{
    return cmd != NULL && (cmd->id == CMD_SELECT || cmd->id == CMD_CLIENT_REPLY);
}

/* Of what is not refused, whatever there is. */
static void take_some(struct rate *ops, uint64_t n, uint64_t now_ms)
{
    uint64_t taken = rate_take_some(ops, n, now_ms);

    CHECK(taken <= n);
}

bool quota_pays_rate(struct client *c, const struct command *cmd)
{
    struct tenant *t = c->tenant;
    struct quota *q = &t->quota;
    uint64_t now_ms = client_now(c);

    if (c->more != NULL && c->more->walls.paid) {
        c->more->walls.paid = false;
        return true;
    }
    if (UNLIKELY(q->ops.rate != 0) && !is_free(cmd)) {
        if (ends_transaction(c, cmd))
            take_some(&q->ops, 1, now_ms);
        else if (!list_empty(&q->late) || !rate_take(&q->ops, 1, now_ms))
            return false;
    }
    t->count.commands++;
    return true;
}

void quota_paid(struct client *c)
{
    client_session(c)->walls.paid = true;
}

void quota_take(struct client *c, uint64_t hits)
{
    struct tenant *t = c->tenant;

    if (hits == 0)
        return;
    if (c->more != NULL && c->more->walls.paid) {
        c->more->walls.paid = false;
        hits--;
    }
    t->count.commands += hits;
    take_some(&t->quota.ops, hits, client_now(c));
}

static enum next wait_for_rate(struct client *c)
{
    struct tenant *t = c->tenant;
    struct session *m = client_session(c);
    bool first = list_empty(&t->quota.late);

    m->walls.since_ms = client_now(c);
    t->count.delayed++;
    list_push_back(&t->quota.late, &m->walls.quota);
    (void)client_wait(c, WAIT_RATE);
    if (first)
        look_again(c->all, t);
    return LATER;
}

static void refuse(struct client *c, struct buffer *out)
{
    struct tenant *t = c->tenant;

    t->count.commands++;
    t->count.throttled++;
    buffer_printf(out, "THROTTLED tenant %s is past max_ops = %llu/s; the command was not executed",
                  t->name, (unsigned long long)t->quota.ops.rate);
}

bool quota_hold_large(struct client *c, const struct command *cmd, struct buffer *ret_error)
{
    if (c->tenant->quota.delays || must_not_be_refused(cmd)) {
        (void)wait_for_rate(c);
        return true;
    }
    refuse(c, ret_error);
    buffer_add(ret_error, "", 1);
    return false;
}

enum next quota_hold(struct client *c, const struct request *q)
{
    const struct command *cmd = q->command;
    struct buffer error = {0};

    if (c->tenant->quota.delays || must_not_be_refused(cmd))
        return wait_for_rate(c);
    if (tx_unclear(c) || (c->mode == MODE_LISTEN && !client_quiet(c)))
        return client_wait(c, WAIT_DRAIN);
    if (c->more != NULL && c->more->in_multi)
        c->more->spoilt = true;
    else if (cmd != NULL && (cmd->id == CMD_MULTI || cmd->id == CMD_WATCH))
        tx_note_refused(c, q);
    c->all->count.commands_refused++;
    refuse(c, &error);
    write_error(client_answer(c), "%.*s", (int)buffer_len(&error), buffer_head(&error));
    buffer_done(&error);
    return NEXT;
}

/* ---- max_pending ---- */

/* What c has of it: see quota.h. */
static uint32_t pending_of(const struct client *c)
{
    const struct session *m = c->more;
    bool loads = m != NULL && m->parked != NULL;

    if (c->waits == WAIT_BLOCKED)
        return 0;
    return c->owed + (loads ? 0u : c->promised) + (m != NULL ? m->muted_owed : 0u);
}

void quota_count(struct client *c)
{
    struct tenant *t = c->tenant;
    struct session *m = client_session(c);
    uint32_t now = pending_of(c);
    bool fewer = now < m->walls.counted;

    t->quota.pending = t->quota.pending - m->walls.counted + now;
    m->walls.counted = now;
    if (fewer && !list_empty(&t->quota.crowded) && has_room(&t->quota))
        look_again(c->all, t);
}

uint64_t quota_most_pending(const struct client *c, uint64_t most)
{
    const struct quota *q = &c->tenant->quota;
    uint64_t others = q->pending - (c->more != NULL ? c->more->walls.counted : 0);

    if (others >= q->max_pending)
        return 0;
    return most < q->max_pending - others ? most : q->max_pending - others;
}

void quota_crowded(struct client *c)
{
    struct quota *q = &c->tenant->quota;

    if (q->max_pending == 0 || q->pending < q->max_pending)
        return; /* it has as much as it may have itself, and its own replies wake it */
    c->tenant->count.paused_pending++;
    list_push_back(&q->crowded, &c->more->walls.quota);
}

void quota_left(struct client *c)
{
    if (c->tenant == NULL || c->more == NULL)
        return;
    CHECK(list_empty(&c->more->walls.quota));
    c->tenant->quota.pending -= c->more->walls.counted;
    c->more->walls.counted = 0;
}

/* ---- reload, and what the console shows ---- */

void quota_settle(struct clients *all, struct tenant *t)
{
    struct quota *q = &t->quota;

    rate_set(&q->ops, t->set->max_ops, t->set->max_ops, loop_now_ms(all->loop));
    q->delays = t->set->throttle == SET_THROTTLE_DELAY;
    q->max_pending = t->set->max_pending;
    q->pending = 0;
    /* They see for themselves what holds now. */
    while (!list_empty(&q->late))
        client_wake(first_of(&q->late)->client);
    while (!list_empty(&q->crowded))
        client_wake(first_of(&q->crowded)->client);
}

static void count_anew(struct client *c)
{
    if (c->more != NULL)
        c->more->walls.counted = 0;
    quota_changed(c);
}

void quota_count_all(struct clients *all)
{
    for (list_each (node, &all->open))
        count_anew(CONTAINER_OF(node, struct client, node));
    for (list_each (node, &all->shades))
        count_anew(CONTAINER_OF(node, struct client, node));
}

static void add_pending(struct client *c)
{
    if (c->tenant != NULL)
        c->tenant->count.pending += pending_of(c);
}

void quota_view(const struct clients *all)
{
    const struct tenants *ts = all->tenants;

    for (size_t i = 0; i < ts->n; i++)
        ts->v[i]->count.pending = 0;
    if (ts->common != NULL)
        ts->common->count.pending = 0;
    for (list_each (node, &all->open))
        add_pending(CONTAINER_OF(node, struct client, node));
    for (list_each (node, &all->shades))
        add_pending(CONTAINER_OF(node, struct client, node));
}

void quota_done(struct tenant *t)
{
    timer_free(t->quota.timer);
}
