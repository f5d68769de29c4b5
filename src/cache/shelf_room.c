/* shelf_room.c - room on the shelf: eviction, compaction, giving back; the story is in shelf.c.
 *
 * All of it is done in steps that look at one record (or give back one segment), so that whoever
 * asks decides how many. A segment is free only when its last record is gone, so room is made in
 * advance: each put that finds less than FREE_SEGMENTS free works off twice its own size. One free
 * segment no put gets: survivors are moved there, and what they leave is a segment again. */
#include <stdlib.h>

#include "cache/shelf_inside.h"

/* The small queue has this share of the bytes, in percent. */
#define SMALL_PERCENT 10u

/* Segments are compacted when more than 1/6 of their bytes, and WASTE_SEGMENTS, are dead: the
 * oldest of each queue is half gone without any waste. Such a one must have 1/8 of dead bytes, so
 * that no more than eight are copied for one that dies. */
#define WASTE_SHARE    6u
#define WASTE_SEGMENTS 2u
#define PACK_SHARE     8u

/* Segments looked at to find the one to compact. */
#define PACK_LOOK 64u

/* What giving pages back costs in steps, and how many bytes of a table are given back at once. */
#define GIVE_STEPS 16u
#define GIVE_BYTES ((size_t)SEGMENT_MAX_BYTES)

static size_t segments_bytes(const struct arena *a, uint64_t segments)
{
    return (size_t)(segments * a->segment_bytes);
}

uint64_t shelf_ghosts(const struct shelf *s)
{
    return s->store.table.count * (100 - SMALL_PERCENT) / 100;
}

size_t shelf_committed(const struct shelf *s)
{
    const struct arena *a = &s->store.arena;
    size_t ghosts = (size_t)shelf_ghosts(s) * GHOST_BYTES;
    size_t bytes = sizeof(*s) + s->policy_count * sizeof(*s->policies) + s->block_bytes +
                   a->count * sizeof(struct segment) + table_bytes(&s->store.table) +
                   segments_bytes(a, a->used_count + a->warm_count) +
                   (ghosts > s->ghost.memory.resident ? ghosts : s->ghost.memory.resident) +
                   s->share_bytes;

    for (const struct store *old = s->cleared; old; old = old->next)
        bytes += table_bytes(&old->table) + old->arena.resident;
    return bytes;
}

/* Bytes that may still be taken, in whole segments or for blocks. */
static size_t spare(const struct shelf *s)
{
    size_t taken = shelf_committed(s) - segments_bytes(&s->store.arena, s->store.arena.warm_count);

    return taken < s->max_bytes ? s->max_bytes - taken : 0;
}

static bool segment_is_free(const struct shelf *s, unsigned count)
{
    return arena_free(&s->store.arena) >= count &&
           spare(s) >= segments_bytes(&s->store.arena, count);
}

/* Half a segment more than the next put may need: else a page of the table could make it wait. */
static size_t wanted(const struct shelf *s)
{
    return segments_bytes(&s->store.arena, FREE_SEGMENTS) + s->store.arena.segment_bytes / 2 +
           (s->now_ms < s->ahead_until_ms ? s->ahead : 0);
}

static void spend(unsigned *left, unsigned steps)
{
    *left -= steps < *left ? steps : *left;
}

/* The record at the cursor of a segment, which goes on to the next. */
static uint32_t take_next(struct arena *a, uint32_t segment)
{
    struct segment *g = &a->segments[segment];
    uint32_t ref = arena_ref(a, segment, g->cursor);

    g->cursor += (uint32_t)record_size(arena_record(a, ref));
    return ref;
}

/* Moves a record to the end of another segment, where it fits. */
static void move(struct shelf *s, struct place *at, uint32_t segment, unsigned freq)
{
    struct arena *a = &s->store.arena;
    struct record *r = at->record;
    size_t size = record_size(r), outside = record_outside(r);
    uint32_t ref = arena_append(a, segment, size, outside);
    struct record *copy = arena_record(a, ref);

    memcpy(copy, r, size);
    copy->freq = freq & FREQ_MAX;
    table_set(&at->spot, ref);
    r->stamp = 0;
    arena_bury(a, at->ref, size, outside);
}

bool room_forget_useless(struct shelf *s, const struct place *at)
{
    if (shelf_useful_until(s, at->record) <= s->now_ms) {
        if (at->record->kind != RECORD_HOLLOW) {
            shelf_account(s, at->record->policy)->expired++;
            s->total.expired++;
            if (UNLIKELY(s->shares != NULL))
                shares_account(s, at->record)->expired++;
        }
        shelf_forget(s, at);
        return true;
    }
    if (shelf_orphan(s, at)) {
        shelf_forget(s, at);
        return true;
    }
    return false;
}

/* Who was asked for since it came to the small queue goes to the main queue; who was asked for
 * since it was last here in the main queue goes round once more. */
