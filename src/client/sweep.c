/* sweep.c - the keyspace as a tenant sees it: of its own keys alone.
 *
 *     KEYS DBSIZE RANDOMKEY    SCAN .. MATCH acme:*  SCAN ..  SCAN ..    on the shared link
 *     FLUSHDB                  SCAN ..  UNLINK ..  SCAN ..  UNLINK ..    on a lent link
 *     FLUSHALL                 SELECT 0  .. SELECT 1  ..                 likewise
 *
 * One slice after the other, so that nobody waits behind all of it; what the client says next waits
 * until it is done, for it must not be swept away. SCAN may name a key twice: it is counted once.
 *
 * Where larder cannot come in between (MULTI, WATCH, replies that are not wanted) a script does the
 * same at one go. */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "client/near_view.h"
#include "client/rules.h"
#include "client/tenants.h"
#include "resp/reply.h"
#include "resp/write.h"

#define SLICE_KEYS   "100"
#define CURSOR_CHARS 24u

/* ARGV[1] is hide_offset(). */
#define SCRIPT_DBSIZE HIDE_LUA "return #rest(redis.call('KEYS',ARGV[2]))"
#define SCRIPT_RANDOM                                                                              \
    HIDE_LUA                                                                                       \
    "local c='0' repeat local r=redis.call('SCAN',c,'MATCH',ARGV[2],'COUNT',1000) c=r[1] "         \
    "local l=rest(r[2]) if #l>0 then return l[math.random(#l)] end until c=='0' return false"
#define SCRIPT_FLUSH                                                                               \
    "for _,k in ipairs(redis.call('KEYS',ARGV[2])) do redis.call('UNLINK',k) end "                 \
    "return redis.status_reply('OK')"

struct sweep {
    struct asker asker;
    struct list waiters; /* the client's promise; empty: it has left */
    struct link *link;
    uint64_t link_number;
    struct buffer pattern, prefix;
    struct buffer found;   /* KEYS: each name behind its length; DBSIZE: their hashes */
    struct hash_seed seed; /* of these */
    uint16_t command;      /* enum command_id */
    uint32_t keys;         /* in `found` */
    int db;                /* FLUSHALL: the one being swept */
    bool resp3;            /* the client speaks it */
    bool around;           /* RANDOMKEY: it has begun again at the front */
    bool unlinks;          /* FLUSH..: what comes answers UNLINK */
    bool selects;          /* FLUSHALL: .. SELECT */
    char cursor[CURSOR_CHARS];
};

static const struct asker_ops sweep_ops;

static bool flushes(const struct sweep *s)
{
    return s->command == CMD_FLUSHDB || s->command == CMD_FLUSHALL;
}

/* ---- ends ---- */

static void sweep_free(struct sweep *s)
{
    buffer_done(&s->pattern);
    buffer_done(&s->prefix);
    buffer_done(&s->found);
    free(s);
}

static void sweep_end(struct sweep *s, struct slice answer)
{
    if (!list_empty(&s->waiters)) {
        struct held *h =
            CONTAINER_OF(CONTAINER_OF(s->waiters.next, struct waiter, node), struct held, waiter);
        struct client *c = h->client;

        if (flushes(s)) {
            clients_flush_prefix(c->all, buffer_slice(&s->prefix));
            if (client_lent(c) == s->link)
                borrow_return(c, LOAN_CLEAN);
        }
        client_keep_promise(h, answer);
    }
    sweep_free(s);
}

static void sweep_fail(struct sweep *s, const char *text)
{
    struct buffer error = {0};

    write_error(&error, "%s", text);
    sweep_end(s, buffer_slice(&error));
    buffer_done(&error);
}

/* ---- what was found ---- */

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static int by_bytes(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;

    return slice_order(*x, *y);
}

static void answer_count(struct sweep *s)
{
    uint64_t *v = must_alloc((s->keys + 1) * sizeof *v);
    struct buffer out = {0};
    int64_t n = 0;

    if (s->keys > 0)
        memcpy(v, buffer_head(&s->found), s->keys * sizeof *v);
    qsort(v, s->keys, sizeof *v, by_number);
    for (uint32_t i = 0; i < s->keys; i++)
        n += i == 0 || v[i] != v[i - 1];
    free(v);
    write_int(&out, n);
    sweep_end(s, buffer_slice(&out));
    buffer_done(&out);
}

