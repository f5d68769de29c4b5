/* check_subscriptions.c - how many channels a session has and what it still waits for, told from
 * the frames that pass. The frames are those of Redis 7.0. */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "client/subscriptions.h"
#include "suites.h"

static struct subscriptions s;

static void end(void)
{
    subscriptions_done(&s);
    ck_assert_ptr_null(s.queue);
    ck_assert(subscriptions_none(&s));
    ck_assert(subscriptions_quiet(&s));
}

/* A frame, on memory of exactly its size. */
static void frame(const char *text)
{
    size_t n = strlen(text);
    char *copy = must_alloc(n);

    memcpy(copy, text, n);
    subscriptions_frame(&s, slice_of(copy, n));
    free(copy);
}

/* A confirmation; type is * or >, channel NULL the null bulk. */
static void confirm(char type, const char *word, const char *channel, int total)
{
    struct buffer b = {0};

    buffer_printf(&b, "%c3\r\n$%zu\r\n%s\r\n", type, strlen(word), word);
    if (channel == NULL)
        buffer_printf(&b, type == '>' ? "_\r\n" : "$-1\r\n");
    else
        buffer_printf(&b, "$%zu\r\n%s\r\n", strlen(channel), channel);
    buffer_printf(&b, ":%d\r\n%c", total, 0);
    frame(buffer_head(&b));
    buffer_done(&b);
}

static void counts(int64_t channels, int64_t patterns, int64_t shards)
{
    ck_assert_int_eq(s.count[SUB_CHANNEL], channels);
    ck_assert_int_eq(s.count[SUB_PATTERN], patterns);
    ck_assert_int_eq(s.count[SUB_SHARD], shards);
    ck_assert_int_eq(subscriptions_none(&s), channels + patterns + shards == 0);
}

#define TYPE (_i ? '>' : '*')

START_TEST(a_frame_for_each_channel)
{
    ck_assert(subscriptions_quiet(&s));
    subscriptions_expect(&s, SUB_CHANNEL, 3);
    ck_assert(!subscriptions_quiet(&s));
    confirm(TYPE, "subscribe", "a", 1);
    confirm(TYPE, "subscribe", "b", 2);
    ck_assert(!subscriptions_quiet(&s));
    counts(2, 0, 0);
    confirm(TYPE, "subscribe", "c", 3);
    ck_assert(subscriptions_quiet(&s));
    counts(3, 0, 0);
    subscriptions_expect(&s, SUB_CHANNEL, 2);
    confirm(TYPE, "unsubscribe", "a", 2);
    confirm(TYPE, "unsubscribe", "x", 2); /* was not subscribed */
    ck_assert(subscriptions_quiet(&s));
    counts(2, 0, 0);
}
END_TEST

/* The same channel again does not raise the number that Redis says. */
START_TEST(twice_the_same_channel)
{
    subscriptions_expect(&s, SUB_CHANNEL, 2);
    confirm(TYPE, "subscribe", "a", 1);
    confirm(TYPE, "subscribe", "a", 1);
    ck_assert(subscriptions_quiet(&s));
    counts(1, 0, 0);
}
END_TEST

/* The number counts channels and patterns together. */
START_TEST(channels_and_patterns_share_a_number)
{
    subscriptions_expect(&s, SUB_CHANNEL, 2);
    confirm(TYPE, "subscribe", "a", 1);
    confirm(TYPE, "subscribe", "b", 2);
    subscriptions_expect(&s, SUB_PATTERN, 2);
    confirm(TYPE, "psubscribe", "p*", 3);
    confirm(TYPE, "psubscribe", "q*", 4);
    counts(2, 2, 0);
    subscriptions_expect(&s, SUB_CHANNEL, 0);
    confirm(TYPE, "unsubscribe", "b", 3);
    ck_assert(!subscriptions_quiet(&s));
    confirm(TYPE, "unsubscribe", "a", 2);
    ck_assert(subscriptions_quiet(&s));
    counts(0, 2, 0);
    subscriptions_expect(&s, SUB_PATTERN, 0);
    confirm(TYPE, "punsubscribe", "p*", 1);
    confirm(TYPE, "punsubscribe", "q*", 0);
    ck_assert(subscriptions_quiet(&s));
    counts(0, 0, 0);
}
END_TEST

START_TEST(shard_channels_have_their_own_number)
{
    subscriptions_expect(&s, SUB_CHANNEL, 1);
    confirm(TYPE, "subscribe", "a", 1);
    subscriptions_expect(&s, SUB_SHARD, 2);
    confirm(TYPE, "ssubscribe", "x", 1);
    confirm(TYPE, "ssubscribe", "y", 2);
    counts(1, 0, 2);
    subscriptions_expect(&s, SUB_SHARD, 0);
    confirm(TYPE, "sunsubscribe", "x", 1);
    ck_assert(!subscriptions_quiet(&s));
    confirm(TYPE, "sunsubscribe", "y", 0);
    ck_assert(subscriptions_quiet(&s));
    counts(1, 0, 0);
    ck_assert(!subscriptions_none(&s));
}
END_TEST

