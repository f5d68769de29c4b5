/* cutter.c - an array reply with some of its elements cut out, see cutter.h.
 *
 * The array is a row of runs: elements that are kept, then one that is cut out, and so on. A run of
 * n elements is for reply_scan() the same as what an aggregate still has to come, so it is told n
 * and then says where the run ends; no element is looked at here.
 *
 *        | > with elements            * (the header is written anew)
 *   HEAD ----------------> BEFORE      HEAD, KEPT, CUT ---> KEPT   elements to the next cut
 *        <----------------                             ---> CUT    the next is to be cut out
 *          they are over                               ---> REST   nothing more is cut out
 *   HEAD ---> REST  no array           CUT ---> PUSH ---> CUT      a push stands before it
 *
 * HEAD reads lines, REST passes everything, the others know from `scan` how far they are. What a
 * piece cuts off in the middle of a line is held, and shown again with what follows. */
#include "resp/cutter.h"

#include "resp/write.h"

enum state {
    STATE_HEAD,   /* at the array's header or what is before it */
    STATE_BEFORE, /* in an attribute or a push before the array */
    STATE_KEPT,   /* in elements to be passed on, from c->at up to the next to be cut out */
    STATE_CUT,    /* at or in element c->at, which is cut out */
    STATE_PUSH,   /* in a push before it */
    STATE_REST,   /* whatever comes passes */
};

/* How many of `cut` an array of n elements has. */
static uint32_t count_cut(const struct cutter *c, uint64_t n)
{
    uint32_t count = 0;

    while (count < c->cut_n && c->cut[count] < n)
        count++;
    return count;
}

/* The run that begins with element c->at. */
static void begin_run(struct cutter *c)
{
    if (c->cut_at == c->cut_end) {
        c->state = STATE_REST;
        return;
    }
    CHECK(c->cut[c->cut_at] >= c->at);
    c->scan.left = c->cut[c->cut_at] - c->at;
    c->state = c->scan.left > 0 ? STATE_KEPT : STATE_CUT;
}

/* The run under way is over. */
static void end_run(struct cutter *c)
{
    switch ((enum state)c->state) {
    case STATE_BEFORE:
        c->state = STATE_HEAD;
        break;
    case STATE_KEPT:
        c->at = c->cut[c->cut_at];
        begin_run(c);
        break;
    case STATE_CUT:
        c->at = c->cut[c->cut_at++] + 1;
        begin_run(c);
        break;
    case STATE_PUSH:
        c->state = STATE_CUT;
        break;
    case STATE_HEAD:
    case STATE_REST:
        check_failed("in a run", __FILE__, __LINE__);
    }
}

/* The array's header, or that of an attribute or a push before it. Returns the bytes used: 0 when
 * the line is cut. */
static size_t take_head(struct cutter *c, struct slice in, struct buffer *out)
{
    struct slice rest = in;
    struct reply reply;
    uint64_t n;

    if (*in.p != '*' && *in.p != '|' && *in.p != '>') {
        c->state = STATE_REST;
        buffer_add(out, in.p, in.n);
        return in.n;
    }
    if (!reply_read(&rest, &reply))
        return 0;
    n = (uint64_t)reply.number;
    if (reply.type == '*') {
        c->cut_end = count_cut(c, n);
        n -= c->cut_end;
        if (!c->alone || n != 1)
            write_array(out, n);
        begin_run(c);
        return in.n - rest.n;
    }
    buffer_add(out, in.p, in.n - rest.n);
    if (reply.type == '_') { /* `*-1` */
        c->state = STATE_REST;
    } else if (n > 0) {
        c->scan.left = n;
        c->state = STATE_BEFORE;
    }
    return in.n - rest.n;
}

/* What belongs to the run under way. Returns the bytes used: 0 when all there is is a cut line. */
static size_t take_run(struct cutter *c, struct slice in, struct buffer *out)
{
    enum scan scan;
    size_t used;

    /* reply_scan() takes a push that comes first for a frame of its own: it ends behind the push,
     * and the element is still to come. */
    if (c->state == STATE_CUT && c->scan.left == 0 && *in.p == '>')
        c->state = STATE_PUSH;
    scan = reply_scan(&c->scan, in.p, in.n, &used);
    CHECK(scan != SCAN_BAD);
    if (c->state != STATE_CUT)
        buffer_add(out, in.p, used);
    if (scan == SCAN_OK)
        end_run(c);
    return used;
}

static size_t take_some(struct cutter *c, struct slice in, struct buffer *out)
{
    switch ((enum state)c->state) {
    case STATE_HEAD:
        return take_head(c, in, out);
    case STATE_BEFORE:
    case STATE_KEPT:
    case STATE_CUT:
    case STATE_PUSH:
        return take_run(c, in, out);
    case STATE_REST:
        buffer_add(out, in.p, in.n);
        return in.n;
    }
    check_failed("a known state", __FILE__, __LINE__);
}

/* Takes the line that is held together with its end, which `piece` begins with. Returns what is
 * left of the piece: nothing when the line is still cut. */
static struct slice take_held(struct cutter *c, struct slice piece, struct buffer *out)
{
    size_t had = c->held_n, more = sizeof(c->held) - had, used;

    if (more > piece.n)
        more = piece.n;
    memcpy(c->held + had, piece.p, more);
    used = take_some(c, slice_of(c->held, had + more), out);
    if (used == 0) {
        CHECK(had + more < sizeof(c->held));
        c->held_n = (uint8_t)(had + more);
        return slice_of(piece.p + more, 0);
    }
    /* Whatever of `held` lies behind the line stands in the piece too. */
    CHECK(used > had);
    c->held_n = 0;
    return slice_of(piece.p + (used - had), piece.n - (used - had));
}

void cutter_feed(struct cutter *c, struct slice piece, struct buffer *out)
{
    size_t used;

    if (c->held_n > 0 && piece.n > 0)
        piece = take_held(c, piece, out);
    while (piece.n > 0) {
        used = take_some(c, piece, out);
        if (used == 0) {
            CHECK(piece.n < sizeof(c->held));
            memcpy(c->held, piece.p, piece.n);
            c->held_n = (uint8_t)piece.n;
            return;
        }
        piece = slice_of(piece.p + used, piece.n - used);
    }
}
