/* local.c - commands that larder answers, or at least decides, itself.
 *
 * As Redis 7 answers them, to the byte. HELLO and AUTH change what lane the session is in; SELECT
 * is put to Redis, for only Redis knows how many databases there are. */
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "client/login.h"
#include "client/outage.h"
#include "client/redirect.h"
#include "client/tenants.h"
#include "net/loop.h"
#include "resp/write.h"

void wrong_arity(struct buffer *out, const char *name)
{
    write_error(out, "ERR wrong number of arguments for '%s' command", name);
}

void unknown_subcommand(struct buffer *out, const char *container, struct slice word)
{
    write_error(out, "ERR unknown subcommand '%.*s'. Try %s HELP.",
                (int)(word.n < 128 ? word.n : 128), word.p, container);
}

/* Redis' words: the arguments quoted, 128 bytes of them in all. */
void unknown_command(struct buffer *out, const struct request *q)
{
    struct buffer args = {0};

    for (uint32_t i = 1; i < q->argc && buffer_len(&args) < 128; i++) {
        size_t room = 128 - buffer_len(&args);

        buffer_printf(&args, "'%.*s' ", (int)(q->argv[i].n < room ? q->argv[i].n : room),
                      q->argv[i].p);
    }
    write_error(out, "ERR unknown command '%.*s', with args beginning with: %.*s",
                (int)(q->argv[0].n < 128 ? q->argv[0].n : 128), q->argv[0].p,
                (int)buffer_len(&args), args.p ? buffer_head(&args) : "");
    buffer_done(&args);
}

bool client_name_valid(struct slice name)
{
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] < '!' || name.p[i] > '~')
            return false;
    }
    return true;
}

void client_set_text(char **field, struct slice value)
{
    free(*field);
    *field = NULL;
    if (value.n == 0)
        return;
    *field = must_alloc(value.n + 1);
    memcpy(*field, value.p, value.n);
    (*field)[value.n] = 0;
}

/* ---- PING, ECHO, QUIT, RESET ---- */

/* Larder answers for an upstream that keeps pace. Where one is slow to answer, PING goes there: it
 * may be busy with a script, and that is what PING would tell. */
static enum next ping(struct client *c, const struct request *q)
{
    if (q->argc <= 2 && lane_is_slow(c->lane) && c->mode == MODE_PLAIN)
        return client_ask(c, q);
    if (q->argc > 2)
        wrong_arity(client_answer(c), "ping");
    else if (q->argc == 2)
        write_bulk(client_answer(c), q->argv[1]);
    else
        write_status(client_answer(c), "PONG");
    return NEXT;
}

static enum next quit(struct client *c)
{
    if (c->more != NULL && !subscriptions_quiet(&c->more->subs))
        return client_wait(c, WAIT_DRAIN);
    write_status(client_answer(c), "OK");
    client_end(c, CLOSE_QUIT);
    return GONE;
}

void client_join_lane(struct client *c, struct lane *lane)
{
    lane_release(c->lane);
    c->lane = lane;
    c->scope = 0;
    c->link = NULL;
    c->link_number = 0;
}

/* Back to what a new connection is: RESP2, no name, no state, and not logged in. */
static enum next reset(struct client *c)
{
    struct session *m = client_session(c);

    if (!client_drained(c) || !subscriptions_quiet(&m->subs))
        return client_wait(c, WAIT_DRAIN);
    if (m->sub.link != NULL)
        loan_end(&m->sub, LOAN_CLOSE);
    if (m->loan.link != NULL)
        loan_end(&m->loan, c->mode == MODE_TX ? LOAN_DISCARD : LOAN_CLOSE);
    c->mode = MODE_PLAIN;
    subscriptions_done(&m->subs);
    client_count_listening(c);
    m->name_upstream = m->multi_asked = false;
    m->in_multi = m->watching = m->want_exec_db = m->monitor = false;
    m->multi_refused = m->watch_refused = false;
    m->wish = (struct pause_wish){0};
    m->reply_mode = REPLY_ON;
    client_set_text(&m->name, slice_of("", 0));
    c->no_evict = false;
    c->proto = 2;
    c->db = pool_database(c->all->pool);
    c->scope = 0;
    client_join_lane(c, lane_hold_default(c->all->pool, 2));
    tenant_join(c, NULL);
    tenant_greet(c);
    client_settle(c);
    write_status(client_answer(c), "RESET");
    return NEXT;
}

/* A change of the session that could not be put to Redis: what the client has sent behind it must
 * not run as if nothing had been said - in another database, as another user. */
enum next client_part(struct client *c)
{
    client_end(c, CLOSE_UPSTREAM);
    return GONE;
}

/* A link on which the session was only to hear of invalidations speaks the old protocol: it goes,
 * and Redis tells whoever had redirected them there. Others come by a new one. */
void client_set_proto(struct client *c, int32_t proto)
{
    struct session *m = c->more;

    if (m != NULL && c->proto != proto &&
        (m->sub.waiting || (m->sub.link != NULL && !m->sub.link->listening))) {
        loan_end(&m->sub, LOAN_CLOSE);
        redirect_settled(c, NULL);
    }
    c->proto = (uint8_t)proto;
}

