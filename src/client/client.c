/* client.c - the life of a connection: accept, read, wait, wake, close.
 *
 *      accept -> open --client_end()--> ending (serves no more, sends what it owes) --+
 *                  |                                                                   |
 *                  +----------------------- client_close(why) -------------------------+
 *                                                |
 *                            shade (replies are still due on links) --> buried --> freed
 *
 * A client that leaves with replies due stays as a shade until they have come: they are taken in
 * its name and dropped, so that nobody else's are shifted. Callbacks never free; the beat of
 * clients.c does. Who is served when is told in turns.c. */
#include "client/client.h"
#include "client/leases.h"
#include "client/quota.h"
#include "client/redirect.h"
#include "client/tenants.h"
#include "client/turns.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/address.h"
#include "net/loop.h"
#include "resp/write.h"

/* Read ahead while a client waits; the rest stays in the socket. While it is blocked more is read,
 * for its end cannot be seen behind what is not. */
#define IN_WAIT_BYTES    (64u * 1024u)
#define IN_BLOCKED_BYTES (4u * 1024u * 1024u)

#define CLIENT_KEEPALIVE_MS (300u * 1000u) /* Redis' tcp-keepalive */
#define CLIENT_PROBES       3u

static const struct stream_ops client_stream_ops;

uint64_t client_now(const struct client *c)
{
    return loop_now_ms(c->all->loop);
}

bool client_listens(const struct client *c)
{
    return c->open && (c->mode == MODE_LISTEN || (c->more != NULL && c->more->sub.link != NULL &&
                                                  c->more->sub.link->listening));
}

/* Whoever may have begun or ended listening is counted anew. */
void client_count_listening(struct client *c)
{
    bool now = client_listens(c);

    if (c->more == NULL || c->more->listening == now)
        return;
    c->more->listening = now;
    c->all->count.clients_listening += now ? 1 : (uint64_t)-1;
}

/* ---- accept ---- */

static void refuse_full(struct clients *all, const struct listener *l, int fd)
{
    static const char text[] = "-ERR max number of clients reached\r\n";

    /* A new socket takes so few bytes; if not, the client sees only the close. So does one that
     * would have to be told in TLS. */
    if (listener_tls(l) == NULL && write(fd, text, sizeof text - 1) < 0)
        log_debug(loop_log(all->loop), "client: refused, and could not be told");
    (void)close(fd);
}

void clients_accept(struct clients *all, struct listener *l, int fd, bool is_unix)
{
    struct tls_context *tls = listener_tls(l);
    struct client *c;
    char peer[ADDRESS_TEXT];

    if (all->draining || all->count.clients >= all->settings->max_clients) {
        all->count.refused_max_clients++;
        refuse_full(all, l, fd);
        return;
    }
    if (UNLIKELY(all->tenants != NULL) && tenants_full(all->tenants, l)) {
        refuse_full(all, l, fd);
        return;
    }
    c = must_calloc(1, sizeof *c);
    c->all = all;
    c->asker.ops = &plain_asker_ops;
    c->listener = l;
    c->id = ++all->next_id;
    c->proto = 2;
    c->is_unix = is_unix;
    c->db = (int32_t)pool_database(all->pool);
    c->lane = lane_hold_default(all->pool, 2);
    tenant_greet(c);
    c->active_ms = client_now(c);
    c->born_s = (uint32_t)(c->active_ms / 1000);
    c->open = true;
    list_init(&c->work);
    list_push_back(&all->open, &c->node);
    all->count.clients++;
    all->count.accepted++;
    stream_open(&c->stream, all->loop, fd, &client_stream_ops);
    if (!is_unix) {
        stream_no_delay(&c->stream);
        stream_keepalive(&c->stream, CLIENT_KEEPALIVE_MS, CLIENT_KEEPALIVE_MS / CLIENT_PROBES,
                         CLIENT_PROBES);
    }
    client_settle(c);
    if (tls != NULL) {
        stream_secure(&c->stream, all->loop, tls, NULL);
        clients_sweep_soon(all);
    }
    stream_want(&c->stream, WANT_READ);
    if (loop_log(all->loop)->level >= LOG_LEVEL_INFO) {
        address_of_peer(fd, peer, sizeof peer);
        log_info(loop_log(all->loop), "client: connected, id=%llu addr=%s listener=%s",
                 (unsigned long long)c->id, peer, listener_settings(l)->name);
    }
}

