/* shelf.h - what is kept in memory: replies, by the question they answer.
 *
 * A question is a key and what was asked of it. Replies of one key hang together: shelf_remove()
 * takes all of them in one step, however many there are. The shelf stores opaque bytes; whether an
 * entry may be served is its caller's judgement, from the deadline and the stamp it is given.
 *
 * Memory is bounded and counted exactly; what is thrown out when it is full is decided by S3-FIFO
 * (Yang et al., SOSP 2023). Every call is a bounded piece of work; what is more (growing the
 * table, giving back what a flush left) is done in slices by shelf_tidy(). */
#ifndef LARDER_CACHE_SHELF_H
#define LARDER_CACHE_SHELF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct shelf;

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
    ENTRY_ABSENT, /* the key does not exist */
};

/* Deadlines are on the loop's clock, in ms; below 2^42. */
#define EXPIRY_NEVER UINT64_MAX /* upstream keeps it until it is deleted */

struct entry {
    struct slice bytes;   /* the reply; until the next call that is not const */
    struct block *block;  /* where they are, of a large one: block_hold() keeps it; else NULL */
    uint64_t deadline_ms; /* not fresh from then on */
    uint64_t expiry_ms;   /* when the key expires upstream, or EXPIRY_NEVER */
    uint64_t stamp;       /* when it came: shelf_stamp() at that time; grows with every put */
    uint16_t policy;      /* as put */
    uint8_t kind;         /* enum entry_kind */
};

/* max_bytes: of everything, table and bookkeeping included. */
MUST_USE
struct shelf *shelf_new(size_t max_bytes);
void shelf_free(struct shelf *s);
/* A new bound; a smaller one takes hold in slices, see shelf_tidy(). */
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
 * the one there was. False: it cannot be kept (larger than an eighth of the whole, key of 64 KB).
 * The bytes are copied. */
bool shelf_put(struct shelf *s, const struct question *q, const struct entry *e);

/* Removes everything kept of the key. True when there was something: a reply, or one that was
 * removed or thrown out lately but for its place. */
bool shelf_remove(struct shelf *s, struct slice key);
/* Removes everything there is, at once; memory comes back in slices. */
void shelf_clear(struct shelf *s);

/* The stamp of the last put: entries with a stamp not above an older value of this came before. */
MUST_USE
uint64_t shelf_stamp(const struct shelf *s);

/* Housekeeping: gives back expired entries that are oldest in their queue (so without scanning),
 * cleared memory, grows or shrinks the table; about `slice` entries are looked at. True when work
 * is left. */
MUST_USE
bool shelf_tidy(struct shelf *s, uint64_t now_ms, unsigned slice);

/* Begins to look at every entry, in slices of shelf_tidy(), and to remove those `doomed` says yes
 * to; one begun before is begun anew with both. NULL stops. For prefixes flushed and policies
 * changed: until it is done the caller judges such entries itself when it finds them. */
typedef bool shelf_doomed(void *context, struct slice key, const struct entry *e);
void shelf_weed(struct shelf *s, shelf_doomed *doomed, void *context);
MUST_USE
bool shelf_weeding(const struct shelf *s);

/* What it holds and has done, by policy number. */
struct shelf_usage {
    uint64_t entries, bytes;     /* bytes: key, reply and header */
    uint64_t evictions, expired; /* thrown out for room; given back after their deadline */
};
struct shelf_usage shelf_usage_of(const struct shelf *s, uint16_t policy);
/* All of it; bytes as the process holds them: segments, blocks, table, ghosts. */
struct shelf_usage shelf_usage_total(const struct shelf *s);

struct block *block_hold(struct block *b);
void block_release(struct block *b); /* frees with the last */

#endif