/* ---- SELECT ---- */

/* SELECT goes to Redis: over a shared link that is in that database already, where it changes
 * nothing; else over a lent link, which then serves whoever is in that database. A shared link in
 * use never changes its database. A session with a link of its own says it there. */
static enum next select_db(struct client *c, const struct request *q)
{
    bool lent = c->mode != MODE_PLAIN;
    enum next next;
    struct link *l;
    int64_t db;

    if (!client_drained(c))
        return client_wait(c, WAIT_DRAIN);
    if (q->argc != 2 || !slice_int(q->argv[1], &db) || db < 0 || db > INT32_MAX)
        return lent ? client_ask_lent(c, q) : client_ask(c, q); /* an error */
    (void)client_session(c);
    if (!lent && outage_select(c, db))
        return NEXT;
    l = lent ? client_lent(c) : c->more->loan.link == NULL ? lane_link_in(c->lane, (int)db) : NULL;
    if (l == NULL) {
        next = borrow(c, LOAN_POOL, -1);
        l = client_lent(c);
        if (l == NULL)
            return next == NEXT ? client_part(c) : next;
    }
    exchange_ask(c, l, q->bytes, EX_SELECT, (int32_t)db);
    (void)client_wait(c, WAIT_REPLY);
    return NEXT;
}

void local_selected(struct client *c, int32_t db, bool ok)
{
    struct link *l = client_lent(c);

    if (ok)
        pool_note_db(c->all->pool, db);
    if (ok && c->db != db) {
        c->db = db;
        c->scope = 0;
        c->link = NULL;
        c->link_number = 0;
    }
    if (l == NULL)
        return;
    if (ok)
        l->db = db;
    if (c->mode == MODE_PLAIN)
        loan_end(&c->more->loan, LOAN_CLEAN);
}

/* ---- HELLO ---- */

void local_logged_in(struct client *c, enum exchange_kind kind, bool ok, int32_t proto)
{
    struct session *m = c->more;

    if (ok && proto != 0)
        client_set_proto(c, proto);
    if (ok && m->next_name != NULL)
        client_set_text(&m->name, slice_str(m->next_name));
    client_set_text(&m->next_name, slice_of("", 0));
    if (kind == EX_OWN_HELLO || m->next_lane == NULL)
        return;
    if (ok) {
        loan_move(&m->loan, m->next_lane);
        client_join_lane(c, m->next_lane);
    } else {
        c->all->count.auth_failures += kind == EX_AUTH;
        lane_release(m->next_lane);
    }
    m->next_lane = NULL;
    borrow_return(c, LOAN_CLEAN);
}

struct hello {
    int32_t proto; /* 0: none said */
    bool auth, named, name_later;
    struct slice user, password, name;
};

/* False when it was answered by an error. */
static bool parse_hello(struct client *c, const struct request *q, struct hello *h)
{
    int64_t proto = 0;

    *h = (struct hello){0};
    if (q->argc >= 2 && !slice_int(q->argv[1], &proto)) {
        write_error(client_answer(c), "ERR Protocol version is not an integer or out of range");
        return false;
    }
    if (q->argc >= 2 && proto != 2 && proto != 3) {
        write_error(client_answer(c), "NOPROTO unsupported protocol version");
        return false;
    }
    h->proto = (int32_t)proto;
    for (uint32_t i = 2; i < q->argc; i++) {
        if (option_is(q->argv[i], "AUTH") && i + 2 < q->argc) {
            h->auth = true;
            h->user = q->argv[i + 1];
            h->password = q->argv[i + 2];
            i += 2;
        } else if (option_is(q->argv[i], "SETNAME") && i + 1 < q->argc) {
            h->named = true;
            h->name = q->argv[++i];
            /* Redis takes the options one by one: a name before AUTH holds even if that fails. */
            h->name_later = h->auth;
        } else {
            write_error(client_answer(c), "ERR Syntax error in HELLO option '%.*s'",
                        (int)(q->argv[i].n < 128 ? q->argv[i].n : 128), q->argv[i].p);
            return false;
        }
        if (h->named && !client_name_valid(h->name)) {
            write_error(client_answer(c),
                        "ERR Client names cannot contain spaces, newlines or special characters.");
            return false;
        }
        if (h->named && !h->name_later)
            client_set_text(&client_session(c)->name, h->name);
    }
    return true;
}

static enum next hello_login(struct client *c, const struct hello *h)
{
    struct slice argv[] = {SLICE("HELLO"), h->proto == 3 ? SLICE("3") : SLICE("2"), SLICE("AUTH"),
                           h->user, h->password};
    struct buffer copy = {0};
    enum next next;

    write_request(&copy, argv, ARRAY_LEN(argv));
    next = login_upstream(c, h->user, h->password, buffer_slice(&copy), h->proto);
    buffer_done(&copy);
    return next;
}

/* HELLO without a login: the session changes to the lane of that protocol, and is told what the
 * upstream said there when larder said HELLO. */
