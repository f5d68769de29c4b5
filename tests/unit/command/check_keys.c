/* check_keys.c - which arguments are keys, for every rule, well formed and not.
 *
 * A case is a request in one line, words parted by blanks (`''` is an empty one), and what
 * command_keys() must say: the indexes, or -1. tests/system/command_keys.py compares with Redis. */
#include "command/table.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "suites.h"

#define ARGS 32u

struct keys_case {
    const char *request;
    const char *keys;
};

/* Each word in memory of exactly its size. */
static uint32_t cut(const char *request, struct slice *argv)
{
    uint32_t argc = 0;

    while (*request != '\0') {
        size_t n = strcspn(request, " ");
        bool empty = n == 2 && memcmp(request, "''", 2) == 0;
        size_t size = empty ? 0 : n;
        char *p = malloc(size + (size == 0));

        ck_assert(p != NULL && argc < ARGS);
        memcpy(p, request, size);
        argv[argc++] = slice_of(p, size);
        request += n + (request[n] == ' ');
    }
    return argc;
}

static void give_back(struct slice *argv, uint32_t argc)
{
    for (uint32_t i = 0; i < argc; i++) {
        union {
            const char *in;
            void *out;
        } p = {argv[i].p};

        free(p.out);
    }
}

static void say(char *text, size_t room, int n, const uint32_t *index)
{
    size_t used = 0;

    text[0] = '\0';
    if (n < 0)
        snprintf(text, room, "%d", n);
    for (int i = 0; i < n; i++)
        used += (size_t)snprintf(text + used, room - used, "%s%u", i > 0 ? " " : "", index[i]);
}

static void check_case(const struct keys_case *k)
{
    struct slice argv[ARGS];
    uint32_t argc = cut(k->request, argv);
    const struct command *c = command_find(argv[0]);
    uint32_t index[ARGS], some[2] = {7777, 7777};
    char text[256];
    int n;

    if (c != NULL && (c->flags & CF_CONTAINER) != 0 && argc > 1)
        c = command_sub(c, argv[1]);
    n = command_keys(c, argv, argc, index, ARGS);
    say(text, sizeof(text), n, index);
    ck_assert_msg(strcmp(text, k->keys) == 0, "%s: [%s] instead of [%s]", k->request, text,
                  k->keys);

    /* with less room: the same number, and nothing behind the room */
    ck_assert_int_eq(command_keys(c, argv, argc, NULL, 0), n);
    ck_assert_int_eq(command_keys(c, argv, argc, some, 1), n);
    if (n >= 1)
        ck_assert_uint_eq(some[0], index[0]);
    ck_assert_uint_eq(some[1], 7777);
    give_back(argv, argc);
}

static const struct keys_case fixed[] = {
    {"PING", ""},
    {"GET k", "1"},
    {"get k x", "-1"},
    {"GET", "-1"},
    {"SET k v EX 10", "1"},
    {"MGET a b c", "1 2 3"},
    {"MGET a", "1"},
    {"MSET a 1 b 2", "1 3"},
    {"MSET a 1 b", "1 3"}, /* Redis refuses it, and says these are its keys */
    {"BLPOP a b 0", "1 2"},
    {"BLPOP a 0", "1"},
    {"BITOP AND d a b", "2 3 4"},
    {"BITOP NOT d a", "2 3"},
    {"BRPOPLPUSH a b 0", "1 2"},
    {"BLMOVE a b LEFT RIGHT 0", "1 2"},
    {"COPY a b", "1 2"},
    {"OBJECT ENCODING k", "2"},
    {"OBJECT HELP", ""},
    {"XGROUP CREATE s g $", "2"},
    {"XINFO STREAM s FULL", "2"},
    {"MEMORY USAGE k", "2"},
    {"XINFO", "-1"},
    {"KEYS *", ""},
    {"FLUSHALL", ""},
    {"DEL a b", "1 2"},
    {"HEXPIRE k 10 FIELDS 1 f", "1"},
    {"SPUBLISH channel m", ""}, /* channels are not keys, though COMMAND counts them */
    {"SSUBSCRIBE a b", ""},
    {"SUNSUBSCRIBE", ""},
    {"SUBSCRIBE a", ""},
    {"SORT_RO k BY nosort GET #", "1"},
    {"GEORADIUS_RO k 1 2 3 m", "1"},
    {"WATCH a b", "1 2"},
    {"LARDER KEY k", ""},
};

