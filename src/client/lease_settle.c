/* lease_settle.c - what becomes of a lease: is there a value now? Who waits is answered.
 *
 * Many may wait: LEASE_SLICE of them are answered by a question, the others from what it has put on
 * the shelf, so many in a turn. */
#include <stdlib.h>

#include "client/leases_inside.h"
#include "net/loop.h"
#include "resp/write.h"

#define RETRY_MS   5u
#define UNASKED_MS 1000u /* so long it is tried to ask */

uint64_t leases_now(const struct leases *l)
{
    return loop_now_ms(l->near->all->loop);
}

/* ---- the table ---- */

struct list *lease_bucket(const struct leases *l, struct slice key)
{
    return &l->buckets[hash_bytes(&l->seed, key.p, key.n) % LEASE_BUCKETS];
}

struct lease *lease_find(const struct leases *l, struct slice key, uint16_t scope)
{
    for (list_each (node, lease_bucket(l, key))) {
        struct lease *lease = CONTAINER_OF(node, struct lease, node);

        if (lease->scope == scope && slice_eq(slice_of(lease->key, lease->key_n), key))
            return lease;
    }
    return NULL;
}

bool leases_known(const struct leases *l, struct slice key)
{
    for (list_each (node, lease_bucket(l, key))) {
        const struct lease *lease = CONTAINER_OF(node, struct lease, node);

        if (slice_eq(slice_of(lease->key, lease->key_n), key))
            return true;
    }
    return false;
}

struct lease *lease_new(struct leases *l, const struct question *q)
{
    struct lease *lease = must_calloc(1, sizeof *lease + q->key.n);

    lease->state = LEASE_VACANT;
    lease->scope = q->scope;
    lease->key_n = (uint32_t)q->key.n;
    memcpy(lease->key, q->key.p, q->key.n);
    list_init(&lease->order);
    list_init(&lease->held);
    list_init(&lease->unasked);
    list_init(&lease->parks);
    list_push_back(lease_bucket(l, q->key), &lease->node);
    l->count.held++;
    return lease;
}

struct slice lease_key(const struct lease *lease)
{
    return slice_of(lease->key, lease->key_n);
}

const struct policy *lease_policy(const struct leases *l, struct slice key)
{
    const struct policy *p = policies_match(l->near->policies, key);

    return p != NULL && p->set->local && p->set->stampede == SET_STAMPEDE_WAIT ? p : NULL;
}

bool lease_waited_for(const struct lease *lease)
{
    for (list_each (node, &lease->parks)) {
        if (!list_empty(&CONTAINER_OF(node, struct park, node)->waiters))
            return true;
    }
    return false;
}

/* ---- time ---- */

void leases_arm(struct leases *l)
{
    uint64_t now_ms = leases_now(l), next_ms = UINT64_MAX;

    if (!list_empty(&l->by_wait))
        next_ms = CONTAINER_OF(l->by_wait.next, struct held, by_time)->until_ms;
    if (!list_empty(&l->by_expiry)) {
        uint64_t at_ms = CONTAINER_OF(l->by_expiry.next, struct lease, order)->expires_ms;

        next_ms = at_ms < next_ms ? at_ms : next_ms;
    }
    if (!list_empty(&l->draining) || !list_empty(&l->unasked))
        next_ms = l->retry_ms > now_ms && l->retry_ms < next_ms ? l->retry_ms
                  : l->retry_ms > now_ms                        ? next_ms
                                                                : now_ms;
    if (next_ms == UINT64_MAX)
        timer_stop(l->timer);
    else
        timer_start(l->timer, next_ms > now_ms ? next_ms - now_ms : 0);
}

void lease_expires_at(struct leases *l, struct lease *lease, uint64_t at_ms)
{
    struct list *at = l->by_expiry.prev;

    list_leave(&lease->order);
    lease->expires_ms = at_ms;
    while (at != &l->by_expiry && CONTAINER_OF(at, struct lease, order)->expires_ms > at_ms)
        at = at->prev;
    list_push_front(at, &lease->order);
    leases_arm(l);
}

