/* check_replies.c - a link hands on what comes: to whom it belongs, in order, whole or in pieces.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
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

START_TEST(requests_of_a_turn_leave_together)
{
    ask(l, &a, "A", 2);
    ask(l, &b, "B", 1);
    ck_assert(peer_idle(0));
    settle();
    ck_assert(peer_asked(0, "A\nA\nB\n"));
    peer_say(0, "+1\r\n+2\r\n:3\r\n");
    UNTIL(a.left + b.left == 0);
    heard(&a, "2(+1.+2.)");
    heard(&b, "1(:3.)");
    ck_assert_uint_eq(w.pool->count.replies, 3 + 1); /* HELLO's, too */
    ck_assert(pool_quiet(w.pool));
}
END_TEST

/* Requests wait for those of the next turns, when these come at once and others wait on the link:
 * for some turns, or until so much has been answered. */
START_TEST(requests_of_busy_turns_leave_together)
{
    unsigned answers = _i == 0 ? 4 : 16, held = 0;

    pool_busy(w.pool, answers);
    ask(l, &a, "A", 1);
    ck_assert(!pool_beat(w.pool)); /* nobody else waits */
    ck_assert_uint_eq(buffer_len(&l->out), 0);
    ask(l, &b, "B", 1);
    while (pool_beat(w.pool)) {
        ck_assert_uint_gt(buffer_len(&l->out), 0);
        ck_assert_uint_lt(held++, 10);
    }
    ck_assert_uint_eq(held, _i == 0 ? 6 : 4);
    ck_assert_uint_eq(buffer_len(&l->out), 0);
    ask(l, &a, "C", 1);
    ck_assert(pool_beat(w.pool));
    pool_busy(w.pool, 3); /* the turn had little to do */
    ck_assert(!pool_beat(w.pool));
    ck_assert_uint_eq(buffer_len(&l->out), 0);
    settle();
    ck_assert(peer_asked(0, "A\nB\nC\n"));
    peer_say(0, "+1\r\n+2\r\n+3\r\n");
    UNTIL(a.left + b.left == 0);
}
END_TEST

START_TEST(runs_end_where_the_asker_changes)
{
    ask(l, &a, "A", 2);
    ask(l, &b, "B", 3);
    ask(l, &a, "A", 1);
    settle();
    peer_say(0, "+1\r\n$1\r\nx\r\n*1\r\n:1\r\n$-1\r\n-ERR\r\n+6\r\n");
    UNTIL(a.left + b.left == 0);
    heard(&a, "2(+1.$1.x.)1(+6.)");
    heard(&b, "3(*1.:1.$-1.-ERR.)");
}
END_TEST

/* However the bytes are cut, each gets its own; only the runs differ. */
START_TEST(cut_anywhere)
{
    static const char text[] = "+1\r\n$3\r\na\r\n\r\n*2\r\n:1\r\n$-1\r\n:4\r\n";
    size_t n = strlen(text), cut = (size_t)_i;
    uint64_t in = w.pool->count.bytes_in;
    struct buffer all = {0};

    ask(l, &a, "A", 3);
    ask(l, &b, "B", 1);
    settle();
    peer_send(0, text, cut);
    UNTIL(w.pool->count.bytes_in == in + cut);
    peer_send(0, text + cut, n - cut);
    UNTIL(a.left + b.left == 0);
    heard(&b, "1(:4.)");
    /* Without the numbers and brackets of the runs. */
    for (const char *p = ear_heard(&a); *p != 0; p++) {
        if (p[1] == '(')
            p++;
        else if (*p != ')')
            buffer_add(&all, p, 1);
    }
    ck_assert(slice_eq(buffer_slice(&all), SLICE("+1.$3.a..*2.:1.$-1.")));
    buffer_done(&all);
    ck_assert_uint_eq(buffer_len(&l->in), 0);
}
END_TEST

