/* check_histogram.c - buckets without gaps whose ends are near, quantiles beside those of sorted
 * numbers, counts that never wrap. */
#include <math.h>
#include <signal.h>
#include <stdlib.h>

#include "base/histogram.h"
#include "suites.h"

#define MANY 5000u

/* Holds v, and is no wider than a quarter of it. */
static void fits(uint64_t v)
{
    unsigned i = histogram_bucket(v);

    ck_assert_uint_lt(i, HISTOGRAM_BUCKETS);
    ck_assert_uint_ge(histogram_bound(i), v);
    ck_assert_uint_le(histogram_bound(i), v + v / 4);
    if (i > 0)
        ck_assert_uint_lt(histogram_bound(i - 1), v);
}

START_TEST(each_duration_has_its_bucket)
{
    static const uint32_t bounds[] = {0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15, 19, 23, 27, 31, 39};

    for (unsigned i = 0; i < ARRAY_LEN(bounds); i++)
        ck_assert_uint_eq(histogram_bound(i), bounds[i]);
    for (uint64_t v = 0; v < 70000; v++)
        fits(v);
    for (unsigned bit = 16; bit < 32; bit++) {
        for (uint64_t v = (UINT64_C(1) << bit) - 3; v < (UINT64_C(1) << bit) + 3; v++)
            fits(v);
        fits((UINT64_C(7) << bit) / 4);
    }
    fits(UINT32_MAX);
}
END_TEST

START_TEST(what_takes_for_ever_is_in_the_last)
{
    struct histogram h = {{0}};

    ck_assert_uint_eq(histogram_bound(HISTOGRAM_BUCKETS - 1), UINT32_MAX);
    histogram_add(&h, UINT32_MAX);
    histogram_add(&h, (uint64_t)UINT32_MAX + 1);
    histogram_add(&h, UINT64_MAX);
    ck_assert_uint_eq(h.counts[HISTOGRAM_BUCKETS - 1], 3);
    ck_assert_uint_eq(histogram_quantile(&h, 0.5), UINT32_MAX);
}
END_TEST

START_TEST(fits_a_few_cache_lines)
{
    ck_assert_uint_le(sizeof(struct histogram), 512);
}
END_TEST

static void add(struct histogram *h, uint64_t us, unsigned times)
{
    while (times-- > 0)
        histogram_add(h, us);
}

START_TEST(quantiles_of_few)
{
    struct histogram h = {{0}};

    ck_assert_uint_eq(histogram_count(&h), 0);
    ck_assert_uint_eq(histogram_quantile(&h, 0), 0);
    ck_assert_uint_eq(histogram_quantile(&h, 1), 0);
    add(&h, 100, 1); /* of 96-111 */
    ck_assert_uint_eq(histogram_quantile(&h, 0), 111);
    ck_assert_uint_eq(histogram_quantile(&h, 0.5), 111);
    ck_assert_uint_eq(histogram_quantile(&h, 1), 111);
    add(&h, 7, 1);
    ck_assert_uint_eq(histogram_quantile(&h, 0), 7);
    ck_assert_uint_eq(histogram_quantile(&h, 0.5), 7);
    ck_assert_uint_eq(histogram_quantile(&h, 0.51), 111);
    ck_assert_uint_eq(histogram_count(&h), 2);
}
END_TEST

