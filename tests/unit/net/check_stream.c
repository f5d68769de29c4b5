/* check_stream.c - a connection that carries bytes, over socket pairs and over TCP to itself. The
 * test is the other end. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "net/loop.h"
#include "net/stream.h"
#include "suites.h"

static struct log log_of_tests;
static struct loop *loop;
static struct stream s;
static struct timer *timer;
static int other; /* the far end */
static unsigned readables, writables, hangups, stop_after;
static enum io last_io;
static char got[256];
static size_t got_len;

static void maybe_stop(void)
{
    if (readables + writables + hangups == stop_after)
        loop_stop(loop);
}

static void on_readable(struct stream *x)
{
    ck_assert_ptr_eq(x, &s);
    readables++;
    last_io = stream_read(x, got, sizeof got, &got_len);
    maybe_stop();
}

static void on_writable(struct stream *x)
{
    ck_assert_ptr_eq(x, &s);
    writables++;
    maybe_stop();
}

static void on_hangup(struct stream *x)
{
    ck_assert_ptr_eq(x, &s);
    hangups++;
    maybe_stop();
}

static const struct stream_ops ops = {on_readable, on_writable, on_hangup};

static void begin(void)
{
    log_open(&log_of_tests, STDERR_FILENO, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    loop = loop_new(&log_of_tests);
    other = -1;
    stop_after = 1;
}

static void end(void)
{
    stream_close(&s);
    stream_close(&s); /* fine when it is closed */
    if (other >= 0)
        (void)close(other);
    timer_free(timer);
    loop_free(loop);
}

static void pair(void)
{
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    other = fds[1];
    stream_open(&s, loop, fds[0], &ops);
}

static int listening(struct sockaddr_in *a)
{
    socklen_t len = sizeof *a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    *a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    ck_assert_int_eq(bind(fd, (struct sockaddr *)a, sizeof *a), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)a, &len), 0);
    return fd;
}

static void tcp(void)
{
    struct sockaddr_in a;
    int server = listening(&a), fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    other = accept(server, NULL, NULL);
    ck_assert_int_ge(other, 0);
    (void)close(server);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    stream_open(&s, loop, fd, &ops);
}

