/* touches.h - renewals of sliding keys that the upstream has not heard of yet.
 *
 * A read that finds a key under `sliding` promises it `window` more from now on. To tell the
 * upstream each time would cost a write per read, and every near cache its copy. So it is told when
 * more than a quarter of the window is used up there, and of what came meanwhile the last is
 * remembered, and told when that quarter is used up:
 *
 *      deadline upstream U = T + window, told at T
 *      hit at T + 1s .. T + window/4    remembered: promised = hit + window
 *      T + window/4                     due: told, for what is then left of the promise
 *      hit later than that              told at once (nothing was pending)
 *
 * So at most one a key and quarter; and who is killed loses a quarter of the window at most. It is
 * bounded: when there are too many keys a hit is told at once. Times are those of the caller, in ms
 * (CLOCK_BOOTTIME); keys are bytes and a scope number. */
#ifndef LARDER_POLICY_TOUCHES_H
#define LARDER_POLICY_TOUCHES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/slice.h"

struct touches;

/* max_keys: how many are remembered at most. The caller owns the result. */
MUST_USE
struct touches *touches_new(size_t max_keys);
void touches_free(struct touches *t);

struct touch_key {
    struct slice key;
    uint32_t scope; /* whose: the caller's number of database and login */
};

enum touch_verdict {
    TOUCH_TELL,       /* tell the upstream now: PEXPIRE key window GT; then touches_told() */
    TOUCH_REMEMBERED, /* nothing to do; it will be due */
    TOUCH_CAPPED,     /* nothing to do: the key's cap is reached, the upstream said so */
};

/* The key was found at now_ms, its deadline upstream known to be deadline_ms (UINT64_MAX: never; 0:
 * unknown), as of a look at asked_ms. */
MUST_USE
enum touch_verdict touches_hit(struct touches *t, struct touch_key k, uint64_t window_ms,
                               uint64_t deadline_ms, uint64_t asked_ms, uint64_t now_ms);

/* The upstream was told at now_ms, and answered that the deadline is deadline_ms now (0: the key
 * is not there: forgotten). Within the quarter of the window that follows it is not told again
 * unless a look after this finds the deadline earlier than that. */
void touches_told(struct touches *t, struct touch_key k, uint64_t window_ms, uint64_t deadline_ms,
                  uint64_t now_ms);

/* The key was written, deleted or flushed: what was remembered of it is void. */
void touches_forget(struct touches *t, struct touch_key k);
void touches_forget_all(struct touches *t);

/* The deadline promised to who asks (TTL); 0: no more than what the upstream says. */
MUST_USE
uint64_t touches_promised(const struct touches *t, struct touch_key k);

/* The next that is due at now_ms (all: even those that are not, at a shutdown): taken out. The
 * slices live until the next call. *ret_left_ms is what the key is to be given. False: none. */
MUST_USE
bool touches_due(struct touches *t, uint64_t now_ms, bool all, struct touch_key *ret_key,
                 uint64_t *ret_left_ms);

/* When the next is due; UINT64_MAX: none is. */
MUST_USE
uint64_t touches_next_ms(const struct touches *t);

MUST_USE
size_t touches_count(const struct touches *t);

#endif
