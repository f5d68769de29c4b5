/* check_request.c - requests: what is one, where it ends, what it is refused for. Every row runs
 * whole, split at every byte and byte by byte, through the scanner and through the stream. */
#include "suites.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "outcome.h"

enum who { ANY, UNAUTHENTICATED, TIGHT, LOW };

static const struct request_limits limits_of[] = {
    [ANY] = {.max_bulk = 536870912, .max_request = UINT64_C(1) << 30},
    [UNAUTHENTICATED] = {.max_bulk = 536870912,
                         .max_request = UINT64_C(1) << 30,
                         .unauthenticated = true},
    [TIGHT] = {.max_bulk = 20, .max_request = 60},
    [LOW] = {.max_bulk = 1000, .max_request = 1000},
};

struct row {
    const char *in;
    size_t n;
    enum scan scan;
    enum request_error error;
    const char *words; /* as in struct outcome; of SCAN_OK */
    size_t used;       /* of SCAN_OK; 0 = all of it */
    enum who who;
};

#define IN(text) .in = text, .n = sizeof(text) - 1

static const struct row rows[] = {
    {IN("*1\r\n$4\r\nPING\r\n"), .words = "4:PING,"},
    {IN("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"), .words = "3:GET,1:k,"},
    {IN("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n"), .words = "3:GET,1:k,", .used = 20},
    {IN("*3\r\n$3\r\nSET\r\n$0\r\n\r\n$2\r\n\r\n\r\n"), .words = "3:SET,0:,2:\r\n,"},
    {IN("*11\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$"
        "1\r\na\r\n"
        "$1\r\na\r\n$1\r\na\r\n$10\r\n0123456789\r\n"),
     .words = "1:a,1:a,1:a,1:a,1:a,1:a,1:a,1:a,1:a,1:a,10:0123456789,"},
    /* Ignored by Redis. */
    {IN("*0\r\n"), .words = ""},
    {IN("*-1\r\n"), .words = ""},
    {IN("*-10\r\n*1\r\n"), .words = "", .used = 6},
    {IN("\r\n"), .words = ""},
    {IN("\n"), .words = ""},
    {IN("  \t \r\nPING\r\n"), .words = "", .used = 6},
    /* Inline; quoting is in check_inline.c. */
    {IN("PING\r\n"), .words = "4:PING,"},
    {IN("PING\n"), .words = "4:PING,"},
    {IN("GET k\r\nGET l\r\n"), .words = "3:GET,1:k,", .used = 7},
    {IN(" SET  k\t\"a b\" \r\n"), .words = "3:SET,1:k,3:a b,"},
    {IN("a\rb\n"), .words = "1:a,1:b,"},
    {IN("$3\r\nGET\r\n"), .words = "2:$3,", .used = 4},
    /* Not whole. */
    {IN(""), .scan = SCAN_MORE},
    {IN("*"), .scan = SCAN_MORE},
    {IN("*2\r"), .scan = SCAN_MORE},
    {IN("*2\r\n"), .scan = SCAN_MORE},
    {IN("*2\r\n$3"), .scan = SCAN_MORE},
    {IN("*2\r\n$3\r\nGE"), .scan = SCAN_MORE},
    {IN("*2\r\n$3\r\nGET\r"), .scan = SCAN_MORE},
    {IN("*2\r\n$3\r\nGET\r\n$1\r\nk\r"), .scan = SCAN_MORE},
    {IN("*1\r\n$400000000\r\nabc"), .scan = SCAN_MORE},
    {IN("*1000000\r\n"), .scan = SCAN_MORE},
    {IN("PING"), .scan = SCAN_MORE},
    {IN("PING\r"), .scan = SCAN_MORE},
    /* A line with a NUL in it has no end, as Redis looks for it with strchr(). */
    {IN("PI\0NG\r\nPING\r\n"), .scan = SCAN_MORE},
    {IN("*\0\r\nPING\r\n"), .scan = SCAN_MORE},
    {IN("*1\r\n$\0\r\n"), .scan = SCAN_MORE},
    /* Counts. */
    {IN("*3000000000\r\n"), SCAN_BAD, REQUEST_BAD_ARGC},
    {IN("*2147483648\r\n"), SCAN_BAD, REQUEST_BAD_ARGC},
    {IN("*99999999999999999999\r\n"), SCAN_BAD, REQUEST_BAD_ARGC},
    {IN("*9999999999999999999999999\r\n"), SCAN_BAD, REQUEST_BAD_ARGC},
    {IN("*18446744073709551617\r\n"), SCAN_BAD, REQUEST_BAD_ARGC},
    {IN("*4294967297\r\n"), SCAN_BAD, REQUEST_BAD_ARGC},
    {IN("*abc\r\n"), SCAN_BAD, REQUEST_BAD_ARGC},
    {IN("*+1\r\n$4\r\nPING\r\n"), SCAN_BAD, REQUEST_BAD_ARGC},
    {IN("*01\r\n$4\r\nPING\r\n"), SCAN_BAD, REQUEST_BAD_ARGC},
    {IN("*00\r\n"), SCAN_BAD, REQUEST_BAD_ARGC},
    {IN("*-0\r\n"), SCAN_BAD, REQUEST_BAD_ARGC},
    {IN("* 1\r\n"), SCAN_BAD, REQUEST_BAD_ARGC},
    {IN("*1 \r\n$4\r\nPING\r\n"), SCAN_BAD, REQUEST_BAD_ARGC},
    {IN("*\r\n"), SCAN_BAD, REQUEST_BAD_ARGC},
    {IN("*-\r\n"), SCAN_BAD, REQUEST_BAD_ARGC},
    {IN("*1\n$4\nPING\n\r\n"), SCAN_BAD, REQUEST_BAD_ARGC},
    {IN("*1\r\r\n$4\r\nPING\r\n"), SCAN_BAD, REQUEST_BAD_ARGC},
    /* Lengths. */
    {IN("*1\r\n$-1\r\n"), SCAN_BAD, REQUEST_BAD_BULK},
    {IN("*1\r\n$-10\r\n"), SCAN_BAD, REQUEST_BAD_BULK},
    {IN("*1\r\n$2000000000\r\n"), SCAN_BAD, REQUEST_BAD_BULK},
    {IN("*1\r\n$536870913\r\n"), SCAN_BAD, REQUEST_BAD_BULK},
    {IN("*1\r\n$536870912\r\n"), .scan = SCAN_MORE},
    {IN("*1\r\n$04\r\nPING\r\n"), SCAN_BAD, REQUEST_BAD_BULK},
    {IN("*1\r\n$\r\nPING\r\n"), SCAN_BAD, REQUEST_BAD_BULK},
    {IN("*1\r\n$+4\r\nPING\r\n"), SCAN_BAD, REQUEST_BAD_BULK},
    {IN("*1\r\n$4x\r\nPING\r\n"), SCAN_BAD, REQUEST_BAD_BULK},
    {IN("*1\r\n$18446744073709551615\r\n"), SCAN_BAD, REQUEST_BAD_BULK},
    {IN("*1\r\n$9223372036854775807\r\n"), SCAN_BAD, REQUEST_BAD_BULK},
    {IN("*1\r\n$4\nPING\r\n"), SCAN_BAD, REQUEST_BAD_BULK},
    {IN("*1\r\n$4\r\rPING\r\n"), SCAN_BAD, REQUEST_BAD_BULK},
    {IN("*2\r\n$3\r\nGET\r\n$12x\r\nabcdefghijkl\r\n"), SCAN_BAD, REQUEST_BAD_BULK},
    /* No bulk. */
    {IN("*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n"), SCAN_BAD, REQUEST_NO_DOLLAR},
    {IN("*1\r\n:5\r\n"), SCAN_BAD, REQUEST_NO_DOLLAR},
    {IN("*1\r\n*1\r\n$4\r\nPING\r\n"), SCAN_BAD, REQUEST_NO_DOLLAR},
    {IN("*1\r\n\r\n"), SCAN_BAD, REQUEST_NO_DOLLAR},
    {IN("*1\r\nP"), .scan = SCAN_MORE},
    /* Behind a bulk. */
    {IN("*1\r\n$4\r\nPINGxx"), SCAN_BAD, REQUEST_NO_CRLF},
    {IN("*1\r\n$4\r\nPING\n\n"), SCAN_BAD, REQUEST_NO_CRLF},
    {IN("*1\r\n$4\r\nPING\r\r"), SCAN_BAD, REQUEST_NO_CRLF},
    {IN("*1\r\n$4\r\nPINGx"), SCAN_BAD, REQUEST_NO_CRLF},
    {IN("*1\r\n$3\r\nPING\r\n"), SCAN_BAD, REQUEST_NO_CRLF},
    /* Quotes. */
    {IN("GET \"a\r\n"), SCAN_BAD, REQUEST_UNBALANCED},
    /* Who has not logged in. */
    {IN("*11\r\n"), SCAN_BAD, REQUEST_UNAUTH_ARGC, .who = UNAUTHENTICATED},
    {IN("*11\r\n$1\r\na\r\n"), SCAN_BAD, REQUEST_UNAUTH_ARGC, .who = UNAUTHENTICATED},
    {IN("*10\r\n$1\r\na\r\n"), .scan = SCAN_MORE, .who = UNAUTHENTICATED},
    {IN("*3000000000\r\n"), SCAN_BAD, REQUEST_BAD_ARGC, .who = UNAUTHENTICATED},
    {IN("*1\r\n$16385\r\nabc"), SCAN_BAD, REQUEST_UNAUTH_BULK, .who = UNAUTHENTICATED},
    {IN("*1\r\n$16384\r\nabc"), .scan = SCAN_MORE, .who = UNAUTHENTICATED},
    {IN("*1\r\n$536870913\r\n"), SCAN_BAD, REQUEST_BAD_BULK, .who = UNAUTHENTICATED},
    {IN("*2\r\n$4\r\nAUTH\r\n$1\r\np\r\n"), .words = "4:AUTH,1:p,", .who = UNAUTHENTICATED},
    /* A bulk of 20 and a request of 60 bytes at most. */
    {IN("*1\r\n$21\r\n"), SCAN_BAD, REQUEST_BAD_BULK, .who = TIGHT},
    {IN("*1\r\n$20\r\n01234567890123456789\r\n"), .words = "20:01234567890123456789,",
     .who = TIGHT},
    {IN("*2\r\n$20\r\n01234567890123456789\r\n$19\r\n"), .scan = SCAN_MORE, .who = TIGHT},
    {IN("*2\r\n$20\r\n01234567890123456789\r\n$20\r\n01234567890123456789\r\n"),
     .words = "20:01234567890123456789,20:01234567890123456789,", .who = TIGHT, .used = 58},
    {IN("*3\r\n$20\r\n01234567890123456789\r\n$20\r\n01234567"), SCAN_BAD, REQUEST_TOO_LARGE,
     .who = TIGHT},
    {IN("*9\r\n"), .scan = SCAN_MORE, .who = TIGHT},
    {IN("*10\r\n"), SCAN_BAD, REQUEST_TOO_LARGE, .who = TIGHT},
    {IN("*99\r\n$1\r\na\r\n"), SCAN_BAD, REQUEST_TOO_LARGE, .who = TIGHT},
    {IN("*165\r\n"), .scan = SCAN_MORE, .who = LOW},
    {IN("*166\r\n"), SCAN_BAD, REQUEST_TOO_LARGE, .who = LOW},
    {IN("*999\r\n$1\r\na\r\n"), SCAN_BAD, REQUEST_TOO_LARGE, .who = LOW},
    {IN("01234567890123456789012345678901234567890123456789012345678\n"),
     .words = "59:01234567890123456789012345678901234567890123456789012345678,", .who = TIGHT},
    {IN("012345678901234567890123456789012345678901234567890123456789\n"), SCAN_BAD,
     REQUEST_TOO_LARGE, .who = TIGHT},
};

