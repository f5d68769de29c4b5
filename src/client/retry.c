/* retry.c - reads whose link broke are asked once more on another, and nothing is lost but time.
 *
 *      C: GET a, GET b, PING, GET c    a, b and c unanswered when the link breaks
 *
 *      owed:   a  b  c            each becomes a promise, in its place in the order of replies;
 *      held:     [PONG]           again.c asks for it, and keeps it
 *      held:  [a] [b] [PONG] [c]
 *
 * Only of a session that had no write unanswered there: what became of that is not known, and a
 * read behind it would tell now the one thing, now the other. A write never, for it may have been
 * executed. Transactions, blocking commands and the like have a link of their own, where nothing is
 * kept to be asked again (kept.h). Once: again.c does not try a third time. The deadline is that of
 * the first asking. */
#include "client/retry.h"

#include "client/near.h"
#include "resp/reply.h"

/* May reads of c be asked again, which the link owes it? Of a write what stands behind it may not,
 * either. */
static bool may_retry(struct client *c, enum link_failure why, bool begun)
{
    uint32_t answered = c->asked - c->owed;

    if (!c->open || c->mode != MODE_PLAIN || c->half_out || begun || c->owed == 0)
        return false;
    if (why == LINK_CLOSED || why == LINK_UNREACHED)
        return false;
    if ((int32_t)(c->wrote_at - answered) > 0) {
        client_session(c)->no_retry_at = c->asked;
        return false;
    }
    return c->more == NULL || (int32_t)(c->more->no_retry_at - answered) <= 0;
}

/* In the place of the next reply that is due, which is due no more. */
static struct held *promise_instead(struct client *c)
{
    struct held *h = client_promise_now(c);

    c->all->count.retried++;
    writes_answered(c, 1);
    client_answered(c, 1);
    return h;
}

/* The last n of the requests; false: they are not known. */
static bool find_last(struct slice *requests, uint32_t n)
{
    struct slice rest = *requests;
    uint32_t total = 0;

    while (rest.n > 0) {
        if (!reply_skip(&rest)) /* a request has the form of an array */
            return false;
        total++;
    }
    for (; total > n; total--)
        CHECK(reply_skip(requests));
    return total == n;
}

bool retry_reads(struct client *c, uint32_t n, enum link_failure why, bool begun)
{
    struct lost_requests lost = pool_lost(c->all->pool);

    if (!may_retry(c, why, begun) || lost.bytes.n == 0 || !find_last(&lost.bytes, n) ||
        c->promised + n > UINT16_MAX)
        return false;
    while (n-- > 0) {
        struct slice request = lost.bytes;
        struct list waiters;

        CHECK(reply_skip(&lost.bytes));
        request.n -= lost.bytes.n;
        list_init(&waiters);
        list_push_back(&waiters, &promise_instead(c)->waiter.node);
        again_since(c->all, &waiters, request, lost.asked_ms);
    }
    return true;
}

bool retry_leader(struct client *c, struct list *waiters, enum link_failure why, bool begun)
{
    if (!may_retry(c, why, begun) || c->promised == UINT16_MAX)
        return false;
    list_push_front(waiters, &promise_instead(c)->waiter.node);
    return true;
}
