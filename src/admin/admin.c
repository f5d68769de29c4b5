/* admin.c - see admin.h. Each LARDER subcommand is a row: word, arguments, help, handler; of those
 * about the session that says them, the handler is in client/near_console.c. */
#include "admin/admin.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/cache_tables.h"
#include "admin/health_table.h"
#include "client/near_view.h"
#include "errands/self_check.h"
#include "net/loop.h"
#include "net/tls.h"
#include "resp/write.h"
#include "upstream/invalidation.h"
#include "upstream/pool.h"
#include "upstream/sentinels.h"

#ifndef LARDER_VERSION
#define LARDER_VERSION "unknown"
#endif

struct admin {
    struct loop *loop;
    struct pool *pool;
    struct clients *clients;
    struct sentinels *sentinels; /* NULL: the upstream is where the settings say */
    struct tls *tls;
    const struct self_check *check; /* NULL: there is no near cache */
    const struct settings *settings;
    uint64_t started_ms;
};

struct admin *admin_new(struct loop *loop, struct pool *pool, const struct settings *settings)
{
    struct admin *a = must_calloc(1, sizeof *a);

    *a = (struct admin){
        .loop = loop, .pool = pool, .settings = settings, .started_ms = loop_now_ms(loop)};
    return a;
}

void admin_watch(struct admin *a, struct clients *clients)
{
    a->clients = clients;
}

void admin_watch_tls(struct admin *a, struct tls *tls)
{
    a->tls = tls;
}

void admin_watch_check(struct admin *a, const struct self_check *check)
{
    a->check = check;
}

void admin_watch_sentinels(struct admin *a, struct sentinels *sentinels)
{
    a->sentinels = sentinels;
}

void admin_resettle(struct admin *a, const struct settings *settings)
{
    a->settings = settings;
}

void admin_free(struct admin *a)
{
    free(a);
}

/* ---- counters ---- */

#define COUNTER_SETS 11u

static size_t all_counters(const struct admin *a, struct counter_set sets[COUNTER_SETS])
{
    size_t n = 0;

    sets[n++] = clients_counters(a->clients);
    sets[n++] = pool_counters(a->pool);
    sets[n++] = sentinels_counters(a->sentinels);
    sets[n++] = clients_cache_counters(a->clients);
    sets[n++] = clients_rule_counters(a->clients);
    sets[n++] = clients_lease_counters(a->clients);
    sets[n++] = clients_outage_counters(a->clients);
    sets[n++] = clients_tenant_counters(a->clients);
    sets[n++] = invalidation_counters(clients_invalidation(a->clients));
    if (a->check != NULL)
        sets[n++] = self_check_counters(a->check);
    if (tls_in_use(a->tls))
        sets[n++] = tls_counters(a->tls);
    CHECK(n <= COUNTER_SETS);
    return n;
}

static void put_counters(const struct admin *a, const char *separator, struct buffer *out)
{
    struct counter_set sets[COUNTER_SETS];
    size_t n = all_counters(a, sets);

    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < sets[i].count; k++)
            buffer_printf(out, "%s_%s:%llu%s", sets[i].room, sets[i].rows[k].name,
                          (unsigned long long)counter_value(&sets[i], k), separator);
    }
}

/* LARDER STATS: a map of name to number; with HELP, of name to what it counts. */
static void stats(struct admin *a, const struct slice *argv, uint32_t argc, int proto,
                  struct buffer *out)
{
    bool help = argc > 2 && slice_is(argv[2], "HELP");
    struct counter_set sets[COUNTER_SETS];
    size_t n = all_counters(a, sets), rows = 0;
    char name[96];

    if (argc > 2 && !help) {
        write_error(out, "ERR syntax error");
        return;
    }
    for (size_t i = 0; i < n; i++)
        rows += sets[i].count;
    write_map(out, proto, rows);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < sets[i].count; k++) {
            (void)snprintf(name, sizeof name, "%s_%s", sets[i].room, sets[i].rows[k].name);
            write_bulk(out, slice_str(name));
            if (help)
                write_bulk(out, slice_str(sets[i].rows[k].help));
            else
                write_int(out, (int64_t)counter_value(&sets[i], k));
        }
    }
}

