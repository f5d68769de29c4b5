/* touches.c - see touches.h.
 *
 *      buckets -> touch "sess:1" -> touch "sess:9"     a chain per hash, as many as keys may be
 *      heap    -> [at 100] [at 120] [at 310] ..        all of them, the earliest first
 *
 * A touch is two things that go their own ways: what is pending (promised, not told), and the last
 * telling, which counts for a quarter of the window.
 *
 *      TELLING_NONE -> TELLING_AWAITED    touches_hit(): TOUCH_TELL, touches_due()
 *      AWAITED -> DONE, CAPPED            touches_told()
 *      DONE, CAPPED -> NONE               a later look found the key to be another's work
 *      any -> gone                        forgotten, or the quarter is over and nothing is pending
 *
 * at_ms is when it is due while it is pending, else when it can go. What makes two tellings a
 * quarter apart: while one counts, no hit tells, and what a hit makes pending is not due before
 * the quarter is over. What makes it safe to wait so long: a telling asks for 3/4 window at least,
 * so when it no longer counts there is half of one left. */
#include "policy/touches.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/limits.h"

/* A deadline is what PTTL says plus when it was asked, so two looks at the same one differ by what
 * the network took; a cap within that of the promise is as good as none. */
#define SAME_DEADLINE_MS UINT64_C(1000)

enum telling {
    TELLING_NONE,
    TELLING_AWAITED, /* the answer is; told_ms is when it was wanted */
    TELLING_DONE,
    TELLING_CAPPED, /* the answer was earlier than wanted_ms: more is not to be had */
};

/* What a hit on a remembered key looks at comes first: a cache line, and the key behind it. */
struct touch {
    struct touch *next; /* in its bucket */
    uint64_t hash;
    uint64_t at_ms;      /* as in the heap */
    uint64_t window_ms;  /* of the last hit */
    uint64_t promise_ms; /* while pending */
    uint64_t told_ms;    /* the last telling: when its answer came */
    uint64_t quarter_ms; /* .. and for how long it counts */
    uint32_t scope;
    uint32_t n;
    enum telling telling;
    bool pending;
    uint64_t wanted_ms;   /* the last telling: the deadline that was asked for */
    uint64_t deadline_ms; /* .. and answered, if it was */
    size_t place;         /* in the heap */
    char key[];
};

struct heap_place {
    uint64_t at_ms;
    struct touch *touch;
};

struct touches {
    struct hash_seed seed;
    size_t max_keys, count, pending;
    uint64_t bytes; /* of the keys */
    struct touch **buckets;
    size_t mask; /* their number - 1 */
    struct heap_place *heap;
    size_t heap_size;
    struct touch *given; /* by touches_due(), and no longer remembered */
};

/* What a caller knows of the upstream's deadline. */
struct look {
    uint64_t deadline_ms, asked_ms;
};

static uint64_t quarter(uint64_t window_ms)
{
    return window_ms / 4;
}

static uint64_t same_deadline(uint64_t window_ms)
{
    uint64_t share = window_ms / 16;

    return share < SAME_DEADLINE_MS ? share : SAME_DEADLINE_MS;
}

/* ---- the heap ---- */

static void heap_set(struct touches *t, size_t i, struct heap_place place)
{
    t->heap[i] = place;
    place.touch->place = i;
}

static void heap_up(struct touches *t, size_t i)
{
    struct heap_place moving = t->heap[i];

    for (; i > 0 && moving.at_ms < t->heap[(i - 1) / 2].at_ms; i = (i - 1) / 2)
        heap_set(t, i, t->heap[(i - 1) / 2]);
    heap_set(t, i, moving);
}

static void heap_down(struct touches *t, size_t i)
{
    struct heap_place moving = t->heap[i];

    for (size_t child = 2 * i + 1; child < t->count; child = 2 * i + 1) {
        if (child + 1 < t->count && t->heap[child + 1].at_ms < t->heap[child].at_ms)
            child++;
        if (moving.at_ms <= t->heap[child].at_ms)
            break;
        heap_set(t, i, t->heap[child]);
        i = child;
    }
    heap_set(t, i, moving);
}

static void move_to(struct touches *t, struct touch *touch, uint64_t at_ms)
{
    uint64_t before = touch->at_ms;

    touch->at_ms = t->heap[touch->place].at_ms = at_ms;
    if (at_ms < before)
        heap_up(t, touch->place);
    else if (at_ms > before)
        heap_down(t, touch->place);
}

/* ---- what is remembered ---- */

static uint64_t hash_of(const struct touches *t, struct touch_key k)
{
    return hash_bytes(&t->seed, k.key.p, k.key.n) + k.scope * UINT64_C(0x9e3779b97f4a7c15);
}

static struct touch *find_hashed(const struct touches *t, struct touch_key k, uint64_t hash)
{
    struct touch *touch = t->buckets[hash & t->mask];

    while (touch != NULL && !(touch->hash == hash && touch->scope == k.scope &&
                              slice_eq(slice_of(touch->key, touch->n), k.key)))
        touch = touch->next;
    return touch;
}

