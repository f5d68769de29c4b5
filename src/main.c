/* main.c - the door: read settings, build the rooms, wire them, run, tear down.
 *
 * Everything hangs off one object on the stack of main(). Teardown is set-up read backwards. */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/certificates.h"
#include "admin/healthcheck.h"
#include "admin/loader.h"
#include "admin/logging.h"
#include "base/log.h"
#include "client/clients.h"
#include "client/near_cache.h"
#include "config/settings.h"
#include "net/address.h"
#include "net/digest.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "net/service.h"
#include "net/tls.h"
#include "upstream/pool.h"
#include "upstream/sentinels.h"

#ifndef LARDER_VERSION
#define LARDER_VERSION "unknown"
#endif

struct larder {
    const char *path; /* of the settings; NULL: all defaults */
    struct settings *settings;
    struct log log;
    struct loop *loop;
    struct loader *loader;
    struct resolver *resolver;
    struct tls *tls;
    struct pool *pool;
    struct sentinels *sentinels; /* NULL: the settings name an address */
    struct lane *lane;           /* keeps a connection open from the start */
    struct admin *admin;
    struct console console;
    struct clients *clients;
    struct near_cache *near;
    struct listener **listeners;
    size_t listener_count;
    struct listener_events events;
    struct timer *watchdog, *deadline;
    bool draining;
    int exit_code; /* where it can not begin */
};

/* ---- command line ---- */

enum action { RUN, CHECK_CONFIG, DUMP_CONFIG, HEALTHCHECK };

static const char usage[] =
    "usage: larder [-c FILE] [--check-config | --dump-config | --healthcheck]\n"
    "       larder --version | --help\n"
    "\n"
    "  -c, --config FILE   settings; without it every setting has its default\n"
    "      --check-config  report every mistake in the settings as file:line, exit 78 if any\n"
    "      --dump-config   print the settings in force, secrets masked\n"
    "      --healthcheck   ask the first listener ECHO; exit 0 if it answers\n"
    "      --version       version, and the libraries compiled with and running\n"
    "      --help          this text\n"
    "\n"
    "SIGTERM drains and exits, a second one exits at once; SIGHUP reloads the settings;\n"
    "SIGUSR2 writes the state to the log. See larder(8), larder.ini(5).\n";

static int print_version(void)
{
    printf("larder %s\n", LARDER_VERSION);
    printf("libevent compiled %s, running %s\n", loop_library_version(false),
           loop_library_version(true));
    printf("openssl compiled %s, running %s\n", digest_library_version(false),
           digest_library_version(true));
    printf("compiler %s\n", __VERSION__);
    return 0;
}

/* Exits for what is answered at once. */
static enum action parse_options(int argc, char **argv, const char **ret_path)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"check-config", no_argument, NULL, 'k'},
        {"dump-config", no_argument, NULL, 'd'},
        {"healthcheck", no_argument, NULL, 'p'},
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    enum action action = RUN;
    int o;

    while ((o = getopt_long(argc, argv, "c:tTVh", options, NULL)) != -1) {
        switch (o) {
        case 'c':
            *ret_path = optarg;
            break;
        case 'k':
        case 't':
            action = CHECK_CONFIG;
            break;
        case 'd':
        case 'T':
            action = DUMP_CONFIG;
            break;
        case 'p':
            action = HEALTHCHECK;
            break;
        case 'v':
        case 'V':
            exit(print_version());
        case 'h':
            (void)fputs(usage, stdout);
            exit(0);
        default:
            (void)fputs(usage, stderr);
            exit(EX_USAGE);
        }
    }
    if (optind < argc) {
        fprintf(stderr, "larder: unexpected argument '%s'\n%s", argv[optind], usage);
        exit(EX_USAGE);
    }
    return action;
}

static struct settings *load_or_exit(const char *path)
{
    struct buffer errors = {0};
    struct settings *s = settings_load(path, &errors);

    if (s == NULL) {
        fprintf(stderr, "%.*s", (int)buffer_len(&errors), buffer_head(&errors));
        exit(EX_CONFIG);
    }
    buffer_done(&errors);
    return s;
}

static int dump(const struct settings *s)
{
    struct buffer out = {0};

    settings_dump(s, &out);
    printf("%.*s", (int)buffer_len(&out), buffer_head(&out));
    buffer_done(&out);
    return 0;
}

/* ---- signals ---- */

static void finish(void *context)
{
    struct larder *l = context;

    loop_stop(l->loop);
}

static void close_listeners(struct larder *l)
{
    for (size_t i = 0; i < l->listener_count; i++)
        listener_close(l->listeners[i]);
    free(l->listeners);
    l->listeners = NULL;
    l->listener_count = 0;
}

/* First: stop accepting, finish what is in flight. Second: now. */
static void on_terminate(void *context)
{
    struct larder *l = context;

    if (l->draining) {
        log_warning(&l->log, "larder: told twice, exits at once");
        finish(l);
        return;
    }
    l->draining = true;
    log_info(&l->log, "larder: drains");
    service_notify("STOPPING=1\nSTATUS=draining");
    for (size_t i = 0; i < l->listener_count; i++)
        listener_stop(l->listeners[i]);
    timer_start(l->deadline, l->settings->larder.shutdown_timeout);
    clients_drain(l->clients, finish, l);
}

