/* near_gets.c - the shortest way there is: GETs that are hits, one behind the other.
 *
 * Nearly every request that a near cache answers is a GET worded in the same few bytes, of a key
 * that is there. These are recognised without reading them as RESP, looking their command up, or
 * deciding anything about the session more than once. Whatever is not so simple is left to the way
 * that serve.c tells, which would have answered these the same. */
#include "base/hash.h"
#include "client/loads.h"
#include "client/near.h"
#include "client/quota.h"
#include "client/turns.h"
#include "net/loop.h"

static inline enum look look(struct client *c, struct slice key, uint64_t now_ms, struct entry *ret)
{
    struct question q = {.key = key, .ask = {"", 0}, .scope = c->scope};

    return cache_look(c->all->near->cache, &q, now_ms, false, ret);
}

NOINLINE static enum look look_tenants(struct client *c, struct slice name, uint64_t now_ms,
                                       struct entry *ret)
{
    struct cache *cache = c->all->near->cache;
    const struct shelf *shelf = cache_shelf(cache);
    struct question q = {.key = tenant_key(c, name), .ask = {"", 0}, .scope = c->scope};
    struct probe probe = {.hash = hash_two(shelf_seed(shelf), c->tenant->ns.prefix, name)};

    shelf_fetch(shelf, &probe);
    return cache_look_probed(cache, &q, &probe, now_ms, ret);
}

/* A GET of a key that is on the shelf, with nothing to be measured or compared. The client calls it
 * name: which, to who is nobody's, may begin with a tenant's prefix. */
static bool plain_hit(struct client *c, struct slice name, uint64_t now_ms, struct entry *ret)
{
    struct near *near = c->all->near;
    bool full = LIKELY(c->tenant == NULL);
    const struct policy *policy =
        full ? policies_match(near->policies, name) : policies_match_name(near->policies, name);
    struct near_counters *count;

    if (policy == NULL || !policy->plain || near->sample == 0)
        return false;
    if ((full ? look(c, name, now_ms, ret) : look_tenants(c, name, now_ms, ret)) != LOOK_FRESH) {
        near->missed = name.p;
        return false;
    }
    if (UNLIKELY(policy->ahead) && loads_soon(near, policy, ret))
        return false;
    near->sample--;
    count = &near_stats_of(near, policy)->count;
    if (LIKELY(ret->kind == ENTRY_VALUE)) {
        count->hits++;
    } else {
        count->negative++;
        ret->bytes = near_null(c);
    }
    return true;
}

/* Long values are on their way from memory while the system call that will copy them begins. */
static void fetch(struct slice bytes)
{
    for (size_t i = 0; i < bytes.n; i += 64)
        __builtin_prefetch(bytes.p + i);
}

/* The only request there is, and nobody in front of its answer: no way through `out`. */
static void give_alone(struct client *c, const struct entry *e)
{
    c->all->count.commands++;
    c->all->count.commands_local++;
    c->command = CMD_GET;
    fetch(e->bytes);
    client_put(c, e->bytes); /* straight from the shelf */
}

size_t near_gets(struct client *c, const char *p, size_t n)
{
    struct clients *all = c->all;
    uint64_t now_ms = loop_now_ms(all->loop), hits = 0;
    /* Who asks for more than that is looked at: does it read its replies? */
    uint64_t most = all->settings->client_buffer_max / 4;
    struct buffer *out = NULL;
    size_t at = 0, length, before = 0;
    bool block = false;
    struct slice key;
    struct entry e;

    all->near->missed = NULL;
    if (c->scope == 0 || all->pause.on || *all->near->check_due > 0 || !near_allowed(c, 0))
        return 0;
    while (request_is_get(p + at, n - at, &key, &length) &&
           (LIKELY(c->tenant == NULL) || quota_allows(c, hits)) && plain_hit(c, key, now_ms, &e)) {
        at += length;
        if (UNLIKELY(e.block != NULL)) {
            client_spend(all, 1, e.bytes.n);
            client_answer_block(c, e.block);
            block = true;
            all->count.commands++;
            c->command = CMD_GET;
            break;
        }
        if (at == n && hits == 0 && client_idle_output(c)) {
            give_alone(c, &e);
            break;
        }
        if (out == NULL) {
            out = client_answer(c);
            before = buffer_len(out);
            if (most > before + TURN_UNITS * 1024u)
                most = before + TURN_UNITS * 1024u;
        }
        buffer_add(out, e.bytes.p, e.bytes.n);
        hits++;
        if (hits == all->turn_left || buffer_len(out) > most)
            break;
    }
    if (UNLIKELY(c->tenant != NULL)) {
        quota_take(c, hits + (block || (hits == 0 && at > 0)));
        all->near->missed = NULL; /* what will be put there may be another key */
    }
    if (hits == 0)
        return at;
    client_spend(all, hits, buffer_len(out) - before);
    all->count.commands += hits;
    all->count.commands_local += hits - 1; /* client_answer() has counted one */
    c->command = CMD_GET;
    return at;
}
