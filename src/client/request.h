/* request.h - one request of a client, while it is being dealt with. */
#ifndef LARDER_CLIENT_REQUEST_H
#define LARDER_CLIENT_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "command/table.h"

struct shape;

struct request {
    const struct command *command; /* NULL: unknown */
    struct slice *argv;
    uint32_t argc;
    struct slice bytes;        /* RESP multibulk */
    const struct shape *shape; /* what else is to be said, see shape.c; mostly NULL */
    bool minds_fence;          /* LARDER SETLEASE: it looks after the token itself */
    bool more;                 /* further bytes of the client stand behind it */
    bool fresh;                /* LARDER FRESH: nothing may stand in for the upstream's answer */
    bool throttled;            /* past the tenant's max_ops: quota_hold() */
    uint8_t put;               /* enum namespace_result, of a tenant's */
    uint8_t strip;             /* enum strip_rule: where its reply has a tenant's names */
};

/* What became of it. */
enum next {
    NEXT,  /* done with: go on */
    LATER, /* not now: c->waits says what for; it will be looked at again from its start */
    GONE,  /* the client serves no more */
};

#endif
