/* check_contradictions.c - what is wrong only together, told at its line, once: and that defaults
 * never contradict each other, nor a value that was refused anything. */
#include "suites.h"

#include <stdlib.h>

START_TEST(prefixes)
{
    static const char *const wrong[] = {"a*b",  "a*:",   "*a",     "**",
                                        "a:**", "a:*b:", "a:b*:c", "*:*:*x"};
    static const char *const right[] = {
        "*", "a*", "a:*", "a:*:", "*:", "*:*:*", "a:*:b*", ":*:", "::*"};

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct buffer text = {0}, error = {0};

        buffer_printf(&text, "[policy p]\nprefix = ok:, %s\n", wrong[i]);
        buffer_printf(&error,
                      "t.ini:2: prefix: \"%s\" has a * that is neither all there is between two "
                      "colons nor the last character\n",
                      wrong[i]);
        refuses(text_of(&text), text_of(&error));
        buffer_done(&text);
        buffer_done(&error);
    }
    for (size_t i = 0; i < ARRAY_LEN(right); i++) {
        struct buffer text = {0};

        buffer_printf(&text, "[policy p]\nprefix = %s\n", right[i]);
        settings_free(loads(text_of(&text)));
        buffer_done(&text);
    }
}
END_TEST

START_TEST(prefix_must_be_set)
{
    refuses("[larder]\n[policy a]\nlocal = yes\n", "t.ini:2: [policy a] must set prefix\n");
    refuses("[policy a]\nprefix =\n", "t.ini:2: prefix: \"\" is empty\n");
    refuses("[policy a]\nprefix = ${NO}\n",
            "t.ini:2: prefix: \"NO\": no such variable in the environment, and no default\n");
    refuses("[policy a]\nprefix = a:,,b:\n", "t.ini:2: prefix: \"a:,,b:\" holds an empty word\n");
    ck_assert_int_eq(setenv("TAB", "a\tb", 1), 0);
    refuses("[policy a]\nprefix = ${TAB}\n",
            "t.ini:2: prefix: \"a?b\" holds a control character\n");
}
END_TEST

START_TEST(same_prefixes)
{
    refuses("[policy a]\nprefix = x:, y:\n[policy b]\nprefix = z:, y:\n",
            "t.ini:4: prefix: [policy a] has \"y:\" already\n");
    refuses("[policy a]\nprefix = x:, y:, x:\n",
            "t.ini:2: prefix: [policy a] has \"x:\" already\n");
    /* A star at the end says nothing, so these are the same. */
    refuses("[policy a]\nprefix = x:*\n[policy b]\nprefix = x:\n[policy c]\nprefix = x:*\n",
            "t.ini:4: prefix: [policy a] has \"x:\" already\n"
            "t.ini:6: prefix: [policy a] has \"x:*\" already\n");
    settings_free(loads("[policy a]\nprefix = x:, x, x:*:, X:, *\n[policy b]\nprefix = x:*:*:\n"));
}
END_TEST

START_TEST(same_addresses)
{
    refuses("[listener a]\naddress = h:1\n[listener b]\naddress = H:1\n",
            "t.ini:4: [listener b] has the address of [listener a]\n");
    refuses("[listener a]\n[listener b]\n",
            "t.ini:2: [listener b] has the address of [listener a]\n");
    refuses("[listener a]\naddress = unix:/a\n[listener b]\naddress = unix:/a\n",
            "t.ini:4: [listener b] has the address of [listener a]\n");
    settings_free(loads("[listener a]\naddress = h:0\n[listener b]\naddress = h:0\n"));
    /* One that was refused stands at the default, like the other, and is no second mistake. */
    refuses("[listener a]\n[listener b]\naddress = h\n",
            "t.ini:3: address: \"h\" is no address: write host:port, [IPv6]:port or unix:/path\n");
    refuses("[listener a]\naddress = h\n[listener b]\n",
            "t.ini:2: address: \"h\" is no address: write host:port, [IPv6]:port or unix:/path\n");
}
END_TEST

