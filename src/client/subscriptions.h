/* subscriptions.h - how many channels, patterns and shard channels a session has, and which
 * confirmations it still waits for, told from the frames that pass.
 *
 * A SUBSCRIBE of n channels is answered by n frames (or by one error), an UNSUBSCRIBE of all by as
 * many as there are channels (at least one). Messages come in between. */
#ifndef LARDER_CLIENT_SUBSCRIPTIONS_H
#define LARDER_CLIENT_SUBSCRIPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum sub_kind { SUB_CHANNEL, SUB_PATTERN, SUB_SHARD, SUB_KINDS };

struct expected {
    uint32_t frames; /* 0: as many as there are of `kind` then, at least one */
    uint8_t kind;    /* enum sub_kind; SUB_KINDS: a reply that is no confirmation */
};

struct subscriptions {
    int64_t count[SUB_KINDS];
    struct expected *queue; /* owned; subscriptions_done() */
    uint32_t head, len, cap;
    bool began; /* the head's frame count has been fixed */
};

/* A request of `frames` confirmations (0: UNSUBSCRIBE of all of a kind) was sent. */
void subscriptions_expect(struct subscriptions *s, enum sub_kind kind, uint32_t frames);
/* A frame has come (its beginning, at least its first element and, of a confirmation, all of it).
 */
void subscriptions_frame(struct subscriptions *s, struct slice frame);
/* Nothing is subscribed. */
MUST_USE
bool subscriptions_none(const struct subscriptions *s);
/* No confirmation is due. */
MUST_USE
bool subscriptions_quiet(const struct subscriptions *s);
void subscriptions_done(struct subscriptions *s);

#endif
