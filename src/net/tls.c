/* tls.c - see tls.h. */
#include "net/tls.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/tls_inside.h"

#define DAY_S        (24 * 3600)
#define WARN_BELOW_S (14 * DAY_S) /* renewal that works has happened by then */

struct doors {
    const char **names; /* of listeners; copies */
    struct tls_context **contexts;
    size_t n;
};

/* Whom larder connects to; NULL: plain. */
struct outward {
    struct tls_context *upstream, *sentinels;
};

struct tls {
    struct outward outward;
    struct doors doors;
    struct tls_counts count;
    int64_t upstream_expires, sentinel_expires;
    struct counter_row rows[24]; /* those that there is something to say of */
};

struct tls *tls_new(void)
{
    return must_calloc(1, sizeof(struct tls));
}

static void doors_done(struct doors *d)
{
    for (size_t i = 0; i < d->n; i++) {
        tls_context_release(d->contexts[i]);
        free((void *)(uintptr_t)d->names[i]);
    }
    free(d->names);
    free(d->contexts);
    *d = (struct doors){0};
}

static void outward_done(struct outward *o)
{
    tls_context_release(o->upstream);
    tls_context_release(o->sentinels);
}

/* NULL: none is in use. */
static const struct tls_context *either(const struct outward *o)
{
    return o->upstream != NULL ? o->upstream : o->sentinels;
}

void tls_free(struct tls *t)
{
    if (t == NULL)
        return;
    outward_done(&t->outward);
    doors_done(&t->doors);
    free(t);
}

/* "[upstream] tls_cert expires in 3 days". */
static void note_expiry(struct buffer *notes, const char *section, const struct tls_context *c)
{
    int64_t left = c == NULL || c->expires == 0 ? INT64_MAX : c->expires - (int64_t)time(NULL);

    if (left <= 0)
        buffer_printf(notes, "[%s] tls_cert has expired\n", section);
    else if (left < WARN_BELOW_S)
        buffer_printf(notes, "[%s] tls_cert expires in %lld %s\n", section,
                      (long long)(left < DAY_S ? left / 3600 : left / DAY_S),
                      left < DAY_S ? "hours" : "days");
}

static void open_doors(struct tls *t, const struct settings *s, struct doors *d,
                       struct buffer *errors, struct buffer *notes)
{
    *d = (struct doors){must_calloc(s->listener_count, sizeof *d->names),
                        must_calloc(s->listener_count, sizeof(struct tls_context *)), 0};
    for (size_t i = 0; i < s->listener_count; i++) {
        const struct listener_settings *set = &s->listeners[i];
        struct buffer section = {0};
        struct tls_context *c;

        if (set->tls_cert[0] == 0)
            continue;
        c = tls_context_listener(&t->count, set, errors);
        if (c == NULL)
            continue;
        buffer_printf(&section, "listener %s%c", set->name, 0);
        note_expiry(notes, buffer_head(&section), c);
        buffer_done(&section);
        d->names[d->n] = must_strdup(set->name);
        d->contexts[d->n++] = c;
    }
}

/* Both are made of the same files: what is wrong with them is told once. */
static void make_outward(struct tls *t, const struct upstream_settings *set, struct outward *o,
                         struct buffer *errors)
{
    size_t before = buffer_len(errors);

    *o = (struct outward){NULL, NULL};
    if (set->tls)
        o->upstream = tls_context_upstream(&t->count, TLS_UPSTREAM, set, errors);
    if (sentinels_want_tls(set) && buffer_len(errors) == before)
        o->sentinels = tls_context_upstream(&t->count, TLS_SENTINELS, set, errors);
    if (o->upstream != NULL)
        o->upstream->peer_expires = &t->upstream_expires;
    if (o->sentinels != NULL)
        o->sentinels->peer_expires = &t->sentinel_expires;
}

bool tls_settle(struct tls *t, const struct settings *settings, struct buffer *errors,
                struct buffer *notes)
{
    const struct upstream_settings *set = &settings->upstream;
    size_t before = buffer_len(errors);
    struct outward outward;
    struct doors doors;

    make_outward(t, set, &outward, errors);
    note_expiry(notes, "upstream", either(&outward));
    if (either(&outward) != NULL && !set->tls_verify)
        buffer_printf(notes, "[upstream] tls_verify = no: nobody checks who answers\n");
    open_doors(t, settings, &doors, errors, notes);
    if (buffer_len(errors) > before) {
        outward_done(&outward);
        doors_done(&doors);
        return false;
    }
    outward_done(&t->outward);
    doors_done(&t->doors);
    t->outward = outward;
    t->doors = doors;
    return true;
}

struct tls_context *tls_for_upstream(const struct tls *t)
{
    return t != NULL ? t->outward.upstream : NULL;
}

struct tls_context *tls_for_sentinels(const struct tls *t)
{
    return t != NULL ? t->outward.sentinels : NULL;
}

struct tls_context *tls_for_listener(const struct tls *t, const char *name)
{
    for (size_t i = 0; t != NULL && i < t->doors.n; i++) {
        if (strcmp(t->doors.names[i], name) == 0)
            return t->doors.contexts[i];
    }
    return NULL;
}

/* ---- counters ---- */

bool tls_in_use(const struct tls *t)
{
    return t != NULL && (either(&t->outward) != NULL || t->doors.n > 0);
}

static uint64_t seconds_left(int64_t expires)
{
    int64_t now = (int64_t)time(NULL);

    return expires > now ? (uint64_t)(expires - now) : 0;
}

static int64_t first_door_expiry(const struct tls *t)
{
    int64_t first = 0;

    for (size_t i = 0; i < t->doors.n; i++) {
        int64_t expires = t->doors.contexts[i]->expires;

        if (first == 0 || expires < first)
            first = expires;
    }
    return first;
}

struct counter_set tls_counters(struct tls *t)
{
    static const struct counter_row rows[] = {
#define ROW(name, kind, help) {#name, kind, offsetof(struct tls_counts, name), help},
        TLS_COUNTERS(ROW)};
    static const struct counter_row expiries[] = {TLS_EXPIRIES(ROW)
#undef ROW
    };
    const struct tls_context *own = either(&t->outward);
    const int64_t expires[] = {first_door_expiry(t), own != NULL ? own->expires : 0,
                               t->upstream_expires, t->sentinel_expires};
    const bool there[] = {expires[0] != 0, expires[1] != 0, t->outward.upstream != NULL,
                          t->outward.sentinels != NULL};
    size_t n = ARRAY_LEN(rows);

    _Static_assert(ARRAY_LEN(rows) + ARRAY_LEN(expiries) <= ARRAY_LEN(t->rows), "room for all");
    memcpy(t->rows, rows, sizeof rows);
    for (size_t i = 0; i < ARRAY_LEN(expiries); i++) {
        uint64_t *value = (uint64_t *)(void *)((char *)&t->count + expiries[i].offset);

        *value = seconds_left(expires[i]);
        if (there[i])
            t->rows[n++] = expiries[i];
    }
    return (struct counter_set){"tls", t->rows, n, &t->count};
}