/* ---- tables ---- */

static void clients_table(struct admin *a, const struct slice *argv, uint32_t argc, int proto,
                          struct buffer *out)
{
    struct buffer text = {0};

    (void)argv;
    (void)argc;
    clients_describe(a->clients, &text);
    write_text(out, proto, buffer_slice(&text));
    buffer_done(&text);
}

static void link_row(void *context, const struct link_view *v)
{
    buffer_printf(context,
                  "link=%llu state=%s user=%s resp=%d db=%d upstream-id=%llu age-ms=%llu "
                  "idle-ms=%llu waiting=%u unsent=%zu stalled=%d streaming=%d "
                  "aside=%d retiring=%d%s%s\n",
                  (unsigned long long)v->number, v->state, v->user, v->proto, v->db,
                  (unsigned long long)v->id, (unsigned long long)v->age_ms,
                  (unsigned long long)v->idle_ms, v->waiting, v->unsent, v->stalled, v->streaming,
                  v->aside, v->retiring, v->tls[0] != 0 ? " tls=" : "", v->tls);
}

/* .. and who waits for a connection: to be shared, or to be lent. */
static void put_breaker(const struct admin *a, struct buffer *out)
{
    struct breaker_view b = pool_breaker(a->pool);

    buffer_printf(
        out,
        "breaker=%s failures=%u away-ms=%llu probe-ms=%llu waiting-link=%zu waiting-loan=%zu\n",
        b.state, b.failures, (unsigned long long)b.away_ms, (unsigned long long)b.probe_ms,
        pool_waiting(a->pool), pool_loans_waiting(a->pool));
}

static void put_links(struct admin *a, struct buffer *out)
{
    const char *trouble = pool_trouble(a->pool);

    buffer_printf(out, "upstream=%s trouble=%s\n", pool_address(a->pool), trouble);
    put_breaker(a, out);
    sentinels_describe(a->sentinels, out);
    put_coherence(a->clients, out);
    pool_each_link(a->pool, out, link_row);
}

static void links_table(struct admin *a, const struct slice *argv, uint32_t argc, int proto,
                        struct buffer *out)
{
    struct buffer text = {0};

    (void)argv;
    (void)argc;
    put_links(a, &text);
    write_text(out, proto, buffer_slice(&text));
    buffer_done(&text);
}

static void setting_row(void *context, const struct setting_view *v)
{
    buffer_printf(context, "[%s] %s = %s%s\n", v->section, v->name, v->value,
                  v->reloadable ? "" : " (restart to change)");
}

static void settings_table(struct admin *a, const struct slice *argv, uint32_t argc, int proto,
                           struct buffer *out)
{
    struct buffer text = {0};

    (void)argv;
    (void)argc;
    settings_each(a->settings, &text, setting_row);
    write_text(out, proto, buffer_slice(&text));
    buffer_done(&text);
}

static void policies_table(struct admin *a, const struct slice *argv, uint32_t argc, int proto,
                           struct buffer *out)
{
    struct buffer text = {0};

    (void)argv;
    (void)argc;
    put_policies(a->clients, a->settings, &text);
    write_text(out, proto, buffer_slice(&text));
    buffer_done(&text);
}

static void flush(struct admin *a, const struct slice *argv, uint32_t argc, int proto,
                  struct buffer *out)
{
    (void)proto;
    flush_cache(a->clients, argv, argc, out);
}

static void health_table(struct admin *a, const struct slice *argv, uint32_t argc, int proto,
                         struct buffer *out)
{
    const struct health_parts parts = {.pool = a->pool,
                                       .clients = a->clients,
                                       .sentinels = a->sentinels,
                                       .tls = a->tls,
                                       .settings = a->settings,
                                       .uptime_ms = loop_now_ms(a->loop) - a->started_ms};
    struct buffer text = {0};

