/* shelf_share.c - what each owner holds, bounded by its share; the story of the shelf is in
 * shelf.c, what is promised in shares.h.
 *
 *      owner 7    old   [....][..      young   [....][....][.      a note for each put, in order
 *                 oldest first ->  then ->                newest
 *
 * Whose a record is is asked of the callback whenever it is counted in or out: records have no room
 * for it, and a record that came before its owner is nobody's. Which record an owner must give up
 * next cannot be seen from the queues, where its own lie among those of thousands: so each owner
 * has a queue of notes of its own. A note is 8 bytes of hash and stamp: records that move keep
 * both, and one that was put anew, or is gone, is not found by the note of before, which is then
 * stale. So there is exactly one good note for each record of an owner.
 *
 * To make room the oldest note is taken: a record asked for since has its count lowered and goes to
 * the end, as in S3-FIFO's main queue, any other is thrown out. Where stale notes are more than the
 * good ones, notes move from the front of `young` to the end of `old`, and the stale are left out;
 * when `young` is empty the two change places. Order is never lost by that.
 *
 * An owner's notes are also how all it has is dropped: without looking at what is others'. */
#include "cache/shares.h"

#include <stdlib.h>

#include "base/list.h"
#include "cache/notes.h"
#include "cache/shelf_inside.h"

/* So many notes may be stale before any is looked at, and so many are looked at with each put. */
#define STALE_NOTES (2u * NOTES_A_CHUNK)
#define STALE_STEPS 4u

/* One put may bring its owner so far over its share where the work of one call does not make room.
 */
#define SLACK_SHARE 16u

struct owner {
    struct list busy; /* among those that shelf_tidy() has work with */
    struct notes old, young;
    uint64_t share;     /* bytes; 0: no bound */
    uint64_t since;     /* records up to this stamp are not its own */
    uint64_t dropped;   /* .. and up to this one are being dropped */
    uint64_t drop_left; /* while so many notes are still to be looked at */
    uint64_t records;   /* hollow ones too */
    struct shelf_usage usage;
};

struct shares {
    shelf_owner *owner_of;
    void *context;
    struct owner **owners; /* by number; NULL: there is none */
    uint32_t count;
    struct owner nobody;
    struct list busy;
    struct notes ending; /* of owners that are gone: what is nobody's up to nobody.dropped */
    struct notes trash;  /* of records that are gone */
};

/* --------------------------------------------------------------------------- notes */

/* What a table needs of a hash, and 16 bits of the stamp. */
static uint64_t note_of(uint64_t hash, uint64_t stamp)
{
    return (hash & UINT32_MAX) | (uint64_t)table_tag(hash) << 32 | stamp << 48;
}

static bool find_noted(const struct shelf *s, uint64_t note, struct place *ret_place)
{
    uint64_t hash = (note & UINT32_MAX) | (note >> 32) << 48;
    struct spot spot;

    for (uint32_t ref = table_first(&s->store.table, hash, &spot); ref != 0;
         ref = table_next(&s->store.table, &spot)) {
        struct record *r = arena_record(&s->store.arena, ref);
        uint64_t whole;

        if ((uint16_t)r->stamp != (uint16_t)(note >> 48))
            continue;
        shelf_hashes(s, &ref, 1, &whole);
        if (note_of(whole, r->stamp) == note) {
            *ret_place = (struct place){r, ref, whole, spot};
            return true;
        }
    }
    return false;
}

/* -------------------------------------------------------------------------- owners */

static struct owner *owner_at(const struct shares *h, uint32_t owner)
{
    return h != NULL && owner < h->count ? h->owners[owner] : NULL;
}

static struct owner *owner_for(struct shares *h, struct slice key, uint64_t stamp)
{
    struct owner *o = owner_at(h, h->owner_of(h->context, key));

    return o != NULL && stamp > o->since ? o : &h->nobody;
}

static uint64_t notes_in(const struct owner *o)
{
    return o->old.n + o->young.n;
}

