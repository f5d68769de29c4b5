/* check_shelf.c - what is found, put and removed: identity, variants, stamps, limits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspect.h"
#include "suites.h"

#define PLENTY ((size_t)16 << 20)

START_TEST(what_was_put_is_found)
{
    struct shelf *s = shelf_new(PLENTY);

    finds(s, "a", "", NULL);
    put(s, "a", "", "$1\r\n1\r\n");
    put(s, "b", "", "");
    put(s, "", "", "empty key");
    finds(s, "a", "", "$1\r\n1\r\n");
    finds(s, "b", "", "");
    finds(s, "", "", "empty key");
    finds(s, "c", "", NULL);
    put(s, "a", "", "another, which is longer");
    finds(s, "a", "", "another, which is longer");
    ck_assert_uint_eq(shelf_usage_total(s).entries, 3);
    inspect(s);
    shelf_free(s);
    shelf_free(NULL);
}
END_TEST

START_TEST(keys_are_bytes)
{
    struct shelf *s = shelf_new(PLENTY);
    struct entry e = reply_of("x"), found;
    struct question a = {.key = slice_of("k\0a", 3)}, b = {.key = slice_of("k\0b", 3)},
                    k = {.key = slice_of("k", 1)};

    ck_assert(shelf_put(s, &a, &e));
    ck_assert(shelf_find(s, &a, &found));
    ck_assert(!shelf_find(s, &b, &found));
    ck_assert(!shelf_find(s, &k, &found));
    shelf_free(s);
}
END_TEST

/* key, ask and scope are told apart, also where the same bytes are divided otherwise. */
START_TEST(questions_are_told_apart)
{
    struct shelf *s = shelf_new(PLENTY);

    put(s, "ab", "c", "1");
    put(s, "a", "bc", "2");
    put(s, "abc", "", "3");
    put_at(s, "abc", 7, "4");
    put_at(s, "a", 7, "5");
    finds(s, "ab", "c", "1");
    finds(s, "a", "bc", "2");
    finds(s, "abc", "", "3");
    finds_at(s, "abc", 7, "4");
    finds_at(s, "a", 7, "5");
    finds(s, "a", "", NULL);
    finds(s, "ab", "", NULL);
    finds(s, "a", "b", NULL);
    finds_at(s, "abc", 8, NULL);
    inspect(s);
    shelf_free(s);
}
END_TEST

static void name_crowd(unsigned i, char *name, char *ask, struct question *ret_q)
{
    snprintf(name, 16, i % 3 == 0 ? "%u" : "one", i);
    ask[0] = 0;
    if (i % 3 == 1)
        snprintf(ask, 16, "%u", i);
    *ret_q = ask_for(name, ask, i % 3 == 2 ? (uint16_t)(i / 3 + 1) : 0);
}

/* So many that some have the same place and tag in the table, though nothing else in common. */
START_TEST(a_crowd_is_told_apart)
{
    struct shelf *s = shelf_new(2 * PLENTY);
    const unsigned crowd = 180000;
    char name[16], ask[16], bytes[16];
    struct question q;
    struct entry e;

    for (unsigned i = 0; i < crowd; i++) {
        snprintf(bytes, sizeof(bytes), "%u", i);
        e = reply_of(bytes);
        name_crowd(i, name, ask, &q);
        if (!shelf_put(s, &q, &e))
            ck_abort_msg("%u is not kept", i);
    }
    for (unsigned i = 0; i < crowd; i++) {
        snprintf(bytes, sizeof(bytes), "%u", i);
        name_crowd(i, name, ask, &q);
        if (!shelf_find(s, &q, &e) || !slice_eq(e.bytes, slice_str(bytes)))
            ck_abort_msg("%u is not found", i);
    }
    ck_assert_uint_eq(shelf_usage_total(s).entries, crowd);
    shelf_free(s);
}
END_TEST

START_TEST(remove_takes_everything_of_the_key)
{
    struct shelf *s = shelf_new(PLENTY);

    put(s, "k", "", "get");
    put(s, "k", "HGETALL", "all");
    put(s, "k", "HMGET a", "a");
    put_at(s, "k", 3, "get of 3");
    put(s, "kk", "HGETALL", "other");
    ck_assert(shelf_remove(s, SLICE("k")));
    finds(s, "k", "", NULL);
    finds(s, "k", "HGETALL", NULL);
    finds(s, "k", "HMGET a", NULL);
    finds_at(s, "k", 3, NULL);
    finds(s, "kk", "HGETALL", "other");
    ck_assert(!shelf_remove(s, SLICE("k")));
    ck_assert(!shelf_remove(s, SLICE("never")));
    inspect(s);
    shelf_free(s);
}
END_TEST

