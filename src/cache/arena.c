/* arena.c - segments and their queues, see arena.h. */
#include "cache/arena.h"

#include <stdlib.h>

static uint32_t segments_in(uint64_t bytes, uint32_t segment_bytes)
{
    uint64_t most = ARENA_MAX / segment_bytes;
    uint64_t count = (bytes + segment_bytes - 1) / segment_bytes;

    return (uint32_t)(count < most ? count : most);
}

bool arena_init(struct arena *a, uint64_t bytes, uint32_t segment_bytes)
{
    CHECK(segment_bytes % PAGE_BYTES == 0);
    *a = (struct arena){.segment_bytes = segment_bytes,
                        .count = segments_in(bytes, segment_bytes),
                        .warm = SEGMENT_NONE,
                        .cold = SEGMENT_NONE,
                        .packing = SEGMENT_NONE};
    for (int i = 0; i < QUEUES; i++)
        a->queues[i] = (struct queue){.oldest = SEGMENT_NONE, .newest = SEGMENT_NONE};
    if (!region_init(&a->memory, (uint64_t)a->count * segment_bytes))
        return false;
    a->segments = must_calloc(a->count, sizeof(struct segment));
    return true;
}

void arena_done(struct arena *a)
{
    region_done(&a->memory);
    free(a->segments);
    a->segments = NULL;
}

void arena_reserve(struct arena *a, uint64_t bytes)
{
    uint32_t count = segments_in(bytes, a->segment_bytes);

    if (count <= a->count || !region_grow(&a->memory, (uint64_t)count * a->segment_bytes))
        return;
    a->segments = must_realloc(a->segments, count * sizeof(struct segment));
    a->count = count;
}

static uint32_t take_free(struct arena *a)
{
    uint32_t i = a->warm;

    if (i != SEGMENT_NONE) {
        a->warm = a->segments[i].next;
        a->warm_count--;
    } else if (a->cold != SEGMENT_NONE) {
        i = a->cold;
        a->cold = a->segments[i].next;
    } else {
        CHECK(a->fresh < a->count);
        i = a->fresh++;
        a->segments[i] = (struct segment){.queue = QUEUES};
    }
    CHECK(a->segments[i].queue == QUEUES);
    a->used_count++;
    a->segments[i] = (struct segment){
        .prev = SEGMENT_NONE, .next = SEGMENT_NONE, .touched = a->segments[i].touched};
    return i;
}

void arena_open(struct arena *a, enum queue_id queue)
{
    struct queue *q = &a->queues[queue];
    uint32_t last = q->newest, i;

    if (last != SEGMENT_NONE && a->segments[last].live == 0) {
        arena_release(a, last);
        last = q->newest;
    }
    i = take_free(a);
    a->segments[i].queue = (uint8_t)queue;
    a->segments[i].prev = last;
    if (last == SEGMENT_NONE)
        q->oldest = i;
    else
        a->segments[last].next = i;
    q->newest = i;
}

uint32_t arena_insert(struct arena *a, uint32_t before)
{
    uint32_t i = take_free(a), prev = a->segments[before].prev;
    struct queue *q = &a->queues[a->segments[before].queue];

    a->segments[i].queue = a->segments[before].queue;
    a->segments[i].prev = prev;
    a->segments[i].next = before;
    a->segments[before].prev = i;
    if (prev == SEGMENT_NONE)
        q->oldest = i;
    else
        a->segments[prev].next = i;
    return i;
}

uint32_t arena_append(struct arena *a, uint32_t segment, size_t size, size_t outside)
{
    struct segment *s = &a->segments[segment];
    struct queue *q = &a->queues[s->queue];
    uint32_t offset = s->used;

    CHECK(segment_fits(a, segment, size));
    s->used += (uint32_t)size;
    s->live += (uint32_t)size;
    s->blocks += outside > 0;
    a->live += size;
    a->filled += size;
    q->bytes += size + outside;
    q->entries++;
    if (s->used > s->touched) {
        uint32_t touched = (uint32_t)page_up(s->used);

        a->resident += touched - s->touched;
        s->touched = touched;
    }
    return arena_ref(a, segment, offset);
}

void arena_bury(struct arena *a, uint32_t ref, size_t size, size_t outside)
{
    uint32_t i = arena_segment_of(a, ref);
    struct segment *s = &a->segments[i];
    struct queue *q = &a->queues[s->queue];

    s->live -= (uint32_t)size;
    s->blocks -= outside > 0;
    a->live -= size;
    q->bytes -= size + outside;
    q->entries--;
    if (s->live > 0)
        return;
    if (i == q->newest) {
        a->filled -= s->used;
        s->used = s->cursor = 0;
    } else {
        arena_release(a, i);
    }
}

void arena_lighten(struct arena *a, uint32_t ref, size_t outside)
{
    struct segment *s = &a->segments[arena_segment_of(a, ref)];

    s->blocks--;
    a->queues[s->queue].bytes -= outside;
}

void arena_release(struct arena *a, uint32_t segment)
{
    struct segment *s = &a->segments[segment];
    struct queue *q = &a->queues[s->queue];

    if (s->prev == SEGMENT_NONE)
        q->oldest = s->next;
    else
        a->segments[s->prev].next = s->next;
    if (s->next == SEGMENT_NONE)
        q->newest = s->prev;
    else
        a->segments[s->next].prev = s->prev;
    if (a->packing == segment)
        a->packing = SEGMENT_NONE;
    a->filled -= s->used;
    s->queue = QUEUES;
    s->next = a->warm;
    a->warm = segment;
    a->warm_count++;
    a->used_count--;
}

void arena_cool(struct arena *a)
{
    uint32_t i = a->warm;
    struct segment *s = &a->segments[i];

    CHECK(i != SEGMENT_NONE);
    a->warm = s->next;
    a->warm_count--;
    if (s->touched > 0)
        region_drop(&a->memory, (size_t)i * a->segment_bytes, s->touched);
    a->resident -= s->touched;
    s->touched = 0;
    s->next = a->cold;
    a->cold = i;
}