static bool stays(struct shelf *s, struct place *at, enum queue_id from)
{
    struct arena *a = &s->store.arena;
    struct queue *to = &a->queues[QUEUE_MAIN];
    size_t size = record_size(at->record);
    unsigned freq = (unsigned)at->record->freq;

    if (freq == 0)
        return false;
    if (!segment_fits(a, to->newest, size)) {
        if (!segment_is_free(s, 1))
            return false;
        arena_open(a, QUEUE_MAIN);
    }
    move(s, at, to->newest, from == QUEUE_SMALL ? 0 : freq - 1);
    return true;
}

void room_evict(struct shelf *s, const struct place *at)
{
    const struct record *r = at->record;

    if (arena_queue_of(&s->store.arena, at->ref) == QUEUE_SMALL)
        ghost_add(&s->ghost, at->hash, shelf_ghosts(s));
    if (r->kind != RECORD_HOLLOW) {
        shelf_account(s, r->policy)->evictions++;
        s->total.evictions++;
        if (UNLIKELY(s->shares != NULL))
            shares_account(s, r)->evictions++;
    }
    shelf_forget(s, at);
}

/* Looks at the oldest record of a queue. Returns the bytes that are free now for one that is not.
 */
static size_t evict_one(struct shelf *s, enum queue_id from)
{
    struct arena *a = &s->store.arena;
    uint32_t ref = take_next(a, a->queues[from].oldest);
    struct record *r = arena_record(a, ref);
    size_t gain = record_size(r);
    struct place at;

    if (r->stamp == 0)
        return gain;
    shelf_place(s, ref, &at);
    gain += record_outside(r);
    if (room_forget_useless(s, &at))
        return gain;
    if (stays(s, &at, from))
        return 0;
    room_evict(s, &at);
    return gain;
}

static size_t dead_in(const struct arena *a, uint32_t segment)
{
    return a->segments[segment].used - a->segments[segment].live;
}

/* It must have enough that is dead, and a neighbour with which it can share what it wins. */
static bool is_worth_packing(const struct arena *a, uint32_t segment)
{
    const struct segment *g = &a->segments[segment];
    size_t enough = a->segment_bytes / PACK_SHARE;

    if (dead_in(a, segment) < enough)
        return false;
    return segment_fits(a, g->prev, enough) ||
           (g->next != a->queues[g->queue].newest && dead_in(a, g->next) >= enough);
}

/* Goes round the queues, from old to new, to the next segment that is worth it. */
static bool pick_packing(struct shelf *s)
{
    struct arena *a = &s->store.arena;
    uint32_t at = s->pack_at;

    for (unsigned i = 0; i < PACK_LOOK; i++) {
        if (at >= a->fresh || a->segments[at].queue == QUEUES) {
            s->pack_queue = (s->pack_queue + 1) % QUEUES;
            at = a->queues[s->pack_queue].oldest;
        } else if (at == a->queues[a->segments[at].queue].newest) {
            at = SEGMENT_NONE;
        } else if (is_worth_packing(a, at)) {
            a->packing = at;
            s->pack_at = a->segments[at].next;
            return true;
        } else {
            at = a->segments[at].next;
        }
    }
    s->pack_at = at;
    return false;
}

static bool pack_is_due(const struct shelf *s)
{
    const struct arena *a = &s->store.arena;

    return a->filled - a->live >
           segments_bytes(a, a->used_count) / WASTE_SHARE + segments_bytes(a, WASTE_SEGMENTS);
}

/* Moves the next record of the segment being compacted to the segment before it, so that the order
 * of the queue stays. False: there is no room for that. */
static bool pack_one(struct shelf *s, size_t *gain)
{
    struct arena *a = &s->store.arena;
    uint32_t from = a->packing, to = a->segments[from].prev;
    struct record *r = segment_at(a, from);
    size_t size;
    struct place at;

    CHECK(r != NULL);
    size = record_size(r);
    if (r->stamp == 0) {
        *gain += size;
        (void)take_next(a, from);
        return true;
    }
    shelf_place(s, arena_ref(a, from, a->segments[from].cursor), &at);
    if (!segment_fits(a, to, size) && !segment_is_free(s, 1)) {
        a->packing = SEGMENT_NONE;
        return false;
    }
    (void)take_next(a, from);
    if (room_forget_useless(s, &at)) {
        *gain += size;
        return true;
    }
    if (!segment_fits(a, to, size))
        to = arena_insert(a, from);
    move(s, &at, to, (unsigned)r->freq);
    return true;
}

/* One record of a cleared store, if there may be blocks, or one segment, or a piece of the table.
 */
