/* clients.c - all of them together: made, served in the beat, swept, drained, freed. */
#include "client/clients.h"

#include <stdlib.h>

#include "client/client.h"
#include "client/leases.h"
#include "client/near.h"
#include "client/outage.h"
#include "client/renewals.h"
#include "client/retry.h"
#include "client/rules.h"
#include "client/tenants.h"
#include "client/turns.h"
#include "client/unknown.h"
#include "errands/health.h"
#include "net/loop.h"
#include "resp/write.h"

#define RENEWALS_MS 5u    /* between looks whether all are told, at the end */
#define SWEEP_MS    1000u /* at most; see sweep_ms() */

static void on_sweep(void *context);

struct clients *clients_new(struct loop *loop, struct pool *pool,
                            const struct larder_settings *settings, const struct console *console)
{
    struct clients *all = must_calloc(1, sizeof *all);

    all->loop = loop;
    all->pool = pool;
    all->console = console;
    list_init(&all->open);
    list_init(&all->shades);
    list_init(&all->work);
    list_init(&all->queued);
    list_init(&all->buried);
    list_init(&all->again);
    list_init(&all->health_waiters);
    all->health = health_new(loop, pool);
    list_init(&all->spare_exchanges);
    heavies_init(all);
    all->pause_timer = timer_new(loop, pause_over, all);
    all->sweep = timer_new(loop, on_sweep, all);
    clients_resettle(all, settings);
    return all;
}

/* A second, or a quarter of what has to be noticed where that is less. */
static uint64_t sweep_ms(const struct clients *all)
{
    uint64_t least = all->settings->client_stall_timeout, idle = all->settings->client_idle_timeout;
    uint64_t confirm = pool_command_timeout(all->pool);

    if (idle > 0 && idle < least)
        least = idle;
    if (confirm < least)
        least = confirm;
    return least / 4 < SWEEP_MS ? least / 4 + 1 : SWEEP_MS;
}

void clients_sweep_soon(struct clients *all)
{
    if (!timer_running(all->sweep))
        timer_start(all->sweep, sweep_ms(all));
}

void clients_resettle(struct clients *all, const struct larder_settings *settings)
{
    all->settings = settings;
    all->refused_flags = settings->admin_commands == SET_ADMIN_ALLOW ? 0 : CF_ADMIN;
    if (settings->client_idle_timeout > 0)
        clients_sweep_soon(all);
}

static void free_buried(struct clients *all)
{
    while (!list_empty(&all->buried)) {
        struct client *c = CONTAINER_OF(all->buried.next, struct client, node);

        list_leave(&c->node);
        client_free(c);
    }
}

bool clients_beat(void *context)
{
    struct clients *all = context;

    turns_beat(all);
    free_buried(all);
    pool_busy(all->pool, all->count.commands_local - all->local_before);
    all->local_before = all->count.commands_local;
    return !list_empty(&all->work) || !list_empty(&all->queued);
}

void clients_close(struct clients *all)
{
    all->draining = true;
    while (!list_empty(&all->open))
        client_close(CONTAINER_OF(all->open.next, struct client, node), CLOSE_SHUTDOWN);
    again_close(all);
    health_free(all->health);
    all->health = NULL;
    if (all->near != NULL && all->near->leases != NULL)
        leases_clear(all->near->leases);
    if (all->rules != NULL && all->rules->renewals != NULL)
        renewals_close(all->rules->renewals);
    outage_close(all->outage);
}

void clients_free(struct clients *all)
{
    if (all == NULL)
        return;
    CHECK(list_empty(&all->open));
    while (!list_empty(&all->shades))
        client_bury(CONTAINER_OF(all->shades.next, struct client, node));
    free_buried(all);
    exchanges_done(all);
    near_free(all->near);
    rules_free(all->rules);
    outage_free(all->outage);
    tenants_free(all->tenants);
    unknowns_free(all->unknowns);
    args_done(&all->args);
    buffer_done(&all->words);
    buffer_done(&all->scratch);
    buffer_done(&all->trash);
    buffer_done(&all->spare_out);
    heavies_done(all);
    timer_free(all->pause_timer);
    timer_free(all->sweep);
    free(all);
}

/* ---- the sweep: idle clients, and those that do not read ---- */

