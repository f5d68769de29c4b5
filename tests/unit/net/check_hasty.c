/* check_hasty.c - a stream that is read first and to the end, among others, in one loop. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/loop.h"
#include "net/stream.h"
#include "suites.h"

#define ENDS 3

/* One of several streams, and its other end. What happens is told in letters: its name for each
 * reading, a dot for the beat that ends the turn. */
struct end {
    struct stream s;
    int other;
    char name;
    bool refills, closes;
};

static struct log log_of_tests;
static struct loop *loop;
static struct end ends[ENDS]; /* a, b, c */
static char story[64];
static size_t told;
static unsigned turns_left;
static void (*act)(void);

static void tell(char what)
{
    ck_assert_uint_lt(told, sizeof story - 1);
    story[told++] = what;
}

static void put(struct end *e, const char *bytes)
{
    ck_assert_int_eq((int)send(e->other, bytes, strlen(bytes), 0), (int)strlen(bytes));
}

/* Four bytes at a time. */
static void on_readable(struct stream *s)
{
    struct end *e = CONTAINER_OF(s, struct end, s);
    char room[4];
    size_t n;

    tell(e->name);
    ck_assert_int_eq(stream_read(s, room, sizeof room, &n), IO_OK);
    if (e->refills)
        put(e, "x");
    if (e->closes)
        stream_close(s);
}

static void on_other(struct stream *s)
{
    (void)s;
    tell('?');
}

static bool end_turn(void *context)
{
    (void)context;
    tell('.');
    if (act != NULL)
        act();
    act = NULL;
    if (--turns_left == 0)
        loop_stop(loop);
    return turns_left > 0;
}

static void begin(void)
{
    static const struct stream_ops ops = {on_readable, on_other, on_other};

    log_open(&log_of_tests, STDERR_FILENO, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    loop = loop_new(&log_of_tests);
    loop_add_beat(loop, end_turn, NULL);
    for (int i = 0; i < ENDS; i++) {
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
                         0);
        ends[i].name = (char)('a' + i);
        ends[i].other = fds[1];
        stream_open(&ends[i].s, loop, fds[0], &ops);
        stream_want(&ends[i].s, WANT_READ);
    }
}

static void end(void)
{
    for (int i = 0; i < ENDS; i++) {
        stream_close(&ends[i].s);
        (void)close(ends[i].other);
    }
    loop_free(loop);
}

static void noop(void *context)
{
    (void)context;
}

/* c is hasty; `act` happens at the end of a first turn, and `turns` follow. */
static void run(void (*what)(void), unsigned turns)
{
    struct timer *t = timer_new(loop, noop, NULL);

    stream_hasten(&ends[2].s, loop);
    act = what;
    turns_left = turns + 1;
    timer_start(t, 0);
    loop_run(loop);
    timer_free(t);
}

static void all_ready(void)
{
    put(&ends[0], "1234567890");
    put(&ends[1], "12");
    put(&ends[2], "1234567890");
}

START_TEST(read_first_and_to_the_end)
{
    run(all_ready, 3);
    ck_assert_str_eq(story, ".cccab.a.a.");
}
END_TEST

static void one_ready(void)
{
    put(&ends[2], "1234567890");
}

/* Nothing else is ready: the turn ends all the same. */
START_TEST(alone_it_is_a_turn)
{
    run(one_ready, 1);
    ck_assert_str_eq(story, ".ccc.");
}
END_TEST

static void ready_again(void)
{
    all_ready();
    ends[2].refills = true;
}

/* One that has more whenever it is looked at neither starves the others nor keeps the turn from
 * ending, and is at the front again in the turn after. */
START_TEST(nobody_starves)
{
    run(ready_again, 3);
    ck_assert_str_eq(story, ".ccccab.ca.ca.");
}
END_TEST

static void ready_to_close(void)
{
    all_ready();
    ends[2].closes = true;
}

/* Closed in the midst of what it had: it is not told again, and nothing remembers it. */
START_TEST(closed_while_it_is_read)
{
    run(ready_to_close, 2);
    ck_assert_str_eq(story, ".cab.a.");
}
END_TEST

/* What is wanted can change on the way, and it is first all the same. */
static void ready_and_wanted_anew(void)
{
    all_ready();
    stream_want(&ends[2].s, 0);
    stream_want(&ends[2].s, WANT_READ);
}

START_TEST(first_whatever_is_wanted_on_the_way)
{
    run(ready_and_wanted_anew, 3);
    ck_assert_str_eq(story, ".cccab.a.a.");
}
END_TEST

/* Nothing remembers those that were closed: there may be any number of them in a row. */
START_TEST(closed_ones_are_forgotten)
{
    for (int i = 0; i < 100; i++) {
        int fd = dup(ends[2].other);

        stream_hasten(&ends[2].s, loop);
        stream_close(&ends[2].s);
        stream_open(&ends[2].s, loop, fd, ends[0].s.ops);
    }
}
END_TEST

Suite *hasty_suite(void)
{
    Suite *suite = suite_create("hasty");
    TCase *t = tcase_create("hasty");

    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, read_first_and_to_the_end);
    tcase_add_test(t, alone_it_is_a_turn);
    tcase_add_test(t, nobody_starves);
    tcase_add_test(t, closed_while_it_is_read);
    tcase_add_test(t, first_whatever_is_wanted_on_the_way);
    tcase_add_test(t, closed_ones_are_forgotten);
    suite_add_tcase(suite, t);
    return suite;
}
