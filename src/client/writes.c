/* writes.c - what may change keys: holds them from hand-over to reply.
 *
 *      C1: SET k v  --handed over--> k held: off the shelf, flights spoilt,
 *                                    nobody joins, nothing is kept; C1 itself
 *                                    reads upstream, behind its write
 *                   <--reply-------- released: cleared once more, then the
 *                                    reply leaves (P1)
 *
 * The reply that ends a hold is found by its number among the session's replies, so that nothing
 * need be known of which link carries it. What MULTI queues is remembered, and held from EXEC on. A
 * blocking command holds nothing, for it may wait for ever: its keys are cleared at its reply. */
#include <stdlib.h>

#include "client/leases.h"
#include "client/loads.h"
#include "client/near.h"
#include "net/loop.h"

#define KEYS_ON_STACK 64u

bool may_write(const struct command *cmd)
{
    return cmd == NULL || (cmd->flags & CF_READ) == 0;
}

/* ---- queues of holds ---- */

static void enqueue(struct hold_queue *queue, struct hold *h, uint32_t at)
{
    h->at = at;
    h->next = NULL;
    if (queue->last == NULL)
        queue->first = h;
    else
        queue->last->next = h;
    queue->last = h;
}

static struct hold *dequeue(struct hold_queue *queue)
{
    struct hold *h = queue->first;

    queue->first = h->next;
    if (queue->first == NULL)
        queue->last = NULL;
    return h;
}

/* Drops what is kept of the keys; spares: old values, while they are being loaded anew. */
static void clear(struct near *near, const struct hold *h, bool spares)
{
    if (h->all)
        cache_flush(near->cache);
    for (uint32_t i = 0; i < h->n; i++) {
        const struct policy *p;

        if (spares && UNLIKELY(near->loads != NULL)) {
            p = policies_match(near->policies, hold_key(h, i));
            if (p != NULL && loads_spare(near, p, hold_key(h, i)))
                continue;
        }
        if (!cache_clear(near->cache, h, i))
            continue;
        p = policies_match(near->policies, hold_key(h, i));
        if (p != NULL)
            near_stats_of(near, p)->count.invalidated_write++;
    }
}

static void begin(struct near *near, struct hold_queue *queue, struct hold *h, uint32_t at)
{
    enqueue(queue, h, at);
    near->count.flushes_write += h->all;
    hold_begin(cache_keyring(near->cache), h);
    clear(near, h, !h->voids);
}

/* What the write may have loaded is asked for when nothing holds it any more. */
static void release_leased(struct near *near, struct hold *h)
{
    bool all = h->all, voids = h->voids;
    struct buffer leased = {0}; /* keys, each behind its length */
    struct slice key;

    for (uint32_t i = 0; i < h->n; i++) {
        key = hold_key(h, i);
        if (leases_known(near->leases, key)) {
            buffer_add(&leased, &key.n, sizeof key.n);
            buffer_add(&leased, key.p, key.n);
        }
    }
    hold_end(cache_keyring(near->cache), h);
    while (buffer_len(&leased) > 0) {
        memcpy(&key.n, buffer_head(&leased), sizeof key.n);
        key.p = buffer_head(&leased) + sizeof key.n;
        leases_changed(near, key, voids);
        buffer_take(&leased, sizeof key.n + key.n);
    }
    if (all)
        leases_all_changed(near);
}

static void release(struct near *near, struct hold *h)
{
    near->count.flushes_write += h->all && !h->begun;
    if (!h->blunt)
        clear(near, h, false);
    if (UNLIKELY(near->loads != NULL))
        loads_written(near, h);
    if (UNLIKELY(near->leases != NULL))
        release_leased(near, h);
    else
        hold_end(cache_keyring(near->cache), h);
}

static void release_until(struct near *near, struct hold_queue *queue, uint32_t answered)
{
    while (queue->first != NULL && (int32_t)(answered - queue->first->at) >= 0)
        release(near, dequeue(queue));
}

/* n more replies of the session are about to leave. */
void writes_answered(struct client *c, uint32_t n)
{
    if (c->more != NULL && c->more->writes.first != NULL)
        release_until(c->all->near, &c->more->writes, c->asked - c->owed + n);
}

/* Replies that nobody wants have come. */
void writes_answered_muted(struct client *c)
{
    struct session *m = c->more;

    if (m->muted_writes.first != NULL)
        release_until(c->all->near, &m->muted_writes, m->muted_asked - m->muted_owed);
}

/* What MULTI has queued will not be run. */
static void forget_tx(struct client *c)
{
    while (c->more->tx_writes.first != NULL)
        release(c->all->near, dequeue(&c->more->tx_writes));
}

/* The session ends. Of what was handed over every reply has come, or will not. */
void writes_forget(struct client *c)
{
    struct session *m = c->more;

    if (c->all->near == NULL)
        return;
    forget_tx(c);
    while (m->writes.first != NULL)
        release(c->all->near, dequeue(&m->writes));
    while (m->muted_writes.first != NULL)
        release(c->all->near, dequeue(&m->muted_writes));
}

/* ---- what a request may change ---- */

