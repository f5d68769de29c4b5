/* counters.h - what larder counts, one row each: name, kind, help.
 *
 * A room writes its rows once as an X-macro and derives struct and table from it:
 *
 *     #define NET_COUNTERS(X) X(accepted, TOTAL, "connections accepted") ...
 *     struct net_counters { NET_COUNTERS(COUNTER_FIELD) };
 *     static const struct counter_row rows[] = { NET_COUNTERS(COUNTER_ROW(struct net_counters)) };
 *
 * LARDER STATS, the INFO section and metrics all read these tables. */
#ifndef LARDER_BASE_COUNTERS_H
#define LARDER_BASE_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

enum counter_kind {
    TOTAL, /* only grows while the process lives */
    LEVEL, /* goes up and down */
};

struct counter_row {
    const char *name;
    enum counter_kind kind;
    size_t offset; /* of a uint64_t in the values */
    const char *help;
};

/* A room's counters: the rows and where their values are. */
struct counter_set {
    const char *room;
    const struct counter_row *rows;
    size_t count;
    const void *values;
};

#define COUNTER_FIELD(name, kind, help) uint64_t name;

static inline uint64_t counter_value(const struct counter_set *set, size_t i)
{
    return *(const uint64_t *)(const void *)((const char *)set->values + set->rows[i].offset);
}

#endif
