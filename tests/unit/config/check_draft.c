/* check_draft.c - sections and settings: what they are set to, repetitions, and that every mistake
 * is told, at its line, once. */
#include "suites.h"

#include <stdlib.h>
#include <string.h>

#include "config/bounds.h"
#include "config/load.h"

START_TEST(all_defaults)
{
    struct settings *s = loads("");

    ck_assert_uint_eq(s->larder.max_clients, 10000);
    ck_assert_uint_eq(s->larder.client_idle_timeout, 0);
    ck_assert_uint_eq(s->larder.max_bulk, 512u << 20);
    ck_assert_uint_eq(s->larder.shutdown_timeout, 10000);
    ck_assert_uint_eq(s->listener_count, 1);
    ck_assert_str_eq(s->listeners[0].name, "main");
    ck_assert_str_eq(s->listeners[0].address.host, "127.0.0.1");
    ck_assert_uint_eq(s->listeners[0].address.port, 6380);
    ck_assert_ptr_null(s->listeners[0].address.path);
    ck_assert_str_eq(s->listeners[0].mode, "0660");
    ck_assert_str_eq(s->listeners[0].password, "");
    ck_assert_uint_eq(s->upstream.address.port, 6379);
    ck_assert_str_eq(s->upstream.username, "");
    ck_assert_uint_eq(s->upstream.backoff_max, 3000);
    ck_assert_uint_eq(s->cache.max_memory, 64u << 20);
    ck_assert_int_eq(s->cache.coherence, SET_COHERENCE_AUTO);
    ck_assert_uint_eq(s->cache.coherence_timeout, 3000);
    ck_assert_uint_eq(s->cache.self_check, 0);
    ck_assert_uint_eq(s->policy_count, 0);
    settings_free(s);
}
END_TEST

START_TEST(everything_set)
{
    struct settings *s = loads(
        "[upstream]\n"
        "address = unix:/run/redis.sock\n"
        "username = larder\n"
        "password = a ; b # c = \"d\"\n"
        "pool_size = 4\n"
        "[larder]\n"
        "max_clients = 1\n"
        "[listener one]\n"
        "address = :6380\n"
        "[listener  two-2_B]\n"
        "address = unix:/tmp/l.sock\n"
        "mode = 600\n"
        "password = pa$$word\n");

    ck_assert_str_eq(s->upstream.address.path, "/run/redis.sock");
    ck_assert_str_eq(s->upstream.username, "larder");
    ck_assert_str_eq(s->upstream.password, "a ; b # c = \"d\"");
    ck_assert_uint_eq(s->upstream.pool_size, 4);
    ck_assert_uint_eq(s->larder.max_clients, 1);
    ck_assert_uint_eq(s->listener_count, 2);
    ck_assert_str_eq(s->listeners[0].name, "one");
    ck_assert_str_eq(s->listeners[0].address.host, "0.0.0.0");
    ck_assert_str_eq(s->listeners[1].name, "two-2_B");
    ck_assert_str_eq(s->listeners[1].address.path, "/tmp/l.sock");
    ck_assert_str_eq(s->listeners[1].mode, "600");
    ck_assert_str_eq(s->listeners[1].password, "pa$word");
    settings_free(s);
}
END_TEST

START_TEST(unknown)
{
    refuses("[cash]\nmax_memory = 1gb\n",
            "t.ini:1: no section is called [cash]; there are "
            "[larder], [listener NAME], [upstream], [cache], [policy NAME], [tenant NAME]\n");
    refuses("[cache x]\n",
            "t.ini:1: no section is called [cache x]; there are "
            "[larder], [listener NAME], [upstream], [cache], [policy NAME], [tenant NAME]\n");
    refuses("[larder x]\n",
            "t.ini:1: no section is called [larder x]; there are "
            "[larder], [listener NAME], [upstream], [cache], [policy NAME], [tenant NAME]\n");
    refuses("[upstream x]\n",
            "t.ini:1: no section is called [upstream x]; there are "
            "[larder], [listener NAME], [upstream], [cache], [policy NAME], [tenant NAME]\n");
    refuses("[Larder]\n",
            "t.ini:1: no section is called [Larder]; there are "
            "[larder], [listener NAME], [upstream], [cache], [policy NAME], [tenant NAME]\n");
    refuses("[larder]\nmax_client = 1\nmax_clients_file = /x\n",
            "t.ini:2: [larder] has no setting max_client\n"
            "t.ini:3: [larder] has no setting max_clients_file\n");
    refuses("[upstream]\nmode = 0660\n", "t.ini:2: [upstream] has no setting mode\n");
    refuses("max_clients = 1\nx = 2\n",
            "t.ini:1: max_clients stands before any [section]\n"
            "t.ini:2: x stands before any [section]\n");
}
END_TEST