static const struct keys_case counted[] = {
    {"EVAL s 0", ""},
    {"EVAL s 0 a b", ""},
    {"EVAL s 1 a b", "3"},
    {"EVALSHA s 2 a b", "3 4"},
    {"EVAL_RO s 2 a b c", "3 4"},
    {"FCALL f 2 a b", "3 4"},
    {"EVAL s 2 a", "-1"},
    {"EVAL s 1", "-1"},
    {"EVAL s -1 a", "-1"},
    {"EVAL s x a", "-1"},
    {"EVAL s 1x a", "-1"},
    {"EVAL s 01 a", "-1"},
    {"EVAL s +1 a", "-1"},
    {"EVAL s '' a", "-1"},
    {"EVAL s 4294967297 a", "-1"},
    {"EVAL s 9223372036854775807 a", "-1"},
    {"EVAL s 9223372036854775808 a", "-1"},
    {"EVAL s -9223372036854775808 a", "-1"},
    {"EVAL s", "-1"},
    {"ZUNION 2 a b WEIGHTS 1 2", "2 3"},
    {"ZINTER 1 a WITHSCORES", "2"},
    {"ZDIFF 2 a b", "2 3"},
    {"ZDIFF 3 a b", "-1"},
    {"ZINTERCARD 2 a b LIMIT 1", "2 3"},
    {"SINTERCARD 1 a", "2"},
    {"LMPOP 2 a b LEFT COUNT 1", "2 3"},
    {"MSETEX 2 a 1 b 2 NX EX 10", "2 4"},
    {"MSETEX 1 a 1 b 2", "2"},
    {"MSETEX 0 a 1", ""},
    {"MSETEX 3 a 1 b 2", "-1"},
    {"MSETEX 2 a 1 b", "-1"},
    {"MSETEX -1 a 1", "-1"},
    {"MSETEX 9223372036854775807 a 1", "-1"},
    {"ZMPOP 1 a MIN", "2"},
    {"BLMPOP 0 2 a b LEFT", "3 4"},
    {"BZMPOP 0 1 a MAX", "3"},
    {"BLMPOP 0 9 a LEFT", "-1"},
    {"ZUNIONSTORE d 2 a b", "1 3 4"},
    {"ZUNIONSTORE d 2 a b WEIGHTS 1 2", "1 3 4"},
    {"ZINTERSTORE d 1 a", "1 3"},
    {"ZDIFFSTORE d 1 a", "1 3"},
    {"ZDIFFSTORE d 2 a", "-1"},
    {"ZDIFFSTORE d -2 a", "-1"},
    {"ZDIFFSTORE d two a", "-1"},
    {"ZDIFFSTORE d", "-1"},
};

static const struct keys_case options[] = {
    {"XREAD STREAMS s 0", "2"},
    {"XREAD COUNT 1 BLOCK 0 STREAMS a b 0 0", "6 7"},
    {"xread block 0 streams a $", "4"},
    {"XREAD STREAMS streams 0", "2"},
    {"XREAD STREAMS a b 0", "-1"},
    {"XREAD COUNT STREAMS a", "-1"},
    {"XREAD BLOCK 1 COUNT 2", "-1"},
    {"XREAD COUNT 1 STREAMS", "-1"},
    {"XREAD WHAT 1 STREAMS a 0", "-1"},
    {"XREADGROUP GROUP g c STREAMS a >", "5"},
    {"XREADGROUP GROUP g c NOACK COUNT 1 STREAMS a b > >", "8 9"},
    {"XREADGROUP GROUP streams STREAMS STREAMS a >", "5"},
    {"XREADGROUP COUNT 1 GROUP streams c STREAMS a >", "7"},
    {"XREADGROUP GROUP g c CLAIM 1000 STREAMS a >", "7"},
    {"XREADGROUP COUNT 1 NOACK NOACK NOACK GROUP g", "-1"},
    {"SORT k", "1"},
    {"SORT k STORE d", "1 3"},
    {"SORT k BY store GET store LIMIT 0 store ALPHA DESC STORE d", "1 12"},
    {"SORT k STORE a STORE b", "1 3 5"},
    {"SORT k STORE STORE", "1 3"},
    {"SORT k STORE", "1"},
    {"SORT k BY", "1"},
    {"SORT k LIMIT", "1"},
    {"GEORADIUS k 1 2 3 m", "1"},
    {"GEORADIUS k 1 2 3 m STORE d", "1 7"},
    {"GEORADIUS k 1 2 3 m COUNT 1 ANY STOREDIST d ASC", "1 10"},
    {"GEORADIUS k 1 2 3 m STORE a storedist b", "1 7 9"},
    {"GEORADIUS k 1 2 3 m STORE", "1"},
    {"GEORADIUSBYMEMBER k m 3 m STORE d", "1 6"},
    {"GEORADIUSBYMEMBER k STORE 3 m", "1"},
    {"MIGRATE h 1 k 0 10", "3"},
    {"MIGRATE h 1 k 0 10 COPY REPLACE AUTH keys", "3"},
    {"MIGRATE h 1 '' 0 10 KEYS a b", "7 8"},
    {"MIGRATE h 1 '' 0 10 COPY AUTH keys KEYS a", "10"},
    {"MIGRATE h 1 '' 0 10 AUTH2 keys keys KEYS keys keys", "10 11"},
    {"MIGRATE h 1 '' 0 10 KEYS", ""},
    {"MIGRATE h 1 k 0 10 KEYS a", "-1"},
    {"MIGRATE h 1 '' 0 10 AUTH2 KEYS", "3"},
};