/* A new head of any kind must not give life to what hung on an older one. */
START_TEST(orphans_stay_dead)
{
    struct shelf *s = shelf_new(PLENTY);

    put(s, "k", "HGETALL", "old");
    put(s, "k", "STRLEN", "old");
    put_at(s, "k", 3, "old");
    put(s, "k", "TYPE", "old");
    ck_assert(shelf_remove(s, SLICE("k")));
    put(s, "k", "HGETALL", "new");
    finds(s, "k", "HGETALL", "new");
    finds(s, "k", "STRLEN", NULL);
    put(s, "k", "", "get");
    put(s, "k", "", "get again");
    finds_at(s, "k", 3, NULL);
    finds(s, "k", "HGETALL", "new");
    finds(s, "k", "TYPE", NULL);
    inspect(s);
    /* Looking for them has given them back: two heads' worth is left. */
    ck_assert_uint_eq(shelf_usage_total(s).entries, 2);
    shelf_free(s);
}
END_TEST

START_TEST(a_get_put_anew_keeps_the_variants)
{
    struct shelf *s = shelf_new(PLENTY);

    put(s, "k", "", "1");
    put(s, "k", "STRLEN", "len");
    put(s, "k", "", "2");
    finds(s, "k", "STRLEN", "len");
    put(s, "k", "", "3");
    put(s, "k", "", "4");
    finds(s, "k", "STRLEN", "len");
    finds(s, "k", "", "4");
    put(s, "k", "TYPE", "string");
    put(s, "k", "", "5");
    finds(s, "k", "STRLEN", "len");
    finds(s, "k", "TYPE", "string");
    inspect(s);
    ck_assert(shelf_remove(s, SLICE("k")));
    finds(s, "k", "STRLEN", NULL);
    finds(s, "k", "TYPE", NULL);
    shelf_free(s);
}
END_TEST

START_TEST(a_head_made_for_variants_takes_a_get)
{
    struct shelf *s = shelf_new(PLENTY);

    put(s, "k", "STRLEN", "len");
    ck_assert_uint_eq(shelf_usage_total(s).entries, 1);
    finds(s, "k", "", NULL);
    put_at(s, "k", 5, "get of 5");
    finds_at(s, "k", 5, "get of 5");
    finds(s, "k", "", NULL);
    finds(s, "k", "STRLEN", "len");
    ck_assert_uint_eq(shelf_usage_total(s).entries, 2);
    inspect(s);
    shelf_free(s);
}
END_TEST

static bool of_policy(void *context, struct slice key, const struct entry *e)
{
    (void)key;
    return e->policy == *(uint16_t *)context;
}

static void weed_policy(struct shelf *s, uint16_t policy)
{
    shelf_weed(s, of_policy, &policy);
    while (shelf_weeding(s))
        ck_assert(shelf_tidy(s, 0, 5) || !shelf_weeding(s));
}

static void put_policy(struct shelf *s, struct question q, uint16_t policy, const char *bytes)
{
    struct entry e = reply_of(bytes);

    e.policy = policy;
    ck_assert(shelf_put(s, &q, &e));
}

/* Once a hollow head took a scope's GET although that scope had one as a variant: when the head was
 * weeded, the older reply came to light. */
START_TEST(a_scope_has_one_get)
{
    struct shelf *s = shelf_new(PLENTY);

    put_policy(s, ask_for("k", "", 0), 1, "of 0");
    put_policy(s, ask_for("k", "", 4), 2, "of 4, old");
    weed_policy(s, 1);
    finds(s, "k", "", NULL);
    finds_at(s, "k", 4, "of 4, old");
    put_policy(s, ask_for("k", "", 4), 1, "of 4, new");
    finds_at(s, "k", 4, "of 4, new");
    weed_policy(s, 1);
    finds_at(s, "k", 4, NULL);
    inspect(s);
    shelf_free(s);
}
END_TEST