static void answer_keys(struct sweep *s)
{
    struct slice *v = must_alloc((s->keys + 1) * sizeof *v);
    const char *p = buffer_head(&s->found);
    struct buffer out = {0};
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->keys; i++) {
        uint32_t length;

        memcpy(&length, p, sizeof length);
        v[i] = slice_of(p + sizeof length, length);
        p += sizeof length + length;
    }
    qsort(v, s->keys, sizeof *v, by_bytes);
    for (uint32_t i = 0; i < s->keys; i++) {
        if (n == 0 || !slice_eq(v[i], v[n - 1]))
            v[n++] = v[i];
    }
    write_array(&out, n);
    for (uint32_t i = 0; i < n; i++)
        write_bulk(&out, v[i]);
    free(v);
    sweep_end(s, buffer_slice(&out));
    buffer_done(&out);
}

/* Is the key the tenant's, and not one that larder keeps about its keys? */
static bool is_shown(const struct sweep *s, const struct rules *r, struct slice key)
{
    return slice_starts(key, buffer_slice(&s->prefix)) && (r == NULL || !hide_is_internal(r, key));
}

/* One of the slice, if there is any. */
static bool answer_random(struct sweep *s, const struct rules *rules, struct slice keys, int64_t n)
{
    struct slice all = keys;
    struct buffer out = {0};
    struct reply r;
    uint64_t shown = 0, pick;

    for (int64_t i = 0; i < n && reply_read(&keys, &r); i++)
        shown += is_shown(s, rules, r.text);
    if (shown == 0)
        return false;
    pick = hash_bytes(&s->seed, all.p, all.n) % shown + 1;
    while (pick > 0) {
        CHECK(reply_read(&all, &r));
        pick -= is_shown(s, rules, r.text);
    }
    write_bulk(&out,
               slice_of(r.text.p + buffer_len(&s->prefix), r.text.n - buffer_len(&s->prefix)));
    sweep_end(s, buffer_slice(&out));
    buffer_done(&out);
    return true;
}

static void note_key(struct sweep *s, struct slice key)
{
    uint32_t length;
    uint64_t hash;

    s->keys++;
    if (s->command == CMD_DBSIZE) {
        hash = hash_bytes(&s->seed, key.p, key.n);
        buffer_add(&s->found, &hash, sizeof hash);
        return;
    }
    key = slice_of(key.p + buffer_len(&s->prefix), key.n - buffer_len(&s->prefix));
    length = (uint32_t)key.n;
    buffer_add(&s->found, &length, sizeof length);
    buffer_add(&s->found, key.p, key.n);
}

/* ---- slices ---- */

static void ask(struct sweep *s, struct slice bytes)
{
    if (s->link->number != s->link_number)
        sweep_fail(s, "UPSTREAM the connection was lost");
    else
        link_ask(s->link, &s->asker, bytes, 1, true);
}

static void ask_slice(struct sweep *s)
{
    struct slice argv[] = {SLICE("SCAN"),  slice_str(s->cursor),
                           SLICE("MATCH"), buffer_slice(&s->pattern),
                           SLICE("COUNT"), SLICE(SLICE_KEYS)};
    struct buffer words = {0};

    s->unlinks = s->selects = false;
    write_request(&words, argv, ARRAY_LEN(argv));
    ask(s, buffer_slice(&words));
    buffer_done(&words);
}

static void ask_select(struct sweep *s)
{
    struct buffer words = {0};
    char number[16];

    s->selects = true;
    (void)snprintf(number, sizeof number, "%d", s->db);
    write_command(&words, "SELECT", number, NULL);
    ask(s, buffer_slice(&words));
    buffer_done(&words);
}

/* UNLINK of the slice's n keys: those that are the tenant's, which all are. */
static void ask_unlink(struct sweep *s, struct slice keys, int64_t n)
{
    struct buffer words = {0}, names = {0};
    uint64_t count = 0;
    struct reply r;

    for (int64_t i = 0; i < n && reply_read(&keys, &r); i++) {
        if (!slice_starts(r.text, buffer_slice(&s->prefix)))
            continue;
        write_bulk(&names, r.text);
        count++;
    }
    write_array(&words, count + 1);
    write_bulk(&words, SLICE("UNLINK"));
    buffer_add(&words, buffer_head(&names), buffer_len(&names));
    s->unlinks = true;
    ask(s, buffer_slice(&words));
    buffer_done(&words);
    buffer_done(&names);
}

