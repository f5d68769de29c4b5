/* leases.c - see leases.h. */
#include "client/leases.h"

#include <stdlib.h>

#include "net/loop.h"
#include "resp/write.h"

#define BUCKETS 1024u

static void settle(struct leases *l, struct lease *lease);

static uint64_t now_of(const struct leases *l)
{
    return loop_now_ms(l->near->all->loop);
}

/* ---- the table ---- */

static struct list *bucket(const struct leases *l, struct slice key)
{
    return &l->buckets[hash_bytes(&l->seed, key.p, key.n) % BUCKETS];
}

static struct lease *find(const struct leases *l, struct slice key, uint16_t scope)
{
    for (list_each (node, bucket(l, key))) {
        struct lease *lease = CONTAINER_OF(node, struct lease, node);

        if (lease->scope == scope && slice_eq(slice_of(lease->key, lease->key_n), key))
            return lease;
    }
    return NULL;
}

bool leases_known(const struct leases *l, struct slice key)
{
    for (list_each (node, bucket(l, key))) {
        const struct lease *lease = CONTAINER_OF(node, struct lease, node);

        if (slice_eq(slice_of(lease->key, lease->key_n), key))
            return true;
    }
    return false;
}

static struct lease *lease_new(struct leases *l, const struct question *q)
{
    struct lease *lease = must_calloc(1, sizeof *lease + q->key.n);

    lease->state = LEASE_VACANT;
    lease->scope = q->scope;
    lease->key_n = (uint32_t)q->key.n;
    memcpy(lease->key, q->key.p, q->key.n);
    list_init(&lease->order);
    list_init(&lease->held);
    list_init(&lease->parks);
    list_push_back(bucket(l, q->key), &lease->node);
    l->count.held++;
    return lease;
}

static struct slice key_of(const struct lease *lease)
{
    return slice_of(lease->key, lease->key_n);
}

static const struct policy *policy_of(const struct leases *l, struct slice key)
{
    const struct policy *p = policies_match(l->near->policies, key);

    return p != NULL && p->set->local && p->set->stampede == SET_STAMPEDE_WAIT ? p : NULL;
}

static bool anybody_waits(const struct lease *lease)
{
    for (list_each (node, &lease->parks)) {
        if (!list_empty(&CONTAINER_OF(node, struct park, node)->waiters))
            return true;
    }
    return false;
}

/* ---- time ---- */

static void arm(struct leases *l)
{
    uint64_t now_ms = now_of(l), next_ms = UINT64_MAX;

    if (!list_empty(&l->draining))
        next_ms = now_ms;
    if (!list_empty(&l->by_wait))
        next_ms = CONTAINER_OF(l->by_wait.next, struct held, by_time)->until_ms;
    if (!list_empty(&l->by_expiry)) {
        uint64_t at_ms = CONTAINER_OF(l->by_expiry.next, struct lease, order)->expires_ms;

        next_ms = at_ms < next_ms ? at_ms : next_ms;
    }
    if (!list_empty(&l->draining))
        next_ms = now_ms;
    if (next_ms == UINT64_MAX)
        timer_stop(l->timer);
    else
        timer_start(l->timer, next_ms > now_ms ? next_ms - now_ms : 0);
}

static void expires_at(struct leases *l, struct lease *lease, uint64_t at_ms)
{
    struct list *at = l->by_expiry.prev;

    list_leave(&lease->order);
    lease->expires_ms = at_ms;
    while (at != &l->by_expiry && CONTAINER_OF(at, struct lease, order)->expires_ms > at_ms)
        at = at->prev;
    list_push_front(at, &lease->order);
    arm(l);
}

/* ---- ends ---- */

static void leave_holder(struct lease *lease)
{
    list_leave(&lease->held);
    lease->holder = NULL;
}

static void lease_free(struct leases *l, struct lease *lease)
{
    leave_holder(lease);
    while (!list_empty(&lease->parks))
        park_free(CONTAINER_OF(lease->parks.next, struct park, node));
    list_leave(&lease->order);
    list_leave(&lease->node);
    l->count.held -= lease->state != LEASE_DRAINS;
    free(lease);
}

