/* check_admin.c - what LARDER .. answers in both protocols, and larder's section of INFO: each
 * reply is one frame, tables have a line for each thing there is, secrets never show. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/near_view.h"
#include "upstream/sentinels.h"
#include "config/load.h"
#include "desk.h"
#include "suites.h"
#include "upstream/invalidation.h"
#include "upstream/sentinels.h"

START_TEST(help_names_what_there_is)
{
    static const char *const words[] = {"CLIENTS",
                                        "FLUSH ALL | PREFIX <prefix> | TENANT <name>",
                                        "FRESH <command> [<arg> ...]",
                                        "GETLEASE <key>",
                                        "HEALTH",
                                        "HELP",
                                        "KEY <key>",
                                        "LEASES",
                                        "LINKS",
                                        "MISS <key>",
                                        "MSETEX <ms> <key> <value> [<key> <value> ...]",
                                        "POLICIES",
                                        "SETLEASE <key> <token> <value> [<option of SET> ...]",
                                        "SETTINGS",
                                        "STATS [HELP]",
                                        "TENANTS",
                                        "WHY <command> [<arg> ...]"};
    struct slice frames = say1(PROTO, _i ? "HELP" : "help");

    ck_assert_int_eq(next(&frames, '*').number, 1 + 2 * ARRAY_LEN(words));
    ck_assert(slice_starts(next(&frames, '+').text, SLICE("LARDER <subcommand> ")));
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        struct slice help;

        ck_assert_str_eq(string(next(&frames, '+').text), words[i]);
        help = next(&frames, '+').text;
        ck_assert(slice_starts(help, SLICE("    ")));
        ck_assert_uint_gt(help.n, 10);
    }
}
END_TEST

#define ROOMS 9

static void all_counters(struct counter_set sets[ROOMS])
{
    sets[0] = clients_counters(desk.clients);
    sets[1] = pool_counters(desk.pool);
    sets[2] = sentinels_counters(NULL);
    sets[3] = clients_cache_counters(desk.clients);
    sets[4] = clients_rule_counters(desk.clients);
    sets[5] = clients_lease_counters(desk.clients);
    sets[6] = clients_outage_counters(desk.clients);
    sets[7] = clients_tenant_counters(desk.clients);
    sets[8] = invalidation_counters(NULL);
}

static size_t count_rows(const struct counter_set sets[ROOMS])
{
    size_t n = 0;

    for (size_t i = 0; i < ROOMS; i++)
        n += sets[i].count;
    return n;
}

/* The rows of a room in a map, each with its value, or its help. */
static void in_map(struct slice *frames, const struct counter_set *set, bool help)
{
    char name[96];

    for (size_t i = 0; i < set->count; i++) {
        (void)snprintf(name, sizeof name, "%s_%s", set->room, set->rows[i].name);
        ck_assert_str_eq(string(next(frames, '$').text), name);
        if (help)
            ck_assert_str_eq(string(next(frames, '$').text), set->rows[i].help);
        else
            ck_assert_uint_eq((uint64_t)next(frames, ':').number, counter_value(set, i));
    }
}

static void stats(int proto, struct slice frames, bool help)
{
    struct counter_set sets[ROOMS];

    all_counters(sets);
    ck_assert_uint_eq((uint64_t)next(&frames, proto == 3 ? '%' : '*').number, 2 * count_rows(sets));
    for (size_t i = 0; i < ROOMS; i++)
        in_map(&frames, &sets[i], help);
    ck_assert_uint_eq(frames.n, 0);
}

START_TEST(stats_are_a_map_of_all_counters)
{
    dial(); /* a counter of the pool that is not zero */
    stats(PROTO, say1(PROTO, "STATS"), false);
    ck_assert_ptr_nonnull(strstr(string(buffer_slice(&desk.out)), "clients_accepted\r\n:3\r\n"));
    ck_assert_ptr_nonnull(strstr(string(buffer_slice(&desk.out)), "upstream_connects\r\n:1\r\n"));
    stats(PROTO, say2(PROTO, "stats", "help"), true);
}
END_TEST

