/* near_life.c - the near cache from outside: made, told of changes, reloaded, counted. */
#include <stdlib.h>

#include "client/leases.h"
#include "client/loads.h"
#include "client/near.h"
#include "client/tenants.h"
#include "errands/self_check.h"

/* Nobody wants hits. */
static const uint32_t never = 0;

struct near *near_new(struct clients *all, struct cache *cache)
{
    struct near *near = must_calloc(1, sizeof *near);

    near->all = all;
    near->cache = cache;
    near->check_due = &never;
    return near;
}

void near_free(struct near *near)
{
    if (near == NULL)
        return;
    for (size_t i = 0; i < near->named_count; i++) {
        free(near->named[i]->name);
        free(near->named[i]);
    }
    free(near->named);
    leases_free(near->leases);
    loads_free(near->loads);
    free(near->scopes);
    free(near->stats);
    free(near->alive);
    free(near->linger);
    free(near->outlive);
    buffer_done(&near->words);
    buffer_done(&near->pieces);
    args_done(&near->keys);
    free(near);
}

/* What the policy of that name has done so far. */
static struct near_stats *stats_named(struct near *near, const char *name)
{
    struct near_stats *s;

    for (size_t i = 0; i < near->named_count; i++) {
        if (strcmp(near->named[i]->name, name) == 0)
            return near->named[i];
    }
    s = must_calloc(1, sizeof *s);
    s->name = must_strdup(name);
    near->named = must_realloc(near->named, (near->named_count + 1) * sizeof(struct near_stats *));
    near->named[near->named_count++] = s;
    return s;
}

static void make_room(struct near *near, size_t number)
{
    size_t n = number + 1;

    if (n <= near->stats_count)
        return;
    near->stats = must_realloc(near->stats, n * sizeof(struct near_stats *));
    near->alive = must_realloc(near->alive, n * sizeof *near->alive);
    near->linger = must_realloc(near->linger, n * sizeof *near->linger);
    near->outlive = must_realloc(near->outlive, n * sizeof *near->outlive);
    for (size_t i = near->stats_count; i < n; i++) {
        near->stats[i] = NULL;
        near->alive[i] = false;
        near->linger[i] = near->outlive[i] = 0;
    }
    near->stats_count = n;
}

/* Numbers of before keep their statistics, for answers that are still under way. */
void near_resettle(struct near *near, const struct policies *policies)
{
    size_t n;
    const struct policy *all = policies_all(policies, &n);
    bool more = false;

    near->policies = policies;
    for (size_t i = 0; i < n; i++)
        more |= all[i].set->local &&
                (all[i].number >= near->stats_count || !near->alive[all[i].number]);
    for (size_t i = 0; i < near->stats_count; i++) {
        near->alive[i] = false;
        near->linger[i] = near->outlive[i] = 0;
    }
    for (size_t i = 0; i < n; i++) {
        make_room(near, all[i].number);
        near->stats[all[i].number] = stats_named(near, all[i].name);
        near->alive[all[i].number] = all[i].set->local;
        if (all[i].set->stampede == SET_STAMPEDE_STALE)
            near->linger[all[i].number] = all[i].set->stale_ttl;
        if (all[i].set->on_outage == SET_OUTAGE_STALE)
            near->outlive[all[i].number] = all[i].set->stale_ttl;
    }
    leases_use(near);
    loads_use(near);
    cache_policies(near->cache, near->alive, near->stats_count);
    cache_linger(near->cache, near->linger, near->stats_count);
    cache_outlive(near->cache, near->outlive, near->stats_count);
    if (more)
        writes_under_way(near->all);
}

void clients_use_cache(struct clients *all, struct cache *cache, const struct policies *policies,
                       const struct invalidation *invalidation)
{
    if (all->near == NULL)
        all->near = near_new(all, cache);
    all->near->invalidation = invalidation;
    near_resettle(all->near, policies);
    tenants_own(all);
}

void clients_use_check(struct clients *all, struct self_check *check)
{
    all->near->check = check;
    all->near->check_due = self_check_due(check);
}

/* ---- what the upstream says ---- */

void clients_key_changed(struct clients *all, struct slice key)
{
    struct near *near = all->near;
    const struct policy *p;

    if (near->leases != NULL)
        leases_own_changed(near, key);
    if (near->leases != NULL && !keyring_held(cache_keyring(near->cache), key))
        leases_pushed(near, key);
    if (near->loads != NULL && !keyring_held(cache_keyring(near->cache), key))
        loads_pushed(near->loads, key);
    if (!cache_pushed(near->cache, key, loop_now_ms(all->loop)))
        return;
    p = policies_match(near->policies, key);
    if (p != NULL)
        near_stats_of(near, p)->count.invalidated_push++;
}

void clients_all_changed(struct clients *all)
{
    all->near->count.flushes_push++;
    cache_flush(all->near->cache);
    if (all->near->leases != NULL)
        leases_all_changed(all->near);
    if (all->near->loads != NULL)
        loads_clear(all->near->loads);
}

/* Another server may be behind the link now: what it can do is to be learnt anew. */
void clients_upstream_anew(struct clients *all)
{
    if (all->near != NULL)
        all->near->field_ttl = FIELD_TTL_UNKNOWN;
}

void clients_pushes_lost(struct clients *all)
{
    if (all->near != NULL && all->near->leases != NULL)
        leases_upstream_lost(all->near);
}