static enum next hello_switch(struct client *c, const struct hello *h)
{
    int proto = h->proto ? h->proto : c->proto;
    struct lane *lane = lane_hold_sibling(c->lane, proto);
    struct buffer text = {0};
    struct slice refusal;
    enum next next = NEXT;
    struct link *l;

    if (!lane_hello(lane, c->id, &text, &refusal) && !outage_hello(c, lane, &text)) {
        l = lane_link(lane, c->db);
        if (l == NULL) {
            next = client_no_link(c, lane);
        } else {
            /* A lane that a client's own login began has heard no HELLO of larder's. */
            client_set_proto(c, proto);
            client_join_lane(c, lane_hold_sibling(lane, proto));
            write_command(&text, "HELLO", proto == 3 ? "3" : "2", NULL);
            exchange_ask(c, l, buffer_slice(&text), EX_HELLO, proto);
            (void)client_wait(c, WAIT_REPLY);
        }
        lane_release(lane);
        buffer_done(&text);
        return next;
    }
    if (refusal.n > 0) {
        buffer_add(client_answer(c), refusal.p, refusal.n);
        lane_release(lane);
        return NEXT;
    }
    client_set_proto(c, proto);
    client_join_lane(c, lane);
    buffer_add(client_answer(c), buffer_head(&text), buffer_len(&text));
    buffer_done(&text);
    return NEXT;
}

static enum next hello(struct client *c, const struct request *q)
{
    bool here = logs_in_here(c);
    struct hello h;
    enum login login = LOGIN_OK;
    enum next next;

    if (!client_drained(c))
        return client_wait(c, WAIT_DRAIN);
    if (!parse_hello(c, q, &h))
        return NEXT;
    if (h.auth && here)
        login = login_here(c, h.user, h.password);
    if (login != LOGIN_OK)
        return login_failed(c, login);
    if (!c->authenticated) {
        write_error(
            client_answer(c),
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the "
            "HELLO AUTH <user> <pass> option can be used to authenticate the client and "
            "select the RESP protocol version at the same time");
        return NEXT;
    }
    if (c->mode == MODE_OWN) {
        exchange_ask(c, client_lent(c), q->bytes, EX_OWN_HELLO, h.proto);
        (void)client_wait(c, WAIT_REPLY);
        next = NEXT;
    } else {
        next = h.auth && !here ? hello_login(c, &h) : hello_switch(c, &h);
    }
    if (next == NEXT && h.name_later && c->waits == WAIT_NOTHING)
        client_set_text(&client_session(c)->name, h.name);
    else if (next == NEXT && h.name_later) /* if and when Redis says yes */
        client_set_text(&c->more->next_name, h.name);
    return next;
}

/* ---- INFO, LARDER ---- */

static bool wants_section(const struct request *q)
{
    for (uint32_t i = 1; i < q->argc; i++) {
        if (slice_is(q->argv[i], "all") || slice_is(q->argv[i], "everything") ||
            slice_is(q->argv[i], "default") || slice_is(q->argv[i], "larder"))
            return true;
    }
    return q->argc == 1;
}

static enum next info(struct client *c, const struct request *q)
{
    bool section = wants_section(q);
    enum next next = NEXT;
    struct link *l;

    if (c->tenant != NULL) {
        struct buffer text = {0};

        tenant_info(c, &text);
        write_text(client_answer(c), c->proto, buffer_slice(&text));
        buffer_done(&text);
        return NEXT;
    }
    if (outage_info(c))
        return NEXT;
    if (!section && !c->all->pause.on)
        return client_lent(c) != NULL ? client_ask_lent(c, q) : client_ask(c, q);
    l = client_lent(c) != NULL ? client_lent(c) : client_link(c, &next);
    if (l == NULL)
        return next;
    exchange_ask(c, l, q->bytes, EX_INFO, section);
    return NEXT;
}

static enum next larder(struct client *c, const struct request *q)
{
    const struct console *console = c->all->console;
    enum console_word word = console->word(q->argv, q->argc);

    if (word != CONSOLE_OTHER)
        return near_console(c, q, word);
    console->command(console->context, q->argv, q->argc, c->proto, client_answer(c));
    return NEXT;
}

enum next local_serve(struct client *c, const struct request *q)
{
    const struct command *cmd = q->command;

    if (cmd->id >= CMD_CLIENT && cmd->id < CMD_CLUSTER)
        return client_command_serve(c, q);
    if (!command_arity_ok(cmd, q->argc) && cmd->id != CMD_QUIT) {
        wrong_arity(client_answer(c), cmd->name);
        return NEXT;
    }
    switch (cmd->id) {
    case CMD_PING:
        return ping(c, q);
    case CMD_ECHO:
        write_bulk(client_answer(c), q->argv[1]);
        return NEXT;
    case CMD_QUIT:
        return quit(c);
    case CMD_RESET:
        return reset(c);
    case CMD_SELECT:
        return select_db(c, q);
    case CMD_AUTH:
        return auth_serve(c, q);
    case CMD_HELLO:
        return hello(c, q);
    case CMD_INFO:
        return info(c, q);
    case CMD_LARDER:
        return larder(c, q);
    default:
        return client_ask(c, q);
    }
}