/* The certificates that the settings name, read anew: a renewed one has the name of the old. */
static bool certify(struct larder *l, const struct settings *s, const char *otherwise)
{
    struct buffer errors = {0}, notes = {0};
    bool fine = tls_settle(l->tls, s, &errors, &notes);

    if (!fine) {
        log_error(&l->log, "larder: %s", otherwise);
        log_report(&l->log, LOG_LEVEL_ERROR, "tls", buffer_slice(&errors));
    } else {
        log_report(&l->log, LOG_LEVEL_WARNING, "tls", buffer_slice(&notes));
    }
    buffer_done(&errors);
    buffer_done(&notes);
    return fine;
}

/* All or nothing: a mistake, or a change that needs a restart, leaves everything as it was. */
static bool accept_changed(struct larder *l, const struct settings *fresh, struct slice mistakes)
{
    struct buffer errors = {0};

    if (fresh == NULL) {
        log_error(&l->log, "larder: settings not reloaded, the old ones stay in force:");
        log_report(&l->log, LOG_LEVEL_ERROR, "reload", mistakes);
        return false;
    }
    settings_diff_restart(l->settings, fresh, &errors);
    if (buffer_len(&errors) > 0) {
        log_error(&l->log, "larder: settings not reloaded, these need a restart:");
        log_report(&l->log, LOG_LEVEL_ERROR, "reload", buffer_slice(&errors));
        buffer_done(&errors);
        return false;
    }
    return certify(l, fresh, "settings and certificates not reloaded, the old ones stay in force:");
}

static const struct listener_settings *listener_named(const struct settings *s, const char *name)
{
    for (size_t i = 0; i < s->listener_count; i++) {
        if (strcmp(s->listeners[i].name, name) == 0)
            return &s->listeners[i];
    }
    return NULL;
}

/* ---- reload ---- */

static void settle_near(struct larder *l)
{
    near_cache_settle(l->near, l->settings);
    admin_watch_check(l->admin, near_cache_check(l->near));
}

/* Returns those that are no longer in force. */
static struct settings *take_over(struct larder *l, struct settings *fresh)
{
    struct settings *before = l->settings;

    logging_resettle(&l->log, before, fresh);
    for (size_t i = 0; i < l->listener_count; i++)
        listener_resettle(l->listeners[i],
                          listener_named(fresh, listener_settings(l->listeners[i])->name));
    pool_resettle(l->pool, &fresh->upstream);
    clients_resettle(l->clients, &fresh->larder);
    admin_resettle(l->admin, fresh);
    l->settings = fresh;
    clients_use_tenants(l->clients, fresh);
    settle_near(l);
    log_info(&l->log, "larder: settings reloaded");
    return before;
}

static struct settings *on_loaded(void *context, struct settings *fresh, struct slice errors)
{
    struct larder *l = context;
    bool fine = accept_changed(l, fresh, errors);

    if (fine)
        fresh = take_over(l, fresh);
    service_notify("READY=1\nSTATUS=%s", fine ? "serving" : "serving; the last reload failed");
    return fresh;
}

static void on_reload(void *context)
{
    struct larder *l = context;

    service_notify_reloading();
    loader_read(l->loader);
}

static void on_dump(void *context)
{
    struct larder *l = context;
    struct buffer text = {0};

    admin_dump(l->admin, &text);
    log_report(&l->log, LOG_LEVEL_INFO, "state", buffer_slice(&text));
    buffer_done(&text);
}

/* The service manager restarts a loop that no longer turns. */
static void on_watchdog(void *context)
{
    struct larder *l = context;

    service_notify("WATCHDOG=1");
    timer_start(l->watchdog, service_watchdog_ms());
}

/* ---- set-up ---- */

static void on_accepted(void *context, struct listener *from, int fd, bool is_unix)
{
    struct larder *l = context;

    clients_accept(l->clients, from, fd, is_unix);
}

/* The master is another server now. */
static void on_moved(void *context)
{
    struct larder *l = context;

    near_cache_moved(l->near);
}

static void on_exhausted(void *context)
{
    struct larder *l = context;

    clients_exhausted(l->clients);
}

static bool open_listeners(struct larder *l)
{
    struct settings *s = l->settings;
    size_t passed = service_listen_fds(), next = 0;
    struct buffer error = {0};
    char where[ADDRESS_TEXT];

    if (passed > s->listener_count)
        log_warning(&l->log, "larder: %zu sockets passed in, %zu listeners set: the rest is unused",
                    passed, s->listener_count);
    l->events = (struct listener_events){on_accepted, on_exhausted, l};
    l->listeners = must_calloc(s->listener_count, sizeof(struct listener *));
    for (size_t i = 0; i < s->listener_count; i++) {
        struct listener *one = listener_open(l->loop, &s->listeners[i],
                                             service_listener_fd(s, i, &next), &l->events, &error);

        if (buffer_len(&error) > 0)
            log_error(&l->log, "larder: %.*s", (int)buffer_len(&error), buffer_head(&error));
        buffer_done(&error);
        if (one == NULL)
            return false;
        listener_secure(one, l->tls);
        l->listeners[l->listener_count++] = one;
        listener_text(one, where, sizeof where);
        log_info(&l->log, "larder: listens, listener=%s address=%s%s", s->listeners[i].name, where,
                 listener_tls(one) != NULL ? " tls=yes" : "");
    }
    return true;
}