START_TEST(bounds)
{
    refuses("[upstream]\nbackoff_min = 2s\nbackoff_max = 1s\n",
            "t.ini:2: backoff_min = 2s is more than backoff_max = 1s\n");
    refuses("[upstream]\nbackoff_min = 4s\n",
            "t.ini:2: backoff_min = 4s is more than backoff_max = 3s (its default)\n");
    refuses("[upstream]\nbackoff_max = 1ms\n",
            "t.ini:2: backoff_min = 50ms (its default) is more than backoff_max = 1ms\n");
    refuses("[upstream]\npool_size = 5\nmax_links = 4\n",
            "t.ini:2: pool_size = 5 is more than max_links = 4\n");
    refuses("[larder]\nmax_request = 1mb\n",
            "t.ini:2: max_bulk = 512mb (its default) is more than max_request = 1mb\n");
    settings_free(
        loads("[larder]\nmax_request = 1mb\nmax_bulk = 1mb\n"
              "[upstream]\nbackoff_min = 3s\nmax_links = 10\n"));
    /* A refused value stands at its default, and contradicts nobody. */
    refuses("[larder]\nmax_request = 1mb\nmax_bulk = 1\n",
            "t.ini:3: max_bulk: \"1\" is not within 1kb..1024gb\n");
    refuses("[upstream]\nbackoff_min = 4s\nbackoff_max = 2h\n",
            "t.ini:3: backoff_max: \"2h\" is not within 1ms..1h\n");
}
END_TEST

START_TEST(sentinels)
{
    struct settings *s = loads(
        "[upstream]\nsentinels = a:1, [::1]:2,unix:/s\nmaster = m\nsentinel_username = u\n"
        "sentinel_password = p\n");

    ck_assert_uint_eq(s->upstream.sentinels.n, 3);
    ck_assert_str_eq(s->upstream.sentinels.v[1].host, "::1");
    ck_assert_str_eq(s->upstream.sentinels.v[2].path, "/s");
    settings_free(s);
    refuses("[upstream]\nsentinels = a:1\n", "t.ini:2: sentinels needs master\n");
    refuses("[upstream]\nmaster = m\n", "t.ini:2: master needs sentinels\n");
    refuses("[upstream]\nsentinels =\nmaster = m\n", "t.ini:3: master needs sentinels\n");
    refuses("[upstream]\nsentinel_username = u\nsentinel_password = p\n",
            "t.ini:2: sentinel_username needs sentinels\n"
            "t.ini:3: sentinel_password needs sentinels\n");
    refuses("[upstream]\nsentinels = a:1\nmaster = m\naddress = 127.0.0.1:6379\n",
            "t.ini:4: address excludes sentinels in t.ini:2\n");
    refuses("[upstream]\nsentinels = a:1, b:1, A:1\nmaster = m\n",
            "t.ini:2: sentinels: A:1 stands there twice\n");
    refuses("[upstream]\nsentinels = a:1\nmaster = my master\n",
            "t.ini:3: master: \"my master\" holds a blank\n");
    /* A refused value stands at its default, and is no second mistake. */
    refuses("[upstream]\nsentinels = a\nmaster = m\n",
            "t.ini:2: sentinels: \"a\" is no address: write host:port, [IPv6]:port or "
            "unix:/path\n");
    settings_free(loads("[upstream]\nsentinels =\nmaster =\naddress = h:1\n"));
}
END_TEST

static void policy_loads(const char *lines)
{
    struct buffer text = {0};

    buffer_printf(&text, "[policy p]\nprefix = p:\n%s", lines);
    settings_free(loads(text_of(&text)));
    buffer_done(&text);
}

/* Its first line is the third of the file. */
static void policy_refuses(const char *lines, const char *errors)
{
    struct buffer text = {0};

    buffer_printf(&text, "[policy p]\nprefix = p:\n%s", lines);
    refuses(text_of(&text), errors);
    buffer_done(&text);
}

