/* cache.c - see cache.h.
 *
 * The order that makes it right (C1, C2 clients, W a writer through another larder):
 *
 *   fill against push:      C1 GET k -> | token begun |   push k: token spoilt, key cleared
 *                           reply arrives: token spoilt -> delivered, not kept
 *   fill against own write: C2 SET k handed over: key held, tokens spoilt, cleared;
 *                           C1's GET k, asked meanwhile on another link, may be answered with the
 *                           old value before or after: not kept while held; at C2's reply all
 *                           tokens of k are spoilt once more, then the reply leaves
 *   fill against loss:      link lost: nothing kept so far is fresh, tokens of all keys void;
 *                           armed again: the same once more, for what was asked in between
 *                           may have changed before the pushes began */
#include "cache/cache.h"

#include <stdlib.h>

#include "base/hash.h"

/* Entries looked at in one slice of housekeeping: some 50 us. */
#define TIDY_SLICE 256u

struct flushed {
    char *prefix;
    size_t n;
    uint64_t stamp; /* what came later is not meant */
};

/* Prefixes flushed and not yet swept; one more sweeps all of them by clearing the shelf. */
#define FLUSHED_MAX 16u

struct owned {
    const struct shelf *shelf;
    uint32_t owner;
};

struct cache {
    struct shelf *shelf;
    struct keyring *keys;
    uint64_t max_memory;
    uint64_t timeout_ms;
    uint64_t proven_ms;
    uint64_t floor; /* entries up to that stamp are suspect */
    const bool *alive;
    size_t alive_count;
    const uint64_t *outlive; /* by policy, see cache_outlive() */
    size_t outlive_count;
    bool keeps_suspect; /* some policy does */
    struct flushed flushed[FLUSHED_MAX];
    size_t flushed_count;
    bool armed;
    bool without_link;
};

const char *look_word(enum look look)
{
    static const char *const words[] = {
        [LOOK_FRESH] = "fresh",         [LOOK_NOTHING] = "nothing kept",
        [LOOK_EXPIRED] = "expired",     [LOOK_SUSPECT] = "suspect",
        [LOOK_UNTRUSTED] = "untrusted", [LOOK_HELD] = "held by a write under way",
        [LOOK_DOOMED] = "being dropped"};

    CHECK(look < LOOK_COUNT);
    return words[look];
}

const char *trust_word(enum trust trust)
{
    static const char *const words[] = {[TRUST_CLOSED] = "closed",
                                        [TRUST_SILENT] = "silent",
                                        [TRUST_ARMED] = "armed",
                                        [TRUST_TTL] = "ttl"};

    CHECK((size_t)trust < ARRAY_LEN(words));
    return words[trust];
}

struct cache *cache_new(uint64_t max_memory, uint64_t coherence_timeout_ms)
{
    struct cache *c = must_calloc(1, sizeof *c);

    c->shelf = shelf_new(max_memory);
    c->keys = keyring_new(shelf_seed(c->shelf));
    c->max_memory = max_memory;
    c->timeout_ms = coherence_timeout_ms;
    return c;
}

static void forget_flushed(struct cache *c)
{
    for (size_t i = 0; i < c->flushed_count; i++)
        free(c->flushed[i].prefix);
    c->flushed_count = 0;
}

void cache_free(struct cache *c)
{
    if (c == NULL)
        return;
    forget_flushed(c);
    shelf_free(c->shelf);
    keyring_free(c->keys);
    free(c);
}

void cache_resettle(struct cache *c, uint64_t max_memory, uint64_t coherence_timeout_ms)
{
    c->max_memory = max_memory;
    c->timeout_ms = coherence_timeout_ms;
    shelf_resize(c->shelf, max_memory);
}

uint64_t cache_max_memory(const struct cache *c)
{
    return c->max_memory;
}

struct shelf *cache_shelf(struct cache *c)
{
    return c->shelf;
}

struct keyring *cache_keyring(struct cache *c)
{
    return c->keys;
}

/* ---- trust ---- */

/* Whatever was kept or asked before this moment cannot be relied on. */
static void new_epoch(struct cache *c)
{
    c->floor = shelf_stamp(c->shelf);
    keyring_void_all(c->keys);
}

static bool doomed(void *context, struct slice key, const struct entry *e);

/* What was kept before cannot be told from what has changed meanwhile. */
static void drop_suspect(struct cache *c)
{
    new_epoch(c);
    if (c->keeps_suspect)
        shelf_weed(c->shelf, doomed, c);
    else
        cache_flush(c);
}

