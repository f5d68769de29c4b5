/* check_stripper.c - replies with the prefix taken off. Every row runs in pieces of every size, and
 * split once at every byte; the pieces lie in memory of just their size. */
#include "suites.h"

#include <stdlib.h>
#include <string.h>

#include "resp/stripper.h"

struct row {
    enum strip_rule rule;
    const char *in, *out; /* out NULL: as it is */
};

static const struct row rows[] = {
    {STRIP_FIRST, "*2\r\n$4\r\nt:ab\r\n$4\r\nt:cd\r\n", "*2\r\n$2\r\nab\r\n$4\r\nt:cd\r\n"},
    {STRIP_FIRST, "*2\r\n$2\r\nt:\r\n*1\r\n$2\r\nt:\r\n", "*2\r\n$0\r\n\r\n*1\r\n$2\r\nt:\r\n"},
    {STRIP_FIRST, "*-1\r\n", NULL},
    {STRIP_FIRST, "$-1\r\n", NULL},
    {STRIP_FIRST, "_\r\n", NULL},
    {STRIP_FIRST, "+QUEUED\r\n", NULL},
    {STRIP_EVERY, "*3\r\n$3\r\nt:a\r\n$4\r\nt:bb\r\n$2\r\nt:\r\n",
     "*3\r\n$1\r\na\r\n$2\r\nbb\r\n$0\r\n\r\n"},
    {STRIP_EVERY, "*0\r\n", NULL},
    {STRIP_EVERY, "$5\r\nt:abc\r\n", "$3\r\nabc\r\n"},
    /* Somebody else's: the first bytes are the same, or there are too few. */
    {STRIP_EVERY, "*4\r\n$3\r\nu:a\r\n$1\r\nt\r\n$0\r\n\r\n$3\r\nt:a\r\n",
     "*4\r\n$0\r\n\r\n$0\r\n\r\n$0\r\n\r\n$1\r\na\r\n"},
    {STRIP_EVERY, "$60\r\nu:3456789012345678901234567890123456789012345678901234567890\r\n",
     "$0\r\n\r\n"},
    {STRIP_PAIRS, "*4\r\n$3\r\nt:a\r\n:1\r\n$3\r\nt:b\r\n:0\r\n",
     "*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:0\r\n"},
    {STRIP_STREAMS,
     "*1\r\n*2\r\n$3\r\nt:s\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$3\r\nt:f\r\n$1\r\nv\r\n",
     "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$3\r\nt:f\r\n$1\r\nv\r\n"},
    {STRIP_STREAMS, "%2\r\n$3\r\nt:s\r\n*1\r\n$3\r\nt:e\r\n$3\r\nt:r\r\n*0\r\n",
     "%2\r\n$1\r\ns\r\n*1\r\n$3\r\nt:e\r\n$1\r\nr\r\n*0\r\n"},
    {STRIP_STREAMS, "-NOGROUP No such key 't:s' or consumer group 'g' in XREADGROUP\r\n",
     "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP\r\n"},
    {STRIP_ERROR, "-t:t:x t: y\r\n", "-x  y\r\n"},
    {STRIP_ERROR, "*1\r\n$3\r\nt:a\r\n", NULL},
    {STRIP_SCAN, "*2\r\n$1\r\n0\r\n*2\r\n$3\r\nt:a\r\n$3\r\nt:b\r\n",
     "*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n"},
    {STRIP_SCAN, ">2\r\n$10\r\ninvalidate\r\n_\r\n", NULL},
    {STRIP_SCAN, ">2\r\n$10\r\ninvalidate\r\n*1\r\n$3\r\nt:a\r\n",
     ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n"},
    {STRIP_TRACKING,
     "*6\r\n$5\r\nflags\r\n*1\r\n$2\r\nt:\r\n$8\r\nredirect\r\n:0\r\n$8\r\nprefixes\r\n*1\r\n"
     "$3\r\nt:p\r\n",
     "*6\r\n$5\r\nflags\r\n*1\r\n$2\r\nt:\r\n$8\r\nredirect\r\n:0\r\n$8\r\nprefixes\r\n*1\r\n"
     "$1\r\np\r\n"},
    {STRIP_SECOND, "*3\r\n$7\r\nmessage\r\n$4\r\nt:ch\r\n$4\r\nt:ms\r\n",
     "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$4\r\nt:ms\r\n"},
    {STRIP_SECOND, "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n", NULL},
    {STRIP_SECOND, ">3\r\n$9\r\nsubscribe\r\n$20\r\n__redis__:invalidate\r\n:1\r\n", NULL},
    {STRIP_SECOND, "*3\r\n$7\r\nmessage\r\n$18\r\n__keyspace@0__:t:k\r\n$3\r\nset\r\n",
     "*3\r\n$7\r\nmessage\r\n$16\r\n__keyspace@0__:k\r\n$3\r\nset\r\n"},
    {STRIP_SECOND, "*3\r\n$7\r\nmessage\r\n$18\r\n__keyspace@0__:u:k\r\n$3\r\nset\r\n",
     "*3\r\n$7\r\nmessage\r\n$0\r\n\r\n$3\r\nset\r\n"},
    {STRIP_PMESSAGE, "*4\r\n$8\r\npmessage\r\n$6\r\nt\\:ab*\r\n$4\r\nt:ab\r\n$1\r\nx\r\n",
     "*4\r\n$8\r\npmessage\r\n$3\r\nab*\r\n$2\r\nab\r\n$1\r\nx\r\n"},
    {STRIP_PATTERN, "*3\r\n$10\r\npsubscribe\r\n$4\r\nt\\:*\r\n:1\r\n",
     "*3\r\n$10\r\npsubscribe\r\n$1\r\n*\r\n:1\r\n"},
    /* EXEC: what is listed is of elements 1 and 3. */
    {STRIP_ALL, "*4\r\n$3\r\nt:a\r\n*2\r\n$3\r\nt:b\r\n$1\r\nv\r\n-t:x\r\n*1\r\n$3\r\nt:c\r\n",
     "*4\r\n$3\r\nt:a\r\n*2\r\n$1\r\nb\r\n$1\r\nv\r\n-t:x\r\n*1\r\n$1\r\nc\r\n"},
    {STRIP_ALL, "*2\r\n:1\r\n-E t:x\r\n", "*2\r\n:1\r\n-E x\r\n"},
    {STRIP_ALL, "*-1\r\n", NULL},
    {STRIP_ALL, "-EXECABORT t:\r\n", "-EXECABORT \r\n"},
    /* A push in the midst of it counts for nothing. */
    {STRIP_PAIRS, "*2\r\n>2\r\n+i\r\n$3\r\nt:x\r\n$3\r\nt:a\r\n:1\r\n",
     "*2\r\n>2\r\n+i\r\n$3\r\nt:x\r\n$1\r\na\r\n:1\r\n"},
};

static void feed(struct stripper *s, const char *p, size_t n, struct buffer *out)
{
    char *copy = exact_copy(p, n);

    stripper_feed(s, slice_of(copy, n), out);
    free(copy);
}

static void run(const struct row *row, size_t first, size_t step)
{
    static const struct strip_at list[] = {{1, STRIP_FIRST}, {3, STRIP_EVERY}};
    struct stripper s = {
        .prefix = SLICE("t:"), .pattern = SLICE("t\\:"), .list = list, .list_n = 2};
    const char *want = row->out != NULL ? row->out : row->in;
    size_t n = strlen(row->in);
    struct buffer out = {0};

    stripper_begin(&s, row->rule);
    if (first > 0)
        feed(&s, row->in, first, &out);
    for (size_t at = first; at < n; at += step)
        feed(&s, row->in + at, n - at < step ? n - at : step, &out);
    EXPECT(slice_eq(buffer_slice(&out), slice_str(want)), "%s\n%.*s\n%s", row->in,
           (int)buffer_len(&out), buffer_head(&out), want);
    EXPECT(buffer_len(&s.held) == 0, "%s: something is held", row->in);
    stripper_done(&s);
    buffer_done(&out);
}

START_TEST(every_row)
{
    const struct row *row = &rows[_i];
    size_t n = strlen(row->in);

    for (size_t step = 1; step <= n; step++)
        run(row, 0, step);
    for (size_t first = 1; first < n; first++)
        run(row, first, n);
}
END_TEST

/* Nothing but a name's head is held: a large value, and a large name, pass as they come. */
START_TEST(passes_at_once)
{
    struct stripper s = {.prefix = SLICE("t:"), .pattern = SLICE("t\\:")};
    struct buffer out = {0};
    char text[4096];

    memset(text, 'x', sizeof text);
    stripper_begin(&s, STRIP_FIRST);
    stripper_feed(&s, SLICE("*2\r\n$5002\r\nt:"), &out);
    stripper_feed(&s, slice_of(text, sizeof text), &out);
    ck_assert_uint_eq(buffer_len(&out), 4 + 7 + sizeof text);
    stripper_feed(&s, slice_of(text, 5000 - sizeof text), &out);
    stripper_feed(&s, SLICE("\r\n$4096\r\n"), &out);
    stripper_feed(&s, slice_of(text, 4000), &out);
    ck_assert_uint_eq(buffer_len(&out), 4 + 7 + 5000 + 2 + 7 + 4000);
    stripper_done(&s);
    buffer_done(&out);
}
END_TEST

Suite *stripper_suite(void)
{
    Suite *suite = suite_create("stripper");
    TCase *tcase = tcase_create("stripper");

    tcase_add_loop_test(tcase, every_row, 0, (int)(sizeof rows / sizeof rows[0]));
    tcase_add_test(tcase, passes_at_once);
    suite_add_tcase(suite, tcase);
    return suite;
}
