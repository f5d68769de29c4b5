/* slide.h - what the near cache tells of the reads it answers: see slide.c. */
#ifndef LARDER_CLIENT_SLIDE_H
#define LARDER_CLIENT_SLIDE_H

#include "client/near.h"

/* A question that is put upstream. */
void slide_asked(const struct client *c, const struct near_question *nq);
/* A hit, of a policy with `sliding`. */
void slide_found(struct client *c, const struct near_question *nq, const struct entry *e);
/* c reads the key, and nothing that comes tells when it will expire: the upstream is asked. c may
 * be NULL, or have left. */
void slide_look_key(struct client *c, struct slice key);
/* The answer of a question that was put upstream, with PTTL's. c: one of those who asked; NULL:
 * all have left. */
void slide_filled(struct client *c, const struct question *q, const struct fill_terms *t,
                  struct slice ttl_reply);

#endif
