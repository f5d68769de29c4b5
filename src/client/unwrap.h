/* unwrap.h - replies to writes that larder has put into a MULTI, or spoken about within one. */
#ifndef LARDER_CLIENT_UNWRAP_H
#define LARDER_CLIENT_UNWRAP_H

#include "client/client.h"

/* The replies of a write within larder's own MULTI (`answers`), or of the words about it: what is
 * no success is remembered until its EXEC is answered. */
void unwrap_note(struct client *c, struct slice replies, bool answers);
/* (A piece of) the reply to that EXEC: what of it the client is given. It lives until the next
 * call. */
struct slice unwrap(struct client *c, struct slice bytes, bool first, struct wrapped w);
void unwrap_done(struct client *c);
/* (A piece of) the reply to a client's own EXEC, without what larder had queued. */
struct slice exec_cut(struct client *c, struct slice bytes, bool first);

#endif
