/* link.c - one connection to the upstream.
 *
 *                                     PROBING
 *                                      ^     \
 *                                     /       v
 *      STOCK --dial--> CONNECTING --> GREETING --> IDLE <----> LENT
 *        ^                 |             |          |  ^        |
 *        |                 |             |          v  |        v
 *        |                 |             |       SHARED |   CLEANING
 *        +------ link_fail(), from everywhere ------+---+-------+
 *
 * The moves to the right are the pool's (link_become in pool.c); link_fail() is the way back
 * (link_end.c).
 *
 * Requests gather in `out` and leave in one send at the end of the turn. Replies are found in the
 * pool's scratch, into which every link reads, and handed on from there: whole ones in runs as long
 * as they are of one asker, large ones in pieces as they come. What is cut at the end of a read
 * waits in `in`. `slots` says whose the next replies are; nothing else does, so:
 *   - a reply that nobody waits for ends the link, for from then on every reply could be another's;
 *   - an asker whose deadline has passed is told so, but its slot stays, and takes the late reply.
 *
 * A link never waits for a slow client, because others wait behind it; the one exception is a large
 * reply with nobody behind (see `resting`): there the client's pace is passed on to upstream, and
 * larder needs no memory for the difference. */
#include "upstream/link.h"

#include <stdarg.h>
#include <string.h>

#include "net/loop.h"
#include "resp/write.h"
#include "upstream/pool.h"
#include "upstream/pool_inside.h"

#define STALLED_MS       50u /* the head has waited so long: newcomers go elsewhere */
#define SILENT_DEADLINES 3u  /* deadlines without a byte until a link is given up */

#define STATE_WORD(name, word) word,

const char *link_state_word(enum link_state state)
{
    static const char *const words[] = {LINK_STATES(STATE_WORD)};

    CHECK(state < LINK_STATE_COUNT);
    return words[state];
}

/* ---- requests out ---- */

static const void *whose(struct asker *a)
{
    return a->ops->whose != NULL ? a->ops->whose(a) : a;
}

static void mark_dirty(struct link *l)
{
    if (buffer_len(&l->out) == 0)
        l->write_ms = loop_now_ms(l->pool->loop);
    if (list_empty(&l->dirty))
        list_push_back(&l->pool->dirty, &l->dirty);
}

/* Something is under way: deadlines are to be looked after, but for who does that himself. */
static void tick_for(const struct link *l)
{
    if (l->loan == NULL || !l->loan->own)
        pool_tick_soon(l->pool);
}

void link_ask(struct link *l, struct asker *a, struct slice bytes, uint32_t n, bool fresh)
{
    /* A slow client's large reply may rest only while nobody is behind it. */
    if (UNLIKELY(l->resting) && whose(slots_at(&l->slots, 0)->asker) != whose(a))
        link_resume(l);
    slots_push(&l->slots, a, n, (uint32_t)loop_now_ms(l->pool->loop), fresh)->bytes +=
        (uint32_t)bytes.n;
    l->records.asked += n;
    mark_dirty(l);
    buffer_add(&l->out, bytes.p, bytes.n);
    if (UNLIKELY(!l->pool->ticking))
        tick_for(l);
}

void link_ask_since(struct link *l, uint64_t since_ms)
{
    slots_at(&l->slots, l->slots.len - 1)->asked_ms = (uint32_t)since_ms;
    l->mixed = true;
}

void link_ask_more(struct link *l, struct slice bytes)
{
    if (!l->pool->ticking)
        tick_for(l);
    mark_dirty(l);
    buffer_add(&l->out, bytes.p, bytes.n);
}

void link_ask_done(struct link *l)
{
    if (l->slots.len > 0)
        slots_at(&l->slots, l->slots.len - 1)->asked_ms = (uint32_t)loop_now_ms(l->pool->loop);
}

void link_say(struct link *l, struct asker *a, const char *word, ...)
{
    struct slice words[16];
    struct buffer text = {0};
    size_t n = 0;
    va_list ap;

    va_start(ap, word);
    for (const char *w = word; w != NULL; w = va_arg(ap, const char *)) {
        CHECK(n < ARRAY_LEN(words));
        words[n++] = slice_str(w);
    }
    va_end(ap);
    write_request(&text, words, n);
    link_ask(l, a, buffer_slice(&text), 1, true);
    buffer_done(&text);
}

