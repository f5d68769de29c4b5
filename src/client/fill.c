/* fill.c - a question upstream that the near cache will keep the answer of.
 *
 *     C1: GET k  (miss)    --> GET k, PTTL k  on C1's own link, so behind C1's own commands
 *     C2: GET k  (joins)        .
 *     C3: GET k  (joins)        .
 *                          <-- value, ttl     kept, if the token is good and both go together;
 *                                             C1 is answered in its order, C2 and C3 in theirs
 *
 * The leader's place in the order of its replies is that of any request of its link. Who joins
 * holds a promise (answers.c), and asks nothing else upstream until it is kept, so that its
 * commands cannot overtake a question that travels on another link.
 *
 * Ends: an error reply goes to all. Lost with the link: the leader gets the error it would have got
 * for any command there; for those who joined it is asked once more. A reply past max_value passes
 * to the leader as it comes and is not kept; who joined asks anew, alone.
 *
 * Deadlines count from the time of asking, which is before the upstream looked. */
#include <stdio.h>
#include <stdlib.h>

#include "client/leases.h"
#include "client/loads.h"
#include "client/near.h"
#include "client/retry.h"
#include "client/outage.h"
#include "client/slide.h"
#include "net/loop.h"
#include "resp/reply.h"
#include "resp/write.h"

struct fill {
    struct asker asker;
    struct flight flight;
    struct near *near;
    struct client *leader; /* NULL: answered, or nobody's: who joined is all there is */
    struct link *link;     /* the leader's */
    struct question q;
    struct fill_terms terms;
    struct buffer got; /* replies, while not all are there */
    uint64_t asked_us;
    uint32_t due, have; /* replies */
    bool streaming;     /* the value passes in pieces */
    bool too_large;     /* .. and is no longer collected */
    bool settles;       /* asked about a lease */
    size_t request_n;
    char text[]; /* the request, the key, the ask */
};

static const struct asker_ops fill_ops;

/* ---- asking ---- */

struct fill_terms fill_terms_of(const struct near *near, const struct policy *policy,
                                enum form form, uint16_t command)
{
    const struct policy_settings *set = policy->set;
    bool leased =
        set->stampede == SET_STAMPEDE_WAIT && near->leases != NULL && park_waits(command, 2);

    return (struct fill_terms){
        .asked_ms = loop_now_ms(near->all->loop),
        .local_ttl = set->local_ttl,
        .negative_ttl = leased ? 0 : set->negative_ttl,
        .leased = leased,
        .loads = loads_wanted(policy) && loads_told(command) && set->stampede != SET_STAMPEDE_WAIT,
        .stale_ttl = set->stampede == SET_STAMPEDE_STALE ? set->stale_ttl : 0,
        .lease_ttl = set->lease_ttl,
        .max_value = set->max_value > 0 ? set->max_value : KEPT_VALUE_BYTES,
        .policy = policy->number,
        .command = command,
        .form = (uint8_t)form,
        .field_ttl = set->field_ttl && near->field_ttl != FIELD_TTL_NO && near_is_hash(command)};
}

static struct fill *fill_new(struct near *near, struct slice request, const struct question *q)
{
    size_t n = request.n + q->key.n + q->ask.n;
    struct fill *f = must_alloc(sizeof *f + n);
    char *key = f->text + request.n, *ask = key + q->key.n;

    *f = (struct fill){.asker = {&fill_ops},
                       .near = near,
                       .q = {slice_of(key, q->key.n), slice_of(ask, q->ask.n), q->scope},
                       .request_n = request.n};
    memcpy(f->text, request.p, request.n);
    if (q->key.n > 0)
        memcpy(key, q->key.p, q->key.n);
    if (q->ask.n > 0)
        memcpy(ask, q->ask.p, q->ask.n);
    return f;
}

/* HPTTL k FIELDS n field ..; of a whole hash one field, to learn whether the server has HPTTL. */
static void write_hpttl(const struct fill *f, const struct request *q, struct buffer *out)
{
    bool fields = q->argc > 2;
    uint32_t n = fields ? q->argc - 2 : 1;
    char count[16];

    write_array(out, 4 + (uint64_t)n);
    write_bulk(out, SLICE("HPTTL"));
    write_bulk(out, f->q.key);
    write_bulk(out, SLICE("FIELDS"));
    (void)snprintf(count, sizeof count, "%u", n);
    write_bulk(out, slice_str(count));
    for (uint32_t i = 0; i < n; i++)
        write_bulk(out, fields ? q->argv[i + 2] : SLICE("x"));
}

