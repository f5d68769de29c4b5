/* gather.c - requests of many sessions become few segments of TCP, and few records of TLS.
 *
 * Where most is answered by larder itself, a turn brings few requests for the upstream, and what
 * each costs is the system calls around it, here and there. After a turn that has answered some
 * (pool_busy) the next comes at once, and brings more: if others wait on the link anyway, some
 * turns are waited for, until HELD_ANSWERS have been given meanwhile. So it waits for as
 * long as some ten requests of the upstream's cost, but costs less itself.
 *
 * A record is a message: what is in two of them Redis reads, and answers, one after the other,
 * where without TLS it takes at once all that has come. Many small ones are many small answers, and
 * each wakes somebody. So on a shared link
 *   - while others wait there for replies anyway, what is to be sent is held back for a turn that
 * does not wait for anything, and for another as long as each brings more;
 *   - while there are hundreds of requests in RECORDS_AHEAD records that are not answered, Redis
 * has more than enough to do: the next waits until one of them is. Replies must come, so it is
 * sent; should none come, its deadlines are looked after as ever. As much as fills a record is sent
 * in any case. A session alone is never held back. */
#include "upstream/pool.h"
#include "upstream/pool_inside.h"

#define GATHER_TURNS  8u
#define GATHER_BYTES  16384u /* a record */
#define HELD_TURNS    6u     /* without TLS */
#define HELD_ANSWERS  64u
#define MANY_REQUESTS 256u /* with 1 ms to Redis, 256,000 a second: more than it does */

static void note_answers(struct records *r)
{
    while (r->count > 0 && (int32_t)(r->answered - r->marks[r->at]) >= 0) {
        r->at = (uint8_t)((r->at + 1u) % RECORDS_AHEAD);
        r->count--;
    }
}

void record_sent(struct link *l)
{
    struct records *r = &l->records;

    r->held = 0;
    r->turns = 0;
    if (!stream_secured(&l->stream))
        return;
    note_answers(r);
    if (r->count < RECORDS_AHEAD)
        r->count++;
    r->marks[(r->at + r->count - 1u) % RECORDS_AHEAD] = r->asked;
}

/* Without TLS; `held` counts answers. */
static bool holds_plain(struct link *l)
{
    struct records *r = &l->records;

    if (r->turns > 0)
        r->held += l->pool->busy;
    if (r->turns == HELD_TURNS || r->held >= HELD_ANSWERS)
        return false;
    r->turns++;
    return true;
}

bool record_holds(struct link *l, bool *ret_again)
{
    size_t n = buffer_len(&l->out);
    struct records *r = &l->records;

    if (l->state != LINK_SHARED || l->slots.len < 2 || n >= GATHER_BYTES)
        return false;
    if (!stream_secured(&l->stream)) {
        bool holds = holds_plain(l);

        *ret_again |= holds;
        return holds;
    }
    note_answers(r);
    if (r->count == RECORDS_AHEAD && r->asked - r->answered >= MANY_REQUESTS)
        return true;
    if (n <= r->held || r->turns == GATHER_TURNS)
        return false;
    r->held = (uint32_t)n;
    r->turns++;
    *ret_again = true;
    return true;
}
