/* keyring.c - see keyring.h.
 *
 *      bucket -> record "user:1" -> record "user:9"       a record per key, chained by hash
 *                  pins 2, held 1
 *                  flights: GET user:1, HGETALL user:1
 *
 * A record lives while something pins it: each hold and each flight of its key does. The number of
 * records is that of requests in flight, so the table need not grow. */
#include "cache/keyring.h"

#include <stdlib.h>

#include "base/hash.h"
#include "cache/shelf.h"

/* Chains stay short up to some 10,000 requests in flight; 128 KB while a near cache is in use. */
#define KEYRING_BUCKETS 16384u

struct key_record {
    struct key_record *next;
    struct list flights;
    uint32_t pins; /* holds and flights that refer to it */
    uint32_t held; /* writes unanswered */
    uint64_t hash;
    uint32_t n;
    char key[];
};

struct keyring {
    struct hash_seed seed;
    uint64_t epoch; /* flights of an earlier one are void */
    uint32_t all_held;
    size_t records;
    struct key_record *buckets[KEYRING_BUCKETS];
};

struct keyring *keyring_new(const struct hash_seed *seed)
{
    struct keyring *k = must_calloc(1, sizeof *k);

    k->seed = *seed;
    return k;
}

void keyring_free(struct keyring *k)
{
    if (k == NULL)
        return;
    CHECK(k->records == 0);
    free(k);
}

static uint64_t hash_of(const struct keyring *k, struct slice key)
{
    return hash_bytes(&k->seed, key.p, key.n);
}

static struct key_record *find_hashed(const struct keyring *k, struct slice key, uint64_t hash)
{
    struct key_record *r = k->buckets[hash % KEYRING_BUCKETS];

    while (r != NULL && (r->hash != hash || !slice_eq(slice_of(r->key, r->n), key)))
        r = r->next;
    return r;
}

static struct key_record *find(const struct keyring *k, struct slice key)
{
    return k->records == 0 ? NULL : find_hashed(k, key, hash_of(k, key));
}

/* The key's record, made if need be, with one more pin. */
static struct key_record *pin(struct keyring *k, struct slice key)
{
    uint64_t hash = hash_of(k, key);
    struct key_record *r = find_hashed(k, key, hash),
                      **bucket = &k->buckets[hash % KEYRING_BUCKETS];

    if (r == NULL) {
        CHECK(key.n <= UINT32_MAX);
        r = must_alloc(sizeof *r + key.n);
        *r = (struct key_record){.next = *bucket, .hash = hash, .n = (uint32_t)key.n};
        list_init(&r->flights);
        if (key.n > 0)
            memcpy(r->key, key.p, key.n);
        *bucket = r;
        k->records++;
    }
    r->pins++;
    return r;
}

static void unpin(struct keyring *k, struct key_record *r)
{
    struct key_record **at = &k->buckets[r->hash % KEYRING_BUCKETS];

    CHECK(r->pins > 0);
    if (--r->pins > 0)
        return;
    CHECK(r->held == 0 && list_empty(&r->flights));
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    k->records--;
    free(r);
}

static void spoil(struct key_record *r)
{
    for (list_each (node, &r->flights)) {
        struct flight *f = CONTAINER_OF(node, struct flight, node);

        f->open = f->keep = false;
    }
}

bool keyring_held(const struct keyring *k, struct slice key)
{
    const struct key_record *r = k->all_held > 0 ? NULL : find(k, key);

    return k->all_held > 0 || (r != NULL && r->held > 0);
}

bool keyring_all_held(const struct keyring *k)
{
    return k->all_held > 0;
}

void keyring_void(struct keyring *k, struct slice key, uint64_t hash)
{
    struct key_record *r = k->records == 0 ? NULL : find_hashed(k, key, hash);

    if (r != NULL)
        spoil(r);
}

void keyring_void_all(struct keyring *k)
{
    k->epoch++;
}

void keyring_void_those(struct keyring *k, bool (*those)(void *context, struct slice key),
                        void *context)
{
    for (uint32_t i = 0; k->records > 0 && i < KEYRING_BUCKETS; i++)
        for (struct key_record *r = k->buckets[i]; r != NULL; r = r->next)
            if (those(context, slice_of(r->key, r->n)))
                spoil(r);
}

size_t keyring_count(const struct keyring *k)
{
    return k->records;
}

/* ---- flights ---- */

struct flight *keyring_flight(const struct keyring *k, const struct question *q)
{
    const struct key_record *r = find(k, q->key);

    if (r == NULL)
        return NULL;
    for (list_each (node, &r->flights)) {
        struct flight *f = CONTAINER_OF(node, struct flight, node);

        if (f->open && f->epoch == k->epoch && f->scope == q->scope && slice_eq(f->ask, q->ask))
            return f;
    }
    return NULL;
}

void flight_begin(struct keyring *k, struct flight *f, const struct question *q)
{
    *f = (struct flight){.record = pin(k, q->key),
                         .ask = q->ask,
                         .scope = q->scope,
                         .epoch = k->epoch,
                         .open = true,
                         .keep = true};
    list_init(&f->waiters);
    list_push_back(&f->record->flights, &f->node);
}

struct slice flight_key(const struct flight *f)
{
    return slice_of(f->record->key, f->record->n);
}

uint64_t flight_hash(const struct flight *f)
{
    return f->record->hash;
}

bool flight_good(const struct keyring *k, const struct flight *f)
{
    return f->keep && f->epoch == k->epoch && f->record->held == 0 && k->all_held == 0;
}

void flight_end(struct keyring *k, struct flight *f)
{
    CHECK(list_empty(&f->waiters));
    list_leave(&f->node);
    unpin(k, f->record);
    f->record = NULL;
}

/* ---- holds ---- */

struct hold *hold_new(struct keyring *k, const struct slice *keys, uint32_t n, bool all)
{
    struct hold *h = must_alloc(sizeof *h + n * sizeof(struct key_record *));

    *h = (struct hold){.n = n, .all = all};
    for (uint32_t i = 0; i < n; i++)
        h->records[i] = pin(k, keys[i]);
    return h;
}

void hold_begin(struct keyring *k, struct hold *h)
{
    CHECK(!h->begun);
    h->begun = true;
    if (h->all) {
        k->all_held++;
        k->epoch++;
    }
    for (uint32_t i = 0; i < h->n; i++) {
        h->records[i]->held++;
        spoil(h->records[i]);
    }
}

void hold_end(struct keyring *k, struct hold *h)
{
    if (h->all) {
        k->epoch++;
        k->all_held -= h->begun;
    }
    for (uint32_t i = 0; i < h->n; i++) {
        struct key_record *r = h->records[i];

        spoil(r);
        r->held -= h->begun;
        unpin(k, r);
    }
    free(h);
}

struct slice hold_key(const struct hold *h, uint32_t i)
{
    return slice_of(h->records[i]->key, h->records[i]->n);
}

uint64_t hold_hash(const struct hold *h, uint32_t i)
{
    return h->records[i]->hash;
}
