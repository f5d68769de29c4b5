/* region.h - a range of addresses that gets its memory page by page as it is written.
 *
 *      base            resident                reserved
 *      |################|........................|
 *       memory           addresses only
 *
 * What is reserved costs no memory; who uses a region says with region_use() how far it has been
 * written and with region_cut() from where it is no longer needed, so that `resident` is what the
 * process holds. (arena.c keeps its own account, by segment.) Memory comes zeroed. */
#ifndef LARDER_CACHE_REGION_H
#define LARDER_CACHE_REGION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/check.h"

#define PAGE_BYTES ((size_t)4096)

struct region {
    char *base;
    size_t reserved, resident; /* bytes, multiples of PAGE_BYTES */
};

static inline size_t page_up(size_t bytes)
{
    return (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

/* False when the kernel has no such range of addresses (overcommit forbidden, ulimit -v). */
MUST_USE
bool region_init(struct region *r, size_t bytes);
/* Gives everything back; of a large region this takes milliseconds unless it was cut before. */
void region_done(struct region *r);

/* At least so many bytes of addresses; the region may move. False: it is as it was. */
MUST_USE
bool region_grow(struct region *r, size_t bytes);

/* The bytes below `end` may be written; CHECKs that they are reserved. */
static inline void region_use(struct region *r, size_t end)
{
    if (UNLIKELY(end > r->resident)) {
        CHECK(end <= r->reserved);
        r->resident = page_up(end);
    }
}

/* What lies behind `end` is forgotten; its whole pages are given back. */
void region_cut(struct region *r, size_t end);

/* Gives back whole pages somewhere inside; `resident` is not changed. */
void region_drop(struct region *r, size_t offset, size_t bytes);

#endif
