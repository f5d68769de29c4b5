/* check_touches_model.c - random hits for hours of simulated time, against an upstream that keeps
 * deadlines (and caps) as Redis does, seen by one sidecar or by two.
 *
 * The model knows nothing of how touches.c decides. It keeps each hit as a debt that is due after a
 * quarter of the window: by then the upstream's deadline must be the hit's promise or later, or the
 * cap. And it looks that a sidecar never tells twice within a quarter of one life of a key. Answers
 * and invalidations take a while; until then hits are judged by what a stale copy says. */
#include "suites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/touches.h"

#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define START  (123 * HOUR)

#define SIDECARS_MAX 2
#define DEBTS        1024 /* hits of one key within a quarter */
#define ANSWERS      4096

struct plan {
    unsigned keys, sidecars;
    uint64_t for_ms;
    uint64_t window_ms;   /* key i has (1 + i % 3) of it */
    uint64_t absolute_ms; /* 0: there is no cap; in the same way */
    uint64_t gap_ms;      /* at most, between two hits of any key */
    uint64_t idle_ms;     /* at most, once in 500 hits */
    uint64_t latency_ms;  /* of an answer, of an invalidation */
    bool rewrites;        /* now and then a key is written */
    bool shortens;        /* .. with less than a window */
    bool unknown;         /* now and then who hits has no look */
};

/* A key, upstream. */
struct life {
    uint64_t deadline_ms, cap_ms, changed_ms;
    uint64_t version;
};

/* .. as a sidecar has it. */
struct view {
    uint64_t copy_deadline_ms, copy_asked_ms, copy_version;
    uint64_t told_ms; /* 0: not in this life */
    uint64_t last_hit_ms;
    size_t first, debts;
    uint64_t hits_ms[DEBTS];
};

struct answer {
    uint64_t at_ms, deadline_ms;
    unsigned key;
};

struct sidecar {
    struct touches *t;
    struct view *views;
    struct answer answers[ANSWERS];
    size_t first, count;
};

struct world {
    const struct plan *plan;
    uint64_t now_ms, random;
    struct life *lives;
    struct sidecar sidecars[SIDECARS_MAX];
    uint64_t hits, tellings, remembered, capped, due;
};

static uint64_t below(struct world *w, uint64_t n)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random % n;
}

static uint64_t window_of(const struct world *w, unsigned key)
{
    return w->plan->window_ms * (1 + key % 3);
}

struct named {
    char bytes[24];
    struct touch_key key;
};

static struct touch_key name(unsigned key, struct named *named)
{
    int n = snprintf(named->bytes, sizeof(named->bytes), "session:%u", key / 2);

    named->key = (struct touch_key){slice_of(named->bytes, (size_t)n), key % 2};
    return named->key;
}

static unsigned number(struct touch_key k)
{
    unsigned n = 0;

    for (size_t i = strlen("session:"); i < k.key.n; i++)
        n = 10 * n + (unsigned)(k.key.p[i] - '0');
    return 2 * n + k.scope;
}

/* ---- debts ---- */

static void pay(struct world *w, unsigned key, bool all)
{
    const struct life *l = &w->lives[key];
    uint64_t window = window_of(w, key);

    for (unsigned s = 0; s < w->plan->sidecars; s++) {
        struct view *v = &w->sidecars[s].views[key];

        for (; v->debts > 0; v->first = (v->first + 1) % DEBTS, v->debts--) {
            uint64_t hit = v->hits_ms[v->first];

            if (!all && l->deadline_ms < l->cap_ms &&
                l->deadline_ms + w->plan->latency_ms < hit + window)
                break;
            ck_assert_msg(w->now_ms <= hit + window / 4, "hit at %lu, known upstream at %lu",
                          (unsigned long)hit, (unsigned long)w->now_ms);
        }
        if (v->debts == 0)
            v->first = 0;
    }
}

static void owe(struct world *w, struct view *v, unsigned key)
{
    ck_assert_uint_lt(v->debts, DEBTS);
    v->hits_ms[(v->first + v->debts++) % DEBTS] = w->now_ms;
    pay(w, key, false);
}

/* ---- upstream ---- */

static void change(struct world *w, unsigned key, uint64_t deadline_ms)
{
    struct life *l = &w->lives[key];

    l->deadline_ms = deadline_ms;
    l->changed_ms = w->now_ms;
    l->version++;
}

static void tell(struct world *w, struct sidecar *s, unsigned key, uint64_t left_ms)
{
    struct life *l = &w->lives[key];
    struct view *v = &s->views[key];
    bool there = l->deadline_ms > w->now_ms;
    uint64_t deadline = w->now_ms + left_ms < l->cap_ms ? w->now_ms + left_ms : l->cap_ms;

    ck_assert_msg(v->told_ms == 0 || w->now_ms - v->told_ms >= window_of(w, key) / 4,
                  "told at %lu and at %lu", (unsigned long)v->told_ms, (unsigned long)w->now_ms);
    v->told_ms = w->now_ms;
    if (there && deadline > l->deadline_ms)
        change(w, key, deadline);
    ck_assert_uint_lt(s->count, ANSWERS);
    s->answers[(s->first + s->count++) % ANSWERS] =
        (struct answer){.at_ms = w->now_ms + w->plan->latency_ms,
                        .deadline_ms = there ? l->deadline_ms : 0,
                        .key = key};
    w->tellings++;
    pay(w, key, false);
}

