/* histogram.h - how long things took: counts of durations, from which quantiles are read.
 *
 * Log-linear: 0 to 3 us have a bucket each, and every power of two above has four, so that a
 * quantile is at most a quarter more than the truth:
 *
 *      us   0 1 2 3 | 4 5 6 7 | 8-9 10-11 12-13 14-15 | 16-19 20-23 24-27 28-31 | 32-39 ..
 *
 * It goes to 2^32 - 1 us (71 minutes): commands may be given more than a minute, 67 s (2^26) would
 * save no more than 96 bytes, and buckets that nothing falls into stay out of the cache. Counts of
 * 32 bits keep it at 496 bytes, so a policy can have several. When one is full, all are halved: the
 * shape stays, the past weighs less. Totals that only grow are counters' business (counters.h). */
#ifndef LARDER_BASE_HISTOGRAM_H
#define LARDER_BASE_HISTOGRAM_H

#include <stdint.h>

#include "base/check.h"

#define HISTOGRAM_BUCKETS 124u

/* All zero: empty. A plain value, to be copied and cleared as such. */
struct histogram {
    uint32_t counts[HISTOGRAM_BUCKETS];
};

/* The bucket of a duration: the number of its highest bit, and the two bits behind that. */
static inline unsigned histogram_bucket(uint64_t us)
{
    uint32_t v = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
    unsigned top;

    if (v < 4)
        return v;
    top = 31u - (unsigned)__builtin_clz(v);
    return (top - 1) * 4 + ((v >> (top - 2)) & 3);
}

/* The longest duration in the bucket, in us. */
MUST_USE
uint32_t histogram_bound(unsigned bucket);

/* Halves all counts, rounding up: what was seen once stays seen. */
void histogram_halve(struct histogram *h);

static inline void histogram_add(struct histogram *h, uint64_t us)
{
    if (UNLIKELY(++h->counts[histogram_bucket(us)] == UINT32_MAX))
        histogram_halve(h);
}

/* How many there are (after a halving: half as many). */
MUST_USE
uint64_t histogram_count(const struct histogram *h);

/* The time in us within which a share q (0 to 1) of them was done: the upper bound of the bucket
 * that has the one in question; q 0 is the shortest. 0 when empty. */
MUST_USE
uint32_t histogram_quantile(const struct histogram *h, double q);

/* Adds the counts of `from` to those of `into`; they may be the same. If one would overflow, all
 * the sums are halved. */
void histogram_merge(struct histogram *into, const struct histogram *from);

#endif
