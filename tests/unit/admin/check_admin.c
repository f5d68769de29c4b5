/* check_admin.c - what LARDER .. answers in both protocols, and larder's section of INFO: each
 * reply is one frame, tables have a line for each thing there is, secrets never show. The pool's
 * upstream is a port that refuses, the clients are ends of socket pairs. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/admin.h"
#include "config/load.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "resp/reply.h"
#include "suites.h"
#include "upstream/pool.h"

#define CLIENTS 3

/* Each test has a process of its own. */
static struct log quiet;
static struct settings *settings;
static struct loop *loop;
static struct resolver *resolver;
static struct pool *pool;
static struct lane *lane;
static struct admin *admin;
static struct console console;
static struct clients *clients;
static struct listener *listener;
static int refusing, far_end[CLIENTS];
static char upstream[32];
static struct buffer out, text;

static const char ini[] =
    "[listener main]\npassword = door-secret\n"
    "[upstream]\nusername = joe\npassword = up-secret\ndatabase = 7\n";

static struct settings *load(const char *ini_text)
{
    struct settings *s = settings_load_text("t.ini", slice_str(ini_text), &out);

    ck_assert_ptr_nonnull(s);
    return s;
}

/* A port that is taken but does not listen: it refuses at once. */
static void aim_at_refusing_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;

    refusing = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(refusing, (struct sockaddr *)&a, sizeof a), 0);
    ck_assert_int_eq(getsockname(refusing, (struct sockaddr *)&a, &len), 0);
    settings->upstream.address = (struct address){"127.0.0.1", ntohs(a.sin_port), NULL};
    (void)snprintf(upstream, sizeof upstream, "127.0.0.1:%u", ntohs(a.sin_port));
}

static void begin(void)
{
    static const struct listener_events events = {0};

    log_open(&quiet, open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    settings = load(ini);
    settings->listeners[0].address = (struct address){"127.0.0.1", 0, NULL};
    aim_at_refusing_port();
    loop = loop_new(&quiet);
    resolver = resolver_new(loop);
    pool = pool_new(loop, resolver, &settings->upstream);
    lane = lane_hold_default(pool, 2);
    admin = admin_new(loop, pool, settings);
    console = admin_console(admin);
    clients = clients_new(loop, pool, &settings->larder, &console);
    admin_watch(admin, clients);
    listener = listener_open(loop, &settings->listeners[0], -1, &events, &out);
    ck_assert_ptr_nonnull(listener);
    for (size_t i = 0; i < CLIENTS; i++) {
        int ends[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends),
                         0);
        far_end[i] = ends[0];
        clients_accept(clients, listener, ends[1], true);
    }
}

static void end(void)
{
    listener_close(listener);
    clients_close(clients);
    lane_release(lane);
    pool_free(pool);
    clients_free(clients);
    admin_free(admin);
    resolver_free(resolver);
    loop_free(loop);
    settings_free(settings);
    for (size_t i = 0; i < CLIENTS; i++)
        (void)close(far_end[i]);
    (void)close(refusing);
    (void)close(quiet.fd);
    buffer_done(&out);
    buffer_done(&text);
}

/* Begins a first connection to the upstream, which is under way until the loop runs. */
static void dial(void)
{
    ck_assert_ptr_null(lane_link(lane, 7));
}

/* Each test is run for both. */
#define PROTO (_i + 2)

/* LARDER and the words: one whole frame, its bytes until the next call. */
static struct slice say(int proto, const struct slice *words, uint32_t n)
{
    struct reply_scan scan = {0};
    struct slice argv[4] = {SLICE("LARDER")};
    size_t used;

    CHECK(n < ARRAY_LEN(argv));
    memcpy(argv + 1, words, n * sizeof *words);
    buffer_done(&out);
    console.command(console.context, argv, n + 1, proto, &out);
    ck_assert_int_eq(reply_scan(&scan, buffer_head(&out), buffer_len(&out), &used), SCAN_OK);
    ck_assert_uint_eq(used, buffer_len(&out));
    return buffer_slice(&out);
}

