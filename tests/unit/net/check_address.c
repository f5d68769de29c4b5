/* check_address.c - addresses from settings and as text; comparing secrets. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/address.h"
#include "net/digest.h"
#include "suites.h"

struct address_case {
    struct address setting;
    const char *setting_text;
    const char *text; /* NULL: a name has to be looked up */
};

static const struct address_case cases[] = {
    {{"127.0.0.1", 6379, NULL}, "127.0.0.1:6379", "127.0.0.1:6379"},
    {{"255.255.255.255", 65535, NULL}, "255.255.255.255:65535", "255.255.255.255:65535"},
    {{"::1", 6379, NULL}, "[::1]:6379", "[::1]:6379"},
    {{"2001:DB8:0:0:0:0:0:1", 1, NULL}, "[2001:DB8:0:0:0:0:0:1]:1", "[2001:db8::1]:1"},
    {{"::ffff:10.0.0.1", 1, NULL}, "[::ffff:10.0.0.1]:1", "[::ffff:10.0.0.1]:1"},
    {{"", 6380, NULL}, ":6380", "0.0.0.0:6380"},
    {{NULL, 6380, NULL}, ":6380", "0.0.0.0:6380"},
    {{"*", 6380, NULL}, "*:6380", "0.0.0.0:6380"},
    {{NULL, 0, "/run/larder/larder.sock"},
     "unix:/run/larder/larder.sock",
     "/run/larder/larder.sock:0"},
    {{"localhost", 6379, NULL}, "localhost:6379", NULL},
    {{"redis.example", 6379, NULL}, "redis.example:6379", NULL},
    {{"127.0.0.256", 6379, NULL}, "127.0.0.256:6379", NULL},
    {{"127.1", 6379, NULL}, "127.1:6379", NULL},
    {{"127.0.0.1 ", 6379, NULL}, "127.0.0.1 :6379", NULL},
    {{"[::1]", 6379, NULL}, "[[::1]]:6379", NULL},
    {{"::1::", 6379, NULL}, "[::1::]:6379", NULL},
};

START_TEST(settings_become_addresses)
{
    const struct address_case *c = &cases[_i];
    struct sock_address a = {.len = 77};
    char text[ADDRESS_TEXT];

    address_setting_text(&c->setting, text, sizeof text);
    ck_assert_str_eq(text, c->setting_text);
    ck_assert_int_eq(address_numeric(&c->setting, &a), c->text != NULL);
    if (c->text == NULL) {
        ck_assert_uint_eq(a.len, 77); /* untouched */
        return;
    }
    address_text(&a, text, sizeof text);
    ck_assert_str_eq(text, c->text);
    ck_assert_uint_eq(a.len, a.storage.ss_family == AF_INET    ? sizeof(struct sockaddr_in)
                             : a.storage.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                               : sizeof(struct sockaddr_un));
}
END_TEST

/* A Unix path must fit with its NUL: 107 bytes, no more. */
START_TEST(long_paths)
{
    char path[109], text[ADDRESS_TEXT];
    struct address setting = {.path = path};
    struct sock_address a;

    memset(path, 'p', sizeof path);
    path[0] = '/';
    path[108] = 0;
    ck_assert(!address_numeric(&setting, &a));
    path[107] = 0;
    ck_assert(address_numeric(&setting, &a));
    address_text(&a, text, sizeof text);
    ck_assert_uint_eq(strlen(text), 107 + 2);
}
END_TEST

START_TEST(texts_are_cut_to_the_room)
{
    struct address setting = {.host = "2001:db8:1:2:3:4:5:6", .port = 65535};
    struct sock_address a;
    char text[ADDRESS_TEXT];

    ck_assert(address_numeric(&setting, &a));
    memset(text, '#', sizeof text);
    address_text(&a, text, 8);
    ck_assert_str_eq(text, "[2001:d");
    ck_assert_int_eq(text[8], '#');
    memset(text, '#', sizeof text);
    address_setting_text(&setting, text, 8);
    ck_assert_str_eq(text, "[2001:d");
    ck_assert_int_eq(text[8], '#');
}
END_TEST

static int bound(const struct address *setting, struct sock_address *ret)
{
    int fd;

    ck_assert(address_numeric(setting, ret));
    fd = socket(ret->storage.ss_family, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&ret->storage, ret->len), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    ret->len = sizeof ret->storage;
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&ret->storage, &ret->len), 0);
    return fd;
}