static struct touch *find(const struct touches *t, struct touch_key k)
{
    return t->count == 0 ? NULL : find_hashed(t, k, hash_of(t, k));
}

static void set_pending(struct touches *t, struct touch *touch, bool pending)
{
    t->pending += pending;
    t->pending -= touch->pending;
    touch->pending = pending;
}

/* Out of the table and the heap; the caller owns it. */
static void take_out(struct touches *t, struct touch *touch)
{
    struct touch **at = &t->buckets[touch->hash & t->mask];
    size_t i = touch->place;
    struct heap_place last = t->heap[--t->count];

    set_pending(t, touch, false);
    while (*at != touch)
        at = &(*at)->next;
    *at = touch->next;
    t->bytes -= touch->n;
    if (last.touch != touch) {
        heap_set(t, i, last);
        heap_up(t, i);
        heap_down(t, last.touch->place);
    }
}

static void drop(struct touches *t, struct touch *touch)
{
    take_out(t, touch);
    free(touch);
}

static bool is_full(const struct touches *t, size_t key_bytes)
{
    uint64_t bytes = (uint64_t)t->max_keys * TOUCH_KEY_BYTES;

    return t->count >= t->max_keys || key_bytes > bytes || t->bytes > bytes - key_bytes;
}

/* Tellings that no longer count give way. */
static bool has_room(struct touches *t, size_t key_bytes, uint64_t now_ms)
{
    while (is_full(t, key_bytes)) {
        if (t->count == 0 || t->heap[0].touch->pending || t->heap[0].at_ms > now_ms)
            return false;
        drop(t, t->heap[0].touch);
    }
    return true;
}

/* A new touch, of which nothing is known. NULL: there is no room for it. */
static struct touch *add(struct touches *t, struct touch_key k, uint64_t hash, uint64_t now_ms)
{
    struct touch **bucket = &t->buckets[hash & t->mask];
    struct touch *touch;

    if (!has_room(t, k.key.n, now_ms) || k.key.n > UINT32_MAX)
        return NULL;
    if (t->count == t->heap_size) {
        t->heap_size = t->heap_size ? 2 * t->heap_size : 16;
        t->heap = must_realloc(t->heap, t->heap_size * sizeof(*t->heap));
    }
    touch = must_alloc(sizeof(*touch) + k.key.n);
    *touch = (struct touch){.next = *bucket,
                            .hash = hash,
                            .at_ms = UINT64_MAX,
                            .scope = k.scope,
                            .n = (uint32_t)k.key.n};
    if (k.key.n > 0)
        memcpy(touch->key, k.key.p, k.key.n);
    *bucket = touch;
    t->bytes += touch->n;
    heap_set(t, t->count++, (struct heap_place){.at_ms = touch->at_ms, .touch = touch});
    return touch;
}

/* ---- life ---- */

struct touches *touches_new(size_t max_keys)
{
    struct touches *t = must_calloc(1, sizeof(*t));
    size_t buckets = 1;

    while (buckets < max_keys)
        buckets *= 2;
    hash_seed_init(&t->seed);
    t->max_keys = max_keys;
    t->mask = buckets - 1;
    t->buckets = must_calloc(buckets, sizeof(struct touch *));
    return t;
}

void touches_free(struct touches *t)
{
    if (t == NULL)
        return;
    touches_forget_all(t);
    free(t->given);
    free(t->heap);
    free(t->buckets);
    free(t);
}

void touches_forget(struct touches *t, struct touch_key k)
{
    struct touch *touch = find(t, k);

    if (touch != NULL)
        drop(t, touch);
}

void touches_forget_all(struct touches *t)
{
    while (t->count > 0)
        drop(t, t->heap[t->count - 1].touch);
}

/* ---- hits ---- */

/* The upstream is told, or about to be, that the key is to live until wanted_ms. Pending stays only
 * what a longer window has promised beyond that. */
static void note_telling(struct touches *t, struct touch *touch, uint64_t wanted_ms,
                         uint64_t now_ms)
{
    set_pending(t, touch, touch->pending && touch->promise_ms > wanted_ms);
    touch->telling = TELLING_AWAITED;
    touch->told_ms = now_ms;
    touch->quarter_ms = quarter(touch->window_ms);
    touch->wanted_ms = wanted_ms;
    if (!touch->pending)
        move_to(t, touch, now_ms + touch->quarter_ms);
}

/* What the look says was not yet so when the upstream was told: somebody else has changed the key
 * since. A later deadline is another's renewal; but where there was a cap, another key's life. */
static bool is_outdated(const struct touch *touch, uint64_t window_ms, struct look look,
                        uint64_t now_ms)
{
    uint64_t same = same_deadline(window_ms);
    uint64_t told = touch->deadline_ms;

    if (touch->telling == TELLING_AWAITED)
        return false;
    if (touch->telling == TELLING_CAPPED && now_ms >= told && now_ms - told > same)
        return true;
    if (look.deadline_ms == 0 || look.asked_ms < touch->told_ms)
        return false;
    if (look.deadline_ms < told)
        return told - look.deadline_ms > same;
    return touch->telling == TELLING_CAPPED && look.deadline_ms - told > same;
}

