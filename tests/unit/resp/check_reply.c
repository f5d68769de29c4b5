/* check_reply.c - replies: where they end, what is none. Every row runs whole, split at every byte
 * and byte by byte, with and without something behind it. */
#include "suites.h"

#include <stdlib.h>

#include "base/limits.h"
#include "resp/reply.h"
#include "resp/write.h"

struct row {
    const char *in;
    size_t n;
    enum scan scan;
    size_t used; /* of SCAN_OK; 0 = all of it */
};

#define IN(text) .in = text, .n = sizeof(text) - 1

static const struct row rows[] = {
    /* RESP2. */
    {IN("+OK\r\n")},
    {IN("+\r\n")},
    {IN("+PONG and more\r\n")},
    {IN("-ERR what\r\n")},
    {IN("-MOVED 3999 127.0.0.1:6381\r\n")},
    {IN(":0\r\n")},
    {IN(":1234567\r\n")},
    {IN(":-1\r\n")},
    {IN(":+7\r\n")},
    {IN(":9223372036854775807\r\n")},
    {IN(":-9223372036854775808\r\n")},
    {IN("$0\r\n\r\n")},
    {IN("$1\r\nx\r\n")},
    {IN("$12\r\nhello\r\nworld\r\n")},
    {IN("$-1\r\n")},
    {IN("*0\r\n")},
    {IN("*-1\r\n")},
    {IN("*2\r\n$3\r\nfoo\r\n$-1\r\n")},
    {IN("*3\r\n:1\r\n+OK\r\n-ERR no\r\n")},
    {IN("*2\r\n$2\r\nro\r\n+OK\r\n")},
    {IN("*2\r\n*2\r\n*0\r\n:1\r\n*1\r\n*-1\r\n")},
    {IN("*12\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n:8\r\n:9\r\n:10\r\n:11\r\n$"
        "5\r\n12345\r\n")},
    {IN("*10\r\n*10\r\n:1\r\n"), SCAN_MORE},
    /* RESP3. */
    {IN("_\r\n")},
    {IN("#t\r\n")},
    {IN("#f\r\n")},
    {IN(",3.14\r\n")},
    {IN(",10\r\n")},
    {IN(",-1.5e-300\r\n")},
    {IN(",1.5E+300\r\n")},
    {IN(",inf\r\n")},
    {IN(",-inf\r\n")},
    {IN(",nan\r\n")},
    {IN(",-nan\r\n")},
    {IN(",0.01234567890123456789012345678901234567890123456789012345678\r\n")},
    {IN("(3492890328409238509324850943850943825024385\r\n")},
    {IN("(-1234567890123456789012345678901234567890123456789012345678901234567890\r\n")},
    {IN("!21\r\nSYNTAX invalid syntax\r\n")},
    {IN("!0\r\n\r\n")},
    {IN("=15\r\ntxt:Some string\r\n")},
    {IN("=4\r\nmkd:\r\n")},
    {IN("%0\r\n")},
    {IN("%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n%1\r\n+x\r\n_\r\n")},
    {IN("~3\r\n:1\r\n:2\r\n#t\r\n")},
    {IN(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n")},
    {IN(">0\r\n")},
    /* Attributes belong to what is behind them, wherever that is. */
    {IN("|1\r\n+ttl\r\n:3600\r\n$1\r\nv\r\n")},
    {IN("|0\r\n:1\r\n")},
    {IN("|1\r\n+a\r\n|1\r\n+b\r\n:1\r\n*1\r\n:2\r\n:3\r\n")},
    {IN("*2\r\n|1\r\n+ttl\r\n:3600\r\n:1\r\n:2\r\n")},
    {IN("|1\r\n+ttl\r\n:3600\r\n"), SCAN_MORE},
    {IN("|1\r\n+ttl\r\n:3600\r\n*2\r\n:1\r\n"), SCAN_MORE},
    /* A push within an aggregate (redis#8935) is no element of it ... */
    {IN("*2\r\n:1\r\n>2\r\n+invalidate\r\n*1\r\n+k\r\n:2\r\n")},
    {IN("*1\r\n>0\r\n:1\r\n")},
    {IN("*1\r\n>1\r\n+message\r\n"), SCAN_MORE},
    {IN("|1\r\n+a\r\n:1\r\n>1\r\n+message\r\n+OK\r\n")},
    /* ... and one before or behind a reply is a frame of its own. */
    {IN(">1\r\n+message\r\n+OK\r\n"), .used = 14},
    {IN("+OK\r\n>1\r\n+message\r\n"), .used = 5},
    {IN("*1\r\n:1\r\n>1\r\n+message\r\n"), .used = 8},
    /* Only the first of several. */
    {IN("+OK\r\n+OK\r\n"), .used = 5},
    {IN(":1\r\nrubbish"), .used = 4},
    {IN("$3\r\nfoo\r\n$3\r\nbar\r\n"), .used = 9},
    {IN("*1\r\n$3\r\nfoo\r\n$3\r\nbar\r\n"), .used = 13},
    /* Not whole. */
    {IN(""), SCAN_MORE},
    {IN("+"), SCAN_MORE},
    {IN("+OK"), SCAN_MORE},
    {IN("+OK\r"), SCAN_MORE},
    {IN("$"), SCAN_MORE},
    {IN("$3"), SCAN_MORE},
    {IN("$3\r"), SCAN_MORE},
    {IN("$3\r\nfoo"), SCAN_MORE},
    {IN("$3\r\nfoo\r"), SCAN_MORE},
    {IN("$4294967296\r\nfoo"), SCAN_MORE},
    {IN("*2\r\n$3\r\nfoo\r\n"), SCAN_MORE},
    {IN("*1073741824\r\n:1\r\n"), SCAN_MORE},
    {IN("*2147483647\r\n"), SCAN_MORE},
    {IN("=15\r\ntxt"), SCAN_MORE},
    {IN("(123"), SCAN_MORE},
    {IN(":12"), SCAN_MORE},
    /* Lies and rubbish. */
    {IN("\r\n"), SCAN_BAD},
    {IN("\0"), SCAN_BAD},
    {IN("OK\r\n"), SCAN_BAD},
    {IN("HTTP/1.1 400 Bad Request\r\n"), SCAN_BAD},
    {IN("*1\r\nx\r\n"), SCAN_BAD},
    {IN("$-2\r\n"), SCAN_BAD},
    {IN("$+3\r\nfoo\r\n"), SCAN_BAD},
    {IN("$03\r\nfoo\r\n"), SCAN_BAD},
    {IN("$ 3\r\nfoo\r\n"), SCAN_BAD},
    {IN("$3 \r\nfoo\r\n"), SCAN_BAD},
    {IN("$\r\n"), SCAN_BAD},
    {IN("$3\nfoo\r\n"), SCAN_BAD},
    {IN("$12\n0123456789ab\r\n"), SCAN_BAD},
    {IN("$3\r\nfoobar"), SCAN_BAD},
    {IN("$3\r\nfoo\n\n"), SCAN_BAD},
    {IN("$3\r\nfoo\rx"), SCAN_BAD},
    {IN("$0\r\nxx"), SCAN_BAD},
    {IN("$100\rx"), SCAN_MORE},
    {IN("$100\rx\n"), SCAN_BAD},
    {IN("$4294967297\r\n"), SCAN_BAD},
    {IN("$99999999999999999999\r\n"), SCAN_BAD},
    {IN("*-2\r\n"), SCAN_BAD},
    {IN("*2147483648\r\n"), SCAN_BAD},
    {IN("*4294967296\r\n"), SCAN_BAD},
    {IN("*18446744073709551617\r\n"), SCAN_BAD},
    {IN("*01\r\n"), SCAN_BAD},
    {IN("*1\n"), SCAN_BAD},
    {IN("%-1\r\n"), SCAN_BAD},
    {IN("%2147483648\r\n"), SCAN_BAD},
    {IN("~-1\r\n"), SCAN_BAD},
    {IN(">-1\r\n"), SCAN_BAD},
    {IN("|-1\r\n"), SCAN_BAD},
    {IN("!-1\r\n"), SCAN_BAD},
    {IN("=-1\r\n"), SCAN_BAD},
    {IN("=3\r\ntxt\r\n"), SCAN_BAD},
    {IN("=5\r\ntxtxx\r\n"), SCAN_BAD},
    {IN(":12x\r\n"), SCAN_BAD},
    {IN(":\r\n"), SCAN_BAD},
    {IN(":+\r\n"), SCAN_BAD},
    {IN(":+-1\r\n"), SCAN_BAD},
    {IN(":-0\r\n"), SCAN_BAD},
    {IN(":01\r\n"), SCAN_BAD},
    {IN(":9223372036854775808\r\n"), SCAN_BAD},
    {IN(":12\n:12\r\n"), SCAN_BAD},
    {IN("_x\r\n"), SCAN_BAD},
    {IN("#\r\n"), SCAN_BAD},
    {IN("#x\r\n"), SCAN_BAD},
    {IN("#tt\r\n"), SCAN_BAD},
    {IN(",\r\n"), SCAN_BAD},
    {IN(",1 2\r\n"), SCAN_BAD},
    {IN(",1\0\r\n"), SCAN_BAD},
    {IN(",1,5\r\n"), SCAN_BAD},
    {IN(",0.012345678901234567890123456789012345678901234567890123456789\r\n"), SCAN_BAD},
    {IN("+a\nb\r\n"), SCAN_BAD},
    {IN("+a\rb\r\n"), SCAN_BAD},
    {IN("-a\r\r\n"), SCAN_BAD},
    {IN("-\n\r\n"), SCAN_BAD},
    {IN("\n"), SCAN_BAD},
    /* Streamed types are announced in the specification, and sent by nobody. */
    {IN("$?\r\n;4\r\nHell\r\n;0\r\n"), SCAN_BAD},
    {IN("*?\r\n:1\r\n.\r\n"), SCAN_BAD},
    {IN("*1\r\n.\r\n"), SCAN_BAD},
    {IN("*1\r\n;0\r\n"), SCAN_BAD},
};

/* Shows the bytes as they come: the first `first` of them (0 = none), then `step` more each time
 * (0 = all). What a call did not use is shown again, in exactly sized memory. */
static enum scan feed(const char *p, size_t n, size_t first, size_t step, size_t *ret_used)
{
    struct reply_scan s = {0};
    size_t at = 0, end = first > 0 ? first : step > 0 && step < n ? step : n, used = 0;
    enum scan scan;

    for (;; end = step > 0 && end + step < n ? end + step : n) {
        char *copy = exact_copy(p + at, end - at);

        scan = reply_scan(&s, copy, end - at, &used);
        free(copy);
        EXPECT(used <= end - at, "used %zu of %zu", used, end - at);
        at += used;
        EXPECT(scan != SCAN_MORE || end - at < REPLY_HEADER_BYTES, "%zu bytes left", end - at);
        if (scan != SCAN_MORE || end == n)
            break;
    }
    if (scan == SCAN_OK)
        EXPECT(s.left == 0 && s.bulk_left == 0 && s.line == 0, "not ready for the next");
    *ret_used = at;
    return scan;
}

static void check_row(const struct row *row, size_t first, size_t step)
{
    size_t used, want = row->used ? row->used : row->n;
    enum scan scan = feed(row->in, row->n, first, step, &used);

    EXPECT(scan == row->scan, "\"%s\" cut at %zu: %d", row->in, first, scan);
    if (scan == SCAN_OK)
        EXPECT(used == want, "\"%s\" cut at %zu: %zu bytes", row->in, first, used);
}

START_TEST(test_rows)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        check_row(&rows[i], 0, 0);
        for (size_t step = 1; step <= rows[i].n; step++)
            check_row(&rows[i], 0, step);
        for (size_t at = 1; at < rows[i].n; at++)
            check_row(&rows[i], at, 0);
    }
}
END_TEST

