/* immutable.c - idempotency windows: SET k v NX EX 600, where what exists never changes.
 *
 *     C1: SET k 1 NX  --> upstream decides, always      C1 is given what it says
 *     C2: SET k 2 NX      waits: C1's reply, OK or null, means that the key exists
 *                     <-- OK
 *                     --> GET k, PTTL k                 kept as any read: pushes end it
 *     C3: SET k 3 NX      the key is known to exist: answered here
 *
 * Who waits was put in order behind C1's by larder, while both were under way: what it is told was
 * true when C1's reply was given. An error of C1's is theirs too. */
#include <stdlib.h>

#include "client/near.h"
#include "client/rules.h"
#include "resp/write.h"

struct attempt {
    struct asker asker;
    struct list node;       /* in its bucket */
    struct list waiters[2]; /* of SET .. NX, of SETNX */
    struct near *near;
    struct client *leader;
    struct link *link;
    uint64_t link_number;
    uint16_t scope;
    uint32_t key_n;
    char key[];
};

static const struct asker_ops attempt_ops;

static struct list *bucket(const struct rules *r, struct slice key)
{
    return &r->attempts[hash_bytes(&r->seed, key.p, key.n) % ATTEMPT_BUCKETS];
}

static bool is_setnx(const struct request *q)
{
    return q->command->id == CMD_SETNX;
}

static struct slice refusal_of(const struct client *c, bool setnx)
{
    return setnx ? SLICE(":0\r\n") : near_null(c);
}

static struct attempt *find(const struct rules *r, const struct question *q)
{
    for (list_each (node, bucket(r, q->key))) {
        struct attempt *a = CONTAINER_OF(node, struct attempt, node);

        if (a->scope == q->scope && slice_eq(slice_of(a->key, a->key_n), q->key))
            return a;
    }
    return NULL;
}

static bool is_known(struct client *c, struct near_question *nq)
{
    struct entry e;

    return near_look(c, nq, NULL, false, &e) == LOOK_FRESH && e.kind == ENTRY_VALUE;
}

bool immutable_serve(struct client *c, const struct request *q)
{
    struct rules *r = c->all->rules;
    struct near *near = c->all->near;
    struct near_question nq;
    struct attempt *a;

    if (near == NULL || !near_plain(near, c, q->argv[1], &nq))
        return false;
    if (is_known(c, &nq)) {
        struct slice refusal = refusal_of(c, is_setnx(q));

        r->count.immutable_answered++;
        buffer_add(client_answer(c), refusal.p, refusal.n);
        return true;
    }
    a = find(r, &nq.q);
    if (a == NULL)
        return false;
    r->count.immutable_answered++;
    list_push_back(&a->waiters[is_setnx(q)], &client_promise(c)->waiter.node);
    return true;
}

enum next immutable_ask(struct client *c, const struct request *q)
{
    struct near *near = c->all->near;
    enum next next = NEXT;
    struct link *l = client_link(c, &next);
    struct slice key = q->argv[1];
    struct near_question nq;
    struct attempt *a;

    if (l == NULL)
        return next;
    if (near == NULL || !near_plain(near, c, key, &nq))
        return client_route_on(c, q);
    a = must_alloc(sizeof *a + key.n);
    *a = (struct attempt){.asker = {&attempt_ops},
                          .near = near,
                          .leader = c,
                          .link = l,
                          .link_number = l->number,
                          .scope = nq.q.scope,
                          .key_n = (uint32_t)key.n};
    memcpy(a->key, key.p, key.n);
    list_init(&a->waiters[0]);
    list_init(&a->waiters[1]);
    list_push_back(bucket(c->all->rules, key), &a->node);
    link_ask(l, &a->asker, q->bytes, 1, true);
    c->owed++;
    c->asked++;
    if (c->more != NULL)
        c->more->wait_ms = 0;
    return NEXT;
}

static void attempt_free(struct attempt *a)
{
    list_leave(&a->node);
    free(a);
}

/* In the words of what each has asked. */
static void give(struct attempt *a, struct slice bytes)
{
    bool error = bytes.p[0] == '-';

    for (int setnx = 0; setnx < 2; setnx++) {
        while (!list_empty(&a->waiters[setnx])) {
            struct held *h = first_waiting(&a->waiters[setnx]);

            client_keep_promise(h, error ? bytes : refusal_of(h->client, setnx != 0));
        }
    }
}

/* The hold of this SET is over: what a question finds now may be kept. */
static void keep(struct attempt *a)
{
    struct slice key = slice_of(a->key, a->key_n);
    struct near_question nq = {.policy = policies_match(a->near->policies, key),
                               .form = FORM_GET,
                               .q = {.key = key, .ask = {"", 0}, .scope = a->scope}};

    if (nq.policy != NULL && nq.policy->set->local && a->link->number == a->link_number &&
        near_way(a->near, key) == WAY_ASK && !fill_under_way(a->near, &nq.q))
        fill_for(a->near, &(struct fill_order){.link = a->link,
                                               .policy = nq.policy,
                                               .q = nq.q,
                                               .form = FORM_GET,
                                               .command = CMD_GET});
}

static void on_replies(struct asker *asker, struct slice bytes, uint32_t n)
{
    struct attempt *a = CONTAINER_OF(asker, struct attempt, asker);
    struct client *c = a->leader;

    CHECK(n == 1);
    writes_answered(c, 1);
    list_leave(&a->node);
    if (bytes.p[0] != '-')
        keep(a);
    if (c->open)
        client_put(c, bytes);
    client_answered(c, 1);
    give(a, bytes);
    attempt_free(a);
}

static void on_failed(struct asker *asker, uint32_t n, enum link_failure why, bool begun)
{
    struct attempt *a = CONTAINER_OF(asker, struct attempt, asker);

    CHECK(n == 1);
    list_leave(&a->node);
    client_failed(a->leader, 1, why, begun);
    again_tell(a->near, &a->waiters[0], slice_of("", 0), why);
    again_tell(a->near, &a->waiters[1], slice_of("", 0), why);
    attempt_free(a);
}

static const struct asker_ops attempt_ops = {on_replies, NULL, on_failed, NULL};
