/* turns.c - see turns.h. loop_run() does not return before loop_stop(), and after that never runs
 * again; a test wants to look in between. So loop.c is compiled into this file, which takes the
 * place of the room's own object, and gets a clock that tests can move. */
#include "turns.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t ahead_ms;

static int moved_clock(clockid_t clock, struct timespec *ret)
{
    int r = clock_gettime(clock, ret);
    uint64_t ms = (uint64_t)ret->tv_nsec / 1000000 + ahead_ms;

    ret->tv_sec += (time_t)(ms / 1000);
    ret->tv_nsec = (long)(ms % 1000) * 1000000;
    return r;
}

#define clock_gettime moved_clock
#include "net/loop.c"
#undef clock_gettime

/* Not loop_stop(), which would keep the next turn from waiting. */
static bool stop_here(void *context)
{
    struct loop *loop = context;

    loop->stopping = true;
    return false;
}

void turn(struct loop *loop)
{
    size_t own = loop->beat_count;
    bool more = false;

    /* What the test did belongs to a turn that ends now. */
    for (size_t i = 0; i < own; i++)
        more |= loop->beats[i].fn(loop->beats[i].context);
    if (more)
        event_active(loop->kick, EV_TIMEOUT, 0);

    /* A last beat for this turn only. What the others asked for (a turn that does not wait) is kept
     * by the event that loop_run() has made active. */
    CHECK(own < LOOP_BEATS);
    loop_add_beat(loop, stop_here, loop);
    loop->stopping = false;
    loop_run(loop);
    loop->beat_count = own;
}

void clock_move(uint64_t ms)
{
    ahead_ms += ms;
}
