/* near.c - is a request a question the cache may answer, and if so, does it?
 *
 *      GET k --> policy local? ------------ no --> as if there were no cache
 *                  | yes
 *                session plain, nothing of
 *                its own unanswered? ------ no --> upstream (bypass)
 *                  | yes
 *                on the shelf, fresh? ---- yes --> answered at once
 *                  | no
 *                key held, or the link
 *                not trusted? ------------ yes --> upstream, not kept
 *                  | no
 *                the same in the air? ---- yes --> joined (fill.c)
 *                  | no
 *                asked, once for all (fill.c)
 *
 * A hit allocates nothing: the question is built on the stack, the answer copied to the output. */
#include "client/near.h"
#include "client/leases.h"
#include "client/loads.h"
#include "client/rules.h"
#include "client/slide.h"

#include <stdlib.h>
#include <time.h>

#include "errands/self_check.h"
#include "resp/reply.h"
#include "resp/write.h"

#define HIT_SAMPLE 64u   /* of so many hits, one is timed */
#define SCOPES     4096u /* databases and logins: as many are told apart at a time */

struct near_stats *near_stats_of(struct near *near, const struct policy *p)
{
    CHECK(p->number < near->stats_count && near->stats[p->number] != NULL);
    return near->stats[p->number];
}

uint64_t near_clock_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

struct buffer *near_words(struct near *near)
{
    buffer_take_keep(&near->words, buffer_len(&near->words), ASK_KEEP_BYTES);
    return &near->words;
}

/* ---- whose question ---- */

/* Numbers end: then all begin anew, with nothing kept. Not from within a look at the shelf. */
static void forget_scopes(struct near *near)
{
    near->scope_count = 0;
    if (near->leases != NULL)
        leases_clear(near->leases);
    if (near->loads != NULL)
        loads_clear(near->loads);
    for (list_each (node, &near->all->open))
        CONTAINER_OF(node, struct client, node)->scope = 0;
    cache_flush(near->cache);
}

/* Database and upstream user, as a number; 0 when there are too many. */
static uint16_t scope_of(struct near *near, uint32_t login, int32_t db)
{
    size_t n = near->scope_count;

    for (size_t i = 0; i < n; i++) {
        if (near->scopes[i].db == db && near->scopes[i].login == login)
            return (uint16_t)(i + 1);
    }
    if (n >= SCOPES)
        return 0;
    near->scopes = must_realloc(near->scopes, (n + 1) * sizeof *near->scopes);
    near->scopes[n] = (struct near_scope){login, db};
    near->scope_count = n + 1;
    return (uint16_t)(n + 1);
}

/* Nothing that could make what the session reads differ from what anybody else reads. in_run: of
 * its requests, that many are about to be asked. */
bool near_allowed(const struct client *c, uint32_t in_run)
{
    bool writing = c->owed + in_run > 0 && (int32_t)(c->asked - c->owed - c->wrote_at) < 0;

    return c->plain && !writing && (c->more == NULL || c->more->muted_owed == 0);
}

/* ---- what is asked ---- */

bool near_is_whole_hash(uint16_t id)
{
    return id == CMD_HGETALL || id == CMD_HKEYS || id == CMD_HVALS || id == CMD_HLEN;
}

bool near_is_hash(uint16_t id)
{
    return near_is_whole_hash(id) || id == CMD_HGET || id == CMD_HMGET || id == CMD_HEXISTS ||
           id == CMD_HSTRLEN;
}

size_t near_ask_head(char *ask, uint16_t id, uint8_t proto)
{
    memcpy(ask, &id, sizeof id);
    ask[sizeof id] = (char)proto;
    return sizeof id + 1;
}

