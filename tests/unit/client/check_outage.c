/* check_outage.c - what is said in the upstream's stead, and of which requests. What Redis itself
 * says of an absent key tests/system/test_outage_policies.py compares. */
#include <stdlib.h>
#include <string.h>

#include "client/outage.h"
#include "client/outage_words.h"
#include "config/load.h"
#include "policy/policies.h"
#include "resp/write.h"
#include "room.h"
#include "suites.h"

#define WORDS 12

static struct settings *settings;
static struct policies *policies;

static void begin(void)
{
    static const char ini[] =
        "[policy miss]\nprefix = m:\non_outage = miss\n"
        "[policy open]\nprefix = o:\non_outage = open\n"
        "[policy drop]\nprefix = d:\ndrop_writes = yes\n"
        "[policy both]\nprefix = b:\ndrop_writes = yes\non_outage = open\n"
        "[policy error]\nprefix = e:\n";
    struct buffer errors = {0};

    room_open();
    settings = settings_load_text("x", slice_str(ini), &errors);
    ck_assert_ptr_nonnull(settings);
    policies = policies_new(settings, NULL);
    clients_use_outage(room.all, policies);
}

static void end(void)
{
    room_close();
    policies_free(policies);
    settings_free(settings);
}

/* The words of a line; good until the next. */
static struct request request_of(const char *line)
{
    static struct slice argv[WORDS];
    uint32_t n = 0;

    while (*line != 0) {
        size_t len = strcspn(line, " ");

        ck_assert_uint_lt(n, WORDS);
        argv[n++] = slice_of(line, len);
        line += len + (line[len] == ' ');
    }
    return (struct request){.command = command_of(argv, n), .argv = argv, .argc = n};
}

/* ---- words ---- */

static const struct {
    const char *line, *resp2, *resp3;
} absent[] = {
    {"GET k", "$-1\r\n", "_\r\n"},
    {"HGETALL k", "*0\r\n", "%0\r\n"},
    {"SMEMBERS k", "*0\r\n", "~0\r\n"},
    {"HMGET k a b", "*2\r\n$-1\r\n$-1\r\n", "*2\r\n_\r\n_\r\n"},
    {"GEOPOS k a", "*1\r\n*-1\r\n", "*1\r\n_\r\n"},
    {"SRANDMEMBER k", "$-1\r\n", "_\r\n"},
    {"SRANDMEMBER k 1", "*0\r\n", "*0\r\n"},
    {"LPOS k x RANK 1", "$-1\r\n", "_\r\n"},
    {"LPOS k x rank 1 count 0", "*0\r\n", "*0\r\n"},
    {"BITPOS k 0", ":0\r\n", ":0\r\n"},
    {"BITPOS k 1", ":-1\r\n", ":-1\r\n"},
    {"TTL k", ":-2\r\n", ":-2\r\n"},
    {"TYPE k", "+none\r\n", "+none\r\n"},
    {"HTTL k FIELDS 2 a b", "*2\r\n:-2\r\n:-2\r\n", "*2\r\n:-2\r\n:-2\r\n"},
    {"ZRANK k m", "$-1\r\n", "_\r\n"},
    {"XPENDING k g", "-NOGROUP No such key 'k' or consumer group 'g'\r\n",
     "-NOGROUP No such key 'k' or consumer group 'g'\r\n"},
    /* none of these */
    {"GET", "", ""},
    {"GET k l", "", ""},
    {"SET k v", "", ""},
    {"KEYS *", "", ""},
    {"NOSUCH k", "", ""},
    {"EVAL_RO x 1 k", "", ""},
};

START_TEST(absent_keys)
{
    struct request q = request_of(absent[_i].line);
    const char *const expected[] = {absent[_i].resp2, absent[_i].resp3};

    for (uint8_t proto = 2; proto <= 3; proto++) {
        struct buffer out = {0};
        const char *text = expected[proto - 2];

        ck_assert_int_eq(outage_absent(&q, proto, &out), text[0] != 0);
        ck_assert_msg(slice_eq(buffer_slice(&out), slice_str(text)), "%s: %.*s", absent[_i].line,
                      (int)buffer_len(&out), buffer_head(&out));
        buffer_done(&out);
    }
}
END_TEST

/* What is answered if it is dropped; NULL: it is not. */
static const struct {
    const char *line, *success;
} writes[] = {
    {"SET k v", "+OK\r\n"},
    {"set k v ex 10", "+OK\r\n"},
    {"SET k v PXAT 10", "+OK\r\n"},
    {"SET k v KEEPTTL", "+OK\r\n"},
    {"SETEX k 10 v", "+OK\r\n"},
    {"PSETEX k 10 v", "+OK\r\n"},
    {"MSET a 1 b 2", "+OK\r\n"},
    {"HMSET k f v", "+OK\r\n"},
    {"HSET k f v g w", ":2\r\n"},
    {"DEL a b c", ":3\r\n"},
    {"UNLINK a", ":1\r\n"},
    {"EXPIRE k 10", ":1\r\n"},
    {"PEXPIREAT k 10", ":1\r\n"},
    {"SET k v NX", NULL},
    {"SET k v EX 10 XX", NULL},
    {"SET k v GET", NULL},
    {"SET k v EX", NULL},
    {"SET k v EX 0", NULL},
    {"SET k v EX 5 PX 5", NULL},
    {"SET k v IFEQ x", NULL},
    {"SETEX k 0 v", NULL},
    {"SETEX k x v", NULL},
    {"SET k", NULL},
    {"MSET a 1 b", NULL},
    {"HSET k f", NULL},
    {"HSET k f v g", NULL},
    {"DEL", NULL},
    {"EXPIRE k x", NULL},
    {"EXPIRE k 10 GT", NULL},
    {"SETNX k v", NULL},
    {"MSETNX a 1", NULL},
    {"GETDEL k", NULL},
    {"INCR k", NULL},
    {"LPOP k", NULL},
    {"EVAL x 1 k", NULL},
    {"EXEC", NULL},
    {"NOSUCH k", NULL},
};

