/* near_cache.h - the near cache and all that keeps it true, as one thing: policies, cache,
 * invalidation link, self check. main.c makes it, and brings it the settings. */
#ifndef LARDER_CLIENT_NEAR_CACHE_H
#define LARDER_CLIENT_NEAR_CACHE_H

#include "base/check.h"

struct clients;
struct loop;
struct near_cache;
struct pool;
struct self_check;
struct settings;

/* loop, pool and clients are borrowed. Keeps nothing before near_cache_settle(). */
MUST_USE
struct near_cache *near_cache_new(struct loop *loop, struct pool *pool, struct clients *clients);

/* The policies of the settings come into force in place of those of before; the settings of before
 * must live until it returns. What was kept under policies that have changed is dropped. */
void near_cache_settle(struct near_cache *n, const struct settings *settings);

/* The upstream is another server now, and no connection to the old one is left: all that is kept is
 * suspect. */
void near_cache_moved(struct near_cache *n);

/* Asks the upstream nothing any more; before the pool goes. */
void near_cache_stop(struct near_cache *n);
/* After the clients have gone. */
void near_cache_free(struct near_cache *n);

/* NULL while no policy keeps anything. */
MUST_USE
struct self_check *near_cache_check(const struct near_cache *n);

#endif
