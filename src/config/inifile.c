/* inifile.c - inih, led by the hand.
 *
 * inih takes sections and names apart, but left to itself it truncates (lines at 200 bytes in
 * Debian's build, sections at 49), takes an indented line for more of the value above, ends a value
 * at " ;", takes ':' for '=', and overlooks what follows a ']'. How long its line may be, and which
 * of these it does, depends on how the library was built, and Debian's variables to change it exist
 * nowhere else. So inih never sees a line of the file: next_line() judges the line and hands over
 * one that every build reads alike,
 *
 *     the file:  [ upstream ]                  inih:  [upstream]     and   ]=7  (opened in line 7)
 *                  password: a = b ; c                an empty line, and a mistake
 *                  password = b ; c                   password=9
 *
 * where 9 is the line that `value` belongs to. inih calls back for a line before it asks for the
 * next; the number is compared, so that a value can not end up under another name. */
#include "config/inifile.h"

#include <ctype.h>
#include <ini.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/check.h"
#include "config/blanks.h"
#include "config/bounds.h"

/* What no setting, and no section, can be called: the line that says a section was opened, and a
 * section whose header is wrong. */
#define OPENED "]"
#define BROKEN "!"

struct reader {
    struct slice rest;  /* of the file */
    unsigned line;      /* lines taken from it */
    bool opened;        /* a header was handed over, and OPENED must follow */
    struct slice value; /* of line `line` */
    const struct inifile_sink *sink;
};

static char *next_line(char *out, int size, void *context);
static int parsed(void *context, const char *section, const char *name, const char *value);
static struct slice take_line(struct reader *r);
static const char *wrong_bytes(struct slice line);
static const char *wrong_header(struct slice line, struct slice *ret_name);
static const char *wrong_setting(struct slice line, struct slice *ret_name,
                                 struct slice *ret_value);
static void hand_over(char *out, int size, struct slice head, const char *tail);

void inifile_read(struct slice text, const struct inifile_sink *sink)
{
    struct reader r = {.rest = text, .sink = sink};

    if (slice_starts(text, SLICE("\xef\xbb\xbf")))
        r.rest = slice_of(text.p + 3, text.n - 3);
    /* All that inih could object to was kept from it. */
    CHECK(ini_parse_stream(next_line, &r, parsed, &r) == 0);
}

/* What inih takes for fgets. */
static char *next_line(char *out, int size, void *context)
{
    struct reader *r = context;
    struct slice line, name = {0};
    const char *wrong;
    char tail[16];

    if (r->opened) {
        r->opened = false;
        (void)snprintf(tail, sizeof(tail), "=%u", r->line);
        hand_over(out, size, SLICE(OPENED), tail);
        return out;
    }
    if (r->rest.n == 0)
        return NULL;
    line = take_line(r);
    wrong = wrong_bytes(line);
    if (line.n > 0 && *line.p == '[') {
        wrong = wrong ? wrong : wrong_header(line, &name);
        r->opened = true;
        (void)snprintf(out, (size_t)size, "[");
        hand_over(out + 1, size - 1, wrong ? SLICE(BROKEN) : name, "]");
    } else if (wrong || line.n == 0 || *line.p == '#' || *line.p == ';') {
        hand_over(out, size, SLICE(""), "");
    } else {
        wrong = wrong_setting(line, &name, &r->value);
        (void)snprintf(tail, sizeof(tail), "=%u", r->line);
        hand_over(out, size, wrong ? SLICE("") : name, wrong ? "" : tail);
    }
    if (wrong)
        r->sink->mistake(r->sink->context, r->line, wrong);
    return out;
}

/* inih's callback. */
static int parsed(void *context, const char *section, const char *name, const char *value)
{
    struct reader *r = context;
    int64_t line = 0;

    CHECK(slice_int(slice_str(value), &line) && line == r->line);
    if (slice_eq(slice_str(name), SLICE(OPENED)))
        r->sink->section(r->sink->context, r->line,
                         slice_eq(slice_str(section), SLICE(BROKEN)) ? NULL : section);
    else
        r->sink->setting(r->sink->context, r->line, name, r->value);
    return 1;
}

/* Without the blanks around it, and with them the CR of a CRLF. */
static struct slice take_line(struct reader *r)
{
    const char *end = memchr(r->rest.p, '\n', r->rest.n);
    size_t n = end ? (size_t)(end - r->rest.p) : r->rest.n, taken = end ? n + 1 : n;
    struct slice line = slice_of(r->rest.p, n);

    r->rest = slice_of(r->rest.p + taken, r->rest.n - taken);
    r->line++;
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return trimmed(line);
}

static const char *wrong_bytes(struct slice line)
{
    if (line.n > CONFIG_LINE_BYTES)
        return "the line is longer than 64 KB";
    for (size_t i = 0; i < line.n; i++) {
        unsigned char c = (unsigned char)line.p[i];

        if (c == 0)
            return "a NUL byte in the line";
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return "a control character in the line";
    }
    return NULL;
}

static const char *wrong_header(struct slice line, struct slice *ret_name)
{
    const char *end = memchr(line.p, ']', line.n);
    struct slice name;

    if (end == NULL)
        return "a [ without its ]";
    if (end != line.p + line.n - 1)
        return "something follows the ] of a section";
    name = trimmed(slice_of(line.p + 1, line.n - 2));
    if (name.n == 0)
        return "a section without a name";
    if (name.n > CONFIG_NAME_CHARS)
        return "the name of a section is longer than 48 characters";
    for (size_t i = 0; i < name.n; i++) {
        if (!isalnum((unsigned char)name.p[i]) && !memchr("_- ", name.p[i], 3))
            return "the name of a section has letters, digits, - and _ only, and spaces between "
                   "its words";
    }
    *ret_name = name;
    return NULL;
}

static const char *wrong_setting(struct slice line, struct slice *ret_name, struct slice *ret_value)
{
    const char *equals = memchr(line.p, '=', line.n);
    struct slice name;

    if (equals == NULL)
        return "neither a [section] nor name = value: there is no =";
    name = trimmed(slice_of(line.p, (size_t)(equals - line.p)));
    if (name.n == 0)
        return "no name before the =";
    if (name.n > CONFIG_NAME_CHARS)
        return "the name of a setting is longer than 48 characters";
    for (size_t i = 0; i < name.n; i++) {
        if (!isalnum((unsigned char)name.p[i]) && name.p[i] != '_')
            return "the name of a setting has letters, digits and _ only, and = follows it";
    }
    *ret_name = name;
    *ret_value = trimmed(slice_of(equals + 1, (size_t)(line.p + line.n - equals - 1)));
    return NULL;
}

/* Names are checked to be short; what is handed over fits the smallest buffer of any build. */
static void hand_over(char *out, int size, struct slice head, const char *tail)
{
    int n = snprintf(out, (size_t)size, "%.*s%s\n", (int)head.n, head.p, tail);

    CHECK(n < size);
}
