/* shelf_past.c - values that outlive their deadline (shelf_linger()): what becomes of them when the
 * upstream says that their key has changed.
 *
 * The upstream says so once when a key expires, and whenever it is written. So the first word about
 * a key that had expired by then is taken for its expiry, and noted; the next one is a write's.
 *
 * All of a key hangs on its head, so it stays or goes together: it stays only if all of it is past
 * its deadline, and that was the key's expiry. A head with a value says that of itself alone: what
 * hangs on it goes. A hollow one is asked for the marks it has in the place of a scope. */
#include <stdlib.h>

#include "cache/shelf_inside.h"

void shelf_linger(struct shelf *s, const uint64_t *ms, size_t n)
{
    s->linger = ms;
    s->linger_count = n;
}

void shelf_outlive(struct shelf *s, const uint64_t *ms, size_t n)
{
    s->outlive = ms;
    s->outlive_count = n;
}

static bool is_value(const struct record *r)
{
    return r->kind == RECORD_VALUE || r->kind == RECORD_PAST;
}

uint64_t shelf_useful_until(const struct shelf *s, const struct record *r)
{
    bool hollow = r->kind == RECORD_HOLLOW;
    uint64_t more = 0;

    if ((hollow || (is_value(r) && r->expiry == EXPIRY_SAME)) && r->policy < s->linger_count)
        more = s->linger[r->policy];
    if ((hollow || is_value(r)) && r->policy < s->outlive_count && s->outlive[r->policy] > more)
        more = s->outlive[r->policy];
    return r->deadline + more;
}

/* Its key expired, and that is why it is past its deadline; so is all that hangs on a hollow one.
 */
static bool has_expired(const struct shelf *s, const struct record *head, uint64_t now_ms)
{
    if (head->deadline > now_ms || shelf_useful_until(s, head) <= now_ms)
        return false;
    return head->kind == RECORD_HOLLOW ? (head->scope & HOLLOW_FIRM) != 0
                                       : is_value(head) && head->expiry == EXPIRY_SAME;
}

static bool find(const struct shelf *s, struct slice key, struct place *ret_head)
{
    return shelf_find_head(s, key, hash_bytes(&s->seed, key.p, key.n), ret_head);
}

bool shelf_past(const struct shelf *s, struct slice key, uint64_t now_ms, uint64_t *ret_deadline)
{
    struct place head;

    if (!find(s, key, &head) || !has_expired(s, head.record, now_ms))
        return false;
    *ret_deadline = head.record->deadline;
    return true;
}

/* The value is put anew, without what hung on it. False: there was no room for that. */
static bool keep_alone(struct shelf *s, struct slice key, const struct place *head)
{
    struct question q = {.key = key, .scope = head->record->scope};
    bool past = head->record->kind == RECORD_PAST, kept;
    struct place at;
    struct entry e;
    char *copy;

    record_entry(head->record, &e);
    copy = must_alloc(e.bytes.n + 1);
    memcpy(copy, e.bytes.p, e.bytes.n);
    e.bytes.p = copy;
    e.kind = ENTRY_VALUE;
    shelf_forget(s, head);
    kept = shelf_put(s, &q, &e) && find(s, key, &at);
    free(copy);
    if (kept && past)
        at.record->kind = RECORD_PAST;
    return kept;
}

static bool spare(struct shelf *s, struct slice key, const struct place *head, uint64_t now_ms,
                  uint64_t since)
{
    if (!has_expired(s, head->record, now_ms) || head->record->stamp <= since)
        return false;
    return head->record->role == ROLE_ALONE || head->record->kind == RECORD_HOLLOW ||
           keep_alone(s, key, head);
}

bool shelf_spare(struct shelf *s, struct slice key, uint64_t now_ms, uint64_t since)
{
    struct place head;

    return find(s, key, &head) && spare(s, key, &head, now_ms, since);
}

bool shelf_pushed(struct shelf *s, struct slice key, uint64_t hash, uint64_t now_ms, uint64_t since)
{
    struct place head;
    struct record *r;

    if (!shelf_find_head(s, key, hash, &head))
        return false;
    if (!spare(s, key, &head, now_ms, since))
        return shelf_remove_hashed(s, key, hash);
    if (!find(s, key, &head))
        return false;
    r = head.record;
    if (r->kind == RECORD_PAST || (r->kind == RECORD_HOLLOW && (r->scope & HOLLOW_PUSHED) != 0)) {
        shelf_forget(s, &head);
        return true;
    }
    if (r->kind == RECORD_HOLLOW)
        r->scope |= HOLLOW_PUSHED;
    else
        r->kind = RECORD_PAST;
    return false;
}
