/* check_ends.c - how links end, and who is told what; replies that are late. The clock is moved. */
#include <string.h>

#include "suites.h"
#include "turns.h"
#include "upstream/pool_inside.h"
#include "world.h"

static struct link *l;
static struct ear a, b;

static void begin(void)
{
    world_begin();
    ear_init(&a, false);
    ear_init(&b, false);
    l = shared_link();
    ck_assert(peer_asked(0, "HELLO 2\n"));
}

static void end(void)
{
    world_end();
    ear_done(&a);
    ear_done(&b);
}

static void heard(struct ear *e, const char *text)
{
    ck_assert_str_eq(ear_heard(e), text);
}

/* A reply that nobody waits for: from then on each could be another's. */
START_TEST(a_stray_reply_ends_the_link)
{
    if (_i == 1) {
        ask(l, &a, "A", 1);
        settle();
        peer_say(0, "+1\r\n+2\r\n");
    } else {
        peer_say(0, "+2\r\n");
    }
    UNTIL(peer_gone(0));
    heard(&a, _i == 1 ? "1(+1.)" : "");
    ck_assert_int_eq(l->state, LINK_STOCK);
    ck_assert_uint_eq(w.pool->count.links_garbled, 1);
    ck_assert_uint_eq(w.pool->count.links_closed, 1);
    ck_assert_uint_eq(w.pool->count.links_shared, 0);
}
END_TEST

static const char *const garbage[] = {
    "x\r\n", "$-2\r\n", ":1x\r\n", "+1\r\nHTTP/1.1 200 OK\r\n", "*1\r\n$1\r\nabc\r\n", "\r\n",
};

START_TEST(what_is_not_resp_ends_the_link)
{
    ask(l, &a, "A", 2);
    ask(l, &b, "B", 1);
    settle();
    peer_say(0, garbage[_i]);
    UNTIL(a.left + b.left == 0);
    heard(&a, _i == 3 ? "1(+1.)!1 garbled" : "!2 garbled");
    heard(&b, "!1 garbled");
    UNTIL(peer_gone(0));
    ck_assert_uint_eq(w.pool->count.links_garbled, 1);
}
END_TEST

START_TEST(a_lost_link_tells_everybody_in_order)
{
    ask(l, &a, "A", 3);
    ask(l, &b, "B", 1);
    ask(l, &a, "A", 1);
    settle();
    peer_say(0, "+1\r\n$10\r\nabc");
    UNTIL(a.left == 3);
    peer_close(0);
    UNTIL(a.left + b.left == 0);
    heard(&a, "1(+1.)!2 lost!1 lost");
    heard(&b, "!1 lost");
    ck_assert_uint_eq(w.pool->count.links_lost, 1);
    ck_assert_uint_eq(w.pool->count.links, 0);
    ck_assert(pool_quiet(w.pool));
    /* The next link carries nothing of it. */
    l = shared_link();
    ask(l, &a, "C", 1);
    UNTIL(peer_asked(1, "HELLO 2\nC\n"));
    peer_say(1, "+5\r\n");
    UNTIL(a.left == 0);
    heard(&a, "1(+5.)");
}
END_TEST

/* Of a reply that has begun only its asker is told so. */
START_TEST(lost_in_the_middle_of_a_large_reply)
{
    char bytes[10000];

    memset(bytes, 'v', sizeof bytes);
    a.quiet = true;
    ask(l, &a, "A", 2);
    ask(l, &b, "B", 1);
    settle();
    peer_say(0, "$1000000\r\n");
    for (int i = 0; i < 20; i++)
        peer_send(0, bytes, sizeof bytes);
    UNTIL(a.pieces > 0 && peer_sent(0));
    peer_close(0);
    UNTIL(a.left + b.left == 0);
    heard(&a, "!2 lost begun");
    heard(&b, "!1 lost");
}
END_TEST

