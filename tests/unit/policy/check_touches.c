/* check_touches.c - when the upstream is told of a renewal, and when it is remembered, case by
 * case. */
#include "suites.h"
#include "touching.h"

START_TEST(nothing)
{
    struct touches *t = touches_new(10);

    none_due(t, NEVER);
    holds(t, 0, NEVER);
    ck_assert_uint_eq(touches_promised(t, KEY), 0);
    touches_forget(t, KEY);
    touches_forget_all(t);
    touches_told(t, KEY, W, NOW, NOW);
    touches_told(t, KEY, W, 0, NOW);
    holds(t, 0, NEVER);
    touches_free(t);
    touches_free(NULL);
}
END_TEST

/* The drawing at the head of touches.h. */
START_TEST(of_the_drawing)
{
    struct touches *t = touches_new(10);
    uint64_t u = NOW + W;

    ck_assert_int_eq(hit(t, u, NOW + 1000), TOUCH_REMEMBERED);
    holds(t, 1, NOW + Q);
    ck_assert_uint_eq(touches_promised(t, KEY), u + 1000);
    ck_assert_int_eq(hit(t, u, NOW + 2000), TOUCH_REMEMBERED);
    ck_assert_int_eq(hit(t, u, NOW + Q - 1), TOUCH_REMEMBERED);
    holds(t, 1, NOW + Q);
    ck_assert_uint_eq(touches_promised(t, KEY), u + Q - 1);
    none_due(t, NOW + Q - 1);
    is_due(t, NOW + Q, KEY, W - 1);
    holds(t, 0, NOW + 2 * Q);
    ck_assert_uint_eq(touches_promised(t, KEY), u + Q - 1);
    none_due(t, NOW + Q);
    touches_told(t, KEY, W, u + Q - 1, NOW + Q + 5);
    ck_assert_uint_eq(touches_promised(t, KEY), 0);
    holds(t, 0, NOW + 2 * Q + 5);
    none_due(t, NOW + 2 * Q + 5);
    holds(t, 0, NEVER);
    u += Q - 1;
    ck_assert_int_eq(hit(t, u, NOW + 2 * Q + 6), TOUCH_TELL);
    touches_free(t);
}
END_TEST

START_TEST(bounds_of_the_quarter)
{
    struct touches *t = touches_new(10);

    ck_assert_int_eq(hit(t, NOW + W, NOW + Q), TOUCH_REMEMBERED);
    is_due(t, NOW + Q, KEY, W);
    touches_forget_all(t);
    ck_assert_int_eq(hit(t, NOW + W, NOW + Q + 1), TOUCH_TELL);
    holds(t, 0, NOW + 2 * Q + 1);
    touches_forget_all(t);
    ck_assert_int_eq(hit(t, NOW + W, NOW + 1), TOUCH_REMEMBERED);
    holds(t, 1, NOW + Q);
    touches_free(t);
}
END_TEST

START_TEST(nothing_to_renew)
{
    struct touches *t = touches_new(10);

    ck_assert_int_eq(hit(t, NEVER, NOW), TOUCH_REMEMBERED);
    ck_assert_int_eq(hit(t, NOW + W, NOW), TOUCH_REMEMBERED);
    ck_assert_int_eq(hit(t, NOW + 20 * W, NOW), TOUCH_REMEMBERED);
    holds(t, 0, NEVER);
    ck_assert_uint_eq(touches_promised(t, KEY), 0);

    /* What was pending is in the deadline that somebody else has set. */
    ck_assert_int_eq(hit(t, NOW + W, NOW + 10), TOUCH_REMEMBERED);
    ck_assert_int_eq(hit(t, NOW + 20 + W, NOW + 20), TOUCH_REMEMBERED);
    ck_assert_uint_eq(touches_promised(t, KEY), 0);
    holds(t, 0, NOW + Q);
    none_due(t, NOW + Q);
    holds(t, 0, NEVER);
    touches_free(t);
}
END_TEST

