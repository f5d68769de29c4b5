/* check_loans.c - lending links: to whom, how many, for how long, and in what state they come back.
 */
#include <string.h>

#include "suites.h"
#include "turns.h"
#include "upstream/pool_inside.h"
#include "world.h"

#define MANY 8

static struct borrower b[MANY];
static struct ear a;

static void begin(void)
{
    world_begin();
    for (int i = 0; i < MANY; i++)
        borrower_init(&b[i]);
    ear_init(&a, false);
}

static void end(void)
{
    for (int i = 0; i < MANY; i++)
        loan_end(&b[i].loan, LOAN_CLOSE);
    ck_assert_uint_eq(w.pool->count.links_lent_pool, 0);
    ck_assert_uint_eq(w.pool->count.links_lent_long, 0);
    ck_assert_uint_eq(w.pool->count.loans_waiting, 0);
    world_end();
    for (int i = 0; i < MANY; i++)
        borrower_done(&b[i]);
    ear_done(&a);
}

static void noted(int i, const char *text)
{
    ck_assert_str_eq(borrower_noted(&b[i]), text);
}

static void wait_lent(int i)
{
    UNTIL(b[i].loan.link != NULL);
    noted(i, "lent;");
}

static void borrow(int i, enum loan_kind kind, int db)
{
    if (!loan_ask(&b[i].loan, w.lane, kind, db))
        wait_lent(i);
}

START_TEST(lent_and_given_back)
{
    struct link *l;

    ck_assert(!loan_ask(&b[0].loan, w.lane, LOAN_POOL, 0));
    noted(0, ""); /* never from within loan_ask() */
    ck_assert_uint_eq(w.pool->count.loans_waiting, 1);
    wait_lent(0);
    l = b[0].loan.link;
    ck_assert_int_eq(l->state, LINK_LENT);
    ck_assert_uint_eq(w.pool->count.links_lent_pool, 1);
    ck_assert_uint_eq(w.pool->count.loans_waiting, 0);
    loan_end(&b[0].loan, LOAN_CLEAN);
    ck_assert_ptr_null(b[0].loan.link);
    ck_assert_int_eq(l->state, LINK_IDLE);
    ck_assert(loan_ask(&b[1].loan, w.lane, LOAN_LONG, 0));
    ck_assert_ptr_eq(b[1].loan.link, l);
    ck_assert_uint_eq(w.pool->count.links_lent_long, 1);
    ck_assert_uint_eq(w.pool->count.loans, 2);
    ck_assert_uint_eq(w.peers, 1);
    ck_assert(peer_asked(0, "HELLO 2\n"));
    noted(1, "");
}
END_TEST

/* WATCH or MULTI may be in force: DISCARD ends both; its error means there was no MULTI. */
START_TEST(cleaned_before_it_is_lent_again)
{
    w.discard = _i == 0 ? "+OK\r\n" : NULL;
    w.unwatch = NULL;
    borrow(0, LOAN_POOL, 0);
    loan_end(&b[0].loan, LOAN_DISCARD);
    ck_assert_uint_eq(pool_count_links(w.pool, LINK_CLEANING), 1);
    ck_assert(!loan_ask(&b[1].loan, w.lane, LOAN_POOL, 0)); /* not yet */
    if (_i == 1) {
        UNTIL(peer_asked(0, "HELLO 2\nDISCARD\n"));
        peer_say(0, "-ERR DISCARD without MULTI\r\n");
        UNTIL(peer_asked(0, "UNWATCH\n"));
        ck_assert_ptr_null(b[1].loan.link);
        peer_say(0, "+OK\r\n");
    }
    wait_lent(1);
    ck_assert(_i == 1 || peer_asked(0, "HELLO 2\nDISCARD\n"));
    ck_assert_uint_eq(w.peers, 1);
}
END_TEST

START_TEST(closed_when_it_cannot_be_clean)
{
    borrow(0, LOAN_POOL, 0);
    switch (_i) {
    case 0: /* told so */
        loan_end(&b[0].loan, LOAN_CLOSE);
        break;
    case 1: /* a reply is due */
        ask(b[0].loan.link, &a, "A", 1);
        loan_end(&b[0].loan, LOAN_CLEAN);
        ck_assert_str_eq(ear_heard(&a), "!1 closed");
        break;
    case 2: /* UNWATCH is refused */
        w.discard = "-ERR\r\n";
        w.unwatch = "-ERR\r\n";
        loan_end(&b[0].loan, LOAN_DISCARD);
        break;
    default:
        break;
    }
    UNTIL(peer_gone(0));
    noted(0, ""); /* it has ended the loan: nothing is lost to it */
}
END_TEST

