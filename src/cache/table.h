/* table.h - the hash table of a shelf: 32-bit references by 64-bit hashes, in buckets of one cache
 * line, grown and shrunk by one bucket at a time (linear hashing, Litwin 1980).
 *
 *      buckets    [0][1][2] .. [half-1] [half] .. [n-1]          half <= n < 2 * half
 *      home of h: h mod 2*half, or h mod half if there is no such bucket yet
 *      split:     bucket n - half gives those that belong there to the new bucket n
 *      a bucket:  10 tags of 16 bits, 10 references, link to an overflow bucket
 *
 * A chain (a bucket and its overflow) is dense: only its last bucket has free slots, at the end.
 * With 8 references a bucket on average, 9 % of them are in overflow, and all takes 10 bytes each.
 * What a reference stands for is the owner's business: it compares, and hashes when asked to. */
#ifndef LARDER_CACHE_TABLE_H
#define LARDER_CACHE_TABLE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include "cache/region.h"

#define BUCKET_SLOTS 10

/* One line of the processor's cache: they lie one behind the other from the start of a page. Not
 * alignas(64): gcc 12 puts a copy on the stack at 32 under AddressSanitizer (gcc bug 110027). */
struct bucket {
    uint32_t refs[BUCKET_SLOTS]; /* 0: free */
    uint16_t tags[BUCKET_SLOTS];
    uint32_t next; /* overflow bucket + 1 */
};
_Static_assert(sizeof(struct bucket) == 64, "a cache line");

/* The hashes of `count` references, at most BUCKET_SLOTS: together, so that they can be fetched
 * from memory at the same time. */
typedef void table_hashes(const void *context, const uint32_t *refs, unsigned count,
                          uint64_t *ret_hashes);

struct table {
    struct region buckets, overflow;
    uint32_t n, half;
    uint32_t free;       /* overflow buckets to reuse, linked by `next` */
    uint32_t overflowed; /* as many were ever used */
    uint32_t linked;     /* of them, in chains now: without any all are given back */
    uint64_t count;      /* of references */
};

/* A place in the table: of a reference whose tag is that of the hash looked for. Good until the
 * table is changed. */
struct spot {
    struct bucket *bucket;
    uint64_t matches; /* slots of the bucket still to be offered, see bucket_matches() */
    unsigned slot;
    uint16_t tag;
};

/* Room for `most` references; the table reserves addresses for them. False: there are none. */
MUST_USE
bool table_init(struct table *t, uint64_t most);
void table_done(struct table *t);
MUST_USE
bool table_reserve(struct table *t, uint64_t most);

/* The memory it holds, in bytes. */
static inline size_t table_bytes(const struct table *t)
{
    return t->buckets.resident + t->overflow.resident;
}

static inline struct bucket *table_bucket(const struct table *t, uint32_t i)
{
    return (struct bucket *)(void *)t->buckets.base + i;
}

static inline struct bucket *table_next_bucket(const struct table *t, const struct bucket *b)
{
    return b->next == 0 ? NULL : (struct bucket *)(void *)t->overflow.base + (b->next - 1);
}

static inline uint32_t table_home(const struct table *t, uint64_t hash)
{
    uint32_t i = (uint32_t)hash & (2 * t->half - 1);

    return i < t->n ? i : i & (t->half - 1);
}

static inline uint16_t table_tag(uint64_t hash)
{
    return (uint16_t)(hash >> 48);
}

/* Four tags at once: the upper bit of each that is zero in `x`. */
static inline uint64_t zero_tags(uint64_t x)
{
    const uint64_t low = UINT64_C(0x7fff7fff7fff7fff);

    return ~(((x & low) + low) | x | low);
}

/* The slots with that tag, free ones among them: bit 16 * (slot % 4) + slot / 4. */
static inline uint64_t bucket_matches(const struct bucket *b, uint16_t tag)
{
    uint64_t all = tag * UINT64_C(0x0001000100010001), words[2];
    uint32_t rest;

    memcpy(words, b->tags, sizeof(words));
    memcpy(&rest, b->tags + 8, sizeof(rest));
    return zero_tags(le64toh(words[0]) ^ all) >> 15 | zero_tags(le64toh(words[1]) ^ all) >> 14 |
           (zero_tags(le32toh(rest) ^ all) & UINT64_C(0x80008000)) >> 13;
}

/* Candidates for a hash, one after the other; 0 when there are no more.
 *
 *     for (ref = table_first(t, hash, &spot); ref != 0; ref = table_next(t, &spot)) */
static inline uint32_t table_next(const struct table *t, struct spot *spot)
{
    for (;;) {
        unsigned bit;

        while (spot->matches == 0) {
            spot->bucket = table_next_bucket(t, spot->bucket);
            if (spot->bucket == NULL)
                return 0;
            spot->matches = bucket_matches(spot->bucket, spot->tag);
        }
        bit = (unsigned)__builtin_ctzll(spot->matches);
        spot->matches &= spot->matches - 1;
        spot->slot = bit / 16 + bit % 16 * 4;
        if (LIKELY(spot->bucket->refs[spot->slot] != 0))
            return spot->bucket->refs[spot->slot];
    }
}

static inline uint32_t table_first(const struct table *t, uint64_t hash, struct spot *ret_spot)
{
    struct bucket *b = table_bucket(t, table_home(t, hash));

    ret_spot->bucket = b;
    ret_spot->tag = table_tag(hash);
    ret_spot->matches = bucket_matches(b, ret_spot->tag);
    return table_next(t, ret_spot);
}

/* Has the bucket fetched from memory. */
static inline void table_prefetch(const struct table *t, uint64_t hash)
{
    __builtin_prefetch(table_bucket(t, table_home(t, hash)));
}

/* Where this very reference is; CHECKs that it is there. */
void table_locate(const struct table *t, uint64_t hash, uint32_t ref, struct spot *ret_spot);

void table_add(struct table *t, uint64_t hash, uint32_t ref);
/* Another reference of the same hash at that place. */
static inline void table_set(const struct spot *spot, uint32_t ref)
{
    spot->bucket->refs[spot->slot] = ref;
}
void table_remove(struct table *t, uint64_t hash, const struct spot *spot);

/* One bucket more, when there are too few for what the table holds; call it after table_add().
 * One less, when there are far too many: false when there are not. */
void table_grow(struct table *t, table_hashes *hashes, const void *context);
bool table_shrink(struct table *t);

/* Gives up to `bytes` of its memory back. The table is no longer one: table_done() comes next. */
void table_cut(struct table *t, size_t bytes);

#endif
