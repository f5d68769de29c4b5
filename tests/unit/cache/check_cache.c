/* check_cache.c - when what is kept may be served, and what may be kept: trust, holds, tokens,
 * floors, prefixes flushed, policies and owners gone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/cache.h"
#include "suites.h"

#define TIMEOUT 3000u /* coherence_timeout */
#define NOW     1000000u
#define LATER   (NOW + 500000u)

static struct cache *c;
static uint64_t now_ms;

static struct slice text(const char *s)
{
    return slice_of(s, strlen(s));
}

static struct question ask(const char *key, const char *what)
{
    return (struct question){text(key), text(what), 1};
}

static void begin(void)
{
    c = cache_new(8u << 20, TIMEOUT);
    now_ms = NOW;
    cache_armed(c);
    cache_proven(c, now_ms);
}

static void end(void)
{
    cache_free(c);
}

static struct entry value(const char *bytes, uint64_t deadline_ms, uint16_t policy)
{
    return (struct entry){.bytes = text(bytes),
                          .deadline_ms = deadline_ms,
                          .expiry_ms = EXPIRY_NEVER,
                          .policy = policy,
                          .kind = ENTRY_VALUE};
}

/* Asked and answered at once. */
static enum filled fill(const char *key, const char *what, uint16_t policy)
{
    struct question q = ask(key, what);
    struct entry e = value("bytes", LATER, policy);
    struct flight f;
    enum filled filled;

    flight_begin(cache_keyring(c), &f, &q);
    filled = cache_fill(c, &f, &q, &e, now_ms);
    flight_end(cache_keyring(c), &f);
    return filled;
}

static void keep(const char *key)
{
    ck_assert_int_eq(fill(key, "", 1), FILL_KEPT);
}

static enum look look(const char *key)
{
    struct question q = ask(key, "");
    struct entry e;

    return cache_look(c, &q, now_ms, false, &e);
}

/* Who only looks, as the console does, is told of holds, too. */
static enum look peek(const char *key)
{
    struct question q = ask(key, "");
    struct entry e;

    return cache_look(c, &q, now_ms, true, &e);
}

#define IS(key, what) ck_assert_str_eq(look_word(look(key)), look_word(what))
#define HELD(key)                                                                                  \
    do {                                                                                           \
        IS(key, LOOK_NOTHING);                                                                     \
        ck_assert_str_eq(look_word(peek(key)), look_word(LOOK_HELD));                              \
    } while (0)
#define TRUST(what) ck_assert_str_eq(trust_word(cache_trust(c, now_ms)), trust_word(what))

static void tidy(void)
{
    while (cache_tidy(c, now_ms))
        continue;
}

START_TEST(kept_and_found)
{
    struct question q = ask("a", "x");
    struct entry e;

    IS("a", LOOK_NOTHING);
    keep("a");
    IS("a", LOOK_FRESH);
    IS("b", LOOK_NOTHING);
    ck_assert_int_eq(cache_look(c, &q, now_ms, true, &e), LOOK_NOTHING);
    ck_assert_int_eq(fill("a", "x", 1), FILL_KEPT);
    ck_assert_int_eq(cache_look(c, &q, now_ms, true, &e), LOOK_FRESH);
    ck_assert(slice_eq(e.bytes, SLICE("bytes")));
    ck_assert(cache_changed(c, text("a")));
    ck_assert(!cache_changed(c, text("b")));
    IS("a", LOOK_NOTHING);
    ck_assert_int_eq(cache_look(c, &q, now_ms, true, &e), LOOK_NOTHING);
}
END_TEST

START_TEST(deadline)
{
    struct question q = ask("a", "");
    struct entry e = value("bytes", NOW + 10, 1);
    struct flight f;

    flight_begin(cache_keyring(c), &f, &q);
    ck_assert_int_eq(cache_fill(c, &f, &q, &e, NOW + 10), FILL_LATE);
    ck_assert_int_eq(cache_fill(c, &f, &q, &e, NOW + 9), FILL_KEPT);
    flight_end(cache_keyring(c), &f);
    now_ms = NOW + 9;
    IS("a", LOOK_FRESH);
    now_ms = NOW + 10;
    IS("a", LOOK_EXPIRED);
}
END_TEST

