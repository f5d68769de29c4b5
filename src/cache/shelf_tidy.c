/* shelf_tidy.c - what the shelf does between requests, in slices; the story is in shelf.c. */
#include "cache/shelf_inside.h"

/* A bucket of the table joined to another, in steps. */
#define JOIN_STEPS 8u

void shelf_weed(struct shelf *s, shelf_doomed *doomed, void *context)
{
    s->doomed = doomed;
    s->doomed_context = context;
    s->weed_at = 0;
    s->wary = doomed != NULL || s->dropping;
}

bool shelf_weeding(const struct shelf *s)
{
    return s->doomed != NULL;
}

bool shelf_wary(const struct shelf *s)
{
    return s->wary;
}

static void prefetch_records(const struct shelf *s, const struct bucket *b)
{
    for (unsigned i = 0; i < BUCKET_SLOTS && b->refs[i] != 0; i++)
        __builtin_prefetch(arena_record(&s->store.arena, b->refs[i]));
}

/* True when it is gone. */
static bool weed_record(struct shelf *s, uint32_t ref)
{
    const struct record *r = arena_record(&s->store.arena, ref);
    struct entry e;
    struct place at;

    if (r->kind == RECORD_HOLLOW)
        return false;
    record_entry(r, &e);
    if (!s->doomed(s->doomed_context, record_key(r), &e))
        return false;
    shelf_place(s, ref, &at);
    return shelf_hollow(s, &at);
}

/* One bucket and its overflow. Where one is gone, the last of the chain has taken its place. */
static void weed_bucket(struct shelf *s, uint32_t i, unsigned *left)
{
    struct bucket *b = table_bucket(&s->store.table, i);
    unsigned slot = 0;

    prefetch_records(s, b);
    while (b) {
        if (slot == BUCKET_SLOTS) {
            b = table_next_bucket(&s->store.table, b);
            slot = 0;
            continue;
        }
        if (b->refs[slot] == 0)
            break;
        *left -= *left > 0;
        if (!weed_record(s, b->refs[slot]))
            slot++;
    }
}

/* A bucket that the table gets meanwhile comes after all others, so that what moves into it is
 * looked at (again). None goes away meanwhile: until this is done it leaves no steps to
 * join_buckets(), which would move records to where they are not looked at any more. */
static void weed(struct shelf *s, unsigned *left)
{
    while (*left > 0 && s->doomed) {
        weed_bucket(s, s->weed_at, left);
        *left -= *left > 0;
        if (++s->weed_at >= s->store.table.n)
            shelf_weed(s, NULL, NULL);
    }
}

static void join_buckets(struct shelf *s, unsigned *left)
{
    CHECK(*left == 0 || s->doomed == NULL);
    while (*left > 0 && table_shrink(&s->store.table))
        *left -= *left < JOIN_STEPS ? *left : JOIN_STEPS;
}

bool shelf_tidy(struct shelf *s, uint64_t now_ms, unsigned slice)
{
    unsigned left = slice;

    s->now_ms = now_ms;
    room_expire(s, &left);
    room_drain(s, &left);
    weed(s, &left);
    if (s->shares)
        shares_tidy(s, &left);
    room_refill(s, &left);
    join_buckets(s, &left);
    return left == 0;
}
