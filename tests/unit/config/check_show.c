/* check_show.c - settings shown: the dump and the reference load to what they were made from, and
 * what a reload can not take over is named. */
#include "suites.h"

#include <stdlib.h>
#include <string.h>

#include "config/load.h"

/* Of a policy that sets none of these. */
#define OTHER_DEFAULTS                                                                             \
    "local_ttl = 10m\nnegative_ttl = 5s\nmax_value = 0\nfield_ttl = yes\nttl = 0\nttl_jitter = "   \
    "0\n"                                                                                          \
    "max_ttl = 0\nsliding = 0\nabsolute = 0\nrequire_ttl = no\nimmutable = no\ndeny = no\n"        \
    "stampede = no\nstale_ttl = 1m\nrefresh_ahead = no\nlease_ttl = 10s\nlease_wait = 500ms\n"     \
    "scope = local\nfence = no\n"                                                                  \
    "on_outage = error\ndrop_writes = no\n"

static void dump_of(const struct settings *s, struct buffer *out)
{
    settings_dump(s, out);
    (void)text_of(out);
}

static void round_trip(const char *text)
{
    struct buffer first = {0}, second = {0}, differences = {0};
    struct settings *s = loads(text), *again;

    dump_of(s, &first);
    again = loads(text_of(&first));
    dump_of(again, &second);
    ck_assert_str_eq(text_of(&first), text_of(&second));
    settings_diff_restart(s, again, &differences);
    ck_assert_str_eq(text_of(&differences), "");
    settings_free(s);
    settings_free(again);
    buffer_done(&first);
    buffer_done(&second);
    buffer_done(&differences);
}

START_TEST(dump)
{
    struct buffer out = {0};
    struct settings *s = loads(
        "[listener b]\naddress = unix:/tmp/x\npassword = geheim\n"
        "[listener a]\naddress = [::1]:0\n"
        "[larder]\nmax_bulk = 1048576\nclient_idle_timeout = 90s\n"
        "[policy p]\nprefix = a:,b:*:\nlocal = yes\n"
        "[upstream]\nusername = $$x\n");

    settings_dump(s, &out);
    ck_assert_ptr_nonnull(strstr(text_of(&out), "[larder]\nlog_level = info\n"));
    ck_assert_ptr_nonnull(strstr(text_of(&out), "\nclient_idle_timeout = 90s\n"));
    ck_assert_ptr_nonnull(strstr(text_of(&out), "\nmax_bulk = 1mb\n"));
    ck_assert_ptr_nonnull(
        strstr(text_of(&out),
               "\n\n[listener b]\naddress = unix:/tmp/x\n"
               "mode = 0660\nbacklog = 4096\n"
               "password = ********\n"
               "tls_cert =\ntls_key =\ntls_client_ca =\ntenant =\n\n[listener a]\n"
               "address = [::1]:0\nmode = 0660\nbacklog = 4096\n"
               "password =\n"
               "tls_cert =\ntls_key =\ntls_client_ca =\ntenant =\n\n[upstream]\n"));
    ck_assert_ptr_nonnull(strstr(text_of(&out), "\nusername = $$x\npassword =\n"));
    ck_assert_ptr_nonnull(strstr(text_of(&out),
                                 "\n\n[cache]\nmax_memory = 64mb\ncoherence = auto\n"
                                 "coherence_timeout = 3s\nself_check = 0/s\n\n[policy p]\n"
                                 "prefix = a:, b:*:\nlocal = yes\n" OTHER_DEFAULTS));
    ck_assert_ptr_null(strstr(text_of(&out), "geheim"));
    settings_free(s);
    buffer_done(&out);
}
END_TEST

START_TEST(dump_loads_to_the_same)
{
    round_trip("");
    round_trip("[listener x]\naddress = :7\nmode = 0\n[listener y]\naddress = unix:/a b\n");
    round_trip(
        "[upstream]\nusername = a $$ ; # \"b\" $${c} =\naddress = [fe80::1%lo]:1\n"
        "backoff_min = 1ms\nbackoff_max = 3599s\n");
    round_trip("[upstream]\nsentinels = a:1,[::1]:2, unix:/s\nmaster = m\n");
    round_trip(
        "[larder]\nlog_level = error\nclient_idle_timeout = 365d\nmax_bulk = 1073741823\n"
        "admin_commands = allow\nclient_buffer_max = 2000mb\nshutdown_timeout = 0\n");
    round_trip(
        "[policy b]\nprefix = $${x}, a b:*\nlocal = yes\n[cache]\nself_check = 7/s\n"
        "coherence = broadcast\nmax_memory = 1mb\n[policy a]\nprefix = *\nmax_value = 1\n"
        "[policy c]\nprefix = c:\nmax_value = 512mb\nttl = 3650d\nttl_jitter = 315359999999ms\n"
        "max_ttl = 3650d\nsliding = 1ms\nabsolute = 3650d\nlocal = yes\nimmutable = yes\n"
        "[policy d]\nprefix = d:\nrequire_ttl = yes\ndeny = yes\n");
}
END_TEST

