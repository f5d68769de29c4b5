/* touching.h - what the tests of renewals share. Windows are 1,000 s, so that a quarter is 250 s.
 */
#ifndef LARDER_TESTS_UNIT_POLICY_TOUCHING_H
#define LARDER_TESTS_UNIT_POLICY_TOUCHING_H

#include "policy/touches.h"

#define W     UINT64_C(1000000)
#define Q     (W / 4)
#define NOW   UINT64_C(5000000)
#define NEVER UINT64_MAX

#define KEY key("sess:1", 7)

struct touch_key key(const char *name, uint32_t scope);

/* A hit of KEY by who knows the deadline from a look before everything else. */
enum touch_verdict hit(struct touches *t, uint64_t deadline_ms, uint64_t now_ms);
/* .. by who has looked right now. */
enum touch_verdict hit_fresh(struct touches *t, uint64_t deadline_ms, uint64_t now_ms);

void none_due(struct touches *t, uint64_t now_ms);
void is_due(struct touches *t, uint64_t now_ms, struct touch_key want, uint64_t want_left);
void holds(const struct touches *t, size_t pending, uint64_t next_ms);

#endif
