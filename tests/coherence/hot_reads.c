/* hot_reads.c - reads of all kinds, alone, in pipelines and in transactions; and what the judge
 * thinks of the answers. */
#include "hot.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const field_name[FIELDS] = {"f0", "f1", "f2"};

/* ---- saying ---- */

static void ask_key(struct session *s, struct ask *a, struct key *k)
{
    uint64_t floor = k->floor[s->via];

    for (int v = 0; a->strict && v < VIA_COUNT; v++)
        if (k->floor[v] > floor)
            floor = k->floor[v];
    a->key[a->keys] = k;
    a->seen[a->keys] = k->seen[s->via];
    a->at[a->keys++] = floor;
}

static struct ask *ask_read(struct session *s, enum op op, enum sight sight, bool strict)
{
    struct ask *a = ask_new(s, ASK_READ, op);

    a->sight = sight;
    a->strict = strict || s->via == VIA_DIRECT || s->in_multi;
    a->mask = 1;
    return a;
}

static void say_one(struct session *s, struct key *k, enum op op, bool strict)
{
    struct ask *a = ask_read(s, op, SIGHT_VALUES, strict || op == OP_EVAL_GET);

    ask_key(s, a, k);
    if (op == OP_GET)
        wire_say(&s->wire, "GET", k->name, NULL);
    else if (op == OP_GETRANGE)
        wire_say(&s->wire, "GETRANGE", k->name, "0", "-1", NULL);
    else
        wire_say(&s->wire, "EVAL", "return redis.call('GET', KEYS[1])", "1", k->name, NULL);
}

static void say_about(struct session *s, struct key *k, enum op op, bool strict)
{
    struct ask *a = ask_read(s, op, op == OP_PTTL ? SIGHT_TTL : SIGHT_PRESENCE, strict);

    ask_key(s, a, k);
    wire_say(&s->wire, op_name[op], k->name, NULL);
}

/* k and strings after it. */
static void say_mget(struct session *s, const struct key *k, bool strict)
{
    struct ask *a = ask_read(s, OP_MGET, SIGHT_VALUES, strict);
    const char *word[STRINGS + 1] = {"MGET"};
    uint32_t count = 1 + hot_random(s->hot, STRINGS);
    int base = k->db * KEYS, first = k->number - base;

    for (uint32_t i = 0; i < count; i++) {
        struct key *one = &s->hot->key[base + (first + (int)i) % STRINGS];

        ask_key(s, a, one);
        word[i + 1] = one->name;
    }
    wire_say_words(&s->wire, count + 1, word);
}

static void say_fields(struct session *s, struct key *k, enum op op, bool strict)
{
    struct ask *a = ask_read(s, op, SIGHT_VALUES, strict);
    const char *word[FIELDS + 2] = {op_name[op], k->name};
    uint32_t count = 2;

    a->mask = op == OP_HGETALL ? (1u << FIELDS) - 1
              : op == OP_HGET  ? 1u << hot_random(s->hot, FIELDS)
                               : 1 + hot_random(s->hot, (1u << FIELDS) - 1);
    ask_key(s, a, k);
    for (int f = 0; f < FIELDS && op != OP_HGETALL; f++)
        if (a->mask >> f & 1u)
            word[count++] = field_name[f];
    wire_say_words(&s->wire, count, word);
}

void say_read_of(struct session *s, struct key *k, bool strict)
{
    uint32_t dice = hot_random(s->hot, 100);

    if (dice < 4)
        say_about(s, k, OP_EXISTS, strict);
    else if (dice < 8)
        say_about(s, k, OP_PTTL, strict);
    else if (k->fields > 1)
        say_fields(s, k, dice < 40 ? OP_HGETALL : dice < 70 ? OP_HGET : OP_HMGET, strict);
    else if (dice < 30)
        say_mget(s, k, strict);
    else
        say_one(s, k, dice < 34 ? OP_GETRANGE : dice < 36 ? OP_EVAL_GET : OP_GET, strict);
}

void say_some_read(struct session *s, bool strict)
{
    say_read_of(s, &s->hot->key[s->db * KEYS + (int)hot_random(s->hot, KEYS)], strict);
}

/* ---- judging ---- */

/* The oldest version of k that this session has written behind what is now answered. */
static uint64_t oldest_behind(const struct session *s, const struct key *k)
{
    uint64_t least = UINT64_MAX;

    for (uint32_t i = 0; i < s->asks + s->n_queued; i++) {
        const struct ask *a =
            i < s->asks ? &s->ask[(s->first + i) % ASKS] : &s->queued[i - s->asks];

        for (uint32_t j = 0; a->kind == ASK_WRITE && j < a->keys; j++)
            if (a->key[j] == k && key_version(k, a->at[j])->outcome == PENDING && a->at[j] < least)
                least = a->at[j];
    }
    return least;
}

