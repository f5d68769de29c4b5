/* invalidation.c - which way the upstream says what changes, and when that is certain.
 *
 * The owner (the near cache) is told, from the left to the right:
 *
 *      armed  keys* proven keys* proven ..   lost                armed  keys* proven ..
 *      |------------- covered --------------|------- not --------|------ covered ----
 *      |                                    |                    |
 *      epoch: what was in the air           epoch: what is kept  epoch again: what was asked
 *      is not kept, what was kept           is suspect; what is  between lost and armed may have
 *      before is suspect                    in the air, too      missed its push
 *
 * Within `covered` every change is told by keys() or flush(), in the upstream's order; proven(t)
 * stands behind all that changed before t. Silence is no event: proven() does not come, and whoever
 * serves looks at its age.
 *
 * Two connections at most: `force`, which the owner relies on, and `coming`, which is being armed:
 *
 *      aim() --> coming --armed--+--no force--> force, armed()
 *        ^         |             |
 *        |      refused,         +--force: other prefixes. Pushes of before
 *        |       lost               the arming may be on their way yet: PING on
 *        |         |                it, and when that is answered the new one is
 *      retry <-----+                in force and the old one ends. Pushes of
 *                                   both are handed on. So past max_lifetime.
 *
 * Refused in RESP2 (no channel allowed, REDIRECT not known), RESP3 is tried; refused there as well,
 * `auto` goes without pushes and begins again each minute. After each loss it begins at the top. */
#include "upstream/invalidation.h"

#include <stdio.h>
#include <stdlib.h>

#include "net/loop.h"
#include "upstream/pool_inside.h"
#include "upstream/tracking.h"

#define PING_MS       1000u  /* at most so long between two PINGs */
#define PINGS         3u     /* .. and at least so many in a coherence_timeout */
#define PATIENCE      3u     /* coherence_timeouts without a byte until the link is given up */
#define BROKEN_TRIES  3u     /* links in a row that ended while being armed: taken for a refusal */
#define TTL_RETRY_MS  60000u /* until the upstream that refused pushes is asked again */
#define FAST_RETRY_MS 5000u  /* .. when nothing is served without them */

struct invalidation {
    struct loop *loop;
    struct pool *pool;
    const struct invalidation_ops *ops;
    void *context;
    struct invalidation_settings set;
    struct prefixes wanted;
    struct prefixes shed; /* in force once since the last armed(), and not any more */
    struct tracking links[2];
    struct tracking *force, *coming; /* of links; NULL: none */
    uint64_t handover;               /* the PING on `force` whose answer ends it */
    struct timer *beat, *retry;
    struct pool_return back; /* what is waited for may be over before `retry` says so */
    uint64_t retry_ms;       /* when */
    int proto;               /* of the next attempt */
    uint32_t failures;       /* attempts in a row that failed for what will pass */
    uint32_t broken;         /* .. because the link ended */
    uint64_t proven_ms;      /* of `force` */
    uint64_t trusted_ms;     /* .. or when it came into force */
    bool silent;             /* .. more than coherence_timeout ago */
    char refusal2[200];      /* why it is not RESP2 */
    char trouble[480];       /* why it is not pushes over RESP2 */
    char logged[480];        /* what of that the log has last */
    enum coherence_mode mode;
    struct invalidation_counters count;
};

static void on_retry(void *context);
static void on_reached(void *context);
static void on_beat(void *context);
static const struct tracking_ops link_ops;

const char *coherence_word(enum coherence_mode mode)
{
    static const char *const words[] = {
        [COHERENCE_NONE] = "none",
        [COHERENCE_BROADCAST2] = "broadcast (RESP2)",
        [COHERENCE_BROADCAST3] = "broadcast (RESP3)",
        [COHERENCE_TTL] = "ttl",
    };

    return words[mode];
}

static void become(struct invalidation *inv, enum coherence_mode mode)
{
    inv->mode = mode;
    inv->count.mode = mode;
    if (mode == COHERENCE_TTL)
        inv->ops->alone(inv->context);
}

struct invalidation *invalidation_new(struct loop *loop, struct pool *pool,
                                      const struct invalidation_settings *settings,
                                      const struct invalidation_ops *ops, void *context)
{
    struct invalidation *inv = must_calloc(1, sizeof *inv);

    *inv = (struct invalidation){
        .loop = loop, .pool = pool, .ops = ops, .context = context, .set = *settings, .proto = 2};
    for (size_t i = 0; i < ARRAY_LEN(inv->links); i++)
        tracking_init(&inv->links[i], loop, pool, &link_ops, inv);
    inv->beat = timer_new(loop, on_beat, inv);
    inv->retry = timer_new(loop, on_retry, inv);
    inv->back = (struct pool_return){on_reached, inv};
    pool_tell_return(pool, &inv->back);
    return inv;
}

