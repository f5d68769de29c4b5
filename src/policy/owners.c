/* owners.c - see owners.h.
 *
 * The prefixes are in an open hash table. The key's hash is taken byte by byte, and at each length
 * that some prefix has it is looked whether it is one: so the cost is that of the key's first
 * bytes, however many tenants there are. The hash needs no secret: the prefixes are the operator's.
 */
#include "policy/owners.h"

#include <stdlib.h>

#include "config/bounds.h"

#define FNV_START UINT32_C(2166136261)
#define FNV_PRIME UINT32_C(16777619)

struct owners {
    struct slice *v; /* bytewise order */
    size_t n;
    char *text;
    uint32_t *slots; /* index + 1 into v; 0: empty */
    size_t mask;
    size_t longest;
    bool lengths[CONFIG_PREFIX_BYTES + 1]; /* that some prefix has */
};

static int by_bytes(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;

    return slice_order(*x, *y);
}

static uint32_t hash_on(uint32_t h, char c)
{
    return (h ^ (unsigned char)c) * FNV_PRIME;
}

/* FNV's low bits alone are poor. */
static size_t slot_of(const struct owners *o, uint32_t h)
{
    return (h ^ h >> 15) & o->mask;
}

static void add(struct owners *o, size_t index)
{
    uint32_t h = FNV_START;
    size_t at;

    for (size_t i = 0; i < o->v[index].n; i++)
        h = hash_on(h, o->v[index].p[i]);
    for (at = slot_of(o, h); o->slots[at] != 0; at = (at + 1) & o->mask)
        ;
    o->slots[at] = (uint32_t)index + 1;
    o->lengths[o->v[index].n] = true;
    if (o->v[index].n > o->longest)
        o->longest = o->v[index].n;
}

static void take(struct owners *o, const char *prefix, size_t *at)
{
    size_t n = strlen(prefix);

    memcpy(o->text + *at, prefix, n);
    o->v[o->n++] = slice_of(o->text + *at, n);
    *at += n;
}

struct owners *owners_new(const struct settings *s)
{
    bool common = *s->larder.namespace != 0;
    size_t n = s->tenant_count + common, bytes = strlen(s->larder.namespace), at = 0;
    struct owners *o;

    if (n == 0)
        return NULL;
    o = must_calloc(1, sizeof *o);
    for (size_t i = 0; i < s->tenant_count; i++)
        bytes += strlen(s->tenants[i].prefix);
    o->text = must_alloc(bytes + 1);
    o->v = must_alloc(n * sizeof *o->v);
    for (size_t i = 0; i < s->tenant_count; i++)
        take(o, s->tenants[i].prefix, &at);
    if (common)
        take(o, s->larder.namespace, &at);
    qsort(o->v, o->n, sizeof *o->v, by_bytes);
    for (o->mask = 8; o->mask < 2 * n; o->mask *= 2)
        ;
    o->slots = must_calloc(o->mask--, sizeof *o->slots);
    for (size_t i = 0; i < o->n; i++)
        add(o, i);
    return o;
}

void owners_free(struct owners *o)
{
    if (o == NULL)
        return;
    free(o->v);
    free(o->text);
    free(o->slots);
    free(o);
}

static bool is_prefix(const struct owners *o, uint32_t h, struct slice head)
{
    for (size_t at = slot_of(o, h); o->slots[at] != 0; at = (at + 1) & o->mask) {
        if (slice_eq(o->v[o->slots[at] - 1], head))
            return true;
    }
    return false;
}

size_t owners_prefix(const struct owners *o, struct slice key)
{
    size_t most = key.n < o->longest ? key.n : o->longest;
    uint32_t h = FNV_START;

    for (size_t i = 0; i < most; i++) {
        h = hash_on(h, key.p[i]);
        if (o->lengths[i + 1] && is_prefix(o, h, slice_of(key.p, i + 1)))
            return i + 1;
    }
    return 0;
}

/* ---- heads ---- */

static size_t common_bytes(struct slice a, struct slice b)
{
    size_t n = 0;

    while (n < a.n && n < b.n && a.p[n] == b.p[n])
        n++;
    return n;
}

/* The longest to which all can be cut so that no more than OWNERS_HEADS are left. Each of the
 * prefixes, which are in order, is another one when cut if it has less in common with the one
 * before it. */
static size_t length_for_few(const struct owners *o)
{
    size_t bytes = o->longest, distinct;

    for (;;) {
        distinct = 1;
        for (size_t i = 1; i < o->n; i++)
            distinct += common_bytes(o->v[i - 1], o->v[i]) < bytes;
        if (distinct <= OWNERS_HEADS || bytes == 0)
            return bytes;
        bytes--;
    }
}

/* Drops what begins with another. */
static size_t reduce(struct slice *v, size_t n)
{
    size_t kept = 0;

    qsort(v, n, sizeof *v, by_bytes);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || !slice_starts(v[i], v[kept - 1]))
            v[kept++] = v[i];
    }
    return kept;
}

struct slice *owners_heads(const struct owners *o, const struct slice *heads, size_t n,
                           size_t *ret_n, char **ret_text)
{
    bool each = n > 0 && o->n <= OWNERS_HEADS / n;
    size_t few = each ? 0 : length_for_few(o), bytes = 1, at = 0, count = 0;
    struct slice *v = must_alloc((n + o->n * (each ? n : 1) + 1) * sizeof *v);
    char *text;

    for (size_t k = 0; k < n; k++)
        bytes += heads[k].n * (each ? o->n + 1 : 1);
    for (size_t i = 0; i < o->n; i++)
        bytes += o->v[i].n * (each ? n : 1);
    text = must_alloc(bytes);
    for (size_t k = 0; k < n; k++) {
        if (heads[k].n > 0)
            memcpy(text + at, heads[k].p, heads[k].n);
        v[count++] = slice_of(text + at, heads[k].n);
        at += heads[k].n;
    }
    for (size_t i = 0; n > 0 && i < o->n; i++) {
        for (size_t k = 0; k < (each ? n : 1); k++) {
            size_t begin = at, own = each || o->v[i].n < few ? o->v[i].n : few;

            memcpy(text + at, o->v[i].p, own);
            at += own;
            if (each && heads[k].n > 0)
                memcpy(text + at, heads[k].p, heads[k].n);
            at += each ? heads[k].n : 0;
            v[count++] = slice_of(text + begin, at - begin);
        }
    }
    *ret_n = reduce(v, count);
    *ret_text = text;
    return v;
}
