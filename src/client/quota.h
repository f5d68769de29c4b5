/* quota.h - how much a tenant may ask for: max_ops in a second, max_pending at once.
 *
 *      request --> quota_pays() --no--> throttle = error: -THROTTLED in its place
 *                      |                throttle = delay: WAIT_RATE, `late`; the timer wakes
 *                     yes
 *                      |
 *              client_most_pending() --no--> WAIT_PENDING, `crowded`; replies wake
 *
 * A request pays once, however often it is looked at (session_walls.paid). Pending is what Redis,
 * or another client's question, is sure to answer: who is blocked, or waits for a key to be loaded,
 * may wait for another client of the tenant, and does not count. So replies always come, and
 * whoever waits here goes on. */
#ifndef LARDER_CLIENT_QUOTA_H
#define LARDER_CLIENT_QUOTA_H

#include "client/tenants.h"

/* After a reload: t->set is in force from now on; then, what is pending is counted anew. */
void quota_settle(struct clients *all, struct tenant *t);
void quota_count_all(struct clients *all);
/* count.pending of all tenants is what it is now. */
void quota_view(const struct clients *all);
void quota_done(struct tenant *t);

/* ---- max_ops ---- */

/* quota_pays() where there is a limit, or it has paid already. */
MUST_USE
bool quota_pays_rate(struct client *c, const struct command *cmd);
/* False: the request has to be held, see quota_hold(). cmd may be NULL. */
MUST_USE
static inline bool quota_pays(struct client *c, const struct command *cmd)
{
    struct tenant *t = c->tenant;

    if (UNLIKELY(t->quota.ops.rate != 0 || (c->more != NULL && c->more->walls.paid)))
        return quota_pays_rate(c, cmd);
    t->count.commands++;
    return true;
}
/* It could not be dealt with now: it need not pay again. */
void quota_paid(struct client *c);
/* Answers the request, or makes it wait. */
enum next quota_hold(struct client *c, const struct request *q);
/* The same of one that is too large to collect: true, and it waits; or what is to be answered. */
MUST_USE
bool quota_hold_large(struct client *c, const struct command *cmd, struct buffer *ret_error);

/* May a hit be answered, behind so many others that are not paid yet? */
MUST_USE
static inline bool quota_allows(struct client *c, uint64_t unpaid)
{
    struct quota *t = &c->tenant->quota;
    uint64_t need = unpaid + 1;

    if (LIKELY(t->ops.rate == 0))
        return true;
    need -= c->more != NULL && c->more->walls.paid;
    return need == 0 || (list_empty(&t->late) && rate_has(&t->ops, need, client_now(c)));
}
/* So many were. */
void quota_take(struct client *c, uint64_t hits);

/* ---- both ---- */

/* c is no longer of its tenant. */
void quota_left(struct client *c);
/* c waits no more for either. */
void quota_waits_no_more(struct client *c);

#endif
