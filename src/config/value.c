/* value.c - see value.h. The one place that knows what field a type has: each function is a switch
 * over the types, and the casts from a row's offset to a typed field are all in field_of(). */
#include "config/value.h"

#include <inttypes.h>
#include <string.h>

#include "config/address.h"
#include "config/blanks.h"
#include "config/bounds.h"
#include "config/mistakes.h"
#include "config/settings.h"
#include "config/units.h"

static bool read_string(const struct row *row, struct slice text, const char **field,
                        struct pool *pool, struct buffer *why);
static bool read_prefix(struct slice text, const char **field, struct pool *pool,
                        struct buffer *why);
static bool read_bool(struct slice text, bool *field, struct buffer *why);
static bool read_number(const struct row *row, struct slice text, uint64_t *field,
                        struct buffer *why);
static bool read_choice(const struct row *row, struct slice text, int *field, struct buffer *why);
static bool read_address(const struct row *row, struct slice text, struct address *field,
                         struct pool *pool, struct buffer *why);
static bool read_list(struct slice text, struct string_list *field, struct pool *pool,
                      struct buffer *why);
static bool read_addresses(const struct row *row, struct slice text, struct address_list *field,
                           struct pool *pool, struct buffer *why);
static void show_list(const struct string_list *list, struct buffer *out);
static void show_addresses(const struct address_list *list, struct buffer *out);
static bool lists_equal(const struct string_list *a, const struct string_list *b);
static bool addresses_equal(const struct address_list *a, const struct address_list *b);

static void *field_of(const struct row *row, void *section)
{
    return (char *)section + row->offset;
}

static const void *field_in(const struct row *row, const void *section)
{
    return (const char *)section + row->offset;
}

bool value_read(const struct row *row, struct slice text, void *section, struct pool *pool,
                struct buffer *why)
{
    void *field = field_of(row, section);

    switch (row->type) {
    case TYPE_STRING:
    case TYPE_SECRET:
    case TYPE_PATH:
        return read_string(row, text, field, pool, why);
    case TYPE_PREFIX:
        return read_prefix(text, field, pool, why);
    case TYPE_BOOL:
        return read_bool(text, field, why);
    case TYPE_COUNT:
    case TYPE_DURATION:
    case TYPE_SIZE:
    case TYPE_RATE:
        return read_number(row, text, field, why);
    case TYPE_ADDRESS:
        return read_address(row, text, field, pool, why);
    case TYPE_CHOICE:
        return read_choice(row, text, field, why);
    case TYPE_LIST:
        return read_list(text, field, pool, why);
    case TYPE_ADDRESSES:
        return read_addresses(row, text, field, pool, why);
    }
    check_failed("a known setting_type", __FILE__, __LINE__);
}

void value_show(const struct row *row, const void *section, struct buffer *out)
{
    const void *field = field_in(row, section);
    const char *string;
    struct slice word;

    switch (row->type) {
    case TYPE_STRING:
    case TYPE_PREFIX:
    case TYPE_PATH:
        string = *(const char *const *)field;
        buffer_add(out, string, strlen(string));
        return;
    case TYPE_SECRET:
        if (**(const char *const *)field)
            buffer_add(out, "********", 8);
        return;
    case TYPE_BOOL:
        buffer_printf(out, "%s", *(const bool *)field ? "yes" : "no");
        return;
    case TYPE_COUNT:
        buffer_printf(out, "%" PRIu64, *(const uint64_t *)field);
        return;
    case TYPE_DURATION:
        unit_show_duration(out, *(const uint64_t *)field);
        return;
    case TYPE_SIZE:
        unit_show_size(out, *(const uint64_t *)field);
        return;
    case TYPE_ADDRESS:
        address_show(out, field);
        return;
    case TYPE_CHOICE:
        word = row_word(row, (unsigned)*(const int *)field);
        buffer_add(out, word.p, word.n);
        return;
    case TYPE_RATE:
        unit_show_rate(out, *(const uint64_t *)field);
        return;
    case TYPE_LIST:
        show_list(field, out);
        return;
    case TYPE_ADDRESSES:
        show_addresses(field, out);
        return;
    }
    check_failed("a known setting_type", __FILE__, __LINE__);
}

