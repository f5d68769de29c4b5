/* listener.c - see listener.h.
 *
 * When descriptors run out, a listening socket stays readable and a loop that keeps accepting spins
 * at full CPU: so accepting pauses, and is tried again a little later. */
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/units.h"
#include "net/address.h"
#include "net/loop.h"
#include "net/tls.h"

#define LISTENER_PAUSE_MS 100
#define LISTENER_TURN_CONNS                                                                        \
    256 /* accepted in one turn, so that a flood does not stall the rest                           \
         */

struct listener {
    struct loop *loop;
    const struct listener_settings *settings;
    const struct listener_events *events;
    struct watch *watch;
    struct timer *pause;
    const struct tls *tls;
    int fd;
    bool is_unix, passed_in;
};

static void on_readable(void *context)
{
    struct listener *l = context;

    for (int i = 0; i < LISTENER_TURN_CONNS; i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            l->events->accepted(l->events->context, l, fd, l->is_unix);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            watch_pause(l->watch);
            timer_start(l->pause, LISTENER_PAUSE_MS);
            l->events->exhausted(l->events->context);
        }
        /* ECONNABORTED and the like are the peer's business; level-triggered, we are told again. */
        return;
    }
}

static void on_pause_over(void *context)
{
    struct listener *l = context;

    watch_resume(l->watch);
}

/* Removes a socket file that nobody listens on any more; one that answers is left, and bind fails.
 */
static void remove_stale(const struct sock_address *a, const char *path)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)&a->storage, a->len) != 0 && errno == ECONNREFUSED)
        (void)unlink(path);
    (void)close(fd);
}

static int bind_to(const struct listener_settings *s, struct buffer *error)
{
    struct sock_address a;
    char text[ADDRESS_TEXT];
    unsigned mode = 0;
    mode_t before;
    int on = 1, fd;
    bool bound;

    address_setting_text(&s->address, text, sizeof text);
    if (!address_numeric(&s->address, &a)) {
        buffer_printf(error, "listener %s: %s: not an address of this machine, give a number",
                      s->name, text);
        return -1;
    }
    fd = socket(a.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && s->address.path != NULL)
        remove_stale(&a, s->address.path);
    else if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    /* The mask gives a Unix socket its permissions from its first moment on. */
    before = umask(s->address.path != NULL && unit_mode(slice_str(s->mode), &mode) ? 0777 & ~mode
                                                                                   : 0022);
    bound = fd >= 0 && bind(fd, (struct sockaddr *)&a.storage, a.len) == 0;
    (void)umask(before);
    if (!bound || listen(fd, (int)s->backlog) != 0) {
        buffer_printf(error, "listener %s: %s: %s", s->name, text, strerror(errno));
        if (fd >= 0)
            (void)close(fd);
        return -1;
    }
    return fd;
}

struct listener *listener_open(struct loop *loop, const struct listener_settings *settings, int fd,
                               const struct listener_events *events, struct buffer *error)
{
    struct listener *l;
    bool passed_in = fd >= 0;
    struct sockaddr_storage own = {0};
    socklen_t len = sizeof own;

    if (passed_in) {
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
        (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    } else if ((fd = bind_to(settings, error)) < 0) {
        return NULL;
    }
    (void)getsockname(fd, (struct sockaddr *)&own, &len);
    l = must_calloc(1, sizeof *l);
    *l = (struct listener){.loop = loop,
                           .settings = settings,
                           .events = events,
                           .fd = fd,
                           .is_unix = own.ss_family == AF_UNIX,
                           .passed_in = passed_in};
    l->pause = timer_new(loop, on_pause_over, l);
    l->watch = loop_watch(loop, fd, on_readable, l);
    return l;
}

void listener_stop(struct listener *l)
{
    if (l->fd < 0)
        return;
    loop_unwatch(l->watch);
    timer_stop(l->pause);
    if (l->is_unix && !l->passed_in)
        (void)unlink(l->settings->address.path);
    (void)close(l->fd);
    l->fd = -1;
}

void listener_close(struct listener *l)
{
    if (l == NULL)
        return;
    listener_stop(l);
    timer_free(l->pause);
    free(l);
}

const struct listener_settings *listener_settings(const struct listener *l)
{
    return l->settings;
}

void listener_resettle(struct listener *l, const struct listener_settings *settings)
{
    l->settings = settings;
}

void listener_secure(struct listener *l, const struct tls *tls)
{
    l->tls = tls;
}

struct tls_context *listener_tls(const struct listener *l)
{
    return tls_for_listener(l->tls, l->settings->name);
}

void listener_text(const struct listener *l, char *text, size_t room)
{
    address_of_self(l->fd, text, room);
}
