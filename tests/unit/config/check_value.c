/* check_value.c - each type of setting from text into its field and back, on rows of the test's
 * own; and that the real rows make sense. */
#include "suites.h"

#include <stddef.h>
#include <string.h>

#include "config/bounds.h"
#include "config/rows.h"
#include "config/value.h"

struct fields {
    const char *string, *secret;
    bool flag;
    uint64_t count, duration, size;
    struct address address;
    int choice;
    uint64_t rate;
    struct string_list list;
    struct address_list addresses;
    const char *path;
};

#define FIELD(name, type, fallback)                                                                \
    {                                                                                              \
#name, type, fallback, true, "", offsetof(struct fields, name), false                      \
    }
static const struct row rows[] = {
    FIELD(string, TYPE_STRING, "s"),
    FIELD(secret, TYPE_SECRET, ""),
    FIELD(flag, TYPE_BOOL, "no"),
    FIELD(count, TYPE_COUNT, "10 5..20"),
    FIELD(duration, TYPE_DURATION, "1s 10ms..1h"),
    FIELD(size, TYPE_SIZE, "1kb 16..1mb"),
    FIELD(address, TYPE_ADDRESS, "h:1"),
    FIELD(choice, TYPE_CHOICE, "one|two|three"),
    FIELD(rate, TYPE_RATE, "1/s 0/s..100/s"),
    FIELD(list, TYPE_LIST, "a, b"),
    FIELD(addresses, TYPE_ADDRESSES, ""),
    FIELD(path, TYPE_PATH, ""),
};
static const struct kind kind = {.word = "fields", .rows = rows, .count = ARRAY_LEN(rows)};

static const struct row *row_of(const char *name)
{
    bool twin;
    const struct row *row = row_find(&kind, slice_str(name), &twin);

    ck_assert_ptr_nonnull(row);
    return row;
}

