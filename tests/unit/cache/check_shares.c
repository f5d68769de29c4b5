/* check_shares.c - owners on the shelf: what each holds, its share, what is dropped of it.
 *
 * Keys are `a:..` to `z:..`; the letter is the owner, by a map that tests change. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/shares.h"
#include "inspect.h"
#include "suites.h"

#define MB      ((size_t)1 << 20)
#define KB      ((size_t)1024)
#define FAR     (UINT64_C(1) << 40)
#define REPLY   100u
#define A_ENTRY 144u /* bytes of one of ours: header, 20 of key, REPLY */
#define OWNERS  8u

static char reply_bytes[64 * 1024];

struct map {
    uint32_t owner[256]; /* by letter */
    uint64_t asked;
};

static uint32_t by_letter(void *context, struct slice key)
{
    struct map *m = context;

    m->asked++;
    return key.n > 1 && key.p[1] == ':' ? m->owner[(unsigned char)key.p[0]] : 0;
}

static uint32_t by_number(void *context, struct slice key)
{
    uint32_t n;

    (void)context;
    memcpy(&n, key.p, sizeof n);
    return n;
}

static struct slice name(char *into, char letter, uint64_t n)
{
    snprintf(into, 24, "%c:%018lu", letter, (unsigned long)n);
    return slice_of(into, 20);
}

static bool put_of(struct shelf *s, char letter, uint64_t n, size_t bytes)
{
    char key[24];
    struct question q = {.key = name(key, letter, n)};
    struct entry e = {
        .bytes = slice_of(reply_bytes, bytes), .deadline_ms = FAR, .expiry_ms = EXPIRY_NEVER};

    return shelf_put(s, &q, &e);
}

static void must_put(struct shelf *s, char letter, uint64_t n)
{
    if (!put_of(s, letter, n, REPLY))
        ck_abort_msg("%c:%lu is not kept", letter, (unsigned long)n);
}

static bool has(struct shelf *s, char letter, uint64_t n, bool counts)
{
    char key[24];
    struct question q = {.key = name(key, letter, n)};
    struct entry e;

    return counts ? shelf_find(s, &q, &e) : shelf_peek(s, &q, &e);
}

static bool is_dropped(struct shelf *s, char letter, uint64_t n)
{
    char key[24];
    struct question q = {.key = name(key, letter, n)};
    struct entry e;

    return shelf_peek(s, &q, &e) && shelf_dropped(s, q.key, e.stamp);
}

static unsigned left_of(struct shelf *s, char letter, uint64_t from, uint64_t to)
{
    unsigned count = 0;

    for (uint64_t i = from; i < to; i++)
        count += has(s, letter, i, false);
    return count;
}

static void tidy_all(struct shelf *s)
{
    while (shelf_tidy(s, 0, 100))
        ;
}

static uint64_t bytes_of(struct shelf *s, uint32_t owner)
{
    return shelf_usage_of_owner(s, owner).bytes;
}

/* a is 1, b is 2 .. */
static void map_letters(struct map *m)
{
    memset(m, 0, sizeof *m);
    for (unsigned i = 1; i <= OWNERS; i++)
        m->owner['a' + i - 1] = i;
}

static struct shelf *shelf_with(struct map *m, size_t max)
{
    struct shelf *s = shelf_new(max);

    map_letters(m);
    shelf_owners(s, by_letter, m);
    return s;
}

/* ------------------------------------------------------------------------- account */

START_TEST(what_an_owner_holds_is_counted)
{
    struct map m;
    struct shelf *s = shelf_with(&m, 8 * MB);
    char key[24];

    shelf_share(s, 1, 0);
    shelf_share(s, 2, MB);
    for (uint64_t i = 0; i < 100; i++) {
        must_put(s, 'a', i);
        must_put(s, 'b', i);
        must_put(s, 'c', i); /* a number that was not told */
        must_put(s, 'x', i);
    }
    ck_assert_uint_eq(bytes_of(s, 1), 100 * A_ENTRY);
    ck_assert_uint_eq(shelf_usage_of_owner(s, 2).entries, 100);
    ck_assert_uint_eq(bytes_of(s, 3), 0);
    ck_assert_uint_eq(bytes_of(s, 0), 200 * A_ENTRY);
    ck_assert(put_of(s, 'a', 7, 20000));
    ck_assert_uint_gt(bytes_of(s, 1), 99 * A_ENTRY + 20000);
    ck_assert(put_of(s, 'a', 7, REPLY));
    ck_assert_uint_eq(bytes_of(s, 1), 100 * A_ENTRY);
    for (uint64_t i = 0; i < 60; i++)
        ck_assert(shelf_remove(s, name(key, 'a', i)));
    ck_assert_uint_eq(bytes_of(s, 1), 40 * A_ENTRY);
    ck_assert_uint_eq(shelf_usage_of_owner(s, 1).entries, 40);
    inspect(s);
    shelf_clear(s);
    ck_assert_uint_eq(bytes_of(s, 1) + bytes_of(s, 2) + bytes_of(s, 0), 0);
    tidy_all(s);
    must_put(s, 'a', 1);
    ck_assert_uint_eq(bytes_of(s, 1), A_ENTRY);
    inspect(s);
    shelf_free(s);
}
END_TEST

