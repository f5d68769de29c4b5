/* lane.c - the links that agree on user and protocol, and which of the shared ones a session asks.
 *
 * One shared link carries a lane as long as it can: joined requests make fewer system calls. More
 * are opened, up to half of pool_size, when those there are have stopped taking newcomers (a large
 * reply under way, or a head that has waited long: a script, KEYS), for sessions in another
 * database, and one aside for those who ask for much at once: Redis answers a connection's requests
 * one behind the other, but reads from all of them in turn, so that nobody who asks for little
 * waits for a thousand of another's. */
#include <string.h>

#include "net/loop.h"
#include "upstream/pool.h"
#include "upstream/pool_inside.h"

/* That of a lane with the same user and password, or the next. */
static uint32_t login_of(struct pool *pool, const struct lane *like)
{
    for (list_each (node, &pool->lanes)) {
        const struct lane *lane = CONTAINER_OF(node, struct lane, node);

        if (strcmp(lane->user, like->user) == 0 && strcmp(lane->password, like->password) == 0)
            return lane->login;
    }
    return ++pool->logins;
}

static struct lane *lane_new(struct pool *pool, struct slice user, struct slice password, int proto)
{
    struct lane *lane = must_calloc(1, sizeof *lane);

    lane->pool = pool;
    lane->proto = proto;
    lane->next_db = (int)pool->settings->database;
    lane->user = must_alloc(user.n + 1);
    memcpy(lane->user, user.p, user.n);
    lane->user[user.n] = 0;
    lane->password = must_alloc(password.n + 1);
    memcpy(lane->password, password.p, password.n);
    lane->password[password.n] = 0;
    lane->login = login_of(pool, lane);
    for (size_t i = 0; i < LINK_STATE_COUNT; i++)
        list_init(&lane->links[i]);
    list_init(&lane->waiters);
    list_init(&lane->loans[LOAN_POOL]);
    list_init(&lane->loans[LOAN_LONG]);
    list_push_back(&pool->lanes, &lane->node);
    return lane;
}

struct lane *lane_hold(struct pool *pool, struct slice user, struct slice password, int proto)
{
    struct lane *found = NULL;

    for (list_each (node, &pool->lanes)) {
        struct lane *lane = CONTAINER_OF(node, struct lane, node);

        if (lane->proto == proto && slice_eq(slice_str(lane->user), user) &&
            slice_eq(slice_str(lane->password), password))
            found = lane;
    }
    if (found == NULL)
        found = lane_new(pool, user, password, proto);
    found->holders++;
    return found;
}

struct lane *lane_hold_default(struct pool *pool, int proto)
{
    struct lane *lane = lane_hold(pool, slice_str(pool->settings->username),
                                  slice_str(pool->settings->password), proto);

    lane->proven = true;
    return lane;
}

struct lane *lane_hold_sibling(struct lane *lane, int proto)
{
    return lane_hold(lane->pool, slice_str(lane->user), slice_str(lane->password), proto);
}

/* Its links go when they have been idle long enough, and it with the last: pool_tick(). */
void lane_release(struct lane *lane)
{
    CHECK(lane->holders > 0);
    if (--lane->holders == 0)
        pool_tick_soon(lane->pool);
}

void lane_keep(struct lane *lane)
{
    lane->keepers++;
}

void lane_let_go(struct lane *lane)
{
    CHECK(lane->keepers > 0);
    if (--lane->keepers == 0)
        pool_tick_soon(lane->pool);
}

uint32_t lane_login(const struct lane *lane)
{
    return lane->login;
}

int lane_proto(const struct lane *lane)
{
    return lane->proto;
}

const char *lane_user(const struct lane *lane)
{
    return lane->user[0] ? lane->user : "default";
}

bool lane_hello(struct lane *lane, uint64_t id, struct buffer *out, struct slice *ret_refusal)
{
    struct slice hello = buffer_slice(&lane->hello);

    *ret_refusal = buffer_slice(&lane->hello_error);
    if (ret_refusal->n > 0)
        return true;
    if (hello.n == 0)
        return false;
    buffer_add(out, hello.p, lane->id_at);
    if (lane->id_at > 0)
        buffer_printf(out, "%llu", (unsigned long long)id);
    buffer_add(out, hello.p + lane->id_at + lane->id_len, hello.n - lane->id_at - lane->id_len);
    return true;
}

struct slice lane_refusal(const struct lane *lane, int db)
{
    if (lane->refused_db >= 0 && lane->refused_db != db)
        return slice_of("", 0);
    return buffer_slice(&lane->refusal);
}

void lane_wait(struct lane *lane, struct lane_waiter *w)
{
    list_push_back(&lane->waiters, &w->node);
    pool_tick_soon(lane->pool);
}

void lane_wake(struct lane *lane)
{
    struct list woken;

    list_init(&woken);
    list_move_all(&lane->waiters, &woken);
    while (!list_empty(&woken)) {
        struct lane_waiter *w = CONTAINER_OF(woken.next, struct lane_waiter, node);

        list_leave(&w->node);
        w->wake(w);
    }
}

uint32_t lane_coming(const struct lane *lane)
{
    return lane->count[LINK_CONNECTING] + lane->count[LINK_GREETING] + lane->count[LINK_CLEANING];
}

/* The less loaded of two links, either NULL. */
static struct link *lighter(struct link *a, struct link *b)
{
    if (a == NULL || b == NULL)
        return a ? a : b;
    return b->slots.len < a->slots.len ? b : a;
}

/* Of a lane's shared links in db: the best, and the best of those that would rather not. */
static struct link *best_shared(const struct lane *lane, int db, struct link **ret_second)
{
    struct link *best = NULL, *second = NULL;

