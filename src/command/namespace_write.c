/* namespace_write.c - a request written with the prefix before its names. What is not a name is
 * copied as it came, and the arguments are made to be of the copy. */
#include "command/namespace_inside.h"

#include "resp/write.h"

#define KEYSPACE   SLICE("__keyspace@")
#define KEYEVENT   SLICE("__keyevent@")
#define INVALIDATE SLICE("__redis__:invalidate")

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
void namespace_copy(const struct put *p, struct slice bytes, struct buffer *out)
{
    const struct marks *m = &p->marks;
    struct args *a = p->args;
    const char *from = bytes.p, *behind; /* not copied yet; the next argument */
    const char *to = buffer_room(out, bytes.n + m->n * (p->ns->pattern.n + HEADER_BYTES));
    const char *header = bytes.p; /* of the argument */
    uint32_t k = 0;

    for (uint32_t i = 0; i < a->n; header = behind, i++) {
        struct slice v = a->v[i];

        behind = v.p + v.n + 2;
        if (k == m->n || m->at[k] != i) {
            a->v[i].p = to + (v.p - from);
            continue;
        }
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
void namespace_anew(const struct put *p, struct buffer *out)
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

static char *copy_to(char *to, const char *from, size_t n)
{
    memcpy(to, from, n);
    return to + n;
}

/* From where `there` bytes may be read, to where there is room for NAMESPACE_SHORT_BYTES. */
static char *copy_short(char *to, const char *from, size_t n, size_t there)
{
    if (UNLIKELY(n > NAMESPACE_SHORT_BYTES || there < NAMESPACE_SHORT_BYTES))
        return copy_to(to, from, n);
    memcpy(to, from, NAMESPACE_SHORT_BYTES);
    return to + n;
}

/* As bulk_line(), to where there is room for it. */
static char *put_line(char *to, size_t n)
{
    char text[LINE_ROOM];
    const char *line;

    if (LIKELY(n >= 10 && n < 100)) {
        to[0] = '$';
        to[1] = (char)('0' + n / 10);
        to[2] = (char)('0' + n % 10);
        to[3] = '\r';
        to[4] = '\n';
        return to + 5;
    }
    line = bulk_line(n, text);
    return copy_to(to, line, (size_t)(text + sizeof text - line));
}

void namespace_simple(const struct namespace *ns, struct slice bytes, struct args *args,
                      struct buffer *out)
{
    struct slice *v = args->v, key = v[1], prefix = ns->prefix;
    char *begin = buffer_room(out, bytes.n + prefix.n + HEADER_BYTES + NAMESPACE_SHORT_BYTES);
    size_t head = (size_t)(v[0].p - bytes.p) + v[0].n + 2; /* up to the key's header */
    char *to = put_line(copy_short(begin, bytes.p, head, bytes.n), key.n + prefix.n);

    v[0].p = begin + (v[0].p - bytes.p);
    v[1] = slice_of(to, key.n + prefix.n);
    to = copy_short(to, prefix.p, prefix.n, NAMESPACE_SHORT_BYTES);
    for (uint32_t i = 2; i < args->n; i++)
        v[i].p = to + (v[i].p - key.p);
    to = copy_to(to, key.p, (size_t)(bytes.p + bytes.n - key.p));
    buffer_fill(out, (size_t)(to - begin));
}