START_TEST(a_fresh_request_is_told_by_itself)
{
    ask(l, &a, "A", 1);
    link_say(l, &a.asker, "SET", "k", "v", NULL);
    a.left++;
    ask(l, &a, "A", 1);
    settle();
    ck_assert(peer_asked(0, "A\nSET k v\nA\n"));
    peer_say(0, "+1\r\n+2\r\n+3\r\n");
    UNTIL(a.left == 0);
    ck_assert_int_eq(strncmp(ear_heard(&a), "1(+1.)", 6), 0);
}
END_TEST

/* A large bulk: "$n" and n bytes. */
static void say_large(size_t n)
{
    char *p = must_alloc(n + 32);
    size_t head = (size_t)snprintf(p, 32, "$%zu\r\n", n);

    memset(p + head, 'v', n);
    memcpy(p + head + n, "\r\n", 2);
    peer_send(0, p, head + n + 2);
    free(p);
}

START_TEST(what_fits_comes_whole)
{
    a.quiet = true;
    ask(l, &a, "A", 1);
    settle();
    peer_say(0, "+");
    UNTIL(buffer_len(&l->in) == 1);
    peer_say(0, "x\r\n");
    UNTIL(a.left == 0);
    ck_assert_uint_eq(a.pieces, 0);
    heard(&a, "1(+x.)");
}
END_TEST

START_TEST(large_ones_come_in_pieces)
{
    size_t n = 3u << 20;

    a.quiet = true;
    ask(l, &b, "B", 1);
    ask(l, &a, "A", 2);
    ask(l, &b, "B", 1);
    settle();
    peer_say(0, "+1\r\n");
    say_large(n);
    peer_say(0, "+3\r\n+4\r\n");
    UNTIL(a.left + b.left == 0);
    heard(&a, "$1(+3.)");
    heard(&b, "1(+1.)1(+4.)");
    ck_assert_uint_ge(a.pieces, 3);
    ck_assert_uint_eq(a.bytes, n + 2 + strlen("$3145728\r\n"));
    ck_assert(!l->streaming);
}
END_TEST

/* Meanwhile nobody new is sent here, and little is kept. */
START_TEST(a_streaming_link_takes_no_newcomers)
{
    a.quiet = true;
    ask(l, &a, "A", 1);
    settle();
    peer_say(0, "$1000000\r\n");
    for (int i = 0; i < 30; i++) {
        char bytes[10000];

        memset(bytes, 'v', sizeof bytes);
        peer_send(0, bytes, sizeof bytes);
        settle();
        ck_assert_uint_le(buffer_len(&l->in), LARGE_REPLY_BYTES);
    }
    ck_assert(l->streaming);
    ck_assert(!link_takes_newcomers(l));
    ck_assert_ptr_null(lane_link_in(w.lane, 0));
    ck_assert_uint_ge(a.bytes, 300000 - LARGE_REPLY_BYTES);
}
END_TEST

START_TEST(who_must_see_it_whole_does)
{
    size_t n = WHOLE_REPLY_BYTES - 100;

    ear_done(&a);
    ear_init(&a, true);
    ask(l, &a, "A", 2);
    settle();
    say_large(n);
    peer_say(0, "+2\r\n");
    UNTIL(a.left == 0);
    ck_assert_uint_ge(buffer_len(&a.heard), n);
    ck_assert_uint_eq(a.pieces, 0);
}
END_TEST

START_TEST(too_large_to_be_seen_whole)
{
    ear_done(&a);
    ear_init(&a, true);
    ask(l, &a, "A", 1);
    ask(l, &b, "B", 1);
    settle();
    say_large(WHOLE_REPLY_BYTES + READ_BYTES * 2);
    UNTIL(a.left + b.left == 0);
    heard(&a, "!1 garbled");
    heard(&b, "!1 garbled");
}
END_TEST

