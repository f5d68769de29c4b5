/* shelf.c - the near cache's store: what is found, put and removed, and how it hangs together.
 *
 *      question --hash--> table --reference--> record in a segment --(large)--> block
 *        key, ask, scope    table.h               arena.h, record.h        counted references
 *
 *                   put, never seen          asked for again
 *      ghost <.......[ small queue ]......................+
 *        |            oldest   newest                     |
 *        | thrown out, asked     | oldest: not asked for  v    asked for since: again, freq - 1
 *        +-- for again: ------------------------->[ main queue ]--+
 *                                                  oldest ^--------+  not: thrown out
 *
 * S3-FIFO: most of what is asked for once is never asked for again, so a small queue (10 % of the
 * bytes) takes what is new, and only what is asked for while there goes on to the main queue. A hit
 * only counts `freq` up to 3. Records are appended to segments, so that the order of a queue is the
 * order of memory, and both queues go by a cursor over their oldest segment (shelf_room.c).
 *
 * Everything of a key goes with its *head*, the record of the key without `ask`. The head holds the
 * GET reply of one scope, or is hollow; every other question of the key is a *variant* with a
 * record of its own, which is alive when there is a head that was born before the variant was put.
 * So removing the head removes them all; a head that comes later is younger than they are. A GET
 * that is put anew keeps its head's birth; stamps are 48 bits that never come again. Orphans are
 * given back when found, or when eviction comes by.
 *
 * A cleared store is put aside with all that is in it, and given back in slices; an empty one takes
 * its place. Every call looks at a bounded number of records: ROOM_STEPS for a put that must make
 * room, what the caller says for shelf_tidy() (shelf_tidy.c). */
#include "cache/shelf.h"

#include <stdio.h>
#include <stdlib.h>

#include "cache/shelf_inside.h"

uint64_t shelf_hash_variant(const struct shelf *s, uint64_t key_hash, struct slice ask,
                            uint16_t scope)
{
    uint64_t words[3] = {key_hash, hash_bytes(&s->seed, ask.p, ask.n), scope};

    return hash_bytes(&s->seed, words, sizeof(words));
}

static uint64_t hash_record(const struct shelf *s, const struct record *r)
{
    uint64_t hash = hash_bytes(&s->seed, record_key_at(r), r->key);

    return r->role == ROLE_VARIANT ? shelf_hash_variant(s, hash, record_ask(r), r->scope) : hash;
}

void shelf_hashes(const void *context, const uint32_t *refs, unsigned count, uint64_t *ret_hashes)
{
    const struct shelf *s = context;

    for (unsigned i = 0; i < count; i++)
        __builtin_prefetch(arena_record(&s->store.arena, refs[i]));
    for (unsigned i = 0; i < count; i++)
        ret_hashes[i] = hash_record(s, arena_record(&s->store.arena, refs[i]));
}

/* ------------------------------------------------------------------ beginning, end */

static uint32_t segment_bytes_for(size_t max_bytes)
{
    uint32_t bytes = SEGMENT_MIN_BYTES;

    while (bytes < SEGMENT_MAX_BYTES && (size_t)bytes * 2 * SEGMENTS_WANTED <= max_bytes)
        bytes *= 2;
    return bytes;
}

static uint64_t most_records(size_t max_bytes)
{
    return (max_bytes < ARENA_MAX ? max_bytes : ARENA_MAX) / RECORD_MIN;
}

static bool store_try(struct store *store, size_t max_bytes)
{
    *store = (struct store){0};
    if (!arena_init(&store->arena, max_bytes, segment_bytes_for(max_bytes)))
        return false;
    if (!table_init(&store->table, most_records(max_bytes))) {
        arena_done(&store->arena);
        return false;
    }
    return true;
}

static void drain_all(struct shelf *s)
{
    while (s->cleared) {
        struct store *old = s->cleared;

        s->cleared = old->next;
        store_done(s, old);
        free(old);
    }
}

