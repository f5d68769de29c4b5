/* hide.c - keys of larder's own (larder:deadline:..), which no client sees.
 *
 * Those about a tenant's keys stand behind its prefix: acme:larder:deadline:.. Who sees all
 * tenants' keys is not shown what looks like one, whatever stands before it, for a script cannot be
 * told all prefixes.
 *
 *     KEYS SCAN RANDOMKEY     a script does the same upstream, and leaves them out
 *     DBSIZE                  DBSIZE, less what SCAN counts of them, in slices
 *
 * Commands that name one are refused (rules.c). */
#include <stdio.h>
#include <stdlib.h>

#include "client/near.h"
#include "client/rules.h"
#include "client/tenants.h"
#include "resp/reply.h"
#include "resp/write.h"

#define SCRIPT_KEYS                                                                                \
    HIDE_LUA "local r=redis.pcall('KEYS',ARGV[2]) if r.err then return r end return rest(r)"
#define SCRIPT_SCAN                                                                                \
    HIDE_LUA                                                                                       \
    "local r=redis.pcall('SCAN',unpack(ARGV,2)) if r.err then return r end "                       \
    "return {r[1],rest(r[2])}"
/* What is drawn again and again is larder's own: then one that is not is looked for. */
#define SCRIPT_RANDOM                                                                              \
    HIDE_LUA                                                                                       \
    "for i=1,100 do local k=redis.call('RANDOMKEY') if not k or not ours(k) then "                 \
    "return k end end "                                                                            \
    "local c='0' repeat local r=redis.call('SCAN',c,'COUNT',1000) c=r[1] "                         \
    "local l=rest(r[2]) if #l>0 then return l[math.random(#l)] end until c=='0' "                  \
    "return false"
#define SCRIPT_DBSIZE                                                                              \
    HIDE_LUA                                                                                       \
    "local s,c=redis.call('DBSIZE'),'0' repeat "                                                   \
    "local r=redis.call('SCAN',c,'MATCH','*larder:*','COUNT',10000) c=r[1] "                       \
    "for _,k in ipairs(r[2]) do if ours(k) then s=s-1 end end until c=='0' return s"

#define SLICE_COUNT "1000"

/* A DBSIZE that is being counted. */
struct census {
    struct asker asker;
    struct list waiters; /* the client's promise; empty: it has left */
    struct link *link;
    uint64_t link_number;
    int64_t size; /* -1: not known yet */
};

static const struct asker_ops census_ops;

int32_t hide_offset(const struct client *c)
{
    if (!hide_on(c->all->rules))
        return HIDE_NOTHING;
    if (c->tenant != NULL)
        return (int32_t)c->tenant->ns.prefix.n;
    return c->all->tenants != NULL && c->all->tenants->n > 0 ? -1 : 0;
}

/* As ours() of HIDE_LUA. */
static bool is_hidden(const struct client *c, struct slice key)
{
    static const char *const kinds[] = {"larder:deadline:", LEASE_PREFIX, "larder:fence:"};

    if (hide_offset(c) >= 0)
        return hide_is_internal(c->all->rules, key);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (memmem(key.p, key.n, kinds[i], strlen(kinds[i])) != NULL)
            return true;
    }
    return false;
}

/* q as a script on no keys, with its arguments. */
static const char *script_of(const struct request *q)
{
    switch (q->command->id) {
    case CMD_KEYS:
        return SCRIPT_KEYS;
    case CMD_SCAN:
        return SCRIPT_SCAN;
    case CMD_RANDOMKEY:
        return SCRIPT_RANDOM;
    default:
        return SCRIPT_DBSIZE;
    }
}

static enum next ask_script(struct client *c, const struct request *q)
{
    struct buffer *out = &c->all->rules->shape.words;
    struct request put = *q;
    char offset[16];

    shape_begin(&c->all->rules->shape);
    (void)snprintf(offset, sizeof offset, "%d", hide_offset(c));
    write_array(out, 3 + (uint64_t)q->argc);
    write_bulk(out, shape_read_only(c->all));
    write_bulk(out, slice_str(script_of(q)));
    write_bulk(out, SLICE("0"));
    write_bulk(out, slice_str(offset));
    for (uint32_t i = 1; i < q->argc; i++)
        write_bulk(out, q->argv[i]);
    put.bytes = buffer_slice(out);
    return client_route_on(c, &put);
}

