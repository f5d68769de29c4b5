/* check_buffer.c - bytes waiting: none lost, none changed, memory only while there are any. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "suites.h"

static void holds(const struct buffer *b, const char *text)
{
    struct slice s = buffer_slice(b);

    buffer_check(b);
    ck_assert_uint_eq(buffer_len(b), strlen(text));
    ck_assert_uint_eq(s.n, strlen(text));
    ck_assert(slice_eq(s, slice_str(text)));
}

static void empty_handed(const struct buffer *b)
{
    buffer_check(b);
    ck_assert_uint_eq(buffer_len(b), 0);
    ck_assert_ptr_null(b->p);
    ck_assert_uint_eq(b->cap, 0);
}

START_TEST(an_empty_one_has_no_memory)
{
    struct buffer b = {0};

    empty_handed(&b);
    ck_assert_ptr_null(buffer_head(&b));
    ck_assert_ptr_null(buffer_slice(&b).p);
    buffer_add(&b, NULL, 0);
    empty_handed(&b);
    buffer_take(&b, 0);
    empty_handed(&b);
    buffer_done(&b);
    empty_handed(&b);
}
END_TEST

START_TEST(takes_from_the_front)
{
    struct buffer b = {0};

    buffer_add(&b, "abc", 3);
    buffer_add(&b, "def", 3);
    holds(&b, "abcdef");
    buffer_take(&b, 2);
    holds(&b, "cdef");
    buffer_add(&b, "g", 1);
    holds(&b, "cdefg");
    buffer_take(&b, 0);
    holds(&b, "cdefg");
    buffer_take(&b, 4);
    holds(&b, "g");
    buffer_take(&b, 1);
    empty_handed(&b);
    buffer_add(&b, "x", 1);
    holds(&b, "x");
    buffer_done(&b);
    empty_handed(&b);
}
END_TEST

START_TEST(room_is_there_and_counts_only_when_filled)
{
    struct buffer b = {0};
    char *room = buffer_room(&b, 1000);

    ck_assert_uint_ge(b.cap, 1000);
    memset(room, 'x', 1000);
    ck_assert_uint_eq(buffer_len(&b), 0);
    buffer_fill(&b, 10);
    holds(&b, "xxxxxxxxxx");
    room = buffer_room(&b, b.cap - b.tail);
    ck_assert_ptr_eq(room, b.p + 10);
    ck_assert_ptr_eq(buffer_room(&b, 1), room);
    buffer_done(&b);
}
END_TEST

/* Grows by doubling: a megabyte byte by byte moves house some 13 times, not a million. */
START_TEST(growth_is_by_doubling)
{
    struct buffer b = {0};
    unsigned moves = 0;

    for (uint32_t i = 0; i < 1u << 20; i++) {
        uint32_t cap = b.cap;
        char byte = (char)(i * 7 + (i >> 8));

        buffer_add(&b, &byte, 1);
        if (b.cap != cap) {
            moves++;
            ck_assert(cap == 0 || b.cap >= 2 * cap);
        }
    }
    ck_assert_uint_le(moves, 20);
    ck_assert_uint_le(b.cap, 2u << 20);
    buffer_check(&b);
    for (uint32_t i = 0; i < 1u << 20; i++)
        ck_assert_int_eq(buffer_head(&b)[i], (char)(i * 7 + (i >> 8)));
    buffer_done(&b);
}
END_TEST

/* A queue that is fed and drained stays as small as what waits in it, and is not moved for each
 * small addition. */
START_TEST(a_queue_does_not_creep)
{
    struct buffer b = {0};
    uint64_t in = 0, out = 0;

    for (int i = 0; i < 5000; i++) {
        for (int k = 0; k < 7; k++, in++) {
            char byte = (char)(in % 251);

            buffer_add(&b, &byte, 1);
        }
        for (int k = 0; k < 7 && buffer_len(&b) > 100; k++, out++) {
            ck_assert_int_eq(*buffer_head(&b), (char)(out % 251));
            buffer_take(&b, 1);
        }
        buffer_check(&b);
    }
    ck_assert_uint_le(b.cap, 512);
    ck_assert_uint_eq(buffer_len(&b), in - out);
    buffer_done(&b);
}
END_TEST

/* What a nearly full buffer has taken from its front is no reason to move all of it for each byte
 * that comes: then it grows. */
START_TEST(a_nearly_full_one_grows_instead_of_moving)
{
    struct buffer b = {0};
    uint32_t cap;

    memset(buffer_room(&b, 1024), 'x', 1024);
    buffer_fill(&b, 1024);
    cap = b.cap;
    ck_assert_uint_eq(b.tail, cap);
    buffer_take(&b, 10);
    buffer_add(&b, "y", 1);
    ck_assert_uint_eq(b.cap, 2 * cap);
    ck_assert_uint_eq(buffer_len(&b), 1015);
    ck_assert_int_eq(buffer_head(&b)[1014], 'y');
    ck_assert_int_eq(buffer_head(&b)[0], 'x');
    /* With half of it taken there is room to spare: now it moves. */
    memset(buffer_room(&b, b.cap - b.tail), 'z', b.cap - b.tail);
    buffer_fill(&b, b.cap - b.tail);
    cap = b.cap;
    buffer_take(&b, cap / 2);
    buffer_add(&b, "y", 1);
    ck_assert_uint_eq(b.cap, cap);
    ck_assert_uint_eq(b.head, 0);
    ck_assert_uint_eq(buffer_len(&b), cap / 2 + 1);
    ck_assert_int_eq(buffer_head(&b)[cap / 2], 'y');
    buffer_done(&b);
}
END_TEST

