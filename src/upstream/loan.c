/* loan.c - lending links to sessions that need one for themselves.
 *
 *      loan_ask() --idle link in the right db--> lent
 *           |                                      ^
 *           +--> waits --(link idle again, new one up, SELECT done)--+
 *                  |
 *                  +--> refused: queue_timeout, or upstream's own error
 *
 * First come first served within a kind. A link given back clean is idle and lent again: a new TCP
 * connection for each transaction melts the server behind (envoy#44338). */
#include "net/loop.h"
#include "upstream/pool.h"
#include "upstream/pool_inside.h"

static bool may_lend(const struct pool *pool, uint8_t kind)
{
    const struct upstream_counters *c = &pool->count;

    if (kind == LOAN_LONG)
        return c->links_lent_long < pool->settings->max_lent;
    return c->links_shared + c->links_lent_pool < pool->settings->pool_size;
}

static void count_lent(struct loan *loan, int by)
{
    struct upstream_counters *c = &loan->lane->pool->count;

    if (loan->kind == LOAN_LONG)
        c->links_lent_long += (uint64_t)by;
    else
        c->links_lent_pool += (uint64_t)by;
}

static void lend(struct loan *loan, struct link *l)
{
    loan->link = l;
    l->loan = loan;
    link_become(l, LINK_LENT);
    count_lent(loan, 1);
    loan->lane->pool->count.loans++;
}

/* The idle link that suits best: the right db, the one used last (others may then grow old). */
static struct link *find_idle(const struct lane *lane, int db, bool *ret_other)
{
    *ret_other = false;
    for (list_each(node, &lane->links[LINK_IDLE])) {
        struct link *l = CONTAINER_OF(node, struct link, node);

        if (db < 0 || l->db == db)
            return l;
        *ret_other = true;
    }
    return NULL;
}

static void stop_waiting(struct loan *loan)
{
    list_leave(&loan->node);
    loan->waiting = false;
    loan->lane->loans_waiting--;
    loan->lane->pool->count.loans_waiting--;
}

bool loan_ask(struct loan *loan, struct lane *lane, enum loan_kind kind, int db)
{
    bool other;
    struct link *l;

    CHECK(loan->link == NULL && !loan->waiting);
    loan->lane = lane;
    loan->kind = (uint8_t)kind;
    loan->db = db;
    loan->patient = loan->for_life = false;
    loan->since_ms = loop_now_ms(lane->pool->loop);
    l = list_empty(&lane->loans[kind]) && may_lend(lane->pool, loan->kind)
            ? find_idle(lane, db, &other)
            : NULL;
    if (l != NULL) {
        list_init(&loan->node);
        lend(loan, l);
        return true;
    }
    list_push_back(&lane->loans[kind], &loan->node);
    loan->waiting = true;
    lane->loans_waiting++;
    lane->pool->count.loans_waiting++;
    loans_serve(lane->pool);
    return false;
}

/* Room for one more connection: an idle one of another lane makes way. */
static bool make_room(struct lane *lane)
{
    struct pool *pool = lane->pool;

    if (pool->count.links < pool->settings->max_links)
        return true;
    for (list_each(node, &pool->lanes)) {
        struct lane *other = CONTAINER_OF(node, struct lane, node);

        if (other != lane && !list_empty(&other->links[LINK_IDLE])) {
            link_fail(CONTAINER_OF(other->links[LINK_IDLE].prev, struct link, node), LINK_CLOSED);
            return true;
        }
    }
    return false;
}

/* Serves the first of a kind; false when it must go on waiting. */
static bool serve_first(struct lane *lane, uint8_t kind)
{
    struct loan *loan;
    struct link *l;
    bool other;

    if (list_empty(&lane->loans[kind]) || !may_lend(lane->pool, kind))
        return false;
    loan = CONTAINER_OF(lane->loans[kind].next, struct loan, node);
    l = find_idle(lane, loan->db, &other);
    if (l != NULL) {
        stop_waiting(loan);
        lend(loan, l);
        loan->ops->lent(loan);
        return true;
    }
    if (lane_coming(lane) >= lane->loans_waiting)
        return false;
    if (other) {
        prepare_begin(CONTAINER_OF(lane->links[LINK_IDLE].prev, struct link, node), loan->db);
    } else if (pool_may_open(lane->pool) && make_room(lane)) {
        lane->next_db = loan->db < 0 ? 0 : loan->db;
        link_dial(lane);
    } else {
        return false;
    }
    return lane_coming(lane) < lane->loans_waiting;
}

void loans_serve(struct pool *pool)
{
    /* ops->lent() may ask, end and release: so each step looks afresh, and lanes do not go while
     * their loans wait. */
    for (list_each_safe(node, next, &pool->lanes)) {
        struct lane *lane = CONTAINER_OF(node, struct lane, node);
        uint32_t most = lane->loans_waiting * 2;

        while (most-- > 0 && (serve_first(lane, LOAN_LONG) || serve_first(lane, LOAN_POOL)))
            continue;
    }
}

void loan_end(struct loan *loan, enum loan_end how)
{
    struct link *l = loan->link;

    if (loan->waiting) {
        stop_waiting(loan);
        return;
    }
    if (l == NULL)
        return;
    count_lent(loan, -1);
    loan->link = NULL;
    l->loan = NULL;
    l->listening = l->raw = false;
    if (how == LOAN_CLOSE || (how == LOAN_DISCARD && l->slots.len > 0) || l->streaming) {
        link_fail(l, LINK_CLOSED);
        return;
    }
    if (how == LOAN_DISCARD)
        cleaning_begin(l);
    else
        pool_link_free(l);
}

void loan_keep(struct loan *loan)
{
    count_lent(loan, -1);
    loan->kind = LOAN_LONG;
    count_lent(loan, 1);
    loan->for_life = true;
}

static void refuse(struct loan *loan, struct slice error)
{
    stop_waiting(loan);
    loan->lane->pool->count.loans_refused++;
    loan->ops->refused(loan, error);
}

void loans_refuse(struct lane *lane, struct slice error)
{
    struct buffer copy = {0}; /* the callee may begin another greeting, which owns `error` */

    buffer_add(&copy, error.p, error.n);
    for (int kind = 0; kind < 2; kind++) {
        while (!list_empty(&lane->loans[kind]))
            refuse(CONTAINER_OF(lane->loans[kind].next, struct loan, node), buffer_slice(&copy));
    }
    buffer_done(&copy);
}

void loans_expire(struct pool *pool, uint64_t now_ms)
{
    for (list_each_safe(node, next, &pool->lanes)) {
        struct lane *lane = CONTAINER_OF(node, struct lane, node);

        for (int kind = 0; kind < 2; kind++) {
            while (!list_empty(&lane->loans[kind])) {
                struct loan *first = CONTAINER_OF(lane->loans[kind].next, struct loan, node);

                if (now_ms - first->since_ms < pool->settings->queue_timeout)
                    break;
                refuse(first, slice_of("", 0));
            }
        }
    }
}

void loan_move(struct loan *loan, struct lane *lane)
{
    struct link *l = loan->link;

    list_leave(&l->node);
    l->lane->count[l->state]--;
    l->lane = loan->lane = lane;
    list_push_back(&lane->links[l->state], &l->node);
    lane->count[l->state]++;
}
