/* journal.c - see journal.h.
 *
 *     C: DEL k      outage: answered 1; k is off the shelf, and noted here
 *     C: GET k      outage: nothing
 *
 *     a link comes up     nobody's yet (greeting.c): DEL k ------------>  upstream
 *                                                    <------------ :1
 *                         the journal is empty: the link is the clients'
 *     C: GET k      --------------------------------------------------->  nothing
 *
 * So no client reads upstream what it held before a write that larder has said to have succeeded;
 * for there is no other link: those that were up when the first key was noted are dropped. Nor can
 * a later write of a key succeed before the key's deletion, and be deleted with it: meanwhile
 * writes wait. (What was under way on a link when the outage began has an unknown fate, and its
 * client was told so.)
 *
 * A deletion is what makes every kind of dropped write right: the upstream has a value that is no
 * longer true, or an expiry that is not. It is said as the user, and in the database, of the
 * session that wrote; links of other users wait until it has been. One that the upstream refuses,
 * that comes too late (journal_ttl), or for which there was no room, is given up: outage_gave_up().
 */
#include "client/journal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "client/outage.h"
#include "client/rules.h"
#include "net/loop.h"
#include "resp/reply.h"
#include "resp/write.h"

#define BUCKETS  4096u
#define BATCH    1000u /* deletions asked at once */
#define SWEEP_MS 500u

/* How long a failover may take behind a name, until all clients ask the new master. */
#define READONLY_MS 30000u

struct scope {
    struct lane *lane; /* held: it is to be connected even if the client has left */
    int32_t db;
};

struct entry_key {
    struct list node;  /* in its bucket, unless it is sent */
    struct list order; /* by age, or among those sent */
    uint64_t at_ms;
    uint32_t scope;
    uint32_t key_n;
    char key[];
};

struct journal {
    struct clients *all;
    struct outage *outage;
    struct list *buckets;
    struct list order, sent;
    struct hash_seed seed;
    struct scope *scopes;
    uint32_t scope_count;
    size_t count; /* of both lists */
    struct timer *sweep, *drop;
    uint64_t readonly_ms; /* since when a replica answers; 0: none does */
    struct buffer words;
    /* The link on which deletions are under way; NULL: none are. */
    struct asker asker;
    struct link *link;
    int32_t db;  /* the one it is in */
    bool select; /* what is unanswered is a SELECT */
};

static const struct asker_ops journal_ops;

static void go_on(struct journal *j);

static uint64_t now_of(const struct journal *j)
{
    return loop_now_ms(j->all->loop);
}

/* ---- what is noted ---- */

static uint32_t scope_of(struct journal *j, const struct client *c)
{
    for (uint32_t i = 0; i < j->scope_count; i++) {
        if (j->scopes[i].db == c->db && lane_login(j->scopes[i].lane) == lane_login(c->lane))
            return i;
    }
    j->scopes = must_realloc(j->scopes, (j->scope_count + 1) * sizeof *j->scopes);
    j->scopes[j->scope_count] =
        (struct scope){lane_hold_sibling(c->lane, lane_proto(c->lane)), c->db};
    return j->scope_count++;
}

static struct list *bucket(const struct journal *j, struct slice key)
{
    return &j->buckets[hash_bytes(&j->seed, key.p, key.n) % BUCKETS];
}

static struct slice key_of(const struct entry_key *e)
{
    return slice_of(e->key, e->key_n);
}

static struct entry_key *find(const struct journal *j, uint32_t scope, struct slice key)
{
    for (list_each (node, bucket(j, key))) {
        struct entry_key *e = CONTAINER_OF(node, struct entry_key, node);

        if (e->scope == scope && slice_eq(key_of(e), key))
            return e;
    }
    return NULL;
}

static struct entry_key *first(const struct list *entries)
{
    return CONTAINER_OF(entries->next, struct entry_key, order);
}

/* With the last key nothing is known of the sessions any more. */
static void entry_free(struct journal *j, struct entry_key *e)
{
    list_leave(&e->node);
    list_leave(&e->order);
    free(e);
    if (--j->count > 0)
        return;
    while (j->scope_count > 0)
        lane_release(j->scopes[--j->scope_count].lane);
}

static void give_up(struct journal *j, struct entry_key *e)
{
    outage_gave_up(j->outage, key_of(e));
    entry_free(j, e);
}

/* Links that were up before the first key was noted: see above. */
static void drop_links(struct journal *j)
{
    const struct pool *pool = j->all->pool;

    if (pool_count_links(pool, LINK_SHARED) + pool_count_links(pool, LINK_IDLE) +
            pool_count_links(pool, LINK_LENT) + pool_count_links(pool, LINK_CLEANING) >
        0)
        timer_start(j->drop, 0);
}

