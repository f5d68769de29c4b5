/* check_notices.c - reading the invalidation link: each frame whole, and in pieces cut wherever the
 * scan of a link may cut it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "resp/reply.h"
#include "suites.h"
#include "upstream/notices.h"

#define MESSAGE "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n"

static struct notice_reader reader;
static struct buffer heard;

static void end(void)
{
    notice_reader_done(&reader);
    buffer_done(&heard);
}

static void note(const struct notice *n)
{
    static const char *const words[] = {
        [NOTICE_MESSAGE] = "message", [NOTICE_KEY] = "key",
        [NOTICE_FLUSH] = "flush",     [NOTICE_PONG] = "pong",
        [NOTICE_ERROR] = "error",     [NOTICE_SUBSCRIBED] = "subscribed",
        [NOTICE_BROKEN] = "broken",   [NOTICE_GARBAGE] = "garbage",
    };

    buffer_printf(&heard, "%s", words[n->kind]);
    if (n->kind == NOTICE_KEY || n->kind == NOTICE_ERROR)
        buffer_printf(&heard, " %.*s", (int)n->text.n, n->text.p);
    buffer_printf(&heard, ";");
}

/* In memory of its own, so that a sanitizer sees what is read beside it. */
static void show(struct slice bytes, bool first, bool last)
{
    char *copy = malloc(bytes.n > 0 ? bytes.n : 1);
    struct notice n;

    memcpy(copy, bytes.p, bytes.n);
    notice_feed(&reader, slice_of(copy, bytes.n), first, last);
    while (notice_next(&reader, &n))
        note(&n);
    free(copy);
}

/* As a link that streams hands it on: what the scan has used of each `step` bytes more. */
static void show_in_pieces(struct slice bytes, size_t step)
{
    struct reply_scan scan = {0};
    size_t done = 0, seen = 0, used;
    bool first = true;
    enum scan r;

    do {
        seen = seen + step < bytes.n ? seen + step : bytes.n;
        r = reply_scan(&scan, bytes.p + done, seen - done, &used);
        ck_assert_int_ne(r, SCAN_BAD);
        if (used > 0) {
            show(slice_of(bytes.p + done, used), first, r == SCAN_OK);
            first = false;
        }
        done += used;
    } while (r == SCAN_MORE);
    ck_assert_uint_eq(done, bytes.n);
}

static void heard_is(const char *text)
{
    buffer_add(&heard, "", 1);
    ck_assert_str_eq(buffer_head(&heard), text);
    buffer_take(&heard, buffer_len(&heard));
}

static const struct {
    const char *frame, *told;
} rows[] = {
    {MESSAGE "*1\r\n$1\r\na\r\n", "message;key a;"},
    {MESSAGE "*3\r\n$1\r\na\r\n$0\r\n\r\n$5\r\nab\r\nc\r\n", "message;key a;key ;key ab\r\nc;"},
    {MESSAGE "*0\r\n", "message;"},
    {MESSAGE "$-1\r\n", "message;flush;"},
    {MESSAGE "*-1\r\n", "message;flush;"},
    {MESSAGE "_\r\n", "message;flush;"},
    {MESSAGE "$1\r\na\r\n", "message;key a;"},
    {MESSAGE ":1\r\n", "message;garbage;"},
    {MESSAGE "*2\r\n$1\r\na\r\n:1\r\n", "message;key a;garbage;"},
    {MESSAGE "*2\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n", "message;key a;garbage;"},
    {MESSAGE "*2\r\n$-1\r\n$1\r\nb\r\n", "message;garbage;"},
    {"*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n*1\r\n$1\r\na\r\n", "garbage;"},
    {"*2\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n", "garbage;"},
    {"*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\nx\r\n$1\r\na\r\n", "garbage;"},
    {">2\r\n$10\r\ninvalidate\r\n*2\r\n$1\r\na\r\n$2\r\nbc\r\n", "message;key a;key bc;"},
    {">2\r\n+invalidate\r\n_\r\n", "message;flush;"},
    {">1\r\n$10\r\ninvalidate\r\n", "garbage;"},
    {">2\r\n$10\r\ninvalidate\r\n#t\r\n", "message;garbage;"},
    {"*2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n", "garbage;"},
    {">2\r\n$21\r\ntracking-redir-broken\r\n:7\r\n", "broken;"},
    {">3\r\n$6\r\nMOVING\r\n:15\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n", ""},
    {"*3\r\n$9\r\nsubscribe\r\n$20\r\n__redis__:invalidate\r\n:1\r\n", "subscribed;"},
    {"*3\r\n$11\r\nunsubscribe\r\n$20\r\n__redis__:invalidate\r\n:0\r\n", "garbage;"},
    {"*2\r\n$4\r\npong\r\n$0\r\n\r\n", "pong;"},
    {"+PONG\r\n", "pong;"},
    {"+OK\r\n", "garbage;"},
    {"-NOPERM no\r\n", "error NOPERM no;"},
    {"$5\r\nhello\r\n", "garbage;"},
    {":1\r\n", "garbage;"},
    {"*0\r\n", "garbage;"},
    {"*-1\r\n", "garbage;"},
    {"%1\r\n+a\r\n+b\r\n", "garbage;"},
};

