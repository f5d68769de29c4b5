/* check_slots.c - who waits for the next replies: order is everything. */
#include "suites.h"
#include "upstream/slots.h"

static struct asker askers[4];

static void is(const struct slots *s, uint32_t i, const struct asker *a, uint32_t n, uint32_t ms)
{
    ck_assert_uint_lt(i, s->len);
    ck_assert_ptr_eq(slots_at(s, i)->asker, a);
    ck_assert_uint_eq(slots_at(s, i)->count, n);
    ck_assert_uint_eq(slots_at(s, i)->asked_ms, ms);
}

START_TEST(one_asker_in_one_millisecond_shares_a_slot)
{
    struct slots s = {0};

    slots_push(&s, &askers[0], 1, 5, false);
    slots_push(&s, &askers[0], 3, 5, false);
    ck_assert_uint_eq(s.len, 1);
    is(&s, 0, &askers[0], 4, 5);
    slots_push(&s, &askers[0], 1, 6, false); /* later: its deadline is another */
    slots_push(&s, &askers[1], 1, 6, false);
    slots_push(&s, &askers[0], 2, 6, false); /* not in succession */
    slots_push(&s, &askers[0], 2, 6, true);  /* not wanted in one piece */
    slots_push(&s, &askers[0], 1, 6, false);
    ck_assert_uint_eq(s.len, 5);
    is(&s, 0, &askers[0], 4, 5);
    is(&s, 1, &askers[0], 1, 6);
    is(&s, 2, &askers[1], 1, 6);
    is(&s, 3, &askers[0], 2, 6);
    is(&s, 4, &askers[0], 3, 6);
    slots_done(&s);
    ck_assert_uint_eq(s.len, 0);
    ck_assert_ptr_null(s.ring);
}
END_TEST

/* Pushed and popped in waves, so that the ring grows with its head anywhere. */
START_TEST(the_order_outlives_growth)
{
    struct slots s = {0};
    uint32_t in = 0, out = 0;

    for (uint32_t wave = 1; wave < 400; wave++) {
        for (uint32_t i = 0; i < wave; i++, in++)
            slots_push(&s, &askers[in % 4], in % 7 + 1, in, false);
        for (uint32_t i = 0; i < wave * 3 / 4; i++, out++) {
            is(&s, 0, &askers[out % 4], out % 7 + 1, out);
            slots_pop(&s);
        }
        ck_assert_uint_eq(s.len, in - out);
        ck_assert_uint_eq(s.cap & (s.cap - 1), 0);
        ck_assert_uint_ge(s.cap, s.len);
        is(&s, s.len - 1, &askers[(in - 1) % 4], (in - 1) % 7 + 1, in - 1);
    }
    while (s.len > 0) {
        is(&s, 0, &askers[out % 4], out % 7 + 1, out);
        slots_pop(&s);
        out++;
    }
    ck_assert_uint_eq(out, in);
    slots_done(&s);
}
END_TEST

START_TEST(a_full_ring_that_wraps_grows_in_order)
{
    struct slots s = {0};
    uint32_t cap;

    slots_push(&s, &askers[0], 1, 0, true);
    cap = s.cap;
    for (uint32_t i = 1; i < cap; i++)
        slots_push(&s, &askers[0], 1, i, true);
    for (uint32_t i = 0; i < cap / 2; i++)
        slots_pop(&s);
    for (uint32_t i = cap; i < cap + cap / 2; i++)
        slots_push(&s, &askers[0], 1, i, true);
    ck_assert_uint_eq(s.cap, cap);
    ck_assert_uint_eq(s.len, cap);
    slots_push(&s, &askers[1], 1, cap + cap / 2, false);
    ck_assert_uint_eq(s.cap, 2 * cap);
    for (uint32_t i = 0; i < s.len; i++)
        ck_assert_uint_eq(slots_at(&s, i)->asked_ms, cap / 2 + i);
    slots_done(&s);
}
END_TEST

/* An emptied ring remembers nobody: the next does not join a slot that was popped. */
START_TEST(what_was_popped_is_not_joined)
{
    struct slots s = {0};

    slots_push(&s, &askers[0], 1, 5, false);
    slots_pop(&s);
    slots_push(&s, &askers[0], 2, 5, false);
    ck_assert_uint_eq(s.len, 1);
    is(&s, 0, &askers[0], 2, 5);
    slots_done(&s);
}
END_TEST

Suite *slots_suite(void)
{
    Suite *suite = suite_create("slots");
    TCase *t = tcase_create("slots");

    tcase_add_test(t, one_asker_in_one_millisecond_shares_a_slot);
    tcase_add_test(t, the_order_outlives_growth);
    tcase_add_test(t, a_full_ring_that_wraps_grows_in_order);
    tcase_add_test(t, what_was_popped_is_not_joined);
    suite_add_tcase(suite, t);
    return suite;
}
