/* retry.h - what a broken link owed, asked once more: see retry.c and again.c. */
#ifndef LARDER_CLIENT_RETRY_H
#define LARDER_CLIENT_RETRY_H

#include "client/client.h"

/* n replies to plain requests; true: they are asked again, and have been taken back. */
MUST_USE
bool retry_reads(struct client *c, uint32_t n, enum link_failure why, bool begun);
/* The reply to a question of which others wait for the answer as well: true: c waits with them. */
MUST_USE
bool retry_leader(struct client *c, struct list *waiters, enum link_failure why, bool begun);

/* Asks once more, for those who wait (none of them waits with the list any more); they have waited
 * since then. */
void again_since(struct clients *all, struct list *waiters, struct slice request,
                 uint64_t since_ms);
void again_close(struct clients *all);

#endif