START_TEST(repeated)
{
    refuses("[larder]\nmax_clients = 1\n\nmax_clients = 1\n",
            "t.ini:4: max_clients repeats max_clients in t.ini:2\n");
    refuses("[larder]\n[upstream]\n[larder]\nmax_clients = 1\n",
            "t.ini:3: [larder] repeats line 1\n");
    refuses("[listener a]\n[listener  a]\n", "t.ini:2: [listener a] repeats line 1\n");
    refuses("[upstream]\nmax_links = 9999999\nmax_links = 50\n",
            "t.ini:2: max_links: \"9999999\" is not within 2..200000\n"
            "t.ini:3: max_links repeats max_links in t.ini:2\n");
    refuses("[upstream]\npassword = a\npassword_file = /x\n",
            "t.ini:3: password_file excludes password in t.ini:2\n");
    refuses("[upstream]\npassword_file = ${NO}\npassword = a\n",
            "t.ini:2: password: \"NO\": no such variable in the environment, and no default\n"
            "t.ini:3: password excludes password_file in t.ini:2\n");
    refuses("[upstream]\npassword_file =\npassword_file =\n",
            "t.ini:2: password_file: \"\": no file is named\n"
            "t.ini:3: password_file repeats password_file in t.ini:2\n");
}
END_TEST

START_TEST(listener_names)
{
    refuses("[listener]\naddress = x\n", "t.ini:1: a listener needs a name: [listener main]\n");
    refuses("[listener a b]\n",
            "t.ini:1: the name of a listener is one word of at most 32 characters\n");
    refuses("[listener\ta]\n",
            "t.ini:1: the name of a section has letters, digits, - and _ only, and "
            "spaces between its words\n");
    refuses("[listener n123456789n123456789n123456789n12]\n",
            "t.ini:1: the name of a listener is one word of at most 32 characters\n");
    settings_free(loads("[listener n123456789n123456789n123456789n1]\n"));
}
END_TEST

START_TEST(many_listeners)
{
    struct buffer text = {0}, errors = {0};
    struct settings *s;

    for (unsigned i = 0; i < CONFIG_LISTENERS; i++)
        buffer_printf(&text, "[listener l%u]\naddress = :%u\n", i, 1000 + i);
    s = settings_load_text("t.ini", buffer_slice(&text), &errors);
    ck_assert_ptr_nonnull(s);
    ck_assert_uint_eq(s->listener_count, CONFIG_LISTENERS);
    settings_free(s);
    buffer_printf(&text, "[listener more]\naddress = :1\n");
    refuses(text_of(&text), "t.ini:129: more than 64 listeners\n");
    buffer_done(&text);
}
END_TEST

START_TEST(policies)
{
    struct settings *s = loads(
        "[policy b]\nprefix = b:\n"
        "[cache]\nself_check = 10/s\ncoherence = ttl\n"
        "[policy a-1]\nprefix = a:, x y:*:z ,*\nlocal = yes\nlocal_ttl = 1h\nnegative_ttl = 0\n"
        "max_value = 64kb\nfield_ttl = no\n");
    const struct policy_settings *a = &s->policies[1], *b = &s->policies[0];

    ck_assert_uint_eq(s->policy_count, 2);
    ck_assert_uint_eq(s->cache.self_check, 10);
    ck_assert_str_eq(b->name, "b");
    ck_assert_uint_eq(b->prefix.n, 1);
    ck_assert_str_eq(b->prefix.v[0], "b:");
    ck_assert(!b->local && b->field_ttl);
    ck_assert_uint_eq(b->local_ttl, 600000);
    ck_assert_uint_eq(b->negative_ttl, 5000);
    ck_assert_uint_eq(b->max_value, 0);
    ck_assert_str_eq(a->name, "a-1");
    ck_assert_uint_eq(a->prefix.n, 3);
    ck_assert_str_eq(a->prefix.v[0], "a:");
    ck_assert_str_eq(a->prefix.v[1], "x y:*:z");
    ck_assert_str_eq(a->prefix.v[2], "*");
    ck_assert(a->local && !a->field_ttl);
    ck_assert_uint_eq(a->local_ttl, 3600000);
    ck_assert_uint_eq(a->negative_ttl, 0);
    ck_assert_uint_eq(a->max_value, 65536);
    settings_free(s);
}
END_TEST

