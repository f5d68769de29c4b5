/* inspect.c - a look inside the shelf, see inspect.h. */
#include "inspect.h"

#include "cache/shares.h"

#include <check.h>
#include <stdlib.h>

#define ACCOUNTS 16

/* What the records of one owner come to, by where the shelf counts it. */
struct held {
    const struct shelf_usage *usage;
    uint64_t entries, bytes;
};

struct sums {
    uint64_t stamp; /* of the record before, in the small queue */
    uint64_t records, live, entries, bytes, blocks;
    struct held held[ACCOUNTS];
};

static void add_to_owner(struct shelf *s, const struct record *r, size_t bytes, struct sums *sums)
{
    const struct shelf_usage *usage = shares_account(s, r);
    unsigned i = 0;

    while (i < ACCOUNTS && sums->held[i].usage && sums->held[i].usage != usage)
        i++;
    if (i == ACCOUNTS)
        return;
    sums->held[i].usage = usage;
    sums->held[i].entries += r->kind != RECORD_HOLLOW;
    sums->held[i].bytes += bytes;
}

static void inspect_segment(struct shelf *s, uint32_t i, struct sums *sums)
{
    const struct arena *a = &s->store.arena;
    const struct segment *g = &a->segments[i];
    uint32_t live = 0, blocks = 0, size;

    ck_assert_uint_le(g->used, a->segment_bytes);
    ck_assert_uint_le(g->cursor, g->used);
    ck_assert_uint_ge(g->touched, g->used);
    for (uint32_t at = 0; at < g->used; at += size) {
        uint32_t ref = arena_ref(a, i, at);
        const struct record *r = arena_record(a, ref);
        struct place place;

        size = (uint32_t)record_size(r);
        if (r->stamp == 0)
            continue;
        if (at < g->cursor || r->stamp > s->stamp || arena_segment_of(a, ref) != i)
            ck_abort_msg("a live record before the cursor, or with a stamp to come");
        if (g->queue == QUEUE_SMALL && r->stamp <= sums->stamp)
            ck_abort_msg("the small queue is not in order");
        sums->stamp = r->stamp;
        shelf_place(s, ref, &place);
        live += size;
        blocks += r->block;
        sums->records++;
        sums->entries += r->kind != RECORD_HOLLOW;
        sums->bytes += size + record_outside(r);
        sums->blocks += record_outside(r);
        if (s->shares)
            add_to_owner(s, r, size + record_outside(r), sums);
    }
    ck_assert_uint_eq(live, g->live);
    ck_assert_uint_eq(blocks, g->blocks);
    if (i != a->queues[g->queue].newest)
        ck_assert_uint_gt(live, 0);
    sums->live += live;
}

static uint32_t inspect_free(const struct arena *a, uint32_t at, size_t *resident)
{
    uint32_t count = 0;

    for (; at != SEGMENT_NONE; at = a->segments[at].next, count++) {
        ck_assert_uint_eq(a->segments[at].queue, QUEUES);
        *resident += a->segments[at].touched;
    }
    return count;
}

static void inspect_arena(struct shelf *s, struct sums *sums)
{
    const struct arena *a = &s->store.arena;
    uint32_t used = 0, cold;
    uint64_t filled = 0;
    size_t resident = 0, cold_resident = 0;

    for (int i = 0; i < QUEUES; i++) {
        const struct queue *q = &a->queues[i];
        struct sums before = *sums;
        uint32_t last = SEGMENT_NONE;

        for (uint32_t at = q->oldest; at != SEGMENT_NONE; at = a->segments[at].next) {
            ck_assert_uint_eq(a->segments[at].prev, last);
            ck_assert_int_eq(a->segments[at].queue, i);
            inspect_segment(s, at, sums);
            resident += a->segments[at].touched;
            filled += a->segments[at].used;
            last = at;
            used++;
        }
        ck_assert_uint_eq(q->newest, last);
        ck_assert_uint_eq(q->bytes, sums->bytes - before.bytes);
        ck_assert_uint_eq(q->entries, sums->records - before.records);
    }
    ck_assert_uint_eq(used, a->used_count);
    ck_assert_uint_eq(sums->live, a->live);
    ck_assert_uint_eq(filled, a->filled);
    ck_assert_uint_eq(inspect_free(a, a->warm, &resident), a->warm_count);
    cold = inspect_free(a, a->cold, &cold_resident);
    ck_assert_uint_eq(cold_resident, 0);
    ck_assert_uint_eq(resident, a->resident);
    ck_assert_uint_eq(a->fresh, used + a->warm_count + cold);
}