START_TEST(expiry_and_eviction_are_counted_to_the_owner)
{
    struct map m;
    struct shelf *s = shelf_with(&m, 8 * MB);
    char key[24];
    struct question q = {.key = name(key, 'a', 1)};
    struct entry e = reply_of("x");

    shelf_share(s, 1, 0);
    shelf_share(s, 2, 64 * KB);
    e.deadline_ms = 10;
    ck_assert(shelf_put(s, &q, &e));
    ck_assert(!shelf_tidy(s, 10, 100));
    ck_assert_uint_eq(shelf_usage_of_owner(s, 1).expired, 1);
    for (uint64_t i = 0; i < 1000; i++)
        must_put(s, 'b', i);
    ck_assert_uint_eq(shelf_usage_of_owner(s, 2).evictions, 1000 - 64 * KB / A_ENTRY);
    ck_assert_uint_eq(shelf_usage_of_owner(s, 0).evictions, 0);
    ck_assert_uint_eq(shelf_usage_total(s).evictions, shelf_usage_of_owner(s, 2).evictions);
    shelf_free(s);
}
END_TEST

/* What came before the owner is nobody's, also when it goes, or is put anew. */
START_TEST(what_was_there_before_is_nobodys)
{
    struct map m;
    struct shelf *s = shelf_new(8 * MB);
    char key[24];

    map_letters(&m);
    for (uint64_t i = 0; i < 100; i++)
        must_put(s, 'a', i);
    shelf_owners(s, by_letter, &m);
    ck_assert_uint_eq(bytes_of(s, 0), 100 * A_ENTRY);
    shelf_share(s, 1, MB);
    ck_assert_uint_eq(bytes_of(s, 1), 0);
    for (uint64_t i = 0; i < 50; i++)
        must_put(s, 'a', i);
    ck_assert(shelf_remove(s, name(key, 'a', 90)));
    ck_assert_uint_eq(bytes_of(s, 1), 50 * A_ENTRY);
    ck_assert_uint_eq(bytes_of(s, 0), 49 * A_ENTRY);
    inspect(s);
    shelf_drop(s, 1);
    tidy_all(s);
    ck_assert_uint_eq(left_of(s, 'a', 0, 50), 0);
    ck_assert_uint_eq(left_of(s, 'a', 50, 100), 49);
    shelf_free(s);
}
END_TEST

/* ---------------------------------------------------------------------------- share */

START_TEST(who_is_over_its_share_gives_up_its_own)
{
    struct map m;
    struct shelf *s = shelf_with(&m, 16 * MB);

    shelf_share(s, 1, 128 * KB);
    shelf_share(s, 2, MB);
    for (uint64_t i = 0; i < 5000; i++)
        must_put(s, 'b', i);
    for (uint64_t i = 0; i < 400; i++)
        must_put(s, 'a', i);
    for (uint64_t i = 0; i < 400; i += 2)
        ck_assert(has(s, 'a', i, true));
    for (uint64_t i = 1000; i < 1600; i++) {
        must_put(s, 'a', i);
        if (bytes_of(s, 1) > 128 * KB)
            ck_abort_msg("over its share at %lu", (unsigned long)i);
    }
    /* 910 of these go in: the 200 asked for, and of the rest the newest. */
    ck_assert_uint_eq(left_of(s, 'a', 0, 400), 200 + 110);
    ck_assert_uint_eq(left_of(s, 'a', 1000, 1600), 600);
    for (uint64_t i = 0; i < 400; i += 2)
        ck_assert(has(s, 'a', i, false));
    ck_assert_uint_eq(left_of(s, 'b', 0, 5000), 5000);
    ck_assert_uint_gt(bytes_of(s, 1), 127 * KB);
    inspect(s);
    shelf_free(s);
}
END_TEST

