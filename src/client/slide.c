/* slide.c - reads that renew their key, and how the upstream hears of it.
 *
 *     GET k   from the shelf, or GET k + PTTL k upstream: found, and when it will expire
 *             touches.h decides: that is told now, or when a quarter of the window is used up
 *     tell    PEXPIRE k window GT + PTTL k       (or the script of shape.c)
 *
 * Reads that pass larder by (no near cache, a transaction) are followed by PTTL, to know the same.
 * Telling changes the key for every near cache, this one included: so it costs one refill, and is
 * done once in a quarter of the window at most. GT lets a renewal come late without harm: it never
 * shortens what a write has given meanwhile. */
#include "client/slide.h"

#include <stdlib.h>

#include "client/renewals.h"
#include "client/rules.h"
#include "net/loop.h"
#include "resp/reply.h"
#include "resp/write.h"

#define SEEN_SLOTS    1024u
#define SEEN_ASK      128u
#define SEEN_KEY      256u
#define LOOK_GRACE_MS 1000u  /* by then the push of what was told has come */
#define TX_READ_BYTES 65536u /* of keys read in a transaction; the rest is not renewed by it */

/* The question by which a key was found lately: by it EXPIRE finds whether it still is known. */
struct seen {
    uint16_t key_n, ask_n, scope;
    uint8_t form;
    char key[SEEN_KEY];
    char ask[SEEN_ASK];
};

/* ---- hits ---- */

static struct renewals *renewals_of(const struct client *c)
{
    return c->all->rules != NULL ? c->all->rules->renewals : NULL;
}

static const struct policy *policy_of(const struct client *c, struct slice key)
{
    const struct policy *p = policies_match(c->all->rules->policies, key);

    return p != NULL && (p->rules & RULE_SLIDING) != 0 ? p : NULL;
}

static uint64_t now_of(const struct client *c)
{
    return loop_now_ms(c->all->loop);
}

/* What the shelf says, taken for older than what was told lately. */
static uint64_t look_ms(const struct client *c)
{
    return now_of(c) - LOOK_GRACE_MS;
}

static struct seen *seen_slot(const struct rules *r, struct slice key)
{
    return &r->seen[hash_bytes(&r->seed, key.p, key.n) % SEEN_SLOTS];
}

static void note_seen(const struct rules *r, const struct near_question *nq)
{
    struct seen *seen = seen_slot(r, nq->q.key);

    if (nq->q.key.n > SEEN_KEY || nq->q.ask.n > SEEN_ASK)
        return;
    seen->key_n = (uint16_t)nq->q.key.n;
    seen->ask_n = (uint16_t)nq->q.ask.n;
    seen->scope = nq->q.scope;
    seen->form = (uint8_t)nq->form;
    memcpy(seen->key, nq->q.key.p, nq->q.key.n);
    if (nq->q.ask.n > 0)
        memcpy(seen->ask, nq->q.ask.p, nq->q.ask.n);
}

/* A look at whether it is there, or what it is, is no use of it. */
static bool is_use(const struct near_question *nq)
{
    uint16_t id;

    if (nq->form != FORM_EXACT || nq->q.ask.n < sizeof id)
        return nq->form != FORM_EXISTS;
    memcpy(&id, nq->q.ask.p, sizeof id);
    return id != CMD_TYPE;
}

void slide_asked(const struct client *c, const struct near_question *nq)
{
    if (renewals_of(c) != NULL && (nq->policy->rules & RULE_SLIDING) != 0 && is_use(nq))
        note_seen(c->all->rules, nq);
}

void slide_found(struct client *c, const struct near_question *nq, const struct entry *e)
{
    struct renewals *s = renewals_of(c);
    struct known_deadline known = {e->expiry_ms == EXPIRY_NEVER ? UINT64_MAX : e->expiry_ms,
                                   look_ms(c)};

    if (s == NULL || e->kind != ENTRY_VALUE || !is_use(nq))
        return;
    note_seen(c->all->rules, nq);
    renewals_hit(s, c, nq->policy, nq->q.key, known);
}

void slide_filled(struct client *c, const struct question *q, const struct fill_terms *t,
                  struct slice ttl_reply)
{
    struct renewals *s = c != NULL && c->open ? renewals_of(c) : NULL;
    struct known_deadline known = {UINT64_MAX, t->asked_ms};
    const struct policy *p;
    struct reply r;

    if (s == NULL || t->form == FORM_EXISTS || t->command == CMD_TYPE)
        return;
    p = policy_of(c, q->key);
    if (p == NULL || !reply_read(&ttl_reply, &r) || r.type != ':' || r.number == -2)
        return;
    if (r.number >= 0)
        known.deadline_ms = t->asked_ms + (uint64_t)r.number;
    renewals_hit(s, c, p, q->key, known);
}

static bool renews_nothing(const struct client *c, const struct request *q)
{
    return renewals_of(c) == NULL || q->command->id == CMD_EXISTS || q->command->id == CMD_TYPE;
}

void slide_look_key(struct client *c, struct slice key)
{
    if (c != NULL && c->open && renewals_of(c) != NULL && policy_of(c, key) != NULL)
        renewals_look(renewals_of(c), c, key);
}

void slide_look(struct client *c, const struct request *q)
{
    struct key_list named;

    if (renews_nothing(c, q))
        return;
    keys_named(q, &named);
    for (uint32_t i = 0; i < named.n; i++)
        slide_look_key(c, q->argv[named.v[i]]);
    keys_done(&named);
}