static void check_row(const struct row *row, const struct outcome *o, const char *how)
{
    struct outcome want = {.scan = row->scan, .error = row->error, .got = o->got};

    if (row->scan == SCAN_OK) {
        want.used = row->used ? row->used : row->n;
        buffer_add(&want.words, row->words, strlen(row->words));
    }
    outcome_same(o, &want, how);
    outcome_done(&want);
}

/* One test for all rows, not one each: under LeakSanitizer the end of a process takes long. */
static void run_row(size_t index)
{
    const struct row *row = &rows[index];
    const struct request_limits *limits = &limits_of[row->who];
    char how[64];

    for (size_t at = 0; at < row->n || at == 0; at++) {
        for (size_t step = 0; step < 2; step++) {
            struct outcome o = outcome_scan(row->in, row->n, at, step, limits);

            (void)snprintf(how, sizeof(how), "row %zu, %zu bytes, then by %zu", index, at, step);
            check_row(row, &o, how);
            outcome_done(&o);
        }
    }
}

START_TEST(test_rows)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        run_row(i);
}
END_TEST

/* The stream judges as the scanner does, wherever it takes over and however it is fed. */
static void run_row_streamed(size_t index)
{
    const struct row *row = &rows[index];
    const struct request_limits *limits = &limits_of[row->who];
    struct outcome whole = outcome_scan(row->in, row->n, 0, 0, limits), o;
    char how[64];

    buffer_done(&whole.words);
    for (size_t at = 0; at <= row->n; at++) {
        for (size_t step = 1; step <= row->n; step++) {
            (void)snprintf(how, sizeof(how), "row %zu from %zu by %zu", index, at, step);
            o = outcome_stream(row->in, row->n, at, step, limits);
            outcome_same(&o, &whole, how);
            outcome_done(&o);
        }
    }
}