/* UNSUBSCRIBE of all has as many frames as there are channels when Redis comes to it, not when it
 * was sent: the SUBSCRIBE before it may be unanswered. */
START_TEST(unsubscribe_all_behind_subscribe)
{
    subscriptions_expect(&s, SUB_CHANNEL, 3);
    subscriptions_expect(&s, SUB_CHANNEL, 0);
    subscriptions_expect(&s, SUB_CHANNEL, 1);
    for (int i = 1; i <= 3; i++)
        confirm(TYPE, "subscribe", "abc", i);
    for (int i = 2; i >= 0; i--) {
        ck_assert(!subscriptions_quiet(&s));
        confirm(TYPE, "unsubscribe", "abc", i);
    }
    counts(0, 0, 0);
    ck_assert(!subscriptions_quiet(&s));
    confirm(TYPE, "subscribe", "d", 1);
    ck_assert(subscriptions_quiet(&s));
    counts(1, 0, 0);
}
END_TEST

START_TEST(unsubscribe_all_of_nothing_is_one_frame)
{
    subscriptions_expect(&s, SUB_CHANNEL, 0);
    subscriptions_expect(&s, SUB_PATTERN, 0);
    confirm(TYPE, "unsubscribe", NULL, 0);
    ck_assert(!subscriptions_quiet(&s));
    confirm(TYPE, "punsubscribe", NULL, 0);
    ck_assert(subscriptions_quiet(&s));
    counts(0, 0, 0);
}
END_TEST

/* The number then is of what remains of the other kind. */
START_TEST(unsubscribe_all_of_nothing_beside_patterns)
{
    subscriptions_expect(&s, SUB_PATTERN, 1);
    confirm(TYPE, "psubscribe", "p*", 1);
    subscriptions_expect(&s, SUB_CHANNEL, 0);
    confirm(TYPE, "unsubscribe", NULL, 1);
    ck_assert(subscriptions_quiet(&s));
    counts(0, 1, 0);
}
END_TEST

START_TEST(messages_come_in_between)
{
    static const char *const messages[] = {
        "%c3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n",
        "%c4\r\n$8\r\npmessage\r\n$2\r\np*\r\n$1\r\na\r\n$2\r\nhi\r\n",
        "%c3\r\n$8\r\nsmessage\r\n$1\r\na\r\n$2\r\nhi\r\n",
        /* The channel and the text are words of confirmations. */
        "%c3\r\n$7\r\nmessage\r\n$11\r\nunsubscribe\r\n$1\r\n0\r\n",
        "%c3\r\n$7\r\nmessage\r\n$1\r\na\r\n$100\r\nonly its beginning",
    };

    subscriptions_expect(&s, SUB_CHANNEL, 2);
    for (size_t k = 0; k < 3; k++) {
        for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
            char text[128];

            strncpy(text, messages[i], sizeof text - 1);
            text[127] = 0;
            text[0] = TYPE;
            memmove(text + 1, text + 2, strlen(text + 2) + 1);
            frame(text);
            ck_assert_int_eq(subscriptions_quiet(&s), k == 2);
            counts((int64_t)k, 0, 0);
        }
        if (k < 2)
            confirm(TYPE, "subscribe", "ab", (int)k + 1);
    }
}
END_TEST

/* SUBSCRIBE a b c that the ACL forbids is answered by one error, not by three. Once each error was
 * taken for a third of the answer, and the session waited for the rest for ever. */
START_TEST(one_error_answers_all_channels)
{
    subscriptions_expect(&s, SUB_CHANNEL, 3);
    subscriptions_expect(&s, SUB_CHANNEL, 1);
    frame("-NOPERM this user has no permissions to access one of the channels\r\n");
    ck_assert(!subscriptions_quiet(&s));
    confirm(TYPE, "subscribe", "a", 1);
    ck_assert(subscriptions_quiet(&s));
    counts(1, 0, 0);
}
END_TEST

START_TEST(an_error_answers_one_request)
{
    subscriptions_expect(&s, SUB_CHANNEL, 1);
    frame("-ERR wrong number of arguments for 'subscribe' command\r\n");
    ck_assert(subscriptions_quiet(&s));
    subscriptions_expect(&s, SUB_CHANNEL, 0);
    subscriptions_expect(&s, SUB_PATTERN, 0);
    frame("-NOAUTH Authentication required.\r\n");
    ck_assert(!subscriptions_quiet(&s));
    frame("!21\r\nSYNTAX invalid syntax\r\n");
    ck_assert(subscriptions_quiet(&s));
    counts(0, 0, 0);
}
END_TEST