START_TEST(dropped_writes)
{
    struct request q = request_of(writes[_i].line);
    struct buffer out = {0};

    ck_assert_msg(outage_can_drop(&q) == (writes[_i].success != NULL), "%s", writes[_i].line);
    if (writes[_i].success == NULL)
        return;
    outage_success(&q, &out);
    ck_assert_msg(slice_eq(buffer_slice(&out), slice_str(writes[_i].success)), "%s",
                  writes[_i].line);
    buffer_done(&out);
}
END_TEST

START_TEST(loading)
{
    ck_assert(outage_is_reply(SLICE("-LOADING Redis is loading the dataset in memory\r\n")));
    ck_assert(outage_is_reply(SLICE("-MASTERDOWN Link with MASTER is down\r\n")));
    ck_assert(!outage_is_reply(SLICE("-LOADINGS x\r\n")));
    ck_assert(!outage_is_reply(SLICE("-READONLY You can't write\r\n")));
    ck_assert(!outage_is_reply(SLICE("+LOADING x\r\n")));
    ck_assert(!outage_is_reply(SLICE("")));
}
END_TEST

/* ---- policies ---- */

static const struct {
    const char *line;
    enum outage_act act;
} judged[] = {
    {"GET m:k", OUTAGE_READ},
    {"GET o:k", OUTAGE_READ},
    {"GET e:k", OUTAGE_NOTHING},
    {"GET d:k", OUTAGE_NOTHING},
    {"GET x", OUTAGE_NOTHING},
    {"MGET m:k o:k b:k", OUTAGE_READ},
    {"MGET m:k e:k", OUTAGE_NOTHING},
    {"MGET m:k x", OUTAGE_NOTHING},
    {"SINTERCARD 2 m:k m:l", OUTAGE_READ},
    {"SINTERCARD 2 m:k x", OUTAGE_NOTHING},
    {"SINTERCARD x m:k m:l", OUTAGE_NOTHING},
    {"DBSIZE", OUTAGE_NOTHING},
    {"KEYS m:*", OUTAGE_NOTHING},
    {"INCR o:k", OUTAGE_OPEN},
    {"INCRBY o:k 5", OUTAGE_OPEN},
    {"INCRBY o:k x", OUTAGE_NOTHING},
    {"EXPIRE o:k 5", OUTAGE_OPEN},
    {"EXPIRE o:k 5 NX", OUTAGE_OPEN},
    {"INCR m:k", OUTAGE_NOTHING},
    {"SET o:k v", OUTAGE_NOTHING},
    {"SET d:k v", OUTAGE_DROP},
    {"EXPIRE d:k 5", OUTAGE_DROP},
    {"EXPIRE b:k 5", OUTAGE_OPEN},
    {"SET b:k v", OUTAGE_DROP},
    {"DEL d:k b:k", OUTAGE_DROP},
    {"DEL d:k m:k", OUTAGE_NOTHING},
    {"MSET d:k m:v d:l v", OUTAGE_DROP},
    {"INCR d:k", OUTAGE_NOTHING},
    {"NOSUCH d:k", OUTAGE_NOTHING},
};

START_TEST(by_policy)
{
    struct request q = request_of(judged[_i].line);
    struct args args = {.v = q.argv, .n = q.argc};

    ck_assert_msg(outage_judge(room.all->outage, &q) == judged[_i].act, "%s", judged[_i].line);
    if (q.command != NULL)
        ck_assert_int_eq(outage_concerns(room.all->outage, q.command, &args),
                         judged[_i].act != OUTAGE_NOTHING);
}
END_TEST

/* Nobody has tried to reach it yet. */
START_TEST(nothing_while_it_is_not_away)
{
    struct request q = request_of("GET m:k");

    ck_assert(!outage_is_on(room.all));
    ck_assert(!outage_serve(room.c, &q));
    ck_assert_ptr_null(outage_why(room.all, &q));
}
END_TEST

Suite *outage_suite(void)
{
    Suite *s = suite_create("outage");
    TCase *words = tcase_create("words"), *by = tcase_create("policies");

    tcase_add_loop_test(words, absent_keys, 0, ARRAY_LEN(absent));
    tcase_add_loop_test(words, dropped_writes, 0, ARRAY_LEN(writes));
    tcase_add_test(words, loading);
    suite_add_tcase(s, words);
    tcase_add_checked_fixture(by, begin, end);
    tcase_add_loop_test(by, by_policy, 0, ARRAY_LEN(judged));
    tcase_add_test(by, nothing_while_it_is_not_away);
    suite_add_tcase(s, by);
    return s;
}
