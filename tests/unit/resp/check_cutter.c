/* check_cutter.c - arrays with elements cut out. Every row runs in pieces of every size, and split
 * once at every byte; the pieces lie in memory of just their size. */
#include "suites.h"

#include <signal.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "resp/cutter.h"

#define MAX_CUT 8

/* `cut` is what is cut out, ended by END; without `out` all passes. */
#define END UINT32_MAX
struct row {
    const char *in;
    uint32_t cut[MAX_CUT];
    const char *out;
    bool alone;
};

static const struct row rows[] = {
    /* None, all, the first, the last, some in the middle, neighbours. */
    {.in = "*3\r\n:1\r\n:2\r\n:3\r\n", .cut = {END}},
    {.in = "*3\r\n:1\r\n:2\r\n:3\r\n", .cut = {0, END}, .out = "*2\r\n:2\r\n:3\r\n"},
    {.in = "*3\r\n:1\r\n:2\r\n:3\r\n", .cut = {1, END}, .out = "*2\r\n:1\r\n:3\r\n"},
    {.in = "*3\r\n:1\r\n:2\r\n:3\r\n", .cut = {2, END}, .out = "*2\r\n:1\r\n:2\r\n"},
    {.in = "*3\r\n:1\r\n:2\r\n:3\r\n", .cut = {0, 1, END}, .out = "*1\r\n:3\r\n"},
    {.in = "*3\r\n:1\r\n:2\r\n:3\r\n", .cut = {1, 2, END}, .out = "*1\r\n:1\r\n"},
    {.in = "*3\r\n:1\r\n:2\r\n:3\r\n", .cut = {0, 2, END}, .out = "*1\r\n:2\r\n"},
    {.in = "*3\r\n:1\r\n:2\r\n:3\r\n", .cut = {0, 1, 2, END}, .out = "*0\r\n"},
    {.in = "*5\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n",
     .cut = {1, 2, 4, END},
     .out = "*2\r\n:1\r\n:4\r\n"},
    /* The header loses a digit. */
    {.in = "*10\r\n+a\r\n+b\r\n+c\r\n+d\r\n+e\r\n+f\r\n+g\r\n+h\r\n+i\r\n+j\r\n",
     .cut = {9, END},
     .out = "*9\r\n+a\r\n+b\r\n+c\r\n+d\r\n+e\r\n+f\r\n+g\r\n+h\r\n+i\r\n"},
    /* There are not as many. */
    {.in = "*0\r\n", .cut = {END}},
    {.in = "*0\r\n", .cut = {0, 1, END}},
    {.in = "*2\r\n:1\r\n:2\r\n", .cut = {2, END}},
    {.in = "*2\r\n:1\r\n:2\r\n", .cut = {2, 3, 4294967294, END}},
    {.in = "*2\r\n:1\r\n:2\r\n", .cut = {1, 2, 100, END}, .out = "*1\r\n:1\r\n"},
    {.in = "*2\r\n:1\r\n:2\r\n", .cut = {0, 4294967294, END}, .out = "*1\r\n:2\r\n"},
    /* No array. */
    {.in = "*-1\r\n", .cut = {0, END}},
    {.in = "$-1\r\n", .cut = {0, END}},
    {.in = "_\r\n", .cut = {0, END}},
    {.in = "_\r\n", .cut = {0, END}, .alone = true},
    {.in = "*-1\r\n", .cut = {END}, .alone = true},
    {.in = "-EXECABORT Transaction discarded because of previous errors.\r\n", .cut = {0, 1, END}},
    {.in = "-EXECABORT Transaction discarded.\r\n", .cut = {0, 1, END}, .alone = true},
    {.in = "+QUEUED\r\n", .cut = {0, END}},
    {.in = ":7\r\n", .cut = {0, END}},
    {.in = "$8\r\n*1\r\n:1\r\n\r\n", .cut = {0, END}},
    {.in = "!9\r\nERR *1\r\n+\r\n", .cut = {0, END}},
    {.in = "%1\r\n+a\r\n+b\r\n", .cut = {0, END}},
    {.in = "~2\r\n+a\r\n+b\r\n", .cut = {0, END}},
    {.in = "~1\r\n*1\r\n+b\r\n", .cut = {0, END}, .alone = true},
    /* What looks like a header inside a bulk is none. */
    {.in = "*3\r\n$8\r\n*1\r\n:1\r\n\r\n$5\r\n$-1\r\n\r\n:9\r\n",
     .cut = {1, END},
     .out = "*2\r\n$8\r\n*1\r\n:1\r\n\r\n:9\r\n"},
    {.in = "*2\r\n$2\r\n\r\n\r\n$0\r\n\r\n", .cut = {0, END}, .out = "*1\r\n$0\r\n\r\n"},
    {.in = "*2\r\n$2\r\n\r\n\r\n$0\r\n\r\n", .cut = {1, END}, .out = "*1\r\n$2\r\n\r\n\r\n"},
    /* Elements that are errors or nothing. */
    {.in = "*4\r\n-ERR no\r\n$-1\r\n*-1\r\n-WRONGTYPE Operation\r\n",
     .cut = {0, 2, END},
     .out = "*2\r\n$-1\r\n-WRONGTYPE Operation\r\n"},
    {.in = "*4\r\n-ERR no\r\n$-1\r\n*-1\r\n-WRONGTYPE Operation\r\n",
     .cut = {1, 3, END},
     .out = "*2\r\n-ERR no\r\n*-1\r\n"},
    /* Aggregates are one element, whatever they hold. */
    {.in = "*3\r\n*2\r\n*2\r\n:1\r\n*0\r\n:2\r\n*0\r\n*1\r\n*1\r\n:3\r\n",
     .cut = {0, END},
     .out = "*2\r\n*0\r\n*1\r\n*1\r\n:3\r\n"},
    {.in = "*3\r\n*2\r\n*2\r\n:1\r\n*0\r\n:2\r\n*0\r\n*1\r\n*1\r\n:3\r\n",
     .cut = {1, END},
     .out = "*2\r\n*2\r\n*2\r\n:1\r\n*0\r\n:2\r\n*1\r\n*1\r\n:3\r\n"},
    {.in = "*3\r\n*2\r\n*2\r\n:1\r\n*0\r\n:2\r\n*0\r\n*1\r\n*1\r\n:3\r\n",
     .cut = {2, END},
     .out = "*2\r\n*2\r\n*2\r\n:1\r\n*0\r\n:2\r\n*0\r\n"},
    {.in = "*3\r\n%2\r\n+a\r\n*1\r\n:1\r\n+b\r\n%0\r\n~2\r\n:1\r\n:2\r\n:3\r\n",
     .cut = {0, END},
     .out = "*2\r\n~2\r\n:1\r\n:2\r\n:3\r\n"},
    {.in = "*3\r\n%2\r\n+a\r\n*1\r\n:1\r\n+b\r\n%0\r\n~2\r\n:1\r\n:2\r\n:3\r\n",
     .cut = {1, END},
     .out = "*2\r\n%2\r\n+a\r\n*1\r\n:1\r\n+b\r\n%0\r\n:3\r\n"},
    /* The other types of RESP3. */
    {.in = "*8\r\n_\r\n#t\r\n,1.5\r\n(123\r\n!5\r\nERR x\r\n=8\r\ntxt:abcd\r\n#f\r\n,-inf\r\n",
     .cut = {0, 2, 4, 6, END},
     .out = "*4\r\n#t\r\n(123\r\n=8\r\ntxt:abcd\r\n,-inf\r\n"},
    {.in = "*8\r\n_\r\n#t\r\n,1.5\r\n(123\r\n!5\r\nERR x\r\n=8\r\ntxt:abcd\r\n#f\r\n,-inf\r\n",
     .cut = {1, 3, 5, 7, END},
     .out = "*4\r\n_\r\n,1.5\r\n!5\r\nERR x\r\n#f\r\n"},
    {.in = "*1\r\n,0.01234567890123456789012345678901234567890123456789012345678\r\n",
     .cut = {0, END},
     .out = "*0\r\n"},
    {.in = "*2\r\n,0.01234567890123456789012345678901234567890123456789012345678\r\n:1\r\n",
     .cut = {1, END},
     .out = "*1\r\n,0.01234567890123456789012345678901234567890123456789012345678\r\n"},
    /* Attributes go where their element goes; those of the array pass. */
    {.in = "*2\r\n|1\r\n+ttl\r\n:3\r\n:1\r\n:2\r\n", .cut = {0, END}, .out = "*1\r\n:2\r\n"},
    {.in = "*2\r\n|1\r\n+ttl\r\n:3\r\n:1\r\n:2\r\n",
     .cut = {1, END},
     .out = "*1\r\n|1\r\n+ttl\r\n:3\r\n:1\r\n"},
    {.in = "*2\r\n:1\r\n|1\r\n+a\r\n*2\r\n:1\r\n:2\r\n|0\r\n:2\r\n",
     .cut = {1, END},
     .out = "*1\r\n:1\r\n"},
    {.in = "*2\r\n:1\r\n|1\r\n+a\r\n*2\r\n:1\r\n:2\r\n|0\r\n:2\r\n",
     .cut = {0, END},
     .out = "*1\r\n|1\r\n+a\r\n*2\r\n:1\r\n:2\r\n|0\r\n:2\r\n"},
    {.in = "*2\r\n|1\r\n|1\r\n+x\r\n+y\r\n+a\r\n+b\r\n:1\r\n:2\r\n",
     .cut = {0, END},
     .out = "*1\r\n:2\r\n"},
    {.in = "|1\r\n+a\r\n*1\r\n:5\r\n*2\r\n:1\r\n:2\r\n",
     .cut = {0, END},
     .out = "|1\r\n+a\r\n*1\r\n:5\r\n*1\r\n:2\r\n"},
    {.in = "|0\r\n|1\r\n|1\r\n+x\r\n+y\r\n+a\r\n+b\r\n*2\r\n:1\r\n:2\r\n",
     .cut = {1, END},
     .out = "|0\r\n|1\r\n|1\r\n+x\r\n+y\r\n+a\r\n+b\r\n*1\r\n:1\r\n"},
    {.in = "|1\r\n+a\r\n*1\r\n:5\r\n+OK\r\n", .cut = {0, END}},
    {.in = "|1\r\n+a\r\n:5\r\n*-1\r\n", .cut = {0, END}},
    /* Pushes are no elements, and pass unless they stand inside what does not. */
    {.in = ">2\r\n+message\r\n*1\r\n:1\r\n*2\r\n:1\r\n:2\r\n",
     .cut = {0, END},
     .out = ">2\r\n+message\r\n*1\r\n:1\r\n*1\r\n:2\r\n"},
    {.in = ">0\r\n*1\r\n:1\r\n", .cut = {0, END}, .out = ">0\r\n*0\r\n"},
    {.in = "|1\r\n+a\r\n:5\r\n>1\r\n+m\r\n*2\r\n:1\r\n:2\r\n",
     .cut = {0, END},
     .out = "|1\r\n+a\r\n:5\r\n>1\r\n+m\r\n*1\r\n:2\r\n"},
    {.in = "|1\r\n+a\r\n>1\r\n+m\r\n:5\r\n*2\r\n:1\r\n:2\r\n",
     .cut = {0, END},
     .out = "|1\r\n+a\r\n>1\r\n+m\r\n:5\r\n*1\r\n:2\r\n"},
    {.in = "*2\r\n>1\r\n+m\r\n:1\r\n>1\r\n+n\r\n>0\r\n:2\r\n",
     .cut = {0, END},
     .out = "*1\r\n>1\r\n+m\r\n>1\r\n+n\r\n>0\r\n:2\r\n"},
    {.in = "*2\r\n>1\r\n+m\r\n:1\r\n>1\r\n+n\r\n>0\r\n:2\r\n",
     .cut = {1, END},
     .out = "*1\r\n>1\r\n+m\r\n:1\r\n>1\r\n+n\r\n>0\r\n"},
    {.in = "*2\r\n>1\r\n+m\r\n:1\r\n>1\r\n+n\r\n>0\r\n:2\r\n",
     .cut = {0, 1, END},
     .out = "*0\r\n>1\r\n+m\r\n>1\r\n+n\r\n>0\r\n"},
    {.in = "*2\r\n>1\r\n+m\r\n|1\r\n+a\r\n+b\r\n:1\r\n:2\r\n",
     .cut = {0, END},
     .out = "*1\r\n>1\r\n+m\r\n:2\r\n"},
    {.in = "*2\r\n*2\r\n:1\r\n>1\r\n+m\r\n:2\r\n:3\r\n", .cut = {0, END}, .out = "*1\r\n:3\r\n"},
    {.in = "*2\r\n*2\r\n:1\r\n>1\r\n+m\r\n:2\r\n:3\r\n",
     .cut = {1, END},
     .out = "*1\r\n*2\r\n:1\r\n>1\r\n+m\r\n:2\r\n"},
    /* Alone: one that remains, without the array. */
    {.in = "*3\r\n:1\r\n$3\r\nfoo\r\n:3\r\n",
     .cut = {0, 2, END},
     .out = "$3\r\nfoo\r\n",
     .alone = true},
    {.in = "*2\r\n:1\r\n-ERR no\r\n", .cut = {0, END}, .out = "-ERR no\r\n", .alone = true},
    {.in = "*2\r\n$-1\r\n:1\r\n", .cut = {1, END}, .out = "$-1\r\n", .alone = true},
    {.in = "*1\r\n:1\r\n", .cut = {END}, .out = ":1\r\n", .alone = true},
    {.in = "*1\r\n:1\r\n", .cut = {1, 2, END}, .out = ":1\r\n", .alone = true},
    {.in = "*2\r\n*1\r\n*1\r\n:1\r\n:2\r\n",
     .cut = {1, END},
     .out = "*1\r\n*1\r\n:1\r\n",
     .alone = true},
    {.in = "*2\r\n|1\r\n+a\r\n+b\r\n%1\r\n+c\r\n+d\r\n:2\r\n",
     .cut = {1, END},
     .out = "|1\r\n+a\r\n+b\r\n%1\r\n+c\r\n+d\r\n",
     .alone = true},
    {.in = "|1\r\n+a\r\n+b\r\n*2\r\n>0\r\n:1\r\n:2\r\n",
     .cut = {0, END},
     .out = "|1\r\n+a\r\n+b\r\n>0\r\n:2\r\n",
     .alone = true},
    {.in = "*3\r\n:1\r\n:2\r\n:3\r\n", .cut = {1, END}, .out = "*2\r\n:1\r\n:3\r\n", .alone = true},
    {.in = "*3\r\n:1\r\n:2\r\n:3\r\n", .cut = {0, 1, 2, END}, .out = "*0\r\n", .alone = true},
    {.in = "*0\r\n", .cut = {0, END}, .alone = true},
    /* What comes behind passes, whatever it is. */
    {.in = "*1\r\n:1\r\n*1\r\n:1\r\nrubbish", .cut = {0, END}, .out = "*0\r\n*1\r\n:1\r\nrubbish"},
    {.in = "*1\r\n:1\r\n*1\r\n:1\r\n", .cut = {1, END}},
    {.in = "*0\r\n:1\r\n", .cut = {0, END}},
    {.in = "+OK\r\n*1\r\n:1\r\n", .cut = {0, END}},
    {.in = "*-1\r\n*1\r\n:1\r\n", .cut = {0, END}},
};

