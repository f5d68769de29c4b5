/* write.h - building RESP. Everything appends to a buffer; `proto` is 2 or 3 where they differ. */
#ifndef LARDER_RESP_WRITE_H
#define LARDER_RESP_WRITE_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"

void write_status(struct buffer *out, const char *text); /* +text */
void write_error(struct buffer *out, const char *format, ...)
    PRINTF(2, 3);                                                  /* -text; "ERR .." is the
                                    caller's; CR and LF in it become blanks, as Redis does */
void write_int(struct buffer *out, int64_t n);                     /* :n */
void write_bulk(struct buffer *out, struct slice bytes);           /* $n */
void write_text(struct buffer *out, int proto, struct slice text); /* $n, RESP3: =n txt: */
void write_null(struct buffer *out, int proto);                    /* $-1, RESP3: _ */
void write_array(struct buffer *out, uint64_t n);                  /* *n */
void write_map(struct buffer *out, int proto, uint64_t pairs);     /* *2n, RESP3: %n */
void write_push(struct buffer *out, int proto, uint64_t n);        /* *n, RESP3: >n */

/* A request: *n and that many bulks. */
void write_request(struct buffer *out, const struct slice *args, size_t n);
/* The same from NUL-terminated words, the last NULL: write_command(out, "SELECT", "3", NULL). */
void write_command(struct buffer *out, const char *word, ...) __attribute__((sentinel));

#endif
