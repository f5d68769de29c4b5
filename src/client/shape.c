/* shape.c - how a write is put so that its keys get their expiry with it.
 *
 *     SET k v                 SET k v PX 300000
 *     SETEX k 86400 v         PSETEX k 3600000 v          cut to max_ttl
 *     HSET k f v              MULTI                       on one link, in the same bytes: nobody
 *                             HSET k f v                  comes in between, and no crash leaves a
 *                             PEXPIRE k 300000 NX         key without its expiry
 *                             EXEC                        -> the reply to HSET is what EXEC says of
 * it
 *
 * Redis takes nothing into a MULTI while it is out of memory. So what makes no key, and would be
 * executed even then (EXPIRE, RENAME, a script), goes without one, the words about it right behind.
 *
 * Within a MULTI of the client's the words about it are queued with it, and cut out of EXEC's reply
 * again. Where there can be no MULTI (under WATCH, which EXEC would end; a command that blocks)
 * they follow right behind it.
 *
 * One script says all that PEXPIRE cannot: what NX, GT and LT mean before Redis 7, of keys in
 * another database (COPY .. DB), and the cap of `absolute`. That lives in a key of its own, which
 * expires with the key it is about. A key that is not there has no cap: so what is left of one is
 * removed before a write. */
#include <stdio.h>
#include <stdlib.h>

#include "client/rules.h"
#include "net/loop.h"
#include "resp/write.h"

#define VERSION_7 70000u

#define DEADLINE_PREFIX "larder:deadline:"

/* KEYS: the key, [its cap]; ARGV: ms given if it has no expiry, at least, at most, cap; 0: none.
 * Answers the TTL. */
#define SCRIPT_SETTLE                                                                              \
    "local p=redis.call('PTTL',KEYS[1]) if p==-2 then return p end "                               \
    "local g,s,m,a=tonumber(ARGV[1]),tonumber(ARGV[2]),tonumber(ARGV[3]),tonumber(ARGV[4]) "       \
    "local w=p if p==-1 and g>0 then w=g end "                                                     \
    "if w>=0 and s>w then w=s end "                                                                \
    "if m>0 and (w<0 or w>m) then w=m end "                                                        \
    "local d if a>0 then local t=redis.call('TIME') t=t[1]*1000+math.floor(t[2]/1000) "            \
    "d=tonumber(redis.call('GET',KEYS[2]) or t+a) local l=d-t "                                    \
    "if l<=0 then redis.call('DEL',KEYS[1],KEYS[2]) return -2 end "                                \
    "if w<0 or w>l then w=l end end "                                                              \
    "if w~=p then redis.call('PEXPIRE',KEYS[1],string.format('%.0f',w)) end "                      \
    "if d then redis.call('SET',KEYS[2],string.format('%.0f',d),'PX',string.format('%.0f',w)) "    \
    "end return w"

/* KEYS: the key, [its cap]; ARGV: what is promised, enum ttl_word. */
#define SCRIPT_TTL                                                                                 \
    "local p=redis.call('PTTL',KEYS[1]) if p<0 then return p end "                                 \
    "local t=redis.call('TIME') t=t[1]*1000+math.floor(t[2]/1000) "                                \
    "local w,d=tonumber(ARGV[1]),KEYS[2] and redis.call('GET',KEYS[2]) "                           \
    "if d and w>d-t then w=d-t end if w>p then p=w end "                                           \
    "local word=tonumber(ARGV[2]) if word>=2 then p=p+t end "                                      \
    "if word==0 then p=math.floor((p+500)/1000) elseif word==2 then p=math.floor(p/1000) end "     \
    "return p"

/* KEYS: the key, its cap. */
#define SCRIPT_BEGIN "if redis.call('EXISTS',KEYS[1])==0 then redis.call('DEL',KEYS[2]) end"

struct terms {
    uint64_t given, least, most, cap;
    struct slice db; /* the key is in another, see shape_other_db() */
};

static bool needs_script(const struct clients *all, const struct policy *p)
{
    return (p->rules & RULE_ABSOLUTE) != 0 || pool_server_version(all->pool) < VERSION_7;
}

static struct slice number(uint64_t n, char *text, size_t size)
{
    (void)snprintf(text, size, "%llu", (unsigned long long)n);
    return slice_str(text);
}

/* ---- words ---- */