void clients_exhausted(struct clients *all)
{
    all->count.accept_exhausted++;
    log_warning(loop_log(all->loop), "client: no descriptors left, accepting pauses");
}

/* ---- reading ---- */

static void close_broken(struct client *c)
{
    client_close(c, stream_shaking(&c->stream) ? CLOSE_TLS : CLOSE_BROKEN);
}

/* Takes what the client has said, behind what it said before. */
static void read_on(struct client *c)
{
    size_t got, used, need = c->more != NULL && c->more->scan.begun ? IN_WAIT_BYTES : 16u * 1024u;
    char *room = buffer_room(&c->in, need);

    switch (stream_read(&c->stream, room, need, &got)) {
    case IO_OK:
        buffer_fill(&c->in, got);
        c->all->count.bytes_in += got;
        if (UNLIKELY(c->promised > 0))
            client_interrupts(c);
        break;
    case IO_AGAIN:
        return;
    case IO_EOF:
        c->eof = true;
        return;
    case IO_ERROR:
        close_broken(c);
        return;
    }
    if (c->waits != WAIT_NOTHING)
        return;
    used = client_serve(c, buffer_head(&c->in), buffer_len(&c->in));
    if (c->open && !c->ending)
        buffer_take(&c->in, used);
}

INLINED void read_fresh(struct client *c)
{
    char *scratch = loop_scratch(c->all->loop);
    size_t got, used, most = LIKELY(list_empty(&c->all->queued)) ? READ_BYTES : QUEUED_READ_BYTES;

    switch (stream_read(&c->stream, scratch, most, &got)) {
    case IO_OK:
        break;
    case IO_AGAIN:
        return;
    case IO_EOF:
        c->eof = true;
        return;
    case IO_ERROR:
        close_broken(c);
        return;
    }
    c->all->count.bytes_in += got;
    if (UNLIKELY(c->promised > 0))
        client_interrupts(c);
    if (c->more != NULL && c->waits == WAIT_NOTHING)
        c->more->wait_ms = 0;
    used = c->waits == WAIT_NOTHING ? client_serve(c, scratch, got) : 0;
    if (c->open && !c->ending && used < got)
        buffer_add(&c->in, scratch + used, got - used);
}

/* After the end of input: what was asked before is still answered (`printf ... | nc`), but whoever
 * only waits is gone, and a blocked one must not take an element to the grave. */
static void after_eof(struct client *c)
{
    if (c->promised > 0)
        client_interrupts(c);
    if (c->waits == WAIT_BLOCKED || (c->more != NULL && c->more->streaming))
        client_close(c, CLOSE_GONE);
    else if (c->waits == WAIT_NOTHING || c->waits == WAIT_PAUSE)
        client_end(c, CLOSE_GONE); /* what CLIENT PAUSE holds up is not executed, as in Redis */
    else
        client_adjust_wants(c);
}

INLINED void read_once(struct client *c)
{
    c->active_ms = client_now(c);
    if (LIKELY(buffer_len(&c->in) == 0))
        read_fresh(c);
    else
        read_on(c);
    if (!c->open)
        return;
    if (UNLIKELY(c->eof) && (c->work_flags & WORK_SERVE) != 0)
        return; /* it has just been woken: what it said is served in this turn, and then its end */
    if (UNLIKELY(c->eof))
        after_eof(c);
    else if (UNLIKELY(c->waits != WAIT_NOTHING || c->ending || (c->heavy && !c->queued)))
        client_adjust_wants(c);
}

void client_read(struct client *c)
{
    read_once(c);
}