START_TEST(keeps_memory_only_up_to_a_bound)
{
    struct buffer b = {0};
    char *p;

    buffer_add(&b, "abc", 3);
    p = b.p;
    buffer_take_keep(&b, 3, b.cap);
    ck_assert_ptr_eq(b.p, p);
    holds(&b, "");
    ck_assert_uint_eq(b.head, 0);
    buffer_add(&b, "def", 3);
    holds(&b, "def");
    /* Not taken to the end: nothing is given back, whatever the bound. */
    buffer_take_keep(&b, 1, 0);
    holds(&b, "ef");
    buffer_take_keep(&b, 2, b.cap - 1);
    empty_handed(&b);
}
END_TEST

START_TEST(prints)
{
    struct buffer b = {0};
    char wide[600];

    memset(wide, 'w', sizeof wide - 1);
    wide[sizeof wide - 1] = 0;
    buffer_printf(&b, "%s", "");
    ck_assert_uint_eq(buffer_len(&b), 0);
    buffer_printf(&b, "%d,%s", -5, "x");
    holds(&b, "-5,x");
    buffer_printf(&b, ";%5u", 7u);
    holds(&b, "-5,x;    7");
    buffer_printf(&b, "%s", wide);
    buffer_check(&b);
    ck_assert_uint_eq(buffer_len(&b), 10 + 599);
    ck_assert_int_eq(buffer_head(&b)[10 + 598], 'w');
    buffer_done(&b);
}
END_TEST

/* The NUL that printing writes needs room of its own, and stays outside. */
START_TEST(bytes_from_outside_are_made_visible)
{
    struct buffer b = {0};

    buffer_add_visible(&b, SLICE("user:1~!"));
    buffer_add_visible(&b, SLICE(" =\\\r\n\0\x7f\xff"));
    buffer_add_visible(&b, SLICE(""));
    holds(&b, "user:1~!\\x20=\\x5c\\x0d\\x0a\\x00\\x7f\\xff");
    buffer_done(&b);
}
END_TEST

START_TEST(prints_into_the_last_byte)
{
    for (uint32_t free_bytes = 0; free_bytes < 6; free_bytes++) {
        struct buffer b = {0};

        memset(buffer_room(&b, 128), 'x', 128);
        buffer_fill(&b, 128 - free_bytes);
        buffer_printf(&b, "abcd");
        buffer_check(&b);
        ck_assert_uint_eq(buffer_len(&b), 132 - free_bytes);
        ck_assert(memcmp(buffer_head(&b) + 128 - free_bytes, "abcd", 4) == 0);
        buffer_add(&b, "e", 1);
        ck_assert(memcmp(buffer_head(&b) + 128 - free_bytes, "abcde", 5) == 0);
        buffer_done(&b);
    }
}
END_TEST

START_TEST(taking_more_than_there_is_aborts)
{
    struct buffer b = {0};

    buffer_add(&b, "abc", 3);
    buffer_take(&b, 4);
}
END_TEST

START_TEST(filling_more_than_the_room_aborts)
{
    struct buffer b = {0};

    ck_assert_ptr_nonnull(buffer_room(&b, 1));
    buffer_fill(&b, (size_t)b.cap + 1);
}
END_TEST

static const struct buffer wrong[] = {
    {NULL, 0, 0, 1},
    {(char *)(uintptr_t) "x", 0, 0, 0},
    {(char *)(uintptr_t) "x", 1, 0, 1},
    {(char *)(uintptr_t) "x", 0, 2, 1},
};

START_TEST(a_wrong_picture_aborts)
{
    buffer_check(&wrong[_i]);
}
END_TEST

Suite *buffer_suite(void)
{
    Suite *suite = suite_create("buffer");
    TCase *t = tcase_create("buffer");

    tcase_set_timeout(t, 30);
    tcase_add_test(t, an_empty_one_has_no_memory);
    tcase_add_test(t, takes_from_the_front);
    tcase_add_test(t, room_is_there_and_counts_only_when_filled);
    tcase_add_test(t, growth_is_by_doubling);
    tcase_add_test(t, a_queue_does_not_creep);
    tcase_add_test(t, a_nearly_full_one_grows_instead_of_moving);
    tcase_add_test(t, keeps_memory_only_up_to_a_bound);
    tcase_add_test(t, prints);
    tcase_add_test(t, bytes_from_outside_are_made_visible);
    tcase_add_test(t, prints_into_the_last_byte);
    tcase_add_test_raise_signal(t, taking_more_than_there_is_aborts, SIGABRT);
    tcase_add_test_raise_signal(t, filling_more_than_the_room_aborts, SIGABRT);
    tcase_add_loop_test_raise_signal(t, a_wrong_picture_aborts, SIGABRT, 0, ARRAY_LEN(wrong));
    suite_add_tcase(suite, t);
    return suite;
}