START_TEST(test_rows_streamed)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].n > 0 && rows[i].in[0] == '*')
            run_row_streamed(i);
    }
}
END_TEST

struct need_row {
    const char *in;
    uint64_t need;
};

static const struct need_row need_rows[] = {
    {"", 1},
    {"*", 2},
    {"*2\r", 4},
    {"*2\r\n", 4 + 12},
    {"*1000000\r\n", 10 + 6000000},
    {"*2\r\n$3\r\nGE", 4 + 9 + 6},
    {"*2\r\n$3\r\nGET\r\n", 4 + 9 + 6},
    {"*2\r\n$3\r\nGET\r\n$100000000000000000000000000000000000", 51},
    {"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nx", 4 + 9 + 7 + 12 + 536870912 + 2},
    {"GET", 4},
};

START_TEST(test_need)
{
    for (size_t i = 0; i < ARRAY_LEN(need_rows); i++) {
        const struct need_row *row = &need_rows[i];
        struct outcome o = outcome_scan(row->in, strlen(row->in), 0, 0, &limits_of[ANY]);

        ck_assert_int_eq(o.scan, SCAN_MORE);
        ck_assert_msg(o.need == row->need, "\"%s\": %zu", row->in, (size_t)o.need);
        outcome_done(&o);
    }
}
END_TEST

