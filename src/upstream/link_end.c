/* link_end.c - the end of a link: everybody it owes a reply is told, in order, with the requests
 * that were theirs: reads may be asked once more elsewhere (client/retry.c). */
#include "net/loop.h"
#include "upstream/link.h"
#include "upstream/pool.h"
#include "upstream/pool_inside.h"

static struct lost_requests lost_now(const struct pool *pool, struct slice bytes, uint32_t asked_ms)
{
    uint64_t now_ms = loop_now_ms(pool->loop);

    return (struct lost_requests){bytes, now_ms - (uint32_t)((uint32_t)now_ms - asked_ms)};
}

void link_fail(struct link *l, enum link_failure why)
{
    struct slots slots = l->slots;
    struct loan *loan = l->loan;
    struct pool *pool = l->pool;
    struct kept kept = l->kept;
    bool begun = l->streaming && !l->streaming_oob;

    if (l->state == LINK_STOCK)
        return;
    kept_end(&kept, &l->out);
    l->kept = (struct kept){0};
    if (loan != NULL)
        loan->link = NULL; /* whoever is told now must not end it once more */
    pool_link_down(l, why);
    l->slots = (struct slots){0};
    l->streaming = false;
    for (; slots.len > 0; begun = false) {
        struct lost_requests before = pool->lost;
        struct slot s = *slots_at(&slots, 0);

        slots_pop(&slots);
        pool->lost = lost_now(pool, kept_next(&kept, s.bytes), s.asked_ms);
        s.asker->ops->failed(s.asker, s.count, why, begun);
        pool->lost = before;
        kept_answered(&kept, s.bytes);
    }
    slots_done(&slots);
    kept_begin(&kept, false);
    if (loan != NULL)
        loan->ops->lost(loan, why);
}
