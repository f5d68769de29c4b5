/* notices.h - what comes on the invalidation link, one thing at a time, out of frames that may be
 * whole or come in pieces.
 *
 *      RESP2   *3 message __redis__:invalidate [key ..] | null       >2 invalidate [key ..] | null
 *              *3 subscribe __redis__:invalidate :1                  RESP3
 *              *2 pong ""   -ERR ..
 *
 * Source: https://redis.io/docs/latest/develop/reference/client-side-caching/ */
#ifndef LARDER_UPSTREAM_NOTICES_H
#define LARDER_UPSTREAM_NOTICES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"

#define INVALIDATION_CHANNEL "__redis__:invalidate"

enum notice_kind {
    NOTICE_MESSAGE,    /* an invalidation message begins: keys or a flush follow */
    NOTICE_KEY,        /* text: it has changed */
    NOTICE_FLUSH,      /* everything may have changed */
    NOTICE_PONG,       /* the answer to PING */
    NOTICE_SUBSCRIBED, /* SUBSCRIBE is confirmed */
    NOTICE_ERROR,      /* text: an error reply, without its minus and CR LF */
    NOTICE_BROKEN,     /* the upstream says that it cannot push any more */
    NOTICE_GARBAGE,    /* nothing of the kind: what else was missed is unknown */
};

struct notice {
    enum notice_kind kind;
    struct slice text; /* lives until the next call of the reader */
};

/* All zero at the start of a link. */
struct notice_reader {
    struct slice rest;  /* not read yet: of the piece shown last, or of `held` */
    struct buffer held; /* an element that is cut at the end of a piece */
    uint64_t left;      /* elements of the frame, or keys, still to come */
    uint8_t step;
    bool last, push;
};

/* Shows a piece of a frame that has passed the scan (see loan_ops.frame); the bytes must live until
 * notice_next() has said false. */
void notice_feed(struct notice_reader *r, struct slice bytes, bool first, bool last);
/* The next notice; false: there is none before the next piece. */
MUST_USE
bool notice_next(struct notice_reader *r, struct notice *ret_notice);
void notice_reader_done(struct notice_reader *r);

#endif