/* Each reference in the bucket of its hash, chains dense, none twice. */
static void inspect_table(const struct shelf *s)
{
    const struct table *t = &s->store.table;
    uint64_t count = 0;

    ck_assert(t->half <= t->n && t->n < 2 * t->half);
    for (uint32_t i = 0; i < t->n; i++) {
        const struct bucket *b = table_bucket(t, i);
        bool ended = false;

        for (; b; b = table_next_bucket(t, b)) {
            for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++) {
                const struct record *r;
                uint64_t hash;

                if (b->refs[slot] == 0) {
                    ended = true;
                    continue;
                }
                r = arena_record(&s->store.arena, b->refs[slot]);
                if (ended || r->stamp == 0)
                    ck_abort_msg("a gap, or a dead record in the table");
                shelf_hashes(s, &b->refs[slot], 1, &hash);
                if (table_home(t, hash) != i || table_tag(hash) != b->tags[slot])
                    ck_abort_msg("a record in the wrong place of the table");
                count++;
            }
        }
    }
    ck_assert_uint_eq(count, t->count);
}

static void inspect_accounts(const struct shelf *s, const struct sums *sums)
{
    struct shelf_usage all = {0}, total = shelf_usage_total(s);

    for (uint32_t i = 0; i < s->policy_count; i++) {
        struct shelf_usage one = shelf_usage_of(s, (uint16_t)i);

        all.entries += one.entries;
        all.bytes += one.bytes;
        all.evictions += one.evictions;
        all.expired += one.expired;
    }
    ck_assert_uint_eq(all.entries, sums->entries);
    ck_assert_uint_eq(all.bytes, sums->bytes);
    ck_assert_uint_eq(total.entries, all.entries);
    ck_assert_uint_eq(total.evictions, all.evictions);
    ck_assert_uint_eq(total.expired, all.expired);
    ck_assert_uint_ge(total.bytes, all.bytes);
    if (s->cleared == NULL)
        ck_assert_uint_eq(s->block_bytes, sums->blocks);
}

/* Up to ACCOUNTS owners that have something, among numbers up to that. */
static void inspect_owners(const struct shelf *s, const struct sums *sums)
{
    uint64_t entries = 0, bytes = 0, evictions = 0, expired = 0;

    if (s->shares == NULL)
        return;
    for (unsigned i = 0; i < ACCOUNTS && sums->held[i].usage; i++) {
        ck_assert_uint_eq(sums->held[i].usage->entries, sums->held[i].entries);
        ck_assert_uint_eq(sums->held[i].usage->bytes, sums->held[i].bytes);
    }
    for (uint32_t i = 0; i < ACCOUNTS; i++) {
        struct shelf_usage one = shelf_usage_of_owner(s, i);

        entries += one.entries;
        bytes += one.bytes;
        evictions += one.evictions;
        expired += one.expired;
    }
    ck_assert_uint_eq(entries, sums->entries);
    ck_assert_uint_eq(bytes, sums->bytes);
    ck_assert_uint_eq(evictions, s->total.evictions);
    ck_assert_uint_eq(expired, s->total.expired);
}

void inspect(struct shelf *s)
{
    struct sums sums = {0};

    inspect_table(s);
    inspect_arena(s, &sums);
    ck_assert_uint_eq(sums.records, s->store.table.count);
    inspect_accounts(s, &sums);
    inspect_owners(s, &sums);
}

uint64_t dice(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

struct question ask_for(const char *key, const char *ask, uint16_t scope)
{
    return (struct question){.key = slice_str(key), .ask = slice_str(ask), .scope = scope};
}

struct entry reply_of(const char *bytes)
{
    return (struct entry){
        .bytes = slice_str(bytes), .deadline_ms = DEADLINE_MAX, .expiry_ms = EXPIRY_NEVER};
}

static void put_one(struct shelf *s, struct question q, const char *bytes)
{
    struct entry e = reply_of(bytes);

    ck_assert(shelf_put(s, &q, &e));
}

static void finds_one(struct shelf *s, struct question q, const char *bytes)
{
    struct entry peeked = {0}, found = {0};
    bool there = shelf_peek(s, &q, &peeked);

    ck_assert_int_eq(shelf_find(s, &q, &found), there);
    ck_assert_int_eq(there, bytes != NULL);
    if (bytes == NULL)
        return;
    ck_assert(slice_eq(found.bytes, slice_str(bytes)));
    ck_assert(slice_eq(peeked.bytes, found.bytes));
    ck_assert_uint_eq(peeked.stamp, found.stamp);
}

void put(struct shelf *s, const char *key, const char *ask, const char *bytes)
{
    put_one(s, ask_for(key, ask, 0), bytes);
}

void put_at(struct shelf *s, const char *key, uint16_t scope, const char *bytes)
{
    put_one(s, ask_for(key, "", scope), bytes);
}

void finds(struct shelf *s, const char *key, const char *ask, const char *bytes)
{
    finds_one(s, ask_for(key, ask, 0), bytes);
}

void finds_at(struct shelf *s, const char *key, uint16_t scope, const char *bytes)
{
    finds_one(s, ask_for(key, "", scope), bytes);
}
