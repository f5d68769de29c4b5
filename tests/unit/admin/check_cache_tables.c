/* check_cache_tables.c - the near cache at the console: each policy in a line, sums of all in the
 * counters, also across reloads; LARDER FLUSH. What is counted is written into the counters here;
 * that it is counted right, tests/system/test_near_console.py sees to. */
#include <stdio.h>
#include <string.h>

#include "client/near.h"
#include "client/near_view.h"
#include "config/load.h"
#include "desk.h"
#include "policy/policies.h"
#include "suites.h"

#define MAX_MEMORY (2u * 1024u * 1024u)

static const char ini[] =
    "[cache]\nmax_memory = 2mb\n"
    "[policy users]\nprefix = user:, u ser:*:x:\nlocal = yes\n"
    "[policy rest]\nprefix = *\n";

static struct settings *settings;
static struct policies *policies;
static struct cache *cache;
static struct invalidation *invalidation;
static struct question question;

static void on_key(void *context, struct slice key)
{
    (void)context;
    (void)key;
}

static void on_any(void *context)
{
    (void)context;
}

static void on_proven(void *context, uint64_t asked_ms)
{
    (void)context;
    (void)asked_ms;
}

static void settle(const char *text)
{
    struct settings *fresh = load(text);
    struct policies *compiled = policies_new(fresh, policies);

    admin_resettle(desk.admin, fresh);
    clients_use_cache(desk.clients, cache, compiled, invalidation);
    policies_free(policies);
    settings_free(settings);
    policies = compiled;
    settings = fresh;
}

static void begin(void)
{
    static const struct invalidation_ops ops = {on_key, on_any, on_any, on_any, on_any, on_proven};
    static const struct invalidation_settings coherence = {COHERENCE_WISH_AUTO, 3000};

    desk_begin();
    cache = cache_new(MAX_MEMORY, 3000);
    invalidation = invalidation_new(desk.loop, desk.pool, &coherence, &ops, NULL);
    settle(ini);
}

static void end(void)
{
    invalidation_free(invalidation);
    desk_end();
    policies_free(policies);
    cache_free(cache);
    settings_free(settings);
}

static struct near_stats *stats_of(const char *key)
{
    return near_stats_of(desk.clients->near, policies_match(policies, slice_str(key)));
}

/* Keeps a reply to the key, as if it had been asked for. */
static void keep(const char *key)
{
    struct entry e = {.bytes = SLICE("$1\r\nx\r\n"),
                      .deadline_ms = loop_now_ms(desk.loop) + 60000,
                      .expiry_ms = EXPIRY_NEVER,
                      .policy = policies_match(policies, slice_str(key))->number};

    question = (struct question){.key = slice_str(key), .ask = {"", 0}, .scope = 1};
    ck_assert(shelf_put(cache_shelf(cache), &question, &e));
}

static bool is_fresh(const char *key)
{
    struct entry e;

    question.key = slice_str(key);
    return cache_look(cache, &question, loop_now_ms(desk.loop), true, &e) == LOOK_FRESH;
}

static uint64_t counter(const char *name)
{
    struct counter_set set = clients_cache_counters(desk.clients);

    ck_assert_str_eq(set.room, "cache");
    for (size_t i = 0; i < set.count; i++) {
        if (strcmp(set.rows[i].name, name) == 0)
            return counter_value(&set, i);
    }
    ck_abort_msg("no counter %s", name);
}

/* ` name=value ` in a line of the table of policies. */
static void has(const char *line, const char *fact)
{
    char expected[128];
    const char *at, *stop = strchr(line, '\n');

    (void)snprintf(expected, sizeof expected, " %s ", fact);
    at = strstr(line, expected);
    ck_assert_msg(at != NULL && at < stop, "%s is not in %s", fact, line);
}

static const char *line_of(const char *rows, const char *policy)
{
    char head[64];
    const char *line;

    (void)snprintf(head, sizeof head, "policy=%s ", policy);
    line = strstr(rows, head);
    ck_assert_msg(line != NULL && (line == rows || line[-1] == '\n'), "%s: %s", policy, rows);
    return line;
}

START_TEST(policies_have_a_line_each)
{
    const char *rows = table(PROTO, "POLICIES"), *line = line_of(rows, "users");

    ck_assert_uint_eq(lines(rows), 2);
    has(line, "prefixes=user:,u\\x20ser:*:x:"); /* one word, whatever it holds */
    has(line, "local=yes");
    has(line, "hits=0");
    has(line, "discarded-changed=0");
    has(line, "hit-ratio=0.0000");
    has(line, "entries=0");
    has(line, "load-us-p50=0");
    line = line_of(rows, "rest");
    has(line, "prefixes=*");
    has(line, "local=no");
}
END_TEST