START_TEST(unknown_deadline)
{
    struct touches *t = touches_new(10);

    ck_assert_int_eq(hit(t, 0, NOW), TOUCH_TELL);
    touches_told(t, KEY, W, NOW + W, NOW + 3);
    ck_assert_int_eq(hit_fresh(t, 0, NOW + 4), TOUCH_REMEMBERED);
    holds(t, 1, NOW + 3 + Q);
    ck_assert_int_eq(hit_fresh(t, 0, NOW + 5), TOUCH_REMEMBERED);
    is_due(t, NOW + 3 + Q, KEY, W + 2 - Q);
    touches_told(t, KEY, W, NOW + 5 + W, NOW + 4 + Q);
    ck_assert_int_eq(hit_fresh(t, 0, NOW + 3 + 2 * Q), TOUCH_REMEMBERED);
    touches_forget_all(t);

    /* Pending, but who comes does not know why. */
    ck_assert_int_eq(hit(t, NOW + W, NOW + 1), TOUCH_REMEMBERED);
    ck_assert_int_eq(hit(t, 0, NOW + 2), TOUCH_TELL);
    holds(t, 0, NOW + 2 + Q);
    touches_free(t);
}
END_TEST

/* Looks from before the telling do not count for a quarter, nor do later ones that agree. */
START_TEST(told)
{
    struct touches *t = touches_new(10);

    ck_assert_int_eq(hit(t, NOW + Q, NOW), TOUCH_TELL);
    ck_assert_uint_eq(touches_promised(t, KEY), NOW + W);
    touches_told(t, KEY, W, NOW + W, NOW + 10);
    touches_told(t, KEY, W, NOW + Q, NOW + 11); /* nothing was asked */
    holds(t, 0, NOW + 10 + Q);
    ck_assert_int_eq(hit(t, NOW + Q, NOW + 11), TOUCH_REMEMBERED);
    holds(t, 1, NOW + 10 + Q);
    ck_assert_int_eq(hit_fresh(t, NOW + W, NOW + 11), TOUCH_REMEMBERED);
    ck_assert_int_eq(hit_fresh(t, NOW + W - 999, NOW + 10 + Q / 2), TOUCH_REMEMBERED);
    holds(t, 1, NOW + 10 + Q);
    touches_forget(t, KEY);

    /* Told of an old hit: the deadline has less than 3/4 window left, and is new all the same. */
    ck_assert_int_eq(hit(t, NOW + W, NOW + 1), TOUCH_REMEMBERED);
    is_due(t, NOW + Q, KEY, W - Q + 1);
    touches_told(t, KEY, W, NOW + W + 1, NOW + Q);
    ck_assert_int_eq(hit_fresh(t, NOW + W + 1, NOW + Q + 100), TOUCH_REMEMBERED);
    holds(t, 1, NOW + 2 * Q);
    touches_forget(t, KEY);

    /* Or a little more: due all the same when the quarter is over, not before. */
    ck_assert_int_eq(hit(t, NOW + W, NOW + Q - 100), TOUCH_REMEMBERED);
    is_due(t, NOW + Q, KEY, W - 100);
    touches_told(t, KEY, W, NOW + W + Q - 100, NOW + Q);
    ck_assert_int_eq(hit_fresh(t, NOW + W + Q - 100, NOW + Q + 1), TOUCH_REMEMBERED);
    holds(t, 1, NOW + 2 * Q);
    touches_free(t);
}
END_TEST

