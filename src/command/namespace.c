/* namespace.c - see namespace.h.
 *
 *     *3 $3 SET $1 k $1 v         marks: argument 1
 *     *3 $3 SET $6 acme:k $1 v    all but the marked arguments is copied as it came
 *
 * Every argument that is a name gets a mark. Where arguments come to it (SCAN without MATCH matches
 * every key, so the tenant's has to be said) or the request was inline, it is written anew. */
#include "command/namespace.h"

#include <stdlib.h>

#include "command/namespace_inside.h"

void namespace_init(struct namespace *ns, struct slice prefix, bool scripts)
{
    char *copy = must_calloc(1, prefix.n + NAMESPACE_SHORT_BYTES),
         *pattern = must_alloc(2 * prefix.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < prefix.n; i++) {
        copy[i] = prefix.p[i];
        if (memchr("*?[]\\", prefix.p[i], 5) != NULL)
            pattern[n++] = '\\';
        pattern[n++] = prefix.p[i];
    }
    *ns = (struct namespace){slice_of(copy, prefix.n), slice_of(pattern, n), scripts};
}

void namespace_done(struct namespace *ns)
{
    free((void *)(uintptr_t)ns->prefix.p);
    free((void *)(uintptr_t)ns->pattern.p);
    *ns = (struct namespace){0};
}

/* ---- marks ---- */

static void marks_grow(struct marks *m, uint32_t room)
{
    uint32_t *at = must_alloc(room * sizeof *at);
    uint8_t *kind = must_alloc(room);

    memcpy(at, m->at, m->n * sizeof *at);
    memcpy(kind, m->kind, m->n);
    if (m->at != m->few) {
        free(m->at);
        free(m->kind);
    }
    m->at = at;
    m->kind = kind;
    m->room = room;
}

static void marks_done(struct marks *m)
{
    if (m->at == m->few)
        return;
    free(m->at);
    free(m->kind);
}

/* In its place among the others, which mostly is the last. An argument is named once. */
static void mark(struct put *p, uint32_t index, enum mark_kind kind)
{
    struct marks *m = &p->marks;
    uint32_t i;

    if (m->n == m->room)
        marks_grow(m, m->room * 2);
    for (i = m->n; i > 0 && m->at[i - 1] > index; i--) {
        m->at[i] = m->at[i - 1];
        m->kind[i] = m->kind[i - 1];
    }
    if (i > 0 && m->at[i - 1] == index) {
        memmove(&m->at[i], &m->at[i + 1], (m->n - i) * sizeof *m->at);
        memmove(&m->kind[i], &m->kind[i + 1], m->n - i);
        return;
    }
    m->at[i] = index;
    m->kind[i] = (uint8_t)kind;
    m->n++;
}

static void mark_from(struct put *p, uint32_t first, enum mark_kind kind)
{
    for (uint32_t i = first; i < p->args->n; i++)
        mark(p, i, kind);
}

/* False: they cannot be told. */
static bool mark_keys(struct put *p, const struct slice *argv, uint32_t argc)
{
    struct marks *m = &p->marks;
    int n;

    if (p->c->keys == KEYS_FIXED && p->c->first == 0)
        return true;
    n = command_keys(p->c, argv, argc, m->at, m->room);
    if (n < 0)
        return false;
    if ((uint32_t)n > m->room) {
        marks_grow(m, (uint32_t)n + FEW_MARKS);
        n = command_keys(p->c, argv, argc, m->at, m->room);
    }
    m->n = (uint32_t)n;
    for (uint32_t i = 0; i < m->n; i++) {
        m->at[i] += p->offset;
        m->kind[i] = MARK_KEY;
    }
    return true;
}

/* From which argument on there may be keys. */
static uint32_t keys_from(const struct command *c, const struct slice *argv, uint32_t argc)
{
    uint32_t i = 1;

    switch ((enum key_rule)c->keys) {
    case KEYS_NUMKEYS:
        return (uint32_t)c->first;
    case KEYS_STORE_NUMKEYS:
        return 3;
    case KEYS_PAIRS:
        return 2;
    case KEYS_STREAMS:
        while (i < argc && !option_is(argv[i], "STREAMS"))
            i++;
        return i + 1;
    case KEYS_FIXED:
    case KEYS_SORT:
    case KEYS_GEORADIUS:
    case KEYS_MIGRATE:
    case KEYS_ALL:
        break;
    }
    return 1;
}

/* Which of the arguments are keys cannot be told: the server says what is wrong with it, as it does
 * without a prefix. Whatever it might take for a key gets the prefix, should it take it after all.
 */