START_TEST(a_scope_has_one_get_when_it_cannot_be_kept)
{
    struct shelf *s = shelf_new(PLENTY);
    struct question q = ask_for("k", "", 4);
    struct entry e = reply_of("");

    put_policy(s, ask_for("k", "", 0), 1, "of 0");
    put_policy(s, q, 2, "of 4, old");
    weed_policy(s, 1);
    e.bytes = slice_of(calloc(1, PLENTY), PLENTY);
    ck_assert(!shelf_put(s, &q, &e));
    finds_at(s, "k", 4, NULL);
    free((void *)(uintptr_t)e.bytes.p);
    shelf_free(s);
}
END_TEST

/* The caller compares stamps with what shelf_stamp() was when trust was lost. */
START_TEST(stamps_tell_when_each_came)
{
    struct shelf *s = shelf_new(PLENTY);
    struct question get = ask_for("k", "", 0), len = ask_for("k", "STRLEN", 0);
    struct entry e = reply_of("x"), found;
    uint64_t lost;

    ck_assert_uint_eq(shelf_stamp(s), 0);
    ck_assert(shelf_put(s, &len, &e));
    lost = shelf_stamp(s);
    ck_assert(shelf_put(s, &get, &e));
    ck_assert(shelf_find(s, &len, &found));
    ck_assert_uint_le(found.stamp, lost);
    ck_assert(shelf_find(s, &get, &found));
    ck_assert_uint_gt(found.stamp, lost);
    ck_assert_uint_eq(found.stamp, shelf_stamp(s));
    lost = shelf_stamp(s);
    ck_assert(shelf_put(s, &len, &e));
    ck_assert(shelf_find(s, &len, &found));
    ck_assert_uint_gt(found.stamp, lost);
    ck_assert(shelf_find(s, &get, &found));
    ck_assert_uint_le(found.stamp, lost);
    shelf_clear(s);
    ck_assert_uint_gt(shelf_stamp(s), lost);
    shelf_free(s);
}
END_TEST

START_TEST(deadline_expiry_policy_and_kind_come_back)
{
    static const uint64_t deadlines[] = {0, 1, 1700000000000, DEADLINE_MAX - 1, DEADLINE_MAX};
    static const uint64_t expiries[] = {0,
                                        5,
                                        1700000000000,
                                        1700000000001,
                                        1704294967295,
                                        1704294967296,
                                        DEADLINE_MAX,
                                        DEADLINE_MAX + UINT32_MAX,
                                        DEADLINE_MAX + UINT32_MAX + 1,
                                        EXPIRY_NEVER - 1,
                                        EXPIRY_NEVER};
    struct shelf *s = shelf_new(PLENTY);
    struct question questions[] = {ask_for("key", "", 0), ask_for("key", "x", 65535)};

    for (unsigned i = 0; i < ARRAY_LEN(deadlines) * ARRAY_LEN(expiries) * 2; i++) {
        struct question q = questions[i % 2];
        struct entry e = {.bytes = SLICE("$2\r\nab\r\n"),
                          .deadline_ms = deadlines[i / 2 % ARRAY_LEN(deadlines)],
                          .expiry_ms = expiries[i / 2 / ARRAY_LEN(deadlines)],
                          .policy = (uint16_t)(65535 - i % 3),
                          .kind = i % 5 ? ENTRY_VALUE : ENTRY_ABSENT};
        struct entry found;

        ck_assert(shelf_put(s, &q, &e));
        ck_assert(shelf_find(s, &q, &found));
        ck_assert(slice_eq(found.bytes, e.bytes));
        ck_assert_uint_eq(found.deadline_ms, e.deadline_ms);
        ck_assert_uint_eq(found.expiry_ms, e.expiry_ms);
        ck_assert_uint_eq(found.policy, e.policy);
        ck_assert_uint_eq(found.kind, e.kind);
        ck_assert_ptr_null(found.block);
    }
    inspect(s);
    shelf_free(s);
}
END_TEST

START_TEST(a_deadline_too_late_is_the_latest)
{
    struct shelf *s = shelf_new(PLENTY);
    struct question q = ask_for("k", "", 0);
    struct entry e = reply_of("x"), found;

    for (uint64_t late = DEADLINE_MAX + 1; late < DEADLINE_MAX + 5; late++) {
        e.deadline_ms = late;
        e.expiry_ms = late;
        ck_assert(shelf_put(s, &q, &e));
        ck_assert(shelf_find(s, &q, &found));
        ck_assert_uint_eq(found.deadline_ms, DEADLINE_MAX);
        ck_assert_uint_eq(found.expiry_ms, late);
    }
    shelf_free(s);
}
END_TEST

