/* check_namespace.c - requests with a tenant's prefix put before their names. A row is what the
 * client says and what Redis is told, as words between blanks; each runs as RESP and inline. */
#include "suites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/namespace.h"
#include "resp/write.h"

struct row {
    const char *in, *out; /* out NULL: as it is */
};

static const struct row rows[] = {
    {"PING", NULL},
    {"get k", "get t[:k"},
    {"SET k k EX 10", "SET t[:k k EX 10"},
    {"MSET a 1 b 2", "MSET t[:a 1 t[:b 2"},
    {"DEL a b c", "DEL t[:a t[:b t[:c"},
    {"COPY a b DB 3", "COPY t[:a t[:b DB 3"},
    {"ZUNIONSTORE d 2 a b WEIGHTS 1 2", "ZUNIONSTORE t[:d 2 t[:a t[:b WEIGHTS 1 2"},
    {"LMPOP 2 a b LEFT", "LMPOP 2 t[:a t[:b LEFT"},
    {"BLPOP a b 0", "BLPOP t[:a t[:b 0"},
    {"XREAD COUNT 1 STREAMS s r 0 0", "XREAD COUNT 1 STREAMS t[:s t[:r 0 0"},
    {"XREADGROUP GROUP STREAMS c STREAMS s >", "XREADGROUP GROUP STREAMS c STREAMS t[:s >"},
    {"XGROUP CREATE s g $ MKSTREAM", "XGROUP CREATE t[:s g $ MKSTREAM"},
    {"XINFO STREAM s", "XINFO STREAM t[:s"},
    {"OBJECT ENCODING k", "OBJECT ENCODING t[:k"},
    {"MEMORY USAGE k SAMPLES 0", "MEMORY USAGE t[:k SAMPLES 0"},
    {"DEBUG OBJECT k", "DEBUG OBJECT t[:k"},
    {"SORT k", "SORT t[:k"},
    {"SORT k BY w_* LIMIT 0 1 GET # GET o_*->f GET BY STORE d",
     "SORT t[:k BY t[:w_* LIMIT 0 1 GET # GET t[:o_*->f GET t[:BY STORE t[:d"},
    {"SORT_RO k GET BY BY GET", "SORT_RO t[:k GET t[:BY BY t[:GET"},
    {"GEORADIUS k 1 2 3 m STORE a STOREDIST b", "GEORADIUS t[:k 1 2 3 m STORE t[:a STOREDIST t[:b"},
    {"KEYS a*", "KEYS t\\[:a*"},
    {"SCAN 0", "SCAN 0 MATCH t\\[:*"},
    {"SCAN 0 COUNT 5", "SCAN 0 COUNT 5 MATCH t\\[:*"},
    {"SCAN 0 match a* TYPE list MATCH ?", "SCAN 0 match t\\[:a* TYPE list MATCH t\\[:?"},
    {"SCAN 0 COUNT MATCH", "SCAN 0 COUNT MATCH MATCH t\\[:*"},
    {"PUBLISH c m", "PUBLISH t[:c m"},
    {"SPUBLISH c m", "SPUBLISH t[:c m"},
    {"SUBSCRIBE a b", "SUBSCRIBE t[:a t[:b"},
    {"SUBSCRIBE __redis__:invalidate", "SUBSCRIBE __redis__:invalidate"},
    {"PUBLISH __redis__:invalidate x", "PUBLISH t[:__redis__:invalidate x"},
    {"SUBSCRIBE __keyspace@0__:k __keyevent@0__:del",
     "SUBSCRIBE __keyspace@0__:t[:k __keyevent@0__:del"},
    {"PSUBSCRIBE a* __keyspace@*__:b* __keyevent@*",
     "PSUBSCRIBE t\\[:a* __keyspace@*__:t\\[:b* __keyevent@*"},
    {"PSUBSCRIBE __redis__:invalidate", "PSUBSCRIBE t\\[:__redis__:invalidate"},
    {"UNSUBSCRIBE", NULL},
    {"PUBSUB CHANNELS", "PUBSUB CHANNELS t\\[:*"},
    {"PUBSUB CHANNELS a?", "PUBSUB CHANNELS t\\[:a?"},
    {"PUBSUB NUMSUB a b", "PUBSUB NUMSUB t[:a t[:b"},
    {"CLIENT TRACKING ON", NULL},
    {"CLIENT TRACKING ON BCAST", "CLIENT TRACKING ON BCAST PREFIX t[:"},
    {"CLIENT TRACKING ON PREFIX PREFIX BCAST REDIRECT 7 PREFIX b",
     "CLIENT TRACKING ON PREFIX t[:PREFIX BCAST REDIRECT 7 PREFIX t[:b"},
    {"EVAL s 2 a b c", "EVAL s 2 t[:a t[:b c"},
    /* The server says what is wrong: all that might be a key to it has the prefix. */
    {"EVAL s x k", "EVAL s x t[:k"},
    {"EVAL s 2 k", "EVAL s 2 t[:k"},
    {"ZUNION 3 a b", "ZUNION 3 t[:a t[:b"},
    {"LMPOP x a LEFT", "LMPOP x t[:a t[:LEFT"},
    {"BLMPOP 1 -1 a LEFT", "BLMPOP 1 -1 t[:a t[:LEFT"},
    {"ZUNIONSTORE d 3 a b", "ZUNIONSTORE t[:d 3 t[:a t[:b"},
    {"ZUNIONSTORE d x a b", "ZUNIONSTORE t[:d x t[:a t[:b"},
    {"MSETEX 2 a 1 b", "MSETEX 2 t[:a t[:1 t[:b"},
    {"XREAD STREAMS a b 0", "XREAD STREAMS t[:a t[:b t[:0"},
    {"XREAD NEW 1 STREAMS a 0", "XREAD NEW 1 STREAMS t[:a t[:0"},
    {"XREADGROUP GROUP STREAMS c STREAMS a b 0",
     "XREADGROUP GROUP STREAMS t[:c t[:STREAMS t[:a t[:b t[:0"},
    {"XREAD COUNT 1 BLOCK 0", NULL},
    {"LARDER FRESH EVAL s 2 k", "LARDER FRESH EVAL s 2 t[:k"},
    {"WATCH a b", "WATCH t[:a t[:b"},
    {"MSETEX 2 a 1 b 2 EX 5", "MSETEX 2 t[:a 1 t[:b 2 EX 5"},
    {"COMMAND GETKEYS GET k", NULL},
    {"LARDER MISS k", "LARDER MISS t[:k"},
    {"LARDER SETLEASE k token v EX 5", "LARDER SETLEASE t[:k token v EX 5"},
    {"LARDER MSETEX 0 a 1 b 2", "LARDER MSETEX 0 t[:a 1 t[:b 2"},
    {"LARDER FRESH GET k", "LARDER FRESH GET t[:k"},
    {"LARDER FRESH SCAN 0", "LARDER FRESH SCAN 0 MATCH t\\[:*"},
};

