/* park.c - reads that wait until somebody has loaded their key: see leases.h.
 *
 * Who is parked holds a promise (answers.c), as who waits for another's question does, and is among
 * the waiters of a park or of the question that was asked for it. Its time runs on in either.
 *
 * Only a client that has nothing else to say may wait: one that sends on without waiting for its
 * replies might itself be the one to load, and would wait for itself (ioredis, StackExchange.Redis,
 * Lettuce: many callers share a connection). So bytes that come while it waits end its wait, and it
 * is not parked again for a minute. */
#include <stdlib.h>

#include "client/leases.h"
#include "net/loop.h"
#include "resp/write.h"

#define NO_PARK_MS 60000u

bool park_waits(uint16_t command, uint32_t argc)
{
    switch (command) {
    case CMD_GET:
    case CMD_GETEX:
    case CMD_HGET:
    case CMD_HMGET:
    case CMD_HGETALL:
        return true;
    case CMD_EXISTS:
    case CMD_MGET:
        return argc == 2;
    default:
        return false;
    }
}

/* Behind the read nothing is held that was answered here already; before it neither. */
static bool is_last(const struct client *c)
{
    const struct held *h = c->more != NULL ? c->more->held_first : NULL;

    return h == NULL || (h->next == NULL && h->pending);
}

bool park_may(const struct client *c, const struct policy *p, uint32_t own)
{
    const struct near *near = c->all->near;
    const struct session *m = c->more;
    uint64_t now_ms = loop_now_ms(c->all->loop);

    return c->open && c->plain && !c->ending && !c->eof && c->owed == own && !c->all->draining &&
           buffer_len(&c->in) == 0 && is_last(c) && near->stats[p->number]->no_park_ms <= now_ms &&
           (m == NULL || (m->muted_owed == 0 && m->no_park_ms <= now_ms && list_empty(&m->leases)));
}

/* ---- parks ---- */

/* Of `*N` at the front of a request. */
static uint32_t args_of(struct slice request)
{
    uint32_t n = 0;

    for (size_t i = 1; i < request.n && request.p[i] >= '0' && request.p[i] <= '9'; i++)
        n = n * 10 + (uint32_t)(request.p[i] - '0');
    return n;
}

static struct park *park_new(struct lease *lease, const struct question *q,
                             const struct fill_terms *t, struct slice request)
{
    struct park *p = must_alloc(sizeof *p + request.n + q->ask.n);

    *p = (struct park){.lease = lease,
                       .form = t->form,
                       .command = t->command,
                       .fields = args_of(request) - (t->command == CMD_HMGET ? 2 : 1),
                       .request_n = (uint32_t)request.n};
    memcpy(p->text, request.p, request.n);
    if (q->ask.n > 0)
        memcpy(p->text + request.n, q->ask.p, q->ask.n);
    p->q = (struct question){.key = slice_of(lease->key, lease->key_n),
                             .ask = slice_of(p->text + request.n, q->ask.n),
                             .scope = q->scope};
    list_init(&p->waiters);
    list_push_back(&lease->parks, &p->node);
    return p;
}

struct park *park_of(struct lease *lease, const struct question *q, const struct fill_terms *t,
                     struct slice request)
{
    for (list_each (node, &lease->parks)) {
        struct park *p = CONTAINER_OF(node, struct park, node);

        if (p->command == t->command && slice_eq(p->q.ask, q->ask))
            return p;
    }
    return park_new(lease, q, t, request);
}

void park_free(struct park *p)
{
    CHECK(list_empty(&p->waiters));
    list_leave(&p->node);
    free(p);
}

/* ---- who waits ---- */

/* In the order of time; nearly always the last. */
static void insert(struct leases *l, struct held *h)
{
    struct list *at = l->by_wait.prev;

    while (at != &l->by_wait && CONTAINER_OF(at, struct held, by_time)->until_ms > h->until_ms)
        at = at->prev;
    list_push_front(at, &h->by_time);
}

void park_add(struct leases *l, struct park *p, struct held *h, const struct policy *policy)
{
    struct client *c = h->client;

    list_leave(&h->waiter.node);
    list_push_back(&p->waiters, &h->waiter.node);
    if (h->until_ms != 0)
        return;
    h->until_ms = loop_now_ms(c->all->loop) + policy->set->lease_wait;
    h->command = p->command;
    h->fields = p->fields;
    h->policy = policy->number;
    p->lease->parked++;
    insert(l, h);
    client_session(c)->parked = h;
    l->count.waiting++;
    l->count.parked++;
}

static void count_wait(struct near *near, const struct held *h, bool late)
{
    const struct policy *p = h->policy != 0 ? policies_by_number(near->policies, h->policy) : NULL;
    struct near_stats *s = p != NULL ? near_stats_of(near, p) : NULL;

    if (s == NULL)
        return;
    s->waits++;
    s->waits_late += late;
    if (s->waits < NO_PARK_WAITS)
        return;
    if (s->waits_late * 2 > s->waits) {
        s->no_park_ms = loop_now_ms(near->all->loop) + NO_PARK_PAUSE_MS;
        log_warning(loop_log(near->all->loop),
                    "leases: policy=%s: most reads that wait for a load wait in vain (lease_wait); "
                    "nobody waits there for %u s",
                    p->name, NO_PARK_PAUSE_MS / 1000u);
    }
    s->waits = s->waits_late = 0;
}

/* The promise is kept, or the client gone. */
void held_waits_no_more(struct held *h)
{
    struct client *c = h->client;
    struct near *near = c->all->near;

    list_leave(&h->by_time);
    c->more->parked = NULL;
    near->leases->count.waiting--;
    count_wait(near, h, loop_now_ms(c->all->loop) >= h->until_ms);
    h->until_ms = 0;
}

void park_write_nil(struct buffer *out, uint8_t proto, uint16_t command, uint32_t fields)
{
    switch (command) {
    case CMD_HGETALL:
        write_map(out, proto, 0);
        break;
    case CMD_EXISTS:
        write_int(out, 0);
        break;
    case CMD_HMGET:
    case CMD_MGET:
        write_array(out, fields);
        for (uint32_t i = 0; i < fields; i++)
            write_null(out, proto);
        break;
    default:
        write_null(out, proto);
        break;
    }
}

void park_give_nil(struct held *h)
{
    struct client *c = h->client;
    struct buffer *out = near_words(c->all->near);

    park_write_nil(out, c->proto, h->command, h->fields);
    client_keep_promise(h, buffer_slice(out));
}

void park_expire(struct leases *l, uint32_t most)
{
    uint64_t now_ms = loop_now_ms(l->near->all->loop);

    while (!list_empty(&l->by_wait)) {
        struct held *h = CONTAINER_OF(l->by_wait.next, struct held, by_time);

        if (h->until_ms > now_ms)
            return;
        if (most-- == 0)
            return;
        if (h->client->half_out) { /* its answer is on its way */
            held_waits_no_more(h);
            continue;
        }
        l->count.timed_out++;
        park_give_nil(h);
    }
}

/* c has more to say while its read waits. */
void client_interrupts(struct client *c)
{
    struct session *m = c->more;

    if (m->parked == NULL || c->half_out)
        return;
    m->no_park_ms = loop_now_ms(c->all->loop) + NO_PARK_MS;
    c->all->near->leases->count.interrupted++;
    park_give_nil(m->parked);
}