/* True when it was kept; what is kept must be found. */
static bool kept(struct shelf *s, size_t key, size_t ask, size_t bytes)
{
    char *p = malloc(key + ask + bytes + 1);
    struct question q = {.key = slice_of(p, key), .ask = slice_of(p + key, ask)};
    struct entry e = reply_of(""), found;
    bool result;

    memset(p, 'x', key + ask + bytes);
    e.bytes = slice_of(p + key + ask, bytes);
    result = shelf_put(s, &q, &e);
    ck_assert_int_eq(shelf_find(s, &q, &found), result);
    if (result)
        ck_assert(slice_eq(found.bytes, e.bytes));
    inspect(s);
    free(p);
    return result;
}

START_TEST(sizes)
{
    struct shelf *s = shelf_new((size_t)1 << 30);

    ck_assert(kept(s, 65535, 0, 10));
    ck_assert(!kept(s, 65536, 0, 10));
    ck_assert(kept(s, 10, 65535, 10));
    ck_assert(!kept(s, 10, 65536, 10));
    ck_assert(kept(s, 65535, 65535, 8191));
    for (size_t n = 8100; n < 8300; n++)
        ck_assert(kept(s, 10, n % 2 * 4, n));
    ck_assert(kept(s, 10, 0, ((size_t)1 << 27) - 8192));
    ck_assert(!kept(s, 10, 0, (size_t)1 << 27));
    shelf_free(s);

    s = shelf_new(SHELF_MIN_BYTES);
    ck_assert(kept(s, 8000, 0, 100));
    ck_assert(!kept(s, 8200, 0, 100));
    ck_assert(kept(s, 10, 0, SHELF_MIN_BYTES / 8 - 100));
    ck_assert(!kept(s, 10, 0, SHELF_MIN_BYTES / 8));
    shelf_free(s);

    s = shelf_new(0);
    ck_assert(kept(s, 10, 0, 100));
    shelf_free(s);
}
END_TEST

START_TEST(what_cannot_be_put_is_not_found_as_it_was)
{
    struct shelf *s = shelf_new(SHELF_MIN_BYTES);
    struct question get = ask_for("k", "", 0), len = ask_for("k", "STRLEN", 0);
    struct entry e = reply_of("");

    put(s, "k", "", "old");
    put(s, "k", "STRLEN", "old");
    e.bytes = slice_of(calloc(1, SHELF_MIN_BYTES), SHELF_MIN_BYTES);
    ck_assert(!shelf_put(s, &get, &e));
    finds(s, "k", "", NULL);
    finds(s, "k", "STRLEN", "old");
    ck_assert(!shelf_put(s, &len, &e));
    finds(s, "k", "STRLEN", NULL);
    inspect(s);
    free((void *)(uintptr_t)e.bytes.p);
    shelf_free(s);
}
END_TEST

static void put_block(struct shelf *s, const char *key, size_t n, char with)
{
    struct question q = ask_for(key, "", 0);
    struct entry e = reply_of("");
    char *p = malloc(n);

    memset(p, with, n);
    e.bytes = slice_of(p, n);
    ck_assert(shelf_put(s, &q, &e));
    free(p);
}

static struct block *find_block(struct shelf *s, const char *key)
{
    struct question q = ask_for(key, "", 0);
    struct entry e;

    ck_assert(shelf_find(s, &q, &e));
    ck_assert_ptr_nonnull(e.block);
    ck_assert_ptr_eq(e.bytes.p, e.block->bytes);
    ck_assert_uint_eq(e.bytes.n, e.block->n);
    return e.block;
}

static void is_all(const struct block *b, size_t n, char what)
{
    size_t same = 0;

    ck_assert_uint_eq(b->n, n);
    while (same < n && b->bytes[same] == what)
        same++;
    ck_assert_uint_eq(same, n);
}