static void on_readable(struct stream *s)
{
    struct client *c = CONTAINER_OF(s, struct client, stream);

    if (UNLIKELY(c->heavy) && c->waits == WAIT_NOTHING && !c->ending && !turns_rested(c)) {
        client_queue(c);
        return;
    }
    c->all->turn_left = TURN_UNITS;
    read_once(c);
    /* What it was answered at once leaves at once; nothing else need look at it in this turn. */
    if (c->open && c->work_flags == WORK_FLUSH) {
        c->work_flags = 0;
        list_leave(&c->work);
        client_flush(c);
    }
}

static void on_writable(struct stream *s)
{
    struct client *c = CONTAINER_OF(s, struct client, stream);

    client_flush(c);
}

static void on_hangup(struct stream *s)
{
    struct client *c = CONTAINER_OF(s, struct client, stream);

    /* Who is blocked must not take an element to the grave. Everybody else may have said more than
     * was read so far: that is served first, and the end is seen when it is read. */
    if (c->waits == WAIT_BLOCKED || s->error != 0)
        client_close(c, CLOSE_GONE);
    else if (c->waits == WAIT_PAUSE)
        client_end(c, CLOSE_GONE);
}

static const struct stream_ops client_stream_ops = {on_readable, on_writable, on_hangup};

void client_adjust_wants(struct client *c)
{
    unsigned wants = 0;
    size_t ahead = c->waits == WAIT_BLOCKED ? IN_BLOCKED_BYTES : IN_WAIT_BYTES;
    bool read_ahead = c->waits == WAIT_NOTHING ? !c->queued : buffer_len(&c->in) < ahead;

    if (!c->open)
        return;
    if (!c->eof && !c->ending)
        wants |= read_ahead && c->waits != WAIT_OUTPUT ? WANT_READ : WANT_HANGUP;
    if (client_unsent(c) > 0)
        wants |= WANT_WRITE;
    stream_want(&c->stream, wants);
}

/* ---- waiting ---- */

bool client_drained(const struct client *c)
{
    return c->owed == 0 && c->promised == 0 && (c->more == NULL || c->more->muted_owed == 0);
}

bool client_quiet(const struct client *c)
{
    return client_drained(c) && (c->more == NULL || subscriptions_quiet(&c->more->subs));
}

/* What Redis counts as blocked_clients, of the tenant's. */
static bool is_blocked_of_tenant(const struct client *c)
{
    return UNLIKELY(c->tenant != NULL) && (c->waits == WAIT_BLOCKED || c->waits == WAIT_PAUSE);
}

enum next client_wait(struct client *c, enum wait why)
{
    (void)client_session(c);
    CHECK(c->waits == WAIT_NOTHING && why != WAIT_NOTHING);
    c->waits = (uint8_t)why;
    heavy_misses(c);
    c->all->count.clients_waiting++;
    if (why == WAIT_BLOCKED)
        c->all->count.clients_blocked++;
    if (is_blocked_of_tenant(c))
        c->tenant->count.blocked++;
    return LATER;
}

enum next client_wait_link(struct client *c, struct lane *lane)
{
    lane_wait(lane, &client_session(c)->waiter);
    return client_wait(c, WAIT_LINK);
}

enum next client_again(struct client *c)
{
    (void)client_wait(c, WAIT_REPLY);
    client_wake(c);
    return LATER;
}

static void stop_waiting(struct client *c)
{
    if (c->waits == WAIT_NOTHING)
        return;
    c->all->count.clients_waiting--;
    c->active_ms = client_now(c); /* it was waiting, not idle */
    if (c->waits == WAIT_BLOCKED)
        c->all->count.clients_blocked--;
    if (is_blocked_of_tenant(c))
        c->tenant->count.blocked--;
    if (c->waits == WAIT_LINK || c->waits == WAIT_PENDING)
        list_leave(&c->more->waiter.node);
    if (UNLIKELY(c->tenant != NULL))
        quota_waits_no_more(c);
    c->waits = WAIT_NOTHING;
}

