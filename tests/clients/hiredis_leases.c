/*
 * hiredis on libevent before a larder with leases (tests/system/test_lease_libraries.py starts it):
 * all that a process asks goes over one connection, and nobody may wait there for what comes
 * behind.
 *
 *     hiredis_leases PORT        prints `ok`; what hangs is ended by SIGALRM
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <hiredis/hiredis.h>
#include <hiredis/async.h>
#include <hiredis/adapters/libevent.h>
#include <event2/event.h>

enum { CALLERS = 100, KEYS = 10, ROUNDS = 20, LONG = 20 }; /* seconds; lease_wait is 30 s */

static const struct timeval LOAD = {.tv_usec = 200000};

struct test {
    struct event_base *base;
    redisAsyncContext *a, *b;
    int left; /* callers that are not done */
    int wrong;
};

/* One of many that share a connection: asks for its key, and loads it if it is missing. */
struct caller {
    struct test *test;
    redisAsyncContext *c;
    struct event *loaded;
    char key[32];    /* asked for */
    char stores[32]; /* written; as a rule the same */
};

static void done(struct caller *one)
{
    if (--one->test->left == 0)
        event_base_loopbreak(one->test->base);
}

static bool is_value(const redisReply *reply)
{
    return reply != NULL && reply->type == REDIS_REPLY_STRING && strcmp(reply->str, "v") == 0;
}

static bool is_ok(const redisReply *reply)
{
    return reply != NULL && reply->type == REDIS_REPLY_STATUS && strcmp(reply->str, "OK") == 0;
}

static bool is_nil(const redisReply *reply)
{
    return reply != NULL && reply->type == REDIS_REPLY_NIL;
}

/* The last thing that a caller does: the value is there. */
static void on_last(redisAsyncContext *c, void *reply, void *data)
{
    struct caller *one = data;

    (void)c;
    one->test->wrong += !is_value(reply);
    done(one);
}

static void on_stored(redisAsyncContext *c, void *reply, void *data)
{
    struct caller *one = data;

    one->test->wrong += !is_ok(reply);
    redisAsyncCommand(c, on_last, one, "GET %s", one->stores);
}

static void on_loaded(evutil_socket_t fd, short what, void *data)
{
    struct caller *one = data;

    (void)fd;
    (void)what;
    redisAsyncCommand(one->c, on_stored, one, "SET %s v", one->stores);
}

static void on_asked(redisAsyncContext *c, void *reply, void *data)
{
    struct caller *one = data;

    (void)c;
    if (is_nil(reply)) {
        evtimer_add(one->loaded, &LOAD);
        return;
    }
    one->test->wrong += !is_value(reply);
    done(one);
}

static void *begin(struct test *t, struct caller *one, redisAsyncContext *c)
{
    one->test = t;
    one->c = c;
    one->loaded = evtimer_new(t->base, on_loaded, one);
    t->left++;
    return one;
}

/* Many that ask for few keys at once. */
static void get_or_load(struct test *t)
{
    struct caller callers[CALLERS] = {0};

    for (int i = 0; i < CALLERS; i++) {
        struct caller *one = begin(t, &callers[i], i / KEYS % 2 ? t->a : t->b);

        snprintf(one->key, sizeof one->key, "hiredis:%d", i % KEYS);
        snprintf(one->stores, sizeof one->stores, "%s", one->key);
        redisAsyncCommand(one->c, on_asked, one, "GET %s", one->key);
    }
    event_base_dispatch(t->base);
    for (int i = 0; i < CALLERS; i++)
        event_free(callers[i].loaded);
}

static void on_any(redisAsyncContext *c, void *reply, void *data)
{
    struct caller *one = data;

    (void)c;
    one->test->wrong += !is_nil(reply) && !is_value(reply);
}

static void on_set(redisAsyncContext *c, void *reply, void *data)
{
    struct caller *one = data;

    (void)c;
    one->test->wrong += !is_ok(reply);
}

