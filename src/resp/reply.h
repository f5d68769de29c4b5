/* reply.h - where a reply ends: RESP2 and RESP3, every type, any nesting.
 *
 * Reads what an upstream sends, in pieces of any size, without copying, recursing or trusting: a
 * reply is over when as many elements have come as its headers announced, which takes one counter
 * and no stack. Attributes (`|`) belong to the reply behind them; a push (`>`) inside an aggregate
 * (Redis 6, redis#8935) counts for nothing. A push at top level is a frame of its own: look at the
 * first byte.
 *
 * Source: https://github.com/redis/redis-specifications/blob/master/protocol/RESP3.md */
#ifndef LARDER_RESP_REPLY_H
#define LARDER_RESP_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "resp/request.h"

/* How far a reply has been looked at; all zero = at its start. */
struct reply_scan {
    uint64_t left;      /* elements still to come; 0 at the start of a reply */
    uint64_t bulk_left; /* bytes (with CR LF) of the present bulk still to come */
    uint64_t line;      /* bytes of the present `+` or `-` line seen so far */
};

/* Looks at the n bytes at p, which follow what earlier calls used.
 *   SCAN_OK    the reply ends after *ret_used bytes; *s is ready for the next.
 *   SCAN_MORE  *ret_used bytes belong to it and need not be shown again; the rest (a cut header
 *              line, never more than 64 bytes) must be, with more behind it.
 *   SCAN_BAD   not RESP: unknown type, bad length (`$-2`, `*4294967296`, more than 2^31-1 elements,
 *              a bulk over 4 GiB), bad integer, bulk without CR LF, a `+`/`-` line over 64 MiB or a
 * CR or LF alone in it, more than 2^62 elements in all. */
MUST_USE
enum scan reply_scan(struct reply_scan *s, const char *p, size_t n, size_t *ret_used);

/* A cursor over a reply that is whole in memory and has passed reply_scan (so it is well formed):
 * for the few replies larder reads itself. */
struct reply {
    char type;         /* one of + - : $ * _ # , ( ! = % ~ > | ; null bulks and arrays become _ */
    int64_t number;    /* of `:`, `#` (0/1); elements of aggregates (pairs counted twice) */
    struct slice text; /* of + - $ ! = , ( : the payload (of `=` with its "txt:") */
};

/* Reads the frame at p->p: a scalar whole, of an aggregate the header only (its elements follow).
 * Advances p. False when p is empty or not well formed. */
MUST_USE
bool reply_read(struct slice *p, struct reply *ret_reply);

/* Steps over one whole value (aggregates with all their elements, attributes included). */
MUST_USE
bool reply_skip(struct slice *p);

#endif
