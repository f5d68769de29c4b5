/* lease_fleet.c - scope = fleet: one client loads a key, of all larders before an upstream.
 *
 *     larder A                                   larder B
 *     C1: GET k --> absent; C1 is parked         C2: GET k --> absent; C2 is parked
 *     SET larder:lease:k a NX PX, EXISTS k       SET larder:lease:k b NX PX, EXISTS k
 *     OK, 0: C1 is given the nil, and the lease  nil: C2 waits
 *     C1: SET k v -----------------------------> a push: B asks, C2 is given v
 *     the lease is over: larder:lease:k goes --> a push: B asks for the lease, if any wait still
 *
 * A lease is ASKED while the upstream is asked, and then HELD, as one of this larder alone, or
 * ELSEWHERE. What is ELSEWHERE is asked for again when a push says that larder:lease:k has changed;
 * for pushes may be missing, also after a quarter of lease_ttl, and when larder:lease:k expires,
 * for its larder may have been killed.
 *
 * EXISTS stands behind the SET: when a key that was absent is there by then, it was loaded in
 * between, and the lease is given back. That is done by a script that compares: what is another's
 * by now stays. An upstream that refuses any of it (an ACL) leaves this larder with leases of its
 * own. The key is written as the user of the client for whose sake it is. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/leases_inside.h"
#include "client/rules.h"
#include "net/loop.h"
#include "resp/reply.h"
#include "resp/write.h"

#define ID_BYTES     17
#define LEAST_RETRY  5u /* ms */
#define RETRY_PARTS  4u /* of lease_ttl */
#define ERRAND_WORDS 3u

#define SCRIPT_GIVE_BACK                                                                           \
    "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) end return 0"

/* The question for a lease. The lease may be gone when it is answered. */
struct errand {
    struct asker asker;
    struct near *near;
    struct fleet_claim claim;
    uint16_t scope;
    uint8_t have;
    struct reply got[ERRAND_WORDS]; /* to SET, EXISTS, PTTL; their texts are not kept */
    uint32_t key_n;
    char key[];
};

static const struct asker_ops errand_ops;

bool lease_is_fleet(const struct policy *p)
{
    return (p->rules & RULE_LEASE) != 0;
}

/* ---- giving back ---- */

static void write_id(struct buffer *out, uint64_t id)
{
    char text[ID_BYTES];

    (void)snprintf(text, sizeof text, "%016" PRIx64, id);
    write_bulk(out, slice_str(text));
}

static void write_lease_key(struct buffer *out, const struct near *near, struct slice key)
{
    shape_own_key(out, near->policies, SLICE(LEASE_PREFIX), key);
}

/* Where no link is at hand it will expire. */
static void give_back(struct near *near, struct fleet_claim *claim, struct slice key)
{
    struct link *link = lane_link_in(claim->lane, claim->db);
    struct buffer *out = near_words(near);

    if (link != NULL) {
        write_array(out, 5);
        write_bulk(out, SLICE("EVAL"));
        write_bulk(out, SLICE(SCRIPT_GIVE_BACK));
        write_bulk(out, SLICE("1"));
        write_lease_key(out, near, key);
        write_id(out, claim->id);
        link_ask(link, asker_nobody(), buffer_slice(out), 1, true);
    }
    lane_release(claim->lane);
    *claim = (struct fleet_claim){0};
}

void lease_give_back(struct leases *l, struct lease *lease)
{
    if (lease->claim.lane != NULL)
        give_back(l->near, &lease->claim, lease_key(lease));
}

/* ---- asking ---- */

static void say_errand(const struct errand *e, uint64_t lease_ttl, struct buffer *out)
{
    struct slice key = slice_of(e->key, e->key_n);
    char ms[24];

    (void)snprintf(ms, sizeof ms, "%" PRIu64, lease_ttl);
    write_array(out, 6);
    write_bulk(out, SLICE("SET"));
    write_lease_key(out, e->near, key);
    write_id(out, e->claim.id);
    write_bulk(out, SLICE("NX"));
    write_bulk(out, SLICE("PX"));
    write_bulk(out, slice_str(ms));
    write_array(out, 2);
    write_bulk(out, SLICE("EXISTS"));
    write_bulk(out, key);
    write_array(out, 2);
    write_bulk(out, SLICE("PTTL"));
    write_lease_key(out, e->near, key);
}

