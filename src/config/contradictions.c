/* contradictions.c - see contradictions.h. A mistake is told at the line of the setting that its
 * sentence begins with, or, where that one is at its default, at the line of the other. A value
 * that was refused is at its default here: it has been complained about, so pairs with it are left
 * alone. */
#include "config/contradictions.h"

#include <stdlib.h>
#include <string.h>

#include "config/address.h"
#include "config/bounds.h"
#include "config/file.h"
#include "config/prefix.h"
#include "config/tenant_mistakes.h"
#include "config/units.h"
#include "config/value.h"

struct side {
    const struct section *section;
    const char *name;
};

static const struct row *row_of(struct side side)
{
    bool twin;
    const struct row *row = row_find(side.section->kind, slice_str(side.name), &twin);

    CHECK(row && !twin);
    return row;
}

static const struct slot *slot_of(struct side side)
{
    return &side.section->slots[row_of(side) - side.section->kind->rows];
}

static uint64_t number_of(struct side side)
{
    const char *values = side.section->values;
    uint64_t v;

    memcpy(&v, values + row_of(side)->offset, sizeof(v));
    return v;
}

static const char *text_of(struct side side)
{
    const char *values = side.section->values, *text;

    memcpy(&text, values + row_of(side)->offset, sizeof(text));
    return text;
}

/* As quoted() has it, and whole: a path may be any bytes. */
static void show(struct side side, struct buffer *out)
{
    value_show(row_of(side), side.section->values, out);
    for (char *p = buffer_head(out); p < buffer_head(out) + buffer_len(out); p++) {
        if (*p < ' ' || *p > '~')
            *p = '?';
    }
}

/* "a = 2s is more than b = 1s (its default)": how the one stands to the other. */
static void tell(struct draft *d, struct side one, const char *how, struct side other)
{
    struct origin at = slot_of(one)->at, otherwise = slot_of(other)->at;
    struct buffer a = {0}, b = {0};

    if (slot_of(one)->refused || slot_of(other)->refused)
        return;
    show(one, &a);
    show(other, &b);
    mistake(&d->mistakes, at.file ? at : otherwise, "%s = %.*s%s %s %s = %.*s%s", one.name,
            (int)buffer_len(&a), buffer_head(&a), at.file ? "" : " (its default)", how, other.name,
            (int)buffer_len(&b), buffer_head(&b), otherwise.file ? "" : " (its default)");
    buffer_done(&a);
    buffer_done(&b);
}

static void at_most(struct draft *d, struct side less, struct side more)
{
    if (number_of(less) > number_of(more))
        tell(d, less, "is more than", more);
}

/* .. where 0 is: no bound. */
static void at_most_if_set(struct draft *d, struct side less, struct side more)
{
    if (number_of(more) > 0)
        at_most(d, less, more);
}

/* Port 0 is a different one each time. */
static bool same_address(const struct draft *d, size_t i, size_t k)
{
    const struct address *a = &d->settings->listeners[i].address;

    return address_equal(a, &d->settings->listeners[k].address) && (a->path || a->port != 0) &&
           !slot_of((struct side){&d->listeners.v[i], "address"})->refused &&
           !slot_of((struct side){&d->listeners.v[k], "address"})->refused;
}

static void find_same_addresses(struct draft *d)
{
    for (size_t i = 0; i < d->settings->listener_count; i++) {
        struct origin at = slot_of((struct side){&d->listeners.v[i], "address"})->at;

        for (size_t k = 0; k < i; k++) {
            if (same_address(d, i, k))
                mistake(&d->mistakes, at.file ? at : d->listeners.v[i].opened,
                        "[%s] has the address of [%s]", d->listeners.v[i].name,
                        d->listeners.v[k].name);
        }
    }
}

static void find_wrong_modes(struct draft *d)
{
    for (size_t i = 0; i < d->settings->listener_count; i++) {
        struct slice mode = slice_str(d->settings->listeners[i].mode);
        unsigned ignored;

        if (!unit_mode(mode, &ignored))
            mistake(&d->mistakes, slot_of((struct side){&d->listeners.v[i], "mode"})->at,
                    "mode: %s is not within 0..0777, octal", quoted(mode).text);
    }
}