/* Feeds the bytes, the first `first` of them in a piece of their own (0 = none), then pieces of
 * `step` (0 = all the rest). */
static void feed(struct cutter *c, struct slice in, size_t first, size_t step, struct buffer *out)
{
    size_t at = 0, n = first;

    for (; at < in.n; at += n, n = 0) {
        char *copy;

        if (n == 0)
            n = step > 0 && step < in.n - at ? step : in.n - at;
        copy = exact_copy(in.p + at, n);
        cutter_feed(c, slice_of(copy, n), out);
        free(copy);
        EXPECT(c->held_n < sizeof(c->held), "%d bytes held", c->held_n);
    }
}

static void check_fed(struct cutter c, struct slice in, size_t first, size_t step,
                      struct slice want)
{
    struct buffer out = {0};

    feed(&c, in, first, step, &out);
    EXPECT(slice_eq(buffer_slice(&out), want), "\"%.*s\" first %zu, then by %zu: \"%.*s\"",
           (int)in.n, in.p, first, step, (int)buffer_len(&out), buffer_head(&out));
    EXPECT(c.held_n == 0, "\"%.*s\": %d bytes held back", (int)in.n, in.p, c.held_n);
    buffer_done(&out);
}

static void check_all_pieces(const struct cutter *c, struct slice in, struct slice want)
{
    for (size_t step = 1; step <= in.n; step++)
        check_fed(*c, in, 0, step, want);
    for (size_t at = 1; at < in.n; at++)
        check_fed(*c, in, at, 0, want);
}