struct refusal {
    const char *in;
    enum namespace_result result;
};

static const struct refusal refusals[] = {
    {"NOSUCH k", NAMESPACE_REFUSED},
    {"CLIENT NOSUCH k", NAMESPACE_REFUSED},
    {"MONITOR", NAMESPACE_REFUSED},
    {"MIGRATE h 1 k 0 1", NAMESPACE_REFUSED},
    {"CONFIG GET *", NAMESPACE_REFUSED},
    {"ACL WHOAMI", NAMESPACE_REFUSED},
    {"SWAPDB 0 1", NAMESPACE_REFUSED},
    {"SCRIPT FLUSH", NAMESPACE_REFUSED},
    {"FUNCTION LIST", NAMESPACE_REFUSED},
    {"PUBSUB NUMPAT", NAMESPACE_REFUSED},
    {"DEBUG SLEEP 1", NAMESPACE_REFUSED},
    {"DEBUG OBJECT k fast", NAMESPACE_REFUSED},
    {"LARDER STATS", NAMESPACE_REFUSED},
    {"LARDER FRESH DBSIZE", NAMESPACE_REFUSED},
    {"LARDER FRESH FLUSHALL", NAMESPACE_REFUSED},
    {"LARDER FRESH LARDER FRESH GET k", NAMESPACE_REFUSED},
    {"LARDER FRESH NOSUCH k", NAMESPACE_REFUSED},
    {"GET", NAMESPACE_ARITY},
    {"GET a b", NAMESPACE_ARITY},
    {"SCAN 0 MATCH", NAMESPACE_SYNTAX},
    {"SCAN 0 NEW MATCH a", NAMESPACE_SYNTAX},
    {"SCAN 0 MATCH a NEW MATCH", NAMESPACE_SYNTAX},
};