/* A client left in the middle of its transaction: DISCARD stands behind what is unanswered. */
START_TEST(cleaned_behind_what_is_unanswered)
{
    borrow(0, LOAN_POOL, 0);
    ask(b[0].loan.link, &a, "A", 2);
    loan_end(&b[0].loan, LOAN_DISCARD);
    w.discard = NULL;
    UNTIL(peer_asked(0, "HELLO 2\nA\nA\nDISCARD\n"));
    ck_assert(!loan_ask(&b[1].loan, w.lane, LOAN_POOL, 0));
    peer_say(0, "+1\r\n+2\r\n+OK\r\n");
    UNTIL(b[1].loan.link != NULL);
    ck_assert_str_eq(ear_heard(&a), "2(+1.+2.)");
    ck_assert_uint_eq(w.peers, 1);
}
END_TEST

/* Cleaning that has no answer. */
START_TEST(closed_when_cleaning_takes_too_long)
{
    w.discard = NULL;
    borrow(0, LOAN_POOL, 0);
    loan_end(&b[0].loan, LOAN_DISCARD);
    UNTIL(peer_asked(0, "HELLO 2\nDISCARD\n"));
    clock_move(10500);
    UNTIL(peer_gone(0));
    ck_assert_uint_eq(w.pool->count.links_timed_out, 1);
}
END_TEST

/* pool_size bounds links for transactions beside the shared one; who comes too late waits in line.
 */
START_TEST(pool_size_bounds_short_loans)
{
    w.settings.pool_size = 4; /* one of them is for sharing */
    for (int i = 0; i < 3; i++)
        borrow(i, LOAN_POOL, 0);
    ck_assert(!loan_ask(&b[3].loan, w.lane, LOAN_POOL, 0));
    ck_assert(!loan_ask(&b[4].loan, w.lane, LOAN_POOL, 0));
    settle();
    ck_assert_uint_eq(w.peers, 3);
    noted(3, "");
    noted(4, "");
    /* Others are not held up by them. */
    ck_assert_ptr_nonnull(shared_link());
    borrow(5, LOAN_LONG, 0);
    settle();
    ck_assert_uint_eq(w.pool->count.links_lent_pool, 3);
    ck_assert_uint_eq(w.pool->count.links_shared, 1);
    loan_end(&b[1].loan, LOAN_CLEAN);
    wait_lent(3);
    noted(4, "");
    ck_assert(b[4].loan.waiting);
    loan_end(&b[3].loan, LOAN_CLOSE);
    wait_lent(4);
    ck_assert_uint_eq(w.pool->count.links_lent_pool, 3);
}
END_TEST

/* One who wants a shared link opens one, however often it looks and however many wait for loans
 * that the bounds forbid. Once each look opened another, up to as many as were waiting. */
START_TEST(waiting_loans_do_not_multiply_shared_links)
{
    w.settings.max_lent = 1;
    borrow(0, LOAN_LONG, 0);
    for (int i = 1; i < MANY; i++)
        ck_assert(!loan_ask(&b[i].loan, w.lane, LOAN_LONG, 0));
    settle();
    ck_assert_uint_eq(w.pool->count.connects, 1);
    for (int i = 0; i < 20; i++)
        ck_assert_ptr_null(lane_link(w.lane, 0));
    ck_assert_uint_eq(w.pool->count.connects, 2);
}
END_TEST

/* Who asks while others wait does not go before them, though a link is idle. */
START_TEST(first_come_first_served)
{
    w.settings.pool_size = 2;
    borrow(0, LOAN_POOL, 0);
    ck_assert(!loan_ask(&b[1].loan, w.lane, LOAN_POOL, 0));
    ck_assert(!loan_ask(&b[2].loan, w.lane, LOAN_POOL, 0));
    loan_end(&b[0].loan, LOAN_CLEAN);
    UNTIL(b[1].loan.link != NULL);
    ck_assert(!loan_ask(&b[3].loan, w.lane, LOAN_POOL, 0));
    loan_end(&b[1].loan, LOAN_CLEAN);
    UNTIL(b[2].loan.link != NULL);
    ck_assert_ptr_null(b[3].loan.link);
    ck_assert_uint_eq(w.peers, 1);
}
END_TEST