START_TEST(test_rows)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        struct cutter c = {.cut = row->cut, .alone = row->alone};

        while (row->cut[c.cut_n] != END)
            c.cut_n++;
        check_all_pieces(&c, slice_str(row->in), slice_str(row->out ? row->out : row->in));
    }
}
END_TEST

/* Every choice out of these, with and without the array about a lone one. */
static const char *const elements[] = {
    "$5\r\n\r\n*1\r\r\n",
    "-ERR no\r\n",
    "%1\r\n$1\r\nk\r\n*2\r\n:1\r\n$-1\r\n",
    "|1\r\n+a\r\n~1\r\n:1\r\n=5\r\ntxt:x\r\n",
    "*-1\r\n",
    "+\r\n",
    "*2\r\n*1\r\n*0\r\n!3\r\nERR\r\n",
};

static void run_choice(unsigned chosen, bool alone)
{
    uint32_t cut[ARRAY_LEN(elements)];
    struct cutter c = {.cut = cut, .alone = alone};
    struct buffer in = {0}, body = {0}, want = {0};
    size_t kept;

    buffer_printf(&in, "*%zu\r\n", ARRAY_LEN(elements));
    for (uint32_t i = 0; i < ARRAY_LEN(elements); i++) {
        buffer_printf(&in, "%s", elements[i]);
        if (chosen >> i & 1)
            cut[c.cut_n++] = i;
        else
            buffer_printf(&body, "%s", elements[i]);
    }
    kept = ARRAY_LEN(elements) - c.cut_n;
    if (!alone || kept != 1)
        buffer_printf(&want, "*%zu\r\n", kept);
    buffer_add(&want, buffer_head(&body), buffer_len(&body));
    check_all_pieces(&c, buffer_slice(&in), buffer_slice(&want));
    buffer_done(&in);
    buffer_done(&body);
    buffer_done(&want);
}