/* Where a policy's prefixes are set; at.file NULL: nowhere. */
static struct origin prefix_at(const struct draft *d, size_t policy)
{
    return slot_of((struct side){&d->policies.v[policy], "prefix"})->at;
}

static void find_wrong_prefixes(struct draft *d)
{
    for (size_t i = 0; i < d->settings->policy_count; i++) {
        const struct string_list *list = &d->settings->policies[i].prefix;
        struct origin at = prefix_at(d, i);

        if (at.file == NULL)
            mistake(&d->mistakes, d->policies.v[i].opened, "[%s] must set prefix",
                    d->policies.v[i].name);
        for (size_t k = 0; k < list->n; k++) {
            struct slice prefix = slice_str(list->v[k]);

            if (!prefix_ok(prefix))
                mistake(&d->mistakes, at,
                        "prefix: %s has a * that is neither all there is between two colons nor "
                        "the last character",
                        quoted(prefix).text);
        }
    }
}

/* One prefix of one policy. */
struct claim {
    struct slice pattern;
    size_t policy, index;
};

/* Equal ones in the order in which they were read. */
static int by_pattern(const void *a, const void *b)
{
    const struct claim *x = a, *y = b;
    int order = slice_order(x->pattern, y->pattern);

    if (order != 0)
        return order;
    if (x->policy != y->policy)
        return x->policy < y->policy ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static void find_same_prefixes(struct draft *d)
{
    const struct policy_settings *policies = d->settings->policies;
    size_t room = 1, n = 0, first = 0;
    struct claim *claims;

    for (size_t i = 0; i < d->settings->policy_count; i++)
        room += policies[i].prefix.n;
    claims = must_alloc(room * sizeof(*claims));
    for (size_t i = 0; i < d->settings->policy_count; i++) {
        for (size_t k = 0; k < policies[i].prefix.n; k++)
            claims[n++] = (struct claim){prefix_pattern(slice_str(policies[i].prefix.v[k])), i, k};
    }
    qsort(claims, n, sizeof(*claims), by_pattern);
    for (size_t i = 1; i < n; i++) {
        const struct claim *c = &claims[i];

        if (slice_eq(claims[first].pattern, c->pattern))
            mistake(&d->mistakes, prefix_at(d, c->policy), "prefix: [%s] has %s already",
                    d->policies.v[claims[first].policy].name,
                    quoted(slice_str(policies[c->policy].prefix.v[c->index])).text);
        else
            first = i;
    }
    free(claims);
}

/* `deny` goes with anything: nothing else of the policy matters then, and a policy may be shut for
 * an hour without taking its settings apart. */
static void find_wrong_expiries(struct draft *d)
{
    for (size_t i = 0; i < d->settings->policy_count; i++) {
        const struct policy_settings *set = &d->settings->policies[i];
        const struct section *s = &d->policies.v[i];
        struct side ttl = {s, "ttl"}, max_ttl = {s, "max_ttl"}, sliding = {s, "sliding"};
        struct side absolute = {s, "absolute"};

        at_most_if_set(d, ttl, max_ttl);
        at_most_if_set(d, sliding, max_ttl);
        at_most_if_set(d, ttl, absolute);
        at_most_if_set(d, sliding, absolute);
        if (set->ttl_jitter > 0 && set->ttl_jitter >= set->ttl)
            tell(d, (struct side){s, "ttl_jitter"}, "is not less than", ttl);
        if (set->require_ttl && set->ttl > 0)
            tell(d, (struct side){s, "require_ttl"}, "excludes", ttl);
        if (set->immutable && !set->local)
            tell(d, (struct side){s, "immutable"}, "is not possible with",
                 (struct side){s, "local"});
        if (set->on_outage == SET_OUTAGE_STALE && !set->local)
            tell(d, (struct side){s, "on_outage"}, "is not possible with",
                 (struct side){s, "local"});
        if (set->stampede != SET_STAMPEDE_NO && !set->local)
            tell(d, (struct side){s, "stampede"}, "is not possible with",
                 (struct side){s, "local"});
        if (set->scope == SET_SCOPE_FLEET && set->stampede != SET_STAMPEDE_WAIT)
            tell(d, (struct side){s, "scope"}, "is not possible with",
                 (struct side){s, "stampede"});
    }
}

/* `one` is set where it must not be, or must be where it is not. */
static void tell_needs(struct draft *d, struct side one, struct side other)
{
    if (!slot_of(one)->refused && !slot_of(other)->refused)
        mistake(&d->mistakes, slot_of(one)->at, "%s needs %s", one.name, other.name);
}

static void find_same_sentinels(struct draft *d, struct side sentinels)
{
    const struct address_list *list = &d->settings->upstream.sentinels;

    for (size_t i = 0; i < list->n; i++) {
        for (size_t k = 0; k < i; k++) {
            struct buffer text = {0};

            if (!address_equal(&list->v[i], &list->v[k]))
                continue;
            address_show(&text, &list->v[i]);
            mistake(&d->mistakes, slot_of(sentinels)->at, "sentinels: %.*s stands there twice",
                    (int)buffer_len(&text), buffer_head(&text));
            buffer_done(&text);
        }
    }
}

/* The upstream is named by an address, or by Sentinels and what they call it. */
static void find_wrong_sentinels(struct draft *d)
{
    const struct upstream_settings *set = &d->settings->upstream;
    const struct section *s = &d->upstream;
    struct side sentinels = {s, "sentinels"}, master = {s, "master"}, address = {s, "address"};
    struct side others[] = {master, {s, "sentinel_username"}, {s, "sentinel_password"}};
    struct side tls = {s, "sentinel_tls"};

    if (set->sentinels.n > 0) {
        if (slot_of(address)->at.file != NULL)
            mistake(&d->mistakes, slot_of(address)->at, "address excludes sentinels in %s:%u",
                    slot_of(sentinels)->at.file, slot_of(sentinels)->at.line);
        if (!*set->master)
            tell_needs(d, sentinels, master);
        if (strchr(set->master, ' '))
            mistake(&d->mistakes, slot_of(master)->at, "master: %s holds a blank",
                    quoted(slice_str(set->master)).text);
        find_same_sentinels(d, sentinels);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (*text_of(others[i]))
            tell_needs(d, others[i], sentinels);
    }
    if (set->sentinel_tls != SET_SENTINEL_TLS_AUTO)
        tell_needs(d, tls, sentinels);
}

static bool is_set(struct side side)
{
    const char *values = side.section->values;
    const char *string;

    memcpy(&string, values + row_of(side)->offset, sizeof(string));
    return string[0] != 0;
}

/* One is of no use without the other. */
static void needs(struct draft *d, struct side one, struct side other)
{
    if (is_set(one) && !is_set(other) && !slot_of(other)->refused)
        mistake(&d->mistakes, slot_of(one)->at, "%s needs %s as well", one.name, other.name);
}

/* A certificate names a host; to whom a Unix socket belongs its permissions say. */
static void no_tls_on_unix(struct draft *d, struct side tls, const struct address *address)
{
    if (address->path != NULL)
        tell(d, tls, "is not possible with", (struct side){tls.section, "address"});
}

static void no_tls_on_unix_sentinels(struct draft *d)
{
    const struct address_list *list = &d->settings->upstream.sentinels;
    struct side sentinels = {&d->upstream, "sentinels"};

    for (size_t i = 0; i < list->n; i++) {
        if (list->v[i].path == NULL)
            continue;
        mistake(&d->mistakes, slot_of(sentinels)->at,
                "sentinels: TLS is not possible with unix:%s (sentinel_tls = no: they are spoken "
                "to without)",
                list->v[i].path);
        return;
    }
}

/* Whoever names a certificate means TLS. Who writes `tls = no` beside it has decided; who forgets
 * `tls` would send passwords in the clear. */
static void find_unused_tls(struct draft *d)
{
    static const char *const names[] = {"tls_ca", "tls_cert", "tls_key", "tls_server_name"};

    if (slot_of((struct side){&d->upstream, "tls"})->at.file != NULL ||
        sentinels_want_tls(&d->settings->upstream))
        return;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct side side = {&d->upstream, names[i]};

        if (is_set(side))
            mistake(&d->mistakes, slot_of(side)->at, "%s needs tls = yes (or tls = no, to say so)",
                    side.name);
    }
}