bool journal_add(struct journal *j, const struct client *c, struct slice key)
{
    uint32_t scope;
    struct entry_key *e;

    if (j->count == 0)
        drop_links(j);
    scope = scope_of(j, c);
    e = find(j, scope, key);
    if (e != NULL) {
        list_leave(&e->order);
    } else if (j->count >= pool_settings(j->all->pool)->journal_max) {
        return false;
    } else {
        e = must_alloc(sizeof *e + key.n);
        *e = (struct entry_key){.scope = scope, .key_n = (uint32_t)key.n};
        list_init(&e->order);
        list_init(&e->node);
        memcpy(e->key, key.p, key.n);
        list_push_back(bucket(j, key), &e->node);
        j->count++;
    }
    e->at_ms = now_of(j);
    list_push_back(&j->order, &e->order);
    if (!timer_running(j->sweep))
        timer_start(j->sweep, SWEEP_MS);
    return true;
}

size_t journal_count(const struct journal *j)
{
    return j->count;
}

bool journal_runs(const struct journal *j)
{
    return j->link != NULL;
}

/* ---- the deletions ---- */

/* The oldest whose session logged in as the link has; NULL: there is none. */
static struct entry_key *next_for(const struct journal *j, const struct link *l)
{
    uint32_t login = lane_login(l->lane);

    for (list_each (node, &j->order)) {
        struct entry_key *e = CONTAINER_OF(node, struct entry_key, order);

        if (lane_login(j->scopes[e->scope].lane) == login)
            return e;
    }
    return NULL;
}

static void say_select(struct journal *j, int32_t db)
{
    char text[16];
    struct slice argv[2] = {SLICE("SELECT"), slice_of(text, 0)};

    (void)snprintf(text, sizeof text, "%d", (int)db);
    argv[1] = slice_str(text);
    buffer_done(&j->words);
    write_request(&j->words, argv, 2);
    j->select = true;
    j->db = db;
    link_ask(j->link, &j->asker, buffer_slice(&j->words), 1, true);
}

/* Those of a kind of session that the link is ready for. */
static void say_deletions(struct journal *j, uint32_t scope)
{
    uint32_t n = 0;

    j->select = false;
    buffer_done(&j->words);
    for (list_each_safe (node, next, &j->order)) {
        struct entry_key *e = CONTAINER_OF(node, struct entry_key, order);

        if (n == BATCH)
            break;
        if (e->scope != scope)
            continue;
        fence_delete(j->all->rules, key_of(e), &j->words);
        list_leave(&e->node);
        list_leave(&e->order);
        list_push_back(&j->sent, &e->order);
        n++;
    }
    link_ask(j->link, &j->asker, buffer_slice(&j->words), n, true);
}

/* What has no answer will be asked again. */
static void stop(struct journal *j)
{
    j->link = NULL;
    while (!list_empty(&j->sent)) {
        struct entry_key *e = CONTAINER_OF(j->sent.prev, struct entry_key, order);

        list_leave(&e->order);
        if (find(j, e->scope, key_of(e)) != NULL) { /* noted once more meanwhile */
            list_init(&e->order);
            entry_free(j, e);
            continue;
        }
        list_push_front(&j->order, &e->order);
        list_push_back(bucket(j, key_of(e)), &e->node);
    }
}

static void go_on(struct journal *j)
{
    struct entry_key *e = next_for(j, j->link);

    if (e != NULL && j->scopes[e->scope].db != j->db) {
        say_select(j, j->scopes[e->scope].db);
    } else if (e != NULL) {
        say_deletions(j, e->scope);
    } else if (j->db != j->link->db) {
        say_select(j, j->link->db);
    } else {
        stop(j);
        pool_admit(j->all->pool);
    }
}

bool journal_ready(struct journal *j, struct link *l)
{
    if (j->link == l)
        return true; /* it may be in another database than it says */
    if (j->count == 0)
        return false;
    if (j->link == NULL && next_for(j, l) != NULL) {
        j->link = l;
        j->db = l->db;
        go_on(j);
    }
    return true;
}

/* It may well do it in a moment. A replica may be where the master is about to be; but who has put
 * a replica there for good must not wait for journal_ttl. */
static bool is_passing(struct journal *j, struct slice error)
{
    if (outage_is_reply(error) || slice_starts(error, SLICE("-BUSY ")))
        return true;
    if (!slice_starts(error, SLICE("-READONLY ")))
        return false;
    if (j->readonly_ms == 0)
        j->readonly_ms = now_of(j);
    return now_of(j) - j->readonly_ms < READONLY_MS;
}

