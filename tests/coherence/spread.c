/* spread.c - one writer, who speaks to Redis itself, writes 1,000 keys in turn at random, each time
 * the key's next number; readers ask both larders for them.
 *
 * A read is stale when it was sent after the writer saw that a later number was written. Its age is
 * how long ago he saw that of the first such number. A quarter of the keys are hashes. */
#include "spread.h"
#include "quiet.h"
#include "wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS = 64, SEEN = 64, SENT = 4096, MARKER_MS = 20000, BUCKETS = 24, PRINTED_MAX = 5 };

struct cell {
    char name[24];
    bool hash;
    uint64_t sent, acked; /* the newest number written, the newest answered */
    struct {
        uint64_t number, us;
    } seen[SEEN]; /* when the writer saw the answer */
};

struct spread;

struct reader {
    struct wire wire;
    struct spread *all;
    enum via via;
    int proto;
    bool greeted;
    struct cell *cell;
    uint64_t at_least, sent_us, retry_us;
};

struct spread {
    struct spread_options options;
    int epoll;
    struct cell *cell;
    struct reader *reader;
    struct wire writer;
    struct {
        struct cell *cell;
        uint64_t number;
    } sent[SENT]; /* by the writer, not answered */
    uint64_t sent_first, sent_n;
    uint64_t now_us, begun_us, random, due;
    bool quiet;
    uint64_t writes, lost, errors, reads[VIA_COUNT], stale[VIA_COUNT], age_max_us, alien, too_old;
    uint64_t bucket[BUCKETS]; /* stale reads by age: below 2^i * 32 us */
};

static uint32_t dice(struct spread *s, uint32_t below)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return (uint32_t)((s->random >> 32) % below);
}

/* ---- the writer ---- */

static void writer_replied(struct wire *w, const struct reply *r)
{
    struct spread *s = w->arg;
    struct cell *c = s->sent[s->sent_first % SENT].cell;
    uint64_t number = s->sent[s->sent_first % SENT].number;

    s->sent_first++;
    s->sent_n--;
    if (c == NULL) /* the greeting */
        return;
    if (r->token[0].type == '-') {
        s->errors++;
        return;
    }
    s->now_us = clock_us();
    s->writes++;
    c->acked = number;
    c->seen[number % SEEN].number = number;
    c->seen[number % SEEN].us = s->now_us;
}

static void writer_ended(struct wire *w)
{
    struct spread *s = w->arg;

    s->lost++;
    s->sent_n = 0;
}

static const struct wire_owner writer_owner = {.replied = writer_replied, .ended = writer_ended};

static void sending(struct spread *s, struct cell *c)
{
    s->sent[(s->sent_first + s->sent_n) % SENT].cell = c;
    s->sent[(s->sent_first + s->sent_n++) % SENT].number = c != NULL ? ++c->sent : 0;
}

static void write_due(struct spread *s)
{
    struct wire *w = &s->writer;
    char number[24];

    s->due = (s->now_us - s->begun_us) * s->options.rate / 1000000;
    if (w->fd < 0) {
        if (!wire_open(w, s->options.port[VIA_DIRECT], s->epoll))
            return;
        sending(s, NULL);
        wire_say(w, "CLIENT", "SETNAME", "judge", NULL);
    }
    while (s->writes + s->errors + s->sent_n < s->due && s->sent_n < SENT / 2) {
        struct cell *c = &s->cell[dice(s, (uint32_t)s->options.keys)];

        sending(s, c);
        snprintf(number, sizeof number, "%" PRIu64, c->sent);
        if (c->hash)
            wire_say(w, "HSET", c->name, "n", number, NULL);
        else
            wire_say(w, "SET", c->name, number, NULL);
    }
    wire_flush(w);
}

/* ---- the readers ---- */

static void say_read(struct reader *r)
{
    struct spread *s = r->all;

    r->cell = &s->cell[dice(s, (uint32_t)s->options.keys)];
    r->at_least = r->cell->acked;
    r->sent_us = s->now_us;
    if (r->cell->hash)
        wire_say(&r->wire, "HGET", r->cell->name, "n", NULL);
    else
        wire_say(&r->wire, "GET", r->cell->name, NULL);
    wire_flush(&r->wire);
}

