/* stripper.h - a reply with a tenant's prefix taken off the names in it, as it comes.
 *
 * Where names stand the command tells (enum strip_rule). Fed with the reply in pieces of any size,
 * as links hand them on; what the client is to have is appended to a buffer. Kept is at most the
 * line of a header, with as much of a name behind it as the prefix is long; an error line is
 * collected whole, for the prefix is taken out of it wherever it stands.
 *
 * A name that does not begin with the prefix is not the tenant's to know: it comes out empty. That
 * cannot be, for the tenant could ask for no such name; it is the second wall behind the first. */
#ifndef LARDER_RESP_STRIPPER_H
#define LARDER_RESP_STRIPPER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "resp/reply.h"

/* Where the names stand. */
enum strip_rule {
    STRIP_NOTHING,
    STRIP_ERROR,    /* only in errors */
    STRIP_FIRST,    /* the first element: BLPOP, LMPOP */
    STRIP_EVERY,    /* every element, or the one bulk that there is: KEYS, RANDOMKEY */
    STRIP_PAIRS,    /* every other element, the first included: PUBSUB NUMSUB */
    STRIP_STREAMS,  /* XREAD: a map's keys, or the first element of each element */
    STRIP_SCAN,     /* the elements of the second: SCAN, invalidations */
    STRIP_TRACKING, /* CLIENT TRACKINGINFO: the elements of the sixth, which are its prefixes */
    STRIP_SECOND,   /* the second element: message, subscribe */
    STRIP_THIRD,    /* the elements of the third: invalidations in RESP2 */
    STRIP_PMESSAGE, /* .. a pattern, and the third, a channel */
    STRIP_PATTERN,  /* the second, a pattern: psubscribe */
    STRIP_ALL,      /* an array of replies, each with a rule of its own: EXEC */
};

/* Of replies within an array (STRIP_ALL): what is not listed is STRIP_NOTHING. */
struct strip_at {
    uint32_t at; /* element, from 0; ascending */
    uint8_t rule;
};

#define STRIPPER_LEVELS 4u

struct strip_level {
    uint64_t left; /* elements still to come */
    uint64_t at;   /* the one that comes next */
    uint8_t rule;  /* what it is an array of; enum strip_rule */
    bool map;
};

/* All zero but for the first block at the start of a reply. */
struct stripper {
    struct slice prefix;  /* borrowed while there is something to feed, as are the next two */
    struct slice pattern; /* the same with what is special in a glob escaped */
    const struct strip_at *list;
    uint32_t list_n;
    uint8_t rule; /* enum strip_rule */

    uint8_t state;
    uint8_t depth; /* of `levels` in use */
    uint32_t list_at;
    uint64_t bulk_left;     /* bytes of the name under way to be passed on, or dropped */
    struct reply_scan scan; /* of a value that passes as it is */
    struct buffer held;     /* stripper_done() */
    struct strip_level levels[STRIPPER_LEVELS];
};

/* A piece of one reply that is well formed, of any size and no part of *out. */
void stripper_feed(struct stripper *s, struct slice piece, struct buffer *out);

/* For another reply, with the same prefix. */
void stripper_begin(struct stripper *s, enum strip_rule rule);
void stripper_done(struct stripper *s);

/* Where in a name, of which `head` is the beginning (or all) and n the length, the prefix stands:
 * at its front, or behind that of a channel of keyspace notifications. False: nowhere. */
MUST_USE
bool strip_find(struct slice prefix, struct slice head, uint64_t n, size_t *ret_at);

/* Appends text without the prefix, wherever in it that stands. */
void strip_text(struct slice prefix, struct slice text, struct buffer *out);

#endif
