/* quiet.c - the marker, the comparison. */
#include "quiet.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { DIRECT = QUIET_WIRES - 1, ANSWER_MS = 10000, BACK_US = 20000000 };

static const char *const door[QUIET_WIRES] = {"A RESP2", "A RESP3", "B RESP2", "B RESP3", "direct"};

static bool say_and_ask(struct quiet *q, int i)
{
    bool came = wire_ask(&q->wire[i], &q->reply[i], ANSWER_MS);

    if (!came || q->reply[i].token[0].type == '-')
        printf("quiet: %s: %.*s\n", door[i], came ? (int)q->reply[i].token[0].n : 9,
               came ? q->reply[i].token[0].p : "no answer");
    return came && q->reply[i].token[0].type != '-';
}

/* Connected, in this protocol and database, and answered by Redis. */
static bool greet(struct quiet *q, int i, int port, const char *db)
{
    const char *const word[3][2] = {
        {"HELLO", i % 2 == 1 ? "3" : "2"}, {"SELECT", db}, {"GET", "x"}};

    if (!wire_open(&q->wire[i], port, -1))
        return false;
    for (int k = 0; k < 3; k++) {
        wire_say_words(&q->wire[i], 2, word[k]);
        if (!wire_ask(&q->wire[i], &q->reply[i], ANSWER_MS) || q->reply[i].token[0].type == '-')
            return false;
    }
    return true;
}

bool quiet_open(struct quiet *q, const int port[VIA_COUNT], int db)
{
    uint64_t until_us = clock_us() + BACK_US;
    char number[8];

    snprintf(number, sizeof number, "%d", db);
    memset(q->wire, 0, sizeof q->wire);
    for (int i = 0; i < QUIET_WIRES; i++)
        q->wire[i].fd = -1;
    /* A larder may need a moment to find that its Redis is back. */
    for (int i = 0; i < QUIET_WIRES && clock_us() < until_us;) {
        if (greet(q, i, port[i == DIRECT ? VIA_DIRECT : i / 2], number)) {
            i++;
            continue;
        }
        wire_close(&q->wire[i]);
        poll(NULL, 0, 10);
    }
    return clock_us() < until_us;
}

void quiet_close(struct quiet *q)
{
    for (int i = 0; i < QUIET_WIRES; i++)
        wire_done(&q->wire[i]);
}

bool quiet_settle(struct quiet *q, const char *marker, int timeout_ms)
{
    uint64_t until_us = clock_us() + (uint64_t)timeout_ms * 1000u;
    char value[32];

    for (int i = 0; i < QUIET_WIRES; i++) { /* on the shelves */
        wire_say(&q->wire[i], "GET", marker, NULL);
        if (!say_and_ask(q, i))
            return false;
    }
    snprintf(value, sizeof value, "%" PRIu64, clock_us());
    wire_say(&q->wire[DIRECT], "SET", marker, value, NULL);
    if (!say_and_ask(q, DIRECT))
        return false;
    for (int i = 0; i < DIRECT;) {
        wire_say(&q->wire[i], "GET", marker, NULL);
        if (!say_and_ask(q, i))
            return false;
        if (token_begins(&q->reply[i].token[0], value))
            i++;
        else if (clock_us() > until_us)
            return false;
        else
            poll(NULL, 0, 1);
    }
    return true;
}

static bool same_token(const struct token *t, const struct token *u)
{
    if (t->type == '_')
        return u->type == '_';
    return t->type == u->type && t->n == u->n &&
           (t->type != '$' || memcmp(t->p, u->p, (size_t)t->n) == 0);
}

/* Redis promises no order of the fields. */
static bool same_reply(const struct reply *r, const struct reply *o)
{
    if (r->count != o->count || !same_token(&r->token[0], &o->token[0]))
        return false;
    for (uint32_t i = 1; i + 1 < r->count; i += 2) {
        bool found = false;

        for (uint32_t k = 1; k + 1 < o->count; k += 2)
            found = found || (same_token(&r->token[i], &o->token[k]) &&
                              same_token(&r->token[i + 1], &o->token[k + 1]));
        if (!found)
            return false;
    }
    return true;
}

uint32_t quiet_compare(struct quiet *q, const char *name, bool hash)
{
    uint32_t stale = 0;

    for (int i = DIRECT; i >= 0; i--) {
        wire_say(&q->wire[i], hash ? "HGETALL" : "GET", name, NULL);
        if (!say_and_ask(q, i)) {
            stale++;
        } else if (!same_reply(&q->reply[i], &q->reply[DIRECT])) {
            stale++;
            printf("quiet: %s through %s: %.*s\n", name, door[i],
                   (int)(q->reply[i].token[0].type == '$' ? q->reply[i].token[0].n % 64 : 0),
                   q->reply[i].token[0].p);
        }
    }
    return stale;
}