/* Both kinds of memory (malloc and mmap), and all ways in which the shelf lets go. */
START_TEST(blocks_outlive_the_shelf)
{
    static const size_t lengths[] = {8192, 100000, 131072, 1000000};

    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct shelf *s = shelf_new(PLENTY);
        struct block *removed, *replaced, *cleared, *freed;

        put_block(s, "removed", lengths[i], 'a');
        put_block(s, "replaced", lengths[i], 'b');
        removed = block_hold(find_block(s, "removed"));
        replaced = block_hold(find_block(s, "replaced"));
        ck_assert_uint_eq(removed->refs, 2);
        ck_assert(shelf_remove(s, SLICE("removed")));
        ck_assert_uint_eq(removed->refs, 1);
        put_block(s, "replaced", lengths[i], 'c');
        ck_assert_uint_eq(replaced->refs, 1);
        cleared = block_hold(find_block(s, "replaced"));
        shelf_clear(s);
        while (shelf_tidy(s, 0, 10))
            ;
        ck_assert_uint_eq(cleared->refs, 1);
        put_block(s, "freed", lengths[i], 'd');
        freed = block_hold(find_block(s, "freed"));
        inspect(s);
        shelf_free(s);
        ck_assert_uint_eq(freed->refs, 1);
        is_all(removed, lengths[i], 'a');
        is_all(replaced, lengths[i], 'b');
        is_all(cleared, lengths[i], 'c');
        is_all(freed, lengths[i], 'd');
        block_release(removed);
        block_release(replaced);
        block_release(cleared);
        block_release(freed);
    }
}
END_TEST

START_TEST(small_replies_have_no_block)
{
    struct shelf *s = shelf_new(PLENTY);
    struct question q = ask_for("k", "", 0);
    struct entry e = reply_of("");
    char bytes[8191] = "x";

    e.bytes = slice_of(bytes, sizeof(bytes));
    ck_assert(shelf_put(s, &q, &e));
    ck_assert(shelf_find(s, &q, &e));
    ck_assert_ptr_null(e.block);
    ck_assert_uint_eq(shelf_usage_of(s, 0).bytes, align_record(RECORD_HEADER + 1 + 8191));
    put_block(s, "b", 8192, 'x');
    (void)find_block(s, "b");
    shelf_free(s);
}
END_TEST

START_TEST(clear_removes_all_at_once)
{
    struct shelf *s = shelf_new(PLENTY);
    char key[16];

    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "%d", i);
        put(s, key, i % 3 ? "" : "HGETALL", "x");
    }
    shelf_clear(s);
    ck_assert_uint_eq(shelf_usage_total(s).entries, 0);
    ck_assert_uint_eq(shelf_usage_of(s, 0).entries, 0);
    ck_assert_uint_eq(shelf_usage_of(s, 0).bytes, 0);
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "%d", i);
        finds(s, key, i % 3 ? "" : "HGETALL", NULL);
    }
    put(s, "1", "", "new");
    finds(s, "1", "", "new");
    ck_assert_uint_eq(shelf_usage_total(s).entries, 1);
    inspect(s);
    shelf_clear(s);
    shelf_clear(s);
    finds(s, "1", "", NULL);
    shelf_free(s);
}
END_TEST

START_TEST(usage_by_policy)
{
    struct shelf *s = shelf_new(PLENTY);

    put_policy(s, ask_for("a", "", 0), 0, "12345678");
    put_policy(s, ask_for("b", "", 0), 40000, "12345678");
    put_policy(s, ask_for("c", "", 0), 40000, "12345678");
    ck_assert_uint_eq(shelf_usage_of(s, 0).entries, 1);
    ck_assert_uint_eq(shelf_usage_of(s, 0).bytes, align_record(RECORD_HEADER + 9));
    ck_assert_uint_eq(shelf_usage_of(s, 40000).entries, 2);
    ck_assert_uint_eq(shelf_usage_of(s, 40000).bytes, 2 * align_record(RECORD_HEADER + 9));
    ck_assert_uint_eq(shelf_usage_of(s, 65535).entries, 0);
    put_policy(s, ask_for("b", "", 0), 7, "1");
    ck_assert_uint_eq(shelf_usage_of(s, 40000).entries, 1);
    ck_assert_uint_eq(shelf_usage_of(s, 7).entries, 1);
    ck_assert(shelf_remove(s, SLICE("c")));
    ck_assert_uint_eq(shelf_usage_of(s, 40000).bytes, 0);
    ck_assert_uint_eq(shelf_usage_total(s).entries, 2);
    inspect(s);
    shelf_free(s);
}
END_TEST

