/* sentinels.c - where the master is, in rounds.
 *
 *   begin: all are asked at once
 *     |                                          +-- it is: pool_aim(), the rest is heard all the
 * same
 *     +-- an answer --> best one not tried yet --+-- a replica: if that is the present one, its
 * links |                 --> the server is asked  |   end |                     for its ROLE +--
 * no answer --> the next best
 *     +-- none is left to try: the present master is asked, if it was not
 *     |
 *   end: confirmed --> again in 1 s, 2 s, 4 s .. 10 s
 *        not       --> again in 50 ms, 100 ms .. 1 s (jittered)
 *
 * A doubt (a link lost, -READONLY, silence) or an announcement begins a round, too. While there is
 * one of a lost link, the pool dials nothing: the server at the old address may be back as what it
 * was not (an empty master, a replica).
 *
 * Whom to believe, sentinel_choice.h says. When the present master fails its check for long, and
 * nobody who answers knows of its configuration, older ones are believed: the Sentinels were set up
 * anew. Not at once: larder may be cut off, together with the master of yesterday.
 *
 * When no Sentinel answers, the present master is kept as long as it says that it is one. */
#include "upstream/sentinels.h"

#include <stdio.h>
#include <stdlib.h>

#include "net/loop.h"
#include "net/tls.h"
#include "upstream/pool.h"
#include "upstream/pool_inside.h"
#include "upstream/role_check.h"
#include "upstream/sentinel.h"
#include "upstream/sentinel_choice.h"

#define ANSWER_MS       300u   /* for an answer: doubled while none comes, up to connect_timeout */
#define INTERVAL_MIN_MS 1000u  /* between rounds when all is well, doubled each time .. */
#define INTERVAL_MAX_MS 10000u /* .. up to this */
#define PAUSE_MIN_MS    50u    /* between rounds while the master is not found, doubled likewise */
#define PAUSE_MAX_MS    1000u
#define DOUBT_MIN_MS    250u /* .. and after a round, for a doubt that is no lost link */
#define DISTRUST_ROUNDS 8u   /* some seconds without a master before older answers are believed */
#define ROUND_MIN_MS    20u  /* an announcement does not cut a younger round short */

struct sentinels {
    struct loop *loop;
    struct resolver *resolver;
    struct pool *pool;
    struct pool_guide guide;
    const struct sentinels_ops *ops;
    void *context;
    char *master, *user, *password;
    size_t count;
    struct sentinel *all;
    struct timer *next;
    uint64_t begun_ms;
    uint32_t due;       /* answers still to come in this round */
    bool round;         /* one is under way */
    bool again;         /* .. and another is wanted behind it */
    bool answered;      /* somebody answered anything in this round */
    bool tried_present; /* .. the present master was checked in this round */
    uint32_t failures;  /* rounds in a row without a master */
    uint64_t interval_ms, patience_ms;
    struct choice choice;
    struct role_check check;
    size_t checking_by;      /* whose answer is checked; count: nobody's */
    uint64_t checking_epoch; /* of it */
    const char *said_by;     /* a sentinel's name */
    bool untold;             /* that it would not say its role has been logged */
    char refused[700];       /* why the last check came to nothing */
    char trouble[700];       /* "" when the last round found a master */
    char logged[700];
    struct sentinels_counters counts;
};

static void on_next(void *context);
static void on_doubt(void *context, enum pool_doubt why);
static void choose(struct sentinels *s);
static const struct sentinel_ops sentinel_ops;
static role_found_fn on_found;

/* ---- life ---- */