static void mark_doubtful(struct put *p, const struct slice *argv, uint32_t argc)
{
    if (p->c->keys == KEYS_STORE_NUMKEYS)
        mark(p, p->offset + 1, MARK_KEY);
    mark_from(p, p->offset + keys_from(p->c, argv, argc), MARK_KEY);
}

/* ---- names that are no keys ---- */

/* SCAN cursor [MATCH pattern] [COUNT n] [TYPE t]; of several MATCH the last counts. False: what
 * else there is may hide one. */
static bool mark_scan(struct put *p)
{
    const struct args *a = p->args;
    bool matched = false;

    for (uint32_t i = p->offset + 2; i < a->n; i += 2) {
        if (i + 1 < a->n && option_is(a->v[i], "MATCH")) {
            mark(p, i + 1, MARK_PATTERN);
            matched = true;
        } else if (i + 1 == a->n || (!option_is(a->v[i], "COUNT") && !option_is(a->v[i], "TYPE"))) {
            return false;
        }
    }
    if (!matched)
        p->more = "MATCH";
    return true;
}

/* SORT key [BY pattern] [GET pattern ..] ..: `#` is the element itself. False: what stands behind
 * the pattern's first star cannot be kept within the prefix. */
static bool mark_sort(struct put *p)
{
    const struct args *a = p->args;
    bool star = memchr(p->ns->prefix.p, '*', p->ns->prefix.n) != NULL;

    for (uint32_t i = p->offset + 2; i + 1 < a->n; i++) {
        if (option_is(a->v[i], "LIMIT")) {
            i += 2;
        } else if (option_is(a->v[i], "STORE")) {
            i += 1;
        } else if (option_is(a->v[i], "BY") || option_is(a->v[i], "GET")) {
            bool get = option_is(a->v[i], "GET");

            i += 1;
            if (get && option_is(a->v[i], "#"))
                continue;
            if (star)
                return false;
            mark(p, i, MARK_KEY);
        }
    }
    return true;
}

/* CLIENT TRACKING ON [BCAST] [PREFIX p ..]; BCAST without a prefix is every key. */
static void mark_tracking(struct put *p)
{
    const struct args *a = p->args;
    bool everything = false, prefix = false;

    for (uint32_t i = 3; i < a->n; i++) {
        everything |= option_is(a->v[i], "BCAST");
        if (option_is(a->v[i], "REDIRECT") && i + 1 < a->n) {
            i += 1;
        } else if (option_is(a->v[i], "PREFIX") && i + 1 < a->n) {
            i += 1;
            prefix = true;
            mark(p, i, MARK_KEY);
        }
    }
    if (everything && !prefix && option_is(a->v[2], "ON"))
        p->more = "PREFIX";
}

static bool is_fresh(const struct put *p)
{
    const struct args *a = p->args;

    return p->c != NULL && p->c->names == NAMES_LARDER && a->n > 2 && slice_is(a->v[1], "FRESH");
}

/* LARDER MISS key; GETLEASE key; SETLEASE key ..; MSETEX ms key value .. */
static enum namespace_result put_larder(struct put *p)
{
    const struct args *a = p->args;

    if (a->n > 2 && (slice_is(a->v[1], "MISS") || slice_is(a->v[1], "GETLEASE") ||
                     slice_is(a->v[1], "SETLEASE"))) {
        mark(p, 2, MARK_KEY);
        return NAMESPACE_PUT;
    }
    if (a->n > 2 && slice_is(a->v[1], "MSETEX")) {
        for (uint32_t i = 3; i < a->n; i += 2)
            mark(p, i, MARK_KEY);
        return NAMESPACE_PUT;
    }
    return NAMESPACE_REFUSED;
}

static enum namespace_result put_others(struct put *p)
{
    struct args *a = p->args;

