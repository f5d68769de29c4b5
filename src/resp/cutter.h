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
#include "resp/reply.h"

struct cutter {
    const uint32_t *cut; /* the elements to be cut out, ascending from 0; borrowed */
    uint32_t cut_n;
    bool alone; /* what remains is one element: without the array about it */
    /* The rest is the cutter's own: zero at the start. */
    uint32_t at;     /* the element under way */
    uint32_t cut_at; /* of `cut`, the next to come */
    uint8_t state;
    uint8_t held_n;
    char held[REPLY_HEADER_BYTES];
    struct reply_scan scan;
};

/* A piece of a reply that is well formed (a link has scanned it): appends to *out what remains of
 * it. A reply that is not an array (an error, `*-1`, `_`, `$-1`) passes whole. Attributes before an
 * element go where it goes. */
void cutter_feed(struct cutter *c, struct slice piece, struct buffer *out);

#endif
