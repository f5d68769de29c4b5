/* gather.c - MGET of keys that are not all on the shelf: only what is missing is asked for.
 *
 *     MGET a b c d     a, c on the shelf   -->  MGET b d, PTTL b, PTTL d    in one batch
 *                                          <--  [B D], ttl, ttl
 *     [A B C D]        woven together; B and D are kept
 *
 * What comes from the shelf was there when the request came, which is all that near reads promise
 * of several keys (DESIGN.md 6). The same MGET of others joins meanwhile. A reply too large to
 * collect is woven while it passes (gather_weave.c); then nobody can join, and nothing of it is
 * kept. */
#include <stdlib.h>

#include "client/gather_inside.h"
#include "client/loads.h"
#include "client/retry.h"
#include "client/outage.h"
#include "client/slide.h"
#include "net/loop.h"
#include "resp/reply.h"
#include "resp/write.h"

static const struct asker_ops gather_ops;

/* ---- asking ---- */

/* Notes for each key what the shelf has, copying it behind the request. */
static void fill_parts(struct client *c, struct gather *g, const struct request *q)
{
    struct near *near = g->near;
    struct buffer *pieces = &near->pieces;
    size_t most = several_most(c);
    struct near_question nq;
    struct entry e;

    for (uint32_t i = 0; i < g->n; i++) {
        struct part *p = &g->parts[i];

        *p = (struct part){0};
        nq.policy = NULL;
        if (buffer_len(pieces) <= most && several_known(c, q->argv[i + 1], false, &nq, &e)) {
            several_count(near, &nq, &e);
            if (UNLIKELY((nq.policy->rules & RULE_SLIDING) != 0))
                slide_found(c, &nq, &e);
            p->known = slice_of(NULL, e.bytes.n);
            if (UNLIKELY(*near->check_due > 0))
                near_check_key(c, &nq, &e);
            buffer_add(pieces, e.bytes.p, e.bytes.n);
        } else if (nq.policy != NULL && nq.policy->set->local) {
            p->q = nq.q;
            p->terms = fill_terms_of(near, nq.policy, FORM_GET, CMD_GET);
            p->keep = near_way(near, nq.q.key) == WAY_ASK;
            near_stats_of(near, nq.policy)->count.misses += p->keep;
            near_stats_of(near, nq.policy)->count.bypassed += !p->keep;
        }
    }
}

/* The request stays with the gather, for its keys and to be asked again. */
static void settle_text(struct gather *g, const struct request *q, struct slice ask)
{
    struct slice pieces = buffer_slice(&g->near->pieces);
    char *at;

    g->request_n = q->bytes.n;
    g->text = must_alloc(q->bytes.n + ask.n + pieces.n);
    memcpy(g->text, q->bytes.p, q->bytes.n);
    memcpy(g->text + q->bytes.n, ask.p, ask.n);
    at = g->text + q->bytes.n + ask.n;
    if (pieces.n > 0)
        memcpy(at, pieces.p, pieces.n);
    for (uint32_t i = 0; i < g->n; i++) {
        struct part *p = &g->parts[i];

        if (p->known.n > 0) {
            p->known.p = at;
            at += p->known.n;
        }
    }
    g->q.ask = slice_of(g->text + q->bytes.n, ask.n);
}

/* MGET of what is missing, and PTTL of what is to be kept. */
static void word_question(struct gather *g, const struct request *q, struct buffer *out)
{
    struct near *near = g->near;

    near->keys.n = 0;
    args_add(&near->keys, SLICE("MGET"));
    for (uint32_t i = 0; i < g->n; i++) {
        if (g->parts[i].known.n == 0)
            args_add(&near->keys, q->argv[i + 1]);
    }
    g->asked = near->keys.n - 1;
    write_request(out, near->keys.v, near->keys.n);
    g->due = 1;
    for (uint32_t i = 0; i < g->n; i++) {
        struct slice pttl[2] = {SLICE("PTTL"), q->argv[i + 1]};

        if (!g->parts[i].keep)
            continue;
        write_request(out, pttl, 2);
        g->due++;
    }
}

static void begin_flights(struct gather *g)
{
    struct keyring *keys = cache_keyring(g->near->cache);

    flight_begin(keys, &g->flight, &g->q);
    g->q.key = flight_key(&g->flight);
    for (uint32_t i = 0; i < g->n; i++) {
        struct part *p = &g->parts[i];

        if (!p->keep)
            continue;
        flight_begin(keys, &p->flight, &p->q);
        p->q.key = flight_key(&p->flight); /* the client's own bytes will be gone */
        p->flight.open = false;
    }
}

/* All that is kept by a policy waits with the question of somebody else. */
static void count_joined(struct near *near, const struct request *q)
{
    for (uint32_t i = 1; i < q->argc; i++) {
        const struct policy *p = policies_match(near->policies, q->argv[i]);

        if (p != NULL && p->set->local)
            near_stats_of(near, p)->count.coalesced++;
    }
}