static void drain_one(struct shelf *s, unsigned *left)
{
    struct store *old = s->cleared;
    struct arena *a = &old->arena;

    for (int i = 0; i < QUEUES; i++) {
        uint32_t segment = a->queues[i].oldest;
        const struct record *r;

        if (segment == SEGMENT_NONE)
            continue;
        if (a->segments[segment].blocks == 0) {
            arena_release(a, segment);
            break;
        }
        spend(left, 1);
        r = arena_record(a, take_next(a, segment));
        if (r->stamp != 0 && r->block) {
            s->block_bytes -= record_outside(r);
            block_release(record_block(r));
            a->segments[segment].blocks--;
        }
        return;
    }
    spend(left, GIVE_STEPS);
    if (a->warm_count > 0) {
        arena_cool(a);
    } else if (table_bytes(&old->table) > 0) {
        table_cut(&old->table, GIVE_BYTES);
    } else {
        s->cleared = old->next;
        table_done(&old->table);
        arena_done(a);
        free(old);
    }
}

/* One piece of work for room, the cheapest first: what was cleared, what is dead, what is of least
 * use. False when there is nothing to do, or nothing left to do it with; adds what it freed to
 * *gain. */
static bool work_one(struct shelf *s, unsigned *left, size_t *gain)
{
    const struct arena *a = &s->store.arena;
    const struct queue *small = &a->queues[QUEUE_SMALL], *large = &a->queues[QUEUE_MAIN];
    bool too_much = small->bytes * 100 >= (small->bytes + large->bytes) * SMALL_PERCENT;

    if (*left == 0)
        return false;
    if (s->cleared) {
        drain_one(s, left);
        return true;
    }
    spend(left, 1);
    if ((a->packing != SEGMENT_NONE || (pack_is_due(s) && pick_packing(s))) && pack_one(s, gain))
        return true;
    if (small->entries + large->entries == 0)
        return false;
    if (small->entries > 0 && (too_much || large->entries == 0))
        *gain += evict_one(s, QUEUE_SMALL);
    else
        *gain += evict_one(s, QUEUE_MAIN);
    return true;
}

void store_done(struct shelf *s, struct store *store)
{
    struct arena *a = &store->arena;

    for (int i = 0; i < QUEUES; i++)
        for (uint32_t at = a->queues[i].oldest; at != SEGMENT_NONE; at = a->segments[at].next) {
            const struct record *r;

            while (a->segments[at].blocks > 0 && (r = segment_at(a, at)) != NULL) {
                (void)take_next(a, at);
                if (r->stamp == 0 || !r->block)
                    continue;
                s->block_bytes -= record_outside(r);
                block_release(record_block(r));
                a->segments[at].blocks--;
            }
        }
    table_done(&store->table);
    arena_done(a);
}

bool room_is(const struct shelf *s, enum queue_id queue, size_t size, size_t outside)
{
    const struct arena *a = &s->store.arena;
    bool fits = segment_fits(a, a->queues[queue].newest, size);

    if (fits && outside == 0)
        return true;
    return (fits || arena_free(a) > 1) && spare(s) >= outside + segments_bytes(a, fits ? 1 : 2);
}

void room_cool(struct shelf *s, size_t outside)
{
    while (s->store.arena.warm_count > 0 && shelf_committed(s) + outside > s->max_bytes)
        arena_cool(&s->store.arena);
}

bool room_make(struct shelf *s, enum queue_id queue, size_t size, size_t outside)
{
    unsigned left = ROOM_STEPS;
    size_t gain = 0;

    while (!room_is(s, queue, size, outside) && work_one(s, &left, &gain))
        ;
    if (!room_is(s, queue, size, outside)) {
        /* The next of its kind shall find room: many small ones take longer than one call. */
        if (s->ahead < outside || s->now_ms >= s->ahead_until_ms)
            s->ahead = outside;
        s->ahead_until_ms = s->now_ms + AHEAD_MS;
        return false;
    }
    return true;
}

void room_ahead(struct shelf *s, size_t bytes)
{
    unsigned left = AHEAD_STEPS;
    size_t gain = 0;

    while (gain < 2 * bytes && spare(s) < wanted(s) && work_one(s, &left, &gain))
        ;
}

void room_drain(struct shelf *s, unsigned *left)
{
    while (*left > 0 && s->cleared)
        drain_one(s, left);
}

void room_refill(struct shelf *s, unsigned *left)
{
    struct arena *a = &s->store.arena;
    size_t gain = 0;

    while (spare(s) < wanted(s) && work_one(s, left, &gain))
        ;
    while (*left > 0 && a->warm_count > 0 &&
           (a->warm_count > FREE_SEGMENTS || shelf_committed(s) > s->max_bytes)) {
        arena_cool(a);
        spend(left, GIVE_STEPS);
    }
}

void room_expire(struct shelf *s, unsigned *left)
{
    struct arena *a = &s->store.arena;

    for (int i = 0; i < QUEUES; i++) {
        struct queue *q = &a->queues[i];

        while (*left > 0 && q->entries > 0) {
            const struct record *r = segment_at(a, q->oldest);
            struct place at;
            uint32_t ref;

            if (r->stamp != 0 && shelf_useful_until(s, r) > s->now_ms)
                break;
            spend(left, 1);
            ref = take_next(a, q->oldest);
            if (r->stamp == 0)
                continue;
            shelf_place(s, ref, &at);
            CHECK(room_forget_useless(s, &at));
        }
    }
}
