/* draft.c - from lines to settings, see draft.h.
 *
 * inifile_read() tells section() and setting() what stands in the file; a section is looked up or
 * made with all its defaults in place, a setting is found in the rows of its kind, expanded and put
 * into its field. So at any time the settings are whole, and a mistake costs only its own line: the
 * rest is read on, for the operator wants all mistakes at once. What is wrong only together is
 * found at the end, by contradictions.c. */
#include "config/draft.h"

#include <string.h>

#include "config/blanks.h"
#include "config/bounds.h"
#include "config/contradictions.h"
#include "config/expand.h"
#include "config/file.h"
#include "config/inifile.h"
#include "config/value.h"

static void told_section(void *context, unsigned line, const char *name);
static void told_setting(void *context, unsigned line, const char *name, struct slice value);
static void told_mistake(void *context, unsigned line, const char *what);
static struct section *find_section(struct draft *d, struct origin at, const char *header);
static void unknown_section(struct draft *d, struct origin at, const char *header);
static struct section *find_named(struct draft *d, struct sections *all, struct origin at,
                                  struct slice name);
static void open_sections(struct draft *d, struct sections *s, const struct kind *kind, void *array,
                          size_t *count);
static void grow_sections(struct draft *d, struct sections *s);
static uint32_t *name_slot(const struct sections *s, struct slice name);
static void open_section(struct draft *d, struct section *s, const struct kind *kind,
                         const char *name, void *values);
static bool claim_slot(struct draft *d, struct origin at, const struct row *row, bool twin);
static struct slice beside(struct draft *d, const struct row *row, const struct buffer *value);
static void put_value(struct draft *d, struct origin at, const struct row *row, struct slice text);
static void put_file(struct draft *d, struct origin at, const struct row *row, struct slice path);
static bool read_secret(struct draft *d, const char *path, struct buffer *bytes,
                        struct slice *ret_secret, struct buffer *why);
static bool expand_at(struct draft *d, struct origin at, const struct row *row, struct slice text,
                      struct buffer *out);
static void refuse(struct draft *d, const struct row *row);
static struct slot *slot_of(struct draft *d, const struct row *row);

void draft_init(struct draft *d, struct settings *settings, struct pool *pool,
                struct buffer *errors)
{
    *d = (struct draft){.settings = settings, .pool = pool, .mistakes = {.out = errors}};
    open_section(d, &d->larder, &kind_larder, kind_larder.word, &settings->larder);
    open_section(d, &d->upstream, &kind_upstream, kind_upstream.word, &settings->upstream);
    open_section(d, &d->cache, &kind_cache, kind_cache.word, &settings->cache);
    open_sections(d, &d->listeners, &kind_listener, &settings->listeners,
                  &settings->listener_count);
    open_sections(d, &d->policies, &kind_policy, &settings->policies, &settings->policy_count);
    open_sections(d, &d->tenants, &kind_tenant, &settings->tenants, &settings->tenant_count);
}

void draft_read(struct draft *d, const char *file, struct slice text)
{
    const struct inifile_sink sink = {d, told_section, told_setting, told_mistake};

    d->file = pool_string(d->pool, slice_str(file));
    d->current = NULL;
    d->outside = true;
    inifile_read(text, &sink);
}

bool draft_finish(struct draft *d)
{
    struct origin nowhere = {0};

    if (d->settings->listener_count == 0)
        (void)find_named(d, &d->listeners, nowhere, SLICE("main"));
    contradictions_find(d);
    mistakes_finish(&d->mistakes);
    return d->mistakes.count == 0;
}

/* Settings under a header that was refused are passed over: one mistake, one message. */
static void told_section(void *context, unsigned line, const char *name)
{
    struct draft *d = context;
    struct origin at = {d->file, line};
    struct section *s = name ? find_section(d, at, name) : NULL;

    d->outside = false;
    d->current = s;
    if (s == NULL)
        return;
    if (s->opened.file == d->file)
        mistake(&d->mistakes, at, "[%s] repeats line %u", s->name, s->opened.line);
    s->opened = at;
}

static void told_setting(void *context, unsigned line, const char *name, struct slice value)
{
    struct draft *d = context;
    struct origin at = {d->file, line};
    const struct row *row;
    bool twin;

    if (d->outside)
        mistake(&d->mistakes, at, "%s stands before any [section]", name);
    if (d->current == NULL)
        return;
    row = row_find(d->current->kind, slice_str(name), &twin);
    if (row == NULL)
        mistake(&d->mistakes, at, "[%s] has no setting %s", d->current->kind->word, name);
    else if (!claim_slot(d, at, row, twin))
        return;
    else if (twin)
        put_file(d, at, row, value);
    else
        put_value(d, at, row, value);
}