START_TEST(frames_whole_and_cut)
{
    struct slice frame = slice_str(rows[_i].frame);

    show(frame, true, true);
    heard_is(rows[_i].told);
    for (size_t step = 1; step < frame.n; step++) {
        show_in_pieces(frame, step);
        heard_is(rows[_i].told);
    }
    ck_assert_uint_eq(buffer_len(&reader.held), 0);
}
END_TEST

/* The end of a frame is where the link says it is, whatever stands there. */
START_TEST(a_frame_that_ends_too_soon)
{
    show(SLICE(MESSAGE "*2\r\n$1\r\na\r\n"), true, true);
    heard_is("message;key a;garbage;");
    show(SLICE(MESSAGE "*2\r\n$1\r\na\r\n"), true, false);
    heard_is("message;key a;");
    show(SLICE("*2\r\n$4\r\npong\r\n$0\r\n\r\n"), true, true); /* another has begun */
    heard_is("pong;");
}
END_TEST

/* As many keys as there like; of what is kept, only a part of one. */
START_TEST(a_message_of_any_size)
{
    struct buffer b = {0};
    const size_t many = 200000;
    size_t keys = 0;

    buffer_printf(&b, MESSAGE "*%zu\r\n", many);
    for (size_t i = 0; i < many; i++)
        buffer_printf(&b, "$10\r\nkey:%06zu\r\n", i);
    for (size_t at = 0; at < buffer_len(&b); at += 70001) {
        size_t n = buffer_len(&b) - at < 70001 ? buffer_len(&b) - at : 70001;
        struct notice notice;

        notice_feed(&reader, slice_of(buffer_head(&b) + at, n), at == 0, n < 70001);
        while (notice_next(&reader, &notice)) {
            char key[16];

            if (notice.kind == NOTICE_MESSAGE)
                continue;
            ck_assert_int_eq(notice.kind, NOTICE_KEY);
            (void)snprintf(key, sizeof key, "key:%06zu", keys++);
            ck_assert(slice_eq(notice.text, slice_str(key)));
        }
        ck_assert_uint_lt(buffer_len(&reader.held), 32);
    }
    ck_assert_uint_eq(keys, many);
    buffer_done(&b);
}
END_TEST

/* A key too long to be kept is a flush, and what follows it in the message is covered by that. */
START_TEST(a_key_too_long)
{
    size_t size = INVALIDATION_KEY_BYTES + (_i == 0 ? 0 : 100000);
    struct buffer b = {0};
    char *key = malloc(size);

    memset(key, 'k', size);
    buffer_printf(&b, MESSAGE "*2\r\n$%zu\r\n", size);
    buffer_add(&b, key, size);
    buffer_printf(&b, "\r\n$1\r\na\r\n");
    show_in_pieces(buffer_slice(&b), 65536);
    if (_i == 0) {
        ck_assert_uint_gt(buffer_len(&heard), INVALIDATION_KEY_BYTES);
        buffer_take(&heard, buffer_len(&heard));
    } else {
        heard_is("message;flush;");
    }
    show(SLICE("*2\r\n$4\r\npong\r\n$0\r\n\r\n"), true, true);
    heard_is("pong;");
    buffer_done(&b);
    free(key);
}
END_TEST

Suite *notices_suite(void)
{
    Suite *suite = suite_create("notices");
    TCase *t = tcase_create("notices");

    tcase_add_checked_fixture(t, NULL, end);
    tcase_add_loop_test(t, frames_whole_and_cut, 0, ARRAY_LEN(rows));
    tcase_add_test(t, a_frame_that_ends_too_soon);
    tcase_add_test(t, a_message_of_any_size);
    tcase_add_loop_test(t, a_key_too_long, 0, 2);
    suite_add_tcase(suite, t);
    return suite;
}
