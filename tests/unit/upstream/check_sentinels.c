/* check_sentinels.c - what Sentinels and servers say, read; and whom of several to believe. */
#include <string.h>

#include "suites.h"
#include "upstream/sentinel_choice.h"

/* ---- what is said ---- */

static struct place place_at(const char *host, uint16_t port)
{
    struct place p = {.port = port};

    memcpy(p.host, host, strlen(host) + 1);
    return p;
}

START_TEST(places)
{
    static const struct {
        const char *reply;
        enum says says;
        const char *host;
        uint16_t port;
    } rows[] = {
        {"*2\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n", SAYS_PLACE, "127.0.0.1", 6379},
        {"*2\r\n$3\r\n::1\r\n$5\r\n65535\r\n", SAYS_PLACE, "::1", 65535},
        {"*2\r\n$7\r\nredis-1\r\n$1\r\n1\r\n", SAYS_PLACE, "redis-1", 1},
        {"*-1\r\n", SAYS_UNKNOWN, "", 0},
        {"$-1\r\n", SAYS_UNKNOWN, "", 0},
        {"_\r\n", SAYS_UNKNOWN, "", 0},
        {"-NOAUTH Authentication required.\r\n", SAYS_ERROR, "", 0},
        {"-ERR unknown command 'SENTINEL'\r\n", SAYS_ERROR, "", 0},
        {"+OK\r\n", SAYS_GARBAGE, "", 0},
        {"*0\r\n", SAYS_GARBAGE, "", 0},
        {"*1\r\n$1\r\na\r\n", SAYS_GARBAGE, "", 0},
        {"*2\r\n$0\r\n\r\n$4\r\n6379\r\n", SAYS_GARBAGE, "", 0},
        {"*2\r\n$1\r\na\r\n$1\r\n0\r\n", SAYS_GARBAGE, "", 0},
        {"*2\r\n$1\r\na\r\n$5\r\n65536\r\n", SAYS_GARBAGE, "", 0},
        {"*2\r\n$1\r\na\r\n$2\r\n1x\r\n", SAYS_GARBAGE, "", 0},
        {"*2\r\n$1\r\na\r\n:6379\r\n", SAYS_GARBAGE, "", 0},
        {"*2\r\n$1\r\na\r\n*0\r\n", SAYS_GARBAGE, "", 0},
    };
    struct place p = place_at("before", 7);

    ck_assert_int_eq(says_place(slice_str(rows[_i].reply), &p), rows[_i].says);
    ck_assert_str_eq(p.host, rows[_i].says == SAYS_PLACE ? rows[_i].host : "before");
    ck_assert_uint_eq(p.port, rows[_i].says == SAYS_PLACE ? rows[_i].port : 7);
}
END_TEST

START_TEST(no_nul_in_a_name)
{
    static const char reply[] = "*2\r\n$3\r\na\0b\r\n$4\r\n6379\r\n";
    struct place p;

    ck_assert_int_eq(says_place(slice_of(reply, sizeof reply - 1), &p), SAYS_GARBAGE);
}
END_TEST

/* A name as long as there may be fits; one more character is none. */
START_TEST(long_names)
{
    for (size_t n = PLACE_HOST_CHARS; n <= PLACE_HOST_CHARS + 1; n++) {
        struct buffer b = {0};
        struct place p;

        buffer_printf(&b, "*2\r\n$%zu\r\n", n);
        for (size_t i = 0; i < n; i++)
            buffer_add(&b, "h", 1);
        buffer_printf(&b, "\r\n$1\r\n7\r\n");
        ck_assert_int_eq(says_place(buffer_slice(&b), &p),
                         n == PLACE_HOST_CHARS ? SAYS_PLACE : SAYS_GARBAGE);
        buffer_done(&b);
    }
}
END_TEST

START_TEST(epochs)
{
    static const struct {
        const char *reply;
        uint64_t epoch;
    } rows[] = {
        {"*4\r\n$4\r\nname\r\n$1\r\nm\r\n$12\r\nconfig-epoch\r\n$2\r\n17\r\n", 17},
        {"*4\r\n$12\r\nconfig-epoch\r\n$1\r\n1\r\n$4\r\nname\r\n$1\r\nm\r\n", 1},
        /* As a value it is none. */
        {"*4\r\n$4\r\nname\r\n$12\r\nconfig-epoch\r\n$1\r\n5\r\n$1\r\n6\r\n", 0},
        {"*2\r\n$12\r\nconfig-epoch\r\n$2\r\n-1\r\n", 0},
        {"*2\r\n$12\r\nconfig-epoch\r\n$1\r\nx\r\n", 0},
        {"*1\r\n$12\r\nconfig-epoch\r\n", 0},
        {"-ERR No such master with that name\r\n", 0},
        {"-NOPERM this user has no permissions\r\n", 0},
        {"*-1\r\n", 0},
        {"+OK\r\n", 0},
    };

    ck_assert_uint_eq(says_epoch(slice_str(rows[_i].reply)), rows[_i].epoch);
}
END_TEST

