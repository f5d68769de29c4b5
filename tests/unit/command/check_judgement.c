/* check_judgement.c - what the rows say of routes, flags and arity.
 *
 * The lists are written out once more, from the design and not from larder.tsv: a slip there must
 * not go through. */
#include "command/table.h"

#include <check.h>

#include "suites.h"

/* The row of "get" or "client|list". */
static const struct command *row(const char *name)
{
    for (uint32_t id = 1; id < COMMAND_ROWS; id++) {
        const struct command *c = command_row((enum command_id)id);

        if (strcmp(c->name, name) == 0)
            return c;
    }
    ck_abort_msg("no row %s", name);
    return NULL;
}

static bool is_in(const char *name, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (strcmp(*names, name) == 0)
            return true;
    }
    return false;
}

/* Of all rows these have the flag, and no others. */
static void check_flag(unsigned flag, const char *const *names)
{
    for (uint32_t id = 1; id < COMMAND_ROWS; id++) {
        const struct command *c = command_row((enum command_id)id);

        ck_assert_msg(((c->flags & flag) != 0) == is_in(c->name, names), "%s", c->name);
    }
    for (; *names != NULL; names++)
        (void)row(*names);
}

static const char *const admin[] = {
    "acl",
    "acl|deluser",
    "acl|dryrun",
    "acl|getuser",
    "acl|list",
    "acl|load",
    "acl|log",
    "acl|save",
    "acl|setuser",
    "acl|users",
    "bgrewriteaof",
    "bgsave",
    "cluster",
    "cluster|addslots",
    "cluster|addslotsrange",
    "cluster|bumpepoch",
    "cluster|count-failure-reports",
    "cluster|countkeysinslot",
    "cluster|delslots",
    "cluster|delslotsrange",
    "cluster|failover",
    "cluster|flushslots",
    "cluster|forget",
    "cluster|getkeysinslot",
    "cluster|links",
    "cluster|meet",
    "cluster|replicas",
    "cluster|replicate",
    "cluster|reset",
    "cluster|saveconfig",
    "cluster|set-config-epoch",
    "cluster|setslot",
    "cluster|slaves",
    "config",
    "config|resetstat",
    "config|rewrite",
    "config|set",
    "debug",
    "failover",
    "latency|reset",
    "migrate",
    "module",
    "module|load",
    "module|loadex",
    "module|unload",
    "psync",
    "replconf",
    "replicaof",
    "save",
    "shutdown",
    "slaveof",
    "slowlog|reset",
    "swapdb",
    "sync",
    NULL,
};

START_TEST(what_is_refused_by_default)
{
    check_flag(CF_ADMIN, admin);
}
END_TEST

START_TEST(what_needs_no_login)
{
    check_flag(CF_NO_AUTH, (const char *const[]){"auth", "hello", "quit", "reset", NULL});
}
END_TEST

START_TEST(what_a_busy_server_hears)
{
    check_flag(CF_BUSY_OK,
               (const char *const[]){"auth", "discard", "function|kill", "function|stats", "hello",
                                     "multi", "quit", "replconf", "reset", "script|kill",
                                     "shutdown", "unwatch", "watch", NULL});
}
END_TEST

START_TEST(what_is_a_container)
{
    check_flag(CF_CONTAINER,
               (const char *const[]){"acl", "client", "cluster", "command", "config", "function",
                                     "latency", "memory", "module", "object", "pubsub", "script",
                                     "slowlog", "xgroup", "xinfo", NULL});
}
END_TEST

static const char *const cacheable[] = {"bitcount",
                                        "bitfield_ro",
                                        "bitpos",
                                        "digest",
                                        "exists",
                                        "geodist",
                                        "geohash",
                                        "geopos",
                                        "georadius_ro",
                                        "georadiusbymember_ro",
                                        "geosearch",
                                        "get",
                                        "getbit",
                                        "getrange",
                                        "hexists",
                                        "hget",
                                        "hgetall",
                                        "hkeys",
                                        "hlen",
                                        "hmget",
                                        "hstrlen",
                                        "hvals",
                                        "lcs",
                                        "lindex",
                                        "llen",
                                        "lpos",
                                        "lrange",
                                        "mget",
                                        "pfcount",
                                        "scard",
                                        "sdiff",
                                        "sinter",
                                        "sismember",
                                        "smembers",
                                        "smismember",
                                        "strlen",
                                        "substr",
                                        "sunion",
                                        "type",
                                        "xlen",
                                        "xrange",
                                        "xrevrange",
                                        "zcard",
                                        "zcount",
                                        "zlexcount",
                                        "zmscore",
                                        "zrange",
                                        "zrangebylex",
                                        "zrangebyscore",
                                        "zrank",
                                        "zrevrange",
                                        "zrevrangebylex",
                                        "zrevrangebyscore",
                                        "zrevrank",
                                        "zscore",
                                        NULL};