/* .. not even when it would be content with the idle link that the first has no use for as it is.
 */
START_TEST(nobody_overtakes)
{
    borrow(0, LOAN_POOL, 0);
    borrow(1, LOAN_POOL, 0);
    loan_end(&b[0].loan, LOAN_CLEAN);
    loan_end(&b[1].loan, LOAN_CLEAN);
    ck_assert(!loan_ask(&b[2].loan, w.lane, LOAN_POOL, 3));
    ck_assert(!loan_ask(&b[3].loan, w.lane, LOAN_POOL, 0));
    wait_lent(2);
    if (b[3].loan.link == NULL)
        wait_lent(3);
}
END_TEST

START_TEST(max_lent_bounds_long_loans)
{
    w.settings.max_lent = 2;
    borrow(0, LOAN_LONG, 0);
    borrow(1, LOAN_LONG, 0);
    ck_assert(!loan_ask(&b[2].loan, w.lane, LOAN_LONG, 0));
    borrow(3, LOAN_POOL, 0);
    settle();
    noted(2, "");
    loan_end(&b[3].loan, LOAN_CLEAN); /* idle, but max_lent are lent */
    settle();
    noted(2, "");
    loan_end(&b[0].loan, LOAN_CLEAN);
    wait_lent(2);
    /* A short loan that becomes a long one counts there. */
    borrow(4, LOAN_POOL, 0);
    ck_assert_uint_eq(w.pool->count.links_lent_pool, 1);
    loan_keep(&b[4].loan);
    ck_assert_uint_eq(w.pool->count.links_lent_pool, 0);
    ck_assert_uint_eq(w.pool->count.links_lent_long, 3);
    ck_assert(b[4].loan.for_life);
}
END_TEST

START_TEST(max_links_bounds_all)
{
    w.settings.max_links = 2;
    borrow(0, LOAN_LONG, 0);
    borrow(1, LOAN_LONG, 0);
    ck_assert(!loan_ask(&b[2].loan, w.lane, LOAN_LONG, 0));
    settle();
    ck_assert_uint_eq(w.peers, 2);
    ck_assert_uint_eq(w.pool->count.links, 2);
    ck_assert_ptr_null(lane_link(w.lane, 0));
    settle();
    ck_assert_uint_eq(w.peers, 2);
}
END_TEST

START_TEST(who_waits_too_long_is_refused)
{
    w.settings.max_lent = 1;
    borrow(0, LOAN_LONG, 0);
    ck_assert(!loan_ask(&b[1].loan, w.lane, LOAN_LONG, 0));
    clock_move(3000);
    settle();
    ck_assert(!loan_ask(&b[2].loan, w.lane, LOAN_LONG, 0));
    clock_move(2500);
    UNTIL(!b[1].loan.waiting);
    noted(1, "refused ;");
    ck_assert(b[2].loan.waiting);
    ck_assert_uint_eq(w.pool->count.loans_refused, 1);
    ck_assert_uint_eq(w.pool->count.loans_waiting, 1);
    loan_end(&b[0].loan, LOAN_CLEAN);
    wait_lent(2);
}
END_TEST

START_TEST(who_stops_waiting_is_not_served)
{
    ck_assert(!loan_ask(&b[0].loan, w.lane, LOAN_POOL, 0));
    loan_end(&b[0].loan, LOAN_CLOSE);
    ck_assert_uint_eq(w.pool->count.loans_waiting, 0);
    borrow(1, LOAN_POOL, 0);
    noted(0, "");
}
END_TEST

/* An idle link in another database is moved, not a new one opened. */
START_TEST(lent_in_the_database_that_is_wanted)
{
    borrow(0, LOAN_POOL, 0);
    loan_end(&b[0].loan, LOAN_CLEAN);
    ck_assert(!loan_ask(&b[0].loan, w.lane, LOAN_POOL, 3));
    wait_lent(0);
    ck_assert(peer_asked(0, "HELLO 2\nSELECT 3\n"));
    ck_assert_int_eq(b[0].loan.link->db, 3);
    ck_assert_uint_eq(w.peers, 1);
    borrow(1, LOAN_POOL, 5); /* opened in it */
    ck_assert(peer_asked(1, "HELLO 2\nSELECT 5\n"));
    loan_end(&b[1].loan, LOAN_CLEAN);
    ck_assert(loan_ask(&b[1].loan, w.lane, LOAN_POOL, -1)); /* any will do */
    ck_assert_int_eq(b[1].loan.link->db, 5);
    ck_assert(peer_idle(1));
}
END_TEST

