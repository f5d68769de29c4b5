/* stream.c - sockets, plain and with TLS on them, see stream.h. A plain one pays for the other with
 * one branch in each read and write: its events have a callback of their own. */
#include "net/stream.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "net/loop.h"
#include "net/tls_inside.h"

/* What a hasty stream's event is called with. */
struct hasty {
    struct stream *stream;
    struct loop *loop;
};

/* Takes the error that the socket has pending, if any; false if it has one. */
static bool is_sound(struct stream *s)
{
    int error;
    socklen_t len = sizeof error;

    if (getsockopt(stream_fd(s), SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    s->error = (uint8_t)error;
    return error == 0;
}

/* Bytes arrived for somebody who wants none now, or the connection ended. */
static bool hung_up(struct stream *s, short what)
{
    return (what & EV_CLOSED) != 0 || !is_sound(s);
}

/* Without a cap: what it brings decides what the others may be told. */
static void read_all(struct stream *s)
{
    do {
        s->drained = true; /* whoever does not read at all is not asked again, either */
        s->ops->readable(s);
    } while (!s->drained && s->open && (s->wants & WANT_READ) != 0);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct stream *s = arg;

    (void)fd;
    /* Each callback may close the stream, and a closed one must not be called again. */
    if ((what & EV_WRITE) != 0 && s->open && (s->wants & WANT_WRITE) != 0)
        s->ops->writable(s);
    if ((what & EV_READ) != 0 && s->open && (s->wants & WANT_READ) != 0)
        s->ops->readable(s);
    else if (s->open && (s->wants & WANT_HANGUP) != 0 && hung_up(s, what))
        s->ops->hangup(s);
}

/* Reading may have waited for the socket to be writable, and the reverse. */
static short in_owners_terms(const struct stream *s, short what)
{
    short told = what;

    if (s->tls != NULL && (what & EV_READ) != 0 && s->tls->write_needs_read)
        told |= EV_WRITE;
    if (s->tls != NULL && (what & EV_WRITE) != 0 && s->tls->read_needs_write)
        told |= EV_READ;
    return told;
}

/* Told of what comes, and not again of what was there: see wait_for(). The end of the connection,
 * or a reset (see watch_for()), may have come with the last bytes. */
static void on_edge(evutil_socket_t fd, short what, void *arg)
{
    struct stream *s = arg;

    (void)fd;
    s->drained = false;
    s->ops->readable(s);
    if (UNLIKELY(!s->drained || (what & (EV_CLOSED | EV_WRITE)) != 0) && s->edge)
        stream_watch_level(s);
}

static void on_hasty_event(evutil_socket_t fd, short what, void *arg)
{
    const struct hasty *h = arg;
    struct stream *s = h->stream;

    loop_hastened(h->loop);
    what = in_owners_terms(s, what);
    if ((what & EV_READ) != 0 && (s->wants & WANT_READ) != 0)
        read_all(s);
    on_event(fd, (short)(what & ~EV_READ), s);
}

static void on_tls_event(evutil_socket_t fd, short what, void *arg);

static event_callback_fn callback(const struct stream *s)
{
    if (s->hasty)
        return on_hasty_event;
    if (s->edge)
        return on_edge;
    return s->tls != NULL ? on_tls_event : on_event;
}

/* Watches the socket for `waits`, of enum stream_want, and nothing else. */
static void watch_for(struct stream *s, unsigned waits)
{
    int events = EV_PERSIST;

    if ((waits & WANT_READ) != 0)
        events |= EV_READ;
    if ((waits & WANT_WRITE) != 0)
        events |= EV_WRITE;
    /* libevent reports a reset as readable and never as closed: an event for EV_CLOSED alone would
     * be passed over and epoll report it again for ever. So EV_READ goes with it, edge-triggered,
     * for bytes that nobody reads now must not be reported again and again. */
    if ((waits & WANT_HANGUP) != 0)
        events |= (waits & WANT_READ) != 0 ? EV_CLOSED : EV_CLOSED | EV_READ | EV_ET;
    if (s->edge)
        events |= EV_CLOSED | EV_ET;
    CHECK(event_assign(&s->event, event_get_base(&s->event), stream_fd(s), (short)events,
                       callback(s), s->hasty ? event_get_callback_arg(&s->event) : s) == 0);
    if (s->hasty)
        loop_hasten(&s->event);
    CHECK(event_add(&s->event, NULL) == 0);
    /* A reset is reported as readable and writable. It is told from bytes by that, which would be
     * cut away: who is watched edge-triggered does not want to write. epoll is not asked for it. */
    if (s->edge)
        s->event.ev_events |= EV_WRITE;
}

/* Nothing of it reaches libevent: see watch_for(). */
static void watch_no_more(struct stream *s)
{
    if (s->edge)
        s->event.ev_events &= (short)~EV_WRITE;
    (void)event_del(&s->event);
    s->edge = false;
}

/* Who only reads, and mostly all there is, is watched edge-triggered: a level-triggered socket is
 * looked at by the kernel once more in the next turn, to find nothing. What a read may have left is
 * not told by an edge; from then on, until something else is wanted, the level is: so after a read
 * that was full, an event upon which nothing was read, the end of the connection. */
static void wait_for(struct stream *s, unsigned waits)
{
    if (s->waits == waits)
        return;
    if (s->waits != 0)
        watch_no_more(s);
    s->waits = waits & WANT_ALL;
    s->edge = waits == WANT_READ && s->tls == NULL && !s->hasty;
    if (waits != 0)
        watch_for(s, waits);
}

void stream_watch_level(struct stream *s)
{
    watch_no_more(s);
    watch_for(s, s->waits);
}

/* The socket is watched for what the owner wants, in TLS's terms. */
NOINLINE static void watch(struct stream *s)
{
    const struct tls_session *t = s->tls;
    unsigned waits = s->wants;

    if (t != NULL && t->state <= TLS_SHAKING) {
        wait_for(s, t->needs);
        return;
    }
    if (t != NULL && t->read_needs_write && (waits & WANT_READ) != 0)
        waits = (waits & ~(unsigned)WANT_READ) | WANT_WRITE;
    if (t != NULL && t->write_needs_read && (s->wants & WANT_WRITE) != 0)
        waits = (waits & ~(unsigned)WANT_WRITE) | WANT_READ;
    wait_for(s, waits);
    if (t != NULL && t->more && (s->wants & WANT_READ) != 0)
        loop_remind(s->tls->loop, &s->tls->reminder, &s->event);
}

/* TCP is up, or not; from then on it is a handshake. */
static enum io shake(struct stream *s)
{
    if (s->tls->state == TLS_CONNECTING && !is_sound(s)) {
        tls_unreached(s->tls, s->error);
        return IO_ERROR;
    }
    return tls_shake(s->tls);
}

static void on_tls_event(evutil_socket_t fd, short what, void *arg)
{
    struct stream *s = arg;
    short told = in_owners_terms(s, what);

    if (s->tls->state <= TLS_SHAKING) {
        if (shake(s) == IO_AGAIN) {
            watch(s);
            return;
        }
        /* Whatever it waits for: it can go on, or must hear that it cannot. What the peer has said
         * at once may be in the session already, and the socket silent. */
        told = EV_READ | EV_WRITE;
        watch(s);
    }
    on_event(fd, told, s);
}

void stream_open(struct stream *s, struct loop *loop, int fd, const struct stream_ops *ops)
{
    s->ops = ops;
    s->hasty = false;
    s->tls = NULL;
    s->fd = fd;
    s->error = 0;
    s->wants = 0;
    s->waits = 0;
    s->edge = false;
    s->open = true;
    CHECK(event_assign(&s->event, loop_base(loop), fd, EV_PERSIST, on_event, s) == 0);
}

bool stream_connect(struct stream *s, struct loop *loop, const struct sockaddr *addr,
                    socklen_t addr_len, const struct stream_ops *ops)
{
    int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        s->error = (uint8_t)errno;
        return false;
    }
    if (connect(fd, addr, addr_len) != 0 && errno != EINPROGRESS) {
        s->error = (uint8_t)errno;
        (void)close(fd);
        return false;
    }
    stream_open(s, loop, fd, ops);
    stream_want(s, WANT_WRITE);
    return true;
}

bool stream_connected(struct stream *s)
{
    return s->tls != NULL ? s->tls->state == TLS_UP : is_sound(s);
}

void stream_secure(struct stream *s, struct loop *loop, struct tls_context *context,
                   const char *host)
{
    CHECK(s->open && s->tls == NULL);
    s->tls = tls_session_new(context, loop, stream_fd(s), host);
    wait_for(s, 0); /* its callback is another from now on */
    watch(s);
}

bool stream_shaking(const struct stream *s)
{
    return s->tls != NULL && s->tls->state != TLS_UP;
}

const char *stream_tls_version(const struct stream *s)
{
    return s->tls != NULL && s->tls->state == TLS_UP ? SSL_get_version(s->tls->ssl) : "";
}

enum io stream_read_tls(struct stream *s, void *room, size_t n, size_t *ret_n)
{
    enum io io = tls_read(s->tls, room, n, s->hasty, ret_n);

    s->drained = !s->tls->more;
    watch(s);
    return io;
}

NOINLINE static enum io write_tls(struct stream *s, const struct iovec *v, int count, size_t *ret_n)
{
    bool needed_read = s->tls->write_needs_read;
    enum io io = tls_write(s->tls, v, count, ret_n);

    if (UNLIKELY(s->tls->write_needs_read != needed_read))
        watch(s);
    return io;
}

enum io stream_write_tls(struct stream *s, const void *bytes, size_t n, size_t *ret_n)
{
    struct iovec v = {(void *)(uintptr_t)bytes, n};

    return write_tls(s, &v, 1, ret_n);
}

enum io stream_failed(struct stream *s)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        return IO_AGAIN;
    s->error = (uint8_t)errno;
    return IO_ERROR;
}

