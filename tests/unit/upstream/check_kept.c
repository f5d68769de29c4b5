/* check_kept.c - requests not answered yet: kept in order, up to a bound, and found again. */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "suites.h"
#include "upstream/kept.h"

static struct kept k;
static struct buffer out;

static void begin(void)
{
    kept_begin(&k, true);
}

static void end(void)
{
    kept_begin(&k, false);
    buffer_done(&out);
}

static void sent(const char *bytes, size_t n)
{
    buffer_add(&out, bytes, strlen(bytes));
    kept_sent(&k, &out, n);
}

static void next_is(const char *bytes)
{
    struct slice next = kept_next(&k, strlen(bytes));

    ck_assert(slice_eq(next, slice_str(bytes)));
    kept_answered(&k, next.n);
}

START_TEST(what_is_answered_goes)
{
    sent("one", 3);
    sent("two", 3);
    kept_answered(&k, 3);
    sent("three", 2);
    ck_assert_uint_eq(buffer_len(&out), 3);
    kept_end(&k, &out);
    next_is("two");
    next_is("three");
    ck_assert_uint_eq(kept_next(&k, 1).n, 0);
}
END_TEST

/* What is answered is only counted until it is settled: then its memory goes. */
START_TEST(a_link_at_rest_keeps_little)
{
    char *large = calloc(1, LINK_KEPT_BYTES);

    memset(large, 'x', LINK_KEPT_BYTES - 1);
    sent(large, LINK_KEPT_BYTES - 1);
    kept_answered(&k, LINK_KEPT_BYTES - 2);
    kept_settle(&k);
    ck_assert_uint_eq(kept_next(&k, 1).n, 1);
    kept_answered(&k, 1);
    kept_settle(&k);
    ck_assert_uint_le(k.bytes.cap, LINK_OUT_KEEP_BYTES);
    sent("one", 3);
    next_is("one");
    free(large);
}
END_TEST

START_TEST(too_much_is_not_kept)
{
    char *large = calloc(1, LINK_KEPT_BYTES + 1);

    sent("one", 3);
    memset(large, 'x', LINK_KEPT_BYTES);
    sent(large, LINK_KEPT_BYTES);
    sent("two", 3);
    ck_assert_uint_eq(kept_next(&k, 3).n, 0);
    kept_answered(&k, 3);
    ck_assert_uint_eq(kept_next(&k, LINK_KEPT_BYTES).n, 0);
    kept_answered(&k, LINK_KEPT_BYTES);
    next_is("two");
    ck_assert_uint_le(k.bytes.cap, LINK_OUT_KEEP_BYTES);
    free(large);
}
END_TEST

/* Nothing can be told of requests any more. */
START_TEST(an_answer_before_its_request)
{
    buffer_add(&out, "one", 3);
    kept_answered(&k, 3);
    kept_sent(&k, &out, 3);
    sent("two", 3);
    ck_assert_uint_eq(kept_next(&k, 3).n, 0);
}
END_TEST

START_TEST(only_when_on)
{
    kept_begin(&k, false);
    sent("one", 3);
    ck_assert_uint_eq(buffer_len(&out), 0);
    buffer_add(&out, "two", 3);
    kept_end(&k, &out);
    ck_assert_uint_eq(kept_next(&k, 3).n, 0);
}
END_TEST

Suite *kept_suite(void)
{
    Suite *suite = suite_create("kept");
    TCase *tcase = tcase_create("kept");

    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, what_is_answered_goes);
    tcase_add_test(tcase, a_link_at_rest_keeps_little);
    tcase_add_test(tcase, too_much_is_not_kept);
    tcase_add_test(tcase, an_answer_before_its_request);
    tcase_add_test(tcase, only_when_on);
    suite_add_tcase(suite, tcase);
    return suite;
}