static void drop_links(struct invalidation *inv)
{
    for (size_t i = 0; i < ARRAY_LEN(inv->links); i++)
        tracking_end(&inv->links[i]);
    inv->force = inv->coming = NULL;
    inv->proven_ms = 0;
    timer_stop(inv->retry);
    timer_stop(inv->beat);
}

void invalidation_free(struct invalidation *inv)
{
    if (inv == NULL)
        return;
    pool_tell_return(inv->pool, NULL);
    drop_links(inv);
    prefixes_done(&inv->wanted);
    prefixes_done(&inv->shed);
    timer_free(inv->beat);
    timer_free(inv->retry);
    free(inv);
}

/* ---- attempts ---- */

static uint64_t beat_ms(const struct invalidation *inv)
{
    uint64_t ms = inv->set.timeout_ms / PINGS;

    if (ms > PING_MS)
        return PING_MS;
    return ms > 0 ? ms : 1;
}

static bool too_old(const struct invalidation *inv)
{
    return inv->force != NULL && link_is_old(inv->force->loan.link);
}

static bool satisfied(const struct invalidation *inv)
{
    return inv->set.wish == COHERENCE_WISH_TTL || inv->wanted.n == 0 ||
           (inv->force != NULL && prefixes_same(&inv->force->prefixes, &inv->wanted) &&
            !too_old(inv));
}

static void begin(struct invalidation *inv)
{
    timer_stop(inv->retry);
    if (inv->coming != NULL || satisfied(inv))
        return;
    inv->coming = inv->force == &inv->links[0] ? &inv->links[1] : &inv->links[0];
    tracking_begin(inv->coming, inv->proto, &inv->wanted);
    if (!timer_running(inv->beat))
        timer_start(inv->beat, beat_ms(inv));
}

/* In steps, each of them by the loop's clock, which goes on while the host is suspended. */
static void wait_for_retry(struct invalidation *inv)
{
    uint64_t now_ms = loop_now_ms(inv->loop), step = beat_ms(inv);
    uint64_t left = inv->retry_ms > now_ms ? inv->retry_ms - now_ms : 0;

    timer_start(inv->retry, left < step ? left : step);
}

static void on_retry(void *context)
{
    struct invalidation *inv = context;

    if (loop_now_ms(inv->loop) < inv->retry_ms)
        wait_for_retry(inv);
    else
        begin(inv);
}

/* Clients are served from now on: what they read is kept only when pushes come as well. */
static void on_reached(void *context)
{
    struct invalidation *inv = context;

    if (!timer_running(inv->retry))
        return;
    inv->retry_ms = 0;
    timer_start(inv->retry, 0);
}

static void begin_at_the_top(struct invalidation *inv)
{
    inv->proto = 2;
    inv->failures = inv->broken = 0;
    begin(inv);
}

static void retry(struct invalidation *inv, uint64_t after_ms)
{
    inv->retry_ms = loop_now_ms(inv->loop) + after_ms + dial_backoff_ms(inv->pool, inv->failures++);
    wait_for_retry(inv);
}

/* Nothing is watched any more; the owner is told if it relied on something. */
static void stop(struct invalidation *inv, enum coherence_mode mode)
{
    bool told = inv->force != NULL;

    drop_links(inv);
    inv->trouble[0] = inv->logged[0] = 0;
    if (told)
        inv->ops->lost(inv->context);
    become(inv, mode);
}

void invalidation_aim(struct invalidation *inv, const struct slice *prefixes, size_t n)
{
    prefixes_set(&inv->wanted, prefixes, n);
    if (inv->coming != NULL && !prefixes_same(&inv->coming->prefixes, &inv->wanted)) {
        tracking_end(inv->coming);
        inv->coming = NULL;
    }
    if (inv->set.wish == COHERENCE_WISH_TTL)
        become(inv, COHERENCE_TTL);
    else if (inv->wanted.n == 0)
        stop(inv, COHERENCE_NONE);
    else
        begin_at_the_top(inv);
}

