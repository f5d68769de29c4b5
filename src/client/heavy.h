/* heavy.h - how much of what heavy clients ask may be unanswered. A client is heavy that has more
 * to say than is served in a turn (turns.c); the others are called light.
 *
 *      has room --asks--> unanswered --answered--> has room
 *      has none, and nothing unanswered --> held back --first in the line, and room--> has a turn
 *
 * What is unanswered of all of them together has a bound, in units (HEAVY_BYTES). It is small while
 * light clients ask Redis too: Redis executes all that it finds on a connection before it looks at
 * the next, so that they wait for as much as was sent at once. It is as much as Redis executes in
 * a round trip: then they wait twice as long as alone, however far away Redis is.
 *
 * Where there is no room for all they take turns with half of the bound each, rather than each have
 * a little all the time, for which a system call would cost more than the answers. Who does not
 * read its answers, or blocks, is not answered: when nobody has been for HEAVY_STUCK_MS, what is
 * unanswered does not count any more. */
#ifndef LARDER_CLIENT_HEAVY_H
#define LARDER_CLIENT_HEAVY_H

#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/list.h"

struct client;
struct clients;
struct timer;

/* All heavy clients; in struct clients. */
struct heavies {
    uint64_t light_ms; /* when a light client asked last that has been answered by Redis */
    uint32_t asked;    /* units unanswered */
    uint32_t epoch;    /* what was asked in another does not count */
    bool moved;        /* some have been answered since the timer began */
    struct list held;  /* sessions held back, by waiter.node */
    struct timer *timer;
};

/* One; in struct session. */
struct heavy {
    uint64_t asked_ms; /* when it last asked while heavy; 0: never */
    uint32_t asked;    /* units unanswered, of this epoch: */
    uint32_t epoch;
    uint32_t turn; /* units it may ask although others are held back */
};

void heavies_init(struct clients *all);
void heavies_done(struct clients *all);
/* A light client that has asked then has been answered by Redis. */
static inline void heavies_note_light(struct heavies *h, uint64_t asked_ms)
{
    if (asked_ms > h->light_ms)
        h->light_ms = asked_ms;
}
/* Lets on who can be; of every turn, before clients are served. */
void heavies_beat(struct clients *all);

/* A heavy client has asked; n more of what it asked are answered, so that `owed` is due; it is
 * light from now on. */
void heavy_asked(struct client *c, uint32_t n, size_t bytes);
/* .. has asked what it wants no answers to: that is not counted. */
void heavy_muted(struct client *c, uint32_t n, size_t bytes);
void heavy_answered(struct client *c, uint32_t n);
void heavy_over(struct client *c);
/* It waits for room (WAIT_PENDING): in the line, if no answers of its own will wake it. */
void heavy_waits(struct client *c);
/* It waits, for whatever it is: its turn is over. */
void heavy_misses(struct client *c);
/* So many may be unanswered of its requests, and so many bytes it may ask now: one more is fine. */
MUST_USE
uint64_t heavy_most_pending(const struct client *c);
MUST_USE
size_t heavy_most_bytes(const struct client *c);
/* Who was heavy has not been for long enough to be taken for light. */
MUST_USE
bool heavy_long_ago(const struct client *c);

#endif
