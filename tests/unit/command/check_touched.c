/* check_touched.c - which keys a request may change: a case, at least, for every row that may
 * change any, and for what only reads.
 *
 * The cases are written from the commands' documentation, and not from the rows: a slip there must
 * not go through. tests/system/command_keys.py compares with Redis' own COMMAND GETKEYSANDFLAGS. */
#include "command/table.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>

#include "suites.h"

#define ARGS 16u

struct touched_case {
    const char *request;
    const char *touched; /* the keys' words; "*": any key */
};

static uint32_t cut(const char *request, struct slice *argv)
{
    uint32_t argc = 0;

    while (*request != '\0') {
        size_t n = strcspn(request, " ");

        ck_assert_uint_lt(argc, ARGS);
        argv[argc++] = slice_of(request, n == 2 && memcmp(request, "''", 2) == 0 ? 0 : n);
        request += n + (request[n] == ' ');
    }
    return argc;
}

/* As client/serve.c does: an unknown subcommand is its container. */
static const struct command *find(const struct slice *argv, uint32_t argc)
{
    const struct command *c = command_find(argv[0]), *sub;

    if (c == NULL || (c->flags & CF_CONTAINER) == 0 || argc < 2)
        return c;
    sub = command_sub(c, argv[1]);
    return sub ? sub : c;
}

static void say(char *text, size_t room, int n, const uint32_t *index, const struct slice *argv)
{
    size_t used = 0;

    text[0] = '\0';
    if (n == TOUCHES_ANY)
        snprintf(text, room, "*");
    for (int i = 0; i < n; i++)
        used += (size_t)snprintf(text + used, room - used, "%s%.*s", i > 0 ? " " : "",
                                 (int)argv[index[i]].n, argv[index[i]].p);
}

static const struct command *check_case(const struct touched_case *k)
{
    struct slice argv[ARGS];
    uint32_t argc = cut(k->request, argv);
    const struct command *c = find(argv, argc);
    uint32_t index[ARGS], some[2] = {7777, 7777};
    char text[256];
    int n = command_touched(c, argv, argc, index, ARGS);

    say(text, sizeof(text), n, index, argv);
    ck_assert_msg(strcmp(text, k->touched) == 0, "%s: [%s] instead of [%s]", k->request, text,
                  k->touched);
    /* with less room: the same number, and nothing behind the room */
    ck_assert_int_eq(command_touched(c, argv, argc, NULL, 0), n);
    ck_assert_int_eq(command_touched(c, argv, argc, some, 1), n);
    if (n >= 1)
        ck_assert_uint_eq(some[0], index[0]);
    ck_assert_uint_eq(some[1], 7777);
    return c;
}

