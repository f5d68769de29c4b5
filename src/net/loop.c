/* loop.c - see loop.h. */
#include "net/loop.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <time.h>

#define LOOP_BEATS   8
#define LOOP_SIGNALS 8

/* Lower is served first: of the sockets ready in a turn, those that bring invalidations come before
 * those of clients. */
enum { PRIORITY_FIRST, PRIORITY_NORMAL, PRIORITIES };

struct signal_watch {
    struct event *event;
    void (*fn)(void *context);
    void *context;
};

struct loop {
    struct event_base *base;
    struct log *log;
    char *scratch;
    bool stopping;
    bool clock_read; /* now_ms is of this turn */
    bool again;      /* the next turn does not wait */
    uint64_t now_ms;
    struct event *kick; /* made active when a turn is to end, or the next not to wait */
    size_t beat_count, signal_count;
    struct list reminders;
    struct {
        bool (*fn)(void *context);
        void *context;
    } beats[LOOP_BEATS];
    struct signal_watch signals[LOOP_SIGNALS];
};

struct timer {
    struct event event;
    void (*fn)(void *context);
    void *context;
};

struct watch {
    struct event event;
    void (*fn)(void *context);
    void *context;
};

static void on_kick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

struct loop *loop_new(struct log *log)
{
    struct event_config *config = event_config_new();
    struct loop *loop = must_calloc(1, sizeof *loop);

    loop->log = log;
    list_init(&loop->reminders);
    loop->scratch = aligned_alloc(4096, LOOP_HEADROOM + READ_BYTES);
    CHECK(loop->scratch != NULL);
    if (config != NULL) {
        /* One thread: no locks. */
        (void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
        loop->base = event_base_new_with_config(config);
        event_config_free(config);
    }
    if (loop->base == NULL || event_base_priority_init(loop->base, PRIORITIES) != 0) {
        log_error(log, "loop: libevent gives no event base");
        loop_free(loop);
        return NULL;
    }
    loop->kick = event_new(loop->base, -1, 0, on_kick, NULL);
    CHECK(loop->kick != NULL);
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    for (size_t i = 0; i < loop->signal_count; i++)
        event_free(loop->signals[i].event);
    if (loop->kick != NULL)
        event_free(loop->kick);
    if (loop->base != NULL)
        event_base_free(loop->base);
    free(loop->scratch);
    free(loop);
}

static void remind(struct loop *loop)
{
    while (!list_empty(&loop->reminders)) {
        struct loop_reminder *r = CONTAINER_OF(loop->reminders.next, struct loop_reminder, node);

        list_leave(&r->node);
        event_active(r->event, EV_READ, 0);
    }
}

void loop_run(struct loop *loop)
{
    while (!loop->stopping) {
        loop->clock_read = false;
        (void)event_base_loop(loop->base, EVLOOP_ONCE);
        loop->again = false;
        for (size_t i = 0; i < loop->beat_count; i++)
            loop->again |= loop->beats[i].fn(loop->beats[i].context);
        if (loop->again)
            event_active(loop->kick, EV_TIMEOUT, 0);
        remind(loop);
    }
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
    event_active(loop->kick, EV_TIMEOUT, 0);
}

NOINLINE static uint64_t read_clock(struct loop *loop)
{
    struct timespec t;

    CHECK(clock_gettime(CLOCK_BOOTTIME, &t) == 0);
    loop->now_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
    loop->clock_read = true;
    return loop->now_ms;
}

uint64_t loop_now_ms(struct loop *loop)
{
    return LIKELY(loop->clock_read) ? loop->now_ms : read_clock(loop);
}

char *loop_scratch(const struct loop *loop)
{
    return loop->scratch + LOOP_HEADROOM;
}

struct log *loop_log(const struct loop *loop)
{
    return loop->log;
}

struct event_base *loop_base(const struct loop *loop)
{
    return loop->base;
}

void loop_add_beat(struct loop *loop, bool (*fn)(void *context), void *context)
{
    CHECK(loop->beat_count < LOOP_BEATS);
    loop->beats[loop->beat_count].fn = fn;
    loop->beats[loop->beat_count].context = context;
    loop->beat_count++;
}

void loop_again(struct loop *loop)
{
    loop->again = true;
}

/* After events of the first priority libevent would look for what else has become ready before it
 * goes on with the next: one epoll_wait more. Not after those that it takes for its own; but then
 * they do not end the turn, either. */
void loop_hasten(struct event *e)
{
    CHECK(event_priority_set(e, PRIORITY_FIRST) == 0);
    e->ev_evcallback.evcb_flags |= EVLIST_INTERNAL;
}

void loop_hastened(struct loop *loop)
{
    event_active(loop->kick, EV_TIMEOUT, 0);
}

void loop_reminder_init(struct loop_reminder *r)
{
    list_init(&r->node);
}

void loop_remind(struct loop *loop, struct loop_reminder *r, struct event *e)
{
    r->event = e;
    if (list_empty(&r->node))
        list_push_back(&loop->reminders, &r->node);
}

void loop_forget_reminder(struct loop_reminder *r)
{
    list_leave(&r->node);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct timer *t = arg;

    (void)fd;
    (void)what;
    t->fn(t->context);
}

struct timer *timer_new(struct loop *loop, void (*fn)(void *context), void *context)
{
    struct timer *t = must_calloc(1, sizeof *t);

    t->fn = fn;
    t->context = context;
    CHECK(event_assign(&t->event, loop->base, -1, 0, on_timer, t) == 0);
    return t;
}

void timer_free(struct timer *t)
{
    if (t == NULL)
        return;
    (void)event_del(&t->event);
    free(t);
}

void timer_start(struct timer *t, uint64_t ms)
{
    struct timeval after = {.tv_sec = (time_t)(ms / 1000),
                            .tv_usec = (suseconds_t)(ms % 1000) * 1000};

    CHECK(event_add(&t->event, &after) == 0);
}

void timer_stop(struct timer *t)
{
    (void)event_del(&t->event);
}

bool timer_running(const struct timer *t)
{
    return event_pending(&t->event, EV_TIMEOUT, NULL) != 0;
}

static void on_signal(evutil_socket_t signal_number, short what, void *arg)
{
    struct signal_watch *s = arg;

    (void)signal_number;
    (void)what;
    s->fn(s->context);
}

void loop_on_signal(struct loop *loop, int signal_number, void (*fn)(void *context), void *context)
{
    struct signal_watch *s;

    CHECK(loop->signal_count < LOOP_SIGNALS);
    s = &loop->signals[loop->signal_count++];
    s->fn = fn;
    s->context = context;
    s->event = evsignal_new(loop->base, signal_number, on_signal, s);
    CHECK(s->event != NULL && event_add(s->event, NULL) == 0);
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
    struct watch *w = arg;

    (void)fd;
    (void)what;
    w->fn(w->context);
}

struct watch *loop_watch(struct loop *loop, int fd, void (*fn)(void *context), void *context)
{
    struct watch *w = must_calloc(1, sizeof *w);

    w->fn = fn;
    w->context = context;
    CHECK(event_assign(&w->event, loop->base, fd, EV_READ | EV_PERSIST, on_watch, w) == 0);
    watch_resume(w);
    return w;
}

void watch_pause(struct watch *w)
{
    (void)event_del(&w->event);
}

void watch_resume(struct watch *w)
{
    CHECK(event_add(&w->event, NULL) == 0);
}

void loop_unwatch(struct watch *w)
{
    if (w == NULL)
        return;
    (void)event_del(&w->event);
    free(w);
}

const char *loop_library_version(bool running)
{
    return running ? event_get_version() : LIBEVENT_VERSION;
}