void client_wake(struct client *c)
{
    stop_waiting(c);
    if (c->open && !c->ending)
        client_work(c, WORK_SERVE);
}

void client_serve_input(struct client *c)
{
    if (!c->open || c->waits != WAIT_NOTHING || c->ending)
        return;
    if (buffer_len(&c->in) > 0) {
        size_t used = client_serve(c, buffer_head(&c->in), buffer_len(&c->in));

        if (!c->open || c->ending)
            return;
        buffer_take(&c->in, used);
    }
    if (c->eof && !c->queued)
        after_eof(c);
    else if (!c->queued)
        client_adjust_wants(c);
}

/* ---- ends ---- */

void client_end(struct client *c, enum close_reason why)
{
    if (!c->open || c->ending)
        return;
    c->ending = true;
    if (c->waits == WAIT_PAUSE)
        stop_waiting(c);
    buffer_done(&c->in);
    client_settle(c);
    if (why == CLOSE_UPSTREAM && c->more != NULL)
        subscriptions_done(&c->more->subs); /* confirmations that will not come */
    if (client_quiet(c) && client_unsent(c) == 0) {
        client_close(c, why);
        return;
    }
    c->end_reason = why & 15;
    client_session(c)->stall_ms = client_now(c); /* it is not waited for for ever */
    clients_sweep_soon(c->all);
    client_work(c, WORK_FLUSH);
    client_adjust_wants(c);
}

void client_bury(struct client *c)
{
    list_leave(&c->node);
    list_push_back(&c->all->buried, &c->node);
}

void client_shade_check(struct client *c)
{
    if (!c->open && client_drained(c))
        client_bury(c);
}

static void leave_links(struct client *c)
{
    struct session *m = c->more;

    if (m == NULL)
        return;
    if (m->resting != NULL && m->resting->number == m->resting_number)
        link_resume(m->resting);
    if (m->sub.link != NULL || m->sub.waiting)
        loan_end(&m->sub, LOAN_CLOSE);
    if (m->named)
        redirect_settled(c, NULL);
    /* What blocks on a lent link, or is half sent there, goes down with it. A WATCH or MULTI can be
     * cleaned up behind whatever is still due: replies go to the shade of this client. */
    if (m->loan.link != NULL || m->loan.waiting)
        loan_end(&m->loan, c->mode == MODE_TX && !m->streaming && !m->loan.patient ? LOAN_DISCARD
                                                                                   : LOAN_CLOSE);
    if (m->next_lane != NULL)
        lane_release(m->next_lane);
    m->next_lane = NULL;
}

void client_close(struct client *c, enum close_reason why)
{
    struct clients *all = c->all;
    static const char *const words[] = {
#define WORD(name, word, help) #word,
        CLOSE_REASONS(WORD)
#undef WORD
    };
    uint64_t *const counts = &all->count.closed_gone;

    if (!c->open)
        return;
    CHECK(why < CLOSE_REASON_COUNT);
    counts[why]++;
    log_info(loop_log(all->loop), "client: closed, id=%llu reason=%s%s%s",
             (unsigned long long)c->id, words[why], why == CLOSE_TLS ? ", " : "",
             why == CLOSE_TLS ? stream_error_text(&c->stream) : "");
    stop_waiting(c);
    c->open = false;
    client_count_listening(c);
    all->count.clients--;
    stream_close(&c->stream);
    list_leave(&c->work);
    list_leave(&c->node);
    list_push_back(&all->shades, &c->node);
    leave_links(c);
    client_break_promises(c);
    quota_changed(c);
    if (c->more != NULL && !list_empty(&c->more->leases))
        leases_left(c);
    loads_left(c);
    lane_release(c->lane);
    tenant_leave(c);
    buffer_done(&c->in);
    buffer_done(&c->out);
    if (c->more != NULL)
        client_drop_refs(c->more);
    client_settle(c);
    client_shade_check(c);
    if (all->draining && all->count.clients == 0)
        timer_start(all->sweep, 0);
}

void client_free(struct client *c)
{
    session_free(c->more);
    free(c);
}