/* What passes is stepped over and read in the same bytes; what does not is not. */
static void run_row_skipped(const struct row *row)
{
    char *copy = exact_copy(row->in, row->n);
    struct slice rest = slice_of(copy, row->n);
    struct reply reply;

    if (row->scan == SCAN_OK) {
        ck_assert_msg(reply_skip(&rest), "\"%s\"", row->in);
        ck_assert_uint_eq(row->n - rest.n, row->used ? row->used : row->n);
        ck_assert_ptr_eq(rest.p, copy + row->n - rest.n);
        rest = slice_of(copy, row->n);
        ck_assert(reply_read(&rest, &reply));
        ck_assert_uint_lt(rest.n, row->n);
    } else {
        ck_assert_msg(!reply_skip(&rest), "\"%s\"", row->in);
        ck_assert_uint_eq(rest.n, row->n);
        while (reply_read(&rest, &reply))
            continue;
    }
    free(copy);
}

START_TEST(test_rows_skipped)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        run_row_skipped(&rows[i]);
}
END_TEST

/* No stack: nesting costs nothing. */
START_TEST(test_nested)
{
    struct buffer in = {0};
    size_t used;

    for (int i = 0; i < 100000; i++)
        buffer_add(&in, "*1\r\n", 4);
    ck_assert_int_eq(feed(buffer_head(&in), buffer_len(&in), 0, 0, &used), SCAN_MORE);
    buffer_add(&in, ":1\r\n:2\r\n", 8);
    ck_assert_int_eq(feed(buffer_head(&in), buffer_len(&in), 0, 65536, &used), SCAN_OK);
    ck_assert_uint_eq(used, buffer_len(&in) - 4);
    buffer_done(&in);
}
END_TEST