/* Command, protocol and the arguments behind the key, each with its length. */
bool near_name_ask(struct near_question *nq, uint16_t id, uint8_t proto, const struct slice *argv,
                   uint32_t argc)
{
    size_t n = near_ask_head(nq->ask, id, proto);

    for (uint32_t i = 2; i < argc; i++) {
        uint32_t len = (uint32_t)argv[i].n;

        if (argv[i].n > ASK_BYTES || n + sizeof len + len > ASK_BYTES)
            return false;
        memcpy(nq->ask + n, &len, sizeof len);
        if (len > 0)
            memcpy(nq->ask + n + sizeof len, argv[i].p, len);
        n += sizeof len + len;
    }
    nq->q.ask = slice_of(nq->ask, n);
    return true;
}

bool near_one_key(const struct command *cmd, uint32_t argc)
{
    return cmd->keys == KEYS_FIXED && cmd->first == 1 && (cmd->last == 1 || argc == 2) &&
           cmd->id != CMD_MGET;
}

bool near_plain(struct near *near, struct client *c, struct slice key, struct near_question *ret)
{
    ret->policy = policies_match(near->policies, key);
    if (ret->policy == NULL || !ret->policy->set->local)
        return false;
    if (UNLIKELY(c->scope == 0))
        c->scope = scope_of(near, lane_login(c->lane), c->db);
    ret->q = (struct question){.key = key, .ask = {"", 0}, .scope = c->scope};
    ret->form = FORM_GET;
    return c->scope != 0;
}

static bool judge(struct client *c, const struct request *q, struct near_question *ret)
{
    const struct command *cmd = q->command;

    if (!command_arity_ok(cmd, q->argc) || !near_one_key(cmd, q->argc) ||
        !near_plain(c->all->near, c, q->argv[1], ret))
        return false;
    if (LIKELY(cmd->id == CMD_GET))
        return true;
    ret->form = cmd->id == CMD_EXISTS                         ? FORM_EXISTS
                : cmd->id == CMD_HGET || cmd->id == CMD_HMGET ? FORM_HASH
                                                              : FORM_EXACT;
    return near_name_ask(ret, cmd->id, c->proto, q->argv, q->argc);
}

bool near_judge(struct client *c, const struct request *q, struct near_question *ret)
{
    return (q->command->flags & CF_CACHEABLE) != 0 && judge(c, q, ret);
}

/* ---- the shelf ---- */

/* The hit is what near_give() gives. */
static void found(struct client *c, const struct near_question *nq, const struct entry *e)
{
    struct near *near = c->all->near;
    struct near_stats *stats = near_stats_of(near, nq->policy);

    stats->count.hits += e->kind == ENTRY_VALUE;
    stats->count.negative += e->kind == ENTRY_ABSENT;
    near->answer = e->bytes;
    near->block = e->block;
    if (UNLIKELY(nq->form == FORM_GET && e->kind == ENTRY_ABSENT))
        near->answer = near_null(c);
}

void near_give(struct client *c, bool more)
{
    const struct near *near = c->all->near;

    if (UNLIKELY(near->block != NULL)) {
        client_answer_block(c, near->block);
    } else if (!more && client_idle_output(c)) {
        c->all->count.commands_local++;
        client_put(c, near->answer);
    } else {
        buffer_add(client_answer(c), near->answer.p, near->answer.n);
    }
}

void near_check(struct client *c, const struct near_question *nq, const struct args *args,
                const struct entry *e)
{
    const struct command *cmd = command_find(args->v[0]); /* known: it was a hit */
    char whole[4];
    struct checked_hit hit = {.argv = args->v,
                              .argc = args->n,
                              .command = cmd->id,
                              .asks = {nq->q.ask, nq->q.ask},
                              .scope = nq->q.scope,
                              .stamp = e->stamp,
                              .lane = c->lane,
                              .proto = c->proto,
                              .db = c->db,
                              .served = e->bytes,
                              .block = e->block};

    /* The entry may be another than that of exactly this question: see near_look(). */
    if (nq->form == FORM_EXISTS)
        hit.asks[1] = slice_of("", 0);
    else if (nq->form == FORM_HASH)
        hit.asks[1] = slice_of(whole, near_ask_head(whole, CMD_HGETALL, c->proto));
    self_check_sample(c->all->near->check, &hit);
}

