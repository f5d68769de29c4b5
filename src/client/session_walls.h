/* session_walls.h - what a session of a tenant's has under way that others have not. */
#ifndef LARDER_CLIENT_SESSION_WALLS_H
#define LARDER_CLIENT_SESSION_WALLS_H

#include "base/list.h"
#include "resp/stripper.h"

struct session_walls {
    struct stripper stripper;  /* of the reply that comes in pieces */
    struct strip_at *tx_names; /* of what is queued since MULTI: where names stand; owned */
    uint32_t tx_names_n, tx_names_cap;
    bool unheard;           /* the message that comes in pieces is not the tenant's to hear */
    uint64_t late_ms;       /* when a failed login is answered; .. */
    const char *late_error; /* .. so: a constant */
    struct list quota;      /* among the tenant's who wait for max_ops or max_pending */
    uint64_t since_ms;      /* .. since when */
    uint32_t counted;       /* of what is pending of the tenant, it has so many */
    bool paid;              /* its next request is counted already in max_ops */
};

#endif
