/* near_cache.c - see near_cache.h. Nothing of it is made before a policy keeps something, so that a
 * plain proxy pays for none of it; what is made then stays. */
#include "client/near_cache.h"

#include <stdlib.h>

#include "cache/cache.h"
#include "client/clients.h"
#include "client/leases.h"
#include "client/outage.h"
#include "config/settings.h"
#include "errands/self_check.h"
#include "net/loop.h"
#include "policy/policies.h"
#include "upstream/invalidation.h"

struct near_cache {
    struct loop *loop;
    struct pool *pool;
    struct clients *clients;
    struct policies *policies;
    struct cache *cache;
    struct invalidation *invalidation;
    struct self_check *check;
};

/* ---- what the invalidation link says ---- */

static void on_key(void *context, struct slice key)
{
    struct near_cache *n = context;

    clients_key_changed(n->clients, key);
}

static void on_flush(void *context)
{
    struct near_cache *n = context;

    clients_all_changed(n->clients);
}

static void on_armed(void *context)
{
    struct near_cache *n = context;

    clients_upstream_anew(n->clients);
    cache_armed(n->cache);
}

static void on_alone(void *context)
{
    struct near_cache *n = context;

    clients_upstream_anew(n->clients);
    cache_without_link(n->cache);
}

static void on_lost(void *context)
{
    struct near_cache *n = context;

    cache_lost(n->cache);
    clients_pushes_lost(n->clients);
    self_check_lost(n->check);
}

static void on_proven(void *context, uint64_t asked_ms)
{
    struct near_cache *n = context;

    cache_proven(n->cache, asked_ms);
    self_check_proven(n->check, asked_ms);
}

/* ---- life ---- */

static bool on_beat(void *context)
{
    struct near_cache *n = context;

    return n->cache != NULL && cache_tidy(n->cache, loop_now_ms(n->loop));
}

struct near_cache *near_cache_new(struct loop *loop, struct pool *pool, struct clients *clients)
{
    struct near_cache *n = must_calloc(1, sizeof *n);

    n->loop = loop;
    n->pool = pool;
    n->clients = clients;
    loop_add_beat(loop, on_beat, n);
    return n;
}

static struct invalidation_settings coherence_of(const struct cache_settings *set)
{
    static const enum coherence_wish wishes[] = {
        [SET_COHERENCE_AUTO] = COHERENCE_WISH_AUTO,
        [SET_COHERENCE_BROADCAST] = COHERENCE_WISH_BROADCAST,
        [SET_COHERENCE_TTL] = COHERENCE_WISH_TTL,
    };

    return (struct invalidation_settings){wishes[set->coherence], set->coherence_timeout};
}

static void make(struct near_cache *n, const struct cache_settings *set)
{
    static const struct invalidation_ops ops = {.keys = on_key,
                                                .flush = on_flush,
                                                .armed = on_armed,
                                                .alone = on_alone,
                                                .lost = on_lost,
                                                .proven = on_proven};
    struct invalidation_settings coherence = coherence_of(set);

    n->cache = cache_new(set->max_memory, set->coherence_timeout);
    n->check = self_check_new(n->loop, n->cache, set->self_check);
    n->invalidation = invalidation_new(n->loop, n->pool, &coherence, &ops, n);
}

static void resettle(struct near_cache *n, const struct cache_settings *set)
{
    struct invalidation_settings coherence = coherence_of(set);

    cache_resettle(n->cache, set->max_memory, set->coherence_timeout);
    invalidation_resettle(n->invalidation, &coherence);
    self_check_resettle(n->check, set->self_check);
}

/* What pushes are to be about: the keys that policies keep, and whether they are being loaded. */
static void aim(struct near_cache *n, const struct slice *heads, size_t count)
{
    struct slice *all = must_alloc((count + 1) * sizeof *all);

    for (size_t i = 0; i < count; i++)
        all[i] = heads[i];
    if (count > 0 && (policies_rules(n->policies) & RULE_LEASE) != 0)
        all[count++] = SLICE(LEASE_PREFIX);
    invalidation_aim(n->invalidation, all, count);
    free(all);
}

void near_cache_settle(struct near_cache *n, const struct settings *settings)
{
    struct policies *before = n->policies;
    const struct slice *heads;
    size_t count;

    n->policies = policies_new(settings, before);
    heads = policies_heads(n->policies, true, &count);
    clients_use_policies(n->clients, n->policies);
    clients_use_outage(n->clients, n->policies);
    if (n->cache != NULL)
        resettle(n, &settings->cache);
    else if (count > 0)
        make(n, &settings->cache);
    if (n->cache != NULL) {
        clients_use_cache(n->clients, n->cache, n->policies, n->invalidation);
        clients_use_check(n->clients, n->check);
        aim(n, heads, count);
    }
    policies_free(before);
}

void near_cache_moved(struct near_cache *n)
{
    invalidation_moved(n->invalidation);
}

void near_cache_stop(struct near_cache *n)
{
    if (n == NULL)
        return;
    self_check_free(n->check);
    invalidation_free(n->invalidation);
    n->check = NULL;
    n->invalidation = NULL;
}

void near_cache_free(struct near_cache *n)
{
    if (n == NULL)
        return;
    cache_free(n->cache);
    policies_free(n->policies);
    free(n);
}

struct self_check *near_cache_check(const struct near_cache *n)
{
    return n->check;
}
