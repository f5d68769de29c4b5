/* shelf_put.c - keeping a reply; the story is in shelf.c.
 *
 * In order: what is there is looked up; room is made, which may move or throw out what was looked
 * up, so that it is looked up again; then everything is appended, which cannot fail any more, and
 * the table is told. A replaced record keeps its queue and its count of hits. */
#include "cache/shelf_inside.h"

/* Where what is to be put belongs, and what is there. */
struct putting {
    struct plan plan, hollow;
    uint64_t key_hash, hash;
    struct place head, old;
    bool has_head, has_old;
    bool needs_head; /* it is a variant, and there is no head */
    enum queue_id queue;
    size_t size, outside; /* of all that is to be appended, and of its block */
};

/* False: too long for a record. */
static bool make_plan(const struct shelf *s, const struct question *q, const struct entry *e,
                      struct plan *ret_plan)
{
    if (q->key.n > RECORD_KEY_MAX || q->ask.n > RECORD_KEY_MAX)
        return false;
    CHECK(e->kind == ENTRY_VALUE || e->kind == ENTRY_ABSENT);
    *ret_plan = (struct plan){
        .q = *q,
        .value = e->bytes,
        .outside = e->bytes.n >= BLOCK_BYTES || e->bytes.n > s->store.arena.segment_bytes / 4,
        .deadline = e->deadline_ms < DEADLINE_MAX ? e->deadline_ms : DEADLINE_MAX,
        .expiry = e->expiry_ms,
        .policy = e->policy,
        .kind = e->kind};
    return true;
}

/* A GET is its key's head, unless the head is that of another scope. */
static bool belongs_to_head(const struct putting *p)
{
    return p->plan.q.ask.n == 0 && (!p->has_head || p->head.record->kind == RECORD_HOLLOW ||
                                    p->head.record->scope == p->plan.q.scope);
}

static void look_up_head(struct putting *p)
{
    p->hash = p->key_hash;
    p->has_old = p->has_head;
    p->plan.role = ROLE_ALONE;
    if (!p->has_head)
        return;
    p->old = p->head;
    if (p->head.record->role != ROLE_ALONE) {
        p->plan.role = ROLE_BORN;
        p->plan.birth = record_birth(p->head.record);
    }
}

static bool is_firm(const struct plan *variant)
{
    return plan_expiry(variant) == EXPIRY_SAME && variant->kind == RECORD_VALUE;
}

static void look_up_variant(const struct shelf *s, struct putting *p)
{
    p->hash = shelf_hash_variant(s, p->key_hash, p->plan.q.ask, p->plan.q.scope);
    p->has_old = shelf_find_variant(s, &p->plan.q, p->hash, &p->old);
    p->plan.role = ROLE_VARIANT;
    p->needs_head = !p->has_head;
    if (!p->needs_head)
        return;
    p->hollow =
        (struct plan){.q = {.key = p->plan.q.key, .scope = is_firm(&p->plan) ? HOLLOW_FIRM : 0},
                      .deadline = p->plan.deadline,
                      .expiry = EXPIRY_NEVER,
                      .policy = p->plan.policy,
                      .kind = RECORD_HOLLOW,
                      .role = ROLE_FAMILY};
}

static void look_up(const struct shelf *s, struct putting *p)
{
    p->has_head = shelf_find_head(s, p->plan.q.key, p->key_hash, &p->head);
    p->needs_head = false;
    if (belongs_to_head(p))
        look_up_head(p);
    else
        look_up_variant(s, p);
    if (p->has_old) {
        p->plan.freq = p->old.record->freq;
        p->queue = arena_queue_of(&s->store.arena, p->old.ref);
    } else {
        p->plan.freq = 0;
        p->queue = ghost_has(&s->ghost, p->hash) ? QUEUE_MAIN : QUEUE_SMALL;
    }
    p->size = plan_size(&p->plan) + (p->needs_head ? plan_size(&p->hollow) : 0);
    p->outside = p->plan.outside ? block_cost(p->plan.value.n) : 0;
}

static bool is_too_large(const struct shelf *s, const struct putting *p)
{
    return p->size > s->store.arena.segment_bytes / 2 ||
           p->size + p->outside > s->max_bytes / SHARE_OF_ONE;
}

static uint32_t append(struct shelf *s, struct plan *plan, enum queue_id queue, size_t outside)
{
    struct arena *a = &s->store.arena;
    size_t size = plan_size(plan);
    uint32_t ref = arena_append(a, a->queues[queue].newest, size, outside);

    plan->stamp = ++s->stamp;
    plan_write(plan, arena_record(a, ref));
    shelf_account_in(s, arena_record(a, ref), size + outside);
    s->block_bytes += outside;
    return ref;
}

