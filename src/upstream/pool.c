/* pool.c - the links of one upstream: their states, their counting, the beat and the tick. */
#include "upstream/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/loop.h"
#include "upstream/pool_inside.h"

#define TICK_MS      50u   /* while anything is in flight or waited for */
#define SLOW_TICK_MS 1000u /* at most, else */
#define BUSY_ANSWERS 4u    /* in a turn, by whoever uses the pool: there is much to do */
#define BUSY_MOST    1000u /* .. are as good as more */
#define ASIDE_MS     5000u /* a link of those who ask for much stays theirs when nobody does */

static void on_tick(void *context);

struct pool *pool_new(struct loop *loop, struct resolver *resolver,
                      const struct upstream_settings *settings)
{
    struct pool *pool = must_calloc(1, sizeof *pool);

    pool->loop = loop;
    pool->resolver = resolver;
    list_init(&pool->lanes);
    list_init(&pool->dirty);
    list_init(&pool->buried);
    list_init(&pool->stock);
    pool->tick = timer_new(loop, on_tick, pool);
    breaker_init(pool);
    pool_resettle(pool, settings);
    return pool;
}

void pool_resettle(struct pool *pool, const struct upstream_settings *settings)
{
    pool->settings = settings;
    if (pool->guide != NULL)
        return;
    pool->to = &settings->address;
    address_setting_text(pool->to, pool->address, sizeof pool->address);
}

void pool_secure(struct pool *pool, const struct tls *tls)
{
    pool->tls = tls;
}

static void free_links(struct list *l)
{
    while (!list_empty(l)) {
        struct link *link = CONTAINER_OF(l->next, struct link, node);

        list_leave(&link->node);
        free(link);
    }
}

static void lane_free(struct lane *lane)
{
    list_leave(&lane->node);
    buffer_done(&lane->hello);
    buffer_done(&lane->hello_error);
    buffer_done(&lane->refusal);
    free(lane->user);
    free(lane->password);
    free(lane);
}

void pool_free(struct pool *pool)
{
    if (pool == NULL)
        return;
    for (list_each (node, &pool->lanes)) {
        struct lane *lane = CONTAINER_OF(node, struct lane, node);

        for (size_t state = 0; state < LINK_STATE_COUNT; state++) {
            while (!list_empty(&lane->links[state]))
                link_fail(CONTAINER_OF(lane->links[state].next, struct link, node), LINK_CLOSED);
        }
    }
    while (!list_empty(&pool->lanes))
        lane_free(CONTAINER_OF(pool->lanes.next, struct lane, node));
    free_links(&pool->buried);
    free_links(&pool->stock);
    breaker_done(pool);
    timer_free(pool->tick);
    free(pool);
}

static void wake_all(struct pool *pool)
{
    pool->wake_all = false;
    for (list_each (node, &pool->lanes))
        lane_wake(CONTAINER_OF(node, struct lane, node));
}

void pool_busy(struct pool *pool, uint64_t answers)
{
    pool->busy = answers < BUSY_ANSWERS ? 0 : answers < BUSY_MOST ? (uint32_t)answers : BUSY_MOST;
}

bool pool_beat(void *context)
{
    struct pool *pool = context;

    bool served = pool->serve_loans, gathering = false;
    struct list held;

    if (pool->wake_all)
        wake_all(pool);
    pool->serve_loans = false;
    if (served)
        loans_serve(pool);
    list_init(&held);
    while (!list_empty(&pool->dirty)) {
        struct link *l = CONTAINER_OF(pool->dirty.next, struct link, dirty);

        if (LIKELY(!record_waits(l, &gathering))) {
            link_flush(l);
        } else {
            list_leave(&l->dirty);
            list_push_back(&held, &l->dirty);
        }
    }
    list_move_all(&held, &pool->dirty);
    list_move_all(&pool->buried, &pool->stock);
    /* Whoever was lent a link is to be served in a turn that does not wait. */
    return served || gathering;
}

void pool_tell_return(struct pool *pool, const struct pool_return *to)
{
    pool->back = to;
}

void pool_reached(struct pool *pool)
{
    if (pool->back != NULL)
        pool->back->reached(pool->back->context);
}

/* ---- states ---- */

void link_become(struct link *l, enum link_state state)
{
    struct lane *lane = l->lane;

    if (l->state != LINK_STOCK) {
        list_leave(&l->node);
        lane->count[l->state]--;
        l->pool->count.links_shared -= l->state == LINK_SHARED;
        lane->retiring -= l->retiring;
        l->retiring = false;
    }
    if (l->state == LINK_SHARED || state == LINK_SHARED)
        kept_begin(&l->kept, state == LINK_SHARED);
    l->aside = false;
    l->state = (uint8_t)state;
    l->since_ms = loop_now_ms(l->pool->loop);
    if (state == LINK_STOCK) {
        list_push_back(&l->pool->buried, &l->node);
        return;
    }
    /* Idle links are taken from the front: the one used last first. */
    if (state == LINK_IDLE)
        list_push_front(&lane->links[state], &l->node);
    else
        list_push_back(&lane->links[state], &l->node);
    lane->count[state]++;
    l->pool->count.links_shared += state == LINK_SHARED;
}