/* Protocol, and all arguments behind the first key: what makes two MGETs the same. */
static struct slice name_ask(struct client *c, const struct request *q, struct buffer *out)
{
    uint16_t id = CMD_MGET;

    buffer_add(out, &id, sizeof id);
    buffer_add(out, &c->proto, 1);
    for (uint32_t i = 2; i < q->argc; i++) {
        uint32_t n = (uint32_t)q->argv[i].n;

        buffer_add(out, &n, sizeof n);
        buffer_add(out, q->argv[i].p, n);
    }
    return buffer_slice(out);
}

/* Somebody asks the same, and nothing has changed any of its keys since: which only a token tells,
 * so there must be one for each. Of what the shelf had, of keys that are not kept, and of keys that
 * were held there is none. */
static struct flight *same_in_the_air(struct near *near, const struct question *q)
{
    struct flight *f = keyring_flight(cache_keyring(near->cache), q);
    struct gather *g;

    if (f == NULL)
        return NULL;
    g = CONTAINER_OF(f, struct gather, flight);
    for (uint32_t i = 0; i < g->n; i++) {
        if (!g->parts[i].keep || !flight_good(cache_keyring(near->cache), &g->parts[i].flight))
            return NULL;
    }
    if (g->link->streaming) { /* behind a large reply to others, see fill_join() */
        f->open = false;
        return NULL;
    }
    return f;
}

bool mget_joins(struct client *c, const struct request *q)
{
    struct question same = {.key = q->argv[1], .scope = c->scope};
    struct buffer ask = {0};
    bool joins;

    same.ask = name_ask(c, q, &ask);
    joins = same_in_the_air(c->all->near, &same) != NULL;
    buffer_done(&ask);
    return joins;
}

enum next mget_ask(struct client *c, const struct request *q)
{
    struct near *near = c->all->near;
    struct buffer ask = {0}, *out;
    struct question same = {.key = q->argv[1], .scope = c->scope};
    struct flight *f;
    enum next next = NEXT;
    struct gather *g;
    struct link *l;

    same.ask = name_ask(c, q, &ask);
    f = same_in_the_air(near, &same);
    if (f != NULL) {
        list_push_back(&f->waiters, &client_promise(c)->waiter.node);
        count_joined(near, q);
        buffer_done(&ask);
        return NEXT;
    }
    l = client_link(c, &next);
    if (l == NULL) {
        buffer_done(&ask);
        return next;
    }
    buffer_take_keep(&near->pieces, buffer_len(&near->pieces), ASK_KEEP_BYTES);
    g = must_alloc(sizeof *g + (q->argc - 1) * sizeof g->parts[0]);
    *g = (struct gather){
        .asker = {&gather_ops}, .near = near, .leader = c, .link = l, .n = q->argc - 1};
    g->q = same;
    fill_parts(c, g, q);
    settle_text(g, q, same.ask);
    out = near_words(near);
    word_question(g, q, out);
    begin_flights(g);
    g->asked_us = near_clock_us();
    link_ask(l, &g->asker, buffer_slice(out), g->due, true);
    fill_lead(c);
    for (uint32_t i = 0; i < g->n; i++) {
        if (g->parts[i].known.n == 0 && !g->parts[i].keep)
            slide_look_key(c, q->argv[i + 1]);
    }
    buffer_done(&ask);
    return NEXT;
}

/* ---- the answer ---- */

static void gather_free(struct gather *g)
{
    struct keyring *keys = cache_keyring(g->near->cache);

    flight_end(keys, &g->flight);
    for (uint32_t i = 0; i < g->n; i++) {
        if (g->parts[i].keep)
            flight_end(keys, &g->parts[i].flight);
    }
    buffer_done(&g->got);
    free(g->text);
    free(g);
}

static void leader_done(struct gather *g)
{
    struct client *c = g->leader;

    g->leader = NULL;
    client_answered(c, 1);
}

/* others: what those who joined are given, if it is another answer. */
static void give(struct gather *g, struct slice bytes, struct slice others)
{
    if (g->leader != NULL) {
        if (g->leader->open)
            client_put(g->leader, bytes);
        leader_done(g);
    }
    while (!list_empty(&g->flight.waiters))
        client_keep_promise(first_waiting(&g->flight.waiters), others.n > 0 ? others : bytes);
}

/* Part i, with its value and the replies of PTTL. */
static void land_part(struct gather *g, uint32_t i, struct slice value, struct slice ttls,
                      struct buffer *others)
{
    const struct part *p = &g->parts[i];
    struct client *c = g->leader != NULL && g->leader->open ? g->leader : NULL;
    struct load_miss m = {.flight = &p->flight, .q = &p->q, .terms = &p->terms, .asks = c};
    struct slice lead = value, other = value;

