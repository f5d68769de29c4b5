/* check_list.c - lists whose nodes live in what they link, and the tables of counters. */
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "base/list.h"
#include "suites.h"

struct item {
    char name;
    struct list node;
};

static struct item items[8];

/* The names forwards, and that backwards they are the same. */
static void reads(struct list *l, const char *names)
{
    char forth[16] = "", back[16] = "";
    size_t n = 0, i;

    for (list_each (node, l))
        forth[n++] = CONTAINER_OF(node, struct item, node)->name;
    i = n;
    for (struct list *node = l->prev; node != l && i > 0; node = node->prev)
        back[--i] = CONTAINER_OF(node, struct item, node)->name;
    ck_assert_str_eq(forth, names);
    ck_assert_str_eq(back, names);
    ck_assert_int_eq(list_empty(l), n == 0);
}

static void three(struct list *l, size_t from)
{
    list_init(l);
    for (size_t i = from; i < from + 3; i++) {
        items[i].name = (char)('a' + i);
        list_push_back(l, &items[i].node);
    }
}

START_TEST(pushes_at_both_ends)
{
    struct list l;

    list_init(&l);
    reads(&l, "");
    three(&l, 0);
    reads(&l, "abc");
    items[3].name = 'd';
    list_push_front(&l, &items[3].node);
    reads(&l, "dabc");
}
END_TEST

START_TEST(leaving_twice_is_harmless)
{
    struct list l;

    three(&l, 0);
    list_leave(&items[1].node);
    reads(&l, "ac");
    ck_assert(list_empty(&items[1].node));
    list_leave(&items[1].node);
    reads(&l, "ac");
    list_leave(&items[0].node);
    list_leave(&items[2].node);
    reads(&l, "");
    list_push_back(&l, &items[1].node);
    reads(&l, "b");
}
END_TEST

START_TEST(everything_moves_to_the_end)
{
    struct list a, b;

    three(&a, 0);
    three(&b, 3);
    list_move_all(&b, &a);
    reads(&a, "abcdef");
    reads(&b, "");
    list_move_all(&b, &a);
    reads(&a, "abcdef");
    list_move_all(&a, &b);
    reads(&b, "abcdef");
    reads(&a, "");
}
END_TEST

START_TEST(the_safe_walk_allows_leaving)
{
    struct list l;

    three(&l, 0);
    for (list_each_safe (node, next, &l)) {
        if (CONTAINER_OF(node, struct item, node)->name != 'b')
            list_leave(node);
    }
    reads(&l, "b");
    for (list_each_safe (node, next, &l))
        list_leave(node);
    reads(&l, "");
}
END_TEST

#define THING_COUNTERS(X)                                                                          \
    X(opened, TOTAL, "things opened")                                                              \
    X(open, LEVEL, "things open")

struct thing {
    int other;
    uint64_t before;
    THING_COUNTERS(COUNTER_FIELD)
};

START_TEST(counters_are_read_by_their_rows)
{
    static const struct counter_row rows[] = {
#define ROW(name, kind, help) {#name, kind, offsetof(struct thing, name), help},
        THING_COUNTERS(ROW)
#undef ROW
    };
    struct thing thing = {.before = 1, .opened = UINT64_MAX, .open = 3};
    struct counter_set set = {"thing", rows, ARRAY_LEN(rows), &thing};

    ck_assert_uint_eq(set.count, 2);
    ck_assert_str_eq(rows[0].name, "opened");
    ck_assert_int_eq(rows[0].kind, TOTAL);
    ck_assert_int_eq(rows[1].kind, LEVEL);
    ck_assert_str_eq(rows[1].help, "things open");
    ck_assert_uint_eq(counter_value(&set, 0), UINT64_MAX);
    ck_assert_uint_eq(counter_value(&set, 1), 3);
}
END_TEST

Suite *list_suite(void)
{
    Suite *suite = suite_create("list");
    TCase *t = tcase_create("list");

    tcase_add_test(t, pushes_at_both_ends);
    tcase_add_test(t, leaving_twice_is_harmless);
    tcase_add_test(t, everything_moves_to_the_end);
    tcase_add_test(t, the_safe_walk_allows_leaving);
    tcase_add_test(t, counters_are_read_by_their_rows);
    suite_add_tcase(suite, t);
    return suite;
}
