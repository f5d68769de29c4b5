/* world.c - see world.h. */
#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/resolver.h"
#include "resp/request.h"
#include "turns.h"

struct world w; /* a test has a process of its own */

static struct resolver *resolver;

/* ---- the server ---- */

static void drop(struct peer *p)
{
    loop_unwatch(p->watch);
    p->watch = NULL;
    if (p->fd >= 0)
        (void)close(p->fd);
    p->fd = -1;
    buffer_done(&p->in);
    buffer_done(&p->out);
}

static const char *answer(struct peer *p, struct slice line, struct slice command)
{
    const char *text = w.script != NULL ? w.script((size_t)(p - w.peer), line) : NULL;

    if (text != NULL)
        return text;
    if (slice_is(command, "HELLO"))
        return w.hello;
    if (slice_is(command, "SELECT"))
        return w.select;
    if (slice_is(command, "DISCARD"))
        return w.discard;
    if (slice_is(command, "UNWATCH"))
        return w.unwatch;
    return NULL;
}

static void say_answer(struct peer *p, const char *text)
{
    if (text != NULL && text[0] == '!')
        p->closing = true;
    else if (text != NULL)
        buffer_add(&p->out, text, strlen(text));
}

/* A number between p[1] and the CR LF; *p is moved behind it. */
static bool number(const char **p, const char *end, char type, size_t *ret)
{
    const char *nl = memchr(*p, '\n', (size_t)(end - *p));

    if (nl == NULL)
        return false;
    CHECK(**p == type);
    *ret = (size_t)strtoul(*p + 1, NULL, 10);
    *p = nl + 1;
    return true;
}

/* One whole command off the front of `in`; false when there is none. */
static bool serve(struct peer *p)
{
    const char *start = buffer_head(&p->in), *at = start, *end = start + buffer_len(&p->in);
    struct buffer line = {0};
    size_t words, len, command = 0;

    if (buffer_len(&p->in) == 0 || !number(&at, end, '*', &words))
        return false;
    for (size_t i = 0; i < words; i++) {
        if (at == end || !number(&at, end, '$', &len) || (size_t)(end - at) < len + 2) {
            buffer_done(&line);
            return false;
        }
        buffer_add(&line, at, len);
        buffer_add(&line, i + 1 < words ? " " : "\n", 1);
        command = i == 0 ? len : command;
        at += len + 2;
    }
    buffer_add(&p->asked, buffer_head(&line), buffer_len(&line));
    say_answer(p, answer(p, slice_of(buffer_head(&line), buffer_len(&line) - 1),
                         slice_of(buffer_head(&line), command)));
    buffer_done(&line);
    buffer_take(&p->in, (size_t)(at - start));
    return true;
}

static void on_asked(void *context)
{
    struct peer *p = context;
    ssize_t n = recv(p->fd, buffer_room(&p->in, 65536), 65536, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        drop(p);
        return;
    }
    buffer_fill(&p->in, (size_t)n);
    while (!p->closing && serve(p))
        continue;
    if (p->closing)
        drop(p);
}