/* A large one is not kept, and what was there before it goes. */
START_TEST(too_large)
{
    char *large = must_calloc(2u << 20, 1);
    struct question q = ask("a", "");
    struct entry e = value("", LATER, 1);
    struct flight f;

    keep("a");
    e.bytes = slice_of(large, 2u << 20);
    flight_begin(cache_keyring(c), &f, &q);
    ck_assert_int_eq(cache_fill(c, &f, &q, &e, now_ms), FILL_FULL);
    flight_end(cache_keyring(c), &f);
    IS("a", LOOK_NOTHING);
    free(large);
}
END_TEST

/*      armed .. proven .. silence .. proven .. lost .. armed
 * fresh:        ========|         |=========|         |        (what was kept before: never again)
 */
START_TEST(trust)
{
    keep("a");
    TRUST(TRUST_ARMED);
    now_ms = NOW + TIMEOUT;
    IS("a", LOOK_FRESH);
    now_ms++;
    TRUST(TRUST_SILENT);
    IS("a", LOOK_UNTRUSTED);
    keep("b"); /* its pushes still come, in their time */
    IS("b", LOOK_UNTRUSTED);
    cache_proven(c, now_ms);
    IS("a", LOOK_FRESH);
    IS("b", LOOK_FRESH);
    cache_lost(c);
    TRUST(TRUST_CLOSED);
    IS("a", LOOK_SUSPECT);
    ck_assert_int_eq(fill("a", "", 1), FILL_CHANGED);
    cache_armed(c);
    cache_proven(c, now_ms);
    IS("a", LOOK_NOTHING);
    keep("a");
    IS("a", LOOK_FRESH);
}
END_TEST

/* New: nothing is trusted before the first arming, and its proof. */
START_TEST(begins_closed)
{
    cache_free(c);
    c = cache_new(8u << 20, TIMEOUT);
    TRUST(TRUST_CLOSED);
    ck_assert_int_eq(fill("a", "", 1), FILL_CHANGED);
    cache_armed(c);
    TRUST(TRUST_SILENT);
    keep("a");
    IS("a", LOOK_UNTRUSTED);
    cache_proven(c, now_ms);
    IS("a", LOOK_FRESH);
}
END_TEST

START_TEST(without_link)
{
    keep("a");
    cache_without_link(c);
    TRUST(TRUST_TTL);
    IS("a", LOOK_NOTHING);
    keep("a");
    now_ms += 100 * TIMEOUT;
    IS("a", LOOK_FRESH);   /* until its deadline */
    cache_without_link(c); /* once more: the same */
    IS("a", LOOK_FRESH);
    cache_lost(c);
    TRUST(TRUST_CLOSED);
    IS("a", LOOK_SUSPECT);
    cache_without_link(c);
    keep("a");
    cache_armed(c);
    IS("a", LOOK_NOTHING);
    TRUST(TRUST_SILENT);
}
END_TEST

/* Flights in the air when something happens: their answers are not kept. */
START_TEST(tokens)
{
    struct question q = ask("a", "");
    struct entry e = value("bytes", LATER, 1);
    struct keyring *k = cache_keyring(c);
    struct slice key = text("a");
    struct flight f;
    struct hold *h;

    for (int what = 0; what < 7; what++) {
        flight_begin(k, &f, &q);
        switch (what) {
        case 0:
            (void)cache_changed(c, key);
            break;
        case 1:
            cache_flush(c);
            break;
        case 2:
            cache_lost(c);
            cache_armed(c);
            break;
        case 3:
            cache_flush_prefix(c, text("other"));
            break;
        case 4:
            cache_without_link(c);
            break;
        case 5:
            cache_armed(c);
            break;
        default:
            h = hold_new(k, &key, 1, false);
            hold_begin(k, h);
            ck_assert_int_eq(cache_fill(c, &f, &q, &e, now_ms), FILL_CHANGED);
            HELD("a");
            hold_end(k, h);
            break;
        }
        ck_assert_msg(cache_fill(c, &f, &q, &e, now_ms) == FILL_CHANGED, "%d", what);
        flight_end(k, &f);
        cache_proven(c, now_ms);
        keep("a");
        IS("a", LOOK_FRESH);
        (void)cache_changed(c, key);
    }
}
END_TEST

