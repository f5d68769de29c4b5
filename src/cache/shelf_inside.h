/* shelf_inside.h - what the files of the shelf share; the story is in shelf.c. */
#ifndef LARDER_CACHE_SHELF_INSIDE_H
#define LARDER_CACHE_SHELF_INSIDE_H

#include "base/hash.h"
#include "cache/arena.h"
#include "cache/ghost.h"
#include "cache/table.h"

/* Segments: of a size that makes this many of them fill the shelf, within limits. More would waste
 * less (each queue has one half full, two are kept free), larger ones cost fewer system calls. */
#define SEGMENTS_WANTED   256u
#define SEGMENTS_LEAST    16u
#define SEGMENT_MIN_BYTES (16u * 1024u)
#define SEGMENT_MAX_BYTES (1024u * 1024u)
#define SHELF_MIN_BYTES   ((size_t)SEGMENTS_LEAST * SEGMENT_MIN_BYTES)

/* From so many bytes on a reply is kept in a block of its own; less where segments are small. */
#define BLOCK_BYTES ((size_t)8192)

/* One question may take 1/8 of the shelf: more would throw out all else. */
#define SHARE_OF_ONE 8u

/* Records that one put looks at, at most, to make room that it cannot do without; and in advance,
 * for those to come. 60 to 100 ns each. */
#define ROOM_STEPS  512u
#define AHEAD_STEPS 64u

/* How long room for a large reply is made in advance after it found none. */
#define AHEAD_MS 5000u

/* Free segments that eviction aims at: one for the next put, one to move survivors into, which
 * no put takes. */
#define FREE_SEGMENTS 2u

/* The records, their table, and what was cleared: a store no longer looked into. */
struct store {
    struct arena arena;
    struct table table;
    struct store *next;
};

struct shares; /* shelf_share.c */

struct shelf {
    struct store store;
    struct hash_seed seed;
    uint64_t stamp;
    size_t max_bytes;
    size_t block_bytes; /* of all stores */
    struct store *cleared;
    struct ghost ghost;
    uint64_t now_ms; /* of the last shelf_tidy() */
    size_t ahead;    /* bytes of room wanted beyond FREE_SEGMENTS, until ahead_until_ms */
    uint64_t ahead_until_ms;
    uint32_t pack_at; /* where to look for the next segment to compact, and in which queue */
    uint32_t pack_queue;
    shelf_doomed *doomed;
    void *doomed_context;
    uint32_t weed_at;       /* bucket */
    const uint64_t *linger; /* by policy; not ours */
    size_t linger_count;
    const uint64_t *outlive; /* the same, see shelf_outlive() */
    size_t outlive_count;
    bool dropping;         /* entries of an owner, see shares.h */
    bool wary;             /* that, or weeding */
    struct shares *shares; /* NULL: there are no owners */
    size_t share_bytes;    /* what they take, records apart */
    uint32_t policy_count;
    struct shelf_usage *policies;
    struct shelf_usage total;
};

/* A record, where its reference is, and its hash. */
struct place {
    struct record *record;
    uint32_t ref;
    uint64_t hash;
    struct spot spot;
};

/* -------------------------------------------------------------------- shelf.c */

/* Hashes: of a key hash_bytes(), of a variant this, and table.h's callback. */
MUST_USE
uint64_t shelf_hash_variant(const struct shelf *s, uint64_t key_hash, struct slice ask,
                            uint16_t scope);
void shelf_hashes(const void *context, const uint32_t *refs, unsigned count, uint64_t *ret_hashes);

/* The head of a key; the variant for a question, which may be an orphan. */
MUST_USE
bool shelf_find_head(const struct shelf *s, struct slice key, uint64_t hash,
                     struct place *ret_place);
MUST_USE
bool shelf_find_variant(const struct shelf *s, const struct question *q, uint64_t hash,
                        struct place *ret_place);
MUST_USE
bool shelf_is_alive(const struct record *variant, const struct record *head);

