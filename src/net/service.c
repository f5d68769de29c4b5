/* service.c - see service.h. */
#include "net/service.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/slice.h"

static void send_state(const char *state, size_t n)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t len = path ? strlen(path) : 0;
    int fd;

    if (len < 2 || len >= sizeof un.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(un.sun_path, path, len);
    if (path[0] == '@')
        un.sun_path[0] = 0; /* abstract namespace */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    /* A manager that does not listen is no reason to stop serving. */
    (void)sendto(fd, state, n, MSG_NOSIGNAL, (struct sockaddr *)&un,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    (void)close(fd);
}

void service_notify(const char *format, ...)
{
    char state[512];
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(state, sizeof state, format, ap);
    va_end(ap);
    if (n > 0)
        send_state(state, (size_t)n < sizeof state ? (size_t)n : sizeof state - 1);
}

void service_notify_reloading(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    service_notify("RELOADING=1\nMONOTONIC_USEC=%llu",
                   (unsigned long long)t.tv_sec * 1000000u + (unsigned long long)t.tv_nsec / 1000u);
}

/* A number from the environment; 0 when it is not set or not one. */
static int64_t env_int(const char *name)
{
    int64_t v = 0;

    if (!slice_int(slice_str(getenv(name)), &v))
        return 0;
    return v;
}

uint64_t service_watchdog_ms(void)
{
    int64_t us = env_int("WATCHDOG_USEC"), pid = env_int("WATCHDOG_PID");

    if (us <= 0 || (pid != 0 && pid != (int64_t)getpid()))
        return 0;
    return us / 2000 > 0 ? (uint64_t)us / 2000 : 1;
}

size_t service_listen_fds(void)
{
    int64_t n = env_int("LISTEN_FDS");

    if (n <= 0 || n > 64 || env_int("LISTEN_PID") != (int64_t)getpid())
        return 0;
    return (size_t)n;
}

int service_listen_fd_named(const char *name)
{
    const char *names = getenv("LISTEN_FDNAMES");
    size_t count = service_listen_fds(), n = strlen(name);

    for (size_t i = 0; names != NULL && i < count; i++) {
        size_t len = strcspn(names, ":");

        if (len == n && memcmp(names, name, n) == 0)
            return 3 + (int)i;
        names = names[len] == ':' ? names + len + 1 : NULL;
    }
    return -1;
}

int service_listener_fd(const struct settings *s, size_t i, size_t *next)
{
    int fd = service_listen_fd_named(s->listeners[i].name);

    while (fd < 0 && *next < service_listen_fds()) {
        bool taken = false;

        fd = 3 + (int)(*next)++;
        for (size_t k = 0; k < s->listener_count; k++)
            taken |= service_listen_fd_named(s->listeners[k].name) == fd;
        if (taken)
            fd = -1;
    }
    return fd;
}
