/* check_resolver.c - names to addresses, off the loop. Only what needs no name server is asked for:
 * localhost, numbers, and a name of the domain that never is (RFC 2606). */
#include <string.h>
#include <unistd.h>

#include "net/loop.h"
#include "net/resolver.h"
#include "suites.h"

static struct log log_of_tests;
static struct loop *loop;
static struct resolver *resolver;
static unsigned answers, wanted;
static char text[ADDRESS_TEXT], reason[128];
static size_t found;

static void begin(void)
{
    log_open(&log_of_tests, STDERR_FILENO, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    loop = loop_new(&log_of_tests);
    resolver = resolver_new(loop);
}

static void end(void)
{
    resolver_free(resolver);
    loop_free(loop);
}

static void on_answer(void *context, const struct sock_address *addresses, size_t count,
                      const char *why)
{
    ck_assert_ptr_eq(context, &answers);
    answers++;
    found = count;
    strncpy(reason, why, sizeof reason - 1);
    if (count > 0)
        address_text(&addresses[0], text, sizeof text);
    if (answers == wanted)
        loop_stop(loop);
}

static void ask(const char *host, uint16_t port)
{
    ck_assert_ptr_nonnull(resolver_ask(resolver, host, port, on_answer, &answers));
}

START_TEST(numbers_are_answered_with_their_port)
{
    wanted = 1;
    ask("127.0.0.1", 6379);
    ck_assert_uint_eq(answers, 0); /* never from within the call */
    loop_run(loop);
    ck_assert_uint_eq(found, 1);
    ck_assert_str_eq(text, "127.0.0.1:6379");
    ck_assert_str_eq(reason, "");
}
END_TEST

START_TEST(localhost_is_here)
{
    wanted = 1;
    ask("localhost", 65535);
    loop_run(loop);
    ck_assert_uint_ge(found, 1);
    ck_assert_uint_le(found, RESOLVER_ADDRESSES);
    ck_assert(strcmp(text, "127.0.0.1:65535") == 0 || strcmp(text, "[::1]:65535") == 0);
}
END_TEST

START_TEST(a_name_that_is_not_says_why)
{
    wanted = 1;
    found = 99;
    ask("no such.invalid", 1);
    loop_run(loop);
    ck_assert_uint_eq(answers, 1);
    ck_assert_uint_eq(found, 0);
    ck_assert_str_ne(reason, "");
}
END_TEST

/* The name is the resolver's own copy; the answers come in the order of the questions. */
START_TEST(several_at_once)
{
    char host[] = "127.0.0.1";

    wanted = 3;
    ask(host, 1);
    ask(host, 2);
    ask("127.0.0.2", 3);
    memset(host, 'x', sizeof host - 1);
    loop_run(loop);
    ck_assert_uint_eq(answers, 3);
    ck_assert_str_eq(text, "127.0.0.2:3");
}
END_TEST

static void never(void *context, const struct sock_address *addresses, size_t count,
                  const char *why)
{
    (void)context;
    (void)addresses;
    (void)count;
    (void)why;
    ck_abort_msg("a forgotten query was answered");
}

START_TEST(what_is_forgotten_is_not_answered)
{
    struct resolver_query *q = resolver_ask(resolver, "127.0.0.1", 1, never, NULL);

    wanted = 1;
    ask("127.0.0.1", 2);
    resolver_forget(resolver, q);
    resolver_forget(resolver, NULL);
    loop_run(loop);
    ck_assert_uint_eq(answers, 1);
    ck_assert_str_eq(text, "127.0.0.1:2");
}
END_TEST

static struct resolver_query *other;

static void forget_other(void *context, const struct sock_address *addresses, size_t count,
                         const char *why)
{
    resolver_forget(resolver, other);
    on_answer(context, addresses, count, why);
}

/* Both may have been answered already when the first callback forgets the second. */
START_TEST(forgotten_by_the_answer_before_it)
{
    wanted = 2;
    ck_assert_ptr_nonnull(resolver_ask(resolver, "127.0.0.1", 1, forget_other, &answers));
    other = resolver_ask(resolver, "127.0.0.1", 2, never, NULL);
    ask("127.0.0.1", 3);
    loop_run(loop);
    ck_assert_uint_eq(answers, 2);
    ck_assert_str_eq(text, "127.0.0.1:3");
}
END_TEST

/* Freed with questions open, answered or not: nothing is told, nothing leaks. */
START_TEST(freed_with_questions_open)
{
    for (int i = 0; i < 20; i++)
        ck_assert_ptr_nonnull(resolver_ask(resolver, "127.0.0.1", 1, never, NULL));
}
END_TEST

START_TEST(freed_unasked)
{
    resolver_free(NULL);
}
END_TEST

Suite *resolver_suite(void)
{
    Suite *suite = suite_create("resolver");
    TCase *t = tcase_create("resolver");

    tcase_set_timeout(t, 40);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, numbers_are_answered_with_their_port);
    tcase_add_test(t, localhost_is_here);
    tcase_add_test(t, a_name_that_is_not_says_why);
    tcase_add_test(t, several_at_once);
    tcase_add_test(t, what_is_forgotten_is_not_answered);
    tcase_add_test(t, forgotten_by_the_answer_before_it);
    tcase_add_test(t, freed_with_questions_open);
    tcase_add_test(t, freed_unasked);
    suite_add_tcase(suite, t);
    return suite;
}
