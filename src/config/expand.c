/* expand.c - see expand.h. One pass over the text into a buffer of its own, so that a failure
 * half-way leaves nothing behind; each step takes a piece off the front of what is left. */
#include "config/expand.h"

#include <ctype.h>
#include <stdlib.h>

#include "config/bounds.h"

static enum expand_result expand_variable(struct slice *text, struct buffer *out,
                                          struct slice *ret_where);
static enum expand_result take_default(struct slice *text, struct buffer *out);
static struct slice take_name(struct slice *text);
static void skip(struct slice *text, size_t n);

enum expand_result expand(struct slice text, struct buffer *out, struct slice *ret_where)
{
    struct buffer made = {0};
    enum expand_result result = EXPAND_OK;

    while (text.n > 0 && result == EXPAND_OK) {
        if (slice_starts(text, SLICE("${"))) {
            result = expand_variable(&text, &made, ret_where);
        } else {
            buffer_add(&made, text.p, 1);
            skip(&text, slice_starts(text, SLICE("$$")) ? 2 : 1);
        }
        if (result == EXPAND_OK && buffer_len(&made) > CONFIG_VALUE_BYTES) {
            *ret_where = text;
            result = EXPAND_LONG;
        }
    }
    if (result == EXPAND_OK)
        buffer_add(out, buffer_head(&made), buffer_len(&made));
    buffer_done(&made);
    return result;
}

const char *expand_why(enum expand_result result)
{
    switch (result) {
    case EXPAND_OK:
        return "no mistake";
    case EXPAND_OPEN:
        return "a ${ without its }";
    case EXPAND_NAME:
        return "neither ${NAME} nor ${NAME:-default} (write $$ for a $)";
    case EXPAND_NESTED:
        return "a ${ within the default of another";
    case EXPAND_UNSET:
        return "no such variable in the environment, and no default";
    case EXPAND_LONG:
        return "the value is longer than 64 KB once variables are put in";
    }
    check_failed("a known expand_result", __FILE__, __LINE__);
}

/* text starts with ${ */
static enum expand_result expand_variable(struct slice *text, struct buffer *out,
                                          struct slice *ret_where)
{
    char name[CONFIG_NAME_CHARS * 4];
    struct slice word, start = *text;
    enum expand_result result;
    const char *value;

    *ret_where = start;
    if (memchr(start.p, '}', start.n) == NULL)
        return EXPAND_OPEN;
    skip(text, 2);
    word = take_name(text);
    if (word.n == 0 || word.n >= sizeof(name))
        return EXPAND_NAME;
    memcpy(name, word.p, word.n);
    name[word.n] = 0;
    value = getenv(name);
    if (text->n > 0 && *text->p == '}') {
        skip(text, 1);
        *ret_where = word;
        if (value == NULL)
            return EXPAND_UNSET;
    } else if (slice_starts(*text, SLICE(":-"))) {
        struct buffer fallback = {0};

        skip(text, 2);
        result = take_default(text, &fallback);
        if (value == NULL || !*value)
            buffer_add(out, buffer_head(&fallback), buffer_len(&fallback));
        buffer_done(&fallback);
        if (result != EXPAND_OK)
            return result;
    } else {
        return EXPAND_NAME;
    }
    if (value)
        buffer_add(out, value, strlen(value));
    return EXPAND_OK;
}

static enum expand_result take_default(struct slice *text, struct buffer *out)
{
    while (text->n > 0 && *text->p != '}') {
        if (slice_starts(*text, SLICE("${")))
            return EXPAND_NESTED;
        buffer_add(out, text->p, 1);
        skip(text, slice_starts(*text, SLICE("$$")) ? 2 : 1);
    }
    if (text->n == 0)
        return EXPAND_OPEN;
    skip(text, 1);
    return EXPAND_OK;
}

static struct slice take_name(struct slice *text)
{
    struct slice name = {text->p, 0};

    while (name.n < text->n && (isalpha((unsigned char)name.p[name.n]) || name.p[name.n] == '_' ||
                                (name.n > 0 && isdigit((unsigned char)name.p[name.n]))))
        name.n++;
    skip(text, name.n);
    return name;
}

static void skip(struct slice *text, size_t n)
{
    text->p += n;
    text->n -= n;
}
