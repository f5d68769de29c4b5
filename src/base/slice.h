/* slice.h - a view of bytes that somebody else owns; not NUL-terminated. */
#ifndef LARDER_BASE_SLICE_H
#define LARDER_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"

struct slice {
    const char *p;
    size_t n;
};

/* SLICE("literal"): a slice of a string literal, without its NUL. */
#define SLICE(lit) ((struct slice){"" lit, sizeof(lit) - 1})

static inline struct slice slice_of(const char *p, size_t n)
{
    return (struct slice){p, n};
}

static inline struct slice slice_str(const char *s)
{
    return (struct slice){s, s ? strlen(s) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII letters compare without case, as RESP command names and options do. Arguments may hold
 * NUL bytes; strncasecmp stops there, so the lengths are compared first and the rest bytewise. */
static inline bool slice_is(struct slice a, const char *word)
{
    size_t n = strlen(word);

    return a.n == n && (n == 0 || (strncasecmp(a.p, word, n) == 0 && memchr(a.p, 0, n) == NULL));
}

/* As Redis compares the options of a command: as C strings, so that what stands behind a NUL byte
 * does not count. Whoever must know what Redis will make of an argument asks this way. */
static inline bool option_is(struct slice a, const char *option)
{
    size_t n = strlen(option);

    return a.n >= n && strncasecmp(a.p, option, n) == 0 && (a.n == n || a.p[n] == 0);
}

static inline bool slice_starts(struct slice a, struct slice head)
{
    return a.n >= head.n && (head.n == 0 || memcmp(a.p, head.p, head.n) == 0);
}

/* Bytewise order: below, at or above 0 as a comes before, is or comes behind b; a head comes before
 * what it begins. */
static inline int slice_order(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;

    if (order != 0 || a.n == b.n)
        return order;
    return a.n < b.n ? -1 : 1;
}

/* Reads a decimal integer the way Redis' string2ll does: optional '-', no '+', no blanks, no
 * leading zeros, nothing behind it, within int64. False and *ret_value untouched otherwise. */
MUST_USE
bool slice_int(struct slice s, int64_t *ret_value);

#endif