/* It is over: who waits is answered in slices, with the value, or nil. */
static void drain(struct leases *l, struct lease *lease, bool nil)
{
    if (!anybody_waits(lease)) {
        lease_free(l, lease);
        return;
    }
    l->count.held--;
    leave_holder(lease);
    list_leave(&lease->order);
    list_leave(&lease->node);
    lease->state = LEASE_DRAINS;
    lease->nil = nil;
    list_push_back(&l->draining, &lease->node);
    arm(l);
}

/* Not leased again for a while, with nothing kept that says so. */
static void cool(struct leases *l, struct lease *lease, const struct policy *p)
{
    lease->state = LEASE_COOL;
    expires_at(l, lease, now_of(l) + (p != NULL ? p->set->lease_ttl : 0));
}

/* ---- asking ---- */

/* On whose behalf a question about the lease is asked; NULL: nobody is there any more. */
static const struct client *asks_for(const struct lease *lease, const struct park *p)
{
    return p != NULL ? first_waiting(&p->waiters)->client : lease->holder;
}

static struct park *first_park(const struct lease *lease)
{
    for (list_each (node, &lease->parks)) {
        struct park *p = CONTAINER_OF(node, struct park, node);

        if (!list_empty(&p->waiters))
            return p;
    }
    return NULL;
}

static void tell_all(struct leases *l, struct lease *lease, enum link_failure why)
{
    struct park *p;

    while ((p = first_park(lease)) != NULL)
        again_tell(l->near, &p->waiters, why);
}

