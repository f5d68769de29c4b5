/* near_view.h - what the console shows of the near cache, and the flushes it orders.
 *
 * All of this may be asked when there is no near cache: then everything is zero, and a flush has
 * nothing to do. */
#ifndef LARDER_CLIENT_NEAR_VIEW_H
#define LARDER_CLIENT_NEAR_VIEW_H

#include "base/counters.h"
#include "base/histogram.h"
#include "cache/cache.h"
#include "client/clients.h"

/* Of all policies together, those of before a reload too; room "cache". Its values are those of the
 * time of this call, and live until the next. */
MUST_USE
struct counter_set clients_cache_counters(const struct clients *all);

/* What policies have done to commands; room "policy". */
MUST_USE
struct counter_set clients_rule_counters(const struct clients *all);

/* Who loads what is missing while others wait; room "lease". The leases, a line each. */
MUST_USE
struct counter_set clients_lease_counters(const struct clients *all);
void clients_describe_leases(const struct clients *all, struct buffer *out);

/* What clients were answered while the upstream was away: of all policies, room "outage"; of the
 * policy of that name, without a room. */
MUST_USE
struct counter_set clients_outage_counters(const struct clients *all);
MUST_USE
struct counter_set clients_outage_policy(const struct clients *all, const char *name);

/* What a policy has done under its name. */
struct policy_view {
    struct counter_set counters;    /* without a room */
    struct shelf_usage usage;       /* what is being dropped after a reload is still in it */
    uint64_t reads, answered;       /* all that were counted; of these, from memory */
    const struct histogram *hit;    /* us from reading a request to its answer: one in 64 hits */
    const struct histogram *load;   /* us from asking upstream to the answer */
    const struct histogram *loader; /* us from telling a client that a key is absent to its write */
};
void clients_policy_view(const struct clients *all, const char *name, struct policy_view *ret);

/* NULL: there is none. */
MUST_USE
const struct invalidation *clients_invalidation(const struct clients *all);
MUST_USE
enum trust clients_trust(const struct clients *all);

/* Nothing that is kept now, or under way, is served from now on: all of it, or what belongs to keys
 * that begin with the prefix. */
void clients_flush(struct clients *all);
void clients_flush_prefix(struct clients *all, struct slice prefix);

#endif
