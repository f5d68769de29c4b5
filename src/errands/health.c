/* health.c - see health.h.
 *
 *      ask --> no link? wait for one --> SET larder:health:<random> <random> PX, GET, DEL, ROLE
 *       |              |                    |
 *       |              +---- deadline ------+--> away        (late replies go to nobody)
 *       +--- the breaker is open ---------------> away, at once
 *                                           +--> the value is read: well; else: refuses
 *
 * On the shared link that larder's own user has, as any client's command: so it is seen what
 * clients would see. The key is gone with the next command, and after some seconds in any case. */
#include "errands/health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/buffer.h"
#include "net/loop.h"
#include "resp/reply.h"
#include "resp/write.h"
#include "upstream/pool.h"

#define KEY_PX "5000" /* outlives any round trip, and is little */
#define WORDS  4u     /* requests of a round trip */

/* Lives until all its replies have come, even if nobody waits any more. */
struct trip {
    struct asker asker;
    struct health *owner; /* NULL: too late */
    uint64_t begun_us;
    uint32_t due;
    struct buffer got;
    char value[17];
};

struct health {
    struct loop *loop;
    struct pool *pool;
    struct lane *lane;
    struct lane_waiter waiting;
    struct timer *timer; /* the deadline; or, at once: known */
    struct trip *trip;   /* under way */
    void (*known)(void *context);
    void *context;
    bool asking;
    enum upstream_state state;
    uint64_t known_ms, took_us; /* known_ms 0: never */
    char role[16], why[320];
};

#define STATE_WORD(name, word) word,

const char *upstream_state_word(enum upstream_state state)
{
    static const char *const words[] = {UPSTREAM_STATES(STATE_WORD)};

    CHECK(state < UPSTREAM_STATE_COUNT);
    return words[state];
}

static uint64_t clock_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ---- ends ---- */

static void settle(struct health *h, enum upstream_state state, const char *why)
{
    if (h->trip != NULL)
        h->trip->owner = NULL;
    h->trip = NULL;
    list_leave(&h->waiting.node);
    timer_stop(h->timer);
    h->asking = false;
    h->state = state;
    h->known_ms = loop_now_ms(h->loop);
    (void)snprintf(h->why, sizeof h->why, "%s", why);
    h->known(h->context);
}

static void away(struct health *h)
{
    const char *trouble = pool_trouble(h->pool);
    char why[320];

    if (trouble[0] != 0)
        (void)snprintf(why, sizeof why, "%s", trouble);
    else if (h->trip != NULL)
        (void)snprintf(why, sizeof why, "no reply within %u ms", HEALTH_DEADLINE_MS);
    else
        (void)snprintf(why, sizeof why, "no connection within %u ms", HEALTH_DEADLINE_MS);
    settle(h, UPSTREAM_AWAY, why);
}

static void on_timer(void *context)
{
    away(context);
}

/* ---- the replies ---- */

static void note_role(struct health *h, struct slice reply)
{
    struct reply r;

    h->role[0] = 0;
    if (reply_read(&reply, &r) && r.type == '*' && reply_read(&reply, &r) && r.type == '$')
        (void)snprintf(h->role, sizeof h->role, "%.*s", (int)(r.text.n < 15 ? r.text.n : 15),
                       r.text.p);
}

/* What a reply is wrong with; false: nothing. */
static bool is_error(struct slice reply, const char *word, char *why, size_t room)
{
    if (reply.p[0] != '-')
        return false;
    (void)snprintf(why, room, "%s: %.*s", word, (int)(reply.n < 200 ? reply.n - 3 : 200),
                   reply.p + 1);
    return true;
}

static void judge(struct trip *t)
{
    struct health *h = t->owner;
    struct slice rest = buffer_slice(&t->got), set = rest, get, role;
    struct reply value;
    char why[320] = "";

    CHECK(reply_skip(&rest));
    set.n -= rest.n;
    get = rest;
    CHECK(reply_skip(&rest) && reply_skip(&rest));
    role = rest;
    note_role(h, role);
    if (!is_error(set, "SET", why, sizeof why) && !is_error(get, "GET", why, sizeof why) &&
        (!reply_read(&get, &value) || !slice_eq(value.text, slice_str(t->value))))
        (void)snprintf(why, sizeof why, "GET: not what was set");
    if (why[0] == 0)
        h->took_us = clock_us() - t->begun_us;
    settle(h, why[0] == 0 ? UPSTREAM_WELL : UPSTREAM_REFUSES, why);
}