void value_write(const struct row *row, const void *section, struct buffer *out)
{
    struct buffer shown = {0};

    value_show(row, section, &shown);
    for (size_t i = 0; i < buffer_len(&shown); i++) {
        char c = buffer_head(&shown)[i];

        buffer_add(out, &c, 1);
        if (c == '$')
            buffer_add(out, &c, 1);
    }
    buffer_done(&shown);
}

bool value_equal(const struct row *row, const void *a, const void *b)
{
    const void *x = field_in(row, a), *y = field_in(row, b);

    switch (row->type) {
    case TYPE_STRING:
    case TYPE_PREFIX:
    case TYPE_SECRET:
    case TYPE_PATH:
        return strcmp(*(const char *const *)x, *(const char *const *)y) == 0;
    case TYPE_BOOL:
        return *(const bool *)x == *(const bool *)y;
    case TYPE_COUNT:
    case TYPE_DURATION:
    case TYPE_SIZE:
    case TYPE_RATE:
        return *(const uint64_t *)x == *(const uint64_t *)y;
    case TYPE_ADDRESS:
        return address_equal(x, y);
    case TYPE_CHOICE:
        return *(const int *)x == *(const int *)y;
    case TYPE_LIST:
        return lists_equal(x, y);
    case TYPE_ADDRESSES:
        return addresses_equal(x, y);
    }
    check_failed("a known setting_type", __FILE__, __LINE__);
}

static bool has_control_character(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return true;
    }
    return false;
}

/* A variable may bring in anything. A STRING must survive --dump-config, which has it on a line
 * of its own between blanks that do not count; a SECRET is masked there and may be any string. */
static bool read_string(const struct row *row, struct slice text, const char **field,
                        struct pool *pool, struct buffer *why)
{
    if (row->type == TYPE_SECRET) {
        if (text.n > 0 && memchr(text.p, 0, text.n)) {
            buffer_printf(why, "holds a NUL byte");
            return false;
        }
        *field = pool_string(pool, text);
        return true;
    }
    text = trimmed(text);
    if (has_control_character(text)) {
        buffer_printf(why, "%s holds a control character", quoted(text).text);
        return false;
    }
    if (text.n > CONFIG_STRING_BYTES) {
        buffer_printf(why, "%s is longer than %u bytes", quoted(text).text, CONFIG_STRING_BYTES);
        return false;
    }
    *field = pool_string(pool, text);
    return true;
}

static bool read_prefix(struct slice text, const char **field, struct pool *pool,
                        struct buffer *why)
{
    text = trimmed(text);
    if (text.n == 0 || has_control_character(text) || text.n > CONFIG_PREFIX_BYTES) {
        buffer_printf(why, "%s is empty, longer than %u bytes, or holds a control character",
                      quoted(text).text, CONFIG_PREFIX_BYTES);
        return false;
    }
    *field = pool_string(pool, text);
    return true;
}

static bool read_bool(struct slice text, bool *field, struct buffer *why)
{
    bool yes = slice_eq(trimmed(text), SLICE("yes"));

    if (!yes && !slice_eq(trimmed(text), SLICE("no"))) {
        buffer_printf(why, "%s is neither yes nor no", quoted(text).text);
        return false;
    }
    *field = yes;
    return true;
}

static bool read_number(const struct row *row, struct slice text, uint64_t *field,
                        struct buffer *why)
{
    uint64_t v = 0, min, max;
    const char *what = NULL;

    text = trimmed(text);
    if (row->type == TYPE_COUNT && !unit_count(text, &v))
        what = "a number";
    else if (row->type == TYPE_DURATION && !unit_duration(text, &v))
        what = "a duration such as 500ms, 5s, 30m, 8h or 1d";
    else if (row->type == TYPE_SIZE && !unit_size(text, &v))
        what = "a size such as 512, 64kb, 64mb or 1gb";
    else if (row->type == TYPE_RATE && !unit_rate(text, &v))
        what = "a rate such as 10/s";
    if (what) {
        buffer_printf(why, "%s is not %s", quoted(text).text, what);
        return false;
    }
    row_range(row, &min, &max);
    if (v < min || v > max) {
        buffer_printf(why, "%s is not within %s", quoted(text).text, row_bounds(row).p);
        return false;
    }
    *field = v;
    return true;
}