struct sentinels *sentinels_new(struct loop *loop, struct resolver *resolver, struct pool *pool,
                                const struct upstream_settings *settings)
{
    size_t n = settings->sentinels.n;
    struct sentinels *s;

    if (n == 0)
        return NULL;
    s = must_calloc(1, sizeof *s);
    *s = (struct sentinels){.loop = loop,
                            .resolver = resolver,
                            .pool = pool,
                            .guide = {on_doubt, s},
                            .count = n,
                            .interval_ms = INTERVAL_MIN_MS,
                            .patience_ms = ANSWER_MS,
                            .said_by = ""};
    s->master = must_strdup(settings->master);
    s->user = must_strdup(settings->sentinel_username);
    s->password = must_strdup(settings->sentinel_password);
    s->all = must_calloc(n, sizeof *s->all);
    choice_init(&s->choice, n);
    for (size_t i = 0; i < n; i++) {
        struct sentinel *one = &s->all[i];

        sentinel_init(one, loop, resolver, &settings->sentinels.v[i]);
        sentinel_secure(one, pool->tls);
        one->ops = &sentinel_ops;
        one->owner = s;
        one->master = s->master;
        one->user = s->user;
        one->password = s->password;
    }
    role_check_init(&s->check, loop, resolver, on_found);
    talk_secure(&s->check.talk, pool->tls, tls_for_upstream);
    s->next = timer_new(loop, on_next, s);
    pool_follow(pool, s->master, &s->guide);
    timer_start(s->next, 0);
    return s;
}

void sentinels_tell(struct sentinels *s, const struct sentinels_ops *ops, void *context)
{
    if (s == NULL)
        return;
    s->ops = ops;
    s->context = context;
}

void sentinels_free(struct sentinels *s)
{
    if (s == NULL)
        return;
    s->pool->guide = NULL;
    role_check_done(&s->check);
    for (size_t i = 0; i < s->count; i++)
        sentinel_done(&s->all[i]);
    timer_free(s->next);
    choice_done(&s->choice);
    free(s->all);
    free(s->password);
    free(s->user);
    free(s->master);
    free(s);
}

/* ---- rounds ---- */

static uint64_t at_most(uint64_t ms, uint64_t most)
{
    return ms < most ? ms : most;
}

static void begin_round(struct sentinels *s)
{
    uint64_t patience = at_most(s->patience_ms, s->pool->settings->connect_timeout);

    timer_stop(s->next);
    role_check_end(&s->check);
    choice_begin(&s->choice);
    s->round = true;
    s->again = s->answered = s->tried_present = false;
    s->refused[0] = 0;
    s->begun_ms = loop_now_ms(s->loop);
    s->due = (uint32_t)s->count;
    s->counts.rounds++;
    for (size_t i = 0; i < s->count; i++)
        sentinel_ask(&s->all[i], patience);
}

static void on_next(void *context)
{
    begin_round(context);
}

/* Half of it at least, so that the many larders of a fleet do not ask in step. */
static uint64_t jittered(uint64_t ms)
{
    uint64_t half = ms / 2;

    return half + random_below(ms - half + 1);
}

static uint64_t pause_ms(const struct sentinels *s)
{
    return at_most((uint64_t)PAUSE_MIN_MS << (s->failures < 10 ? s->failures : 10), PAUSE_MAX_MS);
}

/* What clients, the log and the console are told while there is no master. */
static void describe_trouble(struct sentinels *s)
{
    const struct sentinel *worst = NULL;

    for (size_t i = 0; i < s->count; i++) {
        const struct sentinel *one = &s->all[i];

        /* Who answers says more than who does not. */
        if (worst == NULL || (worst->state == SENTINEL_AWAY && one->state != SENTINEL_AWAY))
            worst = one;
    }
    if (s->refused[0])
        (void)snprintf(s->trouble, sizeof s->trouble, "%s", s->refused);
    else
        (void)snprintf(s->trouble, sizeof s->trouble, "Sentinel %.200s %s%s%s", worst->name,
                       worst->state == SENTINEL_GOOD ? "names a master of an older configuration"
                                                     : sentinel_state_word(worst->state),
                       worst->trouble[0] ? ": " : "", worst->trouble);
}

static void log_trouble(struct sentinels *s)
{
    if (strcmp(s->logged, s->trouble) == 0)
        return;
    (void)snprintf(s->logged, sizeof s->logged, "%s", s->trouble);
    log_warning(loop_log(s->loop), "sentinel: no master found, master=%s: %s", s->master,
                s->trouble);
}

static void end_badly(struct sentinels *s)
{
    if (s->tried_present && s->failures >= DISTRUST_ROUNDS)
        choice_doubt(&s->choice);
    if (!s->answered)
        s->patience_ms = at_most(s->patience_ms * 2, s->pool->settings->connect_timeout);
    describe_trouble(s);
    log_trouble(s);
    if (pool_held(s->pool))
        pool_hold(s->pool, s->trouble);
    if (pool_held(s->pool))
        breaker_failed(s->pool, 1, s->trouble);
    timer_start(s->next, s->again ? PAUSE_MIN_MS : jittered(pause_ms(s)));
    s->failures++;
}

