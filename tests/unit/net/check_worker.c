/* check_worker.c - jobs off the loop: in their order, and whoever asked may leave before they are
 * over. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "net/loop.h"
#include "net/worker.h"
#include "suites.h"

#define JOBS 100

struct task {
    struct job job;
    unsigned number;
};

static struct log log_of_tests;
static struct loop *loop;
static struct worker *worker;
static struct task tasks[JOBS];
static unsigned done;
static atomic_uint runs, drops;
static pthread_t thread_of_loop;
static bool in_loop; /* .. runs the jobs */
static int held[2];  /* a pipe: who reads it waits for the test */

static void begin(void)
{
    log_open(&log_of_tests, STDERR_FILENO, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    loop = loop_new(&log_of_tests);
    worker = worker_new(loop);
    thread_of_loop = pthread_self();
    ck_assert_int_eq(pipe(held), 0);
}

static void end(void)
{
    worker_free(worker);
    loop_free(loop);
    (void)close(held[0]);
    (void)close(held[1]);
}

static void run(struct job *j)
{
    (void)j;
    ck_assert(in_loop == (pthread_equal(pthread_self(), thread_of_loop) != 0));
    runs++;
}

static void run_held(struct job *j)
{
    char byte;

    run(j);
    ck_assert_int_eq(read(held[0], &byte, 1), 1);
}

static void finish(struct job *j)
{
    ck_assert(pthread_equal(pthread_self(), thread_of_loop));
    ck_assert_uint_eq(CONTAINER_OF(j, struct task, job)->number, done);
    if (++done == JOBS)
        loop_stop(loop);
}

static void drop(struct job *j)
{
    (void)j;
    drops++;
}

static const struct job_ops quick = {run, finish, drop}, slow = {run_held, finish, drop};

static void ask(unsigned i, const struct job_ops *ops)
{
    tasks[i] = (struct task){.job.ops = ops, .number = i};
    worker_ask(worker, &tasks[i].job);
}

START_TEST(in_their_order)
{
    for (unsigned i = 0; i < JOBS; i++)
        ask(i, &quick);
    ck_assert_uint_eq(done, 0); /* never from within the call */
    loop_run(loop);
    ck_assert_uint_eq(done, JOBS);
    ck_assert_uint_eq(runs, JOBS);
    worker_free(worker);
    worker = NULL;
    ck_assert_uint_eq(drops, 0);
}
END_TEST

static void until(const atomic_uint *count, unsigned n)
{
    while (*count < n)
        (void)usleep(100);
}

/* One runs, the others wait for it: nobody waits for either, and each is dropped once. */
START_TEST(left_while_one_runs)
{
    ask(0, &slow);
    until(&runs, 1);
    for (unsigned i = 1; i < JOBS; i++)
        ask(i, &quick);
    worker_free(worker);
    worker = NULL;
    ck_assert_uint_eq(drops, JOBS - 1);
    ck_assert_int_eq(write(held[1], "", 1), 1);
    until(&drops, JOBS);
    ck_assert_uint_eq(runs, 1);
    ck_assert_uint_eq(done, 0);
}
END_TEST

/* All have run, and the loop has not been told yet. */
START_TEST(left_before_it_is_told)
{
    for (unsigned i = 0; i < JOBS; i++)
        ask(i, &quick);
    until(&runs, JOBS);
    worker_free(worker);
    worker = NULL;
    until(&drops, JOBS);
    ck_assert_uint_eq(done, 0);
}
END_TEST

/* No stack can be as large. */
START_TEST(without_a_thread)
{
    pthread_attr_t attr;

    ck_assert_int_eq(pthread_attr_init(&attr), 0);
    ck_assert_int_eq(pthread_attr_setstacksize(&attr, (size_t)1 << 50), 0);
    ck_assert_int_eq(pthread_setattr_default_np(&attr), 0);
    (void)pthread_attr_destroy(&attr);
    in_loop = true;
    for (unsigned i = 0; i < JOBS; i++)
        ask(i, &quick);
    ck_assert_uint_eq(runs, JOBS);
    ck_assert_uint_eq(done, 0);
    loop_run(loop);
    ck_assert_uint_eq(done, JOBS);
}
END_TEST

START_TEST(freed_unasked)
{
    worker_free(NULL);
}
END_TEST

Suite *worker_suite(void)
{
    Suite *suite = suite_create("worker");
    TCase *t = tcase_create("worker");

    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, in_their_order);
    tcase_add_test(t, left_while_one_runs);
    tcase_add_test(t, left_before_it_is_told);
    tcase_add_test(t, without_a_thread);
    tcase_add_test(t, freed_unasked);
    suite_add_tcase(suite, t);
    return suite;
}
