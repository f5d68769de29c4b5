/* prefixes.h - a set of key prefixes, as the upstream is told them. */
#ifndef LARDER_UPSTREAM_PREFIXES_H
#define LARDER_UPSTREAM_PREFIXES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/* Sorted, and none begins with another: an overlap makes Redis answer CLIENT TRACKING twice, and
 * every later reply be another's. All zero is the empty set, which covers nothing; the prefix ""
 * covers every key. */
struct prefixes {
    struct slice *v;
    size_t n;
    char *bytes; /* what v points into */
};

/* Replaces what *p was by a copy of from[0..n), which may be slices of *p. */
void prefixes_set(struct prefixes *p, const struct slice *from, size_t n);
/* Adds what is in `from` and is not covered `by` the others. */
void prefixes_add_uncovered(struct prefixes *p, const struct prefixes *from,
                            const struct prefixes *by);
void prefixes_done(struct prefixes *p);

MUST_USE
bool prefixes_same(const struct prefixes *a, const struct prefixes *b);
/* The key begins with one of them. */
MUST_USE
bool prefixes_cover(const struct prefixes *p, struct slice key);
/* Some key begins with one of each. */
MUST_USE
bool prefixes_overlap(const struct prefixes *a, const struct prefixes *b);

#endif
