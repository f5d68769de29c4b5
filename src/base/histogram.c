/* histogram.c - see histogram.h: where the buckets end, and what is read from them. */
#include "base/histogram.h"

#include <stdbool.h>

/* q * count is not exact (0.07 * 100 is a little more than 7): so much more is none. */
#define RANK_SLACK 1e-6

uint32_t histogram_bound(unsigned bucket)
{
    unsigned shift;

    CHECK(bucket < HISTOGRAM_BUCKETS);
    if (bucket < 4)
        return bucket;
    shift = bucket / 4 - 1;
    return (uint32_t)(((uint64_t)(bucket % 4 + 5) << shift) - 1);
}

void histogram_halve(struct histogram *h)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        h->counts[i] -= h->counts[i] / 2;
}

uint64_t histogram_count(const struct histogram *h)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        n += h->counts[i];
    return n;
}

uint32_t histogram_quantile(const struct histogram *h, double q)
{
    uint64_t count = histogram_count(h), rank, seen = 0;
    double exact = q * (double)count;

    CHECK(q >= 0 && q <= 1);
    if (count == 0)
        return 0;
    rank = (uint64_t)exact;
    if (exact - (double)rank > RANK_SLACK || rank == 0)
        rank++;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        if (seen >= rank)
            return histogram_bound(i);
    }
    check_failed("rank <= count", __FILE__, __LINE__);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    bool full = false;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        full |= (uint64_t)into->counts[i] + from->counts[i] >= UINT32_MAX;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t sum = (uint64_t)into->counts[i] + from->counts[i];

        into->counts[i] = (uint32_t)(full ? sum - sum / 2 : sum);
    }
}
