/* journal.h - an owner of the invalidation link that notes what it is told. */
#ifndef LARDER_TESTS_UPSTREAM_JOURNAL_H
#define LARDER_TESTS_UPSTREAM_JOURNAL_H

#include "base/buffer.h"
#include "upstream/invalidation.h"

struct journal {
    struct buffer text; /* "armed;a:1;flush;lost;" */
    size_t keys;
    unsigned proofs;
    uint64_t proven_ms; /* of the last */
    bool quiet;         /* keys are counted, not noted */
    bool on;            /* armed */
    bool alone;         /* .. or never to be */
    void (*key)(struct slice key);
};

extern struct journal journal; /* a test has a process of its own */
extern const struct invalidation_ops journal_ops;

void journal_begin(void);
void journal_end(void);
/* What was noted since the last time. */
void journal_is(const char *text);

#endif
