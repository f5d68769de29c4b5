/* breaker.c - when the upstream is taken for away, and how it is found to be back.
 *
 *              breaker_failures in a row              pause over
 *      CLOSED ---------------------------> OPEN -----------------------> HALF_OPEN
 *        ^  ^                               |  ^                            |  |
 *        |  +--- breaker_forget(): the -----+  +---- no answer, -LOADING ---+  |
 *        |       endpoint is another                                           |
 *        +---------------------------- the PING is answered -------------------+
 *
 * A failure is a connection that did not come up or broke, a command past its deadline (a server
 * that is stopped, or cut off: connections may stay), and -LOADING. A reply to a client ends the
 * row, and so does time. What broke together is one failure: a link says nothing new that was
 * there, or was dialled, before the last failure.
 *
 * While it is not closed no client's command is sent: whoever asks for a link is told so at once.
 * Replies to what was sent before are handed on as they come. HALF_OPEN: one link is dialled, and
 * nothing but larder's own words is said on it, the last of them PING. The pause before it begins
 * with an eighth of breaker_open and is doubled up to the whole, half of it random, so that the
 * many larders of a fleet do not probe in step; it is cut short by a late reply, or by the
 * Sentinels. */
#include "upstream/breaker.h"

#include <stdio.h>

#include "net/loop.h"
#include "upstream/pool.h"
#include "upstream/pool_inside.h"

#define ROW_MS        60000u /* failures further apart are not of one row */
#define FIRST_SHIFT   3u     /* the first pause is breaker_open >> this */
#define HINT_MS       50u    /* after a sign of life the probe comes within this */
#define HELD_PAUSE_MS 200u   /* until it is looked again whether there is an address to probe */

#define STATE_WORD(name, word) word,

static const char *state_word(enum breaker_state state)
{
    static const char *const words[] = {BREAKER_STATES(STATE_WORD)};

    CHECK(state < BREAKER_STATE_COUNT);
    return words[state];
}

static void on_timer(void *context);

void breaker_init(struct pool *pool)
{
    pool->breaker.timer = timer_new(pool->loop, on_timer, pool);
}

void breaker_done(struct pool *pool)
{
    timer_free(pool->breaker.timer);
}

/* Those who wait for a link are told, or served: in the beat, for this may be deep in a call. */
static void tell_waiters(struct pool *pool)
{
    pool->wake_all = pool->serve_loans = true;
    loop_again(pool->loop);
    pool_tick_soon(pool);
}

/* Half of it at least. */
static uint64_t pause_ms(const struct pool *pool)
{
    uint32_t row = pool->breaker.row;
    uint64_t most = pool->settings->breaker_open >> (row < FIRST_SHIFT ? FIRST_SHIFT - row : 0);

    return most / 2 + random_below(most - most / 2) + 1;
}

static void probe_in(struct pool *pool, uint64_t ms)
{
    pool->breaker.next_ms = loop_now_ms(pool->loop) + ms;
    timer_start(pool->breaker.timer, ms);
}

static void breaker_become(struct pool *pool, enum breaker_state state)
{
    struct breaker *b = &pool->breaker;
    uint64_t now_ms = loop_now_ms(pool->loop);

    if (b->state == BREAKER_CLOSED)
        b->out_ms = now_ms;
    b->state = state;
    pool->count.breaker = (uint64_t)state;
    b->next_ms = 0;
    timer_stop(b->timer);
    switch (state) {
    case BREAKER_CLOSED:
        log_info(loop_log(pool->loop), "upstream: %s: breaker closed, away-ms=%llu", pool->address,
                 (unsigned long long)(now_ms - b->out_ms));
        b->failures = b->row = 0;
        pool->retry_ms = 0;
        pool_reached(pool);
        tell_waiters(pool);
        return;
    case BREAKER_OPEN:
        pool->count.breaker_opened += b->row == 0;
        probe_in(pool, pause_ms(pool));
        b->row++;
        tell_waiters(pool);
        return;
    case BREAKER_HALF_OPEN:
        pool->count.breaker_probes++;
        return;
    case BREAKER_STATE_COUNT:
        break;
    }
    CHECK(false);
}

/* ---- what it hears ---- */

void breaker_failed(struct pool *pool, uint32_t n, const char *why)
{
    struct breaker *b = &pool->breaker;
    uint64_t now_ms = loop_now_ms(pool->loop), most = pool->settings->breaker_failures;

    if (b->state != BREAKER_CLOSED || most == 0)
        return;
    if (now_ms - b->failed_ms > ROW_MS)
        b->failures = 0;
    b->failures += n;
    b->failed_ms = now_ms;
    if (b->failures < most)
        return;
    (void)snprintf(b->why, sizeof b->why, "%s", why);
    log_warning(loop_log(pool->loop), "upstream: %s: breaker open, failures=%u: %s", pool->address,
                b->failures, why);
    breaker_become(pool, BREAKER_OPEN);
}

