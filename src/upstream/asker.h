/* asker.h - who has asked something of a link, and is told of the answers.
 *
 * Whoever asks embeds a struct asker and must live until as many replies (or failures) have come as
 * it has asked for: a client that leaves early stays as a shade until then. */
#ifndef LARDER_UPSTREAM_ASKER_H
#define LARDER_UPSTREAM_ASKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* Why a reply does not come. One row each: enum, word, sentence for the client. */
#define LINK_FAILURES(X)                                                                           \
    X(LINK_LOST, "lost",                                                                           \
      "connection to upstream lost before the reply; it is unknown whether the command was "       \
      "executed")                                                                                  \
    X(LINK_TIMEOUT, "timeout",                                                                     \
      "no reply from upstream in time; it is unknown whether the command was executed")            \
    X(LINK_GARBLED, "garbled",                                                                     \
      "upstream sent what is not RESP; it is unknown whether the command was executed")            \
    X(LINK_UNREACHED, "unreached", "cannot connect to upstream; the command was not executed")     \
    X(LINK_STRAY, "stray",                                                                         \
      "upstream answered what nobody asked; it is unknown whether the command was executed")       \
    X(LINK_CLOSED, "closed",                                                                       \
      "connection to upstream closed by larder; it is unknown whether the command was executed")

#define LINK_FAILURE_NAME(name, word, sentence) name,
enum link_failure { LINK_FAILURES(LINK_FAILURE_NAME) LINK_FAILURE_COUNT };

const char *link_failure_word(enum link_failure why);
const char *link_failure_sentence(enum link_failure why);

struct asker;

struct asker_ops {
    /* n whole replies, one behind the other; the bytes live during the call only. */
    void (*replies)(struct asker *a, struct slice bytes, uint32_t n);
    /* A piece of one reply that is too large to collect, `last` with its end. True: "I have more
     * than I can send" - the link waits for link_resume() if nobody else waits behind. NULL for
     * askers that must see replies whole (up to WHOLE_REPLY_BYTES). */
    bool (*piece)(struct asker *a, struct slice bytes, bool last);
    /* n replies will not come. begun: pieces of the first of them were handed on already. */
    void (*failed)(struct asker *a, uint32_t n, enum link_failure why, bool begun);
    /* Who is kept waiting when the link waits: askers of whom it says the same wait for each other
     * anyway. NULL: each is for itself. */
    const void *(*whose)(struct asker *a);
};

struct asker {
    const struct asker_ops *ops;
};

/* Asks on nobody's behalf: whatever comes is dropped. Stateless and shared. */
MUST_USE
struct asker *asker_nobody(void);

#endif