/* Whose value it is, when it is not the key's. */
static void print_origin(const struct hot *h, const struct seen *seen)
{
    for (int i = 0; i < DBS * KEYS && seen->sight == SIGHT_VALUES; i++) {
        const struct key *k = &h->key[i];

        for (uint64_t n = 0; n <= k->newest && n < VERSIONS; n++)
            for (int f = 0; f < k->fields; f++)
                for (int of = 0; of < FIELDS; of++)
                    if (seen->value[of] != 0 && key_version(k, n)->value[f] == seen->value[of])
                        printf("      %" PRIx64 " is of version %" PRIu64 " of %s in db %d\n",
                               seen->value[of], n, k->name, k->db);
    }
}

static enum fault fault_of(const struct ask *a, enum verdict verdict)
{
    switch (verdict) {
    case OLD:
        return a->strict ? FAULT_BYPASS : FAULT_P1;
    case OWN_OLD:
    case TOO_EARLY:
        return FAULT_P4;
    case SEEN_OLD:
        return FAULT_SEEN;
    case DEAD:
        return FAULT_P3;
    case ALIEN:
    case FINE:
        break;
    }
    return FAULT_ALIEN;
}

static void judge_key(struct session *s, const struct ask *a, uint32_t i, const struct seen *seen)
{
    struct hot *h = s->hot;
    struct key *k = a->key[i];
    struct asked by = {.floor = a->at[i],
                       .seen = a->seen[i],
                       .own = s->own[k->number],
                       .ceiling = oldest_behind(s, k) - 1,
                       .sent_us = a->sent_us,
                       .replied_us = h->now_us,
                       .via = s->via};
    struct judgement j = judge(k, seen, &by);

    h->reads++;
    if (j.verdict == FINE)
        key_told(k, j.first);
    if (j.verdict == FINE && j.age_us > 0) {
        h->stale++;
        h->age_max_us = j.age_us > h->age_max_us ? j.age_us : h->age_max_us;
        if (j.age_us > h->options.age_limit_us && hot_fault(h, FAULT_AGE, s, a))
            key_print(k, seen, &by, &j);
    }
    if (j.verdict != FINE && hot_fault(h, fault_of(a, j.verdict), s, a)) {
        key_print(k, seen, &by, &j);
        if (j.verdict == ALIEN)
            print_origin(h, seen);
    }
}

static uint64_t id_of(const struct token *t)
{
    if (t->type == '_' || (t->type == '$' && t->n == 0)) /* GETRANGE of what is missing */
        return 0;
    return t->type == '$' ? value_id(t->p, t->n) : UINT64_MAX;
}

static void see_hash(const struct reply *r, uint32_t at, struct seen *seen)
{
    for (uint32_t i = at + 1; i + 1 < r->count && i < at + 1 + (uint32_t)r->token[at].n; i += 2)
        for (int f = 0; f < FIELDS; f++)
            if (token_begins(&r->token[i], field_name[f]))
                seen->value[f] = id_of(&r->token[i + 1]);
}

static void judge_array(struct session *s, const struct ask *a, const struct reply *r, uint32_t at)
{
    struct seen seen = {.sight = SIGHT_VALUES, .mask = a->mask};
    int64_t n = r->token[at].n;
    uint32_t i = at + 1;

    if (a->op == OP_HGETALL) {
        see_hash(r, at, &seen);
        judge_key(s, a, 0, &seen);
    } else if (a->op == OP_MGET && n == (int64_t)a->keys) {
        for (uint32_t k = 0; k < a->keys; k++) {
            seen.value[0] = id_of(&r->token[i++]);
            judge_key(s, a, k, &seen);
        }
    } else if (a->op == OP_HMGET && n == __builtin_popcount(a->mask)) {
        for (int f = 0; f < FIELDS; f++)
            if (a->mask >> f & 1u)
                seen.value[f] = id_of(&r->token[i++]);
        judge_key(s, a, 0, &seen);
    } else {
        hot_fault(s->hot, FAULT_ODD, s, a);
    }
}

uint32_t judge_read(struct session *s, const struct ask *a, const struct reply *r, uint32_t at)
{
    const struct token *t = &r->token[at];
    struct seen seen = {.sight = a->sight, .mask = a->mask};

    if (t->type == '-') {
        s->hot->errors++;
        if ((token_begins(t, "WRONGTYPE") || token_begins(t, "ERR")) &&
            hot_fault(s->hot, FAULT_ODD, s, a))
            printf("      answered %.*s\n", (int)t->n, t->p);
        return at + 1;
    }
    s->hot->ops[a->op]++;
    if (t->type == '*') {
        judge_array(s, a, r, at);
        return reply_skip(r, at);
    }
    if (a->sight == SIGHT_VALUES) {
        for (int f = 0; f < FIELDS; f++)
            if (a->mask >> f & 1u)
                seen.value[f] = id_of(t);
    } else {
        seen.n = t->type == ':' ? t->n : -9;
    }
    if (a->op == OP_MGET || a->op == OP_HMGET || a->op == OP_HGETALL)
        hot_fault(s->hot, FAULT_ODD, s, a);
    else
        judge_key(s, a, 0, &seen);
    return at + 1;
}