START_TEST(reference_loads_to_the_defaults)
{
    struct buffer reference = {0}, defaults = {0}, from_reference = {0};
    struct settings *s = loads("");

    settings_reference(&reference);
    dump_of(s, &defaults);
    settings_free(s);
    s = loads(text_of(&reference));
    dump_of(s, &from_reference);
    settings_free(s);
    ck_assert_str_eq(text_of(&defaults), text_of(&from_reference));
    buffer_done(&reference);
    buffer_done(&defaults);
    buffer_done(&from_reference);
}
END_TEST

/* A reader takes the # away from a line: what is there then must be the default. */
START_TEST(reference_uncommented_loads_to_the_defaults)
{
    struct buffer reference = {0}, plain = {0}, defaults = {0}, made = {0};
    struct settings *s = loads("");
    unsigned taken = 0, sections = 0;

    settings_reference(&reference);
    for (const char *p = text_of(&reference), *end; (end = strchr(p, '\n')); p = end + 1) {
        if (*p == '#' && p[1] != ' ' && p[1] != '\n') {
            p++;
            sections += *p == '[';
            taken++;
        }
        ck_assert_int_le(end - p, 100);
        buffer_add(&plain, p, (size_t)(end - p) + 1);
    }
    ck_assert_uint_ge(taken, 40);
    ck_assert_uint_eq(sections, 2);
    dump_of(s, &defaults);
    settings_free(s);
    s = loads(text_of(&plain));
    dump_of(s, &made);
    /* But for the sections that must be wanted. */
    ck_assert_uint_eq(s->policy_count, 1);
    ck_assert_uint_eq(s->tenant_count, 1);
    buffer_printf(
        &defaults,
        "\n[policy sessions]\nprefix = session:, user:*:cart:\nlocal = no\n" OTHER_DEFAULTS
        "\n[tenant acme]\nprefix = acme:\npassword =\npassword_sha256 =\nupstream_username =\n"
        "upstream_password =\nmax_clients = 0\nmax_ops = 0/s\nthrottle = error\nmax_pending = 0\n"
        "max_cache_memory = 0\nscripts = deny\n");
    settings_free(s);
    ck_assert_str_eq(text_of(&defaults), text_of(&made));
    buffer_done(&reference);
    buffer_done(&plain);
    buffer_done(&defaults);
    buffer_done(&made);
}
END_TEST

static void count_row(void *context, const struct setting_view *v)
{
    struct buffer *out = context;

    ck_assert_uint_gt(strlen(v->help), 0);
    buffer_printf(out, "%s/%s/%s/%s\n", v->section, v->name, v->value,
                  v->reloadable ? "reload" : "restart");
}

START_TEST(each)
{
    struct settings *s = loads(
        "[listener a]\npassword = geheim\n[upstream]\nusername = $$\n"
        "[policy p]\nprefix = a:,b:\n[tenant t]\nprefix = t:\n");
    struct buffer rows = {0}, reference = {0};
    unsigned shown = 0, documented = 0;

    settings_each(s, &rows, count_row);
    ck_assert_ptr_nonnull(strstr(text_of(&rows), "larder/max_clients/10000/reload\n"));
    ck_assert_ptr_nonnull(strstr(text_of(&rows), "listener a/address/127.0.0.1:6380/restart\n"));
    ck_assert_ptr_nonnull(strstr(text_of(&rows), "listener a/password/********/reload\n"));
    ck_assert_ptr_nonnull(strstr(text_of(&rows), "upstream/password//restart\n"));
    ck_assert_ptr_nonnull(strstr(text_of(&rows), "upstream/username/$/restart\n"));
    ck_assert_ptr_nonnull(strstr(text_of(&rows), "cache/self_check/0/s/reload\n"));
    ck_assert_ptr_nonnull(strstr(text_of(&rows), "policy p/prefix/a:, b:/reload\n"));
    settings_reference(&reference);
    for (const char *p = text_of(&rows); (p = strchr(p, '\n')); p++)
        shown++;
    for (const char *p = text_of(&reference); (p = strstr(p, "\n#")); p++)
        documented += p[2] != ' ' && p[2] != '\n' && p[2] != '[';
    ck_assert_uint_eq(shown, documented);
    settings_free(s);
    buffer_done(&rows);
    buffer_done(&reference);
}
END_TEST