    for (list_each (node, &lane->links[LINK_SHARED])) {
        struct link *l = CONTAINER_OF(node, struct link, node);

        if (l->db != db || link_full(l) || l->outdated || l->retiring)
            continue;
        if (link_takes_newcomers(l) && !l->aside)
            best = lighter(best, l);
        else
            second = lighter(second, l);
    }
    *ret_second = second;
    return best;
}

/* A link in another database that nobody waits on: idle, or shared and at rest. */
static struct link *find_unused(const struct lane *lane)
{
    if (!list_empty(&lane->links[LINK_IDLE]))
        return CONTAINER_OF(lane->links[LINK_IDLE].prev, struct link, node);
    for (list_each (node, &lane->links[LINK_SHARED])) {
        struct link *l = CONTAINER_OF(node, struct link, node);

        if (l->slots.len == 0 && buffer_len(&l->out) == 0 && !l->outdated && !l->retiring)
            return l;
    }
    return NULL;
}

static struct link *idle_in_db(const struct lane *lane, int db)
{
    for (list_each (node, &lane->links[LINK_IDLE])) {
        struct link *l = CONTAINER_OF(node, struct link, node);

        if (l->db == db)
            return l;
    }
    return NULL;
}

static bool fits_first(const struct pool *pool)
{
    return pool->count.links < pool->settings->max_links &&
           pool->count.links_shared < pool->settings->pool_size;
}

static bool fits_another(const struct pool *pool)
{
    const struct upstream_counters *c = &pool->count;

    return c->links < pool->settings->max_links &&
           c->links_shared + c->links_lent_pool + pool_spare(pool) < pool->settings->pool_size;
}

/* One more shared link beside those the lane has? `idle`: one that is there already. */
static bool may_share_more(struct lane *lane, bool idle)
{
    const struct pool *pool = lane->pool;
    const struct upstream_counters *c = &pool->count;

    if (lane_shared(lane) == 0)
        return lane_make_room(lane, fits_first);
    if (lane_shared(lane) >= (pool->settings->pool_size + 1) / 2)
        return false;
    return c->links_shared + c->links_lent_pool < pool->settings->pool_size &&
           (idle || lane_make_room(lane, fits_another));
}

struct link *lane_link(struct lane *lane, int db)
{
    struct link *second, *best = best_shared(lane, db, &second), *l;

    if (pool_out(lane->pool))
        return NULL;
    if (best != NULL)
        return best;
    l = idle_in_db(lane, db);
    if (l != NULL &&
        (may_share_more(lane, true) || (second == NULL && lane_reclaim_shared(lane->pool)) ||
         lane_shared(lane) == 0)) {
        link_become(l, LINK_SHARED);
        return l;
    }
    if (lane_coming(lane) > (lane_shared(lane) > 0 ? lane_loans_waiting(lane) : 0))
        return NULL;
    /* Upstream has just said no (-BUSY ..): better to say so than to queue behind what is stuck.
     * Who may not SELECT has no other link to hope for. */
    if (lane_refusal(lane, db).n > 0 && !lane_may_open(lane))
        return slice_starts(lane_refusal(lane, db), SLICE("-NOPERM")) ? second : NULL;
    if (lane_may_open(lane) && may_share_more(lane, false)) {
        lane->next_db = db;
        link_dial(lane);
        return NULL;
    }
    /* One at rest in another database is better than queueing behind what is stuck. */
    l = find_unused(lane);
    if (l == NULL)
        return second;
    l->number = ++lane->pool->link_numbers; /* whoever used it looks for another */
    prepare_begin(l, db);
    return NULL;
}

struct link *lane_link_aside(struct lane *lane, int db, bool *ret_coming)
{
    struct link *best = NULL, *idle;

    *ret_coming = false;

    for (list_each (node, &lane->links[LINK_SHARED])) {
        struct link *l = CONTAINER_OF(node, struct link, node);

        if (l->aside && l->db == db && !link_full(l) && !l->outdated && link_takes_newcomers(l))
            best = lighter(best, l);
    }
    if (best != NULL || pool_out(lane->pool) || lane_shared(lane) == 0)
        return best;
    idle = idle_in_db(lane, db);
    if (idle != NULL && may_share_more(lane, true)) {
        link_become(idle, LINK_SHARED);
        idle->aside = true;
        return idle;
    }
    if (idle == NULL && lane_coming(lane) == 0 && lane_may_open(lane) &&
        may_share_more(lane, false)) {
        lane->next_db = db;
        link_dial(lane);
    }
    *ret_coming = lane_coming(lane) > 0;
    return NULL;
}

struct link *lane_link_in(struct lane *lane, int db)
{
    struct link *second, *best = best_shared(lane, db, &second);

    return pool_out(lane->pool) ? NULL : best;
}

bool lane_user_known(const struct pool *pool, struct slice user)
{
    for (list_each (node, &pool->lanes)) {
        const struct lane *lane = CONTAINER_OF(node, struct lane, node);

        if (lane->holders > 0 && slice_eq(slice_str(lane_user(lane)), user))
            return true;
    }
    return slice_eq(user, SLICE("default"));
}

bool lane_is_slow(const struct lane *lane)
{
    for (list_each (node, &lane->links[LINK_SHARED])) {
        if (CONTAINER_OF(node, struct link, node)->stalled)
            return true;
    }
    return false;
}

bool lane_wants_login(const struct lane *lane)
{
    return slice_starts(buffer_slice(&lane->hello_error), SLICE("-NOAUTH"));
}
