/* tls_context.c - what one side of TLS is made with: versions, certificate and key, authorities;
 * and, towards the upstream, the sessions that can be resumed.
 *
 * OpenSSL's defaults are not safe by themselves: nobody is verified, a key with a password asks for
 * it on the terminal, a peer may renegotiate for ever. What is set here is the difference. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/tls_inside.h"

/* A key's password would be asked for on the terminal of a daemon. */
static int no_password(char *room, int n, int writing, void *context)
{
    (void)room;
    (void)n;
    (void)writing;
    (void)context;
    return -1;
}

static void forget(struct tls_context *c, size_t i)
{
    SSL_SESSION_free(c->kept[i].session);
    free(c->kept[i].host);
    c->kept_count--;
    memmove(c->kept + i, c->kept + i + 1, (c->kept_count - i) * sizeof c->kept[0]);
}

/* The peer has given a session to be resumed. 1: we keep the reference. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    const struct tls_session *t = SSL_get_app_data(ssl);
    struct tls_context *c = t->context;

    if (c->kept_count == TLS_SESSIONS)
        forget(c, 0);
    c->kept[c->kept_count++] = (struct tls_kept){session, must_strdup(t->host)};
    return 1;
}

SSL_SESSION *tls_context_session(struct tls_context *c, const char *host)
{
    SSL_SESSION *session;
    size_t i = c->kept_count;

    while (i > 0 && strcmp(c->kept[i - 1].host, host) != 0)
        i--;
    if (i-- == 0)
        return NULL;
    session = c->kept[i].session;
    CHECK(SSL_SESSION_up_ref(session) == 1);
    /* Of TLS 1.3 each is for one connection: who sees two of them would know them for one client
     * (RFC 8446, C.4). */
    if (SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION)
        forget(c, i);
    return session;
}

static struct tls_tally tally_of(struct tls_counts *n, enum tls_side side)
{
    switch (side) {
    case TLS_UPSTREAM:
        return (struct tls_tally){&n->upstream_handshakes, &n->upstream_resumed,
                                  &n->upstream_failures};
    case TLS_SENTINELS:
        return (struct tls_tally){&n->sentinel_handshakes, &n->sentinel_resumed,
                                  &n->sentinel_failures};
    case TLS_CLIENTS:
        break;
    }
    return (struct tls_tally){&n->client_handshakes, &n->client_resumed, &n->client_failures};
}

static struct tls_context *context_new(struct tls_counts *count, enum tls_side side)
{
    bool server = side == TLS_CLIENTS;
    struct tls_context *c = must_calloc(1, sizeof *c);
    SSL_CTX *ssl = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());

    CHECK(ssl != NULL);
    *c = (struct tls_context){.refs = 1,
                              .ssl = ssl,
                              .tally = tally_of(count, side),
                              .server = server,
                              .join = must_alloc(TLS_RECORD_BYTES)};
    CHECK(SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1);
    /* An end without close_notify is the end of a stream: RESP's own framing tells what is cut. */
    (void)SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                       SSL_OP_IGNORE_UNEXPECTED_EOF);
    (void)SSL_CTX_set_mode(ssl,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* An idle connection keeps nothing: 34 KB each, of thousands of clients. */
    if (server)
        (void)SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    /* One system call for a record, not two: its length first, and then itself. */
    SSL_CTX_set_read_ahead(ssl, 1);
    SSL_CTX_set_default_passwd_cb(ssl, no_password);
    return c;
}

void tls_context_release(struct tls_context *c)
{
    if (c == NULL || --c->refs > 0)
        return;
    while (c->kept_count > 0)
        forget(c, c->kept_count - 1);
    SSL_CTX_free(c->ssl);
    free(c->server_name);
    free(c->join);
    free(c);
}

int64_t tls_expiry(const X509 *certificate)
{
    struct tm tm;

    if (certificate == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm) != 1)
        return 0;
    return (int64_t)timegm(&tm);
}

