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

/* Shared links, or the one there must always be room for. */
static uint64_t shared_or_one(const struct upstream_counters *c)
{
    return c->links_shared > 0 ? c->links_shared : 1;
}

/* However many lanes share the pool, one link may always be lent: else shared ones could use it up.
 */
static bool may_lend(const struct pool *pool, uint8_t kind)
{
    const struct upstream_counters *c = &pool->count;

    if (kind == LOAN_LONG)
        return c->links_lent_long < pool->settings->max_lent + pool->own_loans;
    return c->links_lent_pool == 0 ||
           shared_or_one(c) + c->links_lent_pool < pool->settings->pool_size;
}

/* May another be opened to be lent, beside those that are idle or coming? */
static bool may_open_for(const struct pool *pool, uint8_t kind)
{
    const struct upstream_counters *c = &pool->count;
    uint64_t spare = pool_spare(pool);

    if (kind == LOAN_LONG)
        return c->links_lent_long + spare < pool->settings->max_lent + pool->own_loans;
    return c->links_lent_pool + spare == 0 ||
           shared_or_one(c) + c->links_lent_pool + spare < pool->settings->pool_size;
}

void pool_own_loans(struct pool *pool, int by)
{
    pool->own_loans += (uint32_t)by;
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
    for (list_each (node, &lane->links[LINK_IDLE])) {
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
    loan->lane->waiting[loan->kind]--;
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
    l = !pool_out(lane->pool) && list_empty(&lane->loans[kind]) && may_lend(lane->pool, loan->kind)
            ? find_idle(lane, db, &other)
            : NULL;
    if (l != NULL) {
        list_init(&loan->node);
        lend(loan, l);
        return true;
    }
    list_push_back(&lane->loans[kind], &loan->node);
    loan->waiting = true;
    lane->waiting[kind]++;
    lane->pool->count.loans_waiting++;
    lane->pool->serve_loans =
        true;                   /* in the beat: ops->lent() must not come from within this call */
    pool_tick_soon(lane->pool); /* it may wait in vain */
    return false;
}

/* A shared link at rest of a lane that has others. */
static struct link *find_spare_shared(const struct pool *pool)
{
    for (list_each (lane_node, &pool->lanes)) {
        struct lane *lane = CONTAINER_OF(lane_node, struct lane, node);

        if (lane_shared(lane) < 2)
            continue;
        for (list_each (node, &lane->links[LINK_SHARED])) {
            struct link *l = CONTAINER_OF(node, struct link, node);

            if (l->slots.len == 0 && buffer_len(&l->out) == 0)
                return l;
        }
    }
    return NULL;
}

/* The idle link of another lane that was used longest ago, a shared one of a lane that nobody is
 * in, or one that its lane can spare; NULL when there is none. */
static struct link *find_dispensable(const struct lane *lane)
{
    for (list_each (node, &lane->pool->lanes)) {
        struct lane *other = CONTAINER_OF(node, struct lane, node);
        struct list *idle = &other->links[LINK_IDLE], *shared = &other->links[LINK_SHARED];

        if (other == lane || lane_loans_waiting(other) > 0)
            continue;
        if (!list_empty(idle))
            return CONTAINER_OF(idle->prev, struct link, node);
        if (other->holders == 0 && !list_empty(shared) &&
            CONTAINER_OF(shared->next, struct link, node)->slots.len == 0)
            return CONTAINER_OF(shared->next, struct link, node);
    }
    return find_spare_shared(lane->pool);
}

bool lane_make_room(struct lane *lane, bool (*fits)(const struct pool *pool))
{
    struct link *l;

    while (!fits(lane->pool)) {
        l = find_dispensable(lane);
        if (l == NULL)
            return false;
        link_fail(l, LINK_CLOSED);
    }
    return true;
}

static bool fits_pool(const struct pool *pool)
{
    return pool->count.links < pool->settings->max_links && may_open_for(pool, LOAN_POOL);
}

static bool fits_long(const struct pool *pool)
{
    return pool->count.links < pool->settings->max_links && may_open_for(pool, LOAN_LONG);
}

/* A lane that has several shared links, for other databases or because one was slow, gives back one
 * that nobody is waiting on. Sessions that used it find another by its changed number. */
bool lane_reclaim_shared(struct pool *pool)
{
    struct link *l = find_spare_shared(pool);

    if (l == NULL)
        return false;
    l->number = ++pool->link_numbers;
    link_become(l, LINK_IDLE);
    return true;
}

/* Lends an idle link to the first of a kind, or brings one to the database it wants; true when the
 * next may be looked at. */
static bool serve_first(struct lane *lane, uint8_t kind)
{
    struct loan *loan;
    struct link *l;
    bool other;

    if (list_empty(&lane->loans[kind]))
        return false;
    if (!may_lend(lane->pool, kind) && (kind == LOAN_LONG || !lane_reclaim_shared(lane->pool)))
        return false;
    loan = CONTAINER_OF(lane->loans[kind].next, struct loan, node);
    l = find_idle(lane, loan->db, &other);
    if (l != NULL) {
        stop_waiting(loan);
        lend(loan, l);
        loan->ops->lent(loan);
        return true;
    }
    if (!other || lane_coming(lane) >= lane->waiting[kind])
        return false;
    prepare_begin(CONTAINER_OF(lane->links[LINK_IDLE].prev, struct link, node), loan->db);
    return lane_coming(lane) < lane->waiting[kind];
}

/* Opens a link for the first of a kind, if there may be one more. */
static bool open_for(struct lane *lane, uint8_t kind)
{
    struct loan *loan;

    if (list_empty(&lane->loans[kind]) || !may_lend(lane->pool, kind) ||
        lane_coming(lane) >= lane->waiting[kind] || !lane_may_open(lane) ||
        !lane_make_room(lane, kind == LOAN_LONG ? fits_long : fits_pool))
        return false;
    loan = CONTAINER_OF(lane->loans[kind].next, struct loan, node);
    lane->next_db = loan->db < 0 ? 0 : loan->db;
    link_dial(lane);
    return true;
}

/* First what is there is lent, in every lane, and only then room is made for more: else lanes would
 * take each other's links away before they are used. */
void loans_serve(struct pool *pool)
{
    bool (*const steps[])(struct lane *, uint8_t) = {serve_first, open_for};

    if (pool_out(pool)) {
        loans_refuse_all(pool);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        /* ops->lent() may ask, end and release; lanes do not go while their loans wait. */
        for (list_each_safe (node, next, &pool->lanes)) {
            struct lane *lane = CONTAINER_OF(node, struct lane, node);
            uint32_t most = lane->waiting[LOAN_LONG] + lane->waiting[LOAN_POOL];

            while (most-- > 0 && (steps[i](lane, LOAN_LONG) || steps[i](lane, LOAN_POOL)))
                continue;
        }
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
    if (how == LOAN_CLOSE || (how == LOAN_CLEAN && l->slots.len > 0) || l->streaming) {
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

/* Those that want database db, or all (-1); `patient`: but larder's own wait on. */
static void refuse_some(struct lane *lane, struct slice error, int db, bool patient)
{
    for (int kind = 0; kind < 2; kind++) {
        struct list *loans = &lane->loans[kind], waiting;

        list_init(&waiting);
        list_move_all(loans, &waiting);
        while (!list_empty(&waiting)) {
            struct loan *loan = CONTAINER_OF(waiting.next, struct loan, node);

            list_leave(&loan->node);
            list_push_back(loans, &loan->node);
            if ((db < 0 || loan->db == db) && !(patient && loan->own))
                refuse(loan, error);
        }
    }
}

void loans_refuse(struct lane *lane, struct slice error, int db)
{
    struct buffer copy = {0}; /* the callee may begin another greeting, which owns `error` */

    buffer_add(&copy, error.p, error.n);
    refuse_some(lane, buffer_slice(&copy), db, false);
    buffer_done(&copy);
}

void loans_refuse_all(struct pool *pool)
{
    for (list_each_safe (node, next, &pool->lanes))
        refuse_some(CONTAINER_OF(node, struct lane, node), slice_of("", 0), -1, true);
}

void loans_expire(struct pool *pool, uint64_t now_ms)
{
    for (list_each_safe (node, next, &pool->lanes)) {
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

void loan_pass(struct loan *from, struct loan *to)
{
    const struct loan_ops *ops = to->ops;

    CHECK(from->link != NULL && to->link == NULL && !to->waiting);
    *to = *from;
    to->ops = ops;
    list_init(&to->node);
    to->link->loan = to;
    *from = (struct loan){.ops = from->ops};
}

void loan_move(struct loan *loan, struct lane *lane)
{
    struct link *l = loan->link;

    list_leave(&l->node);
    l->lane->count[l->state]--;
    l->lane = loan->lane = lane;
    lane->proven = true;
    list_push_back(&lane->links[l->state], &l->node);
    lane->count[l->state]++;
}