/* Where addresses are scarce, what was cleared has them: then it is given back at once. */
static void store_open(struct shelf *s)
{
    if (store_try(&s->store, s->max_bytes))
        return;
    drain_all(s);
    if (!store_try(&s->store, s->max_bytes)) {
        fprintf(stderr, "larder: no address space for a cache of %zu bytes\n", s->max_bytes);
        abort();
    }
}

static size_t at_least(size_t max_bytes)
{
    return max_bytes > SHELF_MIN_BYTES ? max_bytes : SHELF_MIN_BYTES;
}

struct shelf *shelf_new(size_t max_bytes)
{
    struct shelf *s = must_calloc(1, sizeof(*s));

    s->max_bytes = at_least(max_bytes);
    hash_seed_init(&s->seed);
    store_open(s);
    if (!ghost_init(&s->ghost, most_records(s->max_bytes))) {
        fprintf(stderr, "larder: no address space for a cache of %zu bytes\n", s->max_bytes);
        abort();
    }
    return s;
}

const struct hash_seed *shelf_seed(const struct shelf *s)
{
    return &s->seed;
}

void shelf_free(struct shelf *s)
{
    if (s == NULL)
        return;
    drain_all(s);
    store_done(s, &s->store);
    shares_done(s);
    ghost_done(&s->ghost);
    free(s->policies);
    free(s);
}

void shelf_clear(struct shelf *s)
{
    struct store *old;

    shelf_weed(s, NULL, NULL);
    if (s->store.arena.used_count == 0)
        return;
    for (uint32_t i = 0; i < s->policy_count; i++)
        s->policies[i].entries = s->policies[i].bytes = 0;
    s->total.entries = s->total.bytes = 0;
    if (s->shares)
        shares_clear(s);
    old = must_alloc(sizeof(*old));
    *old = s->store;
    old->next = s->cleared;
    s->cleared = old;
    store_open(s);
}

/* Segments that are far too large for the new bound could not be queues: then all goes, as nearly
 * all would. Addresses that are not to be had only mean that less is kept. */
void shelf_resize(struct shelf *s, size_t max_bytes)
{
    uint64_t most;

    s->max_bytes = at_least(max_bytes);
    most = most_records(s->max_bytes);
    if (s->max_bytes / SEGMENTS_LEAST < s->store.arena.segment_bytes) {
        shelf_clear(s);
        if (s->max_bytes / SEGMENTS_LEAST < s->store.arena.segment_bytes) {
            store_done(s, &s->store);
            store_open(s);
        }
    } else if (ghost_reserve(&s->ghost, most) && table_reserve(&s->store.table, most)) {
        arena_reserve(&s->store.arena, s->max_bytes);
    }
}

/* ------------------------------------------------------------------------- account */

struct shelf_usage *shelf_account(struct shelf *s, uint16_t policy)
{
    if (UNLIKELY(policy >= s->policy_count)) {
        uint32_t count = policy + 1u;

        s->policies = must_realloc(s->policies, count * sizeof(*s->policies));
        memset(s->policies + s->policy_count, 0, (count - s->policy_count) * sizeof(*s->policies));
        s->policy_count = count;
    }
    return &s->policies[policy];
}

void shelf_account_in(struct shelf *s, const struct record *r, size_t size)
{
    struct shelf_usage *usage = shelf_account(s, r->policy);
    bool counts = r->kind != RECORD_HOLLOW;

    usage->entries += counts;
    usage->bytes += size;
    s->total.entries += counts;
    s->total.bytes += size;
}

static void account_out(struct shelf *s, const struct record *r, size_t size)
{
    struct shelf_usage *usage = &s->policies[r->policy];
    bool counts = r->kind != RECORD_HOLLOW;

    usage->entries -= counts;
    usage->bytes -= size;
    s->total.entries -= counts;
    s->total.bytes -= size;
}

struct shelf_usage shelf_usage_of(const struct shelf *s, uint16_t policy)
{
    return policy < s->policy_count ? s->policies[policy] : (struct shelf_usage){0};
}

struct shelf_usage shelf_usage_total(const struct shelf *s)
{
    struct shelf_usage usage = s->total;
    const struct arena *a = &s->store.arena;