/* PING of a RESP2 subscriber is an array, other commands are refused: each one frame. */
START_TEST(other_commands_in_between)
{
    subscriptions_expect(&s, SUB_CHANNEL, 1);
    subscriptions_expect(&s, SUB_KINDS, 1);
    subscriptions_expect(&s, SUB_CHANNEL, 0);
    subscriptions_expect(&s, SUB_KINDS, 1);
    subscriptions_expect(&s, SUB_KINDS, 1);
    confirm('*', "subscribe", "a", 1);
    frame("*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    confirm('*', "unsubscribe", "a", 0);
    frame("+PONG\r\n");
    ck_assert(!subscriptions_quiet(&s));
    frame("-ERR Can't execute 'get'\r\n");
    ck_assert(subscriptions_quiet(&s));
    counts(0, 0, 0);
}
END_TEST

/* A deep queue keeps its order, with its head anywhere. */
START_TEST(many_requests_at_once)
{
    int total = 0;

    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < round * 5; i++)
            subscriptions_expect(&s, SUB_CHANNEL, (uint32_t)(i % 3 + 1));
        for (int i = 0; i < round * 5; i++) {
            for (int k = 0; k <= i % 3; k++) {
                ck_assert(!subscriptions_quiet(&s));
                confirm(TYPE, "subscribe", "x", ++total);
            }
        }
        ck_assert(subscriptions_quiet(&s));
        counts(total, 0, 0);
        subscriptions_expect(&s, SUB_CHANNEL, 3);
        confirm(TYPE, "subscribe", "x", ++total);
        for (int i = 0; i < 2; i++)
            confirm(TYPE, "subscribe", "x", ++total);
    }
}
END_TEST

/* What nobody asked for (a server that lies) shifts nothing and ends nothing. */
START_TEST(what_nobody_asked_for)
{
    confirm(TYPE, "unsubscribe", "a", 0);
    counts(0, 0, 0);
    confirm(TYPE, "unsubscribe", "a", -7);
    counts(0, 0, 0);
    ck_assert(subscriptions_quiet(&s));
    frame("-ERR out of the blue\r\n");
    frame("*0\r\n");
    frame("*-1\r\n");
    frame("*1\r\n$7\r\nmessage\r\n");
    frame("*3\r\n$9\r\nsubscribe\r\n");
    frame("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n$1\r\n5\r\n");
    ck_assert(subscriptions_quiet(&s));
    counts(0, 0, 0);
}
END_TEST

/* Redis unsubscribes by itself: CLIENT KILL aside, when an ACL or a slot is taken away. */
START_TEST(unsubscribed_by_the_server)
{
    subscriptions_expect(&s, SUB_SHARD, 2);
    confirm(TYPE, "ssubscribe", "x", 1);
    confirm(TYPE, "ssubscribe", "y", 2);
    confirm(TYPE, "sunsubscribe", "x", 1);
    counts(0, 0, 1);
    ck_assert(subscriptions_quiet(&s));
}
END_TEST

Suite *subscriptions_suite(void)
{
    Suite *suite = suite_create("subscriptions");
    TCase *t = tcase_create("subscriptions");

    tcase_add_checked_fixture(t, NULL, end);
    tcase_add_loop_test(t, a_frame_for_each_channel, 0, 2);
    tcase_add_loop_test(t, twice_the_same_channel, 0, 2);
    tcase_add_loop_test(t, channels_and_patterns_share_a_number, 0, 2);
    tcase_add_loop_test(t, shard_channels_have_their_own_number, 0, 2);
    tcase_add_loop_test(t, unsubscribe_all_behind_subscribe, 0, 2);
    tcase_add_loop_test(t, unsubscribe_all_of_nothing_is_one_frame, 0, 2);
    tcase_add_loop_test(t, unsubscribe_all_of_nothing_beside_patterns, 0, 2);
    tcase_add_loop_test(t, messages_come_in_between, 0, 2);
    tcase_add_loop_test(t, one_error_answers_all_channels, 0, 2);
    tcase_add_test(t, an_error_answers_one_request);
    tcase_add_test(t, other_commands_in_between);
    tcase_add_loop_test(t, many_requests_at_once, 0, 2);
    tcase_add_loop_test(t, what_nobody_asked_for, 0, 2);
    tcase_add_loop_test(t, unsubscribed_by_the_server, 0, 2);
    suite_add_tcase(suite, t);
    return suite;
}
