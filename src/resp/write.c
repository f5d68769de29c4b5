/* write.c - building RESP, see write.h. */
#include "resp/write.h"

#include <stdarg.h>
#include <stdio.h>

#define HEADER_ROOM 24u /* type, sign, 20 digits, CR LF */

/* Writes `<type><n>` CR LF at p, where HEADER_ROOM bytes are free. Returns the end. */
static char *put_header(char *p, char type, uint64_t n)
{
    char digits[20];
    size_t at = sizeof(digits);

    *p++ = type;
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    memcpy(p, digits + at, sizeof(digits) - at);
    p += sizeof(digits) - at;
    memcpy(p, "\r\n", 2);
    return p + 2;
}

static void write_header(struct buffer *out, char type, uint64_t n)
{
    char *start = buffer_room(out, HEADER_ROOM);

    buffer_fill(out, (size_t)(put_header(start, type, n) - start));
}

/* A line end within a line would let its writer forge frames. */
static void blank_line_ends(char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\r' || p[i] == '\n')
            p[i] = ' ';
    }
}

void write_status(struct buffer *out, const char *text)
{
    size_t n = strlen(text);
    char *p = buffer_room(out, n + 3);

    p[0] = '+';
    memcpy(p + 1, text, n);
    blank_line_ends(p + 1, n);
    memcpy(p + 1 + n, "\r\n", 2);
    buffer_fill(out, n + 3);
}

void write_error(struct buffer *out, const char *format, ...)
{
    va_list ap, again;
    char *p;
    int len;
    size_t n;

    va_start(ap, format);
    va_copy(again, ap);
    len = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    CHECK(len >= 0);
    n = (size_t)len;
    p = buffer_room(out, n + 3);
    p[0] = '-';
    (void)vsnprintf(p + 1, n + 1, format, again);
    va_end(again);
    blank_line_ends(p + 1, n);
    memcpy(p + 1 + n, "\r\n", 2);
    buffer_fill(out, n + 3);
}

void write_int(struct buffer *out, int64_t n)
{
    char *start = buffer_room(out, HEADER_ROOM), *end;

    if (n >= 0) {
        end = put_header(start, ':', (uint64_t)n);
    } else {
        start[0] = ':';
        end = put_header(start + 1, '-', 0 - (uint64_t)n);
    }
    buffer_fill(out, (size_t)(end - start));
}

void write_bulk(struct buffer *out, struct slice bytes)
{
    char *start = buffer_room(out, HEADER_ROOM + bytes.n + 2);
    char *p = put_header(start, '$', bytes.n);

    if (bytes.n > 0)
        memcpy(p, bytes.p, bytes.n);
    p += bytes.n;
    memcpy(p, "\r\n", 2);
    buffer_fill(out, (size_t)(p + 2 - start));
}

void write_text(struct buffer *out, int proto, struct slice text)
{
    if (proto < 3) {
        write_bulk(out, text);
        return;
    }
    write_header(out, '=', text.n + 4);
    buffer_add(out, "txt:", 4);
    buffer_add(out, text.p, text.n);
    buffer_add(out, "\r\n", 2);
}

void write_null(struct buffer *out, int proto)
{
    if (proto < 3)
        buffer_add(out, "$-1\r\n", 5);
    else
        buffer_add(out, "_\r\n", 3);
}

void write_array(struct buffer *out, uint64_t n)
{
    write_header(out, '*', n);
}

void write_map(struct buffer *out, int proto, uint64_t pairs)
{
    if (proto < 3)
        write_header(out, '*', pairs * 2);
    else
        write_header(out, '%', pairs);
}

void write_push(struct buffer *out, int proto, uint64_t n)
{
    write_header(out, proto < 3 ? '*' : '>', n);
}

void write_request(struct buffer *out, const struct slice *args, size_t n)
{
    write_header(out, '*', n);
    for (size_t i = 0; i < n; i++)
        write_bulk(out, args[i]);
}

void write_command(struct buffer *out, const char *word, ...)
{
    va_list ap, again;
    size_t n = 0;

    va_start(ap, word);
    va_copy(again, ap);
    for (const char *w = word; w; w = va_arg(ap, const char *))
        n++;
    va_end(ap);
    write_header(out, '*', n);
    for (const char *w = word; w; w = va_arg(again, const char *))
        write_bulk(out, slice_str(w));
    va_end(again);
}