/* A late asker is told; its slot stays and takes the late reply, so that nobody else gets it. */
START_TEST(a_late_reply_is_not_the_next_ones)
{
    ask(l, &a, "A", 2);
    settle();
    clock_move(5000);
    settle();
    ask(l, &b, "B", 1);
    settle();
    clock_move(5500);
    UNTIL(a.left == 0);
    heard(&a, "!2 timeout");
    ck_assert_uint_eq(w.pool->count.timeouts, 2);
    ck_assert_int_eq(l->state, LINK_SHARED);
    ck_assert_uint_eq(b.left, 1);
    ask(l, &a, "C", 1);
    settle();
    ck_assert(peer_asked(0, "A\nA\nB\nC\n"));
    peer_say(0, "+late\r\n+later\r\n+b\r\n+c\r\n");
    UNTIL(a.left + b.left == 0);
    heard(&a, "1(+c.)");
    heard(&b, "1(+b.)");
    ck_assert_uint_eq(l->expired, 0);
}
END_TEST

/* The first of a slot has come; the others are late. */
START_TEST(the_rest_of_a_slot_is_late)
{
    ask(l, &a, "A", 3);
    settle();
    peer_say(0, "+1\r\n");
    UNTIL(a.left == 2);
    clock_move(10500);
    UNTIL(a.left == 0);
    heard(&a, "1(+1.)!2 timeout");
    peer_say(0, "+2\r\n");
    settle();
    ask(l, &b, "B", 1);
    peer_say(0, "+3\r\n+b\r\n");
    UNTIL(b.left == 0);
    heard(&b, "1(+b.)");
    heard(&a, "");
}
END_TEST

START_TEST(a_deadline_is_told_once_each)
{
    ask(l, &a, "A", 1);
    settle();
    clock_move(6000);
    settle();
    ask(l, &b, "B", 1);
    settle();
    clock_move(4500);
    UNTIL(a.left == 0);
    ck_assert_uint_eq(l->expired, 1);
    ck_assert_uint_eq(b.left, 1);
    clock_move(6000);
    UNTIL(b.left == 0);
    ck_assert_uint_eq(l->expired, 2);
    heard(&a, "!1 timeout");
    heard(&b, "!1 timeout");
    peer_say(0, "+1\r\n+2\r\n");
    UNTIL(pool_quiet(w.pool));
    ck_assert_uint_eq(l->expired, 0);
    ck_assert_int_eq(l->state, LINK_SHARED);
}
END_TEST

/* Not a byte for three deadlines: given up. */
START_TEST(a_silent_link_is_given_up)
{
    ask(l, &a, "A", 1);
    settle();
    for (int i = 0; i < 4; i++) {
        clock_move(8000);
        settle();
        settle();
        settle();
        settle();
        settle();
        settle();
    }
    UNTIL(peer_gone(0));
    heard(&a, "!1 timeout");
    ck_assert_uint_eq(w.pool->count.links_timed_out, 1);
}
END_TEST

START_TEST(a_head_that_waits_sends_newcomers_elsewhere)
{
    ask(l, &a, "A", 1);
    ask(l, &b, "B", 1);
    settle();
    ck_assert_ptr_eq(lane_link_in(w.lane, 0), l);
    clock_move(100);
    UNTIL(lane_is_slow(w.lane));
    ck_assert_ptr_null(lane_link_in(w.lane, 0));
    UNTIL(lane_link(w.lane, 0) != l);
    peer_say(0, "+1\r\n");
    UNTIL(a.left == 0);
    ck_assert(lane_is_slow(w.lane)); /* now the other has waited as long */
    peer_say(0, "+2\r\n");
    UNTIL(b.left == 0);
    ck_assert(!lane_is_slow(w.lane)); /* at once, not with the next tick */
}
END_TEST

/* A streamed request's deadline begins at its end. */
START_TEST(a_long_request_is_not_late)
{
    ask(l, &a, "A", 1);
    clock_move(9000);
    turn(w.loop);
    settle();
    link_ask_done(l);
    clock_move(9000);
    for (int i = 0; i < 10; i++)
        settle();
    ck_assert_uint_eq(a.left, 1);
    clock_move(1500);
    UNTIL(a.left == 0);
    heard(&a, "!1 timeout");
}
END_TEST

