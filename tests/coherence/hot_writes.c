/* hot_writes.c - writes of all kinds. Each takes keys that are free, and is their next version. */
#include "hot.h"

#include <stdio.h>
#include <string.h>

enum { TRIES = 12, TTL_MAX_MS = 300 };

static const char *const field_name[FIELDS] = {"f0", "f1", "f2"};

/* ---- one key ---- */

static bool can_write(const struct session *s, const struct key *k)
{
    return key_free(k) && !s->hot->drain;
}

/* A free key of the session's database: a string, a hash or (kind 0) any. NULL: none found. */
static struct key *free_key(struct session *s, int fields)
{
    for (int i = 0; i < TRIES; i++) {
        struct key *k = &s->hot->key[s->db * KEYS + (int)hot_random(s->hot, KEYS)];

        if (can_write(s, k) && (fields == 0 || k->fields == fields))
            return k;
    }
    return NULL;
}

static uint64_t new_value(struct session *s)
{
    return ++s->hot->next_value;
}

/* The next version of k, all absent. */
static struct version *write_key(struct session *s, struct ask *a, struct key *k)
{
    struct version *v = key_write(k, s->via, s->number, s->hot->now_us);

    v->op = op_name[a->op];
    a->key[a->keys] = k;
    a->at[a->keys++] = k->newest;
    return v;
}

static const struct version *before(const struct key *k)
{
    return key_version(k, k->newest - 1);
}

/* Redis does not tell of a write that changes nothing; then what was untold before still is. */
static void mark_if_same(const struct key *k, struct version *v)
{
    const struct version *old = before(k);
    bool same = old->wild || memcmp(old->value, v->value, sizeof v->value) == 0;

    v->unpushed = same && old->unpushed;
}

void say_set(struct session *s, struct key *k)
{
    char text[FIELDS][VALUE_MAX];
    struct version *v;

    if (k->fields > 1) {
        static const char script[] =
            "redis.call('DEL', KEYS[1]) "
            "redis.call('HSET', KEYS[1], 'f0', ARGV[1], 'f1', ARGV[2], 'f2', ARGV[3]) return 1";

        v = write_key(s, ask_new(s, ASK_WRITE, OP_EVAL), k);
        for (int f = 0; f < FIELDS; f++)
            value_text(v->value[f] = new_value(s), text[f]);
        wire_say(&s->wire, "EVAL", script, "1", k->name, text[0], text[1], text[2], NULL);
        return;
    }
    v = write_key(s, ask_new(s, ASK_WRITE, OP_SET), k);
    v->value[0] = new_value(s);
    wire_say(&s->wire, "SET", k->name, value_text(v->value[0], text[0]), NULL);
}

static void say_del(struct session *s, struct key *k)
{
    struct version *v = write_key(s, ask_new(s, ASK_WRITE, OP_DEL), k);

    mark_if_same(k, v);
    wire_say(&s->wire, hot_random(s->hot, 2) ? "DEL" : "UNLINK", k->name, NULL);
}

/* All fields; k has no deadline. */
static void say_hset(struct session *s, struct key *k)
{
    char text[FIELDS][VALUE_MAX];
    struct version *v = write_key(s, ask_new(s, ASK_WRITE, OP_HSET), k);

    for (int f = 0; f < FIELDS; f++)
        value_text(v->value[f] = new_value(s), text[f]);
    wire_say(&s->wire, "HSET", k->name, "f0", text[0], "f1", text[1], "f2", text[2], NULL);
}

/* One field set or deleted; what k holds is certain. */
static void say_field(struct session *s, struct key *k)
{
    char text[VALUE_MAX];
    struct version *v = write_key(s, ask_new(s, ASK_WRITE, OP_HSET_FIELD), k);
    uint32_t f = hot_random(s->hot, FIELDS);

    memcpy(v->value, before(k)->value, sizeof v->value);
    if (hot_random(s->hot, 4) == 0) {
        v->value[f] = 0;
        mark_if_same(k, v);
        wire_say(&s->wire, "HDEL", k->name, field_name[f], NULL);
        return;
    }
    v->value[f] = new_value(s);
    wire_say(&s->wire, "HSET", k->name, field_name[f], value_text(v->value[f], text), NULL);
}

/* ---- the kinds ---- */

