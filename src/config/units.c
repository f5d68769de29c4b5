/* units.c - see units.h. The units are tables, smallest first. */
#include "config/units.h"

#include <inttypes.h>

struct unit {
    const char *word;
    uint64_t factor;
};

static const struct unit durations[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}, {"d", 24 * 3600 * 1000},
};
static const struct unit sizes[] = {
    {"", 1},
    {"kb", 1024},
    {"mb", 1024 * 1024},
    {"gb", 1024 * 1024 * 1024},
};

/* Takes the digits off the front of *s. */
static bool take_digits(struct slice *s, uint64_t *ret)
{
    uint64_t v = 0;
    size_t n = 0;

    for (; n < s->n && s->p[n] >= '0' && s->p[n] <= '9'; n++) {
        unsigned digit = (unsigned)(s->p[n] - '0');

        v = v > (UINT64_MAX - digit) / 10 ? UINT64_MAX : v * 10 + digit;
    }
    if (n == 0)
        return false;
    *s = slice_of(s->p + n, s->n - n);
    *ret = v;
    return true;
}

static uint64_t times(uint64_t v, uint64_t factor)
{
    return v > UINT64_MAX / factor ? UINT64_MAX : v * factor;
}

bool unit_count(struct slice s, uint64_t *ret)
{
    uint64_t v;

    if (!take_digits(&s, &v) || s.n > 0)
        return false;
    *ret = v;
    return true;
}

bool unit_duration(struct slice s, uint64_t *ret_ms)
{
    uint64_t v;

    if (!take_digits(&s, &v))
        return false;
    if (s.n == 0 && v == 0) {
        *ret_ms = 0;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
        /* Not slice_is(): 5M would be five minutes to it, and five months to somebody else. */
        if (slice_eq(s, slice_str(durations[i].word))) {
            *ret_ms = times(v, durations[i].factor);
            return true;
        }
    }
    return false;
}

bool unit_size(struct slice s, uint64_t *ret_bytes)
{
    uint64_t v;

    if (!take_digits(&s, &v))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        if (slice_is(s, sizes[i].word)) {
            *ret_bytes = times(v, sizes[i].factor);
            return true;
        }
    }
    return false;
}

bool unit_rate(struct slice s, uint64_t *ret_per_s)
{
    uint64_t v;

    if (!take_digits(&s, &v))
        return false;
    if (!slice_eq(s, SLICE("/s")) && (s.n > 0 || v != 0))
        return false;
    *ret_per_s = v;
    return true;
}

bool unit_mode(struct slice s, unsigned *ret_mode)
{
    unsigned v = 0;

    if (s.n == 0 || s.n > 4)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '7')
            return false;
        v = v * 8 + (unsigned)(s.p[i] - '0');
    }
    if (v > 0777)
        return false;
    *ret_mode = v;
    return true;
}

static void show(struct buffer *out, uint64_t v, const struct unit *units, size_t count)
{
    size_t i = count - 1;

    while (i > 0 && v % units[i].factor != 0)
        i--;
    buffer_printf(out, "%" PRIu64 "%s", v / units[i].factor, units[i].word);
}

void unit_show_duration(struct buffer *out, uint64_t ms)
{
    if (ms == 0)
        buffer_add(out, "0", 1);
    else
        show(out, ms, durations, ARRAY_LEN(durations));
}

void unit_show_size(struct buffer *out, uint64_t bytes)
{
    if (bytes == 0)
        buffer_add(out, "0", 1);
    else
        show(out, bytes, sizes, ARRAY_LEN(sizes));
}

void unit_show_rate(struct buffer *out, uint64_t per_s)
{
    buffer_printf(out, "%" PRIu64 "/s", per_s);
}
