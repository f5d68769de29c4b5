/* gather_weave.c - the answer to an MGET that is too large to collect: it is put together while it
 * passes, and nothing of it is kept. */
#include "client/gather_inside.h"
#include "resp/write.h"

static bool put_piece(struct gather *g, struct slice bytes)
{
    struct client *c = g->leader;

    if (bytes.n == 0 || c == NULL || !c->open)
        return false;
    c->half_out = true;
    return client_put_piece(c, bytes, g->link);
}

/* What the shelf had of the keys up to the next that was asked for. */
static bool put_known(struct gather *g)
{
    bool full = false;

    for (; g->next < g->n && g->parts[g->next].known.n > 0; g->next++)
        full |= put_piece(g, g->parts[g->next].known);
    return full;
}

bool gather_weave(struct gather *g, struct slice bytes)
{
    bool full = false;
    struct reply head;
    size_t used;

    if (g->plain)
        return put_piece(g, bytes);
    if (!g->headed) {
        struct buffer *out = near_words(g->near);
        struct slice rest = bytes;

        g->headed = true;
        g->plain = bytes.p[0] == '-' || !reply_read(&rest, &head) || !gather_is_answer(g, &head);
        if (g->plain)
            return put_piece(g, bytes);
        bytes = rest;
        write_array(out, g->n);
        full = put_piece(g, buffer_slice(out));
        full |= put_known(g);
    }
    while (bytes.n > 0) {
        enum scan r = reply_scan(&g->scan, bytes.p, bytes.n, &used);

        if (used == 0)
            break;
        full |= put_piece(g, slice_of(bytes.p, used));
        bytes = slice_of(bytes.p + used, bytes.n - used);
        if (r != SCAN_OK)
            continue;
        g->next++;
        full |= put_known(g);
    }
    return full;
}
