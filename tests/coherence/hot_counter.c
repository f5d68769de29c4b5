/* hot_counter.c - counters: many writers at once, and yet the order is certain.
 *
 * A counter only ever goes up by one: by INCR, which answers what it made, or by WATCH, GET, MULTI,
 * SET n+1, EXEC. So each value is made once; twice is a lost update. A read that was asked for
 * after n was acknowledged through the same larder must tell n or more. */
#include "hot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOOK_AHEAD = 256 };

bool counters_init(struct hot *h)
{
    for (int i = 0; i < COUNTERS; i++) {
        struct counter *c = &h->counter[i];

        snprintf(c->name, sizeof c->name, "c%d", i);
        c->made = calloc(MADE_MAX / 8, 1);
        if (c->made == NULL)
            return false;
    }
    return true;
}

void counters_done(struct hot *h)
{
    for (int i = 0; i < COUNTERS; i++)
        free(h->counter[i].made);
}

/* ---- saying ---- */

static struct ask *ask_count(struct session *s, struct counter *c, enum ask_kind kind, enum op op)
{
    struct ask *a = ask_new(s, kind, op);

    a->counter = c;
    return a;
}

static void say_get(struct session *s, struct counter *c, enum op op)
{
    struct ask *a = ask_count(s, c, ASK_COUNT, op);

    a->strict = s->via == VIA_DIRECT || s->in_multi || s->watch != NOT_WATCHING;
    a->count = c->floor[s->via];
    for (int v = 0; a->strict && v < VIA_COUNT; v++)
        if (c->floor[v] > a->count)
            a->count = c->floor[v];
    wire_say(&s->wire, "GET", c->name, NULL);
}

static void say_incr(struct session *s, struct counter *c)
{
    uint32_t dice = hot_random(s->hot, 4);

    if (dice == 0) {
        say_multi(s);
        ask_count(s, c, ASK_COUNT_UP, OP_INCR_MULTI);
        wire_say(&s->wire, "INCR", c->name, NULL);
        say_get(s, c, OP_GET);
        say_exec(s, OP_INCR_MULTI);
    } else if (dice == 1) {
        ask_count(s, c, ASK_COUNT_UP, OP_INCR_EVAL);
        wire_say(&s->wire, "EVAL", "return redis.call('INCR', KEYS[1])", "1", c->name, NULL);
    } else {
        ask_count(s, c, ASK_COUNT_UP, OP_INCR);
        wire_say(&s->wire, "INCR", c->name, NULL);
    }
}

static void say_watch(struct session *s, struct counter *c)
{
    ask_new(s, ASK_NOTHING, OP_WATCH);
    wire_say(&s->wire, "WATCH", c->name, NULL);
    s->watched_counter = c;
    s->watch = WATCHED;
    if (hot_random(s->hot, 2)) {
        say_get(s, c, OP_GET);
        s->watch = WATCHED_AND_READ;
    }
}

static void say_watched_exec(struct session *s)
{
    struct counter *c = s->watched_counter;
    char text[24];

    s->watch = NOT_WATCHING;
    if (hot_random(s->hot, 20) == 0) {
        ask_new(s, ASK_NOTHING, OP_WATCH);
        wire_say(&s->wire, "UNWATCH", NULL);
        return;
    }
    snprintf(text, sizeof text, "%" PRIu64, s->watched + 1);
    say_multi(s);
    ask_count(s, c, ASK_COUNT_SET, OP_WATCH)->count = s->watched + 1;
    wire_say(&s->wire, "SET", c->name, text, NULL);
    say_exec(s, OP_WATCH);
}

