/* fence.c - what was loaded is stored only if nobody has written the key meanwhile.
 *
 *     LARDER GETLEASE k           nil, token    k is absent: larder:fence:k has the token, made by
 *                                               whoever asked first
 *     (the database is read)
 *     LARDER SETLEASE k token v   OK            the token is there still: SET, and the token goes
 *
 * Every write or DEL of k that goes through any larder removes larder:fence:k. Then SETLEASE
 * answers nil, and what was read before that write is not stored behind it (the leases of Nishtala
 * et al., Scaling Memcache at Facebook, NSDI 2013, 3.2.1). There one client is given the token and
 * the others are told to retry; here all who find nil are given the same one, and the first to
 * store uses it up. That only one loads is what stampede = wait is for.
 *
 * The token goes in the MULTI of the write. Where there can be none (see shape.c) it is removed
 * before the write as well as behind it, in the same bytes. What is removed before a DEL is all
 * that matters: who asks behind that reads the database as it is now. */
#include <stdio.h>
#include <stdlib.h>

#include "client/near.h"
#include "client/rules.h"
#include "resp/reply.h"
#include "resp/write.h"

#define FENCE_PREFIX "larder:fence:"

/* KEYS: the key, its fence; ARGV: a token if there is none, for so many ms. */
#define SCRIPT_GET                                                                                 \
    "local v=redis.call('GET',KEYS[1]) if v then return {v,false} end "                            \
    "local t=redis.call('GET',KEYS[2]) or ARGV[1] "                                                \
    "redis.call('SET',KEYS[2],t,'PX',ARGV[2]) return {false,t}"

/* KEYS: the key, its fence; ARGV: the token, then what SET is to be told behind the key. */
#define SCRIPT_SET                                                                                 \
    "if redis.call('GET',KEYS[2])~=ARGV[1] then return false end "                                 \
    "local r=redis.pcall('SET',KEYS[1],unpack(ARGV,2)) "                                           \
    "if r and not r.err then redis.call('DEL',KEYS[2]) end return r"

/* KEYS: fences in the database ARGV[1]. */
#define SCRIPT_VOID "redis.call('SELECT',ARGV[1]) return redis.call('DEL',unpack(KEYS))"

/* ---- tokens that are void ---- */

static bool is_fenced(const struct rules *r, struct slice key)
{
    const struct policy *p = policies_match(r->policies, key);

    return p != NULL && (p->rules & RULE_FENCE) != 0;
}

static void write_fence_key(struct buffer *out, const struct rules *r, struct slice key)
{
    shape_own_key(out, r->policies, SLICE(FENCE_PREFIX), key);
}

static void say_void(const struct rules *r, const struct request *q, const struct key_list *touched,
                     struct buffer *out, uint32_t n)
{
    struct slice db = shape_other_db(q);
    char count[16];

    (void)snprintf(count, sizeof count, "%u", n);
    write_array(out, (db.n > 0 ? 4 : 1) + (uint64_t)n);
    write_bulk(out, db.n > 0 ? SLICE("EVAL") : SLICE("DEL"));
    if (db.n > 0) {
        write_bulk(out, SLICE(SCRIPT_VOID));
        write_bulk(out, slice_str(count));
    }
    for (uint32_t i = 0; i < touched->n; i++) {
        if (is_fenced(r, q->argv[touched->v[i]]))
            write_fence_key(out, r, q->argv[touched->v[i]]);
    }
    if (db.n > 0)
        write_bulk(out, db);
}

/* Nothing comes in between the write and what is said about it. */
static bool is_atomic(const struct client *c, const struct request *q, const struct shape *s)
{
    if (c->more != NULL && c->more->in_multi)
        return true;
    return c->mode == MODE_PLAIN && q->command->route == ROUTE_SHARED && !s->loose;
}

void fence_void(struct client *c, const struct request *q, const struct key_list *touched,
                const struct expiry *x)
{
    struct rules *r = c->all->rules;
    struct shape *s = &r->shape;
    uint32_t n = 0;

    for (uint32_t i = 0; i < touched->n; i++)
        n += is_fenced(r, q->argv[touched->v[i]]);
    if (n == 0 || q->minds_fence)
        return;
    s->loose = shape_is_loose(q, x);
    if (!is_atomic(c, q, s)) {
        say_void(r, q, touched, &s->before, n);
        s->before_n++;
    }
    say_void(r, q, touched, &s->behind, n);
    s->behind_n++;
}

void fence_delete(const struct rules *r, struct slice key, struct buffer *out)
{
    bool fenced = r != NULL && is_fenced(r, key);

    write_array(out, fenced ? 3 : 2);
    write_bulk(out, SLICE("DEL"));
    write_bulk(out, key);
    if (fenced)
        write_fence_key(out, r, key);
}