/* The count of what is to come cannot be made to overflow. */
START_TEST(test_too_many_elements)
{
    struct reply_scan s = {.left = REPLY_ELEMENTS_MAX - 10};
    struct reply_scan full = {.left = REPLY_ELEMENTS_MAX};
    size_t used;

    ck_assert_int_eq(reply_scan(&s, "*11\r\n\r\n", 7, &used), SCAN_BAD);
    s = (struct reply_scan){.left = REPLY_ELEMENTS_MAX - 10};
    ck_assert_int_eq(reply_scan(&s, "*12\r\n:1", 7, &used), SCAN_BAD);
    s = (struct reply_scan){.left = REPLY_ELEMENTS_MAX - 10};
    ck_assert_int_eq(reply_scan(&s, "*11\r\n", 5, &used), SCAN_MORE);
    ck_assert_uint_eq(s.left, REPLY_ELEMENTS_MAX);
    s = full;
    ck_assert_int_eq(reply_scan(&s, "*1\r\n", 4, &used), SCAN_MORE);
    ck_assert_int_eq(reply_scan(&s, "*2\r\n", 4, &used), SCAN_BAD);
    s = full;
    ck_assert_int_eq(reply_scan(&s, "*2147483647\r\n", 13, &used), SCAN_BAD);
    s = full;
    ck_assert_int_eq(reply_scan(&s, "|1\r\n", 4, &used), SCAN_BAD);
    s = full;
    ck_assert_int_eq(reply_scan(&s, "%100\r\n", 6, &used), SCAN_BAD);
}
END_TEST

