/* loop.h - the one loop: sockets, timers, signals, and the beats at the end of a turn.
 *
 * A turn is: wait, then a callback for each socket, timer or signal that is ready, then the beats
 * in the order in which they were added. Callbacks only read, decide and queue; the beats send
 * what was queued and free what was buried. The clock is read once per turn.
 *
 * Wraps libevent; nothing outside net/ names it. */
#ifndef LARDER_NET_LOOP_H
#define LARDER_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/log.h"

struct event;
struct event_base;
struct loop;
struct timer;

/* Owns the event base. The log is borrowed. NULL (and a log line) when libevent refuses. */
MUST_USE
struct loop *loop_new(struct log *log);
void loop_free(struct loop *loop);

/* Runs turns until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Milliseconds of CLOCK_BOOTTIME (a suspended host must not lengthen a deadline), as of this turn.
 */
MUST_USE
uint64_t loop_now_ms(struct loop *loop);

/* READ_BYTES, aligned to a page, into which whoever reads a socket reads: one for all, so that an
 * idle connection keeps none, and that it stays in the cache. LOOP_HEADROOM bytes before it are
 * there for what was left of the last read, to stand in front of what comes: so the kernel always
 * copies to an aligned place, which is a third faster. What is in it lives until the callback
 * returns. */
#define LOOP_HEADROOM (LARGE_REPLY_BYTES + 4096u)
char *loop_scratch(const struct loop *loop);

struct log *loop_log(const struct loop *loop);
struct event_base *loop_base(const struct loop *loop);

/* Calls fn(context) at the end of each turn; true from it means that work is left, and the next
 * turn then does not wait. At most LOOP_BEATS. */
void loop_add_beat(struct loop *loop, bool (*fn)(void *context), void *context);

/* Work has come up; if that is from within a beat, the next turn does not wait. */
void loop_again(struct loop *loop);

/* For stream_hasten(): of the events that are ready in a turn this one comes first. Between
 * event_assign() and event_add(); its callback calls loop_hastened(). */
void loop_hasten(struct event *e);
void loop_hastened(struct loop *loop);

/* For streams that have read more from the socket than their owner has taken: epoll does not tell
 * of that. The event is told that it is readable in the next turn, once, which does not wait; if it
 * is to be told of anything then. Reminding again changes nothing; loop_forget_reminder() before
 * the event or the reminder goes. */
struct loop_reminder {
    struct list node;
    struct event *event;
};
void loop_reminder_init(struct loop_reminder *r);
void loop_remind(struct loop *loop, struct loop_reminder *r, struct event *e);
void loop_forget_reminder(struct loop_reminder *r);

/* A timer, not running. The caller owns it: timer_free(). */
MUST_USE
struct timer *timer_new(struct loop *loop, void (*fn)(void *context), void *context);
void timer_free(struct timer *t);
/* Fires once after ms; a running timer starts anew. */
void timer_start(struct timer *t, uint64_t ms);
void timer_stop(struct timer *t);
MUST_USE
bool timer_running(const struct timer *t);

/* Calls fn(context) whenever the signal has come, from the loop. Lives as long as the loop. */
void loop_on_signal(struct loop *loop, int signal_number, void (*fn)(void *context), void *context);

/* Calls fn(context) whenever fd is readable; the watch is the caller's: loop_unwatch(). */
struct watch;
MUST_USE
struct watch *loop_watch(struct loop *loop, int fd, void (*fn)(void *context), void *context);
void watch_pause(struct watch *w);
void watch_resume(struct watch *w);
void loop_unwatch(struct watch *w);

/* What the process has of libevent, compiled and running: for --version. */
const char *loop_library_version(bool running);

#endif
