/* service.h - the service manager's protocols: notifications and passed sockets.
 *
 * Both are plain: datagrams to $NOTIFY_SOCKET (sd_notify(3)) and descriptors from 3 on with
 * $LISTEN_FDS (sd_listen_fds(3)), so libsystemd is not needed. Without a manager all of it does
 * nothing. */
#ifndef LARDER_NET_SERVICE_H
#define LARDER_NET_SERVICE_H

#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "config/settings.h"

/* Sends lines such as "READY=1\nSTATUS=..."; nothing happens without $NOTIFY_SOCKET. */
void service_notify(const char *format, ...) PRINTF(1, 2);

/* RELOADING=1 with the MONOTONIC_USEC that Type=notify-reload wants. */
void service_notify_reloading(void);

/* Half of $WATCHDOG_USEC in ms if it is meant for this process, else 0. */
MUST_USE
uint64_t service_watchdog_ms(void);

/* How many sockets were passed to this process (fds 3 .. 3+n-1). */
MUST_USE
size_t service_listen_fds(void);

/* The one of them that the manager calls `name` (FileDescriptorName=); -1 when none is. */
MUST_USE
int service_listen_fd_named(const char *name);

/* The one for listener i of the settings: by its name, else the next that no listener has by name;
 * -1: none. *next counts through the latter, from 0. */
MUST_USE
int service_listener_fd(const struct settings *s, size_t i, size_t *next);

#endif