    switch ((enum name_rule)p->c->names) {
    case NAMES_NONE:
        break;
    case NAMES_CHANNEL:
        mark(p, p->offset + 1, MARK_CHANNEL);
        break;
    case NAMES_CHANNELS:
        mark_from(p, p->offset + 1, MARK_LISTEN);
        break;
    case NAMES_PATTERN:
        mark(p, p->offset + 1, MARK_PATTERN);
        break;
    case NAMES_PATTERNS:
        mark_from(p, p->offset + 1, MARK_CHANNELS);
        break;
    case NAMES_FIND:
        if (a->n > p->offset + 2)
            mark(p, p->offset + 2, MARK_CHANNELS);
        else
            p->more = "";
        break;
    case NAMES_COUNT:
        mark_from(p, p->offset + 2, MARK_CHANNEL);
        break;
    case NAMES_SCAN:
        return mark_scan(p) ? NAMESPACE_PUT : NAMESPACE_SYNTAX;
    case NAMES_SORT:
        return mark_sort(p) ? NAMESPACE_PUT : NAMESPACE_REFUSED;
    case NAMES_TRACKING:
        mark_tracking(p);
        break;
    case NAMES_DEBUG:
        if (a->n != p->offset + 3 || !option_is(a->v[p->offset + 1], "OBJECT"))
            return NAMESPACE_REFUSED;
        mark(p, p->offset + 2, MARK_KEY);
        break;
    case NAMES_LARDER:
        return put_larder(p);
    }
    return NAMESPACE_PUT;
}

/* What passes is marked. */
static enum namespace_result put_names(struct put *p)
{
    const struct slice *argv;
    const struct command *c;
    uint32_t argc;

    if (is_fresh(p)) {
        p->offset = 2;
        p->c = command_of(p->args->v + 2, p->args->n - 2);
    }
    c = p->c;
    argv = p->args->v + p->offset;
    argc = p->args->n - p->offset;

    /* The second word of a container is one that larder does not know. */
    if (c == NULL || ((c->flags & CF_CONTAINER) != 0 && argc > 1))
        return NAMESPACE_REFUSED;
    /* What larder would answer otherwise: past it only the upstream's own answer is left. */
    if (p->offset > 0 && (c->tenant == TENANT_OWN || c->names == NAMES_LARDER))
        return NAMESPACE_REFUSED;
    switch ((enum tenant_verdict)c->tenant) {
    case TENANT_REFUSED:
        return NAMESPACE_REFUSED;
    case TENANT_SCRIPTS:
        if (!p->ns->scripts)
            return NAMESPACE_REFUSED;
        break;
    case TENANT_PLAIN:
        return p->offset > 0 ? NAMESPACE_PUT : NAMESPACE_AS_IS;
    case TENANT_NAMES:
    case TENANT_OWN:
        break;
    }
    if (!command_arity_ok(c, argc))
        return NAMESPACE_ARITY;
    if (!mark_keys(p, argv, argc))
        mark_doubtful(p, argv, argc);
    return put_others(p);
}

/* Most requests name one key, at the front, and nothing else. */
static bool is_simple(const struct command *c, struct slice bytes, const struct args *args)
{
    return c != NULL && (c->flags & CF_ONE_KEY) != 0 && bytes.p[0] == '*' &&
           command_arity_ok(c, args->n);
}

static void put_begin(struct put *p)
{
    p->marks.n = 0;
    p->marks.at = p->marks.few;
    p->marks.kind = p->marks.few_kinds;
    p->marks.room = FEW_MARKS;
}

enum namespace_result namespace_put(const struct namespace *ns, const struct command *c,
                                    struct slice bytes, struct args *args, struct buffer *out)
{
    enum namespace_result result;
    struct put p;

    if (LIKELY(is_simple(c, bytes, args))) {
        namespace_simple(ns, bytes, args, out);
        return NAMESPACE_PUT;
    }
    p.ns = ns;
    p.c = c;
    p.args = args;
    p.offset = 0;
    p.more = NULL;
    put_begin(&p);
    result = put_names(&p);
    if (result == NAMESPACE_PUT && p.marks.n == 0 && p.more == NULL)
        result = NAMESPACE_AS_IS;
    if (result == NAMESPACE_PUT) {
        if (LIKELY(p.more == NULL && bytes.p[0] == '*'))
            namespace_copy(&p, bytes, out);
        else
            namespace_anew(&p, out);
    }
    marks_done(&p.marks);
    return result;
}

enum namespace_result namespace_put_head(const struct namespace *ns, const struct command *c,
                                         struct slice head, struct args *args, struct buffer *out)
{
    struct put p = {.ns = ns, .c = c, .args = args};

    if (c == NULL || c->tenant == TENANT_REFUSED || (c->tenant == TENANT_SCRIPTS && !ns->scripts))
        return NAMESPACE_REFUSED;
    /* One key, at the front: whatever is behind it names nothing. */
    if ((c->flags & CF_ONE_KEY) == 0 || args->n < 2)
        return NAMESPACE_AS_IS;
    put_begin(&p);
    mark(&p, 1, MARK_KEY);
    namespace_copy(&p, head, out);
    return NAMESPACE_PUT;
}
