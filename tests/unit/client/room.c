/* room.c - see room.h. send() and sendmsg() of this file stand before those of the C library, for
 * the whole program. */
#include "room.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "config/settings.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "upstream/pool.h"

struct room room;

static struct {
    struct log log;
    struct settings *settings;
    struct loop *loop;
    struct resolver *resolver;
    struct pool *pool;
    struct listener *listener;
    int fd, others[8], other_count;
    size_t budget;
} r;

/* ---- the sockets ---- */

void room_takes(size_t bytes)
{
    r.budget = bytes;
}

static size_t afford(size_t n)
{
    size_t m = n < r.budget ? n : r.budget;

    if (r.budget != ALL_BYTES)
        r.budget -= m;
    return m;
}

ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
    size_t m = afford(n);

    if (m == 0 && n > 0) {
        errno = EAGAIN;
        return -1;
    }
    return (ssize_t)syscall(SYS_sendto, fd, bytes, m, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    struct buffer all = {0};
    ssize_t sent;

    for (size_t i = 0; i < m->msg_iovlen; i++) {
        ck_assert_uint_gt(m->msg_iov[i].iov_len, 0);
        buffer_add(&all, m->msg_iov[i].iov_base, m->msg_iov[i].iov_len);
    }
    sent = send(fd, buffer_head(&all), buffer_len(&all), flags);
    buffer_done(&all);
    return sent;
}

static void read_all(void)
{
    ssize_t n;

    do {
        n = recv(r.fd, buffer_room(&room.got, 65536), 65536, MSG_DONTWAIT);
        if (n > 0)
            buffer_fill(&room.got, (size_t)n);
    } while (n > 0);
}

void room_got(struct slice expected)
{
    read_all();
    ck_assert_uint_eq(buffer_len(&room.got), expected.n);
    ck_assert(slice_eq(buffer_slice(&room.got), expected));
}

/* ---- from beginning to end ---- */

static struct client *accept_one(int *ret_fd)
{
    int pair[2], large = 4 << 20;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    (void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &large, sizeof large);
    clients_accept(room.all, r.listener, pair[0], true);
    *ret_fd = pair[1];
    return CONTAINER_OF(room.all->open.prev, struct client, node);
}

struct client *room_another(void)
{
    ck_assert_uint_lt((size_t)r.other_count, ARRAY_LEN(r.others));
    return accept_one(&r.others[r.other_count++]);
}

void room_open(void)
{
    static const struct listener_events none;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct buffer errors = {0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    log_open(&r.log, STDERR_FILENO, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    r.settings = settings_load(NULL, &errors);
    ck_assert_ptr_nonnull(r.settings);
    r.loop = loop_new(&r.log);
    r.resolver = resolver_new(r.loop);
    r.pool = pool_new(r.loop, r.resolver, &r.settings->upstream);
    room.all = clients_new(r.loop, r.pool, &r.settings->larder, NULL);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&any, sizeof any), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    r.listener = listener_open(r.loop, &r.settings->listeners[0], fd, &none, &errors);
    ck_assert_ptr_nonnull(r.listener);
    room_takes(ALL_BYTES);
    room.c = accept_one(&r.fd);
}

void room_close(void)
{
    clients_close(room.all);
    pool_free(r.pool);
    clients_free(room.all);
    listener_close(r.listener);
    resolver_free(r.resolver);
    loop_free(r.loop);
    settings_free(r.settings);
    (void)close(r.fd);
    while (r.other_count > 0)
        (void)close(r.others[--r.other_count]);
    buffer_done(&room.got);
}

void room_beat(void)
{
    while (clients_beat(room.all))
        continue;
}
