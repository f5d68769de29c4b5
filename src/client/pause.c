/* pause.c - CLIENT PAUSE: Redis pauses, larder keeps what Redis would hold up off the shared links.
 *
 *     CLIENT PAUSE --asked--> hold, lest what comes behind it be stuck on a shared link
 *                               |              |
 *                               | -ERR         | +OK
 *                               v              v
 *                              over <------- in force: until its time has passed or UNPAUSE
 *
 * A command that Redis holds up would hold up everybody behind it on a shared link. So while a
 * pause is in force that this larder has passed on:
 *
 *   - what Redis would certainly hold up waits here (WAIT_PAUSE) and costs no link,
 *   - what only Redis can judge (does this script write?) goes there on a link of its own
 *     (borrow_unclear()),
 *   - the rest goes its usual way.
 *
 * A pause that somebody else has told Redis of is not known here: then shared links are slow, and
 * newcomers go elsewhere as they do whenever a link is slow. */
#include <string.h>

#include "client/client.h"
#include "net/loop.h"

/* Redis notices the end of a pause in its cron, ten times a second: what is let go sooner would
 * only hold up a shared link. */
#define PAUSE_LATE_MS 110u

/* Longer pauses are kept in mind for so long: no timer is asked for more. */
#define PAUSE_MOST_MS (INT64_C(365) * 24 * 3600 * 1000)

/* ---- what it holds up ---- */

static bool writes(const struct command *cmd)
{
    return (cmd->flags & CF_WRITE) != 0 || cmd->id == CMD_PUBLISH || cmd->id == CMD_SPUBLISH ||
           cmd->id == CMD_PFCOUNT; /* these three tell replicas */
}

/* Scripts may have said that they do not write; before Redis 7 all of SCRIPT was held up. */
static bool is_script(uint16_t id)
{
    return id == CMD_EVAL || id == CMD_EVALSHA || id == CMD_FCALL || id == CMD_SCRIPT_LOAD ||
           id == CMD_SCRIPT_FLUSH;
}

enum pause_effect pause_effect(const struct client *c, const struct request *q)
{
    const struct pause *p = &c->all->pause;
    const struct command *cmd = q->command;

    if (!p->on || (client_lent(c) != NULL && client_lent(c)->raw) ||
        (cmd != NULL && !command_arity_ok(cmd, q->argc)))
        return PAUSE_NOTHING; /* of a replica, or an error at once */
    if (p->all || p->asked_all)
        return PAUSE_HOLDS;
    if (c->mode == MODE_LISTEN && !c->more->monitor)
        return PAUSE_NOTHING; /* a RESP2 subscriber is refused all that could write */
    if (cmd != NULL && writes(cmd))
        return PAUSE_HOLDS;
    if (cmd == NULL || is_script(cmd->id) || (cmd->id == CMD_EXEC && c->mode != MODE_PLAIN))
        return c->mode == MODE_LISTEN ? PAUSE_HOLDS : PAUSE_UNCLEAR;
    return PAUSE_NOTHING;
}

/* ---- how it begins and ends ---- */

static void settle(struct clients *all)
{
    struct pause *p = &all->pause;

    p->on = p->until_ms != 0 || p->asked > 0;
    if (p->on)
        return;
    for (list_each_safe (node, next, &all->open)) {
        struct client *c = CONTAINER_OF(node, struct client, node);

        if (c->waits == WAIT_PAUSE)
            client_wake(c);
    }
}

void pause_over(void *clients)
{
    struct clients *all = clients;

    all->pause.until_ms = 0;
    all->pause.all = false;
    settle(all);
}

/* A pause in force is made longer or stricter, never shorter or laxer, as in Redis. */
static void in_force(struct clients *all, const struct pause_wish *wish)
{
    uint64_t now_ms = loop_now_ms(all->loop), until_ms = now_ms + wish->ms + PAUSE_LATE_MS;

    if (until_ms > all->pause.until_ms)
        all->pause.until_ms = until_ms;
    all->pause.all |= wish->all;
    timer_start(all->pause_timer, all->pause.until_ms - now_ms);
}

/* What the arguments ask for: nothing when Redis will refuse them. */
static struct pause_wish wish_of(const struct request *q)
{
    struct pause_wish wish = {.unpause = q->command->id == CMD_CLIENT_UNPAUSE};
    int64_t ms = 0;

    if (wish.unpause || q->argc < 3 || q->argc > 4 || !slice_int(q->argv[2], &ms) || ms < 0)
        return wish;
    wish.all = q->argc == 3 || option_is(q->argv[3], "ALL");
    wish.pause = wish.all || option_is(q->argv[3], "WRITE");
    if (wish.pause)
        wish.ms = (uint64_t)(ms < PAUSE_MOST_MS ? ms : PAUSE_MOST_MS);
    return wish;
}

void pause_queued(struct client *c, const struct request *q)
{
    uint16_t id = q->command != NULL ? q->command->id : CMD_UNKNOWN;
    struct pause_wish *sum = &c->more->wish, one;

    if (id != CMD_CLIENT_PAUSE && id != CMD_CLIENT_UNPAUSE)
        return;
    one = wish_of(q);
    if (one.unpause)
        *sum = one;
    sum->pause |= one.pause;
    sum->all |= one.all;
    if (one.ms > sum->ms)
        sum->ms = one.ms;
}

void pause_asked(struct client *c)
{
    struct pause *p = &c->all->pause;

    if (!c->more->wish.pause)
        return;
    p->asked++;
    p->asked_all |= c->more->wish.all;
    p->on = true;
}

void pause_answered(struct client *c, bool done)
{
    struct clients *all = c->all;
    struct pause_wish wish = c->more->wish;

    c->more->wish = (struct pause_wish){0};
    if (!wish.pause && !wish.unpause)
        return;
    if (wish.pause && --all->pause.asked == 0)
        all->pause.asked_all = false;
    if (done && wish.unpause)
        pause_over(all);
    if (done && wish.pause)
        in_force(all, &wish);
    settle(all);
}

enum next pause_serve(struct client *c, const struct request *q)
{
    struct session *m = client_session(c);
    enum next next = NEXT;
    struct link *l = client_lent(c) != NULL ? client_lent(c) : client_link(c, &next);

    if (l == NULL)
        return next;
    m->wish = wish_of(q);
    exchange_ask(c, l, q->bytes, EX_PAUSE, 0);
    pause_asked(c);
    (void)client_wait(c, WAIT_REPLY);
    return NEXT;
}

/* ---- INFO ---- */

void pause_count_held(const struct clients *all, struct buffer *text)
{
    static const char name[] = "\r\nblocked_clients:";
    const char *at = memmem(buffer_head(text), buffer_len(text), name, sizeof name - 1), *end;
    struct slice whole = buffer_slice(text);
    struct buffer changed = {0};
    int64_t n = 0, held = 0;

    for (list_each (node, &all->open))
        held += CONTAINER_OF(node, struct client, node)->waits == WAIT_PAUSE;
    if (at == NULL || held == 0)
        return;
    at += sizeof name - 1;
    end = memchr(at, '\r', (size_t)(whole.p + whole.n - at));
    if (end == NULL || !slice_int(slice_of(at, (size_t)(end - at)), &n))
        return;
    buffer_add(&changed, whole.p, (size_t)(at - whole.p));
    buffer_printf(&changed, "%lld", (long long)n + (long long)held);
    buffer_add(&changed, end, (size_t)(whole.p + whole.n - end));
    buffer_done(text);
    *text = changed;
}
