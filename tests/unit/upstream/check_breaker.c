/* check_breaker.c - failures in a row open the breaker; then nothing but a probe is said, and its
 * PING closes it. */
#include "net/address.h"
#include "suites.h"
#include "turns.h"
#include "upstream/pool_inside.h"
#include "world.h"

static struct ear e;

static void begin(void)
{
    world_begin();
    w.settings.breaker_failures = 3;
    w.settings.breaker_open = 80;
    ear_init(&e, false);
}

static void end(void)
{
    world_end();
    ear_done(&e);
}

static bool is(enum breaker_state state)
{
    return w.pool->breaker.state == state;
}

/* Opened by commands that are past their deadline, on a link that stays. The next probe is far. */
static struct link *open_it(void)
{
    struct link *l = shared_link();

    w.settings.breaker_open = 800000;
    ask(l, &e, "A", 3);
    UNTIL(peer_asked(0, "HELLO 2\nA\nA\nA\n"));
    clock_move(w.settings.command_timeout);
    UNTIL(e.left == 0);
    ck_assert(is(BREAKER_OPEN) && pool_is_out(w.pool));
    ck_assert_str_eq(ear_heard(&e), "!3 timeout");
    return l;
}

START_TEST(late_commands_open_it)
{
    struct link *l = open_it();
    struct borrower b, own;

    ck_assert_uint_eq(l->state, LINK_SHARED);
    ck_assert_ptr_null(lane_link(w.lane, 0));
    ck_assert_ptr_null(lane_link_in(w.lane, 0));
    borrower_init(&b);
    borrower_init(&own);
    own.loan.own = true;
    ck_assert(!loan_ask(&b.loan, w.lane, LOAN_POOL, 0));
    ck_assert(!loan_ask(&own.loan, w.lane, LOAN_LONG, 0));
    UNTIL(!b.loan.waiting);
    ck_assert_str_eq(borrower_noted(&b), "refused ;");
    ck_assert(own.loan.waiting);
    settle();
    ck_assert_uint_eq(w.peers, 1);
    ck_assert(peer_idle(0));
    loan_end(&own.loan, LOAN_CLEAN);
    borrower_done(&b);
    borrower_done(&own);
}
END_TEST

/* The server was stopped: what it says now, nobody waits for, but it is a sign of life. */
START_TEST(a_late_reply_brings_the_probe)
{
    (void)open_it();
    peer_say(0, "+late\r\n");
    UNTIL(w.peers == 2);
    ck_assert(is(BREAKER_HALF_OPEN));
    UNTIL(peer_asked(1, "HELLO 2\nPING\n"));
    ck_assert_ptr_null(lane_link(w.lane, 0));
    peer_say(1, "+PONG\r\n");
    UNTIL(is(BREAKER_CLOSED));
    ck_assert_ptr_nonnull(lane_link(w.lane, 0));
    ck_assert_uint_eq(w.pool->count.breaker_opened, 1);
    ck_assert_uint_eq(w.pool->count.breaker_probes, 1);
}
END_TEST

static const struct {
    const char *reply;
    bool good;
} pings[] = {
    {"-LOADING Redis is loading\r\n", false},
    {"-NOAUTH Authentication required.\r\n", true},
    {"-BUSY Redis is busy\r\n", true},
};

START_TEST(what_ping_is_answered)
{
    (void)open_it();
    w.settings.breaker_open = 80;
    peer_say(0, "+late\r\n");
    UNTIL(w.peers == 2 && peer_asked(1, "HELLO 2\nPING\n"));
    peer_say(1, pings[_i].reply);
    UNTIL(!is(BREAKER_HALF_OPEN));
    ck_assert_int_eq(is(BREAKER_CLOSED), pings[_i].good);
    if (pings[_i].good)
        return;
    ck_assert_str_eq(pool_trouble(w.pool), "LOADING");
    UNTIL(w.peers == 3 && peer_asked(2, "HELLO 2\nPING\n")); /* and again, by itself */
    peer_say(2, "+PONG\r\n");
    UNTIL(is(BREAKER_CLOSED));
    ck_assert_str_eq(pool_trouble(w.pool), "");
}
END_TEST

