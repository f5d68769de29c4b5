/* check_lanes.c - the first words on a link, the database it is in, what the upstream refuses, and
 * which of a lane's links a session is given. */
#include <string.h>

#include "suites.h"
#include "turns.h"
#include "upstream/pool_inside.h"
#include "world.h"

struct waiter {
    struct lane_waiter waiter;
    unsigned woken;
};

static struct ear a;
static struct borrower lent;
static struct waiter waiter;

static void begin(void)
{
    world_begin();
    ear_init(&a, false);
    borrower_init(&lent);
}

static void end(void)
{
    loan_end(&lent.loan, LOAN_CLOSE);
    world_end();
    ear_done(&a);
    borrower_done(&lent);
}

static void on_wake(struct lane_waiter *x)
{
    struct waiter *y = CONTAINER_OF(x, struct waiter, waiter);

    y->woken++;
}

static void wait_in(struct lane *lane)
{
    waiter.waiter.wake = on_wake;
    lane_wait(lane, &waiter.waiter);
}

static bool refusal_is(const struct lane *lane, const char *text)
{
    return slice_eq(lane_refusal(lane, 0), slice_str(text));
}

START_TEST(the_greeting_teaches)
{
    struct buffer out = {0};
    struct slice refusal;
    struct link *l;

    ck_assert(!lane_hello(w.lane, 5, &out, &refusal));
    ck_assert_uint_eq(refusal.n, 0);
    l = shared_link();
    ck_assert(peer_asked(0, "HELLO 2\n"));
    ck_assert_uint_eq(l->id, 17);
    ck_assert_uint_eq(pool_server_version(w.pool), 70015);
    /* The client is shown its own number, of any length, in place of the link's. */
    ck_assert(lane_hello(w.lane, 1234567, &out, &refusal));
    ck_assert_uint_eq(refusal.n, 0);
    ck_assert(
        slice_eq(buffer_slice(&out),
                 SLICE("*6\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n"
                       "$2\r\nid\r\n:1234567\r\n")));
    buffer_done(&out);
}
END_TEST

START_TEST(logs_in_with_the_greeting)
{
    struct lane *lane = lane_hold(w.pool, SLICE("joe"), SLICE("secret"), 3);

    ck_assert_str_eq(lane_user(lane), "joe");
    ck_assert_str_eq(lane_user(w.lane), "default");
    ck_assert(lane_user_known(w.pool, SLICE("joe")));
    ck_assert(!lane_user_known(w.pool, SLICE("jim")));
    UNTIL(lane_link(lane, 0) != NULL);
    ck_assert(peer_asked(0, "HELLO 3 AUTH joe secret\n"));
    ck_assert_int_eq(lane_proto(lane), 3);
    lane_release(lane);
}
END_TEST

/* Redis before 6 does not know HELLO: AUTH is said by itself. */
START_TEST(logs_in_without_hello)
{
    struct lane *lane = lane_hold(w.pool, SLICE("joe"), SLICE("secret"), 2);

    w.hello = "-ERR unknown command `HELLO`\r\n";
    ck_assert_ptr_null(lane_link(lane, 0));
    UNTIL(peer_asked(0, "HELLO 2 AUTH joe secret\nAUTH joe secret\n"));
    if (_i == 0) {
        peer_say(0, "+OK\r\n");
        UNTIL(lane_link(lane, 0) != NULL);
    } else {
        wait_in(lane);
        peer_say(0, "-ERR invalid password\r\n");
        UNTIL(waiter.woken == 1);
        ck_assert(refusal_is(lane, "-ERR invalid password\r\n"));
    }
    lane_release(lane);
}
END_TEST

static const char *const refusals[] = {
    "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
    "-NOPROTO unsupported protocol version\r\n",
};

static const char *const refusals_noted[] = {
    "refused -WRONGPASS invalid username-password pair or user is disabled..;",
    "refused -NOPROTO unsupported protocol version.;",
};

