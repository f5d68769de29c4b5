/* prefixes.c - see prefixes.h. Few: the settings name them, and the upstream walks them all at each
 * write. */
#include "upstream/prefixes.h"

#include <stdlib.h>

static int by_bytes(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    size_t n = x->n < y->n ? x->n : y->n;
    int order = n == 0 ? 0 : memcmp(x->p, y->p, n);

    return order != 0 ? order : (x->n > y->n) - (x->n < y->n);
}

void prefixes_set(struct prefixes *p, const struct slice *from, size_t n)
{
    struct prefixes fresh = {0};
    size_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += from[i].n;
    fresh.v = must_calloc(n + 1, sizeof *fresh.v);
    fresh.bytes = must_alloc(bytes + 1);
    bytes = 0;
    for (size_t i = 0; i < n; i++) {
        if (from[i].n > 0)
            memcpy(fresh.bytes + bytes, from[i].p, from[i].n);
        fresh.v[i] = slice_of(fresh.bytes + bytes, from[i].n);
        bytes += from[i].n;
    }
    qsort(fresh.v, n, sizeof *fresh.v, by_bytes);
    /* Whatever begins with a prefix stands right behind it. */
    for (size_t i = 0; i < n; i++) {
        if (fresh.n == 0 || !slice_starts(fresh.v[i], fresh.v[fresh.n - 1]))
            fresh.v[fresh.n++] = fresh.v[i];
    }
    prefixes_done(p);
    *p = fresh;
}

void prefixes_add_uncovered(struct prefixes *p, const struct prefixes *from,
                            const struct prefixes *by)
{
    struct slice *all = must_calloc(p->n + from->n + 1, sizeof *all);
    size_t n = 0;

    for (size_t i = 0; i < p->n; i++)
        all[n++] = p->v[i];
    for (size_t i = 0; i < from->n; i++) {
        if (!prefixes_cover(by, from->v[i]))
            all[n++] = from->v[i];
    }
    prefixes_set(p, all, n);
    free(all);
}

void prefixes_done(struct prefixes *p)
{
    free(p->v);
    free(p->bytes);
    *p = (struct prefixes){0};
}

bool prefixes_same(const struct prefixes *a, const struct prefixes *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (!slice_eq(a->v[i], b->v[i]))
            return false;
    }
    return true;
}

bool prefixes_cover(const struct prefixes *p, struct slice key)
{
    for (size_t i = 0; i < p->n; i++) {
        if (slice_starts(key, p->v[i]))
            return true;
    }
    return false;
}

bool prefixes_overlap(const struct prefixes *a, const struct prefixes *b)
{
    for (size_t i = 0; i < a->n; i++) {
        if (prefixes_cover(b, a->v[i]))
            return true;
    }
    for (size_t i = 0; i < b->n; i++) {
        if (prefixes_cover(a, b->v[i]))
            return true;
    }
    return false;
}