#define SWITCH(text) "*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n" text

START_TEST(messages)
{
    static const struct {
        const char *message;
        enum heard heard;
    } rows[] = {
        {"*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n", HEARD_SUBSCRIBED},
        {SWITCH("$34\r\nmymaster 127.0.0.1 1 127.0.0.1 222\r\n"), HEARD_SWITCH},
        {SWITCH("$19\r\nmymaster2 a 1 b 222\r\n"), HEARD_OTHER},
        {SWITCH("$17\r\nmymaste a 1 b 222\r\n"), HEARD_OTHER},
        {SWITCH("$8\r\nmymaster\r\n"), HEARD_OTHER},
        {SWITCH("$-1\r\n"), HEARD_OTHER},
        {"*2\r\n$4\r\npong\r\n$0\r\n\r\n", HEARD_OTHER},
        {"+PONG\r\n", HEARD_OTHER},
        {"-NOAUTH Authentication required.\r\n", HEARD_ERROR},
    };

    ck_assert_int_eq(says_heard(slice_str(rows[_i].message), SLICE("mymaster")), rows[_i].heard);
}
END_TEST

START_TEST(roles)
{
    static const struct {
        const char *reply;
        enum role role;
    } rows[] = {
        {"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n", ROLE_MASTER},
        {"*5\r\n$5\r\nslave\r\n$1\r\na\r\n:1\r\n$9\r\nconnected\r\n:1\r\n", ROLE_OTHER},
        {"*2\r\n$8\r\nsentinel\r\n*0\r\n", ROLE_OTHER},
        {"-NOPERM no\r\n", ROLE_UNTOLD},
        {"+OK\r\n", ROLE_UNTOLD},
        {"*0\r\n", ROLE_UNTOLD},
        {"$45\r\n# Replication\r\nrole:master\r\nconnected_slaves:\r\n", ROLE_MASTER},
        {"$27\r\n# Replication\r\nrole:slave\r\n\r\n", ROLE_OTHER},
        /* Neither another field's end nor a longer word. */
        {"$19\r\nmy_role:master\r\nx\r\n\r\n", ROLE_UNTOLD},
        {"$15\r\nrole:masterly\r\n\r\n", ROLE_OTHER},
        {"$0\r\n\r\n", ROLE_UNTOLD},
    };

    ck_assert_int_eq(says_role(slice_str(rows[_i].reply)), rows[_i].role);
}
END_TEST

/* ---- whom to believe ---- */

static struct choice c;

static void begin(void)
{
    choice_init(&c, 3);
}

static void end(void)
{
    choice_done(&c);
}

/* Server number `port` is what Sentinel i names. */
static bool note(size_t i, uint16_t port, uint64_t epoch)
{
    struct place p = place_at("h", port);

    return choice_note(&c, i, &p, epoch);
}

/* The next to try is the server `port`, and it is tried now; 0: there is none. */
static void tries(uint16_t port)
{
    size_t i = 99;

    ck_assert_int_eq(choice_best(&c, &i), port != 0);
    if (port == 0)
        return;
    ck_assert_uint_eq(c.answers[i].place.port, port);
    choice_try(&c, &c.answers[i].place);
}

static void confirmed(uint16_t port, size_t by)
{
    struct place p = place_at("h", port);

    choice_confirm(&c, &p, by);
}

/* A first round, in which all agree. */
static void known(uint16_t port, uint64_t epoch)
{
    choice_begin(&c);
    for (size_t i = 0; i < 3; i++)
        (void)note(i, port, epoch);
    tries(port);
    confirmed(port, 0);
    tries(0);
    choice_begin(&c);
}

START_TEST(the_first_answer_is_tried)
{
    choice_begin(&c);
    tries(0);
    ck_assert(!note(1, 7, 0));
    tries(7);
    ck_assert(!note(0, 7, 0)); /* the same: no reason to try it again */
    tries(0);
    confirmed(7, 1);
    ck_assert(!note(2, 7, 3));
    ck_assert_uint_eq(c.epoch, 3); /* whoever knows more of it */
    tries(0);
    ck_assert_uint_eq(c.order[0], 1);
    ck_assert_uint_eq(c.order[1], 0);
}
END_TEST

START_TEST(one_that_failed_is_followed_by_the_next)
{
    choice_begin(&c);
    (void)note(0, 7, 0);
    (void)note(1, 8, 0);
    (void)note(2, 7, 0);
    tries(7);
    tries(8);
    tries(0);
}
END_TEST

START_TEST(the_latest_configuration_is_tried_first)
{
    choice_begin(&c);
    (void)note(0, 7, 1);
    (void)note(1, 8, 3);
    (void)note(2, 9, 2);
    tries(8);
    tries(9);
    tries(7);
    tries(0);
}
END_TEST