static void end_well(struct sentinels *s)
{
    if (s->logged[0])
        log_info(loop_log(s->loop), "sentinel: found again, master=%s address=%s", s->master,
                 pool_address(s->pool));
    s->failures = 0;
    s->trouble[0] = s->logged[0] = 0;
    if (s->answered)
        s->patience_ms = ANSWER_MS;
    timer_start(s->next, s->again ? PAUSE_MIN_MS : jittered(s->interval_ms));
    s->interval_ms = at_most(s->interval_ms * 2, INTERVAL_MAX_MS);
}

/* All have been heard, and there is nobody left to try. */
static void end_round(struct sentinels *s)
{
    s->round = false;
    if (s->choice.confirmed)
        end_well(s);
    else
        end_badly(s);
}

/* One is wanted in `ms`, if none comes sooner. */
static void round_soon(struct sentinels *s, uint64_t ms)
{
    uint64_t age = loop_now_ms(s->loop) - s->begun_ms;

    s->interval_ms = INTERVAL_MIN_MS;
    if (s->round)
        s->again = true;
    else
        timer_start(s->next, age < ms ? ms - age : 0);
}

static void on_doubt(void *context, enum pool_doubt why)
{
    struct sentinels *s = context;
    uint64_t ms = pause_ms(s);

    if (why == DOUBT_LOST || why == DOUBT_REPLICA)
        pool_hold(s->pool, "");
    else if (ms < DOUBT_MIN_MS)
        ms = DOUBT_MIN_MS;
    round_soon(s, ms);
}

/* ---- is it the master? ---- */

static void log_untold(struct sentinels *s, struct slice why)
{
    if (!s->untold)
        log_warning(loop_log(s->loop),
                    "sentinel: %s:%u does not tell its role, and is taken for the master: %.*s",
                    s->check.place.host, s->check.place.port, (int)(why.n < 160 ? why.n : 160),
                    why.p);
    s->untold = true;
}

static void tell_moved(struct sentinels *s)
{
    if (s->ops != NULL)
        s->ops->moved(s->context);
}

static void confirm(struct sentinels *s)
{
    struct place place = s->check.place;
    struct address to = place_address(&place);
    bool first = s->choice.present.host[0] == 0;
    char before[sizeof s->pool->address];

    (void)snprintf(before, sizeof before, "%s", pool_address(s->pool));
    role_check_end(&s->check);
    choice_confirm(&s->choice, &place, s->checking_by);
    if (s->checking_by < s->count)
        s->said_by = s->all[s->checking_by].name;
    if (!pool_aim(s->pool, &to, &s->check.at))
        return;
    s->counts.switches += !first;
    log_info(loop_log(s->loop), "sentinel: %s%s, master=%s address=%s said-by=%s epoch=%llu",
             first ? "found" : "switched from ", first ? "" : before, s->master,
             pool_address(s->pool), s->said_by, (unsigned long long)s->choice.epoch);
    if (!first)
        tell_moved(s);
}

static void pass_over(struct sentinels *s, struct slice why)
{
    (void)snprintf(s->refused, sizeof s->refused, "%.200s:%u, the master as %.200s says, %.*s",
                   s->check.place.host, s->check.place.port,
                   s->checking_by < s->count ? s->all[s->checking_by].name : "nobody any more",
                   (int)(why.n < 250 ? why.n : 250), why.p);
    role_check_end(&s->check);
}

/* What the present master says, and pushes, is from now on what another tells it, late. */
static void depose(struct sentinels *s)
{
    pool_hold(s->pool, "");
    pool_drop(s->pool);
    tell_moved(s);
}

static void on_found(struct role_check *check, enum role_found found, struct slice why)
{
    struct sentinels *s = CONTAINER_OF(check, struct sentinels, check);

    switch (found) {
    case FOUND_UNTOLD:
        log_untold(s, why);
        confirm(s);
        break;
    case FOUND_MASTER:
        confirm(s);
        break;
    case FOUND_OTHER:
        s->counts.checks_refused++;
        if (place_same(&check->place, &s->choice.present))
            depose(s);
        pass_over(s, SLICE("is none"));
        break;
    case FOUND_NOBODY:
        s->counts.checks_failed++;
        pass_over(s, why);
        break;
    }
    choose(s);
}

