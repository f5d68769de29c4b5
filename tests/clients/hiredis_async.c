/*
 * hiredis on libevent: many contexts on one loop, none of which may get what another asked for.
 *
 * A test fills the loop with commands and runs it until the last callback has broken it off.
 */
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>
#include <hiredis/async.h>
#include <hiredis/adapters/libevent.h>
#include <event2/event.h>

#include "hiredis_client.h"

enum { CROWD = 50, EACH = 400 };

struct crowd {
    struct event_base *base;
    int waiting; /* replies still to come */
    int wrong;
    int gone; /* contexts that were told of their end */
};

struct asked {
    struct crowd *crowd;
    int number; /* what the reply must be */
};

static void on_number(redisAsyncContext *c, void *reply_of, void *data)
{
    (void)c;
    struct asked *asked = data;
    const redisReply *reply = reply_of;
    if (!reply || reply->type != REDIS_REPLY_STRING || number_in(reply->str) != asked->number)
        asked->crowd->wrong++;
    if (--asked->crowd->waiting == 0)
        event_base_loopbreak(asked->crowd->base);
}

static void on_gone(const redisAsyncContext *c, int status)
{
    (void)status;
    struct crowd *crowd = c->data;
    if (++crowd->gone == CROWD)
        event_base_loopbreak(crowd->base);
}

static redisAsyncContext *join_async(const struct place *at, struct crowd *crowd)
{
    redisAsyncContext *c = redisAsyncConnect(at->host, at->port);
    if (!c || c->err || redisLibeventAttach(c, crowd->base) != REDIS_OK)
        return NULL;
    c->data = crowd;
    redisAsyncSetDisconnectCallback(c, on_gone);
    return c;
}

const char *check_async(const struct place *at)
{
    struct crowd crowd = {.base = event_base_new(), .waiting = CROWD * EACH};
    struct asked *asked = calloc((size_t)CROWD * EACH, sizeof *asked);
    redisAsyncContext *c[CROWD];
    EXPECT(asked);
    for (int i = 0; i < CROWD; i++) {
        c[i] = join_async(at, &crowd);
        EXPECT(c[i]);
        for (int n = 0; n < EACH; n++) {
            struct asked *one = &asked[i * EACH + n];
            *one = (struct asked){&crowd, i * EACH + n};
            EXPECT(
                !redisAsyncCommand(c[i], NULL, NULL, "SET %sa:%d %d", at->prefix, i, i * EACH + n));
            EXPECT(!redisAsyncCommand(c[i], on_number, one, "GET %sa:%d", at->prefix, i));
        }
    }
    event_base_dispatch(crowd.base);
    EXPECT(crowd.waiting == 0 && crowd.wrong == 0);
    for (int i = 0; i < CROWD; i++)
        redisAsyncDisconnect(c[i]);
    EXPECT(crowd.gone == CROWD);
    event_base_free(crowd.base);
    free(asked);
    return NULL;
}

struct listener {
    struct crowd crowd;
    redisAsyncContext *speaker;
    const struct place *at;
    char *big;
    int messages;
};

static void on_message(redisAsyncContext *c, void *reply_of, void *data)
{
    (void)c;
    struct listener *listener = data;
    const redisReply *reply = reply_of;
    if (!reply || reply->elements != 3)
        return;
    if (strcmp(reply->element[0]->str, "subscribe") == 0) {
        for (int i = 0; i < 5; i++)
            redisAsyncCommand(listener->speaker, NULL, NULL, "PUBLISH %sach %b",
                              listener->at->prefix, listener->big, BIG_SIZE);
        return;
    }
    listener->crowd.wrong += !is_big(reply->element[2], listener->big);
    if (++listener->messages == 5)
        event_base_loopbreak(listener->crowd.base);
}

const char *check_async_subscribe(const struct place *at)
{
    struct listener listener = {.crowd = {.base = event_base_new()}, .at = at, .big = big_value()};
    redisAsyncContext *ear = join_async(at, &listener.crowd);
    listener.speaker = join_async(at, &listener.crowd);
    EXPECT(ear && listener.speaker && listener.big);
    EXPECT(!redisAsyncCommand(ear, on_message, &listener, "SUBSCRIBE %sach", at->prefix));
    event_base_dispatch(listener.crowd.base);
    EXPECT(listener.messages == 5 && listener.crowd.wrong == 0);
    redisAsyncFree(ear);
    redisAsyncFree(listener.speaker);
    event_base_free(listener.crowd.base);
    free(listener.big);
    return NULL;
}

const char *check_async_restart(const struct place *at)
{
    struct asked asked[CROWD];
    struct crowd crowd = {.base = event_base_new(), .waiting = CROWD};
    for (int i = 0; i < CROWD; i++) {
        redisAsyncContext *c = join_async(at, &crowd);
        asked[i] = (struct asked){&crowd, i};
        EXPECT(c && !redisAsyncCommand(c, on_number, &asked[i], "ECHO %d", i));
    }
    event_base_dispatch(crowd.base);
    EXPECT(crowd.waiting == 0 && crowd.wrong == 0);
    const char *trouble = control("crash larder\n");
    if (trouble)
        return trouble;
    event_base_dispatch(crowd.base); /* until every context was told */
    EXPECT(crowd.gone == CROWD);
    event_base_free(crowd.base);
    return check_async(at);
}