static void refuse_scope(struct journal *j)
{
    uint32_t login = lane_login(j->link->lane);

    for (list_each_safe (node, next, &j->order)) {
        struct entry_key *e = CONTAINER_OF(node, struct entry_key, order);
        const struct scope *s = &j->scopes[e->scope];

        if (s->db == j->db && lane_login(s->lane) == login) {
            give_up(j, e);
            if (j->count == 0)
                break;
        }
    }
}

/* False: the link has been given up. */
static bool take_reply(struct journal *j, struct slice reply)
{
    struct link *l = j->link;
    struct entry_key *e;

    if (reply.p[0] == '-' && is_passing(j, reply)) {
        stop(j);
        pool_give_up(l, "it cannot serve yet");
        return false;
    }
    if (j->select) {
        if (reply.p[0] == '-') {
            refuse_scope(j);
            stop(j); /* which database the link is in is known; but it is a link to nowhere */
            pool_give_up(l, "it refuses SELECT");
            return false;
        }
        return true;
    }
    e = first(&j->sent);
    if (reply.p[0] == '-') {
        give_up(j, e);
    } else {
        j->readonly_ms = 0;
        outage_replayed(j->outage, key_of(e));
        entry_free(j, e);
    }
    return true;
}

static void on_replies(struct asker *a, struct slice bytes, uint32_t n)
{
    struct journal *j = CONTAINER_OF(a, struct journal, asker);

    if (j->link == NULL)
        return;
    for (uint32_t i = 0; i < n; i++) {
        struct slice rest = bytes;

        CHECK(reply_skip(&rest));
        if (!take_reply(j, slice_of(bytes.p, bytes.n - rest.n)))
            return;
        bytes = rest;
    }
    if (list_empty(&j->sent))
        go_on(j);
}

static void on_failed(struct asker *a, uint32_t n, enum link_failure why, bool begun)
{
    struct journal *j = CONTAINER_OF(a, struct journal, asker);

    (void)n;
    (void)why;
    (void)begun;
    if (j->link != NULL)
        stop(j);
}

static const struct asker_ops journal_ops = {on_replies, NULL, on_failed, NULL};

/* ---- what becomes of those that wait ---- */

/* The upstream will not have those who wrote there any more. */
static void drop_refused(struct journal *j, uint32_t scope)
{
    struct slice refusal = lane_refusal(j->scopes[scope].lane, j->scopes[scope].db);

    if (refusal.n == 0 || is_passing(j, refusal))
        return;
    for (list_each_safe (node, next, &j->order)) {
        struct entry_key *e = CONTAINER_OF(node, struct entry_key, order);

        if (e->scope != scope)
            continue;
        give_up(j, e);
        if (j->count == 0)
            return;
    }
}

static void on_sweep(void *context)
{
    struct journal *j = context;
    uint64_t ttl_ms = pool_settings(j->all->pool)->journal_ttl;

    while (!list_empty(&j->order) && now_of(j) - first(&j->order)->at_ms >= ttl_ms)
        give_up(j, first(&j->order));
    for (uint32_t i = 0; i < j->scope_count; i++)
        drop_refused(j, i);
    if (j->count > 0)
        timer_start(j->sweep, SWEEP_MS);
    else
        pool_admit(j->all->pool);
}

static void on_drop(void *context)
{
    struct journal *j = context;

    pool_drop(j->all->pool);
}

/* ---- life ---- */

struct journal *journal_new(struct clients *all, struct outage *outage)
{
    struct journal *j = must_calloc(1, sizeof *j);

    j->all = all;
    j->outage = outage;
    j->asker.ops = &journal_ops;
    list_init(&j->order);
    list_init(&j->sent);
    j->buckets = must_alloc(BUCKETS * sizeof *j->buckets);
    for (uint32_t i = 0; i < BUCKETS; i++)
        list_init(&j->buckets[i]);
    hash_seed_init(&j->seed);
    j->sweep = timer_new(all->loop, on_sweep, j);
    j->drop = timer_new(all->loop, on_drop, j);
    return j;
}

void journal_close(struct journal *j)
{
    if (j->count > 0)
        log_warning(loop_log(j->all->loop),
                    "outage: %zu keys whose writes were dropped are not deleted upstream",
                    j->count);
    j->link = NULL;
    timer_stop(j->sweep);
    timer_stop(j->drop);
    while (!list_empty(&j->order))
        entry_free(j, first(&j->order));
    while (!list_empty(&j->sent))
        entry_free(j, first(&j->sent));
}

void journal_free(struct journal *j)
{
    if (j == NULL)
        return;
    timer_free(j->sweep);
    timer_free(j->drop);
    buffer_done(&j->words);
    free(j->scopes);
    free(j->buckets);
    free(j);
}
