/* blanks.h - the blanks around a word of a configuration do not count. */
#ifndef LARDER_CONFIG_BLANKS_H
#define LARDER_CONFIG_BLANKS_H

#include "base/slice.h"

static inline struct slice trimmed(struct slice s)
{
    while (s.n > 0 && (*s.p == ' ' || *s.p == '\t'))
        s = slice_of(s.p + 1, s.n - 1);
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

#endif