static void ask(struct fill *f, struct link *l, const struct request *q)
{
    struct buffer *out = near_words(f->near);
    struct slice pttl[2] = {SLICE("PTTL"), f->q.key};

    buffer_add(out, f->text, f->request_n);
    write_request(out, pttl, 2);
    if (f->terms.field_ttl)
        write_hpttl(f, q, out);
    f->asked_us = near_clock_us();
    link_ask(l, &f->asker, buffer_slice(out), f->due, true);
}

/* One more reply is due to c, as with any request on its link. Of what it wrote nothing is
 * unanswered, or it would not be here: noted, lest the mark be so old that it looks new. */
void fill_lead(struct client *c)
{
    c->wrote_at = c->asked - c->owed;
    c->owed++;
    c->asked++;
    if (c->more != NULL)
        c->more->wait_ms = 0;
}

enum next fill_ask(struct client *c, const struct request *q, const struct near_question *nq)
{
    struct near *near = c->all->near;
    enum next next = NEXT;
    struct link *l = client_link(c, &next);
    struct fill *f;

    if (l == NULL)
        return next;
    f = fill_new(near, q->bytes, &nq->q);
    f->terms = fill_terms_of(near, nq->policy, nq->form, q->command->id);
    f->due = f->terms.field_ttl ? 3 : 2;
    f->leader = c;
    f->link = l;
    flight_begin(cache_keyring(near->cache), &f->flight, &f->q);
    ask(f, l, q);
    fill_lead(c);
    slide_asked(c, nq);
    return NEXT;
}

void fill_for(struct near *near, const struct fill_order *o)
{
    static const struct request none = {0};
    struct slice get[2] = {SLICE("GET"), o->q.key};
    struct buffer words = {0};
    struct fill *f;

    if (o->request.n == 0)
        write_request(&words, get, 2);
    f = fill_new(near, o->request.n > 0 ? o->request : buffer_slice(&words), &o->q);
    buffer_done(&words);
    f->terms = fill_terms_of(near, o->policy, o->form, o->command);
    f->terms.field_ttl = false; /* what is waited for is not kept for long if its fields expire */
    if (o->lapsed)
        f->terms.negative_ttl = o->policy->set->negative_ttl;
    f->settles = o->settles;
    f->due = 2;
    f->link = o->link;
    flight_begin(cache_keyring(near->cache), &f->flight, &f->q);
    if (o->waiters != NULL)
        list_move_all(o->waiters, &f->flight.waiters);
    ask(f, o->link, &none);
}

bool fill_under_way(struct near *near, const struct question *q)
{
    return keyring_flight(cache_keyring(near->cache), q) != NULL;
}

/* Nobody joins what stands behind a large reply to others: it would be kept waiting for them, or
 * they be hurried for its sake. As with newcomers: see link_takes_newcomers(). */
static bool is_behind(const struct fill *f)
{
    return f->link->streaming && !f->streaming;
}

bool fill_join(struct client *c, const struct question *q)
{
    struct flight *f = keyring_flight(cache_keyring(c->all->near->cache), q);
    struct held *h;

    if (f == NULL)
        return false;
    if (is_behind(CONTAINER_OF(f, struct fill, flight))) {
        f->open = false;
        return false;
    }
    h = client_promise(c);
    list_push_back(&f->waiters, &h->waiter.node);
    return true;
}

/* ---- ends ---- */

static void fill_free(struct fill *f)
{
    flight_end(cache_keyring(f->near->cache), &f->flight);
    buffer_done(&f->got);
    free(f);
}

/* The leader's one reply, or its end, has been dealt with. */
static void leader_done(struct fill *f)
{
    struct client *c = f->leader;

    f->leader = NULL;
    client_answered(c, 1);
}

