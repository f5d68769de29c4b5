/* slots.h - who waits for the next replies of a link, in order: a ring of runs.
 *
 *        head                     tail
 *     ---|-- A x3 -- B x1 -- A x16 --|---
 *
 * Replies carry no name: the only thing that says whose they are is their order. Requests in
 * succession by one asker in one millisecond share a slot, so that a deep pipeline costs one. */
#ifndef LARDER_UPSTREAM_SLOTS_H
#define LARDER_UPSTREAM_SLOTS_H

#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "upstream/asker.h"

struct slot {
    struct asker *asker;
    uint32_t count;    /* replies still to come */
    uint32_t asked_ms; /* low bits of the loop's clock */
    uint32_t bytes;    /* of its requests, those answered included */
};

struct slots {
    struct slot *ring;
    uint32_t head, len, cap; /* cap is a power of two, or 0 */
};

static inline struct slot *slots_at(const struct slots *s, uint32_t i)
{
    return &s->ring[(s->head + i) & (s->cap - 1)];
}

static inline void slots_pop(struct slots *s)
{
    s->head = (s->head + 1) & (s->cap - 1);
    s->len--;
}

void slots_grow(struct slots *s);

/* The slot that the requests have joined, or that is theirs. fresh: they do not join the last one
 * even if it is of the same asker. */
static inline struct slot *slots_push(struct slots *s, struct asker *a, uint32_t n, uint32_t now_ms,
                                      bool fresh)
{
    struct slot *last;

    if (s->len > 0 && !fresh) {
        last = slots_at(s, s->len - 1);
        if (last->asker == a && last->asked_ms == now_ms) {
            last->count += n;
            return last;
        }
    }
    if (UNLIKELY(s->len == s->cap))
        slots_grow(s);
    last = slots_at(s, s->len++);
    *last = (struct slot){a, n, now_ms, 0};
    return last;
}

static inline void slots_done(struct slots *s)
{
    free(s->ring);
    *s = (struct slots){0};
}

#endif
