/* fill_keep.c - is what the upstream has answered to be kept, and until when?
 *
 * Deadlines count from the time of asking, which is before the upstream looked. */
#include "client/loads.h"
#include "client/near.h"
#include "net/loop.h"
#include "resp/reply.h"

#define ABSENT_ELEMENTS 4096 /* of an aggregate that might be that of an absent key */

enum verdict { KEEP, KEEP_NOT, RACED, TOO_LARGE, ERROR };

bool looks_absent(struct slice value)
{
    struct reply r;

    if (!reply_read(&value, &r))
        return false;
    switch (r.type) {
    case '_':
        return true;
    case ':':
        return r.number <= 0;
    case '$':
        return r.text.n == 0;
    case '+':
        return slice_eq(r.text, SLICE("none"));
    case '*':
    case '~':
    case '%':
        break;
    default:
        return false;
    }
    if (r.number > ABSENT_ELEMENTS)
        return false;
    while (value.n > 0) {
        if (!reply_read(&value, &r) || !(r.type == '_' || (r.type == ':' && r.number == 0)))
            return false;
    }
    return true;
}

static bool is_error(struct slice reply)
{
    return reply.n > 0 && (reply.p[0] == '-' || reply.p[0] == '!');
}

/* HPTTL's reply: the first field to go shortens the deadline. False: not to be kept. */
static bool weigh_fields(struct near *near, const struct fill_terms *t, struct slice reply,
                         struct entry *e)
{
    struct reply r;

    if (slice_starts(reply, SLICE("-ERR unknown command"))) {
        near->field_ttl = FIELD_TTL_NO;
        return true;
    }
    if (is_error(reply)) /* this user may not ask, or it is no hash any more: nothing is learnt */
        return false;
    near->field_ttl = FIELD_TTL_YES;
    if (near_is_whole_hash(t->command))
        return false;
    if (!reply_read(&reply, &r) || r.type != '*')
        return r.type == '_';
    while (reply.n > 0) {
        if (!reply_read(&reply, &r) || r.type != ':')
            return false;
        if (r.number >= 0 && t->asked_ms + (uint64_t)r.number < e->deadline_ms)
            e->deadline_ms = t->asked_ms + (uint64_t)r.number;
    }
    return true;
}

static enum verdict weigh(struct near *near, const struct fill_terms *t, struct slice value,
                          struct slice rest, struct entry *e)
{
    struct reply ttl, head;
    struct slice at = value;

    *e = (struct entry){.bytes = value, .policy = t->policy, .kind = ENTRY_VALUE};
    if (is_error(value) || is_error(rest))
        return ERROR;
    if (value.n > t->max_value)
        return TOO_LARGE;
    if (!reply_read(&at, &head) || !reply_read(&rest, &ttl) || ttl.type != ':')
        return ERROR;
    if (ttl.number == -2) {
        if (!looks_absent(value))
            return RACED;
        e->kind = ENTRY_ABSENT;
        e->deadline_ms = t->asked_ms + t->negative_ttl;
        return t->negative_ttl > 0 ? KEEP : KEEP_NOT;
    }
    if ((t->form == FORM_GET && head.type == '_') || (t->form == FORM_EXISTS && head.number == 0))
        return RACED;
    e->expiry_ms = ttl.number < 0 ? EXPIRY_NEVER : t->asked_ms + (uint64_t)ttl.number;
    e->deadline_ms = t->asked_ms + t->local_ttl;
    if (e->expiry_ms < e->deadline_ms)
        e->deadline_ms = e->expiry_ms;
    return t->field_ttl && !weigh_fields(near, t, rest, e) ? KEEP_NOT : KEEP;
}

static void count_filled(struct near_counters *count, enum filled filled)
{
    switch (filled) {
    case FILL_KEPT:
        count->fills++;
        return;
    case FILL_CHANGED:
        count->discarded_changed++;
        return;
    case FILL_LATE:
        count->discarded_raced++;
        return;
    case FILL_FULL:
        count->discarded_large++;
        return;
    }
}

void fill_keep(struct near *near, const struct flight *flight, const struct question *question,
               const struct fill_terms *t, struct fill_reply reply)
{
    struct near_counters *count = &near->stats[t->policy]->count;
    struct question q = *question;
    uint64_t deadline_ms;
    struct entry e;

    if (UNLIKELY(near->loads != NULL) && loads_is_value(reply.value, reply.ttl))
        loads_found(near, question, t, reply.ttl);
    if (t->command == CMD_GETEX) /* it was asked to be waited for, see park.c */
        return;
    switch (weigh(near, t, reply.value, reply.ttl, &e)) {
    case KEEP:
        break;
    case KEEP_NOT:
        count->discarded_settings++;
        return;
    case RACED:
        count->discarded_raced++;
        return;
    case TOO_LARGE:
        count->discarded_large++;
        return;
    case ERROR:
        count->discarded_error++;
        return;
    }
    /* An old value is not to be lost to that. */
    if (e.kind == ENTRY_ABSENT && t->stale_ttl > 0 &&
        cache_past(near->cache, q.key, loop_now_ms(near->all->loop), &deadline_ms)) {
        count->discarded_settings++;
        return;
    }
    /* That the key does not exist is kept once, for all who ask for it plainly. */
    if (e.kind == ENTRY_ABSENT && (t->form == FORM_GET || t->form == FORM_EXISTS)) {
        q.ask = slice_of("", 0);
        e.bytes = slice_of("", 0);
    }
    count_filled(count, cache_fill(near->cache, flight, &q, &e, loop_now_ms(near->all->loop)));
}
