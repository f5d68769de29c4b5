/* check_slice.c - comparing bytes that may hold anything, and reading numbers as Redis does. Every
 * slice is shown on memory of exactly its size, so that a look past its end is found. */
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "suites.h"

static struct slice exactly(const char *p, size_t n)
{
    char *copy = must_alloc(n);

    if (n > 0)
        memcpy(copy, p, n);
    return slice_of(copy, n);
}

static void release(struct slice s)
{
    free((char *)(uintptr_t)s.p);
}

START_TEST(equal_means_the_same_bytes)
{
    struct slice a = exactly("a\0b", 3);

    ck_assert(slice_eq(a, slice_of("a\0b", 3)));
    ck_assert(!slice_eq(a, slice_of("a\0c", 3)));
    ck_assert(!slice_eq(a, slice_of("a\0b", 2)));
    ck_assert(!slice_eq(a, slice_of("a\0bc", 4)));
    ck_assert(!slice_eq(a, slice_of("A\0b", 3)));
    ck_assert(slice_eq(slice_of(NULL, 0), slice_of("", 0)));
    ck_assert(slice_eq(slice_str(NULL), slice_str("")));
    ck_assert(!slice_eq(slice_of(NULL, 0), a));
    release(a);
}
END_TEST

START_TEST(literals_lose_only_their_nul)
{
    ck_assert_uint_eq(SLICE("").n, 0);
    ck_assert_uint_eq(SLICE("ab\0c").n, 4);
    ck_assert_uint_eq(slice_str("ab").n, 2);
}
END_TEST

struct word_case {
    const char *bytes;
    size_t n;
    bool is, option;
};

/* Of the word GET. What stands behind a NUL is ignored by Redis in options, never in names. */
static const struct word_case word_cases[] = {
    {"GET", 3, true, true},      {"get", 3, true, true},      {"gEt", 3, true, true},
    {"GE", 2, false, false},     {"GETS", 4, false, false},   {"", 0, false, false},
    {"GET\0", 4, false, true},   {"get\0EX", 6, false, true}, {"G\0T", 3, false, false},
    {"GE\0", 3, false, false},   {"\0GET", 4, false, false},  {"\0\0\0", 3, false, false},
    {"GE\xD4", 3, false, false}, {"GET ", 4, false, false},   {"G%T", 3, false, false},
    {"GE4", 3, false, false},
};

START_TEST(words_compare_without_case)
{
    const struct word_case *c = &word_cases[_i];
    struct slice s = exactly(c->bytes, c->n);

    ck_assert_int_eq(slice_is(s, "GET"), c->is);
    ck_assert_int_eq(slice_is(s, "get"), c->is);
    ck_assert_int_eq(option_is(s, "GET"), c->option);
    ck_assert_int_eq(option_is(s, "get"), c->option);
    release(s);
}
END_TEST

START_TEST(only_letters_have_case)
{
    ck_assert(!slice_is(SLICE("@"), "`"));
    ck_assert(!slice_is(SLICE("["), "{"));
    ck_assert(!option_is(SLICE("["), "{"));
}
END_TEST

START_TEST(beginnings)
{
    struct slice s = exactly("-NOAUTH", 7);

    ck_assert(slice_starts(s, SLICE("-NOAUTH")));
    ck_assert(slice_starts(s, SLICE("-")));
    ck_assert(slice_starts(s, SLICE("")));
    ck_assert(!slice_starts(s, SLICE("-NOAUTH ")));
    ck_assert(!slice_starts(s, SLICE("-noauth")));
    ck_assert(!slice_starts(slice_of(NULL, 0), SLICE("-")));
    release(s);
}
END_TEST

struct number_case {
    const char *text;
    int64_t value;
};

static const struct number_case numbers[] = {
    {"0", 0},
    {"7", 7},
    {"-1", -1},
    {"10", 10},
    {"1234567890", 1234567890},
    {"9223372036854775807", INT64_MAX},
    {"-9223372036854775807", -INT64_MAX},
    {"-9223372036854775808", INT64_MIN},
};

START_TEST(numbers_are_read)
{
    const struct number_case *c = &numbers[_i];
    struct slice s = exactly(c->text, strlen(c->text));
    int64_t v = 42;

    ck_assert(slice_int(s, &v));
    ck_assert_int_eq(v, c->value);
    release(s);
}
END_TEST

/* What string2ll of Redis refuses. */
static const struct slice no_numbers[] = {
    SLICE(""),
    SLICE("-"),
    SLICE("+1"),
    SLICE("-0"),
    SLICE("00"),
    SLICE("01"),
    SLICE("-01"),
    SLICE("--1"),
    SLICE(" 1"),
    SLICE("1 "),
    SLICE("1\0"),
    SLICE("\0"),
    SLICE("1.0"),
    SLICE("1e3"),
    SLICE("0x1"),
    SLICE("a"),
    SLICE("1:"),
    SLICE("1/"),
    SLICE(":"),
    SLICE("/"),
    SLICE("9223372036854775808"),
    SLICE("-9223372036854775809"),
    SLICE("18446744073709551615"),
    SLICE("18446744073709551616"),
    SLICE("18446744073709551617"),
    SLICE("-18446744073709551617"),
    SLICE("99999999999999999999"),
    SLICE("100000000000000000001"),
    SLICE("184467440737095516170"),
};

START_TEST(what_is_no_number_leaves_the_result_alone)
{
    struct slice s = exactly(no_numbers[_i].p, no_numbers[_i].n);
    int64_t v = 42;

    ck_assert(!slice_int(s, &v));
    ck_assert_int_eq(v, 42);
    release(s);
}
END_TEST

Suite *slice_suite(void)
{
    Suite *suite = suite_create("slice");
    TCase *t = tcase_create("slice");

    tcase_add_test(t, equal_means_the_same_bytes);
    tcase_add_test(t, literals_lose_only_their_nul);
    tcase_add_loop_test(t, words_compare_without_case, 0, ARRAY_LEN(word_cases));
    tcase_add_test(t, only_letters_have_case);
    tcase_add_test(t, beginnings);
    tcase_add_loop_test(t, numbers_are_read, 0, ARRAY_LEN(numbers));
    tcase_add_loop_test(t, what_is_no_number_leaves_the_result_alone, 0, ARRAY_LEN(no_numbers));
    suite_add_tcase(suite, t);
    return suite;
}
