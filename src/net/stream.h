/* stream.h - a connection that carries bytes, whatever is beneath, plain or TLS: read, write, want,
 * close.
 *
 * The owner embeds a struct stream and is told of events through its ops. A stream never frees its
 * owner and never closes itself: on IO_EOF and IO_ERROR the owner decides. */
#ifndef LARDER_NET_STREAM_H
#define LARDER_NET_STREAM_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/check.h"

struct loop;
struct stream;
struct tls_context;
struct tls_session;

enum io {
    IO_OK,
    IO_AGAIN, /* nothing now */
    IO_EOF,   /* the peer has said all it will say */
    IO_ERROR, /* the connection is gone: stream_error_text() */
};

enum stream_want {
    WANT_READ = 1 << 0,
    WANT_WRITE = 1 << 1,
    WANT_HANGUP = 1 << 2, /* hear of the peer's closing without reading */
    WANT_ALL = WANT_READ | WANT_WRITE | WANT_HANGUP,
};

struct stream_ops {
    void (*readable)(struct stream *s);
    void (*writable)(struct stream *s);
    void (*hangup)(struct stream *s);
};

struct stream {
    struct event event;
    const struct stream_ops *ops;
    struct tls_session *tls; /* NULL: plain */
    int fd;
    uint8_t error; /* errno of the last IO_ERROR; Linux has none above 133 */
    uint8_t wants : 4;
    uint8_t waits : 4; /* what the socket is watched for: `wants`, or what TLS needs instead */
    bool drained;      /* the last read has left nothing */
    bool open : 1;
    bool edge : 1;  /* watched edge-triggered: what is left unread is not told again */
    bool hasty : 1; /* see stream_hasten() */
};

/* Takes over fd (close-on-exec and non-blocking). Nothing is wanted yet. */
void stream_open(struct stream *s, struct loop *loop, int fd, const struct stream_ops *ops);

/* Begins connecting to addr; WANT_WRITE is set, and writable() tells of the end of it: ask
 * stream_connected() there. False when it failed at once: stream_error_text(). */
MUST_USE
bool stream_connect(struct stream *s, struct loop *loop, const struct sockaddr *addr,
                    socklen_t addr_len, const struct stream_ops *ops);
MUST_USE
bool stream_connected(struct stream *s);

/* From here on it speaks TLS, with the context of a listener as server, else as client of `host`,
 * whom the certificate must name; host may be NULL for a server. Right after stream_open() or
 * stream_connect(). While the handshake is under way nothing can be read or written (IO_AGAIN);
 * when it has ended, well or not, the owner is told that the stream is readable, writable, or both,
 * as it wants. Has it failed, stream_connected() is false, reading is IO_ERROR, and
 * stream_error_text() a sentence that says why. It does not time out by itself. */
void stream_secure(struct stream *s, struct loop *loop, struct tls_context *context,
                   const char *host);
/* Has not got through its handshake, yet or at all; never of a plain one. */
MUST_USE
bool stream_shaking(const struct stream *s);
/* It speaks TLS. */
static inline bool stream_secured(const struct stream *s)
{
    return s->tls != NULL;
}
/* "TLSv1.3"; "" of a plain one. */
const char *stream_tls_version(const struct stream *s);

/* One system call each, or one for each record of 16 KB; *ret_n is set with IO_OK only. What could
 * not be written must be what the next write begins with, though it may have moved. */
MUST_USE
static inline enum io stream_read(struct stream *s, void *room, size_t n, size_t *ret_n);
MUST_USE
static inline enum io stream_write(struct stream *s, const void *bytes, size_t n, size_t *ret_n);
MUST_USE
enum io stream_writev(struct stream *s, const struct iovec *v, int count, size_t *ret_n);

/* Sets what to be told of, a mask of enum stream_want; a no-op when nothing changes. */
void stream_want(struct stream *s, unsigned wants);

/* From the next turn on, and until it is closed: of the streams that are readable in a turn this
 * one is told first, and again and again until a read has left nothing. For the few that bring what
 * others are judged by. */
void stream_hasten(struct stream *s, struct loop *loop);

/* Closes; fine on a stream that is not open. */
void stream_close(struct stream *s);

/* Bytes that the kernel keeps for a peer that has not taken them. */
MUST_USE
size_t stream_unsent(const struct stream *s);

/* A round trip to the peer and back, as TCP measures it (tcpi_rtt), us; 0 where it is not TCP. */
MUST_USE
uint32_t stream_trip_us(const struct stream *s);

MUST_USE
int stream_fd(const struct stream *s);
const char *stream_error_text(const struct stream *s);

/* TCP_NODELAY; harmless on a Unix socket. */
void stream_no_delay(struct stream *s);
/* Keepalive with the first probe after idle_ms of silence and the others interval_ms apart; the
 * peer is given up when `probes` of them are unanswered, or when it has not acknowledged data for
 * as long as that takes (TCP_USER_TIMEOUT). The kernel counts in seconds. */
void stream_keepalive(struct stream *s, uint64_t idle_ms, uint64_t interval_ms, uint64_t probes);

/* ---- plain reads and writes: inline, for every request has one of each ---- */

enum io stream_failed(struct stream *s);
enum io stream_read_nothing(struct stream *s, ssize_t r);
void stream_watch_level(struct stream *s);
enum io stream_read_tls(struct stream *s, void *room, size_t n, size_t *ret_n);
enum io stream_write_tls(struct stream *s, const void *bytes, size_t n, size_t *ret_n);

static inline enum io stream_read(struct stream *s, void *room, size_t n, size_t *ret_n)
{
    ssize_t r;

    if (UNLIKELY(s->tls != NULL))
        return stream_read_tls(s, room, n, ret_n);
    r = recv(s->fd, room, n, 0);
    if (UNLIKELY(r <= 0))
        return stream_read_nothing(s, r);
    *ret_n = (size_t)r;
    s->drained = (size_t)r < n;
    if (UNLIKELY(!s->drained) && s->edge)
        stream_watch_level(s);
    return IO_OK;
}

static inline enum io stream_write(struct stream *s, const void *bytes, size_t n, size_t *ret_n)
{
    ssize_t r;

    if (UNLIKELY(s->tls != NULL))
        return stream_write_tls(s, bytes, n, ret_n);
    r = send(s->fd, bytes, n, MSG_NOSIGNAL);
    if (UNLIKELY(r < 0))
        return stream_failed(s);
    *ret_n = (size_t)r;
    return IO_OK;
}

#endif
