/* record.c - writing records, and the blocks that large replies are kept in, see record.h. */
#include "cache/record.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "cache/region.h"

/* From so many bytes on a block has pages of its own. malloc() does that too, but only until it has
 * seen one freed: from then on such blocks lie in its heap, whose holes it keeps. */
#define MAPPED_BYTES ((size_t)128 * 1024)

/* What malloc() adds to an allocation. */
#define MALLOC_OVERHEAD 8u

void plan_write(const struct plan *p, struct record *r)
{
    enum record_expiry expiry = plan_expiry(p);
    char *to = r->data;

    r->stamp = p->stamp & ((UINT64_C(1) << 48) - 1);
    r->policy = p->policy;
    r->deadline = p->deadline & DEADLINE_MAX;
    r->value = (p->outside ? POINTER_BYTES : p->value.n) & RECORD_VALUE_MAX;
    r->kind = p->kind & 3u;
    r->block = p->outside;
    r->expiry = (unsigned)expiry & 3u;
    r->role = p->role & 3u;
    r->freq = p->freq & FREQ_MAX;
    r->key = (uint16_t)p->q.key.n;
    r->scope = p->q.scope;
    if (expiry == EXPIRY_LATER) {
        uint32_t later = (uint32_t)(p->expiry - p->deadline);

        to = mempcpy(to, &later, sizeof(later));
    } else if (expiry == EXPIRY_FULL) {
        to = mempcpy(to, &p->expiry, sizeof(p->expiry));
    }
    if (p->role == ROLE_BORN)
        to = mempcpy(to, &p->birth, sizeof(p->birth));
    if (p->role == ROLE_VARIANT) {
        uint16_t n = (uint16_t)p->q.ask.n;

        to = mempcpy(to, &n, sizeof(n));
    }
    if (p->q.key.n)
        to = mempcpy(to, p->q.key.p, p->q.key.n);
    if (p->q.ask.n)
        to = mempcpy(to, p->q.ask.p, p->q.ask.n);
    if (p->outside)
        (void)mempcpy(to, &p->block, POINTER_BYTES);
    else if (p->value.n)
        (void)mempcpy(to, p->value.p, p->value.n);
}

size_t block_cost(size_t n)
{
    n += sizeof(struct block);
    return n >= MAPPED_BYTES ? page_up(n) : (n + MALLOC_OVERHEAD + 15) & ~(size_t)15;
}

struct block *block_new(struct slice bytes)
{
    size_t size = sizeof(struct block) + bytes.n;
    struct block *b = MAP_FAILED;

    if (size >= MAPPED_BYTES)
        b = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1,
                 0);
    if (b != MAP_FAILED) {
        b->mapped = true;
    } else {
        b = must_alloc(size);
        b->mapped = false;
    }
    b->refs = 1;
    b->n = bytes.n;
    memcpy(b->bytes, bytes.p, bytes.n);
    return b;
}

struct block *block_hold(struct block *b)
{
    CHECK(b->refs > 0 && b->refs < UINT32_MAX);
    b->refs++;
    return b;
}

void block_release(struct block *b)
{
    CHECK(b->refs > 0);
    if (--b->refs > 0)
        return;
    if (b->mapped)
        CHECK(munmap(b, sizeof(*b) + b->n) == 0);
    else
        free(b);
}