/* The key is written by way of s: what was owed before is void. */
static void write_key(struct world *w, struct sidecar *s, unsigned key)
{
    struct life *l = &w->lives[key];
    uint64_t window = window_of(w, key);
    struct named named;

    if (l->deadline_ms <= w->now_ms && w->plan->absolute_ms > 0)
        l->cap_ms = w->now_ms + w->plan->absolute_ms * (1 + key % 3);
    if (w->plan->shortens && below(w, 2) == 0)
        window = 1 + below(w, window);
    pay(w, key, true);
    change(w, key, w->now_ms + window < l->cap_ms ? w->now_ms + window : l->cap_ms);
    for (unsigned i = 0; i < w->plan->sidecars; i++)
        w->sidecars[i].views[key].told_ms = 0;
    touches_forget(s->t, name(key, &named));
}

/* ---- time ---- */

static void take_answer(struct world *w, struct sidecar *s)
{
    struct answer a = s->answers[s->first];
    struct named named;

    s->first = (s->first + 1) % ANSWERS;
    s->count--;
    touches_told(s->t, name(a.key, &named), window_of(w, a.key), a.deadline_ms, w->now_ms);
}

static void take_due(struct world *w, struct sidecar *s, bool all)
{
    struct touch_key k;
    uint64_t left;

    while (touches_due(s->t, w->now_ms, all, &k, &left)) {
        unsigned key = number(k);

        ck_assert_uint_eq(w->now_ms + left, s->views[key].last_hit_ms + window_of(w, key));
        if (all)
            s->views[key].told_ms = 0;
        tell(w, s, key, left);
        w->due++;
    }
}

/* All that happens up to then, in its order; at one moment answers come first. */
static void advance(struct world *w, uint64_t to_ms)
{
    for (;;) {
        struct sidecar *next = NULL;
        uint64_t at = to_ms + 1;
        bool answer = false;

        for (unsigned i = 0; i < w->plan->sidecars; i++) {
            struct sidecar *s = &w->sidecars[i];
            uint64_t due = touches_next_ms(s->t);

            if (s->count > 0 && s->answers[s->first].at_ms < at) {
                at = s->answers[s->first].at_ms;
                next = s;
                answer = true;
            }
            if (due < at) {
                at = due;
                next = s;
                answer = false;
            }
        }
        if (next == NULL)
            break;
        if (at > w->now_ms)
            w->now_ms = at;
        if (answer)
            take_answer(w, next);
        else
            take_due(w, next, false);
    }
    w->now_ms = to_ms;
}

/* ---- hits ---- */

static void look(struct world *w, const struct life *l, struct view *v)
{
    bool fresh = v->copy_version == l->version || (v->copy_version + 1 == l->version &&
                                                   w->now_ms < l->changed_ms + w->plan->latency_ms);

    if (fresh && v->copy_deadline_ms > w->now_ms)
        return;
    v->copy_deadline_ms = l->deadline_ms;
    v->copy_asked_ms = w->now_ms;
    v->copy_version = l->version;
}

static void hit(struct world *w, struct sidecar *s, unsigned key)
{
    struct life *l = &w->lives[key];
    struct view *v = &s->views[key];
    uint64_t window = window_of(w, key), promise = w->now_ms + window;
    uint64_t known;
    struct named named;
    struct touch_key k = name(key, &named);

    look(w, l, v);
    known = w->plan->unknown && below(w, 5) == 0 ? 0 : v->copy_deadline_ms;
    w->hits++;
    switch (touches_hit(s->t, k, window, known, v->copy_asked_ms, w->now_ms)) {
    case TOUCH_TELL:
        tell(w, s, key, window);
        break;
    case TOUCH_REMEMBERED:
        if (known < promise)
            ck_assert_uint_eq(touches_promised(s->t, k), promise);
        v->last_hit_ms = w->now_ms;
        w->remembered++;
        break;
    case TOUCH_CAPPED:
        ck_assert_uint_gt(w->plan->absolute_ms, 0);
        w->capped++;
        break;
    }
    owe(w, v, key);
}

static void step(struct world *w)
{
    const struct plan *p = w->plan;
    uint64_t gap = below(w, 500) == 0 ? p->idle_ms : p->gap_ms;
    unsigned key = (unsigned)below(w, p->keys);
    struct sidecar *s = &w->sidecars[below(w, p->sidecars)];
    bool there;

    advance(w, w->now_ms + below(w, gap + 1));
    there = w->lives[key].deadline_ms > w->now_ms;
    if (!there)
        for (unsigned i = 0; i < p->sidecars; i++)
            ck_assert_uint_eq(w->sidecars[i].views[key].debts, 0);
    if (!there || (p->rewrites && below(w, 300) == 0))
        write_key(w, s, key);
    else
        hit(w, s, key);
}