/* What upstream says is handed on at once: to who waits for a loan, and to who looks. */
START_TEST(a_refusal_is_handed_on)
{
    struct lane *lane = lane_hold(w.pool, SLICE(""), SLICE(""), 3);

    w.hello = refusals[_i];
    ck_assert_uint_eq(lane_refusal(lane, 0).n, 0);
    ck_assert(!loan_ask(&lent.loan, lane, LOAN_POOL, 0));
    UNTIL(!lent.loan.waiting);
    ck_assert_str_eq(borrower_noted(&lent), refusals_noted[_i]);
    ck_assert(refusal_is(lane, refusals[_i]));
    UNTIL(peer_gone(0));
    /* And it is forgotten when one has come up. */
    w.hello = "%1\r\n$2\r\nid\r\n:1\r\n";
    UNTIL(lane_link(lane, 0) != NULL);
    ck_assert_uint_eq(lane_refusal(lane, 0).n, 0);
    ck_assert_str_eq(pool_trouble(w.pool), "");
    lane_release(lane);
}
END_TEST

/* Without a password of larder's own the client's AUTH may come: RESP2 is served. */
START_TEST(who_must_log_in_is_let_through)
{
    struct buffer out = {0};
    struct slice refusal;

    w.hello = "-NOAUTH HELLO must be called with the client already authenticated\r\n";
    (void)shared_link();
    ck_assert(lane_wants_login(w.lane));
    ck_assert(lane_hello(w.lane, 5, &out, &refusal));
    ck_assert_uint_eq(buffer_len(&out), 0);
    ck_assert(slice_eq(refusal, slice_str(w.hello)));
}
END_TEST

START_TEST(a_server_that_is_away)
{
    int port = w.settings.address.port;

    w.settings.address.port = 1; /* nobody there */
    if (_i == 1) {
        w.settings.address.host = "none.invalid";
    }
    ck_assert_ptr_null(lane_link(w.lane, 0));
    wait_in(w.lane);
    UNTIL(waiter.woken == 1);
    ck_assert_uint_ge(w.pool->count.connect_failures, 1);
    ck_assert_str_ne(pool_trouble(w.pool), "");
    ck_assert_uint_eq(w.pool->count.links_closed, 0);
    w.settings.address.host = "127.0.0.1";
    w.settings.address.port = (uint16_t)port;
    UNTIL(pool_count_links(w.pool, LINK_IDLE) > 0); /* by itself: the lane is held */
    ck_assert_str_eq(pool_trouble(w.pool), "");
    ck_assert_uint_eq(w.pool->count.links_opened, 1);
}
END_TEST

START_TEST(a_greeting_without_answer)
{
    w.hello = NULL;
    ck_assert_ptr_null(lane_link(w.lane, 0));
    UNTIL(peer_asked(0, "HELLO 2\n"));
    clock_move(2500);
    UNTIL(peer_gone(0));
    ck_assert_str_eq(pool_trouble(w.pool), "no answer within connect_timeout");
}
END_TEST

/* With no room for another shared link one that nobody waits on changes its database, and its
 * number, so that whoever used it looks for another. */
START_TEST(a_link_at_rest_changes_its_database)
{
    struct link *l;
    uint64_t number;

    w.settings.pool_size = 2;
    l = shared_link();
    number = l->number;
    ck_assert_ptr_null(lane_link(w.lane, 3));
    ck_assert_ptr_null(lane_link(w.lane, 0));
    UNTIL(lane_link(w.lane, 3) != NULL);
    ck_assert_ptr_eq(lane_link(w.lane, 3), l);
    ck_assert(peer_asked(0, "HELLO 2\nSELECT 3\n"));
    ck_assert_uint_ne(l->number, number);
    ck_assert_int_eq(l->db, 3);
    ck_assert_uint_eq(w.peers, 1);
}
END_TEST

/* While a reply is due, or a request unsent, its database stays what it is. */
START_TEST(a_link_in_use_keeps_its_database)
{
    struct link *l;

    w.settings.pool_size = 2;
    l = shared_link();
    ask(l, &a, "A", 1);
    ck_assert_ptr_null(lane_link(w.lane, 3));
    UNTIL(peer_asked(0, "HELLO 2\nA\n"));
    ck_assert_ptr_null(lane_link(w.lane, 3));
    settle();
    ck_assert(peer_idle(0));
    ck_assert_int_eq(l->db, 0);
    wait_in(w.lane);
    peer_say(0, "+1\r\n");
    UNTIL(lane_link(w.lane, 3) == l);
    ck_assert_uint_eq(w.peers, 1);
}
END_TEST