/* Hits while the answer is awaited do not tell again. */
START_TEST(answer_awaited)
{
    struct touches *t = touches_new(10);

    ck_assert_int_eq(hit(t, 0, NOW), TOUCH_TELL);
    ck_assert_int_eq(hit(t, 0, NOW + 1), TOUCH_REMEMBERED);
    ck_assert_int_eq(hit_fresh(t, NOW + Q, NOW + 2), TOUCH_REMEMBERED);
    ck_assert_uint_eq(touches_promised(t, KEY), NOW + W + 2);
    holds(t, 1, NOW + Q);
    touches_told(t, KEY, W, NOW + W, NOW + 3);
    holds(t, 1, NOW + Q); /* not a quarter after the answer, for the sake of the hits */
    is_due(t, NOW + Q, KEY, W + 2 - Q);
    ck_assert_int_eq(hit_fresh(t, NOW + W, NOW + Q + 1), TOUCH_REMEMBERED);
    holds(t, 1, NOW + 2 * Q);

    /* What was answered before says nothing of what a look finds now. */
    touches_told(t, KEY, W, NOW + W + 2, NOW + Q + 2);
    is_due(t, NOW + 2 * Q, KEY, W + 1 - Q);
    ck_assert_int_eq(hit_fresh(t, NOW + W - Q, NOW + 2 * Q + 1), TOUCH_REMEMBERED);

    /* It never comes: a quarter later as if nothing had been. */
    touches_forget_all(t);
    ck_assert_int_eq(hit(t, 0, NOW), TOUCH_TELL);
    ck_assert_int_eq(hit(t, 0, NOW + Q), TOUCH_TELL);
    /* It fails. */
    touches_forget(t, KEY);
    ck_assert_uint_eq(touches_promised(t, KEY), 0);
    ck_assert_int_eq(hit(t, 0, NOW + Q + 1), TOUCH_TELL);
    touches_free(t);
}
END_TEST

/* Somebody else has shortened it since: the key would not live to see the quarter's end. */
START_TEST(changed_since_told)
{
    struct touches *t = touches_new(10);

    ck_assert_int_eq(hit(t, 0, NOW), TOUCH_TELL);
    touches_told(t, KEY, W, NOW + W, NOW + 3);
    ck_assert_int_eq(hit(t, NOW + 500, NOW + 4), TOUCH_REMEMBERED); /* not since */
    ck_assert_int_eq(touches_hit(t, KEY, W, NOW + 500, NOW + 2, NOW + 4), TOUCH_REMEMBERED);
    ck_assert_int_eq(touches_hit(t, KEY, W, NOW + 500, NOW + 3, NOW + 4), TOUCH_TELL);
    holds(t, 0, NOW + 4 + Q);
    touches_told(t, KEY, W, NOW + 4 + W, NOW + 5);
    /* Later than was told: another's renewal. The quarter is counted from there. */
    ck_assert_int_eq(hit_fresh(t, NOW + 9 + W, NOW + 20), TOUCH_REMEMBERED);
    holds(t, 1, NOW + 9 + Q);
    touches_forget(t, KEY);

    /* Not told: a look that finds it shortened, and more than 3/4 left, makes it due earlier. */
    ck_assert_int_eq(hit(t, NOW + W, NOW + 1), TOUCH_REMEMBERED);
    ck_assert_int_eq(hit_fresh(t, NOW + W - Q / 2, NOW + 2), TOUCH_REMEMBERED);
    holds(t, 1, NOW + Q / 2);
    ck_assert_int_eq(hit_fresh(t, NOW + W, NOW + 3), TOUCH_REMEMBERED);
    holds(t, 1, NOW + Q / 2);
    is_due(t, NOW + Q / 2, KEY, W + 3 - Q / 2);
    touches_free(t);
}
END_TEST