void near_check_key(struct client *c, const struct near_question *nq, const struct entry *e)
{
    struct slice get[2] = {SLICE("GET"), nq->q.key};

    near_check(c, nq, &(struct args){.v = get, .n = 2}, e);
}

/* As found(), of the request in args. */
static void found_for(struct client *c, const struct near_question *nq, const struct args *args,
                      struct entry *e)
{
    struct near *near = c->all->near;

    found(c, nq, e);
    if (UNLIKELY((nq->policy->rules & RULE_SLIDING) != 0))
        slide_found(c, nq, e);
    if (LIKELY(*near->check_due == 0))
        return;
    e->bytes = near->answer;
    near_check(c, nq, args, e);
}

/* TTL, PTTL of a key whose value is kept: from its known expiry. */
static enum concern look_ttl(struct client *c, bool seconds, const struct args *args)
{
    struct near *near = c->all->near;
    struct near_question nq;
    struct entry e;
    uint64_t now_ms = loop_now_ms(c->all->loop);
    int64_t left = 0;

    if (args->n != 2 || !near_plain(near, c, args->v[1], &nq) ||
        cache_look(near->cache, &nq.q, now_ms, false, &e) != LOOK_FRESH)
        return CONCERN_NONE;
    if (e.kind == ENTRY_ABSENT)
        left = -2;
    else if (e.expiry_ms == EXPIRY_NEVER)
        left = -1;
    else if (e.expiry_ms > now_ms)
        left = (int64_t)(e.expiry_ms - now_ms);
    if ((nq.policy->rules & RULE_SLIDING) != 0 && slide_promised(c, args->v[1]) > now_ms)
        return CONCERN_NONE; /* more may have been promised: slide_ttl() */
    buffer_take_keep(&near->pieces, buffer_len(&near->pieces), ASK_KEEP_BYTES);
    write_int(&near->pieces, seconds && left > 0 ? (left + 500) / 1000 : left);
    e.bytes = buffer_slice(&near->pieces);
    e.block = NULL;
    nq.form = FORM_EXACT;
    found(c, &nq, &e);
    return CONCERN_HIT;
}

bool near_known(struct client *c, struct near_question *nq, const struct request *q,
                const struct args *args)
{
    struct entry e;

    if (near_look(c, nq, q, false, &e) != LOOK_FRESH)
        return false;
    found_for(c, nq, args, &e);
    return true;
}

static enum concern look_one(struct client *c, const struct command *cmd, const struct args *args)
{
    struct request q = {.command = cmd, .argv = args->v, .argc = args->n};
    struct near *near = c->all->near;
    struct near_question nq;
    struct entry e;
    uint64_t began_us = 0;

    if (args->n > 1 && args->v[1].p == near->missed) /* near_gets() has looked */
        return CONCERN_ASK;
    if (!judge(c, &q, &nq))
        return CONCERN_NONE;
    if (UNLIKELY(near->sample == 0))
        began_us = near_clock_us();
    if (near_look(c, &nq, &q, false, &e) != LOOK_FRESH)
        return CONCERN_ASK;
    if (UNLIKELY(nq.policy->ahead) && loads_ahead(c, &nq, &q, &e))
        return CONCERN_HIT;
    found_for(c, &nq, args, &e);
    if (UNLIKELY(near->sample-- == 0)) {
        near->sample = HIT_SAMPLE - 1;
        histogram_add(&near_stats_of(near, nq.policy)->hit_us, near_clock_us() - began_us);
    }
    return CONCERN_HIT;
}

enum concern near_concern(struct client *c, const struct command *cmd, const struct args *args,
                          uint32_t in_run)
{
    if ((cmd->flags & CF_READ) == 0)
        return CONCERN_WRITES;
    if (!near_allowed(c, in_run))
        return (cmd->flags & CF_CACHEABLE) != 0 ? CONCERN_BYPASS : CONCERN_NONE;
    if (UNLIKELY(c->scope == 0 && c->all->near->scope_count >= SCOPES))
        forget_scopes(c->all->near);
    if ((cmd->flags & CF_CACHEABLE) == 0)
        return cmd->id == CMD_TTL || cmd->id == CMD_PTTL ? look_ttl(c, cmd->id == CMD_TTL, args)
                                                         : CONCERN_NONE;
    if (several_asked(cmd, args->n))
        return several_look(c, args);
    return look_one(c, cmd, args);
}

