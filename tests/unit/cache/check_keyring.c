/* check_keyring.c - holds and flights: who may join, what may be kept, and that nothing stays
 * behind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "cache/keyring.h"
#include "cache/shelf.h"
#include "suites.h"

static struct hash_seed seed;
static struct keyring *k;

static void begin(void)
{
    hash_seed_init(&seed);
    k = keyring_new(&seed);
}

/* Aborts if a hold or flight has left a record. */
static void end(void)
{
    ck_assert_uint_eq(keyring_count(k), 0);
    ck_assert(!keyring_all_held(k));
    keyring_free(k);
}

static struct slice text(const char *s)
{
    return slice_of(s, strlen(s));
}

static void void_key(const char *key)
{
    keyring_void(k, text(key), hash_bytes(&seed, key, strlen(key)));
}

static struct question ask(const char *key, const char *what, uint16_t scope)
{
    return (struct question){text(key), text(what), scope};
}

static struct hold *hold(const char *a, const char *b)
{
    struct slice keys[] = {text(a), text(b ? b : "")};
    struct hold *h = hold_new(k, keys, b ? 2 : 1, false);

    return h;
}

static struct flight *depart(struct flight *f, const struct question *q)
{
    flight_begin(k, f, q);
    ck_assert(flight_good(k, f));
    ck_assert_ptr_eq(keyring_flight(k, q), f);
    return f;
}

/* Neither to be joined nor to be kept. */
static void spoilt(const struct flight *f, const struct question *q)
{
    ck_assert(!flight_good(k, f));
    ck_assert_ptr_null(keyring_flight(k, q));
}

START_TEST(holds_count)
{
    struct hold *one = hold("a", "b"), *two = hold("b", NULL);

    ck_assert(!keyring_held(k, text("a"))); /* remembered, not begun */
    ck_assert_uint_eq(keyring_count(k), 2);
    hold_begin(k, one);
    hold_begin(k, two);
    ck_assert(keyring_held(k, text("a")) && keyring_held(k, text("b")));
    ck_assert(!keyring_held(k, text("c")) && !keyring_held(k, text("")));
    hold_end(k, one);
    ck_assert(!keyring_held(k, text("a")) && keyring_held(k, text("b")));
    hold_end(k, two);
    ck_assert(!keyring_held(k, text("b")));
}
END_TEST

/* MSET a 1 a 2, DEL with an empty key; a hold that was never begun. */
START_TEST(odd_holds)
{
    struct hold *twice = hold("a", "a"), *empty = hold("", NULL), *never = hold("a", "z");
    struct hold *none = hold_new(k, NULL, 0, false);

    hold_begin(k, twice);
    hold_begin(k, empty);
    hold_begin(k, none);
    ck_assert(keyring_held(k, text("a")) && keyring_held(k, text("")));
    ck_assert(slice_eq(hold_key(never, 1), text("z")));
    ck_assert_uint_eq(hold_hash(never, 1), hash_bytes(&seed, "z", 1));
    hold_end(k, never);
    ck_assert(keyring_held(k, text("a")) && !keyring_held(k, text("z")));
    hold_end(k, none);
    hold_end(k, twice);
    hold_end(k, empty);
    ck_assert(!keyring_held(k, text("a")) && !keyring_held(k, text("")));
}
END_TEST

START_TEST(hold_of_all)
{
    struct question q = ask("a", "", 1), q2 = ask("b", "", 1);
    struct hold *one = hold_new(k, NULL, 0, true), *two = hold_new(k, NULL, 0, true);
    struct flight f, g;

    depart(&f, &q);
    hold_begin(k, one);
    spoilt(&f, &q);
    ck_assert(keyring_held(k, text("a")) && keyring_held(k, text("other")));
    ck_assert(keyring_all_held(k));
    flight_begin(k, &g, &q2); /* asked meanwhile: cannot be kept, not even afterwards */
    ck_assert(!flight_good(k, &g));
    hold_begin(k, two);
    hold_end(k, one);
    ck_assert(keyring_all_held(k) && !flight_good(k, &g));
    hold_end(k, two);
    ck_assert(!keyring_all_held(k));
    spoilt(&g, &q2);
    spoilt(&f, &q);
    flight_end(k, &f);
    flight_end(k, &g);
    /* One that was never begun (BLPOP and the like never are) spoils, but holds nothing. */
    two = hold_new(k, NULL, 0, true);
    depart(&f, &q);
    hold_end(k, two);
    ck_assert(!keyring_all_held(k));
    spoilt(&f, &q);
    flight_end(k, &f);
}
END_TEST