static void write_pexpire(struct buffer *out, struct slice key, uint64_t ms, struct slice when)
{
    char text[24];
    struct slice argv[4] = {SLICE("PEXPIRE"), key, number(ms, text, sizeof text), when};

    write_request(out, argv, 4);
}

static void say_pexpire(struct shape *s, struct slice key, uint64_t ms, struct slice when)
{
    if (ms == 0)
        return;
    write_pexpire(&s->behind, key, ms, when);
    s->behind_n++;
}

void shape_own_key(struct buffer *out, const struct policies *p, struct slice kind,
                   struct slice key)
{
    size_t n = policies_owner(p, key);

    buffer_printf(out, "$%zu\r\n", kind.n + key.n);
    buffer_add(out, key.p, n);
    buffer_add(out, kind.p, kind.n);
    buffer_add(out, key.p + n, key.n - n);
    buffer_add(out, "\r\n", 2);
}

static void write_deadline_key(struct buffer *out, const struct rules *r, struct slice key)
{
    shape_own_key(out, r->policies, SLICE(DEADLINE_PREFIX), key);
}

static void say_settle(const struct rules *r, struct slice key, const struct terms *t,
                       struct buffer *out)
{
    uint64_t values[4] = {t->given, t->least, t->most, t->cap};
    char text[24];

    write_array(out, (t->cap > 0 ? 5 : 4) + ARRAY_LEN(values) + (t->db.n > 0));
    write_bulk(out, SLICE("EVAL"));
    write_bulk(out, t->db.n > 0 ? SLICE("redis.call('SELECT',ARGV[5]) " SCRIPT_SETTLE)
                                : SLICE(SCRIPT_SETTLE));
    write_bulk(out, t->cap > 0 ? SLICE("2") : SLICE("1"));
    write_bulk(out, key);
    if (t->cap > 0)
        write_deadline_key(out, r, key);
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        write_bulk(out, number(values[i], text, sizeof text));
    if (t->db.n > 0)
        write_bulk(out, t->db);
}

static void say_begin(const struct rules *r, struct slice key, struct slice db, struct buffer *out)
{
    write_array(out, db.n > 0 ? 6 : 5);
    write_bulk(out, SLICE("EVAL"));
    write_bulk(out, db.n > 0 ? SLICE("redis.call('SELECT',ARGV[1]) " SCRIPT_BEGIN)
                             : SLICE(SCRIPT_BEGIN));
    write_bulk(out, SLICE("2"));
    write_bulk(out, key);
    write_deadline_key(out, r, key);
    if (db.n > 0)
        write_bulk(out, db);
}

uint32_t shape_renewal(const struct clients *all, const struct policy *p, struct slice key,
                       uint64_t left_ms, struct buffer *out)
{
    struct terms t = {.least = left_ms, .cap = p->set->absolute};
    struct slice pttl[2] = {SLICE("PTTL"), key};

    if (needs_script(all, p)) {
        say_settle(all->rules, key, &t, out);
        return 1;
    }
    write_pexpire(out, key, left_ms, SLICE("GT"));
    write_request(out, pttl, 2);
    return 2;
}

struct slice shape_read_only(const struct clients *all)
{
    return pool_server_version(all->pool) < VERSION_7 ? SLICE("EVAL") : SLICE("EVAL_RO");
}

void shape_ttl(const struct clients *all, struct slice key, uint64_t left_ms, enum ttl_word word,
               struct buffer *out)
{
    const struct policy *p = policies_match(all->rules->policies, key);
    bool capped = p != NULL && (p->rules & RULE_ABSOLUTE) != 0;
    char text[24];

    write_array(out, capped ? 7 : 6);
    write_bulk(out, shape_read_only(all));
    write_bulk(out, SLICE(SCRIPT_TTL));
    write_bulk(out, capped ? SLICE("2") : SLICE("1"));
    write_bulk(out, key);
    if (capped)
        write_deadline_key(out, all->rules, key);
    write_bulk(out, number(left_ms, text, sizeof text));
    write_bulk(out, number(word, text, sizeof text));
}

/* ---- one write ---- */

/* ttl, less a part of its jitter. */
static uint64_t draw(struct rules *r, const struct policy *p)
{
    uint64_t jitter = p->set->ttl > 0 ? p->set->ttl_jitter : 0, n = r->drawn++;

    if (jitter == 0)
        return p->given_ms;
    return p->given_ms - hash_bytes(&r->seed, &n, sizeof n) % (jitter + 1);
}