static void told_mistake(void *context, unsigned line, const char *what)
{
    struct draft *d = context;

    mistake(&d->mistakes, (struct origin){d->file, line}, "%s", what);
}

/* By the words of a header; NULL after a mistake. */
static struct section *find_section(struct draft *d, struct origin at, const char *header)
{
    struct section *const single[] = {&d->larder, &d->upstream, &d->cache};
    struct sections *const named[] = {&d->listeners, &d->policies, &d->tenants};
    size_t n = strcspn(header, " ");
    struct slice word = slice_of(header, n), name = trimmed(slice_str(header + n));

    for (size_t i = 0; i < ARRAY_LEN(named); i++) {
        const struct kind *kind = named[i]->kind;

        if (!slice_eq(word, slice_str(kind->word)))
            continue;
        if (name.n > 0)
            return find_named(d, named[i], at, name);
        mistake(&d->mistakes, at, "a %s needs a name: [%s]", kind->word, kind->example);
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(single); i++) {
        if (name.n == 0 && slice_eq(word, slice_str(single[i]->kind->word)))
            return single[i];
    }
    unknown_section(d, at, header);
    return NULL;
}

static void unknown_section(struct draft *d, struct origin at, const char *header)
{
    struct buffer known = {0};

    for (size_t i = 0; i < KIND_COUNT; i++)
        buffer_printf(&known, "%s[%s%s]", i > 0 ? ", " : "", kinds[i]->word,
                      kinds[i]->limit > 0 ? " NAME" : "");
    mistake(&d->mistakes, at, "no section is called [%s]; there are %.*s", header,
            (int)buffer_len(&known), buffer_head(&known));
    buffer_done(&known);
}

/* Found or, where there is none of the name yet, made; NULL after a mistake. */
static struct section *find_named(struct draft *d, struct sections *all, struct origin at,
                                  struct slice name)
{
    const struct kind *kind = all->kind;
    size_t i = *all->count, head = strlen(kind->word) + 1;
    struct buffer title = {0};
    const char *whole;
    uint32_t *slot = name_slot(all, name);

    if (*slot != 0)
        return &all->v[*slot - 1];
    if (name.n > CONFIG_TITLE_CHARS || memchr(name.p, ' ', name.n)) {
        mistake(&d->mistakes, at, "the name of a %s is one word of at most %u characters",
                kind->word, CONFIG_TITLE_CHARS);
        return NULL;
    }
    if (i == kind->limit) {
        mistake(&d->mistakes, at, "more than %zu %s", kind->limit, kind->plural);
        return NULL;
    }
    if (i == all->room) {
        grow_sections(d, all);
        slot = name_slot(all, name);
    }
    *slot = (uint32_t)++ * all->count;
    buffer_printf(&title, "%s %.*s", kind->word, (int)name.n, name.p);
    whole = pool_string(d->pool, buffer_slice(&title));
    buffer_done(&title);
    open_section(d, &all->v[i], kind, whole, all->values + i * kind->size);
    *(const char **)(void *)(all->values + i * kind->size) = whole + head;
    return &all->v[i];
}

#define FIRST_SECTIONS 16u

/* Makes room for more. What moves is what nobody points to yet but the draft and its settings. */
static void grow_sections(struct draft *d, struct sections *s)
{
    size_t room = s->room > 0 ? s->room * 2 : FIRST_SECTIONS;
    struct section *v = pool_alloc(d->pool, room * sizeof *v);
    char *values = pool_alloc(d->pool, room * s->kind->size);

    if (*s->count > 0) {
        memcpy(v, s->v, *s->count * sizeof *v);
        memcpy(values, s->values, *s->count * s->kind->size);
    }
    s->v = v;
    s->values = values;
    s->room = room;
    memcpy(s->array, &values, sizeof values);
    s->slots = room * 2;
    s->slot = pool_alloc(d->pool, s->slots * sizeof *s->slot);
    for (size_t i = 0; i < *s->count; i++) {
        v[i].values = values + i * s->kind->size;
        *name_slot(s, slice_str(v[i].name + strlen(s->kind->word) + 1)) = (uint32_t)i + 1;
    }
}

/* array: the settings' pointer to the structs of the kind; count: how many there are. */
static void open_sections(struct draft *d, struct sections *s, const struct kind *kind, void *array,
                          size_t *count)
{
    *s = (struct sections){.kind = kind, .array = array, .count = count};
    grow_sections(d, s);
}

/* Where the number of the section of that name stands, or would: FNV-1a, for the names are the
 * operator's own. */
static uint32_t *name_slot(const struct sections *s, struct slice name)
{
    size_t head = strlen(s->kind->word) + 1, at = 2166136261u;

    for (size_t i = 0; i < name.n; i++)
        at = ((at ^ (unsigned char)name.p[i]) * 16777619u) & UINT32_MAX;
    for (;; at++) {
        uint32_t *slot = &s->slot[at & (s->slots - 1)];

        if (*slot == 0 || slice_eq(name, slice_str(s->v[*slot - 1].name + head)))
            return slot;
    }
}

