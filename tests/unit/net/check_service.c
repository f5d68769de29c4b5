/* check_service.c - the service manager's protocols, with a datagram socket in its place. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "net/service.h"
#include "suites.h"

/* A manager that listens at `name`: a path, or abstract behind an @. */
static int manager(const char *name)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t n = strlen(name);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_uint_lt(n, sizeof un.sun_path);
    memcpy(un.sun_path, name, n);
    if (name[0] == '@')
        un.sun_path[0] = 0;
    ck_assert_int_eq(
        bind(fd, (struct sockaddr *)&un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)),
        0);
    (void)setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

/* The next datagram; one that was sent is there at once. */
static const char *heard(int fd)
{
    static char text[1024];
    ssize_t n = recv(fd, text, sizeof text - 1, 0);

    text[n > 0 ? n : 0] = 0;
    return n < 0 ? NULL : text;
}

START_TEST(notifies_a_path)
{
    char dir[] = "/tmp/larder-net.XXXXXX", path[64];
    int fd;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/notify", dir);
    fd = manager(path);
    service_notify("READY=1\nSTATUS=%d clients", 3);
    service_notify("STOPPING=1");
    ck_assert_str_eq(heard(fd), "READY=1\nSTATUS=3 clients");
    ck_assert_str_eq(heard(fd), "STOPPING=1");
    ck_assert_ptr_null(heard(fd));
    (void)close(fd);
    service_notify("READY=1"); /* nobody listens: no error, no signal */
    (void)unlink(path);
    service_notify("READY=1");
    (void)rmdir(dir);
}
END_TEST

START_TEST(notifies_the_abstract_namespace)
{
    char name[64];
    int fd;

    (void)snprintf(name, sizeof name, "@larder-test-%ld", (long)getpid());
    fd = manager(name);
    service_notify("READY=1");
    ck_assert_str_eq(heard(fd), "READY=1");
    (void)close(fd);
}
END_TEST

START_TEST(a_long_message_is_cut)
{
    char name[64], text[700];
    const char *got;
    int fd;

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    (void)snprintf(name, sizeof name, "@larder-test-%ld", (long)getpid());
    fd = manager(name);
    service_notify("STATUS=%s", text);
    got = heard(fd);
    ck_assert_ptr_nonnull(got);
    ck_assert_uint_eq(strlen(got), 511);
    ck_assert_int_eq(strncmp(got, "STATUS=xxx", 10), 0);
    (void)close(fd);
}
END_TEST

/* What cannot be a manager's address is left alone: nothing is sent, and no descriptor is left. */
START_TEST(nonsense_is_no_manager)
{
    static const char *const names[] = {"", "/", "@", "relative", "vsock:2:1234"};
    char longest[200];
    int before = dup(0);

    (void)close(before);
    (void)unsetenv("NOTIFY_SOCKET");
    service_notify("READY=1");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)setenv("NOTIFY_SOCKET", names[i], 1);
        service_notify("READY=1");
    }
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    longest[0] = '/';
    (void)setenv("NOTIFY_SOCKET", longest, 1);
    service_notify("READY=1");
    longest[108] = 0; /* fills sun_path to the last byte */
    (void)setenv("NOTIFY_SOCKET", longest, 1);
    service_notify("READY=1");
    ck_assert_int_eq(dup(0), before);
}
END_TEST

static unsigned long long now_us(void)
{
    struct timespec t;

    ck_assert_int_eq(clock_gettime(CLOCK_MONOTONIC, &t), 0);
    return (unsigned long long)t.tv_sec * 1000000u + (unsigned long long)t.tv_nsec / 1000u;
}

START_TEST(reloading_tells_the_time)
{
    unsigned long long before = now_us(), said, after;
    char name[64], *end;
    const char *got;
    int fd;

    (void)snprintf(name, sizeof name, "@larder-test-%ld", (long)getpid());
    fd = manager(name);
    service_notify_reloading();
    after = now_us();
    got = heard(fd);
    ck_assert_ptr_nonnull(got);
    ck_assert_int_eq(strncmp(got, "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
    said = strtoull(got + 27, &end, 10);
    ck_assert_int_eq(*end, 0);
    ck_assert_uint_ge(said, before);
    ck_assert_uint_le(said, after);
    (void)close(fd);
}
END_TEST

/* own: the manager means this process. */
static void set_env(const char *name, const char *value)
{
    char pid[32];

    if (value == NULL) {
        (void)unsetenv(name);
        return;
    }
    (void)snprintf(pid, sizeof pid, "%ld", (long)getpid());
    (void)setenv(name, strcmp(value, "own") == 0 ? pid : value, 1);
}

struct env_case {
    const char *number, *pid;
    uint64_t result;
};

static const struct env_case watchdogs[] = {
    {NULL, NULL, 0},
    {"30000000", NULL, 15000},
    {"30000000", "own", 15000},
    {"30000000", "1", 0},
    {NULL, "own", 0},
    {"0", "own", 0},
    {"-5", "own", 0},
    {"3000", "own", 1},
    {"1", "own", 1},
    {"30000000x", "own", 0},
    {"", "own", 0},
    {"99999999999999999999", "own", 0},
    {"3999", NULL, 1},
    {"4000", NULL, 2},
};

START_TEST(the_watchdog_is_fed_twice_a_period)
{
    const struct env_case *c = &watchdogs[_i];

    set_env("WATCHDOG_USEC", c->number);
    set_env("WATCHDOG_PID", c->pid);
    ck_assert_uint_eq(service_watchdog_ms(), c->result);
}
END_TEST

static const struct env_case passed[] = {
    {NULL, NULL, 0},  {"2", "own", 2},   {"1", "own", 1},  {"2", NULL, 0},
    {"2", "1", 0},    {"0", "own", 0},   {"-1", "own", 0}, {"x", "own", 0},
    {NULL, "own", 0}, {"64", "own", 64}, {"65", "own", 0}, /* more than anybody passes */
};

START_TEST(sockets_are_passed_to_this_process_only)
{
    const struct env_case *c = &passed[_i];

    set_env("LISTEN_FDS", c->number);
    set_env("LISTEN_PID", c->pid);
    ck_assert_uint_eq(service_listen_fds(), c->result);
}
END_TEST

Suite *service_suite(void)
{
    Suite *suite = suite_create("service");
    TCase *t = tcase_create("service");

    tcase_add_test(t, notifies_a_path);
    tcase_add_test(t, notifies_the_abstract_namespace);
    tcase_add_test(t, a_long_message_is_cut);
    tcase_add_test(t, nonsense_is_no_manager);
    tcase_add_test(t, reloading_tells_the_time);
    tcase_add_loop_test(t, the_watchdog_is_fed_twice_a_period, 0, ARRAY_LEN(watchdogs));
    tcase_add_loop_test(t, sockets_are_passed_to_this_process_only, 0, ARRAY_LEN(passed));
    suite_add_tcase(suite, t);
    return suite;
}
