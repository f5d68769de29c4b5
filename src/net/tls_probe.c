/* tls_probe.c - a client of TLS for a moment, on a blocking socket: for the health check, which
 * asks whether somebody is there, not who. */
#include <openssl/err.h>
#include <string.h>

#include "net/tls_inside.h"

/* An alert is an answer as well: somebody speaks TLS there, and refuses. */
static bool refused(void)
{
    unsigned long error = ERR_peek_last_error();

    return ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) >= SSL_AD_REASON_OFFSET &&
           ERR_GET_REASON(error) <= SSL_AD_REASON_OFFSET + 255;
}

bool tls_probe(int fd, const char *request, char *reply, size_t room, size_t *ret_n)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = context != NULL ? SSL_new(context) : NULL;
    size_t written, got = 0;
    bool answered = false;

    ERR_clear_error();
    if (ssl != NULL && SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1 &&
        SSL_write_ex(ssl, request, strlen(request), &written) == 1 &&
        SSL_read_ex(ssl, reply, room, &got) == 1)
        answered = true;
    else
        answered = refused();
    if (answered)
        *ret_n = got;
    ERR_clear_error();
    SSL_free(ssl);
    SSL_CTX_free(context);
    return answered;
}
