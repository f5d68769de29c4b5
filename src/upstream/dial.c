/* dial.c - bringing a link up: resolve, connect, and pause between attempts that fail.
 *
 * Attempts are paced for the endpoint, not for the link: after a failure nothing connects for a
 * random time up to backoff_min doubled with each failure (full jitter, AWS architecture blog,
 * "Exponential Backoff And Jitter"), at most backoff_max. So an upstream that is down, or just up
 * again, is never stormed, however many clients wait. */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "net/loop.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "upstream/pool.h"
#include "upstream/pool_inside.h"

uint64_t random_below(uint64_t n)
{
    uint64_t r = 0;

    if (getrandom(&r, sizeof r, GRND_NONBLOCK) != (ssize_t)sizeof r)
        return n / 2;
    return n ? r % n : 0;
}

uint64_t dial_backoff_ms(const struct pool *pool, uint32_t failures)
{
    const struct upstream_settings *set = pool->settings;
    uint64_t most = set->backoff_min << (failures < 20 ? failures : 20);

    if (most > set->backoff_max)
        most = set->backoff_max;
    return 1 + random_below(most);
}

/* When to try again after `failures` in a row, this one not counted. */
static uint64_t next_attempt(const struct pool *pool, uint32_t failures)
{
    return loop_now_ms(pool->loop) + dial_backoff_ms(pool, failures);
}

void dial_failed(struct pool *pool, const char *why)
{
    pool->count.connect_failures++;
    pool->retry_ms = next_attempt(pool, pool->failures);
    /* Once per row of failures: what follows says the same. */
    if (pool->failures++ == 0 || strncmp(pool->trouble, why, sizeof pool->trouble - 1) != 0)
        log_warning(loop_log(pool->loop), "upstream: %s: %s", pool->address, why);
    (void)snprintf(pool->trouble, sizeof pool->trouble, "%s", why);
    pool_doubt(pool, DOUBT_LOST);
    pool_tick_soon(pool);
}

void dial_pause(struct lane *lane)
{
    lane->retry_ms = next_attempt(lane->pool, lane->refusals++);
    pool_tick_soon(lane->pool);
}

/* Upstream is there and says no to this user: nobody else's business. */
void dial_refused(struct lane *lane, const char *why)
{
    struct pool *pool = lane->pool;

    pool->count.connect_failures++;
    lane->retry_ms = next_attempt(pool, lane->refusals);
    if (lane->refusals++ == 0)
        log_warning(loop_log(pool->loop), "upstream: %s: user=%s: %s", pool->address,
                    lane_user(lane), why);
    pool_tick_soon(pool);
}

static void connect_to(struct link *l, const struct sock_address *a)
{
    struct pool *pool = l->pool;
    const struct upstream_settings *set = pool->settings;
    struct tls_context *tls = tls_for_upstream(pool->tls);

    if (!stream_connect(&l->stream, pool->loop, (const struct sockaddr *)&a->storage, a->len,
                        &link_stream_ops)) {
        link_fail(l, LINK_UNREACHED);
        return;
    }
    stream_no_delay(&l->stream);
    stream_keepalive(&l->stream, set->keepalive, set->keepalive_interval, set->keepalive_count);
    if (tls != NULL)
        stream_secure(&l->stream, pool->loop, tls, pool->to->host);
}

static void on_resolved(void *context, const struct sock_address *addresses, size_t count,
                        const char *why)
{
    struct link *l = context;

    l->query = NULL;
    if (count == 0) {
        l->trouble = why;
        link_fail(l, LINK_UNREACHED);
        return;
    }
    /* Another address each time: one that does not answer must not keep us from the next. */
    connect_to(l, &addresses[l->pool->failures % count]);
}

void dial_forget(struct link *l)
{
    resolver_forget(l->pool->resolver, l->query);
    l->query = NULL;
}

static struct link *link_from_stock(struct pool *pool)
{
    struct link *l;

    if (list_empty(&pool->stock)) {
        l = must_calloc(1, sizeof *l);
    } else {
        l = CONTAINER_OF(pool->stock.next, struct link, node);
        list_leave(&l->node);
        *l = (struct link){0};
    }
    list_init(&l->node);
    list_init(&l->dirty);
    l->pool = pool;
    l->own.ops = &greeting_asker_ops;
    l->number = ++pool->link_numbers;
    return l;
}

void link_dial(struct lane *lane)
{
    struct pool *pool = lane->pool;
    struct link *l = link_from_stock(pool);
    const struct address *to = pool->to;
    struct sock_address a;

    l->lane = lane;
    buffer_done(&lane->refusal);
    l->db = lane->next_db;
    l->probe = pool_out(pool);
    pool->count.connects++;
    pool->count.links++;
    link_become(l, LINK_CONNECTING);
    if (pool->guide != NULL)
        connect_to(l, &pool->at); /* the very one that was looked at, whatever else has its name */
    else if (address_numeric(to, &a))
        connect_to(l, &a);
    else
        l->query = resolver_ask(pool->resolver, to->host, to->port, on_resolved, l);
    pool_tick_soon(pool);
}
