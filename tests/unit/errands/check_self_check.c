/* check_self_check.c - what becomes of a hit that is compared with what the upstream says: each way
 * through the drawing in self_check.c, before a scripted server and with a cache of its own. */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "command/table.h"
#include "errands/self_check.h"
#include "suites.h"
#include "unit/upstream/turns.h"
#include "unit/upstream/world.h"

#define TIMEOUT_MS 3000u
#define LOCAL_MS   600000u

static struct cache *cache;
static struct self_check *check;

static const struct self_check_counters *count(void)
{
    return self_check_counters(check).values;
}

static uint64_t now(void)
{
    return loop_now_ms(w.loop);
}

/* Trusted, one shared link up. */
static void begin(void)
{
    world_begin();
    (void)shared_link();
    UNTIL(peer_asked(0, "HELLO 2\n"));
    cache = cache_new(1 << 24, TIMEOUT_MS);
    cache_armed(cache);
    cache_proven(cache, now());
    check = self_check_new(w.loop, cache, 10000);
}

static void end(void)
{
    self_check_free(check);
    world_end();
    cache_free(cache);
}

/* Keeps a reply; *ret is the entry. */
static void keep(const char *key, struct slice ask, struct slice bytes, struct entry *ret)
{
    struct question q = {slice_str(key), ask, 1};
    struct entry e = {.bytes = bytes,
                      .deadline_ms = now() + LOCAL_MS,
                      .expiry_ms = EXPIRY_NEVER,
                      .kind = ENTRY_VALUE};
    struct flight f = {0};

    cache_proven(cache, now());
    flight_begin(cache_keyring(cache), &f, &q);
    ck_assert_int_eq(cache_fill(cache, &f, &q, &e, now()), FILL_KEPT);
    flight_end(cache_keyring(cache), &f);
    ck_assert_int_eq(cache_look(cache, &q, now(), true, ret), LOOK_FRESH);
}

static bool kept(const char *key)
{
    struct question q = {slice_str(key), SLICE(""), 1};
    struct entry e;

    return cache_look(cache, &q, now(), true, &e) == LOOK_FRESH;
}

/* A hit on that entry: as a command of two words. */
static struct checked_hit hit_of(const struct slice argv[2], const struct entry *e)
{
    const struct command *cmd = command_find(argv[0]);

    ck_assert_ptr_nonnull(cmd);
    return (struct checked_hit){.argv = argv,
                                .argc = 2,
                                .command = cmd->id,
                                .asks = {SLICE(""), SLICE("")},
                                .scope = 1,
                                .stamp = e->stamp,
                                .lane = w.lane,
                                .proto = 2,
                                .served = e->bytes,
                                .block = e->block};
}

static void want(void)
{
    while (*self_check_due(check) == 0) {
        clock_move(1);
        turn(w.loop);
    }
}

/* `command key` was answered from memory with `value`, which is kept, and is compared. */
static void sample(const char *command, const char *key, const char *value)
{
    struct slice argv[2] = {slice_str(command), slice_str(key)};
    struct checked_hit hit;
    struct entry e;

    keep(key, SLICE(""), slice_str(value), &e);
    hit = hit_of(argv, &e);
    want();
    self_check_sample(check, &hit);
}

/* The upstream says that to the question of the moment. */
static void answer(const char *command, const char *reply)
{
    UNTIL(peer_asked(0, command));
    peer_say(0, reply);
}

static void is(uint64_t agreed, uint64_t transient, uint64_t disagreed, uint64_t pending)
{
    ck_assert_uint_eq(count()->agreed, agreed);
    ck_assert_uint_eq(count()->transient, transient);
    ck_assert_uint_eq(count()->disagreed, disagreed);
    ck_assert_uint_eq(count()->pending, pending);
    ck_assert_uint_eq(count()->sampled, agreed + transient + disagreed + pending +
                                            count()->skipped + count()->stale_ttl);
}

/* A PING sent in a later millisecond is answered. */
static void prove(void)
{
    clock_move(1);
    settle();
    cache_proven(cache, now());
    self_check_proven(check, now());
}

/* GET k was answered $1 a, and the upstream says $1 b: a push may be under way. */
static void differ(void)
{
    sample("GET", "k", "$1\r\na\r\n");
    answer("GET k\n", "$1\r\nb\r\n");
    settle();
    is(0, 0, 0, 1);
}

/* ---- verdicts ---- */

START_TEST(the_same)
{
    sample("GET", "k", "$1\r\na\r\n");
    is(0, 0, 0, 1);
    answer("GET k\n", "$1\r\na\r\n");
    UNTIL(count()->agreed == 1);
    is(1, 0, 0, 0);
    ck_assert(kept("k"));
}
END_TEST

