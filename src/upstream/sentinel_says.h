/* sentinel_says.h - what Sentinels say, and what a server says of its role: replies read, no more.
 *
 * Source: https://redis.io/docs/reference/sentinel-clients/ ; replies of Redis 7.0. */
#ifndef LARDER_UPSTREAM_SENTINEL_SAYS_H
#define LARDER_UPSTREAM_SENTINEL_SAYS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "config/settings.h"

#define PLACE_HOST_CHARS 253u /* of a name in the DNS */

/* Where a master is: a number, or (resolve-hostnames, announce-hostnames) a name. */
struct place {
    char host[PLACE_HOST_CHARS + 1]; /* "": nowhere */
    uint16_t port;
};

MUST_USE
bool place_same(const struct place *a, const struct place *b);
/* Of the place, as long as that lives. */
MUST_USE
struct address place_address(const struct place *p);

enum says {
    SAYS_PLACE,
    SAYS_UNKNOWN, /* it watches no master of that name */
    SAYS_ERROR,   /* an error, whatever of: -NOAUTH, -NOPERM .. */
    SAYS_GARBAGE,
};

/* To SENTINEL get-master-addr-by-name. *ret_place is set for SAYS_PLACE only. */
MUST_USE
enum says says_place(struct slice reply, struct place *ret_place);
/* To SENTINEL MASTER: config-epoch, which grows with every failover. 0 where it does not say. */
MUST_USE
uint64_t says_epoch(struct slice reply);

enum heard {
    HEARD_SUBSCRIBED,
    HEARD_SWITCH, /* +switch-master of this master */
    HEARD_OTHER,  /* of another; a PONG */
    HEARD_ERROR,
};
/* What comes on a connection that has said SUBSCRIBE +switch-master. */
MUST_USE
enum heard says_heard(struct slice message, struct slice master);

enum role {
    ROLE_MASTER,
    ROLE_OTHER,  /* a replica, or no data server at all */
    ROLE_UNTOLD, /* an error, or what cannot be read */
};
/* To ROLE, or to INFO replication. */
MUST_USE
enum role says_role(struct slice reply);

/* Without its minus and CR LF; "" when it is no error. */
MUST_USE
struct slice says_error(struct slice reply);

#endif