START_TEST(capped)
{
    struct touches *t = touches_new(10);
    uint64_t cap = NOW + W - Q / 5;

    ck_assert_int_eq(hit(t, 0, NOW), TOUCH_TELL);
    ck_assert_int_eq(hit(t, 0, NOW + 1), TOUCH_REMEMBERED);
    touches_told(t, KEY, W, cap, NOW + 10);
    holds(t, 0, NOW + 10 + Q); /* the pending one could do no more */
    ck_assert_uint_eq(touches_promised(t, KEY), 0);
    ck_assert_int_eq(hit(t, 0, NOW + 11), TOUCH_CAPPED);
    ck_assert_int_eq(hit(t, NOW + 500, NOW + 12), TOUCH_CAPPED);
    ck_assert_int_eq(hit(t, NOW + 12 + W, NOW + 12), TOUCH_CAPPED); /* since cut */
    ck_assert_int_eq(hit_fresh(t, cap, NOW + 13), TOUCH_CAPPED);    /* more than 3/4 left */
    ck_assert_int_eq(hit_fresh(t, cap, NOW + 9 + Q), TOUCH_CAPPED);
    ck_assert_int_eq(hit_fresh(t, cap - 999, NOW + 9 + Q), TOUCH_CAPPED);
    ck_assert_int_eq(hit_fresh(t, cap + 999, NOW + 9 + Q), TOUCH_CAPPED);
    holds(t, 0, NOW + 10 + Q);
    ck_assert_int_eq(hit_fresh(t, cap, NOW + 10 + Q), TOUCH_TELL);
    touches_told(t, KEY, W, cap, NOW + 20 + Q);
    ck_assert_int_eq(hit_fresh(t, 0, NOW + 20 + Q), TOUCH_CAPPED);

    /* Another life of the key, later or earlier. */
    ck_assert_int_eq(hit_fresh(t, cap + 1001, NOW + 21 + Q + Q / 2), TOUCH_TELL);
    touches_told(t, KEY, W, cap, NOW + 22 + Q + Q / 2);
    ck_assert_int_eq(hit_fresh(t, cap - 1001, NOW + 23 + Q + Q / 2), TOUCH_TELL);
    touches_free(t);
}
END_TEST

/* Found when its cap is over: it is another key of that name. */
START_TEST(past_the_cap)
{
    struct touches *t = touches_new(10);

    ck_assert_int_eq(hit(t, 0, NOW), TOUCH_TELL);
    touches_told(t, KEY, W, NOW + 5000, NOW + 10);
    ck_assert_int_eq(hit(t, 0, NOW + 6000), TOUCH_CAPPED); /* PTTL and the network */
    ck_assert_int_eq(hit(t, 0, NOW + 6001), TOUCH_TELL);
    touches_free(t);
}
END_TEST

START_TEST(cap_of_about_the_promise)
{
    struct touches *t = touches_new(10);

    ck_assert_int_eq(hit(t, 0, NOW), TOUCH_TELL);
    touches_told(t, KEY, W, NOW + W - 1000, NOW + 10);
    ck_assert_int_eq(hit(t, 0, NOW + 11), TOUCH_REMEMBERED);
    touches_forget(t, KEY);
    ck_assert_int_eq(hit(t, 0, NOW), TOUCH_TELL);
    touches_told(t, KEY, W, NOW + W - 1001, NOW + 10);
    ck_assert_int_eq(hit(t, 0, NOW + 11), TOUCH_CAPPED);
    touches_forget(t, KEY);

    /* A short window has no second to spare: a sixteenth of it. */
    ck_assert_int_eq(touches_hit(t, KEY, 1600, 0, 0, NOW), TOUCH_TELL);
    touches_told(t, KEY, 1600, NOW + 1500, NOW + 1);
    ck_assert_int_eq(touches_hit(t, KEY, 1600, 0, 0, NOW + 2), TOUCH_REMEMBERED);
    touches_forget(t, KEY);
    ck_assert_int_eq(touches_hit(t, KEY, 1600, 0, 0, NOW), TOUCH_TELL);
    touches_told(t, KEY, 1600, NOW + 1499, NOW + 1);
    ck_assert_int_eq(touches_hit(t, KEY, 1600, 0, 0, NOW + 2), TOUCH_CAPPED);

    /* What was due asks for less than a window: no cap. */
    touches_forget(t, KEY);
    ck_assert_int_eq(hit(t, NOW + W, NOW + 1), TOUCH_REMEMBERED);
    is_due(t, NOW + Q, KEY, W + 1 - Q);
    touches_told(t, KEY, W, NOW + W + 1, NOW + Q);
    ck_assert_int_eq(hit(t, 0, NOW + Q + 1), TOUCH_REMEMBERED);
    touches_free(t);
}
END_TEST

