/* check_table.c - the hash table and the ghosts by themselves.
 *
 * Here a reference's hash is made from the reference, so that the tests choose who meets whom. */
#include "cache/ghost.h"
#include "cache/table.h"
#include "inspect.h"
#include "suites.h"

static uint64_t hash_of(uint32_t ref)
{
    uint64_t state = ref;

    return dice(&state);
}

static void hashes(const void *context, const uint32_t *refs, unsigned count, uint64_t *ret_hashes)
{
    (void)context;
    ck_assert_uint_le(count, BUCKET_SLOTS);
    for (unsigned i = 0; i < count; i++)
        ret_hashes[i] = hash_of(refs[i]);
}

static void one_place(const void *context, const uint32_t *refs, unsigned count,
                      uint64_t *ret_hashes)
{
    (void)context;
    (void)refs;
    for (unsigned i = 0; i < count; i++)
        ret_hashes[i] = 77;
}

static bool has(const struct table *t, uint64_t hash, uint32_t ref)
{
    struct spot spot;
    uint32_t found = table_first(t, hash, &spot);

    while (found != ref && found != 0)
        found = table_next(t, &spot);
    return found == ref;
}

/* All references up to one. */
static void has_all(const struct table *t, uint32_t last)
{
    for (uint32_t i = 1; i <= last; i++)
        if (!has(t, hash_of(i), i))
            ck_abort_msg("%u of %u is not there", i, last);
}

static void drop(struct table *t, uint64_t hash, uint32_t ref)
{
    struct spot spot;

    table_locate(t, hash, ref, &spot);
    table_remove(t, hash, &spot);
}

START_TEST(grows_by_one_bucket_and_keeps_all)
{
    struct table t;

    ck_assert(table_init(&t, 100000));
    for (uint32_t ref = 1; ref <= 20000; ref++) {
        uint32_t n = t.n;

        table_add(&t, hash_of(ref), ref);
        table_grow(&t, hashes, NULL);
        ck_assert_uint_le(t.n, n + 1);
        ck_assert_uint_ge((uint64_t)t.n * 8 + 8, t.count);
        if (ref % 997 == 0)
            has_all(&t, ref);
    }
    ck_assert(!has(&t, hash_of(20001), 20001));
    ck_assert_uint_le(table_bytes(&t), 20000 * 11);
    table_done(&t);
}
END_TEST

START_TEST(shrinks_by_one_bucket_and_keeps_all)
{
    struct table t;
    size_t bytes;

    ck_assert(table_init(&t, 100000));
    for (uint32_t ref = 1; ref <= 20000; ref++) {
        table_add(&t, hash_of(ref), ref);
        table_grow(&t, hashes, NULL);
    }
    ck_assert(!table_shrink(&t));
    bytes = table_bytes(&t);
    for (uint32_t ref = 20000; ref > 100; ref--)
        drop(&t, hash_of(ref), ref);
    for (uint32_t n = t.n; table_shrink(&t); n--) {
        ck_assert_uint_eq(t.n, n - 1);
        if (n % 31 == 0)
            has_all(&t, 100);
    }
    ck_assert_uint_le(t.n, 64);
    ck_assert_uint_lt(table_bytes(&t), bytes / 4);
    for (uint32_t ref = 101; ref <= 20000; ref++) {
        table_add(&t, hash_of(ref), ref);
        table_grow(&t, hashes, NULL);
    }
    has_all(&t, 20000);
    table_done(&t);
}
END_TEST

/* As an attacker would have it who knows the seed: slow, but not wrong. */
START_TEST(all_in_one_bucket)
{
    struct table t;

    ck_assert(table_init(&t, 2000));
    for (uint32_t ref = 1; ref <= 2000; ref++) {
        table_add(&t, 77, ref);
        table_grow(&t, one_place, NULL);
    }
    for (uint32_t i = 1; i <= 2000; i++)
        ck_assert(has(&t, 77, i));
    for (uint32_t i = 1; i <= 2000; i += 2)
        drop(&t, 77, i);
    for (uint32_t i = 1; i <= 2000; i++)
        ck_assert_int_eq(has(&t, 77, i), i % 2 == 0);
    for (uint32_t i = 2; i <= 2000; i += 2)
        drop(&t, 77, i);
    ck_assert_uint_eq(t.count, 0);
    while (table_shrink(&t))
        ;
    ck_assert_uint_eq(t.overflow.resident, 0);
    table_done(&t);
}
END_TEST