enum way near_way(const struct near *near, struct slice key)
{
    enum trust trust = cache_trust(near->cache, loop_now_ms(near->all->loop));

    if (trust == TRUST_CLOSED || trust == TRUST_SILENT)
        return WAY_UNTRUSTED;
    if (!invalidation_covers(near->invalidation, key))
        return WAY_UNCOVERED;
    return keyring_held(cache_keyring(near->cache), key) ? WAY_HELD : WAY_ASK;
}

void near_bypassed(struct near *near, const struct command *cmd, const struct args *args)
{
    bool several = several_asked(cmd, args->n);

    if ((cmd->flags & CF_CACHEABLE) == 0 || !command_arity_ok(cmd, args->n) ||
        !(several || near_one_key(cmd, args->n)))
        return;
    for (uint32_t i = 1; i < (several ? args->n : 2); i++) {
        const struct policy *p = policies_match(near->policies, args->v[i]);

        if (p != NULL && p->set->local)
            near_stats_of(near, p)->count.bypassed++;
    }
}

enum next near_pass_by(struct client *c, const struct request *q)
{
    struct args args = {.v = q->argv, .n = q->argc};
    enum next next = slide_ask(c, q);

    if (next == NEXT)
        near_bypassed(c->all->near, q->command, &args);
    return next;
}

/* GETEX is not kept, nor answered from the shelf; but who finds nothing by it may be told to load
 * it. Those who wait with the same words are served by one: it would do the same again. */
static bool is_leased_getex(struct client *c, const struct request *q, struct near_question *nq)
{
    if (q->command->id != CMD_GETEX || q->argc < 2 || q->shape != NULL || !near_allowed(c, 0) ||
        !near_plain(c->all->near, c, q->argv[1], nq) ||
        nq->policy->set->stampede != SET_STAMPEDE_WAIT)
        return false;
    nq->form = FORM_EXACT;
    return near_name_ask(nq, CMD_GETEX, c->proto, q->argv, q->argc);
}

/* Asks upstream what the shelf cannot answer: ordinary reads of plain sessions come here. */
enum next near_ask(struct client *c, const struct request *q)
{
    struct near *near = c->all->near;
    struct near_question nq;
    struct entry e;
    bool looked;

    if (UNLIKELY(near->leases != NULL) && is_leased_getex(c, q, &nq))
        return near_ask_one(c, q, &nq);
    if ((q->command->flags & CF_CACHEABLE) == 0)
        return client_ask(c, q);
    if (!near_allowed(c, 0))
        return near_pass_by(c, q);
    if (several_asked(q->command, q->argc))
        return several_ask(c, q);
    if (!near_judge(c, q, &nq))
        return slide_ask(c, q);
    looked = near->missed == q->argv[1].p;
    near->missed = NULL;
    if (!looked && near_look(c, &nq, q, false, &e) == LOOK_FRESH) {
        found_for(c, &nq, &(struct args){.v = q->argv, .n = q->argc}, &e);
        near_give(c, q->more);
        return NEXT;
    }
    return near_ask_one(c, q, &nq);
}

enum next near_ask_one(struct client *c, const struct request *q, const struct near_question *nq)
{
    struct near *near = c->all->near;
    struct near_stats *stats = near_stats_of(near, nq->policy);
    enum next next;

    if (UNLIKELY(near->leases != NULL) && leases_park(c, q, nq))
        return NEXT;
    if (UNLIKELY(near->loads != NULL) && loads_give(c, nq, q))
        return NEXT;
    if (near_way(near, nq->q.key) != WAY_ASK)
        return near_pass_by(c, q);
    if (fill_join(c, &nq->q)) {
        stats->count.coalesced++;
        return NEXT;
    }
    next = fill_ask(c, q, nq);
    stats->count.misses += next == NEXT;
    return next;
}