static void defaults(struct fields *f, struct pool *pool)
{
    struct buffer why = {0};

    *f = (struct fields){0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ck_assert(value_read(&rows[i], row_default(&rows[i]), f, pool, &why));
    ck_assert_ptr_null(why.p);
}

static void gives_bytes(const char *name, struct slice text, const char *shown, const char *written)
{
    const struct row *row = row_of(name);
    struct pool pool = {0};
    struct fields f, other;
    struct buffer why = {0}, out = {0}, again = {0};

    defaults(&f, &pool);
    defaults(&other, &pool);
    ck_assert_msg(value_read(row, text, &f, &pool, &why), "%s", text_of(&why));
    value_show(row, &f, &out);
    ck_assert_str_eq(text_of(&out), shown);
    value_write(row, &f, &again);
    ck_assert_str_eq(text_of(&again), written);
    ck_assert(value_equal(row, &f, &f));
    /* Only the row's own field has changed. */
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ck_assert(&rows[i] == row || value_equal(&rows[i], &f, &other));
    buffer_done(&out);
    buffer_done(&again);
    pool_done(&pool);
}

static void gives(const char *name, const char *text, const char *shown)
{
    gives_bytes(name, slice_str(text), shown, shown);
}

static void fails(const char *name, const char *text, const char *expected)
{
    struct pool pool = {0};
    struct fields f, other;
    struct buffer why = {0};

    defaults(&f, &pool);
    defaults(&other, &pool);
    ck_assert(!value_read(row_of(name), slice_str(text), &f, &pool, &why));
    ck_assert_str_eq(text_of(&why), expected);
    ck_assert(value_equal(row_of(name), &f, &other));
    buffer_done(&why);
    pool_done(&pool);
}

START_TEST(strings)
{
    gives("string", "a b", "a b");
    gives("string", " \ta b\t ", "a b");
    gives("string", "", "");
    gives("path", " /a b\t ", "/a b");
    gives("path", "", "");
    gives_bytes("string", SLICE("$a${b}"), "$a${b}", "$$a$${b}");
    fails("string", "a\nb = c", "\"a?b = c\" holds a control character");
    fails("string", "\x7f", "\"?\" holds a control character");
}
END_TEST

/* Its dump doubles each $, and must still be a line that can be read. */
START_TEST(long_strings)
{
    struct buffer text = {0}, out = {0};
    struct settings *s, *again;

    buffer_printf(&text, "[upstream]\nusername = ");
    for (unsigned i = 0; i < CONFIG_STRING_BYTES; i++)
        buffer_printf(&text, "$$");
    s = loads(text_of(&text));
    ck_assert_uint_eq(strlen(s->upstream.username), CONFIG_STRING_BYTES);
    settings_dump(s, &out);
    again = loads(text_of(&out));
    ck_assert_str_eq(again->upstream.username, s->upstream.username);
    settings_free(s);
    settings_free(again);
    buffer_printf(&text, "x");
    refuses(text_of(&text),
            "t.ini:2: username: \"$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$...\" is longer than "
            "16384 bytes\n");
    buffer_done(&text);
    buffer_done(&out);
}
END_TEST

START_TEST(secrets)
{
    struct pool pool = {0};
    struct fields f = {0};
    struct buffer why = {0};

    gives("secret", "", "");
    gives("secret", "geheim", "********");
    gives("secret", " with\n$ ", "********");
    ck_assert(value_read(row_of("secret"), SLICE(" x "), &f, &pool, &why));
    ck_assert_str_eq(f.secret, " x ");
    ck_assert(!value_read(row_of("secret"), SLICE("a\0b"), &f, &pool, &why));
    ck_assert_str_eq(text_of(&why), "holds a NUL byte");
    ck_assert_str_eq(f.secret, " x ");
    buffer_done(&why);
    pool_done(&pool);
}
END_TEST

START_TEST(flags)
{
    gives("flag", "yes", "yes");
    gives("flag", " no", "no");
    fails("flag", "true", "\"true\" is neither yes nor no");
    fails("flag", "Yes", "\"Yes\" is neither yes nor no");
    fails("flag", "", "\"\" is neither yes nor no");
}
END_TEST

START_TEST(numbers)
{
    gives("count", "5", "5");
    gives("count", " 20 ", "20");
    fails("count", "4", "\"4\" is not within 5..20");
    fails("count", "21", "\"21\" is not within 5..20");
    fails("count", "99999999999999999999", "\"99999999999999999999\" is not within 5..20");
    fails("count", "", "\"\" is not a number");
    fails("count", "10s", "\"10s\" is not a number");
    gives("duration", "10ms", "10ms");
    gives("duration", "60m", "1h");
    fails("duration", "9ms", "\"9ms\" is not within 10ms..1h");
    fails("duration", "3601s", "\"3601s\" is not within 10ms..1h");
    fails("duration", "0", "\"0\" is not within 10ms..1h");
    fails("duration", "10", "\"10\" is not a duration such as 500ms, 5s, 30m, 8h or 1d");
    gives("size", "16", "16");
    gives("size", "1024KB", "1mb");
    fails("size", "15", "\"15\" is not within 16..1mb");
    fails("size", "1025kb", "\"1025kb\" is not within 16..1mb");
    fails("size", "1k", "\"1k\" is not a size such as 512, 64kb, 64mb or 1gb");
}
END_TEST

START_TEST(choices)
{
    gives("choice", "one", "one");
    gives("choice", " three ", "three");
    fails("choice", "four", "\"four\" is none of one, two, three");
    fails("choice", "One", "\"One\" is none of one, two, three");
    fails("choice", "one|two", "\"one|two\" is none of one, two, three");
    fails("choice", "", "\"\" is none of one, two, three");
}
END_TEST

START_TEST(addresses)
{
    gives("address", "redis:6379", "redis:6379");
    gives("address", " unix:/x ", "unix:/x");
    fails("address", "redis",
          "\"redis\" is no address: write host:port, [IPv6]:port or unix:/path");
    fails("address", "unix:/\n", "\"unix:/?\" is no address: a control character in it");
    fails("address", "unix:/\x7f", "\"unix:/?\" is no address: a control character in it");
}
END_TEST

START_TEST(address_lists)
{
    gives("addresses", " a:1 ,[::1]:2,unix:/s ", "a:1, [::1]:2, unix:/s");
    gives("addresses", "", "");
    fails("addresses", "a:1,", "\"\" is no address: write host:port, [IPv6]:port or unix:/path");
    fails("addresses", "a:1, b", "\"b\" is no address: write host:port, [IPv6]:port or unix:/path");
    fails("addresses", "a:1, b:0", "\"b:0\" is no address: the port must be 1..65535");
    fails("addresses",
          ":1,:2,:3,:4,:5,:6,:7,:8,:9,:1,:1,:1,:1,:1,:1,:1,:1,:1,:1,:1,:1,:1,:1,:1,"
          ":1,:1,:1,:1,:1,:1,:1,:1,:1",
          "more than 32 addresses");
}
END_TEST

START_TEST(rates)
{
    gives("rate", "0", "0/s");
    gives("rate", "0/s", "0/s");
    gives("rate", " 100/s ", "100/s");
    fails("rate", "101/s", "\"101/s\" is not within 0/s..100/s");
    fails("rate", "10", "\"10\" is not a rate such as 10/s");
    fails("rate", "10/m", "\"10/m\" is not a rate such as 10/s");
    fails("rate", "", "\"\" is not a rate such as 10/s");
}
END_TEST

START_TEST(lists)
{
    gives("list", "a", "a");
    gives("list", " a ,b,  c d ", "a, b, c d");
    gives_bytes("list", SLICE("$a,b"), "$a, b", "$$a, b");
    fails("list", "", "\"\" is empty");
    fails("list", " \t", "\"\" is empty");
    fails("list", ",", "\",\" holds an empty word");
    fails("list", "a,", "\"a,\" holds an empty word");
    fails("list", ",a", "\",a\" holds an empty word");
    fails("list", "a, ,b", "\"a, ,b\" holds an empty word");
    fails("list", "a\nb", "\"a?b\" holds a control character");
    fails("list", "a,\x7f", "\"a,?\" holds a control character");
}
END_TEST

/* Its dump has a blank behind each comma and doubles each $, and must still be read. */
START_TEST(long_lists)
{
    struct buffer text = {0}, out = {0};
    struct settings *s, *again;
    size_t n = (CONFIG_STRING_BYTES + 2) / 3 + 1;

    buffer_printf(&text, "[policy p]\nprefix = ");
    for (size_t i = 0; i < n; i++)
        buffer_printf(&text, "%s%c", i > 0 ? "," : "", 'x');
    refuses(text_of(&text),
            "t.ini:2: prefix: \"x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,...\" is too long\n");
    buffer_done(&text);
    buffer_printf(&text, "[policy p]\nprefix = y");
    for (size_t i = 1; i < CONFIG_STRING_BYTES; i++)
        buffer_printf(&text, "$$");
    s = loads(text_of(&text));
    settings_dump(s, &out);
    again = loads(text_of(&out));
    ck_assert_str_eq(again->policies[0].prefix.v[0], s->policies[0].prefix.v[0]);
    settings_free(s);
    settings_free(again);
    buffer_done(&text);
    buffer_done(&out);
}
END_TEST

START_TEST(differences)
{
    static const char *const other[] = {"t",   "x",   "yes", "11", "2s",  "2kb",
                                        "h:2", "two", "2/s", "a",  "h:2", "/p"};
    struct pool pool = {0};
    struct fields a, b;
    struct buffer why = {0};

    defaults(&a, &pool);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        defaults(&b, &pool);
        ck_assert(value_equal(&rows[i], &a, &b));
        ck_assert(value_read(&rows[i], slice_str(other[i]), &b, &pool, &why));
        ck_assert(!value_equal(&rows[i], &a, &b));
    }
    pool_done(&pool);
}
END_TEST

