/* deadline.c - many keys with one deadline, read while it passes.
 *
 * They are written past the larders with PXAT, then each is read through both, so that a cache has
 * it; then read at random until well after the deadline. The clock is CLOCK_REALTIME, which
 * is Redis' own on the same machine (its TIME is compared). No read that is sent more than late_us
 * after the deadline may be answered with the value, and none that is answered before it with nil.
 */
#include "spread.h"
#include "wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS = 64,
    BATCH = 64, /* while the caches are filled */
    ANSWER_MS = 30000,
    LEFT_US = 300000, /* filled so long before the deadline, or it is set anew */
    AFTER_US = 1500000,
    CLOCKS_APART_US = 3000,
    ATTEMPTS = 4,
    PRINTED_MAX = 5
};

struct deadline;

struct poller {
    struct wire wire;
    struct deadline *all;
    uint64_t sent_us[BATCH];
    uint32_t first, n;
    int via;
    bool greeted;
};

struct deadline {
    struct deadline_options options;
    int epoll;
    struct poller *poller;
    struct wire direct;
    uint64_t deadline_us, now_us, random;
    uint64_t to_fill[2], answered; /* of the filling: through A, through B */
    bool filling, over, broken;
    uint64_t before, after, late, early, errors, filled_nil;
    int64_t last_value_us; /* the latest sending, from the deadline on, that found the value */
};

static uint64_t realtime_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* ---- reading ---- */

static void say_get(struct poller *p, uint64_t key)
{
    char name[32];

    snprintf(name, sizeof name, "deadline:%" PRIu64, key);
    wire_say(&p->wire, "GET", name, NULL);
    p->sent_us[(p->first + p->n++) % BATCH] = p->all->now_us;
}

static void say_more(struct poller *p)
{
    struct deadline *d = p->all;
    uint64_t keys = (uint64_t)d->options.keys, *to_fill = &d->to_fill[p->via];

    d->now_us = realtime_us();
    while (d->filling && p->n<BATCH && * to_fill> 0)
        say_get(p, --*to_fill);
    if (!d->filling && !d->over) {
        d->random ^= d->random << 13;
        d->random ^= d->random >> 7;
        d->random ^= d->random << 17;
        say_get(p, (d->random >> 20) % keys);
    }
    wire_flush(&p->wire);
}

static void judge_time(struct deadline *d, bool value, uint64_t sent_us)
{
    int64_t late_us = (int64_t)(sent_us - d->deadline_us);

    if (late_us < 0)
        d->before++;
    else
        d->after++;
    if (value && late_us > d->last_value_us)
        d->last_value_us = late_us;
    if (value && late_us > (int64_t)d->options.late_us && d->late++ < PRINTED_MAX)
        printf("  P3: a read sent %" PRId64 " us after the deadline found the value\n", late_us);
    if (!value && d->now_us < d->deadline_us - 1000 && d->early++ < PRINTED_MAX)
        printf("  nil was answered %" PRIu64 " us before the deadline\n",
               d->deadline_us - d->now_us);
}

static void replied(struct wire *w, const struct reply *r)
{
    struct poller *p = w->arg;
    struct deadline *d = p->all;
    uint64_t sent_us;

    if (!p->greeted) {
        p->greeted = true;
        return;
    }
    sent_us = p->sent_us[p->first];
    p->first = (p->first + 1) % BATCH;
    p->n--;
    d->now_us = realtime_us();
    if (r->token[0].type == '-') {
        if (d->errors++ == 0)
            printf("  an error: %.*s\n", (int)r->token[0].n, r->token[0].p);
    } else if (d->filling) {
        d->filled_nil += r->token[0].type == '_';
    } else if (!d->over) {
        judge_time(d, r->token[0].type == '$', sent_us);
    }
    d->answered += d->filling;
    if (p->n == 0)
        say_more(p);
}

static void ended(struct wire *w)
{
    struct poller *p = w->arg;

    puts("  a connection ended");
    p->all->broken = true;
}

static const struct wire_owner owner = {.replied = replied, .ended = ended};

static void turn(struct deadline *d)
{
    struct epoll_event event[EVENTS];
    int n = epoll_wait(d->epoll, event, EVENTS, 10);

    for (int i = 0; i < n; i++)
        wire_event(event[i].data.ptr, event[i].events);
    d->now_us = realtime_us();
}

/* ---- the parts ---- */

static bool clocks_agree(struct deadline *d)
{
    struct reply r;
    uint64_t us[2] = {0, 0}, here = realtime_us(), there;

    wire_say(&d->direct, "TIME", NULL);
    if (!wire_ask(&d->direct, &r, ANSWER_MS) || r.count != 3)
        return false;
    for (int i = 0; i < 2; i++)
        for (int64_t k = 0; k < r.token[i + 1].n; k++)
            us[i] = us[i] * 10 + (uint64_t)(r.token[i + 1].p[k] - '0');
    there = us[0] * 1000000 + us[1];
    printf("deadline: Redis' clock is %" PRId64 " us ahead\n", (int64_t)(there - here));
    return here < there + CLOCKS_APART_US && there < realtime_us() + CLOCKS_APART_US;
}