    usage.bytes = sizeof(*s) + s->policy_count * sizeof(*s->policies) + s->block_bytes +
                  a->count * sizeof(struct segment) + a->resident + table_bytes(&s->store.table) +
                  s->ghost.memory.resident + s->share_bytes;
    for (const struct store *old = s->cleared; old; old = old->next)
        usage.bytes += table_bytes(&old->table) + old->arena.resident;
    return usage;
}

uint64_t shelf_stamp(const struct shelf *s)
{
    return s->stamp;
}

/* ------------------------------------------------------------------------- finding */

bool shelf_find_head(const struct shelf *s, struct slice key, uint64_t hash,
                     struct place *ret_place)
{
    struct spot spot;

    for (uint32_t ref = table_first(&s->store.table, hash, &spot); ref != 0;
         ref = table_next(&s->store.table, &spot)) {
        struct record *r = arena_record(&s->store.arena, ref);

        /* Most records reach into the second line, which can come at the same time. */
        __builtin_prefetch((const char *)r + 64);
        __builtin_prefetch((const char *)r + 128);
        if (LIKELY(r->role != ROLE_VARIANT && slice_eq(record_key(r), key))) {
            *ret_place = (struct place){r, ref, hash, spot};
            return true;
        }
    }
    return false;
}

bool shelf_find_variant(const struct shelf *s, const struct question *q, uint64_t hash,
                        struct place *ret_place)
{
    struct spot spot;

    for (uint32_t ref = table_first(&s->store.table, hash, &spot); ref != 0;
         ref = table_next(&s->store.table, &spot)) {
        struct record *r = arena_record(&s->store.arena, ref);

        if (r->role == ROLE_VARIANT && r->scope == q->scope && slice_eq(record_key(r), q->key) &&
            slice_eq(record_ask(r), q->ask)) {
            *ret_place = (struct place){r, ref, hash, spot};
            return true;
        }
    }
    return false;
}

static inline bool is_answer(const struct record *head, const struct question *q)
{
    return q->ask.n == 0 && head->scope == q->scope && head->kind != RECORD_HOLLOW;
}

bool shelf_is_alive(const struct record *variant, const struct record *head)
{
    return variant->stamp > record_birth(head);
}

static void count_hit(struct record *r)
{
    if (r->freq < FREQ_MAX)
        r->freq = (r->freq + 1u) & FREQ_MAX;
}

static inline bool find_by_hash(struct shelf *s, const struct question *q, uint64_t hash,
                                struct entry *ret_entry)
{
    struct place head, variant;

    if (!shelf_find_head(s, q->key, hash, &head))
        return false;
    if (LIKELY(is_answer(head.record, q))) {
        count_hit(head.record);
        record_entry(head.record, ret_entry);
        return true;
    }
    if (head.record->role == ROLE_ALONE)
        return false;
    hash = shelf_hash_variant(s, hash, q->ask, q->scope);
    if (!shelf_find_variant(s, q, hash, &variant))
        return false;
    if (!shelf_is_alive(variant.record, head.record)) {
        shelf_forget(s, &variant);
        return false;
    }
    count_hit(head.record);
    count_hit(variant.record);
    record_entry(variant.record, ret_entry);
    return true;
}

bool shelf_find(struct shelf *s, const struct question *q, struct entry *ret_entry)
{
    return find_by_hash(s, q, hash_bytes(&s->seed, q->key.p, q->key.n), ret_entry);
}

void shelf_probe(const struct shelf *s, struct slice key, struct probe *ret_probe)
{
    ret_probe->hash = hash_bytes(&s->seed, key.p, key.n);
    table_prefetch(&s->store.table, ret_probe->hash);
}

void shelf_fetch(const struct shelf *s, struct probe *probe)
{
    struct spot spot;
    const char *record;

    probe->ref = table_first(&s->store.table, probe->hash, &spot);
    if (probe->ref == 0)
        return;
    record = (const char *)arena_record(&s->store.arena, probe->ref);
    __builtin_prefetch(record);
    __builtin_prefetch(record + 64);
    __builtin_prefetch(record + 128);
}

