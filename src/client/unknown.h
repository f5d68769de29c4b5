/* unknown.h - commands that are not in the table: modules', newer servers'.
 *
 * Nothing is known of them, so each goes over a lent link. Many are plain reads, though, and those
 * deserve better: COMMAND INFO, asked once for each name, tells which. */
#ifndef LARDER_CLIENT_UNKNOWN_H
#define LARDER_CLIENT_UNKNOWN_H

#include <stdbool.h>

#include "base/check.h"
#include "base/slice.h"

struct link;
struct unknowns;

/* Made with the first unknown name; both fine with NULL. */
void unknowns_free(struct unknowns *u);

/* Whether the upstream says of that command that it is read-only and does not block. If it has not
 * been asked yet it is, over `l`, and the answer is no for now. */
MUST_USE
bool unknown_is_plain(struct unknowns **u, struct slice name, struct link *l);

#endif
