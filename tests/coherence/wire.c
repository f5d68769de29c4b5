/* wire.c - connect, say, read whole replies. */
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { WORDS_MAX = 64, ROOM_MIN = 1 << 14 };

uint64_t clock_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static void *must(void *p)
{
    if (p == NULL) {
        fputs("no memory\n", stderr);
        abort();
    }
    return p;
}

/* ---- its life ---- */

bool wire_open(struct wire *w, int port, int epoll)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = w};
    int on = 1;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (w->fd < 0)
        return false;
    setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* On loopback a connect is done at once, also to a stopped process, so it may block. */
    if (connect(w->fd, (struct sockaddr *)&to, sizeof to) != 0 ||
        fcntl(w->fd, F_SETFL, O_NONBLOCK) != 0) {
        close(w->fd);
        w->fd = -1;
        return false;
    }
    w->epoll = epoll;
    if (epoll >= 0)
        epoll_ctl(epoll, EPOLL_CTL_ADD, w->fd, &event);
    return true;
}

void wire_close(struct wire *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    w->in_n = w->out_n = w->out_at = 0;
    w->unanswered = 0;
    w->want_write = false;
}

void wire_done(struct wire *w)
{
    wire_close(w);
    free(w->in);
    free(w->out);
    w->in = w->out = NULL;
    w->in_room = w->out_room = 0;
}

static void end(struct wire *w)
{
    wire_close(w);
    if (w->owner != NULL)
        w->owner->ended(w);
}

/* ---- saying ---- */

static void add(struct wire *w, const void *p, size_t n)
{
    if (w->out_room - w->out_n < n) {
        w->out_room = (w->out_n + n) * 2 + ROOM_MIN;
        w->out = must(realloc(w->out, w->out_room));
    }
    memcpy(w->out + w->out_n, p, n);
    w->out_n += n;
}

void wire_say_words(struct wire *w, uint32_t count, const char *const *word)
{
    char head[32];
    int n = snprintf(head, sizeof head, "*%u\r\n", count);

    add(w, head, (size_t)n);
    for (uint32_t i = 0; i < count; i++) {
        size_t length = strlen(word[i]);

        n = snprintf(head, sizeof head, "$%zu\r\n", length);
        add(w, head, (size_t)n);
        add(w, word[i], length);
        add(w, "\r\n", 2);
    }
    w->unanswered++;
}

void wire_say(struct wire *w, ...)
{
    const char *word[WORDS_MAX];
    uint32_t count = 0;
    va_list list;

    va_start(list, w);
    for (const char *p = va_arg(list, const char *); p != NULL; p = va_arg(list, const char *)) {
        if (count == WORDS_MAX)
            abort();
        word[count++] = p;
    }
    va_end(list);
    wire_say_words(w, count, word);
}

static void watch(struct wire *w, bool want_write)
{
    struct epoll_event event = {.events = EPOLLIN | (want_write ? EPOLLOUT : 0u), .data.ptr = w};

    if (w->want_write == want_write || w->epoll < 0)
        return;
    w->want_write = want_write;
    epoll_ctl(w->epoll, EPOLL_CTL_MOD, w->fd, &event);
}

void wire_flush(struct wire *w)
{
    while (w->fd >= 0 && w->out_at < w->out_n) {
        ssize_t n = send(w->fd, w->out + w->out_at, w->out_n - w->out_at, MSG_NOSIGNAL);

        /* A broken connection is noticed where it is read, so that nobody is told while he speaks.
         */
        if (n < 0 && errno != EAGAIN)
            return;
        if (n < 0) {
            watch(w, true);
            return;
        }
        w->out_at += (size_t)n;
    }
    w->out_n = w->out_at = 0;
    if (w->fd >= 0)
        watch(w, false);
}

/* ---- replies ---- */

/* The number at *at, which ends in CR LF; *at goes behind that. False: not whole yet. */
static bool number(const struct wire *w, size_t *at, int64_t *ret_n)
{
    size_t i = *at;
    int64_t n = 0;
    bool minus = i < w->in_n && w->in[i] == '-';

    for (i += minus; i < w->in_n && w->in[i] >= '0' && w->in[i] <= '9'; i++)
        n = n * 10 + (w->in[i] - '0');
    if (i + 2 > w->in_n)
        return false;
    if (w->in[i] != '\r') {
        fprintf(stderr, "no number: %.*s\n", (int)(w->in_n - *at), w->in + *at);
        abort();
    }
    *at = i + 2;
    *ret_n = minus ? -n : n;
    return true;
}

