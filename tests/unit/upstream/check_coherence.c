/* check_coherence.c - the invalidation link before a real redis-server (on a Unix socket, in a
 * folder of its own): what it pushes, what it refuses, and how it stops. Without redis-server in
 * PATH there is nothing to test. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "journal.h"
#include "net/resolver.h"
#include "suites.h"
#include "turns.h"
#include "upstream/pool_inside.h"
#include "world.h"

static char folder[] = "/tmp/larder-unit-XXXXXX", path[64];
static pid_t server;
static int client;
static struct log quiet_log;
static struct resolver *names;
static struct upstream_settings settings;
static struct invalidation_settings set;
static struct invalidation *inv;

/* ---- the server, and a client of it that waits for each answer ---- */

static int connected(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

static void start_server(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/redis", folder);
    server = fork();
    ck_assert_int_ge(server, 0);
    if (server == 0) {
        int null = open("/dev/null", O_RDWR);

        (void)dup2(null, STDOUT_FILENO);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves none behind */
        (void)execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", path, "--dir",
                     folder, "--save", "", "--appendonly", "no", (char *)NULL);
        _exit(127);
    }
    while ((client = connected()) < 0) {
        ck_assert_int_eq(waitpid(server, NULL, WNOHANG), 0); /* it has not given up */
        (void)poll(NULL, 0, 5);
    }
}

static void stop_server(void)
{
    (void)close(client);
    (void)kill(server, SIGKILL);
    (void)waitpid(server, NULL, 0);
    (void)unlink(path);
    (void)rmdir(folder);
}

/* An inline command; the answer must be one line, which lives until the next call. */
static const char *tell(const char *command)
{
    static char line[512];
    size_t n = 0;

    ck_assert_int_eq((int)send(client, command, strlen(command), MSG_NOSIGNAL),
                     (int)strlen(command));
    ck_assert_int_eq((int)send(client, "\r\n", 2, MSG_NOSIGNAL), 2);
    while (n < 2 || line[n - 1] != '\n') {
        ck_assert_uint_lt(n, sizeof line - 1);
        ck_assert_int_eq((int)recv(client, line + n, 1, 0), 1);
        n++;
    }
    line[n - 2] = 0;
    return line;
}

static void told(const char *command, const char *answer)
{
    ck_assert_str_eq(tell(command), answer);
}