/* ---- LARDER GETLEASE, SETLEASE ---- */

static bool refuse_unfenced(struct client *c, struct slice key)
{
    if (c->all->rules != NULL && is_fenced(c->all->rules, key))
        return false;
    write_error(client_answer(c), "ERR no policy of larder with fence = yes is for this key");
    return true;
}

static enum next ask(struct client *c, const struct request *q)
{
    return c->mode == MODE_PLAIN ? client_ask(c, q) : client_ask_lent(c, q);
}

static void say_get(struct rules *r, struct slice key, struct buffer *out)
{
    uint64_t n = r->drawn++;
    char token[17], ms[24];

    (void)snprintf(token, sizeof token, "%016llx",
                   (unsigned long long)hash_bytes(&r->seed, &n, sizeof n));
    (void)snprintf(ms, sizeof ms, "%llu",
                   (unsigned long long)policies_match(r->policies, key)->set->lease_ttl);
    write_array(out, 7);
    write_bulk(out, SLICE("EVAL"));
    write_bulk(out, SLICE(SCRIPT_GET));
    write_bulk(out, SLICE("2"));
    write_bulk(out, key);
    write_fence_key(out, r, key);
    write_bulk(out, slice_str(token));
    write_bulk(out, slice_str(ms));
}

enum next fence_get(struct client *c, const struct request *q)
{
    struct slice argv[2] = {SLICE("GET"), q->argv[2]};
    struct request get = {.command = command_row(CMD_GET), .argv = argv, .argc = 2}, put = get;
    struct buffer words = {0};
    enum next next;

    if (refuse_unfenced(c, argv[1]) || rules_refuse(c, &get))
        return NEXT;
    if (c->all->pause.on) /* it may make a token */
        return client_wait(c, WAIT_PAUSE);
    say_get(c->all->rules, argv[1], &words);
    put.bytes = buffer_slice(&words);
    next = ask(c, &put);
    buffer_done(&words);
    if (next == NEXT && c->all->rules->renewals != NULL)
        slide_look(c, &get);
    return next;
}

/* The words of a SET, as its policies put it, as those of the script. */
static void say_set(const struct rules *r, struct slice set, struct slice key, struct slice token,
                    struct buffer *out)
{
    struct reply head, word;

    CHECK(reply_read(&set, &head) && head.type == '*' && head.number >= 3);
    CHECK(reply_read(&set, &word) && reply_read(&set, &word)); /* SET and the key */
    write_array(out, (uint64_t)head.number + 4);
    write_bulk(out, SLICE("EVAL"));
    write_bulk(out, SLICE(SCRIPT_SET));
    write_bulk(out, SLICE("2"));
    write_bulk(out, key);
    write_fence_key(out, r, key);
    write_bulk(out, token);
    buffer_add(out, set.p, set.n);
}

static enum next store(struct client *c, struct request *set, struct slice token)
{
    uint32_t asked = c->asked, before = client_asked(c);
    struct buffer words = {0}, script = {0};
    enum next next = NEXT;
    struct request put;

    write_request(&words, set->argv, set->argc);
    set->bytes = buffer_slice(&words);
    if (rules_put(c, set, &put) != PUT_ANSWERED) {
        say_set(c->all->rules, put.bytes, set->argv[1], token, &script);
        put.bytes = buffer_slice(&script);
        next = ask(c, &put);
    }
    buffer_done(&words);
    buffer_done(&script);
    if (client_asked(c) == before)
        return next;
    rules_asked(c, set);
    if (c->all->near != NULL)
        writes_note(c, set, c->asked != asked ? c->asked : c->more->muted_asked, c->asked == asked);
    return next;
}

enum next fence_set(struct client *c, const struct request *q)
{
    struct request set = {
        .command = command_row(CMD_SET), .argc = q->argc - 2, .minds_fence = true};
    enum next next = NEXT;

    if (refuse_unfenced(c, q->argv[2]))
        return NEXT;
    set.argv = must_alloc(set.argc * sizeof *set.argv);
    set.argv[0] = SLICE("SET");
    set.argv[1] = q->argv[2];
    memcpy(set.argv + 2, q->argv + 4, (set.argc - 2) * sizeof *set.argv);
    if (command_expiry(set.command, set.argv, set.argc).get)
        write_error(client_answer(c), "ERR LARDER SETLEASE takes the options of SET, but not GET");
    else if (c->all->pause.on && pause_effect(c, &set) != PAUSE_NOTHING)
        next = client_wait(c, WAIT_PAUSE);
    else
        next = store(c, &set, q->argv[3]);
    free(set.argv);
    return next;
}
