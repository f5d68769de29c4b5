/* tenant_shelf.c - each tenant owns what the near cache keeps of its keys: max_cache_memory.
 *
 * An owner is a number (cache/shares.h), 1 for the first tenant; one that has gone leaves its
 * number to the next that comes. Whose a key is, its prefix says: no prefix begins with another, so
 * of the prefixes in their order only the last that does not stand behind the key can be its
 * beginning. */
#include <stdlib.h>

#include "client/leases.h"
#include "client/near.h"
#include "client/near_view.h"
#include "client/tenants.h"

static int by_prefix(const void *a, const void *b)
{
    const struct tenant *const *x = a, *const *y = b;

    return slice_order((*x)->ns.prefix, (*y)->ns.prefix);
}

static uint32_t owner_of(void *context, struct slice key)
{
    const struct tenants *ts = context;
    size_t low = 0, high = ts->owners_n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (slice_order(ts->owners[middle]->ns.prefix, key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && namespace_has(&ts->owners[low - 1]->ns, key) ? ts->owners[low - 1]->owner : 0;
}

/* The new ones have none; the numbers are those of no other. */
static void give_numbers(struct tenants *ts)
{
    bool *taken = must_calloc(ts->n + 2, sizeof *taken);
    uint32_t next = 1;

    for (size_t i = 0; i < ts->n; i++)
        if (ts->v[i]->owner <= ts->n)
            taken[ts->v[i]->owner] = true;
    for (size_t i = 0; i < ts->n; i++) {
        if (ts->v[i]->owner != 0)
            continue;
        while (taken[next])
            next++;
        ts->v[i]->owner = next++;
    }
    free(taken);
}

/* The shelf is told of all the new ones before anything else is asked of it; then what was kept of
 * their keys is nobody's, and goes. */
static void tell(struct clients *all, const bool *fresh)
{
    struct tenants *ts = all->tenants;
    struct cache *cache = all->near->cache;

    for (size_t i = 0; i < ts->n; i++)
        if (fresh[i])
            shelf_share(cache_shelf(cache), ts->v[i]->owner, ts->v[i]->set->max_cache_memory);
    for (size_t i = 0; i < ts->n; i++) {
        struct tenant *t = ts->v[i];

        if (!fresh[i] && t->share == t->set->max_cache_memory)
            continue;
        t->share = t->set->max_cache_memory;
        cache_share(cache, t->owner, t->share);
    }
}

void tenants_own(struct clients *all)
{
    struct tenants *ts = all->tenants;
    bool *fresh;

    if (ts == NULL || all->near == NULL || (ts->n == 0 && !ts->own))
        return;
    fresh = must_calloc(ts->n + 1, sizeof *fresh);
    for (size_t i = 0; i < ts->n; i++)
        fresh[i] = ts->v[i]->owner == 0;
    give_numbers(ts);
    ts->owners = must_realloc(ts->owners, (ts->n + 1) * sizeof(struct tenant *));
    ts->owners_n = ts->n;
    for (size_t i = 0; i < ts->n; i++)
        ts->owners[i] = ts->v[i];
    if (ts->n > 1)
        qsort(ts->owners, ts->n, sizeof(struct tenant *), by_prefix);
    if (!ts->own)
        shelf_owners(cache_shelf(all->near->cache), owner_of, ts);
    ts->own = true;
    tell(all, fresh);
    free(fresh);
}

void tenant_disown(struct clients *all, struct tenant *t)
{
    struct tenants *ts = all->tenants;
    size_t kept = 0;

    if (t->owner == 0) {
        clients_flush_prefix(all, t->ns.prefix);
        return;
    }
    for (size_t i = 0; i < ts->owners_n; i++)
        if (ts->owners[i] != t)
            ts->owners[kept++] = ts->owners[i];
    ts->owners_n = kept;
    cache_owner_gone(all->near->cache, t->owner);
    if (all->near->leases != NULL)
        leases_prefix_changed(all->near, t->ns.prefix);
}

bool clients_flush_tenant(struct clients *all, struct slice name)
{
    struct tenant *t = tenants_find(all->tenants, name);

    if (t == NULL)
        return false;
    if (t->owner == 0) {
        clients_flush_prefix(all, t->ns.prefix);
        return true;
    }
    all->near->count.flushes_command++;
    cache_flush_owner(all->near->cache, t->owner);
    if (all->near->leases != NULL)
        leases_prefix_changed(all->near, t->ns.prefix);
    return true;
}

void tenants_shelf_view(const struct clients *all)
{
    const struct tenants *ts = all->tenants;

    for (size_t i = 0; i < ts->n; i++) {
        struct shelf_usage usage = {0};

        if (ts->v[i]->owner != 0)
            usage = shelf_usage_of_owner(cache_shelf(all->near->cache), ts->v[i]->owner);
        ts->v[i]->count.cache_entries = usage.entries;
        ts->v[i]->count.cache_bytes = usage.bytes;
        ts->v[i]->count.cache_evictions = usage.evictions;
    }
}