static void split(const char *text, struct args *a)
{
    a->n = 0;
    while (*text) {
        size_t n = strcspn(text, " ");

        args_add(a, slice_of(text, n));
        text += n + strspn(text + n, " ");
    }
}

static void same_args(const char *what, const struct args *a, const char *want)
{
    struct args w = {0};

    split(want, &w);
    ck_assert_msg(a->n == w.n, "%s: %u arguments", what, a->n);
    for (uint32_t i = 0; i < a->n; i++)
        ck_assert_msg(slice_eq(a->v[i], w.v[i]), "%s: argument %u is %.*s", what, i, (int)a->v[i].n,
                      a->v[i].p);
    args_done(&w);
}

static enum namespace_result put(const struct namespace *ns, const char *in, bool inlined,
                                 struct args *args, struct buffer *out)
{
    struct request_limits limits = {.max_bulk = 1 << 20, .max_request = 1 << 20};
    struct request_scan scan = {0};
    struct buffer bytes = {0}, words = {0};
    enum namespace_result r;
    uint64_t need;

    split(in, args);
    if (inlined)
        buffer_printf(&bytes, "%s\r\n", in);
    else
        write_request(&bytes, args->v, args->n);
    ck_assert_int_eq(
        request_scan(&scan, buffer_head(&bytes), buffer_len(&bytes), &limits, args, &words, &need),
        SCAN_OK);
    buffer_add(out, "before", 6);
    r = namespace_put(ns, command_of(args->v, args->n), buffer_slice(&bytes), args, out);
    if (r == NAMESPACE_AS_IS)
        write_request(out, args->v, args->n);
    if (r == NAMESPACE_PUT) /* what came must not be pointed to any more */
        memset(buffer_head(&bytes), '!', buffer_len(&bytes));
    buffer_done(&bytes);
    buffer_done(&words);
    return r;
}

static void check_row(const struct row *row, bool inlined)
{
    struct namespace ns;
    struct buffer out = {0}, want = {0};
    struct args args = {0}, wanted = {0};
    enum namespace_result r;

    namespace_init(&ns, SLICE("t[:"), true);
    r = put(&ns, row->in, inlined, &args, &out);
    ck_assert_msg(r == (row->out != NULL ? NAMESPACE_PUT : NAMESPACE_AS_IS), "%s: %d", row->in,
                  (int)r);
    if (r == NAMESPACE_PUT)
        same_args(row->in, &args, row->out);
    split(row->out != NULL ? row->out : row->in, &wanted);
    buffer_add(&want, "before", 6);
    write_request(&want, wanted.v, wanted.n);
    ck_assert_msg(slice_eq(buffer_slice(&out), buffer_slice(&want)), "%s: %.*s", row->in,
                  (int)buffer_len(&out), buffer_head(&out));
    args_done(&args);
    args_done(&wanted);
    buffer_done(&out);
    buffer_done(&want);
    namespace_done(&ns);
}

START_TEST(every_row)
{
    check_row(&rows[_i], false);
    check_row(&rows[_i], true);
}
END_TEST

START_TEST(refused)
{
    struct namespace ns;
    struct args args = {0};
    struct buffer out = {0};

    namespace_init(&ns, SLICE("t[:"), true);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        enum namespace_result r = put(&ns, refusals[i].in, false, &args, &out);

        ck_assert_msg(r == refusals[i].result, "%s: %d", refusals[i].in, (int)r);
    }
    args_done(&args);
    buffer_done(&out);
    namespace_done(&ns);
}
END_TEST

START_TEST(scripts)
{
    static const char *const said[] = {"EVAL s 0",    "EVALSHA x 1 k", "FCALL f 0",
                                       "EVAL_RO s 0", "SCRIPT LOAD s", "SCRIPT EXISTS x"};
    struct namespace ns, with;
    struct args args = {0};
    struct buffer out = {0};

    namespace_init(&ns, SLICE("t:"), false);
    namespace_init(&with, SLICE("t:"), true);
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        ck_assert_int_eq(put(&ns, said[i], false, &args, &out), NAMESPACE_REFUSED);
        ck_assert_int_ne(put(&with, said[i], false, &args, &out), NAMESPACE_REFUSED);
    }
    args_done(&args);
    buffer_done(&out);
    namespace_done(&ns);
    namespace_done(&with);
}
END_TEST

