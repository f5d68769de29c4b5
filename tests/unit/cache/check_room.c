/* check_room.c - room on the shelf: who is thrown out, what is given back, how much work at once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "inspect.h"
#include "suites.h"

#define MB      ((size_t)1 << 20)
#define FAR     (UINT64_C(1) << 40)
#define REPLY   100u
#define NOBODYS 1000000u /* keys from here on are asked for once */

static char reply_bytes[2 * 1048576];

static struct question number(char *into, uint64_t n)
{
    snprintf(into, 24, "key:%016lu", (unsigned long)n);
    return (struct question){.key = slice_of(into, 20)};
}

static bool put_bytes(struct shelf *s, uint64_t n, size_t bytes, uint64_t deadline_ms)
{
    char key[24];
    struct question q = number(key, n);
    struct entry e = {.bytes = slice_of(reply_bytes, bytes),
                      .deadline_ms = deadline_ms,
                      .expiry_ms = EXPIRY_NEVER};

    return shelf_put(s, &q, &e);
}

static bool find_number(struct shelf *s, uint64_t n)
{
    char key[24];
    struct question q = number(key, n);
    struct entry e;

    return shelf_find(s, &q, &e);
}

/* Each ck_assert() that holds costs a system call: these are for loops. */
static void must_put(struct shelf *s, uint64_t n, size_t bytes, uint64_t deadline_ms)
{
    if (!put_bytes(s, n, bytes, deadline_ms))
        ck_abort_msg("%lu is not kept", (unsigned long)n);
}

static void must_find(struct shelf *s, uint64_t n)
{
    if (!find_number(s, n))
        ck_abort_msg("%lu is not found", (unsigned long)n);
}

static bool peek_number(struct shelf *s, uint64_t n)
{
    char key[24];
    struct question q = number(key, n);
    struct entry e;

    return shelf_peek(s, &q, &e);
}

static unsigned left_of(struct shelf *s, uint64_t from, uint64_t to)
{
    unsigned count = 0;

    for (uint64_t i = from; i < to; i++)
        count += peek_number(s, i);
    return count;
}

static enum queue_id queue_of(struct shelf *s, uint64_t n)
{
    char key[24];
    struct question q = number(key, n);
    struct place at;

    ck_assert(shelf_find_head(s, q.key, hash_bytes(&s->seed, q.key.p, q.key.n), &at));
    return arena_queue_of(&s->store.arena, at.ref);
}

static uint64_t evictions(struct shelf *s)
{
    return shelf_usage_total(s).evictions;
}

static size_t bytes_of(struct shelf *s)
{
    return shelf_usage_total(s).bytes;
}

/* Puts until eviction has gone once through everything. */
static void fill_up(struct shelf *s, uint64_t *next)
{
    uint64_t end = evictions(s) + 1000;

    for (; evictions(s) < end; ++*next)
        must_put(s, *next, REPLY, FAR);
}

/* ------------------------------------------------------------------------ S3-FIFO */

START_TEST(who_is_asked_for_survives_who_is_not)
{
    struct shelf *s = shelf_new(MB);
    uint64_t next = NOBODYS;

    for (uint64_t i = 0; i < 500; i++)
        must_put(s, i, REPLY, FAR);
    for (uint64_t i = 0; i < 500; i++)
        must_find(s, i);
    for (int round = 0; round < 20; round++)
        fill_up(s, &next);
    ck_assert_uint_eq(left_of(s, 0, 500), 500);
    ck_assert_int_eq(queue_of(s, 7), QUEUE_MAIN);
    ck_assert_int_eq(queue_of(s, next - 1), QUEUE_SMALL);
    ck_assert_uint_eq(left_of(s, NOBODYS, NOBODYS + 1000), 0);
    inspect(s);
    shelf_free(s);
}
END_TEST

START_TEST(a_look_that_does_not_count_does_not_count)
{
    struct shelf *s = shelf_new(MB);
    uint64_t next = NOBODYS;

    for (uint64_t i = 0; i < 500; i++)
        must_put(s, i, REPLY, FAR);
    for (uint64_t i = 0; i < 500; i++)
        ck_assert(peek_number(s, i));
    for (int round = 0; round < 20; round++)
        fill_up(s, &next);
    ck_assert_uint_eq(left_of(s, 0, 500), 0);
    shelf_free(s);
}
END_TEST