static uint64_t number_of(const struct token *t)
{
    uint64_t n = 0;

    for (int64_t i = 0; t->type == '$' && i < t->n; i++)
        n = n * 10 + (uint64_t)(t->p[i] - '0');
    return n;
}

/* When the writer saw that a number above n was written, at most at_least. */
static uint64_t outdated_us(const struct cell *c, uint64_t n, uint64_t at_least)
{
    uint64_t i = at_least > n + SEEN ? at_least - SEEN + 1 : n + 1;

    for (; i < at_least; i++)
        if (c->seen[i % SEEN].number == i)
            break;
    return c->seen[i % SEEN].us;
}

static void judge_stale(struct reader *r, uint64_t n)
{
    static const char *const door[] = {"A", "B", "direct"};
    struct spread *s = r->all;
    uint64_t age_us = r->sent_us - outdated_us(r->cell, n, r->at_least);
    int bucket = 0;

    s->stale[r->via]++;
    while (bucket < BUCKETS - 1 && age_us >= (uint64_t)32 << bucket)
        bucket++;
    s->bucket[bucket]++;
    s->age_max_us = age_us > s->age_max_us ? age_us : s->age_max_us;
    if (age_us > s->options.age_limit_us && s->too_old++ < PRINTED_MAX)
        printf("  AGE: %s through %s (RESP%d): %" PRIu64 " where %" PRIu64
               " was seen written; over since %" PRIu64 " us\n",
               r->cell->name, door[r->via], r->proto, n, r->at_least, age_us);
}

static void reader_replied(struct wire *w, const struct reply *reply)
{
    struct reader *r = w->arg;
    struct spread *s = r->all;
    uint64_t n = number_of(&reply->token[0]);

    s->now_us = clock_us();
    if (reply->token[0].type == '-') {
        s->errors++;
    } else if (r->greeted) {
        s->reads[r->via]++;
        if (n > r->cell->sent)
            s->alien++;
        else if (n < r->at_least)
            judge_stale(r, n);
    }
    r->greeted = true;
    r->cell = NULL;
    if (!s->quiet)
        say_read(r);
}

static void reader_ended(struct wire *w)
{
    struct reader *r = w->arg;

    r->all->lost++;
    r->retry_us = r->all->now_us + 10000;
}

static const struct wire_owner reader_owner = {.replied = reader_replied, .ended = reader_ended};

static void reader_join(struct reader *r)
{
    struct spread *s = r->all;

    if (s->now_us < r->retry_us)
        return;
    r->retry_us = s->now_us + 10000;
    r->greeted = false;
    r->cell = NULL;
    if (!wire_open(&r->wire, s->options.port[r->via], s->epoll))
        return;
    wire_say(&r->wire, "HELLO", r->proto == 3 ? "3" : "2", NULL);
    wire_flush(&r->wire);
}

/* ---- all of it ---- */

static void turn(struct spread *s)
{
    struct epoll_event event[EVENTS];
    int n = epoll_wait(s->epoll, event, EVENTS, 1);

    s->now_us = clock_us();
    for (int i = 0; i < n; i++)
        wire_event(event[i].data.ptr, event[i].events);
    s->now_us = clock_us();
    if (s->quiet)
        return;
    write_due(s);
    for (int i = 0; i < 2 * s->options.readers; i++)
        if (s->reader[i].wire.fd < 0)
            reader_join(&s->reader[i]);
}

static void run(struct spread *s)
{
    uint64_t until_us = s->begun_us + (uint64_t)s->options.seconds * 1000000u;

    while (s->now_us < until_us)
        turn(s);
    s->quiet = true;
    until_us = s->now_us + 10000000;
    while (s->sent_n > 0 && s->now_us < until_us)
        turn(s);
    wire_close(&s->writer);
    for (int i = 0; i < 2 * s->options.readers; i++)
        wire_close(&s->reader[i].wire);
}