/* ---- ends ---- */

void lease_leave_holder(struct lease *lease)
{
    list_leave(&lease->held);
    lease->holder = NULL;
}

void lease_free(struct leases *l, struct lease *lease)
{
    lease_leave_holder(lease);
    while (!list_empty(&lease->parks))
        park_free(CONTAINER_OF(lease->parks.next, struct park, node));
    list_leave(&lease->order);
    list_leave(&lease->node);
    list_leave(&lease->unasked);
    l->count.held -= lease->state != LEASE_DRAINS && lease->state != LEASE_COOL;
    lease_give_back(l, lease);
    free(lease);
}

/* It is over: who waits is answered in slices, with the value, or nil. */
void lease_drain(struct leases *l, struct lease *lease, bool nil)
{
    if (!lease_waited_for(lease)) {
        lease_free(l, lease);
        return;
    }
    l->count.held--;
    lease_give_back(l, lease);
    lease_leave_holder(lease);
    list_leave(&lease->order);
    list_leave(&lease->node);
    list_leave(&lease->unasked);
    lease->unasked_ms = 0;
    lease->state = LEASE_DRAINS;
    lease->nil = nil;
    list_push_back(&l->draining, &lease->node);
    leases_arm(l);
}

/* Not leased again for a while, with nothing kept that says so. */
void lease_cool(struct leases *l, struct lease *lease, const struct policy *p)
{
    l->count.held--;
    lease_give_back(l, lease);
    lease->state = LEASE_COOL;
    lease_expires_at(l, lease, leases_now(l) + (p != NULL ? p->set->lease_ttl : 0));
}

/* ---- asking ---- */

/* On whose behalf a question about the lease is asked; NULL: nobody is there any more. */
static const struct client *asks_for(const struct lease *lease, const struct park *p)
{
    return p != NULL ? first_waiting(&p->waiters)->client : lease->holder;
}

struct park *lease_first_park(const struct lease *lease)
{
    for (list_each (node, &lease->parks)) {
        struct park *p = CONTAINER_OF(node, struct park, node);

        if (!list_empty(&p->waiters))
            return p;
    }
    return NULL;
}

void lease_tell_all(struct leases *l, struct lease *lease, enum link_failure why)
{
    struct park *p;

    while ((p = lease_first_park(lease)) != NULL)
        again_tell(l->near, &p->waiters, slice_of("", 0), why);
}

/* Asks for the first LEASE_SLICE of those in the park; of no park, for its own sake. */
static bool ask(struct leases *l, struct lease *lease, struct park *p, bool settles)
{
    const struct client *c = asks_for(lease, p);
    struct slice get[2] = {SLICE("GET"), lease_key(lease)};
    struct link *link = c != NULL ? lane_link(c->lane, c->db) : NULL;
    struct buffer words = {0};
    struct list some;
    struct fill_order o = {.link = link,
                           .policy = policies_match(l->near->policies, lease_key(lease)),
                           .q = {lease_key(lease), {"", 0}, lease->scope},
                           .form = FORM_GET,
                           .command = CMD_GET,
                           .waiters = &some,
                           .settles = settles,
                           .lapsed = lease->state == LEASE_LAPSED};

    if (link == NULL || o.policy == NULL)
        return false;
    list_init(&some);
    if (p != NULL) {
        o.q.ask = p->q.ask;
        o.form = p->form;
        o.command = p->command;
        o.request = slice_of(p->text, p->request_n);
        for (uint32_t i = 0; i < LEASE_SLICE && !list_empty(&p->waiters); i++) {
            struct list *node = p->waiters.next;

            list_leave(node);
            list_push_back(&some, node);
        }
    } else {
        write_request(&words, get, 2);
        o.request = buffer_slice(&words);
    }
    fill_for(l->near, &o);
    buffer_done(&words);
    return true;
}

bool lease_ask_later(struct leases *l, struct lease *lease)
{
    uint64_t now_ms = leases_now(l);

    if (lease->unasked_ms == 0) {
        lease->unasked_ms = now_ms;
        list_push_back(&l->unasked, &lease->unasked);
    }
    l->retry_ms = now_ms + RETRY_MS;
    leases_arm(l);
    return now_ms - lease->unasked_ms < UNASKED_MS;
}

