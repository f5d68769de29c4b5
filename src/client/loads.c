/* loads.c - see loads.h. */
#include "client/loads.h"

#include <stdlib.h>

#include "client/leases.h"
#include "net/loop.h"
#include "policy/refresh.h"
#include "resp/reply.h"
#include "resp/write.h"

#define LOAD_BUCKETS 1024u

/* Two answers of Redis about the same expiry are no further apart than asking takes. */
#define SAME_EXPIRY_MS 1000u

static uint64_t now_of(const struct near *near)
{
    return loop_now_ms(near->all->loop);
}

/* ---- the table ---- */

static struct list *bucket(const struct loads *l, struct slice key)
{
    return &l->buckets[hash_bytes(&l->seed, key.p, key.n) % LOAD_BUCKETS];
}

static bool is_of(const struct load *load, struct slice key)
{
    return slice_eq(slice_of(load->key, load->key_n), key);
}

/* One whose time is up, whether the timer has seen that or not, is none. */
static struct load *find(const struct loads *l, const struct question *q)
{
    for (list_each (node, bucket(l, q->key))) {
        struct load *load = CONTAINER_OF(node, struct load, node);

        if (load->scope == q->scope && load->until_ms > now_of(l->near) && is_of(load, q->key))
            return load;
    }
    return NULL;
}

static void arm(struct loads *l)
{
    uint64_t now_ms = now_of(l->near), at_ms;

    if (list_empty(&l->by_time)) {
        timer_stop(l->timer);
        return;
    }
    at_ms = CONTAINER_OF(l->by_time.next, struct load, order)->until_ms;
    timer_start(l->timer, at_ms > now_ms ? at_ms - now_ms : 0);
}

static void load_free(struct loads *l, struct load *load)
{
    list_leave(&load->node);
    list_leave(&load->order);
    list_leave(&load->held);
    l->count--;
    free(load);
}

/* c has been told to load it. NULL: too many do already. */
static struct load *begin(struct loads *l, struct client *c, const struct question *q,
                          uint16_t policy, uint64_t ttl_ms)
{
    struct list *at = l->by_time.prev;
    struct load *load;

    if (l->count >= LEASES_MAX || l->near->all->draining)
        return NULL;
    load = must_calloc(1, sizeof *load + q->key.n);
    load->holder = c;
    load->begun_us = near_clock_us();
    load->until_ms = now_of(l->near) + ttl_ms;
    load->scope = q->scope;
    load->policy = policy;
    load->key_n = (uint32_t)q->key.n;
    memcpy(load->key, q->key.p, q->key.n);
    while (at != &l->by_time && CONTAINER_OF(at, struct load, order)->until_ms > load->until_ms)
        at = at->prev;
    list_push_front(at, &load->order);
    list_push_back(bucket(l, q->key), &load->node);
    list_push_back(&client_session(c)->loads, &load->held);
    l->count++;
    arm(l);
    return load;
}

static void on_timer(void *context)
{
    struct loads *l = context;

    while (!list_empty(&l->by_time)) {
        struct load *load = CONTAINER_OF(l->by_time.next, struct load, order);

        if (load->until_ms > now_of(l->near))
            break;
        load_free(l, load);
    }
    arm(l);
}

/* ---- life ---- */

bool loads_told(uint16_t command)
{
    return command != CMD_EXISTS && command != CMD_GETEX && park_waits(command, 2);
}

bool loads_wanted(const struct policy *p)
{
    return p->set->local && (p->set->stampede == SET_STAMPEDE_STALE || p->set->refresh_ahead);
}

void loads_use(struct near *near)
{
    struct loads *l = near->loads;
    bool wanted = false;
    size_t n;
    const struct policy *all = policies_all(near->policies, &n);

    for (size_t i = 0; i < n; i++)
        wanted |= loads_wanted(&all[i]);
    if (l != NULL) {
        loads_clear(l);
    } else if (wanted) {
        l = near->loads = must_calloc(1, sizeof *l);
        l->near = near;
        l->buckets = must_alloc(LOAD_BUCKETS * sizeof *l->buckets);
        for (uint32_t i = 0; i < LOAD_BUCKETS; i++)
            list_init(&l->buckets[i]);
        list_init(&l->by_time);
        hash_seed_init(&l->seed);
        l->timer = timer_new(near->all->loop, on_timer, l);
    }
}

void loads_clear(struct loads *l)
{
    while (!list_empty(&l->by_time))
        load_free(l, CONTAINER_OF(l->by_time.next, struct load, order));
    arm(l);
}