    (void)argv;
    (void)argc;
    put_health(&parts, &text);
    write_text(out, proto, buffer_slice(&text));
    buffer_done(&text);
}

static void leases_table(struct admin *a, const struct slice *argv, uint32_t argc, int proto,
                         struct buffer *out)
{
    struct buffer text = {0};

    (void)argv;
    (void)argc;
    clients_describe_leases(a->clients, &text);
    write_text(out, proto, buffer_slice(&text));
    buffer_done(&text);
}

static void tenants_table(struct admin *a, const struct slice *argv, uint32_t argc, int proto,
                          struct buffer *out)
{
    struct buffer text = {0};

    (void)argv;
    (void)argc;
    clients_describe_tenants(a->clients, &text);
    write_text(out, proto, buffer_slice(&text));
    buffer_done(&text);
}

/* ---- the console ---- */

static void help(struct admin *a, const struct slice *argv, uint32_t argc, int proto,
                 struct buffer *out);

struct subcommand {
    const char *word;
    uint32_t least, most; /* arguments behind the word */
    const char *usage, *help;
    void (*serve)(struct admin *a, const struct slice *argv, uint32_t argc, int proto,
                  struct buffer *out);
    enum console_word session; /* served by client/; else CONSOLE_OTHER */
};

static const struct subcommand subcommands[] = {
    {"CLIENTS", 0, 0, "CLIENTS", "Every client, a line each as CLIENT LIST has it.", clients_table,
     CONSOLE_OTHER},
    {"FLUSH", 1, 2, "FLUSH ALL | PREFIX <prefix> | TENANT <name>",
     "Forgets what the near cache keeps: all, of keys that begin with the prefix, or a tenant's.",
     flush, CONSOLE_OTHER},
    {"FRESH", 1, UINT32_MAX, "FRESH <command> [<arg> ...]",
     "What the upstream answers to the command, past the near cache.", NULL, CONSOLE_FRESH},
    {"GETLEASE", 1, 1, "GETLEASE <key>",
     "The value and nil; or nil, and a token with which to store what is loaded.", NULL,
     CONSOLE_GETLEASE},
    {"HEALTH", 0, 0, "HEALTH",
     "Is all well? The upstream is asked by a round trip; what is wrong is named first.",
     health_table, CONSOLE_HEALTH},
    {"HELP", 0, 0, "HELP", "Prints this help.", help, CONSOLE_OTHER},
    {"KEY", 1, 1, "KEY <key>", "What the near cache keeps of the key, and if that is served.", NULL,
     CONSOLE_KEY},
    {"LEASES", 0, 0, "LEASES", "Keys that a client is loading while others wait, a line each.",
     leases_table, CONSOLE_OTHER},
    {"LINKS", 0, 0, "LINKS",
     "The connections to the upstream, a line each; how larder learns what changes there.",
     links_table, CONSOLE_OTHER},
    {"MISS", 1, 1, "MISS <key>", "There is nothing to load: nobody need wait for the key.", NULL,
     CONSOLE_MISS},
    {"MSETEX", 3, UINT32_MAX, "MSETEX <ms> <key> <value> [<key> <value> ...]",
     "Sets the keys, each under its policy; 0 ms: the expiry that it gives. A reply for each.",
     NULL, CONSOLE_MSETEX},
    {"POLICIES", 0, 0, "POLICIES", "The policies and what each has done, a line each.",
     policies_table, CONSOLE_OTHER},
    {"SETLEASE", 3, UINT32_MAX, "SETLEASE <key> <token> <value> [<option of SET> ...]",
     "SET, if nobody has written the key since GETLEASE gave the token; else nil.", NULL,
     CONSOLE_SETLEASE},
    {"SETTINGS", 0, 0, "SETTINGS", "The settings in force, secrets masked.", settings_table,
     CONSOLE_OTHER},
    {"STATS", 0, 1, "STATS [HELP]", "What larder counts; with HELP, what each counter means.",
     stats, CONSOLE_OTHER},
    {"TENANTS", 0, 0, "TENANTS", "The tenants and what each has done, a line each.", tenants_table,
     CONSOLE_OTHER},
    {"WHY", 1, UINT32_MAX, "WHY <command> [<arg> ...]",
     "What larder would do with the command now, and why; nothing is done.", NULL, CONSOLE_WHY},
};

