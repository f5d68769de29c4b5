/* pool_view.c - what others may know of a pool: consoles, and who decides by how it stands. */
#include <stddef.h>

#include "net/loop.h"
#include "upstream/pool.h"
#include "upstream/pool_inside.h"

/* What an upstream that is loading has said holds so long; then it is asked once more. */
#define LOADING_MS 100u

struct counter_set pool_counters(const struct pool *pool)
{
    static const struct counter_row rows[] = {
#define ROW(name, kind, help) {#name, kind, offsetof(struct upstream_counters, name), help},
        UPSTREAM_COUNTERS(ROW)
#undef ROW
    };

    return (struct counter_set){"upstream", rows, ARRAY_LEN(rows), &pool->count};
}

const char *pool_trouble(const struct pool *pool)
{
    if (pool->held && pool->held_why[0])
        return pool->held_why;
    return pool->trouble[0] || !pool_out(pool) ? pool->trouble : pool->breaker.why;
}

void pool_note_error(struct pool *pool, struct slice error)
{
    if (slice_starts(error, SLICE("-READONLY ")))
        pool_doubt(pool, DOUBT_READONLY);
    else if (slice_starts(error, SLICE("-LOADING ")) || slice_starts(error, SLICE("-MASTERDOWN ")))
        pool->loading_ms = loop_now_ms(pool->loop);
}

bool pool_is_away(const struct pool *pool)
{
    uint64_t up = pool->count.links_opened - pool->count.links_closed;

    if (pool_out(pool))
        return true;
    if (up == 0)
        return pool->failures > 0 || pool->held;
    return pool->loading_ms > 0 && loop_now_ms(pool->loop) - pool->loading_ms < LOADING_MS;
}

const char *pool_address(const struct pool *pool)
{
    return pool->address;
}

const struct upstream_settings *pool_settings(const struct pool *pool)
{
    return pool->settings;
}

struct lost_requests pool_lost(const struct pool *pool)
{
    return pool->lost;
}

uint64_t pool_command_timeout(const struct pool *pool)
{
    return pool->settings->command_timeout;
}

int pool_database(const struct pool *pool)
{
    return (int)pool->settings->database;
}

unsigned pool_server_version(const struct pool *pool)
{
    return pool->version;
}

void pool_each_link(const struct pool *pool, void *context,
                    void (*row)(void *context, const struct link_view *view))
{
    uint64_t now_ms = loop_now_ms(pool->loop);

    for (list_each (lane_node, &pool->lanes)) {
        const struct lane *lane = CONTAINER_OF(lane_node, struct lane, node);

        for (size_t state = 0; state < LINK_STATE_COUNT; state++) {
            for (list_each (node, &lane->links[state])) {
                const struct link *l = CONTAINER_OF(node, struct link, node);
                struct link_view view = {.number = l->number,
                                         .id = l->id,
                                         .age_ms = now_ms - l->since_ms,
                                         .idle_ms = now_ms - (l->read_ms ? l->read_ms : now_ms),
                                         .state = link_state_word((enum link_state)state),
                                         .user = lane_user(lane),
                                         .tls = stream_tls_version(&l->stream),
                                         .proto = lane->proto,
                                         .db = l->db,
                                         .unsent = buffer_len(&l->out),
                                         .stalled = l->stalled,
                                         .streaming = l->streaming,
                                         .aside = l->aside,
                                         .retiring = l->retiring};

                for (uint32_t i = 0; i < l->slots.len; i++)
                    view.waiting += slots_at(&l->slots, i)->count;
                row(context, &view);
            }
        }
    }
}

size_t pool_count_links(const struct pool *pool, enum link_state state)
{
    size_t n = 0;

    for (list_each (node, &pool->lanes))
        n += CONTAINER_OF(node, struct lane, node)->count[state];
    return n;
}

size_t pool_waiting(const struct pool *pool)
{
    size_t n = 0;

    for (list_each (lane_node, &pool->lanes)) {
        const struct lane *lane = CONTAINER_OF(lane_node, struct lane, node);

        for (list_each (node, &lane->waiters))
            n++;
    }
    return n;
}

size_t pool_loans_waiting(const struct pool *pool)
{
    return pool->count.loans_waiting;
}

bool pool_quiet(const struct pool *pool)
{
    for (list_each (lane_node, &pool->lanes)) {
        const struct lane *lane = CONTAINER_OF(lane_node, struct lane, node);

        for (size_t state = 0; state < LINK_STATE_COUNT; state++) {
            for (list_each (node, &lane->links[state])) {
                if (CONTAINER_OF(node, struct link, node)->slots.len > 0)
                    return false;
            }
        }
    }
    return true;
}