static const struct touched_case writes[] = {
    {"APPEND k v", "k"},
    {"BITFIELD k SET u8 0 1", "k"},
    {"BITOP AND d a b", "d"},
    {"BITOP NOT d d", "d"},
    {"BLMOVE a b LEFT RIGHT 0", "a b"},
    {"BLMPOP 0 2 a b LEFT", "a b"},
    {"BLPOP a b 0", "a b"},
    {"BRPOP a 0", "a"},
    {"BRPOPLPUSH a b 0", "a b"},
    {"BZMPOP 0 1 a MAX", "a"},
    {"BZPOPMAX a b 0", "a b"},
    {"BZPOPMIN a b 0", "a b"},
    {"COPY s d", "d"},
    {"COPY s d DB 3 REPLACE", "d"},
    {"DECR k", "k"},
    {"DECRBY k 1", "k"},
    {"DEL a b c", "a b c"},
    {"DELEX k IFEQ v", "k"},
    {"DELIFEQ k v", "k"},
    {"EVAL s 2 a b c", "a b"},
    {"EVALSHA s 1 a b", "a"},
    {"EXPIRE k 1", "k"},
    {"EXPIREAT k 1", "k"},
    {"FCALL f 2 a b", "a b"},
    {"GEOADD k 1 2 m", "k"},
    {"GEORADIUS s 1 2 3 m STORE d STOREDIST e", "d e"},
    {"GEORADIUSBYMEMBER s m 3 m STOREDIST d", "d"},
    {"GEOSEARCHSTORE d s FROMMEMBER m BYRADIUS 1 m", "d"},
    {"GETDEL k", "k"},
    {"GETEX k EX 10", "k"},
    {"GETEX k PERSIST", "k"},
    {"GETSET k v", "k"},
    {"HDEL k f", "k"},
    {"HEXPIRE k 1 FIELDS 1 f", "k"},
    {"HEXPIREAT k 1 FIELDS 1 f", "k"},
    {"HGETDEL k FIELDS 1 f", "k"},
    {"HGETEX k EX 1 FIELDS 1 f", "k"},
    {"HINCRBY k f 1", "k"},
    {"HINCRBYFLOAT k f 1", "k"},
    {"HMSET k f v", "k"},
    {"HPERSIST k FIELDS 1 f", "k"},
    {"HPEXPIRE k 1 FIELDS 1 f", "k"},
    {"HPEXPIREAT k 1 FIELDS 1 f", "k"},
    {"HSET k f v", "k"},
    {"HSETEX k EX 1 FIELDS 1 f v", "k"},
    {"HSETNX k f v", "k"},
    {"INCR k", "k"},
    {"INCRBY k 1", "k"},
    {"INCRBYFLOAT k 1", "k"},
    {"LINSERT k BEFORE a b", "k"},
    {"LMOVE a b LEFT RIGHT", "a b"},
    {"LMPOP 2 a b LEFT", "a b"},
    {"LPOP k", "k"},
    {"LPUSH k v", "k"},
    {"LPUSHX k v", "k"},
    {"LREM k 0 v", "k"},
    {"LSET k 0 v", "k"},
    {"LTRIM k 0 1", "k"},
    {"MIGRATE h 1 k 0 10", "k"},
    {"MIGRATE h 1 '' 0 10 KEYS a b", "a b"},
    {"MOVE k 1", "k"},
    {"MSET a 1 b 2", "a b"},
    {"MSETEX 2 a 1 b 2 EX 10", "a b"},
    {"MSETNX a 1 b 2", "a b"},
    {"PERSIST k", "k"},
    {"PEXPIRE k 1", "k"},
    {"PEXPIREAT k 1", "k"},
    {"PFADD k v", "k"},
    {"PFDEBUG GETREG k", "k"},
    {"PFMERGE d a b", "d"},
    {"PFMERGE d", "d"},
    {"PSETEX k 1 v", "k"},
    {"RENAME a b", "a b"},
    {"RENAMENX a b", "a b"},
    {"RESTORE k 0 v", "k"},
    {"RESTORE-ASKING k 0 v", "k"},
    {"RPOP k", "k"},
    {"RPOPLPUSH a b", "a b"},
    {"RPUSH k v", "k"},
    {"RPUSHX k v", "k"},
    {"SADD k v", "k"},
    {"SDIFFSTORE d a b", "d"},
    {"SET k v", "k"},
    {"set k v EX 10 NX", "k"},
    {"SETBIT k 0 1", "k"},
    {"SETEX k 1 v", "k"},
    {"SETNX k v", "k"},
    {"SETRANGE k 0 v", "k"},
    {"SINTERSTORE d a b", "d"},
    {"SMOVE a b v", "a b"},
    {"SORT s STORE d", "d"},
    {"SORT s BY w_* GET x_* STORE d STORE e", "d e"},
    {"SPOP k", "k"},
    {"SREM k v", "k"},
    {"SUNIONSTORE d a b", "d"},
    {"UNLINK a b", "a b"},
    {"XACK k g 1", "k"},
    {"XACKDEL k g IDS 1 1", "k"},
    {"XADD k * f v", "k"},
    {"XAUTOCLAIM k g c 0 0", "k"},
    {"XCLAIM k g c 0 1", "k"},
    {"XDEL k 1", "k"},
    {"XDELEX k IDS 1 1", "k"},
    {"XGROUP CREATE k g $", "k"},
    {"XGROUP CREATECONSUMER k g c", "k"},
    {"XGROUP DELCONSUMER k g c", "k"},
    {"XGROUP DESTROY k g", "k"},
    {"XGROUP SETID k g $", "k"},
    {"XREADGROUP GROUP g c BLOCK 0 STREAMS a b > >", "a b"},
    {"XSETID k 1-1", "k"},
    {"XTRIM k MAXLEN 1", "k"},
    {"ZADD k 1 m", "k"},
    {"ZDIFFSTORE d 2 a b", "d"},
    {"ZINCRBY k 1 m", "k"},
    {"ZINTERSTORE d 1 a", "d"},
    {"ZMPOP 2 a b MIN", "a b"},
    {"ZPOPMAX k", "k"},
    {"ZPOPMIN k", "k"},
    {"ZRANGESTORE d s 0 1", "d"},
    {"ZREM k m", "k"},
    {"ZREMRANGEBYLEX k - +", "k"},
    {"ZREMRANGEBYRANK k 0 1", "k"},
    {"ZREMRANGEBYSCORE k 0 1", "k"},
    {"ZUNIONSTORE d 2 a b WEIGHTS 1 2", "d"},
    {"CLUSTER RESET HARD", "*"},
    {"CLUSTER REPLICATE id", "*"},
    {"CLUSTER FLUSHSLOT 1", "*"},
    {"DEBUG RELOAD", "*"},
    {"FAILOVER", "*"},
    {"FLUSHALL", "*"},
    {"FLUSHALL ASYNC", "*"},
    {"FLUSHDB", "*"},
    {"REPLICAOF h 1", "*"},
    {"SFLUSH 0 1", "*"},
    {"SLAVEOF h 1", "*"},
    {"SWAPDB 0 1", "*"},
};