START_TEST(who_comes_back_from_the_ghosts_is_in_the_main_queue)
{
    struct shelf *s = shelf_new(MB);
    uint64_t next = NOBODYS, gone;

    fill_up(s, &next);
    fill_up(s, &next);
    gone = NOBODYS + 1500;
    ck_assert(!peek_number(s, gone));
    must_put(s, gone, REPLY, FAR);
    ck_assert_int_eq(queue_of(s, gone), QUEUE_MAIN);
    must_put(s, 1, REPLY, FAR);
    ck_assert_int_eq(queue_of(s, 1), QUEUE_SMALL);
    shelf_free(s);
}
END_TEST

/* New keys that are all asked for, so that the main queue must give room too. */
static void press_main(struct shelf *s, uint64_t *next)
{
    for (uint64_t end = *next + 500; *next < end; ++*next) {
        must_put(s, *next, REPLY, FAR);
        must_find(s, *next);
    }
}

/* Asked for three times, it stays longer than who was asked for once, and not for ever. */
START_TEST(the_main_queue_forgets_too)
{
    struct shelf *s = shelf_new(MB);
    uint64_t next = NOBODYS;
    unsigned rounds = 0;

    for (uint64_t i = 0; i < 1000; i++) {
        must_put(s, i, REPLY, FAR);
        must_find(s, i);
    }
    fill_up(s, &next);
    fill_up(s, &next);
    for (int k = 0; k < 3; k++)
        for (uint64_t i = k ? 500 : 0; i < 1000; i++)
            must_find(s, i);
    while (left_of(s, 0, 500) > 0)
        press_main(s, &next);
    ck_assert_uint_gt(left_of(s, 500, 1000), 450);
    for (; left_of(s, 500, 1000) > 0; rounds++) {
        ck_assert_uint_lt(rounds, 100);
        press_main(s, &next);
    }
    inspect(s);
    shelf_free(s);
}
END_TEST

START_TEST(a_reply_put_anew_keeps_its_place)
{
    struct shelf *s = shelf_new(MB);
    uint64_t next = NOBODYS;

    for (uint64_t i = 0; i < 500; i++)
        must_put(s, i, REPLY, FAR);
    for (uint64_t i = 0; i < 500; i++)
        must_find(s, i);
    fill_up(s, &next);
    fill_up(s, &next);
    ck_assert_int_eq(queue_of(s, 9), QUEUE_MAIN);
    must_put(s, 9, REPLY + 1, FAR);
    ck_assert_int_eq(queue_of(s, 9), QUEUE_MAIN);
    shelf_free(s);
}
END_TEST

/* ------------------------------------------------------------------- bounded work */

START_TEST(the_bound_holds_whatever_comes)
{
    struct shelf *s = shelf_new(2 * MB);
    uint64_t random = 5, kept = 0, most = 0;

    for (uint64_t i = 0; i < 60000; i++) {
        size_t n = i % 20 ? dice(&random) % 300 : dice(&random) % (i % 3000 ? 5000 : 200000);
        uint64_t before = evictions(s), work;

        kept += put_bytes(s, dice(&random) % 20000, n, FAR);
        (void)find_number(s, dice(&random) % 20000);
        work = evictions(s) - before;
        most = work > most ? work : most;
        ck_assert_uint_le(bytes_of(s), 2 * MB);
    }
    ck_assert_uint_le(most, ROOM_STEPS + AHEAD_STEPS);
    ck_assert_uint_gt(kept, 59900);
    ck_assert_uint_gt(bytes_of(s), 2 * MB * 8 / 10);
    inspect(s);
    shelf_free(s);
}
END_TEST

/* Work in advance: ordinary puts do not throw out hundreds at once, but for a few times when a page
 * of the table comes at the wrong moment. */
START_TEST(eviction_is_spread_over_the_puts)
{
    struct shelf *s = shelf_new(8 * MB);
    uint64_t next = NOBODYS, many = 0;

    fill_up(s, &next);
    for (unsigned i = 0; i < 50000; i++) {
        uint64_t before = evictions(s);

        must_put(s, next++, REPLY, FAR);
        many += evictions(s) - before > 4;
    }
    ck_assert_uint_le(many, 5);
    shelf_free(s);
}
END_TEST