START_TEST(held)
{
    struct keyring *k = cache_keyring(c);
    struct slice key = text("a");
    struct hold *h = hold_new(k, &key, 1, false), *all = hold_new(k, NULL, 0, true);

    hold_begin(k, h);
    HELD("a");
    IS("b", LOOK_NOTHING);
    ck_assert_int_eq(fill("a", "", 1), FILL_CHANGED);
    keep("b");
    hold_begin(k, all);
    HELD("c");
    ck_assert_int_eq(fill("c", "", 1), FILL_CHANGED);
    hold_end(k, all);
    hold_end(k, h);
    IS("a", LOOK_NOTHING);
    keep("a");
    keep("c");
}
END_TEST

START_TEST(prefixes)
{
    keep("user:1");
    keep("user:2");
    keep("item:1");
    cache_flush_prefix(c, text("user:"));
    IS("user:1", LOOK_DOOMED);
    IS("item:1", LOOK_FRESH);
    keep("user:2"); /* came later: not meant */
    IS("user:2", LOOK_FRESH);
    tidy();
    IS("user:1", LOOK_NOTHING);
    IS("user:2", LOOK_FRESH);
    IS("item:1", LOOK_FRESH);
    keep("user:1");
    cache_flush_prefix(c, text("item:"));
    IS("user:1", LOOK_FRESH);
    cache_flush_prefix(c, text(""));
    IS("user:1", LOOK_NOTHING);
    IS("item:1", LOOK_NOTHING);
}
END_TEST

/* More of them than are remembered, before any is swept. */
START_TEST(many_prefixes)
{
    char name[16];

    for (int i = 0; i < 60; i++) {
        (void)snprintf(name, sizeof name, "p%02d:k", i);
        keep(name);
    }
    for (int i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof name, "p%02d:", i);
        cache_flush_prefix(c, text(name));
        (void)snprintf(name, sizeof name, "p%02d:k", i);
        ck_assert_int_ne(look(name), LOOK_FRESH);
    }
    for (int i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof name, "p%02d:k", i);
        ck_assert_int_ne(look(name), LOOK_FRESH);
    }
    tidy();
    cache_flush_prefix(c, text("p59"));
    IS("p59:k", LOOK_NOTHING); /* went with the 17th already */
}
END_TEST

START_TEST(policies)
{
    bool alive[] = {false, true, true};

    cache_policies(c, alive, ARRAY_LEN(alive));
    keep("a");
    ck_assert_int_eq(fill("b", "", 2), FILL_KEPT);
    ck_assert_int_eq(fill("c", "", 3), FILL_CHANGED); /* none has that number */
    ck_assert_int_eq(fill("c", "", 0), FILL_CHANGED);
    alive[2] = false;
    cache_policies(c, alive, ARRAY_LEN(alive));
    IS("a", LOOK_FRESH);
    IS("b", LOOK_DOOMED);
    cache_flush_prefix(c, text("a"));
    IS("a", LOOK_DOOMED); /* both at once */
    IS("b", LOOK_DOOMED);
    tidy();
    IS("a", LOOK_NOTHING);
    IS("b", LOOK_NOTHING);
    cache_policies(c, NULL, 0);
    ck_assert_int_eq(fill("b", "", 2), FILL_KEPT);
}
END_TEST

