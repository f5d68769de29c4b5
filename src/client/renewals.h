/* renewals.h - tells the upstream that reads have renewed sliding keys; remembers what it has not
 * told yet (policy/touches.h says when it is due). Times are those of the loop, in ms. */
#ifndef LARDER_CLIENT_RENEWALS_H
#define LARDER_CLIENT_RENEWALS_H

#include "client/rules.h"
#include "policy/touches.h"

struct renewals;

MUST_USE
struct renewals *renewals_new(struct rules *r);
void renewals_close(struct renewals *s); /* the pool goes next */
void renewals_free(struct renewals *s);

/* When a key will expire upstream (UINT64_MAX: never; 0: unknown), as of a look at asked_ms. */
struct known_deadline {
    uint64_t deadline_ms, asked_ms;
};
/* c has found the key: it is told now, or will be. */
void renewals_hit(struct renewals *s, const struct client *c, const struct policy *p,
                  struct slice key, struct known_deadline known);
/* The same by a window of c's own; nothing is told, TOUCH_TELL says that it must be. */
MUST_USE
enum touch_verdict renewals_weigh(struct renewals *s, const struct client *c, struct slice key,
                                  uint64_t window_ms, struct known_deadline known);
/* c has asked for the key: asks the upstream when it will expire. */
void renewals_look(struct renewals *s, const struct client *c, struct slice key);
/* The deadline promised; 0: none. */
MUST_USE
uint64_t renewals_promised(struct renewals *s, const struct client *c, struct slice key);
void renewals_forget(struct renewals *s, const struct client *c, struct slice key);
MUST_USE
size_t renewals_count(const struct renewals *s);
/* Tells all that has not been told; true: it has been, and answered. */
MUST_USE
bool renewals_finish(struct renewals *s);

#endif