START_TEST(what_a_near_cache_may_keep)
{
    check_flag(CF_CACHEABLE, cacheable);
    for (uint32_t id = 1; id < COMMAND_ROWS; id++) {
        const struct command *c = command_row((enum command_id)id);

        if (c->flags & CF_CACHEABLE) {
            ck_assert_msg((c->flags & (CF_READ | CF_WRITE)) == CF_READ, "%s", c->name);
            ck_assert_msg(c->first == 1 && c->route == ROUTE_SHARED, "%s", c->name);
        }
    }
}
END_TEST

/* Those that may leave a key where there was none. */
static const char *const creating[] = {
    "append",
    "bitfield",
    "bitop",
    "blmove",
    "brpoplpush",
    "copy",
    "decr",
    "decrby",
    "eval",
    "evalsha",
    "fcall",
    "geoadd",
    "georadius",
    "georadiusbymember",
    "geosearchstore",
    "getset",
    "hincrby",
    "hincrbyfloat",
    "hmset",
    "hset",
    "hsetex",
    "hsetnx",
    "incr",
    "incrby",
    "incrbyfloat",
    "lmove",
    "lpush",
    "mset",
    "msetex",
    "msetnx",
    "pfadd",
    "pfmerge",
    "psetex",
    "rename",
    "renamenx",
    "restore",
    "restore-asking",
    "rpoplpush",
    "rpush",
    "sadd",
    "sdiffstore",
    "set",
    "setbit",
    "setex",
    "setnx",
    "setrange",
    "sinterstore",
    "smove",
    "sort",
    "sunionstore",
    "xadd",
    "xgroup|create",
    "zadd",
    "zdiffstore",
    "zincrby",
    "zinterstore",
    "zrangestore",
    "zunionstore",
    NULL,
};

START_TEST(what_makes_a_key)
{
    check_flag(CF_CREATES, creating);
    for (uint32_t id = 1; id < COMMAND_ROWS; id++) {
        const struct command *c = command_row((enum command_id)id);

        if (c->flags & CF_CREATES) {
            ck_assert_msg((c->flags & (CF_READ | CF_ADMIN | CF_NO_DB)) == 0, "%s", c->name);
            ck_assert_msg(c->touched != TOUCH_NONE && c->touched != TOUCH_ANY, "%s", c->name);
        }
    }
}
END_TEST

/* Of all rows these have the route, and no others. */
static void check_route(enum route route, const char *const *names)
{
    for (uint32_t id = 1; id < COMMAND_ROWS; id++) {
        const struct command *c = command_row((enum command_id)id);

        ck_assert_msg((c->route == route) == is_in(c->name, names), "%s", c->name);
    }
    for (; *names != NULL; names++)
        (void)row(*names);
}

START_TEST(the_ways_commands_go)
{
    check_route(ROUTE_TX,
                (const char *const[]){"multi", "exec", "discard", "watch", "unwatch", NULL});
    check_route(ROUTE_BLOCK, (const char *const[]){"blpop", "brpop", "blmove", "blmpop",
                                                   "brpoplpush", "bzpopmin", "bzpopmax", "bzmpop",
                                                   "xread", "xreadgroup", NULL});
    check_route(ROUTE_WAIT, (const char *const[]){"wait", "waitaof", NULL});
    check_route(ROUTE_SUBSCRIBE,
                (const char *const[]){"subscribe", "psubscribe", "ssubscribe", "unsubscribe",
                                      "punsubscribe", "sunsubscribe", NULL});
    check_route(ROUTE_MONITOR, (const char *const[]){"monitor", NULL});
    check_route(ROUTE_LENT,
                (const char *const[]){"debug", "failover", "function|kill", "function|stats",
                                      "script|kill", "shutdown", NULL});
    check_route(ROUTE_OWN, (const char *const[]){"sync", "psync", "replconf", "asking", "readonly",
                                                 "readwrite", "script|debug", NULL});
    check_flag(CF_BLOCK_OPT, (const char *const[]){"xread", "xreadgroup", NULL});
}
END_TEST

