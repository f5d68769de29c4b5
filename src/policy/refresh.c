/* refresh.c - see refresh.h. */
#include "policy/refresh.h"

#include <math.h>

/* One load in so many makes the average. */
#define AVERAGE_OF 8u

/* -ln of the least that refresh_drawn() gives, 2^-53, rounded up. */
#define MOST_DRAWN 37u

void load_time_add(struct load_time *t, uint64_t us)
{
    if (!t->known)
        t->average_us = us;
    else if (us > t->average_us)
        t->average_us += (us - t->average_us) / AVERAGE_OF;
    else
        t->average_us -= (t->average_us - us) / AVERAGE_OF;
    t->known = true;
}

bool refresh_near(const struct load_time *t, uint64_t left_ms)
{
    return t->known && left_ms <= t->average_us / 1000 * MOST_DRAWN + MOST_DRAWN;
}

bool refresh_due(const struct load_time *t, uint64_t left_ms, double drawn)
{
    return refresh_near(t, left_ms) &&
           -log(drawn) * (double)t->average_us >= (double)left_ms * 1000.0;
}

double refresh_drawn(uint64_t bits)
{
    return ((double)(bits >> 11) + 1.0) * 0x1p-53;
}
