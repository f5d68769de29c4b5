/* pool_view.c - the pool as the console shows it, and whether anything is due. */
#include "net/loop.h"
#include "upstream/pool.h"
#include "upstream/pool_inside.h"

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
