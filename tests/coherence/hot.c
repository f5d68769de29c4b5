/* hot.c - a few keys, many clients: 32 through two larders, some with Redis itself.
 *
 *   run:      each session asks a batch, judges the answers, asks the next; at random it leaves
 *             and comes again. Every now and then all writers are held until nothing is under way,
 *             and one of them writes everything (FLUSHDB, SWAPDB).
 *   quiet:    no more writes; who runs the servers ends his mischief; each key is compared
 *             (hot_end.c).
 *
 * The servers are killed, stopped and started by whoever started this program. */
#include "hot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    EVENTS = 64,
    HANG_UP_MIN_US = 200000,
    HANG_UP_MAX_US = 4000000,
    BIG_MIN_US = 100000,
    BIG_MAX_US = 300000,
    BIG_LATE_US = 1000000 /* so late, it waits no longer for a calm moment */
};

uint32_t hot_random(struct hot *h, uint32_t below)
{
    h->random ^= h->random << 13;
    h->random ^= h->random >> 7;
    h->random ^= h->random << 17;
    return (uint32_t)((h->random >> 32) % below);
}

/* ---- what was asked ---- */

struct ask *ask_new(struct session *s, enum ask_kind kind, enum op op)
{
    struct ask *a;

    if (s->asks == ASKS || s->n_queued == QUEUED_MAX)
        abort();
    a = &s->ask[(s->first + s->asks++) % ASKS];
    *a = (struct ask){.kind = ASK_NOTHING, .op = op, .sent_us = s->hot->now_us};
    if (s->in_multi)
        a = &s->queued[s->n_queued++];
    *a = (struct ask){.kind = kind, .op = op, .sent_us = s->hot->now_us};
    return a;
}

void say_multi(struct session *s)
{
    ask_new(s, ASK_NOTHING, OP_MULTI);
    wire_say(&s->wire, "MULTI", NULL);
    s->in_multi = true;
}

void say_exec(struct session *s, enum op op)
{
    s->in_multi = false;
    ask_new(s, ASK_EXEC, op);
    wire_say(&s->wire, "EXEC", NULL);
}

static uint32_t answer(struct session *s, const struct ask *a, const struct reply *r, uint32_t at)
{
    switch (a->kind) {
    case ASK_READ:
        return judge_read(s, a, r, at);
    case ASK_WRITE:
        judge_write(s, a, &r->token[at]);
        break;
    case ASK_COUNT:
    case ASK_COUNT_UP:
    case ASK_COUNT_SET:
        judge_count(s, a, &r->token[at]);
        break;
    case ASK_NOTHING:
        if (r->token[at].type == '-') {
            s->hot->errors++;
            s->leave = s->leave || !s->ready || s->watch != NOT_WATCHING;
        }
        break;
    case ASK_EXEC:
        break;
    }
    return reply_skip(r, at);
}

static void lose(struct session *s, const struct ask *a)
{
    if (a->kind == ASK_WRITE)
        write_lost(s, a);
}

/* The asks that were queued leave the list one by one, so that a read knows what is behind it. */
static void answer_exec(struct session *s, const struct ask *exec, const struct reply *r)
{
    uint32_t at = 1, n = s->n_queued;
    struct ask queued[QUEUED_MAX];
    bool whole = r->token[0].type == '*' && r->token[0].n == (int64_t)n;

    memcpy(queued, s->queued, sizeof queued);
    if (!whole && r->token[0].type == '*')
        hot_fault(s->hot, FAULT_ODD, s, exec);
    if (r->token[0].type == '-')
        s->hot->errors++;
    for (uint32_t i = 0; i < n; i++) {
        s->n_queued--;
        memmove(s->queued, s->queued + 1, s->n_queued * sizeof *s->queued);
        if (whole)
            at = answer(s, &queued[i], r, at);
        else
            lose(s, &queued[i]);
    }
    if (whole)
        s->hot->ops[exec->op]++;
}

/* ---- sessions ---- */

