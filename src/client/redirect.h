/* redirect.h - CLIENT TRACKING .. REDIRECT: see redirect.c. */
#ifndef LARDER_CLIENT_REDIRECT_H
#define LARDER_CLIENT_REDIRECT_H

#include "client/client.h"

/* Redis' id of a link on which client `id` can be told of invalidations. 0: *ret_next says how it
 * stands with c's request. */
MUST_USE
uint64_t redirect_link_id(struct client *c, uint64_t id, enum next *ret_next);
/* The link that others wait for in c's stead is there, or refused, or c is gone. */
void redirect_settled(struct client *c, const struct slice *refusal);
/* larder's id of the client to whom c's tracking is redirected, Redis' being link_id. */
MUST_USE
uint64_t redirect_id(const struct client *c, uint64_t link_id);

#endif