/* Asked for once, it survives one round, not all. */
START_TEST(what_is_asked_for_no_more_goes_in_the_end)
{
    struct map m;
    struct shelf *s = shelf_with(&m, 16 * MB);

    shelf_share(s, 1, 128 * KB);
    for (uint64_t i = 0; i < 400; i++)
        must_put(s, 'a', i);
    for (uint64_t i = 0; i < 400; i++)
        ck_assert(has(s, 'a', i, true));
    for (uint64_t i = 1000; i < 4000; i++)
        must_put(s, 'a', i);
    ck_assert_uint_eq(left_of(s, 'a', 0, 400), 0);
    ck_assert_uint_eq(left_of(s, 'a', 3100, 4000), 900);
    shelf_free(s);
}
END_TEST

/* Others' entries do not go for it, whatever it does, on a shelf that is nearly full. */
START_TEST(a_flood_of_one_leaves_others_alone)
{
    struct map m;
    struct shelf *s = shelf_with(&m, 8 * MB);
    uint64_t random = 9;

    shelf_share(s, 1, MB);
    shelf_share(s, 2, 5 * MB);
    for (uint64_t i = 0; i < 34000; i++)
        must_put(s, 'b', i);
    for (uint64_t i = 0; i < 100000; i++) {
        (void)put_of(s, 'a', i, dice(&random) % 400);
        if (i % 16 == 0)
            (void)put_of(s, 'a', i + 1000000, dice(&random) % 12000);
        ck_assert_uint_le(bytes_of(s, 1), MB);
        ck_assert_uint_le(shelf_usage_total(s).bytes, 8 * MB);
    }
    ck_assert_uint_eq(left_of(s, 'b', 0, 34000), 34000);
    ck_assert_uint_eq(shelf_usage_of_owner(s, 2).evictions, 0);
    ck_assert_uint_gt(bytes_of(s, 1), MB * 9 / 10);
    inspect(s);
    shelf_free(s);
}
END_TEST

START_TEST(what_is_too_much_for_a_share_is_refused)
{
    struct map m;
    struct shelf *s = shelf_with(&m, 8 * MB);

    shelf_share(s, 1, 64 * KB);
    for (uint64_t i = 0; i < 100; i++)
        must_put(s, 'a', i);
    ck_assert(!put_of(s, 'a', 5, 9 * KB));
    ck_assert_uint_eq(left_of(s, 'a', 0, 100), 99);
    ck_assert(!has(s, 'a', 5, false));
    ck_assert(put_of(s, 'a', 5, 7 * KB));
    ck_assert(put_of(s, 'x', 5, 60 * KB));
    inspect(s);
    shelf_free(s);
}
END_TEST

/* All of it asked for three times: the work of one call is not enough to make room, so it goes over
 * by 1/16 at most, and then puts are refused until there is room. */
START_TEST(the_bound_holds_within_a_sixteenth)
{
    struct map m;
    struct shelf *s = shelf_with(&m, 32 * MB);
    uint64_t refused = 0, over = 0;

    shelf_share(s, 1, 2 * MB);
    for (uint64_t i = 0; i < 14000; i++)
        must_put(s, 'a', i);
    for (int k = 0; k < 3; k++)
        for (uint64_t i = 0; i < 14000; i++)
            ck_assert(has(s, 'a', i, true));
    for (uint64_t i = 20000; i < 25000; i++) {
        uint64_t asked = m.asked;

        refused += !put_of(s, 'a', i, 10000);
        over += bytes_of(s, 1) > 2 * MB;
        ck_assert_uint_le(bytes_of(s, 1), 2 * MB + 2 * MB / 16);
        ck_assert_uint_le(m.asked - asked, 3 * (ROOM_STEPS + AHEAD_STEPS));
    }
    ck_assert_uint_gt(refused, 0);
    ck_assert_uint_gt(over, 0);
    ck_assert_uint_lt(refused, 500);
    tidy_all(s);
    ck_assert_uint_le(bytes_of(s, 1), 2 * MB);
    inspect(s);
    shelf_free(s);
}
END_TEST