static bool is_over(const struct owner *o, size_t more)
{
    return o->share > 0 && o->usage.bytes + more > o->share;
}

static bool is_stale(const struct owner *o)
{
    return notes_in(o) > 2 * o->records + STALE_NOTES;
}

static void owner_busy(struct shares *h, struct owner *o)
{
    if (list_empty(&o->busy))
        list_push_back(&h->busy, &o->busy);
}

static uint32_t nobodys(void *context, struct slice key)
{
    (void)context;
    (void)key;
    return 0;
}

static void shares_free(struct shelf *s)
{
    struct shares *h = s->shares;

    while (h->trash.first)
        notes_drop_chunk(&h->trash, &s->share_bytes);
    s->shares = NULL;
    s->share_bytes = 0;
    free(h->owners);
    free(h);
}

void shelf_owners(struct shelf *s, shelf_owner *owner_of, void *context)
{
    struct shares *h = s->shares;

    if (h == NULL && owner_of == NULL)
        return;
    if (h == NULL) {
        h = s->shares = must_calloc(1, sizeof(*h));
        s->share_bytes = sizeof(*h);
        list_init(&h->busy);
        list_init(&h->nobody.busy);
        h->nobody.usage = s->total;
        h->nobody.records = s->store.table.count;
    }
    h->owner_of = owner_of ? owner_of : nobodys;
    h->context = context;
    for (uint32_t i = 0; owner_of == NULL && i < h->count; i++)
        shelf_owner_gone(s, i);
}

static void make_place(struct shelf *s, uint32_t owner)
{
    struct shares *h = s->shares;
    uint32_t count = h->count ? h->count : 16;

    CHECK(owner > 0 && owner < OWNERS_MAX);
    if (owner < h->count)
        return;
    while (count <= owner)
        count *= 2;
    h->owners = must_realloc(h->owners, count * sizeof(struct owner *));
    memset(h->owners + h->count, 0, (count - h->count) * sizeof(struct owner *));
    s->share_bytes += (count - h->count) * sizeof(struct owner *);
    h->count = count;
}

void shelf_share(struct shelf *s, uint32_t owner, uint64_t bytes)
{
    struct shares *h = s->shares;
    struct owner *o;

    CHECK(h != NULL);
    make_place(s, owner);
    o = h->owners[owner];
    if (o == NULL) {
        o = h->owners[owner] = must_calloc(1, sizeof(*o));
        list_init(&o->busy);
        o->since = s->stamp;
        s->share_bytes += sizeof(*o);
    }
    o->share = bytes;
    if (is_over(o, 0))
        owner_busy(h, o);
    room_cool(s, 0);
}

static void settle_wary(struct shelf *s, bool dropping)
{
    s->dropping = dropping;
    s->wary = s->dropping || s->doomed != NULL;
}

void shelf_owner_gone(struct shelf *s, uint32_t owner)
{
    struct shares *h = s->shares;
    struct owner *o = owner_at(h, owner);

    if (o == NULL)
        return;
    h->nobody.usage.entries += o->usage.entries;
    h->nobody.usage.bytes += o->usage.bytes;
    h->nobody.usage.evictions += o->usage.evictions;
    h->nobody.usage.expired += o->usage.expired;
    h->nobody.records += o->records;
    h->nobody.dropped = s->stamp;
    notes_move(&o->old, &h->ending);
    notes_move(&o->young, &h->ending);
    settle_wary(s, true);
    list_leave(&o->busy);
    free(o);
    h->owners[owner] = NULL;
    s->share_bytes -= sizeof(*o);
}

uint32_t shelf_owner_of(const struct shelf *s, struct slice key)
{
    const struct shares *h = s->shares;
    uint32_t owner = h ? h->owner_of(h->context, key) : 0;

    return owner_at(h, owner) ? owner : 0;
}

void shelf_drop(struct shelf *s, uint32_t owner)
{
    struct owner *o = owner_at(s->shares, owner);

    if (o == NULL)
        return;
    o->dropped = s->stamp;
    o->drop_left = notes_in(o);
    owner_busy(s->shares, o);
    settle_wary(s, true);
}

