/* check_policies.c - which policy is for a key, against cases and against a matcher that tries all
 * prefixes one by one; the heads for Redis; the numbers across reloads. */
#include "suites.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "config/prefix.h"
#include "policy/policies.h"

static const char *name_for(const struct loaded *l, struct slice key)
{
    const struct policy *policy = policies_match(l->policies, key);

    return policy ? policy->name : "-";
}

static void is_for(const struct loaded *l, const char *key, const char *name)
{
    ck_assert_msg(strcmp(name_for(l, slice_str(key)), name) == 0, "%s: %s, not %s", key,
                  name_for(l, slice_str(key)), name);
}

START_TEST(none)
{
    struct loaded l = load("", NULL);
    size_t count = 7;

    is_for(&l, "", "-");
    is_for(&l, "a", "-");
    ck_assert_ptr_null(policies_by_number(l.policies, 0));
    ck_assert_ptr_null(policies_by_number(l.policies, 1));
    ck_assert_ptr_nonnull(policies_all(l.policies, &count));
    ck_assert_uint_eq(count, 0);
    ck_assert_ptr_nonnull(policies_heads(l.policies, false, &count));
    ck_assert_uint_eq(count, 0);
    unload(&l);
    policies_free(NULL);
}
END_TEST

START_TEST(literal)
{
    struct loaded l = load(
        "[policy a]\nprefix = a:, zz\n[policy ab]\nprefix = a:b:\n[policy abc]\nprefix = a:b:c\n"
        "[policy user]\nprefix = user:*\n",
        NULL);

    is_for(&l, "", "-");
    is_for(&l, "a", "-");
    is_for(&l, "a:", "a");
    is_for(&l, "a:a", "a");
    is_for(&l, "a:b", "a");
    is_for(&l, "a:b:", "ab");
    is_for(&l, "a:b:b", "ab");
    is_for(&l, "a:b:c", "abc");
    is_for(&l, "a:b:c:d", "abc");
    is_for(&l, "a:b:d", "ab");
    is_for(&l, "a:c", "a");
    is_for(&l, "b:", "-");
    is_for(&l, "A:", "-");
    is_for(&l, "user:", "user");
    is_for(&l, "user:1:2", "user");
    is_for(&l, "user", "-");
    is_for(&l, "zz", "a");
    is_for(&l, "zzz", "a");
    is_for(&l, "\xff", "-");
    unload(&l);
}
END_TEST

START_TEST(with_stars)
{
    struct loaded l = load(
        "[policy s]\nprefix = sess:*:\n[policy cart]\nprefix = user:*:cart:*:item\n"
        "[policy any]\nprefix = *:log:\n[policy two]\nprefix = *:*:*:*:\n",
        NULL);

    is_for(&l, "sess:42:x", "s");
    is_for(&l, "sess:42:", "s");
    is_for(&l, "sess:42", "-");
    is_for(&l, "sess:", "-");
    is_for(&l, "sess::", "-");
    is_for(&l, "sess::x", "-");
    is_for(&l, "user:1:cart:2:item", "cart");
    is_for(&l, "user:1:cart:2:items:3", "cart");
    is_for(&l, "user:1:2:cart:2:item", "two");
    is_for(&l, "user:1:cart:2:ite", "two");
    is_for(&l, "user:1:cart::item", "-");
    is_for(&l, "x:log:", "any");
    is_for(&l, "x:log", "-");
    is_for(&l, ":log:", "-");
    is_for(&l, "sess:log:", "s");
    is_for(&l, "a:b:c:d:", "two");
    is_for(&l, "a:b::d:", "-");
    unload(&l);
}
END_TEST

/* More literal characters, then fewer stars, then the file's order. */
START_TEST(ranks)
{
    struct loaded l = load(
        "[policy all]\nprefix = *\n[policy late]\nprefix = *:bb:\n[policy early]\nprefix = aa:*:\n"
        "[policy long]\nprefix = *:bb:ccc\n[policy fewer]\nprefix = aa:bb\n"
        "[policy more]\nprefix = a:*:*:\n[policy less]\nprefix = a:b:*:c\n",
        NULL);

    is_for(&l, "", "all");
    is_for(&l, "x", "all");
    is_for(&l, "aa:x:", "early");
    is_for(&l, "aa:bb:", "fewer"); /* 5 characters, the others have 4 */
    is_for(&l, "aa:bb:ccc", "long");
    is_for(&l, "xx:bb:cc", "late");
    is_for(&l, "a:x:y:", "more");
    is_for(&l, "a:b:y:c", "less");
    unload(&l);
    l = load("[policy late]\nprefix = *:bb:\n[policy early]\nprefix = aa:*:\n", NULL);
    is_for(&l, "aa:bb:", "late"); /* 4 and 4 */
    unload(&l);
    l = load("[policy early]\nprefix = aa:*:\n[policy late]\nprefix = *:bb:\n", NULL);
    is_for(&l, "aa:bb:", "early");
    unload(&l);
    l = load("[policy two]\nprefix = a:*:*:\n[policy one]\nprefix = a:*:b\n", NULL);
    is_for(&l, "a:x:b:", "one"); /* 4 and 4 */
    unload(&l);
}
END_TEST

