/* check_agree.c - which replies say the same. */
#include <stdio.h>
#include <stdlib.h>

#include "command/table.h"
#include "errands/agree.h"
#include "suites.h"

static struct hash_seed seed;

static void begin(void)
{
    hash_seed_init(&seed);
}

/* On memory of exactly that size, so that a sanitizer sees a look beyond. */
static bool agree(enum reply_order order, const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    char *x = must_alloc(na + !na), *y = must_alloc(nb + !nb);
    bool same, back;

    memcpy(x, a, na);
    memcpy(y, b, nb);
    same = replies_agree(order, &seed, slice_of(x, na), slice_of(y, nb));
    back = replies_agree(order, &seed, slice_of(y, nb), slice_of(x, na));
    ck_assert_int_eq(same, back);
    free(x);
    free(y);
    return same;
}

START_TEST(byte_for_byte)
{
    enum reply_order all[] = {ORDER_FIXED, ORDER_FREE, ORDER_PAIRS};

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        ck_assert(agree(all[i], "$1\r\na\r\n", "$1\r\na\r\n"));
        ck_assert(agree(all[i], "$-1\r\n", "$-1\r\n"));
        ck_assert(agree(all[i], "*0\r\n", "*0\r\n"));
        ck_assert(!agree(all[i], "$1\r\na\r\n", "$1\r\nb\r\n"));
        ck_assert(!agree(all[i], "$1\r\na\r\n", "$-1\r\n"));
        ck_assert(!agree(all[i], ":1\r\n", ":2\r\n"));
        ck_assert(!agree(all[i], ":1\r\n", ":12\r\n"));
        ck_assert(!agree(all[i], "", ":1\r\n"));
    }
}
END_TEST

START_TEST(lists_have_an_order)
{
    const char *ab = "*2\r\n$1\r\na\r\n$1\r\nb\r\n", *ba = "*2\r\n$1\r\nb\r\n$1\r\na\r\n";

    ck_assert(!agree(ORDER_FIXED, ab, ba));
    ck_assert(agree(ORDER_FREE, ab, ba));
    ck_assert(!agree(ORDER_PAIRS, ab, ba));
}
END_TEST

/* A bag: how often each is in it counts, where one ends and the next begins as well. */
START_TEST(bags)
{
    ck_assert(agree(ORDER_FREE, "~3\r\n+a\r\n+b\r\n+a\r\n", "~3\r\n+a\r\n+a\r\n+b\r\n"));
    ck_assert(!agree(ORDER_FREE, "~3\r\n+a\r\n+b\r\n+a\r\n", "~3\r\n+b\r\n+a\r\n+b\r\n"));
    ck_assert(!agree(ORDER_FREE, "*2\r\n$1\r\na\r\n$2\r\nbc\r\n", "*2\r\n$2\r\nab\r\n$1\r\nc\r\n"));
    ck_assert(!agree(ORDER_FREE, "*2\r\n+a\r\n+b\r\n", "~2\r\n+b\r\n+a\r\n"));
    ck_assert(!agree(ORDER_FREE, "*2\r\n:1\r\n+a\r\n", "*2\r\n+1\r\n:2\r\n"));
}
END_TEST

START_TEST(pairs)
{
    const char *heads[] = {"%2\r\n", "*4\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        char a[64], b[64], crossed[64];

        (void)snprintf(a, sizeof a, "%s+k\r\n+1\r\n+l\r\n+2\r\n", heads[i]);
        (void)snprintf(b, sizeof b, "%s+l\r\n+2\r\n+k\r\n+1\r\n", heads[i]);
        (void)snprintf(crossed, sizeof crossed, "%s+k\r\n+2\r\n+l\r\n+1\r\n", heads[i]);
        ck_assert(agree(ORDER_PAIRS, a, b));
        ck_assert(!agree(ORDER_PAIRS, a, crossed));
    }
    /* An odd number of values is no bag of pairs. */
    ck_assert(!agree(ORDER_PAIRS, "*3\r\n+a\r\n+b\r\n+c\r\n", "*3\r\n+b\r\n+a\r\n+c\r\n"));
}
END_TEST

START_TEST(what_is_not_well_formed)
{
    ck_assert(!agree(ORDER_FREE, "*2\r\n+a\r\n$9\r\n", "*2\r\n$9\r\n+a\r\n"));
    ck_assert(!agree(ORDER_FREE, "*2", "*3"));
    ck_assert(!agree(ORDER_FREE, "-ERR a\r\n", "-ERR b\r\n"));
}
END_TEST

START_TEST(commands)
{
    ck_assert_int_eq(reply_order_of(CMD_GET), ORDER_FIXED);
    ck_assert_int_eq(reply_order_of(CMD_HMGET), ORDER_FIXED);
    ck_assert_int_eq(reply_order_of(CMD_LRANGE), ORDER_FIXED);
    ck_assert_int_eq(reply_order_of(CMD_ZRANGE), ORDER_FIXED);
    ck_assert_int_eq(reply_order_of(CMD_HGETALL), ORDER_PAIRS);
    ck_assert_int_eq(reply_order_of(CMD_HKEYS), ORDER_FREE);
    ck_assert_int_eq(reply_order_of(CMD_HVALS), ORDER_FREE);
    ck_assert_int_eq(reply_order_of(CMD_SMEMBERS), ORDER_FREE);
    ck_assert_int_eq(reply_order_of(CMD_SINTER), ORDER_FREE);
    ck_assert_int_eq(reply_order_of(CMD_SUNION), ORDER_FREE);
    ck_assert_int_eq(reply_order_of(CMD_SDIFF), ORDER_FREE);
}
END_TEST

Suite *agree_suite(void)
{
    Suite *s = suite_create("agree");
    TCase *t = tcase_create("replies");

    tcase_add_checked_fixture(t, begin, NULL);
    tcase_add_test(t, byte_for_byte);
    tcase_add_test(t, lists_have_an_order);
    tcase_add_test(t, bags);
    tcase_add_test(t, pairs);
    tcase_add_test(t, what_is_not_well_formed);
    tcase_add_test(t, commands);
    suite_add_tcase(s, t);
    return s;
}
