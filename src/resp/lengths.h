/* lengths.h - what the two scanners share: lengths on their short way, bulks in pieces. Private to
 * this room. */
#ifndef LARDER_RESP_LENGTHS_H
#define LARDER_RESP_LENGTHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"

/* short_number() needs that many bytes: three digits and CR LF. After the `$` of a bulk that is
 * whole there are always as many. */
#define SHORT_NUMBER_BYTES 5

/* Reads one to nine digits and CR LF from p up to end, SHORT_NUMBER_BYTES at least. Returns the
 * byte behind, or NULL for anything else, cut or wrong: the caller's general path judges that. One
 * digit after the other without a loop, as nearly all lengths have at most three. */
static inline const char *short_number(const char *p, const char *end, uint64_t *ret_value)
{
    unsigned a = (unsigned)p[0] - '0', b = (unsigned)p[1] - '0', c = (unsigned)p[2] - '0', d;

    if (a > 9)
        return NULL;
    if (b > 9) {
        *ret_value = a;
        return p[1] == '\r' && p[2] == '\n' ? p + 3 : NULL;
    }
    if (a == 0)
        return NULL;
    a = a * 10 + b;
    if (c > 9) {
        *ret_value = a;
        return p[2] == '\r' && p[3] == '\n' ? p + 4 : NULL;
    }
    a = a * 10 + c;
    end = end - p < 9 + 2 ? end : p + 9 + 2;
    for (p += 3; end - p >= 2; p++) {
        d = (unsigned)*p - '0';
        if (d > 9) {
            *ret_value = a;
            return p[0] == '\r' && p[1] == '\n' ? p + 2 : NULL;
        }
        a = a * 10 + d;
    }
    return NULL;
}

/* Takes from the n bytes at p what belongs to a bulk of which *left bytes are to come, CR LF
 * included. Returns how many; *ret_good is false when CR LF are not where they must be. */
static inline size_t bulk_take(uint64_t *left, const char *p, size_t n, bool *ret_good)
{
    size_t used = 0;

    *ret_good = true;
    if (*left > 2) {
        used = *left - 2 < n ? (size_t)(*left - 2) : n;
        *left -= used;
    }
    for (; *left > 0 && *left <= 2 && used < n; used++, --*left) {
        if (p[used] != (*left == 2 ? '\r' : '\n')) {
            *ret_good = false;
            break;
        }
    }
    return used;
}

#endif
