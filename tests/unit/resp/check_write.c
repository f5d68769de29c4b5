/* check_write.c - what is written, byte for byte, and that it reads back. */
#include "suites.h"

#include <inttypes.h>
#include <stdio.h>

#include "outcome.h"
#include "resp/reply.h"
#include "resp/write.h"

static void check_text(struct buffer *out, const char *want)
{
    ck_assert_msg(slice_eq(buffer_slice(out), slice_str(want)), "%.*s", (int)buffer_len(out),
                  buffer_head(out));
    buffer_check(out);
    buffer_done(out);
}

START_TEST(test_scalars)
{
    struct buffer out = {0};

    write_status(&out, "OK");
    check_text(&out, "+OK\r\n");
    write_status(&out, "a\r\nb");
    check_text(&out, "+a  b\r\n");
    write_bulk(&out, SLICE("hello"));
    check_text(&out, "$5\r\nhello\r\n");
    write_bulk(&out, slice_of(NULL, 0));
    check_text(&out, "$0\r\n\r\n");
    write_null(&out, 2);
    check_text(&out, "$-1\r\n");
    write_null(&out, 3);
    check_text(&out, "_\r\n");
    write_text(&out, 2, SLICE("a\nb"));
    check_text(&out, "$3\r\na\nb\r\n");
    write_text(&out, 3, SLICE("a\nb"));
    check_text(&out, "=7\r\ntxt:a\nb\r\n");
}
END_TEST

START_TEST(test_errors)
{
    struct buffer out = {0};
    char name[301] = "";

    write_error(&out, "ERR plain");
    check_text(&out, "-ERR plain\r\n");
    write_error(&out, "ERR unknown command '%s' %d%%", "a\r\n+OK\r\nb", 5);
    check_text(&out, "-ERR unknown command 'a  +OK  b' 5%\r\n");
    memset(name, 'n', 300);
    write_error(&out, "ERR %s", name);
    ck_assert_uint_eq(buffer_len(&out), 1 + 4 + 300 + 2);
    buffer_done(&out);
}
END_TEST

START_TEST(test_integers)
{
    static const int64_t values[] = {0,  1,   9,    10,        99,        100,       -1,
                                     -9, -10, -100, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};

    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        struct buffer out = {0};
        struct slice p;
        struct reply reply;
        char want[32];

        (void)snprintf(want, sizeof(want), ":%" PRId64 "\r\n", values[i]);
        write_int(&out, values[i]);
        p = buffer_slice(&out);
        ck_assert(reply_read(&p, &reply));
        ck_assert(reply.number == values[i]);
        check_text(&out, want);
    }
}
END_TEST

START_TEST(test_aggregates)
{
    struct buffer out = {0};

    write_array(&out, 0);
    check_text(&out, "*0\r\n");
    write_array(&out, 18446744073709551615u);
    check_text(&out, "*18446744073709551615\r\n");
    write_map(&out, 2, 3);
    check_text(&out, "*6\r\n");
    write_map(&out, 3, 3);
    check_text(&out, "%3\r\n");
    write_push(&out, 2, 3);
    check_text(&out, "*3\r\n");
    write_push(&out, 3, 3);
    check_text(&out, ">3\r\n");
}
END_TEST

START_TEST(test_requests)
{
    struct slice args[] = {SLICE("SET"), SLICE("k\r\n"), SLICE("")};
    struct buffer out = {0};

    write_request(&out, args, 3);
    check_text(&out, "*3\r\n$3\r\nSET\r\n$3\r\nk\r\n\r\n$0\r\n\r\n");
    write_command(&out, "SELECT", "3", NULL);
    check_text(&out, "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n");
    write_command(&out, "PING", NULL);
    check_text(&out, "*1\r\n$4\r\nPING\r\n");
}
END_TEST

/* Appends behind what is there, however the room falls. */
START_TEST(test_appends)
{
    struct buffer out = {0};
    struct slice p;

    for (int i = 0; i < 500; i++) {
        write_bulk(&out, SLICE("0123456789"));
        write_error(&out, "ERR %d", i);
        write_status(&out, "OK");
        write_int(&out, i);
        write_text(&out, 3, SLICE("text"));
        write_map(&out, 3, 0);
    }
    p = buffer_slice(&out);
    for (int i = 0; i < 3000; i++)
        ck_assert(reply_skip(&p));
    ck_assert_uint_eq(p.n, 0);
    buffer_done(&out);
}
END_TEST

START_TEST(test_round_trip)
{
    static const struct request_limits limits = {.max_bulk = 1 << 20, .max_request = 1 << 20};
    uint64_t seed = 5;

    for (int i = 0; i < 500; i++) {
        struct slice args[8];
        char bytes[4096];
        struct buffer out = {0};
        struct outcome want = {0}, o;
        uint32_t n = 1 + random_below(&seed, ARRAY_LEN(args));

        for (size_t j = 0; j < sizeof(bytes); j++)
            bytes[j] = (char)random_below(&seed, 256);
        for (uint32_t j = 0; j < n; j++) {
            args[j] = slice_of(bytes + random_below(&seed, 2000), random_below(&seed, 1200));
            outcome_word(&want, args[j]);
        }
        write_request(&out, args, n);
        want.used = buffer_len(&out);
        o = outcome_scan(buffer_head(&out), buffer_len(&out), 0, 0, &limits);
        outcome_same(&o, &want, "round trip");
        outcome_done(&o);
        outcome_done(&want);
        buffer_done(&out);
    }
}
END_TEST

Suite *write_suite(void)
{
    Suite *suite = suite_create("write");
    TCase *tc = tcase_create("write");

    tcase_add_test(tc, test_scalars);
    tcase_add_test(tc, test_errors);
    tcase_add_test(tc, test_integers);
    tcase_add_test(tc, test_aggregates);
    tcase_add_test(tc, test_requests);
    tcase_add_test(tc, test_appends);
    tcase_add_test(tc, test_round_trip);
    suite_add_tcase(suite, tc);
    return suite;
}