/* ---- DBSIZE ---- */

static void census_end(struct census *n, struct slice answer)
{
    if (!list_empty(&n->waiters))
        client_keep_promise(first_waiting(&n->waiters), answer);
    free(n);
}

static void census_fail(struct census *n, enum link_failure why)
{
    struct buffer text = {0};

    write_error(&text, "UPSTREAM %s", link_failure_sentence(why));
    census_end(n, buffer_slice(&text));
    buffer_done(&text);
}

static void ask_slice(struct census *n, const char *cursor)
{
    struct buffer words = {0};

    if (n->link->number != n->link_number) {
        census_fail(n, LINK_LOST);
        return;
    }
    write_command(&words, "SCAN", cursor, "MATCH", "*larder:*", "COUNT", SLICE_COUNT, NULL);
    link_ask(n->link, &n->asker, buffer_slice(&words), 1, true);
    buffer_done(&words);
}

/* *2 cursor keys: how many are larder's own; false: that is not what came. */
static bool count_slice(const struct client *c, struct slice reply, char *cursor, size_t size,
                        int64_t *ret_ours)
{
    struct reply f;

    *ret_ours = 0;
    if (!reply_read(&reply, &f) || f.type != '*' || f.number != 2 || !reply_read(&reply, &f) ||
        f.text.n >= size)
        return false;
    memcpy(cursor, f.text.p, f.text.n);
    cursor[f.text.n] = 0;
    if (!reply_read(&reply, &f))
        return false;
    while (reply.n > 0 && reply_read(&reply, &f))
        *ret_ours += is_hidden(c, f.text);
    return true;
}

static void on_replies(struct asker *a, struct slice bytes, uint32_t count)
{
    struct census *n = CONTAINER_OF(a, struct census, asker);
    struct client *c = list_empty(&n->waiters) ? NULL : first_waiting(&n->waiters)->client;
    char cursor[24] = "0", text[32];
    struct slice rest = bytes;
    struct reply r;
    int64_t ours;

    CHECK(count == 1);
    if (c == NULL || bytes.p[0] == '-') {
        census_end(n, bytes);
        return;
    }
    if (n->size < 0) {
        n->size = reply_read(&rest, &r) && r.type == ':' ? r.number : 0;
        ask_slice(n, cursor);
        return;
    }
    if (!count_slice(c, bytes, cursor, sizeof cursor, &ours)) {
        census_fail(n, LINK_GARBLED);
        return;
    }
    n->size -= ours;
    if (strcmp(cursor, "0") != 0) {
        ask_slice(n, cursor);
        return;
    }
    (void)snprintf(text, sizeof text, ":%lld\r\n", (long long)(n->size > 0 ? n->size : 0));
    census_end(n, slice_str(text));
}

static void on_failed(struct asker *a, uint32_t count, enum link_failure why, bool begun)
{
    (void)count;
    (void)begun;
    census_fail(CONTAINER_OF(a, struct census, asker), why);
}

static const struct asker_ops census_ops = {on_replies, NULL, on_failed, NULL};

static enum next count_keys(struct client *c, const struct request *q)
{
    enum next next = NEXT;
    struct link *l = client_link(c, &next);
    struct census *n;

    if (l == NULL)
        return next;
    n = must_alloc(sizeof *n);
    *n = (struct census){.asker = {&census_ops}, .link = l, .link_number = l->number, .size = -1};
    list_init(&n->waiters);
    list_push_back(&n->waiters, &client_promise(c)->waiter.node);
    link_ask(l, &n->asker, q->bytes, 1, true);
    return NEXT;
}

enum next hide_serve(struct client *c, const struct request *q)
{
    if (!command_arity_ok(q->command, q->argc))
        return client_route_on(c, q);
    if (q->command->id == CMD_DBSIZE && c->mode == MODE_PLAIN && !client_is_muted(c))
        return count_keys(c, q);
    return ask_script(c, q);
}
