/* near_view.c - see near_view.h. Nothing here is on the way of a request. */
#include "client/near_view.h"

#include "client/leases.h"
#include "client/loads.h"
#include "client/near.h"
#include "client/renewals.h"
#include "net/loop.h"

#define COUNTER(type, name, kind, help) {#name, kind, offsetof(struct type, name), help},

static void add_up(struct near_counters *sum, const struct near_counters *count)
{
#define ADD(name, kind, help) sum->name += count->name;
    NEAR_COUNTERS(ADD)
#undef ADD
}

static void take_sums(struct near *near)
{
    struct cache_counters *c = &near->count;
    struct shelf_usage usage = shelf_usage_total(cache_shelf(near->cache));
    struct near_counters sum = {0};

    for (size_t i = 0; i < near->named_count; i++)
        add_up(&sum, &near->named[i]->count);
#define TAKE(name, kind, help) c->name = sum.name;
    NEAR_COUNTERS(TAKE)
#undef TAKE
    c->trust = (uint64_t)clients_trust(near->all);
    c->entries = usage.entries;
    c->bytes = usage.bytes;
    c->max_bytes = cache_max_memory(near->cache);
    c->evictions = usage.evictions;
    c->expired = usage.expired;
    c->loads = near->loads != NULL ? near->loads->count : 0;
    c->keys_under_way = keyring_count(cache_keyring(near->cache));
}

struct counter_set clients_rule_counters(const struct clients *all)
{
    static const struct counter_row rows[] = {
#define ROW(name, kind, help) COUNTER(rule_counters, name, kind, help)
        RULE_COUNTERS(ROW)
#undef ROW
    };
    static const struct rule_counters none = {0};
    struct rules *r = all->rules;

    if (r != NULL)
        r->count.sliding_keys = r->renewals != NULL ? renewals_count(r->renewals) : 0;
    return (struct counter_set){"policy", rows, ARRAY_LEN(rows), r != NULL ? &r->count : &none};
}

struct counter_set clients_lease_counters(const struct clients *all)
{
    static const struct counter_row rows[] = {
#define ROW(name, kind, help) COUNTER(lease_counters, name, kind, help)
        LEASE_COUNTERS(ROW)
#undef ROW
    };
    static const struct lease_counters none = {0};
    struct leases *l = all->near != NULL ? all->near->leases : NULL;

    if (l != NULL)
        leases_count_no_park(l);
    return (struct counter_set){"lease", rows, ARRAY_LEN(rows), l != NULL ? &l->count : &none};
}

void clients_describe_leases(const struct clients *all, struct buffer *out)
{
    leases_describe(all->near != NULL ? all->near->leases : NULL, out);
    loads_describe(all->near != NULL ? all->near->loads : NULL, out);
}

struct counter_set clients_cache_counters(const struct clients *all)
{
    static const struct counter_row rows[] = {
#define ROW(name, kind, help) COUNTER(cache_counters, name, kind, help)
        NEAR_COUNTERS(ROW) CACHE_COUNTERS(ROW)
#undef ROW
    };
    static const struct cache_counters none = {0};

    if (all->near != NULL)
        take_sums(all->near);
    return (struct counter_set){"cache", rows, ARRAY_LEN(rows),
                                all->near != NULL ? &all->near->count : &none};
}

static const struct near_stats *find(const struct near *near, const char *name)
{
    static const struct near_stats none = {0};

    for (size_t i = 0; near != NULL && i < near->named_count; i++) {
        if (strcmp(near->named[i]->name, name) == 0)
            return near->named[i];
    }
    return &none;
}

/* Each reload that changes a policy gives it a new number. */
static struct shelf_usage usage_of(const struct near *near, const struct near_stats *stats)
{
    struct shelf_usage sum = {0};

    for (size_t i = 0; near != NULL && i < near->stats_count; i++) {
        struct shelf_usage usage;

        if (near->stats[i] != stats)
            continue;
        usage = shelf_usage_of(cache_shelf(near->cache), (uint16_t)i);
        sum.entries += usage.entries;
        sum.bytes += usage.bytes;
        sum.evictions += usage.evictions;
        sum.expired += usage.expired;
    }
    return sum;
}

void clients_policy_view(const struct clients *all, const char *name, struct policy_view *ret)
{
    static const struct counter_row rows[] = {
#define ROW(name, kind, help) COUNTER(near_counters, name, kind, help)
        NEAR_COUNTERS(ROW)
#undef ROW
    };
    const struct near_stats *stats = find(all->near, name);
    const struct near_counters *n = &stats->count;
    uint64_t answered = n->hits + n->negative + n->stale;

    *ret = (struct policy_view){.counters = {"", rows, ARRAY_LEN(rows), n},
                                .usage = usage_of(all->near, stats),
                                .answered = answered,
                                .reads = answered + n->misses + n->coalesced + n->bypassed,
                                .hit = &stats->hit_us,
                                .load = &stats->load_us,
                                .loader = &stats->loader_us};
}

const struct invalidation *clients_invalidation(const struct clients *all)
{
    return all->near != NULL ? all->near->invalidation : NULL;
}

enum trust clients_trust(const struct clients *all)
{
    return all->near != NULL ? cache_trust(all->near->cache, loop_now_ms(all->loop)) : TRUST_CLOSED;
}

void clients_flush(struct clients *all)
{
    if (all->near == NULL)
        return;
    all->near->count.flushes_command++;
    cache_flush(all->near->cache);
    if (all->near->leases != NULL)
        leases_all_changed(all->near);
}

void clients_flush_prefix(struct clients *all, struct slice prefix)
{
    if (all->near == NULL)
        return;
    all->near->count.flushes_command++;
    cache_flush_prefix(all->near->cache, prefix);
    if (all->near->leases != NULL)
        leases_prefix_changed(all->near, prefix);
}