/* Whose a key is: its first letter's number, or nobody's. */
static uint32_t by_letter(void *context, struct slice key)
{
    const char *letters = context, *at = memchr(letters, key.p[0], strlen(letters));

    return at ? (uint32_t)(at - letters) + 1 : 0;
}

START_TEST(owners)
{
    char letters[] = "ab";
    struct question q = ask("a4", ""), other = ask("b4", "");
    struct flight f, others;

    keep("a1");
    keep("x1");
    shelf_owners(cache_shelf(c), by_letter, letters);
    cache_share(c, 1, 1u << 20);
    cache_share(c, 2, 1u << 20);
    IS("a1", LOOK_DOOMED); /* from before: a flush of the owner would not find it */
    IS("x1", LOOK_FRESH);
    keep("a1");
    IS("a1", LOOK_FRESH);
    keep("a2");
    keep("b2");
    tidy();
    IS("a1", LOOK_FRESH);
    flight_begin(cache_keyring(c), &f, &q);
    flight_begin(cache_keyring(c), &others, &other);
    cache_flush_owner(c, 1);
    ck_assert(!flight_good(cache_keyring(c), &f));
    ck_assert(flight_good(cache_keyring(c), &others));
    flight_end(cache_keyring(c), &f);
    flight_end(cache_keyring(c), &others);
    IS("a2", LOOK_DOOMED);
    IS("b2", LOOK_FRESH);
    keep("a3");
    IS("a3", LOOK_FRESH);
    now_ms = LATER;
    cache_proven(c, now_ms);
    IS("a2", LOOK_DOOMED); /* not merely expired, which might be served all the same */
    IS("b2", LOOK_EXPIRED);
    tidy();
    IS("a2", LOOK_NOTHING);
}
END_TEST

START_TEST(an_owner_gone)
{
    char letters[] = "ab";
    struct question q = ask("a4", "");
    struct flight f;

    shelf_owners(cache_shelf(c), by_letter, letters);
    cache_share(c, 1, 0);
    cache_share(c, 2, 0);
    keep("a1");
    keep("b1");
    flight_begin(cache_keyring(c), &f, &q);
    letters[0] = '-';
    cache_owner_gone(c, 1);
    ck_assert(!flight_good(cache_keyring(c), &f));
    flight_end(cache_keyring(c), &f);
    IS("a1", LOOK_DOOMED);
    IS("b1", LOOK_FRESH);
    letters[0] = 'a';
    cache_share(c, 1, 0);
    IS("a1", LOOK_DOOMED);
    tidy();
    IS("a1", LOOK_NOTHING);
    IS("b1", LOOK_FRESH);
}
END_TEST

START_TEST(resettled)
{
    keep("a");
    now_ms += TIMEOUT + 1;
    cache_resettle(c, 8u << 20, 2 * TIMEOUT);
    IS("a", LOOK_FRESH);
    cache_resettle(c, 16u << 20, TIMEOUT);
    IS("a", LOOK_UNTRUSTED);
}
END_TEST

static bool old(const char *key, uint64_t at_ms)
{
    struct question q = ask(key, "");
    struct entry e;

    return cache_look_old(c, &q, at_ms, 1000, &e);
}

/* What was kept before the link was lost is never fresh again; where a policy wants it, it is there
 * until it is known to have changed. */
START_TEST(suspect_values_stay)
{
    static const uint64_t outlive[] = {0, 1000, 0};

    cache_outlive(c, outlive, ARRAY_LEN(outlive));
    keep("a");
    keep("b");
    keep("c");
    ck_assert_int_eq(fill("other", "", 2), FILL_KEPT);
    ck_assert(old("a", now_ms) && old("other", now_ms));
    cache_lost(c);
    IS("a", LOOK_SUSPECT);
    ck_assert(old("a", now_ms));
    ck_assert(!old("other", now_ms));
    cache_armed(c);
    cache_proven(c, now_ms);
    IS("a", LOOK_SUSPECT);
    tidy();
    IS("a", LOOK_SUSPECT);
    IS("other", LOOK_NOTHING);
    ck_assert(old("a", LATER + 999) && !old("a", LATER + 1000));
    ck_assert(cache_pushed(c, text("a"), now_ms));
    ck_assert(!old("a", now_ms));
    ck_assert(cache_changed(c, text("b")));
    ck_assert(!old("b", now_ms));
    keep("c");
    IS("c", LOOK_FRESH);
    cache_lost(c);
    cache_without_link(c);
    ck_assert(old("c", now_ms));
    cache_flush(c);
    ck_assert(!old("c", now_ms));
}
END_TEST