static void say_more(struct session *s)
{
    struct hot *h = s->hot;

    if (s->db == COUNTER_DB) {
        say_count(s);
    } else if (hot_random(h, 100) >= h->write_percent || !say_some_write(s)) {
        for (uint32_t n = 1 + hot_random(h, 5); n > 0; n--)
            say_some_read(s, false);
    }
    wire_flush(&s->wire);
}

static void replied(struct wire *w, const struct reply *r)
{
    struct session *s = w->arg;
    struct ask a = s->ask[s->first];

    s->first = (s->first + 1) % ASKS;
    s->asks--;
    s->hot->now_us = clock_us();
    if (a.kind == ASK_EXEC)
        answer_exec(s, &a, r);
    else
        answer(s, &a, r, 0);
    if (s->asks > 0)
        return;
    s->ready = true;
    if (!s->hot->quiet && !s->leave)
        say_more(s);
}

static void forget(struct session *s)
{
    struct hot *h = s->hot;

    for (uint32_t i = 0; i < s->asks; i++)
        lose(s, &s->ask[(s->first + i) % ASKS]);
    for (uint32_t i = 0; i < s->n_queued; i++)
        lose(s, &s->queued[i]);
    s->asks = s->n_queued = 0;
    s->watch = NOT_WATCHING;
    s->leave = s->ready = false;
    s->retry_us = h->now_us + 1000 + hot_random(h, 20000);
    memset(s->own, 0, sizeof s->own);
    memset(s->own_count, 0, sizeof s->own_count);
}

static void ended(struct wire *w)
{
    struct session *s = w->arg;

    s->hot->now_us = clock_us();
    s->hot->lost++;
    forget(s);
}

static const struct wire_owner session_owner = {.replied = replied, .ended = ended};

static void join(struct session *s)
{
    struct hot *h = s->hot;
    char db[8];

    if (!wire_open(&s->wire, s->port, h->epoll)) {
        s->retry_us = h->now_us + 20000;
        return;
    }
    snprintf(db, sizeof db, "%d", s->db);
    if (s->proto == 3) {
        ask_new(s, ASK_NOTHING, OP_GET);
        wire_say(&s->wire, "HELLO", "3", NULL);
    }
    if (s->via == VIA_DIRECT) { /* so that it is known from larder's own links */
        ask_new(s, ASK_NOTHING, OP_GET);
        wire_say(&s->wire, "CLIENT", "SETNAME", "judge", NULL);
    }
    ask_new(s, ASK_NOTHING, OP_GET);
    wire_say(&s->wire, "SELECT", db, NULL);
    wire_flush(&s->wire);
    s->ends_us = h->now_us + HANG_UP_MIN_US + hot_random(h, HANG_UP_MAX_US);
}

static void hang_up(struct session *s)
{
    wire_close(&s->wire);
    s->hot->ended++;
    forget(s);
}

static void look_after(struct session *s)
{
    struct hot *h = s->hot;

    if (s->wire.fd < 0) {
        if (h->now_us >= s->retry_us && !h->quiet)
            join(s);
    } else if (s->asks > 0 && h->now_us > s->ask[s->first].sent_us + SILENCE_US) {
        hot_fault(h, FAULT_ODD, s, &s->ask[s->first]);
        puts("      was not answered");
        hang_up(s);
    } else if (s->leave || (h->now_us > s->ends_us && !h->quiet)) {
        hang_up(s); /* perhaps in the middle of what it asked */
    } else if (s->asks == 0 && s->ready && !h->quiet) {
        say_more(s);
    }
}

/* Databases and protocols are spread over the doors: 16 sessions through each larder. */
static void session_init(struct hot *h, int i)
{
    static const int db[8] = {0, 2, 0, 0, 1, 0, 2, 0};
    struct session *s = &h->session[i];

    *s = (struct session){.hot = h, .number = i};
    s->via = i < 16 ? VIA_A : i < 32 ? VIA_B : VIA_DIRECT;
    s->port = h->options.port[s->via];
    s->db = i < 32 ? db[i % 8] : i % 3;
    s->proto = i / 2 % 2 == 0 ? 2 : 3;
    s->wire.fd = -1;
    s->wire.owner = &session_owner;
    s->wire.arg = s;
}