void slide_later(struct client *c, const struct request *q)
{
    struct buffer *keys = &client_session(c)->tx_read;
    struct key_list named;

    if (renews_nothing(c, q))
        return;
    keys_named(q, &named);
    for (uint32_t i = 0; i < named.n && buffer_len(keys) < TX_READ_BYTES; i++) {
        struct slice key = q->argv[named.v[i]];

        if (policy_of(c, key) != NULL) {
            buffer_add(keys, &key.n, sizeof key.n);
            buffer_add(keys, key.p, key.n);
        }
    }
    keys_done(&named);
}

/* The first of the keys; false: there is none. It is taken by so many bytes. */
static bool first_read(const struct buffer *keys, struct slice *ret)
{
    if (buffer_len(keys) == 0)
        return false;
    memcpy(&ret->n, buffer_head(keys), sizeof ret->n);
    ret->p = buffer_head(keys) + sizeof ret->n;
    return true;
}

void slide_tx_over(struct client *c)
{
    struct buffer *keys = &c->more->tx_read;
    struct slice key;

    while (first_read(keys, &key)) {
        slide_look_key(c, key);
        buffer_take(keys, sizeof key.n + key.n);
    }
}

/* What the transaction writes need not be looked at behind it. */
static void forget_read(struct session *m, struct slice written)
{
    struct buffer left = {0};
    struct slice key;

    while (first_read(&m->tx_read, &key)) {
        size_t n = sizeof key.n + key.n;

        if (!slice_eq(key, written))
            buffer_add(&left, buffer_head(&m->tx_read), n);
        buffer_take(&m->tx_read, n);
    }
    m->tx_read = left;
}

enum next slide_ask(struct client *c, const struct request *q)
{
    uint32_t asked = client_asked(c);
    enum next next = client_ask(c, q);

    /* Not of what was answered here, by an error. */
    if (UNLIKELY(renewals_of(c) != NULL) && client_asked(c) != asked &&
        (q->command->flags & CF_CACHEABLE) != 0)
        slide_look(c, q);
    return next;
}

/* ---- what was promised ---- */

uint64_t slide_promised(struct client *c, struct slice key)
{
    struct renewals *s = renewals_of(c);

    return s != NULL && policy_of(c, key) != NULL ? renewals_promised(s, c, key) : 0;
}

void slide_forget(struct client *c, struct slice key)
{
    if (renewals_of(c) == NULL || policy_of(c, key) == NULL)
        return;
    renewals_forget(renewals_of(c), c, key);
    if (c->more != NULL && buffer_len(&c->more->tx_read) > 0)
        forget_read(c->more, key);
}

/* What TTL and its like answer when larder has promised more than the upstream knows of. */
enum next slide_ttl(struct client *c, const struct request *q)
{
    static const uint16_t words[] = {[TTL_SECONDS] = CMD_TTL,
                                     [TTL_MS] = CMD_PTTL,
                                     [TTL_AT_SECONDS] = CMD_EXPIRETIME,
                                     [TTL_AT_MS] = CMD_PEXPIRETIME};
    uint64_t promised_ms = q->argc == 2 ? slide_promised(c, q->argv[1]) : 0, now_ms = now_of(c);
    struct rules *r = c->all->rules;
    struct request put = *q;
    unsigned word = 0;

    if (promised_ms <= now_ms)
        return client_route_on(c, q);
    while (words[word] != q->command->id)
        word++;
    shape_begin(&r->shape);
    shape_ttl(c->all, q->argv[1], promised_ms - now_ms, (enum ttl_word)word, &r->shape.words);
    put.bytes = buffer_slice(&r->shape.words);
    return client_route_on(c, &put);
}

/* ---- EXPIRE ---- */

/* The question by which the key was asked for lately; false: none is known. */
static bool last_question(const struct client *c, struct slice key, struct question *ret)
{
    const struct seen *seen = seen_slot(c->all->rules, key);

    *ret = (struct question){key, slice_of(seen->ask, seen->ask_n), seen->scope};
    return c->all->near != NULL && slice_eq(slice_of(seen->key, seen->key_n), key) &&
           seen->scope == c->scope;
}

static bool is_known(const struct client *c, struct slice key, struct entry *ret)
{
    struct question q;

    return last_question(c, key, &q) &&
           cache_look(c->all->near->cache, &q, now_of(c), true, ret) == LOOK_FRESH &&
           ret->kind == ENTRY_VALUE && ret->expiry_ms != EXPIRY_NEVER;
}

bool slide_will_know(const struct client *c, struct slice key)
{
    struct question q;

    return renewals_of(c) != NULL && c->owed + c->promised > 0 && last_question(c, key, &q) &&
           fill_under_way(c->all->near, &q);
}

bool slide_expire(struct client *c, struct slice key, uint64_t ttl_ms)
{
    struct renewals *s = renewals_of(c);
    struct entry e;

    /* One that shortens the key's life the upstream must know of. */
    if (s == NULL || !is_known(c, key, &e) || now_of(c) + ttl_ms < e.expiry_ms ||
        renewals_weigh(s, c, key, ttl_ms, (struct known_deadline){e.expiry_ms, look_ms(c)}) ==
            TOUCH_TELL)
        return false;
    c->all->rules->count.expires_answered++;
    write_int(client_answer(c), 1);
    return true;
}

/* ---- life ---- */

void sliding_use(struct rules *r)
{
    if (r->renewals != NULL || (r->in_force & RULE_SLIDING) == 0)
        return;
    r->renewals = renewals_new(r);
    r->seen = must_calloc(SEEN_SLOTS, sizeof *r->seen);
}