static void enter(struct shelf *s, uint64_t hash, uint32_t ref)
{
    table_add(&s->store.table, hash, ref);
    table_grow(&s->store.table, shelf_hashes, s);
}

/* What else the head must know of its new variant. */
static void tell_head(struct record *head, const struct plan *variant)
{
    if (head->role == ROLE_ALONE)
        head->role = ROLE_FAMILY;
    if (head->kind == RECORD_HOLLOW && !is_firm(variant))
        head->scope &= (uint16_t)~HOLLOW_FIRM;
    if (head->kind == RECORD_HOLLOW && head->deadline < variant->deadline)
        head->deadline = variant->deadline & DEADLINE_MAX;
}

/* A head that was hollow, or of no scope, takes a GET that was a variant until now. */
static void forget_twin(struct shelf *s, const struct question *q, uint64_t key_hash)
{
    struct place twin;

    if (shelf_find_variant(s, q, shelf_hash_variant(s, key_hash, q->ask, q->scope), &twin))
        shelf_forget(s, &twin);
}

static void keep(struct shelf *s, struct putting *p)
{
    struct arena *a = &s->store.arena;
    bool was_hollow = p->has_head && p->head.record->kind == RECORD_HOLLOW;
    uint32_t hollow = 0, ref;

    if (!segment_fits(a, a->queues[p->queue].newest, p->size))
        arena_open(a, p->queue);
    if (p->needs_head)
        hollow = append(s, &p->hollow, p->queue, 0);
    else if (p->plan.role == ROLE_VARIANT)
        tell_head(p->head.record, &p->plan);
    if (p->plan.outside) {
        room_cool(s, p->outside);
        p->plan.block = block_new(p->plan.value);
    }
    ref = append(s, &p->plan, p->queue, p->outside);
    if (p->has_old) {
        table_set(&p->old.spot, ref);
        shelf_bury(s, p->old.ref);
    } else {
        enter(s, p->hash, ref);
    }
    if (hollow != 0)
        enter(s, p->key_hash, hollow);
    if (UNLIKELY(s->shares != NULL)) {
        shares_put(s, p->hash, ref);
        if (hollow != 0)
            shares_put(s, p->key_hash, hollow);
    }
    if (p->plan.role == ROLE_BORN && was_hollow)
        forget_twin(s, &p->plan.q, p->key_hash);
}

/* What there is of a question whose reply is not kept: it must not be found after this was seen. */
static void forget_old(struct shelf *s, struct putting *p)
{
    look_up(s, p);
    if (!p->has_old)
        return;
    if (p->plan.role == ROLE_BORN && p->head.record->kind == RECORD_HOLLOW)
        forget_twin(s, &p->plan.q, p->key_hash);
    else
        (void)shelf_hollow(s, &p->old);
}

/* .. with bytes to spare beyond its own. */
static bool make_room(struct shelf *s, struct putting *p, size_t spare)
{
    if (!room_make(s, p->queue, p->size, p->outside + spare))
        return false;
    look_up(s, p);
    return room_is(s, p->queue, p->size, p->outside + spare);
}

/* Where there are owners: room in its owner's share as well. */
static bool find_share(struct shelf *s, struct putting *p)
{
    size_t less = p->has_old ? record_size(p->old.record) + record_outside(p->old.record) : 0;

    if (!shares_fit(s, p->plan.q.key, p->size + p->outside, less)) {
        if (!shares_make(s, p->plan.q.key, p->size + p->outside))
            return false;
        look_up(s, p);
    }
    return room_is(s, p->queue, p->size, p->outside + SHARES_GROW) || make_room(s, p, SHARES_GROW);
}

/* True: there is room. */
static bool find_room(struct shelf *s, struct putting *p)
{
    look_up(s, p);
    if (is_too_large(s, p))
        return false;
    if (UNLIKELY(s->shares != NULL))
        return find_share(s, p);
    return room_is(s, p->queue, p->size, p->outside) || make_room(s, p, 0);
}

bool shelf_put_hashed(struct shelf *s, const struct question *q, uint64_t hash,
                      const struct entry *e)
{
    struct putting p;

    p.key_hash = hash;
    if (!make_plan(s, q, e, &p.plan))
        return false;
    if (!find_room(s, &p)) {
        forget_old(s, &p);
        return false;
    }
    keep(s, &p);
    if (UNLIKELY(s->shares != NULL))
        room_cool(s, 0); /* notes take the place of memory that has no use, as blocks do */
    room_ahead(s, p.size + p.outside);
    return true;
}

bool shelf_put(struct shelf *s, const struct question *q, const struct entry *e)
{
    return shelf_put_hashed(s, q, hash_bytes(&s->seed, q->key.p, q->key.n), e);
}
