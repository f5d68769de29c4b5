/*
 * Drives larder through hiredis, as C programs do: blocking, pipelined, and asynchronous on
 * libevent.
 *
 * Prints one line per test, as the other suites do. A test returns NULL when it passed, else what
 * it expected; SKIPPED means that it cannot run here. An alarm ends a test that hangs. hiredis 0.14
 * speaks RESP2 only; from 1.0 on RESP3 is tried too.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "hiredis_client.h"

enum { TEST_SECONDS = 25 };

struct test {
    const char *name;
    const char *(*run)(const struct place *);
};

/* ---- small helpers ---- */

int number_in(const char *text)
{
    int number = *text >= '0' && *text <= '9' ? 0 : -1;
    for (; *text >= '0' && *text <= '9' && number < 1000000; text++)
        number = number * 10 + (*text - '0');
    return number;
}

static int number_of(const char *name)
{
    const char *text = getenv(name);
    return text ? number_in(text) : -1;
}

static redisContext *join(const struct place *at)
{
    struct timeval limit = {20, 0};
    redisContext *c = redisConnect(at->host, at->port);
    if (!c || c->err) {
        printf("FAIL hiredis: no connection: %s\n", c ? c->errstr : "no memory");
        exit(1);
    }
    redisSetTimeout(c, limit);
    return c;
}

/* Takes the reply; whether it is a string, status or error with exactly this text. */
static bool says(redisReply *reply, const char *text)
{
    bool same = reply && reply->str && reply->len == (size_t)strlen(text) &&
                memcmp(reply->str, text, strlen(text)) == 0;
    freeReplyObject(reply);
    return same;
}

/* Takes the reply; whether it is an error that begins so. */
static bool fails(redisReply *reply, const char *text)
{
    bool so =
        reply && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, text, strlen(text)) == 0;
    freeReplyObject(reply);
    return so;
}

/* Takes the reply; its integer, or -1. */
static long long count(redisReply *reply)
{
    long long n = reply && reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
    freeReplyObject(reply);
    return n;
}

/* Takes the reply. */
static bool nothing(redisReply *reply)
{
    bool nil = reply && reply->type == REDIS_REPLY_NIL;
    freeReplyObject(reply);
    return nil;
}

static redisReply *next(redisContext *c)
{
    void *reply = NULL;
    return redisGetReply(c, &reply) == REDIS_OK ? reply : NULL;
}

char *big_value(void)
{
    char *value = malloc(BIG_SIZE);
    uint32_t seed = 2463534242U;
    for (size_t i = 0; value && i < BIG_SIZE; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        value[i] = (char)(seed & 0xff);
    }
    return value;
}

bool is_big(const redisReply *reply, const char *big)
{
    return reply && reply->type == REDIS_REPLY_STRING && reply->len == BIG_SIZE &&
           memcmp(reply->str, big, BIG_SIZE) == 0;
}

static void pause_briefly(void)
{
    struct timespec a_moment = {0, 2000000};
    nanosleep(&a_moment, NULL);
}

static int blocked(redisContext *c)
{
    redisReply *reply = redisCommand(c, "INFO clients");
    const char *at = reply && reply->str ? strstr(reply->str, "blocked_clients:") : NULL;
    int n = at ? number_in(at + strlen("blocked_clients:")) : -1;
    freeReplyObject(reply);
    return n;
}

const char *control(const char *line)
{
    char answer[256] = "";
    size_t used = 0;
    int port = number_of("CONTROL_PORT");
    if (port < 0)
        return SKIPPED;
    redisContext *c = redisConnect("127.0.0.1", port); /* only for its socket */
    EXPECT(c && !c->err);
    EXPECT(write(c->fd, line, strlen(line)) == (ssize_t)strlen(line));
    for (ssize_t n = 1; n > 0 && used<sizeof answer - 1; used += n> 0 ? (size_t)n : 0)
        n = read(c->fd, answer + used, sizeof answer - 1 - used);
    redisFree(c);
    EXPECT(strcmp(answer, "ok\n") == 0);
    return NULL;
}

/* ---- tests ---- */

