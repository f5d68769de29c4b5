/* check_loop.c - turns, beats, timers, signals and watches of a real loop. A loop runs once, so
 * what happens step by step is decided in callbacks; a test that waits for what never comes is
 * ended by its time limit. */
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "net/loop.h"
#include "suites.h"

/* What happened, as letters. */
struct story {
    struct loop *loop;
    struct timer *timer, *other;
    struct watch *watch;
    char text[64];
    size_t n;
    unsigned beats;
    uint64_t at_ms[4];
    int fds[2];
};

static struct log log_of_tests;
static struct story st; /* a test has a process of its own */

static void tell(char what)
{
    ck_assert_uint_lt(st.n, sizeof st.text - 1);
    st.text[st.n++] = what;
}

static void begin(void)
{
    log_open(&log_of_tests, STDERR_FILENO, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    st.loop = loop_new(&log_of_tests);
    ck_assert_ptr_nonnull(st.loop);
}

static void end(void)
{
    timer_free(st.timer);
    timer_free(st.other);
    loop_unwatch(st.watch);
    loop_free(st.loop);
}

static void stop(void *context)
{
    tell('s');
    loop_stop(context);
}

static bool beat_a(void *context)
{
    (void)context;
    tell('a');
    return false;
}

static bool beat_b(void *context)
{
    (void)context;
    tell('b');
    return false;
}

/* After a callback all beats, in their order; after the stop one more time, and no further turn. */
START_TEST(beats_end_each_turn_in_order)
{
    loop_add_beat(st.loop, beat_a, NULL);
    loop_add_beat(st.loop, beat_b, NULL);
    st.timer = timer_new(st.loop, stop, st.loop);
    timer_start(st.timer, 1);
    loop_run(st.loop);
    ck_assert_str_eq(st.text, "sab");
}
END_TEST

static bool busy_beat(void *context)
{
    (void)context;
    if (++st.beats == 20)
        loop_stop(st.loop);
    return true;
}

static void hello(void *context)
{
    (void)context;
    tell('h');
}

/* Work that is left makes the next turn at once, though nothing else would ever end its waiting. */
START_TEST(work_left_spins_until_it_is_done)
{
    loop_add_beat(st.loop, busy_beat, NULL);
    loop_on_signal(st.loop, SIGUSR1, hello, NULL);
    ck_assert_int_eq(raise(SIGUSR1), 0);
    loop_run(st.loop);
    ck_assert_uint_eq(st.beats, 20);
    ck_assert_str_eq(st.text, "h");
}
END_TEST

static void second(void *context)
{
    tell('2');
    loop_stop(context);
}

static void first(void *context)
{
    (void)context;
    tell('1');
    ck_assert(!timer_running(st.timer));
    ck_assert(timer_running(st.other));
}

START_TEST(timers_fire_once_in_their_order)
{
    st.timer = timer_new(st.loop, first, NULL);
    st.other = timer_new(st.loop, second, st.loop);
    ck_assert(!timer_running(st.timer));
    timer_start(st.other, 40);
    timer_start(st.timer, 1);
    ck_assert(timer_running(st.timer));
    loop_run(st.loop);
    ck_assert_str_eq(st.text, "12");
    ck_assert(!timer_running(st.timer));
    ck_assert(!timer_running(st.other));
}
END_TEST

START_TEST(a_stopped_timer_does_not_fire)
{
    st.timer = timer_new(st.loop, hello, NULL);
    st.other = timer_new(st.loop, stop, st.loop);
    timer_start(st.timer, 1);
    timer_stop(st.timer);
    ck_assert(!timer_running(st.timer));
    timer_stop(st.timer);
    timer_start(st.other, 20);
    loop_run(st.loop);
    ck_assert_str_eq(st.text, "s");
}
END_TEST

START_TEST(a_timer_started_again_starts_anew)
{
    st.timer = timer_new(st.loop, hello, NULL);
    st.other = timer_new(st.loop, stop, st.loop);
    timer_start(st.timer, 1);
    timer_start(st.timer, 3600 * 1000);
    timer_start(st.other, 3600 * 1000);
    timer_start(st.other, 20);
    loop_run(st.loop);
    ck_assert_str_eq(st.text, "s");
    ck_assert(timer_running(st.timer));
}
END_TEST

static void thrice(void *context)
{
    (void)context;
    st.at_ms[st.n] = loop_now_ms(st.loop);
    tell('t');
    if (st.n == 3)
        loop_stop(st.loop);
    else
        timer_start(st.timer, 10);
}

/* The clock stands still within a turn and has gone on in the next. */
START_TEST(the_clock_is_read_once_a_turn)
{
    uint64_t before = loop_now_ms(st.loop);

    st.timer = timer_new(st.loop, thrice, NULL);
    timer_start(st.timer, 10);
    loop_run(st.loop);
    ck_assert_uint_gt(st.at_ms[0], before);
    ck_assert_uint_gt(st.at_ms[1], st.at_ms[0]);
    ck_assert_uint_gt(st.at_ms[2], st.at_ms[1]);
}
END_TEST

static void linger(void *context)
{
    uint64_t now = loop_now_ms(st.loop);
    struct timespec from, to;

    (void)context;
    (void)clock_gettime(CLOCK_BOOTTIME, &from);
    do
        (void)clock_gettime(CLOCK_BOOTTIME, &to);
    while ((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000 < 3);
    ck_assert_uint_eq(loop_now_ms(st.loop), now);
    loop_stop(st.loop);
}

START_TEST(the_clock_stands_still_within_a_turn)
{
    st.timer = timer_new(st.loop, linger, NULL);
    timer_start(st.timer, 0);
    loop_run(st.loop);
}
END_TEST

START_TEST(signals_come_by_the_loop)
{
    loop_on_signal(st.loop, SIGUSR1, hello, NULL);
    loop_on_signal(st.loop, SIGTERM, stop, st.loop);
    ck_assert_int_eq(raise(SIGUSR1), 0);
    ck_assert_str_eq(st.text, "");
    ck_assert_int_eq(raise(SIGTERM), 0);
    loop_run(st.loop);
    ck_assert_uint_eq(st.n, 2);
    ck_assert_ptr_nonnull(strchr(st.text, 'h'));
    ck_assert_ptr_nonnull(strchr(st.text, 's'));
}
END_TEST

static void nibble(void *context)
{
    char byte;

    (void)context;
    ck_assert_int_eq((int)read(st.fds[0], &byte, 1), 1);
    tell(byte);
    if (byte == '2')
        watch_pause(st.watch);
    if (byte == '4')
        loop_stop(st.loop);
}

static void resume(void *context)
{
    (void)context;
    tell('r');
    watch_resume(st.watch);
}

/* Told again while bytes are there, not while paused, and again after that. */
START_TEST(a_watch_can_pause)
{
    ck_assert_int_eq(pipe(st.fds), 0);
    ck_assert_int_eq((int)write(st.fds[1], "1234", 4), 4);
    st.watch = loop_watch(st.loop, st.fds[0], nibble, NULL);
    st.timer = timer_new(st.loop, resume, NULL);
    timer_start(st.timer, 30);
    loop_run(st.loop);
    ck_assert_str_eq(st.text, "12r34");
}
END_TEST

START_TEST(scratch_is_aligned_with_headroom)
{
    char *p = loop_scratch(st.loop);

    ck_assert_uint_eq((uintptr_t)p % 4096, 0);
    memset(p - LOOP_HEADROOM, 'x', LOOP_HEADROOM + READ_BYTES);
}
END_TEST

START_TEST(nothing_is_freed_as_nothing)
{
    loop_free(NULL);
    timer_free(NULL);
    loop_unwatch(NULL);
}
END_TEST

static void burn(void *context)
{
    (void)context;
}

START_TEST(a_ninth_beat_aborts)
{
    for (int i = 0; i < 9; i++)
        loop_add_beat(st.loop, beat_a, NULL);
}
END_TEST

START_TEST(a_ninth_signal_aborts)
{
    for (int i = 0; i < 9; i++)
        loop_on_signal(st.loop, SIGRTMIN + i, burn, NULL);
}
END_TEST

Suite *loop_suite(void)
{
    Suite *suite = suite_create("loop");
    TCase *t = tcase_create("loop");

    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, beats_end_each_turn_in_order);
    tcase_add_test(t, work_left_spins_until_it_is_done);
    tcase_add_test(t, timers_fire_once_in_their_order);
    tcase_add_test(t, a_stopped_timer_does_not_fire);
    tcase_add_test(t, a_timer_started_again_starts_anew);
    tcase_add_test(t, the_clock_is_read_once_a_turn);
    tcase_add_test(t, the_clock_stands_still_within_a_turn);
    tcase_add_test(t, signals_come_by_the_loop);
    tcase_add_test(t, a_watch_can_pause);
    tcase_add_test(t, scratch_is_aligned_with_headroom);
    tcase_add_test(t, nothing_is_freed_as_nothing);
    tcase_add_test_raise_signal(t, a_ninth_beat_aborts, SIGABRT);
    tcase_add_test_raise_signal(t, a_ninth_signal_aborts, SIGABRT);
    suite_add_tcase(suite, t);
    return suite;
}
