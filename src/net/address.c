/* address.c - see address.h. */
#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static bool unix_address(const char *path, struct sock_address *ret)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&ret->storage;
    size_t n = strlen(path);

    if (n >= sizeof un->sun_path)
        return false;
    *ret = (struct sock_address){.len = sizeof *un};
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, n + 1);
    return true;
}

bool address_numeric(const struct address *a, struct sock_address *ret)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(a->port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};

    if (a->path != NULL)
        return unix_address(a->path, ret);
    if (a->host == NULL || a->host[0] == 0 || strcmp(a->host, "*") == 0) {
        in.sin_addr.s_addr = htonl(INADDR_ANY);
    } else if (inet_pton(AF_INET, a->host, &in.sin_addr) != 1) {
        if (inet_pton(AF_INET6, a->host, &in6.sin6_addr) != 1)
            return false;
        *ret = (struct sock_address){.len = sizeof in6};
        memcpy(&ret->storage, &in6, sizeof in6);
        return true;
    }
    *ret = (struct sock_address){.len = sizeof in};
    memcpy(&ret->storage, &in, sizeof in);
    return true;
}

void address_text(const struct sock_address *a, char *text, size_t room)
{
    char host[INET6_ADDRSTRLEN] = "?";

    switch (a->storage.ss_family) {
    case AF_INET: {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&a->storage;

        (void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        (void)snprintf(text, room, "%s:%u", host, (unsigned)ntohs(in->sin_port));
        return;
    }
    case AF_INET6: {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a->storage;

        (void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        (void)snprintf(text, room, "[%s]:%u", host, (unsigned)ntohs(in6->sin6_port));
        return;
    }
    case AF_UNIX: {
        const struct sockaddr_un *un = (const struct sockaddr_un *)&a->storage;
        bool named = a->len > offsetof(struct sockaddr_un, sun_path) && un->sun_path[0] != 0;

        (void)snprintf(text, room, "%s:0", named ? un->sun_path : "unix");
        return;
    }
    default:
        (void)snprintf(text, room, "?:0");
    }
}

bool address_same(const struct sock_address *a, const struct sock_address *b)
{
    if (a->storage.ss_family != b->storage.ss_family)
        return false;
    switch (a->storage.ss_family) {
    case AF_INET: {
        const struct sockaddr_in *x = (const struct sockaddr_in *)&a->storage;
        const struct sockaddr_in *y = (const struct sockaddr_in *)&b->storage;

        return x->sin_port == y->sin_port && x->sin_addr.s_addr == y->sin_addr.s_addr;
    }
    case AF_INET6: {
        const struct sockaddr_in6 *x = (const struct sockaddr_in6 *)&a->storage;
        const struct sockaddr_in6 *y = (const struct sockaddr_in6 *)&b->storage;

        return x->sin6_port == y->sin6_port && x->sin6_scope_id == y->sin6_scope_id &&
               memcmp(&x->sin6_addr, &y->sin6_addr, sizeof x->sin6_addr) == 0;
    }
    case AF_UNIX:
        return strcmp(((const struct sockaddr_un *)&a->storage)->sun_path,
                      ((const struct sockaddr_un *)&b->storage)->sun_path) == 0;
    default:
        return false;
    }
}

void address_of_peer(int fd, char *text, size_t room)
{
    struct sock_address a = {.len = sizeof a.storage};

    if (getpeername(fd, (struct sockaddr *)&a.storage, &a.len) != 0)
        a.storage.ss_family = AF_UNSPEC;
    /* The peer of a Unix socket has no name of its own; Redis shows the path it came by. */
    if (a.storage.ss_family == AF_UNIX) {
        address_of_self(fd, text, room);
        return;
    }
    address_text(&a, text, room);
}

void address_of_self(int fd, char *text, size_t room)
{
    struct sock_address a = {.len = sizeof a.storage};

    if (getsockname(fd, (struct sockaddr *)&a.storage, &a.len) != 0)
        a.storage.ss_family = AF_UNSPEC;
    address_text(&a, text, room);
}

void address_setting_text(const struct address *a, char *text, size_t room)
{
    if (a->path != NULL)
        (void)snprintf(text, room, "unix:%s", a->path);
    else if (a->host != NULL && strchr(a->host, ':') != NULL)
        (void)snprintf(text, room, "[%s]:%u", a->host, a->port);
    else
        (void)snprintf(text, room, "%s:%u", a->host ? a->host : "", a->port);
}