/* Those of the keys that a policy keeps, into near->keys. */
static void pick_local(struct near *near, const struct slice *argv, const uint32_t *index,
                       uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct policy *p = policies_match(near->policies, argv[index[i]]);

        if (p != NULL && p->set->local)
            args_add(&near->keys, argv[index[i]]);
    }
}

bool writes_touch(struct near *near, const struct request *q)
{
    uint32_t on_stack[KEYS_ON_STACK], *index = on_stack;
    int n = command_touched(q->command, q->argv, q->argc, on_stack, KEYS_ON_STACK);

    near->keys.n = 0;
    if (n == TOUCHES_ANY)
        return true;
    if (n > (int)KEYS_ON_STACK) {
        index = must_alloc((size_t)n * sizeof *index);
        n = command_touched(q->command, q->argv, q->argc, index, (uint32_t)n);
    }
    pick_local(near, q->argv, index, (uint32_t)n);
    if (index != on_stack)
        free(index);
    return false;
}

/* The hold on what the request may change; NULL: nothing that is kept. Not begun. */
static struct hold *hold_for(struct near *near, const struct request *q)
{
    struct keyring *keys = cache_keyring(near->cache);

    if (writes_touch(near, q))
        return hold_new(keys, NULL, 0, true);
    return near->keys.n == 0 ? NULL : hold_new(keys, near->keys.v, near->keys.n, false);
}

/* EXEC runs what was queued: from now on all of it is held. */
static void begin_tx(struct client *c, uint32_t at)
{
    struct session *m = c->more;

    while (m->tx_writes.first != NULL)
        begin(c->all->near, &m->writes, dequeue(&m->tx_writes), at);
}

static void note(struct client *c, const struct command *cmd, struct hold *h, uint32_t at,
                 bool muted)
{
    struct near *near = c->all->near;
    struct session *m;

    if (h == NULL)
        return;
    h->voids =
        cmd != NULL && (cmd->id == CMD_DEL || cmd->id == CMD_UNLINK || cmd->id == CMD_GETDEL);
    m = client_session(c);
    if (m->in_multi)
        enqueue(&m->tx_writes, h, at);
    else if (cmd != NULL && cmd->route == ROUTE_BLOCK)
        enqueue(muted ? &m->muted_writes : &m->writes, h, at);
    else
        begin(near, muted ? &m->muted_writes : &m->writes, h, at);
}

void writes_note(struct client *c, const struct request *q, uint32_t at, bool muted)
{
    uint16_t id = q->command != NULL ? q->command->id : CMD_UNKNOWN;

    if (!may_write(q->command))
        return;
    if (!muted)
        c->wrote_at = at;
    if (c->more != NULL && (id == CMD_EXEC || id == CMD_DISCARD || id == CMD_MULTI)) {
        if (id == CMD_EXEC)
            begin_tx(c, at);
        else if (id == CMD_DISCARD || !c->more->in_multi) /* a nested MULTI is only an error */
            forget_tx(c);
        return;
    }
    note(c, q->command, hold_for(c->all->near, q), at, muted);
}

/* Most large requests are SETs: the key is there. Of the rest it is not known what they touch. */
void writes_note_large(struct client *c, const struct command *cmd, const struct args *args,
                       uint32_t at)
{
    struct near *near = c->all->near;
    struct hold *h = NULL;
    static const uint32_t first = 1;

    if (!may_write(cmd))
        return;
    c->wrote_at = at;
    if (cmd != NULL && cmd->keys == KEYS_FIXED && cmd->first == 1 && cmd->last == 1 &&
        args->n > 1) {
        near->keys.n = 0;
        pick_local(near, args->v, &first, 1);
        if (near->keys.n > 0)
            h = hold_new(cache_keyring(near->cache), near->keys.v, near->keys.n, false);
    } else {
        h = hold_new(cache_keyring(near->cache), NULL, 0, true);
    }
    note(c, cmd, h, at, false);
}

/* ---- reload ---- */

/* Keys that were kept before are held already, if it may change them. So nothing need go: nothing
 * must come, until it is answered. What may take for ever (it blocks, or its client sends it
 * slowly) holds nothing, as ever: there all goes at the reply. */
static void hold_all(struct client *c, struct hold_queue *queue, uint32_t at, bool soon)
{
    struct keyring *keys = cache_keyring(c->all->near->cache);
    struct hold *h = hold_new(keys, NULL, 0, true);

    enqueue(queue, h, at);
    h->blunt = soon;
    if (soon)
        hold_begin(keys, h);
}

static void hold_under_way(struct client *c)
{
    struct session *m = c->owed > 0 ? client_session(c) : c->more;

    if (c->owed > 0) {
        c->wrote_at = c->asked;
        hold_all(c, &m->writes, c->asked, c->waits != WAIT_BLOCKED && !m->streaming);
    }
    if (m != NULL && m->muted_owed > 0)
        hold_all(c, &m->muted_writes, m->muted_asked, true);
    if (m != NULL && (m->in_multi || m->multi_asked || c->mode == MODE_TX))
        hold_all(c, &m->tx_writes, 0, false);
}

void writes_under_way(struct clients *all)
{
    for (list_each (node, &all->open))
        hold_under_way(CONTAINER_OF(node, struct client, node));
    for (list_each (node, &all->shades))
        hold_under_way(CONTAINER_OF(node, struct client, node));
}
