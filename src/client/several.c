/* several.c - reads of several keys, MGET and EXISTS, answered per key: from the shelf what is
 * there, the rest in one question (MGET's: gather.c). */
#include "client/loads.h"
#include "client/near.h"
#include "client/outage.h"
#include "client/rules.h"
#include "client/slide.h"
#include "net/loop.h"
#include "resp/write.h"

#define PROBES 16u /* keys looked for at once */

/* An MGET of more keys than this, not all on the shelf, is asked as it is: each key that is to be
 * kept costs some hundred bytes until the answer is there. */
#define GATHER_KEYS 8192u

bool several_asked(const struct command *cmd, uint32_t argc)
{
    return cmd->id == CMD_MGET || (cmd->id == CMD_EXISTS && argc > 2);
}

/* What the shelf has of key i: a value or null for MGET. False: nothing fresh. */
bool several_known(struct client *c, struct slice key, bool peek, struct near_question *nq,
                   struct entry *e)
{
    struct near *near = c->all->near;

    if (!near_plain(near, c, key, nq) ||
        cache_look(near->cache, &nq->q, loop_now_ms(c->all->loop), peek, e) != LOOK_FRESH)
        return false;
    if (e->kind == ENTRY_ABSENT)
        e->bytes = near_null(c);
    return true;
}

static bool any_local(struct near *near, const struct slice *keys, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct policy *p = policies_match(near->policies, keys[i]);

        if (p != NULL && p->set->local)
            return true;
    }
    return false;
}

void several_count(struct near *near, const struct near_question *nq, const struct entry *e)
{
    struct near_counters *count = &near_stats_of(near, nq->policy)->count;

    count->hits += e->kind == ENTRY_VALUE;
    count->negative += e->kind == ENTRY_ABSENT;
}

/* The first n keys were counted as hits, but not all that were asked for are: they will be looked
 * at, and counted, again. */
static void uncount(struct client *c, const struct slice *keys, uint32_t n)
{
    struct near *near = c->all->near;
    struct near_question nq;
    struct entry e;

    for (uint32_t i = 0; i < n; i++) {
        struct near_counters *count;

        if (!several_known(c, keys[i], true, &nq, &e))
            continue;
        count = &near_stats_of(near, nq.policy)->count;
        count->hits -= e.kind == ENTRY_VALUE;
        count->negative -= e.kind == ENTRY_ABSENT;
    }
}

/* Looks up to PROBES keys up. Returns how many it found before one was missing. values: NULL, they
 * are not wanted. */
static uint32_t look_some(struct client *c, const struct slice *keys, uint32_t n, int64_t *sum,
                          struct buffer *values)
{
    struct near *near = c->all->near;
    const struct shelf *shelf = cache_shelf(near->cache);
    uint64_t now_ms = loop_now_ms(c->all->loop);
    struct probe probes[PROBES];
    struct near_question nq;
    struct entry e;

    for (uint32_t i = 0; i < n; i++)
        shelf_probe(shelf, keys[i], &probes[i]);
    for (uint32_t i = 0; i < n; i++)
        shelf_fetch(shelf, &probes[i]);
    for (uint32_t i = 0; i < n; i++) {
        if (!near_plain(near, c, keys[i], &nq) ||
            cache_look_probed(near->cache, &nq.q, &probes[i], now_ms, &e) != LOOK_FRESH)
            return i;
        if (e.kind == ENTRY_ABSENT)
            e.bytes = near_null(c);
        several_count(near, &nq, &e);
        if (UNLIKELY((nq.policy->rules & RULE_SLIDING) != 0) && values != NULL)
            slide_found(c, &nq, &e);
        *sum += e.kind == ENTRY_VALUE;
        if (values != NULL)
            buffer_add(values, e.bytes.p, e.bytes.n);
        if (UNLIKELY(*near->check_due > 0))
            near_check_key(c, &nq, &e);
    }
    return n;
}

size_t several_most(const struct client *c)
{
    return c->all->settings->client_buffer_max / 4;
}

/* MGET of one key that is on the shelf: told to load it? */
static bool look_ahead(struct client *c, const struct args *args)
{
    struct request q = {.command = command_of(args->v, args->n), .argv = args->v, .argc = args->n};
    struct near *near = c->all->near;
    struct near_question nq;
    struct entry e;

    return q.command->id == CMD_MGET && near_plain(near, c, args->v[1], &nq) && nq.policy->ahead &&
           cache_look(near->cache, &nq.q, loop_now_ms(c->all->loop), true, &e) == LOOK_FRESH &&
           loads_ahead(c, &nq, &q, &e);
}

/* All of them are on the shelf: answered at once. What would be a very large answer is not: of a
 * value asked for many times over a small request could make one of any size. */
