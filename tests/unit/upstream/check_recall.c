/* check_recall.c - what a pool remembers of its upstream for sessions that begin while it is away.
 */
#include <string.h>

#include "suites.h"
#include "turns.h"
#include "upstream/pool_inside.h"
#include "world.h"

#define MAP2 "*6\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:2\r\n$2\r\nid\r\n:31\r\n"
#define MAP3                                                                                       \
    "%4\r\n$2\r\nid\r\n:7\r\n$5\r\nproto\r\n:3\r\n$4\r\nname\r\n$2\r\nid\r\n$7\r\nmodules\r\n"     \
    "*1\r\n%1\r\n$4\r\nname\r\n$5\r\nproto\r\n"

static struct buffer out;

static void begin(void)
{
    world_begin();
}

static void end(void)
{
    buffer_done(&out);
    world_end();
}

static bool recalled(const struct lane *lane, const char *text)
{
    buffer_take(&out, buffer_len(&out));
    return lane_recall_hello(lane, 99, &out) && slice_eq(buffer_slice(&out), slice_str(text));
}

static struct lane *recall(const char *user, const char *password, int proto)
{
    return lane_recall(w.pool, slice_str(user), slice_str(password), proto);
}

static bool known(const char *user, const char *password)
{
    struct lane *lane = recall(user, password, 2);

    if (lane != NULL)
        lane_release(lane);
    return lane != NULL;
}

static void greet(const char *hello, struct lane *lane)
{
    w.hello = hello;
    ck_assert_ptr_null(lane_link(lane, 0));
    while (lane_link(lane, 0) == NULL)
        turn(w.loop);
}

START_TEST(a_greeting_in_either_protocol)
{
    struct lane *three = lane_hold_default(w.pool, 3);

    ck_assert(!lane_recall_hello(three, 99, &out));
    greet(MAP2, w.lane);
    ck_assert(recalled(w.lane,
                       "*6\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:2\r\n"
                       "$2\r\nid\r\n:99\r\n"));
    ck_assert(recalled(three,
                       "%3\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n"
                       "$2\r\nid\r\n:99\r\n"));
    greet(MAP3, three);
    ck_assert(recalled(three,
                       "%4\r\n$2\r\nid\r\n:99\r\n$5\r\nproto\r\n:3\r\n$4\r\nname\r\n"
                       "$2\r\nid\r\n$7\r\nmodules\r\n*1\r\n%1\r\n$4\r\nname\r\n"
                       "$5\r\nproto\r\n"));
    lane_release(three);
}
END_TEST

START_TEST(from_resp3_to_resp2)
{
    struct lane *three = lane_hold_default(w.pool, 3);

    greet(MAP3, three);
    ck_assert(recalled(w.lane,
                       "*8\r\n$2\r\nid\r\n:99\r\n$5\r\nproto\r\n:2\r\n$4\r\nname\r\n"
                       "$2\r\nid\r\n$7\r\nmodules\r\n*1\r\n*2\r\n$4\r\nname\r\n"
                       "$5\r\nproto\r\n"));
    lane_release(three);
}
END_TEST

/* Accepted once, and remembered while the upstream is away: not a moment longer than its links. */
START_TEST(logins_that_were_accepted)
{
    struct lane *lane = lane_hold(w.pool, SLICE("u"), SLICE("p"), 2), *found;

    ck_assert(!known("u", "p"));
    greet("*0\r\n", lane);
    ck_assert(lane->proven);
    lane_release(lane);
    w.hello = "!";
    peer_close(0);
    UNTIL(pool_is_away(w.pool));
    for (int i = 0; i < 5; i++) {
        clock_move(10000);
        turn(w.loop);
    }
    ck_assert(!known("u", "q"));
    ck_assert(!known("v", "p"));
    ck_assert(!known("u", ""));
    found = recall("u", "p", 3);
    ck_assert_ptr_nonnull(found);
    ck_assert_int_eq(lane_proto(found), 3);
    lane_release(found);
    w.hello = "*0\r\n";
    ck_assert_ptr_null(lane_link(w.lane, 0));
    UNTIL(!known("u", "p"));
}
END_TEST

/* .. but not when the upstream has thought better of it meanwhile. */
START_TEST(logins_that_were_rejected_since)
{
    struct lane *lane = lane_hold(w.pool, SLICE("u"), SLICE("p"), 2);

    greet("*0\r\n", lane);
    ck_assert(known("u", "p"));
    w.hello = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    peer_close(0);
    UNTIL(lane_link(lane, 0) == NULL && !known("u", "p"));
    w.hello = "!";
    ck_assert_ptr_null(lane_link(w.lane, 0));
    UNTIL(pool_is_away(w.pool));
    ck_assert(!known("u", "p"));
    w.hello = "*0\r\n";
    UNTIL(lane_link(lane, 0) != NULL);
    ck_assert(known("u", "p"));
    lane_release(lane);
}
END_TEST

START_TEST(databases)
{
    ck_assert(pool_knows_db(w.pool, 0));
    ck_assert(!pool_knows_db(w.pool, 1) && !pool_knows_db(w.pool, -1));
    pool_note_db(w.pool, 3);
    pool_note_db(w.pool, 1);
    ck_assert(pool_knows_db(w.pool, 3) && pool_knows_db(w.pool, 2));
    ck_assert(!pool_knows_db(w.pool, 4) && !pool_knows_db(w.pool, (int64_t)1 << 40));
}
END_TEST

Suite *recall_suite(void)
{
    Suite *suite = suite_create("recall");
    TCase *t = tcase_create("recall");

    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, a_greeting_in_either_protocol);
    tcase_add_test(t, from_resp3_to_resp2);
    tcase_add_test(t, logins_that_were_accepted);
    tcase_add_test(t, logins_that_were_rejected_since);
    tcase_add_test(t, databases);
    suite_add_tcase(suite, t);
    return suite;
}
