/* outage_inside.h - what the files about outages share; the story is in outage.c. */
#ifndef LARDER_CLIENT_OUTAGE_INSIDE_H
#define LARDER_CLIENT_OUTAGE_INSIDE_H

#include "client/outage.h"
#include "policy/policies.h"

/* What a policy has done; kept by name, so it outlives a reload. */
struct outage_stats {
    char *name;
    struct outage_policy_counters count;
    uint64_t
        flushed; /* the number of the outage in which all that was kept was dropped, the last */
};

struct outage {
    struct clients *all;
    const struct policies *policies;
    const struct policy *first;  /* of all policies, in their order */
    struct outage_stats **stats; /* in that order */
    struct outage_stats **named;
    size_t named_count;
    struct journal *journal;
    struct pool_prelude prelude;
    bool reads, opens, drops; /* some policy does */
    bool on;
    uint64_t since_ms;
    struct outage_counters count;
};

static inline struct outage_policy_counters *outage_stats_of(const struct outage *o,
                                                             const struct policy *p)
{
    return &o->stats[p - o->first]->count;
}

/* outage_view.c: brings o->count up to date. */
void outage_add_up(struct outage *o);

#endif