enum io stream_read_nothing(struct stream *s, ssize_t r)
{
    if (r == 0)
        return IO_EOF;
    s->drained = errno == EAGAIN || errno == EWOULDBLOCK;
    return stream_failed(s);
}

enum io stream_writev(struct stream *s, const struct iovec *v, int count, size_t *ret_n)
{
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)v, .msg_iovlen = (size_t)count};
    ssize_t r;

    if (UNLIKELY(s->tls != NULL))
        return write_tls(s, v, count, ret_n);
    r = sendmsg(stream_fd(s), &m, MSG_NOSIGNAL);
    if (UNLIKELY(r < 0))
        return stream_failed(s);
    *ret_n = (size_t)r;
    return IO_OK;
}

void stream_want(struct stream *s, unsigned wants)
{
    if (s->wants == wants)
        return;
    s->wants = wants & WANT_ALL;
    if (UNLIKELY(s->tls != NULL))
        watch(s);
    else
        wait_for(s, wants);
}

void stream_hasten(struct stream *s, struct loop *loop)
{
    unsigned waits = s->waits;
    struct hasty *h = must_calloc(1, sizeof *h);

    CHECK(s->open && !s->hasty && !stream_shaking(s));
    wait_for(s, 0);
    *h = (struct hasty){s, loop};
    s->hasty = true;
    CHECK(event_assign(&s->event, loop_base(loop), stream_fd(s), EV_PERSIST, on_hasty_event, h) ==
          0);
    wait_for(s, waits);
}