START_TEST(test_every_choice)
{
    for (unsigned chosen = 0; chosen < 1u << ARRAY_LEN(elements); chosen++) {
        run_choice(chosen, false);
        run_choice(chosen, true);
    }
}
END_TEST

/* Large bulks pass, or vanish, as they come. */
START_TEST(test_large_bulks)
{
    static const uint32_t cut[] = {1, 3};
    static const size_t steps[] = {1, 7, 63, 64, 65, 4096, 65536, 99999, 100012, 1000000};
    struct buffer in = {0}, want = {0};
    char *bulk = must_alloc(100000);

    for (size_t i = 0; i < 100000; i++)
        bulk[i] = "\r\n*$:1"[i % 6];
    buffer_printf(&in, "*5\r\n");
    buffer_printf(&want, "*3\r\n");
    for (int i = 0; i < 5; i++) {
        for (struct buffer *b = &in; b; b = b == &in && i % 2 == 0 ? &want : NULL) {
            buffer_printf(b, "$%d\r\n", 100000 - i);
            buffer_add(b, bulk, (size_t)(100000 - i));
            buffer_add(b, "\r\n", 2);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct cutter c = {.cut = cut, .cut_n = 2};

        check_fed(c, buffer_slice(&in), 0, steps[i], buffer_slice(&want));
    }
    buffer_done(&in);
    buffer_done(&want);
    free(bulk);
}
END_TEST

static size_t feed_text(struct cutter *c, const char *text)
{
    struct buffer out = {0};
    size_t n;

    feed(c, slice_str(text), 0, 0, &out);
    n = buffer_len(&out);
    buffer_done(&out);
    return n;
}

/* Nothing is waited for: what can be passed on is, but a line that is cut. */
START_TEST(test_passes_at_once)
{
    static const uint32_t cut[] = {1, 3};
    struct cutter c = {.cut = cut, .cut_n = 2};

    ck_assert_uint_eq(feed_text(&c, "*5\r"), 0);
    ck_assert_uint_eq(feed_text(&c, "\n$10"), 4);
    ck_assert_uint_eq(feed_text(&c, "00\r\nabc"), 10);
    ck_assert_uint_eq(c.held_n, 0);
    for (int i = 0; i < 997; i++)
        ck_assert_uint_eq(feed_text(&c, "x"), 1);
    ck_assert_uint_eq(feed_text(&c, "\r"), 1);
    ck_assert_uint_eq(feed_text(&c, "\n$10"), 1);
    ck_assert_uint_eq(c.held_n, 3);
    ck_assert_uint_eq(feed_text(&c, "\r\n0123456789\r\n"), 0);
    ck_assert_uint_eq(c.held_n, 0);
    ck_assert_uint_eq(feed_text(&c, "-ERR "), 5);
    ck_assert_uint_eq(feed_text(&c, "no\r"), 2);
    ck_assert_uint_eq(c.held_n, 1);
    ck_assert_uint_eq(feed_text(&c, "\n-ERR"), 2);
    ck_assert_uint_eq(feed_text(&c, "xyz\r"), 0);
    ck_assert_uint_eq(feed_text(&c, "\n:"), 1);
    ck_assert_uint_eq(feed_text(&c, "1"), 1);
}
END_TEST

/* A piece of nothing changes nothing. */
START_TEST(test_empty_pieces)
{
    static const uint32_t cut[] = {0};
    static const char in[] = "*2\r\n$2\r\nab\r\n+c\r\n";
    struct cutter c = {.cut = cut, .cut_n = 1};
    struct buffer out = {0};

    cutter_feed(&c, slice_of(NULL, 0), &out);
    for (const char *p = in; *p; p++) {
        cutter_feed(&c, slice_of(p, 1), &out);
        cutter_feed(&c, slice_of(p, 0), &out);
        cutter_feed(&c, slice_of(NULL, 0), &out);
    }
    ck_assert(slice_eq(buffer_slice(&out), SLICE("*1\r\n+c\r\n")));
    buffer_done(&out);
}
END_TEST

/* Nesting costs nothing: no stack, nothing held. */
START_TEST(test_nested)
{
    static const uint32_t cut[] = {1};
    struct cutter c = {.cut = cut, .cut_n = 1};
    struct buffer in = {0}, want = {0};

    buffer_printf(&in, "*3\r\n:0\r\n");
    for (int i = 0; i < 100000; i++)
        buffer_add(&in, "*1\r\n", 4);
    buffer_printf(&in, ":1\r\n:2\r\n");
    buffer_printf(&want, "*2\r\n:0\r\n:2\r\n");
    check_fed(c, buffer_slice(&in), 0, 0, buffer_slice(&want));
    check_fed(c, buffer_slice(&in), 0, 3, buffer_slice(&want));
    buffer_done(&in);
    buffer_done(&want);
}
END_TEST

/* Every third of very many. */
START_TEST(test_many)
{
    uint32_t *cut = must_alloc(100000 * sizeof(*cut));
    struct cutter c = {.cut = cut};
    struct buffer in = {0}, want = {0};

    buffer_printf(&in, "*300000\r\n");
    buffer_printf(&want, "*200000\r\n");
    for (uint32_t i = 0; i < 300000; i++) {
        if (i % 3 == 1)
            cut[c.cut_n++] = i;
        else
            buffer_printf(&want, ":%u\r\n", i);
        buffer_printf(&in, ":%u\r\n", i);
    }
    check_fed(c, buffer_slice(&in), 0, 0, buffer_slice(&want));
    check_fed(c, buffer_slice(&in), 5, 1000, buffer_slice(&want));
    buffer_done(&in);
    buffer_done(&want);
    free(cut);
}
END_TEST

static const uint32_t first_two[] = {0, 1}, twice[] = {0, 0};
/* What no link hands on, and a list of cuts that does not ascend, end the process. */
static const struct {
    const char *in;
    const uint32_t *cut;
} wrong[] = {
    {"*2\r\nrubbish", first_two},
    {"*2\r\n:1\r\n$1\r\nxyz", first_two},
    {"*1111111111111111111111111111111111111111111111111111111111111111", first_two},
    {"*3\r\n:1\r\n:2\r\n:3\r\n", twice},
};

/* Each whole and byte by byte. */
START_TEST(test_wrong)
{
    struct cutter c = {.cut = wrong[_i / 2].cut, .cut_n = 2};
    struct buffer out = {0};

    feed(&c, slice_str(wrong[_i / 2].in), 0, (size_t)(_i % 2), &out);
}
END_TEST

Suite *cutter_suite(void)
{
    Suite *suite = suite_create("cutter");
    TCase *tc = tcase_create("cutter");

    tcase_add_test(tc, test_rows);
    tcase_add_test(tc, test_every_choice);
    tcase_add_test(tc, test_large_bulks);
    tcase_add_test(tc, test_passes_at_once);
    tcase_add_test(tc, test_empty_pieces);
    tcase_add_test(tc, test_nested);
    tcase_add_test(tc, test_many);
    tcase_add_loop_test_raise_signal(tc, test_wrong, SIGABRT, 0, 2 * (int)ARRAY_LEN(wrong));
    suite_add_tcase(suite, tc);
    return suite;
}