void loads_free(struct loads *l)
{
    if (l == NULL)
        return;
    loads_clear(l);
    timer_free(l->timer);
    free(l->buckets);
    free(l);
}

/* ---- ahead ---- */

bool loads_soon(const struct near *near, const struct policy *p, const struct entry *e)
{
    return e->kind == ENTRY_VALUE && e->expiry_ms != EXPIRY_NEVER &&
           refresh_near(&near->stats[p->number]->load_time, e->expiry_ms - now_of(near));
}

bool loads_ahead(struct client *c, const struct near_question *nq, const struct request *q,
                 const struct entry *e)
{
    struct near *near = c->all->near;
    struct loads *l = near->loads;
    struct near_stats *stats = near_stats_of(near, nq->policy);
    uint64_t left_ms = e->expiry_ms - now_of(near);
    struct buffer *out = &near->pieces;
    struct load *load;

    if (!nq->policy->ahead || !loads_soon(near, nq->policy, e) || !loads_told(q->command->id))
        return false;
    l->drawn++;
    if (!refresh_due(&stats->load_time, left_ms,
                     refresh_drawn(hash_bytes(&l->seed, &l->drawn, sizeof l->drawn))) ||
        find(l, &nq->q) != NULL)
        return false;
    load = begin(l, c, &nq->q, nq->policy->number, nq->policy->set->lease_ttl);
    if (load == NULL)
        return false;
    load->ahead = true;
    stats->count.ahead++;
    buffer_take_keep(out, buffer_len(out), ASK_KEEP_BYTES);
    park_write_nil(out, c->proto, q->command->id, q->argc - (q->command->id == CMD_HMGET ? 2 : 1));
    near->answer = buffer_slice(out);
    near->block = NULL;
    return true;
}

/* ---- what is old ---- */

/* Changes are heard of. While the key is held by a write nobody has been told its outcome. */
static bool is_trusted(const struct near *near, struct slice key)
{
    enum way way = near_way(near, key);

    return way == WAY_ASK || way == WAY_HELD;
}

static bool is_young(const struct near *near, const struct entry *e, uint64_t stale_ttl)
{
    return e->deadline_ms + stale_ttl > now_of(near);
}

bool loads_stale(struct near *near, const struct near_question *nq, const struct request *q,
                 struct entry *ret_entry)
{
    const struct policy_settings *set = nq->policy->set;
    const struct load *load;

    if (near->loads == NULL || set->stampede != SET_STAMPEDE_STALE || !loads_told(q->command->id))
        return false;
    load = find(near->loads, &nq->q);
    return load != NULL && !load->doubt && is_trusted(near, nq->q.key) &&
           near_look_past(near, &nq->q, q, ret_entry) && is_young(near, ret_entry, set->stale_ttl);
}

bool loads_give(struct client *c, const struct near_question *nq, const struct request *q)
{
    struct near *near = c->all->near;
    struct entry e;

    if (!loads_stale(near, nq, q, &e))
        return false;
    near_stats_of(near, nq->policy)->count.stale++;
    near->answer = e.bytes;
    near->block = e.block;
    if (q->command->id == CMD_MGET) {
        buffer_take_keep(&near->pieces, buffer_len(&near->pieces), ASK_KEEP_BYTES);
        write_array(&near->pieces, 1);
        buffer_add(&near->pieces, e.bytes.p, e.bytes.n);
        near->answer = buffer_slice(&near->pieces);
        near->block = NULL;
    }
    near_give(c, q->more);
    return true;
}

/* ---- what the upstream says ---- */

bool loads_is_absent(struct slice value, struct slice ttl)
{
    struct reply r;

    return looks_absent(value) && reply_read(&ttl, &r) && r.type == ':' && r.number == -2;
}

bool loads_is_value(struct slice value, struct slice ttl)
{
    bool error = value.n == 0 || value.p[0] == '-' || value.p[0] == '!';

    return !error && !loads_is_absent(value, ttl);
}

/* Those who asked did so before the upstream answered: nothing was written then, but it may have
 * been since, if the token is spoilt. */
enum told loads_absent(struct near *near, const struct load_miss *m, struct entry *ret_entry)
{
    struct loads *l = near->loads;
    bool good = flight_good(cache_keyring(near->cache), m->flight), old;
    struct load *load = find(l, m->q);

    old = m->terms->stale_ttl > 0 && is_trusted(near, m->q->key) &&
          near_look_past(near, m->q, m->request, ret_entry) &&
          is_young(near, ret_entry, m->terms->stale_ttl);
    if (load != NULL) {
        load->doubt = load->doubt && !good;
        return old ? TOLD_OLD : TOLD_SO;
    }
    if (m->asks != NULL)
        load = begin(l, m->asks, m->q, m->terms->policy, m->terms->lease_ttl);
    if (load == NULL)
        return TOLD_SO;
    load->doubt = !good;
    return old ? TOLD_LOADS : TOLD_SO;
}