START_TEST(long_text_is_cut)
{
    char text[2000];

    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = 0;
    fails("count", text, "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\" is not a number");
}
END_TEST

START_TEST(finding)
{
    bool twin = true;

    ck_assert_ptr_eq(row_find(&kind, SLICE("count"), &twin), &rows[3]);
    ck_assert(!twin);
    ck_assert_ptr_eq(row_find(&kind, SLICE("secret_file"), &twin), &rows[1]);
    ck_assert(twin);
    ck_assert_ptr_eq(row_find(&kind, SLICE("secret"), &twin), &rows[1]);
    ck_assert(!twin);
    ck_assert_ptr_null(row_find(&kind, SLICE("string_file"), &twin));
    ck_assert_ptr_null(row_find(&kind, SLICE("secret_files"), &twin));
    ck_assert_ptr_null(row_find(&kind, SLICE("Count"), &twin));
    ck_assert_ptr_null(row_find(&kind, SLICE("coun"), &twin));
    ck_assert_ptr_null(row_find(&kind, SLICE("counts"), &twin));
    ck_assert_ptr_null(row_find(&kind, SLICE(""), &twin));
}
END_TEST

/* Names a user can write, defaults within bounds, help that can stand in a sentence. */
START_TEST(real_rows)
{
    for (size_t i = 0; i < KIND_COUNT; i++) {
        for (size_t k = 0; k < kinds[i]->count; k++) {
            const struct row *row = &kinds[i]->rows[k];
            bool twin, number = row->type == TYPE_COUNT || row->type == TYPE_DURATION ||
                                row->type == TYPE_SIZE || row->type == TYPE_RATE;
            uint64_t min, max;

            ck_assert_ptr_eq(row_find(kinds[i], slice_str(row->name), &twin), row);
            ck_assert_uint_gt(strlen(row->help), 0);
            ck_assert_int_ne(row->help[strlen(row->help) - 1], '.');
            if (!number)
                continue;
            row_range(row, &min, &max);
            ck_assert_msg(min < max, "%s", row->name);
        }
    }
}
END_TEST

