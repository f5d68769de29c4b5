/* buffer.h - bytes waiting: what a peer sent and is not whole yet, or what it would not take.
 *
 *      p        head              tail            cap
 *      |--------|#################|----------------|
 *       taken    waiting           room
 *
 * An empty buffer holds no memory (buffer_take() of the last byte gives it back), so that an idle
 * connection keeps nothing. At most 4 GiB; limits are the caller's. The bytes belong to the
 * buffer; slices of it live until the next call that is not const. */
#ifndef LARDER_BASE_BUFFER_H
#define LARDER_BASE_BUFFER_H

#include <stdint.h>

#include "base/check.h"
#include "base/slice.h"

struct buffer {
    char *p;
    uint32_t head, tail, cap;
};

static inline size_t buffer_len(const struct buffer *b)
{
    return b->tail - b->head;
}

/* NULL when it holds no memory: NULL + 0 is undefined in C11, and clang's sanitizer stops at it. */
static inline char *buffer_head(const struct buffer *b)
{
    return b->p ? b->p + b->head : NULL;
}

static inline struct slice buffer_slice(const struct buffer *b)
{
    return slice_of(buffer_head(b), b->tail - b->head);
}

/* Appends n bytes, growing by doubling. */
void buffer_add(struct buffer *b, const void *bytes, size_t n);

/* buffer_room() where there is not enough. */
MUST_USE
char *buffer_grow(struct buffer *b, size_t n);

/* At least n bytes of room behind the tail; write there, then buffer_fill() what was written. */
MUST_USE
static inline char *buffer_room(struct buffer *b, size_t n)
{
    if (LIKELY((size_t)b->cap - b->tail >= n && b->p != NULL))
        return b->p + b->tail;
    return buffer_grow(b, n);
}
void buffer_fill(struct buffer *b, size_t n);

/* Takes n bytes from the front; the memory is given back with the last. */
void buffer_take(struct buffer *b, size_t n);

/* As buffer_take, but keeps up to `keep` bytes of memory: for the few that are busy always. */
void buffer_take_keep(struct buffer *b, size_t n, size_t keep);

/* Appends formatted text. */
void buffer_printf(struct buffer *b, const char *format, ...) PRINTF(2, 3);

/* Appends bytes from outside as part of a line of text: what is not visible ASCII, and the
 * backslash, as \xHH. */
void buffer_add_visible(struct buffer *b, struct slice bytes);

/* Gives the memory back; the buffer is empty and usable. */
void buffer_done(struct buffer *b);

/* Aborts unless the picture above holds. */
void buffer_check(const struct buffer *b);

#endif