static void probe_failed(struct pool *pool, const char *why)
{
    (void)snprintf(pool->breaker.why, sizeof pool->breaker.why, "%s", why);
    breaker_become(pool, BREAKER_OPEN);
}

static bool is_loading(struct slice reply)
{
    return slice_starts(reply, SLICE("-LOADING"));
}

static const char *words_for(const struct link *l, enum link_failure why)
{
    if (l->trouble != NULL)
        return l->trouble;
    return why == LINK_LOST || why == LINK_UNREACHED ? stream_error_text(&l->stream)
                                                     : link_failure_word(why);
}

void breaker_link_ended(struct link *l, enum link_failure why)
{
    struct pool *pool = l->pool;
    const struct breaker *b = &pool->breaker;
    bool was_up = l->up_ms > 0,
         refused = l->refusal && !is_loading(buffer_slice(&l->lane->refusal));

    if (l->probe) {
        if (b->state != BREAKER_HALF_OPEN)
            return;
        /* A login that is refused is the clients' to hear of: the server is there. */
        if (refused)
            breaker_become(pool, BREAKER_CLOSED);
        else
            probe_failed(pool, words_for(l, why));
        return;
    }
    if (why == LINK_CLOSED || l->outdated || refused)
        return;
    if (b->failures == 0 || (was_up ? l->up_ms : l->since_ms) > b->failed_ms)
        breaker_failed(pool, 1, words_for(l, why));
}

void breaker_heard(struct pool *pool, struct slice reply)
{
    struct breaker *b = &pool->breaker;

    if (is_loading(reply))
        breaker_failed(pool, 1, "LOADING");
    else if (b->state == BREAKER_CLOSED)
        b->failures = 0;
    else
        breaker_hint(pool);
}

void breaker_hint(struct pool *pool)
{
    struct breaker *b = &pool->breaker;

    if (b->state == BREAKER_OPEN && b->next_ms > loop_now_ms(pool->loop) + HINT_MS)
        probe_in(pool, 1 + random_below(HINT_MS));
}

void breaker_forget(struct pool *pool)
{
    pool->breaker.failures = 0;
    if (pool->breaker.state != BREAKER_CLOSED)
        breaker_become(pool, BREAKER_CLOSED);
}

/* ---- the probe ---- */

/* The first that somebody is in: larder's own login, unless only clients' are left. */
static struct lane *lane_to_probe(const struct pool *pool)
{
    for (list_each (node, &pool->lanes)) {
        struct lane *lane = CONTAINER_OF(node, struct lane, node);

        if (lane->holders > 0)
            return lane;
    }
    return NULL;
}

/* A link of its own, even if that is one more than max_links: what those that are there are stuck
 * in cannot be told. */
static void on_timer(void *context)
{
    struct pool *pool = context;
    struct lane *lane = lane_to_probe(pool);

    if (pool->breaker.state != BREAKER_OPEN)
        return;
    if (lane == NULL || pool->held || pool->to == NULL) {
        probe_in(pool, HELD_PAUSE_MS);
        return;
    }
    breaker_become(pool, BREAKER_HALF_OPEN);
    lane->next_db = (int)pool->settings->database;
    link_dial(lane); /* which makes it the probe, for nothing else is dialled now */
}

bool breaker_takes(struct link *l)
{
    if (!l->probe || l->pool->breaker.state != BREAKER_HALF_OPEN) {
        breaker_hint(l->pool);
        return false;
    }
    probe_ping(l);
    return true;
}

bool breaker_proved(struct link *l, struct slice reply)
{
    struct pool *pool = l->pool;

    if (is_loading(reply)) {
        l->trouble = "LOADING";
        link_fail(l, LINK_CLOSED);
        return false;
    }
    /* Another error (-NOAUTH, -NOPERM, -BUSY) is an answer: clients are to hear it themselves. */
    l->probe = false;
    if (pool->breaker.state == BREAKER_HALF_OPEN)
        breaker_become(pool, BREAKER_CLOSED);
    return true;
}

/* ---- what others are told ---- */

bool pool_is_out(const struct pool *pool)
{
    return pool_out(pool);
}

struct breaker_view pool_breaker(const struct pool *pool)
{
    const struct breaker *b = &pool->breaker;
    uint64_t now_ms = loop_now_ms(pool->loop);

    return (struct breaker_view){
        .state = state_word(b->state),
        .failures = b->failures,
        .away_ms = b->state == BREAKER_CLOSED ? 0 : now_ms - b->out_ms,
        .probe_ms = b->state == BREAKER_OPEN && b->next_ms > now_ms ? b->next_ms - now_ms : 0};
}