START_TEST(a_smaller_share_takes_hold_in_slices)
{
    struct map m;
    struct shelf *s = shelf_with(&m, 8 * MB);
    uint64_t last, slices = 0;

    shelf_share(s, 1, 0);
    shelf_share(s, 2, 0);
    for (uint64_t i = 0; i < 5000; i++) {
        must_put(s, 'a', i);
        must_put(s, 'b', i);
    }
    shelf_share(s, 1, 72 * KB);
    shelf_share(s, 2, 72 * KB);
    last = bytes_of(s, 1) + bytes_of(s, 2);
    ck_assert_uint_eq(last, 10000 * A_ENTRY);
    while (shelf_tidy(s, 0, 50)) {
        uint64_t now = bytes_of(s, 1) + bytes_of(s, 2);

        ck_assert_uint_le(last - now, 50 * A_ENTRY);
        last = now;
        /* Both shrink at once. */
        if (slices++ == 100)
            ck_assert_uint_lt(bytes_of(s, 2), 4000 * A_ENTRY);
    }
    ck_assert_uint_le(bytes_of(s, 1), 72 * KB);
    ck_assert_uint_le(bytes_of(s, 2), 72 * KB);
    ck_assert_uint_eq(left_of(s, 'a', 4500, 5000), 500);
    inspect(s);
    shelf_free(s);
}
END_TEST

/* ----------------------------------------------------------------------------- drop */

START_TEST(what_is_dropped_goes_in_slices)
{
    struct map m;
    struct shelf *s = shelf_with(&m, 8 * MB);
    uint64_t last;

    for (uint32_t i = 1; i <= 3; i++)
        shelf_share(s, i, i == 2 ? MB : 0);
    for (uint64_t i = 0; i < 5000; i++) {
        must_put(s, 'a', i);
        must_put(s, 'b', i);
    }
    ck_assert(!shelf_wary(s));
    shelf_drop(s, 2);
    ck_assert(shelf_wary(s));
    ck_assert(is_dropped(s, 'b', 4999));
    ck_assert(!is_dropped(s, 'a', 4999));
    must_put(s, 'b', 3);
    must_put(s, 'b', 5000);
    last = bytes_of(s, 2);
    while (shelf_tidy(s, 0, 50)) {
        ck_assert_uint_le(last - bytes_of(s, 2), 50 * A_ENTRY);
        last = bytes_of(s, 2);
        if (has(s, 'b', 4999, false))
            ck_assert(is_dropped(s, 'b', 4999));
        ck_assert(has(s, 'b', 3, true) && !is_dropped(s, 'b', 3));
    }
    ck_assert(!shelf_wary(s));
    ck_assert_uint_eq(bytes_of(s, 2), 2 * A_ENTRY);
    ck_assert_uint_eq(left_of(s, 'b', 0, 5001), 2);
    ck_assert_uint_eq(left_of(s, 'a', 0, 5000), 5000);
    inspect(s);
    shelf_free(s);
}
END_TEST

/* While it is dropped its owner makes room too: what was asked for must not get behind the drop. */
START_TEST(what_makes_room_meanwhile_does_not_escape_the_drop)
{
    struct map m;
    struct shelf *s = shelf_with(&m, 8 * MB);

    shelf_share(s, 1, 128 * KB);
    for (uint64_t i = 0; i < 900; i++)
        must_put(s, 'a', i);
    for (uint64_t i = 0; i < 900; i++)
        ck_assert(has(s, 'a', i, true));
    shelf_drop(s, 1);
    /* There is room for ten; for the next, hundreds that were asked for are passed over. */
    for (uint64_t i = 1000; i < 1011; i++)
        must_put(s, 'a', i);
    tidy_all(s);
    ck_assert_uint_eq(left_of(s, 'a', 0, 900), 0);
    inspect(s);
    shelf_free(s);
}
END_TEST

START_TEST(variants_are_dropped_with_their_keys)
{
    struct map m;
    struct shelf *s = shelf_with(&m, 8 * MB);

    shelf_share(s, 1, MB);
    put(s, "a:1", "HGETALL", "x");
    put(s, "a:1", "", "y");
    put(s, "a:2", "STRLEN", "x");
    put(s, "b:2", "STRLEN", "x");
    put(s, "a:3", "STRLEN", "x");
    ck_assert(shelf_remove(s, slice_str("a:3")));
    shelf_drop(s, 1);
    tidy_all(s);
    finds(s, "a:1", "", NULL);
    finds(s, "a:1", "HGETALL", NULL);
    finds(s, "a:2", "STRLEN", NULL);
    finds(s, "b:2", "STRLEN", "x");
    ck_assert_uint_eq(bytes_of(s, 1), 0);
    ck_assert_uint_eq(s->store.table.count, 2);
    inspect(s);
    shelf_free(s);
}
END_TEST