/* Certificate, chain and key. */
static void use_certificate(struct tls_context *c, const char *section, const char *cert,
                            const char *key, struct buffer *errors)
{
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(c->ssl, cert) != 1)
        tls_tell_file(errors, section, "tls_cert", cert);
    else if (SSL_CTX_use_PrivateKey_file(c->ssl, key, SSL_FILETYPE_PEM) != 1 ||
             SSL_CTX_check_private_key(c->ssl) != 1)
        tls_tell_file(errors, section, "tls_key", key);
    else
        c->expires = tls_expiry(SSL_CTX_get0_certificate(c->ssl));
}

/* Whom an authority in the file vouches for, be it only one in the middle of a chain. */
static bool use_authorities(struct tls_context *c, const char *path)
{
    ERR_clear_error();
    if (SSL_CTX_load_verify_file(c->ssl, path) != 1)
        return false;
    (void)X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(c->ssl), X509_V_FLAG_PARTIAL_CHAIN);
    c->own_authorities = true;
    return true;
}

/* NULL when there are new errors. */
static struct tls_context *unless_wrong(struct tls_context *c, const struct buffer *errors,
                                        size_t before)
{
    if (buffer_len(errors) == before)
        return c;
    tls_context_release(c);
    return NULL;
}

struct tls_context *tls_context_upstream(struct tls_counts *count, enum tls_side side,
                                         const struct upstream_settings *set, struct buffer *errors)
{
    struct tls_context *c = context_new(count, side);
    size_t before = buffer_len(errors);

    c->verify = set->tls_verify;
    c->server_name = must_strdup(set->tls_server_name);
    if (set->tls_ca[0] == 0)
        (void)SSL_CTX_set_default_verify_paths(c->ssl);
    else if (!use_authorities(c, set->tls_ca))
        tls_tell_file(errors, "upstream", "tls_ca", set->tls_ca);
    if (set->tls_cert[0] != 0)
        use_certificate(c, "upstream", set->tls_cert, set->tls_key, errors);
    if (c->verify)
        SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER, tls_judge);
    else
        SSL_CTX_set_verify(c->ssl, SSL_VERIFY_NONE, NULL);
    (void)SSL_CTX_set_session_cache_mode(c->ssl,
                                         SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(c->ssl, on_new_session);
    return unless_wrong(c, errors, before);
}

/* Every client must be vouched for by one of these. */
static void ask_for_certificates(struct tls_context *c, const char *section, const char *path,
                                 struct buffer *errors)
{
    STACK_OF(X509_NAME) *names = NULL;

    if (!use_authorities(c, path) || (names = SSL_load_client_CA_file(path)) == NULL) {
        tls_tell_file(errors, section, "tls_client_ca", path);
        return;
    }
    SSL_CTX_set_client_CA_list(c->ssl, names); /* which owns them now */
    c->verify = true;
    SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, tls_judge);
}

struct tls_context *tls_context_listener(struct tls_counts *count,
                                         const struct listener_settings *set, struct buffer *errors)
{
    static const unsigned char id[] = "larder";
    struct tls_context *c = context_new(count, TLS_CLIENTS);
    struct buffer section = {0};
    size_t before = buffer_len(errors);

    buffer_printf(&section, "listener %s%c", set->name, 0);
    c->server_name = must_strdup("");
    use_certificate(c, buffer_head(&section), set->tls_cert, set->tls_key, errors);
    if (set->tls_client_ca[0] != 0)
        ask_for_certificates(c, buffer_head(&section), set->tls_client_ca, errors);
    /* Clients resume with tickets, which only they keep. Without an id of its own OpenSSL refuses
     * to resume where it has asked for a certificate. */
    (void)SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
    CHECK(SSL_CTX_set_session_id_context(c->ssl, id, sizeof id - 1) == 1);
    buffer_done(&section);
    return unless_wrong(c, errors, before);
}
