/* preload_clock.c - a clock that tests move.
 *
 * Loaded into redis-server and larder with LD_PRELOAD. LARDER_CLOCK names a file of eight bytes, an
 * int64 of nanoseconds, which all of them map: whatever clock they read, it shows so much more. So
 * a test that has written a larger number there (tests/support/clock.py) is in the future with all
 * of its servers at once.
 *
 * What waits with a timeout waits in slices of 10 ms of real time, until the moved clock says that
 * the timeout is over: a timer that has become due by a move is seen within a slice. The timeout
 * counts from the clock that was read last: who read it, reckoned, and was overtaken by a move
 * before it came to wait would sleep for as long as the move is, too.
 *
 * Everything is a plain system call. Nothing is looked up with dlsym, which may allocate: an
 * allocator reads the clock. Sleeping and alarms keep to real time. Nothing here needs a lock; the
 * file is only ever read, and in one piece. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000ll
#define SLICE_NS  10000000ll
#define FOREVER   INT64_MAX
#define SIGSET    8u /* bytes, to the kernel */

static const _Atomic int64_t *moved_by; /* NULL: not yet, or LARDER_CLOCK is unset */
static _Thread_local int64_t seen;      /* of it, in the time read last */

static _Noreturn void give_up(const char *why)
{
    (void)!write(2, why, strlen(why));
    _exit(70);
}

__attribute__((constructor)) static void open_clock(void)
{
    const char *path = getenv("LARDER_CLOCK");
    void *at;
    int fd;

    if (path == NULL)
        return;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        give_up("preload_clock: LARDER_CLOCK names no file that can be read\n");
    at = mmap(NULL, sizeof *moved_by, PROT_READ, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (at == MAP_FAILED)
        give_up("preload_clock: LARDER_CLOCK cannot be mapped\n");
    moved_by = at;
}

/* ---- clocks ---- */

static int64_t in_ns(const struct timespec *t)
{
    return (int64_t)t->tv_sec * SECOND_NS + t->tv_nsec;
}

static struct timespec of_ns(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS};
}

/* Does that clock show the time, and not how much of a processor was used? */
static bool tells_time(clockid_t id)
{
    return id == CLOCK_REALTIME || id == CLOCK_MONOTONIC || id == CLOCK_BOOTTIME ||
           id == CLOCK_REALTIME_COARSE || id == CLOCK_MONOTONIC_COARSE ||
           id == CLOCK_MONOTONIC_RAW || id == CLOCK_TAI;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    if (syscall(SYS_clock_gettime, id, t) != 0)
        return -1;
    if (moved_by != NULL && tells_time(id)) {
        seen = atomic_load(moved_by);
        *t = of_ns(in_ns(t) + seen);
    }
    return 0;
}

static struct timespec wall_clock(void)
{
    struct timespec t = {.tv_sec = 0};

    (void)clock_gettime(CLOCK_REALTIME, &t);
    return t;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    struct timespec now = wall_clock();

    if (zone != NULL)
        memset(zone, 0, sizeof(struct timezone));
    t->tv_sec = now.tv_sec;
    t->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *ret_now)
{
    time_t now = wall_clock().tv_sec;

    if (ret_now != NULL)
        *ret_now = now;
    return now;
}

int timespec_get(struct timespec *t, int base)
{
    if (base != TIME_UTC)
        return 0;
    *t = wall_clock();
    return base;
}

/* ---- waiting ---- */

/* As it would be had nobody moved it. */
static int64_t real_ns(void)
{
    struct timespec t = {.tv_sec = 0};

    (void)syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
    return in_ns(&t);
}

static int64_t now_ns(void)
{
    return real_ns() + (moved_by == NULL ? 0 : atomic_load(moved_by));
}

static int64_t end_of(int64_t timeout_ns)
{
    return timeout_ns == FOREVER ? FOREVER : real_ns() + seen + timeout_ns;
}

/* How long to wait now for something that is over at `end`. */
static struct timespec slice(int64_t end)
{
    int64_t left = end == FOREVER ? SLICE_NS : end - now_ns();

    return of_ns(left < 0 ? 0 : left < SLICE_NS ? left : SLICE_NS);
}

static bool is_over(int64_t end)
{
    return end != FOREVER && now_ns() >= end;
}

static int64_t of_ms(int ms)
{
    return ms < 0 ? FOREVER : (int64_t)ms * 1000000;
}

/* The kernel's epoll_pwait2 is younger than its epoll_pwait, which counts in milliseconds: upwards,
 * lest the last one be waited for without rest. */
static int wait_epoll(int fd, struct epoll_event *e, int most, int64_t ns, const sigset_t *mask)
{
    int64_t end = end_of(ns);
    long n;

    do {
        struct timespec t = slice(end);

        n = syscall(SYS_epoll_pwait, fd, e, most, (int)((t.tv_nsec + 999999) / 1000000), mask,
                    SIGSET);
    } while (n == 0 && !is_over(end));
    return (int)n;
}

int epoll_wait(int fd, struct epoll_event *e, int most, int ms)
{
    return wait_epoll(fd, e, most, of_ms(ms), NULL);
}

int epoll_pwait(int fd, struct epoll_event *e, int most, int ms, const sigset_t *mask)
{
    return wait_epoll(fd, e, most, of_ms(ms), mask);
}

int epoll_pwait2(int fd, struct epoll_event *e, int most, const struct timespec *t,
                 const sigset_t *mask)
{
    return wait_epoll(fd, e, most, t == NULL ? FOREVER : in_ns(t), mask);
}

static int wait_poll(struct pollfd *p, nfds_t count, int64_t ns, const sigset_t *mask)
{
    int64_t end = end_of(ns);
    long n;

    do {
        struct timespec t = slice(end);

        n = syscall(SYS_ppoll, p, count, &t, mask, SIGSET);
    } while (n == 0 && !is_over(end));
    return (int)n;
}

int poll(struct pollfd *p, nfds_t count, int ms)
{
    return wait_poll(p, count, of_ms(ms), NULL);
}

int ppoll(struct pollfd *p, nfds_t count, const struct timespec *t, const sigset_t *mask)
{
    return wait_poll(p, count, t == NULL ? FOREVER : in_ns(t), mask);
}

/* Not in slices, which would have to put back what the kernel has cleared in the sets: the callers
 * of select() are few, and see a timeout that came early. */
static int wait_select(int count, fd_set *sets[3], int64_t ns, const sigset_t *mask)
{
    struct timespec t = slice(end_of(ns));
    struct {
        const sigset_t *mask;
        size_t bytes;
    } last = {mask, SIGSET};

    return (int)syscall(SYS_pselect6, count, sets[0], sets[1], sets[2], &t, &last);
}

int select(int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict odd,
           struct timeval *restrict t)
{
    return wait_select(
        count, (fd_set *[]){in, out, odd},
        t == NULL ? FOREVER : (int64_t)t->tv_sec * SECOND_NS + (int64_t)t->tv_usec * 1000, NULL);
}

int pselect(int count, fd_set *restrict in, fd_set *restrict out, fd_set *restrict odd,
            const struct timespec *restrict t, const sigset_t *restrict mask)
{
    return wait_select(count, (fd_set *[]){in, out, odd}, t == NULL ? FOREVER : in_ns(t), mask);
}