static void begin_check(struct sentinels *s, const struct place *place, size_t by)
{
    bool known = s->choice.present.host[0] != 0;

    s->checking_by = by;
    s->checking_epoch = by < s->count ? s->choice.answers[by].epoch : s->choice.epoch;
    s->tried_present |= known && place_same(place, &s->choice.present);
    s->counts.checks++;
    choice_try(&s->choice, place);
    role_check_begin(&s->check, place, known ? &s->pool->at : NULL, s->pool->settings);
}

static void choose(struct sentinels *s)
{
    struct choice *c = &s->choice;
    bool busy = role_check_busy(&s->check);
    size_t best = 0;

    if (choice_best(c, &best) && (!busy || c->answers[best].epoch > s->checking_epoch))
        begin_check(s, &c->answers[best].place, best);
    else if (busy || s->due > 0)
        return;
    else if (!c->confirmed && !s->tried_present && c->present.host[0] != 0)
        begin_check(s, &c->present, s->count);
    else
        end_round(s);
}

/* ---- what the Sentinels say ---- */

static void on_told(struct sentinel *one)
{
    struct sentinels *s = one->owner;
    size_t i = (size_t)(one - s->all);

    s->due--;
    s->answered |= one->state != SENTINEL_AWAY;
    if (one->state == SENTINEL_GOOD) {
        s->counts.answers++;
        s->counts.stale += choice_note(&s->choice, i, &one->place, one->epoch);
        sentinel_watch(one, s->pool->settings->connect_timeout);
    } else if (one->state == SENTINEL_UNKNOWN) {
        s->counts.unknown++;
    } else {
        s->counts.failures++;
    }
    choose(s);
}

/* At once, and a round that may wait for the dead is begun anew: what is announced has happened. */
static void on_announced(struct sentinel *one)
{
    struct sentinels *s = one->owner;

    s->counts.announcements++;
    s->interval_ms = INTERVAL_MIN_MS;
    if (loop_now_ms(s->loop) - s->begun_ms < ROUND_MIN_MS)
        round_soon(s, ROUND_MIN_MS);
    else
        begin_round(s);
}

static void on_watched(struct sentinel *one)
{
    round_soon(one->owner, INTERVAL_MIN_MS);
}

static const struct sentinel_ops sentinel_ops = {on_told, on_announced, on_watched};

/* ---- for the console ---- */

struct counter_set sentinels_counters(struct sentinels *s)
{
    static const struct counter_row rows[] = {
#define ROW(name, kind, help) {#name, kind, offsetof(struct sentinels_counters, name), help},
        SENTINELS_COUNTERS(ROW)
#undef ROW
    };
    static const struct sentinels_counters none = {0};

    if (s != NULL) {
        s->counts.watching = 0;
        for (size_t i = 0; i < s->count; i++)
            s->counts.watching += s->all[i].watching;
    }
    return (struct counter_set){"sentinel", rows, ARRAY_LEN(rows), s != NULL ? &s->counts : &none};
}

void sentinels_describe(const struct sentinels *s, struct buffer *out)
{
    if (s == NULL)
        return;
    buffer_printf(out, "master=%s address=%s said-by=%s epoch=%llu switches=%llu trouble=%s\n",
                  s->master, s->choice.present.host[0] ? pool_address(s->pool) : "", s->said_by,
                  (unsigned long long)s->choice.epoch, (unsigned long long)s->counts.switches,
                  s->trouble);
    for (size_t i = 0; i < s->count; i++) {
        const struct sentinel *one = &s->all[s->choice.order[i]];
        bool good = one->state == SENTINEL_GOOD;

        buffer_printf(out, "sentinel=%s %s watched=%s", one->name, sentinel_state_word(one->state),
                      one->watching ? "yes" : "no");
        if (good)
            buffer_printf(out, " says=%s:%u epoch=%llu", one->place.host, one->place.port,
                          (unsigned long long)one->epoch);
        buffer_printf(out, " trouble=%s\n", one->trouble);
    }
}