static void trip_done(struct trip *t, uint32_t n)
{
    CHECK(n <= t->due);
    t->due -= n;
    if (t->due > 0)
        return;
    if (t->owner != NULL)
        judge(t);
    buffer_done(&t->got);
    free(t);
}

static void on_replies(struct asker *a, struct slice bytes, uint32_t n)
{
    struct trip *t = CONTAINER_OF(a, struct trip, asker);

    if (t->owner != NULL)
        buffer_add(&t->got, bytes.p, bytes.n);
    trip_done(t, n);
}

static void on_failed(struct asker *a, uint32_t n, enum link_failure why, bool begun)
{
    struct trip *t = CONTAINER_OF(a, struct trip, asker);

    (void)begun;
    if (t->owner != NULL)
        settle(t->owner, UPSTREAM_AWAY, link_failure_sentence(why));
    trip_done(t, n);
}

static const struct asker_ops trip_ops = {on_replies, NULL, on_failed, NULL};

/* ---- asking ---- */

static void say(struct trip *t, struct buffer *out)
{
    char key[40];
    struct slice name;

    (void)snprintf(key, sizeof key, "larder:health:%s", t->value);
    name = slice_str(key);
    write_request(
        out, (struct slice[]){SLICE("SET"), name, slice_str(t->value), SLICE("PX"), SLICE(KEY_PX)},
        5);
    write_request(out, (struct slice[]){SLICE("GET"), name}, 2);
    write_request(out, (struct slice[]){SLICE("DEL"), name}, 2);
    write_request(out, (struct slice[]){SLICE("ROLE")}, 1);
}

static void try_to_ask(struct health *h)
{
    struct link *l = lane_link(h->lane, pool_database(h->pool));
    struct buffer words = {0};
    struct trip *t;
    uint64_t seed = 0;

    if (l == NULL || link_full(l)) {
        lane_wait(h->lane, &h->waiting);
        return;
    }
    t = must_calloc(1, sizeof *t);
    *t = (struct trip){.asker = {&trip_ops}, .owner = h, .begun_us = clock_us(), .due = WORDS};
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
        seed = t->begun_us;
    (void)snprintf(t->value, sizeof t->value, "%016llx", (unsigned long long)seed);
    say(t, &words);
    h->trip = t;
    link_ask(l, &t->asker, buffer_slice(&words), WORDS, true);
    buffer_done(&words);
}

static void on_wake(struct lane_waiter *w)
{
    struct health *h = CONTAINER_OF(w, struct health, waiting);

    if (pool_is_out(h->pool))
        away(h);
    else
        try_to_ask(h);
}

struct health *health_new(struct loop *loop, struct pool *pool)
{
    struct health *h = must_calloc(1, sizeof *h);

    h->loop = loop;
    h->pool = pool;
    h->waiting.wake = on_wake;
    list_init(&h->waiting.node);
    h->timer = timer_new(loop, on_timer, h);
    return h;
}

void health_free(struct health *h)
{
    if (h == NULL)
        return;
    if (h->trip != NULL)
        h->trip->owner = NULL;
    list_leave(&h->waiting.node);
    timer_free(h->timer);
    if (h->lane != NULL)
        lane_release(h->lane);
    free(h);
}

static bool is_young(const struct health *h)
{
    return h->known_ms != 0 && loop_now_ms(h->loop) - h->known_ms < HEALTH_HOLDS_MS;
}

bool health_ask(struct health *h, void (*known)(void *context), void *context)
{
    if (h->asking)
        return false;
    /* What was well before it went away is no more. */
    if (is_young(h) && !(pool_is_out(h->pool) && h->state != UPSTREAM_AWAY))
        return true;
    if (h->lane == NULL)
        h->lane = lane_hold_default(h->pool, 2);
    h->known = known;
    h->context = context;
    h->asking = true;
    timer_start(h->timer, pool_is_out(h->pool) ? 0 : HEALTH_DEADLINE_MS);
    if (!pool_is_out(h->pool))
        try_to_ask(h);
    return false;
}

struct health_view health_look(const struct health *h)
{
    return (struct health_view){.state = h->state,
                                .took_us = h->took_us,
                                .age_ms = h->known_ms ? loop_now_ms(h->loop) - h->known_ms : 0,
                                .role = h->role,
                                .why = h->why};
}