static const struct touched_case nothing[] = {
    {"GET k", ""},
    {"GETEX k", ""},
    {"MGET a b", ""},
    {"TOUCH a b", ""},
    {"EXISTS a", ""},
    {"PFCOUNT a b", ""},
    {"SORT s", ""},
    {"SORT s BY STORE GET STORE", ""},
    {"SORT_RO s", ""},
    {"GEORADIUS s 1 2 3 m", ""},
    {"GEORADIUS_RO s 1 2 3 m", ""},
    {"GEORADIUSBYMEMBER s STORE 3 m", ""},
    {"EVAL s 0 a", ""},
    {"EVAL_RO s 1 a", ""},
    {"EVALSHA_RO s 1 a", ""},
    {"FCALL_RO f 1 a", ""},
    {"XREAD STREAMS s 0", ""},
    {"XINFO STREAM s", ""},
    {"XGROUP HELP", ""},
    {"OBJECT ENCODING k", ""},
    {"HTTL k FIELDS 1 f", ""},
    {"DIGEST k", ""},
    {"SCRIPT LOAD s", ""},
    {"SCRIPT FLUSH", ""},
    {"FUNCTION LOAD s", ""},
    {"FUNCTION DELETE l", ""},
    {"FUNCTION FLUSH", ""},
    {"FUNCTION RESTORE v", ""},
    {"PUBLISH a b", ""},
    {"SPUBLISH a b", ""},
    {"SUBSCRIBE a", ""},
    {"WATCH a b", ""},
    {"MULTI", ""},
    {"EXEC", ""},
    {"CONFIG SET maxmemory 1", ""},
    {"CLUSTER NODES", ""},
    {"CLIENT TRACKING ON", ""},
    {"PING", ""},
    {"WAIT 0 0", ""},
    {"LARDER KEY k", ""},
    {"OBJECT", ""},
    /* refused for its arguments by whoever knows it: a read all the same */
    {"GET a b", ""},
    {"XREAD STREAMS a", ""},
};

/* Nobody knows which of the words are keys. */
static const struct touched_case words[] = {
    {"JSON.SET k $ v", "k $ v"},
    {"NOSUCH", ""},
    {"OBJECT NOSUCH k", "NOSUCH k"},
    {"XGROUP NOSUCH k", "NOSUCH k"},
    {"FUNCTION NOSUCH", "NOSUCH"},
    {"SET k", "k"},
    {"GETDEL a b", "a b"},
    {"EVAL s 2 a", "s 2 a"},
    {"EVAL s x a", "s x a"},
    {"ZUNIONSTORE d 9 a", "d 9 a"},
    {"MSETEX 2 a 1 b", "2 a 1 b"},
    {"MSETEX -1 a 1", "-1 a 1"},
    {"MSETEX x a 1", "x a 1"},
    {"XREADGROUP GROUP g c NEW STREAMS s >", "GROUP g c NEW STREAMS s >"},
    {"MIGRATE h 1 k 0 10 KEYS a", "h 1 k 0 10 KEYS a"},
};