/* In scripts, so that it takes one turn of Redis for many. */
static bool write_all(struct deadline *d)
{
    static const char script[] =
        "for i = ARGV[1], ARGV[2] do redis.call('SET', 'deadline:' .. i, "
        "'value-of-' .. i, 'PXAT', ARGV[3]) end return 1";
    char from[16], to[16], at[24];
    struct reply r;

    snprintf(at, sizeof at, "%" PRIu64, d->deadline_us / 1000);
    for (int i = 0; i < d->options.keys; i += 1000) {
        snprintf(from, sizeof from, "%d", i);
        snprintf(to, sizeof to, "%d", i + 999 < d->options.keys ? i + 999 : d->options.keys - 1);
        wire_say(&d->direct, "EVAL", script, "0", from, to, at, NULL);
        if (!wire_ask(&d->direct, &r, ANSWER_MS) || r.token[0].type != ':')
            return false;
    }
    return true;
}

static void start_all(struct deadline *d)
{
    for (int i = 0; i < 2 * d->options.readers; i++)
        if (d->poller[i].n == 0)
            say_more(&d->poller[i]);
}

/* Nothing is asked meanwhile. */
static void wait_for_answers(struct deadline *d)
{
    uint64_t until_us = realtime_us() + ANSWER_MS * 1000ull;
    bool busy = true;

    d->over = true;
    while (busy && !d->broken && d->now_us < until_us) {
        busy = false;
        turn(d);
        for (int i = 0; i < 2 * d->options.readers; i++)
            busy = busy || d->poller[i].n > 0;
    }
    d->broken = d->broken || busy;
    d->over = false;
}

static bool fill(struct deadline *d)
{
    uint64_t all = 2 * (uint64_t)d->options.keys;

    d->deadline_us = (realtime_us() / 1000 + d->options.ahead_ms) * 1000;
    if (!write_all(d)) {
        d->broken = true;
        return false;
    }
    d->filling = true;
    d->to_fill[0] = d->to_fill[1] = all / 2;
    d->answered = d->filled_nil = 0;
    start_all(d);
    while (d->answered < all && !d->broken && d->now_us < d->deadline_us)
        turn(d);
    d->filling = false;
    if (d->answered < all)
        wait_for_answers(d);
    return d->answered == all && d->now_us + LEFT_US < d->deadline_us && d->filled_nil == 0 &&
           d->errors == 0;
}

static bool report(const struct deadline *d)
{
    bool enough = d->before > 0 && d->after > (uint64_t)d->options.keys / 10;
    bool fine = d->late == 0 && d->early == 0 && !d->broken && enough;

    printf("deadline: %d keys; reads sent before it %" PRIu64 ", after %" PRIu64 ", errors %" PRIu64
           "; the last that found a value was sent %+" PRId64 " us from it (allowed %" PRIu64
           "); too late %" PRIu64 ", too early nil %" PRIu64 ": %s\n",
           d->options.keys, d->before, d->after, d->errors, d->last_value_us, d->options.late_us,
           d->late, d->early,
           fine     ? "fine"
           : enough ? "WRONG"
                    : "TOO LITTLE WAS SEEN");
    return fine;
}

static bool init(struct deadline *d, const struct deadline_options *options)
{
    *d = (struct deadline){.options = *options, .random = options->seed * 2 + 1};
    d->last_value_us = INT64_MIN;
    d->epoll = epoll_create1(EPOLL_CLOEXEC);
    d->poller = calloc((size_t)options->readers * 2, sizeof *d->poller);
    if (d->poller == NULL || d->epoll < 0)
        abort();
    d->direct.fd = -1;
    for (int i = 0; i < 2 * options->readers; i++)
        d->poller[i].wire = (struct wire){.fd = -1, .owner = &owner, .arg = &d->poller[i]};
    for (int i = 0; i < 2 * options->readers; i++) {
        struct poller *p = &d->poller[i];

        p->all = d;
        p->via = i % 2 == 0 ? VIA_A : VIA_B;
        if (!wire_open(&p->wire, options->port[p->via], d->epoll))
            return false;
        wire_say(&p->wire, "HELLO", i / 2 % 2 == 0 ? "2" : "3", NULL);
        wire_flush(&p->wire);
    }
    return wire_open(&d->direct, options->port[VIA_DIRECT], -1);
}

int deadline_run(const struct deadline_options *options)
{
    struct deadline d;
    bool fine = init(&d, options) && clocks_agree(&d), filled = false;

    for (int i = 0; fine && i < ATTEMPTS && !filled && !d.broken; i++) {
        filled = fill(&d);
        if (!filled)
            printf("deadline: not all was read before it; set anew, further ahead\n");
        d.options.ahead_ms *= 2;
    }
    if (filled) {
        start_all(&d);
        while (d.now_us < d.deadline_us + AFTER_US && !d.broken)
            turn(&d);
        d.over = true;
    }
    fine = fine && filled && report(&d);
    if (!filled)
        puts("deadline: could not be tried: WRONG");
    wire_done(&d.direct);
    for (int i = 0; i < 2 * options->readers; i++)
        wire_done(&d.poller[i].wire);
    free(d.poller);
    close(d.epoll);
    return fine ? 0 : 1;
}