static void help(struct admin *a, const struct slice *argv, uint32_t argc, int proto,
                 struct buffer *out)
{
    char line[160];

    (void)a;
    (void)argv;
    (void)argc;
    (void)proto;
    write_array(out, 1 + 2 * ARRAY_LEN(subcommands));
    write_status(out, "LARDER <subcommand> [<arg> ...]. Subcommands are:");
    for (size_t i = 0; i < ARRAY_LEN(subcommands); i++) {
        write_status(out, subcommands[i].usage);
        (void)snprintf(line, sizeof line, "    %s", subcommands[i].help);
        write_status(out, line);
    }
}

static const struct subcommand *find(struct slice word)
{
    for (size_t i = 0; i < ARRAY_LEN(subcommands); i++) {
        if (slice_is(word, subcommands[i].word))
            return &subcommands[i];
    }
    return NULL;
}

static bool arity_ok(const struct subcommand *s, uint32_t argc)
{
    return argc - 2 >= s->least && argc - 2 <= s->most;
}

static void wrong_arity(struct buffer *out, const struct subcommand *s)
{
    char word[16];
    size_t n = strlen(s->word);

    CHECK(n < sizeof word);
    for (size_t i = 0; i <= n; i++)
        word[i] = (char)tolower((unsigned char)s->word[i]);
    write_error(out, "ERR wrong number of arguments for 'larder|%s' command", word);
}

static enum console_word on_word(const struct slice *argv, uint32_t argc)
{
    const struct subcommand *s = find(argv[1]);

    return s != NULL && arity_ok(s, argc) ? s->session : CONSOLE_OTHER;
}

static void on_command(void *context, const struct slice *argv, uint32_t argc, int proto,
                       struct buffer *out)
{
    const struct subcommand *s = find(argv[1]);

    if (s == NULL)
        write_error(out, "ERR unknown subcommand '%.*s'. Try LARDER HELP.",
                    (int)(argv[1].n < 128 ? argv[1].n : 128), argv[1].p);
    else if (!arity_ok(s, argc))
        wrong_arity(out, s);
    else
        s->serve(context, argv, argc, proto, out);
}

static void on_info(void *context, struct buffer *out)
{
    const struct admin *a = context;

    buffer_printf(out, "# Larder\r\nlarder_version:%s\r\nlarder_process_id:%d\r\n", LARDER_VERSION,
                  (int)getpid());
    buffer_printf(out, "larder_uptime_in_seconds:%llu\r\n",
                  (unsigned long long)(loop_now_ms(a->loop) - a->started_ms) / 1000);
    buffer_printf(out, "larder_upstream:%s\r\nlarder_upstream_trouble:%s\r\n",
                  pool_address(a->pool), pool_trouble(a->pool));
    buffer_printf(out, "larder_breaker:%s\r\n", pool_breaker(a->pool).state);
    buffer_printf(out, "larder_connected_clients:%zu\r\n", clients_count(a->clients));
    put_counters(a, "\r\n", out);
}

struct console admin_console(struct admin *a)
{
    return (struct console){a, on_word, on_command, on_info};
}

void admin_dump(struct admin *a, struct buffer *out)
{
    /* Clients last, for there are most of them: the log leaves out what is too much. */
    put_counters(a, "\n", out);
    put_policies(a->clients, a->settings, out);
    put_links(a, out);
    clients_describe(a->clients, out);
}
