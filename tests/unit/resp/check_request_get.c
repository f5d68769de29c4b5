/* check_request_get.c - the short look at a GET: it may overlook one, but where it says yes,
 * request_scan() must say the same. */
#include "suites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resp/request.h"

static const struct request_limits limits = {.max_bulk = 1024, .max_request = 16384};

/* On memory of exactly that size, so that a sanitizer sees what is read beyond it. */
static bool looks_like_get(const char *p, size_t n, struct slice *ret_key, size_t *ret_length)
{
    char *copy = must_alloc(n + !n);
    struct request_scan scan = {0};
    struct args args = {0};
    struct buffer words = {0};
    struct slice key;
    uint64_t need = 0;
    bool yes;

    memcpy(copy, p, n);
    yes = request_is_get(copy, n, &key, ret_length);
    if (yes) {
        ck_assert_int_eq(request_scan(&scan, copy, n, &limits, &args, &words, &need), SCAN_OK);
        ck_assert_uint_eq(scan.pos, *ret_length);
        ck_assert_uint_eq(args.n, 2);
        ck_assert(slice_is(args.v[0], "GET"));
        ck_assert(slice_eq(args.v[1], key));
        *ret_key = slice_of(p + (key.p - copy), key.n);
    }
    args_done(&args);
    buffer_done(&words);
    free(copy);
    return yes;
}

START_TEST(gets)
{
    static const char *const rows[] = {"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
                                       "*2\r\n$3\r\nget\r\n$3\r\nk\r\n\r\n",
                                       "*2\r\n$3\r\nGET\r\n$10\r\n0123456789\r\n"};
    static const char *const keys[] = {"k", "k\r\n", "0123456789"};
    size_t n = strlen(rows[_i]), length;
    char behind[128];
    struct slice key;

    ck_assert(looks_like_get(rows[_i], n, &key, &length));
    ck_assert_uint_eq(length, n);
    ck_assert(slice_eq(key, slice_str(keys[_i])));
    for (size_t cut = 0; cut < n; cut++)
        ck_assert(!looks_like_get(rows[_i], cut, &key, &length));
    (void)snprintf(behind, sizeof behind, "%sxyz", rows[_i]);
    ck_assert(looks_like_get(behind, n + 3, &key, &length));
    ck_assert_uint_eq(length, n);
}
END_TEST

START_TEST(others)
{
    static const char *const rows[] = {
        "*2\r\n$3\r\nSET\r\n$1\r\nk\r\n",     "*3\r\n$3\r\nGET\r\n$1\r\nk\r\n$1\r\nk\r\n",
        "*2\r\n$3\r\nGET\r\n$01\r\nk\r\n",    "*2\r\n$3\r\nGET\r\n$-1\r\n\r\n12345",
        "*2\r\n$3\r\nGET\r\n$1\r\nkk\r\n",    "*2\r\n$3\r\nGET\r\n$2\r\nk\r\n1\r\n",
        "*2\r\n$3\r\nGET\r\n$\r\nk\r\n123",   "*2\r\n$3\r\nGET\r\n$1k\rk\r\n",
        "*2\r\n$3\r\nGET\r\n$1\rk\r\n12",     "*2\r\n$3\r\nGET\r\n:1\r\nk\r\n",
        "*2\r\n$4\r\nGETS\r\n$1\r\nk\r\n",    "GET k\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
        "*2\r\n$3\r\nGET\r\n$1\r\nk\n\n1234", "*2\r\n$3\r\nGET\r\n$99999999999999999999\r\nk\r\n"};
    struct slice key;
    size_t length;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ck_assert_msg(!looks_like_get(rows[i], strlen(rows[i]), &key, &length), "%s", rows[i]);
}
END_TEST

/* Keys of every length around those where the number of digits changes. */
START_TEST(lengths)
{
    char text[1200];

    for (size_t k = 0; k <= 1001; k++) {
        int head = snprintf(text, sizeof text, "*2\r\n$3\r\nGET\r\n$%zu\r\n", k);
        size_t n = (size_t)head + k + 2, length;
        struct slice key;

        memset(text + head, 'k', k);
        memcpy(text + head + k, "\r\n", 2);
        ck_assert(looks_like_get(text, n, &key, &length) == (k >= 1 && k <= 999));
    }
}
END_TEST

/* Bytes changed at random: never a yes that the scanner would not give. */
START_TEST(never_more_than_the_scanner)
{
    static const char row[] = "*2\r\n$3\r\nGET\r\n$12\r\nuser:1234:ab\r\n*1\r\n";
    static const char bytes[] = "*$\r\n0123GETget:-ku";
    size_t length, yes = 0;
    struct slice key;

    srandom(42);
    for (int i = 0; i < 200000; i++) {
        char text[sizeof row];

        memcpy(text, row, sizeof row);
        for (long n = random() % 3; n >= 0; n--)
            text[random() % (long)(sizeof row - 1)] = bytes[random() % (long)(sizeof bytes - 1)];
        yes += looks_like_get(text, sizeof row - 1 - (size_t)random() % 4, &key, &length);
    }
    ck_assert_uint_gt(yes, 1000);
}
END_TEST

Suite *request_get_suite(void)
{
    Suite *s = suite_create("request_is_get");
    TCase *t = tcase_create("get");

    tcase_add_loop_test(t, gets, 0, 3);
    tcase_add_test(t, others);
    tcase_add_test(t, lengths);
    tcase_add_test(t, never_more_than_the_scanner);
    suite_add_tcase(s, t);
    return s;
}