START_TEST(who_is_gone_leaves_nothing)
{
    struct map m;
    struct shelf *s = shelf_with(&m, 8 * MB);

    for (uint32_t i = 1; i <= 3; i++)
        shelf_share(s, i, 0);
    for (uint64_t i = 0; i < 1000; i++) {
        must_put(s, 'a', i);
        must_put(s, 'b', i);
    }
    m.owner['a'] = 0;
    shelf_owner_gone(s, 1);
    ck_assert_uint_eq(bytes_of(s, 1), 0);
    ck_assert_uint_eq(bytes_of(s, 0), 1000 * A_ENTRY);
    ck_assert(is_dropped(s, 'a', 999));
    inspect(s);
    /* The number is somebody else's at once, and so are the keys. */
    m.owner['a'] = m.owner['d'] = 1;
    shelf_share(s, 1, MB);
    for (uint64_t i = 0; i < 10; i++) {
        must_put(s, 'a', i);
        must_put(s, 'd', i);
    }
    ck_assert(is_dropped(s, 'a', 999));
    ck_assert(!is_dropped(s, 'a', 9));
    inspect(s);
    tidy_all(s);
    ck_assert_uint_eq(left_of(s, 'a', 0, 1000), 10);
    ck_assert_uint_eq(left_of(s, 'd', 0, 10), 10);
    ck_assert_uint_eq(left_of(s, 'b', 0, 1000), 1000);
    ck_assert_uint_eq(bytes_of(s, 1), 20 * A_ENTRY);
    ck_assert_uint_eq(bytes_of(s, 0), 0);
    inspect(s);
    shelf_free(s);
}
END_TEST

START_TEST(without_owners_all_is_as_before)
{
    struct map m;
    struct shelf *s = shelf_with(&m, 8 * MB);

    for (uint32_t i = 1; i <= 3; i++)
        shelf_share(s, i, 64 * KB);
    for (uint64_t i = 0; i < 300; i++) {
        must_put(s, 'a', i);
        must_put(s, 'b', i);
        must_put(s, 'x', i);
    }
    shelf_owners(s, NULL, NULL);
    ck_assert(is_dropped(s, 'a', 299));
    tidy_all(s);
    ck_assert_ptr_null(s->shares);
    ck_assert(!shelf_wary(s));
    ck_assert_uint_eq(left_of(s, 'a', 0, 300) + left_of(s, 'b', 0, 300), 0);
    ck_assert_uint_eq(left_of(s, 'x', 0, 300), 300);
    for (uint64_t i = 0; i < 1000; i++)
        must_put(s, 'a', i);
    ck_assert_uint_eq(left_of(s, 'a', 0, 1000), 1000);
    inspect(s);
    shelf_owners(s, by_letter, &m);
    shelf_share(s, 1, MB);
    must_put(s, 'a', 1);
    shelf_free(s);
}
END_TEST

/* ----------------------------------------------------------------------------- cost */

/* Keys that come and go without end leave stale notes, which must not become more and more. */
START_TEST(notes_do_not_pile_up)
{
    struct map m;
    struct shelf *s = shelf_with(&m, 8 * MB);
    char key[24];
    uint64_t random = 4;

    shelf_share(s, 1, MB);
    for (uint64_t i = 0; i < 200; i++)
        must_put(s, 'a', i);
    for (uint64_t i = 0; i < 100000; i++) {
        uint64_t n = dice(&random) % 1000;

        must_put(s, 'a', 1000 + n % 10);
        if (n % 2)
            (void)shelf_remove(s, name(key, 'a', 1000 + n % 10));
    }
    ck_assert_uint_lt(s->share_bytes, 12000);
    ck_assert_uint_eq(left_of(s, 'a', 0, 200), 200);
    /* Thousands that go are forgotten by the housekeeping. */
    for (uint64_t i = 0; i < 7000; i++)
        must_put(s, 'a', i);
    ck_assert_uint_gt(s->share_bytes, 50000);
    for (uint64_t i = 0; i < 7000; i++)
        (void)shelf_remove(s, name(key, 'a', i));
    tidy_all(s);
    ck_assert_uint_lt(s->share_bytes, 5000);
    inspect(s);
    shelf_free(s);
}
END_TEST