void link_flush(struct link *l)
{
    size_t sent;

    list_leave(&l->dirty);
    if (l->state < LINK_GREETING || buffer_len(&l->out) == 0)
        return;
    switch (stream_write(&l->stream, buffer_head(&l->out), buffer_len(&l->out), &sent)) {
    case IO_OK:
        l->pool->count.bytes_out += sent;
        l->write_ms = loop_now_ms(l->pool->loop);
        record_sent(l);
        kept_sent(&l->kept, &l->out, sent);
        break;
    case IO_AGAIN:
        break;
    case IO_EOF:
    case IO_ERROR:
        link_fail(l, l->state <= LINK_GREETING ? LINK_UNREACHED : LINK_LOST);
        return;
    }
    stream_want(&l->stream,
                (l->resting ? 0u : WANT_READ) | (buffer_len(&l->out) ? WANT_WRITE : 0u));
    if (l->loan != NULL)
        l->loan->ops->room(l->loan);
}

/* ---- replies back ---- */

static void rest(struct link *l)
{
    l->resting = true;
    stream_want(&l->stream, buffer_len(&l->out) ? WANT_WRITE : 0u);
}

void link_resume(struct link *l)
{
    if (!l->resting)
        return;
    l->resting = false;
    l->read_ms = loop_now_ms(l->pool->loop);
    stream_want(&l->stream, WANT_READ | (buffer_len(&l->out) ? WANT_WRITE : 0u));
}

/* Frames that answer nobody's request: pushes, and everything on a listening link. */
static bool out_of_band(const struct link *l, char type)
{
    return l->listening || type == '>' ||
           (l->slots.len == 0 && l->loan != NULL && l->loan->for_life);
}

static void hand_frame(struct link *l, struct slice bytes, bool first, bool last)
{
    if (l->loan != NULL)
        l->loan->ops->frame(l->loan, bytes, first, last);
    else if (first)
        l->pool->count.pushes_dropped++;
}

static uint32_t head_waits_ms(const struct link *l)
{
    return l->slots.len > 0
               ? (uint32_t)loop_now_ms(l->pool->loop) - slots_at(&l->slots, 0)->asked_ms
               : 0;
}

/* All that the head slot was for has come. A link that was slow is so no longer if nobody else has
 * waited for long: the next tick would see it too late for who asks now. */
static inline void head_done(struct link *l, const struct slot *head)
{
    kept_answered(&l->kept, head->bytes);
    slots_pop(&l->slots);
    l->expired -= l->expired > 0;
    if (UNLIKELY(l->stalled))
        l->stalled = head_waits_ms(l) >= STALLED_MS;
}

/* A reply that tells something of the upstream as a whole. */
NOINLINE static void hear(struct link *l, const struct asker *a, struct slice bytes)
{
    if (bytes.p[0] == '-')
        pool_note_error(l->pool, bytes);
    if (a != &l->own)
        breaker_heard(l->pool, bytes);
}

/* The first `run` replies of the head slot are whole. */
static void hand_replies(struct link *l, struct slice bytes, uint32_t run)
{
    struct slot *head = slots_at(&l->slots, 0);
    struct asker *a = head->asker;

    CHECK(run <= head->count);
    /* Of a run only the first is looked at: a server that has become a replica says so often. */
    if (UNLIKELY(bytes.p[0] == '-' || l->pool->breaker.failures > 0))
        hear(l, a, bytes);
    l->pool->count.replies += run;
    l->records.answered += run;
    if (head->count == run)
        head_done(l, head);
    else
        head->count -= run;
    a->ops->replies(a, bytes, run);
}

/* Whether everything due on the link is due to whom `a` asks for. */
static bool only_for(const struct link *l, struct asker *a)
{
    const void *who = whose(a);

    for (uint32_t i = 0; i < l->slots.len; i++) {
        if (whose(slots_at(&l->slots, i)->asker) != who)
            return false;
    }
    return true;
}

