/* answers.c - what goes back to a client, in the order of its requests.
 *
 *      asked:     GET a   GET b   PING   GET c        (c->asked counts GETs: 1 2 . 3)
 *      link:      reply a, reply b .........  reply c
 *      held:                      PONG at=2
 *
 * Replies of links come in order by themselves and are sent on straight from the read buffer. An
 * answer of larder's own that must not overtake them is held, marked with how many requests had
 * been asked before it, and goes out as soon as that many have been answered. */
#include <stdlib.h>

#include "client/client.h"
#include "net/loop.h"
#include "resp/write.h"

bool client_is_muted(const struct client *c)
{
    return c->more != NULL &&
           (c->more->reply_mode == REPLY_OFF || c->more->reply_mode == REPLY_SKIP);
}

static void count_held(struct session *m)
{
    struct held *last = m->held_last;

    if (last == NULL)
        return;
    m->held_bytes += buffer_len(&last->bytes) - last->counted;
    last->counted = buffer_len(&last->bytes);
}

/* What waits for the client, queued or held. */
size_t client_unread(struct client *c)
{
    if (c->more == NULL || c->more->held_last == NULL)
        return buffer_len(&c->out);
    count_held(c->more);
    return buffer_len(&c->out) + c->more->held_bytes;
}

/* Where an answer of larder's own goes; the caller appends exactly one reply. */
struct buffer *client_answer(struct client *c)
{
    struct session *m;
    struct held *h;

    c->all->count.commands_local++;
    if (client_is_muted(c)) {
        buffer_done(&c->all->trash);
        return &c->all->trash;
    }
    client_work(c, WORK_FLUSH);
    if (c->owed == 0)
        return &c->out;
    m = client_session(c);
    h = m->held_last;
    if (h == NULL || h->at != c->asked) {
        count_held(m); /* what the last one holds by now */
        h = must_calloc(1, sizeof *h);
        h->at = c->asked;
        if (m->held_last == NULL)
            m->held_first = h;
        else
            m->held_last->next = h;
        m->held_last = h;
    }
    return &h->bytes;
}

static void release_held(struct client *c)
{
    struct session *m = c->more;
    uint32_t answered = c->asked - c->owed;

    while (m->held_first != NULL && (int32_t)(answered - m->held_first->at) >= 0) {
        struct held *h = m->held_first;

        m->held_first = h->next;
        if (h->next == NULL)
            m->held_last = NULL;
        m->held_bytes -= h->counted;
        buffer_add(&c->out, buffer_head(&h->bytes), buffer_len(&h->bytes));
        client_work(c, WORK_FLUSH);
        buffer_done(&h->bytes);
        free(h);
    }
}

/* n of the replies that were due have been given (or will never come). */
void client_answered(struct client *c, uint32_t n)
{
    CHECK(n <= c->owed);
    c->owed -= n;
    if (UNLIKELY(!c->open)) {
        client_shade_check(c);
        return;
    }
    if (c->more != NULL && c->more->held_first != NULL)
        release_held(c);
    if (c->waits == WAIT_DRAIN
            ? client_drained(c)
            : c->waits == WAIT_PENDING && c->owed <= c->all->settings->max_pending / 2)
        client_wake(c);
    if (c->ending && client_drained(c))
        client_work(c, WORK_FLUSH);
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
    uint64_t most = c->all->settings->client_buffer_max, has = buffer_len(&c->out);

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
    size_t left = buffer_len(&c->out);

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

    if (buffer_len(&c->out) > 0) {
        switch (stream_write(&c->stream, buffer_head(&c->out), buffer_len(&c->out), &sent)) {
        case IO_OK:
            buffer_take(&c->out, sent);
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
    if (c->ending && client_quiet(c) && buffer_len(&c->out) == 0) {
        client_close(c, (enum close_reason)c->end_reason);
        return;
    }
    if (((c->stream.wants & WANT_WRITE) != 0) != (buffer_len(&c->out) > 0))
        client_adjust_wants(c);
}

/* Sends bytes now if nothing is queued before them; what the socket does not take is queued. */
void client_put(struct client *c, struct slice bytes)
{
    size_t sent = 0;

    if (UNLIKELY(buffer_len(&c->out) > 0)) {
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
    if (!c->open || buffer_len(&c->out) < CLIENT_OUT_PAUSE_BYTES)
        return false;
    client_session(c)->resting = from;
    c->more->resting_number = from->number;
    begin_stall(c);
    return true;
}

/* ---- plain requests ---- */

static void plain_replies(struct asker *a, struct slice bytes, uint32_t n)
{
    struct client *c = CONTAINER_OF(a, struct client, asker);

    if (LIKELY(c->open))
        client_put(c, bytes);
    client_answered(c, n);
}

/* The link a plain reply comes from: the one that is lent, while one is, else the shared one. */
static struct link *plain_link(const struct client *c)
{
    return c->mode != MODE_PLAIN && client_lent(c) != NULL ? client_lent(c) : c->link;
}

static bool plain_piece(struct asker *a, struct slice bytes, bool last)
{
    struct client *c = CONTAINER_OF(a, struct client, asker);
    bool full = c->open && client_put_piece(c, bytes, plain_link(c));

    c->half_out = !last;
    if (last)
        client_answered(c, 1);
    return full;
}

/* The error in place of n replies. */
void client_failed(struct client *c, uint32_t n, enum link_failure why, bool begun)
{
    c->all->count.failed += n;
    if (c->open && (begun || c->half_out)) {
        /* Half a reply is out: nothing that could follow would make sense. */
        client_close(c, CLOSE_UPSTREAM);
    } else if (c->open) {
        for (uint32_t i = 0; i < n; i++)
            write_error(&c->out, "UPSTREAM %s", link_failure_sentence(why));
        client_work(c, WORK_FLUSH);
    }
    client_answered(c, n);
}

static void plain_failed(struct asker *a, uint32_t n, enum link_failure why, bool begun)
{
    client_failed(CONTAINER_OF(a, struct client, asker), n, why, begun);
}

const struct asker_ops plain_asker_ops = {plain_replies, plain_piece, plain_failed};

/* ---- requests whose replies are not wanted: CLIENT REPLY OFF and SKIP ---- */

static void muted_gone(struct asker *a, uint32_t n)
{
    struct client *c = CONTAINER_OF(a, struct session, muted)->client;

    c->more->muted_owed -= n;
    if (!c->open)
        client_shade_check(c);
    else if (c->waits == WAIT_DRAIN && client_drained(c))
        client_wake(c);
    else if (c->ending && client_drained(c))
        client_work(c, WORK_FLUSH);
}

static void muted_replies(struct asker *a, struct slice bytes, uint32_t n)
{
    (void)bytes;
    muted_gone(a, n);
}

static bool muted_piece(struct asker *a, struct slice bytes, bool last)
{
    (void)bytes;
    if (last)
        muted_gone(a, 1);
    return false;
}

static void muted_failed(struct asker *a, uint32_t n, enum link_failure why, bool begun)
{
    (void)why;
    (void)begun;
    muted_gone(a, n);
}

const struct asker_ops muted_asker_ops = {muted_replies, muted_piece, muted_failed};
