/* namespace.c - see namespace.h.
 *
 *     *3 $3 SET $1 k $1 v         marks: argument 1
 *     *3 $3 SET $6 acme:k $1 v    all but the marked arguments is copied as it came
 *
 * Every argument that is a name gets a mark. Where arguments come to it (SCAN without MATCH matches
 * every key, so the tenant's has to be said) or the request was inline, it is written anew. */
#include "command/namespace.h"

#include <limits.h>
#include <stdlib.h>

#include "resp/write.h"

#define FEW_MARKS 32u

#define KEYSPACE   SLICE("__keyspace@")
#define KEYEVENT   SLICE("__keyevent@")
#define INVALIDATE SLICE("__redis__:invalidate")

/* How a name is put. */
enum mark_kind {
    MARK_KEY,
    MARK_PATTERN, /* of keys */
    MARK_CHANNEL,
    MARK_LISTEN,   /* .. to be subscribed to */
    MARK_CHANNELS, /* a pattern of channels */
};

/* The arguments that are names: ascending. On the stack while they are few. */
struct marks {
    uint32_t few[FEW_MARKS];
    uint8_t few_kinds[FEW_MARKS];
    uint32_t *at;
    uint8_t *kind;
    uint32_t n, room;
};

/* A request under way. */
struct put {
    const struct namespace *ns;
    const struct command *c;
    struct args *args;
    uint32_t offset; /* arguments before the command word: of LARDER FRESH */
    struct marks marks;
    const char *more; /* an option that comes behind it, with a pattern that is every key; NULL */
};

void namespace_init(struct namespace *ns, struct slice prefix, bool scripts)
{
    char *copy = must_alloc(prefix.n + 1), *pattern = must_alloc(2 * prefix.n + 1);
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
        return NAMESPACE_SYNTAX;
    return put_others(p);
}

/* ---- writing ---- */

/* The name with the prefix where it belongs: what stands before it is *ret_head, which is mostly
 * nothing. A channel of keyspace notifications has the key behind its own head; the one on which a
 * connection hears of its invalidations is its own, and nobody is to speak there; of key events
 * larder passes on those of the tenant's keys (client/walls.c). */
static struct slice prefix_for(const struct namespace *ns, enum mark_kind kind, struct slice name,
                               struct slice *ret_head)
{
    struct slice prefix = kind == MARK_PATTERN || kind == MARK_CHANNELS ? ns->pattern : ns->prefix;
    const char *end;

    *ret_head = slice_of(name.p, 0);
    if (kind == MARK_KEY || kind == MARK_PATTERN)
        return prefix;
    if (slice_eq(name, INVALIDATE) && kind == MARK_LISTEN)
        return slice_of(prefix.p, 0);
    if ((kind == MARK_LISTEN || kind == MARK_CHANNELS) && slice_starts(name, KEYEVENT))
        return slice_of(prefix.p, 0);
    if (!slice_starts(name, KEYSPACE))
        return prefix;
    end = memmem(name.p, name.n, "__:", 3);
    if (end != NULL && (size_t)(end - name.p) < 24)
        *ret_head = slice_of(name.p, (size_t)(end + 3 - name.p));
    return prefix;
}

#define LINE_ROOM 24u