void loads_tell(struct near *near, struct load_miss *m, const struct list *joined,
                struct slice *ret_asks, struct slice *ret_joined)
{
    struct request get = {.command = command_find(SLICE("GET"))};
    struct near_counters *count = &near->stats[m->terms->policy]->count;
    struct entry e;
    enum told told;

    m->request = &get;
    told = loads_absent(near, m, &e);
    m->request = NULL;
    if (told == TOLD_SO)
        return;
    *ret_joined = e.bytes;
    if (told == TOLD_OLD)
        *ret_asks = e.bytes;
    count->stale += told == TOLD_OLD && m->asks != NULL;
    for (list_each (node, joined))
        count->stale++;
}

/* What is kept here expires a little earlier than in Redis: by as much as asking took. Until then
 * the old value is Redis' too. */
static bool is_newer(const struct fill_terms *t, struct slice ttl, uint64_t deadline_ms)
{
    struct reply r;

    if (!reply_read(&ttl, &r) || r.type != ':' || r.number == -1)
        return true;
    return r.number > 0 && t->asked_ms + (uint64_t)r.number > deadline_ms + SAME_EXPIRY_MS;
}

void loads_found(struct near *near, const struct question *q, const struct fill_terms *t,
                 struct slice ttl)
{
    struct load *load = find(near->loads, q);
    uint64_t deadline_ms;

    if (t->stale_ttl > 0 && cache_past(near->cache, q->key, now_of(near), &deadline_ms) &&
        is_newer(t, ttl, deadline_ms))
        cache_forget(near->cache, q->key);
    if (load != NULL && !load->ahead)
        load_free(near->loads, load);
}

void loads_pushed(struct loads *l, struct slice key)
{
    for (list_each (node, bucket(l, key))) {
        struct load *load = CONTAINER_OF(node, struct load, node);

        if (is_of(load, key))
            load->doubt = true;
    }
}

/* ---- writes ---- */

bool loads_spare(struct near *near, const struct policy *p, struct slice key)
{
    bool loading = false;

    if (near->loads == NULL || p->set->stampede != SET_STAMPEDE_STALE)
        return false;
    for (list_each (node, bucket(near->loads, key)))
        loading |= is_of(CONTAINER_OF(node, struct load, node), key);
    return loading && cache_spare(near->cache, key, now_of(near));
}

void loads_took(struct near *near, uint16_t policy, uint64_t us)
{
    struct near_stats *stats = near->stats[policy];

    histogram_add(&stats->loader_us, us);
    load_time_add(&stats->load_time, us);
}

/* A deletion, and what MULTI had queued and did not run, has loaded nothing. */
void loads_written(struct near *near, const struct hold *h)
{
    struct loads *l = near->loads;

    if (h->all && !h->blunt)
        loads_clear(l);
    for (uint32_t i = 0; i < h->n; i++) {
        struct slice key = hold_key(h, i);

        for (list_each_safe (node, next, bucket(l, key))) {
            struct load *load = CONTAINER_OF(node, struct load, node);

            if (!is_of(load, key))
                continue;
            if (h->begun && !h->voids)
                loads_took(near, load->policy, near_clock_us() - load->begun_us);
            load_free(l, load);
        }
    }
}

void loads_left(struct client *c)
{
    while (c->more != NULL && !list_empty(&c->more->loads))
        load_free(c->all->near->loads, CONTAINER_OF(c->more->loads.next, struct load, held));
}

void loads_miss(struct client *c, struct slice key)
{
    struct loads *l = c->all->near->loads;
    struct question q = {.key = key, .scope = c->scope};
    struct load *load = find(l, &q);

    if (load != NULL)
        load_free(l, load);
}

void loads_describe(const struct loads *l, struct buffer *out)
{
    uint64_t now_us = near_clock_us();

    if (l == NULL)
        return;
    for (list_each (node, &l->by_time)) {
        const struct load *load = CONTAINER_OF(node, struct load, order);

        buffer_printf(out, "key=");
        buffer_add_visible(out, slice_of(load->key, load->key_n));
        buffer_printf(out, " state=%s holder=%llu age_ms=%llu waiting=0\n",
                      load->ahead ? "ahead" : "loads", (unsigned long long)load->holder->id,
                      (unsigned long long)(now_us - load->begun_us) / 1000);
    }
}