/* Bulks and lines that come in pieces are used up at once: nothing is kept. */
START_TEST(test_pieces_are_used)
{
    struct reply_scan s = {0};
    size_t used;

    ck_assert_int_eq(reply_scan(&s, "$1000000\r\nab", 12, &used), SCAN_MORE);
    ck_assert_uint_eq(used, 12);
    ck_assert_uint_eq(s.bulk_left, 1000000);
    ck_assert_int_eq(reply_scan(&s, "cd", 2, &used), SCAN_MORE);
    ck_assert_uint_eq(used, 2);
    ck_assert_int_eq(reply_scan(&s, "", 0, &used), SCAN_MORE);
    ck_assert_uint_eq(used, 0);
    s = (struct reply_scan){0};
    ck_assert_int_eq(reply_scan(&s, "-abc", 4, &used), SCAN_MORE);
    ck_assert_uint_eq(used, 4);
    ck_assert_int_eq(reply_scan(&s, "de\r", 3, &used), SCAN_MORE);
    ck_assert_uint_eq(used, 2);
    ck_assert_uint_eq(s.line, 6);
    ck_assert_int_eq(reply_scan(&s, "\r", 1, &used), SCAN_MORE);
    ck_assert_uint_eq(used, 0);
    ck_assert_int_eq(reply_scan(&s, "\r\n+", 3, &used), SCAN_OK);
    ck_assert_uint_eq(used, 2);
}
END_TEST

START_TEST(test_endless_line)
{
    struct reply_scan s = {0};
    char *piece = must_alloc(1 << 20);
    size_t used;
    enum scan scan;
    int pieces = 0;

    memset(piece, 'a', 1 << 20);
    scan = reply_scan(&s, "+", 1, &used);
    for (; scan == SCAN_MORE; pieces++)
        scan = reply_scan(&s, piece, 1 << 20, &used);
    ck_assert_int_eq(scan, SCAN_BAD);
    ck_assert_int_eq(pieces, 64);
    s = (struct reply_scan){.left = 1, .line = REPLY_LINE_BYTES - 1};
    ck_assert_int_eq(reply_scan(&s, "a\r\n", 3, &used), SCAN_OK);
    s = (struct reply_scan){.left = 1, .line = REPLY_LINE_BYTES - 1};
    ck_assert_int_eq(reply_scan(&s, "aa\r\n", 4, &used), SCAN_BAD);
    free(piece);
}
END_TEST