void invalidation_resettle(struct invalidation *inv, const struct invalidation_settings *settings)
{
    enum coherence_wish was = inv->set.wish;

    inv->set = *settings;
    if (was == settings->wish)
        return;
    if (settings->wish == COHERENCE_WISH_TTL) {
        stop(inv, COHERENCE_TTL);
        return;
    }
    if (inv->mode == COHERENCE_TTL) {
        become(inv, COHERENCE_NONE);
        inv->ops->lost(inv->context);
    }
    begin_at_the_top(inv);
}

void invalidation_moved(struct invalidation *inv)
{
    if (inv == NULL || inv->mode != COHERENCE_TTL)
        return; /* links that brought pushes have been lost, and that was told */
    become(inv, COHERENCE_NONE);
    inv->ops->lost(inv->context);
    if (inv->set.wish == COHERENCE_WISH_TTL)
        become(inv, COHERENCE_TTL);
    else
        begin_at_the_top(inv); /* the other server may be able to push */
}

/* ---- what the links say ---- */

static void tell_armed(struct invalidation *inv)
{
    prefixes_done(&inv->shed);
    inv->ops->armed(inv->context);
}

/* What was coming is in force. */
static void take_over(struct invalidation *inv)
{
    struct tracking *old = inv->force;
    bool tell = old == NULL;

    inv->force = inv->coming;
    inv->coming = NULL;
    inv->silent = false;
    inv->trusted_ms = loop_now_ms(inv->loop);
    if (old != NULL) {
        inv->count.handovers++;
        /* An entry of the time when a prefix was in force, before it was not, has missed what
         * changed in between. */
        tell = prefixes_overlap(&inv->shed, &inv->force->prefixes);
        prefixes_add_uncovered(&inv->shed, &old->prefixes, &inv->force->prefixes);
        tracking_end(old);
    }
    if (tell)
        inv->proven_ms = 0;
    become(inv, inv->force->proto == 3 ? COHERENCE_BROADCAST3 : COHERENCE_BROADCAST2);
    if (tell)
        tell_armed(inv);
}

static void on_armed(struct tracking *t)
{
    struct invalidation *inv = t->owner;

    CHECK(t == inv->coming);
    inv->count.armings++;
    inv->failures = inv->broken = 0;
    inv->proto = 2;
    (void)snprintf(inv->trouble, sizeof inv->trouble, "%s", t->proto == 3 ? inv->refusal2 : "");
    inv->logged[0] = 0;
    log_info(loop_log(inv->loop), "coherence: armed, mode=RESP%d prefixes=%zu%s%s", t->proto,
             t->prefixes.n, inv->trouble[0] ? ", for RESP2 was refused: " : "", inv->trouble);
    if (inv->force == NULL) {
        take_over(inv);
    } else {
        inv->handover = inv->force->pings + 1;
        tracking_ping(inv->force);
    }
    tracking_ping(t);
}

static void on_answered(struct tracking *t, uint64_t asked_ms)
{
    struct invalidation *inv = t->owner;

    if (t != inv->force)
        return;
    inv->count.proofs++;
    inv->proven_ms = inv->trusted_ms = asked_ms;
    inv->silent = false;
    inv->ops->proven(inv->context, asked_ms);
    if (inv->coming != NULL && inv->coming->state == TRACKING_ARMED && t->pings >= inv->handover)
        take_over(inv);
}

static void on_notice(struct tracking *t, const struct notice *n)
{
    struct invalidation *inv = t->owner;

    if (n->kind == NOTICE_MESSAGE) {
        inv->count.pushes++;
    } else if (n->kind == NOTICE_KEY) {
        inv->count.keys++;
        inv->ops->keys(inv->context, n->text);
    } else {
        inv->count.flushes++;
        inv->ops->flush(inv->context);
    }
}

/* Says it once, not at each attempt. */
static void log_trouble(struct invalidation *inv, const char *then)
{
    if (strcmp(inv->logged, inv->trouble) == 0)
        return;
    (void)snprintf(inv->logged, sizeof inv->logged, "%s", inv->trouble);
    log_warning(loop_log(inv->loop), "coherence: %s: %s", then, inv->trouble);
}

