/* fuzz_cutter.c - any reply with any elements cut out. However it comes in pieces, what remains is
 * what stepping over its elements with reply_skip() says.
 *
 * The input: the sizes of the pieces (two bytes, in turn), what is cut out (two bytes, a bit for
 * each of the first elements), one byte of whether it is to be alone (1), and whether more is to be
 * cut out (2: a far element, 4: the last there can be); then the reply and something behind it. */
#include <stdint.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/check.h"
#include "resp/cutter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD_BYTES 5
#define MASK_BITS  16u

struct choice {
    uint32_t cut[MASK_BITS + 2];
    uint32_t cut_n;
    bool alone;
};

static struct choice read_choice(const uint8_t *data)
{
    struct choice choice = {.alone = data[4] & 1};
    unsigned mask = data[2] | (unsigned)data[3] << 8;

    for (uint32_t i = 0; i < MASK_BITS; i++) {
        if (mask >> i & 1)
            choice.cut[choice.cut_n++] = i;
    }
    if (data[4] & 2)
        choice.cut[choice.cut_n++] = 40;
    if (data[4] & 4)
        choice.cut[choice.cut_n++] = UINT32_MAX;
    return choice;
}

static bool is_cut(const struct choice *choice, uint64_t at)
{
    for (uint32_t i = 0; i < choice->cut_n; i++) {
        if (choice->cut[i] == at)
            return true;
    }
    return false;
}

static bool next_is(struct slice in, char type)
{
    return in.n > 0 && *in.p == type;
}

/* Steps over one value; out may be NULL. */
static void copy_value(struct slice *in, struct buffer *out)
{
    struct slice from = *in;

    CHECK(reply_skip(in));
    if (out)
        buffer_add(out, from.p, from.n - in->n);
}

static void copy_pushes(struct slice *in, struct buffer *out)
{
    while (next_is(*in, '>'))
        copy_value(in, out);
}

/* What is before an array: pushes, and attributes with pushes among them. */
static void copy_before(struct slice *in, struct buffer *out)
{
    copy_pushes(in, out);
    while (next_is(*in, '|')) {
        struct slice from = *in;
        struct reply reply;

        CHECK(reply_read(in, &reply));
        buffer_add(out, from.p, from.n - in->n);
        for (int64_t i = 0; i < reply.number; i++) {
            copy_pushes(in, out);
            copy_value(in, out);
        }
        copy_pushes(in, out);
    }
}

/* The reference: what is to remain of a whole reply. */
static void cut_whole(const struct choice *choice, struct slice in, struct buffer *out)
{
    struct reply reply = {0};
    struct slice rest;
    uint64_t n, kept = 0;

    copy_before(&in, out);
    rest = in;
    if (next_is(in, '*'))
        CHECK(reply_read(&rest, &reply));
    if (reply.type != '*') {
        copy_value(&in, out);
        CHECK(in.n == 0);
        return;
    }
    n = (uint64_t)reply.number;
    for (uint64_t i = 0; i < n; i++)
        kept += is_cut(choice, i) ? 0 : 1;
    if (!choice->alone || kept != 1)
        buffer_printf(out, "*%llu\r\n", (unsigned long long)kept);
    for (uint64_t i = 0; i < n; i++) {
        copy_pushes(&rest, out);
        copy_value(&rest, is_cut(choice, i) ? NULL : out);
    }
    CHECK(rest.n == 0);
}

/* In memory of just the size of each piece; nothing but a cut line may be kept. */
static void feed_pieces(const struct choice *choice, struct slice in, const size_t step[2],
                        struct buffer *out)
{
    struct cutter c = {.cut = choice->cut, .cut_n = choice->cut_n, .alone = choice->alone};
    size_t at = 0, n;

    for (unsigned turn = 0; at < in.n; turn++, at += n) {
        char *copy;

        n = in.n - at < step[turn % 2] ? in.n - at : step[turn % 2];
        copy = must_alloc(n);
        memcpy(copy, in.p + at, n);
        cutter_feed(&c, slice_of(copy, n), out);
        free(copy);
        CHECK(c.held_n < sizeof(c.held));
    }
    CHECK(c.held_n == 0);
}

static void check_same(const struct choice *choice, struct slice in, const size_t step[2],
                       const struct buffer *want)
{
    struct buffer out = {0};

    feed_pieces(choice, in, step, &out);
    CHECK(slice_eq(buffer_slice(&out), buffer_slice(want)));
    buffer_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct choice choice;
    struct slice in, rest;
    struct buffer want = {0};
    size_t n;

    if (size < HEAD_BYTES)
        return 0;
    choice = read_choice(data);
    in = slice_of((const char *)data + HEAD_BYTES, size - HEAD_BYTES);
    rest = in;
    while (next_is(rest, '>')) {
        if (!reply_skip(&rest))
            return 0;
    }
    if (!reply_skip(&rest))
        return 0;
    n = in.n - rest.n;
    cut_whole(&choice, slice_of(in.p, n), &want);
    check_same(&choice, slice_of(in.p, n), (size_t[]){n, n}, &want);
    check_same(&choice, slice_of(in.p, n), (size_t[]){1, 1}, &want);
    check_same(&choice, slice_of(in.p, n), (size_t[]){data[0] + 1u, data[1] + 1u}, &want);
    buffer_add(&want, rest.p, rest.n);
    check_same(&choice, in, (size_t[]){data[0] + 1u, data[1] + 1u}, &want);
    buffer_done(&want);
    return 0;
}