START_TEST(both_ends_of_a_connection)
{
    struct address setting = {.host = "127.0.0.1", .port = 0};
    struct sock_address a;
    int listening = bound(&setting, &a), fd = socket(AF_INET, SOCK_STREAM, 0), other;
    char server[ADDRESS_TEXT], here[ADDRESS_TEXT], text[ADDRESS_TEXT];

    address_text(&a, server, sizeof server);
    ck_assert_str_ne(server, "127.0.0.1:0");
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&a.storage, a.len), 0);
    other = accept(listening, NULL, NULL);
    address_of_peer(fd, text, sizeof text);
    ck_assert_str_eq(text, server);
    address_of_self(other, text, sizeof text);
    ck_assert_str_eq(text, server);
    address_of_self(fd, here, sizeof here);
    ck_assert_str_ne(here, server);
    address_of_peer(other, text, sizeof text);
    ck_assert_str_eq(text, here);
    (void)close(fd);
    (void)close(other);
    (void)close(listening);
}
END_TEST

/* The client of a Unix socket has no name: it is shown as the path that it came by. */
START_TEST(both_ends_of_a_unix_connection)
{
    char dir[] = "/tmp/larder-net.XXXXXX", path[64], want[70], text[ADDRESS_TEXT];
    struct address setting = {.path = path};
    struct sock_address a;
    int listening, fd = socket(AF_UNIX, SOCK_STREAM, 0), other;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/s", dir);
    (void)snprintf(want, sizeof want, "%s:0", path);
    listening = bound(&setting, &a);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&a.storage, a.len), 0);
    other = accept(listening, NULL, NULL);
    address_of_peer(other, text, sizeof text);
    ck_assert_str_eq(text, want);
    address_of_self(other, text, sizeof text);
    ck_assert_str_eq(text, want);
    address_of_self(fd, text, sizeof text);
    ck_assert_str_eq(text, "unix:0");
    (void)close(fd);
    (void)close(other);
    (void)close(listening);
    (void)unlink(path);
    (void)rmdir(dir);
}
END_TEST

START_TEST(what_is_no_socket_has_no_address)
{
    char text[ADDRESS_TEXT];
    int ends[2];

    ck_assert_int_eq(pipe(ends), 0);
    address_of_peer(ends[0], text, sizeof text);
    ck_assert_str_eq(text, "?:0");
    address_of_self(ends[0], text, sizeof text);
    ck_assert_str_eq(text, "?:0");
    address_of_self(-1, text, sizeof text);
    ck_assert_str_eq(text, "?:0");
    (void)close(ends[0]);
    (void)close(ends[1]);
}
END_TEST

START_TEST(secrets_compare_by_every_byte)
{
    ck_assert(digest_equal(SLICE("secret"), SLICE("secret")));
    ck_assert(digest_equal(SLICE(""), SLICE("")));
    ck_assert(digest_equal(slice_of(NULL, 0), SLICE("")));
    ck_assert(digest_equal(SLICE("a\0b"), SLICE("a\0b")));
    ck_assert(!digest_equal(SLICE("secret"), SLICE("secreT")));
    ck_assert(!digest_equal(SLICE("secret"), SLICE("Secret")));
    ck_assert(!digest_equal(SLICE("secret"), SLICE("secre")));
    ck_assert(!digest_equal(SLICE("secret"), SLICE("secrets")));
    ck_assert(!digest_equal(SLICE("secret"), SLICE("")));
    ck_assert(!digest_equal(SLICE(""), SLICE("secret")));
    ck_assert(!digest_equal(SLICE("a\0b"), SLICE("a\0c")));
    ck_assert(!digest_equal(SLICE("a"), SLICE("a\0")));
}
END_TEST

Suite *address_suite(void)
{
    Suite *suite = suite_create("address");
    TCase *t = tcase_create("address");

    tcase_add_loop_test(t, settings_become_addresses, 0, ARRAY_LEN(cases));
    tcase_add_test(t, long_paths);
    tcase_add_test(t, texts_are_cut_to_the_room);
    tcase_add_test(t, both_ends_of_a_connection);
    tcase_add_test(t, both_ends_of_a_unix_connection);
    tcase_add_test(t, what_is_no_socket_has_no_address);
    tcase_add_test(t, secrets_compare_by_every_byte);
    suite_add_tcase(suite, t);
    return suite;
}
