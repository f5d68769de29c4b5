/* cache.h - the near cache as a whole: what is kept, what is under way, and whether it may be
 * trusted.
 *
 *      pushes ----> cache_changed/flushed/armed/lost/proven
 *                          |
 *      reads  ----> cache_look -> fresh: serve it       writes ----> hold_begin .. hold_end
 *                          | else
 *                   flight (keyring.h) -> cache_fill
 *
 * Trust is judged when serving: an entry is fresh while its deadline is to come, it came after the
 * last loss or arming of the invalidation link, and that link has proven itself within
 * coherence_timeout. Without a link (coherence = ttl) only the deadline counts. */
#ifndef LARDER_CACHE_CACHE_H
#define LARDER_CACHE_CACHE_H

#include <stdint.h>

#include "cache/keyring.h"
#include "cache/shares.h"
#include "cache/shelf.h"

struct cache;

enum trust {
    TRUST_CLOSED, /* no link, or not armed: nothing is fresh, nothing is kept */
    TRUST_SILENT, /* armed, but not proven within the timeout: nothing is served as fresh */
    TRUST_ARMED,
    TRUST_TTL, /* there is no link and will be none: deadlines alone */
};

enum look {
    LOOK_FRESH,
    LOOK_NOTHING,   /* nothing there */
    LOOK_EXPIRED,   /* past its deadline */
    LOOK_SUSPECT,   /* from before the link was lost */
    LOOK_UNTRUSTED, /* the link is silent or away */
    LOOK_HELD,      /* a write of the key is under way */
    LOOK_DOOMED,    /* of a policy no longer in force, or of a prefix or owner being flushed */
    LOOK_COUNT,
};
const char *look_word(enum look look);
const char *trust_word(enum trust trust);

/* max_memory in bytes, coherence_timeout in ms. Begins closed. */
MUST_USE
struct cache *cache_new(uint64_t max_memory, uint64_t coherence_timeout_ms);
void cache_free(struct cache *c);
void cache_resettle(struct cache *c, uint64_t max_memory, uint64_t coherence_timeout_ms);

MUST_USE
uint64_t cache_max_memory(const struct cache *c);
MUST_USE
struct shelf *cache_shelf(struct cache *c);
MUST_USE
struct keyring *cache_keyring(struct cache *c);

/* ---- what the invalidation link says ---- */
void cache_armed(struct cache *c);                     /* from now on pushes come */
void cache_lost(struct cache *c);                      /* .. and now no more */
void cache_proven(struct cache *c, uint64_t asked_ms); /* all pushes until then have been seen */
void cache_without_link(struct cache *c);              /* deadlines alone, until cache_lost() */
bool cache_changed(struct cache *c, struct slice key); /* true: something was kept */
/* The same, if the upstream says so now: of what had expired by then that may tell only that, see
 * shelf_pushed(). */
bool cache_pushed(struct cache *c, struct slice key, uint64_t now_ms);
void cache_flush(struct cache *c); /* everything may have changed */
/* A hold begins or ends, which spoils the flights: its i-th key goes from the shelf. True:
 * something was kept. */
bool cache_clear(struct cache *c, const struct hold *h, uint32_t i);
MUST_USE
enum trust cache_trust(const struct cache *c, uint64_t now_ms);

/* ---- reads ---- */

/* peek: leaves no trace, and tells LOOK_HELD from LOOK_NOTHING. *ret_entry is set unless
 * LOOK_NOTHING or LOOK_HELD. */
MUST_USE
enum look cache_look(struct cache *c, const struct question *q, uint64_t now_ms, bool peek,
                     struct entry *ret_entry);
/* As cache_look(), of a key that has been probed (shelf.h). */
MUST_USE
enum look cache_look_probed(struct cache *c, const struct question *q, const struct probe *probe,
                            uint64_t now_ms, struct entry *ret_entry);
/* A value that is past its deadline because its key has expired, and outlives it (cache_linger());
 * nothing is known to have changed the key before. False: *ret_entry is undefined. */
MUST_USE
bool cache_look_past(const struct cache *c, const struct question *q, uint64_t now_ms,
                     struct entry *ret_entry);
/* What is kept, fresh or not, if its deadline is less than old_ms ago: for when nothing better can
 * be had. Of an absent key until its deadline. False: *ret_entry is undefined. */
MUST_USE
bool cache_look_old(const struct cache *c, const struct question *q, uint64_t now_ms,
                    uint64_t old_ms, struct entry *ret_entry);
/* Is such a one kept of the key, and since when is it past? */
MUST_USE
bool cache_past(const struct cache *c, struct slice key, uint64_t now_ms, uint64_t *ret_deadline);
/* True: only such are kept of the key from now on. False: there is none. */
MUST_USE
bool cache_spare(struct cache *c, struct slice key, uint64_t now_ms);
/* Forgets what is kept of the key; nothing is known of a change. */
void cache_forget(struct cache *c, struct slice key);
/* Keeps the answer of a flight, if its token is good; q is of the flight's key. */
enum filled {
    FILL_KEPT,
    FILL_CHANGED, /* the key may have changed since it was asked for */
    FILL_LATE,    /* past its deadline already */
    FILL_FULL,    /* too large for the shelf */
};
MUST_USE
enum filled cache_fill(struct cache *c, const struct flight *f, const struct question *q,
                       const struct entry *e, uint64_t now_ms);

/* Entries of policy numbers at which `alive` is false are not served, and go in slices. NULL: all
 * are alive. The array is the caller's and is looked at from now on. */
void cache_policies(struct cache *c, const bool *alive, size_t n);
/* So long values of a policy, by its number, outlive the expiry of their key: shelf_linger(). */
void cache_linger(struct cache *c, const uint64_t *ms, size_t n);
/* So long values of a policy outlive their deadline, whatever that was (shelf_outlive()), and of
 * such a policy nothing is dropped because the link was lost: it is never fresh again, but see
 * cache_look_old(). */
void cache_outlive(struct cache *c, const uint64_t *ms, size_t n);
/* Forgets what is kept of keys that begin with the prefix, at once. */
void cache_flush_prefix(struct cache *c, struct slice prefix);

/* Owners of keys, see shares.h: shelf_owners() of cache_shelf() comes first. A new one, or another
 * share; what was kept of its keys before it came is not served any more. One that is gone, and one
 * whose entries are to go: nothing is served any more of what was kept, nor kept of what is being
 * asked for. All that goes in slices. The flights of others are spared by a flush. */
void cache_share(struct cache *c, uint32_t owner, uint64_t bytes);
void cache_owner_gone(struct cache *c, uint32_t owner);
void cache_flush_owner(struct cache *c, uint32_t owner);

/* Housekeeping, a slice of it; true when more is left. */
MUST_USE
bool cache_tidy(struct cache *c, uint64_t now_ms);

#endif
