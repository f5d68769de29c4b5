/* check_output.c - bytes and blocks on their way out, in their order, however the socket takes
 * them. */
#include <stdlib.h>
#include <string.h>

#include "cache/record.h"
#include "cache/shelf.h"
#include "room.h"
#include "suites.h"

static struct buffer expected;

static void end(void)
{
    buffer_done(&expected);
    room_close();
}

static void text(const char *s)
{
    buffer_add(client_answer(room.c), s, strlen(s));
    buffer_add(&expected, s, strlen(s));
}

/* A block of n bytes that differ; it is the client's alone from here on. */
static void block(size_t n)
{
    char *bytes = must_alloc(n);
    struct block *b;

    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)('a' + (buffer_len(&expected) + i) % 26);
    b = block_new(slice_of(bytes, n));
    client_answer_block(room.c, b);
    block_release(b);
    buffer_add(&expected, bytes, n);
    free(bytes);
}

/* t: some text, b: a block. */
static void queue(const char *pattern)
{
    static const char *const words[] = {"+a\r\n", "$3\r\nabc\r\n", ":12345\r\n"};
    size_t i = 0;

    for (const char *p = pattern; *p; p++, i++) {
        if (*p == 't')
            text(words[i % ARRAY_LEN(words)]);
        else
            block(5 + i % 7);
    }
}

static const char *const patterns[] = {"t",   "b",     "tb",       "bt",      "bb",
                                       "tbt", "tbbtb", "bttbtbbt", "ttbbttbb"};

static void is_empty(void)
{
    ck_assert_uint_eq(client_unsent(room.c), 0);
    ck_assert_uint_eq(buffer_len(&room.c->out), 0);
    if (room.c->more != NULL) {
        ck_assert_uint_eq(room.c->more->refs.first, room.c->more->refs.n);
        ck_assert_uint_eq(room.c->more->refs.buffered, 0);
        ck_assert_uint_eq(room.c->more->refs.bytes, 0);
    }
}

/* All in two sends, cut at every byte. */
START_TEST(cut_once)
{
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        size_t cut = 0, n = 1;

        for (; cut < n; cut++) {
            room_takes(cut);
            queue(patterns[i]);
            n = client_unsent(room.c);
            client_flush(room.c);
            ck_assert_uint_eq(client_unsent(room.c), n - cut);
            room_takes(ALL_BYTES);
            client_flush(room.c);
            is_empty();
            room_got(buffer_slice(&expected));
        }
    }
}
END_TEST

/* In steps of k bytes, for every k; more is queued in between. */
START_TEST(cut_often)
{
    for (size_t k = 1; k < 30; k++) {
        for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
            size_t left;

            queue(patterns[i]);
            left = client_unsent(room.c);
            for (unsigned step = 0; left > 0; step++) {
                room_takes(k);
                client_flush(room.c);
                ck_assert_uint_eq(client_unsent(room.c), left > k ? left - k : 0);
                if (step < 3 && left > k)
                    queue(patterns[(i + step) % ARRAY_LEN(patterns)]);
                left = client_unsent(room.c);
            }
            is_empty();
        }
        room_got(buffer_slice(&expected));
    }
}
END_TEST

/* More parts than one sendmsg takes. */
START_TEST(many_parts)
{
    for (size_t step = 1; step < 2000; step = step * 3 + 1) {
        for (int i = 0; i < 200; i++)
            queue(i % 3 ? "tb" : "b");
        while (client_unsent(room.c) > 0) {
            room_takes(step);
            client_flush(room.c);
        }
        is_empty();
        room_got(buffer_slice(&expected));
    }
}
END_TEST

/* A reply of the link behind what is still queued stays behind it. */
START_TEST(replies_behind_blocks)
{
    room_takes(3);
    queue("tb");
    client_flush(room.c);
    client_put(room.c, SLICE("+behind\r\n"));
    buffer_add(&expected, "+behind\r\n", 9);
    queue("bt");
    room_takes(ALL_BYTES);
    room_beat();
    is_empty();
    client_put(room.c, SLICE("+at once\r\n"));
    buffer_add(&expected, "+at once\r\n", 10);
    room_got(buffer_slice(&expected));
}
END_TEST

/* Behind a reply that is due a block is copied; its place is that of any answer. */
START_TEST(block_that_must_wait)
{
    buffer_add(&expected, "+first\r\n", 8);
    room.c->owed = room.c->asked = 1;
    queue("btb");
    ck_assert_uint_eq(client_unsent(room.c), 0);
    client_put(room.c, SLICE("+first\r\n"));
    client_answered(room.c, 1);
    room_beat();
    is_empty();
    room_got(buffer_slice(&expected));
}
END_TEST

/* Who leaves with blocks unsent gives them back (the sanitizer sees if not). */
START_TEST(closed_with_blocks)
{
    struct block *b = block_new(SLICE("a block that outlives the client"));

    room_takes(4);
    queue("bbtb");
    client_answer_block(room.c, b);
    client_flush(room.c);
    ck_assert_uint_eq(b->refs, 2);
    client_close(room.c, CLOSE_GONE);
    ck_assert_uint_eq(b->refs, 1);
    block_release(b);
}
END_TEST

/* Memory for answers is lent from one to the next: nobody finds another's bytes in it. */
START_TEST(memory_is_lent)
{
    struct client *other = room_another();

    for (int i = 0; i < 10; i++) {
        room_takes((size_t)i);
        text("+mine, and cut somewhere\r\n");
        client_flush(room.c);
        buffer_add(client_answer(other), "+other\r\n", 8);
        room_takes(ALL_BYTES);
        client_flush(other);
        client_flush(room.c);
        is_empty();
        ck_assert_uint_eq(client_unsent(other), 0);
        room_got(buffer_slice(&expected));
    }
}
END_TEST

Suite *output_suite(void)
{
    Suite *s = suite_create("output");
    TCase *t = tcase_create("output");

    tcase_add_checked_fixture(t, room_open, end);
    tcase_add_test(t, cut_once);
    tcase_add_test(t, cut_often);
    tcase_add_test(t, many_parts);
    tcase_add_test(t, replies_behind_blocks);
    tcase_add_test(t, block_that_must_wait);
    tcase_add_test(t, closed_with_blocks);
    tcase_add_test(t, memory_is_lent);
    suite_add_tcase(s, t);
    return s;
}
