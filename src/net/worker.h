/* worker.h - what blocks, off the loop: jobs, one after the other, in one thread.
 *
 *      loop --worker_ask()--> [asked] --thread: run()--> [over] --eventfd--> loop: done()
 *
 * A job is its owner's until worker_ask(), and again from done() on. */
#ifndef LARDER_NET_WORKER_H
#define LARDER_NET_WORKER_H

#include "base/check.h"
#include "base/list.h"

struct job;
struct loop;
struct worker;

struct job_ops {
    void (*run)(struct job *j);  /* in the thread: nothing that is the loop's is touched */
    void (*done)(struct job *j); /* in the loop, never from within worker_ask() */
    void (*drop)(struct job *j); /* in either, in place of done(): the worker has gone */
};

/* Embedded in what the owner keeps of it. */
struct job {
    struct list node;
    const struct job_ops *ops;
};

/* The thread starts with the first job. Where the system has none to give, jobs run in the loop. */
MUST_USE
struct worker *worker_new(struct loop *loop);
/* Drops what is not done. A job that runs, and may do so for long, is not waited for: it is dropped
 * when it is over. NULL is fine. */
void worker_free(struct worker *w);

/* j->ops is set. Jobs run, and are done, in the order of these calls. */
void worker_ask(struct worker *w, struct job *j);

#endif