/* Asks for the first LEASE_SLICE of those in the park; of no park, for its own sake. */
static bool ask(struct leases *l, struct lease *lease, struct park *p, bool settles)
{
    const struct client *c = asks_for(lease, p);
    struct slice get[2] = {SLICE("GET"), key_of(lease)};
    struct link *link = c != NULL ? lane_link(c->lane, c->db) : NULL;
    struct buffer words = {0};
    struct list some;
    struct fill_order o = {.link = link,
                           .policy = policies_match(l->near->policies, key_of(lease)),
                           .q = {key_of(lease), {"", 0}, lease->scope},
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

/* Something may have changed: is there a value now? */
static void settle(struct leases *l, struct lease *lease)
{
    struct park *p = first_park(lease);

    if (lease->asking) {
        lease->again = true;
        return;
    }
    /* A write is under way: its end will bring us here again. */
    if (lease->state != LEASE_LAPSED && keyring_held(cache_keyring(l->near->cache), key_of(lease)))
        return;
    if (p == NULL && lease->holder == NULL && lease->state != LEASE_LAPSED) {
        lease_free(l, lease);
        return;
    }
    lease->asking = true;
    if (ask(l, lease, p, true))
        return;
    lease->asking = false;
    l->count.failed++;
    if (p != NULL)
        tell_all(l, lease, LINK_UNREACHED);
    lease_free(l, lease);
}

/* One who waits is given what the shelf has; else it is asked, for some at a time. */
static void drain_park(struct leases *l, struct lease *lease, struct park *p)
{
    struct entry e;

    for (uint32_t i = 0; i < LEASE_SLICE && !list_empty(&p->waiters); i++) {
        struct held *h = first_waiting(&p->waiters);

        if (lease->nil) {
            park_give_nil(h);
        } else if (cache_look(l->near->cache, &p->q, now_of(l), false, &e) != LOOK_FRESH) {
            if (!ask(l, lease, p, false))
                again_tell(l->near, &p->waiters, LINK_UNREACHED);
            return;
        } else if (e.kind == ENTRY_ABSENT) {
            park_give_nil(h);
        } else {
            client_keep_promise(h, e.bytes);
        }
    }
}

static void drain_some(struct leases *l)
{
    for (list_each_safe (node, next, &l->draining)) {
        struct lease *lease = CONTAINER_OF(node, struct lease, node);
        struct park *p = first_park(lease);

        if (p != NULL)
            drain_park(l, lease, p);
        if (!anybody_waits(lease))
            lease_free(l, lease);
    }
}

static void lapse(struct leases *l, struct lease *lease)
{
    l->count.lapsed++;
    lease->state = LEASE_LAPSED;
    list_leave(&lease->order);
    settle(l, lease);
}

static void on_timer(void *context)
{
    struct leases *l = context;

    park_expire(l, LEASE_SLICE);
    while (!list_empty(&l->by_expiry)) {
        struct lease *lease = CONTAINER_OF(l->by_expiry.next, struct lease, order);

        if (lease->expires_ms > now_of(l))
            break;
        if (lease->state == LEASE_HELD)
            lapse(l, lease);
        else
            lease_free(l, lease);
    }
    drain_some(l);
    arm(l);
}

/* ---- what is told from outside ---- */

bool leases_park(struct client *c, const struct request *q, const struct near_question *nq)
{
    struct leases *l = c->all->near->leases;
    struct lease *lease = find(l, nq->q.key, nq->q.scope);
    struct fill_terms t = {.form = (uint8_t)nq->form, .command = q->command->id};
    struct held *h;

    if (lease == NULL || lease->state == LEASE_COOL || lease->holder == c || q->more ||
        c->promised > 0 || !park_waits(t.command, q->argc) || !park_may(c, nq->policy))
        return false;
    if (lease->parked >= LEASE_KEY_WAITERS || l->count.waiting >= LEASE_WAITERS) {
        l->count.refused++;
        return false;
    }
    h = client_promise(c);
    park_add(l, park_of(lease, &nq->q, &t, q->bytes), h, nq->policy);
    arm(l);
    return true;
}

static void grant(struct leases *l, struct lease *lease, struct client *c, const struct policy *p)
{
    bool promoted = lease->granted_ms != 0;

    lease->state = LEASE_HELD;
    lease->holder = c;
    lease->granted_ms = now_of(l);
    list_push_back(&client_session(c)->leases, &lease->held);
    l->count.granted += !promoted;
    l->count.promoted += promoted;
    expires_at(l, lease, lease->granted_ms + p->set->lease_ttl);
}

/* Those who had joined wait on, if they may: one of them has the lease perhaps, and does not. */
static void park_joined(struct leases *l, struct lease *lease, const struct landing *landing,
                        const struct policy *p)
{
    for (list_each_safe (node, next, landing->waiters)) {
        struct held *h = CONTAINER_OF(CONTAINER_OF(node, struct waiter, node), struct held, waiter);
        struct client *c = h->client;

        if (c == lease->holder || c->promised != 1 || !park_may(c, p) ||
            (h->until_ms == 0 && l->count.waiting >= LEASE_WAITERS))
            continue;
        park_add(l, park_of(lease, landing->q, landing->terms, landing->request), h, p);
    }
}

/* There is nothing: somebody is to load it. */
static void absent(struct leases *l, struct lease *lease, const struct landing *landing,
                   const struct policy *p)
{
    struct client *c = landing->leader;

    if (lease == NULL && (l->count.held >= LEASES_MAX || l->near->all->draining))
        return;
    if (lease == NULL)
        lease = lease_new(l, landing->q);
    if (lease->state == LEASE_VACANT) {
        if (c == NULL && !list_empty(landing->waiters))
            c = first_waiting(landing->waiters)->client;
        if (c != NULL && c->open)
            grant(l, lease, c, p);
    }
    if (lease->state == LEASE_HELD)
        park_joined(l, lease, landing, p);
    else if (lease->state == LEASE_VACANT && !anybody_waits(lease))
        lease_free(l, lease);
}

static void lapsed(struct leases *l, struct lease *lease, const struct policy *p)
{
    bool kept = p->set->negative_ttl > 0;

    leave_holder(lease);
    if (kept) {
        drain(l, lease, true);
        return;
    }
    while (first_park(lease) != NULL)
        park_give_nil(first_waiting(&first_park(lease)->waiters));
    cool(l, lease, p);
}

void leases_landed(struct near *near, const struct landing *landing)
{
    struct leases *l = near->leases;
    struct lease *lease = find(l, landing->q->key, landing->q->scope);
    const struct policy *p = policy_of(l, landing->q->key);
    bool again = false;

    if (lease != NULL && landing->settles) {
        lease->asking = false;
        again = lease->again;
        lease->again = false;
    }
    if (!landing->absent) {
        if (lease == NULL)
            return;
        l->count.loaded++;
        drain(l, lease, false);
        return;
    }
    if (p == NULL)
        return;
    if (lease != NULL && lease->state == LEASE_LAPSED) {
        lapsed(l, lease, p);
        return;
    }
    absent(l, lease, landing, p);
    lease = find(l, landing->q->key, landing->q->scope);
    if (lease != NULL && (again || lease->state == LEASE_VACANT))
        settle(l, lease);
}

void leases_failed(struct near *near, const struct question *q, enum link_failure why)
{
    struct leases *l = near->leases;
    struct lease *lease = find(l, q->key, q->scope);

    if (lease == NULL)
        return;
    l->count.failed++;
    tell_all(l, lease, why);
    lease_free(l, lease);
}

static void changed(struct leases *l, struct lease *lease, bool voided)
{
    if (lease->state == LEASE_COOL) {
        lease_free(l, lease);
        return;
    }
    if (voided && lease->state == LEASE_HELD) {
        l->count.voided++;
        lease->state = LEASE_VACANT;
        list_leave(&lease->order);
        /* The holder stays the one to ask for, while there is nobody else. */
        if (first_park(lease) != NULL)
            leave_holder(lease);
    }
    settle(l, lease);
}

void leases_changed(struct near *near, struct slice key, bool voided)
{
    struct leases *l = near->leases;

    for (list_each_safe (node, next, bucket(l, key))) {
        struct lease *lease = CONTAINER_OF(node, struct lease, node);

        if (slice_eq(key_of(lease), key))
            changed(l, lease, voided);
    }
}

void leases_all_changed(struct near *near)
{
    struct leases *l = near->leases;

    for (uint32_t i = 0; i < BUCKETS; i++) {
        for (list_each_safe (node, next, &l->buckets[i]))
            changed(l, CONTAINER_OF(node, struct lease, node), true);
    }
}

void leases_left(struct client *c)
{
    struct leases *l = c->all->near->leases;

    while (!list_empty(&c->more->leases)) {
        struct lease *lease = CONTAINER_OF(c->more->leases.next, struct lease, held);

        leave_holder(lease);
        if (lease->state == LEASE_HELD) {
            l->count.voided++;
            lease->state = LEASE_VACANT;
            list_leave(&lease->order);
        }
        settle(l, lease);
    }
}

void leases_miss(struct client *c, struct slice key)
{
    struct leases *l = c->all->near->leases;
    struct lease *lease = find(l, key, c->scope);

    if (lease != NULL && lease->state == LEASE_HELD)
        lapse(l, lease);
}

void leases_count_no_park(struct leases *l)
{
    size_t n;
    const struct policy *all = policies_all(l->near->policies, &n);

    l->count.no_park = 0;
    for (size_t i = 0; i < n; i++)
        l->count.no_park += near_stats_of(l->near, &all[i])->no_park_ms > now_of(l);
}

void leases_describe(const struct leases *l, struct buffer *out)
{
    static const char *const words[] = {"held", "vacant", "lapsed", "cool", "drains"};

    for (uint32_t i = 0; l != NULL && i < BUCKETS; i++) {
        for (list_each (node, &l->buckets[i])) {
            const struct lease *lease = CONTAINER_OF(node, struct lease, node);
            uint32_t waiting = 0;

            for (list_each (park, &lease->parks)) {
                for (list_each (w, &CONTAINER_OF(park, struct park, node)->waiters))
                    waiting++;
            }
            buffer_printf(out, "key=");
            buffer_add_visible(out, key_of(lease));
            buffer_printf(
                out, " state=%s holder=%llu age_ms=%llu waiting=%u\n", words[lease->state],
                lease->holder != NULL ? (unsigned long long)lease->holder->id : 0,
                (unsigned long long)(lease->granted_ms > 0 ? now_of(l) - lease->granted_ms : 0),
                waiting);
        }
    }
}

/* ---- life ---- */

void leases_clear(struct leases *l)
{
    struct park *p;

    for (uint32_t i = 0; i < BUCKETS; i++) {
        while (!list_empty(&l->buckets[i])) {
            struct lease *lease = CONTAINER_OF(l->buckets[i].next, struct lease, node);

            while ((p = first_park(lease)) != NULL)
                park_give_nil(first_waiting(&p->waiters));
            lease_free(l, lease);
        }
    }
    while (!list_empty(&l->draining)) {
        struct lease *lease = CONTAINER_OF(l->draining.next, struct lease, node);

        while ((p = first_park(lease)) != NULL)
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
        l->buckets = must_alloc(BUCKETS * sizeof *l->buckets);
        for (uint32_t i = 0; i < BUCKETS; i++)
            list_init(&l->buckets[i]);
        list_init(&l->draining);
        list_init(&l->by_expiry);
        list_init(&l->by_wait);
        hash_seed_init(&l->seed);
        l->timer = timer_new(near->all->loop, on_timer, l);
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
