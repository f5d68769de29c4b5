/* check_heavy.c - what heavy clients may have unanswered together, and how they take turns with it.
 */
#include "client/heavy.h"

#include "client/turns.h"
#include "net/loop.h"
#include "room.h"
#include "suites.h"

#define CLIENTS 5u
#define BYTES   40u /* of a request: it counts for one */

static struct client *clients[CLIENTS];

static void begin(void)
{
    room_open();
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = room_another();
        clients[i]->heavy = true;
        (void)client_session(clients[i]);
    }
}

/* Somebody light asks Redis. */
static void beside(void)
{
    heavies_note_light(&room.all->heavies, loop_now_ms(room.all->loop));
}

static uint64_t may_ask(const struct client *c)
{
    return heavy_most_pending(c) - c->owed - c->promised;
}

static void asks(struct client *c, uint32_t n)
{
    c->heavy = true; /* it has much to say, though nothing is in its buffer */
    c->owed += n;
    heavy_asked(c, n, (size_t)n * BYTES);
}

static void waits(struct client *c)
{
    ck_assert_uint_eq(may_ask(c), 0);
    (void)client_wait(c, WAIT_PENDING);
    heavy_waits(c);
}

/* Redis has answered all, and nobody is left waiting. */
static void end(void)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        client_answered(clients[i], clients[i]->owed);
    for (unsigned i = 0; i < CLIENTS; i++)
        room_beat();
    ck_assert_uint_eq(room.all->heavies.asked, 0);
    ck_assert(list_empty(&room.all->heavies.held));
    room_close();
}

START_TEST(little_beside_the_light)
{
    begin();
    ck_assert_uint_eq(may_ask(clients[0]), HEAVY_PENDING);
    beside();
    ck_assert_uint_eq(may_ask(clients[0]), BESIDE_PENDING);
    ck_assert_uint_eq(heavy_most_bytes(clients[0]), BESIDE_PENDING * HEAVY_BYTES);
    room.all->heavies.light_ms -= LIGHT_MS;
    ck_assert_uint_eq(may_ask(clients[0]), HEAVY_PENDING);
    end();
}
END_TEST

START_TEST(as_much_as_a_round_trip)
{
    begin();
    beside();
    ck_assert_uint_eq(pool_trip_us(room.all->pool), 0);
    asks(clients[0], 10);
    ck_assert_uint_eq(may_ask(clients[0]), BESIDE_PENDING - 10);
    ck_assert_uint_eq(may_ask(clients[1]), BESIDE_PENDING / 2);
    client_answered(clients[0], 4);
    ck_assert_uint_eq(room.all->heavies.asked, 6);
    ck_assert_uint_eq(may_ask(clients[0]), BESIDE_PENDING - 6);
    end();
}
END_TEST

START_TEST(large_requests_count_for_several)
{
    begin();
    beside();
    clients[0]->owed = 2;
    heavy_asked(clients[0], 2, (size_t)HEAVY_BYTES * 40);
    ck_assert_uint_eq(room.all->heavies.asked, 40);
    client_answered(clients[0], 1);
    ck_assert_uint_eq(room.all->heavies.asked, 20);
    clients[0]->owed++;
    heavy_asked(clients[0], 1, (size_t)HEAVY_BYTES * 1000);
    ck_assert_uint_eq(may_ask(clients[0]), 0);
    ck_assert_uint_eq(may_ask(clients[1]), 0);
    end();
}
END_TEST

/* Two that always have more to ask would leave nothing to a third. */
START_TEST(who_streams_gives_way)
{
    struct client *a, *b, *late;

    begin();
    a = clients[0], b = clients[1], late = clients[2];
    beside();
    asks(a, BESIDE_PENDING / 2);
    asks(b, BESIDE_PENDING / 2);
    waits(late);
    client_answered(a, BESIDE_PENDING / 4);
    ck_assert_uint_eq(may_ask(a), 0);
    room_beat();
    ck_assert_int_eq(late->waits, WAIT_PENDING);
    client_answered(b, BESIDE_PENDING / 4);
    ck_assert_uint_eq(may_ask(b), 0);
    room_beat();
    ck_assert_int_eq(late->waits, WAIT_NOTHING);
    ck_assert_uint_ge(may_ask(late), BESIDE_PENDING / 2);
    end();
}
END_TEST

/* One has had all, and the others are in the line; the first two have their turns. */
static void take_turns(void)
{
    begin();
    beside();
    asks(clients[0], BESIDE_PENDING);
    for (unsigned i = 1; i < CLIENTS; i++)
        waits(clients[i]);
    client_answered(clients[0], BESIDE_PENDING);
    room_beat();
}

START_TEST(in_the_order_they_came)
{
    take_turns();
    for (unsigned i = 1; i < CLIENTS; i++)
        ck_assert_int_eq(clients[i]->waits, i <= 2 ? WAIT_NOTHING : WAIT_PENDING);
    /* Their turns: half each, and no more. */
    ck_assert_uint_eq(may_ask(clients[1]), BESIDE_PENDING / 2);
    asks(clients[1], BESIDE_PENDING / 2 - 1);
    ck_assert_uint_eq(may_ask(clients[1]), 1);
    asks(clients[1], 1);
    ck_assert_uint_eq(may_ask(clients[1]), 0);
    /* Answers that nobody wants to have are no way around it. */
    heavy_muted(clients[2], BESIDE_PENDING / 2, BYTES);
    ck_assert_uint_eq(may_ask(clients[2]), 0);
    end();
}
END_TEST

START_TEST(a_turn_does_not_wait)
{
    take_turns();
    ck_assert_uint_eq(may_ask(clients[1]), BESIDE_PENDING / 2);
    (void)client_wait(clients[1], WAIT_PAUSE);
    ck_assert_uint_eq(may_ask(clients[1]), 0);
    client_wake(clients[1]);
    end();
}
END_TEST

START_TEST(light_again)
{
    struct client *c;

    begin();
    c = clients[0];
    asks(c, 10);
    heavy_over(c);
    ck_assert_uint_eq(room.all->heavies.asked, 0);
    client_answered(c, 10);
    c->active_ms = client_now(c) - LIGHT_AGAIN_MS + 1;
    ck_assert(!turns_rested(c));
    c->active_ms--;
    c->owed = 1;
    ck_assert(!turns_rested(c));
    c->owed = 0;
    ck_assert(turns_rested(c) && !c->heavy);
    end();
}
END_TEST

Suite *heavy_suite(void)
{
    Suite *s = suite_create("heavy");
    TCase *t = tcase_create("sharing");

    tcase_add_test(t, little_beside_the_light);
    tcase_add_test(t, as_much_as_a_round_trip);
    tcase_add_test(t, large_requests_count_for_several);
    tcase_add_test(t, who_streams_gives_way);
    tcase_add_test(t, in_the_order_they_came);
    tcase_add_test(t, a_turn_does_not_wait);
    tcase_add_test(t, light_again);
    suite_add_tcase(s, t);
    return s;
}
