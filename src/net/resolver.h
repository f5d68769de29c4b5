/* resolver.h - host names to addresses, off the loop.
 *
 * getaddrinfo(3) honours nsswitch and /etc/hosts but blocks: it runs in a worker's thread
 * (net/worker.h), and the answer comes back as an event of the loop. */
#ifndef LARDER_NET_RESOLVER_H
#define LARDER_NET_RESOLVER_H

#include <stddef.h>

#include "net/address.h"

#define RESOLVER_ADDRESSES 8 /* of one name; more are not tried */

struct loop;
struct resolver;
struct resolver_query;

/* count == 0: not found, `why` says so. The addresses live during the call only. */
typedef void resolver_answer(void *context, const struct sock_address *addresses, size_t count,
                             const char *why);

/* The thread starts with the first query. */
MUST_USE
struct resolver *resolver_new(struct loop *loop);
void resolver_free(struct resolver *r);

/* Asks; the answer comes once, never from within this call. */
struct resolver_query *resolver_ask(struct resolver *r, const char *host, uint16_t port,
                                    resolver_answer *answer, void *context);
/* The answer is not wanted any more; NULL is fine. */
void resolver_forget(struct resolver *r, struct resolver_query *query);

#endif