static void check_cases(const struct touched_case *k, size_t n)
{
    for (size_t i = 0; i < n; i++)
        (void)check_case(&k[i]);
}

START_TEST(what_is_written)
{
    check_cases(writes, ARRAY_LEN(writes));
}
END_TEST

START_TEST(what_is_not)
{
    check_cases(nothing, ARRAY_LEN(nothing));
}
END_TEST

START_TEST(what_may_be)
{
    check_cases(words, ARRAY_LEN(words));
}
END_TEST

/* No row that may change anything is without a case, and no other row writes. */
START_TEST(all_rows_are_tried)
{
    bool tried[COMMAND_ROWS] = {false};

    for (size_t i = 0; i < ARRAY_LEN(writes); i++)
        tried[check_case(&writes[i])->id] = true;
    for (uint32_t id = 1; id < COMMAND_ROWS; id++) {
        const struct command *c = command_row((enum command_id)id);
        bool library = strncmp(c->name, "function|", 9) == 0;

        ck_assert_msg(tried[id] == (c->touched != TOUCH_NONE), "%s", c->name);
        if (c->flags & CF_WRITE)
            ck_assert_msg(tried[id] || library, "%s", c->name);
        if (c->flags & CF_READ)
            ck_assert_msg(!tried[id], "%s", c->name);
    }
}
END_TEST

START_TEST(a_request_has_a_word)
{
    (void)!command_touched(NULL, NULL, 0, NULL, 0);
}
END_TEST

START_TEST(a_row_has_a_rule)
{
    struct command c = *command_row(CMD_SET);
    struct slice argv[] = {SLICE("SET"), SLICE("k"), SLICE("v")};

    c.touched = TOUCH_ANY + 1;
    (void)!command_touched(&c, argv, 3, NULL, 0);
}
END_TEST

/* Never more than the arguments, and for a command that writes, among its keys. */
START_TEST(any_arguments_do_no_harm)
{
    static const char *const some[] = {"",   "0",     "1",    "2",    "-1",        "store",
                                       "by", "group", "keys", "auth", "storedist", "streams"};
    uint64_t state = 5;

    for (unsigned round = 0; round < 50000; round++) {
        const struct command *c = command_row((enum command_id)(1 + round % (COMMAND_ROWS - 1)));
        struct slice argv[12];
        uint32_t keys[12], index[12], argc;
        int n, key_count;

        state = state * UINT64_C(6364136223846793005) + 1;
        argc = 1 + (uint32_t)(state >> 33) % 12;
        for (uint32_t i = 0; i < argc; i++) {
            state = state * UINT64_C(6364136223846793005) + 1;
            argv[i] = slice_str(some[(state >> 33) % ARRAY_LEN(some)]);
        }
        n = command_touched(c, argv, argc, index, 12);
        key_count = command_keys(c, argv, argc, keys, 12);
        ck_assert_int_lt(n, (int)argc);
        for (int i = 0, k = 0; i < n; i++, k++) {
            ck_assert_uint_lt(index[i], argc);
            while (k < key_count && keys[k] != index[i])
                k++;
            if (key_count >= 0 && (c->flags & CF_CONTAINER) == 0)
                ck_assert_msg(k < key_count, "%s", c->name);
        }
    }
}
END_TEST

Suite *touched_suite(void)
{
    Suite *suite = suite_create("command/touched");
    TCase *tc = tcase_create("touched");

    tcase_add_test(tc, what_is_written);
    tcase_add_test(tc, what_is_not);
    tcase_add_test(tc, what_may_be);
    tcase_add_test(tc, all_rows_are_tried);
    tcase_add_test_raise_signal(tc, a_request_has_a_word, SIGABRT);
    tcase_add_test_raise_signal(tc, a_row_has_a_rule, SIGABRT);
    tcase_add_test(tc, any_arguments_do_no_harm);
    suite_add_tcase(suite, tc);
    return suite;
}