void lease_asked(struct lease *lease)
{
    list_leave(&lease->unasked);
    lease->unasked_ms = 0;
}

static void give_up(struct leases *l, struct lease *lease)
{
    l->count.failed++;
    lease_tell_all(l, lease, LINK_UNREACHED);
    lease_free(l, lease);
}

/* Something may have changed: is there a value now? */
void lease_settle(struct leases *l, struct lease *lease)
{
    struct park *p = lease_first_park(lease);

    if (lease->asking || lease->state == LEASE_ASKED) {
        lease->again = true;
        return;
    }
    /* A write is under way: its end will bring us here again. */
    if (lease->state != LEASE_LAPSED &&
        keyring_held(cache_keyring(l->near->cache), lease_key(lease)))
        return;
    if (p == NULL && lease->holder == NULL && lease->state != LEASE_LAPSED) {
        lease_free(l, lease);
        return;
    }
    lease->asking = true;
    if (ask(l, lease, p, true)) {
        lease_asked(lease);
        return;
    }
    lease->asking = false;
    if (!lease_ask_later(l, lease))
        give_up(l, lease);
}

/* One who waits is given what the shelf has; else it is asked, for some at a time. */
static void drain_park(struct leases *l, struct lease *lease, struct park *p)
{
    struct entry e;

    for (uint32_t i = 0; i < LEASE_SLICE && !list_empty(&p->waiters); i++) {
        struct held *h = first_waiting(&p->waiters);

        enum look look = LOOK_FRESH;

        if (!lease->nil)
            look = cache_look(l->near->cache, &p->q, leases_now(l), false, &e);
        if (look != LOOK_FRESH) {
            if (ask(l, lease, p, false)) {
                lease_asked(lease);
            } else if (!lease_ask_later(l, lease)) {
                again_tell(l->near, &p->waiters, slice_of("", 0), LINK_UNREACHED);
            }
            return;
        }
        if (lease->nil || e.kind == ENTRY_ABSENT)
            park_give_nil(h);
        else
            client_keep_promise(h, e.bytes);
    }
}

static void drain_some(struct leases *l)
{
    for (list_each_safe (node, next, &l->draining)) {
        struct lease *lease = CONTAINER_OF(node, struct lease, node);
        struct park *p = lease_first_park(lease);

        if (p != NULL)
            drain_park(l, lease, p);
        if (!lease_waited_for(lease))
            lease_free(l, lease);
    }
}

static void ask_again(struct leases *l)
{
    struct list unasked;

    list_init(&unasked);
    list_move_all(&l->unasked, &unasked);
    while (!list_empty(&unasked)) {
        struct lease *lease = CONTAINER_OF(unasked.next, struct lease, unasked);

        list_leave(&lease->unasked);
        list_push_back(&l->unasked, &lease->unasked);
        if (lease->state == LEASE_ASKED && lease->errand == 0)
            lease_ask_upstream(l, lease);
        else if (lease->state != LEASE_DRAINS)
            lease_settle(l, lease);
    }
}

void lease_lapse(struct leases *l, struct lease *lease)
{
    l->count.lapsed++;
    lease->state = LEASE_LAPSED;
    list_leave(&lease->order);
    lease_settle(l, lease);
}

void leases_on_timer(void *context)
{
    struct leases *l = context;

    park_expire(l, LEASE_SLICE);
    while (!list_empty(&l->by_expiry)) {
        struct lease *lease = CONTAINER_OF(l->by_expiry.next, struct lease, order);

        if (lease->expires_ms > leases_now(l))
            break;
        if (lease->state == LEASE_HELD)
            lease_lapse(l, lease);
        else if (lease->state == LEASE_ELSEWHERE)
            lease_look_again(l, lease);
        else
            lease_free(l, lease);
    }
    if (leases_now(l) >= l->retry_ms) {
        ask_again(l);
        drain_some(l);
    }
    leases_arm(l);
}