static uint64_t compare(struct spread *s)
{
    struct quiet q;
    uint64_t stale = 0;
    char line[8];
    bool fine;

    puts("peace?");
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL)
        puts("nobody answers");
    fine = quiet_open(&q, s->options.port, 0) && quiet_settle(&q, "marker", MARKER_MS);
    for (int i = 0; fine && i < s->options.keys; i++)
        stale += quiet_compare(&q, s->cell[i].name, s->cell[i].hash);
    quiet_close(&q);
    if (!fine)
        puts("  no quiet: no answer, or a push does not come");
    return stale + !fine;
}

static bool report(const struct spread *s, uint64_t quiet_stale)
{
    uint64_t reads = s->reads[VIA_A] + s->reads[VIA_B], stale = s->stale[VIA_A] + s->stale[VIA_B];
    double percent = 100.0 * (double)stale / (double)(reads + !reads);
    double rate = (double)s->writes / s->options.seconds;
    bool fine =
        s->too_old == 0 && s->alien == 0 && percent < s->options.stale_percent && quiet_stale == 0;
    bool enough = s->reads[VIA_A] > 0 && s->reads[VIA_B] > 0 && s->writes > 0;

    printf("spread: %" PRIu64 " writes (%.0f a second of %" PRIu64 "), reads A %" PRIu64
           " B %" PRIu64 ", %" PRIu64 " connections lost, %" PRIu64 " errors\n",
           s->writes, rate, s->options.rate, s->reads[VIA_A], s->reads[VIA_B], s->lost, s->errors);
    printf("spread: stale A %" PRIu64 " B %" PRIu64
           " = %.4f %% (allowed %.2f), oldest %.2f ms "
           "(allowed %.1f); by age:",
           s->stale[VIA_A], s->stale[VIA_B], percent, s->options.stale_percent,
           (double)s->age_max_us / 1000, (double)s->options.age_limit_us / 1000);
    for (int i = 0; i < BUCKETS; i++)
        if (s->bucket[i] > 0)
            printf(" <%.2fms %" PRIu64, (double)((uint64_t)32 << i) / 1000, s->bucket[i]);
    printf("\nspread: never written %" PRIu64 ", too old %" PRIu64 ", stale when quiet %" PRIu64
           ": %s\n",
           s->alien, s->too_old, quiet_stale,
           !fine    ? "WRONG"
           : enough ? "fine"
                    : "TOO LITTLE WAS SEEN");
    return fine && enough;
}

static void init(struct spread *s, const struct spread_options *options)
{
    *s = (struct spread){.options = *options, .random = options->seed * 2 + 1};
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->cell = calloc((size_t)options->keys, sizeof *s->cell);
    s->reader = calloc((size_t)options->readers * 2, sizeof *s->reader);
    if (s->cell == NULL || s->reader == NULL || s->epoll < 0)
        abort();
    for (int i = 0; i < options->keys; i++) {
        s->cell[i].hash = i % 4 == 3;
        snprintf(s->cell[i].name, sizeof s->cell[i].name, "spread:%d", i);
    }
    for (int i = 0; i < 2 * options->readers; i++) {
        struct reader *r = &s->reader[i];

        r->all = s;
        r->via = i % 2 == 0 ? VIA_A : VIA_B;
        r->proto = i / 2 % 2 == 0 ? 2 : 3;
        r->wire = (struct wire){.fd = -1, .owner = &reader_owner, .arg = r};
    }
    s->writer = (struct wire){.fd = -1, .owner = &writer_owner, .arg = s};
    s->begun_us = s->now_us = clock_us();
}

int spread_run(const struct spread_options *options)
{
    struct spread *s = calloc(1, sizeof *s);
    bool fine;

    if (s == NULL)
        abort();
    init(s, options);
    run(s);
    fine = report(s, compare(s));
    wire_done(&s->writer);
    for (int i = 0; i < 2 * options->readers; i++)
        wire_done(&s->reader[i].wire);
    close(s->epoll);
    free(s->cell);
    free(s->reader);
    free(s);
    return fine ? 0 : 1;
}