START_TEST(policies_show_what_they_did)
{
    struct near_stats *s = stats_of("user:1");
    const char *line;

    s->count = (struct near_counters){.hits = 5,
                                      .negative = 1,
                                      .misses = 2,
                                      .coalesced = 1,
                                      .bypassed = 1,
                                      .invalidated_push = 4,
                                      .discarded_settings = 3};
    histogram_add(&s->hit_us, 2);
    for (int i = 0; i < 999; i++)
        histogram_add(&s->load_us, 3);
    histogram_add(&s->load_us, 5000);
    keep("user:1");
    keep("user:2");
    line = line_of(table(PROTO, "POLICIES"), "users");
    has(line, "hits=5");
    has(line, "negative=1");
    has(line, "invalidated-push=4");
    has(line, "discarded-settings=3");
    has(line, "hit-ratio=0.6000");
    has(line, "entries=2");
    has(line, "evictions=0");
    has(line, "hit-us-p999=2");
    has(line, "load-us-p50=3");
    has(line, "load-us-p99=3");
    has(line_of(buffer_head(&desk.text), "rest"), "entries=0");
}
END_TEST

START_TEST(every_counter_of_a_policy_is_in_its_line)
{
    struct policy_view v;
    const char *line = line_of(table(PROTO, "POLICIES"), "users");

    clients_policy_view(desk.clients, "users", &v);
    for (size_t i = 0; i < v.counters.count; i++) {
        char fact[64];

        (void)snprintf(fact, sizeof fact, "%s=0", v.counters.rows[i].name);
        for (char *p = fact; *p != 0; p++)
            *p = *p == '_' ? '-' : *p;
        has(line, fact);
    }
}
END_TEST

START_TEST(sums_are_of_all_policies)
{
    settle("[policy a]\nprefix = a:\nlocal = yes\n[policy b]\nprefix = b:\nlocal = yes\n");
    stats_of("a:")->count.hits = 3;
    stats_of("b:")->count.hits = 4;
    stats_of("b:")->count.discarded_raced = 1;
    keep("a:1");
    keep("b:1");
    ck_assert_uint_eq(counter("hits"), 7);
    ck_assert_uint_eq(counter("hits"), 7); /* and no more when asked again */
    ck_assert_uint_eq(counter("discarded_raced"), 1);
    ck_assert_uint_eq(counter("entries"), 2);
    ck_assert_uint_eq(counter("max_bytes"), MAX_MEMORY);
    ck_assert_uint_gt(counter("bytes"), 0);
    ck_assert_uint_lt(counter("bytes"), MAX_MEMORY);
    ck_assert_uint_eq(counter("keys_under_way"), 0);
}
END_TEST

START_TEST(nothing_counted_is_lost_by_a_reload)
{
    const char *line;

    stats_of("user:1")->count.hits = 3;
    keep("user:1");
    /* Another policy by its settings, and so by its number; the same by its name. */
    settle("[policy users]\nprefix = user:\nlocal = yes\nlocal_ttl = 1m\n");
    stats_of("user:1")->count.hits++;
    line = line_of(table(PROTO, "POLICIES"), "users");
    ck_assert_uint_eq(lines(line), 1);
    has(line, "hits=4");
    has(line, "entries=1"); /* until it is swept */
    ck_assert_uint_eq(counter("hits"), 4);
    /* Gone, but what it did is still in the sums. */
    settle("[policy other]\nprefix = o:\nlocal = yes\n");
    has(line_of(table(PROTO, "POLICIES"), "other"), "hits=0");
    ck_assert_ptr_null(strstr(buffer_head(&desk.text), "policy=users"));
    ck_assert_uint_eq(counter("hits"), 4);
}
END_TEST

START_TEST(links_tell_the_coherence)
{
    char expected[256];

    (void)snprintf(expected, sizeof expected,
                   "upstream=%s trouble=\nbreaker=closed failures=0 away-ms=0 probe-ms=0 "
                   "waiting-link=0 waiting-loan=0\ncoherence=none resp=0 trust=closed trouble=\n",
                   desk.upstream);
    ck_assert_str_eq(table(PROTO, "LINKS"), expected);
    ck_assert_uint_eq(counter("trust"), TRUST_CLOSED);
    cache_armed(cache);
    cache_proven(cache, loop_now_ms(desk.loop));
    ck_assert_ptr_nonnull(strstr(table(PROTO, "LINKS"), " trust=armed trouble=\n"));
    ck_assert_uint_eq(counter("trust"), TRUST_ARMED);
    cache_without_link(cache);
    ck_assert_ptr_nonnull(strstr(table(PROTO, "LINKS"), " trust=ttl trouble=\n"));
    ck_assert_uint_eq(counter("trust"), TRUST_TTL);
}
END_TEST