static bool op_set(struct session *s)
{
    struct key *k = free_key(s, 1);

    if (k != NULL)
        say_set(s, k);
    return k != NULL;
}

static bool op_del(struct session *s)
{
    struct key *k = free_key(s, 0);

    if (k != NULL)
        say_del(s, k);
    return k != NULL;
}

static bool op_set_px(struct session *s)
{
    struct key *k = free_key(s, 1);
    char text[VALUE_MAX], ttl[16];
    struct version *v;

    if (k == NULL)
        return false;
    v = write_key(s, ask_new(s, ASK_WRITE, OP_SET_PX), k);
    v->value[0] = new_value(s);
    v->ttl_ms = 2 + hot_random(s->hot, TTL_MAX_MS);
    snprintf(ttl, sizeof ttl, "%u", (unsigned)v->ttl_ms);
    wire_say(&s->wire, "SET", k->name, value_text(v->value[0], text), "PX", ttl, NULL);
    return true;
}

static bool op_pexpire(struct session *s)
{
    struct key *k = free_key(s, 0);
    char ttl[16];
    struct version *v;

    if (k == NULL || !key_is_there(k))
        return false;
    v = write_key(s, ask_new(s, ASK_WRITE, OP_PEXPIRE), k);
    memcpy(v->value, before(k)->value, sizeof v->value);
    v->ttl_ms = hot_random(s->hot, 8) == 0 ? 1000 : 2 + hot_random(s->hot, TTL_MAX_MS);
    snprintf(ttl, sizeof ttl, "%u", (unsigned)v->ttl_ms);
    if (v->ttl_ms == 1000)
        wire_say(&s->wire, "EXPIRE", k->name, "1", NULL);
    else
        wire_say(&s->wire, "PEXPIRE", k->name, ttl, NULL);
    return true;
}

static bool op_mset(struct session *s)
{
    struct key *k = free_key(s, 1), *l = free_key(s, 1);
    char text[2][VALUE_MAX];
    struct ask *a;

    if (k == NULL || l == NULL || k == l)
        return false;
    a = ask_new(s, ASK_WRITE, OP_MSET);
    value_text(write_key(s, a, k)->value[0] = new_value(s), text[0]);
    value_text(write_key(s, a, l)->value[0] = new_value(s), text[1]);
    wire_say(&s->wire, "MSET", k->name, text[0], l->name, text[1], NULL);
    return true;
}

static bool op_rename(struct session *s)
{
    struct key *from = free_key(s, 0), *to = from ? free_key(s, from->fields) : NULL;
    struct ask *a;

    if (to == NULL || to == from || !key_is_there(from))
        return false;
    a = ask_new(s, ASK_WRITE, OP_RENAME);
    memcpy(write_key(s, a, to)->value, key_version(from, from->newest)->value,
           sizeof from->version->value);
    write_key(s, a, from);
    wire_say(&s->wire, "RENAME", from->name, to->name, NULL);
    return true;
}

/* Two strings, or a hash from scratch. */
static bool op_eval(struct session *s)
{
    struct key *k = free_key(s, 0), *l = free_key(s, 1);
    char text[2][VALUE_MAX];
    struct ask *a;

    if (k == NULL || l == NULL || k == l)
        return false;
    if (k->fields > 1) {
        say_set(s, k);
        return true;
    }
    a = ask_new(s, ASK_WRITE, OP_EVAL);
    value_text(write_key(s, a, k)->value[0] = new_value(s), text[0]);
    value_text(write_key(s, a, l)->value[0] = new_value(s), text[1]);
    wire_say(&s->wire, "EVAL",
             "redis.call('SET', KEYS[1], ARGV[1]) redis.call('SET', KEYS[2], ARGV[2]) return 1",
             "2", k->name, l->name, text[0], text[1], NULL);
    return true;
}

static bool op_hset(struct session *s)
{
    struct key *k = free_key(s, FIELDS);

    if (k == NULL || k->unclear)
        return false;
    say_hset(s, k);
    return true;
}

static bool op_field(struct session *s)
{
    struct key *k = free_key(s, FIELDS);

    if (k == NULL || k->unclear)
        return false;
    say_field(s, k);
    return true;
}

