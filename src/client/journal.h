/* journal.h - keys whose writes were dropped in an outage (drop_writes): they are deleted upstream
 * before any client is given a connection to it again. The story is in journal.c. */
#ifndef LARDER_CLIENT_JOURNAL_H
#define LARDER_CLIENT_JOURNAL_H

#include "client/client.h"

struct journal;
struct outage;

MUST_USE
struct journal *journal_new(struct clients *all, struct outage *outage);
void journal_close(struct journal *j); /* the pool goes next */
void journal_free(struct journal *j);

/* A write of the key by c was dropped. False: there are journal_max keys already; it is not noted.
 */
MUST_USE
bool journal_add(struct journal *j, const struct client *c, struct slice key);
MUST_USE
size_t journal_count(const struct journal *j);
/* Deletions are under way, or about to be: what is dropped now would come behind them. */
MUST_USE
bool journal_runs(const struct journal *j);
/* A link has come up (struct pool_prelude): true: it is to be kept from the clients. */
MUST_USE
bool journal_ready(struct journal *j, struct link *l);

#endif
