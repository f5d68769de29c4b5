/* login.c - AUTH, and that of HELLO.
 *
 *     the listener has a password        checked here; else ..
 *     there are tenants                  a tenant's name and password, checked here; else ..
 *     neither                            put to the upstream, whose user the session then is
 *
 * Where there are tenants a wrong password is answered after LOGIN_DELAY_MS, and what the client
 * says behind it waits as long: so one connection cannot try many. */
#include "client/login.h"

#include <string.h>

#include "client/outage.h"
#include "client/tenants.h"
#include "net/digest.h"
#include "net/loop.h"
#include "resp/write.h"

static bool tenant_password_is(const struct tenant_settings *set, struct slice password)
{
    if (*set->password_sha256)
        return digest_is_sha256(slice_str(set->password_sha256), password);
    /* Without a password nobody logs in; the time it takes says no more than the settings do. */
    return digest_equal(slice_str(set->password), password) && *set->password != 0;
}

/* Nothing of the session is about the names of who it was: subscriptions, tracking. */
static bool is_fresh(const struct client *c)
{
    const struct session *m = c->more;

    return c->mode == MODE_PLAIN && (m == NULL || (m->sub.link == NULL && !m->sub.waiting &&
                                                   !m->named && m->loan.link == NULL));
}

/* Who `user` is; false: nobody, or not with that password. *ret NULL: the listener's own password
 * was said. */
static bool who_is(const struct client *c, struct slice user, struct slice password,
                   struct tenant **ret)
{
    const struct listener_settings *set = listener_settings(c->listener);
    static const struct tenant_settings nobody = {.password = "", .password_sha256 = ""};
    struct tenant *t = tenants_find(c->all->tenants, user);

    *ret = NULL;
    if (slice_eq(user, SLICE("default"))) {
        *ret = *set->tenant ? tenants_find(c->all->tenants, slice_str(set->tenant))
                            : c->all->tenants->common;
        return digest_equal(slice_str(set->password), password) && *set->password;
    }
    /* As long as for one that is there. */
    if (!tenant_password_is(t != NULL ? t->set : &nobody, password)) {
        if (t != NULL)
            t->count.auth_failures++;
        return false;
    }
    *ret = t;
    return !*set->tenant || strcmp(set->tenant, t->name) == 0;
}

static enum login tenant_login(struct client *c, struct slice user, struct slice password)
{
    struct tenant *t;

    if (!who_is(c, user, password, &t) || (t != c->tenant && !is_fresh(c)))
        return LOGIN_WRONG;
    if (t != c->tenant && tenant_is_full(t))
        return LOGIN_FULL;
    tenant_join(c, t);
    return LOGIN_OK;
}

static enum login listener_login(const struct client *c, struct slice user, struct slice password)
{
    const char *want = listener_settings(c->listener)->password;
    bool ok = digest_equal(slice_str(want), password) && slice_eq(user, SLICE("default"));

    return ok ? LOGIN_OK : LOGIN_WRONG;
}

/* ---- answers that come late ---- */

/* When the first of them is due. */
static void wait_for_next(struct clients *all)
{
    const struct held *h;
    uint64_t due_ms, now_ms = loop_now_ms(all->loop);

    if (list_empty(&all->tenants->late))
        return;
    h = CONTAINER_OF(CONTAINER_OF(all->tenants->late.next, struct waiter, node), struct held,
                     waiter);
    due_ms = h->client->more->walls.late_ms;
    timer_start(all->tenants->late_timer, due_ms > now_ms ? due_ms - now_ms : 0);
}

void tenants_late(void *context)
{
    struct clients *all = context;
    uint64_t now_ms = loop_now_ms(all->loop);

    while (!list_empty(&all->tenants->late)) {
        struct held *h = CONTAINER_OF(CONTAINER_OF(all->tenants->late.next, struct waiter, node),
                                      struct held, waiter);
        struct buffer error = {0};

        if (h->client->more->walls.late_ms > now_ms)
            break;
        write_error(&error, "%s", h->client->more->walls.late_error);
        client_keep_promise(h, buffer_slice(&error));
        buffer_done(&error);
    }
    wait_for_next(all);
}

