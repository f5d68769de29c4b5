/* leases.c - see leases.h. */
#include "client/leases.h"

#include <stdlib.h>

#include "client/leases_inside.h"
#include "client/loads.h"
#include "net/loop.h"

/* So late may the push come which says that the key has expired, behind the answer that it is not
 * there: they travel on two connections. */
#define EXPIRY_PUSH_MS 50u

/* ---- what is told from outside ---- */

bool leases_park(struct client *c, const struct request *q, const struct near_question *nq)
{
    struct leases *l = c->all->near->leases;
    struct lease *lease = lease_find(l, nq->q.key, nq->q.scope);
    struct fill_terms t = {.form = (uint8_t)nq->form, .command = q->command->id};
    struct held *h;

    if (lease == NULL || lease->state == LEASE_COOL || lease->doubt || lease->holder == c ||
        q->more || c->promised > 0 || !park_waits(t.command, q->argc) ||
        !park_may(c, nq->policy, 0))
        return false;
    if (lease->parked >= LEASE_KEY_WAITERS || l->count.waiting >= LEASE_WAITERS) {
        l->count.refused++;
        return false;
    }
    h = client_promise(c);
    park_add(l, park_of(lease, &nq->q, &t, q->bytes), h, nq->policy);
    leases_arm(l);
    return true;
}

void lease_grant(struct leases *l, struct lease *lease, struct client *c, const struct policy *p)
{
    bool promoted = lease->granted_ms != 0;

    lease_leave_holder(lease); /* the one of before, asked for until now */
    lease->state = LEASE_HELD;
    lease->holder = c;
    lease->granted_ms = leases_now(l);
    list_push_back(&client_session(c)->leases, &lease->held);
    l->count.granted += !promoted;
    l->count.promoted += promoted;
    lease_expires_at(l, lease, lease->granted_ms + p->set->lease_ttl);
}

/* Those who had joined wait on, if they may: one of them has the lease perhaps, and does not. */
static void park_joined(struct leases *l, struct lease *lease, const struct landing *landing,
                        const struct policy *p)
{
    for (list_each_safe (node, next, landing->waiters)) {
        struct held *h = CONTAINER_OF(CONTAINER_OF(node, struct waiter, node), struct held, waiter);
        struct client *c = h->client;

        if (c == lease->holder || c->promised != 1 || !park_may(c, p, 0) ||
            (h->until_ms == 0 && l->count.waiting >= LEASE_WAITERS))
            continue;
        park_add(l, park_of(lease, landing->q, landing->terms, landing->request), h, p);
    }
}

/* So does the leader, whose own reply this would have been, unless it has the lease. */
static void park_leader(struct leases *l, struct lease *lease, struct landing *landing,
                        const struct policy *p)
{
    struct client *c = landing->leader;
    struct held *h;

    if (c == NULL || c->promised > 0 || lease->parked >= LEASE_KEY_WAITERS ||
        l->count.waiting >= LEASE_WAITERS || !park_may(c, p, 1))
        return;
    h = client_promise(c);
    park_add(l, park_of(lease, landing->q, landing->terms, landing->request), h, p);
    landing->leader = NULL;
}

/* Whether somebody here is to load it, the upstream says. Who cannot wait for that is told that
 * there is nothing, and has the lease if nobody waits. */
static void ask_fleet(struct leases *l, struct lease *lease, struct landing *landing,
                      const struct policy *p)
{
    struct client *c = landing->leader;

    lease_leave_holder(lease);
    park_leader(l, lease, landing, p);
    park_joined(l, lease, landing, p);
    if (!lease_waited_for(lease)) {
        if ((c == NULL || !c->open) && !list_empty(landing->waiters))
            c = first_waiting(landing->waiters)->client;
        if (c == NULL || !c->open) {
            lease_free(l, lease);
            return;
        }
        lease->holder = c;
        list_push_back(&client_session(c)->leases, &lease->held);
    }
    lease_ask_upstream(l, lease);
}

/* There is nothing: somebody is to load it. */
static void absent(struct leases *l, struct lease *lease, struct landing *landing,
                   const struct policy *p)
{
    struct client *c = landing->leader != NULL && landing->leader->open ? landing->leader : NULL;

    if (lease == NULL && (l->count.held >= LEASES_MAX || l->near->all->draining))
        return;
    if (lease == NULL)
        lease = lease_new(l, landing->q);
    if (lease->state == LEASE_VACANT && lease_is_fleet(p)) {
        ask_fleet(l, lease, landing, p);
        return;
    }
    if (lease->state == LEASE_VACANT) {
        if (c == NULL && !list_empty(landing->waiters))
            c = first_waiting(landing->waiters)->client;
        if (c != NULL)
            lease_grant(l, lease, c, p);
    }
    if (lease->state != LEASE_VACANT && lease->state != LEASE_COOL) {
        park_leader(l, lease, landing, p);
        park_joined(l, lease, landing, p);
    }
    if ((lease->state == LEASE_VACANT || lease->state == LEASE_ELSEWHERE) &&
        !lease_waited_for(lease))
        lease_free(l, lease);
}