void cache_armed(struct cache *c)
{
    c->armed = true;
    c->without_link = false;
    drop_suspect(c);
}

void cache_lost(struct cache *c)
{
    c->armed = c->without_link = false;
    new_epoch(c);
}

void cache_proven(struct cache *c, uint64_t asked_ms)
{
    c->proven_ms = asked_ms;
}

void cache_without_link(struct cache *c)
{
    if (c->without_link)
        return;
    c->without_link = true;
    c->armed = false;
    drop_suspect(c);
}

enum trust cache_trust(const struct cache *c, uint64_t now_ms)
{
    if (c->without_link)
        return TRUST_TTL;
    if (!c->armed)
        return TRUST_CLOSED;
    return now_ms - c->proven_ms <= c->timeout_ms ? TRUST_ARMED : TRUST_SILENT;
}

bool cache_changed(struct cache *c, struct slice key)
{
    const struct hash_seed *seed = shelf_seed(c->shelf);
    uint64_t hash = hash_bytes(seed, key.p, key.n);

    keyring_void(c->keys, key, hash);
    return shelf_remove_hashed(c->shelf, key, hash);
}

bool cache_clear(struct cache *c, const struct hold *h, uint32_t i)
{
    return shelf_remove_hashed(c->shelf, hold_key(h, i), hold_hash(h, i));
}

/* While prefixes are being flushed, what came before that must not look as if it had come later. */
bool cache_pushed(struct cache *c, struct slice key, uint64_t now_ms)
{
    uint64_t hash;

    if (shelf_weeding(c->shelf))
        return cache_changed(c, key);
    hash = hash_bytes(shelf_seed(c->shelf), key.p, key.n);
    keyring_void(c->keys, key, hash);
    return shelf_pushed(c->shelf, key, hash, now_ms, c->floor);
}

void cache_flush(struct cache *c)
{
    keyring_void_all(c->keys);
    shelf_clear(c->shelf);
    shelf_weed(c->shelf, NULL, NULL);
    forget_flushed(c);
}

/* ---- reads ---- */

static bool is_alive(const struct cache *c, uint16_t policy)
{
    return c->alive == NULL || (policy < c->alive_count && c->alive[policy]);
}

static bool keeps_suspect(const struct cache *c, uint16_t policy)
{
    return policy < c->outlive_count && c->outlive[policy] > 0;
}

static bool is_doomed(const struct cache *c, struct slice key, const struct entry *e)
{
    bool suspect = e->stamp <= c->floor;

    if (!is_alive(c, e->policy) || (suspect && !keeps_suspect(c, e->policy)) ||
        shelf_stray(c->shelf, key, e->stamp))
        return true;
    for (size_t i = 0; i < c->flushed_count; i++) {
        const struct flushed *f = &c->flushed[i];

        if (e->stamp <= f->stamp && slice_starts(key, slice_of(f->prefix, f->n)))
            return true;
    }
    return false;
}

static bool doomed(void *context, struct slice key, const struct entry *e)
{
    const struct cache *c = context;

    return is_doomed(c, key, e);
}

/* .. or dropped with its owner, which the shelf has not come to yet. */
static bool is_gone(const struct cache *c, struct slice key, const struct entry *e)
{
    return is_doomed(c, key, e) || shelf_dropped(c->shelf, key, e->stamp);
}

/* May it be served as fresh? What is doomed is so whatever else it is: others may be served stale.
 */
static enum look judge(struct cache *c, struct slice key, const struct entry *e, uint64_t now_ms)
{
    if (UNLIKELY(shelf_wary(c->shelf)) && ((shelf_weeding(c->shelf) && is_doomed(c, key, e)) ||
                                           shelf_dropped(c->shelf, key, e->stamp)))
        return LOOK_DOOMED;
    if (e->deadline_ms <= now_ms)
        return LOOK_EXPIRED;
    if (e->stamp <= c->floor)
        return LOOK_SUSPECT;
    if (UNLIKELY(!c->without_link && (!c->armed || now_ms - c->proven_ms > c->timeout_ms)))
        return LOOK_UNTRUSTED;
    return LOOK_FRESH;
}

enum look cache_look(struct cache *c, const struct question *q, uint64_t now_ms, bool peek,
                     struct entry *ret_entry)
{
    bool found = peek ? shelf_peek(c->shelf, q, ret_entry) : shelf_find(c->shelf, q, ret_entry);

    if (found)
        return judge(c, q->key, ret_entry, now_ms);
    return peek && keyring_held(c->keys, q->key) ? LOOK_HELD : LOOK_NOTHING;
}