/* The request with PX and the TTL behind it. */
static void append_px(struct shape *s, const struct request *q, uint64_t ms)
{
    char text[24];

    write_array(&s->words, (uint64_t)q->argc + 2);
    for (uint32_t i = 0; i < q->argc; i++)
        write_bulk(&s->words, q->argv[i]);
    write_bulk(&s->words, SLICE("PX"));
    write_bulk(&s->words, number(ms, text, sizeof text));
}

/* The request with another TTL in place of its own. */
static void cut_down(struct shape *s, const struct request *q, const struct expiry *x, uint64_t ms)
{
    char text[24];

    write_array(&s->words, q->argc);
    for (uint32_t i = 0; i < q->argc; i++) {
        struct slice word = q->argv[i];

        if (i == x->number)
            word = number(ms, text, sizeof text);
        else if (i == x->word)
            word = expiry_word_ms(word);
        write_bulk(&s->words, word);
    }
}

struct slice shape_other_db(const struct request *q)
{
    struct slice db = slice_of("", 0);

    if (q->command->id != CMD_COPY)
        return db;
    for (uint32_t i = 3; i + 1 < q->argc; i++) {
        if (option_is(q->argv[i], "DB"))
            db = q->argv[++i];
    }
    return db;
}

/* Its key may come with an expiry from elsewhere, that the request does not tell. */
static bool brings_expiry(const struct request *q, const struct expiry *x)
{
    switch (q->command->id) {
    case CMD_COPY:
    case CMD_RENAME:
    case CMD_RENAMENX:
    case CMD_EVAL:
    case CMD_EVALSHA:
    case CMD_FCALL:
    case CMD_MSETEX:
        return true;
    default:
        return x->kind == EXPIRY_AT || x->kind == EXPIRY_UNCLEAR;
    }
}

static bool is_too_long(const struct expiry *x, uint64_t most)
{
    uint64_t unit = x->seconds ? 1000 : 1;

    return most > 0 && x->kind == EXPIRY_RELATIVE && x->value > 0 &&
           (uint64_t)x->value > most / unit && (uint64_t)x->value * unit > most;
}

/* What is said behind the request. */
static struct terms terms_of(struct rules *r, const struct request *q, const struct policy *p,
                             const struct expiry *x)
{
    struct terms t = {.cap = p->set->absolute, .db = shape_other_db(q)};
    bool creates = (q->command->flags & CF_CREATES) != 0;

    switch ((enum expiry_kind)x->kind) {
    case EXPIRY_UNSAID:
    case EXPIRY_NONE:
    case EXPIRY_KEEP:
    case EXPIRY_UNCLEAR:
        t.given = creates ? draw(r, p) : 0;
        t.least = creates ? p->set->sliding : 0;
        break;
    case EXPIRY_RELATIVE:
    case EXPIRY_AT:
    case EXPIRY_PERSIST:
        break;
    }
    if (brings_expiry(q, x))
        t.most = p->set->max_ttl;
    return t;
}

static void say_behind(struct rules *r, struct slice key, const struct policy *p,
                       const struct terms *t)
{
    struct shape *s = &r->shape;

    if (t->given + t->least + t->most + t->cap == 0)
        return;
    if (t->db.n > 0 || needs_script(r->all, p)) {
        say_settle(r, key, t, &s->behind);
        s->behind_n++;
        return;
    }
    say_pexpire(s, key, t->given, SLICE("NX"));
    say_pexpire(s, key, t->least, SLICE("GT"));
    say_pexpire(s, key, t->most, SLICE("LT"));
}

void shape_begin(struct shape *s)
{
    buffer_take_keep(&s->words, buffer_len(&s->words), SHAPE_KEEP_BYTES);
    buffer_take_keep(&s->before, buffer_len(&s->before), SHAPE_KEEP_BYTES);
    buffer_take_keep(&s->behind, buffer_len(&s->behind), SHAPE_KEEP_BYTES);
    s->before_n = s->behind_n = 0;
    s->loose = false;
}

void shape_free(struct shape *s)
{
    if (s == NULL)
        return;
    buffer_done(&s->words);
    buffer_done(&s->before);
    buffer_done(&s->behind);
    free(s);
}

