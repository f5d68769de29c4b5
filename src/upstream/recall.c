/* recall.c - what the upstream has said to sessions before, for those that begin while it is away.
 *
 * A client opens a connection at any time, some for every request, and its first words are HELLO,
 * AUTH and SELECT. Where policies answer its reads in an outage, these have to be answered as well.
 * Nothing is made up: a greeting is one that the upstream has given to somebody, a login one that
 * it has accepted and not rejected since, and a database one that it has let larder into, or a
 * lower one. */
#include "net/digest.h"
#include "resp/reply.h"
#include "resp/write.h"
#include "upstream/pool.h"
#include "upstream/pool_inside.h"

static bool is_accepted(const struct lane *lane, struct slice user, struct slice password)
{
    return lane->proven && !lane->rejected && password.n > 0 &&
           slice_eq(slice_str(lane->user), user) &&
           digest_equal(slice_str(lane->password), password);
}

struct lane *lane_recall(struct pool *pool, struct slice user, struct slice password, int proto)
{
    for (list_each (node, &pool->lanes)) {
        const struct lane *lane = CONTAINER_OF(node, struct lane, node);

        if (is_accepted(lane, user, password))
            return lane_hold(pool, user, password, proto);
    }
    return NULL;
}

/* A greeting in that protocol: of a lane in it if there is one. */
static struct slice greeting_for(const struct pool *pool, int proto)
{
    struct slice found = slice_of("", 0);

    for (list_each (node, &pool->lanes)) {
        const struct lane *lane = CONTAINER_OF(node, struct lane, node);

        if (buffer_len(&lane->hello) > 0 && (found.n == 0 || lane->proto == proto))
            found = buffer_slice(&lane->hello);
    }
    return found;
}

bool lane_recall_hello(const struct lane *lane, uint64_t id, struct buffer *out)
{
    struct slice rest = greeting_for(lane->pool, lane->proto), name = slice_of("", 0);
    struct reply r;

    if (rest.n == 0 || !reply_read(&rest, &r))
        return false;
    write_map(out, lane->proto, (uint64_t)r.number / 2);
    for (const char *from = rest.p; rest.n > 0 && reply_read(&rest, &r); from = rest.p) {
        if (r.type == '%')
            write_map(out, lane->proto, (uint64_t)r.number / 2);
        else if (r.type == ':' && slice_eq(name, SLICE("proto")))
            write_int(out, lane->proto);
        else if (r.type == ':' && slice_eq(name, SLICE("id")))
            write_int(out, (int64_t)id);
        else
            buffer_add(out, from, (size_t)(rest.p - from));
        name = r.type == '$' ? r.text : slice_of("", 0);
    }
    return true;
}

void pool_note_db(struct pool *pool, int db)
{
    if (db > pool->known_db)
        pool->known_db = db;
}

bool pool_knows_db(const struct pool *pool, int64_t db)
{
    return db >= 0 && db <= pool->known_db;
}
