/* several.c - reads of several keys, MGET and EXISTS, answered per key: from the shelf what is
 * there, the rest in one question (MGET's: gather.c). */
#include "client/near.h"
#include "net/loop.h"
#include "resp/write.h"

#define PROBES 16u /* keys looked for at once */

static bool known(struct client *c, struct slice key, const struct probe *probe,
                  struct near_question *nq, struct entry *e)
{
    struct near *near = c->all->near;

    if (!near_plain(near, c, key, nq) ||
        cache_look_probed(near->cache, &nq->q, probe, loop_now_ms(c->all->loop), e) != LOOK_FRESH)
        return false;
    if (e->kind == ENTRY_ABSENT)
        e->bytes = c->proto == 3 ? SLICE("_\r\n") : SLICE("$-1\r\n");
    return true;
}

bool several_asked(const struct near *near, const struct request *q)
{
    (void)near;
    return q->command->id == CMD_MGET || (q->command->id == CMD_EXISTS && q->argc > 2);
}

/* What the shelf has of the key: a value, or null for MGET. False: nothing fresh. */
bool several_known(struct client *c, struct slice key, struct near_question *nq, struct entry *e)
{
    const struct shelf *shelf = cache_shelf(c->all->near->cache);
    struct probe probe;

    shelf_probe(shelf, key, &probe);
    shelf_fetch(shelf, &probe);
    return known(c, key, &probe, nq, e);
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

/* Hits found so far, of one policy. */
struct tally {
    const struct policy *policy;
    uint32_t hits, negative;
};

static void tally_count(struct near *near, const struct tally *t)
{
    struct near_counters *count;

    if (t->policy == NULL)
        return;
    count = &near_stats_of(near, t->policy)->count;
    count->hits += t->hits;
    count->negative += t->negative;
}

static void tally_add(struct near *near, struct tally *t, const struct near_question *nq,
                      const struct entry *e)
{
    if (UNLIKELY(t->policy != nq->policy)) {
        tally_count(near, t);
        *t = (struct tally){.policy = nq->policy};
    }
    t->hits += e->kind == ENTRY_VALUE;
    t->negative += e->kind == ENTRY_ABSENT;
}

/* Looks up to PROBES keys up; true when all are there. *sum counts those that exist. */
static bool look_some(struct client *c, const struct slice *keys, uint32_t n, struct tally *t,
                      int64_t *sum)
{
    struct near *near = c->all->near;
    const struct shelf *shelf = cache_shelf(near->cache);
    struct probe probes[PROBES];
    struct near_question nq;
    struct entry e;

    for (uint32_t i = 0; i < n; i++)
        shelf_probe(shelf, keys[i], &probes[i]);
    for (uint32_t i = 0; i < n; i++)
        shelf_fetch(shelf, &probes[i]);
    for (uint32_t i = 0; i < n; i++) {
        if (!known(c, keys[i], &probes[i], &nq, &e))
            return false;
        tally_add(near, t, &nq, &e);
        *sum += e.kind == ENTRY_VALUE;
        buffer_add(&near->pieces, e.bytes.p, e.bytes.n);
        if (UNLIKELY(*near->check_due > 0))
            near_check_key(c, &nq, &e);
    }
    return true;
}

/* All of them are on the shelf: answered at once. */
enum concern several_look(struct client *c, const struct args *args)
{
    struct near *near = c->all->near;
    struct buffer *out = &near->pieces;
    struct tally t = {0};
    int64_t sum = 0;

    if (args->n < 2)
        return CONCERN_NONE;
    buffer_take_keep(out, buffer_len(out), ASK_KEEP_BYTES);
    write_array(out, args->n - 1);
    for (uint32_t i = 1; i < args->n; i += PROBES) {
        uint32_t n = args->n - i < PROBES ? args->n - i : PROBES;

        if (!look_some(c, args->v + i, n, &t, &sum))
            return any_local(near, args->v + 1, args->n - 1) ? CONCERN_ASK : CONCERN_NONE;
    }
    tally_count(near, &t);
    if (args->v[0].n == sizeof "EXISTS" - 1) {
        buffer_take_keep(out, buffer_len(out), ASK_KEEP_BYTES);
        write_int(out, sum);
    }
    near->answer = buffer_slice(out);
    near->block = NULL;
    return CONCERN_HIT;
}

/* ---- EXISTS of several keys ---- */

static enum next exists_ask(struct client *c, const struct request *q)
{
    struct near *near = c->all->near;
    struct buffer *out = near_words(near);
    struct near_question nq;
    struct entry e;
    struct link *l;
    enum next next = NEXT;
    uint32_t missing = 0;
    int32_t sum = 0;

    near->keys.n = 0;
    args_add(&near->keys, SLICE("EXISTS"));
    for (uint32_t i = 1; i < q->argc; i++) {
        if (several_known(c, q->argv[i], &nq, &e)) {
            sum += e.kind == ENTRY_VALUE;
        } else {
            args_add(&near->keys, q->argv[i]);
            missing++;
        }
    }
    if (missing == 0) {
        write_int(client_answer(c), sum);
        return NEXT;
    }
    if (missing == q->argc - 1)
        return client_ask(c, q);
    l = client_link(c, &next);
    if (l == NULL)
        return next;
    write_request(out, near->keys.v, near->keys.n);
    exchange_ask(c, l, buffer_slice(out), EX_EXISTS, sum);
    return NEXT;
}

enum next several_ask(struct client *c, const struct request *q)
{
    enum trust trust = cache_trust(c->all->near->cache, loop_now_ms(c->all->loop));
    struct args args = {.v = q->argv, .n = q->argc};

    if (!command_arity_ok(q->command, q->argc) || trust == TRUST_CLOSED || trust == TRUST_SILENT)
        return client_ask(c, q);
    switch (several_look(c, &args)) {
    case CONCERN_HIT:
        near_give(c);
        return NEXT;
    case CONCERN_NONE:
    case CONCERN_WRITES:
        return client_ask(c, q);
    case CONCERN_ASK:
        break;
    }
    return q->command->id == CMD_EXISTS ? exists_ask(c, q) : mget_ask(c, q);
}
