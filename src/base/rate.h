/* rate.h - a token bucket: so many a second on average, and so many at once.
 *
 *      rate ----> ( tokens )  at most `burst`
 *                     |
 *                rate_take()
 *
 * No clock of its own: the caller says what time it is, in ms on a clock that does not go back (if
 * it does, no time has passed). Counted in thousandths of a token, in whole numbers: nothing is
 * lost or won over time, however often it is asked. One that is all zero has no bound. */
#ifndef LARDER_BASE_RATE_H
#define LARDER_BASE_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"

/* The most that can be asked for, so that no sum overflows. */
#define RATE_MAX UINT64_C(1000000000000)

struct rate {
    uint64_t rate;  /* tokens a second; 0: no bound */
    uint64_t burst; /* tokens */
    uint64_t milli; /* thousandths of a token that are there */
    uint64_t at_ms; /* .. at this time */
};

/* A full bucket. `rate` and `burst` up to RATE_MAX; a burst of 0 is one of 1. */
void rate_init(struct rate *r, uint64_t rate, uint64_t burst, uint64_t now_ms);
/* Other bounds: what is there stays, as far as it goes in. */
void rate_set(struct rate *r, uint64_t rate, uint64_t burst, uint64_t now_ms);

/* Takes n tokens, if there are so many; more than the burst there never are. */
MUST_USE
bool rate_take(struct rate *r, uint64_t n, uint64_t now_ms);
/* Are there so many? Nothing is taken. */
MUST_USE
bool rate_has(struct rate *r, uint64_t n, uint64_t now_ms);
/* Takes as many of n as there are; returns how many. */
MUST_USE
uint64_t rate_take_some(struct rate *r, uint64_t n, uint64_t now_ms);
/* In how many ms there will be n tokens (of a burst of them at most), if nobody takes any; 0: now.
 */
MUST_USE
uint64_t rate_wait_ms(struct rate *r, uint64_t n, uint64_t now_ms);

#endif