/* A piece of the head's reply (or of a frame), which is too large to collect. */
static void hand_piece(struct link *l, struct slice bytes, bool oob, bool last)
{
    bool first = !l->streaming, full;
    struct slot *head;
    struct asker *a;

    if (UNLIKELY(l->pool->breaker.failures > 0))
        breaker_heard(l->pool, bytes);
    l->streaming = !last;
    l->streaming_oob = oob;
    if (oob) {
        hand_frame(l, bytes, first, last);
        return;
    }
    head = slots_at(&l->slots, 0);
    a = head->asker;
    if (last) {
        l->pool->count.replies++;
        l->records.answered++;
        if (--head->count == 0)
            head_done(l, head);
    }
    full = a->ops->piece(a, bytes, last);
    /* The link may be gone by now; then nothing is streamed on it. */
    if (full && !last && l->streaming && only_for(l, a))
        rest(l);
}

/* What the scan has not seen to the end: the beginning of a reply, p[0..seen) of it scanned. False
 * when it can be neither kept nor handed on. */
static bool keep_or_stream(struct link *l, const char *p, size_t seen, size_t *ret_used)
{
    bool oob = l->streaming ? l->streaming_oob : seen > 0 && out_of_band(l, p[0]);
    bool pieces = oob || (l->slots.len > 0 && slots_at(&l->slots, 0)->asker->ops->piece != NULL);

    *ret_used = 0;
    l->scanned = seen;
    if (!l->streaming && (seen <= LARGE_REPLY_BYTES || !pieces))
        return seen <= WHOLE_REPLY_BYTES;
    if (seen > 0)
        hand_piece(l, slice_of(p, seen), oob, false);
    *ret_used = seen;
    l->scanned = 0;
    return true;
}

/* Hands on what is whole in p[0..n), which begins where a reply begins (or goes on, while
 * streaming). Returns how many bytes are done with; the rest must be shown again with more. */
static size_t take(struct link *l, const char *p, size_t n)
{
    size_t run_at = 0, frame = 0, pos = l->scanned, used;
    uint64_t number = l->number;
    uint32_t run = 0;

    while (pos < n) {
        bool oob = l->streaming ? l->streaming_oob : out_of_band(l, p[frame]);
        enum scan r;

        if (UNLIKELY(!oob && l->slots.len == 0)) {
            link_fail(l, LINK_STRAY);
            return n;
        }
        r = reply_scan(&l->scan, p + pos, n - pos, &used);
        pos += used;
        if (r == SCAN_OK && !oob && !l->streaming) {
            frame = pos;
            if (++run < slots_at(&l->slots, 0)->count)
                continue;
        }
        if (run > 0) {
            uint32_t whole = run;

            run = 0;
            hand_replies(l, slice_of(p + run_at, frame - run_at), whole);
            if (l->number != number)
                return n;
        }
        run_at = frame;
        if (r == SCAN_BAD) {
            link_fail(l, LINK_GARBLED);
            return n;
        }
        if (r == SCAN_MORE)
            break;
        if (pos > frame) { /* a frame of its own, or the end of a streamed one */
            if (l->streaming)
                hand_piece(l, slice_of(p + frame, pos - frame), oob, true);
            else
                hand_frame(l, slice_of(p + frame, pos - frame), true, true);
            if (l->number != number)
                return n;
            run_at = frame = pos;
        }
    }
    if (run > 0) {
        hand_replies(l, slice_of(p + run_at, frame - run_at), run);
        if (l->number != number)
            return n;
    }
    if (!keep_or_stream(l, p + frame, pos - frame, &used)) {
        link_fail(l, LINK_GARBLED);
        return n;
    }
    return l->number == number ? frame + used : n;
}

/* Reads once, behind what was left of the last read. In the scratch while that is little; a reply
 * that must be seen whole and is long grows in place instead. */
static void on_readable(struct stream *s)
{
    struct link *l = CONTAINER_OF(s, struct link, stream);
    size_t had = buffer_len(&l->in), got, used;
    bool in_place = had > LARGE_REPLY_BYTES + 64; /* never in raw mode, which keeps nothing */
    char *p = in_place ? NULL : loop_scratch(l->pool->loop) - had;
    uint64_t number = l->number;
    enum io io;

    if (in_place)
        io = stream_read(s, buffer_room(&l->in, READ_BYTES), READ_BYTES, &got);
    else
        io = stream_read(s, p + had, READ_BYTES, &got);
    if (io == IO_AGAIN)
        return;
    if (io != IO_OK) {
        link_fail(l, l->state <= LINK_GREETING ? LINK_UNREACHED : LINK_LOST);
        return;
    }
    l->pool->count.bytes_in += got;
    l->read_ms = loop_now_ms(l->pool->loop);
    if (l->raw) {
        hand_frame(l, slice_of(p, got), true, true);
        return;
    }
    if (in_place) {
        buffer_fill(&l->in, got);
        used = take(l, buffer_head(&l->in), had + got);
        if (l->number == number)
            buffer_take(&l->in, used);
        return;
    }
    if (had > 0) {
        memcpy(p, buffer_head(&l->in), had);
        buffer_take_keep(&l->in, had, LARGE_REPLY_BYTES);
    }
    used = take(l, p, had + got);
    if (l->number == number)
        buffer_add(&l->in, p + used, had + got - used);
}

