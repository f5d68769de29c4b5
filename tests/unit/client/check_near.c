/* check_near.c - whose questions are told apart, and who may be answered from memory. */
#include <stdlib.h>

#include "cache/cache.h"
#include "client/near.h"
#include "config/load.h"
#include "policy/policies.h"
#include "room.h"
#include "suites.h"
#include "upstream/invalidation.h"

static struct settings *settings;
static struct policies *policies;
static struct cache *cache;

static void begin(void)
{
    struct buffer errors = {0};

    room_open();
    settings = settings_load_text("x", SLICE("[policy all]\nprefix = *\nlocal = yes\n"), &errors);
    ck_assert_ptr_nonnull(settings);
    policies = policies_new(settings, NULL);
    cache = cache_new(8u << 20, 3000);
    cache_without_link(cache);
    clients_use_cache(room.all, cache, policies, NULL);
}

static void end(void)
{
    room_close();
    cache_free(cache);
    policies_free(policies);
    settings_free(settings);
}

static enum concern get(struct client *c, const char *key)
{
    static struct slice argv[2] = {{"GET", 3}, {NULL, 0}};
    struct args args = {.v = argv, .n = 2};

    argv[1] = slice_str(key);
    return near_concern(c, command_row(CMD_GET), &args, 0);
}

static void keep(uint16_t scope, const char *key)
{
    struct question q = {slice_str(key), slice_of("", 0), scope};
    struct entry e = {.bytes = SLICE("$1\r\nv\r\n"),
                      .deadline_ms = UINT64_C(1) << 41,
                      .expiry_ms = EXPIRY_NEVER,
                      .policy = 1,
                      .kind = ENTRY_VALUE};
    struct flight f;

    flight_begin(cache_keyring(cache), &f, &q);
    ck_assert_int_eq(cache_fill(cache, &f, &q, &e, 1), FILL_KEPT);
    flight_end(cache_keyring(cache), &f);
}

/* However many databases and users there are in time: none is taken for another, and each can be
 * served from memory. */
START_TEST(scopes)
{
    struct client *other = room_another();

    ck_assert_int_eq(get(other, "k"), CONCERN_ASK);
    keep(other->scope, "k");
    ck_assert_int_eq(get(other, "k"), CONCERN_HIT);
    for (int32_t db = 1; db < 70000; db++) {
        room.c->db = db;
        room.c->scope = 0;
        ck_assert_int_eq(get(room.c, "k"), CONCERN_ASK);
        ck_assert_uint_ne(room.c->scope, 0);
        ck_assert_uint_ne(room.c->scope, other->scope);
        if (db % 1000 == 0) {
            keep(room.c->scope, "k");
            ck_assert_int_eq(get(room.c, "k"), CONCERN_HIT);
            (void)get(other, "k"); /* finds its own, or nothing */
            ck_assert_uint_ne(room.c->scope, other->scope);
        }
    }
}
END_TEST

/* A write that is unanswered: the session reads upstream. One that was answered long ago, as seen
 * by counters of 32 bits, does not. */
START_TEST(own_writes)
{
    struct client *c = room.c;

    for (uint32_t start = 0; start < 5; start++) {
        c->asked = start * 0x3fffffffu;
        c->wrote_at = c->asked; /* answered */
        for (int i = 0; i < 100; i++) {
            ck_assert(near_allowed(c, 0) && near_allowed(c, 1));
            fill_lead(c); /* a miss */
            ck_assert(near_allowed(c, 0));
            client_answered(c, 1);
            c->asked += 0x3fffffffu; /* .. and a great many reads that the cache has no part in */
        }
        c->owed++;
        c->wrote_at = ++c->asked;
        ck_assert(!near_allowed(c, 0) && !near_allowed(c, 1));
        c->owed++;
        c->asked++;
        ck_assert(!near_allowed(c, 0));
        client_answered(c, 1);
        ck_assert(near_allowed(c, 0));
        client_answered(c, 1);
    }
}
END_TEST

Suite *near_suite(void)
{
    Suite *s = suite_create("near");
    TCase *t = tcase_create("near");

    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, scopes);
    tcase_add_test(t, own_writes);
    suite_add_tcase(s, t);
    return s;
}