/* `head`, then n times `c`, then `tail`. */
static char *padded(const char *head, char c, size_t n, const char *tail, size_t *ret_size)
{
    size_t head_size = strlen(head), tail_size = strlen(tail);
    char *p = must_alloc(head_size + n + tail_size);

    memcpy(p, head, head_size);
    memset(p + head_size, c, n);
    memcpy(p + head_size + n, tail, tail_size);
    *ret_size = head_size + n + tail_size;
    return p;
}

static void check_padded(const char *head, size_t n, const char *tail, struct outcome want)
{
    size_t size;
    char *p = padded(head, '1', n, tail, &size);
    const size_t steps[] = {0, 16384, 1000, LINE_BYTES, LINE_BYTES + 1};

    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct outcome o = outcome_scan(p, size, 0, steps[i], &limits_of[ANY]);

        buffer_done(&o.words);
        outcome_same(&o, &want, head);
    }
    free(p);
}

/* 64 KB are the most that a line may be, as far as Redis looks for its end. */
START_TEST(test_line_caps)
{
    struct outcome more = {.scan = SCAN_MORE}, big = {.scan = SCAN_BAD};

    big.error = REQUEST_BIG_INLINE;
    check_padded("", 70000, "", big);
    check_padded("", 70000, "\r\n", big);
    check_padded("", LINE_BYTES + 1, "", big);
    check_padded("", LINE_BYTES + 1, "\n", big);
    check_padded("", LINE_BYTES, "", more);
    check_padded("", LINE_BYTES, "\n", (struct outcome){.used = LINE_BYTES + 1});
    big.error = REQUEST_BIG_ARGC_LINE;
    check_padded("*", 70000, "", big);
    check_padded("*", LINE_BYTES, "", big);
    check_padded("*", LINE_BYTES, "\r\n", big);
    check_padded("*", LINE_BYTES - 1, "", more);
    big.error = REQUEST_BAD_ARGC;
    check_padded("*", LINE_BYTES - 1, "\r\n", big);
    big.error = REQUEST_BIG_BULK_LINE;
    check_padded("*1\r\n$", 70000, "", big);
    check_padded("*1\r\n$", LINE_BYTES, "", big);
    check_padded("*1\r\nx", LINE_BYTES, "\r\n", big);
    check_padded("*1\r\n$", LINE_BYTES - 1, "", more);
    big.error = REQUEST_BAD_BULK;
    check_padded("*1\r\n$", LINE_BYTES - 1, "\r\n", big);
}
END_TEST

