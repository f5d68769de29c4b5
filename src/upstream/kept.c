/* kept.c - see kept.h. */
#include "upstream/kept.h"

#include "base/limits.h"

static void drop_all(struct kept *k)
{
    if (buffer_len(&k->bytes) > 0)
        buffer_take_keep(&k->bytes, buffer_len(&k->bytes), LINK_OUT_KEEP_BYTES);
}

void kept_begin(struct kept *k, bool on)
{
    buffer_done(&k->bytes);
    *k = (struct kept){.on = on};
}

void kept_settle(struct kept *k)
{
    size_t n = k->answered, before = n < k->before ? n : k->before;

    k->answered = 0;
    k->before -= before;
    n -= before;
    if (n > buffer_len(&k->bytes))
        kept_begin(k, false); /* an answer to what was not sent yet */
    else if (n > 0)
        buffer_take_keep(&k->bytes, n, LINK_OUT_KEEP_BYTES);
}

void kept_sent(struct kept *k, struct buffer *out, size_t n)
{
    size_t had;

    kept_settle(k);
    had = buffer_len(&k->bytes);
    if (!k->on) {
        buffer_take_keep(out, n, LINK_OUT_KEEP_BYTES);
    } else if (had + n > LINK_KEPT_BYTES) {
        k->before += had + n;
        drop_all(k);
        buffer_take_keep(out, n, LINK_OUT_KEEP_BYTES);
    } else if (had == 0 && n == buffer_len(out)) {
        struct buffer empty = k->bytes;

        k->bytes = *out;
        *out = empty;
    } else {
        buffer_add(&k->bytes, buffer_head(out), n);
        buffer_take_keep(out, n, LINK_OUT_KEEP_BYTES);
    }
}

void kept_end(struct kept *k, struct buffer *out)
{
    kept_settle(k);
    if (k->on)
        buffer_add(&k->bytes, buffer_head(out), buffer_len(out));
}

struct slice kept_next(struct kept *k, size_t n)
{
    kept_settle(k);
    if (!k->on || k->before > 0 || n > buffer_len(&k->bytes))
        return slice_of("", 0);
    return slice_of(buffer_head(&k->bytes), n);
}
