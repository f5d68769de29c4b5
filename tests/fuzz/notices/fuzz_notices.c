/* fuzz_notices.c - any frames on the invalidation link. However a link cuts them into pieces, the
 * same is read out of them. The first byte of the input chooses the pieces. */
#include <stdint.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "resp/reply.h"
#include "upstream/notices.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Shows a piece in memory of its own; what is read is appended to `told`. */
static void show(struct notice_reader *r, struct slice piece, bool first, bool last,
                 struct buffer *told)
{
    char *copy = must_alloc(piece.n + 1);
    struct notice n;

    memcpy(copy, piece.p, piece.n);
    notice_feed(r, slice_of(copy, piece.n), first, last);
    while (notice_next(r, &n)) {
        buffer_printf(told, "%d %zu ", (int)n.kind, n.text.n);
        buffer_add(told, n.text.p, n.text.n);
    }
    free(copy);
}

/* One frame, `step` bytes more at a time; its size, 0 when it is none. */
static size_t show_frame(struct notice_reader *r, struct slice in, size_t step, struct buffer *told)
{
    struct reply_scan scan = {0};
    size_t done = 0, end = 0, used;
    bool first = true;
    enum scan s;

    do {
        if (end == in.n)
            return 0;
        end = in.n - end < step ? in.n : end + step;
        s = reply_scan(&scan, in.p + done, end - done, &used);
        if (s == SCAN_BAD)
            return 0;
        if (used > 0)
            show(r, slice_of(in.p + done, used), first, s == SCAN_OK, told);
        first = first && used == 0;
        done += used;
    } while (s == SCAN_MORE);
    return done;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct notice_reader reader = {0};
    struct slice in;
    size_t n;

    if (size < 2)
        return 0;
    in = slice_of((const char *)data + 1, size - 1);
    do {
        struct buffer whole = {0}, cut = {0};

        n = show_frame(&reader, in, in.n, &whole);
        if (n > 0) {
            CHECK(show_frame(&reader, in, (size_t)data[0] + 1, &cut) == n);
            CHECK(slice_eq(buffer_slice(&whole), buffer_slice(&cut)));
        }
        buffer_done(&whole);
        buffer_done(&cut);
        in = slice_of(in.p + n, in.n - n);
    } while (n > 0 && in.n > 0);
    notice_reader_done(&reader);
    return 0;
}
