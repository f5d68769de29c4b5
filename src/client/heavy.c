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
static uint32_t bound(const struct client *c)
{
    uint32_t trip_us = c->link != NULL && c->link->aside ? c->link->trip_us : 0;

    if (!is_beside_light(c->all) || trip_us > HEAVY_PENDING)
        return HEAVY_PENDING;
    return trip_us > BESIDE_PENDING ? trip_us : BESIDE_PENDING;
}

/* Units. */
static uint32_t unanswered(const struct client *c)
{
    const struct session *m = c->more;

    return m != NULL && m->heavy.epoch == c->all->heavies.epoch ? m->heavy.asked : 0;
}

/* In units, what it may ask now. What is asked for it by others (fills) counts for itself alone. */
static uint32_t room(const struct client *c)
{
    const struct heavies *h = &c->all->heavies;
    uint32_t most = bound(c), counted = unanswered(c);
    uint64_t own = (counted > c->owed ? counted : c->owed) + (uint64_t)c->promised;
    uint32_t left = h->asked < most ? most - h->asked : 0;

    if (c->more != NULL && c->more->heavy.let_on)
        left = most / 2;
    else if (own == 0 && !list_empty(&h->held))
        return 0;
    if (!list_empty(&h->held) || h->asked > counted)
        most /= 2;
    most = own < most ? most - (uint32_t)own : 0;
    return most < left ? most : left;
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

void heavy_asked(struct client *c, uint32_t n, size_t bytes)
{
    struct heavies *h = &c->all->heavies;
    struct heavy *own = &client_session(c)->heavy;
    size_t weight = bytes / HEAVY_BYTES;
    uint32_t units = weight <= n ? n : weight < HEAVY_PENDING ? (uint32_t)weight : HEAVY_PENDING;

    own->asked = unanswered(c) + units;
    own->epoch = h->epoch;
    own->asked_ms = client_now(c);
    own->let_on = false;
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

    if (own > 0)
        give_back(c, (uint32_t)(own - own * c->owed / (c->owed + n)));
}

void heavy_over(struct client *c)
{
    if (unanswered(c) > 0)
        give_back(c, c->more->heavy.asked);
}

/* ---- the line ---- */

void heavy_waits(struct client *c)
{
    struct heavies *h = &c->all->heavies;

    if (c->owed + c->promised > 0 || room(c) > 0)
        return;
    list_push_back(&h->held, &c->more->waiter.node);
    if (!timer_running(h->timer)) {
        h->moved = false;
        timer_start(h->timer, HEAVY_STUCK_MS);
    }
}

static struct client *first_held(const struct heavies *h)
{
    return CONTAINER_OF(h->held.next, struct session, waiter.node)->client;
}

/* Who is let on and turns out to ask nothing keeps nobody: another turn comes at once. */
void heavies_beat(struct clients *all)
{
    struct heavies *h = &all->heavies;
    uint32_t taken = h->asked;

    while (!list_empty(&h->held)) {
        struct client *c = first_held(h);
        uint32_t most = bound(c);

        if (taken + most / 2 > most)
            return;
        taken += most / 2;
        c->more->heavy.let_on = true;
        client_wake(c);
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
    timer_start(h->timer, HEAVY_STUCK_MS);
}