static struct slice say1(int proto, const char *word)
{
    struct slice words[] = {slice_str(word)};

    return say(proto, words, 1);
}

static struct slice say2(int proto, const char *word, const char *other)
{
    struct slice words[] = {slice_str(word), slice_str(other)};

    return say(proto, words, 2);
}

static struct reply next(struct slice *frames, char type)
{
    struct reply r;

    ck_assert(reply_read(frames, &r));
    ck_assert_int_eq(r.type, type);
    return r;
}

static const char *string(struct slice s)
{
    buffer_done(&text);
    buffer_add(&text, s.p, s.n);
    buffer_add(&text, "", 1);
    return buffer_head(&text);
}

/* A table: a bulk to RESP2, verbatim text to RESP3. */
static const char *table(int proto, const char *word)
{
    struct slice frames = say1(proto, word);
    struct reply r = next(&frames, proto == 3 ? '=' : '$');

    if (proto == 2)
        return string(r.text);
    ck_assert(slice_starts(r.text, SLICE("txt:")));
    return string(slice_of(r.text.p + 4, r.text.n - 4));
}

static unsigned lines(const char *p)
{
    unsigned n = 0;

    for (; (p = strchr(p, '\n')) != NULL; p++)
        n++;
    return n;
}

START_TEST(help_names_what_there_is)
{
    static const char *const words[] = {"CLIENTS", "HELP", "LINKS", "SETTINGS", "STATS [HELP]"};
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
    struct counter_set of_clients = clients_counters(clients), of_pool = pool_counters(pool);

    ck_assert_uint_eq((uint64_t)next(&frames, proto == 3 ? '%' : '*').number,
                      2 * (of_clients.count + of_pool.count));
    in_map(&frames, &of_clients, help);
    in_map(&frames, &of_pool, help);
    ck_assert_uint_eq(frames.n, 0);
}

START_TEST(stats_are_a_map_of_all_counters)
{
    dial(); /* a counter of the pool that is not zero */
    stats(PROTO, say1(PROTO, "STATS"), false);
    ck_assert_ptr_nonnull(strstr(string(buffer_slice(&out)), "clients_accepted\r\n:3\r\n"));
    ck_assert_ptr_nonnull(strstr(string(buffer_slice(&out)), "upstream_connects\r\n:1\r\n"));
    stats(PROTO, say2(PROTO, "stats", "help"), true);
}
END_TEST

START_TEST(clients_have_a_line_each)
{
    struct buffer told = {0};
    char id[32];

    clients_describe(clients, &told);
    ck_assert(slice_eq(slice_str(table(PROTO, "CLIENTS")), buffer_slice(&told)));
    buffer_done(&told);
    ck_assert_uint_eq(lines(buffer_head(&text)), CLIENTS);
    for (int i = 1; i <= CLIENTS; i++) {
        (void)snprintf(id, sizeof id, "id=%d addr=", i);
        ck_assert_ptr_nonnull(strstr(buffer_head(&text), id));
    }
}
END_TEST

static bool stop_in_trouble(void *context)
{
    (void)context;
    if (pool_trouble(pool)[0] != 0)
        loop_stop(loop);
    return false;
}

START_TEST(links_have_a_line_each)
{
    char expected[512];

    (void)snprintf(expected, sizeof expected, "upstream=%s trouble=\n", upstream);
    ck_assert_str_eq(table(PROTO, "LINKS"), expected);
    dial();
    (void)snprintf(expected, sizeof expected,
                   "upstream=%s trouble=\n"
                   "link=1 state=connecting user=joe resp=2 db=7 upstream-id=0 age-ms=0 idle-ms=0 "
                   "waiting=0 unsent=0 stalled=0 streaming=0\n",
                   upstream);
    ck_assert_str_eq(table(PROTO, "LINKS"), expected);
}
END_TEST