bool shelf_dropped(const struct shelf *s, struct slice key, uint64_t stamp)
{
    struct shares *h = s->shares;
    const struct owner *o;

    if (!s->dropping)
        return false;
    o = owner_for(h, key, stamp);
    return (o == &h->nobody ? h->ending.n > 0 : o->drop_left > 0) && stamp <= o->dropped;
}

bool shelf_stray(const struct shelf *s, struct slice key, uint64_t stamp)
{
    const struct owner *o = owner_at(s->shares, shelf_owner_of(s, key));

    return o != NULL && stamp <= o->since;
}

struct shelf_usage shelf_usage_of_owner(const struct shelf *s, uint32_t owner)
{
    const struct owner *o = owner == 0 && s->shares ? &s->shares->nobody : NULL;

    if (o == NULL)
        o = owner_at(s->shares, owner);
    return o != NULL ? o->usage : (struct shelf_usage){0};
}

/* ------------------------------------------------------------------------- account */

void shares_in(struct shelf *s, const struct record *r)
{
    struct owner *o = owner_for(s->shares, record_key(r), r->stamp);

    o->usage.entries += r->kind != RECORD_HOLLOW;
    o->usage.bytes += record_size(r) + record_outside(r);
    o->records++;
}

void shares_out(struct shelf *s, const struct record *r)
{
    struct owner *o = owner_for(s->shares, record_key(r), r->stamp);

    o->usage.entries -= r->kind != RECORD_HOLLOW;
    o->usage.bytes -= record_size(r) + record_outside(r);
    o->records--;
    if (UNLIKELY(notes_in(o) > 4 * o->records + 2 * STALE_NOTES))
        owner_busy(s->shares, o);
}

struct shelf_usage *shares_account(struct shelf *s, const struct record *r)
{
    return &owner_for(s->shares, record_key(r), r->stamp)->usage;
}

/* One note: a record that is gone is no longer in the order. */
static void refresh(struct shelf *s, struct owner *o)
{
    struct place at;
    uint64_t note;

    if (o->young.n == 0) {
        struct notes young = o->old;

        o->old = o->young;
        o->young = young;
    }
    note = notes_take(&o->young, &s->share_bytes);
    if (find_noted(s, note, &at))
        notes_push(&o->old, note, &s->share_bytes);
}

void shares_put(struct shelf *s, uint64_t hash, uint32_t ref)
{
    struct shares *h = s->shares;
    const struct record *r = arena_record(&s->store.arena, ref);
    struct owner *o = owner_for(h, record_key(r), r->stamp);

    shares_in(s, r);
    if (o == &h->nobody)
        return;
    notes_push(&o->young, note_of(hash, r->stamp), &s->share_bytes);
    for (unsigned i = 0; i < STALE_STEPS && is_stale(o); i++)
        refresh(s, o);
}

/* -------------------------------------------------------------------- room of one's own */

static uint64_t take_oldest(struct shelf *s, struct owner *o)
{
    return notes_take(o->old.n > 0 ? &o->old : &o->young, &s->share_bytes);
}

/* Is this record of the owner's being dropped? Such a one must not go to the end of the notes,
 * where the drop would not come to. */
static bool is_dropped(const struct owner *o, const struct record *r)
{
    return o->drop_left > 0 && r->stamp <= o->dropped;
}

/* Looks at the oldest record of an owner, which must have a note. */
static void evict_own(struct shelf *s, struct owner *o)
{
    uint64_t note = take_oldest(s, o);
    struct place at;

    if (!find_noted(s, note, &at) || room_forget_useless(s, &at))
        return;
    if (is_dropped(o, at.record)) {
        shelf_forget(s, &at);
    } else if (at.record->freq > 0) {
        at.record->freq = (at.record->freq - 1u) & FREQ_MAX;
        notes_push(&o->young, note, &s->share_bytes);
    } else {
        room_evict(s, &at);
    }
}

