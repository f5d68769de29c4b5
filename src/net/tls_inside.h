/* tls_inside.h - what the files of TLS share: the context, the session, and the words for what goes
 * wrong. Nobody else includes it, but stream.c. */
#ifndef LARDER_NET_TLS_INSIDE_H
#define LARDER_NET_TLS_INSIDE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/loop.h"
#include "net/stream.h"
#include "net/tls.h"

#define TLS_RECORD_BYTES 16384u         /* RFC 8446, 5.1: the most that one record carries */
#define TLS_TURN_BYTES   (256u * 1024u) /* written in one call, so that the others get their turn */
#define TLS_SESSIONS     16u            /* kept to be resumed: a TLS 1.3 one is good for once */
#define TLS_TROUBLE      256u

#define TLS_COUNTERS(X)                                                                            \
    X(upstream_handshakes, TOTAL, "TLS handshakes with the upstream that went well")               \
    X(upstream_resumed, TOTAL, ".. that resumed an earlier session, without certificates")         \
    X(upstream_failures, TOTAL, "TLS handshakes with the upstream that failed")                    \
    X(sentinel_handshakes, TOTAL, "TLS handshakes with Sentinels that went well")                  \
    X(sentinel_resumed, TOTAL, ".. that resumed an earlier session, without certificates")         \
    X(sentinel_failures, TOTAL, "TLS handshakes with Sentinels that failed")                       \
    X(client_handshakes, TOTAL, "TLS handshakes with clients that went well")                      \
    X(client_resumed, TOTAL, ".. that resumed an earlier session, without certificates")           \
    X(client_failures, TOTAL, "TLS handshakes with clients that failed")

/* One of a certificate that the settings have no place for is left out, for 0 means: expired. */
#define TLS_EXPIRIES(X)                                                                            \
    X(listener_seconds_left, LEVEL, "until the first certificate of a listener expires")           \
    X(own_seconds_left, LEVEL, "until the certificate expires that larder shows the upstream")     \
    X(upstream_seconds_left, LEVEL,                                                                \
      "until the upstream's certificate expires, as last seen; 0 also while none has been seen")   \
    X(sentinel_seconds_left, LEVEL, "the same of the Sentinel that was connected to last")

struct tls_counts {
    TLS_COUNTERS(COUNTER_FIELD)
    TLS_EXPIRIES(COUNTER_FIELD)
};

enum tls_side { TLS_UPSTREAM, TLS_SENTINELS, TLS_CLIENTS };

/* Where the handshakes of a side are counted: three of struct tls_counts. */
struct tls_tally {
    uint64_t *handshakes, *resumed, *failures;
};

/* A session that may be resumed with the host that it was made with; `host` is its own. */
struct tls_kept {
    SSL_SESSION *session;
    char *host;
};

/* What one side of TLS is made with. Streams keep it alive. */
struct tls_context {
    uint32_t refs;
    SSL_CTX *ssl;
    struct tls_tally tally;
    int64_t *peer_expires; /* where to note when the upstream's certificate expires */
    int64_t expires;       /* its own certificate, in Unix seconds; 0: it has none */
    bool server, verify;
    bool own_authorities;               /* of tls_ca, not of the system */
    char *server_name;                  /* tls_server_name; "" */
    struct tls_kept kept[TLS_SESSIONS]; /* the oldest first */
    size_t kept_count;
    char *join; /* TLS_RECORD_BYTES, where small pieces become one record */
};

enum tls_state {
    TLS_CONNECTING, /* TCP is not up yet */
    TLS_SHAKING,
    TLS_UP,
    TLS_FAILED, /* in its handshake: `trouble` */
};

/* TLS on one stream. */
struct tls_session {
    SSL *ssl;
    struct tls_context *context;
    char *host; /* whom it is connected to; NULL of a client's */
    struct loop *loop;
    struct loop_reminder reminder; /* of bytes that the socket no longer tells of */
    uint8_t state;                 /* enum tls_state */
    uint8_t needs;                 /* of a handshake under way: WANT_READ or WANT_WRITE */
    bool read_needs_write;         /* reading goes on when the socket can be written */
    bool write_needs_read;
    bool more;   /* there may be bytes in `ssl` that the last read had no room for */
    bool broken; /* nothing can be read or written any more */
    char trouble[TLS_TROUBLE];
};

/* tls_context.c */
/* Towards the upstream or, as `side` says, the Sentinels that say where it is. */
MUST_USE
struct tls_context *tls_context_upstream(struct tls_counts *count, enum tls_side side,
                                         const struct upstream_settings *set,
                                         struct buffer *errors);
MUST_USE
struct tls_context *tls_context_listener(struct tls_counts *count,
                                         const struct listener_settings *set,
                                         struct buffer *errors);
void tls_context_release(struct tls_context *c);
/* A session that has not been resumed yet, or NULL; one of TLS 1.3 is given once. */
MUST_USE
SSL_SESSION *tls_context_session(struct tls_context *c, const char *host);
/* In Unix seconds. */
MUST_USE
int64_t tls_expiry(const X509 *certificate);

/* tls_session.c: fd is borrowed. host: whom the upstream's certificate must name, unless the
 * settings say otherwise; NULL for a client. */
MUST_USE
struct tls_session *tls_session_new(struct tls_context *c, struct loop *loop, int fd,
                                    const char *host);
/* Says goodbye to the peer where that is still possible. */
void tls_session_free(struct tls_session *t);
/* Goes on with it as far as the socket allows. IO_OK: it is up; IO_AGAIN: see `needs`. */
MUST_USE
enum io tls_shake(struct tls_session *t);
/* TCP did not come up. */
void tls_unreached(struct tls_session *t, int error);
/* As stream_read() and stream_writev(). all: until the socket has nothing left. */
MUST_USE
enum io tls_read(struct tls_session *t, char *room, size_t n, bool all, size_t *ret_n);
MUST_USE
enum io tls_write(struct tls_session *t, const struct iovec *v, int count, size_t *ret_n);

/* tls_trouble.c: what happened, as a sentence. */
int tls_judge(int ok, X509_STORE_CTX *judged); /* the verify callback: the peer's certificate */
void tls_tell_failure(struct tls_session *t, unsigned long error);
/* .. of reading a file: "tls_key: /path: does not belong to tls_cert". */
void tls_tell_file(struct buffer *out, const char *section, const char *setting, const char *path);

#endif
