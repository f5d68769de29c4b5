/* desk.c - see desk.h. The pool's upstream is a port that refuses, the clients are ends of socket
 * pairs. */
#include "desk.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/load.h"
#include "net/resolver.h"

struct desk desk;

static const char ini[] =
    "[listener main]\npassword = door-secret\n"
    "[upstream]\nusername = joe\npassword = up-secret\ndatabase = 7\n";

struct settings *load(const char *ini_text)
{
    struct settings *s = settings_load_text("t.ini", slice_str(ini_text), &desk.out);

    ck_assert_ptr_nonnull(s);
    return s;
}

/* A port that is taken but does not listen: it refuses at once. */
static void aim_at_refusing_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;

    desk.refusing = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(desk.refusing, (struct sockaddr *)&a, sizeof a), 0);
    ck_assert_int_eq(getsockname(desk.refusing, (struct sockaddr *)&a, &len), 0);
    desk.settings->upstream.address = (struct address){"127.0.0.1", ntohs(a.sin_port), NULL};
    (void)snprintf(desk.upstream, sizeof desk.upstream, "127.0.0.1:%u", ntohs(a.sin_port));
}

void desk_begin(void)
{
    static const struct listener_events events = {0};

    log_open(&desk.quiet, open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_LEVEL_ERROR,
             LOG_FORMAT_TEXT);
    desk.settings = load(ini);
    desk.settings->listeners[0].address = (struct address){"127.0.0.1", 0, NULL};
    aim_at_refusing_port();
    desk.loop = loop_new(&desk.quiet);
    desk.resolver = resolver_new(desk.loop);
    desk.pool = pool_new(desk.loop, desk.resolver, &desk.settings->upstream);
    desk.lane = lane_hold_default(desk.pool, 2);
    desk.admin = admin_new(desk.loop, desk.pool, desk.settings);
    desk.console = admin_console(desk.admin);
    desk.clients = clients_new(desk.loop, desk.pool, &desk.settings->larder, &desk.console);
    admin_watch(desk.admin, desk.clients);
    desk.listener = listener_open(desk.loop, &desk.settings->listeners[0], -1, &events, &desk.out);
    ck_assert_ptr_nonnull(desk.listener);
    for (size_t i = 0; i < CLIENTS; i++) {
        int ends[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends),
                         0);
        desk.far_end[i] = ends[0];
        clients_accept(desk.clients, desk.listener, ends[1], true);
    }
}

void desk_end(void)
{
    listener_close(desk.listener);
    clients_close(desk.clients);
    lane_release(desk.lane);
    pool_free(desk.pool);
    clients_free(desk.clients);
    admin_free(desk.admin);
    resolver_free(desk.resolver);
    loop_free(desk.loop);
    settings_free(desk.settings);
    for (size_t i = 0; i < CLIENTS; i++)
        (void)close(desk.far_end[i]);
    (void)close(desk.refusing);
    (void)close(desk.quiet.fd);
    buffer_done(&desk.out);
    buffer_done(&desk.text);
}

/* Begins a first connection to the upstream, which is under way until the loop runs. */
void dial(void)
{
    ck_assert_ptr_null(lane_link(desk.lane, 7));
}

/* LARDER and the words: one whole frame, its bytes until the next call. */
struct slice say(int proto, const struct slice *words, uint32_t n)
{
    struct reply_scan scan = {0};
    struct slice argv[4] = {SLICE("LARDER")};
    size_t used;

    CHECK(n < ARRAY_LEN(argv));
    memcpy(argv + 1, words, n * sizeof *words);
    buffer_done(&desk.out);
    desk.console.command(desk.console.context, argv, n + 1, proto, &desk.out);
    ck_assert_int_eq(reply_scan(&scan, buffer_head(&desk.out), buffer_len(&desk.out), &used),
                     SCAN_OK);
    ck_assert_uint_eq(used, buffer_len(&desk.out));
    return buffer_slice(&desk.out);
}

struct slice say1(int proto, const char *word)
{
    struct slice words[] = {slice_str(word)};

    return say(proto, words, 1);
}

struct slice say2(int proto, const char *word, const char *other)
{
    struct slice words[] = {slice_str(word), slice_str(other)};

    return say(proto, words, 2);
}

struct reply next(struct slice *frames, char type)
{
    struct reply r;

    ck_assert(reply_read(frames, &r));
    ck_assert_int_eq(r.type, type);
    return r;
}

const char *string(struct slice s)
{
    buffer_done(&desk.text);
    buffer_add(&desk.text, s.p, s.n);
    buffer_add(&desk.text, "", 1);
    return buffer_head(&desk.text);
}

/* A table: a bulk to RESP2, verbatim text to RESP3. */
const char *table(int proto, const char *word)
{
    struct slice frames = say1(proto, word);
    struct reply r = next(&frames, proto == 3 ? '=' : '$');

    if (proto == 2)
        return string(r.text);
    ck_assert(slice_starts(r.text, SLICE("txt:")));
    return string(slice_of(r.text.p + 4, r.text.n - 4));
}

unsigned lines(const char *p)
{
    unsigned n = 0;

    for (; (p = strchr(p, '\n')) != NULL; p++)
        n++;
    return n;
}
