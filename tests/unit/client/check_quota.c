/* check_quota.c - max_ops and max_pending of a tenant: a request pays once, what is pending is
 * counted exactly over all of the tenant's clients, whatever becomes of them. */
#include "client/quota.h"

#include <stdlib.h>

#include "client/turns.h"
#include "net/loop.h"
#include "room.h"
#include "suites.h"

#define CLIENTS 4u

static struct tenant_settings row = {.name = "a",
                                     .prefix = "acme:",
                                     .password = "",
                                     .password_sha256 = "",
                                     .upstream_username = "",
                                     .upstream_password = ""};
static struct larder_settings none = {.namespace = ""};
static struct client *clients[CLIENTS];
static struct tenant *t;

/* As a reload would. */
static void in_force(uint64_t max_ops, uint64_t max_pending, bool delays)
{
    struct settings s = {.larder = none, .tenants = &row, .tenant_count = 1};

    row.max_ops = max_ops;
    row.max_pending = max_pending;
    row.throttle = delays ? SET_THROTTLE_DELAY : SET_THROTTLE_ERROR;
    clients_use_tenants(room.all, &s);
    t = tenants_find(room.all->tenants, SLICE("a"));
    ck_assert_ptr_nonnull(t);
}

static void begin(uint64_t max_ops, uint64_t max_pending, bool delays)
{
    room_open();
    in_force(max_ops, max_pending, delays);
    room.c = NULL; /* it was nobody's, and is closed */
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = room_another();
        tenant_join(clients[i], t);
    }
}

static bool pays(struct client *c, enum command_id id)
{
    return quota_pays(c, command_row(id));
}

START_TEST(a_request_pays_once)
{
    begin(3, 0, false);
    ck_assert(pays(clients[0], CMD_GET));
    quota_paid(clients[0]); /* it had to wait for something else */
    ck_assert(pays(clients[0], CMD_GET));
    ck_assert(pays(clients[1], CMD_PING));
    ck_assert(pays(clients[1], CMD_SET));
    ck_assert(!pays(clients[0], CMD_GET));
    ck_assert(!quota_allows(clients[0], 0));
    ck_assert(pays(clients[0], CMD_AUTH) && pays(clients[0], CMD_HELLO));
    ck_assert(pays(clients[0], CMD_RESET) && pays(clients[0], CMD_QUIT));
    quota_paid(clients[2]);
    ck_assert(quota_allows(clients[2], 0) && !quota_allows(clients[2], 1));
    quota_take(clients[2], 1);
    ck_assert(!quota_allows(clients[2], 0));
    ck_assert_uint_eq(t->count.commands, 7);
    room_close();
}
END_TEST

START_TEST(hits_pay_together)
{
    begin(10, 0, false);
    for (uint64_t i = 0; i < 10; i++)
        ck_assert(quota_allows(clients[0], i));
    ck_assert(!quota_allows(clients[0], 10));
    quota_take(clients[0], 6);
    ck_assert(quota_allows(clients[1], 3) && !quota_allows(clients[1], 4));
    in_force(0, 0, false);
    ck_assert(quota_allows(clients[1], 1000000));
    room_close();
}
END_TEST

START_TEST(a_transaction_is_ended_whatever_is_left)
{
    begin(1, 0, false);
    client_session(clients[0])->in_multi = true;
    ck_assert(pays(clients[0], CMD_SET) && !pays(clients[0], CMD_SET));
    ck_assert(pays(clients[0], CMD_EXEC) && pays(clients[0], CMD_DISCARD));
    ck_assert(!pays(clients[1], CMD_EXEC));
    room_close();
}
END_TEST

START_TEST(the_first_to_wait_is_let_on_first)
{
    struct request q = {.command = command_row(CMD_GET)};

    begin(1, 0, true);
    ck_assert(pays(clients[0], CMD_GET));
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(quota_hold(clients[i], &q), LATER);
    ck_assert_uint_eq(t->count.delayed, 3);
    client_close(clients[1], CLOSE_GONE);
    /* Who has not waited does not go in front. */
    t->quota.ops.milli = 1000;
    ck_assert(!pays(clients[3], CMD_GET));
    in_force(0, 0, true);
    ck_assert_int_eq(clients[0]->waits, WAIT_NOTHING);
    ck_assert_int_eq(clients[2]->waits, WAIT_NOTHING);
    ck_assert(list_empty(&t->quota.late));
    room_close();
}
END_TEST

