/* tls.h - the certificates in force, and what is counted of TLS.
 *
 * One struct tls holds a context for the upstream, one for the Sentinels, and one for each listener
 * that has a certificate.
 * A reload makes all of them anew and puts them in place together, or, when one cannot be made,
 * leaves all as they were; connections go on with the context they began with.
 *
 * stream.h carries the bytes: stream_secure(). */
#ifndef LARDER_NET_TLS_H
#define LARDER_NET_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/counters.h"
#include "config/settings.h"

struct tls;
struct tls_context;

/* Without certificates: every context is NULL until tls_settle(). The caller owns it, and it must
 * outlive every stream that was secured by it. */
MUST_USE
struct tls *tls_new(void);
void tls_free(struct tls *t);

/* Reads all files that the settings name. False, and nothing has changed, when one is not what it
 * should be: a line for each in *errors. What an operator should know besides, such as that a
 * certificate is about to expire, a line each in *notes. The settings are not kept. */
MUST_USE
bool tls_settle(struct tls *t, const struct settings *settings, struct buffer *errors,
                struct buffer *notes);

/* For stream_secure(); NULL: plain. They live until the next tls_settle(). */
struct tls_context *tls_for_upstream(const struct tls *t);
struct tls_context *tls_for_sentinels(const struct tls *t);
struct tls_context *tls_for_listener(const struct tls *t, const char *name);

/* Is anything of it in use? Where not, there is nothing to count. */
MUST_USE
bool tls_in_use(const struct tls *t);
MUST_USE
struct counter_set tls_counters(struct tls *t);

/* Asks a TLS listener on the connected, blocking socket fd for `request`, without caring who it is:
 * for the health check. True when it has answered, be it with a refusal in TLS's own words; then
 * *ret_n bytes of the reply are in `reply`, 0 of a refusal. */
MUST_USE
bool tls_probe(int fd, const char *request, char *reply, size_t room, size_t *ret_n);

#endif
