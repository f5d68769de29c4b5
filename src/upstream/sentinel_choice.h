/* sentinel_choice.h - of what several Sentinels answered in one round: whom to believe.
 *
 * Each answer comes with the epoch of its configuration, which grows with every failover. An answer
 * of a lower epoch than was confirmed last names a master of yesterday: it is stale, though that
 * one may still say that it is the master (10 s and more in a planned failover). Of equal epochs
 * the one in front is taken, which is who was right last; the server's own word decides. */
#ifndef LARDER_UPSTREAM_SENTINEL_CHOICE_H
#define LARDER_UPSTREAM_SENTINEL_CHOICE_H

#include <stddef.h>

#include "upstream/sentinel_says.h"

struct answer {
    struct place place;
    uint64_t epoch; /* 0: not told */
    bool fresh;     /* of this round */
    bool tried;     /* the server it names has been asked, or need not be */
};

struct choice {
    struct answer *answers; /* by the Sentinel's number */
    size_t *order;          /* the numbers; who was right last comes first */
    size_t n;
    struct place present; /* the master as confirmed last; host "": none yet */
    uint64_t epoch;       /* .. of that configuration */
    bool confirmed;       /* in this round */
    bool distrust;        /* stale answers are believed: all there are */
};

void choice_init(struct choice *c, size_t n);
void choice_done(struct choice *c);

/* A round begins. */
void choice_begin(struct choice *c);
/* Number i has answered. True: that is stale. */
MUST_USE
bool choice_note(struct choice *c, size_t i, const struct place *place, uint64_t epoch);
/* Whose answer is to be tried next; false when there is none. After a master was confirmed only one
 * of a later epoch is. */
MUST_USE
bool choice_best(const struct choice *c, size_t *ret_i);
/* The server at `place` is asked now: nobody who names it need be tried. */
void choice_try(struct choice *c, const struct place *place);
/* .. and is the master. by: whose answer that was; >= n: nobody's, it was tried all the same. */
void choice_confirm(struct choice *c, const struct place *place, size_t by);
/* The present master has failed, and all who answer know of an older configuration only: they have
 * been set up anew, and are believed from now on, until one is confirmed. */
void choice_doubt(struct choice *c);

#endif
