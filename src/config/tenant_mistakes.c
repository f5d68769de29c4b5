/* tenant_mistakes.c - see tenant_mistakes.h. Walls stand on the prefixes: a key belongs to the one
 * tenant whose prefix it begins with, so none may begin with another's, and none may lead to
 * larder's own keys. */
#include "config/tenant_mistakes.h"

#include <stdlib.h>
#include <string.h>

#include "config/bounds.h"

#define OWN_KEYS   SLICE("larder:")
#define MASK       "********" /* what --dump-config has in place of a secret */
#define SHA256_HEX 64u

/* Whose prefix: of a tenant section, or the namespace (section NULL). */
struct claim {
    struct slice prefix;
    const struct section *section;
    struct origin at;
};

static const struct slot *slot_of(const struct section *s, const char *name)
{
    bool twin;
    const struct row *row = row_find(s->kind, slice_str(name), &twin);

    CHECK(row && !twin);
    return &s->slots[row - s->kind->rows];
}

static const char *name_of(const struct claim *c)
{
    return c->section != NULL ? c->section->name : "larder] namespace of [larder";
}

/* In bytewise order whatever begins with a prefix stands right behind it; of equal ones the one
 * that was read first is the first. */
static int by_prefix(const void *a, const void *b)
{
    const struct claim *x = a, *y = b;
    int order = slice_order(x->prefix, y->prefix);

    if (order != 0)
        return order;
    return x->section < y->section ? -1 : x->section > y->section;
}

static void check_reserved(struct draft *d, const struct claim *c, const char *setting)
{
    if (slice_starts(c->prefix, OWN_KEYS) || slice_starts(OWN_KEYS, c->prefix))
        mistake(&d->mistakes, c->at, "%s: keys of larder's own begin with %s", setting,
                slice_starts(c->prefix, OWN_KEYS) ? "larder:" : quoted(c->prefix).text);
}

/* Channels of the server's own, which are not what they are behind a prefix. */
static void check_channels(struct draft *d, const struct claim *c, const char *setting)
{
    if (slice_starts(c->prefix, SLICE("__")))
        mistake(&d->mistakes, c->at, "%s: channels of Redis' own begin with __", setting);
}

static size_t list_claims(struct draft *d, struct claim *claims)
{
    const struct settings *s = d->settings;
    size_t n = 0;

    if (*s->larder.namespace) {
        claims[n++] = (struct claim){slice_str(s->larder.namespace), NULL,
                                     slot_of(&d->larder, "namespace")->at};
        check_reserved(d, &claims[0], "namespace");
        check_channels(d, &claims[0], "namespace");
        if (claims[0].prefix.n > CONFIG_PREFIX_BYTES)
            mistake(&d->mistakes, claims[0].at, "namespace: it is longer than %u bytes",
                    CONFIG_PREFIX_BYTES);
    }
    for (size_t i = 0; i < s->tenant_count; i++) {
        const struct section *section = &d->tenants.v[i];
        const struct slot *slot = slot_of(section, "prefix");

        if (slot->at.file == NULL)
            mistake(&d->mistakes, section->opened, "[%s] must set prefix", section->name);
        if (s->tenants[i].prefix == NULL)
            continue;
        claims[n] = (struct claim){slice_str(s->tenants[i].prefix), section, slot->at};
        check_reserved(d, &claims[n], "prefix");
        check_channels(d, &claims[n++], "prefix");
    }
    return n;
}

static void find_overlaps(struct draft *d)
{
    struct claim *claims = must_alloc((d->settings->tenant_count + 1) * sizeof *claims);
    size_t n = list_claims(d, claims), first = 0;

    qsort(claims, n, sizeof *claims, by_prefix);
    for (size_t i = 1; i < n; i++) {
        const struct claim *one = &claims[i], *other = &claims[first];

        if (!slice_starts(one->prefix, other->prefix))
            first = i;
        else if (slice_eq(one->prefix, other->prefix))
            mistake(&d->mistakes, one->at, "prefix: [%s] has %s already", name_of(other),
                    quoted(one->prefix).text);
        else
            mistake(&d->mistakes, one->at, "prefix: %s begins with %s, which is that of [%s]",
                    quoted(one->prefix).text, quoted(other->prefix).text, name_of(other));
    }
    free(claims);
}

static bool is_sha256(const char *text)
{
    return strcmp(text, MASK) == 0 ||
           (strlen(text) == SHA256_HEX && strspn(text, "0123456789abcdefABCDEF") == SHA256_HEX);
}

static void find_wrong_logins(struct draft *d, const struct section *s,
                              const struct tenant_settings *set)
{
    const struct slot *hash = slot_of(s, "password_sha256");

    if (strcmp(set->name, "default") == 0)
        mistake(&d->mistakes, s->opened,
                "no tenant is called default: that is who AUTH without a name is");
    if (*set->password && *set->password_sha256)
        mistake(&d->mistakes, hash->at, "password_sha256 excludes password in %s:%u",
                slot_of(s, "password")->at.file, slot_of(s, "password")->at.line);
    if (*set->password_sha256 && !is_sha256(set->password_sha256))
        mistake(&d->mistakes, hash->at, "password_sha256: it is not 64 hex digits");
    if (*set->upstream_password && !*set->upstream_username)
        mistake(&d->mistakes, slot_of(s, "upstream_password")->at,
                "upstream_password needs upstream_username");
}

static bool has_tenant(const struct settings *s, const char *name)
{
    for (size_t i = 0; i < s->tenant_count; i++) {
        if (strcmp(s->tenants[i].name, name) == 0)
            return true;
    }
    return false;
}

void tenant_mistakes_find(struct draft *d)
{
    const struct settings *s = d->settings;

    find_overlaps(d);
    for (size_t i = 0; i < s->tenant_count; i++)
        find_wrong_logins(d, &d->tenants.v[i], &s->tenants[i]);
    for (size_t i = 0; i < s->listener_count; i++) {
        const char *tenant = s->listeners[i].tenant;

        if (*tenant && !has_tenant(s, tenant))
            mistake(&d->mistakes, slot_of(&d->listeners.v[i], "tenant")->at,
                    "tenant: there is no [tenant %.32s]", tenant);
    }
}