enum concern several_look(struct client *c, const struct args *args)
{
    struct near *near = c->all->near;
    struct buffer *out = &near->pieces;
    bool exists = args->v[0].n == sizeof "EXISTS" - 1;
    int64_t sum = 0;

    if (args->n < 2)
        return CONCERN_NONE;
    if (UNLIKELY(near->loads != NULL) && args->n == 2 && look_ahead(c, args))
        return CONCERN_HIT;
    buffer_take_keep(out, buffer_len(out), ASK_KEEP_BYTES);
    if (!exists)
        write_array(out, args->n - 1);
    for (uint32_t i = 1; i < args->n; i += PROBES) {
        uint32_t n = args->n - i < PROBES ? args->n - i : PROBES;
        uint32_t found = look_some(c, args->v + i, n, &sum, exists ? NULL : out);

        if (found < n || buffer_len(out) > several_most(c)) {
            uncount(c, args->v + 1, i - 1 + found);
            return any_local(near, args->v + 1, args->n - 1) ? CONCERN_ASK : CONCERN_NONE;
        }
    }
    if (exists)
        write_int(out, sum);
    near->answer = buffer_slice(out);
    near->block = NULL;
    return CONCERN_HIT;
}

/* ---- EXISTS of several keys ---- */

/* Some are on the shelf; what is told of the others is not kept. */
static enum next exists_ask(struct client *c, const struct request *q)
{
    struct near *near = c->all->near;
    struct buffer *out = near_words(near);
    struct near_question nq;
    struct entry e;
    enum next next = NEXT;
    struct link *l = client_link(c, &next);
    int32_t sum = 0;

    if (l == NULL)
        return next;
    near->keys.n = 0;
    args_add(&near->keys, SLICE("EXISTS"));
    for (uint32_t i = 1; i < q->argc; i++) {
        if (several_known(c, q->argv[i], false, &nq, &e)) {
            several_count(near, &nq, &e);
            sum += e.kind == ENTRY_VALUE;
            continue;
        }
        args_add(&near->keys, q->argv[i]);
        if (nq.policy != NULL && nq.policy->set->local)
            near_stats_of(near, nq.policy)->count.misses++;
    }
    write_request(out, near->keys.v, near->keys.n);
    exchange_ask(c, l, buffer_slice(out), EX_EXISTS, sum);
    return NEXT;
}

/* MGET of one key that may be waited for: asked, and kept, under its own name. */
static enum next leased_ask(struct client *c, const struct request *q, struct near_question *nq)
{
    struct args args = {.v = q->argv, .n = q->argc};

    nq->form = FORM_EXACT;
    if (!near_known(c, nq, q, &args))
        return near_ask_one(c, q, nq);
    near_give(c, q->more);
    return NEXT;
}

enum next several_ask(struct client *c, const struct request *q)
{
    enum trust trust = cache_trust(c->all->near->cache, loop_now_ms(c->all->loop));
    struct args args = {.v = q->argv, .n = q->argc};

    if (!command_arity_ok(q->command, q->argc))
        return slide_ask(c, q);
    if (trust == TRUST_CLOSED || trust == TRUST_SILENT)
        return near_pass_by(c, q);
    switch (several_look(c, &args)) {
    case CONCERN_HIT:
        near_give(c, q->more);
        return NEXT;
    case CONCERN_NONE:
    case CONCERN_BYPASS:
    case CONCERN_WRITES:
        return slide_ask(c, q);
    case CONCERN_ASK:
        break;
    }
    /* In an outage all of it must be known, to be answered here. */
    if (q->command->id == CMD_EXISTS && UNLIKELY(c->all->outage != NULL) &&
        outage_judge(c->all->outage, q) != OUTAGE_NOTHING)
        return near_pass_by(c, q);
    if (q->command->id == CMD_EXISTS)
        return exists_ask(c, q);
    if (UNLIKELY(c->all->near->loads != NULL) && q->argc == 2) {
        struct near_question nq;

        if (near_plain(c->all->near, c, q->argv[1], &nq) && loads_give(c, &nq, q))
            return NEXT;
    }
    if (UNLIKELY(c->all->near->leases != NULL) && q->argc == 2) {
        struct near_question nq;

        if (near_plain(c->all->near, c, q->argv[1], &nq) &&
            nq.policy->set->stampede == SET_STAMPEDE_WAIT &&
            near_name_ask(&nq, CMD_MGET, c->proto, q->argv, q->argc))
            return leased_ask(c, q, &nq);
    }
    return q->argc - 1 <= GATHER_KEYS ? mget_ask(c, q) : near_pass_by(c, q);
}
