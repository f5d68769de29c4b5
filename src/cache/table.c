/* table.c - linear hashing with buckets of a cache line, see table.h. */
#include "cache/table.h"

#include <string.h>

/* References per bucket above which the table grows, and below which it shrinks: apart, so that a
 * number that goes up and down does not make it work. */
#define GROW_ABOVE   8u
#define SHRINK_BELOW 3u

/* A page of buckets: with fewer nothing is won. */
#define BUCKETS_MIN ((uint32_t)(PAGE_BYTES / sizeof(struct bucket)))

static size_t buckets_size(uint64_t count)
{
    return (size_t)count * sizeof(struct bucket);
}

/* An overflow bucket is begun when the one before it in the chain is full. */
static uint64_t most_buckets(uint64_t most)
{
    return most / GROW_ABOVE + BUCKETS_MIN + 1;
}

static uint64_t most_overflow(uint64_t most)
{
    return most / BUCKET_SLOTS + 1;
}

bool table_init(struct table *t, uint64_t most)
{
    *t = (struct table){.n = BUCKETS_MIN, .half = BUCKETS_MIN};
    if (!region_init(&t->buckets, buckets_size(most_buckets(most))))
        return false;
    if (!region_init(&t->overflow, buckets_size(most_overflow(most)))) {
        region_done(&t->buckets);
        return false;
    }
    region_use(&t->buckets, buckets_size(t->n));
    return true;
}

void table_done(struct table *t)
{
    region_done(&t->buckets);
    region_done(&t->overflow);
}

bool table_reserve(struct table *t, uint64_t most)
{
    return region_grow(&t->buckets, buckets_size(most_buckets(most))) &&
           region_grow(&t->overflow, buckets_size(most_overflow(most)));
}

static struct bucket *overflow_bucket(const struct table *t, uint32_t number)
{
    return (struct bucket *)(void *)t->overflow.base + (number - 1);
}

static uint32_t overflow_take(struct table *t)
{
    uint32_t number = t->free;

    if (number != 0) {
        t->free = overflow_bucket(t, number)->next;
    } else {
        number = ++t->overflowed;
        region_use(&t->overflow, buckets_size(number));
    }
    memset(overflow_bucket(t, number), 0, sizeof(struct bucket));
    t->linked++;
    return number;
}

static void overflow_give(struct table *t, uint32_t number)
{
    overflow_bucket(t, number)->next = t->free;
    t->free = number;
    t->linked--;
}

static unsigned bucket_used(const struct bucket *b)
{
    unsigned used = 0;

    while (used < BUCKET_SLOTS && b->refs[used] != 0)
        used++;
    return used;
}

static void chain_add(struct table *t, struct bucket *b, uint16_t tag, uint32_t ref)
{
    unsigned slot;

    while (b->next != 0)
        b = overflow_bucket(t, b->next);
    slot = bucket_used(b);
    if (slot == BUCKET_SLOTS) {
        b->next = overflow_take(t);
        b = overflow_bucket(t, b->next);
        slot = 0;
    }
    b->tags[slot] = tag;
    b->refs[slot] = ref;
}

void table_add(struct table *t, uint64_t hash, uint32_t ref)
{
    chain_add(t, table_bucket(t, table_home(t, hash)), table_tag(hash), ref);
    t->count++;
}

void table_locate(const struct table *t, uint64_t hash, uint32_t ref, struct spot *ret_spot)
{
    struct spot spot;
    uint32_t found = table_first(t, hash, &spot);

    while (found != ref && found != 0)
        found = table_next(t, &spot);
    CHECK(found == ref);
    *ret_spot = spot;
}

/* The last of the chain fills the gap, so that the chain stays dense. */
void table_remove(struct table *t, uint64_t hash, const struct spot *spot)
{
    struct bucket *before = NULL, *last = table_bucket(t, table_home(t, hash));
    unsigned end;

    while (last->next != 0) {
        before = last;
        last = overflow_bucket(t, last->next);
    }
    end = bucket_used(last) - 1;
    spot->bucket->tags[spot->slot] = last->tags[end];
    spot->bucket->refs[spot->slot] = last->refs[end];
    last->refs[end] = 0;
    if (end == 0 && before != NULL) {
        overflow_give(t, before->next);
        before->next = 0;
    }
    t->count--;
}

/* Takes the chain of bucket i out, bucket by bucket: *ret_bucket is a copy, *next_number where to
 * go on, 0 behind the last. */
static void chain_take(struct table *t, struct bucket *b, uint32_t number,
                       struct bucket *ret_bucket)
{
    *ret_bucket = *b;
    if (number == 0)
        memset(b, 0, sizeof(*b));
    else
        overflow_give(t, number);
}

void table_grow(struct table *t, table_hashes *hashes, const void *context)
{
    uint32_t from = t->n - t->half, to = t->n, number = 0;

    if (LIKELY(t->count <= (uint64_t)t->n * GROW_ABOVE))
        return;
    region_use(&t->buckets, buckets_size((uint64_t)t->n + 1));
    memset(table_bucket(t, to), 0, sizeof(struct bucket));
    if (++t->n == 2 * t->half)
        t->half = t->n;
    do {
        struct bucket old;
        uint64_t hash[BUCKET_SLOTS];
        unsigned used;

        chain_take(t, number == 0 ? table_bucket(t, from) : overflow_bucket(t, number), number,
                   &old);
        used = bucket_used(&old);
        hashes(context, old.refs, used, hash);
        for (unsigned i = 0; i < used; i++)
            chain_add(t, table_bucket(t, table_home(t, hash[i])), old.tags[i], old.refs[i]);
        number = old.next;
    } while (number != 0);
}

bool table_shrink(struct table *t)
{
    uint32_t from = t->n - 1, number = 0;

    if (t->n == BUCKETS_MIN || t->count >= (uint64_t)t->n * SHRINK_BELOW)
        return false;
    if (from < t->half)
        t->half /= 2;
    t->n = from;
    do {
        struct bucket old;
        unsigned used;

        chain_take(t, number == 0 ? table_bucket(t, from) : overflow_bucket(t, number), number,
                   &old);
        used = bucket_used(&old);
        for (unsigned i = 0; i < used; i++)
            chain_add(t, table_bucket(t, from - t->half), old.tags[i], old.refs[i]);
        number = old.next;
    } while (number != 0);
    if (from % BUCKETS_MIN == 0)
        region_cut(&t->buckets, buckets_size(from));
    if (t->overflowed > 0 && t->linked == 0) {
        t->overflowed = t->free = 0;
        region_cut(&t->overflow, 0);
    }
    return true;
}

void table_cut(struct table *t, size_t bytes)
{
    struct region *r = t->buckets.resident > 0 ? &t->buckets : &t->overflow;

    region_cut(r, r->resident > bytes ? r->resident - bytes : 0);
}
