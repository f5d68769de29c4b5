/* outcome.c - see outcome.h. */
#include "outcome.h"

#include <stdlib.h>

#include "suites.h"

void outcome_done(struct outcome *o)
{
    buffer_done(&o->words);
}

void outcome_word(struct outcome *o, struct slice word)
{
    buffer_printf(&o->words, "%zu:", word.n);
    buffer_add(&o->words, word.p, word.n);
    buffer_add(&o->words, ",", 1);
}

/* What holds after each call, whatever it was shown. */
static void check_state(enum scan scan, const struct request_scan *s, size_t n, uint64_t need)
{
    EXPECT(s->pos <= n, "s->pos <= n");
    EXPECT(s->args_left <= s->argc, "s->args_left <= s->argc");
    EXPECT((scan == SCAN_BAD) == (s->error != REQUEST_FINE),
           "(scan == SCAN_BAD) == (s->error != REQUEST_FINE)");
    if (scan == SCAN_MORE)
        EXPECT(need > n, "need > n");
}

struct outcome outcome_scan(const char *p, size_t n, size_t first, size_t step,
                            const struct request_limits *limits)
{
    struct outcome o = {0};
    struct request_scan s = {0};
    struct args args = {0};
    struct buffer text = {0};
    size_t seen = first > 0 ? first : step > 0 && step < n ? step : n;

    for (;; seen = step > 0 && seen + step < n ? seen + step : n) {
        char *copy = exact_copy(p, seen);

        o.scan = request_scan(&s, copy, seen, limits, &args, &text, &o.need);
        check_state(o.scan, &s, seen, o.need);
        if (o.scan == SCAN_OK) {
            for (uint32_t i = 0; i < args.n; i++)
                outcome_word(&o, args.v[i]);
        }
        free(copy);
        if (o.scan != SCAN_MORE || seen == n)
            break;
    }
    o.used = o.scan == SCAN_OK ? s.pos : 0;
    o.need = o.scan == SCAN_MORE ? o.need : 0;
    o.error = (enum request_error)s.error;
    o.got = s.got;
    args_done(&args);
    buffer_done(&text);
    return o;
}

struct outcome outcome_stream(const char *p, size_t n, size_t scanned, size_t step,
                              const struct request_limits *limits)
{
    struct outcome o = {0};
    struct request_scan s = {0};
    struct args args = {0};
    struct buffer text = {0};
    size_t at = 0, end = scanned, used;

    o.scan = SCAN_MORE;
    if (scanned > 0)
        o.scan = request_scan(&s, p, scanned, limits, &args, &text, &o.need);
    at = s.pos;
    while (o.scan == SCAN_MORE) {
        char *copy;

        end = end + step < n ? end + step : n;
        copy = exact_copy(p + at, end - at);
        o.scan = request_stream(&s, copy, end - at, limits, &used);
        free(copy);
        EXPECT(used <= end - at, "used <= end - at");
        at += used;
        EXPECT(o.scan == SCAN_BAD || s.pos == at, "pos %zu, not %zu", (size_t)s.pos, at);
        if (end == n)
            break;
    }
    o.used = o.scan == SCAN_OK ? at : 0;
    o.need = 0;
    o.error = (enum request_error)s.error;
    o.got = s.got;
    args_done(&args);
    buffer_done(&text);
    return o;
}

void outcome_same(const struct outcome *a, const struct outcome *b, const char *how)
{
    EXPECT(a->scan == b->scan, "%s: %d, not %d", how, a->scan, b->scan);
    EXPECT(a->error == b->error, "%s: error %d, not %d", how, a->error, b->error);
    EXPECT(a->got == b->got, "%s: got '%c', not '%c'", how, a->got, b->got);
    EXPECT(a->used == b->used, "%s: %zu bytes, not %zu", how, (size_t)a->used, (size_t)b->used);
    EXPECT(slice_eq(buffer_slice(&a->words), buffer_slice(&b->words)), "%s: %.*s, not %.*s", how,
           (int)buffer_len(&a->words), buffer_head(&a->words), (int)buffer_len(&b->words),
           buffer_head(&b->words));
}