/* Sent together: the read, the write of the same key, the read again. */
static void together(struct test *t)
{
    struct caller callers[ROUNDS] = {0};

    for (int i = 0; i < ROUNDS; i++) {
        struct caller *one = begin(t, &callers[i], i % 2 ? t->a : t->b);

        redisAsyncCommand(one->c, on_any, one, "GET hiredis:t%d", i);
        redisAsyncCommand(one->c, on_set, one, "SET hiredis:t%d v", i);
        redisAsyncCommand(one->c, on_last, one, "GET hiredis:t%d", i);
    }
    event_base_dispatch(t->base);
    for (int i = 0; i < ROUNDS; i++)
        event_free(callers[i].loaded);
}

/* Has asked for what the other one loads, and stores what the other one asks for. */
static void on_other(redisAsyncContext *c, void *reply, void *data)
{
    struct caller *one = data;

    one->test->wrong += !is_nil(reply) && !is_value(reply);
    redisAsyncCommand(c, on_stored, one, "SET %s v", one->stores);
}

static void on_own(redisAsyncContext *c, void *reply, void *data)
{
    struct caller *one = data;

    one->test->wrong += !is_nil(reply);
    redisAsyncCommand(c, on_other, one, "GET %s", one->key);
}

/* Two processes, as it were, each of which loads what the other one asks for. */
static void crosswise(struct test *t)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct caller pair[2] = {0};

        for (int n = 0; n < 2; n++) {
            struct caller *one = begin(t, &pair[n], n ? t->a : t->b);

            snprintf(one->key, sizeof one->key, "hiredis:%c%d", n ? 'x' : 'y', i);
            snprintf(one->stores, sizeof one->stores, "hiredis:%c%d", n ? 'y' : 'x', i);
            redisAsyncCommand(one->c, on_own, one, "GET %s", one->stores);
        }
        event_base_dispatch(t->base);
        event_free(pair[0].loaded);
        event_free(pair[1].loaded);
    }
}

/* .. the other process, as it were, goes on only now: it stores what is waited for. */
static void on_pong(redisAsyncContext *c, void *reply, void *data)
{
    struct caller *one = data;

    (void)c;
    one->test->wrong += reply == NULL;
    redisAsyncCommand(one->test->b, on_stored, one, "SET %s v", one->stores);
}

static void on_pause(evutil_socket_t fd, short what, void *data)
{
    struct caller *one = data;

    (void)fd;
    (void)what;
    redisAsyncCommand(one->c, on_pong, one, "PING");
}

static void on_held(redisAsyncContext *c, void *reply, void *data)
{
    struct caller *one = data;

    (void)c;
    one->test->wrong += !is_nil(reply);
    redisAsyncCommand(one->test->a, on_any, one, "GET %s", one->key);
    evtimer_add(one->loaded, &LOAD);
}

/* A read waits for what b loads, and b for what is asked over the connection of that read. */
static void behind(struct test *t)
{
    struct caller caller = {0};
    struct caller *one = begin(t, &caller, t->a);

    event_free(one->loaded);
    one->loaded = evtimer_new(t->base, on_pause, one);
    snprintf(one->key, sizeof one->key, "hiredis:behind");
    snprintf(one->stores, sizeof one->stores, "hiredis:behind");
    redisAsyncCommand(t->b, on_held, one, "GET %s", one->key);
    event_base_dispatch(t->base);
    event_free(one->loaded);
}

static redisAsyncContext *join(struct test *t, int port)
{
    redisAsyncContext *c = redisAsyncConnect("127.0.0.1", port);

    if (c == NULL || c->err || redisLibeventAttach(c, t->base) != REDIS_OK) {
        fprintf(stderr, "no connection to port %d\n", port);
        exit(2);
    }
    return c;
}

int main(int argc, char **argv)
{
    struct test t = {.base = event_base_new()};
    int port = argc == 2 ? (int)strtol(argv[1], NULL, 10) : 0;

    alarm(LONG);
    t.a = join(&t, port);
    t.b = join(&t, port);
    behind(&t);
    get_or_load(&t);
    together(&t);
    crosswise(&t);
    redisAsyncDisconnect(t.a);
    redisAsyncDisconnect(t.b);
    event_base_dispatch(t.base);
    event_base_free(t.base);
    if (t.wrong > 0 || t.left > 0)
        fprintf(stderr, "%d wrong, %d not answered\n", t.wrong, t.left);
    else
        puts("ok");
    return t.wrong > 0 || t.left > 0;
}
