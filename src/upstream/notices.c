/* notices.c - see notices.h.
 *
 *      HEAD --> KIND --> CHANNEL --> PAYLOAD --> KEYS --> OVER
 *                 |                    ^  |                ^
 *                 +------ RESP3 -------+  +--- flush ------+
 *
 * A message holds all keys that changed in one turn of the upstream's loop, millions after one
 * large script: so they are handed on as they come, and nothing but an element that is cut at the
 * end of a piece is kept. A key too long even for that is taken for a flush. */
#include "upstream/notices.h"

#include "base/limits.h"
#include "resp/reply.h"

enum step { STEP_HEAD, STEP_KIND, STEP_CHANNEL, STEP_PAYLOAD, STEP_KEYS, STEP_OVER };

void notice_feed(struct notice_reader *r, struct slice bytes, bool first, bool last)
{
    if (first) {
        buffer_done(&r->held);
        r->step = STEP_HEAD;
    }
    r->last = last;
    if (buffer_len(&r->held) > 0) {
        buffer_add(&r->held, bytes.p, bytes.n);
        bytes = buffer_slice(&r->held);
    }
    r->rest = bytes;
}

void notice_reader_done(struct notice_reader *r)
{
    buffer_done(&r->held);
    *r = (struct notice_reader){0};
}

static bool say(struct notice_reader *r, struct notice *ret, enum notice_kind kind, enum step next)
{
    *ret = (struct notice){.kind = kind};
    r->step = (uint8_t)next;
    return true;
}

static bool say_text(struct notice_reader *r, struct notice *ret, struct notice what,
                     enum step next)
{
    *ret = what;
    r->step = (uint8_t)next;
    return true;
}

static bool read_head(struct notice_reader *r, const struct reply *e, struct notice *ret)
{
    r->push = e->type == '>';
    if (e->type == '-')
        return say_text(r, ret, (struct notice){NOTICE_ERROR, e->text}, STEP_OVER);
    if (e->type == '+' && slice_is(e->text, "PONG"))
        return say(r, ret, NOTICE_PONG, STEP_OVER);
    if ((e->type != '*' && !r->push) || e->number < 1)
        return say(r, ret, NOTICE_GARBAGE, STEP_OVER);
    r->left = (uint64_t)e->number;
    r->step = STEP_KIND;
    return false;
}

static bool read_kind(struct notice_reader *r, const struct reply *e, struct notice *ret)
{
    if (slice_is(e->text, "message") && r->left == 3) {
        r->step = STEP_CHANNEL;
        return false;
    }
    if (slice_is(e->text, "invalidate")) {
        bool good = r->push && r->left == 2;

        return say(r, ret, good ? NOTICE_MESSAGE : NOTICE_GARBAGE, good ? STEP_PAYLOAD : STEP_OVER);
    }
    if (slice_is(e->text, "tracking-redir-broken"))
        return say(r, ret, NOTICE_BROKEN, STEP_OVER);
    if (slice_is(e->text, "subscribe") && r->left == 3)
        return say(r, ret, NOTICE_SUBSCRIBED, STEP_OVER);
    if (slice_is(e->text, "pong") && r->left == 2 && !r->push)
        return say(r, ret, NOTICE_PONG, STEP_OVER);
    /* Other pushes are other features' (failover hints of some services). */
    if (!r->push)
        return say(r, ret, NOTICE_GARBAGE, STEP_OVER);
    r->step = STEP_OVER;
    return false;
}

static bool read_channel(struct notice_reader *r, const struct reply *e, struct notice *ret)
{
    bool ours = slice_eq(e->text, SLICE(INVALIDATION_CHANNEL));

    return say(r, ret, ours ? NOTICE_MESSAGE : NOTICE_GARBAGE, ours ? STEP_PAYLOAD : STEP_OVER);
}

/* A bulk is what PUBLISH of a client to that channel makes: one key more is dropped, no harm. */
static bool read_payload(struct notice_reader *r, const struct reply *e, struct notice *ret)
{
    if (e->type == '_')
        return say(r, ret, NOTICE_FLUSH, STEP_OVER);
    if (e->type == '$')
        return say_text(r, ret, (struct notice){NOTICE_KEY, e->text}, STEP_OVER);
    if (e->type != '*')
        return say(r, ret, NOTICE_GARBAGE, STEP_OVER);
    r->left = (uint64_t)e->number;
    r->step = r->left > 0 ? STEP_KEYS : STEP_OVER;
    return false;
}

static bool read_key(struct notice_reader *r, const struct reply *e, struct notice *ret)
{
    if (e->type != '$')
        return say(r, ret, NOTICE_GARBAGE, STEP_OVER);
    return say_text(r, ret, (struct notice){NOTICE_KEY, e->text},
                    --r->left > 0 ? STEP_KEYS : STEP_OVER);
}

static bool read_element(struct notice_reader *r, const struct reply *e, struct notice *ret)
{
    switch ((enum step)r->step) {
    case STEP_HEAD:
        return read_head(r, e, ret);
    case STEP_KIND:
        return read_kind(r, e, ret);
    case STEP_CHANNEL:
        return read_channel(r, e, ret);
    case STEP_PAYLOAD:
        return read_payload(r, e, ret);
    case STEP_KEYS:
        return read_key(r, e, ret);
    case STEP_OVER:
        break;
    }
    return false;
}

/* The bytes shown end within an element. */
static bool put_away(struct notice_reader *r, struct notice *ret)
{
    size_t rest = r->rest.n;

    if (r->last) /* a frame that ends within a message */
        return say(r, ret, NOTICE_GARBAGE, STEP_OVER);
    if (rest > INVALIDATION_KEY_BYTES)
        return say(r, ret, NOTICE_FLUSH, STEP_OVER);
    if (buffer_len(&r->held) > 0)
        buffer_take(&r->held, buffer_len(&r->held) - rest);
    else
        buffer_add(&r->held, r->rest.p, rest);
    return false;
}

bool notice_next(struct notice_reader *r, struct notice *ret_notice)
{
    struct reply e;

    while (r->step != STEP_OVER) {
        if (!reply_read(&r->rest, &e))
            return put_away(r, ret_notice);
        if (read_element(r, &e, ret_notice))
            return true;
    }
    buffer_done(&r->held);
    return false;
}
