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
#include "client/retry.h"
#include "client/turns.h"
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
        return client_unsent(c);
    count_held(c->more);
    return client_unsent(c) + c->more->held_bytes;
}

static struct held *add_held(struct client *c)
{
    struct session *m = client_session(c);
    struct held *h = must_calloc(1, sizeof *h);

    count_held(m); /* what the last one holds by now */
    h->at = c->asked;
    h->client = c;
    list_init(&h->waiter.node);
    list_init(&h->by_time);
    if (m->held_last == NULL)
        m->held_first = h;
    else
        m->held_last->next = h;
    m->held_last = h;
    return h;
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
    if (LIKELY(c->owed == 0 && (c->more == NULL || c->more->held_first == NULL))) {
        if (c->out.p == NULL) {
            c->out = c->all->spare_out;
            c->all->spare_out = (struct buffer){0};
        }
        return &c->out;
    }
    m = client_session(c);
    h = m->held_last;
    if (h == NULL || h->at != c->asked || h->pending)
        h = add_held(c);
    return &h->bytes;
}

/* The first of what is held may go out: every reply due before it has. */
static bool is_due(const struct client *c, const struct held *h)
{
    return (int32_t)(c->asked - c->owed - h->at) >= 0;
}

static void drop_first_held(struct session *m)
{
    struct held *h = m->held_first;

    m->held_first = h->next;
    if (h->next == NULL)
        m->held_last = NULL;
    m->held_bytes -= h->counted;
    buffer_done(&h->bytes);
    free(h);
}

static void release_held(struct client *c)
{
    struct session *m = c->more;

    while (m->held_first != NULL && !m->held_first->pending && is_due(c, m->held_first)) {
        const struct buffer *bytes = &m->held_first->bytes;

        buffer_add(&c->out, buffer_head(bytes), buffer_len(bytes));
        client_work(c, WORK_FLUSH);
        drop_first_held(m);
    }
}

/* What was held up by replies or promises that have now come. */
static void go_on(struct client *c)
{
    quota_changed(c);
    if (c->more != NULL && c->more->held_first != NULL)
        release_held(c);
    if (c->waits == WAIT_DRAIN
            ? client_drained(c)
            : c->waits == WAIT_PENDING && c->owed + c->promised <= client_most_pending(c) / 2)
        client_wake(c);
    if (c->ending && client_drained(c))
        client_work(c, WORK_FLUSH);
}

INLINED void answered(struct client *c, uint32_t n)
{
    CHECK(n <= c->owed);
    c->owed -= n;
    if (UNLIKELY(c->heavy))
        heavy_answered(c, n);
    else if (LIKELY(c->more == NULL || c->more->heavy.asked_ms == 0) || heavy_long_ago(c))
        heavies_note_light(&c->all->heavies, c->active_ms);
    if (UNLIKELY(!c->open)) {
        quota_changed(c);
        client_shade_check(c);
    } else if (UNLIKELY(c->more != NULL)) { /* who waits, or ends, has a session */
        go_on(c);
    }
}

/* n of the replies that were due have been given (or will never come). */
void client_answered(struct client *c, uint32_t n)
{
    answered(c, n);
}

static void add_to(struct client *c, struct held *h, struct slice bytes)
{
    buffer_add(&h->bytes, bytes.p, bytes.n);
    c->more->held_bytes += buffer_len(&h->bytes) - h->counted;
    h->counted = buffer_len(&h->bytes);
}

/* ---- promises: answers to questions of others ---- */

struct held *client_promise(struct client *c)
{
    struct held *h = add_held(c);

    h->pending = true;
    c->promised++;
    return h;
}

/* Straight to the socket, if it is h's turn: many may be given a large answer at once. */
void client_keep_promise(struct held *h, struct slice bytes)
{
    struct client *c = h->client;

    list_leave(&h->waiter.node);
    if (UNLIKELY(h->until_ms != 0))
        held_waits_no_more(h);
    h->pending = false;
    c->promised--;
    if (c->more->held_first == h && is_due(c, h) && buffer_len(&h->bytes) == 0) {
        drop_first_held(c->more);
        if (bytes.n > 0)
            client_put(c, bytes);
        if (!c->open)
            return;
    } else {
        add_to(c, h, bytes);
    }
    go_on(c);
}