/* The enums of settings.h are in the order of the words. */
START_TEST(enums)
{
    struct settings *s = loads(
        "[larder]\nlog_level = error\nlog_format = journal\n"
        "admin_commands = allow\n");

    ck_assert_int_eq(s->larder.log_level, SET_LOG_ERROR);
    ck_assert_int_eq(s->larder.log_format, SET_FORMAT_JOURNAL);
    ck_assert_int_eq(s->larder.admin_commands, SET_ADMIN_ALLOW);
    settings_free(s);
    s = loads("[larder]\nlog_level = warning\nlog_format = json\n");
    ck_assert_int_eq(s->larder.log_level, SET_LOG_WARNING);
    ck_assert_int_eq(s->larder.log_format, SET_FORMAT_JSON);
    ck_assert_int_eq(s->larder.admin_commands, SET_ADMIN_DENY);
    settings_free(s);
    s = loads("[larder]\nlog_level = debug\nlog_format = text\n");
    ck_assert_int_eq(s->larder.log_level, SET_LOG_DEBUG);
    ck_assert_int_eq(s->larder.log_format, SET_FORMAT_TEXT);
    settings_free(s);
    s = loads("[cache]\ncoherence = broadcast\n");
    ck_assert_int_eq(s->cache.coherence, SET_COHERENCE_BROADCAST);
    settings_free(s);
    s = loads("[cache]\ncoherence = ttl\n");
    ck_assert_int_eq(s->cache.coherence, SET_COHERENCE_TTL);
    settings_free(s);
    s = loads("");
    ck_assert_int_eq(s->larder.log_level, SET_LOG_INFO);
    ck_assert_int_eq(s->larder.log_format, SET_FORMAT_AUTO);
    settings_free(s);
}
END_TEST

Suite *value_suite(void)
{
    Suite *suite = suite_create("value");
    TCase *tcase = tcase_create("value");

    tcase_add_test(tcase, strings);
    tcase_add_test(tcase, long_strings);
    tcase_add_test(tcase, secrets);
    tcase_add_test(tcase, flags);
    tcase_add_test(tcase, numbers);
    tcase_add_test(tcase, choices);
    tcase_add_test(tcase, addresses);
    tcase_add_test(tcase, address_lists);
    tcase_add_test(tcase, rates);
    tcase_add_test(tcase, lists);
    tcase_add_test(tcase, long_lists);
    tcase_add_test(tcase, differences);
    tcase_add_test(tcase, long_text_is_cut);
    tcase_add_test(tcase, finding);
    tcase_add_test(tcase, real_rows);
    tcase_add_test(tcase, enums);
    suite_add_tcase(suite, tcase);
    return suite;
}
