/* check_inline.c - the words of an inline request, as Redis' sdssplitargs() cuts them. */
#include "suites.h"

#include <stdlib.h>

#include "outcome.h"
#include "resp/write.h"

static const struct request_limits limits = {.max_bulk = 1 << 20, .max_request = 1 << 20};

struct row {
    const char *line;  /* without its line end */
    const char *words; /* NULL = unbalanced */
};

static const struct row rows[] = {
    {"SET k v", "3:SET,1:k,1:v,"},
    {"  SET\tk \t v  ", "3:SET,1:k,1:v,"},
    {"a \v\f b", "1:a,1:b,"},
    /* Vertical tab and form feed are blanks between words but end none. */
    {"a\vb\fc", "5:a\vb\fc,"},
    {"\"a b\" c", "3:a b,1:c,"},
    {"\"\" ''", "0:,0:,"},
    {"\"\"", "0:,"},
    {"foo\"bar\" x", "6:foobar,1:x,"},
    {"foo'b r'", "6:foob r,"},
    {"\"\\n\\r\\t\\b\\a\"", "5:\n\r\t\b\a,"},
    {"\"\\\\\\\"\\q\\'\"", "4:\\\"q',"},
    {"\"\\x41\\x7a\\xFf\\xAb\"", "4:Az\xff\xab,"},
    {"\"ax\\xff\"", "3:ax\xff,"},
    {"\"x\\x4\"", "3:xx4,"},
    {"\"\\xzz\"", "3:xzz,"},
    {"\"\\x4g\"", "3:x4g,"},
    {"'\\x41'", "4:\\x41,"},
    {"'it\\'s'", "4:it's,"},
    {"'\\n\\\\'", NULL},
    {"'\\n\\\\ '", "5:\\n\\\\ ,"},
    {"'a\"b' \"c'd\"", "3:a\"b,3:c'd,"},
    {"\\n a\\", "2:\\n,2:a\\,"},
    {"\"a\"\v\"b\"", "1:a,1:b,"},
    {"\"a\" ", "1:a,"},
    {"\xc3\xa4 \x80", "2:\xc3\xa4,1:\x80,"},
    {"\"a", NULL},
    {"'a", NULL},
    {"\"", NULL},
    {"'", NULL},
    {"\"a\"b", NULL},
    {"'a'b", NULL},
    {"\"a\"\"b\"", NULL},
    {"\"a\\", NULL},
    {"\"a\\\"", NULL},
    {"'a\\'", NULL},
    {"\"\\x4", NULL},
    {"\"\\x", NULL},
    {"x 'a' \"", NULL},
};

static void check_words(struct slice in, const struct row *row)
{
    struct outcome want = {.scan = SCAN_OK, .used = in.n};

    if (row->words)
        buffer_add(&want.words, row->words, strlen(row->words));
    else
        want = (struct outcome){.scan = SCAN_BAD, .error = REQUEST_UNBALANCED};
    for (size_t step = 0; step < 3; step++) {
        struct outcome o = outcome_scan(in.p, in.n, 0, step, &limits);

        outcome_same(&o, &want, row->line);
        outcome_done(&o);
    }
    outcome_done(&want);
}

START_TEST(test_rows)
{
    static const char *const line_ends[] = {"\r\n", "\n"};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t j = 0; j < ARRAY_LEN(line_ends); j++) {
            struct buffer in = {0};

            buffer_printf(&in, "%s%s", rows[i].line, line_ends[j]);
            check_words(buffer_slice(&in), &rows[i]);
            buffer_done(&in);
        }
    }
}
END_TEST

/* "\xHH" of a byte, or the byte itself where it may stand in double quotes. */
static void add_quoted(struct buffer *out, struct slice word, bool all)
{
    buffer_add(out, "\"", 1);
    for (size_t i = 0; i < word.n; i++) {
        unsigned char c = (unsigned char)word.p[i];

        if (all || c < ' ' || c == '"' || c == '\\')
            buffer_printf(out, "\\x%02x", c);
        else
            buffer_add(out, word.p + i, 1);
    }
    buffer_add(out, "\" ", 2);
}

/* Any bytes at all survive being quoted. */
START_TEST(test_round_trip)
{
    uint64_t seed = 42;

    for (int i = 0; i < 2000; i++) {
        struct buffer in = {0};
        struct outcome want = {0}, o;

        for (uint32_t words = random_below(&seed, 5); words > 0; words--) {
            char word[20];
            uint32_t n = random_below(&seed, sizeof(word));

            for (uint32_t j = 0; j < n; j++)
                word[j] = (char)random_below(&seed, 256);
            add_quoted(&in, slice_of(word, n), random_below(&seed, 2) == 0);
            outcome_word(&want, slice_of(word, n));
        }
        buffer_add(&in, "\r\n", 2);
        want.used = buffer_len(&in);
        o = outcome_scan(buffer_head(&in), buffer_len(&in), 0, 0, &limits);
        outcome_same(&o, &want, "round trip");
        outcome_done(&o);
        outcome_done(&want);
        buffer_done(&in);
    }
}
END_TEST

/* The scratch text is emptied for each line, and does not keep what a long one needed. */
START_TEST(test_scratch)
{
    struct request_scan s = {0};
    struct args args = {0};
    struct buffer text = {0};
    uint64_t need;
    char *line = must_alloc(60001);

    memset(line, 'a', 60000);
    line[60000] = '\n';
    ck_assert_int_eq(request_scan(&s, line, 60001, &limits, &args, &text, &need), SCAN_OK);
    ck_assert_uint_eq(args.v[0].n, 60000);
    s = (struct request_scan){0};
    ck_assert_int_eq(request_scan(&s, "GET 'k'\n", 8, &limits, &args, &text, &need), SCAN_OK);
    ck_assert_uint_eq(args.n, 2);
    ck_assert_uint_eq(buffer_len(&text), 4);
    ck_assert_uint_lt(text.cap, 60000);
    free(line);
    args_done(&args);
    buffer_done(&text);
}
END_TEST

Suite *inline_suite(void)
{
    Suite *suite = suite_create("inline");
    TCase *tc = tcase_create("inline");

    tcase_add_test(tc, test_rows);
    tcase_add_test(tc, test_round_trip);
    tcase_add_test(tc, test_scratch);
    suite_add_tcase(suite, tc);
    return suite;
}
