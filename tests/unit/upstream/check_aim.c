/* check_aim.c - a pool that is guided: nothing is dialled before it is aimed, nor while it is held;
 * aimed elsewhere, every link to where it was ends, and nobody finds one of them any more. */
#include "net/address.h"
#include "suites.h"
#include "turns.h"
#include "upstream/pool_inside.h"
#include "world.h"

static struct {
    unsigned told[DOUBT_SILENT + 1];
    bool hold;
} doubts;

static void on_doubt(void *context, enum pool_doubt why)
{
    (void)context;
    doubts.told[why]++;
    if (doubts.hold)
        pool_hold(w.pool, "looks for it");
}

static const struct pool_guide guide = {on_doubt, NULL};

static void begin(void)
{
    world_begin();
    doubts.hold = true;
    pool_follow(w.pool, "m", &guide);
}

/* At the scripted server, whatever it is called; or where nobody listens. */
static bool aim(const char *name, bool elsewhere)
{
    struct address to = {.host = name, .port = w.settings.address.port};
    struct address at = w.settings.address;
    struct sock_address found;

    if (elsewhere)
        at.port = 1;
    ck_assert(address_numeric(&at, &found));
    return pool_aim(w.pool, &to, &found);
}

START_TEST(nothing_is_dialled_before_it_is_aimed)
{
    ck_assert_str_eq(pool_address(w.pool), "master m");
    ck_assert_ptr_null(lane_link(w.lane, 0));
    pool_warm(w.pool);
    settle();
    ck_assert_uint_eq(w.peers, 0);
    ck_assert(aim("h", false));
    ck_assert_ptr_nonnull(shared_link());
    ck_assert_uint_eq(w.peers, 1);
    ck_assert(!pool_held(w.pool));
}
END_TEST

START_TEST(aimed_at_the_same_place)
{
    struct link *l;
    struct ear e;

    ck_assert(aim("h", false));
    l = shared_link();
    ear_init(&e, false);
    ask(l, &e, "A", 1);
    ck_assert(!aim("another", false)); /* by another name */
    ck_assert_ptr_eq(lane_link(w.lane, 0), l);
    UNTIL(peer_asked(0, "HELLO 2\nA\n"));
    peer_say(0, "+a\r\n");
    UNTIL(e.left == 0);
    ck_assert_str_eq(ear_heard(&e), "1(+a.)");
    ck_assert_ptr_nonnull(strstr(pool_address(w.pool), "another:"));
    ear_done(&e);
}
END_TEST

/* A link lost, and the guide holds: nothing is dialled until it knows better. */
START_TEST(held)
{
    ck_assert(aim("h", false));
    (void)shared_link();
    peer_close(0);
    UNTIL(doubts.told[DOUBT_LOST] > 0);
    ck_assert_ptr_null(lane_link(w.lane, 0));
    pool_warm(w.pool);
    settle();
    ck_assert_uint_eq(w.peers, 1);
    ck_assert_str_eq(pool_trouble(w.pool), "looks for it");
    ck_assert(!aim("h", false));
    ck_assert_str_eq(pool_trouble(w.pool), "");
    (void)shared_link();
    ck_assert_uint_eq(w.peers, 2);
}
END_TEST

START_TEST(elsewhere_every_link_ends)
{
    struct borrower lent;
    struct link *l;
    struct ear e;

    ck_assert(aim("h", false));
    l = shared_link();
    borrower_init(&lent);
    ear_init(&e, false);
    if (!loan_ask(&lent.loan, w.lane, LOAN_LONG, 0))
        UNTIL(lent.loan.link != NULL);
    (void)borrower_noted(&lent);
    ask(l, &e, "A", 2);
    UNTIL(peer_asked(0, "HELLO 2\nA\nA\n"));
    ck_assert(aim("h2", true));
    ck_assert_str_eq(ear_heard(&e), "!2 lost");
    ck_assert_str_eq(borrower_noted(&lent), "lost lost;");
    UNTIL(peer_gone(0) && peer_gone(1));
    ck_assert_uint_eq(doubts.told[DOUBT_LOST], 0); /* it was its own doing */
    ear_done(&e);
    borrower_done(&lent);
}
END_TEST

/* Who is told of a lost reply asks again at once: not over a link that is about to end, too. */
static unsigned asked_again;

static void ask_again(struct ear *e)
{
    struct link *l = lane_link(w.lane, 0);

    e->then = NULL;
    asked_again++;
    ck_assert_ptr_null(l);
}

START_TEST(no_way_back_to_the_old_links)
{
    struct link *one, *two;
    struct ear e[2];

    ck_assert(aim("h", false));
    one = shared_link();
    ear_init(&e[0], false);
    ear_init(&e[1], false);
    one->stalled = true; /* newcomers get another */
    UNTIL((two = lane_link(w.lane, 0)) != NULL && two != one);
    ask(one, &e[0], "A", 1);
    ask(two, &e[1], "B", 1);
    e[0].then = e[1].then = ask_again;
    UNTIL(peer_asked(0, "HELLO 2\nA\n") && peer_asked(1, "HELLO 2\nB\n"));
    ck_assert(aim("h2", true));
    ck_assert_uint_eq(asked_again, 2);
    ear_done(&e[0]);
    ear_done(&e[1]);
}
END_TEST

START_TEST(a_replica_is_let_go)
{
    w.hello =
        "*4\r\n$2\r\nid\r\n:17\r\n"
        "$4\r\nrole\r\n$7\r\nreplica\r\n";
    ck_assert(aim("h", false));
    ck_assert_ptr_null(lane_link(w.lane, 0));
    UNTIL(doubts.told[DOUBT_REPLICA] > 0);
    UNTIL(peer_gone(0));
    settle();
    ck_assert_uint_eq(w.peers, 1);
    w.hello =
        "*4\r\n$2\r\nid\r\n:18\r\n"
        "$4\r\nrole\r\n$6\r\nmaster\r\n";
    ck_assert(!aim("h", false));
    (void)shared_link();
}
END_TEST

START_TEST(readonly_is_a_doubt)
{
    struct link *l;
    struct ear e;

    doubts.hold = false;
    ck_assert(aim("h", false));
    l = shared_link();
    ear_init(&e, false);
    ask(l, &e, "A", 2);
    UNTIL(peer_asked(0, "HELLO 2\nA\nA\n"));
    peer_say(0, "-ERR READONLY no\r\n");
    UNTIL(e.left == 1);
    ck_assert_uint_eq(doubts.told[DOUBT_READONLY], 0);
    peer_say(0, "-READONLY You can't write against a read only replica.\r\n");
    UNTIL(e.left == 0);
    ck_assert_uint_eq(doubts.told[DOUBT_READONLY], 1);
    ck_assert(strstr(ear_heard(&e), "1(-READONLY You can't") != NULL);
    ear_done(&e);
}
END_TEST

Suite *aim_suite(void)
{
    Suite *suite = suite_create("aim");
    TCase *tcase = tcase_create("aim");

    tcase_add_checked_fixture(tcase, begin, world_end);
    tcase_add_test(tcase, nothing_is_dialled_before_it_is_aimed);
    tcase_add_test(tcase, aimed_at_the_same_place);
    tcase_add_test(tcase, held);
    tcase_add_test(tcase, elsewhere_every_link_ends);
    tcase_add_test(tcase, no_way_back_to_the_old_links);
    tcase_add_test(tcase, a_replica_is_let_go);
    tcase_add_test(tcase, readonly_is_a_doubt);
    suite_add_tcase(suite, tcase);
    return suite;
}