static const char *check_types(const struct place *at)
{
    redisContext *c = join(at);
    EXPECT(says(redisCommand(c, "SET %st:s %b", at->prefix, "a\0\r\n$b", (size_t)6), "OK"));
    redisReply *reply = redisCommand(c, "GET %st:s", at->prefix);
    EXPECT(reply && reply->len == 6 && memcmp(reply->str, "a\0\r\n$b", 6) == 0);
    freeReplyObject(reply);
    EXPECT(nothing(redisCommand(c, "GET %st:none", at->prefix)));
    EXPECT(count(redisCommand(c, "RPUSH %st:l a b c", at->prefix)) == 3);
    reply = redisCommand(c, "LRANGE %st:l 0 -1", at->prefix);
    EXPECT(reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 3);
    EXPECT(strcmp(reply->element[2]->str, "c") == 0);
    freeReplyObject(reply);
    EXPECT(fails(redisCommand(c, "INCR %st:l", at->prefix), "WRONGTYPE"));
    EXPECT(fails(redisCommand(c, "NOSUCH"), "ERR unknown command 'NOSUCH'"));
    EXPECT(says(redisCommand(c, "PING"), "PONG"));
    redisFree(c);
    return NULL;
}

static const char *check_pipeline(const struct place *at)
{
    enum { ROUNDS = 10000 };
    redisContext *c = join(at);
    char wanted[16];
    for (int i = 0; i < ROUNDS; i++) {
        EXPECT(redisAppendCommand(c, "SET %sp:%d %d", at->prefix, i % 50, i) == REDIS_OK);
        EXPECT(redisAppendCommand(c, "GET %sp:%d", at->prefix, i % 50) == REDIS_OK);
    }
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(wanted, sizeof wanted, "%d", i);
        EXPECT(says(next(c), "OK"));
        EXPECT(says(next(c), wanted));
    }
    redisFree(c);
    return NULL;
}

static const char *check_watch(const struct place *at)
{
    redisContext *c = join(at), *other = join(at);
    for (int conflict = 0; conflict < 2; conflict++) {
        EXPECT(says(redisCommand(c, "SET %sw 1", at->prefix), "OK"));
        EXPECT(says(redisCommand(c, "WATCH %sw", at->prefix), "OK"));
        if (conflict)
            EXPECT(count(redisCommand(other, "INCR %sw", at->prefix)) == 2);
        EXPECT(says(redisCommand(c, "MULTI"), "OK"));
        EXPECT(says(redisCommand(c, "SET %sw mine", at->prefix), "QUEUED"));
        redisReply *reply = redisCommand(c, "EXEC");
        EXPECT(reply && reply->type == (conflict ? REDIS_REPLY_NIL : REDIS_REPLY_ARRAY));
        freeReplyObject(reply);
        EXPECT(says(redisCommand(other, "GET %sw", at->prefix), conflict ? "2" : "mine"));
    }
    EXPECT(says(redisCommand(c, "MULTI"), "OK"));
    EXPECT(fails(redisCommand(c, "NOSUCH"), "ERR unknown command"));
    EXPECT(fails(redisCommand(c, "EXEC"), "EXECABORT"));
    redisFree(c);
    redisFree(other);
    return NULL;
}

static const char *check_blocking(const struct place *at)
{
    redisContext *c = join(at), *waiter = join(at);
    int before = blocked(c);
    int done = 0;
    EXPECT(redisAppendCommand(waiter, "BLPOP %sq 0", at->prefix) == REDIS_OK);
    while (!done)
        EXPECT(redisBufferWrite(waiter, &done) == REDIS_OK);
    while (blocked(c) != before + 1)
        pause_briefly();
    EXPECT(count(redisCommand(c, "RPUSH %sq x", at->prefix)) == 1);
    redisReply *reply = next(waiter);
    EXPECT(reply && reply->elements == 2 && strcmp(reply->element[1]->str, "x") == 0);
    freeReplyObject(reply);
    EXPECT(nothing(redisCommand(waiter, "BRPOP %sq 0.05", at->prefix)));
    redisFree(c);
    redisFree(waiter);
    return NULL;
}

static const char *check_pubsub(const struct place *at)
{
    redisContext *c = join(at), *ear = join(at);
    freeReplyObject(redisCommand(ear, "SUBSCRIBE %sch", at->prefix));
    freeReplyObject(redisCommand(ear, "PSUBSCRIBE %sc*", at->prefix));
    for (int i = 0; i < 1000; i++)
        EXPECT(redisAppendCommand(c, "PUBLISH %sch %d", at->prefix, i) == REDIS_OK);
    for (int i = 0; i < 1000; i++)
        EXPECT(count(next(c)) == 2);
    for (int i = 0; i < 1000; i++) {
        redisReply *message = next(ear), *pattern = next(ear);
        EXPECT(message && message->elements == 3 && number_in(message->element[2]->str) == i);
        EXPECT(pattern && pattern->elements == 4 && number_in(pattern->element[3]->str) == i);
        freeReplyObject(message);
        freeReplyObject(pattern);
    }
    redisReply *reply = redisCommand(ear, "PING");
    EXPECT(reply && reply->elements == 2 && strcmp(reply->element[0]->str, "pong") == 0);
    freeReplyObject(reply);
    EXPECT(fails(redisCommand(ear, "GET x"), "ERR Can't execute 'get'"));
    redisFree(c);
    redisFree(ear);
    return NULL;
}