static void lapsed(struct leases *l, struct lease *lease, const struct policy *p)
{
    bool kept = p->set->negative_ttl > 0;

    lease_leave_holder(lease);
    if (kept) {
        lease_drain(l, lease, true);
        return;
    }
    while (lease_first_park(lease) != NULL)
        park_give_nil(first_waiting(&lease_first_park(lease)->waiters));
    lease_cool(l, lease, p);
}

void leases_landed(struct near *near, struct landing *landing)
{
    struct leases *l = near->leases;
    struct lease *lease = lease_find(l, landing->q->key, landing->q->scope);
    const struct policy *p = lease_policy(l, landing->q->key);
    bool again = false;

    if (lease != NULL && landing->settles) {
        lease->asking = false;
        again = lease->again;
        lease->again = false;
        lease->doubt = lease->doubt && (again || !landing->absent);
    }
    if (!landing->absent) {
        if (lease == NULL)
            return;
        l->count.loaded++;
        if (lease->state == LEASE_HELD)
            loads_took(near, landing->terms->policy, (leases_now(l) - lease->granted_ms) * 1000);
        lease_drain(l, lease, false);
        return;
    }
    if (p == NULL)
        return;
    if (lease != NULL && lease->state == LEASE_LAPSED) {
        lapsed(l, lease, p);
        return;
    }
    absent(l, lease, landing, p);
    lease = lease_find(l, landing->q->key, landing->q->scope);
    if (lease != NULL && (again || lease->state == LEASE_VACANT))
        lease_settle(l, lease);
    leases_arm(l); /* some wait now who did not */
}

void leases_failed(struct near *near, const struct question *q, enum link_failure why)
{
    struct leases *l = near->leases;
    struct lease *lease = lease_find(l, q->key, q->scope);

    if (lease == NULL)
        return;
    l->count.failed++;
    lease_tell_all(l, lease, why);
    lease_free(l, lease);
}

static void changed(struct leases *l, struct lease *lease, bool voided)
{
    if (lease->state == LEASE_COOL) {
        lease_free(l, lease);
        return;
    }
    lease->doubt = true;
    /* (While it is being asked, a push may be that of the write which is the reason.) */
    if (voided && lease->state == LEASE_HELD && !lease->asking) {
        l->count.voided++;
        lease->state = LEASE_VACANT;
        list_leave(&lease->order);
        /* The holder stays the one to ask for, while there is nobody else. */
        if (lease_first_park(lease) != NULL)
            lease_leave_holder(lease);
    }
    lease_settle(l, lease);
}

/* Which of a bucket are meant: those of the key (perhaps written; deleted; changed, says a push),
 * of keys that begin so, all. */
enum match {
    MATCH_WRITTEN,
    MATCH_VOID,
    MATCH_PUSHED,
    MATCH_PREFIX,
    MATCH_ALL,
    MATCH_ALL_WRITTEN,
};

static bool is_meant(const struct lease *lease, const struct slice *key, enum match match)
{
    switch (match) {
    case MATCH_WRITTEN:
    case MATCH_VOID:
    case MATCH_PUSHED:
        return slice_eq(lease_key(lease), *key);
    case MATCH_PREFIX:
        return slice_starts(lease_key(lease), *key);
    case MATCH_ALL:
    case MATCH_ALL_WRITTEN:
        break;
    }
    return true;
}

/* One of the bucket that is meant and has not been seen to in this round. To
 * answer those who wait may close clients, and so end other leases: nothing is held on to. */
static struct lease *next_in(const struct leases *l, const struct list *bucket,
                             const struct slice *key, enum match match)
{
    for (list_each (node, bucket)) {
        struct lease *lease = CONTAINER_OF(node, struct lease, node);

        if (lease->round != l->round && is_meant(lease, key, match))
            return lease;
    }
    return NULL;
}

/* What is no more than asked about does not end the lease. A push is not told of a key that was
 * absent and was deleted: soon behind the grant it is nearly always that of the expiry. */
static bool is_voided(const struct leases *l, const struct lease *lease, enum match match)
{
    if (match == MATCH_PUSHED)
        return leases_now(l) >= lease->granted_ms + EXPIRY_PUSH_MS;
    return match != MATCH_WRITTEN && match != MATCH_ALL_WRITTEN;
}

static void change_in(struct leases *l, const struct list *bucket, const struct slice *key,
                      enum match match)
{
    struct lease *lease;

    l->round++;
    while ((lease = next_in(l, bucket, key, match)) != NULL) {
        lease->round = l->round;
        changed(l, lease, is_voided(l, lease, match));
    }
}

void leases_changed(struct near *near, struct slice key, bool voided)
{
    change_in(near->leases, lease_bucket(near->leases, key), &key,
              voided ? MATCH_VOID : MATCH_WRITTEN);
}

void leases_pushed(struct near *near, struct slice key)
{
    change_in(near->leases, lease_bucket(near->leases, key), &key, MATCH_PUSHED);
}