/* Nearly always the first candidate is the one. */
bool shelf_find_probed(struct shelf *s, const struct question *q, const struct probe *probe,
                       struct entry *ret_entry)
{
    struct record *r;

    if (probe->ref == 0)
        return false;
    r = arena_record(&s->store.arena, probe->ref);
    if (UNLIKELY(r->role == ROLE_VARIANT || !is_answer(r, q) || !slice_eq(record_key(r), q->key)))
        return find_by_hash(s, q, probe->hash, ret_entry);
    count_hit(r);
    record_entry(r, ret_entry);
    return true;
}

bool shelf_peek(const struct shelf *s, const struct question *q, struct entry *ret_entry)
{
    uint64_t hash = hash_bytes(&s->seed, q->key.p, q->key.n);
    struct place head, variant;

    if (!shelf_find_head(s, q->key, hash, &head))
        return false;
    if (!is_answer(head.record, q)) {
        hash = shelf_hash_variant(s, hash, q->ask, q->scope);
        if (!shelf_find_variant(s, q, hash, &variant) ||
            !shelf_is_alive(variant.record, head.record))
            return false;
        record_entry(variant.record, ret_entry);
        return true;
    }
    record_entry(head.record, ret_entry);
    return true;
}

void shelf_place(const struct shelf *s, uint32_t ref, struct place *ret_place)
{
    ret_place->record = arena_record(&s->store.arena, ref);
    ret_place->ref = ref;
    ret_place->hash = hash_record(s, ret_place->record);
    table_locate(&s->store.table, ret_place->hash, ref, &ret_place->spot);
}

bool shelf_orphan(const struct shelf *s, const struct place *at)
{
    struct slice key = record_key(at->record);
    struct place head;

    if (at->record->role != ROLE_VARIANT)
        return false;
    return !shelf_find_head(s, key, hash_bytes(&s->seed, key.p, key.n), &head) ||
           !shelf_is_alive(at->record, head.record);
}

/* ------------------------------------------------------------------------ removing */

/* A record that is no longer in the table. */
void shelf_bury(struct shelf *s, uint32_t ref)
{
    struct record *r = arena_record(&s->store.arena, ref);
    size_t size = record_size(r), outside = record_outside(r);

    if (UNLIKELY(s->shares != NULL))
        shares_out(s, r);
    account_out(s, r, size + outside);
    if (outside) {
        s->block_bytes -= outside;
        block_release(record_block(r));
    }
    r->stamp = 0;
    arena_bury(&s->store.arena, ref, size, outside);
}

void shelf_forget(struct shelf *s, const struct place *at)
{
    table_remove(&s->store.table, at->hash, &at->spot);
    shelf_bury(s, at->ref);
}

bool shelf_hollow(struct shelf *s, const struct place *at)
{
    struct record *r = at->record;
    size_t outside = record_outside(r);

    if (r->role == ROLE_VARIANT || r->role == ROLE_ALONE) {
        shelf_forget(s, at);
        return true;
    }
    if (UNLIKELY(s->shares != NULL))
        shares_out(s, r);
    account_out(s, r, record_size(r) + outside);
    if (outside) {
        s->block_bytes -= outside;
        block_release(record_block(r));
        r->block = 0;
        arena_lighten(&s->store.arena, at->ref, outside);
    }
    r->kind = RECORD_HOLLOW;
    r->scope = 0;
    shelf_account_in(s, r, record_size(r));
    if (UNLIKELY(s->shares != NULL))
        shares_in(s, r);
    return false;
}

bool shelf_remove_hashed(struct shelf *s, struct slice key, uint64_t hash)
{
    struct place head;

    if (!shelf_find_head(s, key, hash, &head))
        return false;
    shelf_forget(s, &head);
    return true;
}

bool shelf_remove(struct shelf *s, struct slice key)
{
    return shelf_remove_hashed(s, key, hash_bytes(&s->seed, key.p, key.n));
}
