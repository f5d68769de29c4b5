/* fuzz_reply.c - any bytes as a row of replies. However they are cut, the scanner finds the same
 * ends; what passes it is stepped over by reply_skip() and read through by reply_read() in exactly
 * those bytes. The first byte of the input chooses the pieces. */
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "resp/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *exact_copy(const char *p, size_t n)
{
    char *copy = must_alloc(n);

    if (n > 0)
        memcpy(copy, p, n);
    return copy;
}

static enum scan scan_pieces(struct slice in, size_t step, size_t *ret_used)
{
    struct reply_scan s = {0};
    size_t at = 0, end = step < in.n ? step : in.n, used;
    enum scan scan;

    for (;; end = end + step < in.n ? end + step : in.n) {
        char *copy = exact_copy(in.p + at, end - at);

        scan = reply_scan(&s, copy, end - at, &used);
        free(copy);
        CHECK(used <= end - at);
        at += used;
        CHECK(scan != SCAN_MORE || end - at < REPLY_HEADER_BYTES);
        if (scan != SCAN_MORE || end == in.n)
            break;
    }
    CHECK(scan != SCAN_OK || (s.left == 0 && s.bulk_left == 0 && s.line == 0));
    *ret_used = at;
    return scan;
}

/* Reads a whole reply frame by frame, with a count of its own. */
static void read_through(struct slice in)
{
    uint64_t due = 1;
    bool first = true;
    struct reply reply;

    while (due > 0) {
        CHECK(reply_read(&in, &reply));
        switch (reply.type) {
        case '*':
        case '~':
        case '%':
            due += (uint64_t)reply.number - 1;
            break;
        case '>':
            due += (uint64_t)reply.number - (first ? 1 : 0);
            break;
        case '|':
            due += (uint64_t)reply.number;
            break;
        default:
            due--;
        }
        first = false;
    }
    CHECK(in.n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in, rest;
    size_t used, cut_used;
    enum scan scan = SCAN_OK;
    struct reply reply;

    if (size < 1)
        return 0;
    in = slice_of((const char *)data + 1, size - 1);
    while (scan == SCAN_OK) {
        scan = scan_pieces(in, in.n + 1, &used);
        CHECK(scan_pieces(in, (size_t)data[0] + 1, &cut_used) == scan);
        CHECK(scan == SCAN_BAD || cut_used == used);
        rest = in;
        CHECK(reply_skip(&rest) == (scan == SCAN_OK));
        if (scan == SCAN_OK) {
            CHECK(rest.n == in.n - used && rest.p == in.p + used);
            read_through(slice_of(in.p, used));
            in = rest;
        }
    }
    /* What does not pass is no danger to who reads it all the same. */
    while (reply_read(&rest, &reply))
        CHECK(rest.n < in.n);
    return 0;
}