/* A NUL hides the line's end, so that the cap is all that ends it. */
START_TEST(test_nul_runs_into_the_cap)
{
    char *p = must_calloc(1, LINE_BYTES + 1);
    struct outcome o;

    memset(p, 'a', LINE_BYTES + 1);
    p[10] = '\0';
    p[20] = '\n';
    o = outcome_scan(p, LINE_BYTES + 1, 0, 1000, &limits_of[ANY]);
    ck_assert_int_eq(o.error, REQUEST_BIG_INLINE);
    o = outcome_scan(p, LINE_BYTES, 0, 1000, &limits_of[ANY]);
    ck_assert_int_eq(o.scan, SCAN_MORE);
    p[0] = '*';
    p[20] = '\r';
    o = outcome_scan(p, LINE_BYTES + 1, 0, 1000, &limits_of[ANY]);
    ck_assert_int_eq(o.error, REQUEST_BIG_ARGC_LINE);
    free(p);
}
END_TEST

/* Every length from none to more than a read brings, on the short way and on the long one. */
START_TEST(test_lengths)
{
    struct buffer in = {0};
    char *body;
    size_t size;

    for (size_t n = 0; n < 200000; n = n < 1100 ? n + 1 : n * 3) {
        struct slice words[3] = {SLICE("SET"), SLICE("key")};
        struct outcome want = {0}, o;

        body = padded("", 'v', n, "", &size);
        words[2] = slice_of(body, n);
        buffer_printf(&in, "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$%zu\r\n", n);
        buffer_add(&in, body, n);
        buffer_add(&in, "\r\n", 2);
        for (size_t i = 0; i < ARRAY_LEN(words); i++)
            outcome_word(&want, words[i]);
        want.used = buffer_len(&in);
        o = outcome_scan(buffer_head(&in), buffer_len(&in), 0, 0, &limits_of[ANY]);
        outcome_same(&o, &want, "whole");
        outcome_done(&o);
        o = outcome_scan(buffer_head(&in), buffer_len(&in), 25, 0, &limits_of[ANY]);
        outcome_same(&o, &want, "in two");
        outcome_done(&o);
        outcome_done(&want);
        buffer_done(&in);
        free(body);
    }
}
END_TEST

/* More arguments than a scratch starts with, and more than a header is believed. */
START_TEST(test_many_arguments)
{
    struct buffer in = {0}, want = {0};
    struct outcome o;

    buffer_add(&in, "*20000\r\n", 8);
    for (int i = 0; i < 20000; i++) {
        buffer_printf(&in, "$1\r\n%d\r\n", i % 10);
        buffer_printf(&want, "1:%d,", i % 10);
    }
    o = outcome_scan(buffer_head(&in), buffer_len(&in), 0, 0, &limits_of[ANY]);
    ck_assert_int_eq(o.scan, SCAN_OK);
    ck_assert(slice_eq(buffer_slice(&o.words), buffer_slice(&want)));
    outcome_done(&o);
    o = outcome_scan(buffer_head(&in), buffer_len(&in), 0, 997, &limits_of[ANY]);
    ck_assert_int_eq(o.scan, SCAN_OK);
    ck_assert(slice_eq(buffer_slice(&o.words), buffer_slice(&want)));
    outcome_done(&o);
    buffer_done(&in);
    buffer_done(&want);
}
END_TEST

/* What was understood is not looked at again: it may even be spoilt. (Not so in life; but so it
 * shows that byte by byte costs no more than whole.) */
