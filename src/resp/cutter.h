/* cutter.h - an array reply with some of its elements cut out, as it comes.
 *
 * EXEC answers one element for each command; those that larder has put among a client's are cut out
 * again, and the header counts the rest. Fed with the reply in pieces of any size, as links hand
 * them on; what is to be passed on is appended to a buffer. Nothing is kept but a cut header line
 * (< 64 bytes). */
#ifndef LARDER_RESP_CUTTER_H
#define LARDER_RESP_CUTTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "base/slice.h"
#include "resp/reply.h"

struct cutter {
    const uint32_t *cut; /* the elements to be cut out, counted from 0, ascending, each once;
                          * borrowed while there is something to feed. Those the array does not
                          * have do not matter. */
    uint32_t cut_n;
    bool alone; /* when just one element remains: it, without the array about it */
    /* The rest is the cutter's own: zero at the start. */
    uint32_t at;      /* the first element of the run under way */
    uint32_t cut_at;  /* of `cut`, the next to come */
    uint32_t cut_end; /* of `cut`, the first that the array does not have */
    uint8_t state;
    uint8_t held_n;
    char held[REPLY_HEADER_BYTES]; /* the start of a line whose end has not come */
    struct reply_scan scan;
};

/* A piece of a reply that is well formed (a link has scanned it; aborts otherwise), of any size and
 * no part of *out: appends to *out what remains of it. A reply that is not an array (an error,
 * `*-1`, `_`, `$-1`) passes whole, and so does what comes behind an array. Attributes before an
 * element go where it goes, those before the array pass. A push (redis#8935) passes unless it
 * stands inside an element that is cut out or behind its attributes.
 *
 * What can be passed on is passed on at once. Held is only a line whose end has not come (of `+`,
 * `-` and `(` lines no more than the CR), and nothing once the reply is whole. */
void cutter_feed(struct cutter *c, struct slice piece, struct buffer *out);

#endif
