/* slice.c - reading numbers out of slices, see slice.h. */
#include "base/slice.h"

bool slice_int(struct slice s, int64_t *ret_value)
{
    const char *p = s.p, *end;
    bool negative = false;
    uint64_t v;

    if (s.n == 1 && p[0] == '0') {
        *ret_value = 0;
        return true;
    }
    if (s.n == 0 || s.n > 20)
        return false;
    end = s.p + s.n;
    if (*p == '-') {
        negative = true;
        p++;
    }
    if (p == end || *p < '1' || *p > '9')
        return false;
    v = (uint64_t)(*p++ - '0');
    for (; p < end; p++) {
        unsigned digit = (unsigned)(*p - '0');

        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    if (v > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return false;
    *ret_value = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}
