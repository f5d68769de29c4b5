/* aim.c - where the upstream is, when that is not in the settings but Sentinels say it.
 *
 *      nowhere --aim(A)--> A --aim(B)--> B        every link to A is dropped, at once
 *      (held)              |  ^
 *                     hold()  aim(A)              A is doubtful: links stay, none is dialled
 *
 * A master that was deposed answers on as long as it does not know, 10 s and more, and what it says
 * is old: so no link to it is left over, not even for what is under way there. What was kept in
 * memory is made suspect by whoever made the switch: see sentinel.h. */
#include <stdio.h>

#include "net/loop.h"
#include "upstream/pool.h"
#include "upstream/pool_inside.h"

void pool_follow(struct pool *pool, const char *master, const struct pool_guide *guide)
{
    pool->guide = guide;
    pool->held = true;
    pool->to = NULL;
    (void)snprintf(pool->address, sizeof pool->address, "master %s", master);
}

void pool_doubt(struct pool *pool, enum pool_doubt why)
{
    if (pool->guide != NULL)
        pool->guide->doubt(pool->guide->context, why);
}

void pool_hold(struct pool *pool, const char *why)
{
    if (pool->held && !why[0])
        return;
    pool->held = true;
    (void)snprintf(pool->held_why, sizeof pool->held_why, "%s", why);
}

bool pool_held(const struct pool *pool)
{
    return pool->held;
}

/* ---- dropping ---- */

static void mark_all(struct pool *pool)
{
    for (list_each (lane_node, &pool->lanes)) {
        struct lane *lane = CONTAINER_OF(lane_node, struct lane, node);

        for (size_t state = 0; state < LINK_STATE_COUNT; state++) {
            for (list_each (node, &lane->links[state]))
                CONTAINER_OF(node, struct link, node)->outdated = true;
        }
    }
}

static struct link *next_outdated(struct pool *pool, enum link_state state)
{
    for (list_each (lane_node, &pool->lanes)) {
        struct lane *lane = CONTAINER_OF(lane_node, struct lane, node);

        for (list_each (node, &lane->links[state])) {
            struct link *l = CONTAINER_OF(node, struct link, node);

            if (l->outdated)
                return l;
        }
    }
    return NULL;
}

/* Those nobody waits on first: who is told of a lost reply may ask again at once, and must not find
 * one of them. */
static struct link *any_outdated(struct pool *pool)
{
    static const enum link_state order[] = {LINK_IDLE,       LINK_CLEANING, LINK_GREETING,
                                            LINK_CONNECTING, LINK_PROBING,  LINK_SHARED,
                                            LINK_LENT};

    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        struct link *l = next_outdated(pool, order[i]);

        if (l != NULL)
            return l;
    }
    return NULL;
}

void pool_drop(struct pool *pool)
{
    struct link *l;

    mark_all(pool);
    while ((l = any_outdated(pool)) != NULL)
        link_fail(l, LINK_LOST);
}

/* ---- aiming ---- */

/* What the old place has refused, the new one may not. */
static void forget_refusals(struct pool *pool)
{
    for (list_each (node, &pool->lanes)) {
        struct lane *lane = CONTAINER_OF(node, struct lane, node);

        buffer_done(&lane->refusal);
        lane->retry_ms = 0;
        lane->refusals = 0;
    }
    pool->failures = 0;
    pool->retry_ms = 0;
    pool->trouble[0] = 0;
}

static void note_place(struct pool *pool, const struct address *to, const struct sock_address *at)
{
    (void)snprintf(pool->host, sizeof pool->host, "%s", to->host);
    pool->guided = (struct address){.host = pool->host, .port = to->port};
    pool->to = &pool->guided;
    pool->at = *at;
    address_setting_text(pool->to, pool->address, sizeof pool->address);
}

static void dial_for_waiters(struct pool *pool)
{
    for (list_each (node, &pool->lanes))
        lane_wake(CONTAINER_OF(node, struct lane, node));
    pool->serve_loans = true;
    loop_again(pool->loop);
    pool_tick_soon(pool);
}

bool pool_aim(struct pool *pool, const struct address *to, const struct sock_address *at)
{
    bool moved = pool->to == NULL || !address_same(at, &pool->at);
    bool held = pool->held;

    note_place(pool, to, at);
    pool->held = false;
    pool->held_why[0] = 0;
    if (moved) {
        pool->held = true; /* none is dialled by those who are told, before all have been told */
        pool_drop(pool);
        pool->held = false;
        forget_refusals(pool);
        breaker_forget(pool);
    } else if (held && pool->failures <= 1) {
        pool->retry_ms = 0; /* it is known to be there; later failures are paced as ever */
    }
    breaker_hint(pool);
    if (moved || held)
        dial_for_waiters(pool);
    return moved;
}