    if (UNLIKELY(g->near->loads != NULL) && p->keep && p->terms.loads &&
        loads_is_absent(value, ttls))
        loads_tell(g->near, &m, &g->flight.waiters, &lead, &other);
    buffer_add(&g->near->pieces, lead.p, lead.n);
    if (others->p != NULL)
        buffer_add(others, other.p, other.n);
}

/* One of those who asked; NULL: all have left. */
static struct client *asked_by(const struct gather *g)
{
    if (g->leader != NULL && g->leader->open)
        return g->leader;
    return list_empty(&g->flight.waiters) ? NULL : first_waiting(&g->flight.waiters)->client;
}

/* All replies are there: [values] ttl ttl .. */
static void land(struct gather *g, struct slice all)
{
    struct buffer *out = &g->near->pieces;
    uint64_t took_us = near_clock_us() - g->asked_us;
    struct slice values = all, ttls = all, one;
    struct buffer others = {0};
    struct reply head;

    CHECK(reply_skip(&ttls) && reply_read(&values, &head));
    if (!gather_is_answer(g, &head)) { /* an error, for all of them */
        if (outage_is_reply(all))
            outage_give(&g->leader, &g->flight.waiters, slice_of(g->text, g->request_n));
        give(g, slice_of(all.p, all.n - ttls.n), slice_of("", 0));
        gather_free(g);
        return;
    }
    buffer_take_keep(out, buffer_len(out), ASK_KEEP_BYTES);
    write_array(out, g->n);
    if (UNLIKELY(g->near->loads != NULL) && !list_empty(&g->flight.waiters))
        write_array(&others, g->n);
    for (uint32_t i = 0; i < g->n; i++) {
        struct part *p = &g->parts[i];
        struct fill_reply r;

        one = p->known;
        if (one.n == 0) {
            one = values;
            CHECK(reply_skip(&values));
            one.n -= values.n;
        }
        land_part(g, i, one, ttls, &others);
        if (!p->keep)
            continue;
        r = (struct fill_reply){one, ttls};
        histogram_add(&g->near->stats[p->terms.policy]->load_us, took_us);
        if (reply_skip(&ttls)) {
            fill_keep(g->near, &p->flight, &p->q, &p->terms, r);
            slide_filled(asked_by(g), &p->q, &p->terms, r.ttl);
        }
    }
    give(g, buffer_slice(out), buffer_slice(&others));
    buffer_done(&others);
    gather_free(g);
}

static void on_replies(struct asker *a, struct slice bytes, uint32_t n)
{
    struct gather *g = CONTAINER_OF(a, struct gather, asker);

    g->have += n;
    if (g->streaming) {
        if (g->have == g->due)
            gather_free(g);
        return;
    }
    if (g->have < g->due || buffer_len(&g->got) > 0) {
        buffer_add(&g->got, bytes.p, bytes.n);
        bytes = buffer_slice(&g->got);
    }
    if (g->have == g->due)
        land(g, bytes);
}

static bool on_piece(struct asker *a, struct slice bytes, bool last)
{
    struct gather *g = CONTAINER_OF(a, struct gather, asker);
    bool full;

    if (!g->streaming) {
        /* PTTL's replies will come when who has asked is answered and forgotten. */
        for (uint32_t i = 0; i < g->n; i++) {
            if (g->parts[i].keep)
                slide_look_key(asked_by(g), g->parts[i].q.key);
        }
        g->streaming = true;
        g->flight.open = false;
        again_alone(g->near, &g->flight.waiters, slice_of(g->text, g->request_n));
    }
    full = gather_weave(g, bytes);
    if (!last)
        return full;
    if (g->leader != NULL) {
        g->leader->half_out = false;
        leader_done(g);
    }
    on_replies(a, slice_of("", 0), 1);
    return full;
}

static void on_failed(struct asker *a, uint32_t n, enum link_failure why, bool begun)
{
    struct gather *g = CONTAINER_OF(a, struct gather, asker);
    struct client *c = g->leader;

    (void)n;
    g->leader = NULL;
    if (c != NULL && why != LINK_TIMEOUT && retry_leader(c, &g->flight.waiters, why, begun))
        c = NULL;
    if (c != NULL && !outage_stands_in(c, slice_of(g->text, g->request_n), why, begun))
        client_failed(c, 1, why, begun);
    if (why != LINK_TIMEOUT)
        again_together(g->near, &g->flight.waiters, slice_of(g->text, g->request_n));
    again_tell(g->near, &g->flight.waiters, slice_of(g->text, g->request_n), why);
    gather_free(g);
}

static const void *whose(struct asker *a)
{
    struct gather *g = CONTAINER_OF(a, struct gather, asker);

    return list_empty(&g->flight.waiters) && g->leader != NULL ? (const void *)g->leader : a;
}

static const struct asker_ops gather_ops = {on_replies, on_piece, on_failed, whose};