enum look cache_look_probed(struct cache *c, const struct question *q, const struct probe *probe,
                            uint64_t now_ms, struct entry *ret_entry)
{
    bool found = shelf_find_probed(c->shelf, q, probe, ret_entry);

    return found ? judge(c, q->key, ret_entry, now_ms) : LOOK_NOTHING;
}

bool cache_look_past(const struct cache *c, const struct question *q, uint64_t now_ms,
                     struct entry *ret_entry)
{
    const struct entry *e = ret_entry;

    return shelf_peek(c->shelf, q, ret_entry) && e->deadline_ms <= now_ms &&
           e->kind != ENTRY_ABSENT && e->expiry_ms == e->deadline_ms && e->stamp > c->floor &&
           !is_gone(c, q->key, e);
}

bool cache_look_old(const struct cache *c, const struct question *q, uint64_t now_ms,
                    uint64_t old_ms, struct entry *ret_entry)
{
    const struct entry *e = ret_entry;

    return shelf_peek(c->shelf, q, ret_entry) && !is_gone(c, q->key, e) &&
           now_ms < e->deadline_ms + (e->kind == ENTRY_ABSENT ? 0 : old_ms);
}

bool cache_past(const struct cache *c, struct slice key, uint64_t now_ms, uint64_t *ret_deadline)
{
    return shelf_past(c->shelf, key, now_ms, ret_deadline);
}

bool cache_spare(struct cache *c, struct slice key, uint64_t now_ms)
{
    return !shelf_weeding(c->shelf) && shelf_spare(c->shelf, key, now_ms, c->floor);
}

void cache_forget(struct cache *c, struct slice key)
{
    (void)!shelf_remove(c->shelf, key);
}

enum filled cache_fill(struct cache *c, const struct flight *f, const struct question *q,
                       const struct entry *e, uint64_t now_ms)
{
    if (!flight_good(c->keys, f) || (!c->armed && !c->without_link) || !is_alive(c, e->policy))
        return FILL_CHANGED;
    if (e->deadline_ms <= now_ms)
        return FILL_LATE;
    return shelf_put_hashed(c->shelf, q, flight_hash(f), e) ? FILL_KEPT : FILL_FULL;
}

void cache_policies(struct cache *c, const bool *alive, size_t n)
{
    c->alive = alive;
    c->alive_count = n;
    shelf_weed(c->shelf, doomed, c);
}

void cache_linger(struct cache *c, const uint64_t *ms, size_t n)
{
    shelf_linger(c->shelf, ms, n);
}

void cache_outlive(struct cache *c, const uint64_t *ms, size_t n)
{
    c->outlive = ms;
    c->outlive_count = n;
    c->keeps_suspect = false;
    for (size_t i = 0; i < n; i++)
        c->keeps_suspect |= ms[i] > 0;
    shelf_outlive(c->shelf, ms, n);
}

void cache_flush_prefix(struct cache *c, struct slice prefix)
{
    struct flushed *f;

    keyring_void_all(c->keys);
    if (!shelf_weeding(c->shelf))
        forget_flushed(c);
    if (prefix.n == 0 || c->flushed_count == FLUSHED_MAX) {
        cache_flush(c);
        return;
    }
    f = &c->flushed[c->flushed_count++];
    *f = (struct flushed){must_alloc(prefix.n), prefix.n, shelf_stamp(c->shelf)};
    memcpy(f->prefix, prefix.p, prefix.n);
    shelf_weed(c->shelf, doomed, c);
}

void cache_share(struct cache *c, uint32_t owner, uint64_t bytes)
{
    shelf_share(c->shelf, owner, bytes);
    if (shelf_usage_of_owner(c->shelf, 0).entries > 0)
        shelf_weed(c->shelf, doomed, c);
}

void cache_owner_gone(struct cache *c, uint32_t owner)
{
    keyring_void_all(c->keys);
    shelf_owner_gone(c->shelf, owner);
}

static bool is_owners(void *context, struct slice key)
{
    const struct owned *owned = context;

    return shelf_owner_of(owned->shelf, key) == owned->owner;
}

void cache_flush_owner(struct cache *c, uint32_t owner)
{
    struct owned owned = {c->shelf, owner};

    keyring_void_those(c->keys, is_owners, &owned);
    shelf_drop(c->shelf, owner);
}

bool cache_tidy(struct cache *c, uint64_t now_ms)
{
    return shelf_tidy(c->shelf, now_ms, TIDY_SLICE);
}