uint32_t pool_trip_us(const struct pool *pool)
{
    return (uint32_t)pool->count.trip_us;
}

/* Shorter at once, longer by and by: a busy machine has long ones now and then. */
static void note_trip(struct pool *pool, uint32_t us)
{
    uint64_t was = pool->count.trip_us;

    pool->count.trip_us = was == 0 || us < was ? us : (7 * was + us) / 8;
}

static void link_is_up(struct link *l)
{
    struct pool *pool = l->pool;

    pool->count.links_opened++;
    note_trip(pool, stream_trip_us(&l->stream));
    buffer_done(&l->lane->refusal);
    pool->retry_ms = 0;
    if (pool->failures > 0) {
        log_info(loop_log(pool->loop), "upstream: %s: reached again", pool->address);
        pool->failures = 0;
        if (!pool_out(pool))
            pool_reached(pool);
    }
    pool->loading_ms = 0; /* what it can do is to be seen anew */
    pool->trouble[0] = 0;
    l->lane->retry_ms = 0;
    l->lane->refusals = 0;
    l->lane->proven = true;
    l->lane->rejected = false;
    l->read_ms = loop_now_ms(pool->loop);
    lifetime_begin(l);
    log_debug(loop_log(pool->loop), "upstream: link=%llu up, user=%s resp=%d",
              (unsigned long long)l->number, lane_user(l->lane), l->lane->proto);
}

void pool_link_free(struct link *l)
{
    struct lane *lane = l->lane;

    if (l->state == LINK_GREETING) {
        link_is_up(l);
        if (breaker_takes(l))
            return;
    } else if (lifetime_ends(l)) {
        return; /* whoever waits has been woken */
    }
    /* Shared use first: without it nobody in the lane is served at all. */
    link_become(l, lane_shared(lane) == 0 && !list_empty(&lane->waiters) ? LINK_SHARED : LINK_IDLE);
    lane_wake(lane);
    loans_serve(lane->pool);
}

static void count_down(struct pool *pool, const struct link *l, enum link_failure why)
{
    pool->count.links--;
    if (l->state <= LINK_GREETING)
        return;
    pool->count.links_closed++;
    pool->count.links_lost += why == LINK_LOST;
    pool->count.links_garbled += why == LINK_GARBLED || why == LINK_STRAY;
    pool->count.links_timed_out += why == LINK_TIMEOUT;
}

void pool_link_down(struct link *l, enum link_failure why)
{
    struct pool *pool = l->pool;
    bool was_up = l->state > LINK_GREETING;

    count_down(pool, l, why);
    breaker_link_ended(l, why);
    if (l->loan != NULL) {
        if (l->loan->kind == LOAN_LONG)
            pool->count.links_lent_long--;
        else
            pool->count.links_lent_pool--;
        l->loan = NULL;
    }
    if (was_up && why != LINK_CLOSED)
        log_info(loop_log(pool->loop), "upstream: link=%llu ended, reason=%s, %s",
                 (unsigned long long)l->number, link_failure_word(why),
                 l->outdated ? "dropped with all others" : stream_error_text(&l->stream));
    else if (!was_up && why == LINK_UNREACHED && !l->refusal)
        dial_failed(pool, l->trouble != NULL ? l->trouble : stream_error_text(&l->stream));
    if (was_up && why != LINK_CLOSED && !l->outdated)
        pool_doubt(pool, DOUBT_LOST);
    dial_forget(l);
    stream_close(&l->stream);
    list_leave(&l->dirty);
    buffer_done(&l->in);
    buffer_done(&l->out);
    l->scan = (struct reply_scan){0};
    l->scanned = 0;
    l->number = 0;
    link_become(l, LINK_STOCK);
    pool_tick_soon(pool);
    lane_wake(l->lane);
}

bool lane_may_open(const struct lane *lane)
{
    uint64_t now_ms = loop_now_ms(lane->pool->loop);

    return !pool_out(lane->pool) && now_ms >= lane->pool->retry_ms && now_ms >= lane->retry_ms &&
           !lane->pool->held;
}

/* ---- the tick ---- */

void pool_tick_soon(struct pool *pool)
{
    if (pool->ticking)
        return;
    pool->ticking = true;
    timer_start(pool->tick, TICK_MS);
}

/* Idle links, and shared ones of a lane that nobody is in, do not stay for ever. */
static void close_old(struct lane *lane, enum link_state state, uint64_t now_ms)
{
    uint64_t most = lane->pool->settings->link_idle_timeout;

    while (!list_empty(&lane->links[state])) {
        struct link *oldest = CONTAINER_OF(lane->links[state].prev, struct link, node);

        if (now_ms - oldest->since_ms < most || oldest->slots.len > 0)
            return;
        link_fail(oldest, LINK_CLOSED);
    }
}