/* A header that does not end is refused after 64 bytes, not kept. */
START_TEST(test_endless_header)
{
    char in[REPLY_HEADER_BYTES];
    size_t used;

    memset(in, '1', sizeof(in));
    for (const char *type = "$*:,%~>|!=#_"; *type; type++) {
        in[0] = *type;
        ck_assert_int_eq(feed(in, sizeof(in) - 1, 0, 0, &used), SCAN_MORE);
        ck_assert_int_eq(feed(in, sizeof(in), 0, 0, &used), SCAN_BAD);
        ck_assert_int_eq(feed(in, sizeof(in), 0, 1, &used), SCAN_BAD);
    }
}
END_TEST

static void make_scalar(uint64_t *seed, struct buffer *out)
{
    static const char *const scalars[] = {"+OK\r\n", "-ERR\r\n",   ":-5\r\n",  "_\r\n",
                                          "#t\r\n",  ",1.5\r\n",   "(123\r\n", "$-1\r\n",
                                          "*-1\r\n", "+x y z\r\n", ":123\r\n", "=5\r\ntxt:x\r\n"};
    static const char tricky[] = "\r\n$*+x";
    uint32_t pick = random_below(seed, ARRAY_LEN(scalars) * 2), n;

    if (pick < ARRAY_LEN(scalars)) {
        buffer_printf(out, "%s", scalars[pick]);
        return;
    }
    n = random_below(seed, random_below(seed, 10) ? 15 : 1200);
    buffer_printf(out, "%c%u\r\n", pick % 8 == 0 ? '!' : '$', n);
    for (; n > 0; n--)
        buffer_add(out, &tricky[random_below(seed, 6)], 1);
    buffer_add(out, "\r\n", 2);
}

/* Makes a reply; `due` is what this generator knows to be missing, its own stack of one number. */
static void make_reply(uint64_t *seed, struct buffer *out)
{
    uint64_t due = 1;
    int headers = (int)random_below(seed, 12);

    while (due > 0) {
        uint32_t n = random_below(seed, 4);
        char type = "*~>%|"[random_below(seed, 5)];

        if (headers-- <= 0 || random_below(seed, 3) == 0) {
            make_scalar(seed, out);
            due--;
            continue;
        }
        if (type != '|' && (type != '>' || buffer_len(out) == 0))
            due--;
        due += type == '%' || type == '|' ? 2 * n : n;
        buffer_printf(out, "%c%u\r\n", type, n);
    }
}

START_TEST(test_random)
{
    uint64_t seed = 7;

    for (int i = 0; i < 8000; i++) {
        struct buffer in = {0};
        struct slice rest;
        size_t n, used, cut;

        make_reply(&seed, &in);
        n = buffer_len(&in);
        make_scalar(&seed, &in);
        ck_assert_int_eq(feed(buffer_head(&in), buffer_len(&in), 0, 0, &used), SCAN_OK);
        ck_assert_uint_eq(used, n);
        cut = 1 + random_below(&seed, (uint32_t)n);
        ck_assert_int_eq(feed(buffer_head(&in), buffer_len(&in), cut, cut, &used), SCAN_OK);
        ck_assert_uint_eq(used, n);
        ck_assert_int_eq(feed(buffer_head(&in), cut - 1, 0, 0, &used), SCAN_MORE);
        rest = buffer_slice(&in);
        ck_assert(reply_skip(&rest));
        ck_assert_uint_eq(buffer_len(&in) - rest.n, n);
        buffer_done(&in);
    }
}
END_TEST

Suite *reply_suite(void)
{
    Suite *suite = suite_create("reply");
    TCase *tc = tcase_create("reply");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_rows);
    tcase_add_test(tc, test_rows_skipped);
    tcase_add_test(tc, test_random);
    tcase_add_test(tc, test_nested);
    tcase_add_test(tc, test_too_many_elements);
    tcase_add_test(tc, test_pieces_are_used);
    tcase_add_test(tc, test_endless_line);
    tcase_add_test(tc, test_endless_header);
    suite_add_tcase(suite, tc);
    return suite;
}
