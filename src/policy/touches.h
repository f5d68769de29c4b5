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
 * So at most one a key and quarter; and who is killed loses a quarter of the window at most. After
 * each hit either the upstream is told at once, or within a quarter, or it need not be told: its
 * deadline is as late as the promise, or it has said that the key's cap allows no more.
 *
 *      touches_hit() -> TOUCH_TELL --+
 *                                    +--> PEXPIRE key window (left) GT --> touches_told()
 *      touches_due() -> left --------+         failed: touches_forget(), so that the next hit tells
 *
 * While an answer is awaited, and for the quarter that follows, the telling itself is remembered
 * too. It is bounded: when there are too many keys a hit is told at once.
 *
 * Times are those of the caller, in ms (CLOCK_BOOTTIME), and do not go back; a window is at most
 * INT64_MAX, and may differ from call to call: nothing that was promised gets shorter by that. Keys
 * are bytes and a scope number; they are copied. */
#ifndef LARDER_POLICY_TOUCHES_H
#define LARDER_POLICY_TOUCHES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/slice.h"

struct touches;

/* max_keys: how many keys are remembered at most, those that were just told included; and together
 * max_keys * TOUCH_KEY_BYTES of their bytes. Takes 8 bytes for each at once (not resident before
 * they are used). The caller owns the result. */
MUST_USE
struct touches *touches_new(size_t max_keys);
void touches_free(struct touches *t);

struct touch_key {
    struct slice key;
    uint32_t scope; /* whose: the caller's number of database and login */
};

enum touch_verdict {
    TOUCH_TELL,       /* tell the upstream now: PEXPIRE key window GT; then touches_told() */
    TOUCH_REMEMBERED, /* nothing to do: it will be due, or the deadline is late enough already */
    TOUCH_CAPPED,     /* nothing to do: the key's cap is reached, the upstream said so */
};

/* The key was found at now_ms, its deadline upstream known to be deadline_ms (UINT64_MAX: never; 0:
 * unknown), as of a look at asked_ms (when it was asked for, not when the answer came).
 *
 * deadline_ms >= now_ms + window_ms (also: never): there is nothing to renew. REMEMBERED, but
 * nothing is stored, and what was pending and is not later than the deadline is void. The caller
 * who gets TOUCH_TELL must tell: until it says how that went, and for a quarter of the window at
 * most, other hits rely on it. */
MUST_USE
enum touch_verdict touches_hit(struct touches *t, struct touch_key k, uint64_t window_ms,
                               uint64_t deadline_ms, uint64_t asked_ms, uint64_t now_ms);

/* The upstream was told, as touches_hit() or touches_due() wanted, and its answer came at now_ms:
 * the deadline is deadline_ms now (0: the key is not there: forgotten). Within the quarter of the
 * window that follows it is not told again, unless a look that was asked for at now_ms or later
 * finds an earlier deadline (or, where the answer showed a cap, another one). deadline_ms earlier
 * than was wanted, by more than 1 s or 1/16 window_ms: a cap. Without effect when the key was
 * forgotten since it was told. */
void touches_told(struct touches *t, struct touch_key k, uint64_t window_ms, uint64_t deadline_ms,
                  uint64_t now_ms);

/* The key was written, deleted or flushed: what was remembered of it is void. Not for invalidations
 * in general: each telling causes one. Also when a telling failed. */
void touches_forget(struct touches *t, struct touch_key k);
void touches_forget_all(struct touches *t);

/* The deadline promised to who asks (TTL), while it is pending or its telling unanswered; where the
 * upstream's own is later, that counts. 0: no more than what the upstream says. */
MUST_USE
uint64_t touches_promised(const struct touches *t, struct touch_key k);

/* The next that is due at now_ms: no longer pending, and taken for told until touches_told() or
 * touches_forget(). all: even those that are not due yet, for a shutdown; nothing else stays
 * remembered. The slice lives until the next call that changes t. *ret_left_ms, never 0, is what
 * the key is to be given; a promise that has run out is dropped. False: none is. */
MUST_USE
bool touches_due(struct touches *t, uint64_t now_ms, bool all, struct touch_key *ret_key,
                 uint64_t *ret_left_ms);

/* When touches_due() wants to be called next: something is due then, or a telling can be forgotten
 * (so it may return false). Never later than what is due, perhaps in the past. UINT64_MAX: nothing
 * is remembered. */
MUST_USE
uint64_t touches_next_ms(const struct touches *t);

/* How many are pending: what touches_due() would give with all. */
MUST_USE
size_t touches_count(const struct touches *t);

#endif
