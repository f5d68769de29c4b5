/* check_reply_read.c - the cursor over replies that are whole in memory. */
#include "suites.h"

#include <stdlib.h>

#include "resp/reply.h"

struct read_row {
    const char *in, *text;
    int64_t number;
    char type;
};

static const struct read_row read_rows[] = {
    {"+OK\r\n", "OK", 0, '+'},
    {"+\r\n", "", 0, '+'},
    {"-ERR no\r\n", "ERR no", 0, '-'},
    {":42\r\n", "42", 42, ':'},
    {":-42\r\n", "-42", -42, ':'},
    {"$5\r\nhello\r\n", "hello", 0, '$'},
    {"$0\r\n\r\n", "", 0, '$'},
    {"$-1\r\n", "", 0, '_'},
    {"*-1\r\n", "", 0, '_'},
    {"_\r\n", "", 0, '_'},
    {"#t\r\n", "t", 1, '#'},
    {"#f\r\n", "f", 0, '#'},
    {",1.5\r\n", "1.5", 0, ','},
    {"(123\r\n", "123", 0, '('},
    {"!3\r\nERR\r\n", "ERR", 0, '!'},
    {"=8\r\ntxt:abcd\r\n", "txt:abcd", 0, '='},
    {"*3\r\n", "", 3, '*'},
    {"~3\r\n", "", 3, '~'},
    {"%3\r\n", "", 6, '%'},
    {"|3\r\n", "", 6, '|'},
    {">3\r\n", "", 3, '>'},
};

static void run_read_row(const struct read_row *row)
{
    size_t n = strlen(row->in);
    char *copy = exact_copy(row->in, n);
    struct slice p = slice_of(copy, n), short_by_one = slice_of(copy, n - 1);
    struct reply reply = {.type = 'x'};

    ck_assert(!reply_read(&short_by_one, &reply));
    ck_assert_uint_eq(short_by_one.n, n - 1);
    ck_assert_int_eq(reply.type, 'x');
    ck_assert_msg(reply_read(&p, &reply), "\"%s\"", row->in);
    ck_assert_uint_eq(p.n, 0);
    ck_assert_int_eq(reply.type, row->type);
    ck_assert_int_eq(reply.number, row->number);
    ck_assert_msg(slice_eq(reply.text, slice_str(row->text)), "\"%s\"", row->in);
    ck_assert(!reply_read(&p, &reply));
    free(copy);
}

START_TEST(test_read)
{
    for (size_t i = 0; i < ARRAY_LEN(read_rows); i++)
        run_read_row(&read_rows[i]);
}
END_TEST

START_TEST(test_read_refuses)
{
    static const char *const wrong[] = {"",         "OK\r\n",        "$3\r\nfooxx", "$3\r\nfoo\rx",
                                        "$3\r\nfo", "$x\r\nfoo\r\n", "+a\nb\r\n",   ":1x\r\n",
                                        "*-2\r\n",  "?\r\n",         "\r\n"};

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct slice p = slice_str(wrong[i]);
        struct reply reply;

        ck_assert_msg(!reply_read(&p, &reply), "\"%s\"", wrong[i]);
        ck_assert_ptr_eq(p.p, wrong[i]);
    }
}
END_TEST

START_TEST(test_read_whole_array)
{
    struct slice p = SLICE("*3\r\n$3\r\nfoo\r\n%1\r\n+a\r\n*1\r\n:1\r\n:9\r\n");
    struct reply reply;

    ck_assert(reply_read(&p, &reply));
    ck_assert(reply.type == '*' && reply.number == 3);
    ck_assert(reply_read(&p, &reply));
    ck_assert(slice_eq(reply.text, SLICE("foo")));
    ck_assert(reply_skip(&p));
    ck_assert(reply_read(&p, &reply));
    ck_assert_int_eq(reply.number, 9);
    ck_assert_uint_eq(p.n, 0);
    ck_assert(!reply_skip(&p));
}
END_TEST

Suite *reply_read_suite(void)
{
    Suite *suite = suite_create("reply read");
    TCase *tc = tcase_create("reply read");

    tcase_add_test(tc, test_read);
    tcase_add_test(tc, test_read_refuses);
    tcase_add_test(tc, test_read_whole_array);
    suite_add_tcase(suite, tc);
    return suite;
}