static void sweep_client(struct client *c, uint64_t now_ms)
{
    const struct larder_settings *set = c->all->settings;
    uint64_t silent_ms = now_ms - c->active_ms;

    if (stream_shaking(&c->stream) && silent_ms >= TLS_HANDSHAKE_MS) {
        client_close(c, CLOSE_TLS);
        return;
    }
    if (c->more != NULL && c->more->stall_ms > 0) {
        size_t unsent = stream_unsent(&c->stream);

        /* A slow reader takes from what the kernel keeps long before there is room for more. */
        if (unsent < c->more->stall_unsent)
            c->more->stall_ms = now_ms;
        c->more->stall_unsent = unsent;
        if (now_ms - c->more->stall_ms >= set->client_stall_timeout) {
            client_close(c, CLOSE_STALLED);
            return;
        }
    }
    if (c->more != NULL && !subscriptions_quiet(&c->more->subs) && !c->ending &&
        now_ms - c->more->confirm_ms >= pool_command_timeout(c->all->pool)) {
        write_error(&c->out, "UPSTREAM %s", link_failure_sentence(LINK_TIMEOUT));
        client_end(c, CLOSE_UPSTREAM);
        return;
    }
    if (set->client_idle_timeout > 0 && silent_ms >= set->client_idle_timeout &&
        c->waits == WAIT_NOTHING && !client_listens(c) &&
        (client_drained(c) || (c->more != NULL && c->more->streaming)))
        client_close(c, CLOSE_IDLE);
}

static void on_sweep(void *context)
{
    struct clients *all = context;
    uint64_t now_ms = loop_now_ms(all->loop);
    bool again = all->settings->client_idle_timeout > 0;

    for (list_each_safe (node, next, &all->open)) {
        struct client *c = CONTAINER_OF(node, struct client, node);

        sweep_client(c, now_ms);
        again |= c->open && stream_shaking(&c->stream);
        again |= c->open && c->more != NULL &&
                 (c->more->stall_ms > 0 || !subscriptions_quiet(&c->more->subs));
    }
    if (all->draining && all->count.clients == 0) {
        if (all->rules == NULL || all->rules->renewals == NULL ||
            renewals_finish(all->rules->renewals))
            all->drained(all->drained_context);
        else
            timer_start(all->sweep, RENEWALS_MS);
        return;
    }
    if (again)
        timer_start(all->sweep, sweep_ms(all));
}

/* ---- drain ---- */

void clients_drain(struct clients *all, void (*done)(void *context), void *context)
{
    all->draining = true;
    all->drained = done;
    all->drained_context = context;
    pause_over(all);
    if (all->near != NULL && all->near->leases != NULL)
        leases_clear(all->near->leases);
    for (list_each_safe (node, next, &all->open)) {
        struct client *c = CONTAINER_OF(node, struct client, node);

        /* Who is in flight is answered first; who only waits or listens would wait for ever. */
        if (c->waits == WAIT_BLOCKED)
            client_close(c, CLOSE_SHUTDOWN);
        else
            client_end(c, CLOSE_SHUTDOWN);
    }
    if (all->count.clients == 0)
        timer_start(all->sweep, 0);
}

struct client *client_by_id(struct clients *all, uint64_t id)
{
    for (list_each (node, &all->open)) {
        struct client *c = CONTAINER_OF(node, struct client, node);

        if (c->id == id)
            return c;
    }
    return NULL;
}

/* ---- what the console shows ---- */

struct counter_set clients_counters(const struct clients *all)
{
    static const struct counter_row rows[] = {
#define ROW(name, kind, help) {#name, kind, offsetof(struct client_counters, name), help},
        CLIENT_COUNTERS(ROW)
#undef ROW
#define ROW(name, word, help)                                                                      \
    {"closed_" #word, TOTAL, offsetof(struct client_counters, closed_##word), help},
            CLOSE_REASONS(ROW)
#undef ROW
    };

    return (struct counter_set){"clients", rows, ARRAY_LEN(rows), &all->count};
}

size_t clients_count(const struct clients *all)
{
    return all->count.clients;
}

void clients_describe(struct clients *all, struct buffer *out)
{
    for (list_each (node, &all->open))
        client_describe(CONTAINER_OF(node, struct client, node), out);
}