/* A star in the prefix would take SORT's patterns out of it. */
START_TEST(star)
{
    struct namespace ns;
    struct args args = {0};
    struct buffer out = {0};

    namespace_init(&ns, SLICE("t*:"), true);
    ck_assert_int_eq(put(&ns, "SORT k BY w_*", false, &args, &out), NAMESPACE_REFUSED);
    ck_assert_int_eq(put(&ns, "SORT k GET #", false, &args, &out), NAMESPACE_PUT);
    ck_assert_int_eq(put(&ns, "KEYS *", false, &args, &out), NAMESPACE_PUT);
    same_args("KEYS", &args, "KEYS t\\*:*");
    args_done(&args);
    buffer_done(&out);
    namespace_done(&ns);
}
END_TEST

/* More keys than fit on the stack, in the order in which they stand. */
START_TEST(many)
{
    struct namespace ns;
    struct args args = {0};
    struct buffer in = {0}, want = {0}, out = {0};

    namespace_init(&ns, SLICE("t:"), false);
    buffer_printf(&in, "DEL");
    buffer_printf(&want, "DEL");
    for (int i = 0; i < 1000; i++) {
        buffer_printf(&in, " key%d", i);
        buffer_printf(&want, " t:key%d", i);
    }
    buffer_add(&in, "", 1);
    buffer_add(&want, "", 1);
    ck_assert_int_eq(put(&ns, buffer_head(&in), false, &args, &out), NAMESPACE_PUT);
    same_args("DEL", &args, buffer_head(&want));
    args_done(&args);
    buffer_done(&in);
    buffer_done(&want);
    buffer_done(&out);
    namespace_done(&ns);
}
END_TEST

/* Whatever the table calls a key has the prefix behind namespace_put(), in every command that it
 * lets pass, in every form that fits its row. */
START_TEST(every_key_of_the_table)
{
    struct namespace ns;
    struct args args = {0};
    struct buffer out = {0};
    uint32_t before[64], seen = 0;

    namespace_init(&ns, SLICE("t:"), true);
    for (uint16_t id = CMD_UNKNOWN + 1; id < COMMAND_ROWS; id++) {
        const struct command *c = command_row((enum command_id)id);
        struct buffer in = {0};
        char name[64];
        int n;

        if (c->tenant == TENANT_REFUSED || c->tenant == TENANT_PLAIN || c->keys != KEYS_FIXED ||
            c->first == 0)
            continue;
        (void)snprintf(name, sizeof name, "%s", c->name);
        if (strchr(name, '|') != NULL)
            *strchr(name, '|') = ' ';
        buffer_printf(&in, "%s", name);
        for (int i = strchr(name, ' ') != NULL ? 2 : 1; i < (c->arity < 0 ? -c->arity : c->arity);
             i++)
            buffer_printf(&in, " k%d", i);
        buffer_add(&in, "", 1);
        split(buffer_head(&in), &args);
        n = command_keys(c, args.v, args.n, before, 64);
        ck_assert_msg(n > 0, "%s", buffer_head(&in));
        ck_assert_int_eq(put(&ns, buffer_head(&in), false, &args, &out), NAMESPACE_PUT);
        for (int i = 0; i < n; i++)
            ck_assert_msg(namespace_has(&ns, args.v[before[i]]), "%s: argument %u",
                          buffer_head(&in), before[i]);
        seen++;
        buffer_done(&in);
    }
    ck_assert_uint_gt(seen, 150);
    args_done(&args);
    buffer_done(&out);
    namespace_done(&ns);
}
END_TEST

Suite *namespace_suite(void)
{
    Suite *suite = suite_create("namespace");
    TCase *tcase = tcase_create("namespace");

    tcase_add_loop_test(tcase, every_row, 0, (int)(sizeof rows / sizeof rows[0]));
    tcase_add_test(tcase, refused);
    tcase_add_test(tcase, scripts);
    tcase_add_test(tcase, star);
    tcase_add_test(tcase, many);
    tcase_add_test(tcase, every_key_of_the_table);
    suite_add_tcase(suite, tcase);
    return suite;
}