START_TEST(old_values_of_absent_keys_and_flushed_ones)
{
    static const uint64_t outlive[] = {0, 1000};
    struct question q = ask("none", "");
    struct entry e = value("", LATER, 1);

    cache_outlive(c, outlive, ARRAY_LEN(outlive));
    e.kind = ENTRY_ABSENT;
    ck_assert(shelf_put(cache_shelf(c), &q, &e));
    keep("a");
    ck_assert(old("none", LATER - 1) && !old("none", LATER));
    cache_flush_prefix(c, text("a"));
    ck_assert(!old("a", now_ms));
}
END_TEST

/* An old value is that of a key that expired, heard of in time, and meant by no flush. */
START_TEST(past)
{
    static const uint64_t linger[] = {0, 1000};
    struct question q = ask("k", "");
    struct entry e = value("bytes", LATER, 1), old;

    cache_linger(c, linger, ARRAY_LEN(linger));
    keep("k"); /* never expires */
    ck_assert(!cache_look_past(c, &q, LATER, &old));
    e.expiry_ms = LATER + 1;
    ck_assert(shelf_put(cache_shelf(c), &q, &e));
    ck_assert(!cache_look_past(c, &q, LATER, &old));
    e.expiry_ms = LATER;
    ck_assert(shelf_put(cache_shelf(c), &q, &e));
    ck_assert(!cache_look_past(c, &q, LATER - 1, &old));
    ck_assert(cache_look_past(c, &q, LATER, &old));
    ck_assert(!cache_pushed(c, q.key, LATER));
    ck_assert(cache_look_past(c, &q, LATER, &old));
    ck_assert_int_eq(cache_look(c, &q, LATER, true, &old), LOOK_EXPIRED);
    cache_flush_prefix(c, text("k"));
    ck_assert(!cache_look_past(c, &q, LATER, &old));
    ck_assert(shelf_put(cache_shelf(c), &q, &e));
    ck_assert(cache_look_past(c, &q, LATER, &old));
    ck_assert(cache_pushed(c, q.key, LATER)); /* a flush is under way: it takes no chances */
    ck_assert(shelf_put(cache_shelf(c), &q, &e));
    cache_lost(c);
    ck_assert(!cache_look_past(c, &q, LATER, &old));
    ck_assert(!cache_spare(c, q.key, LATER));
    ck_assert(cache_pushed(c, q.key, LATER));
}
END_TEST

Suite *cache_suite(void)
{
    Suite *s = suite_create("cache");
    TCase *t = tcase_create("cache");

    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, kept_and_found);
    tcase_add_test(t, deadline);
    tcase_add_test(t, too_large);
    tcase_add_test(t, trust);
    tcase_add_test(t, begins_closed);
    tcase_add_test(t, without_link);
    tcase_add_test(t, tokens);
    tcase_add_test(t, held);
    tcase_add_test(t, prefixes);
    tcase_add_test(t, many_prefixes);
    tcase_add_test(t, policies);
    tcase_add_test(t, owners);
    tcase_add_test(t, an_owner_gone);
    tcase_add_test(t, resettled);
    tcase_add_test(t, past);
    tcase_add_test(t, suspect_values_stay);
    tcase_add_test(t, old_values_of_absent_keys_and_flushed_ones);
    suite_add_tcase(s, t);
    return s;
}
