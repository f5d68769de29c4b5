/* policies.h - which policy is for a key: the [policy NAME] sections of a configuration, compiled.
 *
 * A policy is for the keys that begin with one of its prefixes (config/prefix.h has their grammar);
 * where several match, the longest wins: the one with more literal characters, then the one with
 * fewer stars, then the one that was read first. The literal head of a prefix is what stands
 * before its first star; `*` alone, and `*:x:`, have the empty one.
 *
 * Where there are tenants it is the name behind the tenant's prefix that a policy is for
 * (owners.h), and the heads are those of every tenant.
 *
 * What is made here is constant. It borrows the settings it was made from: those must live until
 * policies_free(). */
#ifndef LARDER_POLICY_POLICIES_H
#define LARDER_POLICY_POLICIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/slice.h"
#include "config/settings.h"

/* What a policy asks of the commands that name its keys. */
enum policy_rule {
    RULE_EXPIRY = 1u << 0,   /* writes: a TTL is given, cut or renewed; absolute */
    RULE_REQUIRE = 1u << 1,  /* writes without one are refused */
    RULE_SIZE = 1u << 2,     /* writes of large values are refused */
    RULE_SLIDING = 1u << 3,  /* reads renew */
    RULE_ABSOLUTE = 1u << 4, /* there is a cap upstream */
    RULE_IMMUTABLE = 1u << 5,
    RULE_DENY = 1u << 6,
    RULE_FENCE = 1u << 7, /* writes void the tokens of LARDER GETLEASE */
    RULE_LEASE = 1u << 8, /* there are leases upstream */
};

struct policy {
    const struct policy_settings *set; /* borrowed */
    const char *name;                  /* set->name */
    uint64_t given_ms;                 /* to writes that carry no expiry, before jitter; 0: none */
    uint16_t number;                   /* never 0, see policies_new() */
    uint16_t rules;                    /* enum policy_rule */
    bool plain;                        /* local, and hits need nothing but to be served .. */
    bool ahead;                        /* .. unless loads_soon() */
};

/* Compiles the policies of s. The caller owns the result.
 *
 * Numbers tell for which policy something was kept, also across reloads. `before` is what was in
 * force until now; NULL at the start. If both have the same prefixes, of policies with the same
 * names, then a policy whose settings are the same too keeps its number. Any other gets a new one,
 * which neither `before` nor, as long as 65,000 numbers are enough, anything before that has used:
 * what was kept under the old number is then known not to be of this policy. */
MUST_USE
struct policies *policies_new(const struct settings *s, const struct policies *before);
void policies_free(struct policies *p);

/* The policy for a key; NULL: none. Asked for every key of every request: it does not allocate, and
 * needs about 10 ns with a handful of prefixes, 100 ns with ten thousand. Only prefixes with stars
 * that share their literal head are tried one by one. */
MUST_USE
const struct policy *policies_match(const struct policies *p, struct slice key);
/* The same for whoever knows whose the key is: name is what stands behind the tenant's prefix, or
 * the whole of a key that is no tenant's. */
MUST_USE
const struct policy *policies_match_name(const struct policies *p, struct slice name);

/* With scope = fleet, who loads a key holds this, behind the key's tenant's prefix, before its
 * rest. */
#define LEASE_PREFIX "larder:lease:"

/* The length of the tenant's prefix that the key begins with; 0: it is no tenant's. */
MUST_USE
size_t policies_owner(const struct policies *p, struct slice key);

/* The policy of that number; NULL: none has it (now). */
MUST_USE
const struct policy *policies_by_number(const struct policies *p, uint16_t number);

/* All of them, in the order in which they were read. */
MUST_USE
const struct policy *policies_all(const struct policies *p, size_t *ret_count);

/* The rules of all of them together (enum policy_rule). */
MUST_USE
uint16_t policies_rules(const struct policies *p);

/* The fewest heads with which all keys begin that any policy is for (local_only: any with
 * local = yes); they are in bytewise order, and none begins with another, for Redis' CLIENT
 * TRACKING BCAST PREFIX takes no overlap. One empty head is: every key. Where tenants' loads have
 * scope = fleet, also theirs of LEASE_PREFIX. Borrowed from p. */
MUST_USE
const struct slice *policies_heads(const struct policies *p, bool local_only, size_t *ret_count);

#endif