static enum next tenant_answer_late(struct client *c, const char *error)
{
    struct tenants *ts = c->all->tenants;
    struct session *m = client_session(c);

    m->walls.late_ms = client_now(c) + LOGIN_DELAY_MS;
    m->walls.late_error = error;
    list_push_back(&ts->late, &client_promise(c)->waiter.node);
    if (!timer_running(ts->late_timer))
        timer_start(ts->late_timer, LOGIN_DELAY_MS);
    (void)client_wait(c, WAIT_DRAIN);
    return NEXT;
}

/* ---- whoever's ---- */

/* Is a login decided here, and not by the upstream? */
bool logs_in_here(const struct client *c)
{
    return listener_settings(c->listener)->password[0] != 0 || tenants_ask_login(c);
}

enum login login_here(struct client *c, struct slice user, struct slice password)
{
    enum login how =
        tenants_ask_login(c) ? tenant_login(c, user, password) : listener_login(c, user, password);

    c->authenticated |= how == LOGIN_OK;
    c->all->count.auth_failures += how == LOGIN_WRONG;
    client_settle(c);
    return how;
}

static const char wrong_password[] =
    "WRONGPASS invalid username-password pair or user is disabled.";

enum next login_failed(struct client *c, enum login how)
{
    if (how == LOGIN_FULL)
        write_error(client_answer(c), "ERR max number of clients reached");
    else if (tenants_ask_login(c))
        return tenant_answer_late(c, wrong_password);
    else
        write_error(client_answer(c), "%s", wrong_password);
    return NEXT;
}

/* Puts the login, and what it came in, to Redis on a lent link, which joins that user's lane. */
enum next login_upstream(struct client *c, struct slice user, struct slice password,
                         struct slice bytes, int32_t proto)
{
    struct session *m = client_session(c);
    struct slice name = slice_eq(user, SLICE("default")) ? slice_of("", 0) : user;
    bool any_db = lane_wants_login(c->lane) || m->login_any_db;
    enum next next;

    if (client_drained(c) && outage_login(c, name, password, proto))
        return NEXT;
    /* The link takes its database along into the new lane, for that user may not be allowed SELECT.
     * If the present one is not, it has to be a link in any. */
    if (m->loan_refused && buffer_len(&m->loan_error) > 0 && !any_db) {
        m->loan_refused = false;
        m->login_any_db = any_db = true;
    }
    next = borrow(c, LOAN_POOL, any_db ? -1 : c->db);
    if (m->loan.link == NULL)
        return next == NEXT ? client_part(c) : next;
    m->next_lane = lane_hold(c->all->pool, name, password, proto ? proto : c->proto);
    m->login_any_db = false;
    exchange_ask(c, m->loan.link, bytes, proto ? EX_HELLO : EX_AUTH, proto);
    (void)client_wait(c, WAIT_REPLY);
    return NEXT;
}

enum next auth_serve(struct client *c, const struct request *q)
{
    struct slice user = q->argc == 3 ? q->argv[1] : SLICE("default");
    enum login how;

    if (q->argc > 3) {
        write_error(client_answer(c), "ERR syntax error");
        return NEXT;
    }
    if (!logs_in_here(c))
        return login_upstream(c, user, q->argv[q->argc - 1], q->bytes, 0);
    if (tenants_ask_login(c) && !client_quiet(c)) /* what is due is of who it was */
        return client_wait(c, WAIT_DRAIN);
    how = login_here(c, user, q->argv[q->argc - 1]);
    if (how != LOGIN_OK)
        return login_failed(c, how);
    write_status(client_answer(c), "OK");
    return NEXT;
}