static const char *check_lua(const struct place *at)
{
    redisContext *c = join(at);
    redisReply *reply =
        redisCommand(c, "EVAL %s 1 %slua v", "return {KEYS[1], {ARGV[1], 3}}", at->prefix);
    EXPECT(reply && reply->elements == 2 && reply->element[1]->elements == 2);
    EXPECT(reply->element[1]->element[1]->integer == 3);
    freeReplyObject(reply);
    EXPECT(fails(redisCommand(c, "EVALSHA %s 0", "0123456789012345678901234567890123456789"),
                 "NOSCRIPT"));
    reply = redisCommand(c, "SCRIPT LOAD %s", "return ARGV[1]");
    EXPECT(reply && reply->len == 40);
    EXPECT(says(redisCommand(c, "EVALSHA %s 0 hello", reply->str), "hello"));
    freeReplyObject(reply);
    EXPECT(fails(redisCommand(c, "EVAL %s 0", "return redis.error_reply('MINE broken')"),
                 "MINE broken"));
    redisFree(c);
    return NULL;
}

static const char *check_scan(const struct place *at)
{
    redisContext *c = join(at);
    char cursor[32] = "0";
    size_t found = 0;
    for (int i = 0; i < 500; i++)
        EXPECT(says(redisCommand(c, "SET %sscan:%d x", at->prefix, i), "OK"));
    do {
        redisReply *reply = redisCommand(c, "SCAN %s MATCH %sscan:* COUNT 100", cursor, at->prefix);
        EXPECT(reply && reply->elements == 2);
        snprintf(cursor, sizeof cursor, "%s", reply->element[0]->str);
        found += reply->element[1]->elements;
        freeReplyObject(reply);
    } while (strcmp(cursor, "0") != 0);
    EXPECT(found >= 500);
    redisFree(c);
    return NULL;
}

static const char *check_streams(const struct place *at)
{
    redisContext *c = join(at);
    EXPECT(says(redisCommand(c, "XGROUP CREATE %sx g $ MKSTREAM", at->prefix), "OK"));
    for (int i = 0; i < 50; i++)
        EXPECT(redisAppendCommand(c, "XADD %sx * n %d", at->prefix, i) == REDIS_OK);
    for (int i = 0; i < 50; i++)
        freeReplyObject(next(c));
    redisReply *reply =
        redisCommand(c, "XREADGROUP GROUP g me COUNT 100 BLOCK 1000 STREAMS %sx >", at->prefix);
    EXPECT(reply && reply->elements == 1 && reply->element[0]->element[1]->elements == 50);
    const char *id = reply->element[0]->element[1]->element[0]->element[0]->str;
    EXPECT(count(redisCommand(c, "XACK %sx g %s", at->prefix, id)) == 1);
    freeReplyObject(reply);
    EXPECT(nothing(redisCommand(c, "XREADGROUP GROUP g me BLOCK 20 STREAMS %sx >", at->prefix)));
    redisFree(c);
    return NULL;
}

static const char *check_big(const struct place *at)
{
    redisContext *c = join(at);
    char *big = big_value();
    EXPECT(big && says(redisCommand(c, "SET %sbig %b", at->prefix, big, BIG_SIZE), "OK"));
    for (int i = 0; i < 5; i++) {
        EXPECT(redisAppendCommand(c, "GET %sbig", at->prefix) == REDIS_OK);
        EXPECT(redisAppendCommand(c, "STRLEN %sbig", at->prefix) == REDIS_OK);
    }
    for (int i = 0; i < 5; i++) {
        redisReply *reply = next(c);
        EXPECT(is_big(reply, big));
        freeReplyObject(reply);
        EXPECT(count(next(c)) == (long long)BIG_SIZE);
    }
    EXPECT(count(redisCommand(c, "UNLINK %sbig", at->prefix)) == 1);
    free(big);
    redisFree(c);
    return NULL;
}