START_TEST(expiry)
{
    policy_refuses("ttl = 2h\nmax_ttl = 1h\n", "t.ini:3: ttl = 2h is more than max_ttl = 1h\n");
    policy_refuses("max_ttl = 1h\nttl = 2h\n", "t.ini:4: ttl = 2h is more than max_ttl = 1h\n");
    policy_refuses("sliding = 3601s\nmax_ttl = 1h\n",
                   "t.ini:3: sliding = 3601s is more than max_ttl = 1h\n");
    policy_refuses("absolute = 8h\nsliding = 9h\n",
                   "t.ini:4: sliding = 9h is more than absolute = 8h\n");
    policy_refuses("ttl = 1d\nabsolute = 8h\n", "t.ini:3: ttl = 1d is more than absolute = 8h\n");
    policy_refuses("ttl_jitter = 5s\nttl = 5s\n",
                   "t.ini:3: ttl_jitter = 5s is not less than ttl = 5s\n");
    policy_refuses("ttl = 5s\nttl_jitter = 6s\n",
                   "t.ini:4: ttl_jitter = 6s is not less than ttl = 5s\n");
    policy_refuses("sliding = 1m\nttl_jitter = 1ms\n",
                   "t.ini:4: ttl_jitter = 1ms is not less than ttl = 0 (its default)\n");
    policy_refuses("ttl = 5m\nrequire_ttl = yes\n",
                   "t.ini:4: require_ttl = yes excludes ttl = 5m\n");
    policy_refuses("immutable = yes\n",
                   "t.ini:3: immutable = yes is not possible with local = no (its default)\n");
    policy_refuses("scope = fleet\nlocal = yes\n",
                   "t.ini:3: scope = fleet is not possible with stampede = no (its default)\n");
    policy_loads("scope = fleet\nlocal = yes\nstampede = wait\n");
    policy_refuses("local = no\nimmutable = yes\n",
                   "t.ini:4: immutable = yes is not possible with local = no\n");
    policy_refuses("stampede = wait\n",
                   "t.ini:3: stampede = wait is not possible with local = no (its default)\n");
    policy_refuses("on_outage = stale\n",
                   "t.ini:3: on_outage = stale is not possible with local = no (its default)\n");
    /* Each at its own line, whichever policy. */
    refuses(
        "[policy a]\nprefix = a:\nttl = 5m\n[policy b]\nprefix = b:\nttl = 3d\nmax_ttl = 1d\n"
        "sliding = 2d\nabsolute = 1h\nimmutable = yes\n",
        "t.ini:6: ttl = 3d is more than max_ttl = 1d\n"
        "t.ini:8: sliding = 2d is more than max_ttl = 1d\n"
        "t.ini:6: ttl = 3d is more than absolute = 1h\n"
        "t.ini:8: sliding = 2d is more than absolute = 1h\n"
        "t.ini:10: immutable = yes is not possible with local = no (its default)\n");
}
END_TEST

START_TEST(who_loads)
{
    policy_loads("stampede = wait\nlocal = yes\n");
    policy_loads("stampede = stale\nlocal = yes\nrefresh_ahead = yes\nstale_ttl = 1s\n");
    policy_loads("stampede = stale\nlocal = yes\nsliding = 1m\n");
    policy_loads("stale_ttl = 1s\n");
    policy_refuses("stampede = wait\n",
                   "t.ini:3: stampede = wait is not possible with local = no (its default)\n");
    policy_refuses("stampede = stale\nlocal = no\n",
                   "t.ini:3: stampede = stale is not possible with local = no\n");
    policy_refuses("ttl = 1m\nrefresh_ahead = yes\n",
                   "t.ini:4: refresh_ahead = yes is not possible with local = no (its default)\n");
    policy_refuses("local = yes\nrefresh_ahead = yes\nsliding = 1m\n",
                   "t.ini:4: refresh_ahead = yes excludes sliding = 1m\n");
}
END_TEST

/* What is off bounds nothing, what is equal is within, and deny goes with all of it. */
START_TEST(expiry_within_bounds)
{
    static const char *const one[] = {"ttl = 5m\n",      "max_ttl = 5m\n",      "sliding = 5m\n",
                                      "absolute = 5m\n", "require_ttl = yes\n", "deny = yes\n",
                                      "max_value = 1\n", "local = yes\n"};

    policy_loads("");
    policy_loads(
        "local = no\nlocal_ttl = 10m\nnegative_ttl = 5s\nmax_value = 0\n"
        "field_ttl = yes\nttl = 0\nttl_jitter = 0\nmax_ttl = 0\nsliding = 0\n"
        "absolute = 0\nrequire_ttl = no\nimmutable = no\ndeny = no\n");
    for (size_t i = 0; i < ARRAY_LEN(one); i++)
        policy_loads(one[i]);
    policy_loads("ttl = 1h\nmax_ttl = 1h\nsliding = 1h\nabsolute = 1h\n");
    policy_loads("ttl = 1h\nsliding = 1m\n");
    policy_loads("sliding = 1h\nttl = 1m\n");
    policy_loads("max_ttl = 1m\nabsolute = 1h\n");
    policy_loads("absolute = 1m\nmax_ttl = 1h\n");
    policy_loads("ttl = 5s\nttl_jitter = 4999ms\n");
    policy_loads("require_ttl = yes\nttl = 0\nmax_ttl = 1h\nsliding = 1m\nabsolute = 1h\n");
    policy_loads("immutable = yes\nlocal = yes\n");
    policy_loads("stampede = wait\nlocal = yes\n");
    policy_loads(
        "deny = yes\nlocal = yes\nlocal_ttl = 1m\nmax_value = 1kb\nttl = 1m\n"
        "ttl_jitter = 1s\nmax_ttl = 1h\nsliding = 1m\nabsolute = 1h\nimmutable = yes\n");
    /* A refused value stands at its default, and contradicts nobody. */
    policy_refuses("ttl = 5\nttl_jitter = 1s\n",
                   "t.ini:3: ttl: \"5\" is not a duration such as 500ms, 5s, 30m, 8h or 1d\n");
    policy_refuses("immutable = yes\nlocal = on\n",
                   "t.ini:4: local: \"on\" is neither yes nor no\n");
}
END_TEST