static const char *flush_prefix(const char *prefix)
{
    struct slice words[] = {SLICE("FLUSH"), SLICE("prefix"), slice_str(prefix)};

    return string(say(2, words, 3));
}

START_TEST(flush_takes_hold_at_once)
{
    cache_without_link(cache);
    keep("user:1");
    keep("user:22");
    keep("user:3");
    ck_assert_str_eq(flush_prefix("user:2"), "+OK\r\n");
    ck_assert(is_fresh("user:1") && !is_fresh("user:22") && is_fresh("user:3"));
    keep("user:22");
    ck_assert(is_fresh("user:22"));
    ck_assert_str_eq(string(say2(PROTO, "FLUSH", "all")), "+OK\r\n");
    ck_assert(!is_fresh("user:1") && !is_fresh("user:22") && !is_fresh("user:3"));
    keep("user:1");
    ck_assert_str_eq(flush_prefix(""), "+OK\r\n");
    ck_assert(!is_fresh("user:1"));
    ck_assert_uint_eq(counter("flushes_command"), 3);
    ck_assert_uint_eq(counter("flushes_push"), 0);
    ck_assert_uint_eq(counter("flushes_write"), 0);
}
END_TEST

START_TEST(flush_says_what_it_does_not_know)
{
    struct slice all_more[] = {SLICE("FLUSH"), SLICE("ALL"), SLICE("x")};
    struct slice other[] = {SLICE("FLUSH"), SLICE("TENANT"), SLICE("x")};

    cache_without_link(cache);
    keep("user:1");
    ck_assert_str_eq(string(say2(PROTO, "FLUSH", "x")), "-ERR syntax error\r\n");
    ck_assert_str_eq(string(say2(PROTO, "FLUSH", "PREFIX")), "-ERR syntax error\r\n");
    ck_assert_str_eq(string(say(PROTO, all_more, 3)), "-ERR syntax error\r\n");
    ck_assert_str_eq(string(say(PROTO, other, 3)), "-ERR syntax error\r\n");
    ck_assert(is_fresh("user:1"));
    ck_assert_uint_eq(counter("flushes_command"), 0);
}
END_TEST

START_TEST(a_push_of_all_flushes)
{
    cache_without_link(cache);
    keep("user:1");
    clients_all_changed(desk.clients);
    ck_assert(!is_fresh("user:1"));
    ck_assert_uint_eq(counter("flushes_push"), 1);
    ck_assert_uint_eq(counter("flushes_command"), 0);
}
END_TEST

START_TEST(without_a_cache_all_is_zero)
{
    struct counter_set set = clients_cache_counters(desk.clients);
    struct policy_view v;

    for (size_t i = 0; i < set.count; i++)
        ck_assert_uint_eq(counter_value(&set, i), 0);
    clients_policy_view(desk.clients, "users", &v);
    ck_assert_uint_eq(v.reads + v.usage.entries + histogram_count(v.hit), 0);
    ck_assert_ptr_null(clients_invalidation(desk.clients));
    ck_assert_str_eq(table(PROTO, "POLICIES"), "");
    ck_assert_str_eq(string(say2(PROTO, "FLUSH", "ALL")), "+OK\r\n");
    ck_assert_str_eq(flush_prefix("x"), "+OK\r\n");
}
END_TEST

Suite *cache_tables_suite(void)
{
    Suite *suite = suite_create("cache tables");
    TCase *t = tcase_create("cache"), *none = tcase_create("no cache");

    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_loop_test(t, policies_have_a_line_each, 0, 2);
    tcase_add_loop_test(t, policies_show_what_they_did, 0, 2);
    tcase_add_loop_test(t, every_counter_of_a_policy_is_in_its_line, 0, 2);
    tcase_add_test(t, sums_are_of_all_policies);
    tcase_add_loop_test(t, nothing_counted_is_lost_by_a_reload, 0, 2);
    tcase_add_loop_test(t, links_tell_the_coherence, 0, 2);
    tcase_add_loop_test(t, flush_takes_hold_at_once, 0, 2);
    tcase_add_loop_test(t, flush_says_what_it_does_not_know, 0, 2);
    tcase_add_test(t, a_push_of_all_flushes);
    suite_add_tcase(suite, t);
    tcase_add_checked_fixture(none, desk_begin, desk_end);
    tcase_add_loop_test(none, without_a_cache_all_is_zero, 0, 2);
    suite_add_tcase(suite, none);
    return suite;
}
