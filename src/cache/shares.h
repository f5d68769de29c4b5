/* shares.h - who owns what is on the shelf, and how much of it each may have.
 *
 * An owner is a number that a callback tells of a key. What an owner holds is counted exactly, and
 * bounded by its share: who is over it makes room among its own, oldest and least asked for first,
 * and nobody else's entry goes for its sake. Nobody (0) is counted too and has no bound.
 *
 * Without shelf_owners() there is none of this, and nothing is paid for it. With it each entry of
 * an owner costs 9 bytes more, outside of its record (shelf_share.c). */
#ifndef LARDER_CACHE_SHARES_H
#define LARDER_CACHE_SHARES_H

#include "cache/shelf.h"

/* Numbers are below this: they are places of an array. */
#define OWNERS_MAX (UINT32_C(1) << 20)

/* Whose a key is; 0, or a number the shelf was not told: nobody's. Called a few times for each
 * put, and for each entry that goes; it must not call the shelf. Its answers may change only
 * together with the calls below, nothing of the shelf being called in between: with shelf_share()
 * of a number that is new, or shelf_owner_gone(). */
typedef uint32_t shelf_owner(void *context, struct slice key);

/* From now on there are owners. NULL: no more; all there were are gone. */
void shelf_owners(struct shelf *s, shelf_owner *owner_of, void *context);

/* A new owner, or another share of one: bytes of what shelf_usage_of_owner() counts, 0: no bound.
 * What is on the shelf already does not become a new owner's, see shelf_stray(). A smaller share
 * takes hold in slices, see shelf_tidy(). No entry may have more than 1/8 of its owner's share. */
void shelf_share(struct shelf *s, uint32_t owner, uint64_t bytes);

/* There is no such owner any more. What it holds becomes nobody's and is dropped in slices (what is
 * nobody's else is not, but may seem so, see shelf_dropped()). The number may be used anew at once.
 */
void shelf_owner_gone(struct shelf *s, uint32_t owner);

/* Drops what the owner holds now, in slices; of its entries that are put meanwhile, those that hang
 * on a key dropped may go with it. */
void shelf_drop(struct shelf *s, uint32_t owner);

/* Whose an entry put now would be. */
MUST_USE
uint32_t shelf_owner_of(const struct shelf *s, struct slice key);

/* Is this entry among those being dropped? Until they have gone, who finds them asks. */
MUST_USE
bool shelf_dropped(const struct shelf *s, struct slice key, uint64_t stamp);

/* Was this entry put before its key had the owner it has now? It is nobody's. */
MUST_USE
bool shelf_stray(const struct shelf *s, struct slice key, uint64_t stamp);

/* Bytes are those of shelf_usage: header, key, `ask`, reply. Never more than the share and 1/16,
 * but after the share was made smaller. 0: what is nobody's. */
MUST_USE
struct shelf_usage shelf_usage_of_owner(const struct shelf *s, uint32_t owner);

#endif
