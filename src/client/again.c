/* again.c - a question asked once more, for those who had joined one that came to nothing.
 *
 *      link broken       all of them together, once; but RESP2 and RESP3 each on a link of theirs
 *      too large         each alone: the answer passes to it in pieces, and is not kept in memory
 *
 * Neither kept nor joined. When no link is to be had it waits for one, as long as any command may.
 * Reads that nobody had joined are asked once more in the same way: see retry.c.
 */
#include <stdlib.h>

#include "client/near.h"
#include "client/retry.h"
#include "client/outage.h"
#include "resp/write.h"

struct again {
    struct asker asker;
    struct list node; /* among those that wait for a link */
    struct list waiters;
    struct lane_waiter waiting;
    struct lane *lane; /* held until it is asked */
    struct clients *all;
    struct link *link;
    uint64_t since_ms;
    int32_t db;
    bool alone;
    bool begun; /* a piece has been given */
    size_t request_n;
    char request[];
};

static const struct asker_ops again_ops;

static void tell(struct clients *all, struct list *waiters, struct slice request,
                 enum link_failure why)
{
    struct buffer out = {0};

    if (UNLIKELY(all->outage != NULL) && why != LINK_CLOSED)
        outage_waiters(waiters, request);
    write_error(&out, "UPSTREAM %s", link_failure_sentence(why));
    while (!list_empty(waiters)) {
        struct held *h = first_waiting(waiters);

        all->count.failed++;
        client_keep_promise(h, buffer_slice(&out));
    }
    buffer_done(&out);
}

void again_tell(struct near *near, struct list *waiters, struct slice request,
                enum link_failure why)
{
    tell(near->all, waiters, request, why);
}

static struct slice request_of(const struct again *a)
{
    return slice_of(a->request, a->request_n);
}

static void again_free(struct again *a)
{
    CHECK(list_empty(&a->waiters));
    list_leave(&a->node);
    list_leave(&a->waiting.node);
    if (a->lane != NULL)
        lane_release(a->lane);
    free(a);
}

static void try_to_ask(struct again *a)
{
    struct link *l = lane_link(a->lane, a->db);

    if (l == NULL || link_full(l)) {
        lane_wait(a->lane, &a->waiting);
        return;
    }
    list_leave(&a->node);
    lane_release(a->lane);
    a->lane = NULL;
    a->link = l;
    link_ask(l, &a->asker, slice_of(a->request, a->request_n), 1, true);
    link_ask_since(l, a->since_ms);
}

static void on_wake(struct lane_waiter *w)
{
    struct again *a = CONTAINER_OF(w, struct again, waiting);
    struct clients *all = a->all;
    uint64_t waited = loop_now_ms(all->loop) - a->since_ms;

    if (UNLIKELY(outage_is_on(all)))
        outage_waiters(&a->waiters, request_of(a));
    if (!list_empty(&a->waiters) && waited < pool_command_timeout(all->pool) &&
        !pool_is_out(all->pool)) {
        try_to_ask(a);
        return;
    }
    tell(all, &a->waiters, request_of(a), LINK_UNREACHED);
    again_free(a);
}

/* The first, and with it those who speak its protocol, unless it is to be alone. */
static void take_waiters(struct again *a, struct list *waiters)
{
    uint8_t proto = first_waiting(waiters)->client->proto;

    for (list_each_safe (node, next, waiters)) {
        struct waiter *w = CONTAINER_OF(node, struct waiter, node);

        if (CONTAINER_OF(w, struct held, waiter)->client->proto != proto)
            continue;
        list_leave(node);
        list_push_back(&a->waiters, node);
        if (a->alone)
            return;
    }
}

static void begin(struct clients *all, struct list *waiters, struct slice request,
                  uint64_t since_ms, bool alone)
{
    struct again *a = must_alloc(sizeof *a + request.n);
    struct held *h = first_waiting(waiters);

    *a = (struct again){.asker = {&again_ops},
                        .all = all,
                        .lane = lane_hold_sibling(h->client->lane, lane_proto(h->client->lane)),
                        .db = h->client->db,
                        .since_ms = since_ms,
                        .alone = alone,
                        .request_n = request.n};
    a->waiting.wake = on_wake;
    list_init(&a->waiting.node);
    list_init(&a->waiters);
    list_push_back(&all->again, &a->node);
    memcpy(a->request, request.p, request.n);
    take_waiters(a, waiters);
    on_wake(&a->waiting);
}

void again_since(struct clients *all, struct list *waiters, struct slice request, uint64_t since_ms)
{
    while (!list_empty(waiters))
        begin(all, waiters, request, since_ms, false);
}

void again_together(struct near *near, struct list *waiters, struct slice request)
{
    again_since(near->all, waiters, request, loop_now_ms(near->all->loop));
}

void again_alone(struct near *near, struct list *waiters, struct slice request)
{
    while (!list_empty(waiters))
        begin(near->all, waiters, request, loop_now_ms(near->all->loop), true);
}

void again_close(struct clients *all)
{
    while (!list_empty(&all->again)) {
        struct again *a = CONTAINER_OF(all->again.next, struct again, node);

        tell(all, &a->waiters, request_of(a), LINK_CLOSED);
        again_free(a);
    }
}

/* ---- the answer ---- */

static void on_replies(struct asker *asker, struct slice bytes, uint32_t n)
{
    struct again *a = CONTAINER_OF(asker, struct again, asker);

    CHECK(n == 1);
    if (UNLIKELY(a->all->outage != NULL) && outage_is_reply(bytes))
        outage_waiters(&a->waiters, request_of(a));
    while (!list_empty(&a->waiters))
        client_keep_promise(first_waiting(&a->waiters), bytes);
    again_free(a);
}

static bool on_piece(struct asker *asker, struct slice bytes, bool last)
{
    struct again *a = CONTAINER_OF(asker, struct again, asker);
    bool full = false;

    if (!a->begun && !list_empty(&a->waiters)) {
        struct held *h = first_waiting(&a->waiters);

        list_leave(&h->waiter.node); /* who is first has it; the others ask alone */
        while (!list_empty(&a->waiters))
            begin(a->all, &a->waiters, slice_of(a->request, a->request_n), a->since_ms, true);
        list_push_back(&a->waiters, &h->waiter.node);
    }
    a->begun = true;
    if (!list_empty(&a->waiters))
        full = client_keep_piece(first_waiting(&a->waiters), bytes, last, a->link);
    if (last)
        again_free(a);
    return full;
}

static void on_failed(struct asker *asker, uint32_t n, enum link_failure why, bool begun)
{
    struct again *a = CONTAINER_OF(asker, struct again, asker);

    (void)n;
    if (begun && !list_empty(&a->waiters))
        client_close(first_waiting(&a->waiters)->client, CLOSE_UPSTREAM); /* half of it is out */
    tell(a->all, &a->waiters, request_of(a), why);
    again_free(a);
}

static const struct asker_ops again_ops = {on_replies, on_piece, on_failed, NULL};
