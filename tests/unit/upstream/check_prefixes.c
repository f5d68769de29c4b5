/* check_prefixes.c - sets of prefixes. */
#include <string.h>

#include "suites.h"
#include "upstream/prefixes.h"

static struct prefixes p, q;

static void end(void)
{
    prefixes_done(&p);
    prefixes_done(&q);
}

/* Words with blanks between; "-" is the empty prefix. */
static void set(struct prefixes *x, const char *words)
{
    struct slice v[16];
    size_t n = 0;

    for (const char *at = words; *at != 0;) {
        size_t len = strcspn(at, " ");

        ck_assert_uint_lt(n, ARRAY_LEN(v));
        v[n++] = slice_of(at, at[0] == '-' ? 0 : len);
        at += len + strspn(at + len, " ");
    }
    prefixes_set(x, v, n);
}

static void is(const char *words)
{
    set(&q, words);
    ck_assert(prefixes_same(&p, &q));
    ck_assert_uint_eq(p.n, q.n);
}

START_TEST(what_others_cover_goes)
{
    static const char *const rows[][2] = {
        {"", ""},
        {"b a c", "a b c"},
        {"a: a: a:", "a:"},
        {"a:b: a:", "a:"},
        {"ab a b aba abb bb bc", "a b"},
        {"a - b", "-"},
        {"user:1 user:10 user:2 user", "user"},
        {"a:b a;b a:b:c", "a:b a;b"},
    };

    set(&p, rows[_i][0]);
    is(rows[_i][1]);
    for (size_t i = 0; i < p.n; i++) {
        for (size_t k = 0; k < p.n; k++)
            ck_assert(i == k || !slice_starts(p.v[i], p.v[k]));
    }
}
END_TEST

START_TEST(bytes_count_as_they_are)
{
    struct slice v[] = {{"a\0b", 3}, {"a\0", 2}, {"\xff", 1}, {"a\0b", 3}};

    prefixes_set(&p, v, 4);
    ck_assert_uint_eq(p.n, 2);
    ck_assert(prefixes_cover(&p, slice_of("a\0b", 3)));
    ck_assert(!prefixes_cover(&p, SLICE("ab")));
    ck_assert(prefixes_cover(&p, SLICE("\xff\xff")));
}
END_TEST

START_TEST(covers_what_begins_with_one)
{
    set(&p, "a: user:");
    ck_assert(prefixes_cover(&p, SLICE("a:1")));
    ck_assert(prefixes_cover(&p, SLICE("user:")));
    ck_assert(!prefixes_cover(&p, SLICE("user")));
    ck_assert(!prefixes_cover(&p, SLICE("b")));
    ck_assert(!prefixes_cover(&p, SLICE("")));
    set(&p, "-");
    ck_assert(prefixes_cover(&p, SLICE("")));
    ck_assert(prefixes_cover(&p, SLICE("x")));
    set(&p, "");
    ck_assert(!prefixes_cover(&p, SLICE("")));
}
END_TEST

START_TEST(same_and_overlapping)
{
    set(&p, "a: b:");
    set(&q, "b: a: a:1");
    ck_assert(prefixes_same(&p, &q));
    set(&q, "a:");
    ck_assert(!prefixes_same(&p, &q));
    ck_assert(prefixes_overlap(&p, &q));
    set(&q, "c: b:1:");
    ck_assert(prefixes_overlap(&p, &q));
    ck_assert(prefixes_overlap(&q, &p));
    set(&q, "c: a");
    ck_assert(prefixes_overlap(&p, &q));
    set(&q, "c: aa");
    ck_assert(!prefixes_overlap(&p, &q));
    set(&q, "");
    ck_assert(!prefixes_overlap(&p, &q));
    ck_assert(!prefixes_same(&p, &q));
}
END_TEST

START_TEST(set_from_itself)
{
    set(&p, "a: b: c:");
    prefixes_set(&p, p.v + 1, 2);
    is("b: c:");
}
END_TEST

START_TEST(adds_what_is_not_covered)
{
    struct prefixes by = {0};

    set(&p, "x:");
    set(&q, "a:1 b: c:");
    set(&by, "a: c:2");
    prefixes_add_uncovered(&p, &q, &by);
    is("b: c: x:");
    prefixes_done(&by);
}
END_TEST

Suite *prefixes_suite(void)
{
    Suite *suite = suite_create("prefixes");
    TCase *t = tcase_create("prefixes");

    tcase_add_checked_fixture(t, NULL, end);
    tcase_add_loop_test(t, what_others_cover_goes, 0, 8);
    tcase_add_test(t, bytes_count_as_they_are);
    tcase_add_test(t, covers_what_begins_with_one);
    tcase_add_test(t, same_and_overlapping);
    tcase_add_test(t, set_from_itself);
    tcase_add_test(t, adds_what_is_not_covered);
    suite_add_tcase(suite, t);
    return suite;
}
