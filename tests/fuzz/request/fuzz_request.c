/* fuzz_request.c - any bytes as a pipeline of requests. However they are cut, the scanner finds the
 * same requests in them, with the same arguments or the same error, and the stream the same ends.
 * The first two bytes of the input choose limits and pieces. */
#include <stdint.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/check.h"
#include "resp/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
    struct request_scan s;
    enum scan scan;
    struct buffer words;
    uint64_t need;
};

static const struct request_limits limits_of[] = {
    {.max_bulk = 536870912, .max_request = 1 << 30},
    {.max_bulk = 536870912, .max_request = 1 << 30, .unauthenticated = true},
    {.max_bulk = 100, .max_request = 2000},
    {.max_bulk = 40, .max_request = 64, .unauthenticated = true},
};

/* Memory of just that size: a read behind it is seen. */
static char *exact_copy(const char *p, size_t n)
{
    char *copy = must_alloc(n);

    if (n > 0)
        memcpy(copy, p, n);
    return copy;
}

static void scan_pieces(struct slice in, size_t step, const struct request_limits *limits,
                        struct result *r)
{
    struct args args = {0};
    struct buffer text = {0};
    size_t seen = step < in.n ? step : in.n;

    for (;; seen = seen + step < in.n ? seen + step : in.n) {
        char *copy = exact_copy(in.p, seen);

        r->scan = request_scan(&r->s, copy, seen, limits, &args, &text, &r->need);
        CHECK(r->s.pos <= seen && r->s.args_left <= r->s.argc);
        CHECK((r->scan == SCAN_BAD) == (r->s.error != REQUEST_FINE));
        CHECK(r->scan != SCAN_MORE || r->need > seen);
        /* Nothing is believed before it is there. */
        CHECK(args.cap <= 16 || args.cap <= seen);
        for (uint32_t i = 0; r->scan == SCAN_OK && i < args.n; i++) {
            buffer_printf(&r->words, "%zu:", args.v[i].n);
            buffer_add(&r->words, args.v[i].p, args.v[i].n);
        }
        free(copy);
        if (r->scan != SCAN_MORE || seen == in.n)
            break;
    }
    args_done(&args);
    buffer_done(&text);
}

static void check_same(const struct result *a, const struct result *b)
{
    CHECK(a->scan == b->scan);
    CHECK(a->s.error == b->s.error && a->s.got == b->s.got);
    CHECK(a->scan != SCAN_OK || a->s.pos == b->s.pos);
    CHECK(slice_eq(buffer_slice(&a->words), buffer_slice(&b->words)));
}

static void check_stream(struct slice in, size_t step, const struct request_limits *limits,
                         const struct result *whole)
{
    struct request_scan s = {0};
    enum scan scan = SCAN_MORE;
    size_t at = 0, end = 0, used;

    while (scan == SCAN_MORE) {
        char *copy;

        end = end + step < in.n ? end + step : in.n;
        copy = exact_copy(in.p + at, end - at);
        scan = request_stream(&s, copy, end - at, limits, &used);
        free(copy);
        CHECK(used <= end - at);
        at += used;
        CHECK(scan == SCAN_BAD || s.pos == at);
        if (end == in.n)
            break;
    }
    CHECK(scan == whole->scan && s.error == whole->s.error && s.got == whole->s.got);
    CHECK(scan != SCAN_OK || at == whole->s.pos);
}

/* Where the short look sees a GET, the scanner has found that very GET. Its keys are shorter than
 * any max_bulk can be set to, so the limits that are lower here do not hold for it. */
static void check_short_look(struct slice in)
{
    char *copy = exact_copy(in.p, in.n);
    struct result r = {0};
    struct buffer words = {0};
    struct slice key;
    size_t length;

    if (request_is_get(copy, in.n, &key, &length)) {
        scan_pieces(in, in.n + 1, &limits_of[0], &r);
        CHECK(r.scan == SCAN_OK && r.s.pos == length);
        buffer_printf(&words, "3:%.3s%zu:", copy + 8, key.n);
        buffer_add(&words, key.p, key.n);
        CHECK(slice_eq(buffer_slice(&words), buffer_slice(&r.words)));
    }
    buffer_done(&words);
    buffer_done(&r.words);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct request_limits *limits;
    struct slice in;
    size_t step;
    bool on = true;
    char text[96];

    if (size < 2)
        return 0;
    limits = &limits_of[data[0] % ARRAY_LEN(limits_of)];
    step = (size_t)data[1] + 1;
    in = slice_of((const char *)data + 2, size - 2);
    while (on) {
        struct result whole = {0}, cut = {0};

        scan_pieces(in, in.n + 1, limits, &whole);
        scan_pieces(in, step, limits, &cut);
        check_same(&whole, &cut);
        if (in.n > 0 && *in.p == '*')
            check_stream(in, step, limits, &whole);
        check_short_look(in);
        if (whole.scan == SCAN_BAD)
            request_error_text(&whole.s, text, sizeof(text));
        on = whole.scan == SCAN_OK;
        CHECK(!on || whole.s.pos > 0);
        in = slice_of(in.p + whole.s.pos, in.n - whole.s.pos);
        buffer_done(&whole.words);
        buffer_done(&cut.words);
    }
    return 0;
}