/* A planned failover: the old master says for 10 s more that it is one, and Sentinels that were not
 * there name it. */
START_TEST(stale_answers_are_passed_over)
{
    known(7, 1);
    ck_assert(!note(0, 8, 2));
    tries(8);
    confirmed(8, 0);
    ck_assert(note(1, 7, 1));
    tries(0);
    choice_begin(&c);
    ck_assert(note(1, 7, 1));
    ck_assert(note(2, 7, 1));
    tries(0);
    ck_assert(!note(0, 8, 2));
    tries(8);
}
END_TEST

/* The stale one was quicker; the one that knows comes behind it in the same round. */
START_TEST(a_later_configuration_wins_in_the_same_round)
{
    choice_begin(&c);
    (void)note(0, 7, 1);
    tries(7);
    confirmed(7, 0);
    ck_assert(!note(1, 8, 2));
    tries(8);
    confirmed(8, 1);
    ck_assert(note(2, 7, 1));
    tries(0);
    ck_assert_uint_eq(c.present.port, 8);
    ck_assert_uint_eq(c.epoch, 2);
    ck_assert_uint_eq(c.order[0], 1);
}
END_TEST

/* Who may not say SENTINEL MASTER has no epochs: a switch is seen all the same, in the round in
 * which the one in front has heard of it. */
START_TEST(without_epochs)
{
    known(7, 0);
    (void)note(0, 7, 0);
    tries(7);
    confirmed(7, 0);
    (void)note(1, 8, 0);
    tries(0); /* of equals the one that was confirmed */
    choice_begin(&c);
    (void)note(0, 8, 0);
    tries(8);
}
END_TEST

/* An answer of a lower epoch that names the present master is not stale. */
START_TEST(late_to_agree)
{
    known(7, 5);
    ck_assert(!note(2, 7, 4));
    tries(7);
    confirmed(7, 2);
    ck_assert(!note(0, 7, 5));
    ck_assert_uint_eq(c.epoch, 5);
}
END_TEST

/* The Sentinels were set up anew and count from 0 again. */
START_TEST(set_up_anew)
{
    known(7, 9);
    ck_assert(note(0, 8, 1));
    tries(0);
    choice_doubt(&c); /* 7 was tried, and failed */
    choice_begin(&c);
    ck_assert(!note(0, 8, 1));
    tries(8);
    confirmed(8, 0);
    ck_assert_uint_eq(c.epoch, 1);
    ck_assert(!c.distrust);
}
END_TEST

START_TEST(no_doubt_while_somebody_knows)
{
    known(7, 9);
    choice_doubt(&c); /* nobody answered */
    ck_assert(!c.distrust);
    ck_assert(note(0, 8, 1));
    ck_assert(!note(1, 7, 9));
    choice_doubt(&c);
    ck_assert(!c.distrust);
}
END_TEST

/* Asked when no Sentinel answers: who was believed stays in front, and the epoch with it. */
START_TEST(confirmed_by_nobody)
{
    known(7, 3);
    confirmed(7, 3);
    ck_assert_uint_eq(c.epoch, 3);
    ck_assert_uint_eq(c.order[0], 0);
}
END_TEST

START_TEST(names_compare_without_case)
{
    struct place a = place_at("Redis-1", 7), b = place_at("redis-1", 7), d = place_at("redis-1", 8);

    ck_assert(place_same(&a, &b));
    ck_assert(!place_same(&a, &d));
}
END_TEST

Suite *sentinels_suite(void)
{
    Suite *suite = suite_create("sentinels");
    TCase *says = tcase_create("says"), *choice = tcase_create("choice");

    tcase_add_loop_test(says, places, 0, 17);
    tcase_add_test(says, no_nul_in_a_name);
    tcase_add_test(says, long_names);
    tcase_add_loop_test(says, epochs, 0, 10);
    tcase_add_loop_test(says, messages, 0, 9);
    tcase_add_loop_test(says, roles, 0, 11);
    tcase_add_test(says, names_compare_without_case);
    suite_add_tcase(suite, says);
    tcase_add_checked_fixture(choice, begin, end);
    tcase_add_test(choice, the_first_answer_is_tried);
    tcase_add_test(choice, one_that_failed_is_followed_by_the_next);
    tcase_add_test(choice, the_latest_configuration_is_tried_first);
    tcase_add_test(choice, stale_answers_are_passed_over);
    tcase_add_test(choice, a_later_configuration_wins_in_the_same_round);
    tcase_add_test(choice, without_epochs);
    tcase_add_test(choice, late_to_agree);
    tcase_add_test(choice, set_up_anew);
    tcase_add_test(choice, no_doubt_while_somebody_knows);
    tcase_add_test(choice, confirmed_by_nobody);
    suite_add_tcase(suite, choice);
    return suite;
}