/* A large reply among small ones: too much for one call, but the next ones get there. */
START_TEST(room_for_a_large_one_is_made_in_the_end)
{
    struct shelf *s = shelf_new(16 * MB);
    unsigned tries = 0;
    uint64_t next = NOBODYS;

    fill_up(s, &next);
    while (!put_bytes(s, 1, 2 * MB - 8192, FAR)) {
        uint64_t before = evictions(s);

        ck_assert_uint_lt(tries++, 200);
        /* More than the last try has thrown out: what it won must be kept for the next. */
        for (int i = 0; i < 600; i++)
            must_put(s, next++, REPLY, FAR);
        ck_assert_uint_le(evictions(s) - before, 600 * 4);
    }
    ck_assert_uint_gt(tries, 0);
    must_find(s, 1);
    ck_assert_uint_le(bytes_of(s), 16 * MB);
    inspect(s);
    shelf_free(s);
}
END_TEST

/* Invalidation without end: what is dead must give its place to what comes, not what lives. */
START_TEST(dead_bytes_do_not_push_out_the_living)
{
    struct shelf *s = shelf_new(4 * MB);
    uint64_t random = 3;
    unsigned stay;

    for (uint64_t i = 0; i < 8000; i++)
        must_put(s, i, REPLY, FAR);
    for (uint64_t i = 0; i < 100000; i++) {
        char key[24];
        uint64_t n = 10000 + dice(&random) % 8000;

        must_put(s, n, REPLY, FAR);
        ck_assert(shelf_remove(s, number(key, n).key));
        n = dice(&random) % 8000;
        if (i % 4 == 0 && shelf_remove(s, number(key, n).key))
            must_put(s, n, REPLY, FAR);
        ck_assert_uint_le(bytes_of(s), 4 * MB);
    }
    stay = left_of(s, 0, 8000);
    ck_assert_msg(stay == 8000, "%u of 8000 are left", stay);
    inspect(s);
    shelf_free(s);
}
END_TEST

/* ------------------------------------------------------------------------- expiry */

START_TEST(the_expired_are_given_back_by_the_slice)
{
    struct shelf *s = shelf_new(16 * MB);
    uint64_t last = 0;

    for (uint64_t i = 0; i < 10000; i++)
        must_put(s, i, REPLY, 1000 + i);
    ck_assert(!shelf_tidy(s, 999, 50));
    ck_assert_uint_eq(shelf_usage_total(s).expired, 0);
    ck_assert(!shelf_tidy(s, 1010, 50));
    ck_assert_uint_eq(shelf_usage_total(s).expired, 11);
    ck_assert(!peek_number(s, 10));
    ck_assert(peek_number(s, 11));
    last = 11;
    while (shelf_tidy(s, 6000, 50)) {
        uint64_t now = shelf_usage_total(s).expired;

        ck_assert_uint_le(now - last, 50);
        last = now;
    }
    ck_assert_uint_eq(shelf_usage_total(s).expired, 5001);
    ck_assert_uint_eq(shelf_usage_of(s, 0).expired, 5001);
    ck_assert_uint_eq(shelf_usage_total(s).entries, 4999);
    ck_assert_uint_eq(evictions(s), 0);
    while (shelf_tidy(s, 20000, 50))
        ;
    ck_assert_uint_eq(shelf_usage_total(s).entries, 0);
    ck_assert_uint_lt(bytes_of(s), MB / 2);
    inspect(s);
    shelf_free(s);
}
END_TEST

/* A head that is only there for its variants lives as long as the last of them. */
START_TEST(a_hollow_head_expires_with_its_variants)
{
    struct shelf *s = shelf_new(MB);
    struct question first = ask_for("k", "STRLEN", 0), last = ask_for("k", "TYPE", 0);
    struct entry e = reply_of("x");

    e.deadline_ms = 100;
    ck_assert(shelf_put(s, &first, &e));
    e.deadline_ms = 1000;
    ck_assert(shelf_put(s, &last, &e));
    ck_assert(!shelf_tidy(s, 999, 50));
    finds(s, "k", "TYPE", "x");
    ck_assert(!shelf_tidy(s, 1000, 50));
    finds(s, "k", "TYPE", NULL);
    ck_assert_uint_eq(s->store.table.count, 0);
    inspect(s);
    shelf_free(s);
}
END_TEST

START_TEST(the_expired_are_not_evicted)
{
    struct shelf *s = shelf_new(MB);
    uint64_t next = NOBODYS;

    /* A first one that does not expire, so that only eviction gets at those behind it. */
    must_put(s, 0, REPLY, FAR);
    for (uint64_t i = 1; i < 1000; i++)
        must_put(s, i, REPLY, 100);
    for (uint64_t i = 1; i < 1000; i++)
        must_find(s, i);
    ck_assert(!shelf_tidy(s, 100, 5000));
    ck_assert_uint_eq(shelf_usage_total(s).expired, 0);
    while (shelf_usage_total(s).expired < 999) {
        ck_assert_uint_lt(next, NOBODYS + 20000);
        must_put(s, next++, REPLY, FAR);
    }
    ck_assert_uint_eq(left_of(s, 0, 1000), 0);
    ck_assert_uint_le(evictions(s), 2);
    shelf_free(s);
}
END_TEST