static void simulate(const struct plan *plan, uint64_t seed)
{
    struct world w = {.plan = plan, .now_ms = START, .random = seed};

    w.lives = must_calloc(plan->keys, sizeof(*w.lives));
    for (unsigned i = 0; i < plan->keys; i++)
        w.lives[i].cap_ms = UINT64_MAX;
    for (unsigned i = 0; i < plan->sidecars; i++) {
        w.sidecars[i].t = touches_new(plan->keys);
        w.sidecars[i].views = must_calloc(plan->keys, sizeof(struct view));
    }
    while (w.now_ms < START + plan->for_ms)
        step(&w);
    for (unsigned i = 0; i < plan->sidecars; i++)
        take_due(&w, &w.sidecars[i], true);
    for (unsigned i = 0; i < plan->sidecars; i++) {
        for (unsigned key = 0; key < plan->keys; key++)
            ck_assert_uint_eq(w.sidecars[i].views[key].debts, 0);
        ck_assert_uint_eq(touches_count(w.sidecars[i].t), 0);
        ck_assert_uint_eq(touches_next_ms(w.sidecars[i].t), UINT64_MAX);
        touches_free(w.sidecars[i].t);
        free(w.sidecars[i].views);
    }
    free(w.lives);
    ck_assert_uint_gt(w.due, 50);
    ck_assert_uint_gt(w.tellings, w.due);
    ck_assert_uint_gt(w.remembered, w.tellings);
    ck_assert((w.capped > 100) == (plan->absolute_ms > 0));
}

/* ---- the plans ---- */

static const struct plan PLANS[] = {
    /* one key */
    {.keys = 1,
     .sidecars = 1,
     .for_ms = 10 * HOUR,
     .window_ms = 10 * MINUTE,
     .gap_ms = 2 * SECOND,
     .idle_ms = 11 * MINUTE,
     .latency_ms = 3,
     .rewrites = true,
     .shortens = true,
     .unknown = true},
    {.keys = 1,
     .sidecars = 1,
     .for_ms = 10 * HOUR,
     .window_ms = 10 * MINUTE,
     .absolute_ms = 47 * MINUTE,
     .gap_ms = 2 * SECOND,
     .idle_ms = 11 * MINUTE,
     .latency_ms = 3,
     .unknown = true},
    {.keys = 1,
     .sidecars = 2,
     .for_ms = 10 * HOUR,
     .window_ms = 10 * MINUTE,
     .gap_ms = SECOND,
     .idle_ms = 11 * MINUTE,
     .latency_ms = 40,
     .rewrites = true,
     .unknown = true},
    {.keys = 1,
     .sidecars = 2,
     .for_ms = 10 * HOUR,
     .window_ms = 10 * MINUTE,
     .absolute_ms = 47 * MINUTE,
     .gap_ms = SECOND,
     .idle_ms = 11 * MINUTE,
     .latency_ms = 40},
    /* a thousand */
    {.keys = 1000,
     .sidecars = 1,
     .for_ms = 10 * HOUR,
     .window_ms = 10 * MINUTE,
     .gap_ms = 240,
     .idle_ms = 10 * SECOND,
     .latency_ms = 3,
     .rewrites = true,
     .shortens = true,
     .unknown = true},
    {.keys = 1000,
     .sidecars = 1,
     .for_ms = 10 * HOUR,
     .window_ms = 10 * MINUTE,
     .absolute_ms = 41 * MINUTE,
     .gap_ms = 240,
     .idle_ms = 10 * SECOND,
     .latency_ms = 3,
     .rewrites = true,
     .unknown = true},
    {.keys = 1000,
     .sidecars = 2,
     .for_ms = 10 * HOUR,
     .window_ms = 10 * MINUTE,
     .absolute_ms = 41 * MINUTE,
     .gap_ms = 200,
     .idle_ms = 10 * SECOND,
     .latency_ms = 40,
     .rewrites = true},
    /* windows so short that things happen at one moment */
    {.keys = 3,
     .sidecars = 2,
     .for_ms = 10 * MINUTE,
     .window_ms = 80,
     .gap_ms = 6,
     .idle_ms = 100,
     .latency_ms = 3,
     .rewrites = true,
     .unknown = true},
};

START_TEST(as_the_model)
{
    simulate(&PLANS[_i], UINT64_C(20240611) + (uint64_t)_i);
}
END_TEST

Suite *touches_model_suite(void)
{
    Suite *suite = suite_create("touches_model");
    TCase *tcase = tcase_create("touches_model");

    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, as_the_model, 0, (int)ARRAY_LEN(PLANS));
    suite_add_tcase(suite, tcase);
    return suite;
}
