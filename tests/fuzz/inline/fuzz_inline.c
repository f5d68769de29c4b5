/* fuzz_inline.c - any bytes as an inline request. What its words are, written as a multibulk
 * request or quoted again, reads back as the same words. */
#include <stdint.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/check.h"
#include "resp/request.h"
#include "resp/write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct request_limits limits = {.max_bulk = 1 << 20, .max_request = 1 << 20};

struct words {
    struct args args;
    struct buffer text;
    uint64_t used;
};

static enum scan read_words(struct slice in, struct words *w)
{
    struct request_scan s = {0};
    uint64_t need;
    enum scan scan = request_scan(&s, in.p, in.n, &limits, &w->args, &w->text, &need);

    w->used = s.pos;
    return scan;
}

static void done(struct words *w)
{
    args_done(&w->args);
    buffer_done(&w->text);
}

static void check_reads_back(const struct buffer *written, const struct args *want)
{
    struct words again = {0};

    CHECK(read_words(buffer_slice(written), &again) == SCAN_OK);
    CHECK(again.used == buffer_len(written));
    CHECK(again.args.n == want->n);
    for (uint32_t i = 0; i < want->n; i++)
        CHECK(slice_eq(again.args.v[i], want->v[i]));
    done(&again);
}

static void check_words(const struct args *args)
{
    struct buffer out = {0};

    write_request(&out, args->v, args->n);
    check_reads_back(&out, args);
    buffer_done(&out);
    for (uint32_t i = 0; i < args->n; i++) {
        buffer_add(&out, " \"", 2);
        for (size_t j = 0; j < args->v[i].n; j++)
            buffer_printf(&out, "\\x%02x", (unsigned char)args->v[i].p[j]);
        buffer_add(&out, "\"", 1);
    }
    buffer_add(&out, "\r\n", 2);
    /* Quoted it may be four times as long, and over what an inline request may have. */
    if (buffer_len(&out) <= 65536)
        check_reads_back(&out, args);
    buffer_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct words w = {0};
    char *line;
    enum scan scan;

    if (size > 0 && data[0] == '*')
        return 0;
    /* In memory of just that size, and at least one line. */
    line = must_alloc(size + 1);
    if (size > 0)
        memcpy(line, data, size);
    line[size] = '\n';
    scan = read_words(slice_of(line, size + 1), &w);
    CHECK(scan != SCAN_MORE || memchr(line, '\0', size));
    if (scan == SCAN_OK) {
        CHECK(w.used > 0 && w.used <= size + 1 && line[w.used - 1] == '\n');
        check_words(&w.args);
    }
    free(line);
    done(&w);
    return 0;
}
