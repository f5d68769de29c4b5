/* role_check.h - is the server at that place a master? Asked of itself: ROLE, or INFO replication
 * where ROLE is forbidden. */
#ifndef LARDER_UPSTREAM_ROLE_CHECK_H
#define LARDER_UPSTREAM_ROLE_CHECK_H

#include "upstream/sentinel_says.h"
#include "upstream/talk.h"

struct role_check;

enum role_found {
    FOUND_MASTER, /* .. at check->at */
    FOUND_OTHER,  /* a replica, or no data server at all */
    FOUND_UNTOLD, /* it answers, but may not tell: `why` is its own error */
    FOUND_NOBODY, /* it does not answer: `why` */
};

/* From the loop, never from within a call of the owner's; the check is over. */
typedef void role_found_fn(struct role_check *check, enum role_found found, struct slice why);

struct role_check {
    struct talk talk;
    role_found_fn *found;
    struct place place; /* host "": none is under way */
    struct sock_address at;
    uint8_t step;
};

void role_check_init(struct role_check *c, struct loop *loop, struct resolver *resolver,
                     role_found_fn *found);
void role_check_done(struct role_check *c);

/* Logs in as larder does there. One that is under way ends. prefer: see talk.h. */
void role_check_begin(struct role_check *c, const struct place *place,
                      const struct sock_address *prefer, const struct upstream_settings *settings);
/* found() will not be called. */
void role_check_end(struct role_check *c);

static inline bool role_check_busy(const struct role_check *c)
{
    return c->place.host[0] != 0;
}

#endif