START_TEST(links_say_what_is_wrong)
{
    char expected[128];

    dial();
    loop_add_beat(loop, pool_beat, pool);
    loop_add_beat(loop, stop_in_trouble, NULL);
    loop_run(loop);
    (void)snprintf(expected, sizeof expected, "upstream=%s trouble=Connection refused\n", upstream);
    ck_assert_str_eq(table(PROTO, "LINKS"), expected);
    buffer_done(&out);
    console.info(console.context, &out);
    ck_assert_ptr_nonnull(
        strstr(string(buffer_slice(&out)), "\r\nlarder_upstream_trouble:Connection refused\r\n"));
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

    settings_each(settings, &count, count_row);
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

    admin_resettle(admin, fresh);
    ck_assert_ptr_nonnull(strstr(table(PROTO, "SETTINGS"), "[larder] max_clients = 4321\n"));
    /* None to hide, and none is made up. */
    ck_assert_ptr_nonnull(strstr(buffer_head(&text), "[listener main] password = \n"));
    settings_free(fresh);
}
END_TEST

START_TEST(too_many_arguments)
{
    static const char *const words[] = {"CLIENTS", "HELP", "LINKS", "SETTINGS"};
    struct slice three[] = {SLICE("STATS"), SLICE("HELP"), SLICE("x")};
    char expected[96];

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        struct slice error = say2(PROTO, words[i], "x");

        (void)snprintf(expected, sizeof expected,
                       "-ERR wrong number of arguments for 'larder|%s' command\r\n", words[i]);
        ck_assert_str_eq(string(error), expected);
    }
    ck_assert_str_eq(string(say(PROTO, three, 3)),
                     "-ERR wrong number of arguments for 'larder|STATS' command\r\n");
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

START_TEST(the_section_of_info)
{
    struct counter_set of_clients = clients_counters(clients), of_pool = pool_counters(pool);
    char head[512];
    const char *p;
    int n = snprintf(head, sizeof head,
                     "# Larder\r\nlarder_version:%s\r\nlarder_process_id:%d\r\n"
                     "larder_uptime_in_seconds:0\r\nlarder_upstream:%s\r\n"
                     "larder_upstream_trouble:\r\nlarder_connected_clients:3\r\n",
                     LARDER_VERSION, (int)getpid(), upstream);

    buffer_done(&out);
    console.info(console.context, &out);
    p = string(buffer_slice(&out));
    ck_assert_int_eq(strncmp(p, head, (size_t)n), 0);
    p = in_lines(p + n, &of_clients, "\r\n");
    p = in_lines(p, &of_pool, "\r\n");
    ck_assert_str_eq(p, "");
}
END_TEST

START_TEST(the_dump_has_it_all)
{
    struct counter_set of_clients = clients_counters(clients), of_pool = pool_counters(pool);
    const char *p;

    dial();
    buffer_done(&out);
    admin_dump(admin, &out);
    p = string(buffer_slice(&out));
    ck_assert_uint_eq(lines(p), CLIENTS + 2 + of_clients.count + of_pool.count);
    ck_assert_ptr_null(strstr(p, "secret"));
    /* In this order, so that of too many lines the last clients are left out. */
    p = in_lines(p, &of_clients, "\n");
    p = in_lines(p, &of_pool, "\n");
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
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_loop_test(t, help_names_what_there_is, 0, 2);
    tcase_add_loop_test(t, stats_are_a_map_of_all_counters, 0, 2);
    tcase_add_loop_test(t, clients_have_a_line_each, 0, 2);
    tcase_add_loop_test(t, links_have_a_line_each, 0, 2);
    tcase_add_loop_test(t, links_say_what_is_wrong, 0, 2);
    tcase_add_loop_test(t, settings_are_shown_without_secrets, 0, 2);
    tcase_add_loop_test(t, settings_are_those_in_force, 0, 2);
    tcase_add_loop_test(t, too_many_arguments, 0, 2);
    tcase_add_loop_test(t, unknown_subcommands, 0, 2);
    tcase_add_test(t, the_section_of_info);
    tcase_add_test(t, the_dump_has_it_all);
    suite_add_tcase(suite, t);
    return suite;
}
