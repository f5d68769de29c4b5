/* keyring.h - the keys that something is under way for: writes unanswered, questions in the air.
 *
 * A *hold* is on the keys of a write from its hand-over to its reply. A *flight* is one question
 * upstream that any number of identical ones wait for; its `keep` is the fill token: false once
 * anything may have changed the key since it was asked. Holding, releasing and voiding a key spoil
 * the flights of that key; voiding all spoils every flight at once.
 *
 * A key that nothing is under way for takes no memory here. */
#ifndef LARDER_CACHE_KEYRING_H
#define LARDER_CACHE_KEYRING_H

#include <stdint.h>

#include "base/list.h"
#include "base/slice.h"

struct keyring;
struct key_record;
struct question;
struct hash_seed;

/* Embedded by whoever asks; `ask` and the key stay the embedder's and live as long as the flight.
 */
struct flight {
    struct list node; /* among the flights of its key */
    struct key_record *record;
    struct list waiters; /* of struct waiter */
    struct slice ask;
    uint64_t epoch;
    uint16_t scope;
    bool open; /* may be joined */
    bool keep; /* the fill token */
};

/* Embedded by whoever waits for a flight of somebody else's. */
struct waiter {
    struct list node;
};

/* The keys of one write. */
struct hold {
    struct hold *next; /* the owner's */
    uint32_t at;       /* the owner's: which reply ends it */
    uint32_t n;
    bool all;   /* every key there is */
    bool begun; /* the keys are held: see hold_begin() */
    bool voids; /* the owner's: the keys are deleted */
    bool blunt; /* the owner's: no key that is on the shelf now is meant */
    struct key_record *records[];
};

/* Keys are hashed with that seed: the shelf's, so that what one has hashed the other need not. */
MUST_USE
struct keyring *keyring_new(const struct hash_seed *seed);
void keyring_free(struct keyring *k);

MUST_USE
bool keyring_held(const struct keyring *k, struct slice key);
/* Spoils the flights of the key, whose hash it is; of all keys. */
void keyring_void(struct keyring *k, struct slice key, uint64_t hash);
void keyring_void_all(struct keyring *k);
/* .. of those keys that `those` says yes to. Looks at each key there is something under way for. */
void keyring_void_those(struct keyring *k, bool (*those)(void *context, struct slice key),
                        void *context);

/* The flight in the air for that question that may be joined, or NULL. */
MUST_USE
struct flight *keyring_flight(const struct keyring *k, const struct question *q);
/* Enters f: open, with its token good, no waiters. */
void flight_begin(struct keyring *k, struct flight *f, const struct question *q);
/* The key it is for: the keyring's own copy, there until it ends. */
MUST_USE
struct slice flight_key(const struct flight *f);
MUST_USE
uint64_t flight_hash(const struct flight *f); /* of that key */
/* Nothing has changed the key since it began. */
MUST_USE
bool flight_good(const struct keyring *k, const struct flight *f);
/* Leaves; the waiters must have been taken care of. */
void flight_end(struct keyring *k, struct flight *f);

/* A hold on n keys, not begun: it only remembers them. n == 0 with all: every key. */
MUST_USE
struct hold *hold_new(struct keyring *k, const struct slice *keys, uint32_t n, bool all);
/* From now on the keys are held. */
void hold_begin(struct keyring *k, struct hold *h);
/* Ends and frees it, spoiling the flights that were begun meanwhile. */
void hold_end(struct keyring *k, struct hold *h);
/* The i-th key of the hold. */
MUST_USE
struct slice hold_key(const struct hold *h, uint32_t i);
MUST_USE
uint64_t hold_hash(const struct hold *h, uint32_t i); /* of that key */

/* Writes of unknown reach are under way: every key is held. */
MUST_USE
bool keyring_all_held(const struct keyring *k);
/* Keys something is under way for. */
MUST_USE
size_t keyring_count(const struct keyring *k);

#endif
