/* self_check.c - see self_check.h.
 *
 * A hit that was served is asked of the upstream, in the words of its client, as the same user, in
 * the same database and protocol. What it says may differ although nothing is wrong: the key has
 * changed just now and the push is under way. But the invalidation link proves (cache.h) that all
 * pushes about what changed before a certain moment have come. So:
 *
 *     hit --> ASKED --the same--------------------------------------------> agreed
 *               |
 *               | another answer --the entry has gone--------------------> transient
 *               |                \-no link pushes: local_ttl alone-------> stale_ttl
 *               v
 *            WAITING --the link is lost, or proven and the entry has gone-> transient
 *               |
 *               | proven later than that answer came, the entry is still there (by its stamp)
 *               v
 *            ASKED_AGAIN --the same, or the entry has gone---------------> transient
 *               |
 *               \--another answer----------------------------------------> disagreed: dropped
 *
 * The first answer is proof enough; the second keeps out what has nothing to do with coherence, an
 * answer that was not worth its name. What cannot be asked or answered is skipped.
 *
 * Not compared: TTL and PTTL, which differ from one moment to the next, and whose entries are
 * compared when their values are read. Of an MGET or EXISTS of several keys each is compared as a
 * GET of its own, which is the entry that answered.
 *
 * How often: tokens that come with time, at most BURST_MS' worth kept. The timer runs only while
 * there are none, so that a larder that nobody asks anything sleeps. */
#include "errands/self_check.h"

#include <stdlib.h>

#include "base/limits.h"
#include "command/table.h"
#include "errands/agree.h"
#include "net/loop.h"
#include "resp/write.h"

#define PER_SECOND   1000u  /* `credit` of one hit: milliseconds times hits a second */
#define BURST_MS     10u    /* hits wanted in a row are at most what comes in that time, and one */
#define WARN_MS      10000u /* between two warnings */
#define WORDS_KEEP   4096u
#define LOGGED_BYTES 256u /* of a key */

enum sample_state { SAMPLE_ASKED, SAMPLE_WAITING, SAMPLE_ASKED_AGAIN };

struct sample {
    struct asker asker;
    struct list node;         /* in its owner's list for its state */
    struct self_check *owner; /* NULL: it has gone, and the answer is nobody's */
    struct lane *lane;        /* held */
    struct block *block;      /* held, or NULL: `served` is in `text` */
    struct slice request, key, asks[2], served;
    struct buffer got; /* of an answer that comes in pieces */
    size_t cost;       /* bytes it takes, or may come to take */
    uint64_t stamp, seen_ms;
    int32_t db;
    uint16_t scope, command;
    enum sample_state state;
    bool longer; /* the answer, than what was served: no more of it is collected */
    char text[];
};

struct self_check {
    struct loop *loop;
    struct cache *cache;
    struct timer *timer;
    struct list asked, waiting; /* of struct sample */
    struct buffer words;        /* scratch */
    struct hash_seed seed;
    uint64_t rate, credit, since_ms; /* credit: below one hit, as of since_ms */
    uint64_t warned_ms;              /* 0: never */
    size_t bytes;                    /* the cost of all samples */
    uint32_t due;
    struct self_check_counters count;
};

static const struct asker_ops sample_ops;

/* ---- how many ---- */

static void earn_later(struct self_check *s)
{
    timer_start(s->timer, (PER_SECOND - s->credit + s->rate - 1) / s->rate);
}

static void on_timer(void *context)
{
    struct self_check *s = context;
    uint64_t now_ms = loop_now_ms(s->loop), most = s->rate * BURST_MS + PER_SECOND;

    s->credit += (now_ms - s->since_ms) * s->rate;
    s->since_ms = now_ms;
    if (s->credit > most)
        s->credit = most;
    s->due = (uint32_t)(s->credit / PER_SECOND);
    s->credit %= PER_SECOND;
    if (s->due == 0)
        earn_later(s);
}

struct self_check *self_check_new(struct loop *loop, struct cache *cache, uint64_t rate)
{
    struct self_check *s = must_calloc(1, sizeof *s);

    s->loop = loop;
    s->cache = cache;
    s->timer = timer_new(loop, on_timer, s);
    list_init(&s->asked);
    list_init(&s->waiting);
    hash_seed_init(&s->seed);
    self_check_resettle(s, rate);
    return s;
}

void self_check_resettle(struct self_check *s, uint64_t rate)
{
    if (rate == s->rate)
        return;
    timer_stop(s->timer);
    s->rate = rate;
    s->credit = 0;
    s->since_ms = loop_now_ms(s->loop);
    s->due = rate > 0;
}

const uint32_t *self_check_due(const struct self_check *s)
{
    return &s->due;
}

