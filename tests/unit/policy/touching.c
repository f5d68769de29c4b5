/* touching.c - see touching.h. */
#include "touching.h"

#include <check.h>

struct touch_key key(const char *name, uint32_t scope)
{
    return (struct touch_key){.key = slice_str(name), .scope = scope};
}

enum touch_verdict hit(struct touches *t, uint64_t deadline_ms, uint64_t now_ms)
{
    return touches_hit(t, KEY, W, deadline_ms, 0, now_ms);
}

enum touch_verdict hit_fresh(struct touches *t, uint64_t deadline_ms, uint64_t now_ms)
{
    return touches_hit(t, KEY, W, deadline_ms, now_ms, now_ms);
}

void none_due(struct touches *t, uint64_t now_ms)
{
    struct touch_key k = key("untouched", 1);
    uint64_t left = 77;

    ck_assert(!touches_due(t, now_ms, false, &k, &left));
    ck_assert_uint_eq(left, 77);
    ck_assert_uint_eq(k.scope, 1);
}

void is_due(struct touches *t, uint64_t now_ms, struct touch_key want, uint64_t want_left)
{
    struct touch_key k;
    uint64_t left;

    ck_assert(touches_due(t, now_ms, false, &k, &left));
    ck_assert(slice_eq(k.key, want.key));
    ck_assert_uint_eq(k.scope, want.scope);
    ck_assert_uint_eq(left, want_left);
}

void holds(const struct touches *t, size_t pending, uint64_t next_ms)
{
    ck_assert_uint_eq(touches_count(t), pending);
    ck_assert_uint_eq(touches_next_ms(t), next_ms);
}
