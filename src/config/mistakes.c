/* mistakes.c - see mistakes.h. */
#include "config/mistakes.h"

#include <stdarg.h>
#include <stdio.h>

#include "config/bounds.h"

static void add_formatted(struct buffer *out, const char *format, va_list ap) PRINTF(2, 0);
static void clean(char *p, const char *end);

void mistake(struct mistakes *m, struct origin at, const char *format, ...)
{
    size_t start = buffer_len(m->out);
    va_list ap;

    if (++m->count > CONFIG_MISTAKES)
        return;
    buffer_printf(m->out, "%s:", at.file);
    if (at.line > 0)
        buffer_printf(m->out, "%u:", at.line);
    buffer_add(m->out, " ", 1);
    va_start(ap, format);
    add_formatted(m->out, format, ap);
    va_end(ap);
    clean(buffer_head(m->out) + start, buffer_head(m->out) + buffer_len(m->out));
    buffer_add(m->out, "\n", 1);
}

void mistakes_finish(struct mistakes *m)
{
    if (m->count > CONFIG_MISTAKES)
        buffer_printf(m->out, "and %u more mistakes\n", m->count - CONFIG_MISTAKES);
}

struct quoted quoted(struct slice s)
{
    struct quoted q;
    size_t room = sizeof(q.text) - sizeof("\"...\""), n = 0;

    q.text[n++] = '"';
    for (size_t i = 0; i < s.n && i < room; i++)
        q.text[n++] = s.p[i] >= ' ' && s.p[i] <= '~' ? s.p[i] : '?';
    (void)snprintf(q.text + n, sizeof(q.text) - n, "%s\"", s.n > room ? "..." : "");
    return q;
}

static void add_formatted(struct buffer *out, const char *format, va_list ap)
{
    va_list again;
    int n;

    va_copy(again, ap);
    n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    CHECK(n >= 0);
    (void)vsnprintf(buffer_room(out, (size_t)n + 1), (size_t)n + 1, format, ap);
    buffer_fill(out, (size_t)n);
}

/* A mistake is one line, even of a file in conf.d whose name has a newline. */
static void clean(char *p, const char *end)
{
    for (; p < end; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    }
}
