/* tls_trouble.c - what went wrong with TLS, as a sentence that says what to look at.
 *
 * A certificate that does not please is judged in the verify callback, while it can be looked at;
 * the rest comes from the reason codes of OpenSSL's error queue. "it" in a sentence is the peer,
 * whom the line before it names. Names in a certificate are the peer's words: only what is visible
 * of them gets into the log, and not much. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "net/tls_inside.h"

#define NAME_CHARS 64u

struct name {
    char text[NAME_CHARS + 1];
};

static void add_visible(struct name *name, const unsigned char *p, size_t n)
{
    size_t at = strlen(name->text);

    for (size_t i = 0; i < n && at < NAME_CHARS; i++)
        name->text[at++] = p[i] > ' ' && p[i] < 0x7f ? (char)p[i] : '?';
    name->text[at] = 0;
}

static struct name common_name(const X509_NAME *of)
{
    struct name name = {"?"};
    int at = X509_NAME_get_index_by_NID(of, NID_commonName, -1);
    const ASN1_STRING *s;

    if (at < 0)
        return name;
    s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(of, at));
    name.text[0] = 0;
    add_visible(&name, ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
    return name;
}

/* The first name that the certificate is for. */
static struct name first_name(const X509 *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    struct name name = {""};

    for (int i = 0; i < sk_GENERAL_NAME_num(names) && name.text[0] == 0; i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);

        if (one->type == GEN_DNS)
            add_visible(&name, ASN1_STRING_get0_data(one->d.dNSName),
                        (size_t)ASN1_STRING_length(one->d.dNSName));
    }
    GENERAL_NAMES_free(names);
    return name.text[0] != 0 ? name : common_name(X509_get_subject_name(certificate));
}

/* Whom it should have named. */
static const char *expected(const struct tls_session *t)
{
    const char *sni = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);

    if (sni != NULL)
        return sni;
    return t->context->server_name[0] != 0 ? t->context->server_name : t->host;
}

static const char *authorities(const struct tls_context *c)
{
    if (c->server)
        return "tls_client_ca";
    return c->own_authorities ? "tls_ca" : "the system's store (tls_ca is not set)";
}

static void tell_date(struct tls_session *t, const char *what, const X509 *of,
                      const ASN1_TIME *(*when)(const X509 *x))
{
    struct tm tm = {0};

    if (of != NULL)
        (void)ASN1_TIME_to_tm(when(of), &tm);
    (void)snprintf(t->trouble, sizeof t->trouble, "TLS: %s %04d-%02d-%02d %02d:%02d UTC", what,
                   tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min);
}

static void tell_other_name(struct tls_session *t, const X509 *leaf)
{
    (void)snprintf(t->trouble, sizeof t->trouble,
                   "TLS: its certificate is for %s and not for %s (tls_server_name says whom to "
                   "expect)",
                   first_name(leaf).text, expected(t));
}

int tls_judge(int ok, X509_STORE_CTX *judged)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(judged, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *t = SSL_get_app_data(ssl);
    const X509 *bad = X509_STORE_CTX_get_current_cert(judged);
    int error = X509_STORE_CTX_get_error(judged);
    bool leaf = X509_STORE_CTX_get_error_depth(judged) == 0;

    if (ok == 1)
        return 1;
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        tell_date(t, leaf ? "its certificate has expired," : "an authority of its has expired,",
                  bad, X509_get0_notAfter);
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        tell_date(t, "its certificate is valid only from", bad, X509_get0_notBefore);
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        (void)snprintf(t->trouble, sizeof t->trouble,
                       "TLS: its certificate is self-signed, and not in %s",
                       authorities(t->context));
        break;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        (void)snprintf(t->trouble, sizeof t->trouble,
                       "TLS: its certificate is of an unknown authority, %s, which is not in %s",
                       bad != NULL ? common_name(X509_get_issuer_name(bad)).text : "?",
                       authorities(t->context));
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        tell_other_name(t, X509_STORE_CTX_get0_cert(judged));
        break;
    default: /* an int of OpenSSL's, of which there are a hundred */
        (void)snprintf(t->trouble, sizeof t->trouble, "TLS: its certificate is bad: %s",
                       X509_verify_cert_error_string(error));
    }
    return 0;
}

/* ---- the error queue ---- */

/* NULL: OpenSSL's own words. */
static const char *of_both(int reason)
{
    switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        return "its protocol is too old: it speaks no TLS newer than 1.1";
    case SSL_R_NO_SHARED_CIPHER:
        return "there is no cipher that both accept";
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        return "it closed the connection";
    default:
        return NULL;
    }
}

static const char *of_client(int reason)
{
    switch (reason) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        return "it speaks plain text, and this port is for TLS";
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return "it shows no client certificate, and tls_client_ca asks for one";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        return "it does not know the authority of the listener's certificate (tls_cert)";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
        return "it refuses the listener's certificate (tls_cert)";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        return "it says that the listener's certificate (tls_cert) has expired";
    default:
        return of_both(reason);
    }
}

static const char *of_upstream(int reason)
{
    switch (reason) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
        return "what answers there speaks plain text: is it a port for TLS?";
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        return "it asks for a client certificate: set tls_cert and tls_key";
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        return "it refuses the handshake: perhaps it asks for a client certificate (tls_cert), or "
               "knows no cipher that larder does";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        return "it does not know the authority of larder's certificate (tls_cert)";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
        return "it refuses larder's certificate (tls_cert)";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        return "it says that larder's certificate (tls_cert) has expired";
    default:
        return of_both(reason);
    }
}

void tls_tell_failure(struct tls_session *t, unsigned long error)
{
    int reason = ERR_GET_REASON(error);
    const char *words;

    /* tls_judge() has said why, and better. */
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && t->trouble[0] != 0)
        return;
    words = t->context->server ? of_client(reason) : of_upstream(reason);
    if (words == NULL)
        words = ERR_reason_error_string(error);
    (void)snprintf(t->trouble, sizeof t->trouble, "TLS: %s", words != NULL ? words : "it failed");
}

/* ---- files ---- */

static const char *of_file(unsigned long error)
{
    int reason = ERR_GET_REASON(error);

    if (ERR_SYSTEM_ERROR(error))
        return strerror(reason);
    if (ERR_GET_LIB(error) == ERR_LIB_X509 && reason == X509_R_KEY_VALUES_MISMATCH)
        return "it does not belong to tls_cert";
    if (ERR_GET_LIB(error) == ERR_LIB_X509 && reason == X509_R_KEY_TYPE_MISMATCH)
        return "it does not belong to tls_cert";
    if (ERR_GET_LIB(error) == ERR_LIB_PEM &&
        (reason == PEM_R_BAD_PASSWORD_READ || reason == PEM_R_PROBLEMS_GETTING_PASSWORD))
        return "it has a password, which larder cannot ask for";
    return NULL;
}

void tls_tell_file(struct buffer *out, const char *section, const char *setting, const char *path)
{
    unsigned long first = ERR_peek_error(), e;
    const char *words = NULL;

    /* The first that says something; the later ones say where it came through. */
    while (words == NULL && (e = ERR_get_error()) != 0)
        words = of_file(e);
    /* "ee key too small"; those of the other libraries say how it could not be read. */
    if (words == NULL && ERR_GET_LIB(first) == ERR_LIB_SSL)
        words = ERR_reason_error_string(first);
    if (words == NULL)
        words = strcmp(setting, "tls_key") == 0 ? "there is no private key (PEM) in it"
                                                : "there is no certificate (PEM) in it";
    buffer_printf(out, "[%s] %s: %s: %s\n", section, setting, path, words);
    ERR_clear_error();
}
