/* admin.h - the console: LARDER commands over RESP, and the `# Larder` section of INFO. */
#ifndef LARDER_ADMIN_ADMIN_H
#define LARDER_ADMIN_ADMIN_H

#include "client/clients.h"
#include "config/settings.h"

struct admin;
struct loop;
struct pool;
struct self_check;
struct sentinels;
struct tls;

/* All borrowed; the clients are told of later, for they need the console: admin_watch(). */
MUST_USE
struct admin *admin_new(struct loop *loop, struct pool *pool, const struct settings *settings);
void admin_watch(struct admin *a, struct clients *clients);
void admin_watch_tls(struct admin *a, struct tls *tls);
void admin_watch_check(struct admin *a, const struct self_check *check);
void admin_watch_sentinels(struct admin *a, struct sentinels *sentinels);
void admin_resettle(struct admin *a, const struct settings *settings);
void admin_free(struct admin *a);

/* What client/ calls. */
MUST_USE
struct console admin_console(struct admin *a);

/* Counters, policies, links and clients as lines of text: for SIGUSR2. */
void admin_dump(struct admin *a, struct buffer *out);

#endif