START_TEST(policies_of_expiry)
{
    struct settings *s = loads(
        "[policy none]\nprefix = n:\n"
        "[policy all]\nprefix = a:\nlocal = yes\nttl = 10m\nttl_jitter = 599s\nmax_ttl = 1h\n"
        "sliding = 30m\nabsolute = 8h\nimmutable = yes\ndeny = yes\n"
        "[policy own]\nprefix = o:\nrequire_ttl = yes\nmax_value = 512mb\n");
    const struct policy_settings *none = &s->policies[0], *all = &s->policies[1];

    ck_assert_uint_eq(none->ttl, 0);
    ck_assert_uint_eq(none->ttl_jitter, 0);
    ck_assert_uint_eq(none->max_ttl, 0);
    ck_assert_uint_eq(none->sliding, 0);
    ck_assert_uint_eq(none->absolute, 0);
    ck_assert(!none->require_ttl && !none->immutable && !none->deny);
    ck_assert_uint_eq(all->ttl, 600000);
    ck_assert_uint_eq(all->ttl_jitter, 599000);
    ck_assert_uint_eq(all->max_ttl, 3600000);
    ck_assert_uint_eq(all->sliding, 1800000);
    ck_assert_uint_eq(all->absolute, 28800000);
    ck_assert(!all->require_ttl && all->immutable && all->deny);
    ck_assert(s->policies[2].require_ttl);
    ck_assert_uint_eq(s->policies[2].max_value, 512u << 20);
    settings_free(s);
    refuses("[policy a]\nprefix = a:\nttl = 3651d\nmax_value = 513mb\ndeny = true\n",
            "t.ini:3: ttl: \"3651d\" is not within 0..3650d\n"
            "t.ini:4: max_value: \"513mb\" is not within 0..512mb\n"
            "t.ini:5: deny: \"true\" is neither yes nor no\n");
}
END_TEST

START_TEST(policy_names)
{
    refuses("[policy]\nprefix = x\n", "t.ini:1: a policy needs a name: [policy sessions]\n");
    refuses("[policy a b]\n",
            "t.ini:1: the name of a policy is one word of at most 32 characters\n");
    refuses("[policy n123456789n123456789n123456789n12]\n",
            "t.ini:1: the name of a policy is one word of at most 32 characters\n");
    refuses("[policy a]\nprefix = a:\n[policy  a]\n", "t.ini:3: [policy a] repeats line 1\n");
    refuses("[policy a]\nprefix = a:\nlease = 5s\n", "t.ini:3: [policy] has no setting lease\n");
    refuses("[policy a]\nprefix = a:\nprefix = b:\n",
            "t.ini:3: prefix repeats prefix in t.ini:2\n");
    /* A listener and a policy may share a name. */
    settings_free(loads("[policy x]\nprefix = x\n[listener x]\n"));
}
END_TEST

START_TEST(many_policies)
{
    struct buffer text = {0};
    struct settings *s;

    for (unsigned i = 0; i < CONFIG_POLICIES; i++)
        buffer_printf(&text, "[policy p%u]\nprefix = %u:, :%u\n", i, i, i);
    s = loads(text_of(&text));
    ck_assert_uint_eq(s->policy_count, CONFIG_POLICIES);
    ck_assert_str_eq(s->policies[CONFIG_POLICIES - 1].name, "p999");
    ck_assert_str_eq(s->policies[CONFIG_POLICIES - 1].prefix.v[1], ":999");
    settings_free(s);
    buffer_printf(&text, "[policy more]\nprefix = x\n");
    refuses(text_of(&text), "t.ini:2001: more than 1000 policies\n");
    buffer_done(&text);
}
END_TEST

START_TEST(variables)
{
    struct settings *s;

    ck_assert_int_eq(setenv("HOST", "redis", 1), 0);
    ck_assert_int_eq(setenv("BAD", " x\ny ", 1), 0);
    ck_assert_int_eq(setenv("BLANKS", " 7 ", 1), 0);
    ck_assert_int_eq(unsetenv("NO"), 0);
    s = loads(
        "[upstream]\naddress = ${HOST}:${PORT:-1234}\npassword = ${BAD}\n"
        "database = ${BLANKS}\n");
    ck_assert_str_eq(s->upstream.address.host, "redis");
    ck_assert_uint_eq(s->upstream.address.port, 1234);
    ck_assert_str_eq(s->upstream.password, " x\ny ");
    ck_assert_uint_eq(s->upstream.database, 7);
    settings_free(s);
    refuses("[upstream]\n\nusername = ${NO}\naddress = ${HOST\npool_size = ${1}\n",
            "t.ini:3: username: \"NO\": no such variable in the environment, and no default\n"
            "t.ini:4: address: \"${HOST\": a ${ without its }\n"
            "t.ini:5: pool_size: \"${1}\": neither ${NAME} nor ${NAME:-default} (write $$ for a "
            "$)\n");
    refuses("[upstream]\nusername = ${BAD}\n",
            "t.ini:2: username: \"x?y\" holds a control character\n");
}
END_TEST