/* ------------------------------------------------------------ clearing, resizing */

START_TEST(what_was_cleared_comes_back_in_slices)
{
    struct shelf *s = shelf_new(64 * MB);
    size_t full, last;
    unsigned slices = 0;

    for (uint64_t i = 0; i < 100000; i++)
        must_put(s, i, i % 100 ? REPLY : 20000, FAR);
    full = last = bytes_of(s);
    shelf_clear(s);
    ck_assert_uint_ge(bytes_of(s), full);
    must_put(s, 5, REPLY, FAR);
    while (shelf_tidy(s, 0, 20)) {
        size_t now = bytes_of(s);

        ck_assert_uint_le(now, last + MB);
        ck_assert_uint_le(last < now ? 0 : last - now, 4 * MB);
        last = now;
        slices++;
        must_find(s, 5);
    }
    ck_assert_uint_gt(slices, 50);
    ck_assert_uint_lt(bytes_of(s), MB / 2);
    inspect(s);
    shelf_free(s);
}
END_TEST

/* A full shelf is cleared and filled again at once, without anybody tidying. */
START_TEST(a_cleared_shelf_is_filled_at_once)
{
    struct shelf *s = shelf_new(4 * MB);
    uint64_t next = NOBODYS;

    for (int round = 0; round < 5; round++) {
        fill_up(s, &next);
        ck_assert_uint_le(bytes_of(s), 4 * MB);
        shelf_clear(s);
        for (uint64_t i = 0; i < 5000; i++)
            must_put(s, i, i % 50 ? REPLY : 10000, FAR);
        ck_assert_uint_le(bytes_of(s), 4 * MB + MB / 4);
        ck_assert_uint_eq(left_of(s, 0, 5000), 5000);
        inspect(s);
    }
    shelf_free(s);
}
END_TEST

START_TEST(a_smaller_bound_takes_hold_in_slices)
{
    struct shelf *s = shelf_new(32 * MB);
    uint64_t next = NOBODYS, before;

    fill_up(s, &next);
    ck_assert_uint_gt(bytes_of(s), 28 * MB);
    before = evictions(s);
    shelf_resize(s, 8 * MB);
    ck_assert_uint_eq(evictions(s), before);
    while (shelf_tidy(s, 0, 100)) {
        ck_assert_uint_le(evictions(s) - before, 100);
        before = evictions(s);
    }
    ck_assert_uint_le(bytes_of(s), 8 * MB);
    ck_assert_uint_gt(bytes_of(s), 6 * MB);
    inspect(s);
    for (int i = 0; i < 20000; i++)
        must_put(s, next++, REPLY, FAR);
    ck_assert_uint_le(bytes_of(s), 8 * MB);
    shelf_free(s);
}
END_TEST

START_TEST(a_much_smaller_bound_empties_it)
{
    struct shelf *s = shelf_new(512 * MB);
    uint64_t next = NOBODYS;

    for (uint64_t i = 0; i < 50000; i++)
        must_put(s, i, REPLY, FAR);
    shelf_resize(s, MB);
    while (shelf_tidy(s, 0, 100))
        ;
    ck_assert_uint_le(bytes_of(s), MB);
    fill_up(s, &next);
    ck_assert_uint_le(bytes_of(s), MB);
    ck_assert_uint_gt(bytes_of(s), MB / 2);
    inspect(s);
    shelf_free(s);
    s = shelf_new(512 * MB);
    shelf_resize(s, MB);
    fill_up(s, &next);
    ck_assert_uint_le(bytes_of(s), MB);
    shelf_free(s);
}
END_TEST

START_TEST(a_larger_bound_is_used)
{
    struct shelf *s = shelf_new(MB);
    uint64_t next = NOBODYS, kept;

    fill_up(s, &next);
    kept = shelf_usage_total(s).entries;
    shelf_resize(s, 32 * MB);
    for (uint64_t i = 0; i < 50000; i++)
        must_put(s, i, REPLY, FAR);
    ck_assert_uint_eq(left_of(s, 0, 50000), 50000);
    ck_assert_uint_eq(shelf_usage_total(s).entries, 50000 + kept);
    inspect(s);
    shelf_free(s);
}
END_TEST