START_TEST(mdoc)
{
    struct buffer out = {0};

    settings_mdoc(&out);
    ck_assert_ptr_nonnull(strstr(text_of(&out), ".Ss [listener NAME]\n"));
    ck_assert_ptr_nonnull(strstr(text_of(&out), ".It Ic max_clients\nClient connections at once;"));
    ck_assert_ptr_nonnull(strstr(text_of(&out), "\nDefault:\n.Ql 10000 .\n"));
    ck_assert_ptr_nonnull(strstr(text_of(&out), ".Ss [policy NAME]\n"));
    ck_assert_ptr_nonnull(strstr(text_of(&out), "\nFor example:\n.Ql session:, user:*:cart: .\n"));
    /* What starts with a dot is a request, and there are only these. */
    for (const char *p = text_of(&out); (p = strstr(p, "\n.")); p++)
        ck_assert_msg(strchr("SBIQE", p[2]) && strchr("slt", p[3]), "%.20s", p + 1);
    ck_assert_ptr_null(strchr(text_of(&out), '\\'));
    buffer_done(&out);
}
END_TEST

static void differ(const char *from, const char *to, const char *expected)
{
    struct settings *a = loads(from), *b = loads(to);
    struct buffer out = {0};

    settings_diff_restart(a, b, &out);
    ck_assert_str_eq(text_of(&out), expected);
    settings_free(a);
    settings_free(b);
    buffer_done(&out);
}

START_TEST(diff_restart)
{
    differ("", "", "");
    differ("", "[listener main]\n", "");
    differ("", "[larder]\nmax_clients = 1\nlog_level = debug\n[upstream]\npool_size = 3\n", "");
    differ("", "[listener main]\npassword = x\n", "");
    differ("", "[upstream]\naddress = h:1\npassword = x\ndatabase = 1\n",
           "upstream address\nupstream password\nupstream database\n");
    differ("", "[listener main]\naddress = :1\nbacklog = 1\nmode = 0600\n",
           "listener main address\nlistener main mode\nlistener main backlog\n");
}
END_TEST

START_TEST(diff_restart_listeners)
{
    const char *a = "[listener a]\naddress = :1\n", *b = "[listener b]\naddress = :2\n";
    const char *ab = "[listener a]\naddress = :1\n[listener b]\naddress = :2\n";
    const char *ba = "[listener b]\naddress = :2\n[listener a]\naddress = :1\n";

    differ(ab, ba, "");
    differ(a, ab, "listener b\n");
    differ(ab, a, "listener b\n");
    differ(a, b, "listener a\nlistener b\n");
    differ("[listener A]\n", "[listener a]\n", "listener A\nlistener a\n");
}
END_TEST

START_TEST(diff_restart_policies)
{
    const char *a = "[policy a]\nprefix = a\n", *b = "[policy b]\nprefix = a,b\nlocal = yes\n";

    differ("", a, "");
    differ(a, "", "");
    differ(a, b, "");
    differ(a, "[policy a]\nprefix = c\nlocal = yes\nfield_ttl = no\n", "");
    differ("", "[cache]\nmax_memory = 1mb\ncoherence = ttl\nself_check = 1/s\n", "");
}
END_TEST

Suite *show_suite(void)
{
    Suite *suite = suite_create("show");
    TCase *tcase = tcase_create("show");

    tcase_add_test(tcase, dump);
    tcase_add_test(tcase, dump_loads_to_the_same);
    tcase_add_test(tcase, reference_loads_to_the_defaults);
    tcase_add_test(tcase, reference_uncommented_loads_to_the_defaults);
    tcase_add_test(tcase, each);
    tcase_add_test(tcase, mdoc);
    tcase_add_test(tcase, diff_restart);
    tcase_add_test(tcase, diff_restart_listeners);
    tcase_add_test(tcase, diff_restart_policies);
    suite_add_tcase(suite, tcase);
    return suite;
}