static void on_writable(struct stream *s)
{
    struct link *l = CONTAINER_OF(s, struct link, stream);

    if (l->state == LINK_CONNECTING) {
        if (!stream_connected(s))
            link_fail(l, LINK_UNREACHED);
        else
            greeting_begin(l);
        return;
    }
    link_flush(l);
    if (l->loan == NULL)
        lane_wake(l->lane);
}

static void on_hangup(struct stream *s)
{
    link_fail(CONTAINER_OF(s, struct link, stream), LINK_LOST);
}

const struct stream_ops link_stream_ops = {on_readable, on_writable, on_hangup};

/* ---- deadlines ---- */

/* Answers the askers whose deadline has passed. True when one had, of a link that is lent: what
 * state it is in is then unknown. */
static bool tell_late(struct link *l, uint32_t now, uint32_t timeout_ms)
{
    uint32_t first = l->streaming && l->expired == 0 ? 1 : l->expired;
    bool any = false, in_row = true;

    for (uint32_t i = first; i < l->slots.len; i++) {
        struct slot *s = slots_at(&l->slots, i);
        struct asker *a = s->asker;
        uint32_t n = s->count;

        if (now - s->asked_ms < timeout_ms) {
            in_row = false;
            if (!l->mixed)
                break;
            continue;
        }
        /* Half of its reply is out: an error would stand in the midst of it. */
        if (l->streaming && a == slots_at(&l->slots, 0)->asker)
            break;
        if (in_row)
            l->expired = i + 1;
        if (a == asker_nobody())
            continue;
        any = true;
        s->asker = asker_nobody();
        l->pool->count.timeouts += n;
        breaker_failed(l->pool, n, "no reply within command_timeout");
        pool_doubt(l->pool, DOUBT_SILENT);
        a->ops->failed(a, n, LINK_TIMEOUT, false);
        if (l->state == LINK_STOCK)
            return false;
    }
    return any;
}

void link_tick(struct link *l, uint64_t now_ms)
{
    const struct upstream_settings *set = l->pool->settings;
    uint64_t timeout = set->command_timeout, waited;
    struct slot *head = l->slots.len ? slots_at(&l->slots, 0) : NULL;
    bool late;

    if (l->state <= LINK_PROBING) {
        if (now_ms - l->since_ms >= set->connect_timeout) {
            l->trouble =
                stream_shaking(&l->stream)
                    ? "no end of the TLS handshake within connect_timeout: does a port for "
                      "TLS answer there?"
                    : "no answer within connect_timeout";
            link_fail(l, l->state == LINK_PROBING ? LINK_TIMEOUT : LINK_UNREACHED);
        }
        return;
    }
    kept_settle(&l->kept);
    l->mixed = l->mixed && head != NULL;
    waited = head_waits_ms(l);
    l->stalled = waited >= STALLED_MS && !l->streaming;
    if (l->loan != NULL && buffer_len(&l->out) > 0 && now_ms - l->write_ms >= timeout) {
        link_fail(l, LINK_TIMEOUT); /* nobody takes what a session is sending there */
        return;
    }
    if (head == NULL || l->listening || l->resting || (l->loan != NULL && l->loan->patient))
        return;
    if (l->streaming && now_ms - l->read_ms >= timeout) {
        link_fail(l, LINK_TIMEOUT);
        return;
    }
    /* First those are told whose time is over: it may be more than a tick late. */
    late = tell_late(l, (uint32_t)now_ms, (uint32_t)timeout);
    if ((late && l->state != LINK_SHARED) ||
        (waited >= timeout * SILENT_DEADLINES && now_ms - l->read_ms >= timeout * SILENT_DEADLINES))
        link_fail(l, LINK_TIMEOUT);
}