static const char *check_socket(const struct place *at)
{
    const char *path = getenv("LARDER_SOCKET");
    if (!path || !*path)
        return SKIPPED;
    redisContext *c = redisConnectUnix(path);
    EXPECT(c && !c->err);
    EXPECT(says(redisCommand(c, "SET %su x", at->prefix), "OK"));
    EXPECT(says(redisCommand(c, "GET %su", at->prefix), "x"));
    redisFree(c);
    return NULL;
}

static const char *check_resp3(const struct place *at)
{
#if HIREDIS_MAJOR >= 1
    redisContext *c = join(at);
    redisReply *reply = redisCommand(c, "HELLO 3");
    EXPECT(reply && reply->type == REDIS_REPLY_MAP && reply->elements == 14);
    freeReplyObject(reply);
    EXPECT(count(redisCommand(c, "HSET %s3 a 1", at->prefix)) == 1);
    reply = redisCommand(c, "HGETALL %s3", at->prefix);
    EXPECT(reply && reply->type == REDIS_REPLY_MAP && reply->elements == 2);
    freeReplyObject(reply);
    redisFree(c);
    return NULL;
#else
    (void)at;
    return SKIPPED;
#endif
}

static const char *check_reconnect(const struct place *at)
{
    redisContext *c = join(at);
    EXPECT(says(redisCommand(c, "SET %sr 1", at->prefix), "OK"));
    const char *trouble = control("restart larder\n");
    if (trouble)
        return trouble;
    EXPECT(redisCommand(c, "GET %sr", at->prefix) == NULL && c->err);
    EXPECT(redisReconnect(c) == REDIS_OK);
    EXPECT(says(redisCommand(c, "SET %sr 2", at->prefix), "OK"));
    trouble = control("restart upstream\n");
    if (trouble)
        return trouble;
    for (bool served = false; !served; pause_briefly()) {
        redisReply *reply = c->err ? NULL : redisCommand(c, "SET %sr 3", at->prefix);
        served = reply && reply->type == REDIS_REPLY_STATUS;
        freeReplyObject(reply);
        if (c->err)
            redisReconnect(c);
    }
    EXPECT(says(redisCommand(c, "GET %sr", at->prefix), "3"));
    redisFree(c);
    return NULL;
}

/* ---- the run ---- */

static const struct test TESTS[] = {
    {"values of every type, errors", check_types},
    {"pipeline of 20,000 commands", check_pipeline},
    {"WATCH: a conflict and none; EXECABORT", check_watch},
    {"blocking pops", check_blocking},
    {"publish and subscribe, with a pattern", check_pubsub},
    {"Lua", check_lua},
    {"SCAN", check_scan},
    {"streams", check_streams},
    {"8 MB binary values", check_big},
    {"a Unix socket", check_socket},
    {"RESP3", check_resp3},
    {"libevent: 50 contexts, 40,000 commands", check_async},
    {"libevent: messages of 8 MB", check_async_subscribe},
    {"larder and the upstream restart", check_reconnect},
    {"libevent: larder crashes", check_async_restart},
};

static void on_alarm(int number)
{
    static const char text[] = "FAIL hiredis: a test hangs, the one after the last line above\n";
    (void)number;
    _exit(write(STDOUT_FILENO, text, sizeof text - 1) > 0 ? 1 : 2);
}

int main(void)
{
    struct place at = {.host = getenv("LARDER_HOST"), .port = number_of("LARDER_PORT")};
    const char *words = getenv("CLIENT_TESTS");
    int failed = 0;
    if (!at.host || at.port < 0) {
        fprintf(stderr, "LARDER_HOST and LARDER_PORT are not set\n");
        return 2;
    }
    snprintf(at.prefix, sizeof at.prefix, "larder-clients:hiredis:%d:", (int)getpid());
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGALRM, on_alarm);
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof TESTS / sizeof *TESTS; i++) {
        if (words && !strstr(TESTS[i].name, words))
            continue;
        alarm(TEST_SECONDS);
        const char *trouble = TESTS[i].run(&at);
        alarm(0);
        if (!trouble)
            printf("ok hiredis: %s\n", TESTS[i].name);
        else if (strcmp(trouble, SKIPPED) == 0)
            printf("skip hiredis: %s: not possible here\n", TESTS[i].name);
        else
            printf("FAIL hiredis: %s: %s\n", TESTS[i].name, trouble);
        failed += trouble && strcmp(trouble, SKIPPED) != 0;
    }
    return failed > 0;
}
