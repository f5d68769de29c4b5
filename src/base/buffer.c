/* buffer.c - see buffer.h. */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUFFER_MIN 128u

void buffer_check(const struct buffer *b)
{
    CHECK(b->head <= b->tail && b->tail <= b->cap);
    CHECK((b->p == NULL) == (b->cap == 0));
}

char *buffer_grow(struct buffer *b, size_t n)
{
    size_t len = buffer_len(b), cap;

    if (b->head > 0) {
        memmove(b->p, b->p + b->head, len);
        b->head = 0;
        b->tail = (uint32_t)len;
        /* Moving is worth it only where it leaves room to spare: else each small addition to a
         * nearly full buffer would move all of it. */
        if (b->cap - len >= n && len <= b->cap / 2)
            return b->p + b->tail;
    }
    cap = b->cap ? (size_t)b->cap * 2 : BUFFER_MIN;
    while (cap - len < n)
        cap *= 2;
    if (cap > UINT32_MAX)
        cap = UINT32_MAX;
    CHECK(cap - len >= n);
    b->p = must_realloc(b->p, cap);
    b->cap = (uint32_t)cap;
    return b->p + b->tail;
}

void buffer_fill(struct buffer *b, size_t n)
{
    CHECK(n <= (size_t)b->cap - b->tail);
    b->tail += (uint32_t)n;
}

void buffer_add(struct buffer *b, const void *bytes, size_t n)
{
    char *room;

    if (n == 0)
        return;
    room = LIKELY((size_t)b->cap - b->tail >= n) ? b->p + b->tail : buffer_room(b, n);
    memcpy(room, bytes, n);
    b->tail += (uint32_t)n;
}

void buffer_take(struct buffer *b, size_t n)
{
    buffer_take_keep(b, n, 0);
}

void buffer_take_keep(struct buffer *b, size_t n, size_t keep)
{
    CHECK(n <= buffer_len(b));
    b->head += (uint32_t)n;
    if (b->head < b->tail)
        return;
    b->head = b->tail = 0;
    if (b->cap > keep)
        buffer_done(b);
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list ap, again;
    int n;

    va_start(ap, format);
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    CHECK(n >= 0);
    (void)vsnprintf(buffer_room(b, (size_t)n + 1), (size_t)n + 1, format, again);
    va_end(again);
    b->tail += (uint32_t)n;
}

void buffer_add_visible(struct buffer *b, struct slice bytes)
{
    for (size_t i = 0; i < bytes.n; i++) {
        if (bytes.p[i] > ' ' && bytes.p[i] <= '~' && bytes.p[i] != '\\')
            buffer_add(b, bytes.p + i, 1);
        else
            buffer_printf(b, "\\x%02x", (unsigned char)bytes.p[i]);
    }
}

void buffer_done(struct buffer *b)
{
    free(b->p);
    *b = (struct buffer){0};
}