static void begin(void)
{
    start_server();
    journal_begin();
    log_open(&quiet_log, open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    w.loop = loop_new(&quiet_log);
    names = resolver_new(w.loop);
    settings = (struct upstream_settings){.address = {NULL, 0, path},
                                          .username = "",
                                          .password = "",
                                          .pool_size = 10,
                                          .max_lent = 10,
                                          .max_links = 20,
                                          .queue_timeout = 5000,
                                          .connect_timeout = 2000,
                                          .command_timeout = 10000,
                                          .link_idle_timeout = 60000,
                                          .keepalive = 60000,
                                          .keepalive_interval = 20000,
                                          .keepalive_count = 3,
                                          .backoff_min = 1,
                                          .backoff_max = 1};
    set = (struct invalidation_settings){COHERENCE_WISH_AUTO, 3000};
}

static void end(void)
{
    invalidation_free(inv);
    pool_free(w.pool);
    resolver_free(names);
    loop_free(w.loop);
    (void)close(quiet_log.fd);
    journal_end();
    stop_server();
}

static void aim(const char *a, const char *b)
{
    struct slice v[2] = {slice_str(a), slice_str(b)};

    if (inv == NULL) {
        w.pool = pool_new(w.loop, names, &settings);
        loop_add_beat(w.loop, pool_beat, w.pool);
        inv = invalidation_new(w.loop, w.pool, &set, &journal_ops, &journal);
    }
    invalidation_aim(inv, v, b != NULL ? 2 : 1);
}

static const struct invalidation_counters *count(void)
{
    return invalidation_counters(inv).values;
}

static void arm(enum coherence_mode mode)
{
    aim("a:", "b:");
    UNTIL(journal.proofs > 0);
    ck_assert_int_eq(invalidation_mode(inv), mode);
    journal_is("armed;");
}

/* Everything that was pushed before now has been heard when this returns. */
static void prove(void)
{
    uint64_t now_ms;

    clock_move(2); /* what is asked later has a later time */
    now_ms = loop_now_ms(w.loop);
    UNTIL(journal.proven_ms > now_ms);
}

/* RESP3 where RESP2 is refused: a user who may not subscribe to the channel. */
static void log_in(bool channel, bool tracking)
{
    char rules[200];

    (void)snprintf(rules, sizeof rules, "ACL SETUSER larder on >secret resetchannels%s ~* +@all%s",
                   channel ? " &__redis__:invalidate" : "", tracking ? "" : " -client|tracking");
    told(rules, "+OK");
    settings.username = "larder";
    settings.password = "secret";
}

/* _i of most tests: 0 over RESP2, 1 over RESP3. */
static void arm_way(int way)
{
    set.timeout_ms = 900; /* proves each 300 ms */
    if (way == 1)
        log_in(false, true);
    arm(way == 1 ? COHERENCE_BROADCAST3 : COHERENCE_BROADCAST2);
}

/* ---- what it pushes ---- */

START_TEST(keys_are_pushed)
{
    arm_way(_i);
    told("SET a:1 x", "+OK");
    prove();
    told("SET c:1 x", "+OK");
    told("SET b:1 x", "+OK");
    prove();
    told("DEL a:1", ":1");
    told("SELECT 3", "+OK"); /* whatever the database */
    told("SET a:2 x PX 1000", "+OK");
    prove();
    journal_is("a:1;b:1;a:1;a:2;");
    UNTIL(count()->keys == 5); /* .. and when it expires */
    journal_is("a:2;");
    if (_i == 1)
        ck_assert(strstr(invalidation_trouble(inv), "SUBSCRIBE __redis__:invalidate: NOPERM"));
}
END_TEST

START_TEST(flushes_are_pushed)
{
    arm_way(_i);
    told("FLUSHALL", "+OK");
    UNTIL(count()->flushes == 1);
    told("SELECT 5", "+OK");
    told("FLUSHDB", "+OK");
    UNTIL(count()->flushes == 2);
    journal_is("flush;flush;");
}
END_TEST

/* A script changes as many keys as no read can hold, in one message. */
START_TEST(many_keys_at_once)
{
    arm_way(_i);
    journal.quiet = true;
    told("EVAL \"for i=1,50000 do redis.call('set','a:'..i,'x') end return 1\" 0", ":1");
    UNTIL(journal.keys == 50000);
    prove();
    ck_assert_uint_eq(journal.keys, 50000);
    ck_assert_uint_eq(count()->losses, 0);
}
END_TEST

/* ---- how it stops ---- */

START_TEST(killed_and_armed_again)
{
    arm_way(_i);
    /* In RESP3 the link is one of the normal ones. */
    if (_i == 0)
        told("CLIENT KILL TYPE pubsub", ":1");
    else
        ck_assert_str_ne(tell("CLIENT KILL USER larder"), ":0");
    UNTIL(count()->armings == 2);
    journal_is("lost;armed;");
    told("SET a:1 x", "+OK");
    UNTIL(count()->keys == 1);
    journal_is("a:1;");
}
END_TEST

/* A stopped server proves nothing; once it runs again, all is as before. Stopped for good, the link
 * is given up. */
START_TEST(stopped)
{
    unsigned proofs;

    arm_way(_i % 2);
    ck_assert_int_eq(kill(server, SIGSTOP), 0);
    settle(); /* answers that were on their way */
    proofs = journal.proofs;
    clock_move(1200);
    UNTIL(count()->silences == 1);
    ck_assert_uint_le(journal.proofs, proofs + 1);
    journal_is("");
    if (_i < 2) {
        ck_assert_int_eq(kill(server, SIGCONT), 0);
        prove();
        told("SET a:1 x", "+OK");
        prove();
        journal_is("a:1;");
        ck_assert_uint_eq(count()->losses, 0);
    } else {
        clock_move(2000);
        UNTIL(count()->losses == 1);
        journal_is("lost;");
        ck_assert_int_eq(kill(server, SIGCONT), 0);
        UNTIL(count()->armings == 2);
        journal_is("armed;");
    }
}
END_TEST

/* ---- what it refuses ---- */

START_TEST(tracking_is_forbidden)
{
    set.timeout_ms = 300;
    log_in(true, false);
    aim("a:", NULL);
    UNTIL(invalidation_mode(inv) == COHERENCE_TTL);
    journal_is("alone;");
    ck_assert(strstr(invalidation_trouble(inv), "RESP2: CLIENT TRACKING: NOPERM"));
    ck_assert(strstr(invalidation_trouble(inv), "RESP3: CLIENT TRACKING: NOPERM"));
    /* Allowed, it is found out within a minute. */
    told("ACL SETUSER larder +client|tracking", "+OK");
    clock_move(61000);
    UNTIL(journal.proofs > 0);
    journal_is("armed;");
    ck_assert_int_eq(invalidation_mode(inv), COHERENCE_BROADCAST2);
    ck_assert_str_eq(invalidation_trouble(inv), "");
}
END_TEST

/* Overlapping prefixes are refused by Redis, which then answers twice: they never reach it. */
START_TEST(overlapping_prefixes)
{
    struct slice v[] = {SLICE("z:"), SLICE("a:1"), SLICE("a:"), SLICE("a:1:2"), SLICE("a:")};

    aim("a:", NULL);
    invalidation_aim(inv, v, ARRAY_LEN(v));
    UNTIL(journal.proofs > 0);
    ck_assert_uint_eq(count()->refusals, 0);
    told("SET a:1:2:3 x", "+OK");
    told("SET z:1 x", "+OK");
    UNTIL(journal.keys == 2);
    journal_is("armed;a:1:2:3;z:1;");
}
END_TEST

/* ---- other prefixes ---- */

/* Somebody writes a:0, a:1 .. all the time, and the prefixes change again and again: not one is
 * missed. */
static unsigned next_key;
static bool seen[100000];

static void see(struct slice key)
{
    unsigned i = (unsigned)strtoul(key.p + 2, NULL, 10);

    ck_assert_uint_lt(i, ARRAY_LEN(seen));
    seen[i] = true;
}

static bool write_beat(void *context)
{
    char command[32];

    (void)context;
    for (int i = 0; i < 3 && next_key < ARRAY_LEN(seen); i++) {
        (void)snprintf(command, sizeof command, "SET a:%u x", next_key++);
        told(command, "+OK");
    }
    return true;
}

START_TEST(no_key_is_missed_by_a_handover)
{
    static const char *const others[] = {"b:", "c:", "d:1", "e:"};

    arm_way(_i);
    journal.quiet = true;
    journal.key = see;
    loop_add_beat(w.loop, write_beat, NULL);
    for (uint64_t i = 1; i <= 40; i++) {
        aim("a:", others[i % 4]);
        UNTIL(count()->handovers == i);
    }
    prove();
    for (unsigned i = 0; i + 100 < next_key; i++)
        ck_assert(seen[i]);
    ck_assert_uint_gt(next_key, 200);
    ck_assert_uint_eq(count()->losses, 0);
}
END_TEST

static bool have_redis(void)
{
    return system("command -v redis-server >/dev/null") == 0;
}

Suite *coherence_suite(void)
{
    Suite *suite = suite_create("coherence");
    TCase *t = tcase_create("coherence");

    suite_add_tcase(suite, t);
    if (!have_redis()) {
        fprintf(stderr, "coherence: there is no redis-server, nothing is tested\n");
        return suite;
    }
    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_loop_test(t, keys_are_pushed, 0, 2);
    tcase_add_loop_test(t, flushes_are_pushed, 0, 2);
    tcase_add_loop_test(t, many_keys_at_once, 0, 2);
    tcase_add_loop_test(t, killed_and_armed_again, 0, 2);
    tcase_add_loop_test(t, stopped, 0, 4);
    tcase_add_test(t, tracking_is_forbidden);
    tcase_add_test(t, overlapping_prefixes);
    tcase_add_loop_test(t, no_key_is_missed_by_a_handover, 0, 2);
    return suite;
}