START_TEST(forgotten)
{
    struct touches *t = touches_new(10);

    ck_assert_int_eq(hit(t, NOW + W, NOW + 1), TOUCH_REMEMBERED);
    touches_forget(t, key("sess:1", 8));
    touches_forget(t, key("sess:", 7));
    holds(t, 1, NOW + Q);
    touches_forget(t, KEY);
    holds(t, 0, NEVER);

    /* The key is gone. */
    ck_assert_int_eq(hit(t, 0, NOW), TOUCH_TELL);
    ck_assert_int_eq(hit(t, 0, NOW + 1), TOUCH_REMEMBERED);
    touches_told(t, KEY, W, 0, NOW + 2);
    holds(t, 0, NEVER);
    ck_assert_int_eq(hit(t, 0, NOW + 3), TOUCH_TELL);

    /* An answer that was under way when the key was written says nothing of the new one. */
    touches_forget(t, KEY);
    touches_told(t, KEY, W, NOW + W, NOW + 4);
    holds(t, 0, NEVER);
    ck_assert_int_eq(hit(t, NOW + W, NOW + 5), TOUCH_REMEMBERED);
    touches_told(t, KEY, W, NOW + 100, NOW + 6);
    holds(t, 1, NOW + Q);
    ck_assert_int_eq(hit(t, NOW + W, NOW + 7), TOUCH_REMEMBERED);
    ck_assert_int_eq(hit(t, NOW + Q, NOW + 8), TOUCH_TELL);
    touches_free(t);
}
END_TEST