START_TEST(test_understood_once)
{
    struct request_scan s = {0};
    struct args args = {0};
    struct buffer text = {0};
    uint64_t need;
    char in[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100\r\nvv";
    enum scan scan = request_scan(&s, in, sizeof(in) - 1, &limits_of[ANY], &args, &text, &need);

    ck_assert_int_eq(scan, SCAN_MORE);
    ck_assert_uint_eq(s.pos, 20);
    ck_assert_uint_eq(s.args_left, 1);
    ck_assert_uint_eq(s.argc, 3);
    ck_assert_uint_eq(args.n, 2);
    memset(in + 1, 'x', 19);
    scan = request_scan(&s, in, sizeof(in) - 1, &limits_of[ANY], &args, &text, &need);
    ck_assert_int_eq(scan, SCAN_MORE);
    s = (struct request_scan){0};
    memset(in, 'y', sizeof(in));
    scan = request_scan(&s, in, 20, &limits_of[ANY], &args, &text, &need);
    ck_assert_int_eq(scan, SCAN_MORE);
    ck_assert_uint_eq(s.line_seen, 20);
    in[3] = '\n';
    scan = request_scan(&s, in, 21, &limits_of[ANY], &args, &text, &need);
    ck_assert_int_eq(scan, SCAN_MORE);
    ck_assert_uint_eq(s.line_seen, 21);
    args_done(&args);
    ck_assert_ptr_null(args.v);
}
END_TEST

/* Memory follows use, never what a header says (CVE-class of Envoy #12689). */
START_TEST(test_no_memory_by_header)
{
    struct request_scan s = {0};
    struct args args = {0};
    struct buffer text = {0};
    struct slice in = SLICE("*1000000\r\n$1\r\na\r\n$400000000\r\nabc");
    uint64_t need;
    enum scan scan = request_scan(&s, in.p, in.n, &limits_of[ANY], &args, &text, &need);

    ck_assert_int_eq(scan, SCAN_MORE);
    ck_assert_uint_le(args.cap, 16);
    ck_assert_uint_eq(text.cap, 0);
    args_done(&args);
}
END_TEST

static const struct {
    struct request_scan s;
    const char *text;
} texts[] = {
    {{.error = REQUEST_BAD_ARGC}, "Protocol error: invalid multibulk length"},
    {{.error = REQUEST_BAD_BULK}, "Protocol error: invalid bulk length"},
    {{.error = REQUEST_NO_DOLLAR, .got = 'f'}, "Protocol error: expected '$', got 'f'"},
    {{.error = REQUEST_NO_DOLLAR, .got = '\r'}, "Protocol error: expected '$', got ' '"},
    {{.error = REQUEST_NO_DOLLAR, .got = '\n'}, "Protocol error: expected '$', got ' '"},
    {{.error = REQUEST_NO_CRLF}, "Protocol error: expected CR LF behind a bulk"},
    {{.error = REQUEST_BIG_INLINE}, "Protocol error: too big inline request"},
    {{.error = REQUEST_BIG_ARGC_LINE}, "Protocol error: too big mbulk count string"},
    {{.error = REQUEST_BIG_BULK_LINE}, "Protocol error: too big bulk count string"},
    {{.error = REQUEST_UNBALANCED}, "Protocol error: unbalanced quotes in request"},
    {{.error = REQUEST_UNAUTH_ARGC}, "Protocol error: unauthenticated multibulk length"},
    {{.error = REQUEST_UNAUTH_BULK}, "Protocol error: unauthenticated bulk length"},
    {{.error = REQUEST_TOO_LARGE}, "Protocol error: request larger than max_request"},
};

START_TEST(test_error_text)
{
    char text[96];

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        request_error_text(&texts[i].s, text, sizeof(text));
        ck_assert_str_eq(text, texts[i].text);
    }
}
END_TEST

START_TEST(test_got)
{
    struct outcome o = outcome_scan("*1\r\nfooz\r\n", 10, 0, 0, &limits_of[ANY]);

    ck_assert_int_eq(o.got, 'f');
}
END_TEST

Suite *request_suite(void)
{
    Suite *suite = suite_create("request");
    TCase *tc = tcase_create("request");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_rows);
    tcase_add_test(tc, test_rows_streamed);
    tcase_add_test(tc, test_need);
    tcase_add_test(tc, test_error_text);
    tcase_add_test(tc, test_line_caps);
    tcase_add_test(tc, test_nul_runs_into_the_cap);
    tcase_add_test(tc, test_lengths);
    tcase_add_test(tc, test_many_arguments);
    tcase_add_test(tc, test_understood_once);
    tcase_add_test(tc, test_no_memory_by_header);
    tcase_add_test(tc, test_got);
    suite_add_tcase(suite, tc);
    return suite;
}