static void find_wrong_tls(struct draft *d)
{
    struct side up_cert = {&d->upstream, "tls_cert"}, up_key = {&d->upstream, "tls_key"};

    needs(d, up_cert, up_key);
    needs(d, up_key, up_cert);
    find_unused_tls(d);
    if (d->settings->upstream.tls)
        no_tls_on_unix(d, (struct side){&d->upstream, "tls"}, &d->settings->upstream.address);
    if (sentinels_want_tls(&d->settings->upstream))
        no_tls_on_unix_sentinels(d);
    for (size_t i = 0; i < d->settings->listener_count; i++) {
        const struct section *s = &d->listeners.v[i];
        struct side cert = {s, "tls_cert"}, key = {s, "tls_key"};

        needs(d, cert, key);
        needs(d, key, cert);
        needs(d, (struct side){s, "tls_client_ca"}, cert);
        if (is_set(cert))
            no_tls_on_unix(d, cert, &d->settings->listeners[i].address);
    }
}

/* What is in it, who uses it says; but a wrong name is told with the line that it stands in. */
static void find_unreadable(struct draft *d, const struct section *s)
{
    for (size_t i = 0; i < s->kind->count; i++) {
        struct side side = {s, s->kind->rows[i].name};
        struct buffer bytes = {0}, why = {0}, path = {0};

        if (s->kind->rows[i].type != TYPE_PATH || !is_set(side))
            continue;
        value_show(&s->kind->rows[i], s->values, &path);
        buffer_add(&path, "", 1);
        if (!file_read(buffer_head(&path), FILE_REGULAR, CONFIG_PEM_BYTES, &bytes, &why))
            mistake(&d->mistakes, slot_of(side)->at, "%s: %s: %.*s", side.name,
                    quoted(slice_str(buffer_head(&path))).text, (int)buffer_len(&why),
                    buffer_head(&why));
        buffer_done(&bytes);
        buffer_done(&why);
        buffer_done(&path);
    }
}