/* A reload, or a client with seconds of its own. */
START_TEST(other_windows)
{
    struct touches *t = touches_new(10);

    ck_assert_int_eq(hit(t, NOW + W, NOW + 1), TOUCH_REMEMBERED);
    ck_assert_int_eq(touches_hit(t, KEY, W / 10, NOW + W, 0, NOW + 2), TOUCH_REMEMBERED);
    holds(t, 1, NOW + Q); /* nothing to renew by this window; the other's promise stays */
    ck_assert_uint_eq(touches_promised(t, KEY), NOW + W + 1);
    ck_assert_int_eq(touches_hit(t, KEY, 2 * W, NOW + W, 0, NOW + 3), TOUCH_TELL);
    ck_assert_uint_eq(touches_promised(t, KEY), NOW + 2 * W + 3);
    touches_forget(t, KEY);

    ck_assert_int_eq(hit(t, NOW + W, NOW + 100), TOUCH_REMEMBERED);
    ck_assert_int_eq(touches_hit(t, KEY, W - 50, NOW + W, 0, NOW + 101), TOUCH_REMEMBERED);
    holds(t, 1, NOW + Q);
    ck_assert_uint_eq(touches_promised(t, KEY), NOW + W + 100);
    touches_forget(t, KEY);

    /* What is told for ten seconds is not what was promised for more. */
    ck_assert_int_eq(hit(t, NOW + W, NOW + 1), TOUCH_REMEMBERED);
    ck_assert_int_eq(touches_hit(t, KEY, 10000, 0, 0, NOW + 2), TOUCH_TELL);
    holds(t, 1, NOW + Q);
    ck_assert_uint_eq(touches_promised(t, KEY), NOW + W + 1);
    touches_told(t, KEY, W, NOW + W, NOW + 3);
    is_due(t, NOW + Q, KEY, W - Q + 1);
    touches_forget(t, KEY);

    /* Told for ten seconds: that is no reason to wait for a quarter of a thousand. */
    ck_assert_int_eq(touches_hit(t, KEY, 10000, 0, 0, NOW), TOUCH_TELL);
    ck_assert_int_eq(hit(t, 0, NOW + 1), TOUCH_REMEMBERED);
    holds(t, 1, NOW + 2500);
    touches_told(t, KEY, W, NOW + 10000, NOW + 2);
    is_due(t, NOW + 2500, KEY, W - 2499);
    touches_told(t, KEY, W, NOW + 1 + W, NOW + 2500);
    ck_assert_int_eq(touches_hit(t, KEY, 10000, 0, 0, NOW + 5000), TOUCH_TELL);
    touches_told(t, KEY, W, NOW + 1 + W, NOW + 5000);
    ck_assert_int_eq(hit(t, 0, NOW + 7499), TOUCH_REMEMBERED);
    holds(t, 1, NOW + 7500);
    touches_forget(t, KEY);

    /* Windows without a quarter. */
    for (uint64_t w = 0; w < 4; w++) {
        ck_assert_int_eq(touches_hit(t, KEY, w, NOW + w, 0, NOW), TOUCH_REMEMBERED);
        ck_assert_int_eq(touches_hit(t, KEY, w, 0, 0, NOW), TOUCH_TELL);
        none_due(t, NOW);
        holds(t, 0, NEVER);
    }
    ck_assert_int_eq(touches_hit(t, KEY, INT64_MAX, NOW + W, 0, NOW), TOUCH_TELL);
    ck_assert_uint_eq(touches_promised(t, KEY), NOW + INT64_MAX);
    touches_told(t, KEY, INT64_MAX, NOW + INT64_MAX, NOW);
    ck_assert_int_eq(touches_hit(t, KEY, INT64_MAX, NOW + INT64_MAX, 0, NOW + 1), TOUCH_REMEMBERED);
    holds(t, 1, NOW + INT64_MAX / 4);
    touches_free(t);
}
END_TEST

/* The machine was suspended: PEXPIRE with 0 would delete the key. */
START_TEST(too_late)
{
    struct touches *t = touches_new(10);

    ck_assert_int_eq(hit(t, NOW + W, NOW + 1), TOUCH_REMEMBERED);
    none_due(t, NOW + W + 1);
    holds(t, 0, NEVER);
    ck_assert_int_eq(hit(t, NOW + W, NOW + 1), TOUCH_REMEMBERED);
    is_due(t, NOW + W, KEY, 1);

    /* A hit that comes before touches_due() tells by itself, and nothing is due any longer. */
    touches_forget_all(t);
    ck_assert_int_eq(hit(t, NOW + W, NOW + 1), TOUCH_REMEMBERED);
    ck_assert_int_eq(hit(t, NOW + W, NOW + Q + 9), TOUCH_TELL);
    none_due(t, NOW + Q + 9);
    holds(t, 0, NOW + 2 * Q + 9);
    touches_free(t);
}
END_TEST

Suite *touches_suite(void)
{
    Suite *suite = suite_create("touches");
    TCase *tcase = tcase_create("touches");

    tcase_add_test(tcase, nothing);
    tcase_add_test(tcase, of_the_drawing);
    tcase_add_test(tcase, bounds_of_the_quarter);
    tcase_add_test(tcase, nothing_to_renew);
    tcase_add_test(tcase, unknown_deadline);
    tcase_add_test(tcase, told);
    tcase_add_test(tcase, answer_awaited);
    tcase_add_test(tcase, changed_since_told);
    tcase_add_test(tcase, capped);
    tcase_add_test(tcase, past_the_cap);
    tcase_add_test(tcase, cap_of_about_the_promise);
    tcase_add_test(tcase, forgotten);
    tcase_add_test(tcase, too_late);
    tcase_add_test(tcase, other_windows);
    suite_add_tcase(suite, tcase);
    return suite;
}