static bool read_choice(const struct row *row, struct slice text, int *field, struct buffer *why)
{
    struct slice word;

    for (unsigned i = 0; (word = row_word(row, i)).n > 0; i++) {
        if (slice_eq(trimmed(text), word)) {
            *field = (int)i;
            return true;
        }
    }
    buffer_printf(why, "%s is none of ", quoted(trimmed(text)).text);
    for (unsigned i = 0; (word = row_word(row, i)).n > 0; i++)
        buffer_printf(why, "%s%.*s", i > 0 ? ", " : "", (int)word.n, word.p);
    return false;
}

static bool read_address(const struct row *row, struct slice text, struct address *field,
                         struct pool *pool, struct buffer *why)
{
    const char *wrong;

    text = trimmed(text);
    if (has_control_character(text))
        wrong = "a control character in it";
    else
        wrong = address_read(text, row->listens, pool, field);
    if (wrong)
        buffer_printf(why, "%s is no address: %s", quoted(text).text, wrong);
    return wrong == NULL;
}

/* The words up to the next comma, and what is behind it; false behind the last. */
static bool next_word(struct slice *rest, struct slice *ret_word)
{
    const char *comma;

    if (rest->p == NULL)
        return false;
    comma = memchr(rest->p, ',', rest->n);
    *ret_word = trimmed(slice_of(rest->p, comma ? (size_t)(comma - rest->p) : rest->n));
    *rest = comma ? slice_of(comma + 1, (size_t)(rest->p + rest->n - comma - 1)) : slice_str(NULL);
    return true;
}

static bool read_list(struct slice text, struct string_list *field, struct pool *pool,
                      struct buffer *why)
{
    struct slice rest, word;
    size_t count = 0, bytes = 0;
    const char **v, *wrong = NULL;

    text = trimmed(text);
    if (text.n == 0)
        wrong = "is empty";
    else if (has_control_character(text))
        wrong = "holds a control character";
    for (rest = text; wrong == NULL && next_word(&rest, &word); count++) {
        bytes += word.n + 2; /* show_list() puts a comma and a blank between them */
        if (word.n == 0)
            wrong = "holds an empty word";
    }
    if (wrong == NULL && bytes - 2 > CONFIG_STRING_BYTES)
        wrong = "is too long";
    if (wrong) {
        buffer_printf(why, "%s %s", quoted(text).text, wrong);
        return false;
    }
    v = pool_alloc(pool, count * sizeof(*v));
    rest = text;
    for (size_t i = 0; next_word(&rest, &word); i++)
        v[i] = pool_string(pool, word);
    *field = (struct string_list){v, count};
    return true;
}

/* None at all is fine: that is how it is unset. */
static bool read_addresses(const struct row *row, struct slice text, struct address_list *field,
                           struct pool *pool, struct buffer *why)
{
    struct slice rest = trimmed(text), word;
    size_t count = 0;
    struct address *v;

    if (rest.n == 0) {
        *field = (struct address_list){0};
        return true;
    }
    while (next_word(&rest, &word))
        count++;
    if (count > CONFIG_ADDRESSES) {
        buffer_printf(why, "more than %u addresses", CONFIG_ADDRESSES);
        return false;
    }
    v = pool_alloc(pool, count * sizeof(*v));
    rest = trimmed(text);
    for (size_t i = 0; next_word(&rest, &word); i++) {
        if (!read_address(row, word, &v[i], pool, why))
            return false;
    }
    *field = (struct address_list){v, count};
    return true;
}

static void show_addresses(const struct address_list *list, struct buffer *out)
{
    for (size_t i = 0; i < list->n; i++) {
        buffer_printf(out, i > 0 ? ", " : "");
        address_show(out, &list->v[i]);
    }
}

static bool addresses_equal(const struct address_list *a, const struct address_list *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (!address_equal(&a->v[i], &b->v[i]))
            return false;
    }
    return true;
}

static void show_list(const struct string_list *list, struct buffer *out)
{
    for (size_t i = 0; i < list->n; i++)
        buffer_printf(out, "%s%s", i > 0 ? ", " : "", list->v[i]);
}

static bool lists_equal(const struct string_list *a, const struct string_list *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (strcmp(a->v[i], b->v[i]) != 0)
            return false;
    }
    return true;
}
