/* lifetime.c - links end when they have lived for max_lifetime: for those who move servers behind a
 * name or a balancer, and want their clients to follow without an end of their own.
 *
 *      idle        closed by the tick
 *      lent        closed when it is given back; a session keeps what it has
 *      shared      another takes its place first, then nobody begins there any more ("retiring"),
 *                  and when nothing is due it is closed
 *      the invalidation link: invalidation.c, which makes one before it breaks one, too
 *
 * Each link lives up to a fifth less, at random: what was opened together must not end together. A
 * shared link that works is not given up for one that cannot be had: while the upstream accepts
 * none, old ones stay. */
#include "net/loop.h"
#include "upstream/pool.h"
#include "upstream/pool_inside.h"

#define SPREAD_PART 5u /* of the lifetime, by which it is shorter at most */

void lifetime_begin(struct link *l)
{
    l->up_ms = loop_now_ms(l->pool->loop);
    l->spread = (uint8_t)random_below(256);
}

bool link_is_old(const struct link *l)
{
    uint64_t most = l->pool->settings->max_lifetime;

    return most > 0 && loop_now_ms(l->pool->loop) - l->up_ms >=
                           most - most / SPREAD_PART * l->spread / UINT8_MAX;
}

void link_retire(struct link *l)
{
    CHECK(l->state == LINK_SHARED);
    if (l->retiring)
        return;
    l->retiring = true;
    l->lane->retiring++;
}

static void close_retired(struct link *l)
{
    l->pool->count.links_retired++;
    link_fail(l, LINK_CLOSED);
}

bool lifetime_ends(struct link *l)
{
    if (!link_is_old(l))
        return false;
    close_retired(l);
    return true;
}

static void close_idle(struct lane *lane)
{
    struct list *idle = &lane->links[LINK_IDLE], *node = idle->next;

    while (node != idle) {
        struct link *l = CONTAINER_OF(node, struct link, node);

        node = lifetime_ends(l) ? idle->next : node->next;
    }
}

/* A young one in the same database, which may be made to carry what `old` does. */
static struct link *find_heir(const struct lane *lane, const struct link *old, enum link_state in)
{
    for (list_each (node, &lane->links[in])) {
        struct link *l = CONTAINER_OF(node, struct link, node);

        if (l->db == old->db && !l->retiring && !l->outdated && !link_is_old(l))
            return l;
    }
    return NULL;
}

static bool has_room(const struct pool *pool)
{
    const struct upstream_counters *c = &pool->count;

    return c->links < pool->settings->max_links &&
           c->links_shared + c->links_lent_pool + pool_spare(pool) < pool->settings->pool_size;
}

/* Where there is no room for both, it retires first: whoever comes waits until it has ended. */
static void replace(struct lane *lane, struct link *old)
{
    struct link *heir = find_heir(lane, old, LINK_IDLE);

    if (heir != NULL) {
        link_become(heir, LINK_SHARED);
        link_retire(old);
    } else if (lane->holders == 0 || find_heir(lane, old, LINK_SHARED) != NULL ||
               !has_room(lane->pool)) {
        link_retire(old);
    } else if (lane_coming(lane) <= lane_loans_waiting(lane) && lane_may_open(lane)) {
        lane->next_db = old->db;
        link_dial(lane);
    }
}

static bool at_rest(const struct link *l)
{
    return l->slots.len == 0 && buffer_len(&l->out) == 0 && !l->streaming;
}

bool lifetime_tick(struct lane *lane)
{
    struct list *shared = &lane->links[LINK_SHARED], *node = shared->next;
    bool busy = false;

    if (lane->retiring == 0 && lane->pool->settings->max_lifetime == 0)
        return false;
    close_idle(lane);
    while (node != shared) {
        struct link *l = CONTAINER_OF(node, struct link, node);

        node = node->next;
        if (!l->retiring && link_is_old(l))
            replace(lane, l);
        busy |= l->retiring || link_is_old(l);
        if (l->retiring && at_rest(l)) {
            close_retired(l); /* whoever is woken may change the list */
            node = shared->next;
        }
    }
    return busy;
}