static const struct keys_case unknown[] = {
    {"JSON.GET k .", "1 2"},
    {"NOSUCH", ""},
    {"OBJECT NOSUCH k", "1 2"},
};

static void check_cases(const struct keys_case *k, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_case(&k[i]);
}

START_TEST(fixed_positions)
{
    check_cases(fixed, ARRAY_LEN(fixed));
}
END_TEST

START_TEST(counted_positions)
{
    check_cases(counted, ARRAY_LEN(counted));
}
END_TEST

START_TEST(positions_among_options)
{
    check_cases(options, ARRAY_LEN(options));
}
END_TEST

START_TEST(unknown_commands)
{
    check_cases(unknown, ARRAY_LEN(unknown));
}
END_TEST

/* Redis reads options as C strings: a client that hides STORE's key behind a NUL byte from larder
 * would write where it may not. Counts are read whole. */
START_TEST(options_end_at_a_nul)
{
    struct slice sort[] = {SLICE("SORT"), SLICE("k"), SLICE("store\0x"), SLICE("d")};
    struct slice xread[] = {SLICE("XREAD"),      SLICE("count\0"), SLICE("1"),
                            SLICE("streams\0s"), SLICE("a"),       SLICE("0")};
    struct slice eval[] = {SLICE("EVAL"), SLICE("s"), SLICE("1\0"), SLICE("a")};
    uint32_t index[4];

    ck_assert_int_eq(command_keys(command_row(CMD_SORT), sort, 4, index, 4), 2);
    ck_assert_uint_eq(index[1], 3);
    ck_assert_int_eq(command_keys(command_row(CMD_XREAD), xread, 6, index, 4), 1);
    ck_assert_uint_eq(index[0], 4);
    ck_assert_int_eq(command_keys(command_row(CMD_EVAL), eval, 4, index, 4), -1);
}
END_TEST

START_TEST(a_request_has_a_word)
{
    (void)!command_keys(NULL, NULL, 0, NULL, 0);
}
END_TEST

START_TEST(a_row_has_a_rule)
{
    struct command c = *command_row(CMD_GET);
    struct slice argv[] = {SLICE("GET"), SLICE("k")};

    c.keys = KEYS_ALL;
    ck_assert_int_eq(command_keys(&c, argv, 2, NULL, 0), 1);
    c.keys = KEYS_ALL + 1;
    (void)!command_keys(&c, argv, 2, NULL, 0);
}
END_TEST

/* Rows with random arguments, most of them options, numbers or empty: indexes lie within, and each
 * is given once, in order but for the target of ..STORE. */
START_TEST(any_arguments_do_no_harm)
{
    static const char *const words[] = {"",      "0",     "1",    "2",         "-1",  "3",
                                        "store", "keys",  "auth", "storedist", "by",  "streams",
                                        "count", "group", "get",  "limit",     "key", "auth2"};
    uint64_t state = 11;

    for (unsigned round = 0; round < 50000; round++) {
        const struct command *c = command_row((enum command_id)(1 + round % (COMMAND_ROWS - 1)));
        struct slice argv[12];
        uint32_t index[12], argc;
        int n;

        state = state * UINT64_C(6364136223846793005) + 1;
        argc = 1 + (uint32_t)(state >> 33) % 12;
        for (uint32_t i = 0; i < argc; i++) {
            state = state * UINT64_C(6364136223846793005) + 1;
            argv[i] = slice_str(words[(state >> 33) % ARRAY_LEN(words)]);
        }
        n = command_keys(c, argv, argc, index, 12);
        ck_assert_int_lt(n, (int)argc);
        for (int i = 0; i < n; i++) {
            ck_assert_uint_lt(index[i], argc);
            ck_assert(index[i] > (i > 0 ? index[i - 1] : 0));
        }
    }
}
END_TEST

Suite *keys_suite(void)
{
    Suite *suite = suite_create("command/keys");
    TCase *tc = tcase_create("keys");

    tcase_add_test(tc, fixed_positions);
    tcase_add_test(tc, counted_positions);
    tcase_add_test(tc, positions_among_options);
    tcase_add_test(tc, unknown_commands);
    tcase_add_test(tc, options_end_at_a_nul);
    tcase_add_test_raise_signal(tc, a_request_has_a_word, SIGABRT);
    tcase_add_test_raise_signal(tc, a_row_has_a_rule, SIGABRT);
    tcase_add_test(tc, any_arguments_do_no_harm);
    suite_add_tcase(suite, tc);
    return suite;
}