/* --------------------------------------------------------------------- the account */

static size_t resident(void)
{
    unsigned long total = 0, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fscanf(f, "%lu %lu", &total, &pages), 2);
    fclose(f);
    return pages * 4096;
}

static void tidy_all(struct shelf *s)
{
    while (shelf_tidy(s, 0, 1000))
        ;
}

/* What is reported is what the process has grown by, within 15 %, entries small or large. */
static void account_holds(size_t max, uint64_t count, size_t n)
{
    size_t before = resident(), grown, says;
    struct shelf *s = shelf_new(max);

    for (uint64_t i = 0; i < count; i++)
        (void)put_bytes(s, i, n, FAR);
    says = bytes_of(s);
    grown = resident() - before;
    ck_assert_msg(grown <= says + says * 15 / 100 && grown >= says - says * 15 / 100,
                  "%zu bytes each: says %zu, has grown by %zu", n, says, grown);
    for (uint64_t i = 0; i < count; i++) {
        char key[24];

        (void)shelf_remove(s, number(key, i).key);
    }
    tidy_all(s);
    grown = resident() - before;
    ck_assert_msg(grown < MB + says / 10, "%zu bytes each: %zu left of none", n, grown);
    for (uint64_t i = 0; i < count; i++)
        (void)put_bytes(s, i, n, FAR);
    shelf_clear(s);
    tidy_all(s);
    grown = resident() - before;
    ck_assert_msg(grown < MB + says / 10, "%zu bytes each: %zu left after clearing", n, grown);
    shelf_free(s);
}

START_TEST(the_account_is_what_the_process_holds)
{
    /* Sanitizers and valgrind have memory of their own for each of ours. */
    if (getenv("VALGRIND") || getenv("SANITIZER"))
        return;
    (void)resident();
    for (size_t i = 0; i < sizeof(reply_bytes); i += 4096)
        reply_bytes[i] = 1;
    account_holds(64 * MB, 500000, 7);
    account_holds(32 * MB, 500000, 7);
    account_holds(64 * MB, 30, 2 * MB - 64);
    account_holds(32 * MB, 60, 2 * MB - 64);
    account_holds(32 * MB, 20000, 5000);
}
END_TEST

/* Keys of 20 bytes with values of 100, in a shelf with room: what larder promises. */
START_TEST(an_entry_costs_little_beyond_its_bytes)
{
    struct shelf *s = shelf_new(64 * MB);

    for (uint64_t i = 0; i < 200000; i++)
        must_put(s, i, REPLY + 8, FAR);
    ck_assert_uint_eq(shelf_usage_total(s).entries, 200000);
    ck_assert_uint_le(bytes_of(s) / 200000 - 120, 48);
    shelf_free(s);
}
END_TEST

Suite *room_suite(void)
{
    Suite *suite = suite_create("room");
    TCase *tc = tcase_create("room");

    tcase_add_test(tc, who_is_asked_for_survives_who_is_not);
    tcase_add_test(tc, a_look_that_does_not_count_does_not_count);
    tcase_add_test(tc, who_comes_back_from_the_ghosts_is_in_the_main_queue);
    tcase_add_test(tc, the_main_queue_forgets_too);
    tcase_add_test(tc, a_reply_put_anew_keeps_its_place);
    tcase_add_test(tc, the_bound_holds_whatever_comes);
    tcase_add_test(tc, eviction_is_spread_over_the_puts);
    tcase_add_test(tc, room_for_a_large_one_is_made_in_the_end);
    tcase_add_test(tc, dead_bytes_do_not_push_out_the_living);
    tcase_add_test(tc, the_expired_are_given_back_by_the_slice);
    tcase_add_test(tc, a_hollow_head_expires_with_its_variants);
    tcase_add_test(tc, the_expired_are_not_evicted);
    tcase_add_test(tc, what_was_cleared_comes_back_in_slices);
    tcase_add_test(tc, a_cleared_shelf_is_filled_at_once);
    tcase_add_test(tc, a_smaller_bound_takes_hold_in_slices);
    tcase_add_test(tc, a_much_smaller_bound_empties_it);
    tcase_add_test(tc, a_larger_bound_is_used);
    tcase_add_test(tc, the_account_is_what_the_process_holds);
    tcase_add_test(tc, an_entry_costs_little_beyond_its_bytes);
    tcase_set_timeout(tc, 30);
    suite_add_tcase(suite, tc);
    return suite;
}