static bool line(const struct wire *w, size_t *at, struct token *t)
{
    const char *from = w->in + *at, *cr = memchr(from, '\r', w->in_n - *at);

    if (cr == NULL || cr + 2 > w->in + w->in_n)
        return false;
    t->p = from;
    t->n = cr - from;
    *at += (size_t)t->n + 2;
    return true;
}

static bool bulk(const struct wire *w, size_t *at, struct token *t)
{
    if (!number(w, at, &t->n))
        return false;
    if (t->n < 0) {
        t->type = '_';
        return true;
    }
    if (w->in_n - *at < (size_t)t->n + 2)
        return false;
    t->p = w->in + *at;
    *at += (size_t)t->n + 2;
    return true;
}

/* One element. *ret_left grows by what it holds. */
static bool element(const struct wire *w, size_t *at, struct token *t, int64_t *left)
{
    if (*at >= w->in_n)
        return false;
    t->type = w->in[(*at)++];
    switch (t->type) {
    case '$':
        return bulk(w, at, t);
    case ':':
        return number(w, at, &t->n);
    case '*':
    case '~':
    case '>':
    case '%':
        if (!number(w, at, &t->n))
            return false;
        t->n *= t->type == '%' ? 2 : 1;
        if (t->n < 0)
            t->type = '_';
        else if (t->type != '>')
            t->type = '*';
        *left += t->n > 0 ? t->n : 0;
        return true;
    default: /* + - _ # , */
        return line(w, at, t);
    }
}

/* The reply at *at; *at goes behind it. */
static bool whole(const struct wire *w, size_t *at, struct reply *r)
{
    size_t i = *at;
    int64_t left = 1;

    r->count = 0;
    while (left > 0) {
        if (r->count == TOKENS_MAX)
            abort();
        left--;
        if (!element(w, &i, &r->token[r->count], &left))
            return false;
        r->count++;
    }
    *at = i;
    return true;
}

static bool receive(struct wire *w)
{
    ssize_t n;

    if (w->in_room - w->in_n < ROOM_MIN) {
        w->in_room = w->in_room * 2 + 2 * ROOM_MIN;
        w->in = must(realloc(w->in, w->in_room));
    }
    n = recv(w->fd, w->in + w->in_n, w->in_room - w->in_n, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0)
        return false;
    w->in_n += (size_t)n;
    return true;
}

/* Keeps what is behind `at`. */
static void used(struct wire *w, size_t at)
{
    w->in_n -= at;
    memmove(w->in, w->in + at, w->in_n);
}

static void hand_out(struct wire *w)
{
    struct reply r;
    size_t at = 0;

    while (w->fd >= 0 && whole(w, &at, &r)) {
        if (r.token[0].type == '>')
            continue;
        w->unanswered--;
        w->owner->replied(w, &r);
    }
    if (w->fd >= 0)
        used(w, at);
}

void wire_event(struct wire *w, uint32_t events)
{
    if (events & EPOLLOUT)
        wire_flush(w);
    if (w->fd < 0 || (events & ~(uint32_t)EPOLLOUT) == 0)
        return;
    if (!receive(w)) {
        end(w);
        return;
    }
    hand_out(w);
}

bool wire_ask(struct wire *w, struct reply *ret_reply, int timeout_ms)
{
    uint64_t until_us = clock_us() + (uint64_t)timeout_ms * 1000u;
    size_t at = 0;

    w->in_n = 0; /* of the reply before */
    wire_flush(w);
    while (w->fd >= 0 && (!whole(w, &at, ret_reply) || ret_reply->token[0].type == '>')) {
        struct pollfd p = {.fd = w->fd, .events = (short)(POLLIN | (w->out_n > 0 ? POLLOUT : 0))};

        if (clock_us() > until_us || poll(&p, 1, timeout_ms) < 0) {
            wire_close(w);
            break;
        }
        if (p.revents & POLLOUT)
            wire_flush(w);
        if ((p.revents & ~POLLOUT) != 0 && !receive(w))
            wire_close(w);
    }
    w->unanswered = 0;
    return w->fd >= 0;
}

uint32_t reply_skip(const struct reply *r, uint32_t at)
{
    for (int64_t left = 1; left > 0 && at < r->count; at++)
        left += (r->token[at].type == '*' ? r->token[at].n : 0) - 1;
    return at;
}

bool token_begins(const struct token *t, const char *text)
{
    size_t n = strlen(text);

    return (t->type == '+' || t->type == '$' || t->type == '-') && t->n >= (int64_t)n &&
           memcmp(t->p, text, n) == 0;
}
