/* check_refresh.c - XFetch's rule with numbers that are given. */
#include "policy/refresh.h"

#include "suites.h"

static struct load_time taking(uint64_t us)
{
    struct load_time t = {0};

    load_time_add(&t, us);
    return t;
}

START_TEST(average)
{
    struct load_time t = {0};

    load_time_add(&t, 8000);
    ck_assert(t.known);
    ck_assert_uint_eq(t.average_us, 8000);
    load_time_add(&t, 16000);
    ck_assert_uint_eq(t.average_us, 9000);
    load_time_add(&t, 1000);
    ck_assert_uint_eq(t.average_us, 8000);
    load_time_add(&t, UINT64_MAX);
    load_time_add(&t, 0);
    ck_assert(t.average_us > 0);
}
END_TEST

/* -ln(1/e) = 1: one load time before; -ln(1/e^2) = 2; drawn 1: at its expiry. */
START_TEST(rule)
{
    struct load_time t = taking(100000);
    double one = 0.36787944, two = 0.13533528;

    ck_assert(refresh_due(&t, 99, one));
    ck_assert(!refresh_due(&t, 101, one));
    ck_assert(refresh_due(&t, 199, two));
    ck_assert(!refresh_due(&t, 201, two));
    ck_assert(refresh_due(&t, 0, 1.0));
    ck_assert(!refresh_due(&t, 1, 1.0));
    ck_assert(!refresh_due(&t, 50, 0.9));
    ck_assert(!refresh_due(&t, UINT64_MAX, 0x1p-53));
}
END_TEST

/* Before anything is measured, and far from the end, nothing is early whatever is drawn. */
START_TEST(bounds)
{
    struct load_time none = {0}, t = taking(100000), instant = taking(0);

    ck_assert(!refresh_due(&none, 0, 0x1p-53));
    ck_assert(!refresh_near(&none, 0));
    ck_assert(refresh_near(&t, 3600));
    ck_assert(!refresh_near(&t, 3800));
    ck_assert(refresh_due(&t, 3600, 0x1p-53));
    ck_assert(!refresh_due(&instant, 1, 0x1p-53));
}
END_TEST

/* Whatever the bits are, what is drawn is above 0 and at most 1. */
START_TEST(drawn)
{
    ck_assert(refresh_drawn(0) == 0x1p-53);
    ck_assert(refresh_drawn(UINT64_MAX) == 1.0);
    ck_assert(refresh_drawn(UINT64_C(1) << 63) > 0.5 &&
              refresh_drawn(UINT64_C(1) << 63) < 0.500001);
}
END_TEST

Suite *refresh_suite(void)
{
    Suite *suite = suite_create("refresh");
    TCase *tcase = tcase_create("refresh");

    tcase_add_test(tcase, average);
    tcase_add_test(tcase, rule);
    tcase_add_test(tcase, bounds);
    tcase_add_test(tcase, drawn);
    suite_add_tcase(suite, tcase);
    return suite;
}
