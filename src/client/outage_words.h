/* outage_words.h - what is said in the upstream's stead while it is away: what Redis answers of a
 * key that is absent, and that a write has succeeded. Pure judgement; outage.c decides when. */
#ifndef LARDER_CLIENT_OUTAGE_WORDS_H
#define LARDER_CLIENT_OUTAGE_WORDS_H

#include "client/client.h"

/* Appends what Redis 7.0 answers to the read q, in protocol `proto`, if none of the keys it names
 * exists. False: q is no read of keys, or none that is known; nothing is appended. Arguments that
 * Redis would refuse are not looked for, but for their number. */
MUST_USE
bool outage_absent(const struct request *q, uint8_t proto, struct buffer *out);

/* Does it know the command? */
MUST_USE
bool outage_knows(const struct command *cmd);

/* Is q a write that drop_writes may drop: one whose success does not tell what was there before?
 * One that Redis would refuse for its arguments is not. */
MUST_USE
bool outage_can_drop(const struct request *q);
/* Appends its success. */
void outage_success(const struct request *q, struct buffer *out);

/* Is q one that on_outage = open answers 1: it counts, or sets the expiry of a counter? */
MUST_USE
bool outage_can_open(const struct request *q);
/* Appends that 1. */
void outage_one(const struct request *q, struct buffer *out);

#endif