START_TEST(weeding_removes_what_is_doomed_and_no_more)
{
    struct shelf *s = shelf_new(PLENTY);
    char key[16];
    uint16_t policy = 1;

    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof(key), "%d", i);
        put_policy(s, ask_for(key, i % 4 ? "" : "HGETALL", 0), (uint16_t)(i % 3), "x");
    }
    ck_assert(!shelf_weeding(s));
    weed_policy(s, 1);
    for (int i = 0; i < 5000; i++) {
        snprintf(key, sizeof(key), "%d", i);
        finds(s, key, i % 4 ? "" : "HGETALL", i % 3 == 1 ? NULL : "x");
    }
    shelf_weed(s, of_policy, &policy);
    ck_assert(shelf_weeding(s));
    shelf_weed(s, NULL, NULL);
    ck_assert(!shelf_weeding(s));
    shelf_weed(s, of_policy, &policy);
    shelf_clear(s);
    ck_assert(!shelf_weeding(s));
    inspect(s);
    shelf_free(s);
}
END_TEST

/* Joining buckets moves what is in the last to one that was weeded already. */
START_TEST(weeding_sees_all_while_the_table_could_shrink)
{
    struct shelf *s = shelf_new(PLENTY);
    char key[16];
    unsigned more = 0;

    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "%d", i);
        put_policy(s, ask_for(key, "", 0), i % 20 ? 0 : 1, "x");
    }
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "%d", i);
        if (i % 20)
            ck_assert(shelf_remove(s, slice_str(key)));
    }
    weed_policy(s, 1);
    ck_assert_uint_eq(shelf_usage_total(s).entries, 0);
    while (shelf_tidy(s, 0, 100))
        more++;
    ck_assert_uint_gt(more, 10);
    ck_assert_uint_eq(s->store.table.n, 64);
    inspect(s);
    shelf_free(s);
}
END_TEST

/* The variants of other policies, or of what else the judge goes by, are not its head's business.
 */
START_TEST(weeding_a_head_keeps_its_variants)
{
    struct shelf *s = shelf_new(PLENTY);
    struct question get = ask_for("k", "", 0);
    struct entry e = reply_of("");

    e.bytes = slice_of(calloc(1, 10000), 10000);
    e.policy = 1;
    ck_assert(shelf_put(s, &get, &e));
    put_policy(s, ask_for("k", "STRLEN", 0), 2, "x");
    put_policy(s, ask_for("k", "TYPE", 0), 1, "x");
    weed_policy(s, 1);
    finds(s, "k", "", NULL);
    finds(s, "k", "TYPE", NULL);
    finds(s, "k", "STRLEN", "x");
    ck_assert_uint_eq(shelf_usage_total(s).entries, 1);
    inspect(s);
    put(s, "k", "", "again");
    finds(s, "k", "", "again");
    finds(s, "k", "STRLEN", "x");
    inspect(s);
    free((void *)(uintptr_t)e.bytes.p);
    shelf_free(s);
}
END_TEST

Suite *shelf_suite(void)
{
    Suite *suite = suite_create("shelf");
    TCase *tc = tcase_create("shelf");

    tcase_add_test(tc, what_was_put_is_found);
    tcase_add_test(tc, keys_are_bytes);
    tcase_add_test(tc, questions_are_told_apart);
    tcase_add_test(tc, a_crowd_is_told_apart);
    tcase_add_test(tc, remove_takes_everything_of_the_key);
    tcase_add_test(tc, orphans_stay_dead);
    tcase_add_test(tc, a_get_put_anew_keeps_the_variants);
    tcase_add_test(tc, a_head_made_for_variants_takes_a_get);
    tcase_add_test(tc, a_scope_has_one_get);
    tcase_add_test(tc, a_scope_has_one_get_when_it_cannot_be_kept);
    tcase_add_test(tc, stamps_tell_when_each_came);
    tcase_add_test(tc, deadline_expiry_policy_and_kind_come_back);
    tcase_add_test(tc, a_deadline_too_late_is_the_latest);
    tcase_add_test(tc, sizes);
    tcase_add_test(tc, what_cannot_be_put_is_not_found_as_it_was);
    tcase_add_test(tc, blocks_outlive_the_shelf);
    tcase_add_test(tc, small_replies_have_no_block);
    tcase_add_test(tc, clear_removes_all_at_once);
    tcase_add_test(tc, usage_by_policy);
    tcase_add_test(tc, weeding_removes_what_is_doomed_and_no_more);
    tcase_add_test(tc, weeding_sees_all_while_the_table_could_shrink);
    tcase_add_test(tc, weeding_a_head_keeps_its_variants);
    tcase_set_timeout(tc, 30);
    suite_add_tcase(suite, tc);
    return suite;
}