struct counter_set self_check_counters(const struct self_check *s)
{
    static const struct counter_row rows[] = {
#define ROW(name, kind, help) {#name, kind, offsetof(struct self_check_counters, name), help},
        SELF_CHECK_COUNTERS(ROW)
#undef ROW
    };

    return (struct counter_set){"self_check", rows, ARRAY_LEN(rows), &s->count};
}

/* ---- a sample ---- */

static void sample_become(struct sample *m, enum sample_state state)
{
    list_leave(&m->node);
    m->state = state;
    switch (state) {
    case SAMPLE_ASKED:
    case SAMPLE_ASKED_AGAIN:
        list_push_back(&m->owner->asked, &m->node);
        return;
    case SAMPLE_WAITING:
        list_push_back(&m->owner->waiting, &m->node);
        return;
    }
}

static void sample_free(struct sample *m)
{
    list_leave(&m->node);
    buffer_done(&m->got);
    if (m->block != NULL)
        block_release(m->block);
    free(m);
}

/* Ends it, as `counter` of its owner's. */
static void sample_end(struct sample *m, uint64_t *counter)
{
    struct self_check *s = m->owner;

    ++*counter;
    s->count.pending--;
    s->bytes -= m->cost;
    lane_release(m->lane);
    sample_free(m);
}

void self_check_free(struct self_check *s)
{
    if (s == NULL)
        return;
    while (!list_empty(&s->waiting))
        sample_end(CONTAINER_OF(s->waiting.next, struct sample, node), &s->count.skipped);
    while (!list_empty(&s->asked)) {
        struct sample *m = CONTAINER_OF(s->asked.next, struct sample, node);

        list_leave(&m->node);
        lane_release(m->lane);
        m->owner = NULL;
    }
    timer_free(s->timer);
    buffer_done(&s->words);
    free(s);
}

static struct slice keep_copy(char **at, struct slice bytes)
{
    struct slice copy = slice_of(*at, bytes.n);

    if (bytes.n > 0)
        memcpy(*at, bytes.p, bytes.n);
    *at += bytes.n;
    return copy;
}

/* NULL: there is no room for one more. */
static struct sample *sample_new(struct self_check *s, const struct checked_hit *hit)
{
    struct slice key = hit->argv[1], request, in_text = hit->served;
    struct sample *m;
    size_t n;
    char *at;

    buffer_take_keep(&s->words, buffer_len(&s->words), WORDS_KEEP);
    write_request(&s->words, hit->argv, hit->argc);
    request = buffer_slice(&s->words);
    if (hit->block != NULL)
        in_text.n = 0;
    n = sizeof *m + request.n + key.n + hit->asks[0].n + hit->asks[1].n + in_text.n;
    if (s->count.pending >= SELF_CHECK_SAMPLES ||
        s->bytes + n + 2 * hit->served.n > SELF_CHECK_BYTES)
        return NULL;
    m = must_alloc(n);
    at = m->text;
    *m = (struct sample){.asker = {&sample_ops},
                         .owner = s,
                         .cost = n + 2 * hit->served.n,
                         .stamp = hit->stamp,
                         .db = hit->db,
                         .scope = hit->scope,
                         .command = hit->command};
    m->request = keep_copy(&at, request);
    m->key = keep_copy(&at, key);
    m->asks[0] = keep_copy(&at, hit->asks[0]);
    m->asks[1] = keep_copy(&at, hit->asks[1]);
    m->served = hit->block != NULL ? hit->served : keep_copy(&at, hit->served);
    m->block = hit->block != NULL ? block_hold(hit->block) : NULL;
    list_init(&m->node);
    s->bytes += m->cost;
    s->count.pending++;
    return m;
}

/* False: there is no link that could take it now. */
static bool ask(struct sample *m, enum sample_state state)
{
    struct link *l = lane_link_in(m->lane, m->db);

    if (l == NULL)
        return false;
    sample_become(m, state);
    m->longer = false;
    link_ask(l, &m->asker, m->request, 1, true);
    return true;
}

void self_check_sample(struct self_check *s, const struct checked_hit *hit)
{
    struct sample *m;

    CHECK(s->due > 0 && hit->argc > 1);
    if (--s->due == 0)
        earn_later(s);
    s->count.sampled++;
    m = sample_new(s, hit);
    if (m == NULL) {
        s->count.skipped++;
        return;
    }
    m->lane = lane_hold_sibling(hit->lane, hit->proto);
    if (!ask(m, SAMPLE_ASKED))
        sample_end(m, &s->count.skipped);
}

/* ---- what comes of it ---- */

