/* cache_tables.c - see cache_tables.h. */
#include "admin/cache_tables.h"

#include <string.h>

#include "client/near_view.h"
#include "resp/write.h"
#include "upstream/invalidation.h"

static void put_prefixes(const struct string_list *prefixes, struct buffer *out)
{
    for (size_t i = 0; i < prefixes->n; i++) {
        buffer_printf(out, "%s", i > 0 ? "," : "");
        buffer_add_visible(out, slice_str(prefixes->v[i]));
    }
}

static void put_times(const char *name, const struct histogram *h, struct buffer *out)
{
    buffer_printf(out, " %s-us-p50=%u %s-us-p99=%u %s-us-p999=%u", name, histogram_quantile(h, 0.5),
                  name, histogram_quantile(h, 0.99), name, histogram_quantile(h, 0.999));
}

/* A row's name as the tables have it: with - for _. */
static void put_name(const char *name, struct buffer *out)
{
    for (; *name != 0; name++)
        buffer_add(out, *name == '_' ? "-" : name, 1);
}

static void put_outage(const struct clients *clients, const char *policy, struct buffer *out)
{
    struct counter_set counters = clients_outage_policy(clients, policy);

    for (size_t i = 0; i < counters.count; i++) {
        buffer_printf(out, " outage-");
        put_name(counters.rows[i].name, out);
        buffer_printf(out, "=%llu", (unsigned long long)counter_value(&counters, i));
    }
}

static void put_policy(const struct clients *clients, const struct policy_settings *set,
                       struct buffer *out)
{
    struct policy_view v;

    clients_policy_view(clients, set->name, &v);
    buffer_printf(out, "policy=%s prefixes=", set->name);
    put_prefixes(&set->prefix, out);
    buffer_printf(out, " local=%s", set->local ? "yes" : "no");
    for (size_t i = 0; i < v.counters.count; i++) {
        buffer_add(out, " ", 1);
        put_name(v.counters.rows[i].name, out);
        buffer_printf(out, "=%llu", (unsigned long long)counter_value(&v.counters, i));
    }
    buffer_printf(out, " hit-ratio=%.4f", v.reads > 0 ? (double)v.answered / (double)v.reads : 0.0);
    buffer_printf(out, " entries=%llu bytes=%llu evictions=%llu expired=%llu",
                  (unsigned long long)v.usage.entries, (unsigned long long)v.usage.bytes,
                  (unsigned long long)v.usage.evictions, (unsigned long long)v.usage.expired);
    put_outage(clients, set->name, out);
    put_times("hit", v.hit, out);
    put_times("load", v.load, out);
    put_times("loader", v.loader, out);
    buffer_add(out, "\n", 1);
}

void put_policies(const struct clients *clients, const struct settings *settings,
                  struct buffer *out)
{
    for (size_t i = 0; i < settings->policy_count; i++)
        put_policy(clients, &settings->policies[i], out);
}

/* The words have a remark behind a blank, which a table cannot have. */
void put_coherence(const struct clients *clients, struct buffer *out)
{
    const struct invalidation *inv = clients_invalidation(clients);
    enum coherence_mode mode = inv != NULL ? invalidation_mode(inv) : COHERENCE_NONE;
    const char *word = coherence_word(mode);
    int proto = mode == COHERENCE_BROADCAST2 ? 2 : mode == COHERENCE_BROADCAST3 ? 3 : 0;

    buffer_printf(out, "coherence=%.*s resp=%d trust=%s trouble=%s\n", (int)strcspn(word, " "),
                  word, proto, trust_word(clients_trust(clients)),
                  inv != NULL ? invalidation_trouble(inv) : "");
}

void flush_cache(struct clients *clients, const struct slice *argv, uint32_t argc,
                 struct buffer *out)
{
    if (argc == 3 && slice_is(argv[2], "ALL")) {
        clients_flush(clients);
    } else if (argc == 4 && slice_is(argv[2], "PREFIX")) {
        clients_flush_prefix(clients, argv[3]);
    } else if (argc == 4 && slice_is(argv[2], "TENANT")) {
        if (!clients_flush_tenant(clients, argv[3])) {
            write_error(out, "ERR there is no such tenant");
            return;
        }
    } else {
        write_error(out, "ERR syntax error");
        return;
    }
    write_status(out, "OK");
}
