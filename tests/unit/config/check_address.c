/* check_address.c - where to listen and connect, as text. */
#include "suites.h"

#include <string.h>

#include "config/address.h"
#include "config/bounds.h"

/* Reads and shows again. */
static void gives(const char *text, bool listens, const char *shown)
{
    struct pool pool = {0};
    struct address a = {0};
    struct buffer out = {0};
    const char *wrong = address_read(slice_str(text), listens, &pool, &a);

    ck_assert_msg(wrong == NULL, "%s: %s", text, wrong);
    ck_assert((a.host == NULL) != (a.path == NULL));
    address_show(&out, &a);
    ck_assert_str_eq(text_of(&out), shown);
    buffer_done(&out);
    pool_done(&pool);
}

static void fails(const char *text, const char *expected)
{
    struct pool pool = {0};
    struct address a = {0};
    const char *wrong = address_read(slice_str(text), false, &pool, &a);

    ck_assert_msg(wrong != NULL, "%s", text);
    ck_assert_msg(strstr(wrong, expected), "%s: %s", text, wrong);
    ck_assert(a.host == NULL && a.path == NULL && a.port == 0);
    pool_done(&pool);
}

START_TEST(right)
{
    gives("127.0.0.1:6379", false, "127.0.0.1:6379");
    gives("redis-1.my_net.local:1", false, "redis-1.my_net.local:1");
    gives("h:65535", false, "h:65535");
    gives("h:0006379", false, "h:6379");
    gives("[::1]:6379", false, "[::1]:6379");
    gives("[::]:6380", true, "[::]:6380");
    gives("[2001:db8:ffff:ffff:ffff:ffff:255.255.255.255]:1", false,
          "[2001:db8:ffff:ffff:ffff:ffff:255.255.255.255]:1");
    gives("[fe80::1%eth0]:1", false, "[fe80::1%eth0]:1");
    gives("unix:/run/larder/larder.sock", true, "unix:/run/larder/larder.sock");
    gives("unix:/a b:c", false, "unix:/a b:c");
}
END_TEST

START_TEST(without_a_host)
{
    gives(":6380", true, "0.0.0.0:6380");
    gives(":6379", false, "127.0.0.1:6379");
}
END_TEST

START_TEST(port_zero_is_for_listeners)
{
    gives("127.0.0.1:0", true, "127.0.0.1:0");
    gives("[::1]:0", true, "[::1]:0");
    fails("127.0.0.1:0", "1..65535");
}
END_TEST

START_TEST(wrong)
{
    char host[HOST_CHARS + 8];

    fails("", "write host:port");
    fails("localhost", "write host:port");
    fails("6379", "write host:port");
    fails("[::1]", "write host:port");
    fails("[::1:6379", "write host:port");
    fails("[:1", "write host:port");
    fails("[::1]x:6379", "write host:port");
    fails("h:", "the port");
    fails("h:redis", "the port");
    fails("h:-1", "the port");
    fails("h:65536", "the port");
    fails("h:18446744073709551617", "the port");
    fails("h: 1", "the port");
    fails("::1:6379", "brackets");
    fails("redis://h:6379", "brackets");
    fails("[]:1", "no IPv6");
    fails("[1.2.3.4]:1", "no IPv6");
    fails("[host]:1", "no IPv6");
    fails("[::g]:1", "no IPv6");
    fails("[fe80::1%]:1", "no IPv6");
    fails("[fe80::1%a/b]:1", "no IPv6");
    fails("[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa]:1", "no IPv6");
    fails("a b:1", "a host is");
    fails("a/b:1", "a host is");
    fails("a,b:1", "a host is");
    fails("gr\xc3\xbc:1", "a host is");
    memset(host, 'a', HOST_CHARS + 1);
    memcpy(host + HOST_CHARS + 1, ":1", 3);
    fails(host, "a host is");
    gives(host + 1, false, host + 1);
}
END_TEST

START_TEST(unix_paths)
{
    char path[8 + UNIX_PATH_BYTES] = "unix:/";

    fails("unix:", "absolute");
    fails("unix:larder.sock", "absolute");
    fails("unix:@abstract", "absolute");
    fails("unix:/", "end in /");
    fails("unix:/run/", "end in /");
    memset(path + 6, 'x', UNIX_PATH_BYTES - 1);
    fails(path, "shorter than 108");
    path[5 + UNIX_PATH_BYTES - 1] = 0;
    gives(path, true, path);
}
END_TEST

START_TEST(equality)
{
    static const struct address same[][2] = {
        {{"h", 1, NULL}, {"H", 1, NULL}},
        {{NULL, 0, "/a"}, {NULL, 0, "/a"}},
    };
    static const struct address different[][2] = {
        {{"h", 1, NULL}, {"h", 2, NULL}},   {{"h", 1, NULL}, {"i", 1, NULL}},
        {{NULL, 0, "/a"}, {NULL, 0, "/A"}}, {{NULL, 0, "/a"}, {"h", 0, NULL}},
        {{"h", 0, NULL}, {NULL, 0, "/a"}},
    };

    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        ck_assert(address_equal(&same[i][0], &same[i][1]));
    for (size_t i = 0; i < ARRAY_LEN(different); i++)
        ck_assert(!address_equal(&different[i][0], &different[i][1]));
}
END_TEST

Suite *address_suite(void)
{
    Suite *suite = suite_create("address");
    TCase *tcase = tcase_create("address");

    tcase_add_test(tcase, right);
    tcase_add_test(tcase, without_a_host);
    tcase_add_test(tcase, port_zero_is_for_listeners);
    tcase_add_test(tcase, wrong);
    tcase_add_test(tcase, unix_paths);
    tcase_add_test(tcase, equality);
    suite_add_tcase(suite, tcase);
    return suite;
}