START_TEST(a_refused_select_leaves_the_link_where_it_was)
{
    struct link *l;

    w.settings.pool_size = 2;
    w.select = "-ERR DB index is out of range\r\n";
    l = shared_link();
    ck_assert_ptr_null(lane_link(w.lane, 3));
    wait_in(w.lane);
    UNTIL(waiter.woken >= 1);
    ck_assert(slice_eq(lane_refusal(w.lane, 3), slice_str(w.select)));
    ck_assert_uint_eq(lane_refusal(w.lane, 0).n, 0); /* nobody else's business */
    ck_assert_int_eq(l->db, 0);
    ck_assert_ptr_null(lane_link_in(w.lane, 3));
    ck_assert_ptr_eq(lane_link(w.lane, 0), l);
    ck_assert(!peer_gone(0));
}
END_TEST

/* Who may not SELECT stays with the link that is in the right database, slow as it may be. */
START_TEST(a_slow_link_is_better_than_none)
{
    struct link *l;

    UNTIL((l = lane_link(w.lane, 3)) != NULL);
    ask(l, &a, "A", 1);
    clock_move(100);
    UNTIL(lane_is_slow(w.lane));
    w.select = _i == 0 ? "-NOPERM no permissions to run 'select'\r\n" : "-BUSY script\r\n";
    ck_assert_ptr_null(lane_link(w.lane, 3));
    wait_in(w.lane);
    UNTIL(lane_refusal(w.lane, 3).n > 0);
    ck_assert_ptr_eq(lane_link(w.lane, 3), _i == 0 ? l : NULL);
}
END_TEST

START_TEST(sessions_in_other_databases_get_links_of_their_own)
{
    struct link *l = shared_link(), *other;

    UNTIL((other = lane_link(w.lane, 3)) != NULL && other != l);
    ck_assert(peer_asked(1, "HELLO 2\nSELECT 3\n"));
    ck_assert_int_eq(other->db, 3);
    ck_assert_ptr_eq(lane_link(w.lane, 0), l);
    ck_assert_ptr_eq(lane_link(w.lane, 3), other);
    ck_assert_ptr_eq(lane_link_in(w.lane, 3), other);
}
END_TEST

/* One shared link carries a lane as long as it can. */
START_TEST(one_link_as_long_as_it_can)
{
    struct link *l = shared_link();

    ask(l, &a, "A", 1000);
    for (int i = 0; i < 100; i++)
        ck_assert_ptr_eq(lane_link(w.lane, 0), l);
    settle();
    ck_assert_uint_eq(w.peers, 1);
    ck_assert_uint_eq(pool_count_links(w.pool, LINK_SHARED), 1);
}
END_TEST

/* Beside the one that everybody else shares, if the pool has room for two. */
START_TEST(one_aside_for_who_asks_for_much)
{
    struct link *l, *aside;
    uint64_t number;
    bool coming;

    ck_assert_ptr_null(lane_link_aside(w.lane, 0, &coming));
    ck_assert(!coming);
    l = shared_link();
    w.settings.pool_size = 2;
    ck_assert_ptr_null(lane_link_aside(w.lane, 0, &coming));
    ck_assert(!coming);
    w.settings.pool_size = 10;
    ck_assert_ptr_null(lane_link_aside(w.lane, 0, &coming));
    ck_assert(coming);
    UNTIL((aside = lane_link_aside(w.lane, 0, &coming)) != NULL);
    ck_assert_ptr_ne(aside, l);
    ck_assert_ptr_eq(lane_link(w.lane, 0), l);
    ck_assert_ptr_eq(lane_link_in(w.lane, 0), l);
    ck_assert_ptr_null(lane_link_aside(w.lane, 1, &coming));
    number = aside->number;
    clock_move(10000);
    UNTIL(aside->state == LINK_IDLE);
    ck_assert(!aside->aside && aside->number != number);
}
END_TEST