void say_count(struct session *s)
{
    struct counter *c = &s->hot->counter[hot_random(s->hot, COUNTERS)];
    uint32_t dice = hot_random(s->hot, 100);

    if (s->watch == WATCHED) {
        say_get(s, s->watched_counter, OP_GET);
        s->watch = WATCHED_AND_READ;
    } else if (s->watch == WATCHED_AND_READ) {
        say_watched_exec(s);
    } else if (dice < s->hot->write_percent) {
        say_incr(s, c);
        for (uint32_t n = hot_random(s->hot, 3); n > 0; n--)
            say_get(s, c, OP_GET);
    } else if (dice < 2 * s->hot->write_percent) {
        say_watch(s, c);
    } else {
        for (uint32_t n = 1 + hot_random(s->hot, 3); n > 0; n--)
            say_get(s, c, OP_GET);
    }
}

/* ---- judging ---- */

static void made(struct session *s, const struct ask *a, uint64_t n)
{
    struct counter *c = a->counter;

    s->hot->ops[a->op]++;
    if (n < MADE_MAX && (c->made[n / 8] >> n % 8 & 1) != 0 && hot_fault(s->hot, FAULT_WATCH, s, a))
        printf("      %s became %" PRIu64 " a second time\n", c->name, n);
    if (n < MADE_MAX)
        c->made[n / 8] = (uint8_t)(c->made[n / 8] | 1u << n % 8);
    c->time[n % MADE_TIMES].value = n;
    c->time[n % MADE_TIMES].acked_us = s->hot->now_us;
    if (n > c->floor[s->via])
        c->floor[s->via] = n;
    if (n > s->own_count[c - s->hot->counter])
        s->own_count[c - s->hot->counter] = n;
}

static uint64_t number_of(const struct token *t)
{
    uint64_t n = 0;

    for (int64_t i = 0; t->type == '$' && i < t->n; i++)
        n = n * 10 + (uint64_t)(t->p[i] - '0');
    return n;
}

/* For how long more than n was acknowledged to somebody. */
static uint64_t age_us(const struct counter *c, uint64_t n, uint64_t sent_us)
{
    uint64_t first_us = sent_us;

    for (uint64_t i = n + 1; i < n + LOOK_AHEAD; i++)
        if (c->time[i % MADE_TIMES].value == i && c->time[i % MADE_TIMES].acked_us < first_us)
            first_us = c->time[i % MADE_TIMES].acked_us;
    return sent_us - first_us;
}

static void judge_value(struct session *s, const struct ask *a, uint64_t n)
{
    struct hot *h = s->hot;
    uint64_t own = s->own_count[a->counter - h->counter], age = age_us(a->counter, n, a->sent_us);
    enum fault fault = n < a->count ? a->strict ? FAULT_BYPASS : FAULT_P1 : FAULT_P4;

    h->reads++;
    h->ops[OP_GET]++;
    if ((n < a->count || n < own) && hot_fault(h, fault, s, a))
        printf("      %s: %" PRIu64 " after %" PRIu64 ", and %" PRIu64 " of its own\n",
               a->counter->name, n, a->count, own);
    if (age == 0)
        return;
    h->stale++;
    h->age_max_us = age > h->age_max_us ? age : h->age_max_us;
    if (age > h->options.age_limit_us && hot_fault(h, FAULT_AGE, s, a))
        printf("      %s: %" PRIu64 ", which was over since %" PRIu64 " us\n", a->counter->name, n,
               age);
}

void judge_count(struct session *s, const struct ask *a, const struct token *answer)
{
    if (answer->type == '-') {
        s->hot->errors++;
        s->leave = s->leave || s->watch != NOT_WATCHING;
        return;
    }
    if (a->kind == ASK_COUNT) {
        s->watched = number_of(answer);
        judge_value(s, a, s->watched);
    } else if (a->kind == ASK_COUNT_UP && answer->type == ':') {
        made(s, a, (uint64_t)answer->n);
    } else if (a->kind == ASK_COUNT_SET && token_begins(answer, "OK")) {
        made(s, a, a->count);
    } else {
        hot_fault(s->hot, FAULT_ODD, s, a);
    }
}