static void open_section(struct draft *d, struct section *s, const struct kind *kind,
                         const char *name, void *values)
{
    struct buffer why = {0};

    *s = (struct section){.kind = kind, .name = name, .values = values};
    s->slots = pool_alloc(d->pool, kind->count * sizeof(*s->slots));
    for (size_t i = 0; i < kind->count; i++) {
        const struct row *row = &kind->rows[i];

        if (!row_required(row))
            CHECK(value_read(row, row_default(row), values, d->pool, &why));
    }
}

/* Each row is set once, wherever: two files that both set it would make the result depend on their
 * names. */
static bool claim_slot(struct draft *d, struct origin at, const struct row *row, bool twin)
{
    struct slot *slot = slot_of(d, row);
    const char *name = row->name, *first = slot->twin ? "_file" : "", *again = twin ? "_file" : "";

    if (slot->at.file == NULL) {
        *slot = (struct slot){.at = at, .twin = twin};
        return true;
    }
    mistake(&d->mistakes, at,
            slot->twin == twin ? "%s%s repeats %s%s in %s:%u" : "%s%s excludes %s%s in %s:%u", name,
            again, name, first, slot->at.file, slot->at.line);
    return false;
}

/* A PATH as seen from the file that names it; what else was written, as it is. */
static struct slice beside(struct draft *d, const struct row *row, const struct buffer *value)
{
    struct slice path = trimmed(buffer_slice(value));

    if (row->type != TYPE_PATH || path.n == 0)
        return buffer_slice(value);
    return slice_str(file_beside(d->file, pool_string(d->pool, path), d->pool));
}

static void put_value(struct draft *d, struct origin at, const struct row *row, struct slice text)
{
    struct buffer value = {0}, why = {0};

    if (expand_at(d, at, row, text, &value) &&
        !value_read(row, beside(d, row, &value), d->current->values, d->pool, &why)) {
        refuse(d, row);
        mistake(&d->mistakes, at, "%s: %.*s", row->name, (int)buffer_len(&why), buffer_head(&why));
    }
    buffer_done(&value);
    buffer_done(&why);
}

/* NAME_file = PATH: the secret is what the file holds, less the newline at its end. */
static void put_file(struct draft *d, struct origin at, const struct row *row, struct slice path)
{
    struct buffer name = {0}, bytes = {0}, why = {0};
    struct slice secret;

    if (!expand_at(d, at, row, path, &name))
        return;
    buffer_add(&name, "", 1);
    if (!read_secret(d, buffer_head(&name), &bytes, &secret, &why) ||
        !value_read(row, secret, d->current->values, d->pool, &why)) {
        refuse(d, row);
        mistake(&d->mistakes, at, "%s_file: %s: %.*s", row->name,
                quoted(slice_str(buffer_head(&name))).text, (int)buffer_len(&why),
                buffer_head(&why));
    }
    buffer_done(&name);
    buffer_done(&bytes);
    buffer_done(&why);
}

/* *ret_secret is of the bytes that are read. */
static bool read_secret(struct draft *d, const char *path, struct buffer *bytes,
                        struct slice *ret_secret, struct buffer *why)
{
    struct slice secret;

    if (!*path) {
        buffer_printf(why, "no file is named");
        return false;
    }
    path = file_beside(d->file, path, d->pool);
    if (!file_read(path, FILE_REGULAR, CONFIG_SECRET_BYTES, bytes, why))
        return false;
    secret = buffer_slice(bytes);
    if (secret.n > 0 && secret.p[secret.n - 1] == '\n')
        secret.n--;
    /* An empty secret would mean: no password at all. Nobody names a file to say that. */
    if (secret.n == 0) {
        buffer_printf(why, "it is empty");
        return false;
    }
    *ret_secret = secret;
    return true;
}

/* Of a secret, only the name of a missing variable gets into the message. */
static bool expand_at(struct draft *d, struct origin at, const struct row *row, struct slice text,
                      struct buffer *out)
{
    struct slice where = {0};
    enum expand_result result = expand(text, out, &where);
    bool hide = row->type == TYPE_SECRET && result != EXPAND_UNSET;

    if (result == EXPAND_OK)
        return true;
    refuse(d, row);
    mistake(&d->mistakes, at, "%s: %s%s%s", row->name, hide ? "" : quoted(where).text,
            hide ? "" : ": ", expand_why(result));
    return false;
}

static void refuse(struct draft *d, const struct row *row)
{
    slot_of(d, row)->refused = true;
}

static struct slot *slot_of(struct draft *d, const struct row *row)
{
    return &d->current->slots[row - d->current->kind->rows];
}
