/* rate.c - a token bucket, see rate.h. In one ms come `rate` thousandths of a token: no division,
 * and so nothing to round. */
#include "base/rate.h"

#define MILLI UINT64_C(1000)

static uint64_t full(const struct rate *r)
{
    return r->burst * MILLI;
}

static void fill_up(struct rate *r, uint64_t now_ms)
{
    uint64_t missing = full(r) - r->milli, passed;

    if (now_ms <= r->at_ms)
        return;
    passed = now_ms - r->at_ms;
    r->at_ms = now_ms;
    /* Compared by division: the product may be more than 64 bits have. */
    r->milli += passed > missing / r->rate ? missing : passed * r->rate;
}

static void set_bounds(struct rate *r, uint64_t rate, uint64_t burst)
{
    CHECK(rate <= RATE_MAX && burst <= RATE_MAX);
    r->rate = rate;
    r->burst = burst > 0 ? burst : 1;
}

void rate_init(struct rate *r, uint64_t rate, uint64_t burst, uint64_t now_ms)
{
    set_bounds(r, rate, burst);
    r->milli = full(r);
    r->at_ms = now_ms;
}

void rate_set(struct rate *r, uint64_t rate, uint64_t burst, uint64_t now_ms)
{
    if (r->rate == 0) { /* there was no bound, so nothing was used up */
        rate_init(r, rate, burst, now_ms);
        return;
    }
    fill_up(r, now_ms);
    set_bounds(r, rate, burst);
    if (r->milli > full(r))
        r->milli = full(r);
}

bool rate_take(struct rate *r, uint64_t n, uint64_t now_ms)
{
    if (r->rate == 0)
        return true;
    fill_up(r, now_ms);
    if (n > r->milli / MILLI)
        return false;
    r->milli -= n * MILLI;
    return true;
}

bool rate_has(struct rate *r, uint64_t n, uint64_t now_ms)
{
    if (r->rate == 0)
        return true;
    fill_up(r, now_ms);
    return n <= r->milli / MILLI;
}

uint64_t rate_take_some(struct rate *r, uint64_t n, uint64_t now_ms)
{
    uint64_t there;

    if (r->rate == 0)
        return n;
    fill_up(r, now_ms);
    there = r->milli / MILLI;
    if (there > n)
        there = n;
    r->milli -= there * MILLI;
    return there;
}

uint64_t rate_wait_ms(struct rate *r, uint64_t n, uint64_t now_ms)
{
    uint64_t want;

    if (r->rate == 0)
        return 0;
    fill_up(r, now_ms);
    want = (n < r->burst ? n : r->burst) * MILLI;
    return want <= r->milli ? 0 : (want - r->milli + r->rate - 1) / r->rate;
}
