/* check_touches_keys.c - many renewals at once: which key, in which order, how many. */
#include "suites.h"
#include "touching.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"

START_TEST(keys_and_scopes)
{
    struct touches *t = touches_new(10);
    struct touch_key keys[] = {{{"", 0}, 0},          {{"a", 1}, 0},    {{"a", 1}, 1},
                               {{NULL, 0}, 9},        {{"a\0b", 3}, 0}, {{"a\0c", 3}, 0},
                               {{"a", 1}, UINT32_MAX}};
    struct touch_key k;
    uint64_t left;

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        ck_assert_int_eq(touches_hit(t, keys[i], W, NOW + W - i, 0, NOW + 20 + i),
                         TOUCH_REMEMBERED);
    ck_assert_uint_eq(touches_count(t), ARRAY_LEN(keys));
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        ck_assert_uint_eq(touches_promised(t, keys[i]), NOW + W + 20 + i);
    for (size_t i = ARRAY_LEN(keys); i-- > 0;)
        is_due(t, NOW + Q - i, keys[i], W - Q + 20 + 2 * i);
    none_due(t, NOW + Q);

    /* The bytes are copied, and outlive what takes them out. */
    char name[] = "name";
    ck_assert_int_eq(touches_hit(t, key(name, 3), W, NOW + W, 0, NOW + 1), TOUCH_REMEMBERED);
    name[0] = 'X';
    ck_assert(touches_due(t, NOW + 2, true, &k, &left));
    ck_assert(slice_eq(k.key, SLICE("name")));
    ck_assert_uint_eq(left, W - 1);
    touches_free(t);
}
END_TEST

START_TEST(shutdown)
{
    struct touches *t = touches_new(100);
    struct touch_key k;
    uint64_t left;
    unsigned seen = 0;
    char name[16];

    for (unsigned i = 0; i < 60; i++) {
        snprintf(name, sizeof(name), "%u", i);
        ck_assert_int_eq(touches_hit(t, key(name, i), W, i % 3 ? NOW + W : 0, 0, NOW + 1),
                         i % 3 ? TOUCH_REMEMBERED : TOUCH_TELL);
    }
    ck_assert_uint_eq(touches_count(t), 40);
    while (touches_due(t, NOW + 10, true, &k, &left)) {
        snprintf(name, sizeof(name), "%u", k.scope);
        ck_assert(slice_eq(k.key, slice_str(name)));
        ck_assert(k.scope % 3);
        ck_assert_uint_eq(left, W - 9);
        seen++;
    }
    ck_assert_uint_eq(seen, 40);
    holds(t, 0, NEVER);
    touches_free(t);
}
END_TEST

START_TEST(bounded)
{
    struct touches *t = touches_new(2);

    ck_assert_int_eq(touches_hit(t, key("a", 0), W, NOW + W, 0, NOW + 1), TOUCH_REMEMBERED);
    ck_assert_int_eq(touches_hit(t, key("b", 0), W, 0, 0, NOW + 1), TOUCH_TELL);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(touches_hit(t, key("c", 0), W, NOW + W, 0, NOW + 2), TOUCH_TELL);
    touches_told(t, key("c", 0), W, NOW + W, NOW + 3);
    ck_assert_int_eq(touches_hit(t, key("c", 0), W, NOW + W, 0, NOW + 4), TOUCH_TELL);
    ck_assert_uint_eq(touches_promised(t, key("c", 0)), 0);
    holds(t, 1, NOW + Q);
    ck_assert_int_eq(touches_hit(t, key("a", 0), W, NOW + W, 0, NOW + 5), TOUCH_REMEMBERED);
    touches_forget(t, key("a", 0));
    ck_assert_int_eq(touches_hit(t, key("c", 0), W, NOW + W, 0, NOW + 6), TOUCH_REMEMBERED);
    touches_forget(t, key("c", 0));

    /* A telling whose quarter is over makes room. */
    ck_assert_int_eq(touches_hit(t, key("d", 0), W, 0, 0, NOW + Q), TOUCH_TELL);
    ck_assert_int_eq(touches_hit(t, key("e", 0), W, NOW + Q + W, 0, NOW + Q + 1), TOUCH_REMEMBERED);
    ck_assert_uint_eq(touches_count(t), 1);
    touches_free(t);

    t = touches_new(0);
    ck_assert_int_eq(hit(t, NOW + W, NOW + 1), TOUCH_TELL);
    ck_assert_int_eq(hit(t, NEVER, NOW + 1), TOUCH_REMEMBERED);
    holds(t, 0, NEVER);
    touches_free(t);
}
END_TEST

START_TEST(long_keys)
{
    struct touches *t = touches_new(4);
    char bytes[4 * TOUCH_KEY_BYTES + 1];
    struct touch_key large = {.key = {bytes, sizeof(bytes)}, .scope = 0};

    memset(bytes, 'k', sizeof(bytes));
    ck_assert_int_eq(touches_hit(t, large, W, NOW + W, 0, NOW + 1), TOUCH_TELL);
    holds(t, 0, NEVER);
    large.key.n--;
    ck_assert_int_eq(touches_hit(t, large, W, NOW + W, 0, NOW + 1), TOUCH_REMEMBERED);
    ck_assert_int_eq(hit(t, NOW + W, NOW + 1), TOUCH_TELL);
    touches_forget(t, large);
    ck_assert_int_eq(hit(t, NOW + W, NOW + 1), TOUCH_REMEMBERED);
    touches_free(t);
}
END_TEST

/* Whatever the order they came in and whoever was forgotten, they are due one after the other. */
START_TEST(order)
{
    struct touches *t = touches_new(5000);
    struct touch_key k;
    uint64_t left, seed = 4711, last = 0;
    size_t due = 0;
    char name[16];

    for (unsigned i = 0; i < 5000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        snprintf(name, sizeof(name), "%u", i);
        ck_assert_int_eq(touches_hit(t, key(name, 0), W, NOW + W - 1 - (seed >> 40) % Q, 0, NOW),
                         TOUCH_REMEMBERED);
    }
    for (unsigned i = 0; i < 5000; i += 3) {
        snprintf(name, sizeof(name), "%u", i);
        touches_forget(t, key(name, 0));
    }
    ck_assert_uint_eq(touches_count(t), 3333);
    while (touches_count(t) > 0) {
        uint64_t next = touches_next_ms(t);

        ck_assert_uint_ge(next, last);
        ck_assert_uint_lt(next, NOW + Q);
        ck_assert(touches_due(t, next, false, &k, &left));
        ck_assert_uint_eq(left, NOW + W - next);
        touches_forget(t, key("absent", 0));
        last = next;
        due++;
    }
    ck_assert_uint_eq(due, 3333);
    touches_free(t);
}
END_TEST

Suite *touches_keys_suite(void)
{
    Suite *suite = suite_create("touches_keys");
    TCase *tcase = tcase_create("touches_keys");

    tcase_add_test(tcase, keys_and_scopes);
    tcase_add_test(tcase, shutdown);
    tcase_add_test(tcase, bounded);
    tcase_add_test(tcase, long_keys);
    tcase_add_test(tcase, order);
    suite_add_tcase(suite, tcase);
    return suite;
}
