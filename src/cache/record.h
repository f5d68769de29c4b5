/* record.h - how an entry lies in memory: 20 bytes of header, what it needs besides, key, reply.
 *
 *      | stamp, policy | deadline, lengths, flags | key, scope | expiry? birth? ask? | key ask
 * value | 0               8                          16           20                     then to 8
 * bytes
 *
 * Every record has a size that its header tells, dead ones too: segments are walked by it. What
 * may be absent (expiry, birth, length of ask) is; all of it lies unaligned and is copied out. */
#ifndef LARDER_CACHE_RECORD_H
#define LARDER_CACHE_RECORD_H

#include "cache/shelf.h"

/* The record of a key without `ask` is its *head*; all others of the key are *variants* and live
 * only as long as the head: a variant is alive when there is a head born before it was put. */
enum record_role {
    ROLE_VARIANT,
    ROLE_ALONE,  /* a head that never had variants */
    ROLE_FAMILY, /* a head that had; born when it was put */
    ROLE_BORN,   /* a head that had and was put anew: its birth is kept */
};

enum record_kind {
    RECORD_VALUE = ENTRY_VALUE,
    RECORD_ABSENT = ENTRY_ABSENT,
    RECORD_HOLLOW, /* a head that only keeps variants alive */
    RECORD_PAST = ENTRY_PAST,
};

/* What a hollow head has in the place of a scope. */
enum hollow {
    HOLLOW_FIRM = 1u << 0,   /* its deadline is the last of its variants', which is their expiry */
    HOLLOW_PUSHED = 1u << 1, /* .. and the upstream has said that the key changed since then */
};

/* How the expiry is kept: mostly it is the deadline, or there is none. */
enum record_expiry { EXPIRY_SAME, EXPIRY_NONE, EXPIRY_LATER, EXPIRY_FULL };

#define RECORD_HEADER    20u
#define RECORD_ALIGN     8u
#define RECORD_MIN       24u
#define RECORD_KEY_MAX   UINT16_MAX
#define RECORD_VALUE_MAX ((1u << 13) - 1)
#define DEADLINE_MAX     ((UINT64_C(1) << 42) - 1)
#define FREQ_MAX         3u
#define POINTER_BYTES    sizeof(void *)

struct record {
    uint64_t stamp : 48; /* 0: dead */
    uint64_t policy : 16;
    uint64_t deadline : 42;
    uint64_t value : 13; /* bytes of it here: with `block`, of the pointer */
    uint64_t kind : 2;
    uint64_t block : 1;
    uint64_t expiry : 2;
    uint64_t role : 2;
    uint64_t freq : 2;
    uint16_t key, scope;
    char data[];
};

/* What a record is made of. */
struct plan {
    struct question q;
    struct slice value;
    struct block *block; /* a copy of `value`, if it is to lie `outside` */
    bool outside;
    uint64_t deadline, expiry, stamp, birth;
    uint16_t policy;
    uint8_t kind, role, freq;
};

static inline enum record_expiry plan_expiry(const struct plan *p)
{
    if (p->expiry == EXPIRY_NEVER)
        return EXPIRY_NONE;
    if (p->expiry == p->deadline)
        return EXPIRY_SAME;
    return p->expiry > p->deadline && p->expiry - p->deadline <= UINT32_MAX ? EXPIRY_LATER
                                                                            : EXPIRY_FULL;
}

static inline size_t extra_bytes(enum record_expiry expiry, enum record_role role)
{
    static const uint8_t of_expiry[] = {[EXPIRY_LATER] = 4, [EXPIRY_FULL] = 8};
    static const uint8_t of_role[] = {[ROLE_VARIANT] = 2, [ROLE_BORN] = 8};

    return (size_t)of_expiry[expiry & 3] + of_role[role & 3];
}

static inline size_t align_record(size_t n)
{
    return (n + RECORD_ALIGN - 1) & ~(size_t)(RECORD_ALIGN - 1);
}

static inline size_t plan_size(const struct plan *p)
{
    size_t value = p->outside ? POINTER_BYTES : p->value.n;

    return align_record(RECORD_HEADER + extra_bytes(plan_expiry(p), (enum record_role)p->role) +
                        p->q.key.n + p->q.ask.n + value);
}

void plan_write(const struct plan *p, struct record *r);

static inline const char *record_key_at(const struct record *r)
{
    return r->data + extra_bytes((enum record_expiry)r->expiry, (enum record_role)r->role);
}

static inline struct slice record_key(const struct record *r)
{
    return slice_of(record_key_at(r), r->key);
}

static inline size_t record_ask_bytes(const struct record *r)
{
    uint16_t n;

    if (r->role != ROLE_VARIANT)
        return 0;
    memcpy(&n, record_key_at(r) - sizeof(n), sizeof(n));
    return n;
}

static inline struct slice record_ask(const struct record *r)
{
    return slice_of(record_key_at(r) + r->key, record_ask_bytes(r));
}

static inline const char *record_value_at(const struct record *r)
{
    return record_key_at(r) + r->key + record_ask_bytes(r);
}

static inline size_t record_size(const struct record *r)
{
    return align_record((size_t)(record_value_at(r) - (const char *)r) + r->value);
}

static inline struct block *record_block(const struct record *r)
{
    struct block *b;

    if (!r->block)
        return NULL;
    memcpy(&b, record_value_at(r), POINTER_BYTES);
    return b;
}

/* Since when variants of this head live. */
static inline uint64_t record_birth(const struct record *r)
{
    uint64_t birth;

    if (r->role != ROLE_BORN)
        return r->stamp;
    memcpy(&birth, record_key_at(r) - sizeof(birth), sizeof(birth));
    return birth;
}

static inline uint64_t record_expires(const struct record *r)
{
    uint64_t full;
    uint32_t later;

    switch ((enum record_expiry)r->expiry) {
    case EXPIRY_SAME:
        return r->deadline;
    case EXPIRY_NONE:
        return EXPIRY_NEVER;
    case EXPIRY_LATER:
        memcpy(&later, r->data, sizeof(later));
        /* To gcc a field of 42 bits is a type of 42 bits, whose sums wrap around. */
        return (uint64_t)r->deadline + later;
    case EXPIRY_FULL:
        break;
    }
    memcpy(&full, r->data, sizeof(full));
    return full;
}

/* As the caller of a shelf sees it; not of a hollow head. */
static inline void record_entry(const struct record *r, struct entry *ret_entry)
{
    ret_entry->block = record_block(r);
    ret_entry->bytes = ret_entry->block ? slice_of(ret_entry->block->bytes, ret_entry->block->n)
                                        : slice_of(record_value_at(r), r->value);
    ret_entry->deadline_ms = r->deadline;
    ret_entry->expiry_ms = record_expires(r);
    ret_entry->stamp = r->stamp;
    ret_entry->policy = r->policy;
    ret_entry->kind = r->kind;
}

/* Blocks: what one of n bytes takes of the process' memory, and making one (a reference of one). */
size_t block_cost(size_t n);
MUST_USE
struct block *block_new(struct slice bytes);

#endif