/* The header of a bulk of n bytes, at the end of line; returns where it begins. */
static const char *bulk_line(size_t n, char line[LINE_ROOM])
{
    char *p = line + LINE_ROOM;

    *--p = '\n';
    *--p = '\r';
    do {
        *--p = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    *--p = '$';
    return p;
}

/* Appends the bulk, but for the CR LF behind it, and returns it. There is room: it does not move.
 */
static struct slice add_name(const struct namespace *ns, enum mark_kind kind, struct slice name,
                             struct buffer *out)
{
    struct slice head, prefix = prefix_for(ns, kind, name, &head);
    size_t n = name.n + prefix.n;
    char line[LINE_ROOM];
    const char *p = bulk_line(n, line), *at;

    buffer_add(out, p, (size_t)(line + sizeof line - p));
    at = out->p + out->tail;
    buffer_add(out, head.p, head.n);
    buffer_add(out, prefix.p, prefix.n);
    buffer_add(out, name.p + head.n, name.n - head.n);
    return slice_of(at, n);
}

/* More than a name takes beside its own bytes and the prefix. */
#define HEADER_BYTES 32u

/* All but the names as it came. */
static void copy_bytes(const struct put *p, struct slice bytes, struct buffer *out)
{
    const struct marks *m = &p->marks;
    struct args *a = p->args;
    const char *from = bytes.p; /* not copied yet */
    const char *to = buffer_room(out, bytes.n + m->n * (p->ns->pattern.n + HEADER_BYTES));
    uint32_t k = 0;

    for (uint32_t i = 0; i < a->n; i++) {
        struct slice v = a->v[i];
        const char *header = v.p - 3; /* the digit before CR LF */

        if (k == m->n || m->at[k] != i) {
            a->v[i].p = to + (v.p - from);
            continue;
        }
        while (*header != '$')
            header--;
        buffer_add(out, from, (size_t)(header - from));
        a->v[i] = add_name(p->ns, (enum mark_kind)m->kind[k++], v, out);
        from = v.p + v.n;
        to = a->v[i].p + a->v[i].n;
    }
    buffer_add(out, from, (size_t)(bytes.p + bytes.n - from));
}

/* Room for all of it, so that it does not move while it is written. */
static const char *make_room(const struct put *p, struct buffer *out)
{
    size_t most = 3 * HEADER_BYTES + p->ns->pattern.n;

    for (uint32_t i = 0; i < p->args->n; i++)
        most += p->args->v[i].n + HEADER_BYTES;
    return buffer_room(out, most + p->marks.n * p->ns->pattern.n);
}

static struct slice add_bulk(struct slice bytes, struct buffer *out)
{
    write_bulk(out, bytes);
    return slice_of(out->p + out->tail - 2 - bytes.n, bytes.n);
}

/* The same, and the arguments that come to it: with MATCH, or alone, a pattern that is every key;
 * with PREFIX the prefix itself. */
static void write_anew(const struct put *p, struct buffer *out)
{
    const struct marks *m = &p->marks;
    struct args *a = p->args;
    bool prefix = p->more != NULL && slice_is(slice_str(p->more), "PREFIX");
    uint32_t k = 0, n = a->n, more = p->more == NULL ? 0 : *p->more ? 2 : 1;

    CHECK(make_room(p, out) != NULL);
    write_array(out, (uint64_t)n + more);
    for (uint32_t i = 0; i < n; i++) {
        if (k == m->n || m->at[k] != i) {
            a->v[i] = add_bulk(a->v[i], out);
            continue;
        }
        a->v[i] = add_name(p->ns, (enum mark_kind)m->kind[k++], a->v[i], out);
        buffer_add(out, "\r\n", 2);
    }
    if (more == 2)
        args_add(a, add_bulk(slice_str(p->more), out));
    if (more > 0) {
        args_add(a, prefix ? add_name(p->ns, MARK_KEY, SLICE(""), out)
                           : add_name(p->ns, MARK_PATTERN, SLICE("*"), out));
        buffer_add(out, "\r\n", 2);
    }
}

/* Most requests name one key, at the front, and nothing else. */
static bool is_simple(const struct command *c, struct slice bytes, const struct args *args)
{
    return c != NULL && c->tenant == TENANT_NAMES && c->names == NAMES_NONE &&
           c->keys == KEYS_FIXED && c->first == 1 && c->last == 1 && bytes.p[0] == '*' &&
           args->n > 1 && (c->flags & CF_CONTAINER) == 0 && command_arity_ok(c, args->n);
}

static char *copy_to(char *to, const char *from, size_t n)
{
    memcpy(to, from, n);
    return to + n;
}

static void put_simple(const struct namespace *ns, struct slice bytes, struct args *args,
                       struct buffer *out)
{
    struct slice *v = args->v, key = v[1];
    char *begin = buffer_room(out, bytes.n + ns->prefix.n + HEADER_BYTES), *to;
    const char *header = key.p - 3, *line;
    char text[LINE_ROOM];
    const char *behind;

    while (*header != '$')
        header--;
    line = bulk_line(key.n + ns->prefix.n, text);
    to = copy_to(begin, bytes.p, (size_t)(header - bytes.p));
    to = copy_to(to, line, (size_t)(text + sizeof text - line));
    v[0].p = begin + (v[0].p - bytes.p);
    v[1] = slice_of(to, key.n + ns->prefix.n);
    to = copy_to(to, ns->prefix.p, ns->prefix.n);
    behind = to;
    for (uint32_t i = 2; i < args->n; i++)
        v[i].p = behind + (v[i].p - key.p);
    to = copy_to(to, key.p, (size_t)(bytes.p + bytes.n - key.p));
    buffer_fill(out, (size_t)(to - begin));
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
        put_simple(ns, bytes, args, out);
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
            copy_bytes(&p, bytes, out);
        else
            write_anew(&p, out);
    }
    marks_done(&p.marks);
    return result;
}

enum namespace_result namespace_put_head(const struct namespace *ns, const struct command *c,
                                         struct slice head, uint32_t argc, struct args *args,
                                         struct buffer *out)
{
    struct put p = {.ns = ns, .c = c, .args = args};

    if (c == NULL || c->tenant == TENANT_REFUSED || (c->tenant == TENANT_SCRIPTS && !ns->scripts))
        return NAMESPACE_REFUSED;
    /* One key, at the front: whatever is behind it names nothing. */
    if (c->tenant != TENANT_NAMES || c->names != NAMES_NONE || c->keys != KEYS_FIXED ||
        c->first != 1 || c->last != 1 || args->n < 2)
        return NAMESPACE_AS_IS;
    if (!command_arity_ok(c, argc))
        return NAMESPACE_ARITY;
    put_begin(&p);
    mark(&p, 1, MARK_KEY);
    copy_bytes(&p, head, out);
    return NAMESPACE_PUT;
}