/* Each goes when nobody needs it, whatever becomes of the other. */
START_TEST(two_aside)
{
    struct link *aside[2], *used, *rests;
    bool coming;

    shared_link();
    for (int db = 0; db < 2; db++) {
        UNTIL((aside[db] = lane_link_aside(w.lane, db, &coming)) != NULL);
        ck_assert_uint_eq(w.peers, 2 + (size_t)db);
    }
    used = aside[_i];
    rests = aside[1 - _i];
    clock_move(3000);
    ask(used, &a, "A", 1);
    peer_say(1 + (size_t)_i, "+A\r\n");
    UNTIL(a.left == 0);
    clock_move(3000);
    UNTIL(rests->state == LINK_IDLE);
    ck_assert(used->aside && used->state == LINK_SHARED);
    clock_move(3000);
    UNTIL(used->state == LINK_IDLE);
}
END_TEST

/* A lane that nobody is in closes its links and goes; the other protocol is another lane. */
START_TEST(lanes_are_freed)
{
    struct lane *lane = lane_hold_sibling(w.lane, 3);

    ck_assert_ptr_ne(lane, w.lane);
    ck_assert_ptr_eq(lane_hold_sibling(lane, 2), w.lane);
    lane_release(w.lane);
    ck_assert_ptr_eq(lane_hold(w.pool, SLICE(""), SLICE(""), 3), lane);
    lane_release(lane);
    UNTIL(lane_link(lane, 0) != NULL);
    ck_assert(w.lane->node.next == &lane->node);
    lane_release(lane);
    clock_move(61000);
    UNTIL(peer_gone(0));
    UNTIL(w.lane->node.next == w.lane->node.prev); /* the last of the pool's */
    ck_assert(!lane_user_known(w.pool, SLICE("nobody")));
}
END_TEST

/* Each lane may have a shared link: idle ones of others make room. */
START_TEST(lanes_make_room_for_each_other)
{
    struct lane *lane = lane_hold_sibling(w.lane, 3);

    w.settings.max_links = 2;
    UNTIL(lane_link(w.lane, 0) != NULL);
    if (!loan_ask(&lent.loan, w.lane, LOAN_POOL, 0))
        UNTIL(lent.loan.link != NULL);
    ck_assert_ptr_null(lane_link(lane, 0));
    settle();
    ck_assert_uint_le(w.pool->count.links, 2); /* both are in use */
    ck_assert(!peer_gone(0) && !peer_gone(1));
    loan_end(&lent.loan, LOAN_CLEAN);
    UNTIL(lane_link(lane, 0) != NULL);
    ck_assert_uint_le(w.pool->count.links, 2);
    ck_assert(peer_gone(1));
    lane_release(lane);
}
END_TEST

START_TEST(waiters_are_woken_once)
{
    ck_assert_ptr_null(lane_link(w.lane, 0));
    wait_in(w.lane);
    UNTIL(waiter.woken == 1);
    (void)shared_link();
    lane_wake(w.lane);
    ck_assert_uint_eq(waiter.woken, 1);
}
END_TEST

Suite *lanes_suite(void)
{
    Suite *suite = suite_create("lanes");
    TCase *t = tcase_create("lanes");

    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, the_greeting_teaches);
    tcase_add_test(t, logs_in_with_the_greeting);
    tcase_add_loop_test(t, logs_in_without_hello, 0, 2);
    tcase_add_loop_test(t, a_refusal_is_handed_on, 0, ARRAY_LEN(refusals));
    tcase_add_test(t, who_must_log_in_is_let_through);
    tcase_add_loop_test(t, a_server_that_is_away, 0, 2);
    tcase_add_test(t, a_greeting_without_answer);
    tcase_add_test(t, a_link_at_rest_changes_its_database);
    tcase_add_test(t, a_link_in_use_keeps_its_database);
    tcase_add_test(t, a_refused_select_leaves_the_link_where_it_was);
    tcase_add_loop_test(t, a_slow_link_is_better_than_none, 0, 2);
    tcase_add_test(t, sessions_in_other_databases_get_links_of_their_own);
    tcase_add_test(t, one_link_as_long_as_it_can);
    tcase_add_test(t, one_aside_for_who_asks_for_much);
    tcase_add_loop_test(t, two_aside, 0, 2);
    tcase_add_test(t, lanes_are_freed);
    tcase_add_test(t, lanes_make_room_for_each_other);
    tcase_add_test(t, waiters_are_woken_once);
    suite_add_tcase(suite, t);
    return suite;
}