START_TEST(modes)
{
    refuses("[listener a]\nmode = rw\n", "t.ini:2: mode: \"rw\" is not within 0..0777, octal\n");
    refuses("[listener a]\nmode =\n", "t.ini:2: mode: \"\" is not within 0..0777, octal\n");
}
END_TEST

/* A file that can be read; what is in it, config does not ask. */
#define PEM "/proc/self/status"

START_TEST(tls_pairs)
{
    refuses("[listener a]\ntls_cert = " PEM "\n", "t.ini:2: tls_cert needs tls_key as well\n");
    refuses("[listener a]\ntls_key = " PEM "\n", "t.ini:2: tls_key needs tls_cert as well\n");
    refuses("[listener a]\ntls_client_ca = " PEM "\n",
            "t.ini:2: tls_client_ca needs tls_cert as well\n");
    refuses("[upstream]\ntls = yes\ntls_key = " PEM "\n",
            "t.ini:3: tls_key needs tls_cert as well\n");
    refuses("[upstream]\ntls = no\ntls_cert = " PEM "\n",
            "t.ini:3: tls_cert needs tls_key as well\n");
    settings_free(
        loads("[listener a]\ntls_cert = " PEM "\ntls_key = " PEM "\ntls_client_ca = " PEM "\n"
              "[upstream]\ntls = yes\ntls_cert = " PEM "\ntls_key = " PEM "\ntls_ca = " PEM "\n"));
}
END_TEST

/* Whoever forgets tls = yes would speak plain. */
START_TEST(tls_that_is_not_used)
{
    refuses("[upstream]\ntls_ca = " PEM "\n",
            "t.ini:2: tls_ca needs tls = yes (or tls = no, to say so)\n");
    refuses("[upstream]\ntls_server_name = a\n",
            "t.ini:2: tls_server_name needs tls = yes (or tls = no, to say so)\n");
    settings_free(loads("[upstream]\ntls = no\ntls_server_name = a\ntls_ca = " PEM "\n"));
    refuses("[upstream]\ntls = perhaps\ntls_server_name = a\n",
            "t.ini:2: tls: \"perhaps\" is neither yes nor no\n");
}
END_TEST

START_TEST(tls_on_unix_sockets)
{
    refuses("[upstream]\naddress = unix:/x\ntls = yes\n",
            "t.ini:3: tls = yes is not possible with address = unix:/x\n");
    settings_free(loads("[upstream]\naddress = unix:/x\ntls = no\n"));
    refuses("[listener a]\ntls_cert = " PEM "\ntls_key = " PEM "\naddress = unix:/x\n",
            "t.ini:2: tls_cert = " PEM " is not possible with address = unix:/x\n");
}
END_TEST

Suite *contradictions_suite(void)
{
    Suite *suite = suite_create("contradictions");
    TCase *tcase = tcase_create("contradictions");

    tcase_add_test(tcase, prefixes);
    tcase_add_test(tcase, prefix_must_be_set);
    tcase_add_test(tcase, same_prefixes);
    tcase_add_test(tcase, same_addresses);
    tcase_add_test(tcase, bounds);
    tcase_add_test(tcase, sentinels);
    tcase_add_test(tcase, expiry);
    tcase_add_test(tcase, expiry_within_bounds);
    tcase_add_test(tcase, who_loads);
    tcase_add_test(tcase, modes);
    tcase_add_test(tcase, tls_pairs);
    tcase_add_test(tcase, tls_that_is_not_used);
    tcase_add_test(tcase, tls_on_unix_sockets);
    suite_add_tcase(suite, tcase);
    return suite;
}