START_TEST(a_database_that_is_refused)
{
    borrow(0, LOAN_POOL, 0);
    loan_end(&b[0].loan, LOAN_CLEAN);
    w.select = "-ERR DB index is out of range\r\n";
    ck_assert(!loan_ask(&b[0].loan, w.lane, LOAN_POOL, 99));
    UNTIL(!b[0].loan.waiting);
    noted(0, "refused -ERR DB index is out of range.;");
    /* The link is where it was, and can be lent there. */
    ck_assert_uint_eq(pool_count_links(w.pool, LINK_IDLE), 1);
    ck_assert(loan_ask(&b[1].loan, w.lane, LOAN_POOL, 0));
    ck_assert(peer_asked(0, "HELLO 2\nSELECT 99\n"));
}
END_TEST

START_TEST(a_borrower_hears_of_the_loss)
{
    borrow(0, LOAN_POOL, 0);
    ask(b[0].loan.link, &a, "A", 2);
    settle();
    peer_say(0, "+1\r\n");
    UNTIL(a.left == 1);
    peer_close(0);
    UNTIL(b[0].loan.link == NULL);
    noted(0, "lost lost;");
    ck_assert_str_eq(ear_heard(&a), "1(+1.)!1 lost");
    ck_assert_uint_eq(w.pool->count.links_lent_pool, 0);
}
END_TEST

/* Its state is unknown then. */
START_TEST(a_lent_link_that_is_late_is_closed)
{
    borrow(0, LOAN_POOL, 0);
    b[0].loan.patient = _i == 1;
    ask(b[0].loan.link, &a, "A", 1);
    UNTIL(peer_asked(0, "HELLO 2\nA\n"));
    clock_move(10500);
    if (_i == 1) { /* it blocks: no deadline */
        for (int i = 0; i < 12; i++)
            settle();
        clock_move(100000);
        for (int i = 0; i < 12; i++)
            settle();
        ck_assert_uint_eq(a.left, 1);
        peer_say(0, "+1\r\n");
        UNTIL(a.left == 0);
        ck_assert_str_eq(ear_heard(&a), "1(+1.)");
        return;
    }
    UNTIL(b[0].loan.link == NULL);
    noted(0, "lost timeout;");
    ck_assert_str_eq(ear_heard(&a), "!1 timeout");
}
END_TEST

START_TEST(frames_go_to_the_borrower)
{
    struct link *l;

    borrow(0, LOAN_LONG, 0);
    l = b[0].loan.link;
    ask(l, &a, "A", 1);
    settle();
    peer_say(0, ">1\r\n:1\r\n+1\r\n");
    UNTIL(a.left == 0);
    noted(0, "frame >1.:1.;");
    l->listening = true;
    link_ask_more(l, SLICE("*1\r\n$1\r\nS\r\n"));
    UNTIL(peer_asked(0, "HELLO 2\nA\nS\n"));
    peer_say(0, "*1\r\n:2\r\n-ERR\r\n");
    UNTIL(buffer_len(&b[0].noted) >= 24);
    noted(0, "frame *1.:2.;frame -ERR.;");
    /* Given back it listens no more. */
    loan_end(&b[0].loan, LOAN_CLEAN);
    ck_assert(!l->listening);
    peer_say(0, "+2\r\n");
    UNTIL(peer_gone(0));
}
END_TEST

/* A session that keeps its link for life also gets what nobody asked for; another's link ends. */
START_TEST(unasked_frames_of_a_link_for_life)
{
    borrow(0, LOAN_POOL, 0);
    if (_i == 1)
        loan_keep(&b[0].loan);
    peer_say(0, "+monitored\r\n");
    UNTIL(buffer_len(&b[0].noted) > 0);
    noted(0, _i == 1 ? "frame +monitored.;" : "lost stray;");
}
END_TEST

/* Once every lent link, a silent subscriber's too, kept the pool's tick going, twenty times a
 * second.
 */
START_TEST(a_silent_lent_link_costs_no_ticks)
{
    borrow(0, LOAN_LONG, 0);
    b[0].loan.link->listening = true;
    UNTIL(!w.pool->ticking);
    link_ask_more(b[0].loan.link, SLICE("*1\r\n$1\r\nS\r\n"));
    ck_assert(w.pool->ticking); /* it may not be taken */
}
END_TEST

