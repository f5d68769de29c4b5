/* arena.h - where records lie: segments of one size in one range of addresses, in two queues.
 *
 *      small   [xxxxx][xx.x.][..x..][...      main   [.x.x.][.....][....
 *              oldest          newest         x dead   . alive   append at the newest
 *
 * Records are appended, so their order in memory is their order in the queue: no list pointers, no
 * allocator's header, and a neighbour in the queue is a neighbour in memory (as in Segcache, Yang
 * et al., NSDI 2021). A record dies in place; a segment without live ones is free at once. Each
 * segment has a cursor: whatever moves or forgets its records goes from there to the end, and all
 * before it are dead. In a queue only the newest segment may be without a live record.
 *
 * A reference is the offset / 8 + 1 of a record: 32 bits reach 32 GB, the most an arena can have.
 * Free segments are *warm* (have memory, are used first) or cold. */
#ifndef LARDER_CACHE_ARENA_H
#define LARDER_CACHE_ARENA_H

#include "cache/record.h"
#include "cache/region.h"

#define SEGMENT_NONE UINT32_MAX
#define ARENA_MAX    ((UINT64_C(1) << 32) * RECORD_ALIGN - RECORD_ALIGN)

enum queue_id { QUEUE_SMALL, QUEUE_MAIN, QUEUES };

struct segment {
    uint32_t prev, next; /* towards the oldest, the newest; `next` links free ones too */
    uint32_t used;       /* bytes appended */
    uint32_t live;       /* of them, in live records */
    uint32_t cursor;
    uint32_t touched; /* bytes that have memory, whole pages */
    uint32_t blocks;  /* live records with a block */
    uint8_t queue;    /* enum queue_id; QUEUES: free */
};

struct queue {
    uint32_t oldest, newest;
    uint64_t bytes, entries; /* live, with their blocks */
};

struct arena {
    struct region memory;
    struct segment *segments;
    struct queue queues[QUEUES];
    uint32_t segment_bytes, count; /* of one; how many */
    uint32_t warm, cold, fresh;    /* free ones; from `fresh` on none was ever used */
    uint32_t warm_count, used_count;
    uint32_t
        packing;     /* the one being compacted, see shelf_room.c; forgotten when it becomes free */
    size_t resident; /* bytes of all `touched` */
    uint64_t live;   /* bytes of live records, without blocks */
    uint64_t filled; /* bytes appended: all `used` */
};

/* False: no such range of addresses. */
MUST_USE
bool arena_init(struct arena *a, uint64_t bytes, uint32_t segment_bytes);
void arena_done(struct arena *a);
/* Addresses for more, if there are any; `count` tells. The records may move. */
void arena_reserve(struct arena *a, uint64_t bytes);

static inline struct record *arena_record(const struct arena *a, uint32_t ref)
{
    return (struct record *)(void *)(a->memory.base + (size_t)(ref - 1) * RECORD_ALIGN);
}

static inline uint32_t arena_segment_of(const struct arena *a, uint32_t ref)
{
    return (uint32_t)((uint64_t)(ref - 1) * RECORD_ALIGN / a->segment_bytes);
}

static inline enum queue_id arena_queue_of(const struct arena *a, uint32_t ref)
{
    return (enum queue_id)a->segments[arena_segment_of(a, ref)].queue;
}

static inline uint32_t arena_ref(const struct arena *a, uint32_t segment, uint32_t offset)
{
    return (uint32_t)(((uint64_t)segment * a->segment_bytes + offset) / RECORD_ALIGN) + 1;
}

static inline bool segment_fits(const struct arena *a, uint32_t segment, size_t size)
{
    return segment != SEGMENT_NONE && a->segments[segment].used + size <= a->segment_bytes;
}

/* The record at a segment's cursor; NULL at its end. */
static inline struct record *segment_at(const struct arena *a, uint32_t segment)
{
    const struct segment *s = &a->segments[segment];

    return s->cursor == s->used ? NULL : arena_record(a, arena_ref(a, segment, s->cursor));
}

/* Segments not in use that there are addresses for. */
static inline uint32_t arena_free(const struct arena *a)
{
    return a->count - a->used_count;
}

/* A free segment becomes the newest of a queue, or comes just before another: there must be one. */
void arena_open(struct arena *a, enum queue_id queue);
uint32_t arena_insert(struct arena *a, uint32_t before);

/* Room for a record at the end of a segment, where it fits. It counts as live, with `outside` bytes
 * (a block's; 0: none) beyond its own. */
MUST_USE
uint32_t arena_append(struct arena *a, uint32_t segment, size_t size, size_t outside);
/* A record is dead now: its memory must not be touched any more. */
void arena_bury(struct arena *a, uint32_t ref, size_t size, size_t outside);

/* It lives on without what it had outside. */
void arena_lighten(struct arena *a, uint32_t ref, size_t outside);

/* Takes a segment out of its queue, whatever is in it. */
void arena_release(struct arena *a, uint32_t segment);
/* Gives the memory of one warm segment back; there must be one. */
void arena_cool(struct arena *a);

#endif
