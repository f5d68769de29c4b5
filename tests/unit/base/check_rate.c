/* check_rate.c - the token bucket: what it lets through over any stretch of time, to the token. */
#include <check.h>

#include "base/rate.h"
#include "suites.h"

#define START UINT64_C(1000000)

START_TEST(a_burst_at_once_and_then_the_rate)
{
    struct rate r;

    rate_init(&r, 10, 5, START);
    for (int i = 0; i < 5; i++)
        ck_assert(rate_take(&r, 1, START));
    ck_assert(!rate_take(&r, 1, START));
    ck_assert(!rate_take(&r, 1, START + 99));
    ck_assert(rate_take(&r, 1, START + 100));
    ck_assert(!rate_take(&r, 1, START + 100));
    ck_assert(rate_take(&r, 5, START + 100000));
    ck_assert(!rate_take(&r, 1, START + 100000)); /* not more than the burst is saved up */
}
END_TEST

START_TEST(all_or_nothing_or_some)
{
    struct rate r;

    rate_init(&r, 1, 10, START);
    ck_assert(!rate_take(&r, 11, START));
    ck_assert(rate_take(&r, 7, START));
    ck_assert(!rate_take(&r, 4, START));
    ck_assert(rate_has(&r, 3, START) && !rate_has(&r, 4, START));
    ck_assert_uint_eq(rate_take_some(&r, 4, START), 3);
    ck_assert_uint_eq(rate_take_some(&r, 4, START), 0);
    ck_assert_uint_eq(rate_take_some(&r, 1, START + 2500), 1);
    ck_assert_uint_eq(rate_take_some(&r, 100, START + 2500), 1);
    ck_assert(rate_take(&r, 0, START + 2500));
}
END_TEST

/* However often it is asked: in n seconds come n times the rate, not one more or less. */
static void no_drift(uint64_t rate, uint64_t step_ms)
{
    struct rate r;
    uint64_t got = 0, seconds = 1000;

    rate_init(&r, rate, 1000000, START);
    ck_assert(rate_take(&r, 1000000, START));
    for (uint64_t ms = step_ms; ms <= seconds * 1000; ms += step_ms)
        got += rate_take_some(&r, 1000000, START + ms);
    ck_assert_uint_eq(got, seconds * rate);
}

START_TEST(nothing_is_lost_or_won_over_time)
{
    no_drift(1, 1);
    no_drift(3, 1);
    no_drift(7, 8);
    no_drift(333, 1);
    no_drift(999, 40);
    no_drift(1001, 1);
    no_drift(123457, 1);
}
END_TEST

START_TEST(how_long_it_takes)
{
    struct rate r;

    rate_init(&r, 3, 10, START);
    ck_assert_uint_eq(rate_wait_ms(&r, 10, START), 0);
    ck_assert(rate_take(&r, 10, START));
    ck_assert_uint_eq(rate_wait_ms(&r, 1, START), 334);
    ck_assert_uint_eq(rate_wait_ms(&r, 1, START + 300), 34);
    ck_assert(!rate_take(&r, 1, START + 333));
    ck_assert(rate_take(&r, 1, START + 334));
    /* 2 thousandths are left over: the next comes a little sooner. */
    ck_assert_uint_eq(rate_wait_ms(&r, 1, START + 334), 333);
    ck_assert_uint_eq(rate_wait_ms(&r, 3, START + 334), 1000);
    /* More than a burst there never is: the wait for a burst is told. */
    ck_assert_uint_eq(rate_wait_ms(&r, 1000000, START + 334), rate_wait_ms(&r, 10, START + 334));
    ck_assert_uint_eq(rate_wait_ms(&r, 0, START + 334), 0);
}
END_TEST

START_TEST(no_bound)
{
    struct rate zero = {0}, r;

    ck_assert(rate_take(&zero, RATE_MAX, 5));
    ck_assert_uint_eq(rate_take_some(&zero, 77, 5), 77);
    ck_assert_uint_eq(rate_wait_ms(&zero, 77, 5), 0);
    rate_init(&r, 0, 0, START);
    ck_assert(rate_take(&r, 1000, START));
    rate_set(&r, 10, 20, START + 1); /* a bound where there was none: a full bucket */
    ck_assert(rate_take(&r, 20, START + 1));
    ck_assert(!rate_take(&r, 1, START + 1));
    rate_set(&r, 0, 0, START + 2);
    ck_assert(rate_take(&r, 1000, START + 2));
}
END_TEST

START_TEST(other_bounds)
{
    struct rate r;

    rate_init(&r, 10, 100, START);
    ck_assert(rate_take(&r, 40, START));
    rate_set(&r, 1000, 50, START); /* 60 are there: 50 go in */
    ck_assert(rate_take(&r, 50, START));
    ck_assert(!rate_take(&r, 1, START));
    rate_set(&r, 5, 500, START + 10); /* what came so far came at the old rate */
    ck_assert(rate_take(&r, 10, START + 10));
    ck_assert(!rate_take(&r, 1, START + 10 + 199));
    ck_assert(rate_take(&r, 1, START + 10 + 200));
    rate_init(&r, 10, 0, START); /* no burst is a burst of one */
    ck_assert(rate_take(&r, 1, START));
    ck_assert(!rate_take(&r, 1, START));
}
END_TEST

START_TEST(clocks_and_numbers_at_their_ends)
{
    struct rate r;

    rate_init(&r, 10, 1, START);
    ck_assert(rate_take(&r, 1, START));
    ck_assert(!rate_take(&r, 1, START - 1000)); /* back: no time has passed */
    ck_assert(!rate_take(&r, 1, START + 50));
    ck_assert(rate_take(&r, 1, START + 100));
    ck_assert(rate_take(&r, 1, UINT64_MAX));
    rate_init(&r, RATE_MAX, RATE_MAX, 0);
    ck_assert(rate_take(&r, RATE_MAX, 0));
    ck_assert_uint_eq(rate_wait_ms(&r, RATE_MAX, 0), 1000);
    ck_assert(!rate_take(&r, RATE_MAX, 999));
    ck_assert(rate_take(&r, RATE_MAX, 1000));
    ck_assert(rate_take(&r, RATE_MAX, UINT64_MAX));
    rate_init(&r, 1, RATE_MAX, 0);
    ck_assert(rate_take(&r, RATE_MAX, 0));
    ck_assert_uint_eq(rate_wait_ms(&r, RATE_MAX, 0), RATE_MAX * 1000);
}
END_TEST

Suite *rate_suite(void)
{
    Suite *suite = suite_create("rate");
    TCase *tc = tcase_create("rate");

    tcase_add_test(tc, a_burst_at_once_and_then_the_rate);
    tcase_add_test(tc, all_or_nothing_or_some);
    tcase_add_test(tc, nothing_is_lost_or_won_over_time);
    tcase_add_test(tc, how_long_it_takes);
    tcase_add_test(tc, no_bound);
    tcase_add_test(tc, other_bounds);
    tcase_add_test(tc, clocks_and_numbers_at_their_ends);
    suite_add_tcase(suite, tc);
    return suite;
}