/* GET's absent key is told in each protocol's own way. */
static void give_waiter(struct fill *f, struct held *h, struct slice value)
{
    if (f->terms.form == FORM_GET &&
        (value.p[0] == '_' || (value.p[0] == '$' && value.p[1] == '-')))
        client_keep_promise(h, near_null(h->client));
    else
        client_keep_promise(h, value);
}

static void give(struct fill *f, struct slice value)
{
    struct client *c = f->leader;

    if (c != NULL) {
        if (c->open)
            client_put(c, value);
        leader_done(f);
    }
    while (!list_empty(&f->flight.waiters))
        give_waiter(f, first_waiting(&f->flight.waiters), value);
}

/* One of those who asked; NULL: all have left. */
static struct client *asked_by(const struct fill *f)
{
    if (f->leader != NULL && f->leader->open)
        return f->leader;
    return list_empty(&f->flight.waiters) ? NULL : first_waiting(&f->flight.waiters)->client;
}

/* Somebody is to load what is absent, the others may wait for it. */
static void land_leased(struct fill *f, struct slice value, struct slice rest)
{
    struct landing landing = {.q = &f->q,
                              .terms = &f->terms,
                              .request = slice_of(f->text, f->request_n),
                              .leader = f->leader,
                              .waiters = &f->flight.waiters,
                              .settles = f->settles};
    struct reply ttl;

    if (f->near->leases == NULL)
        return;
    if (!reply_read(&rest, &ttl) || ttl.type != ':') {
        leases_failed(f->near, &f->q, LINK_LOST);
        return;
    }
    landing.absent = ttl.number == -2 && looks_absent(value);
    leases_landed(f->near, &landing);
    if (landing.leader == NULL && f->leader != NULL)
        leader_done(f); /* it waits */
}

/* value is for who is to load it, or for nobody; all others are given the old one. */
static void give_old(struct fill *f, const struct slice *value, struct slice old)
{
    struct near_counters *count = &f->near->stats[f->terms.policy]->count;
    struct client *c = f->leader;

    if (c != NULL) {
        if (c->open) {
            client_put(c, value != NULL ? *value : old);
            count->stale += value == NULL;
            value = NULL;
        }
        leader_done(f);
    }
    while (!list_empty(&f->flight.waiters)) {
        give_waiter(f, first_waiting(&f->flight.waiters), value != NULL ? *value : old);
        count->stale += value == NULL;
        value = NULL;
    }
}

/* There is nothing. True: all have been told so, or given the old value. */
static bool land_load(struct fill *f, struct slice value)
{
    static const struct request_limits any = {.max_bulk = UINT64_MAX, .max_request = UINT64_MAX};
    struct request_scan scan = {0};
    struct args *args = &f->near->keys;
    struct buffer old = {0}, none = {0};
    struct request q;
    struct load_miss m = {&f->flight, &f->q, &f->terms, &q, asked_by(f)};
    struct entry e;
    uint64_t need;
    enum told told;

    CHECK(request_scan(&scan, f->text, f->request_n, &any, args, &none, &need) == SCAN_OK);
    q = (struct request){.command = command_of(args->v, args->n), .argv = args->v, .argc = args->n};
    told = loads_absent(f->near, &m, &e);
    if (told == TOLD_SO)
        return false;
    buffer_add(&old, e.bytes.p, e.bytes.n); /* giving it may change the shelf */
    give_old(f, told == TOLD_LOADS ? &value : NULL, buffer_slice(&old));
    buffer_done(&old);
    return true;
}

static void land(struct fill *f, struct slice all)
{
    struct slice rest = all, value;

    CHECK(reply_skip(&rest));
    value = slice_of(all.p, all.n - rest.n);
    histogram_add(&f->near->stats[f->terms.policy]->load_us, near_clock_us() - f->asked_us);
    fill_keep(f->near, &f->flight, &f->q, &f->terms, (struct fill_reply){value, rest});
    slide_filled(asked_by(f), &f->q, &f->terms, rest);
    if (UNLIKELY(f->terms.leased || f->settles))
        land_leased(f, value, rest);
    if (UNLIKELY(value.p[0] == '-') && outage_is_reply(value))
        outage_give(&f->leader, &f->flight.waiters, slice_of(f->text, f->request_n));
    if (LIKELY(!f->terms.loads) || f->near->loads == NULL || !loads_is_absent(value, rest) ||
        !land_load(f, value))
        give(f, value);
    fill_free(f);
}

