/* reference.c - what settings there are, for people: the commented ini file and the man page, both
 * from the rows alone, so that neither can tell of a setting that is not there. */
#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "config/rows.h"
#include "config/settings.h"

#define COLUMNS 100

static const char *const rules[] = {
    "Every setting of larder, at its default (a prefix has none). larder -c FILE reads "
    "such a file, and after it conf.d/*.ini beside it in the order of their names. Written by "
    "larder itself from the table it reads files with; larder.ini(5) says the same.",
    "A line is [section], name = value, a comment, or empty. A comment starts with # or ; as the "
    "first thing in its line: behind a value, either is part of the value. A value runs to the end "
    "of its line, without the blanks around it; quotes are part of it. Each section stands once in "
    "a "
    "file, each setting once in all files. What larder does not know is a mistake: larder "
    "--check-config -c FILE lists all of them.",
    "${VAR} is replaced by the environment variable VAR, which must be set; ${VAR:-default} by the "
    "default when VAR is unset or empty. What is put in is taken as it is. $$ is one $.",
    "Durations: 500ms 5s 30m 8h 1d, or 0. Sizes: 512 64kb 64mb 1gb, in powers of 1024. Addresses: "
    "host:port, [IPv6]:port, unix:/path. Without a host, :port listens on every IPv4 interface, "
    "and "
    "connects to this host. Rates: 10/s, or 0. Lists: words with commas between them.",
    "A secret can stand in a file of its own: name_file = PATH instead of name = value. The file "
    "is "
    "read when larder loads its settings; one newline at its end does not count; a relative PATH "
    "starts at the directory of the file that names it.",
};

/* Appends text in lines that start with `head` and end within the columns and, where the reader
 * wants that, with each sentence. */
static void wrap(struct buffer *out, const char *head, const char *text, bool by_sentence)
{
    size_t column = 0;
    bool ended = false;

    while (*text) {
        size_t n = strcspn(text, " ");

        if (column > 0 && (ended || column + 1 + n > COLUMNS)) {
            buffer_printf(out, "\n");
            column = 0;
        }
        buffer_printf(out, "%s%.*s", column == 0 ? head : " ", (int)n, text);
        column += n + (column == 0 ? strlen(head) : 1);
        ended = by_sentence && text[n - 1] == '.';
        text += n + strspn(text + n, " ");
    }
    buffer_printf(out, "\n");
}

/* What may be written: one sentence; nothing for what the help says. */
static void add_range(struct buffer *out, const struct row *row)
{
    struct slice word, bounds;

    switch (row->type) {
    case TYPE_CHOICE:
        buffer_printf(out, " One of");
        for (unsigned i = 0; (word = row_word(row, i)).n > 0; i++)
            buffer_printf(out, "%s %.*s", i > 0 ? "," : "", (int)word.n, word.p);
        buffer_printf(out, ".");
        return;
    case TYPE_BOOL:
        buffer_printf(out, " yes or no.");
        return;
    case TYPE_COUNT:
    case TYPE_DURATION:
    case TYPE_SIZE:
    case TYPE_RATE:
        bounds = row_bounds(row);
        buffer_printf(out, " Within %.*s.", (int)bounds.n, bounds.p);
        return;
    case TYPE_SECRET:
        buffer_printf(out, " A secret: %s_file = PATH names a file that holds it.", row->name);
        return;
    case TYPE_LIST:
    case TYPE_PREFIX:
        buffer_printf(out, " Must be set.");
        return;
    case TYPE_PATH:
        buffer_printf(out,
                      " A file; a relative path starts at the directory of the file that "
                      "names it.");
        return;
    case TYPE_STRING:
    case TYPE_ADDRESS:
    case TYPE_ADDRESSES:
        return;
    }
    check_failed("a known setting_type", __FILE__, __LINE__);
}

/* The whole description as one string, with its NUL. Helps begin small; not here, unless it is with
 * a value ("deny: ..."). */
static void describe(struct buffer *out, const struct row *row)
{
    bool value = row->help[strcspn(row->help, " :")] == ':';

    buffer_printf(out, "%c%s.", value ? *row->help : toupper((unsigned char)*row->help),
                  row->help + 1);
    add_range(out, row);
    buffer_printf(out, row->reloadable ? " Taken over on reload." : " Needs a restart.");
    buffer_add(out, "", 1);
}

static bool requires(const struct kind *kind)
{
    for (size_t i = 0; i < kind->count; i++) {
        if (row_required(&kind->rows[i]))
            return true;
    }
    return false;
}

void settings_reference(struct buffer *out)
{
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        wrap(out, "# ", rules[i], false);
        buffer_printf(out, i + 1 < ARRAY_LEN(rules) ? "#\n" : "");
    }
    for (size_t i = 0; i < KIND_COUNT; i++) {
        buffer_printf(out, "\n");
        wrap(out, "# ", kinds[i]->help, false);
        /* A section that must set something would be a mistake while that is a comment. */
        buffer_printf(out, "%s[%s]\n", requires(kinds[i]) ? "#" : "", kinds[i]->example);
        for (size_t k = 0; k < kinds[i]->count; k++) {
            const struct row *row = &kinds[i]->rows[k];
            struct slice value = row_default(row);
            struct buffer text = {0};

            describe(&text, row);
            buffer_printf(out, "\n");
            wrap(out, "# ", buffer_head(&text), false);
            buffer_printf(out, "#%s =%s%.*s\n", row->name, value.n > 0 ? " " : "", (int)value.n,
                          value.p);
            buffer_done(&text);
        }
    }
}

/* Lines of text for mdoc(7), which spaces sentences by the lines they begin: a backslash, and a dot
 * or quote that begins a line, would be taken for requests. */
static void add_mdoc(struct buffer *out, const char *text)
{
    struct buffer lines = {0};
    bool begins = true;

    wrap(&lines, "", text, true);
    for (size_t i = 0; i < buffer_len(&lines); i++) {
        char c = buffer_head(&lines)[i];

        if (begins && (c == '.' || c == '\''))
            buffer_printf(out, "\\&");
        begins = c == '\n';
        if (c == '\\')
            buffer_printf(out, "\\e");
        else
            buffer_add(out, &c, 1);
    }
    buffer_done(&lines);
}

void settings_mdoc(struct buffer *out)
{
    for (size_t i = 0; i < KIND_COUNT; i++) {
        buffer_printf(out, ".Ss [%s%s]\n", kinds[i]->word, kinds[i]->limit > 0 ? " NAME" : "");
        add_mdoc(out, kinds[i]->help);
        buffer_printf(out, ".Bl -tag -width Ds\n");
        for (size_t k = 0; k < kinds[i]->count; k++) {
            const struct row *row = &kinds[i]->rows[k];
            struct slice value = row_default(row);
            struct buffer text = {0};

            describe(&text, row);
            buffer_printf(out, ".It Ic %s\n", row->name);
            add_mdoc(out, buffer_head(&text));
            if (value.n > 0)
                buffer_printf(out, "%s:\n.Ql %.*s .\n",
                              row_required(row) ? "For example" : "Default", (int)value.n, value.p);
            buffer_done(&text);
        }
        buffer_printf(out, ".El\n");
    }
}
