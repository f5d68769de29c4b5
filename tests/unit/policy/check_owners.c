/* check_owners.c - tenants' prefixes: whose a key is, which policy is for it, and what the upstream
 * is asked to tell. */
#include "suites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "config/load.h"
#include "policy/owners.h"
#include "policy/policies.h"

static struct settings *settings_of(const char *text)
{
    struct buffer errors = {0};
    struct settings *s = settings_load_text("t.ini", slice_str(text), &errors);

    ck_assert_msg(s != NULL, "%.*s", (int)buffer_len(&errors), buffer_head(&errors));
    buffer_done(&errors);
    return s;
}

START_TEST(whose)
{
    struct settings *s = settings_of(
        "[tenant a]\nprefix = acme:\n[tenant b]\nprefix = b\n[larder]\nnamespace = north:x:\n");
    struct owners *o = owners_new(s);

    ck_assert_uint_eq(owners_prefix(o, SLICE("acme:k")), 5);
    ck_assert_uint_eq(owners_prefix(o, SLICE("acme:")), 5);
    ck_assert_uint_eq(owners_prefix(o, SLICE("acme")), 0);
    ck_assert_uint_eq(owners_prefix(o, SLICE("bacme:")), 1);
    ck_assert_uint_eq(owners_prefix(o, SLICE("north:x:k")), 8);
    ck_assert_uint_eq(owners_prefix(o, SLICE("north:y:k")), 0);
    ck_assert_uint_eq(owners_prefix(o, SLICE("")), 0);
    owners_free(o);
    settings_free(s);
    s = settings_of("");
    ck_assert_ptr_null(owners_new(s));
    settings_free(s);
}
END_TEST

START_TEST(policies_behind_the_prefix)
{
    struct settings *s = settings_of(
        "[tenant a]\nprefix = acme:\n[policy s]\nprefix = session:\n[policy u]\nprefix = "
        "user:*:x:\n"
        "[policy f]\nprefix = acme:\n");
    struct policies *p = policies_new(s, NULL);

    ck_assert_str_eq(policies_match(p, SLICE("session:1"))->name, "s");
    ck_assert_str_eq(policies_match(p, SLICE("acme:session:1"))->name, "s");
    ck_assert_str_eq(policies_match(p, SLICE("acme:user:7:x:1"))->name, "u");
    ck_assert_ptr_null(policies_match(p, SLICE("beta:session:1")));
    ck_assert_ptr_null(policies_match(p, SLICE("acme:other")));
    ck_assert_str_eq(policies_match(p, SLICE("acme:acme:x"))->name, "f");
    policies_free(p);
    settings_free(s);
}
END_TEST

static void check_heads(const char *text, const char *want)
{
    struct settings *s = settings_of(text);
    struct policies *p = policies_new(s, NULL);
    struct buffer got = {0};
    size_t n;
    const struct slice *heads = policies_heads(p, true, &n);

    for (size_t i = 0; i < n; i++)
        buffer_printf(&got, "%.*s|", (int)heads[i].n, heads[i].p);
    buffer_add(&got, "", 1);
    ck_assert_str_eq(buffer_head(&got), want);
    buffer_done(&got);
    policies_free(p);
    settings_free(s);
}

START_TEST(heads)
{
    struct buffer text = {0};

    check_heads(
        "[tenant a]\nprefix = a:\n[tenant b]\nprefix = b:\n[policy p]\nlocal = yes\n"
        "prefix = s:, u:*:x:\n[policy q]\nprefix = q:\n",
        "a:s:|a:u:|b:s:|b:u:|s:|u:|");
    check_heads("[tenant a]\nprefix = a:\n[policy p]\nlocal = yes\nprefix = *\n", "|");
    check_heads("[tenant a]\nprefix = a:\n[policy p]\nprefix = x:\n", "");
    /* Who loads a key is told of as well, behind each prefix. */
    check_heads(
        "[tenant a]\nprefix = a:\n[policy p]\nlocal = yes\nprefix = s:\nstampede = wait\n"
        "scope = fleet\n",
        "a:larder:lease:|a:s:|larder:lease:|s:|");
    check_heads(
        "[tenant a]\nprefix = a:\n[policy p]\nlocal = yes\nprefix = *\nstampede = wait\n"
        "scope = fleet\n",
        "|");
    /* Too many for one each: what they have in common. */
    buffer_printf(&text, "[policy p]\nlocal = yes\nprefix = s:\n");
    for (int i = 0; i < 10000; i++)
        buffer_printf(&text, "[tenant t%d]\nprefix = t%d:\n", i, i);
    buffer_add(&text, "", 1);
    check_heads(buffer_head(&text), "s:|t0|t1|t2|t3|t4|t5|t6|t7|t8|t9|");
    buffer_done(&text);
}
END_TEST

Suite *owners_suite(void)
{
    Suite *suite = suite_create("owners");
    TCase *tcase = tcase_create("owners");

    tcase_add_test(tcase, whose);
    tcase_add_test(tcase, policies_behind_the_prefix);
    tcase_add_test(tcase, heads);
    suite_add_tcase(suite, tcase);
    return suite;
}