/* Who cannot send what it has makes the link rest, if nobody else waits there. */
START_TEST(a_slow_client_slows_upstream)
{
    size_t n = 32u << 20;

    a.quiet = a.full = true;
    ask(l, &a, "A", 1);
    settle();
    say_large(n);
    UNTIL(l->resting);
    for (int i = 0; i < 20; i++)
        settle();
    ck_assert_uint_lt(a.bytes, n / 2); /* the rest waits in the sockets and at the server */
    ck_assert(!peer_sent(0));
    ck_assert(l->resting);
    a.full = false;
    link_resume(l);
    UNTIL(a.left == 0);
    heard(&a, "$");
    ck_assert(!l->resting);
}
END_TEST

START_TEST(nobody_waits_for_a_slow_client)
{
    size_t n = 8u << 20;

    a.quiet = a.full = true;
    ask(l, &a, "A", 1);
    ask(l, &b, "B", 1);
    settle();
    say_large(n);
    peer_say(0, "+2\r\n");
    UNTIL(a.left + b.left == 0);
    heard(&b, "1(+2.)");
    ck_assert(!l->resting);
}
END_TEST

/* A request of another asker wakes a link that rests. */
START_TEST(a_newcomer_ends_the_rest)
{
    a.quiet = a.full = true;
    ask(l, &a, "A", 1);
    settle();
    say_large(8u << 20);
    UNTIL(l->resting);
    ask(l, &a, "A", 1);
    ck_assert(l->resting);
    ask(l, &b, "B", 1);
    ck_assert(!l->resting);
    peer_say(0, "+2\r\n+3\r\n");
    UNTIL(a.left + b.left == 0);
    heard(&b, "1(+3.)");
}
END_TEST

START_TEST(pushes_answer_nobody)
{
    ask(l, &a, "A", 2);
    settle();
    peer_say(0, ">2\r\n$1\r\np\r\n:1\r\n+1\r\n>1\r\n:2\r\n+2\r\n>1\r\n:3\r\n");
    UNTIL(a.left == 0 && w.pool->count.pushes_dropped == 3);
    heard(&a, "1(+1.)1(+2.)");
    ck_assert_int_eq(l->state, LINK_SHARED);
}
END_TEST

/* The asker's callback may end the link: what is left of the bytes is not looked at. */
static void fail_it(struct ear *e)
{
    e->then = NULL;
    link_fail(e->link, LINK_CLOSED);
}

START_TEST(a_callback_may_end_the_link)
{
    a.then = fail_it;
    a.link = l;
    a.quiet = true;
    ask(l, &a, "A", 1);
    ask(l, &b, "B", 1);
    settle();
    if (_i == 0)
        peer_say(0, "+1\r\n+2\r\n");
    else
        say_large(2u << 20);
    UNTIL(a.left + b.left == 0);
    heard(&a, _i == 0 ? "1(+1.)" : "!1 closed begun");
    heard(&b, "!1 closed");
    UNTIL(peer_gone(0));
}
END_TEST

Suite *replies_suite(void)
{
    Suite *suite = suite_create("replies");
    TCase *t = tcase_create("replies");

    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, requests_of_a_turn_leave_together);
    tcase_add_loop_test(t, requests_of_busy_turns_leave_together, 0, 2);
    tcase_add_test(t, runs_end_where_the_asker_changes);
    tcase_add_loop_test(t, cut_anywhere, 1, 31);
    tcase_add_test(t, a_fresh_request_is_told_by_itself);
    tcase_add_test(t, what_fits_comes_whole);
    tcase_add_test(t, large_ones_come_in_pieces);
    tcase_add_test(t, a_streaming_link_takes_no_newcomers);
    tcase_add_test(t, who_must_see_it_whole_does);
    tcase_add_test(t, too_large_to_be_seen_whole);
    tcase_add_test(t, a_slow_client_slows_upstream);
    tcase_add_test(t, nobody_waits_for_a_slow_client);
    tcase_add_test(t, a_newcomer_ends_the_rest);
    tcase_add_test(t, pushes_answer_nobody);
    tcase_add_loop_test(t, a_callback_may_end_the_link, 0, 2);
    suite_add_tcase(suite, t);
    return suite;
}
