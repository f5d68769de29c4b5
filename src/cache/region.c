/* region.c - reserving addresses, see region.h. */
#include "cache/region.h"

#include <sys/mman.h>

bool region_init(struct region *r, size_t bytes)
{
    void *p;

    bytes = page_up(bytes);
    p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
             0);
    if (p == MAP_FAILED)
        return false;
    /* A first byte must cost a page, not the two megabytes that `enabled = always` would give: the
     * account of a small cache would be wrong by more than the cache. */
    (void)madvise(p, bytes, MADV_NOHUGEPAGE);
    *r = (struct region){.base = p, .reserved = bytes};
    return true;
}

void region_done(struct region *r)
{
    if (r->base)
        CHECK(munmap(r->base, r->reserved) == 0);
    *r = (struct region){0};
}

bool region_grow(struct region *r, size_t bytes)
{
    void *p;

    bytes = page_up(bytes);
    if (bytes <= r->reserved)
        return true;
    p = mremap(r->base, r->reserved, bytes, MREMAP_MAYMOVE);
    if (p == MAP_FAILED)
        return false;
    r->base = p;
    r->reserved = bytes;
    return true;
}

void region_cut(struct region *r, size_t end)
{
    end = page_up(end);
    if (end >= r->resident)
        return;
    region_drop(r, end, r->resident - end);
    r->resident = end;
}

void region_drop(struct region *r, size_t offset, size_t bytes)
{
    CHECK(offset % PAGE_BYTES == 0 && offset + bytes <= r->reserved);
    CHECK(madvise(r->base + offset, bytes, MADV_DONTNEED) == 0);
}