/* Where a record that is in the table is. */
void shelf_place(const struct shelf *s, uint32_t ref, struct place *ret_place);
/* Is it a variant without the head it belongs to? */
MUST_USE
bool shelf_orphan(const struct shelf *s, const struct place *at);
/* Takes a record out of table, queue and account. */
void shelf_forget(struct shelf *s, const struct place *at);
/* The same but for the table: a record that is not in it. */
void shelf_bury(struct shelf *s, uint32_t ref);
/* The same for its own sake: variants of a head that goes live on. False: it was kept, hollow. */
bool shelf_hollow(struct shelf *s, const struct place *at);
/* The account of a policy; good until another is asked for. */
struct shelf_usage *shelf_account(struct shelf *s, uint16_t policy);
/* A record of `size` bytes, with its block, comes. */
void shelf_account_in(struct shelf *s, const struct record *r, size_t size);

/* Nobody wants it from then on (shelf_past.c). */
MUST_USE
uint64_t shelf_useful_until(const struct shelf *s, const struct record *r);

/* Bytes of a record beyond its segment. */
static inline size_t record_outside(const struct record *r)
{
    const struct block *b = record_block(r);

    return b ? block_cost(b->n) : 0;
}

/* --------------------------------------------------------------- shelf_room.c */

/* What the process holds, or will hold when its segments are full and eviction begins. */
MUST_USE
size_t shelf_committed(const struct shelf *s);
/* How many of the evicted are to be remembered. */
MUST_USE
uint64_t shelf_ghosts(const struct shelf *s);

/* Is there room for a record of `size` and a block of `outside` bytes? */
MUST_USE
bool room_is(const struct shelf *s, enum queue_id queue, size_t size, size_t outside);
/* The same with up to ROOM_STEPS of work, if need be; records go and move. */
MUST_USE
bool room_make(struct shelf *s, enum queue_id queue, size_t size, size_t outside);
/* A block of `outside` bytes takes the place of segments that have memory but no use. */
void room_cool(struct shelf *s, size_t outside);
/* Up to AHEAD_STEPS of work in advance, in proportion to `bytes` that were put. */
void room_ahead(struct shelf *s, size_t bytes);

/* Forgets a record that has no business here any more. False: it has. */
MUST_USE
bool room_forget_useless(struct shelf *s, const struct place *at);
/* Throws a record out. */
void room_evict(struct shelf *s, const struct place *at);

/* For shelf_tidy(), each as much as there is to do and *left allows: steps are taken from it. */
void room_drain(struct shelf *s, unsigned *left);
void room_refill(struct shelf *s, unsigned *left);
void room_expire(struct shelf *s, unsigned *left);

/* Gives all of it back. */
void store_done(struct shelf *s, struct store *store);

/* -------------------------------------------------------------- shelf_share.c
 *
 * Only while there are owners, but for shares_done(). */

/* A record, with its block, is counted in or out; what its owner has lost. */
void shares_in(struct shelf *s, const struct record *r);
void shares_out(struct shelf *s, const struct record *r);
MUST_USE
struct shelf_usage *shares_account(struct shelf *s, const struct record *r);
/* A record was put, and is in the table by that hash: it is counted in and noted. */
void shares_put(struct shelf *s, uint64_t hash, uint32_t ref);

/* Bytes that one put may add to what shares take, at most: a chunk of notes here and there. */
#define SHARES_GROW 1024u

/* Is there room in the share of the key's owner for `more` bytes in place of `less`? */
MUST_USE
bool shares_fit(const struct shelf *s, struct slice key, size_t more, size_t less);
/* The same for `more`, with up to ROOM_STEPS of work; records go. */
MUST_USE
bool shares_make(struct shelf *s, struct slice key, size_t more);

void shares_tidy(struct shelf *s, unsigned *left);
/* All that is on the shelf has gone. */
void shares_clear(struct shelf *s);
void shares_done(struct shelf *s);

#endif