/* The same with an answer that comes in pieces; true: the link should wait for this client. */
bool client_keep_piece(struct held *h, struct slice bytes, bool last, struct link *from)
{
    struct client *c = h->client;
    bool full = false;

    if (c->more->held_first == h && is_due(c, h)) {
        struct buffer before = h->bytes;

        h->bytes = (struct buffer){0};
        c->more->held_bytes -= h->counted;
        h->counted = 0;
        c->half_out = !last;
        if (buffer_len(&before) > 0)
            client_put(c, buffer_slice(&before));
        buffer_done(&before);
        full = c->open && client_put_piece(c, bytes, from);
    } else {
        add_to(c, h, bytes);
        if (client_unread(c) > c->all->settings->client_buffer_max)
            client_close(c, CLOSE_OUTPUT);
    }
    if (last && c->open)
        client_keep_promise(h, slice_of("", 0));
    return full;
}

void client_break_promises(struct client *c)
{
    struct held *h = c->more != NULL ? c->more->held_first : NULL;

    for (; h != NULL; h = h->next) {
        list_leave(&h->waiter.node);
        if (h->until_ms != 0)
            held_waits_no_more(h);
    }
    c->promised = 0;
}

/* The place of the next reply due: behind what is held for those before it. */
static struct held *hold_now(struct client *c)
{
    struct session *m = client_session(c);
    struct held **place = &m->held_first, *h = must_calloc(1, sizeof *h);
    uint32_t at = c->asked - c->owed;

    count_held(m);
    while (*place != NULL && (int32_t)((*place)->at - at) <= 0)
        place = &(*place)->next;
    *h = (struct held){.next = *place, .at = at, .client = c};
    list_init(&h->waiter.node);
    list_init(&h->by_time);
    *place = h;
    if (h->next == NULL)
        m->held_last = h;
    return h;
}

struct held *client_promise_now(struct client *c)
{
    struct held *h = hold_now(c);

    h->pending = true;
    c->promised++;
    return h;
}

/* ---- plain requests ---- */

static void plain_replies(struct asker *a, struct slice bytes, uint32_t n)
{
    struct client *c = CONTAINER_OF(a, struct client, asker);

    if (UNLIKELY(c->more != NULL))
        writes_answered(c, n);
    if (LIKELY(c->open))
        client_put(c, bytes);
    answered(c, n);
}

/* The link a plain reply comes from: the one that is lent, while one is, else the shared one. */
static struct link *plain_link(const struct client *c)
{
    return c->mode != MODE_PLAIN && client_lent(c) != NULL ? client_lent(c) : c->link;
}

static bool plain_piece(struct asker *a, struct slice bytes, bool last)
{
    struct client *c = CONTAINER_OF(a, struct client, asker);
    bool full;

    writes_answered(c, 1);
    full = c->open && client_put_piece(c, bytes, plain_link(c));
    c->half_out = !last;
    if (last)
        client_answered(c, 1);
    return full;
}

void client_answer_now(struct client *c, struct slice bytes)
{
    if (c->promised > 0) /* perhaps in front of it */
        add_to(c, hold_now(c), bytes);
    else
        buffer_add(&c->out, bytes.p, bytes.n);
    client_work(c, WORK_FLUSH);
}

/* The error in place of n replies. */
void client_failed(struct client *c, uint32_t n, enum link_failure why, bool begun)
{
    c->all->count.failed += n;
    writes_answered(c, n);
    if (c->open && (begun || c->half_out)) {
        /* Half a reply is out: nothing that could follow would make sense. */
        client_close(c, CLOSE_UPSTREAM);
    } else if (c->open) {
        struct buffer errors = {0};

        for (uint32_t i = 0; i < n; i++)
            write_error(&errors, "UPSTREAM %s", link_failure_sentence(why));
        client_answer_now(c, buffer_slice(&errors));
        buffer_done(&errors);
    }
    client_answered(c, n);
}

static void plain_failed(struct asker *a, uint32_t n, enum link_failure why, bool begun)
{
    struct client *c = CONTAINER_OF(a, struct client, asker);

    if (!retry_reads(c, n, why, begun))
        client_failed(c, n, why, begun);
}

static const void *plain_whose(struct asker *a)
{
    return CONTAINER_OF(a, struct client, asker);
}

const struct asker_ops plain_asker_ops = {plain_replies, plain_piece, plain_failed, plain_whose};

/* ---- requests whose replies are not wanted: CLIENT REPLY OFF and SKIP ---- */

static void muted_gone(struct asker *a, uint32_t n)
{
    struct client *c = CONTAINER_OF(a, struct session, muted)->client;

    c->more->muted_owed -= n;
    quota_changed(c);
    writes_answered_muted(c);
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

const struct asker_ops muted_asker_ops = {muted_replies, muted_piece, muted_failed, NULL};