/* The order of an owner's entries is kept by all that. */
START_TEST(stale_notes_do_not_spoil_the_order)
{
    struct map m;
    struct shelf *s = shelf_with(&m, 8 * MB);
    char key[24];

    shelf_share(s, 1, 100 * A_ENTRY);
    for (uint64_t i = 0; i < 2100; i++) {
        if (i % 21 == 0)
            must_put(s, 'a', i / 21);
        if (i > 2050)
            continue; /* room for the last of them */
        must_put(s, 'a', 100);
        ck_assert(shelf_remove(s, name(key, 'a', 100)));
    }
    for (uint64_t i = 0; i < 100; i++) {
        must_put(s, 'a', 1000 + i);
        ck_assert(!has(s, 'a', i, false));
        ck_assert_uint_eq(left_of(s, 'a', i + 1, 100), 99 - i);
    }
    shelf_free(s);
}
END_TEST

/* 10,000 owners, each with a hundred entries and a share of as many. */
START_TEST(ten_thousand_owners_cost_little)
{
    struct shelf *s = shelf_new(512 * MB);
    uint64_t base, cost;
    struct {
        uint32_t owner, key[4];
    } key = {0};
    struct question q = {.key = slice_of((const char *)&key, sizeof key)};
    struct entry e = {
        .bytes = slice_of(reply_bytes, REPLY), .deadline_ms = FAR, .expiry_ms = EXPIRY_NEVER};

    shelf_owners(s, by_number, NULL);
    for (uint32_t i = 1; i <= 10000; i++)
        shelf_share(s, i, 100 * A_ENTRY);
    base = s->share_bytes;
    ck_assert_uint_lt(base, 3 * MB);
    for (uint32_t round = 0; round < 60; round++)
        for (key.owner = 1; key.owner <= 10000; key.owner++) {
            key.key[0] = round;
            if (!shelf_put(s, &q, &e))
                ck_abort_msg("not kept");
        }
    cost = s->share_bytes - base;
    ck_assert_uint_eq(shelf_usage_total(s).entries, 600000);
    ck_assert_uint_lt(cost / 600000, 12);
    shelf_drop(s, 77);
    while (shelf_tidy(s, 0, 200))
        ;
    ck_assert_uint_eq(shelf_usage_total(s).entries, 600000 - 60);
    shelf_free(s);
}
END_TEST

START_TEST(an_entry_of_an_owner_costs_little)
{
    struct map m;
    struct shelf *s = shelf_with(&m, 64 * MB);

    shelf_share(s, 1, 60 * MB);
    for (uint64_t i = 0; i < 200000; i++)
        if (!put_of(s, 'a', i, REPLY + 8))
            ck_abort_msg("not kept");
    ck_assert_uint_eq(shelf_usage_of_owner(s, 1).entries, 200000);
    ck_assert_uint_le(shelf_usage_total(s).bytes / 200000 - 120, 56);
    shelf_free(s);
}
END_TEST

Suite *shares_suite(void)
{
    Suite *suite = suite_create("shares");
    TCase *tc = tcase_create("shares");

    tcase_add_test(tc, what_an_owner_holds_is_counted);
    tcase_add_test(tc, expiry_and_eviction_are_counted_to_the_owner);
    tcase_add_test(tc, what_was_there_before_is_nobodys);
    tcase_add_test(tc, who_is_over_its_share_gives_up_its_own);
    tcase_add_test(tc, what_is_asked_for_no_more_goes_in_the_end);
    tcase_add_test(tc, a_flood_of_one_leaves_others_alone);
    tcase_add_test(tc, what_is_too_much_for_a_share_is_refused);
    tcase_add_test(tc, the_bound_holds_within_a_sixteenth);
    tcase_add_test(tc, a_smaller_share_takes_hold_in_slices);
    tcase_add_test(tc, what_is_dropped_goes_in_slices);
    tcase_add_test(tc, what_makes_room_meanwhile_does_not_escape_the_drop);
    tcase_add_test(tc, variants_are_dropped_with_their_keys);
    tcase_add_test(tc, who_is_gone_leaves_nothing);
    tcase_add_test(tc, without_owners_all_is_as_before);
    tcase_add_test(tc, notes_do_not_pile_up);
    tcase_add_test(tc, stale_notes_do_not_spoil_the_order);
    tcase_add_test(tc, ten_thousand_owners_cost_little);
    tcase_add_test(tc, an_entry_of_an_owner_costs_little);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(suite, tc);
    return suite;
}