START_TEST(clients_have_a_line_each)
{
    struct buffer told = {0};
    char id[32];

    clients_describe(desk.clients, &told);
    ck_assert(slice_eq(slice_str(table(PROTO, "CLIENTS")), buffer_slice(&told)));
    buffer_done(&told);
    ck_assert_uint_eq(lines(buffer_head(&desk.text)), CLIENTS);
    for (int i = 1; i <= CLIENTS; i++) {
        (void)snprintf(id, sizeof id, "id=%d addr=", i);
        ck_assert_ptr_nonnull(strstr(buffer_head(&desk.text), id));
    }
}
END_TEST

static bool stop_in_trouble(void *context)
{
    (void)context;
    if (pool_trouble(desk.pool)[0] != 0)
        loop_stop(desk.loop);
    return false;
}

#define BREAKER  "breaker=closed failures=0 away-ms=0 probe-ms=0 waiting-link=0 waiting-loan=0\n"
#define FAILED   "breaker=closed failures=1 away-ms=0 probe-ms=0 waiting-link=0 waiting-loan=0\n"
#define NO_CACHE "coherence=none resp=0 trust=closed trouble=\n"

START_TEST(links_have_a_line_each)
{
    char expected[512];

    (void)snprintf(expected, sizeof expected, "upstream=%s trouble=\n" BREAKER NO_CACHE,
                   desk.upstream);
    ck_assert_str_eq(table(PROTO, "LINKS"), expected);
    dial();
    (void)snprintf(expected, sizeof expected,
                   "upstream=%s trouble=\n" BREAKER NO_CACHE
                   "link=1 state=connecting user=joe resp=2 db=7 upstream-id=0 age-ms=0 idle-ms=0 "
                   "waiting=0 unsent=0 stalled=0 streaming=0 aside=0 retiring=0\n",
                   desk.upstream);
    ck_assert_str_eq(table(PROTO, "LINKS"), expected);
}
END_TEST

START_TEST(links_say_what_is_wrong)
{
    char expected[256];

    dial();
    loop_add_beat(desk.loop, pool_beat, desk.pool);
    loop_add_beat(desk.loop, stop_in_trouble, NULL);
    loop_run(desk.loop);
    (void)snprintf(expected, sizeof expected,
                   "upstream=%s trouble=Connection refused\n" FAILED NO_CACHE, desk.upstream);
    ck_assert_str_eq(table(PROTO, "LINKS"), expected);
    buffer_done(&desk.out);
    desk.console.info(desk.console.context, &desk.out);
    ck_assert_ptr_nonnull(strstr(string(buffer_slice(&desk.out)),
                                 "\r\nlarder_upstream_trouble:Connection refused\r\n"));
}
END_TEST

static void count_row(void *context, const struct setting_view *v)
{
    (void)v;
    (*(unsigned *)context)++;
}

START_TEST(settings_are_shown_without_secrets)
{
    const char *rows = table(PROTO, "SETTINGS");
    unsigned count = 0;

    settings_each(desk.settings, &count, count_row);
    ck_assert_uint_eq(lines(rows), count);
    ck_assert_ptr_null(strstr(rows, "secret"));
    ck_assert_ptr_nonnull(strstr(rows, "[listener main] password = ********\n"));
    ck_assert_ptr_nonnull(strstr(rows, "[upstream] password = ******** (restart to change)\n"));
    ck_assert_ptr_nonnull(strstr(rows, "[upstream] username = joe (restart to change)\n"));
    ck_assert_ptr_nonnull(strstr(rows, "[larder] max_clients = 10000\n"));
}
END_TEST

START_TEST(settings_are_those_in_force)
{
    struct settings *fresh = load("[larder]\nmax_clients = 4321\n");

    admin_resettle(desk.admin, fresh);
    ck_assert_ptr_nonnull(strstr(table(PROTO, "SETTINGS"), "[larder] max_clients = 4321\n"));
    /* None to hide, and none is made up. */
    ck_assert_ptr_nonnull(strstr(buffer_head(&desk.text), "[listener main] password = \n"));
    settings_free(fresh);
}
END_TEST

static void wrong_arity(struct slice error, const char *word)
{
    char expected[96];

    (void)snprintf(expected, sizeof expected,
                   "-ERR wrong number of arguments for 'larder|%s' command\r\n", word);
    ck_assert_str_eq(string(error), expected);
}

