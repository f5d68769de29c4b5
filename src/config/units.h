/* units.h - numbers with units, as people write them in a configuration, and back. */
#ifndef LARDER_CONFIG_UNITS_H
#define LARDER_CONFIG_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/slice.h"

/* Digits and, where it applies, one unit directly behind them; no sign, blank or fraction. False
 * and *ret untouched when it is nothing of the kind; what exceeds uint64 becomes UINT64_MAX, so
 * that the bounds of the setting object. */
MUST_USE
bool unit_count(struct slice s, uint64_t *ret);
MUST_USE
bool unit_duration(struct slice s, uint64_t *ret_ms); /* ms s m h d; 0 needs none */
MUST_USE
bool unit_size(struct slice s, uint64_t *ret_bytes); /* bytes, kb mb gb in any case */
MUST_USE
bool unit_rate(struct slice s, uint64_t *ret_per_s); /* N/s; 0 needs no /s */

/* Permissions: one to four octal digits, at most 0777. */
MUST_USE
bool unit_mode(struct slice s, unsigned *ret_mode);

/* Appends the shortest form with one unit that reads back to the same. */
void unit_show_duration(struct buffer *out, uint64_t ms);
void unit_show_size(struct buffer *out, uint64_t bytes);
void unit_show_rate(struct buffer *out, uint64_t per_s);

#endif
