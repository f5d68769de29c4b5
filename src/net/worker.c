/* worker.c - see worker.h.
 *
 * The two lists, `runs` and `gone` are shared with the thread and guarded by the mutex; everything
 * else belongs to the loop. Whoever leaves last frees it all. */
#include "net/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "net/loop.h"

struct worker {
    struct watch *watch;
    int wake; /* eventfd */
    bool started;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    struct list asked, over;
    bool runs; /* a job does */
    bool gone; /* worker_free() has been called */
};

static struct job *take_first(struct list *l)
{
    struct job *j = CONTAINER_OF(l->next, struct job, node);

    list_leave(&j->node);
    return j;
}

static void release(struct worker *w)
{
    (void)pthread_cond_destroy(&w->cond);
    (void)pthread_mutex_destroy(&w->mutex);
    free(w);
}

/* The mutex is held, and is let go meanwhile. */
static void run_one(struct worker *w, struct job *j)
{
    uint64_t one = 1;

    w->runs = true;
    (void)pthread_mutex_unlock(&w->mutex);
    j->ops->run(j);
    (void)pthread_mutex_lock(&w->mutex);
    w->runs = false;
    if (w->gone) {
        j->ops->drop(j);
        return;
    }
    list_push_back(&w->over, &j->node);
    CHECK(write(w->wake, &one, sizeof one) == sizeof one);
}

static void *thread_main(void *arg)
{
    struct worker *w = arg;
    bool last = false;

    (void)pthread_mutex_lock(&w->mutex);
    while (!w->gone) {
        if (list_empty(&w->asked)) {
            (void)pthread_cond_wait(&w->cond, &w->mutex);
            continue;
        }
        run_one(w, take_first(&w->asked));
        last = w->gone;
    }
    (void)pthread_mutex_unlock(&w->mutex);
    if (last)
        release(w);
    return NULL;
}

static void on_over(void *context)
{
    struct worker *w = context;
    struct list over;
    uint64_t n;

    list_init(&over);
    (void)pthread_mutex_lock(&w->mutex);
    if (read(w->wake, &n, sizeof n) > 0)
        list_move_all(&w->over, &over);
    (void)pthread_mutex_unlock(&w->mutex);
    while (!list_empty(&over)) {
        struct job *j = take_first(&over);

        j->ops->done(j);
    }
}

struct worker *worker_new(struct loop *loop)
{
    struct worker *w = must_calloc(1, sizeof *w);

    w->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(w->wake >= 0);
    list_init(&w->asked);
    list_init(&w->over);
    CHECK(pthread_mutex_init(&w->mutex, NULL) == 0 && pthread_cond_init(&w->cond, NULL) == 0);
    w->watch = loop_watch(loop, w->wake, on_over, w);
    return w;
}

static void drop_all(struct list *l)
{
    while (!list_empty(l)) {
        struct job *j = take_first(l);

        j->ops->drop(j);
    }
}

void worker_free(struct worker *w)
{
    bool runs;

    if (w == NULL)
        return;
    loop_unwatch(w->watch);
    (void)pthread_mutex_lock(&w->mutex);
    w->gone = true;
    runs = w->runs;
    drop_all(&w->asked);
    drop_all(&w->over);
    (void)close(w->wake);
    if (runs)
        (void)pthread_detach(w->thread);
    (void)pthread_cond_signal(&w->cond);
    (void)pthread_mutex_unlock(&w->mutex);
    if (runs) /* w is the thread's now */
        return;
    if (w->started)
        (void)pthread_join(w->thread, NULL);
    release(w);
}

/* Signals are the loop's: the thread takes none. */
static void start_thread(struct worker *w)
{
    sigset_t all, before;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    w->started = pthread_create(&w->thread, NULL, thread_main, w) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void worker_ask(struct worker *w, struct job *j)
{
    if (!w->started)
        start_thread(w);
    (void)pthread_mutex_lock(&w->mutex);
    if (w->started)
        list_push_back(&w->asked, &j->node);
    else
        run_one(w, j); /* the system has no thread for it: better late than not at all */
    (void)pthread_cond_signal(&w->cond);
    (void)pthread_mutex_unlock(&w->mutex);
}
