/* turns.c - who is served when: the beat, and turns for those who have much to say.
 *
 *      light --a turn was not enough--> heavy, queued --its turn--> served
 *        ^                                ^                            |  |
 *        |                                +--- there is more to say ---+  |
 *        +-- half a turn was enough, and nothing had been unanswered -----+
 *
 * Who says little is served when it is read. Who says more than is served in a turn (TURN_UNITS)
 * waits in a queue for the next, and is read no more until then. A beat gives turns for
 * QUEUED_UNITS together; then the sockets are looked at again. So who asks for one thing waits for
 * a few turns at most, however many have much to say, and each of those gets as much as the others.
 */
#include "client/turns.h"

#include "client/client.h"
#include "client/heavy.h"
#include "net/loop.h"

/* Answers of who waits for more turns are sent together, as those of one pipeline mostly are. */
#define QUEUED_OUT_BYTES (64u * 1024u)

#define SERVES_A_TURN 512u /* clients the beat serves before the sockets are looked at again */

void client_work(struct client *c, enum work what)
{
    c->work_flags |= (uint8_t)what;
    loop_again(c->all->loop);
    if (list_empty(&c->work))
        list_push_back(&c->all->work, &c->work);
}

/* Who says more while it is queued has long to wait: its socket is not watched until then. */
void client_queue(struct client *c)
{
    if (c->queued) {
        client_adjust_wants(c);
        return;
    }
    c->queued = true;
    c->heavy = true;
    c->work_flags |= WORK_SERVE;
    loop_again(c->all->loop);
    list_leave(&c->work);
    list_push_back(&c->all->queued, &c->work);
}

/* It is no longer one of those who have much to say, if this was not half a turn. */
static void judge(struct client *c, bool in_midst)
{
    if (!c->open || c->queued || c->waits != WAIT_NOTHING || in_midst ||
        c->all->turn_left < TURN_UNITS / 2)
        return;
    c->heavy = false;
    heavy_over(c);
}

bool turns_rested(struct client *c)
{
    if (c->queued || !client_drained(c) || buffer_len(&c->in) > 0 ||
        client_now(c) - c->active_ms < LIGHT_AGAIN_MS)
        return false;
    c->heavy = false;
    heavy_over(c);
    return true;
}

/* What it has said is served, and as much more is read as fits in the turn. */
static void take_turn(struct client *c)
{
    bool in_midst = c->owed > 0;

    c->queued = false;
    client_serve_input(c);
    if (!c->open || c->queued || c->waits != WAIT_NOTHING || c->ending || c->eof)
        return;
    client_read(c);
    judge(c, in_midst);
}

/* .. of a client that was waiting. */
static void take_up(struct client *c)
{
    bool in_midst = c->owed > 0;

    client_serve_input(c);
    if (UNLIKELY(c->heavy) && c->open && buffer_len(&c->in) == 0)
        judge(c, in_midst);
}

static void work_with_first(struct clients *all, struct list *list)
{
    struct client *c = CONTAINER_OF(list->next, struct client, work);
    uint8_t what = c->work_flags;

    list_leave(&c->work);
    c->work_flags = 0;
    all->turn_left = TURN_UNITS;
    if (c->queued)
        take_turn(c);
    else if ((what & WORK_SERVE) != 0)
        take_up(c);
    if (c->open && (!c->queued || client_unsent(c) >= QUEUED_OUT_BYTES))
        client_flush(c);
}

void turns_beat(struct clients *all)
{
    uint32_t left = QUEUED_UNITS;

    heavies_beat(all);
    /* Work that arises meanwhile joins the list again and is for this beat as well, up to a bound.
     */
    for (unsigned i = 0; i < SERVES_A_TURN && !list_empty(&all->work); i++)
        work_with_first(all, &all->work);
    while (left > 0 && !list_empty(&all->queued)) {
        uint32_t used;

        work_with_first(all, &all->queued);
        used = TURN_UNITS - all->turn_left + 1;
        left -= used < left ? used : left;
    }
}