static void on_coming(void *context)
{
    struct peer *p = &w.peer[w.peers];
    int fd = accept4(w.server, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    (void)context;
    CHECK(fd >= 0 && w.peers < PEERS);
    w.peers++;
    p->fd = fd;
    p->watch = loop_watch(w.loop, fd, on_asked, p);
}

static bool send_beat(void *context)
{
    bool more = false;

    (void)context;
    for (size_t i = 0; i < w.peers; i++) {
        struct peer *p = &w.peer[i];
        ssize_t n;

        if (p->fd < 0 || buffer_len(&p->out) == 0)
            continue;
        n = send(p->fd, buffer_head(&p->out), buffer_len(&p->out), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0)
            buffer_take(&p->out, (size_t)n);
        more |= buffer_len(&p->out) > 0;
    }
    return more;
}

void peer_send(size_t i, const char *bytes, size_t n)
{
    ck_assert_int_ge(w.peer[i].fd, 0);
    buffer_add(&w.peer[i].out, bytes, n);
    (void)send_beat(NULL);
}

void peer_say(size_t i, const char *text)
{
    peer_send(i, text, strlen(text));
}

bool peer_sent(size_t i)
{
    return buffer_len(&w.peer[i].out) == 0;
}

void peer_close(size_t i)
{
    drop(&w.peer[i]);
}

bool peer_gone(size_t i)
{
    return w.peers > i && w.peer[i].fd < 0;
}

bool peer_asked(size_t i, const char *commands)
{
    struct buffer *b = &w.peer[i].asked;
    bool so = i < w.peers && slice_eq(buffer_slice(b), slice_str(commands));

    if (so)
        buffer_take(b, buffer_len(b));
    return so;
}

bool peer_idle(size_t i)
{
    return buffer_len(&w.peer[i].asked) == 0;
}

/* ---- the world ---- */

void world_begin(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;

    log_open(&w.log, open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    w.loop = loop_new(&w.log);
    w.server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(bind(w.server, (struct sockaddr *)&a, sizeof a), 0);
    ck_assert_int_eq(listen(w.server, 64), 0);
    ck_assert_int_eq(getsockname(w.server, (struct sockaddr *)&a, &len), 0);
    w.accepting = loop_watch(w.loop, w.server, on_coming, NULL);
    w.hello =
        "*6\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n"
        "$2\r\nid\r\n:17\r\n";
    w.select = "+OK\r\n";
    w.discard = "+OK\r\n";
    w.unwatch = "+OK\r\n";
    w.settings = (struct upstream_settings){.address = {"127.0.0.1", ntohs(a.sin_port), NULL},
                                            .username = "",
                                            .password = "",
                                            .pool_size = 10,
                                            .max_lent = 1000,
                                            .max_links = 2000,
                                            .queue_timeout = 5000,
                                            .connect_timeout = 2000,
                                            .command_timeout = 10000,
                                            .link_idle_timeout = 60000,
                                            .keepalive = 60000,
                                            .keepalive_interval = 20000,
                                            .keepalive_count = 3,
                                            .backoff_min = 1,
                                            .backoff_max = 1};
    resolver = resolver_new(w.loop);
    w.pool = pool_new(w.loop, resolver, &w.settings);
    w.lane = lane_hold_default(w.pool, 2);
    loop_add_beat(w.loop, pool_beat, w.pool);
    loop_add_beat(w.loop, send_beat, NULL);
}

void world_end(void)
{
    pool_free(w.pool);
    resolver_free(resolver);
    for (size_t i = 0; i < w.peers; i++) {
        drop(&w.peer[i]);
        buffer_done(&w.peer[i].asked);
    }
    loop_unwatch(w.accepting);
    (void)close(w.server);
    loop_free(w.loop);
    (void)close(w.log.fd);
}

static void on_pause(void *context)
{
    bool *over = context;

    *over = true;
}

void settle(void)
{
    for (int i = 0; i < 5; i++) {
        bool over = false;
        struct timer *t = timer_new(w.loop, on_pause, &over);

        timer_start(t, 2);
        UNTIL(over);
        timer_free(t);
    }
}

struct link *shared_link(void)
{
    struct link *l;

    UNTIL((l = lane_link(w.lane, 0)) != NULL);
    return l;
}

void ask(struct link *l, struct ear *e, const char *word, uint32_t n)
{
    struct buffer b = {0};

    for (uint32_t i = 0; i < n; i++)
        buffer_printf(&b, "*1\r\n$%zu\r\n%s\r\n", strlen(word), word);
    if (e != NULL)
        e->left += n;
    link_ask(l, e != NULL ? &e->asker : asker_nobody(), buffer_slice(&b), n, false);
    buffer_done(&b);
}

/* ---- who asks ---- */

static const char *told(struct buffer *b)
{
    static struct buffer copy;

    buffer_take(&copy, buffer_len(&copy));
    buffer_add(&copy, buffer_head(b), buffer_len(b));
    buffer_add(&copy, "", 1);
    buffer_take(b, buffer_len(b));
    return buffer_head(&copy);
}

static void note(struct buffer *b, struct slice bytes)
{
    for (size_t i = 0; i < bytes.n; i++) {
        if (bytes.p[i] == '\r' && i + 1 < bytes.n && bytes.p[i + 1] == '\n') {
            buffer_add(b, ".", 1);
            i++;
        } else {
            buffer_add(b, bytes.p + i, 1);
        }
    }
}

static void on_replies(struct asker *a, struct slice bytes, uint32_t n)
{
    struct ear *e = CONTAINER_OF(a, struct ear, asker);

    buffer_printf(&e->heard, "%u(", n);
    note(&e->heard, bytes);
    buffer_printf(&e->heard, ")");
    e->left -= n;
    if (e->then != NULL)
        e->then(e);
}

static bool on_piece(struct asker *a, struct slice bytes, bool last)
{
    struct ear *e = CONTAINER_OF(a, struct ear, asker);

    e->pieces++;
    e->bytes += bytes.n;
    if (!e->quiet) {
        buffer_printf(&e->heard, "[");
        note(&e->heard, bytes);
        buffer_printf(&e->heard, last ? "]$" : "]");
    } else if (last) {
        buffer_printf(&e->heard, "$");
    }
    e->left -= last;
    if (e->then != NULL)
        e->then(e);
    return e->full;
}

static void on_failed(struct asker *a, uint32_t n, enum link_failure why, bool begun)
{
    struct ear *e = CONTAINER_OF(a, struct ear, asker);

    buffer_printf(&e->heard, "!%u %s%s", n, link_failure_word(why), begun ? " begun" : "");
    e->left -= n;
    if (e->then != NULL)
        e->then(e);
}

static const struct asker_ops ear_ops = {on_replies, on_piece, on_failed, NULL};
static const struct asker_ops whole_ear_ops = {on_replies, NULL, on_failed, NULL};

void ear_init(struct ear *e, bool whole)
{
    *e = (struct ear){.asker = {whole ? &whole_ear_ops : &ear_ops}};
}

void ear_done(struct ear *e)
{
    ck_assert_uint_eq(e->left, 0); /* each request has had one answer */
    buffer_done(&e->heard);
}

const char *ear_heard(struct ear *e)
{
    return told(&e->heard);
}

/* ---- who borrows ---- */

static void noted(struct borrower *b)
{
    buffer_add(&b->noted, ";", 1);
    if (b->then != NULL)
        b->then(b);
}

static void on_lent(struct loan *loan)
{
    struct borrower *b = CONTAINER_OF(loan, struct borrower, loan);

    buffer_printf(&b->noted, "lent");
    noted(b);
}

static void on_refused(struct loan *loan, struct slice error)
{
    struct borrower *b = CONTAINER_OF(loan, struct borrower, loan);

    buffer_printf(&b->noted, "refused ");
    note(&b->noted, error);
    noted(b);
}

static void on_frame(struct loan *loan, struct slice bytes, bool first, bool last)
{
    struct borrower *b = CONTAINER_OF(loan, struct borrower, loan);

    buffer_printf(&b->noted, first ? "frame " : "more ");
    note(&b->noted, bytes);
    buffer_printf(&b->noted, last ? "" : " ..");
    noted(b);
}

static void on_room(struct loan *loan)
{
    struct borrower *b = CONTAINER_OF(loan, struct borrower, loan);

    b->rooms++;
}

static void on_lost(struct loan *loan, enum link_failure why)
{
    struct borrower *b = CONTAINER_OF(loan, struct borrower, loan);

    ck_assert_ptr_null(loan->link);
    buffer_printf(&b->noted, "lost %s", link_failure_word(why));
    noted(b);
}

static const struct loan_ops borrower_ops = {on_lent, on_refused, on_frame, on_room, on_lost};

void borrower_init(struct borrower *b)
{
    *b = (struct borrower){.loan = {.ops = &borrower_ops}};
}

void borrower_done(struct borrower *b)
{
    buffer_done(&b->noted);
}

const char *borrower_noted(struct borrower *b)
{
    return told(&b->noted);
}