/* Would a client be answered from the same entry, now or as soon as the link proves itself? */
static bool still_kept(const struct sample *m)
{
    const struct self_check *s = m->owner;
    struct entry e;

    for (size_t i = 0; i < ARRAY_LEN(m->asks); i++) {
        struct question q = {m->key, m->asks[i], m->scope};
        enum look look = cache_look(s->cache, &q, loop_now_ms(s->loop), true, &e);

        if ((look == LOOK_FRESH || look == LOOK_UNTRUSTED) && e.stamp == m->stamp)
            return true;
    }
    return false;
}

static void log_key(struct self_check *s, const struct sample *m)
{
    size_t n = m->key.n < LOGGED_BYTES ? m->key.n : LOGGED_BYTES;

    buffer_take_keep(&s->words, buffer_len(&s->words), WORDS_KEEP);
    buffer_add_visible(&s->words, slice_of(m->key.p, n));
    buffer_add(&s->words, "", 1);
    log_debug(loop_log(s->loop), "self-check: dropped, db=%d key=%s", (int)m->db,
              buffer_head(&s->words));
}

static void disagree(struct sample *m)
{
    struct self_check *s = m->owner;
    uint64_t now_ms = loop_now_ms(s->loop);
    unsigned long long so_far = s->count.disagreed + 1;

    if (s->warned_ms == 0 || now_ms - s->warned_ms >= WARN_MS) {
        s->warned_ms = now_ms;
        log_warning(loop_log(s->loop),
                    "self-check: a hit was not what the upstream says, and no push was "
                    "outstanding; its key is dropped, command=%s disagreed=%llu",
                    command_row(m->command)->name, so_far);
    }
    log_key(s, m);
    (void)cache_changed(s->cache, m->key);
    sample_end(m, &s->count.disagreed);
}

/* An error says nothing of the value; but for this one. */
static bool says_nothing(struct slice reply)
{
    return reply.n > 0 && (reply.p[0] == '-' || reply.p[0] == '!') &&
           !slice_starts(reply, SLICE("-WRONGTYPE"));
}

static void judge(struct sample *m, struct slice reply)
{
    struct self_check *s = m->owner;

    if (says_nothing(reply)) {
        sample_end(m, &s->count.skipped);
    } else if (!m->longer &&
               replies_agree(reply_order_of(m->command), &s->seed, m->served, reply)) {
        sample_end(m, m->state == SAMPLE_ASKED ? &s->count.agreed : &s->count.transient);
    } else if (!still_kept(m)) {
        sample_end(m, &s->count.transient);
    } else if (cache_trust(s->cache, loop_now_ms(s->loop)) == TRUST_TTL) {
        sample_end(m, &s->count.stale_ttl);
    } else if (m->state == SAMPLE_ASKED) {
        m->seen_ms = loop_now_ms(s->loop);
        buffer_done(&m->got);
        sample_become(m, SAMPLE_WAITING);
    } else {
        disagree(m);
    }
}

/* A PING of the same millisecond may have been sent before the answer was seen. */
void self_check_proven(struct self_check *s, uint64_t asked_ms)
{
    for (list_each_safe (node, next, &s->waiting)) {
        struct sample *m = CONTAINER_OF(node, struct sample, node);

        if (asked_ms <= m->seen_ms)
            continue;
        if (!still_kept(m))
            sample_end(m, &s->count.transient);
        else if (!ask(m, SAMPLE_ASKED_AGAIN))
            sample_end(m, &s->count.skipped);
    }
}

/* Nothing that was kept so far is served any more. */
void self_check_lost(struct self_check *s)
{
    while (!list_empty(&s->waiting))
        sample_end(CONTAINER_OF(s->waiting.next, struct sample, node), &s->count.transient);
}

static void on_replies(struct asker *a, struct slice bytes, uint32_t n)
{
    struct sample *m = CONTAINER_OF(a, struct sample, asker);

    CHECK(n == 1);
    if (m->owner != NULL)
        judge(m, bytes);
    else
        sample_free(m);
}

static bool on_piece(struct asker *a, struct slice bytes, bool last)
{
    struct sample *m = CONTAINER_OF(a, struct sample, asker);

    if (!m->longer && buffer_len(&m->got) + bytes.n > m->served.n) {
        m->longer = true;
        buffer_done(&m->got);
    }
    if (!m->longer && m->owner != NULL)
        buffer_add(&m->got, bytes.p, bytes.n);
    if (last)
        on_replies(a, buffer_slice(&m->got), 1);
    return false;
}

static void on_failed(struct asker *a, uint32_t n, enum link_failure why, bool begun)
{
    struct sample *m = CONTAINER_OF(a, struct sample, asker);

    (void)n;
    (void)why;
    (void)begun;
    if (m->owner != NULL)
        sample_end(m, &m->owner->count.skipped);
    else
        sample_free(m);
}

static const struct asker_ops sample_ops = {on_replies, on_piece, on_failed, NULL};
