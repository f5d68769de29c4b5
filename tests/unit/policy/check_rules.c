/* check_rules.c - what a policy gives and asks of commands, and what all of them together do. */
#include "suites.h"

#include "base/buffer.h"

/* What [policy a] of these lines gives and asks, and so what all do. */
static void asks(const char *lines, uint64_t given_ms, unsigned rules)
{
    struct buffer text = {0};
    struct loaded l;
    const struct policy *policy;

    buffer_printf(&text, "[policy a]\nprefix = a:\n%s%c", lines, 0);
    l = load(buffer_head(&text), NULL);
    policy = policies_match(l.policies, SLICE("a:1"));
    ck_assert_msg(policy->given_ms == given_ms, "%s: %ju ms", lines, (uintmax_t)policy->given_ms);
    ck_assert_msg(policy->rules == rules, "%s: rules %x", lines, policy->rules);
    ck_assert_uint_eq(policies_rules(l.policies), rules);
    unload(&l);
    buffer_done(&text);
}

START_TEST(given)
{
    const unsigned slides = RULE_EXPIRY | RULE_SLIDING, capped = RULE_EXPIRY | RULE_ABSOLUTE;

    asks("max_ttl = 3s\n", 3000, RULE_EXPIRY);
    asks("max_ttl = 3s\nabsolute = 4s\n", 4000, capped);
    asks("max_ttl = 3s\nabsolute = 4s\nsliding = 2s\n", 2000, slides | capped);
    asks("max_ttl = 3s\nsliding = 2s\n", 2000, slides);
    asks("max_ttl = 3s\nabsolute = 4s\nsliding = 2s\nttl = 1s\n", 1000, slides | capped);
    asks("ttl = 3s\nsliding = 2s\n", 3000, slides);
    asks("ttl = 10s\nttl_jitter = 9s\n", 10000, RULE_EXPIRY);
    asks("ttl = 3650d\n", UINT64_C(315360000000), RULE_EXPIRY);
    /* Who must give an expiry is given none. */
    asks("max_ttl = 3s\nabsolute = 4s\nsliding = 2s\nrequire_ttl = yes\n", 0,
         slides | capped | RULE_REQUIRE);
}
END_TEST

START_TEST(rules)
{
    asks("", 0, 0);
    asks("local = yes\nlocal_ttl = 1s\nnegative_ttl = 1s\nfield_ttl = no\n", 0, 0);
    asks("ttl = 1s\n", 1000, RULE_EXPIRY);
    asks("sliding = 1s\n", 1000, RULE_EXPIRY | RULE_SLIDING);
    asks("absolute = 1s\n", 1000, RULE_EXPIRY | RULE_ABSOLUTE);
    asks("require_ttl = yes\n", 0, RULE_REQUIRE);
    asks("max_value = 1\n", 0, RULE_SIZE);
    asks("immutable = yes\nlocal = yes\n", 0, RULE_IMMUTABLE);
    asks("deny = yes\n", 0, RULE_DENY);
    asks("fence = yes\n", 0, RULE_FENCE);
    asks("local = yes\nstampede = wait\nscope = fleet\n", 0, RULE_LEASE);
}
END_TEST

START_TEST(rules_of_all)
{
    struct loaded l = load("", NULL), after;

    ck_assert_uint_eq(policies_rules(l.policies), 0);
    after = load(
        "[policy a]\nprefix = a:\nttl = 1s\n[policy b]\nprefix = b:\ndeny = yes\n"
        "[policy c]\nprefix = c:\n[policy d]\nprefix = d:\nmax_value = 1kb\n",
        l.policies);
    ck_assert_uint_eq(policies_rules(after.policies), RULE_EXPIRY | RULE_DENY | RULE_SIZE);
    ck_assert_uint_eq(policies_match(after.policies, SLICE("a:"))->rules, RULE_EXPIRY);
    ck_assert_uint_eq(policies_match(after.policies, SLICE("b:"))->rules, RULE_DENY);
    ck_assert_uint_eq(policies_match(after.policies, SLICE("c:"))->rules, 0);
    ck_assert_uint_eq(policies_match(after.policies, SLICE("d:"))->rules, RULE_SIZE);
    ck_assert_uint_eq(policies_match(after.policies, SLICE("b:"))->given_ms, 0);
    unload(&l);
    l = load("", after.policies); /* none of what was is left */
    ck_assert_uint_eq(policies_rules(l.policies), 0);
    unload(&l);
    unload(&after);
}
END_TEST

Suite *rules_suite(void)
{
    Suite *suite = suite_create("rules");
    TCase *tcase = tcase_create("rules");

    tcase_add_test(tcase, given);
    tcase_add_test(tcase, rules);
    tcase_add_test(tcase, rules_of_all);
    suite_add_tcase(suite, tcase);
    return suite;
}
