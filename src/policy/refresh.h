/* refresh.h - is a value that is still fresh to be loaded anew now (refresh_ahead)?
 *
 * XFetch: "Optimal Probabilistic Cache Stampede Prevention" (Vattani, Chierichetti, Lowenstein;
 * VLDB 2015), with beta = 1. Every read draws, and loads if
 *
 *      now - load_time * ln(drawn) >= expiry
 *
 * so that the more often a key is asked for the earlier it is loaded, but by little more than the
 * time that its load takes; one that nobody asks for is not. */
#ifndef LARDER_POLICY_REFRESH_H
#define LARDER_POLICY_REFRESH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"

/* How long a load takes, in us: of what was measured, the later weighs more. All zero: nothing
 * was, and nothing is loaded ahead. */
struct load_time {
    uint64_t average_us;
    bool known;
};

void load_time_add(struct load_time *t, uint64_t us);

/* Can it be due, whatever is drawn? Saves the drawing for the last moments of a key. */
MUST_USE
bool refresh_near(const struct load_time *t, uint64_t left_ms);

/* drawn: evenly, above 0 and up to 1. left_ms: until the key expires. */
MUST_USE
bool refresh_due(const struct load_time *t, uint64_t left_ms, double drawn);

/* A number that random bits make, for refresh_due(). */
MUST_USE
double refresh_drawn(uint64_t bits);

#endif
