/* inline.h - splitting an inline request (`SET k "a b"`) into its words. Private to this room. */
#ifndef LARDER_RESP_INLINE_H
#define LARDER_RESP_INLINE_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "resp/request.h"

/* Appends the words of a line (without its line end, and without NUL bytes) to args; their bytes go
 * to *text, which is emptied first. False when quotes are not balanced: args are then of no use. */
MUST_USE
bool inline_split(struct slice line, struct args *args, struct buffer *text);

#endif
