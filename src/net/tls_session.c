/* tls_session.c - TLS on one non-blocking socket: handshake, read, write.
 *
 * What OpenSSL leaves to its caller, and where it is done here:
 *   - bytes that it has taken from the socket and nobody has read: epoll does not tell of them.
 *     tls_read() reads on while there are any, and when the room is full it has the loop call again
 *     (`more`, `reminder`);
 *   - a write that could not end must be repeated with the same bytes, at least as many: streams
 *     promise that (stream.h). tls_write() joins them to the same records again;
 *   - a read may have to wait until the socket can be written, and the reverse: `read_needs_write`,
 *     `write_needs_read`, from which stream.c derives what to wait for;
 *   - an error that somebody has left in the thread's queue is taken for one of the next call: it
 *     is emptied before;
 *   - after an error nothing may be called but SSL_free(): `broken`. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls_inside.h"

/* Costs a look; emptying what is empty would cost more. */
static inline void no_old_errors(void)
{
    if (UNLIKELY(ERR_peek_error() != 0))
        ERR_clear_error();
}

/* Whom the certificate must name, and whom the server is asked for: names are, numbers never. */
static void expect(struct tls_session *t, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);

    if (t->context->server_name[0] != 0)
        host = t->context->server_name;
    if (host == NULL || X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1)
        return;
    ERR_clear_error();
    SSL_set_hostflags(t->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    CHECK(SSL_set1_host(t->ssl, host) == 1);
    /* SSL_set_tlsext_host_name(), whose macro casts const away; it copies the name. */
    (void)SSL_ctrl(t->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                   (void *)(uintptr_t)host);
}

/* A session vouches for the host that it was made with, and no other. */
static void resume(struct tls_session *t)
{
    SSL_SESSION *session = tls_context_session(t->context, t->host);

    if (session != NULL)
        (void)SSL_set_session(t->ssl, session);
    SSL_SESSION_free(session);
}

struct tls_session *tls_session_new(struct tls_context *c, struct loop *loop, int fd,
                                    const char *host)
{
    struct tls_session *t = must_calloc(1, sizeof *t);

    *t = (struct tls_session){.ssl = SSL_new(c->ssl), .context = c, .loop = loop};
    CHECK(t->ssl != NULL && SSL_set_fd(t->ssl, fd) == 1);
    c->refs++;
    loop_reminder_init(&t->reminder);
    (void)SSL_set_app_data(t->ssl, t);
    if (c->server) {
        t->state = TLS_SHAKING;
        t->needs = WANT_READ;
        SSL_set_accept_state(t->ssl);
        return t;
    }
    t->state = TLS_CONNECTING;
    t->needs = WANT_WRITE;
    SSL_set_connect_state(t->ssl);
    t->host = must_strdup(host != NULL ? host : "");
    expect(t, host);
    resume(t);
    return t;
}

void tls_session_free(struct tls_session *t)
{
    if (t == NULL)
        return;
    loop_forget_reminder(&t->reminder);
    if (t->state == TLS_UP && !t->broken) {
        no_old_errors();
        (void)SSL_shutdown(t->ssl);
        ERR_clear_error();
    }
    SSL_free(t->ssl);
    tls_context_release(t->context);
    free(t->host);
    free(t);
}

/* ---- handshake ---- */

static enum io shaken(struct tls_session *t)
{
    struct tls_context *c = t->context;

    ERR_clear_error();
    t->state = TLS_UP;
    ++*c->tally.handshakes;
    *c->tally.resumed += SSL_session_reused(t->ssl) == 1;
    if (c->peer_expires != NULL)
        *c->peer_expires = tls_expiry(SSL_get0_peer_certificate(t->ssl));
    return IO_OK;
}

static enum io shake_failed(struct tls_session *t)
{
    t->state = TLS_FAILED;
    t->broken = true;
    ++*t->context->tally.failures;
    ERR_clear_error();
    return IO_ERROR;
}

enum io tls_shake(struct tls_session *t)
{
    int r, error;