/* A message may end up in a log that others read. */
START_TEST(secrets_stay_out_of_messages)
{
    refuses("[upstream]\npassword = geheim${geheim\n", "t.ini:2: password: a ${ without its }\n");
    refuses("[upstream]\npassword = ${A:-${geheim}}\n",
            "t.ini:2: password: a ${ within the default of another\n");
    refuses("[upstream]\npassword geheim\n",
            "t.ini:2: neither a [section] nor name = value: there is no =\n");
}
END_TEST

/* Names and values are foreign text: no line of theirs, and nothing that moves a cursor. */
START_TEST(messages_are_clean)
{
    ck_assert_int_eq(setenv("EVIL", "a\nt.ini:9: all is well\x1b[2J", 1), 0);
    refuses("[larder]\nmax_clients = ${EVIL}\n",
            "t.ini:2: max_clients: \"a?t.ini:9: all is well?[2J\" is not a number\n");
    refuses(
        "[larder]\nmax_clients = \xff\xc2\x9b"
        "31m\n",
        "t.ini:2: max_clients: \"???31m\" is not a number\n");
}
END_TEST

START_TEST(all_mistakes_in_one_go)
{
    refuses(
        "x = 1\n"
        "[larder]\n"
        "max_clients = many\n"
        "max_clients = 3\n"
        "log_level: debug\n"
        "  max_pending = 0\n"
        "[nope]\n"
        "foo = 1\n"
        "[listener a] x\n"
        "backlog = 0\n"
        "[upstream]\n"
        "backoff_min = 5s\n"
        "=\n",
        "t.ini:1: x stands before any [section]\n"
        "t.ini:3: max_clients: \"many\" is not a number\n"
        "t.ini:4: max_clients repeats max_clients in t.ini:3\n"
        "t.ini:5: neither a [section] nor name = value: there is no =\n"
        "t.ini:6: max_pending: \"0\" is not within 1..1000000\n"
        "t.ini:7: no section is called [nope]; there are [larder], [listener NAME], "
        "[upstream], [cache], [policy NAME], [tenant NAME]\n"
        "t.ini:9: something follows the ] of a section\n"
        "t.ini:13: no name before the =\n"
        "t.ini:12: backoff_min = 5s is more than backoff_max = 3s (its default)\n");
}
END_TEST

START_TEST(many_mistakes)
{
    struct buffer text = {0}, errors = {0};
    const char *p;
    unsigned lines = 0;

    for (unsigned i = 0; i < CONFIG_MISTAKES + 50; i++)
        buffer_printf(&text, "x\n");
    ck_assert_ptr_null(settings_load_text("t.ini", buffer_slice(&text), &errors));
    for (p = text_of(&errors); (p = strchr(p, '\n')); p++)
        lines++;
    ck_assert_uint_eq(lines, CONFIG_MISTAKES + 1);
    ck_assert_ptr_nonnull(strstr(text_of(&errors), "\nand 50 more mistakes\n"));
    buffer_done(&text);
    buffer_done(&errors);
}
END_TEST

START_TEST(errors_are_appended)
{
    struct buffer errors = {0};

    buffer_printf(&errors, "before\n");
    ck_assert_ptr_null(settings_load_text("t.ini", SLICE("x"), &errors));
    ck_assert_str_eq(text_of(&errors),
                     "before\nt.ini:1: neither a [section] nor name = value: "
                     "there is no =\n");
    buffer_done(&errors);
    settings_free(NULL);
}
END_TEST

Suite *draft_suite(void)
{
    Suite *suite = suite_create("draft");
    TCase *tcase = tcase_create("draft");

    tcase_add_test(tcase, all_defaults);
    tcase_add_test(tcase, everything_set);
    tcase_add_test(tcase, unknown);
    tcase_add_test(tcase, repeated);
    tcase_add_test(tcase, listener_names);
    tcase_add_test(tcase, many_listeners);
    tcase_add_test(tcase, policies);
    tcase_add_test(tcase, policies_of_expiry);
    tcase_add_test(tcase, policy_names);
    tcase_add_test(tcase, many_policies);
    tcase_add_test(tcase, variables);
    tcase_add_test(tcase, secrets_stay_out_of_messages);
    tcase_add_test(tcase, messages_are_clean);
    tcase_add_test(tcase, all_mistakes_in_one_go);
    tcase_add_test(tcase, many_mistakes);
    tcase_add_test(tcase, errors_are_appended);
    suite_add_tcase(suite, tcase);
    return suite;
}
