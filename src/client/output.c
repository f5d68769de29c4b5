/* output.c - bytes to a client that are ready to go, and what becomes of one that does not take
 * them.
 *
 *      out:    +PONG $3 abc | :1 ..            bytes, in the buffer
 *      refs:            1st ^   large values that stay on the shelf, each behind so many of them
 *
 * Whatever can be sent at once is: a reply of a link straight from the read buffer. What the socket
 * does not take waits in `out`. A large hit is not copied: the session refers to the shelf's block,
 * and one sendmsg writes bytes and blocks in their order. */
#include <limits.h>
#include <stdlib.h>

#include "cache/shelf.h"
#include "client/client.h"
#include "net/loop.h"

#define SEND_PARTS      64             /* of one sendmsg */
#define SPARE_OUT_BYTES (256u * 1024u) /* of the memory that answers share, kept */

/* A block that goes out behind `before` bytes of `out` (counted from the reference before it). */
struct out_ref {
    struct block *block;
    size_t before, sent;
};

/* ---- large values ---- */

/* An answer that is all of a block. One that must wait for others is copied, as they are. */
void client_answer_block(struct client *c, struct block *b)
{
    struct buffer *out = client_answer(c);
    struct out_refs *refs;

    if (out != &c->out) {
        buffer_add(out, b->bytes, b->n);
        return;
    }
    refs = &client_session(c)->refs;
    if (refs->first == refs->n)
        refs->first = refs->n = 0;
    if (refs->n == refs->cap) {
        refs->cap = refs->cap ? refs->cap * 2 : 4;
        refs->v = must_realloc(refs->v, refs->cap * sizeof *refs->v);
    }
    refs->v[refs->n++] =
        (struct out_ref){.block = block_hold(b), .before = buffer_len(&c->out) - refs->buffered};
    refs->buffered = buffer_len(&c->out);
    refs->bytes += b->n;
}

void client_drop_refs(struct session *m)
{
    for (uint32_t i = m->refs.first; i < m->refs.n; i++)
        block_release(m->refs.v[i].block);
    free(m->refs.v);
    m->refs = (struct out_refs){0};
}

/* Bytes and blocks as they follow each other; returns how many parts. */
static int gather_parts(const struct client *c, struct iovec *v)
{
    const struct out_refs *refs = &c->more->refs;
    char *p = buffer_head(&c->out), *end = p + buffer_len(&c->out);
    uint32_t i = refs->first;
    int n = 0;

    for (; i < refs->n && n < SEND_PARTS - 2; i++) {
        struct out_ref *r = &refs->v[i];

        if (r->before > 0)
            v[n++] = (struct iovec){p, r->before};
        p += r->before;
        v[n++] = (struct iovec){r->block->bytes + r->sent, r->block->n - r->sent};
    }
    if (i == refs->n && p < end)
        v[n++] = (struct iovec){p, (size_t)(end - p)};
    return n;
}

/* n bytes of `out` are gone. Empty, its memory goes on to whoever answers next. */
static void take_out(struct client *c, size_t n)
{
    struct clients *all = c->all;

    buffer_take_keep(&c->out, n, SPARE_OUT_BYTES);
    if (buffer_len(&c->out) > 0 || c->out.p == NULL)
        return;
    if (all->spare_out.p == NULL) {
        all->spare_out = c->out;
        c->out = (struct buffer){0};
    } else {
        buffer_done(&c->out);
    }
}

/* The first `sent` bytes of it all are gone. */
static void take_parts(struct client *c, size_t sent)
{
    struct out_refs *refs = &c->more->refs;
    size_t taken = 0, n;

    while (refs->first < refs->n && sent > 0) {
        struct out_ref *r = &refs->v[refs->first];

        n = sent < r->before ? sent : r->before;
        taken += n;
        r->before -= n;
        refs->buffered -= n;
        sent -= n;
        if (r->before > 0)
            break;
        n = sent < r->block->n - r->sent ? sent : r->block->n - r->sent;
        r->sent += n;
        refs->bytes -= n;
        sent -= n;
        if (r->sent < r->block->n)
            break;
        block_release(r->block);
        refs->first++;
    }
    take_out(c, taken + sent);
}