static void owes(struct client *c, uint32_t n)
{
    c->asked += n;
    c->owed += n;
    quota_changed(c);
}

START_TEST(what_is_pending_is_of_all)
{
    begin(0, 10, false);
    owes(clients[0], 4);
    owes(clients[1], 3);
    ck_assert_uint_eq(t->quota.pending, 7);
    ck_assert_uint_eq(client_most_pending(clients[2]), 3);
    ck_assert_uint_eq(client_most_pending(clients[0]), 7);
    client_answered(clients[0], 1);
    ck_assert_uint_eq(client_most_pending(clients[2]), 4);
    owes(clients[2], 4);
    ck_assert_uint_eq(client_most_pending(clients[3]), 0);
    /* Who is blocked may wait for the others. */
    (void)client_wait(clients[2], WAIT_BLOCKED);
    quota_changed(clients[2]);
    ck_assert_uint_eq(t->quota.pending, 6);
    client_wake(clients[2]);
    quota_changed(clients[2]);
    ck_assert_uint_eq(t->quota.pending, 10);
    client_answered(clients[2], 4);
    /* Replies to who has gone are due all the same. */
    client_close(clients[1], CLOSE_GONE);
    ck_assert_uint_eq(t->quota.pending, 6);
    client_answered(clients[1], 3);
    client_answered(clients[0], 3);
    ck_assert_uint_eq(t->quota.pending, 0);
    room_close();
}
END_TEST

START_TEST(who_waits_for_others_is_woken_by_them)
{
    begin(0, 4, false);
    owes(clients[0], 4);
    for (unsigned i = 1; i < CLIENTS; i++) {
        (void)client_wait(clients[i], WAIT_PENDING);
        quota_crowded(clients[i]);
    }
    ck_assert_uint_eq(t->count.paused_pending, 3);
    client_answered(clients[0], 1);
    ck_assert(t->quota.timer == NULL || !timer_running(t->quota.timer));
    client_answered(clients[0], 1);
    ck_assert(timer_running(t->quota.timer));
    client_close(clients[1], CLOSE_GONE);
    in_force(0, 5, false);
    ck_assert_uint_eq(t->quota.pending, 2);
    ck_assert_int_eq(clients[2]->waits, WAIT_NOTHING);
    ck_assert_int_eq(clients[3]->waits, WAIT_NOTHING);
    client_answered(clients[0], 2);
    ck_assert_uint_eq(t->quota.pending, 0);
    room_close();
}
END_TEST

START_TEST(a_reload_counts_anew)
{
    begin(0, 0, false);
    owes(clients[0], 4);
    owes(clients[1], 2);
    client_close(clients[1], CLOSE_GONE);
    in_force(0, 100, false);
    ck_assert_uint_eq(t->quota.pending, 6);
    in_force(0, 0, false);
    client_answered(clients[0], 3);
    in_force(0, 100, false);
    ck_assert_uint_eq(t->quota.pending, 3);
    client_answered(clients[0], 1);
    client_answered(clients[1], 2);
    ck_assert_uint_eq(t->quota.pending, 0);
    room_close();
}
END_TEST

Suite *quota_suite(void)
{
    Suite *s = suite_create("quota");
    TCase *c = tcase_create("quota");

    tcase_add_test(c, a_request_pays_once);
    tcase_add_test(c, hits_pay_together);
    tcase_add_test(c, a_transaction_is_ended_whatever_is_left);
    tcase_add_test(c, the_first_to_wait_is_let_on_first);
    tcase_add_test(c, what_is_pending_is_of_all);
    tcase_add_test(c, who_waits_for_others_is_woken_by_them);
    tcase_add_test(c, a_reload_counts_anew);
    suite_add_tcase(s, c);
    return s;
}