/* Of a hundred, i done in 1 us: the share i / 100 is, however that rounds, and no more is. */
START_TEST(a_share_ends_where_it_should)
{
    for (unsigned i = 1; i < 100; i++) {
        struct histogram h = {{0}};

        add(&h, 1, i);
        add(&h, 3, 100 - i);
        ck_assert_uint_eq(histogram_count(&h), 100);
        ck_assert_uint_eq(histogram_quantile(&h, i * 0.01), 1);
        ck_assert_uint_eq(histogram_quantile(&h, i * 0.01 + 0.001), 3);
    }
}
END_TEST

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Numbers of every size, the same in each run (Knuth's MMIX generator). */
static uint64_t number(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 32 >> (*seed >> 27 & 31);
}

START_TEST(quantiles_are_near_those_of_sorted_numbers)
{
    struct histogram h = {{0}};
    uint64_t all[MANY], seed = (uint64_t)_i;

    for (size_t i = 0; i < MANY; i++) {
        all[i] = number(&seed);
        histogram_add(&h, all[i]);
    }
    qsort(all, MANY, sizeof all[0], by_size);
    ck_assert_uint_eq(histogram_count(&h), MANY);
    for (unsigned i = 0; i <= MANY; i++) {
        uint64_t truth = all[i > 0 ? i - 1 : 0], said = histogram_quantile(&h, i * (1.0 / MANY));

        ck_assert_uint_ge(said, truth);
        ck_assert_uint_le(said, truth + truth / 4);
    }
}
END_TEST

static const double no_share[] = {-0.001, 1.001, (double)NAN};

START_TEST(there_is_no_such_share)
{
    struct histogram h = {{0}};

    (void)(histogram_quantile(&h, no_share[_i]) + 1);
}
END_TEST

START_TEST(there_is_no_such_bucket)
{
    (void)(histogram_bound(HISTOGRAM_BUCKETS) + 1);
}
END_TEST

/* Once full all are halved, so that none begins anew at 0; what was seen once stays seen. */
START_TEST(a_full_count_halves_all)
{
    struct histogram h = {{0}};

    h.counts[4] = UINT32_MAX - 2;
    h.counts[5] = 1;
    h.counts[6] = 11;
    histogram_add(&h, 4);
    ck_assert_uint_eq(h.counts[4], UINT32_MAX - 1);
    ck_assert_uint_eq(histogram_count(&h), UINT64_C(1) * UINT32_MAX + 11);
    histogram_add(&h, 4);
    ck_assert_uint_eq(h.counts[4], UINT32_C(1) << 31);
    ck_assert_uint_eq(h.counts[5], 1);
    ck_assert_uint_eq(h.counts[6], 6);
    ck_assert_uint_eq(h.counts[7], 0);
    ck_assert_uint_eq(histogram_quantile(&h, 1), 6);
}
END_TEST

START_TEST(merged_is_as_if_counted_together)
{
    struct histogram one = {{0}}, other = {{0}}, both = {{0}}, none = {{0}};
    uint64_t seed = 1;

    for (size_t i = 0; i < MANY; i++) {
        uint64_t us = number(&seed);

        histogram_add(i % 3 == 0 ? &one : &other, us);
        histogram_add(&both, us);
    }
    histogram_merge(&one, &other);
    histogram_merge(&one, &none);
    ck_assert_mem_eq(&one, &both, sizeof one);
    histogram_merge(&both, &both);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        ck_assert_uint_eq(both.counts[i], 2 * one.counts[i]);
}
END_TEST

/* The sums are halved, not cut: with the largest that there are, and where only one is full. */
START_TEST(merged_counts_do_not_wrap)
{
    struct histogram a = {{0}}, b = {{0}};

    a.counts[0] = b.counts[0] = UINT32_MAX - 1;
    a.counts[1] = 8;
    b.counts[1] = 3;
    b.counts[2] = 1;
    histogram_merge(&a, &b);
    ck_assert_uint_eq(a.counts[0], UINT32_MAX - 1);
    ck_assert_uint_eq(a.counts[1], 6);
    ck_assert_uint_eq(a.counts[2], 1);
    ck_assert_uint_eq(b.counts[1], 3);

    /* Just full is full: one more would begin at 0. */
    a = b = (struct histogram){{0}};
    a.counts[0] = UINT32_MAX - 1;
    b.counts[0] = 1;
    histogram_merge(&a, &b);
    ck_assert_uint_eq(a.counts[0], UINT32_C(1) << 31);
}
END_TEST

Suite *histogram_suite(void)
{
    Suite *suite = suite_create("histogram");
    TCase *t = tcase_create("histogram");

    tcase_add_test(t, each_duration_has_its_bucket);
    tcase_add_test(t, what_takes_for_ever_is_in_the_last);
    tcase_add_test(t, fits_a_few_cache_lines);
    tcase_add_test(t, quantiles_of_few);
    tcase_add_test(t, a_share_ends_where_it_should);
    tcase_add_loop_test(t, quantiles_are_near_those_of_sorted_numbers, 1, 4);
    tcase_add_loop_test_raise_signal(t, there_is_no_such_share, SIGABRT, 0, ARRAY_LEN(no_share));
    tcase_add_test_raise_signal(t, there_is_no_such_bucket, SIGABRT);
    tcase_add_test(t, a_full_count_halves_all);
    tcase_add_test(t, merged_is_as_if_counted_together);
    tcase_add_test(t, merged_counts_do_not_wrap);
    suite_add_tcase(suite, t);
    return suite;
}