START_TEST(the_push_was_faster)
{
    sample("GET", "k", "$1\r\na\r\n");
    UNTIL(peer_asked(0, "GET k\n"));
    ck_assert(cache_changed(cache, SLICE("k")));
    peer_say(0, "$1\r\nb\r\n");
    UNTIL(count()->transient == 1);
    is(0, 1, 0, 0);
}
END_TEST

/* The push comes before the next proof; what is kept anew by then is another entry. */
START_TEST(the_push_comes)
{
    struct entry e;

    differ();
    ck_assert(cache_changed(cache, SLICE("k")));
    if (_i == 1)
        keep("k", SLICE(""), SLICE("$1\r\nb\r\n"), &e);
    prove();
    is(0, 1, 0, 0);
    settle();
    ck_assert(peer_idle(0)); /* nothing to ask again */
}
END_TEST

START_TEST(the_push_does_not_come)
{
    differ();
    prove();
    is(0, 0, 0, 1);
    answer("GET k\n", "$1\r\nb\r\n");
    UNTIL(count()->disagreed == 1);
    is(0, 0, 1, 0);
    ck_assert(!kept("k"));
}
END_TEST

/* A proof that does not reach as far as the moment at which the answer was seen says nothing. */
START_TEST(too_early_a_proof)
{
    differ();
    self_check_proven(check, now() - 1000);
    settle();
    ck_assert(peer_idle(0));
    is(0, 0, 0, 1);
}
END_TEST

/* .. nor does one of the same millisecond, which may be older. */
START_TEST(a_proof_of_the_same_moment)
{
    uint64_t seen;

    sample("GET", "k", "$1\r\na\r\n");
    UNTIL(peer_asked(0, "GET k\n"));
    peer_say(0, "$1\r\nb\r\n");
    do {
        turn(w.loop);
        seen = now();
    } while (shared_link()->slots.len > 0);
    self_check_proven(check, seen);
    ck_assert_uint_eq(shared_link()->slots.len, 0);
    self_check_proven(check, seen + 1);
    ck_assert_uint_eq(shared_link()->slots.len, 1);
    answer("GET k\n", "$1\r\na\r\n");
    UNTIL(count()->transient == 1);
}
END_TEST

START_TEST(right_after_all)
{
    differ();
    prove();
    answer("GET k\n", "$1\r\na\r\n");
    UNTIL(count()->transient == 1);
    is(0, 1, 0, 0);
    ck_assert(kept("k"));
}
END_TEST

START_TEST(gone_before_the_second_answer)
{
    differ();
    prove();
    UNTIL(peer_asked(0, "GET k\n"));
    ck_assert(cache_changed(cache, SLICE("k")));
    peer_say(0, "$1\r\nb\r\n");
    UNTIL(count()->transient == 1);
    is(0, 1, 0, 0);
}
END_TEST

/* An entry that has expired is not served any more. */
START_TEST(expired)
{
    differ();
    clock_move(LOCAL_MS);
    prove();
    is(0, 1, 0, 0);
}
END_TEST

/* A silent link: nothing is served, but what is kept will be again. */
START_TEST(a_silent_link)
{
    sample("GET", "k", "$1\r\na\r\n");
    UNTIL(peer_asked(0, "GET k\n"));
    clock_move(TIMEOUT_MS + 1);
    peer_say(0, "$1\r\nb\r\n");
    settle();
    ck_assert(!kept("k"));
    is(0, 0, 0, 1);
    prove();
    ck_assert(kept("k"));
    answer("GET k\n", "$1\r\nb\r\n");
    UNTIL(count()->disagreed == 1);
    is(0, 0, 1, 0);
}
END_TEST

START_TEST(a_lost_link)
{
    differ();
    cache_lost(cache);
    self_check_lost(check);
    is(0, 1, 0, 0);
}
END_TEST

START_TEST(without_pushes)
{
    cache_without_link(cache);
    sample("GET", "k", "$1\r\na\r\n");
    answer("GET k\n", "$1\r\nb\r\n");
    UNTIL(count()->stale_ttl == 1);
    is(0, 0, 0, 0);
    ck_assert(kept("k"));
    sample("GET", "k", "$1\r\na\r\n");
    UNTIL(peer_asked(0, "GET k\n"));
    ck_assert(cache_changed(cache, SLICE("k"))); /* a write through this larder */
    peer_say(0, "$1\r\nb\r\n");
    UNTIL(count()->transient == 1);
    is(0, 1, 0, 0);
}
END_TEST

/* ---- what is compared ---- */

