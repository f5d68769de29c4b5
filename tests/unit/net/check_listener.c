/* check_listener.c - sockets that clients connect to. */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/address.h"
#include "net/listener.h"
#include "net/loop.h"
#include "suites.h"

static struct log log_of_tests;
static struct loop *loop;
static struct listener_settings settings;
static struct buffer error;
static char dir[64], path[96];
static int got = -1;
static bool got_unix;
static unsigned exhaustions;
static int ballast = -1; /* a descriptor that can be given up when there are no more */

static void begin(void)
{
    log_open(&log_of_tests, STDERR_FILENO, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    loop = loop_new(&log_of_tests);
    (void)snprintf(dir, sizeof dir, "/tmp/larder-net.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/s", dir);
    settings =
        (struct listener_settings){.name = "main", .mode = "0660", .backlog = 16, .password = ""};
}

static void end(void)
{
    if (got >= 0)
        (void)close(got);
    buffer_done(&error);
    loop_free(loop);
    (void)unlink(path);
    (void)rmdir(dir);
}

static void on_accepted(void *context, struct listener *l, int fd, bool is_unix)
{
    ck_assert_ptr_eq(context, &settings);
    ck_assert_ptr_eq(listener_settings(l), &settings);
    got = fd;
    got_unix = is_unix;
    loop_stop(loop);
}

static void on_exhausted(void *context)
{
    (void)context;
    if (exhaustions++ == 0)
        (void)close(ballast);
}

static const struct listener_events events = {on_accepted, on_exhausted, &settings};

static struct listener *opened(int fd)
{
    struct listener *l = listener_open(loop, &settings, fd, &events, &error);

    ck_assert_uint_eq(buffer_len(&error), 0);
    ck_assert_ptr_nonnull(l);
    return l;
}

static int connected_tcp(const struct listener *l)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char text[ADDRESS_TEXT];
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    listener_text(l, text, sizeof text);
    ck_assert_int_eq(strncmp(text, "127.0.0.1:", 10), 0);
    a.sin_port = htons((uint16_t)strtoul(text + 10, NULL, 10));
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static int connected_unix(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    memcpy(un.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *)&un, sizeof un) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

START_TEST(accepts_over_tcp)
{
    struct listener *l;
    int fd;

    settings.address.host = "127.0.0.1";
    l = opened(-1);
    fd = connected_tcp(l);
    loop_run(loop);
    ck_assert_int_ge(got, 0);
    ck_assert(!got_unix);
    ck_assert_int_ne(fcntl(got, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_ne(fcntl(got, F_GETFD) & FD_CLOEXEC, 0);
    (void)close(fd);
    listener_close(l);
}
END_TEST

START_TEST(accepts_over_unix)
{
    struct listener *l;
    struct stat st;
    int fd;

    settings.address.path = path;
    settings.mode = "0600";
    l = opened(-1);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    fd = connected_unix();
    ck_assert_int_ge(fd, 0);
    loop_run(loop);
    ck_assert(got_unix);
    (void)close(fd);
    listener_stop(l);
    ck_assert_int_ne(stat(path, &st), 0);
    ck_assert_ptr_eq(listener_settings(l), &settings);
    listener_stop(l);
    listener_close(l);
}
END_TEST

/* A file left behind by a larder that was killed is taken over; one that somebody listens on is
 * not. */
START_TEST(a_stale_socket_file_is_taken_over)
{
    struct listener *l, *second;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    memcpy(un.sun_path, path, strlen(path) + 1);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    (void)close(fd);
    settings.address.path = path;
    l = opened(-1);
    second = listener_open(loop, &settings, -1, &events, &error);
    ck_assert_ptr_null(second);
    ck_assert_uint_gt(buffer_len(&error), 0);
    fd = connected_unix();
    ck_assert_int_ge(fd, 0);
    (void)close(fd);
    listener_close(l);
}
END_TEST

START_TEST(what_cannot_be_bound_says_so)
{
    static const char *const hosts[] = {"localhost", "192.0.2.1"};
    static const char *const words[] = {"listener main: localhost:0: not an address",
                                        "listener main: 192.0.2.1:0: "};

    settings.address.host = hosts[_i];
    ck_assert_ptr_null(listener_open(loop, &settings, -1, &events, &error));
    ck_assert(slice_starts(buffer_slice(&error), slice_str(words[_i])));
    ck_assert_ptr_null(memchr(buffer_head(&error), '\n', buffer_len(&error)));
}
END_TEST

/* Socket activation: the file stays the service manager's. */
START_TEST(a_passed_socket_is_used)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct listener *l;
    int server = socket(AF_UNIX, SOCK_STREAM, 0), fd;
    struct stat st;

    memcpy(un.sun_path, path, strlen(path) + 1);
    ck_assert_int_eq(bind(server, (struct sockaddr *)&un, sizeof un), 0);
    ck_assert_int_eq(listen(server, 4), 0);
    settings.address.host = "127.0.0.1"; /* what was passed counts, not what is set */
    l = opened(server);
    ck_assert_int_ne(fcntl(server, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_ne(fcntl(server, F_GETFD) & FD_CLOEXEC, 0);
    fd = connected_unix();
    loop_run(loop);
    ck_assert(got_unix);
    (void)close(fd);
    listener_close(l);
    ck_assert_int_eq(stat(path, &st), 0);
}
END_TEST

/* Out of descriptors: told once, not spinning, and the client is accepted when there are some. */
START_TEST(descriptors_run_out)
{
    struct rlimit limit;
    struct listener *l;
    int fd;

    settings.address.host = "127.0.0.1";
    l = opened(-1);
    fd = connected_tcp(l);
    ballast = dup(0);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)ballast + 1;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    loop_run(loop);
    ck_assert_int_eq(got, ballast);
    /* The kernel wants a descriptor before it looks whether there is another client: so once more.
     */
    ck_assert_uint_le(exhaustions, 2);
    (void)close(fd);
    listener_close(l);
}
END_TEST

START_TEST(none_is_closed_as_none)
{
    listener_close(NULL);
}
END_TEST

Suite *listener_suite(void)
{
    Suite *suite = suite_create("listener");
    TCase *t = tcase_create("listener");

    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, accepts_over_tcp);
    tcase_add_test(t, accepts_over_unix);
    tcase_add_test(t, a_stale_socket_file_is_taken_over);
    tcase_add_loop_test(t, what_cannot_be_bound_says_so, 0, 2);
    tcase_add_test(t, a_passed_socket_is_used);
    tcase_add_test(t, descriptors_run_out);
    tcase_add_test(t, none_is_closed_as_none);
    suite_add_tcase(suite, t);
    return suite;
}