START_TEST(too_many_arguments)
{
    static const char *const words[] = {"CLIENTS", "HELP", "links", "policies", "SETTINGS"};
    static const char *const lower[] = {"clients", "help", "links", "policies", "settings"};
    struct slice stats_more[] = {SLICE("STATS"), SLICE("HELP"), SLICE("x")};
    struct slice key_more[] = {SLICE("KEY"), SLICE("k"), SLICE("x")};

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        wrong_arity(say2(PROTO, words[i], "x"), lower[i]);
    wrong_arity(say(PROTO, stats_more, 3), "stats");
    wrong_arity(say(PROTO, key_more, 3), "key");
}
END_TEST

START_TEST(too_few_arguments)
{
    static const char *const words[] = {"FLUSH", "FRESH", "KEY", "WHY"};
    static const char *const lower[] = {"flush", "fresh", "key", "why"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        wrong_arity(say1(PROTO, words[i]), lower[i]);
}
END_TEST

START_TEST(stats_take_no_other_word)
{
    ck_assert_str_eq(string(say2(PROTO, "STATS", "x")), "-ERR syntax error\r\n");
    ck_assert_str_eq(string(say2(PROTO, "STATS", "HELP ")), "-ERR syntax error\r\n");
}
END_TEST

static enum console_word word_of(const char *word, uint32_t argc)
{
    struct slice argv[] = {SLICE("LARDER"), slice_str(word), SLICE("a"), SLICE("b")};

    return desk.console.word(argv, argc);
}

/* .. and with as many arguments as they take. */
START_TEST(words_of_the_session)
{
    ck_assert_int_eq(word_of("KEY", 3), CONSOLE_KEY);
    ck_assert_int_eq(word_of("key", 2), CONSOLE_OTHER);
    ck_assert_int_eq(word_of("key", 4), CONSOLE_OTHER);
    ck_assert_int_eq(word_of("Why", 3), CONSOLE_WHY);
    ck_assert_int_eq(word_of("WHY", 4), CONSOLE_WHY);
    ck_assert_int_eq(word_of("WHY", 2), CONSOLE_OTHER);
    ck_assert_int_eq(word_of("FRESH", 3), CONSOLE_FRESH);
    ck_assert_int_eq(word_of("FRESH", 2), CONSOLE_OTHER);
    ck_assert_int_eq(word_of("STATS", 2), CONSOLE_OTHER);
    ck_assert_int_eq(word_of("nope", 3), CONSOLE_OTHER);
}
END_TEST

START_TEST(unknown_subcommands)
{
    char longest[129];
    struct slice nul[] = {SLICE("STATS\0x")}, large[] = {{longest, 128}};
    char expected[256];

    ck_assert_str_eq(string(say1(PROTO, "nope")),
                     "-ERR unknown subcommand 'nope'. Try LARDER HELP.\r\n");
    ck_assert_str_eq(string(say2(PROTO, "STAT", "HELP")),
                     "-ERR unknown subcommand 'STAT'. Try LARDER HELP.\r\n");
    ck_assert_str_eq(string(say1(PROTO, "")), "-ERR unknown subcommand ''. Try LARDER HELP.\r\n");
    /* No frame can be forged, and what stands behind a NUL byte counts. */
    ck_assert_str_eq(string(say1(PROTO, "a\r\n+OK")),
                     "-ERR unknown subcommand 'a  +OK'. Try LARDER HELP.\r\n");
    ck_assert(slice_starts(say(PROTO, nul, 1), SLICE("-ERR unknown subcommand 'STATS")));
    /* Said back up to 128 bytes. */
    memset(longest, 'x', sizeof longest);
    (void)snprintf(expected, sizeof expected,
                   "-ERR unknown subcommand '%.128s'. Try LARDER HELP.\r\n", longest);
    ck_assert_str_eq(string(say(PROTO, large, 1)), expected);
    large[0].n++;
    ck_assert_str_eq(string(say(PROTO, large, 1)), expected);
}
END_TEST

/* The counters as lines, each once, in order. */
static const char *in_lines(const char *p, const struct counter_set *set, const char *separator)
{
    char line[128];

    for (size_t i = 0; i < set->count; i++) {
        int n = snprintf(line, sizeof line, "%s_%s:%llu%s", set->room, set->rows[i].name,
                         (unsigned long long)counter_value(set, i), separator);

        ck_assert_msg(strncmp(p, line, (size_t)n) == 0, "%s", line);
        p += n;
    }
    return p;
}

START_TEST(health_that_nobody_has_asked_for_yet)
{
    char expected[512];

    (void)snprintf(expected, sizeof expected,
                   "status=degraded reason=whether the upstream is well is not known yet\n"
                   "larder=ok clients=3 uptime-ms=0\n"
                   "upstream=unknown address=%s role= roundtrip-us=0 age-ms=0 breaker=closed "
                   "away-ms=0 links=0 waiting-link=0 waiting-loan=0 trouble=\ncache=off\n",
                   desk.upstream);
    ck_assert_str_eq(table(PROTO, "HEALTH"), expected);
}
END_TEST

START_TEST(the_section_of_info)
{
    struct counter_set sets[ROOMS];
    char head[512];
    const char *p;
    int n = snprintf(head, sizeof head,
                     "# Larder\r\nlarder_version:%s\r\nlarder_process_id:%d\r\n"
                     "larder_uptime_in_seconds:0\r\nlarder_upstream:%s\r\n"
                     "larder_upstream_trouble:\r\nlarder_breaker:closed\r\n"
                     "larder_connected_clients:3\r\n",
                     LARDER_VERSION, (int)getpid(), desk.upstream);

    buffer_done(&desk.out);
    desk.console.info(desk.console.context, &desk.out);
    p = string(buffer_slice(&desk.out));
    ck_assert_int_eq(strncmp(p, head, (size_t)n), 0);
    p += n;
    all_counters(sets);
    for (size_t i = 0; i < ROOMS; i++)
        p = in_lines(p, &sets[i], "\r\n");
    ck_assert_str_eq(p, "");
}
END_TEST

START_TEST(the_dump_has_it_all)
{
    struct counter_set sets[ROOMS];
    const char *p;

    dial();
    buffer_done(&desk.out);
    admin_dump(desk.admin, &desk.out);
    p = string(buffer_slice(&desk.out));
    all_counters(sets);
    ck_assert_uint_eq(lines(p), CLIENTS + 4 + count_rows(sets));
    ck_assert_ptr_null(strstr(p, "secret"));
    /* In this order, so that of too many lines the last clients are left out. */
    for (size_t i = 0; i < ROOMS; i++)
        p = in_lines(p, &sets[i], "\n");
    ck_assert_int_eq(strncmp(p, "upstream=", 9), 0);
    p = strstr(p, "\nlink=1 state=connecting ");
    ck_assert_ptr_nonnull(p);
    ck_assert_ptr_nonnull(strstr(p, "\nid=3 addr="));
}
END_TEST

Suite *admin_suite(void)
{
    Suite *suite = suite_create("admin");
    TCase *t = tcase_create("admin");

    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, desk_begin, desk_end);
    tcase_add_loop_test(t, help_names_what_there_is, 0, 2);
    tcase_add_loop_test(t, stats_are_a_map_of_all_counters, 0, 2);
    tcase_add_loop_test(t, clients_have_a_line_each, 0, 2);
    tcase_add_loop_test(t, links_have_a_line_each, 0, 2);
    tcase_add_loop_test(t, links_say_what_is_wrong, 0, 2);
    tcase_add_loop_test(t, settings_are_shown_without_secrets, 0, 2);
    tcase_add_loop_test(t, settings_are_those_in_force, 0, 2);
    tcase_add_loop_test(t, too_many_arguments, 0, 2);
    tcase_add_loop_test(t, too_few_arguments, 0, 2);
    tcase_add_loop_test(t, stats_take_no_other_word, 0, 2);
    tcase_add_test(t, words_of_the_session);
    tcase_add_loop_test(t, unknown_subcommands, 0, 2);
    tcase_add_loop_test(t, health_that_nobody_has_asked_for_yet, 0, 2);
    tcase_add_test(t, the_section_of_info);
    tcase_add_test(t, the_dump_has_it_all);
    suite_add_tcase(suite, t);
    return suite;
}
