/* spread.h - many keys, one writer past the larders: how stale do they become? */
#ifndef LARDER_TESTS_COHERENCE_SPREAD_H
#define LARDER_TESTS_COHERENCE_SPREAD_H

#include "truth.h"

struct spread_options {
    int port[VIA_COUNT];
    int seconds, keys, readers; /* readers: through each larder */
    uint64_t seed, rate;        /* writes a second */
    uint64_t age_limit_us;      /* nothing older may be read */
    double stale_percent;       /* so many reads may be stale */
};

/* 0: fine. */
int spread_run(const struct spread_options *options);

struct deadline_options {
    int port[VIA_COUNT];
    int keys, readers;
    uint64_t seed, late_us; /* a read sent later than so after the deadline must find nothing */
    uint64_t ahead_ms;      /* how far ahead the deadline is set */
};

int deadline_run(const struct deadline_options *options);

#endif
