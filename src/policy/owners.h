/* owners.h - which tenant's a key is, by its prefix; and what the upstream must tell of, when each
 * tenant has its own keys of every policy.
 *
 * Policies are for the name behind the prefix: what `session:` says holds for every tenant's
 * session:. None of the prefixes begins with another (the configuration sees to that), so a key has
 * one owner at most. */
#ifndef LARDER_POLICY_OWNERS_H
#define LARDER_POLICY_OWNERS_H

#include <stddef.h>

#include "base/check.h"
#include "base/slice.h"
#include "config/settings.h"

struct owners;

/* The tenants of s, and its namespace. NULL: there are none. Copies what it needs. */
MUST_USE
struct owners *owners_new(const struct settings *s);
void owners_free(struct owners *o);

/* The length of the prefix that the key begins with; 0: it is nobody's. Some ten nanoseconds, with
 * ten thousand tenants as with one. */
MUST_USE
size_t owners_prefix(const struct owners *o, struct slice key);

/* The heads that cover whatever begins with one of heads[0..n), alone or behind any prefix: at most
 * OWNERS_HEADS beside these themselves, by telling too much where they would be more. In bytewise
 * order, and none begins with another. They are of *ret_text; both are the caller's to free(). */
#define OWNERS_HEADS 64u
MUST_USE
struct slice *owners_heads(const struct owners *o, const struct slice *heads, size_t n,
                           size_t *ret_n, char **ret_text);

#endif
