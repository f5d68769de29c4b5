/* leases_inside.h - between leases.c, lease_settle.c and lease_fleet.c. */
#ifndef LARDER_CLIENT_LEASES_INSIDE_H
#define LARDER_CLIENT_LEASES_INSIDE_H

#include "client/leases.h"

#define LEASE_BUCKETS 1024u

MUST_USE
uint64_t leases_now(const struct leases *l);
/* Sets the timer to what is next. */
void leases_arm(struct leases *l);
void leases_on_timer(void *context);

/* The table. */
MUST_USE
struct list *lease_bucket(const struct leases *l, struct slice key);
MUST_USE
struct lease *lease_find(const struct leases *l, struct slice key, uint16_t scope);
MUST_USE
struct lease *lease_new(struct leases *l, const struct question *q);
void lease_free(struct leases *l, struct lease *lease);
MUST_USE
struct slice lease_key(const struct lease *lease);
/* The key's policy, if it leases. */
MUST_USE
const struct policy *lease_policy(const struct leases *l, struct slice key);

/* Those who wait. */
MUST_USE
struct park *lease_first_park(const struct lease *lease);
MUST_USE
bool lease_waited_for(const struct lease *lease);
void lease_tell_all(struct leases *l, struct lease *lease, enum link_failure why);

/* lease_fleet.c */
MUST_USE
bool lease_is_fleet(const struct policy *p);
/* Asks for it; what was this larder's until now is given back. The lease may be gone afterwards. */
void lease_ask_upstream(struct leases *l, struct lease *lease);
void lease_look_again(struct leases *l, struct lease *lease); /* .. if any wait for it still */
void lease_give_back(struct leases *l, struct lease *lease);

/* Steps. */
void lease_grant(struct leases *l, struct lease *lease, struct client *c, const struct policy *p);
void lease_expires_at(struct leases *l, struct lease *lease, uint64_t at_ms);
void lease_leave_holder(struct lease *lease);
/* Something may have changed: asks. The lease may be gone afterwards. */
void lease_settle(struct leases *l, struct lease *lease);
void lease_lapse(struct leases *l, struct lease *lease);
/* There is no link to ask it on: one is being opened, or the upstream is away. False: for too
 * long. */
MUST_USE
bool lease_ask_later(struct leases *l, struct lease *lease);
void lease_asked(struct lease *lease); /* it is not to be asked later any more */
/* It is over: who waits is answered in slices, with the value, or nil. */
void lease_drain(struct leases *l, struct lease *lease, bool nil);
/* Not leased again for a while, with nothing kept that says so. */
void lease_cool(struct leases *l, struct lease *lease, const struct policy *p);

#endif