    CHECK(t->state <= TLS_SHAKING);
    t->state = TLS_SHAKING;
    no_old_errors();
    errno = 0;
    r = SSL_do_handshake(t->ssl);
    error = errno;
    if (r == 1)
        return shaken(t);
    switch (SSL_get_error(t->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        t->needs = WANT_READ;
        return IO_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        t->needs = WANT_WRITE;
        return IO_AGAIN;
    case SSL_ERROR_SSL:
        tls_tell_failure(t, ERR_peek_last_error());
        break;
    default: /* an int that OpenSSL may add to: the socket has failed, or was closed */
        (void)snprintf(t->trouble, sizeof t->trouble, "TLS: %s during the handshake",
                       error != 0 ? strerror(error) : "it closed the connection");
    }
    return shake_failed(t);
}

void tls_unreached(struct tls_session *t, int error)
{
    t->state = TLS_FAILED;
    t->broken = true;
    (void)snprintf(t->trouble, sizeof t->trouble, "%s", strerror(error));
}

/* ---- bytes ---- */

static enum io broken(struct tls_session *t)
{
    t->broken = true;
    ERR_clear_error();
    return IO_ERROR;
}

/* Why a call has done nothing. */
static enum io outcome(struct tls_session *t, int error, bool reading)
{
    switch (SSL_get_error(t->ssl, 0)) {
    case SSL_ERROR_WANT_READ:
        t->write_needs_read = !reading;
        return IO_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        t->read_needs_write = reading;
        return IO_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return IO_EOF;
    case SSL_ERROR_SSL:
        tls_tell_failure(t, ERR_peek_last_error());
        return broken(t);
    default: /* an int that OpenSSL may add to: the socket has failed */
        if (error == 0)
            return IO_EOF;
        (void)snprintf(t->trouble, sizeof t->trouble, "%s", strerror(error));
        return broken(t);
    }
}

enum io tls_read(struct tls_session *t, char *room, size_t n, bool all, size_t *ret_n)
{
    size_t total = 0, got = 0;
    enum io io = IO_AGAIN;

    if (UNLIKELY(t->state != TLS_UP || t->broken))
        return t->broken ? IO_ERROR : IO_AGAIN;
    no_old_errors();
    t->read_needs_write = t->more = false;
    for (;;) {
        errno = 0;
        if (SSL_read_ex(t->ssl, room + total, n - total, &got) != 1) {
            io = outcome(t, errno, true);
            break;
        }
        total += got;
        if (total == n) {
            t->more = true;
            break;
        }
        if (!all && !SSL_has_pending(t->ssl))
            break;
    }
    /* What has come before an end or an error is told first, and that when it is asked again. */
    t->more |= total > 0 && (io == IO_EOF || io == IO_ERROR);
    if (total == 0)
        return io;
    *ret_n = total;
    return IO_OK;
}

/* The pieces from v[*i] + *off on, as the plain text of one record: one of them where it is long
 * enough or the last, else several joined. */
static struct slice next_record(const struct tls_session *t, const struct iovec *v, int count,
                                size_t sent)
{
    char *join = t->context->join;
    size_t n = 0, piece;
    int i = 0;

    for (; i < count && sent >= v[i].iov_len; i++)
        sent -= v[i].iov_len;
    if (i == count)
        return slice_of(join, 0);
    piece = v[i].iov_len - sent;
    if (piece >= TLS_RECORD_BYTES || i + 1 == count)
        return slice_of((const char *)v[i].iov_base + sent,
                        piece < TLS_RECORD_BYTES ? piece : TLS_RECORD_BYTES);
    for (; i < count && n < TLS_RECORD_BYTES; i++, sent = 0) {
        piece = v[i].iov_len - sent;
        if (piece > TLS_RECORD_BYTES - n)
            piece = TLS_RECORD_BYTES - n;
        if (piece > 0) /* an empty one may have no address */
            memcpy(join + n, (const char *)v[i].iov_base + sent, piece);
        n += piece;
    }
    return slice_of(join, n);
}

enum io tls_write(struct tls_session *t, const struct iovec *v, int count, size_t *ret_n)
{
    size_t sent = 0, done;
    enum io io = IO_AGAIN;

    if (UNLIKELY(t->state != TLS_UP || t->broken))
        return t->broken ? IO_ERROR : IO_AGAIN;
    no_old_errors();
    t->write_needs_read = false;
    while (sent < TLS_TURN_BYTES) {
        struct slice record = next_record(t, v, count, sent);

        if (record.n == 0)
            break;
        errno = 0;
        if (SSL_write_ex(t->ssl, record.p, record.n, &done) != 1) {
            io = outcome(t, errno, false);
            break;
        }
        sent += done;
    }
    if (sent > 0) {
        *ret_n = sent;
        return IO_OK;
    }
    return io == IO_EOF ? broken(t) : io;
}
