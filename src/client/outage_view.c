/* outage_view.c - what outages and their policies have done, counted. Nothing here is on the way of
 * a request. */
#include "client/journal.h"
#include "client/near_view.h"
#include "client/outage_inside.h"

void outage_add_up(struct outage *o)
{
    struct outage_counters *c = &o->count;

#define CLEAR(name, kind, help) c->name = 0;
    OUTAGE_POLICY_COUNTERS(CLEAR)
#undef CLEAR
    for (size_t i = 0; i < o->named_count; i++) {
        const struct outage_policy_counters *one = &o->named[i]->count;

#define ADD(name, kind, help) c->name += one->name;
        OUTAGE_POLICY_COUNTERS(ADD)
#undef ADD
    }
    c->on = outage_is_on(o->all);
    c->journal = journal_count(o->journal);
}

struct counter_set clients_outage_counters(const struct clients *all)
{
    static const struct counter_row rows[] = {
#define ROW(name, kind, help) {#name, kind, offsetof(struct outage_counters, name), help},
        OUTAGE_POLICY_COUNTERS(ROW) OUTAGE_COUNTERS(ROW)
#undef ROW
    };
    static const struct outage_counters none = {0};

    if (all->outage != NULL)
        outage_add_up(all->outage);
    return (struct counter_set){"outage", rows, ARRAY_LEN(rows),
                                all->outage != NULL ? &all->outage->count : &none};
}

struct counter_set clients_outage_policy(const struct clients *all, const char *name)
{
    static const struct counter_row rows[] = {
#define ROW(name, kind, help) {#name, kind, offsetof(struct outage_policy_counters, name), help},
        OUTAGE_POLICY_COUNTERS(ROW)
#undef ROW
    };
    static const struct outage_policy_counters none = {0};
    const struct outage_policy_counters *count = &none;

    for (size_t i = 0; all->outage != NULL && i < all->outage->named_count; i++) {
        if (strcmp(all->outage->named[i]->name, name) == 0)
            count = &all->outage->named[i]->count;
    }
    return (struct counter_set){"", rows, ARRAY_LEN(rows), count};
}