/* Keys are bytes. */
START_TEST(binary_keys)
{
    struct loaded l = load("[policy a]\nprefix = a\n[policy u]\nprefix = \xc3\xa4:*:\n", NULL);

    ck_assert_str_eq(name_for(&l, SLICE("a\0b")), "a");
    ck_assert_str_eq(name_for(&l, SLICE("\0a")), "-");
    ck_assert_str_eq(name_for(&l, SLICE("\xc3\xa4:\0:")), "u");
    ck_assert_str_eq(name_for(&l, slice_of("ab", 0)), "-");
    ck_assert_str_eq(name_for(&l, slice_of(NULL, 0)), "-");
    unload(&l);
}
END_TEST

/* What policies.h says, one prefix after the other. */
static bool plain_match(const char *pattern, const char *key)
{
    for (; *pattern && !(*pattern == '*' && pattern[1] == 0); pattern++) {
        if (*pattern == '*') {
            size_t n = strcspn(key, ":");

            if (n == 0 || key[n] == 0)
                return false;
            key += n;
        } else if (*pattern != *key++) {
            return false;
        }
    }
    return true;
}

static const char *plain_name_for(const struct settings *s, const char *key)
{
    const char *name = "-";
    long best_literals = -1, best_stars = 0;

    for (size_t i = 0; i < s->policy_count; i++) {
        for (size_t k = 0; k < s->policies[i].prefix.n; k++) {
            const char *pattern = s->policies[i].prefix.v[k];
            long literals = 0, stars = 0;

            for (const char *p = pattern; *p && !(*p == '*' && p[1] == 0); p++) {
                stars += *p == '*';
                literals += *p != '*';
            }
            if (!plain_match(pattern, key) || literals < best_literals ||
                (literals == best_literals && stars >= best_stars))
                continue;
            name = s->policies[i].name;
            best_literals = literals;
            best_stars = stars;
        }
    }
    return name;
}

static uint32_t random_below(uint32_t *state, uint32_t bound)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % bound;
}

/* Few letters, so that prefixes and keys have much in common. */
static void add_word(struct buffer *out, uint32_t *state, bool stars)
{
    uint32_t parts = 1 + random_below(state, 4);

    for (uint32_t i = 0; i < parts; i++) {
        bool last = i + 1 == parts;

        if (stars && !last && random_below(state, 3) == 0)
            buffer_printf(out, "*");
        else
            for (uint32_t n = random_below(state, 3) + (i == 0); n > 0; n--)
                buffer_printf(out, "%c", 'a' + (int)random_below(state, 2));
        buffer_printf(out, "%s", last ? "" : ":");
    }
}

/* Sets of prefixes without one that is there twice. */
static void random_settings(struct buffer *text, uint32_t *state)
{
    uint32_t count = 1 + random_below(state, 12);
    char seen[40][64];
    uint32_t n = 0;

    for (uint32_t i = 0; i < count; i++) {
        struct buffer word = {0};
        bool twice = false;

        add_word(&word, state, true);
        buffer_add(&word, "", 1);
        for (uint32_t k = 0; k < n; k++)
            twice = twice || strcmp(seen[k], buffer_head(&word)) == 0;
        if (!twice) {
            (void)snprintf(seen[n++], sizeof(seen[0]), "%s", buffer_head(&word));
            buffer_printf(text, "[policy p%u]\nprefix = %s%s\n", i, buffer_head(&word),
                          random_below(state, 4) == 0 ? "*" : "");
        }
        buffer_done(&word);
    }
    if (random_below(state, 4) == 0)
        buffer_printf(text, "[policy all]\nprefix = *\n");
}