/* Same key: scope and words tell the questions apart. */
START_TEST(flights_are_told_apart)
{
    struct question q[] = {ask("a", "", 1), ask("a", "", 2), ask("a", "x", 1), ask("b", "", 1)};
    struct question other[] = {ask("a", "xy", 1), ask("a", "x", 2), ask("ab", "", 1)};
    struct flight f[ARRAY_LEN(q)];

    for (size_t i = 0; i < ARRAY_LEN(q); i++)
        depart(&f[i], &q[i]);
    ck_assert_uint_eq(keyring_count(k), 2);
    for (size_t i = 0; i < ARRAY_LEN(q); i++) {
        ck_assert_ptr_eq(keyring_flight(k, &q[i]), &f[i]);
        ck_assert(slice_eq(flight_key(&f[i]), q[i].key));
        ck_assert(flight_key(&f[i]).p != q[i].key.p); /* its own copy */
    }
    for (size_t i = 0; i < ARRAY_LEN(other); i++)
        ck_assert_ptr_null(keyring_flight(k, &other[i]));
    void_key("a");
    for (size_t i = 0; i < 3; i++)
        spoilt(&f[i], &q[i]);
    ck_assert(flight_good(k, &f[3]));
    for (size_t i = 0; i < ARRAY_LEN(q); i++)
        flight_end(k, &f[i]);
}
END_TEST

/* Whatever may have changed the key, at whatever time of the flight.
 *
 *     begin   .   .   .  end      flight
 *       [       ]                 1: hold begun and ended before: good
 *        begun [              ]   2: hold begun meanwhile, not over: spoilt
 *      begun [   ]                3: begun before it, ended meanwhile: spoilt
 *              []                 4: all of it meanwhile: spoilt
 *     [                      ]    5: under way before and after: not good, though not spoilt yet */
START_TEST(tokens)
{
    struct question q = ask("a", "", 1);
    struct hold *h = hold("a", NULL);
    struct flight f;

    hold_begin(k, h);
    hold_end(k, h);
    flight_end(k, depart(&f, &q)); /* 1 */
    h = hold("a", NULL);
    depart(&f, &q);
    hold_begin(k, h);
    spoilt(&f, &q); /* 2 */
    flight_end(k, &f);
    flight_begin(k, &f, &q);
    ck_assert(!flight_good(k, &f)); /* 5 */
    hold_end(k, h);
    spoilt(&f, &q); /* 3 */
    flight_end(k, &f);
    h = hold("b", "a");
    depart(&f, &q);
    hold_begin(k, h);
    hold_end(k, h);
    spoilt(&f, &q); /* 4 */
    flight_end(k, &f);
    depart(&f, &q);
    void_key("b");
    void_key("nothing is under way for it");
    ck_assert(flight_good(k, &f));
    void_key("a");
    spoilt(&f, &q);
    flight_end(k, &f);
}
END_TEST

/* A spoilt flight does not stand in the way of the next for the same question. */
START_TEST(next_flight)
{
    struct question q = ask("a", "", 1);
    struct flight first, second, third;

    depart(&first, &q);
    void_key("a");
    depart(&second, &q);
    keyring_void_all(k);
    spoilt(&second, &q);
    depart(&third, &q);
    ck_assert(!flight_good(k, &first) && !flight_good(k, &second));
    flight_end(k, &second);
    ck_assert_ptr_eq(keyring_flight(k, &q), &third);
    flight_end(k, &first);
    third.open = false; /* its owner wants nobody to join any more: its token is as it was */
    ck_assert_ptr_null(keyring_flight(k, &q));
    ck_assert(flight_good(k, &third));
    flight_end(k, &third);
}
END_TEST

/* Many keys, in one bucket too; in any order they come and go. */
START_TEST(many_keys)
{
    enum { KEYS = 40000 };
    struct hold **h = must_calloc(KEYS, sizeof(struct hold *));
    char name[16];

    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(name, sizeof name, "k%d", i);
        h[i] = hold(name, NULL);
        hold_begin(k, h[i]);
    }
    ck_assert_uint_eq(keyring_count(k), KEYS);
    for (int i = 0; i < KEYS; i++) {
        int at = (int)((unsigned)i * 7919u % KEYS); /* 7919 and 40000 have no divisor in common */

        (void)snprintf(name, sizeof name, "k%d", at);
        ck_assert(keyring_held(k, text(name)));
        hold_end(k, h[at]);
        ck_assert(!keyring_held(k, text(name)));
    }
    free(h);
}
END_TEST

Suite *keyring_suite(void)
{
    Suite *s = suite_create("keyring");
    TCase *t = tcase_create("keyring");

    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, holds_count);
    tcase_add_test(t, odd_holds);
    tcase_add_test(t, hold_of_all);
    tcase_add_test(t, flights_are_told_apart);
    tcase_add_test(t, tokens);
    tcase_add_test(t, next_flight);
    tcase_add_test(t, many_keys);
    suite_add_tcase(s, t);
    return s;
}
