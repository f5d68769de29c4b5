/* value.h - one setting's value: from text into the field, and back. `section` is the struct that
 * the row belongs to, e.g. struct upstream_settings. */
#ifndef LARDER_CONFIG_VALUE_H
#define LARDER_CONFIG_VALUE_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/slice.h"
#include "config/pool.h"
#include "config/rows.h"

/* Writes the field; strings are put into the pool. False, with the reason appended to *why and the
 * field untouched, when the text is no value of that row or outside its bounds. The text of a
 * SECRET never gets into *why, and its blanks count. */
MUST_USE
bool value_read(const struct row *row, struct slice text, void *section, struct pool *pool,
                struct buffer *why);

/* Appends the value as an operator may read it (a SECRET as ********), or, for a file, in such a
 * way that loading it gives the same ($ doubled). */
void value_show(const struct row *row, const void *section, struct buffer *out);
void value_write(const struct row *row, const void *section, struct buffer *out);

MUST_USE
bool value_equal(const struct row *row, const void *a, const void *b);

#endif
