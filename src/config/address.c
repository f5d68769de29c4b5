/* address.c - see address.h. Strict, because what it lets through fails much later, at a bind or a
 * connect, where nobody knows the line any more. */
#include "config/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "config/bounds.h"
#include "config/units.h"

static const char *read_unix(struct slice path, struct pool *pool, struct address *ret);
static bool split(struct slice s, struct slice *ret_host, struct slice *ret_port);
static bool is_v6(struct slice host);
static bool is_name(struct slice host);

const char *address_read(struct slice s, bool listens, struct pool *pool, struct address *ret)
{
    struct slice host, port;
    uint64_t number;

    if (slice_starts(s, SLICE("unix:")))
        return read_unix(slice_of(s.p + 5, s.n - 5), pool, ret);
    if (!split(s, &host, &port))
        return "write host:port, [IPv6]:port or unix:/path";
    if (!unit_count(port, &number) || number > UINT16_MAX || (number == 0 && !listens))
        return listens ? "the port must be 0..65535" : "the port must be 1..65535";
    if (host.n > 0 && *host.p == '[') {
        host = slice_of(host.p + 1, host.n - 2);
        if (!is_v6(host))
            return "what is in brackets is no IPv6 address";
    } else if (host.n == 0) {
        host = listens ? SLICE("0.0.0.0") : SLICE("127.0.0.1");
    } else if (memchr(host.p, ':', host.n)) {
        return "an IPv6 address needs brackets: [::1]:6379";
    } else if (!is_name(host)) {
        return "a host is a name of letters, digits, - . and _, or a number";
    }
    *ret = (struct address){.host = pool_string(pool, host), .port = (uint16_t)number};
    return NULL;
}

void address_show(struct buffer *out, const struct address *a)
{
    if (a->path)
        buffer_printf(out, "unix:%s", a->path);
    else if (strchr(a->host, ':'))
        buffer_printf(out, "[%s]:%u", a->host, a->port);
    else
        buffer_printf(out, "%s:%u", a->host, a->port);
}

bool address_equal(const struct address *a, const struct address *b)
{
    if (a->path || b->path)
        return a->path && b->path && strcmp(a->path, b->path) == 0;
    return a->port == b->port && strcasecmp(a->host, b->host) == 0;
}

static const char *read_unix(struct slice path, struct pool *pool, struct address *ret)
{
    if (path.n == 0 || *path.p != '/')
        return "the path of a Unix socket must be absolute: unix:/run/larder/larder.sock";
    if (path.n >= UNIX_PATH_BYTES)
        return "the path of a Unix socket must be shorter than 108 bytes";
    if (path.p[path.n - 1] == '/')
        return "the path of a Unix socket must not end in /";
    *ret = (struct address){.path = pool_string(pool, path)};
    return NULL;
}

/* At the last colon behind the bracket, if there is one; the host keeps its brackets. */
static bool split(struct slice s, struct slice *ret_host, struct slice *ret_port)
{
    const char *colon = s.n > 0 ? memrchr(s.p, ':', s.n) : NULL;
    size_t n;

    if (colon == NULL)
        return false;
    n = (size_t)(colon - s.p);
    if (*s.p == '[' && (n < 2 || s.p[n - 1] != ']'))
        return false;
    *ret_host = slice_of(s.p, n);
    *ret_port = slice_of(colon + 1, s.n - n - 1);
    return true;
}

/* With a zone, as in fe80::1%eth0, where link-local addresses need one. */
static bool is_v6(struct slice host)
{
    const char *zone = memchr(host.p, '%', host.n);
    size_t n = zone ? (size_t)(zone - host.p) : host.n;
    char text[INET6_ADDRSTRLEN];
    struct in6_addr ignored;

    if (n >= sizeof(text) || (zone && !is_name(slice_of(zone + 1, host.n - n - 1))))
        return false;
    memcpy(text, host.p, n);
    text[n] = 0;
    return inet_pton(AF_INET6, text, &ignored) == 1;
}

static bool is_name(struct slice host)
{
    if (host.n == 0 || host.n > HOST_CHARS)
        return false;
    for (size_t i = 0; i < host.n; i++) {
        if (!isalnum((unsigned char)host.p[i]) && !memchr("-._", host.p[i], 3))
            return false;
    }
    return true;
}