START_TEST(a_probe_without_a_reply)
{
    (void)open_it();
    peer_say(0, "+late\r\n");
    UNTIL(w.peers == 2 && peer_asked(1, "HELLO 2\nPING\n"));
    clock_move(w.settings.connect_timeout);
    UNTIL(is(BREAKER_OPEN));
    UNTIL(peer_gone(1));
    ck_assert_ptr_null(lane_link(w.lane, 0));
}
END_TEST

/* Who accepts, and says no more: the greeting. */
START_TEST(connections_that_do_not_come_up)
{
    w.hello = "!";
    while (!is(BREAKER_OPEN)) {
        ck_assert_ptr_null(lane_link(w.lane, 0));
        turn(w.loop);
    }
    ck_assert_uint_eq(w.pool->count.connect_failures, 3);
    UNTIL(w.pool->count.breaker_probes == 2);
    UNTIL(is(BREAKER_OPEN));
    ck_assert_uint_eq(w.pool->count.breaker_opened, 1);
}
END_TEST

START_TEST(what_breaks_together_is_one_failure)
{
    struct borrower b[4];

    for (size_t i = 0; i < 4; i++) {
        borrower_init(&b[i]);
        if (!loan_ask(&b[i].loan, w.lane, LOAN_LONG, 0))
            UNTIL(b[i].loan.link != NULL);
    }
    clock_move(5);
    turn(w.loop);
    for (size_t i = 0; i < 4; i++)
        peer_close(i);
    for (size_t i = 0; i < 4; i++)
        UNTIL(b[i].loan.link == NULL);
    ck_assert(is(BREAKER_CLOSED));
    ck_assert_uint_eq(w.pool->breaker.failures, 1);
    for (size_t i = 0; i < 4; i++)
        borrower_done(&b[i]);
}
END_TEST

/* A reply ends the row, and so does time. */
START_TEST(not_in_a_row)
{
    struct link *l = shared_link();

    for (int i = 0; i < 3; i++) {
        ask(l, &e, "A", 2);
        clock_move(w.settings.command_timeout);
        UNTIL(e.left == 0);
        ck_assert_uint_eq(w.pool->breaker.failures, 2);
        if (_i == 0)
            peer_say(0, "+1\r\n+2\r\n");
        else
            clock_move(61000);
        UNTIL(_i == 1 || w.pool->breaker.failures == 0);
        l = shared_link();
    }
    ck_assert(is(BREAKER_CLOSED));
}
END_TEST

START_TEST(another_place_is_not_away)
{
    struct address at = w.settings.address;
    struct sock_address found;
    static const struct pool_guide guide = {NULL, NULL};

    (void)open_it();
    w.pool->guide = &guide;
    at.port = 1;
    ck_assert(address_numeric(&at, &found));
    ck_assert(pool_aim(w.pool, &at, &found));
    ck_assert(is(BREAKER_CLOSED));
    w.pool->guide = NULL;
}
END_TEST

START_TEST(off)
{
    struct link *l = shared_link();

    w.settings.breaker_failures = 0;
    ask(l, &e, "A", 100);
    clock_move(w.settings.command_timeout);
    UNTIL(e.left == 0);
    ck_assert(is(BREAKER_CLOSED));
    (void)shared_link();
}
END_TEST

Suite *breaker_suite(void)
{
    Suite *suite = suite_create("breaker");
    TCase *tcase = tcase_create("breaker");

    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, late_commands_open_it);
    tcase_add_test(tcase, a_late_reply_brings_the_probe);
    tcase_add_loop_test(tcase, what_ping_is_answered, 0, ARRAY_LEN(pings));
    tcase_add_test(tcase, a_probe_without_a_reply);
    tcase_add_test(tcase, connections_that_do_not_come_up);
    tcase_add_test(tcase, what_breaks_together_is_one_failure);
    tcase_add_loop_test(tcase, not_in_a_row, 0, 2);
    tcase_add_test(tcase, another_place_is_not_away);
    tcase_add_test(tcase, off);
    suite_add_tcase(suite, tcase);
    return suite;
}
