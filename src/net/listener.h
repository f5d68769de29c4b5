/* listener.h - a socket that clients connect to. */
#ifndef LARDER_NET_LISTENER_H
#define LARDER_NET_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "config/settings.h"

struct listener;
struct loop;
struct tls;
struct tls_context;

struct listener_events {
    /* A new connection: fd is non-blocking, close-on-exec, and now the callee's. */
    void (*accepted)(void *context, struct listener *l, int fd, bool is_unix);
    /* Descriptors ran out (EMFILE, ENFILE): accepting pauses for LISTENER_PAUSE_MS. */
    void (*exhausted)(void *context);
    void *context;
};

/* Binds and listens as the settings say (both borrowed for the listener's life). fd >= 0 is a
 * socket that listens already (socket activation); then only the events are attached. NULL with one
 * line in *error when it cannot be. The caller owns it: listener_close(). */
MUST_USE
struct listener *listener_open(struct loop *loop, const struct listener_settings *settings, int fd,
                               const struct listener_events *events, struct buffer *error);

/* Stops listening; what the settings say of it can still be asked. */
void listener_stop(struct listener *l);

/* Stops listening and frees; a Unix socket's file is removed, unless it was passed in. */
void listener_close(struct listener *l);

const struct listener_settings *listener_settings(const struct listener *l);
/* After a reload: the settings of the same name in the new configuration. */
void listener_resettle(struct listener *l, const struct listener_settings *settings);
/* The certificates, among which its own is, if it has one; borrowed. */
void listener_secure(struct listener *l, const struct tls *tls);
/* For stream_secure(), with the certificate now in force; NULL: its clients speak plain. */
struct tls_context *listener_tls(const struct listener *l);
/* Where it listens, as text; for port 0 the port it got. */
void listener_text(const struct listener *l, char *text, size_t room);

#endif
