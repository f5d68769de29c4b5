/* healthcheck.c - see healthcheck.h: a client for a moment, for containers without a shell. */
#include "admin/healthcheck.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/settings.h"
#include "net/address.h"
#include "net/tls.h"

/* Waits up to a second for the descriptor. */
static bool ready(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};

    return poll(&p, 1, 1000) == 1 && (p.revents & (POLLERR | POLLNVAL)) == 0;
}

/* A listener on every address is asked on loopback. */
static struct address reachable(const struct address *a)
{
    struct address to = *a;

    if (to.path == NULL && (to.host == NULL || to.host[0] == 0 || strcmp(to.host, "*") == 0 ||
                            strcmp(to.host, "0.0.0.0") == 0))
        to.host = "127.0.0.1";
    if (to.host != NULL && strcmp(to.host, "::") == 0)
        to.host = "::1";
    return to;
}

static const char request[] = "ECHO larder\r\n";

static bool is_answer(const char *reply, size_t n)
{
    return n > 5 && (memcmp(reply, "$6\r\nl", 5) == 0 || memcmp(reply, "-NOAUTH", 5) == 0);
}

static bool answers(int fd)
{
    char reply[64];
    ssize_t n;

    if (write(fd, request, sizeof request - 1) != (ssize_t)sizeof request - 1 || !ready(fd, POLLIN))
        return false;
    n = read(fd, reply, sizeof reply);
    return n > 0 && is_answer(reply, (size_t)n);
}

/* One that wants a client certificate and is shown none is well, too: it has said so. */
static bool answers_tls(int fd)
{
    struct timeval most = {.tv_sec = 1};
    char reply[64];
    size_t n = 0;

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
    return tls_probe(fd, request, reply, sizeof reply, &n) && (n == 0 || is_answer(reply, n));
}

/* ECHO is larder's to answer, however the upstream is. One that wants a password is well, too. */
int healthcheck(const struct settings *s)
{
    struct address to = reachable(&s->listeners[0].address);
    struct sock_address a;
    int fd = -1, rc = 1;

    if (address_numeric(&to, &a))
        fd = socket(a.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a.storage, a.len) == 0)
        rc = (s->listeners[0].tls_cert[0] != 0 ? answers_tls(fd) : answers(fd)) ? 0 : 1;
    if (rc != 0)
        fprintf(stderr, "larder: no answer on the listener '%s'\n", s->listeners[0].name);
    if (fd >= 0)
        (void)close(fd);
    return rc;
}
