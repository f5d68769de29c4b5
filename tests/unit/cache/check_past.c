/* check_past.c - what outlives its deadline: how long, and what takes it away. */
#include <check.h>

#include "base/hash.h"
#include "cache/cache.h"
#include "inspect.h"
#include "suites.h"

#define DEADLINE 1000u
#define LINGER   500u

static const uint64_t linger[] = {0, LINGER};
static struct shelf *s;

static void begin(void)
{
    s = shelf_new(1u << 20);
    shelf_linger(s, linger, ARRAY_LEN(linger));
}

static void end(void)
{
    inspect(s);
    shelf_free(s);
}

static void keep_until(const char *key, const char *ask, uint64_t deadline, uint64_t expiry)
{
    struct question q = ask_for(key, ask, 0);
    struct entry e = reply_of("bytes");

    e.policy = 1;
    e.deadline_ms = deadline;
    e.expiry_ms = expiry;
    ck_assert(shelf_put(s, &q, &e));
}

static void keep(const char *key, const char *ask)
{
    keep_until(key, ask, DEADLINE, DEADLINE);
}

static bool there(const char *key, const char *ask)
{
    struct question q = ask_for(key, ask, 0);
    struct entry e;

    return shelf_peek(s, &q, &e);
}

static bool pushed_since(const char *key, uint64_t now_ms, uint64_t since)
{
    uint64_t hash = hash_bytes(shelf_seed(s), key, strlen(key));

    return shelf_pushed(s, slice_str(key), hash, now_ms, since);
}

static bool pushed(const char *key, uint64_t now_ms)
{
    return pushed_since(key, now_ms, 0);
}

START_TEST(tidied_when_its_time_is_over)
{
    uint64_t at = 0;

    keep("k", "");
    keep("h", "HGETALL");
    keep_until("local", "", DEADLINE, DEADLINE + 1);
    keep_until("never", "", DEADLINE, EXPIRY_NEVER);
    ck_assert(!shelf_tidy(s, DEADLINE, 100));
    ck_assert(!shelf_tidy(s, DEADLINE + LINGER - 1, 100));
    ck_assert(there("k", "") && there("h", "HGETALL"));
    ck_assert(shelf_past(s, SLICE("k"), DEADLINE + LINGER - 1, &at));
    ck_assert_uint_eq(at, DEADLINE);
    ck_assert(!shelf_past(s, SLICE("k"), DEADLINE + LINGER, &at));
    ck_assert(!shelf_past(s, SLICE("k"), DEADLINE - 1, &at));
    ck_assert(!shelf_past(s, SLICE("local"), DEADLINE, &at));
    ck_assert(!shelf_past(s, SLICE("never"), DEADLINE, &at));
    ck_assert(!shelf_tidy(s, DEADLINE + LINGER, 100));
    ck_assert(!there("k", "") && !there("h", "HGETALL"));
    ck_assert_uint_eq(shelf_usage_total(s).entries, 0);
}
END_TEST

/* In an outage any value will do; but that its deadline was its expiry is not said of it. */
START_TEST(outlives_whatever_its_deadline_was)
{
    static const uint64_t more[] = {0, 3 * LINGER};
    uint64_t at;

    shelf_outlive(s, more, ARRAY_LEN(more));
    keep("k", "");
    keep_until("local", "", DEADLINE, DEADLINE + 1);
    keep_until("never", "HGETALL", DEADLINE, EXPIRY_NEVER);
    ck_assert(!shelf_tidy(s, DEADLINE + 3 * LINGER - 1, 100));
    ck_assert(there("k", "") && there("local", "") && there("never", "HGETALL"));
    ck_assert(shelf_past(s, SLICE("k"), DEADLINE + 2 * LINGER, &at));
    ck_assert(!shelf_past(s, SLICE("local"), DEADLINE, &at));
    ck_assert(!shelf_past(s, SLICE("never"), DEADLINE, &at));
    /* past local_ttl is not past its expiry: a push says that it has changed */
    (void)pushed("local", DEADLINE + 1);
    (void)pushed("never", DEADLINE + 1);
    ck_assert(!there("local", "") && !there("never", "HGETALL"));
    ck_assert(!shelf_tidy(s, DEADLINE + 3 * LINGER, 100));
    ck_assert(!there("k", ""));
}
END_TEST