/* Tag 0 is what free slots have. */
START_TEST(any_tag_is_found_and_free_slots_are_not)
{
    struct table t;
    const uint64_t tags[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
    struct spot spot;

    ck_assert(table_init(&t, 1000));
    for (size_t i = 0; i < 6; i++)
        ck_assert_uint_eq(table_first(&t, tags[i] << 48, &spot), 0);
    for (uint32_t i = 0; i < 6; i++)
        table_add(&t, tags[i] << 48, i + 1);
    for (uint32_t i = 0; i < 6; i++) {
        ck_assert_uint_eq(table_first(&t, tags[i] << 48, &spot), i + 1);
        ck_assert_uint_eq(table_next(&t, &spot), 0);
    }
    for (uint32_t i = 6; i < 40; i++)
        table_add(&t, tags[i % 6] << 48, i + 1);
    for (uint32_t tag = 0; tag < 6; tag++) {
        uint32_t found = 0;

        for (uint32_t r = table_first(&t, tags[tag] << 48, &spot); r; r = table_next(&t, &spot)) {
            ck_assert_uint_eq((r - 1) % 6, tag);
            found++;
        }
        ck_assert_uint_eq(found, tag < 4 ? 7 : 6);
    }
    table_done(&t);
}
END_TEST

static unsigned remembered(const struct ghost *g, uint32_t from, uint32_t to)
{
    unsigned count = 0;

    for (uint32_t i = from; i < to; i++)
        count += ghost_has(g, hash_of(i));
    return count;
}

START_TEST(ghosts_are_the_last_ones)
{
    struct ghost g;

    ck_assert(ghost_init(&g, 100000));
    ck_assert_uint_eq(remembered(&g, 0, 1000), 0);
    for (uint32_t i = 0; i < 50000; i++)
        ghost_add(&g, hash_of(i), 8192);
    ck_assert_uint_gt(remembered(&g, 50000 - 4096, 50000), 4096 * 98 / 100);
    ck_assert_uint_lt(remembered(&g, 0, 50000 - 16384), 600);
    ck_assert_uint_lt(remembered(&g, 50000, 60000), 100);
    ck_assert_uint_eq(g.memory.resident, 8192 * GHOST_BYTES);
    ghost_done(&g);
}
END_TEST

START_TEST(ghosts_grow_and_shrink)
{
    struct ghost g;
    uint32_t i = 0;

    ck_assert(ghost_init(&g, 100000));
    for (; i < 3000; i++)
        ghost_add(&g, hash_of(i), 1024);
    for (; i < 3700; i++) {
        uint32_t n = g.n;

        ghost_add(&g, hash_of(i), 20000);
        ck_assert_uint_le(g.n, n + 1);
    }
    ck_assert_uint_eq(g.n, 625);
    ck_assert_uint_gt(remembered(&g, 3000, 3700), 680);
    for (; i < 30000; i++)
        ghost_add(&g, hash_of(i), 20000);
    ck_assert_uint_gt(remembered(&g, 20000, 30000), 9800);
    for (; i < 40000; i++)
        ghost_add(&g, hash_of(i), 1024);
    ck_assert_uint_le(g.n, 64);
    ck_assert_uint_gt(remembered(&g, 40000 - 512, 40000), 490);
    ck_assert_uint_le(g.memory.resident, 2 * PAGE_BYTES * 16);
    ghost_done(&g);
}
END_TEST

Suite *table_suite(void)
{
    Suite *suite = suite_create("table");
    TCase *tc = tcase_create("table");

    tcase_add_test(tc, grows_by_one_bucket_and_keeps_all);
    tcase_add_test(tc, shrinks_by_one_bucket_and_keeps_all);
    tcase_add_test(tc, all_in_one_bucket);
    tcase_add_test(tc, any_tag_is_found_and_free_slots_are_not);
    tcase_add_test(tc, ghosts_are_the_last_ones);
    tcase_add_test(tc, ghosts_grow_and_shrink);
    suite_add_tcase(suite, tc);
    return suite;
}