START_TEST(freeing_the_pool_tells_everybody)
{
    ask(l, &a, "A", 2);
    ask(l, &b, "B", 1);
    if (_i == 1)
        settle();
    /* world_end() frees it; ear_done() sees that all have been told. */
}
END_TEST

/* What is asked and what is failed from within failed(). */
static void ask_again(struct ear *e)
{
    e->then = NULL;
    e->link = lane_link(w.lane, 0);
}

START_TEST(a_failed_asker_may_look_for_another_link)
{
    a.then = ask_again;
    a.link = l;
    ask(l, &a, "A", 1);
    ask(l, &b, "B", 1);
    settle();
    peer_close(0);
    UNTIL(a.left + b.left == 0);
    ck_assert_ptr_null(a.link); /* none now; one is being opened */
    UNTIL(peer_asked(1, "HELLO 2\n"));
    ask(shared_link(), &a, "A", 1);
    UNTIL(peer_asked(1, "A\n"));
    peer_say(1, "+1\r\n");
    UNTIL(a.left == 0);
    heard(&a, "!1 lost1(+1.)");
}
END_TEST

/* What has waited before it was asked is late sooner, wherever it stands; the others are not. */
START_TEST(asked_late)
{
    ask(l, &a, "A", 1);
    ask(l, &b, "B", 1);
    link_ask_since(l, loop_now_ms(w.loop) - w.settings.command_timeout + 100);
    ask(l, &a, "A", 1);
    UNTIL(peer_asked(0, "A\nB\nA\n"));
    clock_move(200);
    UNTIL(b.left == 0);
    heard(&b, "!1 timeout");
    peer_say(0, "+1\r\n+late\r\n+2\r\n");
    UNTIL(a.left == 0);
    heard(&a, "1(+1.)1(+2.)");
    heard(&b, "");
}
END_TEST

/* The requests that a broken shared link owes are known while their askers are told. */
static struct lost_requests seen;

static void look(struct ear *e)
{
    (void)e;
    seen = pool_lost(w.pool);
}

START_TEST(what_was_lost)
{
    a.then = look;
    ask(l, &b, "BB", 2);
    ask(l, &a, "A", 2);
    UNTIL(peer_asked(0, "BB\nBB\nA\nA\n"));
    peer_say(0, "+1\r\n");
    UNTIL(b.left == 1);
    peer_close(0);
    UNTIL(a.left == 0);
    ck_assert_uint_eq(seen.bytes.n, 2 * strlen("*1\r\n$1\r\nA\r\n"));
    ck_assert_uint_eq(pool_lost(w.pool).bytes.n, 0);
}
END_TEST

Suite *ends_suite(void)
{
    Suite *suite = suite_create("ends");
    TCase *t = tcase_create("ends");

    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_loop_test(t, a_stray_reply_ends_the_link, 0, 2);
    tcase_add_loop_test(t, what_is_not_resp_ends_the_link, 0, ARRAY_LEN(garbage));
    tcase_add_test(t, a_lost_link_tells_everybody_in_order);
    tcase_add_test(t, lost_in_the_middle_of_a_large_reply);
    tcase_add_test(t, a_late_reply_is_not_the_next_ones);
    tcase_add_test(t, the_rest_of_a_slot_is_late);
    tcase_add_test(t, a_deadline_is_told_once_each);
    tcase_add_test(t, a_silent_link_is_given_up);
    tcase_add_test(t, a_head_that_waits_sends_newcomers_elsewhere);
    tcase_add_test(t, a_long_request_is_not_late);
    tcase_add_loop_test(t, freeing_the_pool_tells_everybody, 0, 2);
    tcase_add_test(t, a_failed_asker_may_look_for_another_link);
    tcase_add_test(t, asked_late);
    tcase_add_test(t, what_was_lost);
    suite_add_tcase(suite, t);
    return suite;
}