void leases_prefix_changed(struct near *near, struct slice prefix)
{
    for (uint32_t i = 0; i < LEASE_BUCKETS; i++)
        change_in(near->leases, &near->leases->buckets[i], &prefix, MATCH_PREFIX);
}

void leases_all_changed(struct near *near)
{
    for (uint32_t i = 0; i < LEASE_BUCKETS; i++)
        change_in(near->leases, &near->leases->buckets[i], NULL, MATCH_ALL);
}

void leases_upstream_lost(struct near *near)
{
    for (uint32_t i = 0; i < LEASE_BUCKETS; i++)
        change_in(near->leases, &near->leases->buckets[i], NULL, MATCH_ALL_WRITTEN);
}

void leases_left(struct client *c)
{
    struct leases *l = c->all->near->leases;

    while (!list_empty(&c->more->leases)) {
        struct lease *lease = CONTAINER_OF(c->more->leases.next, struct lease, held);

        lease_leave_holder(lease);
        if (lease->state == LEASE_HELD) {
            lease->state = LEASE_VACANT;
            list_leave(&lease->order);
        }
        lease_settle(l, lease);
    }
}

void leases_miss(struct client *c, struct slice key)
{
    struct leases *l = c->all->near->leases;
    struct lease *lease = lease_find(l, key, c->scope);

    if (lease != NULL && lease->state == LEASE_HELD)
        lease_lapse(l, lease);
}

void leases_count_no_park(struct leases *l)
{
    size_t n;
    const struct policy *all = policies_all(l->near->policies, &n);

    l->count.no_park = l->count.no_park_policies = 0;
    for (size_t i = 0; i < n; i++)
        l->count.no_park_policies += near_stats_of(l->near, &all[i])->no_park_ms > leases_now(l);
    for (list_each (node, &l->near->all->open)) {
        const struct client *c = CONTAINER_OF(node, struct client, node);

        l->count.no_park += c->more != NULL && c->more->no_park_ms > leases_now(l);
    }
}

void leases_describe(const struct leases *l, struct buffer *out)
{
    static const char *const words[] = {"held",   "vacant", "lapsed",   "cool",
                                        "drains", "asked",  "elsewhere"};

    for (uint32_t i = 0; l != NULL && i < LEASE_BUCKETS; i++) {
        for (list_each (node, &l->buckets[i])) {
            const struct lease *lease = CONTAINER_OF(node, struct lease, node);
            uint32_t waiting = 0;

            if (lease->state == LEASE_COOL)
                continue;

            for (list_each (park, &lease->parks)) {
                for (list_each (w, &CONTAINER_OF(park, struct park, node)->waiters))
                    waiting++;
            }
            buffer_printf(out, "key=");
            buffer_add_visible(out, lease_key(lease));
            buffer_printf(
                out, " state=%s holder=%llu age_ms=%llu waiting=%u\n", words[lease->state],
                lease->holder != NULL ? (unsigned long long)lease->holder->id : 0,
                (unsigned long long)(lease->granted_ms > 0 ? leases_now(l) - lease->granted_ms : 0),
                waiting);
        }
    }
}

/* ---- life ---- */

void leases_clear(struct leases *l)
{
    struct park *p;

    for (uint32_t i = 0; i < LEASE_BUCKETS; i++) {
        while (!list_empty(&l->buckets[i])) {
            struct lease *lease = CONTAINER_OF(l->buckets[i].next, struct lease, node);

            while ((p = lease_first_park(lease)) != NULL)
                park_give_nil(first_waiting(&p->waiters));
            lease_free(l, lease);
        }
    }
    while (!list_empty(&l->draining)) {
        struct lease *lease = CONTAINER_OF(l->draining.next, struct lease, node);

        while ((p = lease_first_park(lease)) != NULL)
            park_give_nil(first_waiting(&p->waiters));
        lease_free(l, lease);
    }
}

void leases_use(struct near *near)
{
    struct leases *l = near->leases;
    bool wanted = false;
    size_t n;
    const struct policy *all = policies_all(near->policies, &n);

    for (size_t i = 0; i < n; i++)
        wanted |= all[i].set->stampede == SET_STAMPEDE_WAIT;
    if (l != NULL) {
        leases_clear(l);
    } else if (wanted) {
        l = near->leases = must_calloc(1, sizeof *l);
        l->near = near;
        l->buckets = must_alloc(LEASE_BUCKETS * sizeof *l->buckets);
        for (uint32_t i = 0; i < LEASE_BUCKETS; i++)
            list_init(&l->buckets[i]);
        list_init(&l->draining);
        list_init(&l->by_expiry);
        list_init(&l->by_wait);
        list_init(&l->unasked);
        hash_seed_init(&l->seed);
        l->timer = timer_new(near->all->loop, leases_on_timer, l);
    }
}

void leases_free(struct leases *l)
{
    if (l == NULL)
        return;
    leases_clear(l);
    timer_free(l->timer);
    free(l->buckets);
    free(l);
}