/* Whose user and database it is for: who waits; else who was told to load already. */
static const struct client *asks_for(const struct lease *lease)
{
    const struct park *p = lease_first_park(lease);

    return p != NULL ? first_waiting(&p->waiters)->client : lease->holder;
}

/* Nobody is left for whom to ask, or there is no way to. */
static void give_up(struct leases *l, struct lease *lease, enum link_failure why)
{
    l->count.failed += lease_waited_for(lease);
    lease_tell_all(l, lease, why);
    lease_free(l, lease);
}

void lease_ask_upstream(struct leases *l, struct lease *lease)
{
    const struct client *c = asks_for(lease);
    const struct policy *p = lease_policy(l, lease_key(lease));
    struct link *link = c != NULL ? lane_link(c->lane, c->db) : NULL;
    struct errand *e;

    lease_give_back(l, lease);
    lease->state = LEASE_ASKED;
    lease->again = lease->moved = false;
    lease->errand = 0;
    list_leave(&lease->order);
    if (link == NULL || p == NULL) {
        if (c == NULL || p == NULL || !lease_ask_later(l, lease))
            give_up(l, lease, LINK_UNREACHED);
        return;
    }
    lease_asked(lease);
    e = must_calloc(1, sizeof *e + lease->key_n);
    e->asker.ops = &errand_ops;
    e->near = l->near;
    l->claims++;
    e->claim = (struct fleet_claim){.id = hash_bytes(&l->seed, &l->claims, sizeof l->claims),
                                    .lane = lane_hold_sibling(c->lane, lane_proto(c->lane)),
                                    .db = c->db};
    e->scope = lease->scope;
    e->key_n = lease->key_n;
    memcpy(e->key, lease->key, lease->key_n);
    lease->errand = e->claim.id;
    l->count.asked++;
    say_errand(e, p->set->lease_ttl, near_words(l->near));
    link_ask(link, &e->asker, buffer_slice(&l->near->words), ERRAND_WORDS, true);
}

/* ---- answers ---- */

/* The lease that the answer is for; NULL: it is over, or has been asked for anew. */
static struct lease *lease_of(const struct errand *e)
{
    struct lease *lease = lease_find(e->near->leases, slice_of(e->key, e->key_n), e->scope);

    return lease != NULL && lease->state == LEASE_ASKED && lease->errand == e->claim.id ? lease
                                                                                        : NULL;
}

static void errand_free(struct errand *e)
{
    if (e->claim.lane != NULL)
        lane_release(e->claim.lane);
    free(e);
}

/* Who was told to load already, or the first of those who wait. */
static void grant_one(struct leases *l, struct lease *lease)
{
    const struct policy *policy = lease_policy(l, lease_key(lease));
    struct park *p = lease_first_park(lease);
    struct client *c = lease->holder;
    struct held *h = NULL;

    if (c == NULL && p != NULL) {
        h = first_waiting(&p->waiters);
        c = h->client;
    }
    if (c == NULL || policy == NULL) {
        give_up(l, lease, LINK_UNREACHED);
        return;
    }
    lease_leave_holder(lease);
    lease_grant(l, lease, c, policy);
    if (h != NULL)
        park_give_nil(h); /* it may close, and the lease be another's then */
}