/* All slices of the database are through. */
static void at_end(struct sweep *s)
{
    switch (s->command) {
    case CMD_KEYS:
        answer_keys(s);
        return;
    case CMD_DBSIZE:
        answer_count(s);
        return;
    case CMD_FLUSHALL:
        s->db++;
        ask_select(s);
        return;
    case CMD_RANDOMKEY:
        if (!s->around) {
            s->around = true;
            ask_slice(s);
            return;
        }
        sweep_end(s, s->resp3 ? SLICE("_\r\n") : SLICE("$-1\r\n"));
        return;
    default:
        sweep_end(s, SLICE("+OK\r\n"));
        return;
    }
}

static void next_slice(struct sweep *s)
{
    if (strcmp(s->cursor, "0") == 0)
        at_end(s);
    else
        ask_slice(s);
}

/* *2 cursor keys; false: that is not what came. */
static bool read_slice(struct sweep *s, struct slice *reply, int64_t *ret_n)
{
    struct reply f;

    if (!reply_read(reply, &f) || f.type != '*' || f.number != 2 || !reply_read(reply, &f) ||
        f.text.n >= CURSOR_CHARS)
        return false;
    memcpy(s->cursor, f.text.p, f.text.n);
    s->cursor[f.text.n] = 0;
    if (!reply_read(reply, &f) || f.type != '*')
        return false;
    *ret_n = f.number;
    return true;
}

static void take_slice(struct sweep *s, struct client *c, struct slice keys)
{
    struct reply r;
    int64_t n;

    if (!read_slice(s, &keys, &n)) {
        sweep_fail(s, "UPSTREAM sent what is no answer");
        return;
    }
    if (flushes(s) && n > 0) {
        ask_unlink(s, keys, n);
        return;
    }
    if (s->command == CMD_RANDOMKEY && answer_random(s, c->all->rules, keys, n))
        return;
    for (int64_t i = 0; s->command != CMD_RANDOMKEY && i < n && reply_read(&keys, &r); i++) {
        if (is_shown(s, c->all->rules, r.text))
            note_key(s, r.text);
    }
    if (buffer_len(&s->found) > c->all->settings->client_buffer_max) {
        sweep_fail(s, "ERR there are more keys than client_buffer_max has room for: use SCAN");
        return;
    }
    next_slice(s);
}

/* The last database is the one before the first that there is not. */
static void take_select(struct sweep *s, bool ok)
{
    if (!ok) {
        sweep_end(s, SLICE("+OK\r\n"));
        return;
    }
    s->link->db = s->db;
    memcpy(s->cursor, "0", 2);
    ask_slice(s);
}

static void on_replies(struct asker *a, struct slice bytes, uint32_t count)
{
    struct sweep *s = CONTAINER_OF(a, struct sweep, asker);
    struct held *h;

    CHECK(count == 1);
    if (list_empty(&s->waiters)) {
        sweep_free(s);
        return;
    }
    h = CONTAINER_OF(CONTAINER_OF(s->waiters.next, struct waiter, node), struct held, waiter);
    if (s->selects)
        take_select(s, bytes.p[0] != '-');
    else if (bytes.p[0] == '-')
        sweep_end(s, bytes);
    else if (s->unlinks)
        next_slice(s);
    else
        take_slice(s, h->client, bytes);
}

static void on_failed(struct asker *a, uint32_t count, enum link_failure why, bool begun)
{
    struct buffer text = {0};

    (void)count;
    (void)begun;
    buffer_printf(&text, "UPSTREAM %s", link_failure_sentence(why));
    buffer_add(&text, "", 1);
    sweep_fail(CONTAINER_OF(a, struct sweep, asker), buffer_head(&text));
    buffer_done(&text);
}

static const struct asker_ops sweep_ops = {on_replies, NULL, on_failed, NULL};

/* ---- begin ---- */

