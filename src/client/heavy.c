/* heavy.c - see heavy.h. */
#include "client/heavy.h"

#include "client/client.h"
#include "net/loop.h"

static void on_stuck(void *context);

void heavies_init(struct clients *all)
{
    list_init(&all->heavies.held);
    all->heavies.timer = timer_new(all->loop, on_stuck, all);
}

void heavies_done(struct clients *all)
{
    timer_free(all->heavies.timer);
}

static bool is_beside_light(const struct clients *all)
{
    return loop_now_ms(all->loop) - all->heavies.light_ms < LIGHT_MS;
}

/* Of all of them together. About a unit a microsecond is what Redis executes of a pipeline. */
static uint32_t bound(const struct clients *all)
{
    uint32_t trip_us = pool_trip_us(all->pool);

    if (!is_beside_light(all) || trip_us > HEAVY_PENDING)
        return HEAVY_PENDING;
    return trip_us > BESIDE_PENDING ? trip_us : BESIDE_PENDING;
}

/* Units. */
static uint32_t unanswered(const struct client *c)
{
    const struct session *m = c->more;

    return m != NULL && m->heavy.epoch == c->all->heavies.epoch ? m->heavy.asked : 0;
}

/* In units, what it may ask now: while others are held back, what is left of its turn. What is
 * asked for it by others (fills) counts for itself alone. */
static uint32_t room(const struct client *c)
{
    const struct heavies *h = &c->all->heavies;
    uint32_t most = bound(c->all), counted = unanswered(c);
    uint32_t left = h->asked < most ? most - h->asked : 0;
    uint32_t turn = c->more != NULL ? c->more->heavy.turn : 0;
    uint64_t own = (counted > c->owed ? counted : c->owed) + (uint64_t)c->promised;

    if (!list_empty(&h->held))
        return turn;
    if (h->asked > counted)
        most /= 2;
    most = own < most ? most - (uint32_t)own : 0;
    most = most < left ? most : left;
    return most > turn ? most : turn;
}

uint64_t heavy_most_pending(const struct client *c)
{
    return (uint64_t)c->owed + c->promised + room(c);
}

size_t heavy_most_bytes(const struct client *c)
{
    return (size_t)room(c) * HEAVY_BYTES;
}

bool heavy_long_ago(const struct client *c)
{
    return c->active_ms - c->more->heavy.asked_ms >= LIGHT_AGAIN_MS;
}

static uint32_t units_of(uint32_t n, size_t bytes)
{
    size_t weight = bytes / HEAVY_BYTES;

    if (weight <= n)
        return n;
    return weight < HEAVY_PENDING ? (uint32_t)weight : HEAVY_PENDING;
}

void heavy_muted(struct client *c, uint32_t n, size_t bytes)
{
    struct heavy *own = &client_session(c)->heavy;
    uint32_t units = units_of(n, bytes);

    own->turn -= units < own->turn ? units : own->turn;
    own->asked_ms = client_now(c);
}

void heavy_asked(struct client *c, uint32_t n, size_t bytes)
{
    struct heavies *h = &c->all->heavies;
    uint32_t units = units_of(n, bytes), before = unanswered(c);

    heavy_muted(c, n, bytes);
    c->more->heavy.asked = before + units;
    c->more->heavy.epoch = h->epoch;
    h->asked += units;
}

static void give_back(struct client *c, uint32_t units)
{
    CHECK(units <= c->all->heavies.asked);
    c->more->heavy.asked -= units;
    c->all->heavies.asked -= units;
    c->all->heavies.moved = true;
}

/* As many of its units as are due of its requests stay. */
void heavy_answered(struct client *c, uint32_t n)
{
    uint64_t own = unanswered(c);

    if (own > 0 && n > 0)
        give_back(c, (uint32_t)(own - own * c->owed / (c->owed + n)));
}

void heavy_over(struct client *c)
{
    if (unanswered(c) > 0)
        give_back(c, c->more->heavy.asked);
}

/* ---- the line ---- */

static uint64_t stuck_ms(const struct clients *all)
{
    uint64_t trips_ms = 2 * (uint64_t)pool_trip_us(all->pool) / 1000;

    return trips_ms > HEAVY_STUCK_MS ? trips_ms : HEAVY_STUCK_MS;
}

void heavy_waits(struct client *c)
{
    struct heavies *h = &c->all->heavies;

    if (c->owed + c->promised > 0 || room(c) > 0)
        return;
    list_push_back(&h->held, &c->more->waiter.node);
    if (!timer_running(h->timer)) {
        h->moved = false;
        timer_start(h->timer, stuck_ms(c->all));
    }
}

void heavy_misses(struct client *c)
{
    if (c->more != NULL)
        c->more->heavy.turn = 0;
}

static struct client *first_held(const struct heavies *h)
{
    return CONTAINER_OF(h->held.next, struct session, waiter.node)->client;
}

/* Who has a turn and turns out to ask nothing keeps nobody: another has one at once. */
void heavies_beat(struct clients *all)
{
    struct heavies *h = &all->heavies;
    uint32_t half = bound(all) / 2;

    for (uint32_t taken = h->asked; !list_empty(&h->held) && taken <= half; taken += half) {
        struct client *c = first_held(h);

        client_wake(c);
        c->more->heavy.turn = half;
    }
}

static void on_stuck(void *context)
{
    struct clients *all = context;
    struct heavies *h = &all->heavies;

    if (list_empty(&h->held))
        return;
    if (!h->moved) {
        all->count.stuck_pending++;
        h->asked = 0;
        h->epoch++;
    }
    h->moved = false;
    timer_start(h->timer, stuck_ms(all));
}
