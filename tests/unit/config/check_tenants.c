/* check_tenants.c - [tenant] sections, and what is wrong with them together. */
#include "suites.h"

#include <stdio.h>
#include <string.h>

START_TEST(whole)
{
    struct settings *s = loads(
        "[tenant acme]\nprefix = acme:\npassword = geheim\nmax_ops = 10/s\nthrottle = delay\n"
        "[tenant b-1]\nprefix = b[1]*\nscripts = allow\nupstream_username = u\n"
        "[listener x]\naddress = h:1\ntenant = b-1\n[larder]\nnamespace = c:\n");

    ck_assert_uint_eq(s->tenant_count, 2);
    ck_assert_str_eq(s->tenants[0].name, "acme");
    ck_assert_str_eq(s->tenants[0].prefix, "acme:");
    ck_assert_str_eq(s->tenants[0].password, "geheim");
    ck_assert_uint_eq(s->tenants[0].max_ops, 10);
    ck_assert_int_eq(s->tenants[0].throttle, SET_THROTTLE_DELAY);
    ck_assert_int_eq(s->tenants[0].scripts, SET_SCRIPTS_DENY);
    ck_assert_str_eq(s->tenants[1].prefix, "b[1]*");
    ck_assert_int_eq(s->tenants[1].scripts, SET_SCRIPTS_ALLOW);
    ck_assert_str_eq(s->listeners[0].tenant, "b-1");
    ck_assert_str_eq(s->larder.namespace, "c:");
    settings_free(s);
}
END_TEST

START_TEST(prefixes)
{
    refuses("[tenant a]\npassword = x\n", "t.ini:1: [tenant a] must set prefix\n");
    refuses("[tenant a]\nprefix =\n",
            "t.ini:2: prefix: \"\" is empty, longer than 128 bytes, or holds a control "
            "character\n");
    refuses("[tenant a]\nprefix = a:\n[tenant b]\nprefix = a:\n",
            "t.ini:4: prefix: [tenant a] has \"a:\" already\n");
    refuses("[tenant a]\nprefix = a:b:\n[tenant b]\nprefix = a:\n[tenant c]\nprefix = a:c\n",
            "t.ini:2: prefix: \"a:b:\" begins with \"a:\", which is that of [tenant b]\n"
            "t.ini:6: prefix: \"a:c\" begins with \"a:\", which is that of [tenant b]\n");
    refuses("[larder]\nnamespace = a:\n[tenant b]\nprefix = a:b\n",
            "t.ini:4: prefix: \"a:b\" begins with \"a:\", which is that of [larder] namespace of "
            "[larder]\n");
    refuses("[tenant a]\nprefix = larder:a:\n",
            "t.ini:2: prefix: keys of larder's own begin with larder:\n");
    refuses("[tenant a]\nprefix = lar\n",
            "t.ini:2: prefix: keys of larder's own begin with \"lar\"\n");
    refuses("[tenant a]\nprefix = __keyspace@\n",
            "t.ini:2: prefix: channels of Redis' own begin with __\n");
    refuses("[larder]\nnamespace = larder:\n",
            "t.ini:2: namespace: keys of larder's own begin with larder:\n");
    settings_free(
        loads("[tenant a]\nprefix = a:\n[tenant b]\nprefix = a;\n"
              "[tenant c]\nprefix = larder\\\n"));
}
END_TEST

START_TEST(logins)
{
    refuses("[tenant default]\nprefix = a:\n",
            "t.ini:1: no tenant is called default: that is who AUTH without a name is\n");
    refuses("[tenant a]\nprefix = a:\npassword = x\npassword_sha256 = 12\n",
            "t.ini:4: password_sha256 excludes password in t.ini:3\n"
            "t.ini:4: password_sha256: it is not 64 hex digits\n");
    refuses("[tenant a]\nprefix = a:\nupstream_password = x\n",
            "t.ini:3: upstream_password needs upstream_username\n");
    refuses("[listener l]\ntenant = b\n", "t.ini:2: tenant: there is no [tenant b]\n");
    settings_free(
        loads("[tenant a]\nprefix = a:\npassword_sha256 = "
              "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00A08\n"));
}
END_TEST

/* Ten thousand are found by name, and none is lost when their array moves. */
START_TEST(many)
{
    struct buffer text = {0};
    struct settings *s;
    char name[16];

    for (int i = 0; i < 10000; i++)
        buffer_printf(&text, "[tenant t%d]\nprefix = p%d:\npassword = w%d\n", i, i, i);
    s = loads(text_of(&text));
    ck_assert_uint_eq(s->tenant_count, 10000);
    for (int i = 0; i < 10000; i++) {
        (void)snprintf(name, sizeof name, "p%d:", i);
        ck_assert_str_eq(s->tenants[i].prefix, name);
        (void)snprintf(name, sizeof name, "t%d", i);
        ck_assert_str_eq(s->tenants[i].name, name);
    }
    settings_free(s);
    buffer_printf(&text, "[tenant t77]\n[tenant last]\nprefix = p4711:x\n");
    refuses(text_of(&text),
            "t.ini:30001: [tenant t77] repeats line 232\n"
            "t.ini:30003: prefix: \"p4711:x\" begins with \"p4711:\", which is that of [tenant "
            "t4711]\n");
    buffer_done(&text);
}
END_TEST

Suite *tenants_suite(void)
{
    Suite *suite = suite_create("tenants");
    TCase *tcase = tcase_create("tenants");

    tcase_add_test(tcase, whole);
    tcase_add_test(tcase, prefixes);
    tcase_add_test(tcase, logins);
    tcase_add_test(tcase, many);
    suite_add_tcase(suite, tcase);
    return suite;
}