/* The other end is closed with a reset. */
static void reset(void)
{
    struct linger now = {.l_onoff = 1};

    ck_assert_int_eq(setsockopt(other, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    (void)close(other);
    other = -1;
}

static void on_timer(void *context)
{
    loop_stop(context);
}

/* Runs until the stream has been told something, or else (it must not be) for a little while. */
static void run(bool silent)
{
    if (silent) {
        timer = timer_new(loop, on_timer, loop);
        timer_start(timer, 30);
    }
    loop_run(loop);
}

static void put(const char *bytes)
{
    ck_assert_int_eq((int)send(other, bytes, strlen(bytes), MSG_NOSIGNAL), (int)strlen(bytes));
}

START_TEST(reads_what_came)
{
    pair();
    stream_want(&s, WANT_READ);
    put("abc");
    run(false);
    ck_assert_uint_eq(readables, 1);
    ck_assert_int_eq(last_io, IO_OK);
    ck_assert_uint_eq(got_len, 3);
    ck_assert_int_eq(memcmp(got, "abc", 3), 0);
    got_len = 42;
    ck_assert_int_eq(stream_read(&s, got, sizeof got, &got_len), IO_AGAIN);
    ck_assert_uint_eq(got_len, 42);
    ck_assert_int_eq(close(other), 0);
    other = -1;
    ck_assert_int_eq(stream_read(&s, got, sizeof got, &got_len), IO_EOF);
    ck_assert_uint_eq(got_len, 42);
    ck_assert_str_eq(stream_error_text(&s), "closed by the peer");
}
END_TEST

START_TEST(nothing_is_told_that_is_not_wanted)
{
    pair();
    put("abc");
    run(true);
    ck_assert_uint_eq(readables + writables + hangups, 0);
}
END_TEST

START_TEST(wants_can_be_taken_back)
{
    pair();
    put("abc");
    stream_want(&s, WANT_READ | WANT_WRITE | WANT_HANGUP);
    stream_want(&s, WANT_WRITE);
    stream_want(&s, WANT_WRITE);
    stop_after = 3;
    run(false);
    ck_assert_uint_eq(readables, 0);
    ck_assert_uint_eq(writables, 3); /* as long as it is wanted and there is room */
}
END_TEST

START_TEST(writes_until_the_kernel_is_full)
{
    static char chunk[65536];
    size_t n = 77, sent = 0;
    enum io io;

    pair();
    while ((io = stream_write(&s, chunk, sizeof chunk, &n)) == IO_OK)
        sent += n;
    ck_assert_int_eq(io, IO_AGAIN);
    ck_assert_uint_gt(sent, 0);
    ck_assert_uint_ge(stream_unsent(&s), 1);
    stream_want(&s, WANT_WRITE);
    run(true);
    ck_assert_uint_eq(writables, 0);
}
END_TEST

START_TEST(gathers)
{
    char a[] = "ab", b[] = "cde";
    struct iovec v[2] = {{a, 2}, {b, 3}};
    size_t n;

    pair();
    ck_assert_int_eq(stream_writev(&s, v, 2, &n), IO_OK);
    ck_assert_uint_eq(n, 5);
    ck_assert_int_eq((int)recv(other, got, sizeof got, 0), 5);
    ck_assert_int_eq(memcmp(got, "abcde", 5), 0);
}
END_TEST

/* No SIGPIPE, which would end the process. */
START_TEST(writing_to_nobody_is_an_error)
{
    char byte = 'x';
    struct iovec v = {&byte, 1};
    size_t n = 42;

    pair();
    (void)close(other);
    other = -1;
    ck_assert_int_eq(stream_write(&s, "x", 1, &n), IO_ERROR);
    ck_assert_int_eq(s.error, EPIPE);
    ck_assert_str_eq(stream_error_text(&s), strerror(EPIPE));
    ck_assert_int_eq(stream_writev(&s, &v, 1, &n), IO_ERROR);
    ck_assert_uint_eq(n, 42);
}
END_TEST

START_TEST(a_closing_is_heard_without_reading)
{
    if (_i % 2)
        tcp();
    else
        pair();
    stream_want(&s, WANT_HANGUP);
    if (_i < 2)
        put("not read");
    ck_assert_int_eq(shutdown(other, SHUT_WR), 0);
    run(false);
    ck_assert_uint_eq(hangups, 1);
    ck_assert_uint_eq(readables, 0);
}
END_TEST

START_TEST(a_reset_is_heard_without_reading)
{
    tcp();
    stream_want(&s, WANT_HANGUP);
    if (_i == 1)
        put("not read");
    reset();
    run(false);
    ck_assert_uint_eq(hangups, 1);
    ck_assert_uint_eq(readables, 0);
    ck_assert_str_eq(stream_error_text(&s), strerror(ECONNRESET));
}
END_TEST

/* Bytes that nobody reads now are no hangup, and do not make the loop spin. */
static unsigned turns;

static bool count_turn(void *context)
{
    (void)context;
    turns++;
    return false;
}

START_TEST(bytes_are_no_hangup)
{
    tcp();
    stream_want(&s, WANT_HANGUP);
    put("abc");
    loop_add_beat(loop, count_turn, NULL);
    run(true);
    ck_assert_uint_eq(readables + writables + hangups, 0);
    ck_assert_uint_le(turns, 5);
    /* They are still there for whoever wants them, and the peer's going after them is heard. */
    ck_assert_int_eq(stream_read(&s, got, sizeof got, &got_len), IO_OK);
    ck_assert_uint_eq(got_len, 3);
}
END_TEST

START_TEST(who_reads_hears_of_the_end_by_reading)
{
    tcp();
    stream_want(&s, WANT_READ | WANT_HANGUP);
    if (_i == 0)
        ck_assert_int_eq(shutdown(other, SHUT_WR), 0);
    else
        reset();
    run(false);
    ck_assert_uint_eq(readables, 1);
    ck_assert_uint_eq(hangups, 0);
    ck_assert_int_eq(last_io, _i == 0 ? IO_EOF : IO_ERROR);
    if (_i == 1)
        ck_assert_int_eq(s.error, ECONNRESET);
}
END_TEST

/* One byte at a time. */
static void read_little(struct stream *x)
{
    readables++;
    last_io = stream_read(x, got + got_len, 1, &(size_t){0});
    got_len += last_io == IO_OK;
    if (last_io != IO_OK || got_len == 6)
        loop_stop(loop);
}

/* Who reads less than there is is told again, though nothing comes. */
START_TEST(what_is_left_is_told_again)
{
    static const struct stream_ops little = {read_little, on_writable, on_hangup};

    tcp();
    s.ops = &little;
    stream_want(&s, WANT_READ);
    put("abcdef");
    run(false);
    ck_assert_uint_eq(readables, 6);
    ck_assert_int_eq(memcmp(got, "abcdef", 6), 0);
}
END_TEST

static void read_at_third(struct stream *x)
{
    if (readables < 2)
        readables++;
    else
        on_readable(x);
}

START_TEST(what_was_not_read_is_told_again)
{
    static const struct stream_ops late = {read_at_third, on_writable, on_hangup};

    tcp();
    s.ops = &late;
    stream_want(&s, WANT_READ);
    put("abc");
    stop_after = 3;
    run(false);
    ck_assert_uint_eq(got_len, 3);
}
END_TEST

static int how; /* the far end ends */

static void end_behind(const char *bytes)
{
    put(bytes);
    if (how == 0)
        ck_assert_int_eq(shutdown(other, SHUT_WR), 0);
    else
        reset();
}

static void read_then_end(struct stream *x)
{
    on_readable(x);
    if (readables == 1)
        end_behind("bcd");
}

/* The end is there with the last bytes, which one read takes: it is told, and so is a reset. */
START_TEST(an_end_behind_bytes_is_told)
{
    static const struct stream_ops ending = {read_then_end, on_writable, on_hangup};

    tcp();
    s.ops = &ending;
    how = _i;
    stream_want(&s, WANT_READ);
    put("a");
    stop_after = 3;
    run(false);
    ck_assert_uint_eq(got_len, 3);
    ck_assert_int_eq(last_io, how == 0 ? IO_EOF : IO_ERROR);
}
END_TEST

static void close_it(struct stream *x)
{
    writables++;
    stream_close(x);
    loop_stop(loop);
}

/* writable() closes the stream while bytes wait: readable() must not be called any more. */
START_TEST(a_closed_one_is_left_alone)
{
    static const struct stream_ops closing = {on_readable, close_it, on_hangup};

    pair();
    s.ops = &closing;
    put("abc");
    stream_want(&s, WANT_READ | WANT_WRITE | WANT_HANGUP);
    run(false);
    ck_assert_uint_eq(writables, 1);
    ck_assert_uint_eq(readables + hangups, 0);
    ck_assert(!s.open);
    ck_assert_int_le((int)recv(other, got, sizeof got, 0), 0); /* the peer sees the end */
}
END_TEST

static int tcp_option(int name)
{
    int value = -1;
    socklen_t len = sizeof value;

    ck_assert_int_eq(getsockopt(stream_fd(&s), IPPROTO_TCP, name, &value, &len), 0);
    return value;
}

START_TEST(connects)
{
    struct sockaddr_in a;
    int server = listening(&a), flags;

    ck_assert(stream_connect(&s, loop, (struct sockaddr *)&a, sizeof a, &ops));
    stream_no_delay(&s);
    stream_keepalive(&s, 500, 7000, 4); /* less than the second that the kernel counts in */
    ck_assert_int_eq(tcp_option(TCP_KEEPIDLE), 1);
    ck_assert_int_eq(tcp_option(TCP_KEEPINTVL), 7);
    ck_assert_int_eq(tcp_option(TCP_KEEPCNT), 4);
    ck_assert_int_eq(tcp_option(TCP_USER_TIMEOUT), 29000);
    run(false);
    ck_assert_uint_eq(writables, 1);
    ck_assert(stream_connected(&s));
    flags = fcntl(stream_fd(&s), F_GETFL);
    ck_assert_int_ne(flags & O_NONBLOCK, 0);
    ck_assert_int_ne(fcntl(stream_fd(&s), F_GETFD) & FD_CLOEXEC, 0);
    other = accept(server, NULL, NULL);
    ck_assert_int_ge(other, 0);
    (void)close(server);
}
END_TEST

START_TEST(a_refused_connection_says_so)
{
    struct sockaddr_in a;
    int server = listening(&a);

    (void)close(server);
    if (stream_connect(&s, loop, (struct sockaddr *)&a, sizeof a, &ops)) {
        run(false);
        ck_assert_uint_eq(writables, 1);
        ck_assert(!stream_connected(&s));
    }
    ck_assert_int_eq(s.error, ECONNREFUSED);
    ck_assert_str_eq(stream_error_text(&s), strerror(ECONNREFUSED));
}
END_TEST

START_TEST(connecting_to_nowhere_fails_at_once)
{
    struct sockaddr a = {.sa_family = AF_UNIX, .sa_data = "/tmp/absent"};

    ck_assert(!stream_connect(&s, loop, &a, sizeof a, &ops));
    ck_assert_int_eq(s.error, ENOENT);
    ck_assert(!s.open);
}
END_TEST

Suite *stream_suite(void)
{
    Suite *suite = suite_create("stream");
    TCase *t = tcase_create("stream");

    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, reads_what_came);
    tcase_add_test(t, nothing_is_told_that_is_not_wanted);
    tcase_add_test(t, wants_can_be_taken_back);
    tcase_add_test(t, writes_until_the_kernel_is_full);
    tcase_add_test(t, gathers);
    tcase_add_test(t, writing_to_nobody_is_an_error);
    tcase_add_loop_test(t, a_closing_is_heard_without_reading, 0, 4);
    tcase_add_loop_test(t, a_reset_is_heard_without_reading, 0, 2);
    tcase_add_test(t, bytes_are_no_hangup);
    tcase_add_loop_test(t, who_reads_hears_of_the_end_by_reading, 0, 2);
    tcase_add_test(t, what_is_left_is_told_again);
    tcase_add_test(t, what_was_not_read_is_told_again);
    tcase_add_loop_test(t, an_end_behind_bytes_is_told, 0, 2);
    tcase_add_test(t, a_closed_one_is_left_alone);
    tcase_add_test(t, connects);
    tcase_add_test(t, a_refused_connection_says_so);
    tcase_add_test(t, connecting_to_nowhere_fails_at_once);
    suite_add_tcase(suite, t);
    return suite;
}
