/* unwrap.c - see unwrap.h; shape.c draws what is sent.
 *
 *     MULTI          +OK
 *     HSET k f v     +QUEUED            or an error (its reply, if MULTI was refused): the answer
 *     PEXPIRE k ..   +QUEUED            or an error: then EXEC is aborted for larder's sake
 *     EXEC           *2 :1 :1           the first element is the answer
 *
 * Replies come in order, and a session's writes one behind the other, so one memory is enough. */
#include "client/unwrap.h"

#include "client/rules.h"
#include "resp/reply.h"
#include "resp/write.h"

void unwrap_note(struct client *c, struct slice replies, bool answers)
{
    struct session *m = c->more;
    struct buffer *note = answers ? &m->shape_answer : &m->shape_error;

    while (replies.n > 0) {
        struct slice reply = replies;

        CHECK(reply_skip(&replies));
        reply.n -= replies.n;
        if (answers ? slice_starts(reply, SLICE("+QUEUED\r\n")) : reply.p[0] != '-')
            continue;
        if (buffer_len(note) == 0)
            buffer_add(note, reply.p, reply.n);
    }
}

static uint64_t elements(struct slice bytes)
{
    struct reply r;

    return reply_read(&bytes, &r) && r.type == '*' ? (uint64_t)r.number : 0;
}

/* All elements but one. */
static void cut_all_but(struct session *m, struct wrapped w)
{
    if (w.of > m->cuts.cap) {
        m->cuts.cap = w.of;
        m->cuts.v = must_realloc(m->cuts.v, w.of * sizeof *m->cuts.v);
    }
    m->cuts.n = 0;
    for (uint32_t i = 0; i < w.of; i++) {
        if (i != w.at)
            m->cuts.v[m->cuts.n++] = i;
    }
    m->cutter = (struct cutter){.cut = m->cuts.v, .cut_n = m->cuts.n, .alone = true};
}

/* EXEC has failed, and not because of the write itself. */
static struct slice say_failure(struct client *c, struct slice bytes)
{
    struct session *m = c->more;
    struct buffer *out = &c->all->scratch;
    struct slice aborted = SLICE("-EXECABORT Transaction discarded because of: ");
    struct slice why = buffer_slice(&m->shape_error);

    buffer_done(out);
    if (slice_starts(bytes, aborted)) {
        buffer_add(out, "-", 1);
        buffer_add(out, bytes.p + aborted.n, bytes.n - aborted.n);
    } else if (why.n > 3) {
        c->all->rules->count.expiries_failed++;
        write_error(out,
                    "ERR larder could not do what its policy asks, and so it was not written: %.*s",
                    (int)why.n - 3, why.p + 1);
    } else {
        return bytes;
    }
    return buffer_slice(out);
}

static struct slice feed(struct client *c, struct slice bytes)
{
    struct buffer *out = &c->all->scratch;

    buffer_done(out);
    cutter_feed(&c->more->cutter, bytes, out);
    return buffer_slice(out);
}

/* So many are not what was queued. */
static struct slice say_garbled(struct client *c)
{
    struct buffer *out = &c->all->scratch;

    buffer_done(out);
    write_error(out, "UPSTREAM %s", link_failure_sentence(LINK_GARBLED));
    return buffer_slice(out);
}

struct slice unwrap(struct client *c, struct slice bytes, bool first, struct wrapped w)
{
    struct session *m = c->more;
    uint64_t n;

    if (!first)
        return m->unwrapping ? feed(c, bytes) : slice_of("", 0);
    m->unwrapping = false;
    if (buffer_len(&m->shape_answer) > 0)
        return buffer_slice(&m->shape_answer);
    n = elements(bytes);
    if (n == 0)
        return say_failure(c, bytes);
    if (n != w.of)
        return say_garbled(c);
    m->unwrapping = true;
    cut_all_but(m, w);
    return feed(c, bytes);
}

void unwrap_done(struct client *c)
{
    buffer_done(&c->more->shape_answer);
    buffer_done(&c->more->shape_error);
}

struct slice exec_cut(struct client *c, struct slice bytes, bool first)
{
    struct session *m = c->more;

    if (m == NULL || m->cuts.n == 0)
        return bytes;
    if (first)
        m->cutter = (struct cutter){.cut = m->cuts.v, .cut_n = m->cuts.n};
    return feed(c, bytes);
}
