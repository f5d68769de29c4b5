/* shelf.h - what is kept in memory: replies, by the question they answer.
 *
 * A question is a key and what was asked of it. Replies of one key hang together: shelf_remove()
 * takes all of them in one step, however many there are. The shelf stores opaque bytes; whether an
 * entry may be served is its caller's judgement, from the deadline and the stamp it is given. It
 * may forget anything at any time; it never gives anything but what was put last.
 *
 * Memory is bounded and counted exactly; what is thrown out when it is full is decided by S3-FIFO
 * (Yang et al., SOSP 2023). Every call is a bounded piece of work; what is more (giving back what a
 * flush left, a smaller bound) is done in slices by shelf_tidy(). An entry costs about 34 bytes
 * beyond key, `ask` and reply, and 2 more when eviction has begun. */
#ifndef LARDER_CACHE_SHELF_H
#define LARDER_CACHE_SHELF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct shelf;
struct hash_seed;

/* What is asked: `ask` is empty for the plain value of the key (GET), else bytes that name command,
 * protocol and further arguments. `scope` stands for database and upstream user. */
struct question {
    struct slice key;
    struct slice ask;
    uint16_t scope;
};

/* A large reply: may be written to a socket while the shelf has long forgotten it. (From then on
 * its bytes are not in the shelf's account, though they are held until it is released.) */
struct block {
    uint32_t refs;
    bool mapped; /* has pages of its own */
    size_t n;
    char bytes[];
};

enum entry_kind {
    ENTRY_VALUE,
    ENTRY_ABSENT,   /* the key does not exist */
    ENTRY_PAST = 3, /* a value; its key has expired, the upstream says (shelf_pushed()) */
};

/* Deadlines are on the loop's clock, in ms; below 2^42. */
#define EXPIRY_NEVER UINT64_MAX /* upstream keeps it until it is deleted */

struct entry {
    struct slice bytes;   /* the reply; until the next call but shelf_find() and those with const */
    struct block *block;  /* where they are, of a large one: block_hold() keeps it; else NULL */
    uint64_t deadline_ms; /* not fresh from then on */
    uint64_t expiry_ms;   /* when the key expires upstream, or EXPIRY_NEVER */
    uint64_t stamp;       /* when it came: shelf_stamp() at that time; grows with every put */
    uint16_t policy;      /* as put */
    uint8_t kind;         /* enum entry_kind */
};

/* max_bytes: of everything, table and bookkeeping included; less than 256 KB counts as that much.
 * Of replies up to 8 KB it keeps no more than 32 GB. Memory is taken as it is needed, addresses at
 * once: 1.7 times max_bytes. Ends the process when there are none. */
MUST_USE
struct shelf *shelf_new(size_t max_bytes);
void shelf_free(struct shelf *s);
/* What keys are hashed with, by hash_bytes(). */
MUST_USE
const struct hash_seed *shelf_seed(const struct shelf *s);
/* A new bound; a smaller one takes hold in slices, see shelf_tidy(). One so small that the segments
 * of memory, whose size goes by the first bound, are more than 1/16 of it empties the shelf. */
void shelf_resize(struct shelf *s, size_t max_bytes);

/* Looks the question up. True: *ret_entry is set. It may be past its deadline. A hit counts for
 * eviction; see shelf_peek() for a look that does not. No allocation. */
MUST_USE
bool shelf_find(struct shelf *s, const struct question *q, struct entry *ret_entry);
MUST_USE
bool shelf_peek(const struct shelf *s, const struct question *q, struct entry *ret_entry);

/* The same in three steps, for many keys at once: while one is on its way from memory, so are the
 * others. A probe is good until the next call that is not const. */
struct probe {
    uint64_t hash;
    uint32_t ref;
};
void shelf_probe(const struct shelf *s, struct slice key, struct probe *ret_probe);
void shelf_fetch(const struct shelf *s, struct probe *probe);
MUST_USE
bool shelf_find_probed(struct shelf *s, const struct question *q, const struct probe *probe,
                       struct entry *ret_entry);