/* Who joined asks alone: what is to come is too large to be kept for them. */
static void send_on_alone(struct fill *f);

static void on_replies(struct asker *a, struct slice bytes, uint32_t n)
{
    struct fill *f = CONTAINER_OF(a, struct fill, asker);

    f->have += n;
    if (f->too_large) {
        if (f->have == f->due)
            fill_free(f);
        return;
    }
    if (f->have < f->due || buffer_len(&f->got) > 0) {
        buffer_add(&f->got, bytes.p, bytes.n);
        bytes = buffer_slice(&f->got);
    }
    if (f->have == f->due)
        land(f, bytes);
}

static bool on_piece(struct asker *a, struct slice bytes, bool last)
{
    struct fill *f = CONTAINER_OF(a, struct fill, asker);
    struct client *c = f->leader;
    bool full = false;

    /* PTTL's reply will come when who has asked is answered and forgotten. */
    if (!f->streaming && f->terms.form != FORM_EXISTS && f->terms.command != CMD_TYPE)
        slide_look_key(asked_by(f), f->q.key);
    f->streaming = true;
    if (c != NULL) {
        if (c->open)
            full = client_put_piece(c, bytes, f->link);
        c->half_out = !last;
        full = full && list_empty(&f->flight.waiters); /* they do not wait for the leader to read */
        f->flight.open = f->flight.open && !full;
    }
    if (!f->too_large) {
        buffer_add(&f->got, bytes.p, bytes.n);
        if (buffer_len(&f->got) > f->terms.max_value)
            send_on_alone(f);
    }
    if (!last)
        return full;
    if (c != NULL)
        leader_done(f);
    on_replies(a, slice_of("", 0), 1);
    return full;
}

static void send_on_alone(struct fill *f)
{
    f->too_large = true;
    f->flight.open = false;
    f->near->stats[f->terms.policy]->count.discarded_large++;
    buffer_done(&f->got);
    again_alone(f->near, &f->flight.waiters, slice_of(f->text, f->request_n));
}

/* The leader becomes one of those for whom it is asked once more. What comes then tells nothing of
 * the time its key has left. */
static bool ask_again(struct fill *f, struct client *c, enum link_failure why, bool begun)
{
    if (f->settles || why == LINK_TIMEOUT || !retry_leader(c, &f->flight.waiters, why, begun))
        return false;
    if (f->terms.form != FORM_EXISTS && f->terms.command != CMD_TYPE)
        slide_look_key(c, f->q.key);
    return true;
}

static void on_failed(struct asker *a, uint32_t n, enum link_failure why, bool begun)
{
    struct fill *f = CONTAINER_OF(a, struct fill, asker);
    struct client *c = f->leader;

    (void)n;
    /* The value has come, only its time to live is missing: nothing to keep, but to give. */
    if (f->have > 0 && !f->too_large) {
        struct slice rest = buffer_slice(&f->got);

        CHECK(reply_skip(&rest));
        give(f, slice_of(buffer_head(&f->got), buffer_len(&f->got) - rest.n));
        fill_free(f);
        return;
    }
    f->leader = NULL;
    if (c != NULL && !ask_again(f, c, why, begun) &&
        !outage_stands_in(c, slice_of(f->text, f->request_n), why, begun))
        client_failed(c, 1, why, begun);
    if (why != LINK_TIMEOUT && !f->settles)
        again_together(f->near, &f->flight.waiters, slice_of(f->text, f->request_n));
    again_tell(f->near, &f->flight.waiters, slice_of(f->text, f->request_n), why);
    if (f->settles && f->near->leases != NULL)
        leases_failed(f->near, &f->q, why);
    fill_free(f);
}

/* Who joined is not to be kept waiting by the leader. */
static const void *whose(struct asker *a)
{
    const struct fill *f = CONTAINER_OF(a, struct fill, asker);

    return list_empty(&f->flight.waiters) && f->leader != NULL ? (const void *)f->leader : a;
}

static const struct asker_ops fill_ops = {on_replies, on_piece, on_failed, whose};