static enum io send_parts(struct client *c, size_t *ret_sent)
{
    struct iovec v[SEND_PARTS];
    enum io io = stream_writev(&c->stream, v, gather_parts(c, v), ret_sent);

    if (io == IO_OK)
        take_parts(c, *ret_sent);
    return io;
}

static enum io send_out(struct client *c, size_t *ret_sent)
{
    enum io io;

    if (UNLIKELY(c->more != NULL && c->more->refs.bytes > 0))
        return send_parts(c, ret_sent);
    io = stream_write(&c->stream, buffer_head(&c->out), buffer_len(&c->out), ret_sent);
    if (io == IO_OK)
        take_out(c, *ret_sent);
    return io;
}

/* ---- output and its limits ---- */

static void resume_link(struct session *m)
{
    if (m->resting != NULL && m->resting->number == m->resting_number)
        link_resume(m->resting);
    m->resting = NULL;
}

/* From now on the client must take something now and then. */
static void begin_stall(struct client *c)
{
    if (client_session(c)->stall_ms > 0)
        return;
    c->more->stall_ms = client_now(c);
    clients_sweep_soon(c->all);
}

/* The client does not read. From a quarter of what it may leave lying on, its requests are not read
 * either; at the whole it is closed. */
static void check_output(struct client *c)
{
    uint64_t most = c->all->settings->client_buffer_max, has = client_unsent(c);

    if (LIKELY(has <= most / 4))
        return;
    if (has > most) {
        client_close(c, CLOSE_OUTPUT);
        return;
    }
    begin_stall(c);
}

static void output_taken(struct client *c, size_t sent)
{
    struct session *m = c->more;
    size_t left = client_unsent(c);

    c->all->count.bytes_out += sent;
    if (m == NULL)
        return;
    if (m->resting != NULL && left <= CLIENT_OUT_PAUSE_BYTES / 4)
        resume_link(m);
    if (m->stall_ms > 0)
        m->stall_ms = m->resting != NULL || left > c->all->settings->client_buffer_max / 4
                          ? client_now(c)
                          : 0;
    if (c->waits == WAIT_OUTPUT && left <= c->all->settings->client_buffer_max / 8)
        client_wake(c);
}

/* Sends what is queued, once. */
void client_flush(struct client *c)
{
    size_t sent = 0;

    if (client_unsent(c) > 0) {
        switch (send_out(c, &sent)) {
        case IO_OK:
            output_taken(c, sent);
            break;
        case IO_AGAIN:
            break;
        case IO_EOF:
        case IO_ERROR:
            client_close(c, CLOSE_BROKEN);
            return;
        }
        check_output(c);
        if (!c->open)
            return;
    }
    if (c->ending && client_quiet(c) && client_unsent(c) == 0) {
        client_close(c, (enum close_reason)c->end_reason);
        return;
    }
    if (((c->stream.wants & WANT_WRITE) != 0) != (client_unsent(c) > 0))
        client_adjust_wants(c);
}

/* Sends bytes now if nothing is queued before them; what the socket does not take is queued. */
void client_put(struct client *c, struct slice bytes)
{
    size_t sent = 0;

    if (UNLIKELY(c->out.p != NULL || c->more != NULL) && client_unsent(c) > 0) {
        buffer_add(&c->out, bytes.p, bytes.n);
        client_work(c, WORK_FLUSH);
        check_output(c);
        return;
    }
    switch (stream_write(&c->stream, bytes.p, bytes.n, &sent)) {
    case IO_OK:
        c->all->count.bytes_out += sent;
        if (LIKELY(sent == bytes.n))
            return;
        break;
    case IO_AGAIN:
        break;
    case IO_EOF:
    case IO_ERROR:
        client_close(c, CLOSE_BROKEN);
        return;
    }
    buffer_add(&c->out, bytes.p + sent, bytes.n - sent);
    client_adjust_wants(c);
    check_output(c);
}

/* A piece of a reply that is passed on as it comes; true: the link should wait for this client. */
bool client_put_piece(struct client *c, struct slice bytes, struct link *from)
{
    client_put(c, bytes);
    if (!c->open || client_unsent(c) < CLIENT_OUT_PAUSE_BYTES)
        return false;
    client_session(c)->resting = from;
    c->more->resting_number = from->number;
    begin_stall(c);
    return true;
}