START_TEST(bags_have_no_order)
{
    sample("SMEMBERS", "s", "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    answer("SMEMBERS s\n", "*2\r\n$1\r\nb\r\n$1\r\na\r\n");
    UNTIL(count()->agreed == 1);
    sample("LRANGE", "s", "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    answer("LRANGE s\n", "*2\r\n$1\r\nb\r\n$1\r\na\r\n");
    settle();
    is(1, 0, 0, 1);
}
END_TEST

/* The answer was found in an entry of another question about the key: HGET in a HGETALL. */
START_TEST(found_under_another_question)
{
    struct slice argv[2] = {SLICE("HLEN"), SLICE("h")};
    struct checked_hit hit;
    struct entry e;

    keep("h", SLICE("all"), SLICE("*2\r\n+f\r\n+v\r\n"), &e);
    hit = hit_of(argv, &e);
    hit.asks[0] = SLICE("one");
    hit.asks[1] = SLICE("all");
    hit.served = SLICE(":1\r\n");
    self_check_sample(check, &hit);
    answer("HLEN h\n", ":2\r\n");
    settle();
    is(0, 0, 0, 1);
    prove();
    answer("HLEN h\n", ":2\r\n");
    UNTIL(count()->disagreed == 1);
}
END_TEST

START_TEST(errors)
{
    const char *says = _i == 0 ? "-LOADING later\r\n" : "-WRONGTYPE Operation ..\r\n";

    sample("GET", "k", "$1\r\na\r\n");
    answer("GET k\n", says);
    settle();
    ck_assert_uint_eq(count()->skipped, _i == 0);
    is(0, 0, 0, _i == 1);
}
END_TEST

START_TEST(a_link_that_ends)
{
    sample("GET", "k", "$1\r\na\r\n");
    UNTIL(peer_asked(0, "GET k\n"));
    peer_close(0);
    UNTIL(count()->skipped == 1);
    is(0, 0, 0, 0);
}
END_TEST

START_TEST(no_link)
{
    struct slice argv[2] = {SLICE("GET"), SLICE("k")};
    struct checked_hit hit;
    struct entry e;

    keep("k", SLICE(""), SLICE("$1\r\na\r\n"), &e);
    hit = hit_of(argv, &e);
    hit.db = 7;
    self_check_sample(check, &hit);
    is(0, 0, 0, 0);
    ck_assert_uint_eq(count()->skipped, 1);
    settle();
    ck_assert(peer_idle(0));
}
END_TEST

/* .. for the second question. */
START_TEST(no_link_any_more)
{
    differ();
    peer_close(0);
    UNTIL(lane_link_in(w.lane, 0) == NULL);
    prove();
    ck_assert_uint_eq(count()->skipped, 1);
    is(0, 0, 0, 0);
}
END_TEST

/* Comes in pieces, and lies in a block of its own. */
START_TEST(large)
{
    size_t n = 3 * LARGE_REPLY_BYTES;
    struct slice argv[2] = {SLICE("GET"), SLICE("big")};
    struct checked_hit hit;
    struct buffer value = {0};
    struct entry e;

    buffer_printf(&value, "$%zu\r\n", n);
    memset(buffer_room(&value, n), 'x', n);
    buffer_fill(&value, n);
    buffer_add(&value, "\r\n", 2);
    keep("big", SLICE(""), buffer_slice(&value), &e);
    ck_assert_ptr_nonnull(e.block);
    hit = hit_of(argv, &e);
    self_check_sample(check, &hit);
    ck_assert(cache_changed(cache, SLICE("big"))); /* held all the same */
    keep("big", SLICE(""), buffer_slice(&value), &e);
    UNTIL(peer_asked(0, "GET big\n"));
    if (_i == 1)
        buffer_head(&value)[n] = 'y';
    if (_i == 2)
        peer_say(0, "$-1\r\n");
    else if (_i == 3)
        peer_say(0, "*2\r\n:1\r\n"), peer_send(0, buffer_head(&value), buffer_len(&value));
    else
        peer_send(0, buffer_head(&value), buffer_len(&value));
    UNTIL(count()->pending == 0);
    is(_i == 0, _i != 0, 0, 0);
    buffer_done(&value);
}
END_TEST

/* ---- how many ---- */

START_TEST(none)
{
    self_check_resettle(check, 0);
    ck_assert_uint_eq(*self_check_due(check), 0);
    clock_move(5000);
    settle();
    ck_assert_uint_eq(*self_check_due(check), 0);
    self_check_resettle(check, 5);
    ck_assert_uint_eq(*self_check_due(check), 1);
    self_check_resettle(check, 0);
    ck_assert_uint_eq(*self_check_due(check), 0);
}
END_TEST

/* One at once, and then as time comes; what was not used does not add up. */
START_TEST(so_many_a_second)
{
    self_check_resettle(check, 10);
    ck_assert_uint_eq(*self_check_due(check), 1);
    sample("GET", "k", "$1\r\na\r\n");
    ck_assert_uint_eq(*self_check_due(check), 0);
    settle();
    ck_assert_uint_eq(*self_check_due(check), 0);
    clock_move(60000);
    UNTIL(*self_check_due(check) > 0);
    ck_assert_uint_eq(*self_check_due(check), 1);
    self_check_resettle(check, 10000);
    sample("GET", "k", "$1\r\na\r\n");
    clock_move(60000);
    UNTIL(*self_check_due(check) > 0);
    ck_assert_uint_le(*self_check_due(check), 101);
    ck_assert_uint_ge(*self_check_due(check), 100);
}
END_TEST

START_TEST(so_many_at_once)
{
    struct slice argv[2] = {SLICE("GET"), SLICE("k")};
    struct checked_hit hit;
    struct entry e;

    keep("k", SLICE(""), SLICE("$1\r\na\r\n"), &e);
    hit = hit_of(argv, &e);
    self_check_resettle(check, 200 * SELF_CHECK_SAMPLES);
    for (unsigned i = 0; i < SELF_CHECK_SAMPLES; i++) {
        want();
        self_check_sample(check, &hit);
    }
    is(0, 0, 0, SELF_CHECK_SAMPLES);
    want();
    self_check_sample(check, &hit);
    ck_assert_uint_eq(count()->skipped, 1);
    is(0, 0, 0, SELF_CHECK_SAMPLES);
}
END_TEST

START_TEST(so_many_bytes)
{
    size_t n = SELF_CHECK_BYTES / 2;
    struct slice argv[2] = {SLICE("GET"), SLICE("k")};
    char *bytes = must_calloc(1, n);
    struct checked_hit hit;
    struct entry e;

    keep("k", SLICE(""), SLICE("$1\r\na\r\n"), &e);
    hit = hit_of(argv, &e);
    hit.served = slice_of(bytes, n);
    self_check_sample(check, &hit);
    ck_assert_uint_eq(count()->skipped, 1);
    hit.served.n = n / 2;
    want();
    self_check_sample(check, &hit);
    is(0, 0, 0, 1);
    hit.served.n = n / 2;
    want();
    self_check_sample(check, &hit);
    is(0, 0, 0, 1);
    ck_assert_uint_eq(count()->skipped, 2);
    free(bytes);
}
END_TEST

/* ---- ends ---- */

/* All bytes but the last of a reply of that many. */
static void say_half(size_t n)
{
    struct buffer b = {0};

    buffer_printf(&b, "$%zu\r\n", n);
    memset(buffer_room(&b, n), 'x', n);
    buffer_fill(&b, n - 1);
    peer_send(0, buffer_head(&b), buffer_len(&b));
    buffer_done(&b);
}

/* In every state: asked, with a piece of the answer, waiting. What was asked outlives it. */
START_TEST(freed)
{
    struct link *l = shared_link();

    if (_i < 2)
        sample("GET", "k", "$1\r\na\r\n");
    else
        differ();
    if (_i == 1) {
        UNTIL(peer_asked(0, "GET k\n"));
        say_half(2 * LARGE_REPLY_BYTES);
        UNTIL(l->streaming);
    }
    self_check_free(check);
    check = NULL;
    if (_i == 0) {
        UNTIL(peer_asked(0, "GET k\n"));
        peer_say(0, "$1\r\na\r\n");
        settle();
    }
}
END_TEST

Suite *self_check_suite(void)
{
    Suite *s = suite_create("self_check");
    TCase *t = tcase_create("verdicts");

    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, the_same);
    tcase_add_test(t, the_push_was_faster);
    tcase_add_loop_test(t, the_push_comes, 0, 2);
    tcase_add_test(t, the_push_does_not_come);
    tcase_add_test(t, too_early_a_proof);
    tcase_add_test(t, a_proof_of_the_same_moment);
    tcase_add_test(t, right_after_all);
    tcase_add_test(t, gone_before_the_second_answer);
    tcase_add_test(t, expired);
    tcase_add_test(t, a_silent_link);
    tcase_add_test(t, a_lost_link);
    tcase_add_test(t, without_pushes);
    suite_add_tcase(s, t);

    t = tcase_create("what");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, bags_have_no_order);
    tcase_add_test(t, found_under_another_question);
    tcase_add_loop_test(t, errors, 0, 2);
    tcase_add_test(t, a_link_that_ends);
    tcase_add_test(t, no_link);
    tcase_add_test(t, no_link_any_more);
    tcase_add_loop_test(t, large, 0, 4);
    suite_add_tcase(s, t);

    t = tcase_create("how many");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, none);
    tcase_add_test(t, so_many_a_second);
    tcase_add_test(t, so_many_at_once);
    tcase_add_test(t, so_many_bytes);
    suite_add_tcase(s, t);

    t = tcase_create("ends");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_loop_test(t, freed, 0, 3);
    suite_add_tcase(s, t);
    return s;
}
