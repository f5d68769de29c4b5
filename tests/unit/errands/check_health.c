/* check_health.c - the round trip: what comes of it, for how long that holds, and what is late. */
#include <stdio.h>
#include <string.h>

#include "errands/health.h"
#include "suites.h"
#include "unit/upstream/turns.h"
#include "unit/upstream/world.h"

static struct health *health;
static unsigned told;
static char key[64], value[64], set[64];

static void on_known(void *context)
{
    (void)context;
    told++;
}

static void begin(void)
{
    world_begin();
    (void)shared_link();
    UNTIL(peer_asked(0, "HELLO 2\n"));
    health = health_new(w.loop, w.pool);
    told = 0;
}

static void end(void)
{
    health_free(health);
    world_end();
}

static enum upstream_state state(void)
{
    return health_look(health).state;
}

/* SET key value PX 5000, GET key, DEL key, ROLE: what has been asked, and forgotten again. */
static void asked(void)
{
    char expected[512];
    struct buffer *b = &w.peer[0].asked;

    UNTIL(buffer_len(b) > 5 && memcmp(buffer_head(b) + buffer_len(b) - 5, "ROLE\n", 5) == 0);
    ck_assert_int_eq(sscanf(buffer_head(b), "%63s %63s %63s", set, key, value), 3);
    (void)snprintf(expected, sizeof expected, "SET %s %s PX 5000\nGET %s\nDEL %s\nROLE\n", key,
                   value, key, key);
    ck_assert(peer_asked(0, expected));
    ck_assert_int_eq(strncmp(key, "larder:health:", 14), 0);
}

static const char role[] = "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n";

static void answer(const char *one, const char *two)
{
    char text[512];

    (void)snprintf(text, sizeof text, "%s$%zu\r\n%s\r\n:1\r\n%s", one, strlen(two), two, role);
    peer_say(0, text);
}

START_TEST(well)
{
    ck_assert_int_eq(state(), UPSTREAM_UNKNOWN);
    ck_assert(!health_ask(health, on_known, NULL));
    ck_assert(!health_ask(health, on_known, NULL));
    asked();
    answer("+OK\r\n", value);
    UNTIL(told == 1);
    ck_assert_int_eq(state(), UPSTREAM_WELL);
    ck_assert_str_eq(health_look(health).role, "master");
    ck_assert_str_eq(health_look(health).why, "");
    ck_assert(health_ask(health, on_known, NULL)); /* that holds for a moment .. */
    clock_move(HEALTH_HOLDS_MS);
    turn(w.loop);
    ck_assert(!health_ask(health, on_known, NULL)); /* .. and no longer */
    asked();
}
END_TEST

static const struct {
    const char *set, *get, *why;
} wrong[] = {
    {"-OOM command not allowed\r\n", "x", "SET: OOM command not allowed"},
    {"+OK\r\n", "x", "GET: not what was set"},
};

START_TEST(not_as_it_should)
{
    ck_assert(!health_ask(health, on_known, NULL));
    asked();
    answer(wrong[_i].set, wrong[_i].get);
    UNTIL(told == 1);
    ck_assert_int_eq(state(), UPSTREAM_REFUSES);
    ck_assert_str_eq(health_look(health).why, wrong[_i].why);
}
END_TEST

/* Its late replies are nobody's: what is asked next is answered by its own. */
START_TEST(late)
{
    ck_assert(!health_ask(health, on_known, NULL));
    asked();
    clock_move(HEALTH_DEADLINE_MS);
    UNTIL(told == 1);
    ck_assert_int_eq(state(), UPSTREAM_AWAY);
    ck_assert_str_eq(health_look(health).why, "no reply within 2000 ms");
    clock_move(HEALTH_HOLDS_MS);
    turn(w.loop);
    answer("+OK\r\n", "late");
    UNTIL(!lane_is_slow(w.lane)); /* the link that was slow takes newcomers again */
    ck_assert(!health_ask(health, on_known, NULL));
    asked();
    answer("+OK\r\n", value);
    UNTIL(told == 2);
    ck_assert_int_eq(state(), UPSTREAM_WELL);
}
END_TEST

START_TEST(lost)
{
    ck_assert(!health_ask(health, on_known, NULL));
    asked();
    peer_close(0);
    UNTIL(told == 1);
    ck_assert_int_eq(state(), UPSTREAM_AWAY);
}
END_TEST

/* It goes while it asks. */
START_TEST(gone)
{
    ck_assert(!health_ask(health, on_known, NULL));
    asked();
    health_free(health);
    health = NULL;
    answer("+OK\r\n", value);
    settle();
    ck_assert_uint_eq(told, 0);
}
END_TEST

START_TEST(the_breaker_is_open)
{
    w.settings.breaker_failures = 1;
    w.settings.breaker_open = 800000;
    peer_close(0);
    UNTIL(pool_is_out(w.pool));
    ck_assert(!health_ask(health, on_known, NULL));
    ck_assert_uint_eq(told, 0); /* never from within the call */
    UNTIL(told == 1);
    ck_assert_int_eq(state(), UPSTREAM_AWAY);
    ck_assert_str_eq(health_look(health).why, pool_trouble(w.pool));
    ck_assert_uint_eq(w.peers, 1);
}
END_TEST

Suite *health_suite(void)
{
    Suite *suite = suite_create("health");
    TCase *t = tcase_create("health");

    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, well);
    tcase_add_loop_test(t, not_as_it_should, 0, ARRAY_LEN(wrong));
    tcase_add_test(t, late);
    tcase_add_test(t, lost);
    tcase_add_test(t, gone);
    tcase_add_test(t, the_breaker_is_open);
    suite_add_tcase(suite, t);
    return suite;
}