void stream_close(struct stream *s)
{
    if (!s->open)
        return;
    wait_for(s, 0);
    if (s->hasty)
        free(event_get_callback_arg(&s->event));
    s->wants = 0;
    s->hasty = false;
    s->open = false;
    tls_session_free(s->tls);
    s->tls = NULL;
    (void)close(stream_fd(s));
}

size_t stream_unsent(const struct stream *s)
{
    int n = 0;

    return ioctl(stream_fd(s), SIOCOUTQ, &n) == 0 && n > 0 ? (size_t)n : 0;
}

uint32_t stream_trip_us(const struct stream *s)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;

    if (getsockopt(stream_fd(s), IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return 0;
    return info.tcpi_rtt;
}

int stream_fd(const struct stream *s)
{
    return s->fd;
}

const char *stream_error_text(const struct stream *s)
{
    if (s->tls != NULL && s->tls->trouble[0] != 0)
        return s->tls->trouble;
    if (stream_shaking(s))
        return "TLS: the handshake has not ended in time";
    return s->error == 0 ? "closed by the peer" : strerror(s->error);
}

void stream_no_delay(struct stream *s)
{
    int on = 1;

    (void)setsockopt(stream_fd(s), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int whole_seconds(uint64_t ms)
{
    return ms < 1000 ? 1 : (int)(ms / 1000);
}

void stream_keepalive(struct stream *s, uint64_t idle_ms, uint64_t interval_ms, uint64_t probes)
{
    int on = 1, idle = whole_seconds(idle_ms), interval = whole_seconds(interval_ms);
    int count = (int)probes;
    /* With this set the kernel counts no probes, but goes by it. */
    unsigned user_timeout = ((unsigned)idle + (unsigned)interval * (unsigned)count) * 1000;

    (void)setsockopt(stream_fd(s), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(stream_fd(s), IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(stream_fd(s), IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(stream_fd(s), IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    (void)setsockopt(stream_fd(s), IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout,
                     sizeof user_timeout);
}