static enum next begin(struct client *c, const struct request *q, struct link *l)
{
    const struct namespace *ns = &c->tenant->ns;
    struct sweep *s = must_calloc(1, sizeof *s);
    uint64_t start;

    *s = (struct sweep){.asker = {&sweep_ops},
                        .link = l,
                        .link_number = l->number,
                        .command = q->command->id,
                        .resp3 = c->proto == 3,
                        .cursor = "0"};
    list_init(&s->waiters);
    hash_seed_init(&s->seed);
    buffer_add(&s->prefix, ns->prefix.p, ns->prefix.n);
    if (s->command == CMD_KEYS) {
        buffer_add(&s->pattern, q->argv[1].p, q->argv[1].n);
    } else {
        buffer_add(&s->pattern, ns->pattern.p, ns->pattern.n);
        buffer_add(&s->pattern, "*", 1);
    }
    list_push_back(&s->waiters, &client_promise(c)->waiter.node);
    (void)client_wait(c, WAIT_DRAIN);
    if (s->command == CMD_RANDOMKEY) { /* anywhere among them */
        start = hash_bytes(&s->seed, s, sizeof s->asker) & UINT32_MAX;
        (void)snprintf(s->cursor, sizeof s->cursor, "%llu", (unsigned long long)start);
    }
    if (flushes(s))
        clients_flush_prefix(c->all, ns->prefix);
    if (s->command == CMD_FLUSHALL)
        ask_select(s);
    else
        ask_slice(s);
    return NEXT;
}

static enum next ask_script(struct client *c, const struct request *q)
{
    const char *script = q->command->id == CMD_DBSIZE      ? SCRIPT_DBSIZE
                         : q->command->id == CMD_RANDOMKEY ? SCRIPT_RANDOM
                                                           : SCRIPT_FLUSH;
    const struct namespace *ns = &c->tenant->ns;
    const struct rules *rules = c->all->rules;
    char offset[16];
    struct request put = *q;
    struct buffer words = {0}, pattern = {0};
    enum next next;

    if (q->command->id == CMD_KEYS)
        return rules != NULL && hide_on(rules) ? hide_serve(c, q) : client_route_on(c, q);
    (void)snprintf(offset, sizeof offset, "%d", rules != NULL ? hide_offset(c) : HIDE_NOTHING);
    buffer_add(&pattern, ns->pattern.p, ns->pattern.n);
    buffer_add(&pattern, "*", 1);
    write_array(&words, 5);
    write_bulk(&words,
               (q->command->flags & CF_WRITE) != 0 ? SLICE("EVAL") : shape_read_only(c->all));
    write_bulk(&words, slice_str(script));
    write_bulk(&words, SLICE("0"));
    write_bulk(&words, slice_str(offset));
    write_bulk(&words, buffer_slice(&pattern));
    put.bytes = buffer_slice(&words);
    next = client_route_on(c, &put);
    buffer_done(&words);
    buffer_done(&pattern);
    return next;
}

static bool arguments_ok(const struct request *q)
{
    if (q->command->id != CMD_FLUSHDB && q->command->id != CMD_FLUSHALL)
        return true;
    return q->argc == 1 ||
           (q->argc == 2 && (option_is(q->argv[1], "SYNC") || option_is(q->argv[1], "ASYNC")));
}

enum next sweep_serve(struct client *c, const struct request *q)
{
    bool flush = q->command->id == CMD_FLUSHDB || q->command->id == CMD_FLUSHALL;
    enum next next = NEXT;
    struct link *l;

    if (!arguments_ok(q)) {
        struct request wrong = *q;

        wrong.put = NAMESPACE_SYNTAX;
        return tenant_refuse(c, &wrong);
    }
    if (c->mode != MODE_PLAIN || client_is_muted(c) ||
        (UNLIKELY(c->all->pause.on) && pause_effect(c, q) != PAUSE_NOTHING))
        return ask_script(c, q);
    if (!client_drained(c))
        return client_wait(c, WAIT_DRAIN);
    if (!flush) {
        l = client_link(c, &next);
        return l != NULL ? begin(c, q, l) : next;
    }
    next = borrow(c, LOAN_POOL, q->command->id == CMD_FLUSHDB ? c->db : -1);
    return client_lent(c) != NULL ? begin(c, q, client_lent(c)) : next;
}
