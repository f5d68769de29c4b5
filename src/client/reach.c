/* reach.c - the link a command goes to, and what it is answered when there is none: it waits for
 * one, for no longer than command_timeout; or not at all, when the upstream is known to be away. */
#include "client/client.h"
#include "client/outage.h"
#include "resp/write.h"

/* The answer to a command that is not sent, because the upstream is away: see pool_is_out(). */
enum next client_answer_away(struct client *c)
{
    const struct pool *pool = c->all->pool;

    c->all->count.unreached++;
    c->all->count.refused_away++;
    write_error(
        client_answer(c),
        "UPSTREAM %s not reached: %s (breaker open for %llu ms); the command was not executed",
        pool_address(pool), pool_trouble(pool), (unsigned long long)pool_breaker(pool).away_ms);
    return NEXT;
}

/* How long a command may wait for an upstream that is away counts from when the first of those now
 * waiting could not be asked, so that a pipeline does not wait once for each of its commands. */
static bool has_waited(const struct client *c)
{
    return client_now(c) - c->more->wait_ms >= pool_command_timeout(c->all->pool);
}

enum next client_no_link(struct client *c, struct lane *lane)
{
    struct session *m = client_session(c);
    struct slice refusal = lane_refusal(lane, c->db);
    const char *trouble = pool_trouble(c->all->pool);

    if (m->wait_ms == 0)
        m->wait_ms = client_now(c);
    if (UNLIKELY(c->all->outage != NULL) && (has_waited(c) || pool_is_out(c->all->pool)) &&
        outage_unreached(c))
        return NEXT;
    if (pool_is_out(c->all->pool))
        return client_answer_away(c);
    if (refusal.n > 0) {
        c->all->count.unreached++;
        buffer_add(client_answer(c), refusal.p, refusal.n);
        return NEXT;
    }
    if (!has_waited(c))
        return client_wait_link(c, lane);
    c->all->count.unreached++;
    if (trouble[0])
        write_error(client_answer(c), "UPSTREAM %s not reached: %s; the command was not executed",
                    pool_address(c->all->pool), trouble);
    else
        write_error(
            client_answer(c),
            "UPSTREAM no connection to %s became free in time (see pool_size); the command was "
            "not executed",
            pool_address(c->all->pool));
    return NEXT;
}

/* Who has asked there and is not answered must go on there, if nobody may be kept from leaving a
 * link that is to end. */
static inline bool stays(const struct client *c, const struct link *l)
{
    return client_drained(c) ? link_takes_newcomers(l) : !l->retiring;
}

/* Who begins to ask for much goes to a link aside, if there is one, and who does no more comes
 * back. Is its link another than it should have? While one is being opened it stays where it is,
 * and is looked at again. */
static bool is_misplaced(struct client *c, const struct link *l)
{
    bool coming = false;
    const struct link *aside = c->heavy ? lane_link_aside(c->lane, c->db, &coming) : NULL;

    if (coming)
        return false;
    if (c->heavy ? aside != NULL && aside != l : l->aside)
        return true;
    c->heavy_link = c->heavy;
    return false;
}

static struct link *choose(struct client *c)
{
    bool coming;
    struct link *l = UNLIKELY(c->heavy) ? lane_link_aside(c->lane, c->db, &coming) : NULL;

    c->heavy_link = l != NULL;
    return l != NULL ? l : lane_link(c->lane, c->db);
}

/* The shared link the next command goes to. NULL: it cannot go now, *ret_next says how it stands
 * with it. */
struct link *client_link(struct client *c, enum next *ret_next)
{
    struct link *l = c->link;
    bool mine = l != NULL && l->number == c->link_number, misplaced;

    if (pool_is_out(c->all->pool)) {
        *ret_next = client_no_link(c, c->lane);
        return NULL;
    }
    /* What it asks now could overtake a question of another client's that it waits for. */
    if (UNLIKELY(c->promised > 0)) {
        *ret_next = client_wait(c, WAIT_DRAIN);
        return NULL;
    }
    misplaced = mine && UNLIKELY(c->heavy != c->heavy_link) && is_misplaced(c, l);
    if (LIKELY(mine && !link_full(l) && stays(c, l) && !misplaced))
        return l;
    if (mine && (l->retiring || misplaced) && !client_drained(c)) {
        *ret_next = client_wait(c, WAIT_DRAIN);
        return NULL;
    }
    l = mine && !client_drained(c) ? NULL : choose(c);
    if (l == NULL) {
        *ret_next = client_no_link(c, c->lane);
        return NULL;
    }
    c->link = l;
    c->link_number = l->number;
    return l;
}
