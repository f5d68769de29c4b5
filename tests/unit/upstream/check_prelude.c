/* check_prelude.c - links that are kept from the clients until what comes first has been said; and
 * when the upstream counts as away. The clock is moved. */
#include "suites.h"
#include "turns.h"
#include "upstream/pool_inside.h"
#include "world.h"

static struct ear e;
static struct {
    bool keeps;      /* whatever comes */
    unsigned called; /* times */
    struct link *last;
} first;

static bool on_ready(void *context, struct link *l)
{
    (void)context;
    first.called++;
    first.last = l;
    return first.keeps;
}

static const struct pool_prelude prelude = {on_ready, NULL};

static void begin(void)
{
    world_begin();
    ear_init(&e, false);
    first.keeps = true;
    first.called = 0;
    first.last = NULL;
    pool_precede(w.pool, &prelude);
}

static void end(void)
{
    world_end();
    ear_done(&e);
}

/* A link that has come up, and is nobody's. */
static struct link *kept_link(void)
{
    ck_assert_ptr_null(lane_link(w.lane, 0));
    UNTIL(first.called > 0);
    return first.last;
}

START_TEST(nobody_is_given_one)
{
    struct borrower b;
    struct link *l = kept_link();

    borrower_init(&b);
    ck_assert(!loan_ask(&b.loan, w.lane, LOAN_POOL, 0));
    settle();
    ck_assert_ptr_null(lane_link(w.lane, 0));
    ck_assert_ptr_null(lane_link_in(w.lane, 0));
    ck_assert_ptr_null(b.loan.link);
    ck_assert_int_eq(l->state, LINK_GREETING);
    /* .. but who keeps it may ask */
    ask(l, &e, "A", 1);
    UNTIL(peer_asked(0, "HELLO 2\nA\n"));
    peer_say(0, "+1\r\n");
    UNTIL(e.left == 0);
    pool_admit(w.pool); /* it is kept on */
    ck_assert_ptr_null(lane_link(w.lane, 0));
    first.keeps = false;
    pool_admit(w.pool);
    UNTIL(b.loan.link != NULL || lane_link(w.lane, 0) != NULL);
    ck_assert_int_gt(l->state, LINK_GREETING);
    loan_end(&b.loan, LOAN_CLEAN);
    borrower_done(&b);
}
END_TEST

START_TEST(in_any_database)
{
    ck_assert_ptr_null(lane_link(w.lane, 3));
    UNTIL(first.called > 0);
    UNTIL(peer_asked(0, "HELLO 2\nSELECT 3\n"));
    settle();
    ck_assert_ptr_null(lane_link(w.lane, 3));
    first.keeps = false;
    pool_admit(w.pool);
    ck_assert_ptr_nonnull(lane_link(w.lane, 3));
}
END_TEST

START_TEST(given_up)
{
    struct link *l = kept_link();

    pool_give_up(l, "not yet");
    ck_assert_int_eq(l->state, LINK_STOCK);
    ck_assert_str_eq(pool_trouble(w.pool), "not yet");
    ck_assert_uint_eq(w.pool->count.connect_failures, 1);
    ck_assert(pool_is_away(w.pool));
    first.keeps = false;
    (void)shared_link();
    ck_assert(!pool_is_away(w.pool));
}
END_TEST

/* Who does not get on with it does not keep the clients waiting for ever. */
START_TEST(no_longer_than_connecting_may_take)
{
    struct link *l = kept_link();

    clock_move(w.settings.connect_timeout);
    UNTIL(l->state == LINK_STOCK || l->number == 0);
    ck_assert_uint_ge(w.pool->count.connect_failures, 1);
}
END_TEST

static const char *cut(size_t peer, struct slice line)
{
    (void)peer;
    (void)line;
    return "!";
}

START_TEST(away)
{
    first.keeps = false;
    ck_assert(!pool_is_away(w.pool)); /* nobody has tried */
    w.script = cut;
    ck_assert_ptr_null(lane_link(w.lane, 0));
    UNTIL(w.pool->count.connect_failures > 0);
    ck_assert(pool_is_away(w.pool));
    w.script = NULL;
    (void)shared_link();
    ck_assert(!pool_is_away(w.pool));
    pool_hold(w.pool, "somewhere");
    ck_assert(!pool_is_away(w.pool)); /* a link is up */
    pool_drop(w.pool);
    ck_assert(pool_is_away(w.pool));
}
END_TEST

START_TEST(loading)
{
    struct link *l;

    first.keeps = false;
    l = shared_link();
    ask(l, &e, "A", 1);
    settle();
    peer_say(0, "-LOADING Redis is loading the dataset in memory\r\n");
    UNTIL(e.left == 0);
    ck_assert(pool_is_away(w.pool));
    clock_move(101);
    turn(w.loop);
    ck_assert(!pool_is_away(w.pool));
    ask(l, &e, "A", 1);
    settle();
    peer_say(0, "-ERR LOADING \r\n");
    UNTIL(e.left == 0);
    ck_assert(!pool_is_away(w.pool));
}
END_TEST

Suite *prelude_suite(void)
{
    Suite *s = suite_create("prelude");
    TCase *t = tcase_create("prelude");

    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, nobody_is_given_one);
    tcase_add_test(t, in_any_database);
    tcase_add_test(t, given_up);
    tcase_add_test(t, no_longer_than_connecting_may_take);
    tcase_add_test(t, away);
    tcase_add_test(t, loading);
    suite_add_tcase(s, t);
    return s;
}