static bool tick_links(struct lane *lane, enum link_state state, uint64_t now_ms)
{
    struct list *links = &lane->links[state], *node = links->next;
    bool busy = false;

    while (node != links) {
        struct link *l = CONTAINER_OF(node, struct link, node);

        /* A subscriber's link may be silent for days: nothing on it has a deadline. */
        busy |= l->slots.len > 0 || buffer_len(&l->out) > 0 ||
                (state != LINK_SHARED && state != LINK_LENT);
        link_tick(l, now_ms);
        /* One that failed may have taken its neighbours with it: begin again. */
        node = l->state == state ? node->next : links->next;
    }
    return busy;
}

/* Where nobody asks for much any more the link aside is there for whoever needs one: one a tick.
 * True: it may be so some day. */
static bool tick_aside(struct lane *lane, uint64_t now_ms)
{
    bool any = false;

    for (list_each (node, &lane->links[LINK_SHARED])) {
        struct link *l = CONTAINER_OF(node, struct link, node);

        if (!l->aside)
            continue;
        if (l->slots.len == 0 && buffer_len(&l->out) == 0 && now_ms - l->read_ms >= ASIDE_MS &&
            now_ms - l->since_ms >= ASIDE_MS) {
            l->number = ++lane->pool->link_numbers; /* whoever used it looks for another */
            pool_link_free(l);
            return true;
        }
        any = true;
    }
    return any;
}

/* Returns whether the lane needs another tick soon; *ret_old: it has links to be closed some day.
 */
static bool tick_lane(struct lane *lane, uint64_t now_ms, bool *ret_old)
{
    static const enum link_state watched[] = {LINK_CONNECTING, LINK_GREETING, LINK_PROBING,
                                              LINK_SHARED,     LINK_LENT,     LINK_CLEANING};
    bool busy = false;

    for (size_t i = 0; i < ARRAY_LEN(watched); i++)
        busy |= tick_links(lane, watched[i], now_ms);
    busy |= lifetime_tick(lane);
    *ret_old |= tick_aside(lane, now_ms);
    close_old(lane, LINK_IDLE, now_ms);
    if (lane->holders == 0)
        close_old(lane, LINK_SHARED, now_ms);
    if (lane_may_open(lane)) {
        if (lane->holders > 0 && lane->proven &&
            lane->count[LINK_SHARED] + lane->count[LINK_IDLE] == 0 && lane_coming(lane) == 0 &&
            lane->pool->count.links < lane->pool->settings->max_links)
            link_dial(lane);
    }
    /* Those who wait look at their deadlines. */
    lane_wake(lane);
    *ret_old |= !list_empty(&lane->links[LINK_IDLE]) ||
                ((lane->holders == 0 || lane->pool->settings->max_lifetime > 0) &&
                 lane->count[LINK_SHARED] > 0);
    return busy || !list_empty(&lane->waiters) || lane_loans_waiting(lane) > 0 ||
           (lane->holders > 0 && lane->proven &&
            lane->count[LINK_SHARED] + lane->count[LINK_IDLE] == 0);
}

/* While only idle links grow old: often enough to close them about when they should be. */
static uint64_t slow_tick_ms(const struct pool *pool)
{
    uint64_t quarter = pool->settings->link_idle_timeout / 4;
    uint64_t life = pool->settings->max_lifetime / 16;

    if (life > 0 && life < quarter)
        quarter = life;
    if (quarter < TICK_MS)
        return TICK_MS;
    return quarter < SLOW_TICK_MS ? quarter : SLOW_TICK_MS;
}

/* While the upstream is away a login is remembered that it has accepted: lane_recall(). */
static bool is_recalled(const struct lane *lane)
{
    const struct upstream_counters *n = &lane->pool->count;

    return lane->proven && (n->links_opened == n->links_closed || pool_is_away(lane->pool));
}

static void on_tick(void *context)
{
    struct pool *pool = context;
    uint64_t now_ms = loop_now_ms(pool->loop);
    bool busy = false, old = false;

    pool->ticking = false;
    loans_expire(pool, now_ms);
    for (list_each_safe (node, next, &pool->lanes)) {
        struct lane *lane = CONTAINER_OF(node, struct lane, node);
        uint32_t links = 0;

        busy |= tick_lane(lane, now_ms, &old);
        for (size_t i = 0; i < LINK_STATE_COUNT; i++)
            links += lane->count[i];
        if (lane->holders + lane->keepers == 0 && links == 0 && !is_recalled(lane) &&
            lane_loans_waiting(lane) == 0 && list_empty(&lane->waiters))
            lane_free(lane);
    }
    loans_serve(pool);
    if (busy)
        pool_tick_soon(pool);
    else if (old && !pool->ticking)
        timer_start(pool->tick, slow_tick_ms(pool));
}

void pool_warm(struct pool *pool)
{
    pool_tick_soon(pool);
}