/* ---- all of it ---- */

/* Writers are held until all keys are free; then one writes everything. */
static void look_at_big(struct hot *h)
{
    struct session *s = &h->session[hot_random(h, (uint32_t)h->sessions)];
    uint32_t frozen = 0, busy = 0;

    for (int i = 0; i < DBS * KEYS; i++) {
        frozen += h->key[i].frozen;
        busy += !key_free(&h->key[i]);
    }
    h->drain =
        h->drain || (frozen == 0 && h->now_us > h->big_us) || h->now_us > h->big_us + BIG_LATE_US;
    if (!h->drain || busy > 0)
        return;
    if (s->db == COUNTER_DB || s->wire.fd < 0 || !s->ready || s->leave || s->asks > ASKS / 2)
        return;
    say_big_write(s);
    wire_flush(&s->wire);
    h->drain = false;
    h->big_us = h->now_us + BIG_MIN_US + hot_random(h, BIG_MAX_US);
}

static void turn(struct hot *h)
{
    struct epoll_event event[EVENTS];
    int n = epoll_wait(h->epoll, event, EVENTS, 1);

    h->now_us = clock_us();
    for (int i = 0; i < n; i++)
        wire_event(event[i].data.ptr, event[i].events);
    h->now_us = clock_us();
    for (int i = 0; i < h->sessions; i++)
        look_after(&h->session[i]);
    settler_turn(h);
    if (!h->quiet)
        look_at_big(h);
}

static uint32_t under_way(const struct hot *h)
{
    uint32_t n = 0;

    for (int i = 0; i < h->sessions; i++)
        n += h->session[i].asks;
    for (int i = 0; i < DBS * KEYS; i++)
        n += h->key[i].frozen;
    return n;
}

static void run(struct hot *h)
{
    static const uint32_t percent[] = {30, 4, 12, 2};
    uint64_t begun_us = h->now_us, until_us = begun_us + (uint64_t)h->options.seconds * 1000000u;

    while (h->now_us < until_us) {
        h->write_percent = percent[(h->now_us - begun_us) / 700000 % 4];
        turn(h);
    }
    h->quiet = true;
    until_us = h->now_us + 2 * SILENCE_US;
    while (under_way(h) > 0 && h->now_us < until_us)
        turn(h);
    for (int i = 0; i < h->sessions; i++)
        wire_close(&h->session[i].wire);
    wire_close(&h->settler);
}

static bool init(struct hot *h, const struct hot_options *options)
{
    char name[8];

    *h = (struct hot){.options = *options, .random = options->seed * 2 + 1, .sessions = 38};
    h->next_value = 1;
    h->now_us = clock_us();
    h->big_us = h->now_us + BIG_MIN_US;
    h->epoll = epoll_create1(EPOLL_CLOEXEC);
    settler_init(h);
    h->session = calloc((size_t)h->sessions, sizeof *h->session);
    for (int i = 0; i < DBS * KEYS; i++) {
        bool hash = i % KEYS >= STRINGS;

        snprintf(name, sizeof name, "%c%d", hash ? 'h' : 's', i % KEYS);
        key_init(&h->key[i], name, i / KEYS, i, hash ? FIELDS : 1);
        h->key[i].given_ms = h->options.given_ms;
    }
    for (int i = 0; h->session != NULL && i < h->sessions; i++)
        session_init(h, i);
    return counters_init(h) && h->session != NULL && h->epoll >= 0;
}

int hot_run(const struct hot_options *options)
{
    struct hot *h = calloc(1, sizeof *h);
    bool fine;

    if (h == NULL || !init(h, options))
        abort();
    run(h);
    hot_ask_for_peace();
    for (int db = 0; db <= COUNTER_DB; db++)
        hot_compare(h, db);
    fine = hot_report(h);
    for (int i = 0; i < h->sessions; i++)
        wire_done(&h->session[i].wire);
    for (int i = 0; i < DBS * KEYS; i++)
        key_done(&h->key[i]);
    wire_done(&h->settler);
    counters_done(h);
    free(h->session);
    close(h->epoll);
    free(h);
    return fine ? 0 : 1;
}