/* Keeps a reply (kind, policy, deadline_ms, expiry_ms, bytes of *e; the rest is set) in place of
 * the one there was. The bytes are copied; they must not be the shelf's own. False: it cannot be
 * kept, and the one there was is gone: more than an eighth of the whole; a key or `ask` of 64 KB,
 * or of more than half a segment (a segment is 1/256 of the whole, at most 1 MB); or no room within
 * the work that one call may do, which a large one among many small ones finds when it comes again.
 */
bool shelf_put(struct shelf *s, const struct question *q, const struct entry *e);
/* The same, when the hash of the key is known: see shelf_seed(). */
bool shelf_put_hashed(struct shelf *s, const struct question *q, uint64_t hash,
                      const struct entry *e);

/* Removes everything kept of the key. True when there was something, even if none of it could be
 * found any more. */
bool shelf_remove(struct shelf *s, struct slice key);
bool shelf_remove_hashed(struct shelf *s, struct slice key, uint64_t hash);
/* By policy number, in ms: so long values outlive their deadline, if that was when their key
 * expired. Of numbers from n on none does. The array is the caller's and is looked at from now on.
 */
void shelf_linger(struct shelf *s, const uint64_t *ms, size_t n);
/* The same of values past their deadline for whatever reason. */
void shelf_outlive(struct shelf *s, const uint64_t *ms, size_t n);
/* Is there something of the key that outlives its deadline now, that being its expiry? */
MUST_USE
bool shelf_past(const struct shelf *s, struct slice key, uint64_t now_ms, uint64_t *ret_deadline);
/* True: what is kept of the key outlives its deadline and came after the stamp `since`; what else
 * there was has been removed. False: it is not so. */
MUST_USE
bool shelf_spare(struct shelf *s, struct slice key, uint64_t now_ms, uint64_t since);
/* The upstream says that the key, whose hash it is, has changed. As shelf_remove(), but for what
 * outlives its deadline and came after the stamp `since`: the first time that only tells of its
 * expiry, and it stays. */
bool shelf_pushed(struct shelf *s, struct slice key, uint64_t hash, uint64_t now_ms,
                  uint64_t since);
/* Removes everything there is, at once; memory comes back in slices, and counts until then. */
void shelf_clear(struct shelf *s);

/* The stamp of the last put: entries with a stamp not above an older value of this came before. */
MUST_USE
uint64_t shelf_stamp(const struct shelf *s);

/* Housekeeping: gives back expired entries that are oldest in their queue (so without scanning) and
 * cleared memory, weeds, evicts for puts to come, shrinks the table; about `slice` entries are
 * looked at, 60 to 100 ns each. True when work is left. */
MUST_USE
bool shelf_tidy(struct shelf *s, uint64_t now_ms, unsigned slice);

/* Begins to look at every entry, in slices of shelf_tidy(), and to remove those `doomed` says yes
 * to; one begun before is begun anew with both. NULL stops, and so does shelf_clear(). For prefixes
 * flushed and policies changed: until it is done the caller judges such entries itself when it
 * finds them, and what is put meanwhile may be looked at or not. `doomed` must not call the shelf;
 * an entry may come before it twice. Variants of a doomed GET live on unless they are doomed too.
 */
typedef bool shelf_doomed(void *context, struct slice key, const struct entry *e);
void shelf_weed(struct shelf *s, shelf_doomed *doomed, void *context);
MUST_USE
bool shelf_weeding(const struct shelf *s);
/* It weeds, or drops what an owner had (shares.h): the caller judges what it finds. */
MUST_USE
bool shelf_wary(const struct shelf *s);

/* What it holds and has done, by policy number. Replies whose key was removed are counted until
 * they are come upon (those for other questions than GET, that is). */
struct shelf_usage {
    uint64_t entries, bytes;     /* bytes: header, key, `ask` and reply */
    uint64_t evictions, expired; /* thrown out for room; given back after their deadline */
};
struct shelf_usage shelf_usage_of(const struct shelf *s, uint16_t policy);
/* All of it; bytes as the process holds them: segments, blocks, table, ghosts. */
struct shelf_usage shelf_usage_total(const struct shelf *s);

struct block *block_hold(struct block *b);
void block_release(struct block *b); /* frees with the last */

#endif