/* Every way is refused. */
static void without_pushes(struct invalidation *inv, const char *why3)
{
    (void)snprintf(inv->trouble, sizeof inv->trouble, "RESP2: %s; RESP3: %s", inv->refusal2, why3);
    inv->proto = 2;
    if (inv->force != NULL) {
        log_trouble(inv, "the upstream refuses pushes anew: keys of new prefixes are not kept");
    } else if (inv->set.wish == COHERENCE_WISH_AUTO) {
        become(inv, COHERENCE_TTL);
        log_trouble(inv, "the upstream refuses pushes: what others change is seen after local_ttl");
    } else {
        log_trouble(inv, "the upstream refuses pushes: nothing is served from the near cache");
        retry(inv, FAST_RETRY_MS);
        return;
    }
    retry(inv, TTL_RETRY_MS);
}

static void way_refused(struct invalidation *inv, int proto, const char *why)
{
    inv->count.refusals++;
    if (proto == 3) {
        without_pushes(inv, why);
        return;
    }
    (void)snprintf(inv->refusal2, sizeof inv->refusal2, "%s", why);
    inv->proto = 3;
    inv->retry_ms = 0;
    wait_for_retry(inv);
}

static void on_refused(struct tracking *t, const char *why, bool passing)
{
    struct invalidation *inv = t->owner;

    inv->coming = NULL;
    inv->broken = 0;
    if (!passing) {
        way_refused(inv, t->proto, why);
        return;
    }
    inv->proto = 2;
    (void)snprintf(inv->trouble, sizeof inv->trouble, "%s", why);
    log_trouble(inv, "no invalidation link yet");
    retry(inv, 0);
}

static void on_lost(struct tracking *t, bool armed, enum link_failure why)
{
    struct invalidation *inv = t->owner;

    if (t == inv->coming) {
        inv->coming = NULL;
        inv->broken += !armed && why != LINK_TIMEOUT;
        if (inv->broken >= BROKEN_TRIES) {
            inv->broken = 0;
            way_refused(inv, t->proto, "the upstream closes the connection");
        } else {
            retry(inv, 0);
        }
        return;
    }
    inv->force = NULL;
    inv->proven_ms = 0;
    inv->count.losses++;
    become(inv, COHERENCE_NONE);
    log_warning(loop_log(inv->loop), "coherence: the invalidation link is lost, reason=%s",
                link_failure_word(why));
    inv->ops->lost(inv->context);
    if (inv->coming == NULL)
        retry(inv, 0);
    else if (inv->coming->state == TRACKING_ARMED)
        take_over(inv);
}

static const struct tracking_ops link_ops = {on_armed, on_refused, on_lost, on_notice, on_answered};

static void watch_silence(struct invalidation *inv, uint64_t now_ms)
{
    if (inv->force == NULL || inv->silent || now_ms - inv->trusted_ms <= inv->set.timeout_ms)
        return;
    inv->silent = true;
    inv->count.silences++;
    log_warning(loop_log(inv->loop), "coherence: no answer on the invalidation link, ms=%llu",
                (unsigned long long)(now_ms - inv->trusted_ms));
    pool_doubt(inv->pool, DOUBT_SILENT);
}

static void on_beat(void *context)
{
    struct invalidation *inv = context;
    uint64_t now_ms = loop_now_ms(inv->loop);

    watch_silence(inv, now_ms);
    for (size_t i = 0; i < ARRAY_LEN(inv->links); i++)
        tracking_tick(&inv->links[i], now_ms, inv->set.timeout_ms * PATIENCE);
    if (too_old(inv) && inv->coming == NULL && !timer_running(inv->retry))
        begin_at_the_top(inv);
    if ((inv->force != NULL || inv->coming != NULL) && !timer_running(inv->beat))
        timer_start(inv->beat, beat_ms(inv));
}

/* ---- what others ask ---- */

enum coherence_mode invalidation_mode(const struct invalidation *inv)
{
    return inv->mode;
}

bool invalidation_covers(const struct invalidation *inv, struct slice key)
{
    if (inv->force == NULL)
        return inv->mode == COHERENCE_TTL;
    return prefixes_cover(&inv->force->prefixes, key);
}

uint64_t invalidation_proven_ms(const struct invalidation *inv)
{
    return inv->proven_ms;
}

const char *invalidation_trouble(const struct invalidation *inv)
{
    return inv->trouble;
}

struct counter_set invalidation_counters(const struct invalidation *inv)
{
    static const struct counter_row rows[] = {
#define ROW(name, kind, help) {#name, kind, offsetof(struct invalidation_counters, name), help},
        INVALIDATION_COUNTERS(ROW)
#undef ROW
    };
    static const struct invalidation_counters none = {0};

    return (struct counter_set){"invalidation", rows, ARRAY_LEN(rows),
                                inv != NULL ? &inv->count : &none};
}
