/* kept.h - what was asked on a shared link and is not answered yet, word for word: so that reads
 * can be asked once more when the link breaks (client/retry.c).
 *
 *     slots:   | A x3 | B x1 | A x16 | C x1 |          in the order of the requests
 *     bytes:   (before)  [ bytes ............ ] [ out ]
 *
 * What is answered is only counted (`answered`) until there is more to be sent, or a while has
 * passed: many answers cost one step then.
 *
 * `before` are sent but not kept, being too many; `out` is the link's, not sent yet. Memory goes
 * over from `out` as it is where that can be: nothing is copied while a turn's requests are
 * answered before the next are sent. */
#ifndef LARDER_UPSTREAM_KEPT_H
#define LARDER_UPSTREAM_KEPT_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/slice.h"

struct kept {
    struct buffer bytes;
    size_t before, answered;
    bool on;
};

/* Nothing is unanswered; from now on what is sent is kept, or not. */
void kept_begin(struct kept *k, bool on);
/* The first n bytes of `out` have been sent: they are taken from there. */
void kept_sent(struct kept *k, struct buffer *out, size_t n);
/* The oldest requests, n bytes of them, have been answered. */
static inline void kept_answered(struct kept *k, size_t n)
{
    k->answered += n;
}
/* Gives back the memory of what is answered; for links that are at rest. */
void kept_settle(struct kept *k);
/* The link has ended: what was in `out` stands behind what is kept. */
void kept_end(struct kept *k, struct buffer *out);
/* After that: the next n bytes, empty where they were not kept; kept_answered() steps over them. */
MUST_USE
struct slice kept_next(struct kept *k, size_t n);

#endif