/* Until when the last telling counts. A longer window than it was made for must not stretch that:
 * the upstream's deadline may be over by then. */
static uint64_t told_until(const struct touch *touch, uint64_t window_ms)
{
    uint64_t q = quarter(window_ms);

    return touch->told_ms + (q < touch->quarter_ms ? q : touch->quarter_ms);
}

/* The last telling counts still. */
static bool is_told(struct touch *touch, uint64_t window_ms, struct look look, uint64_t now_ms)
{
    if (touch->telling == TELLING_NONE || now_ms >= told_until(touch, window_ms))
        return false;
    if (is_outdated(touch, window_ms, look, now_ms))
        touch->telling = TELLING_NONE;
    return touch->telling != TELLING_NONE;
}

/* Remembered, or moved on: what is due earlier stays so, and what is promised for longer too. */
static void remember(struct touches *t, struct touch *touch, uint64_t due_ms, uint64_t promise_ms)
{
    if (!touch->pending || due_ms < touch->at_ms)
        move_to(t, touch, due_ms);
    if (!touch->pending || touch->promise_ms < promise_ms)
        touch->promise_ms = promise_ms;
    set_pending(t, touch, true);
}

/* One more than style allows: the time, the look and the key are what each caller has at hand.
 * NOLINTNEXTLINE(readability-function-size) */
enum touch_verdict touches_hit(struct touches *t, struct touch_key k, uint64_t window_ms,
                               uint64_t deadline_ms, uint64_t asked_ms, uint64_t now_ms)
{
    struct look look = {.deadline_ms = deadline_ms, .asked_ms = asked_ms};
    uint64_t hash = hash_of(t, k);
    struct touch *touch = find_hashed(t, k, hash);
    bool told = touch != NULL && is_told(touch, window_ms, look, now_ms);
    uint64_t promise_ms = now_ms + window_ms;
    uint64_t early_ms = promise_ms - quarter(window_ms);
    uint64_t due_ms = deadline_ms > early_ms ? now_ms + (deadline_ms - early_ms) : now_ms;

    if (told && touch->telling == TELLING_CAPPED)
        return TOUCH_CAPPED;
    if (deadline_ms >= promise_ms) {
        if (touch != NULL && touch->pending && touch->promise_ms <= deadline_ms)
            set_pending(t, touch, false);
        return TOUCH_REMEMBERED;
    }
    if (touch == NULL)
        touch = add(t, k, hash, now_ms);
    if (touch != NULL)
        touch->window_ms = window_ms;
    if (touch == NULL || (!told && deadline_ms < early_ms)) {
        if (touch != NULL)
            note_telling(t, touch, promise_ms, now_ms);
        return TOUCH_TELL;
    }
    if (told && due_ms < told_until(touch, window_ms))
        due_ms = told_until(touch, window_ms);
    remember(t, touch, due_ms, promise_ms);
    return TOUCH_REMEMBERED;
}

void touches_told(struct touches *t, struct touch_key k, uint64_t window_ms, uint64_t deadline_ms,
                  uint64_t now_ms)
{
    struct touch *touch = find(t, k);

    if (touch == NULL)
        return;
    if (deadline_ms == 0) {
        drop(t, touch);
        return;
    }
    if (touch->telling != TELLING_AWAITED)
        return;
    touch->told_ms = now_ms;
    touch->deadline_ms = deadline_ms;
    touch->telling = TELLING_DONE;
    if (deadline_ms < touch->wanted_ms &&
        touch->wanted_ms - deadline_ms > same_deadline(window_ms)) {
        touch->telling = TELLING_CAPPED;
        set_pending(t, touch, false);
    }
    if (!touch->pending)
        move_to(t, touch, now_ms + touch->quarter_ms);
}

uint64_t touches_promised(const struct touches *t, struct touch_key k)
{
    const struct touch *touch = find(t, k);

    if (touch == NULL)
        return 0;
    if (touch->pending)
        return touch->promise_ms;
    return touch->telling == TELLING_AWAITED ? touch->wanted_ms : 0;
}

/* ---- what is due ---- */

bool touches_due(struct touches *t, uint64_t now_ms, bool all, struct touch_key *ret_key,
                 uint64_t *ret_left_ms)
{
    free(t->given);
    t->given = NULL;
    while (t->count > 0 && (all || t->heap[0].at_ms <= now_ms)) {
        struct touch *touch = t->heap[0].touch;

        if (!touch->pending || touch->promise_ms <= now_ms) {
            drop(t, touch);
            continue;
        }
        *ret_left_ms = touch->promise_ms - now_ms;
        *ret_key = (struct touch_key){.key = slice_of(touch->key, touch->n), .scope = touch->scope};
        if (all) {
            take_out(t, touch);
            t->given = touch;
        } else {
            note_telling(t, touch, touch->promise_ms, now_ms);
        }
        return true;
    }
    return false;
}

uint64_t touches_next_ms(const struct touches *t)
{
    return t->count == 0 ? UINT64_MAX : t->heap[0].at_ms;
}

size_t touches_count(const struct touches *t)
{
    return t->pending;
}
