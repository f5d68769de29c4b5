/* address.h - socket addresses: from settings, and as text. */
#ifndef LARDER_NET_ADDRESS_H
#define LARDER_NET_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/check.h"
#include "config/settings.h"

#define ADDRESS_TEXT 128 /* room for address_text() */

struct sock_address {
    struct sockaddr_storage storage;
    socklen_t len;
};

/* True when no name has to be looked up: a number or a Unix path. An empty host or `*` is any
 * address. */
MUST_USE
bool address_numeric(const struct address *a, struct sock_address *ret);

/* The same socket address: family, number and port, or path. */
MUST_USE
bool address_same(const struct sock_address *a, const struct sock_address *b);

/* host:port, [v6]:port, or the path of a Unix socket; "?" when it has none. */
void address_text(const struct sock_address *a, char *text, size_t room);
void address_of_peer(int fd, char *text, size_t room);
void address_of_self(int fd, char *text, size_t room);

/* As the settings have it. */
void address_setting_text(const struct address *a, char *text, size_t room);

#endif