START_TEST(random_prefixes)
{
    uint32_t state = 1;

    for (unsigned round = 0; round < 2000; round++) {
        struct buffer text = {0};
        struct loaded l;

        random_settings(&text, &state);
        buffer_add(&text, "", 1);
        l = load(buffer_head(&text), NULL);
        for (unsigned i = 0; i < 40; i++) {
            struct buffer key = {0};

            add_word(&key, &state, false);
            buffer_add(&key, "", 1);
            ck_assert_msg(strcmp(name_for(&l, slice_str(buffer_head(&key))),
                                 plain_name_for(l.settings, buffer_head(&key))) == 0,
                          "%s in\n%s", buffer_head(&key), buffer_head(&text));
            buffer_done(&key);
        }
        unload(&l);
        buffer_done(&text);
    }
}
END_TEST

START_TEST(ten_thousand)
{
    struct buffer text = {0};
    struct loaded l;
    size_t count;

    for (unsigned i = 0; i < 1000; i++) {
        buffer_printf(&text, "[policy p%u]\nprefix = tenant:%u:*:all", i, i);
        for (unsigned k = 0; k < 9; k++)
            buffer_printf(&text, ", tenant:%u:k%u", i, k);
        buffer_printf(&text, "\n");
    }
    buffer_add(&text, "", 1);
    l = load(buffer_head(&text), NULL);
    for (unsigned i = 0; i < 1100; i += 7) {
        char key[64], name[64];

        (void)snprintf(name, sizeof(name), i < 1000 ? "p%u" : "-", i);
        (void)snprintf(key, sizeof(key), "tenant:%u:k3:x", i);
        is_for(&l, key, name);
        (void)snprintf(key, sizeof(key), "tenant:%u:x:all", i);
        is_for(&l, key, name);
        (void)snprintf(key, sizeof(key), "tenant:%u:k9", i);
        is_for(&l, key, "-");
    }
    ck_assert_ptr_nonnull(policies_heads(l.policies, false, &count));
    ck_assert_uint_eq(count, 1000);
    for (unsigned number = 1; number <= 1000; number++)
        ck_assert_uint_eq(policies_by_number(l.policies, (uint16_t)number)->number, number);
    ck_assert_ptr_null(policies_by_number(l.policies, 1001));
    unload(&l);
    buffer_done(&text);
}
END_TEST

static void heads_are(const char *text, bool local_only, const char *expected)
{
    struct loaded l = load(text, NULL);
    struct buffer out = {0};
    size_t count;
    const struct slice *heads = policies_heads(l.policies, local_only, &count);

    for (size_t i = 0; i < count; i++)
        buffer_printf(&out, "<%.*s>", (int)heads[i].n, heads[i].p);
    buffer_add(&out, "", 1);
    ck_assert_str_eq(buffer_head(&out), expected);
    buffer_done(&out);
    unload(&l);
}

START_TEST(heads)
{
    const char *mixed =
        "[policy a]\nprefix = a:, b:*:c, b:*\nlocal = yes\n"
        "[policy b]\nprefix = a, b:c:, a:b:\n[policy c]\nprefix = a:b:c:*, c*\nlocal = yes\n";

    heads_are("", true, "");
    heads_are(mixed, false, "<a><b:><c>");
    heads_are(mixed, true, "<a:><b:><c>");
    heads_are("[policy a]\nprefix = b, *, a\nlocal = yes\n", true, "<>");
    heads_are("[policy a]\nprefix = b, a\nlocal = yes\n[policy b]\nprefix = *:x:\n", true,
              "<a><b>");
    heads_are("[policy a]\nprefix = b, a\nlocal = yes\n[policy b]\nprefix = *:x:\n", false, "<>");
    heads_are("[policy a]\nprefix = a:*:x\n[policy b]\nprefix = a:*:y\nlocal = yes\n", true,
              "<a:>");
    heads_are("[policy a]\nprefix = ab, abc, abcd, ac, a-b\n", false, "<a-b><ab><ac>");
}
END_TEST

static uint16_t number_of(const struct loaded *l, const char *name)
{
    size_t count;
    const struct policy *all = policies_all(l->policies, &count);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(all[i].name, name) == 0) {
            ck_assert_ptr_eq(policies_by_number(l->policies, all[i].number), &all[i]);
            return all[i].number;
        }
    }
    return 0;
}

