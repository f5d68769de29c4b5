/* prefix.h - the grammar of a policy's prefixes.
 *
 * A prefix matches keys that begin with it. A `*` that is all there is between two colons, or
 * before the first, stands for one part of the key that is not empty and holds no colon:
 * `user:*:cart:`. A
 * `*` as the last character says nothing but that more may follow, which it may behind any prefix:
 * `user:*` is `user:`, and `*` alone is the empty prefix, with which every key begins. Any other
 * `*` is a mistake. */
#ifndef LARDER_CONFIG_PREFIX_H
#define LARDER_CONFIG_PREFIX_H

#include <stdbool.h>

#include "base/check.h"
#include "base/slice.h"

static inline bool prefix_ok(struct slice prefix)
{
    for (size_t i = 0; i + 1 < prefix.n; i++) {
        if (prefix.p[i] == '*' && ((i > 0 && prefix.p[i - 1] != ':') || prefix.p[i + 1] != ':'))
            return false;
    }
    return true;
}

/* The prefix as it matches, without a last *; of the bytes that are given. Two prefixes match the
 * same keys when and only when these are equal. */
static inline struct slice prefix_pattern(struct slice prefix)
{
    if (prefix.n > 0 && prefix.p[prefix.n - 1] == '*')
        prefix.n--;
    return prefix;
}

#endif