/* As many descriptors as the system allows: each client is one. */
static void raise_limits(struct larder *l)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return;
    r.rlim_cur = r.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &r);
    if (r.rlim_cur < l->settings->larder.max_clients + l->settings->upstream.max_links)
        log_warning(&l->log,
                    "larder: %llu descriptors are allowed, fewer than max_clients and max_links "
                    "together",
                    (unsigned long long)r.rlim_cur);
}

/* What waits for slow readers comes and goes in large buffers: each is mapped by itself, whatever
 * has been freed before, so that its memory goes back when it is empty. */
#define MAP_FROM_BYTES (256 * 1024)
/* .. and the rest is given back only when there is much of it: not in every turn. */
#define TRIM_FROM_BYTES (8 * 1024 * 1024)

static bool set_up(struct larder *l)
{
    static const struct sentinels_ops sentinels_ops = {on_moved};
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    (void)mallopt(M_MMAP_THRESHOLD, MAP_FROM_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, TRIM_FROM_BYTES);

    logging_open(&l->log, l->settings);
    log_info(&l->log, "larder: version=%s pid=%d", LARDER_VERSION, (int)getpid());
    raise_limits(l);
    (void)sigaction(SIGPIPE, &ignore, NULL);
    l->loop = loop_new(&l->log);
    if (l->loop == NULL)
        return false;
    l->loader = loader_new(l->loop, l->path, on_loaded, l);
    l->resolver = resolver_new(l->loop);
    l->tls = tls_new();
    if (!certify(l, l->settings, "cannot begin without these:")) {
        l->exit_code = EX_CONFIG;
        return false;
    }
    l->pool = pool_new(l->loop, l->resolver, &l->settings->upstream);
    pool_secure(l->pool, l->tls);
    l->sentinels = sentinels_new(l->loop, l->resolver, l->pool, &l->settings->upstream);
    sentinels_tell(l->sentinels, &sentinels_ops, l);
    l->admin = admin_new(l->loop, l->pool, l->settings);
    admin_watch_tls(l->admin, l->tls);
    l->console = admin_console(l->admin);
    l->clients = clients_new(l->loop, l->pool, &l->settings->larder, &l->console);
    admin_watch(l->admin, l->clients);
    admin_watch_sentinels(l->admin, l->sentinels);
    /* Clients first: what they ask in a turn leaves in the same turn. */
    loop_add_beat(l->loop, clients_beat, l->clients);
    loop_add_beat(l->loop, pool_beat, l->pool);
    l->near = near_cache_new(l->loop, l->pool, l->clients);
    l->watchdog = timer_new(l->loop, on_watchdog, l);
    l->deadline = timer_new(l->loop, finish, l);
    loop_on_signal(l->loop, SIGTERM, on_terminate, l);
    loop_on_signal(l->loop, SIGINT, on_terminate, l);
    loop_on_signal(l->loop, SIGHUP, on_reload, l);
    loop_on_signal(l->loop, SIGUSR2, on_dump, l);
    clients_use_tenants(l->clients, l->settings);
    settle_near(l);
    if (!open_listeners(l))
        return false;
    l->lane = lane_hold_default(l->pool, 2);
    pool_warm(l->pool);
    if (service_watchdog_ms() > 0)
        timer_start(l->watchdog, service_watchdog_ms());
    return true;
}

static void tear_down(struct larder *l)
{
    if (l->deadline != NULL)
        timer_free(l->deadline);
    if (l->watchdog != NULL)
        timer_free(l->watchdog);
    if (l->clients != NULL)
        clients_close(l->clients);
    near_cache_stop(l->near);
    sentinels_free(l->sentinels);
    pool_free(l->pool);
    clients_free(l->clients);
    near_cache_free(l->near);
    admin_free(l->admin);
    close_listeners(l);
    tls_free(l->tls);
    resolver_free(l->resolver);
    loader_free(l->loader);
    loop_free(l->loop);
    settings_free(l->settings);
}

int main(int argc, char **argv)
{
    struct larder l = {.exit_code = 1};
    enum action action = parse_options(argc, argv, &l.path);
    bool up;

    l.settings = load_or_exit(l.path);
    if (action != RUN) {
        int rc = action == DUMP_CONFIG ? dump(l.settings) : 0;

        rc = action == HEALTHCHECK ? healthcheck(l.settings) : rc;
        rc = action == CHECK_CONFIG ? check_certificates(l.settings) : rc;
        settings_free(l.settings);
        return rc;
    }
    up = set_up(&l);
    if (up) {
        service_notify("READY=1\nSTATUS=serving");
        loop_run(l.loop);
        log_info(&l.log, "larder: exits");
    }
    tear_down(&l);
    return up ? 0 : l.exit_code;
}