START_TEST(numbers)
{
    struct loaded a, b, c;

    a = load("[policy x]\nprefix = x:\n[policy y]\nprefix = y:\n", NULL);
    ck_assert_uint_eq(number_of(&a, "x"), 1);
    ck_assert_uint_eq(number_of(&a, "y"), 2);
    /* The same, in another order, and a setting of y changed. */
    b = load("[policy y]\nprefix = y:\nlocal = yes\n[policy x]\nprefix = x:\n", a.policies);
    ck_assert_uint_eq(number_of(&b, "y"), 3);
    unload(&b);
    b = load("[policy x]\nprefix = x:\n[policy y]\nprefix = y:\nlocal = yes\n", a.policies);
    ck_assert_uint_eq(number_of(&b, "x"), 1);
    ck_assert_uint_eq(number_of(&b, "y"), 3);
    ck_assert_ptr_null(policies_by_number(b.policies, 2));
    /* Back again: 2 is not given a second time. */
    c = load("[policy x]\nprefix = x:\n[policy y]\nprefix = y:\n", b.policies);
    ck_assert_uint_eq(number_of(&c, "x"), 1);
    ck_assert_uint_eq(number_of(&c, "y"), 4);
    unload(&c);
    /* A prefix more takes keys away from any other. */
    c = load(
        "[policy x]\nprefix = x:\n[policy y]\nprefix = y:\nlocal = yes\n"
        "[policy z]\nprefix = x:z\n",
        b.policies);
    ck_assert_uint_eq(number_of(&c, "x"), 4);
    ck_assert_uint_eq(number_of(&c, "y"), 5);
    ck_assert_uint_eq(number_of(&c, "z"), 6);
    unload(&c);
    /* So does one that goes to another policy; and a new name is another policy. */
    c = load("[policy x]\nprefix = y:\n[policy y]\nprefix = x:\nlocal = yes\n", b.policies);
    ck_assert_uint_eq(number_of(&c, "x"), 4);
    ck_assert_uint_eq(number_of(&c, "y"), 5);
    unload(&c);
    c = load("[policy w]\nprefix = x:\n[policy y]\nprefix = y:\nlocal = yes\n", b.policies);
    ck_assert_uint_eq(number_of(&c, "w"), 4);
    ck_assert_uint_eq(number_of(&c, "y"), 5);
    unload(&c);
    unload(&b);
    unload(&a);
}
END_TEST

/* A number outlives its policy on the shelf: one that was given last is not given again even when
 * nobody has it any more. */
START_TEST(numbers_of_the_gone)
{
    struct loaded a = load("[policy x]\nprefix = x:\n", NULL), b = load("", a.policies), c;

    c = load("[policy y]\nprefix = y:\n", b.policies);
    ck_assert_uint_eq(number_of(&c, "y"), 2);
    unload(&a);
    unload(&b);
    unload(&c);
}
END_TEST

/* Around, past 0 and what is in use. */
START_TEST(numbers_wrap)
{
    const char *text[] = {"[policy keep]\nprefix = k:\n[policy x]\nprefix = x:\nlocal = yes\n",
                          "[policy keep]\nprefix = k:\n[policy x]\nprefix = x:\nlocal = no\n"};
    struct loaded one = load(text[0], NULL), two = load(text[1], NULL);
    struct policies *before = policies_new(one.settings, NULL);

    for (unsigned i = 3; i < 65600; i++) {
        struct loaded now = {i % 2 ? two.settings : one.settings, NULL};

        now.policies = policies_new(now.settings, before);
        policies_free(before);
        before = now.policies;
        ck_assert_uint_eq(number_of(&now, "keep"), 1);
        ck_assert_uint_eq(number_of(&now, "x"), i <= UINT16_MAX ? i : i - UINT16_MAX + 1);
    }
    policies_free(before);
    unload(&one);
    unload(&two);
}
END_TEST

Suite *policies_suite(void)
{
    Suite *suite = suite_create("policies");
    TCase *tcase = tcase_create("policies");

    tcase_add_test(tcase, none);
    tcase_add_test(tcase, literal);
    tcase_add_test(tcase, with_stars);
    tcase_add_test(tcase, ranks);
    tcase_add_test(tcase, binary_keys);
    tcase_add_test(tcase, random_prefixes);
    tcase_add_test(tcase, ten_thousand);
    tcase_add_test(tcase, heads);
    tcase_add_test(tcase, numbers);
    tcase_add_test(tcase, numbers_of_the_gone);
    tcase_add_test(tcase, numbers_wrap);
    suite_add_tcase(suite, tcase);
    return suite;
}
