/* check_expand.c - variables in values. */
#include "suites.h"

#include <stdlib.h>
#include <string.h>

#include "config/bounds.h"
#include "config/expand.h"

static void set_up(void)
{
    ck_assert_int_eq(setenv("SET", "value", 1), 0);
    ck_assert_int_eq(setenv("EMPTY", "", 1), 0);
    ck_assert_int_eq(setenv("TRICKY", "${SET} $$ ${", 1), 0);
    ck_assert_int_eq(setenv("_x9", "nine", 1), 0);
    ck_assert_int_eq(unsetenv("UNSET"), 0);
}

static void gives(const char *text, const char *expected)
{
    struct buffer out = {0};
    struct slice where = {0};

    buffer_printf(&out, ">");
    ck_assert_int_eq(expand(slice_str(text), &out, &where), EXPAND_OK);
    ck_assert_str_eq(text_of(&out) + 1, expected);
    buffer_done(&out);
}

static void fails(const char *text, enum expand_result expected, const char *at)
{
    struct buffer out = {0};
    struct slice where = {0};

    buffer_printf(&out, ">");
    ck_assert_int_eq(expand(slice_str(text), &out, &where), expected);
    ck_assert_str_eq(text_of(&out), ">");
    ck_assert_msg(slice_eq(where, slice_str(at)), "%s: %.*s", text, (int)where.n, where.p);
    buffer_done(&out);
}

START_TEST(variables)
{
    gives("", "");
    gives("plain", "plain");
    gives("${SET}", "value");
    gives("a${SET}b${SET}", "avaluebvalue");
    gives("${EMPTY}", "");
    gives("${_x9}", "nine");
}
END_TEST

START_TEST(defaults)
{
    gives("${SET:-other}", "value");
    gives("${UNSET:-other}", "other");
    gives("${EMPTY:-other}", "other");
    gives("${UNSET:-}", "");
    gives("${UNSET:-a:-b c}d}", "a:-b cd}");
    gives("${UNSET:-$$1}", "$1");
    gives("${UNSET:-$1$}", "$1$");
}
END_TEST

START_TEST(dollars)
{
    gives("$$", "$");
    gives("$$$$", "$$");
    gives("$${SET}", "${SET}");
    gives("$$${SET}", "$value");
    gives("pa$word$", "pa$word$");
    gives("$SET", "$SET");
    gives("{SET}", "{SET}");
}
END_TEST

/* Else whoever sets a variable could read every other one. */
START_TEST(once_only)
{
    gives("${TRICKY}", "${SET} $$ ${");
    gives("${UNSET:-}${TRICKY}x", "${SET} $$ ${x");
}
END_TEST

START_TEST(mistakes)
{
    char long_name[300] = "${";

    fails("a${UNSET}", EXPAND_UNSET, "UNSET");
    fails("a${SET", EXPAND_OPEN, "${SET");
    fails("${SET}${", EXPAND_OPEN, "${");
    fails("a${SET:-x", EXPAND_OPEN, "${SET:-x");
    fails("${}", EXPAND_NAME, "${}");
    fails("${9}", EXPAND_NAME, "${9}");
    fails("x${A-b}y", EXPAND_NAME, "${A-b}y");
    fails("${A:b}", EXPAND_NAME, "${A:b}");
    fails("${A b}", EXPAND_NAME, "${A b}");
    fails("${UNSET:-${SET}}", EXPAND_NESTED, "${UNSET:-${SET}}");
    fails("${SET:-${SET}}", EXPAND_NESTED, "${SET:-${SET}}");
    memset(long_name + 2, 'A', 200);
    long_name[202] = '}';
    fails(long_name, EXPAND_NAME, long_name);
}
END_TEST

/* A line that names one large variable many times must not fill the memory. */
START_TEST(bounded)
{
    char *big = must_calloc(1, 40001), *full = must_calloc(1, CONFIG_VALUE_BYTES + 1);
    struct buffer out = {0};
    struct slice where;

    memset(big, 'x', 40000);
    memset(full, 'x', CONFIG_VALUE_BYTES);
    ck_assert_int_eq(setenv("BIG", big, 1), 0);
    ck_assert_int_eq(setenv("FULL", full, 1), 0);
    gives("${BIG}", big);
    gives("${FULL}", full);
    ck_assert_int_eq(expand(SLICE("${BIG}${BIG}${BIG}"), &out, &where), EXPAND_LONG);
    ck_assert_int_eq(expand(SLICE("${FULL}y"), &out, &where), EXPAND_LONG);
    ck_assert_int_eq(expand(SLICE("y${FULL}"), &out, &where), EXPAND_LONG);
    ck_assert_ptr_null(out.p);
    free(big);
    free(full);
}
END_TEST

START_TEST(every_result_has_words)
{
    for (enum expand_result r = EXPAND_OK; r <= EXPAND_LONG; r++)
        ck_assert_uint_gt(strlen(expand_why(r)), 5);
}
END_TEST

Suite *expand_suite(void)
{
    Suite *suite = suite_create("expand");
    TCase *tcase = tcase_create("expand");

    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_test(tcase, variables);
    tcase_add_test(tcase, defaults);
    tcase_add_test(tcase, dollars);
    tcase_add_test(tcase, once_only);
    tcase_add_test(tcase, mistakes);
    tcase_add_test(tcase, bounded);
    tcase_add_test(tcase, every_result_has_words);
    suite_add_tcase(suite, tcase);
    return suite;
}