START_TEST(what_larder_answers)
{
    static const char *const local[] = {"auth", "client", "echo",  "hello",  "info", "larder",
                                        "ping", "quit",   "reset", "select", NULL};

    for (uint32_t id = 1; id < COMMAND_ROWS; id++) {
        const struct command *c = command_row((enum command_id)id);
        bool want = is_in(c->name, local) || strncmp(c->name, "client|", 7) == 0;

        ck_assert_msg((c->route == ROUTE_LOCAL) == want, "%s", c->name);
    }
}
END_TEST

/* Nothing whose meaning depends on the db may go without its SELECT. */
START_TEST(what_no_db_is_not)
{
    for (uint32_t id = 1; id < COMMAND_ROWS; id++) {
        const struct command *c = command_row((enum command_id)id);

        if (c->flags & CF_NO_DB)
            ck_assert_msg(c->first == 0 && c->keys == KEYS_FIXED, "%s", c->name);
    }
    for (const char *const *name =
             (const char *const[]){"select", "multi", "exec", "watch", "scan", "keys", "dbsize",
                                   "randomkey", "flushdb", "debug", "eval", "memory|usage", NULL};
         *name != NULL; name++)
        ck_assert_msg((row(*name)->flags & CF_NO_DB) == 0, "%s", *name);
}
END_TEST

START_TEST(reads_and_writes)
{
    ck_assert_uint_eq(row("get")->flags & (CF_READ | CF_WRITE), CF_READ);
    ck_assert_uint_eq(row("set")->flags & (CF_READ | CF_WRITE), CF_WRITE);
    ck_assert_uint_eq(row("sort")->flags & (CF_READ | CF_WRITE), CF_WRITE);
    ck_assert_uint_eq(row("sort_ro")->flags & (CF_READ | CF_WRITE), CF_READ);
    ck_assert_uint_eq(row("xreadgroup")->flags & (CF_READ | CF_WRITE), CF_WRITE);
    ck_assert_uint_eq(row("hgetex")->flags & (CF_READ | CF_WRITE), CF_WRITE);
    ck_assert_uint_eq(row("httl")->flags & (CF_READ | CF_WRITE), CF_READ);
    ck_assert_uint_eq(row("eval")->flags & (CF_READ | CF_WRITE), 0);
    ck_assert_uint_ne(row("publish")->flags & CF_PUBSUB, 0);
    ck_assert_uint_ne(row("eval")->flags & CF_MOVABLE, 0);
}
END_TEST

START_TEST(arity_exact_and_at_least)
{
    const struct command *get = row("get"), *set = row("set"), *list = row("client|list");

    ck_assert(!command_arity_ok(get, 0) && !command_arity_ok(get, 1));
    ck_assert(command_arity_ok(get, 2) && !command_arity_ok(get, 3));
    ck_assert(!command_arity_ok(set, 2) && command_arity_ok(set, 3) && command_arity_ok(set, 4));
    ck_assert(command_arity_ok(set, INT32_MAX));
    ck_assert(!command_arity_ok(list, 1) && command_arity_ok(list, 2));
    ck_assert(command_arity_ok(row("ping"), 1) && !command_arity_ok(row("larder"), 1));
}
END_TEST

Suite *judgement_suite(void)
{
    Suite *suite = suite_create("command/judgement");
    TCase *tc = tcase_create("rows");

    tcase_add_test(tc, what_is_refused_by_default);
    tcase_add_test(tc, what_needs_no_login);
    tcase_add_test(tc, what_a_busy_server_hears);
    tcase_add_test(tc, what_is_a_container);
    tcase_add_test(tc, what_a_near_cache_may_keep);
    tcase_add_test(tc, what_makes_a_key);
    tcase_add_test(tc, the_ways_commands_go);
    tcase_add_test(tc, what_larder_answers);
    tcase_add_test(tc, what_no_db_is_not);
    tcase_add_test(tc, reads_and_writes);
    tcase_add_test(tc, arity_exact_and_at_least);
    suite_add_tcase(suite, tc);
    return suite;
}