/* .. nor does that keep one who waits for a link from being refused in time. */
START_TEST(who_waits_for_a_silent_one_is_refused)
{
    w.settings.max_lent = 1;
    borrow(0, LOAN_LONG, 0);
    b[0].loan.link->listening = true;
    UNTIL(!w.pool->ticking);
    ck_assert(!loan_ask(&b[1].loan, w.lane, LOAN_LONG, 0));
    clock_move(5500);
    UNTIL(!b[1].loan.waiting);
    noted(1, "refused ;");
}
END_TEST

START_TEST(a_loan_passed_on)
{
    borrow(0, LOAN_LONG, 0);
    loan_pass(&b[0].loan, &b[1].loan);
    ck_assert_ptr_null(b[0].loan.link);
    ck_assert_uint_eq(w.pool->count.links_lent_long, 1);
    peer_close(0);
    UNTIL(b[1].loan.link == NULL);
    noted(1, "lost lost;");
    noted(0, "");
}
END_TEST

START_TEST(raw_bytes_pass_unread)
{
    borrow(0, LOAN_LONG, 0);
    b[0].loan.link->raw = true;
    peer_say(0, "$-7\r\nnot RESP");
    UNTIL(buffer_len(&b[0].noted) > 0);
    noted(0, "frame $-7.not RESP;");
}
END_TEST

/* Served from within lent(): ended at once, the next in line gets it, in the same turn. */
static void pass_on(struct borrower *x)
{
    loan_end(&x->loan, LOAN_CLEAN);
}

START_TEST(given_back_from_within_lent)
{
    w.settings.pool_size = 2;
    for (int i = 0; i < MANY; i++) {
        b[i].then = pass_on;
        ck_assert(!loan_ask(&b[i].loan, w.lane, LOAN_POOL, 0));
    }
    UNTIL(w.pool->count.loans == MANY);
    for (int i = 0; i < MANY; i++)
        noted(i, "lent;");
    ck_assert_uint_eq(w.peers, 1);
}
END_TEST

START_TEST(idle_links_do_not_stay_for_ever)
{
    borrow(0, LOAN_POOL, 0);
    borrow(1, LOAN_POOL, 0);
    loan_end(&b[0].loan, LOAN_CLEAN);
    clock_move(50000);
    settle();
    loan_end(&b[1].loan, LOAN_CLEAN);
    clock_move(15000);
    UNTIL(peer_gone(0));
    ck_assert(!peer_gone(1));
    clock_move(50000);
    UNTIL(peer_gone(1));
}
END_TEST

Suite *loans_suite(void)
{
    Suite *suite = suite_create("loans");
    TCase *t = tcase_create("loans");

    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, lent_and_given_back);
    tcase_add_loop_test(t, cleaned_before_it_is_lent_again, 0, 2);
    tcase_add_loop_test(t, closed_when_it_cannot_be_clean, 0, 3);
    tcase_add_test(t, cleaned_behind_what_is_unanswered);
    tcase_add_test(t, closed_when_cleaning_takes_too_long);
    tcase_add_test(t, pool_size_bounds_short_loans);
    tcase_add_test(t, waiting_loans_do_not_multiply_shared_links);
    tcase_add_test(t, first_come_first_served);
    tcase_add_test(t, nobody_overtakes);
    tcase_add_test(t, max_lent_bounds_long_loans);
    tcase_add_test(t, max_links_bounds_all);
    tcase_add_test(t, who_waits_too_long_is_refused);
    tcase_add_test(t, who_stops_waiting_is_not_served);
    tcase_add_test(t, lent_in_the_database_that_is_wanted);
    tcase_add_test(t, a_database_that_is_refused);
    tcase_add_test(t, a_borrower_hears_of_the_loss);
    tcase_add_loop_test(t, a_lent_link_that_is_late_is_closed, 0, 2);
    tcase_add_test(t, frames_go_to_the_borrower);
    tcase_add_loop_test(t, unasked_frames_of_a_link_for_life, 0, 2);
    tcase_add_test(t, a_silent_lent_link_costs_no_ticks);
    tcase_add_test(t, who_waits_for_a_silent_one_is_refused);
    tcase_add_test(t, a_loan_passed_on);
    tcase_add_test(t, raw_bytes_pass_unread);
    tcase_add_test(t, given_back_from_within_lent);
    tcase_add_test(t, idle_links_do_not_stay_for_ever);
    suite_add_tcase(suite, t);
    return suite;
}