bool shares_fit(const struct shelf *s, struct slice key, size_t more, size_t less)
{
    const struct owner *o = owner_for(s->shares, key, s->stamp + 1);

    return o->share == 0 || (more <= o->share / SHARE_OF_ONE && !is_over(o, more - less));
}

bool shares_make(struct shelf *s, struct slice key, size_t more)
{
    struct owner *o = owner_for(s->shares, key, s->stamp + 1);

    if (more > o->share / SHARE_OF_ONE)
        return false;
    for (unsigned i = 0; i < ROOM_STEPS && is_over(o, more) && notes_in(o) > 0; i++)
        evict_own(s, o);
    if (!is_over(o, more))
        return true;
    owner_busy(s->shares, o);
    return o->usage.bytes + more <= o->share + o->share / SLACK_SHARE;
}

/* ------------------------------------------------------------------------ in slices */

static void drop_own(struct shelf *s, struct owner *o)
{
    uint64_t note = take_oldest(s, o);
    struct place at;

    if (find_noted(s, note, &at)) {
        if (is_dropped(o, at.record))
            shelf_forget(s, &at);
        else
            notes_push(&o->young, note, &s->share_bytes);
    }
    o->drop_left--;
}

/* False: there is nothing to do with it. */
static bool work_at(struct shelf *s, struct owner *o)
{
    if (notes_in(o) == 0)
        o->drop_left = 0;
    if (o->drop_left > 0)
        drop_own(s, o);
    else if (is_over(o, 0) && notes_in(o) > 0)
        evict_own(s, o);
    else if (is_stale(o))
        refresh(s, o);
    else
        return false;
    return true;
}

static void end_one(struct shelf *s)
{
    struct shares *h = s->shares;
    struct place at;

    if (find_noted(s, notes_take(&h->ending, &s->share_bytes), &at) &&
        at.record->stamp <= h->nobody.dropped &&
        owner_for(h, record_key(at.record), at.record->stamp) == &h->nobody)
        shelf_forget(s, &at);
}

/* One of them has its turn of the slice, and goes to the end if that was not enough. */
static void work_with_busy(struct shelf *s, unsigned *left)
{
    struct shares *h = s->shares;
    struct owner *o;

    while (*left > 0 && !list_empty(&h->busy)) {
        o = CONTAINER_OF(h->busy.next, struct owner, busy);
        while (*left > 0 && work_at(s, o))
            (*left)--;
        list_leave(&o->busy);
        if (*left == 0)
            list_push_back(&h->busy, &o->busy);
    }
}

void shares_tidy(struct shelf *s, unsigned *left)
{
    struct shares *h = s->shares;

    for (; *left > 0 && h->trash.first; (*left)--)
        notes_drop_chunk(&h->trash, &s->share_bytes);
    for (; *left > 0 && h->ending.n > 0; (*left)--)
        end_one(s);
    work_with_busy(s, left);
    room_cool(s, 0);
    if (*left == 0)
        return;
    settle_wary(s, false);
    if (h->owner_of == nobodys)
        shares_free(s);
}

/* ------------------------------------------------------------------------------ ends */

static void forget_held(struct shares *h, struct owner *o)
{
    notes_move(&o->old, &h->trash);
    notes_move(&o->young, &h->trash);
    o->usage.entries = o->usage.bytes = o->records = o->drop_left = 0;
    list_leave(&o->busy);
}

void shares_clear(struct shelf *s)
{
    struct shares *h = s->shares;

    for (uint32_t i = 0; i < h->count; i++)
        if (h->owners[i])
            forget_held(h, h->owners[i]);
    forget_held(h, &h->nobody);
    notes_move(&h->ending, &h->trash);
    settle_wary(s, false);
}

void shares_done(struct shelf *s)
{
    if (s->shares == NULL)
        return;
    shelf_owners(s, NULL, NULL);
    notes_move(&s->shares->ending, &s->shares->trash);
    shares_free(s);
}