START_TEST(first_push_after_expiry_is_its_expiry)
{
    struct question q = ask_for("k", "", 0);
    struct entry e;

    keep("k", "");
    keep("h", "HGETALL");
    ck_assert(!pushed("k", DEADLINE) && !pushed("h", DEADLINE));
    ck_assert(shelf_peek(s, &q, &e));
    ck_assert_int_eq(e.kind, ENTRY_PAST);
    ck_assert_uint_eq(e.expiry_ms, DEADLINE);
    ck_assert(there("h", "HGETALL"));
    inspect(s);
    ck_assert(pushed("k", DEADLINE) && pushed("h", DEADLINE));
    ck_assert(!there("k", "") && !there("h", "HGETALL"));
}
END_TEST

START_TEST(push_before_expiry_removes)
{
    keep("k", "");
    keep("h", "HGETALL");
    keep_until("local", "", DEADLINE, DEADLINE + 1);
    keep_until("mixed", "HGETALL", DEADLINE, DEADLINE);
    keep_until("mixed", "HGET", DEADLINE, DEADLINE + 1);
    ck_assert(pushed("k", DEADLINE - 1) && pushed("h", DEADLINE - 1));
    ck_assert(pushed("local", DEADLINE) && pushed("mixed", DEADLINE));
    ck_assert(!there("mixed", "HGETALL"));
    keep("k", "");
    ck_assert(pushed_since("k", DEADLINE, shelf_stamp(s))); /* is suspect */
}
END_TEST

/* Of what hangs on a value nothing is known, and it must not come to life again. */
START_TEST(push_drops_what_hangs_on_a_value)
{
    keep("k", "");
    keep_until("k", "TYPE", DEADLINE * 2, DEADLINE * 2);
    ck_assert(!pushed("k", DEADLINE));
    ck_assert(there("k", "") && !there("k", "TYPE"));
    keep_until("k", "STRLEN", DEADLINE * 2, DEADLINE * 2);
    ck_assert(there("k", "STRLEN") && !there("k", "TYPE"));
    keep("born", "TYPE");
    keep("born", "");
    keep_until("born", "STRLEN", DEADLINE * 2, DEADLINE * 2);
    ck_assert(!pushed("born", DEADLINE));
    ck_assert(there("born", "") && !there("born", "TYPE") && !there("born", "STRLEN"));
}
END_TEST

/* Nothing under a hollow head is spared while any of it is fresh. */
START_TEST(fresh_variant_is_removed)
{
    keep("h", "HGETALL");
    keep_until("h", "HLEN", DEADLINE * 2, DEADLINE * 2);
    ck_assert(pushed("h", DEADLINE));
    ck_assert(!there("h", "HLEN"));
    keep("f", "");
    keep_until("f", "TYPE", DEADLINE * 2, DEADLINE * 2);
    shelf_linger(s, NULL, 0);
    ck_assert(pushed("f", DEADLINE)); /* does not linger */
}
END_TEST

START_TEST(spared)
{
    keep("k", "");
    keep_until("k", "TYPE", DEADLINE * 2, DEADLINE * 2);
    ck_assert(!shelf_spare(s, SLICE("k"), DEADLINE - 1, 0));
    ck_assert(there("k", "TYPE"));
    ck_assert(shelf_spare(s, SLICE("k"), DEADLINE, 0));
    ck_assert(there("k", "") && !there("k", "TYPE"));
    ck_assert(!shelf_spare(s, SLICE("k"), DEADLINE, shelf_stamp(s)));
    ck_assert(!pushed("k", DEADLINE)); /* the first still */
}
END_TEST

Suite *past_suite(void)
{
    Suite *suite = suite_create("past");
    TCase *tcase = tcase_create("past");

    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, tidied_when_its_time_is_over);
    tcase_add_test(tcase, outlives_whatever_its_deadline_was);
    tcase_add_test(tcase, first_push_after_expiry_is_its_expiry);
    tcase_add_test(tcase, push_before_expiry_removes);
    tcase_add_test(tcase, push_drops_what_hangs_on_a_value);
    tcase_add_test(tcase, fresh_variant_is_removed);
    tcase_add_test(tcase, spared);
    suite_add_tcase(suite, tcase);
    return suite;
}
