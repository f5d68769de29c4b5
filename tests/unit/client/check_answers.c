/* check_answers.c - replies of links, answers of larder's own and promises of answers that others
 * have asked for: they leave in the order of the requests, whenever they come. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "room.h"
#include "suites.h"

#define MOST 64 /* promises at once */

static struct buffer expected;
static struct link from; /* never reads, never rests */

/* What stands at the place of an answer: its number, and a tail that makes it long or short. */
static void word(struct buffer *out, unsigned number)
{
    static const char tail[] = "...............................";

    buffer_printf(out, "+%u%.*s\r\n", number, (int)(number % (sizeof tail - 1)), tail);
}

static struct buffer word_of(unsigned number)
{
    struct buffer b = {0};

    word(&b, number);
    return b;
}

static void end(void)
{
    buffer_done(&expected);
    room_close();
}

static void keep(struct held *h, unsigned number)
{
    struct buffer b = word_of(number);

    client_keep_promise(h, buffer_slice(&b));
    buffer_done(&b);
}

static void keep_in_pieces(struct held *h, unsigned number)
{
    struct buffer b = word_of(number);
    size_t n = buffer_len(&b), at = number % n;

    if (at > 0)
        (void)client_keep_piece(h, slice_of(buffer_head(&b), at), false, &from);
    (void)client_keep_piece(h, slice_of(buffer_head(&b) + at, n - at), true, &from);
    buffer_done(&b);
}

static void reply(unsigned number)
{
    struct buffer b = word_of(number);

    client_put(room.c, buffer_slice(&b));
    client_answered(room.c, 1);
    buffer_done(&b);
}

static void is_quiet(void)
{
    ck_assert(client_drained(room.c));
    ck_assert_ptr_null(room.c->more->held_first);
    ck_assert_ptr_null(room.c->more->held_last);
    ck_assert_uint_eq(room.c->more->held_bytes, 0);
    ck_assert_uint_eq(room.c->promised, 0);
    room_beat();
    client_flush(room.c); /* what the socket would not take; the loop would call it */
    room_got(buffer_slice(&expected));
}

/*      asked:   GET 1   .        .        .
 *      held:            JOIN 2   PING 3   JOIN 4
 *      come:    third   first    .        second      .. and in all other orders */
START_TEST(every_order)
{
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

    for (unsigned i = 0; i < 12; i++) {
        struct held *first, *second;

        room.c->owed++;
        room.c->asked++;
        first = client_promise(room.c);
        word(client_answer(room.c), 3);
        second = client_promise(room.c);
        for (unsigned k = 0; k < 3; k++) {
            void (*done)(struct held *, unsigned) = i < 6 ? keep : keep_in_pieces;

            ck_assert(!client_drained(room.c));
            switch (orders[i % 6][k]) {
            case 0:
                reply(1);
                break;
            case 1:
                done(first, 2);
                break;
            default:
                done(second, 4);
                break;
            }
        }
        for (unsigned k = 1; k <= 4; k++)
            word(&expected, k);
        is_quiet();
    }
}
END_TEST

static unsigned dice(uint64_t *state, unsigned sides)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(*state >> 33) % sides;
}

struct promise {
    struct held *held;
    unsigned number;
};

/* Whatever may happen, in any order that can occur: a session that waits for a promise asks nothing
 * upstream, and replies of its link come in order. */
static void play(uint64_t seed)
{
    struct promise promises[MOST];
    unsigned asked[MOST], askeds = 0, promised = 0, number = 0;

    for (int step = 0; step < 400; step++) {
        unsigned what = dice(&seed, 6), i;

        if (step % 50 == 0)
            room_takes(dice(&seed, 2) ? ALL_BYTES : dice(&seed, 40));
        if (what == 0 && promised == 0 && askeds < MOST) {
            asked[askeds++] = number;
            room.c->owed++;
            room.c->asked++;
            word(&expected, number++);
        } else if (what == 1) {
            word(client_answer(room.c), number);
            word(&expected, number++);
        } else if (what == 2 && promised < MOST) {
            promises[promised++] = (struct promise){client_promise(room.c), number};
            word(&expected, number++);
        } else if (what == 3 && askeds > 0) {
            reply(asked[0]);
            memmove(asked, asked + 1, --askeds * sizeof asked[0]);
        } else if (what >= 4 && promised > 0) {
            i = dice(&seed, promised);
            (what == 4 ? keep : keep_in_pieces)(promises[i].held, promises[i].number);
            promises[i] = promises[--promised];
        }
    }
    for (unsigned i = 0; i < askeds; i++)
        reply(asked[i]);
    while (promised > 0) {
        promised--;
        keep(promises[promised].held, promises[promised].number);
    }
    room_takes(ALL_BYTES);
    (void)client_session(room.c);
    is_quiet();
}

START_TEST(any_order)
{
    for (uint64_t seed = 1; seed <= 200; seed++)
        play(seed);
}
END_TEST

/* What is given in its turn goes to the socket, and is not kept besides. */
START_TEST(straight_to_the_socket)
{
    struct held *h = client_promise(room.c);

    keep(h, 7);
    word(&expected, 7);
    room_got(buffer_slice(&expected)); /* before any beat */
    ck_assert_uint_eq(client_unsent(room.c), 0);
    room_takes(2);
    keep(client_promise(room.c), 8);
    ck_assert_uint_gt(client_unsent(room.c), 0);
    room_takes(ALL_BYTES);
    word(&expected, 8);
    is_quiet();
}
END_TEST

/* Who is gone waits no longer: whoever gives does not find it any more. */
START_TEST(gone_with_promises)
{
    struct list flight;
    struct held *h[3];

    list_init(&flight);
    for (size_t i = 0; i < ARRAY_LEN(h); i++) {
        h[i] = client_promise(room.c);
        list_push_back(&flight, &h[i]->waiter.node);
    }
    keep(h[1], 1);
    client_close(room.c, CLOSE_GONE);
    ck_assert(list_empty(&flight));
    ck_assert_uint_eq(room.c->promised, 0);
}
END_TEST

/* .. also if it goes because of what it is given: more than it takes. */
START_TEST(gone_within_a_promise)
{
    char *large = must_calloc(300u << 20, 1);
    struct list flight;
    struct held *h, *next;

    list_init(&flight);
    h = client_promise(room.c);
    list_push_back(&flight, &h->waiter.node);
    next = client_promise(room.c);
    list_push_back(&flight, &next->waiter.node);
    room_takes(10);
    client_keep_promise(h, slice_of(large, 300u << 20)); /* client_buffer_max is 256 MB */
    ck_assert(!room.c->open);
    ck_assert(list_empty(&flight));
    free(large);
}
END_TEST

/* The end waits for what was promised. */
START_TEST(ending_with_promises)
{
    struct held *h = client_promise(room.c);

    client_end(room.c, CLOSE_QUIT);
    room_beat();
    ck_assert(room.c->open && room.c->ending);
    keep(h, 5);
    word(&expected, 5);
    room_beat();
    ck_assert_uint_eq(clients_count(room.all), 0);
    room_got(buffer_slice(&expected));
}
END_TEST

Suite *answers_suite(void)
{
    Suite *s = suite_create("answers");
    TCase *t = tcase_create("answers");

    tcase_add_checked_fixture(t, room_open, end);
    tcase_add_test(t, every_order);
    tcase_add_test(t, any_order);
    tcase_add_test(t, straight_to_the_socket);
    tcase_add_test(t, gone_with_promises);
    tcase_add_test(t, gone_within_a_promise);
    tcase_add_test(t, ending_with_promises);
    suite_add_tcase(s, t);
    return s;
}