/* Who loads what: larder knows of what it keeps. */
static void find_wrong_loads(struct draft *d)
{
    for (size_t i = 0; i < d->settings->policy_count; i++) {
        const struct policy_settings *set = &d->settings->policies[i];
        const struct section *s = &d->policies.v[i];
        struct side local = {s, "local"}, refresh = {s, "refresh_ahead"};

        if (set->refresh_ahead && !set->local)
            tell(d, refresh, "is not possible with", local);
        if (set->refresh_ahead && set->sliding > 0)
            tell(d, refresh, "excludes", (struct side){s, "sliding"});
    }
}

void contradictions_find(struct draft *d)
{
    at_most(d, (struct side){&d->larder, "max_bulk"}, (struct side){&d->larder, "max_request"});
    at_most(d, (struct side){&d->upstream, "pool_size"}, (struct side){&d->upstream, "max_links"});
    at_most(d, (struct side){&d->upstream, "backoff_min"},
            (struct side){&d->upstream, "backoff_max"});
    find_wrong_sentinels(d);
    find_same_addresses(d);
    find_wrong_modes(d);
    find_wrong_prefixes(d);
    find_same_prefixes(d);
    find_wrong_expiries(d);
    find_wrong_tls(d);
    tenant_mistakes_find(d);
    find_unreadable(d, &d->upstream);
    for (size_t i = 0; i < d->settings->listener_count; i++)
        find_unreadable(d, &d->listeners.v[i]);
    find_wrong_loads(d);
}