struct shape *shape_take(struct shape *s)
{
    struct shape *taken = must_alloc(sizeof *taken);

    *taken = *s;
    *s = (struct shape){0};
    return taken;
}

/* Makes no key itself, or (a script) knows what expiry its keys need. */
bool shape_is_loose(const struct request *q, const struct expiry *x)
{
    bool creates = (q->command->flags & CF_CREATES) != 0;

    switch (q->command->id) {
    case CMD_EVAL:
    case CMD_EVALSHA:
    case CMD_FCALL:
    case CMD_RENAME:
    case CMD_RENAMENX:
        return true;
    default:
        return !creates && x->kind != EXPIRY_PERSIST;
    }
}

void shape_key(struct rules *r, const struct request *q, struct slice key, const struct policy *p,
               const struct expiry *x)
{
    struct shape *s = &r->shape;
    struct terms t = terms_of(r, q, p, x);

    /* One of several keys' is cut behind it, each key's by its own policy. */
    if (is_too_long(x, p->set->max_ttl) && q->command->id != CMD_MSETEX) {
        cut_down(s, q, x, p->set->max_ttl);
        r->count.expiries_cut++;
    }
    r->count.expiries_given += t.given > 0;
    if (x->kind == EXPIRY_NONE && q->command->id == CMD_SET) {
        if (t.given > 0)
            append_px(s, q, t.given);
        t = (struct terms){.cap = t.cap};
    }
    if (t.cap > 0 && (q->command->flags & CF_CREATES) != 0) {
        say_begin(r, key, t.db, &s->before);
        s->before_n++;
    }
    say_behind(r, key, p, &t);
    s->loose = shape_is_loose(q, x);
}

/* ---- asking ---- */

static void follow(struct client *c, struct link *l, const struct buffer *words, uint32_t n,
                   enum exchange_kind kind)
{
    if (n > 0)
        exchange_follow(c, l, buffer_slice(words), n, kind);
}

void shape_open(struct client *c, struct link *l, const struct shape *s)
{
    exchange_follow(c, l, SLICE("*1\r\n$5\r\nMULTI\r\n"), 1, EX_FOLLOW);
    follow(c, l, &s->before, s->before_n, EX_FOLLOW);
}

void shape_close(struct client *c, struct link *l, const struct shape *s)
{
    follow(c, l, &s->behind, s->behind_n, EX_FOLLOW);
    exchange_exec(c, l, (struct wrapped){s->before_n, s->before_n + 1 + s->behind_n});
}

void shape_ask(struct client *c, struct link *l, const struct request *q)
{
    if (q->shape->loose) {
        follow(c, l, &q->shape->before, q->shape->before_n, EX_DROP);
        exchange_ask(c, l, q->bytes, EX_PASS, 0);
        follow(c, l, &q->shape->behind, q->shape->behind_n, EX_DROP);
        return;
    }
    shape_open(c, l, q->shape);
    exchange_ask(c, l, q->bytes, EX_QUEUED, 0);
    shape_close(c, l, q->shape);
}

/* Those n that the transaction is about to queue are not the client's. */
static void note_cut(struct session *m, uint32_t n)
{
    struct cuts *cuts = &m->cuts;

    if (!m->in_multi || n == 0)
        return;
    if (cuts->n + n > cuts->cap) {
        cuts->cap = (cuts->n + n) * 2;
        cuts->v = must_realloc(cuts->v, cuts->cap * sizeof *cuts->v);
    }
    for (uint32_t i = 0; i < n; i++)
        cuts->v[cuts->n++] = m->tx_sent++;
}

void shape_before(struct client *c, struct link *l, const struct shape *s)
{
    note_cut(c->more, s->before_n);
    follow(c, l, &s->before, s->before_n, EX_DROP);
    c->more->tx_sent += c->more->in_multi;
}

void shape_behind(struct client *c, struct link *l, const struct shape *s, enum exchange_kind kind)
{
    note_cut(c->more, s->behind_n);
    follow(c, l, &s->behind, s->behind_n, kind);
}

void shape_ask_lent(struct client *c, const struct request *q, bool lent)
{
    struct link *l = client_lent(c);

    shape_before(c, l, q->shape);
    exchange_ask(c, l, q->bytes, EX_PASS, 0);
    shape_behind(c, l, q->shape, lent ? EX_DROP_LAST : EX_DROP);
}