/* A client of another larder loads the key. */
static void wait_for(struct leases *l, struct lease *lease, int64_t left_ms)
{
    const struct policy *p = lease_policy(l, lease_key(lease));
    uint64_t retry_ms = p != NULL ? p->set->lease_ttl / RETRY_PARTS : 0;

    l->count.elsewhere++;
    lease_leave_holder(lease);
    if (!lease_waited_for(lease)) {
        lease_free(l, lease);
        return;
    }
    if (lease->moved) {
        lease_ask_upstream(l, lease);
        return;
    }
    if (left_ms == -2) /* it has gone meanwhile */
        left_ms = 0;
    if (left_ms >= 0 && (uint64_t)left_ms < retry_ms)
        retry_ms = (uint64_t)left_ms + 1;
    lease->state = LEASE_ELSEWHERE;
    lease_expires_at(l, lease, leases_now(l) + (retry_ms > LEAST_RETRY ? retry_ms : LEAST_RETRY));
}

static void answered(struct errand *e)
{
    struct leases *l = e->near->leases;
    struct lease *lease = lease_of(e);
    bool ours = e->got[0].type == '+', refused = e->got[0].type == '-' || e->got[0].type == '!';
    bool there = e->got[1].type == ':' && e->got[1].number > 0;

    if (lease == NULL) {
        if (ours)
            give_back(e->near, &e->claim, slice_of(e->key, e->key_n));
        return;
    }
    if (ours) {
        lease->claim = e->claim;
        e->claim.lane = NULL;
    }
    if (there || lease->again) {
        lease_give_back(l, lease);
        lease->again = false;
        lease->state = LEASE_VACANT;
        lease_settle(l, lease);
        return;
    }
    lease->doubt = lease->doubt && e->got[1].type != ':';
    l->count.alone += refused;
    if (ours || refused)
        grant_one(l, lease);
    else
        wait_for(l, lease, e->got[2].type == ':' ? e->got[2].number : -1);
}

static void on_replies(struct asker *a, struct slice bytes, uint32_t n)
{
    struct errand *e = CONTAINER_OF(a, struct errand, asker);

    for (; n > 0; n--) {
        CHECK(e->have < ERRAND_WORDS);
        if (!reply_read(&bytes, &e->got[e->have++]))
            bytes.n = 0;
    }
    if (e->have < ERRAND_WORDS)
        return;
    answered(e);
    errand_free(e);
}

static void on_failed(struct asker *a, uint32_t n, enum link_failure why, bool begun)
{
    struct errand *e = CONTAINER_OF(a, struct errand, asker);
    struct lease *lease;

    (void)begun;
    e->have = (uint8_t)(e->have + n);
    if (e->have < ERRAND_WORDS)
        return;
    if (e->near->all->draining) { /* the pool may be on its way out, and its lanes with it */
        free(e);
        return;
    }
    lease = lease_of(e);
    if (lease != NULL) {
        lease->claim = e->claim; /* it may be ours */
        e->claim.lane = NULL;
        give_up(e->near->leases, lease, why);
    }
    errand_free(e);
}

static const struct asker_ops errand_ops = {on_replies, NULL, on_failed, NULL};

/* ---- what is ELSEWHERE ---- */

void lease_look_again(struct leases *l, struct lease *lease)
{
    if (lease_waited_for(lease))
        lease_ask_upstream(l, lease);
    else
        lease_free(l, lease);
}

static void moved(struct near *near, struct slice key)
{
    struct leases *l = near->leases;

    for (list_each_safe (node, next, lease_bucket(l, key))) {
        struct lease *lease = CONTAINER_OF(node, struct lease, node);

        if (!slice_eq(lease_key(lease), key))
            continue;
        lease->moved = true;
        if (lease->state == LEASE_ELSEWHERE)
            lease_look_again(l, lease);
    }
}

void leases_own_changed(struct near *near, struct slice key)
{
    size_t n = policies_owner(near->policies, key), own = strlen(LEASE_PREFIX);
    struct buffer whole = {0};

    if (!slice_starts(slice_of(key.p + n, key.n - n), SLICE(LEASE_PREFIX)))
        return;
    buffer_add(&whole, key.p, n);
    buffer_add(&whole, key.p + n + own, key.n - n - own);
    moved(near, buffer_slice(&whole));
    buffer_done(&whole);
}