/* Any write that can follow one of the same session which is not answered yet. */
static void say_next(struct session *s, struct key *k)
{
    if (hot_random(s->hot, 4) == 0)
        say_del(s, k);
    else if (k->fields > 1 && !k->unclear)
        hot_random(s->hot, 2) ? say_field(s, k) : say_hset(s, k);
    else
        say_set(s, k);
}

/* Reads behind own writes, before they are answered: P4. */
static bool op_behind(struct session *s)
{
    struct key *k = free_key(s, 0);
    uint32_t rounds = 1 + hot_random(s->hot, 4);

    if (k == NULL)
        return false;
    s->hot->ops[OP_BEHIND]++;
    if (hot_random(s->hot, 2))
        say_read_of(s, k, false);
    for (uint32_t i = 0; i < rounds; i++) {
        say_next(s, k);
        for (uint32_t n = 1 + hot_random(s->hot, 3); n > 0; n--)
            hot_random(s->hot, 4) ? say_read_of(s, k, false) : say_some_read(s, false);
    }
    return true;
}

static bool op_multi(struct session *s)
{
    struct key *k = free_key(s, 0), *l = free_key(s, 0);

    if (k == NULL)
        return false;
    say_multi(s);
    say_some_read(s, true);
    say_next(s, k);
    if (l != NULL && l != k)
        say_next(s, l);
    say_read_of(s, k, true);
    say_next(s, k);
    say_exec(s, OP_MULTI);
    if (hot_random(s->hot, 2))
        say_read_of(s, k, false);
    return true;
}

bool say_some_write(struct session *s)
{
    static bool (*const op[])(struct session *) = {
        op_set,  op_set,   op_set_px, op_del,    op_mset,   op_rename, op_eval,
        op_hset, op_field, op_field,  op_behind, op_behind, op_multi,  op_pexpire};

    return op[hot_random(s->hot, sizeof op / sizeof op[0])](s);
}

/* ---- everything ---- */

static void say_flushdb(struct session *s)
{
    struct ask *a = ask_new(s, ASK_WRITE, OP_FLUSHDB);

    for (int i = 0; i < KEYS; i++)
        write_key(s, a, &s->hot->key[s->db * KEYS + i]);
    wire_say(&s->wire, "FLUSHDB", NULL);
}

static void say_swapdb(struct session *s)
{
    struct ask *a = ask_new(s, ASK_WRITE, OP_SWAPDB);

    for (int i = 0; i < KEYS; i++) {
        struct key *k = &s->hot->key[i], *l = &s->hot->key[KEYS + i];
        const struct version *of_k = key_version(k, k->newest), *of_l = key_version(l, l->newest);
        bool wild = k->unclear || l->unclear;
        struct version *v = write_key(s, a, k), *u = write_key(s, a, l);

        memcpy(v->value, of_l->value, sizeof v->value);
        memcpy(u->value, of_k->value, sizeof u->value);
        v->wild = u->wild = wild;
        v->unpushed = u->unpushed = true;
    }
    wire_say(&s->wire, "SWAPDB", "0", "1", NULL);
}

void say_big_write(struct session *s)
{
    if (s->hot->big_writes++ % 2 == 0)
        say_flushdb(s);
    else
        say_swapdb(s);
    if (hot_random(s->hot, 2))
        say_some_read(s, false);
}

/* ---- answers ---- */

void write_lost(struct session *s, const struct ask *a)
{
    for (uint32_t i = 0; i < a->keys; i++)
        key_unknown(a->key[i], a->at[i], s->hot->now_us);
    s->hot->unknown++;
}

void judge_write(struct session *s, const struct ask *a, const struct token *answer)
{
    if (answer->type == '-') {
        if ((token_begins(answer, "WRONGTYPE") || token_begins(answer, "ERR")) &&
            hot_fault(s->hot, FAULT_ODD, s, a))
            printf("      answered %.*s\n", (int)answer->n, answer->p);
        write_lost(s, a);
        return;
    }
    if (a->op == OP_PEXPIRE && answer->n != 1)
        hot_fault(s->hot, FAULT_ODD, s, a);
    for (uint32_t i = 0; i < a->keys; i++) {
        key_acked(a->key[i], a->at[i], s->hot->now_us);
        s->own[a->key[i]->number] = a->at[i];
    }
    s->hot->ops[a->op]++;
}
