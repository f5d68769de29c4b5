/* client_command.c - CLIENT: larder's clients are its own, so it answers for them.
 *
 * What asks Redis for a state of the connection (TRACKING, CACHING, NO-TOUCH, subcommands larder
 * does not know) is put to Redis on a lent link; if it succeeds the session keeps that link for
 * life. Ids are larder's own: where one goes upstream (UNBLOCK, TRACKING REDIRECT) it becomes the
 * id of that client's link. */
#include <stdio.h>
#include <string.h>

#include "client/client.h"
#include "client/client_filter.h"
#include "client/redirect.h"
#include "client/tenants.h"
#include "net/loop.h"
#include "resp/write.h"

#define VERSION_7_2 70200u

/* The upstream's id of the link on which that client blocks; 0 when it has none. */
static uint64_t link_id_of(const struct client *c)
{
    return client_lent(c) != NULL ? client_lent(c)->id : 0;
}

/* ---- to Redis ---- */

/* On a lent link; kept for life if `keep` and it succeeds. */
static enum next try_upstream(struct client *c, const struct request *q, bool keep)
{
    struct session *m = client_session(c);
    enum next next;

    if (c->mode == MODE_OWN)
        return client_ask_lent(c, q);
    if (c->mode == MODE_TX) { /* under WATCH: the link is there */
        borrow_keep(c);
        return client_ask_lent(c, q);
    }
    next = borrow(c, LOAN_LONG, c->db);
    if (m->loan.link == NULL)
        return next;
    exchange_ask(c, m->loan.link, q->bytes, EX_OWN_TRY, keep);
    (void)client_wait(c, WAIT_REPLY);
    return NEXT;
}

static enum next pass_on(struct client *c, const struct request *q)
{
    return client_lent(c) != NULL ? client_ask_lent(c, q) : client_ask(c, q);
}

/* CLIENT TRACKING .. REDIRECT id ..: that id is larder's. */
static enum next tracking(struct client *c, const struct request *q)
{
    struct args *words = &c->all->args;
    struct request changed = *q;
    struct buffer text = {0};
    char number[24];
    int64_t id;
    enum next next = NEXT;

    for (uint32_t i = 3; i + 1 < q->argc; i++) {
        uint64_t link_id;

        if (!option_is(q->argv[i], "REDIRECT") || !slice_int(q->argv[i + 1], &id) || id <= 0)
            continue;
        link_id = redirect_link_id(c, (uint64_t)id, &next);
        if (link_id == 0) {
            buffer_done(&text);
            return next;
        }
        (void)snprintf(number, sizeof number, "%llu", (unsigned long long)link_id);
        words->v[i + 1] = slice_str(number);
        write_request(&text, words->v, q->argc);
        changed.bytes = buffer_slice(&text);
    }
    next = try_upstream(c, &changed, option_is(q->argv[2], "ON"));
    buffer_done(&text);
    return next;
}

static enum next unblock(struct client *c, const struct request *q)
{
    struct client *other;
    enum next next = NEXT;
    struct link *l;
    int64_t id;

    if (q->argc == 4 && !option_is(q->argv[3], "TIMEOUT") && !option_is(q->argv[3], "ERROR")) {
        write_error(client_answer(c), "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
        return NEXT;
    }
    if (!slice_int(q->argv[2], &id)) {
        write_error(client_answer(c), "ERR value is not an integer or out of range");
        return NEXT;
    }
    other = client_by_id(c->all, (uint64_t)id);
    /* Whom CLIENT PAUSE holds up cannot be unblocked; to try it is the end of Redis 7.0. */
    if (other == NULL || !tenant_sees(c, other) || other->waits != WAIT_BLOCKED ||
        link_id_of(other) == 0 || other->more->unclear) {
        write_int(client_answer(c), 0);
        return NEXT;
    }
    l = client_lent(c) != NULL ? client_lent(c) : client_link(c, &next);
    if (l == NULL)
        return next;
    /* What the other asked in this turn must be there before it is unblocked. */
    link_flush(other->more->loan.link);
    buffer_done(&c->all->scratch);
    buffer_printf(&c->all->scratch, "*%u\r\n$6\r\nCLIENT\r\n$7\r\nUNBLOCK\r\n", q->argc);
    {
        char number[24];

        (void)snprintf(number, sizeof number, "%llu", (unsigned long long)link_id_of(other));
        write_bulk(&c->all->scratch, slice_str(number));
    }
    if (q->argc == 4)
        write_bulk(&c->all->scratch, q->argv[3]);
    exchange_ask(c, l, buffer_slice(&c->all->scratch), EX_PASS, 0);
    return NEXT;
}

/* ---- names ---- */

static enum next set_name(struct client *c, const struct request *q)
{
    if (!client_name_valid(q->argv[2])) {
        write_error(client_answer(c),
                    "ERR Client names cannot contain spaces, newlines or special characters.");
        return NEXT;
    }
    client_set_text(&client_session(c)->name, q->argv[2]);
    c->more->name_upstream = false;
    write_status(client_answer(c), "OK");
    return NEXT;
}

static enum next get_name(struct client *c)
{
    if (c->more == NULL || c->more->name == NULL)
        write_null(client_answer(c), c->proto);
    else
        write_bulk(client_answer(c), slice_str(c->more->name));
    return NEXT;
}

static enum next set_info(struct client *c, const struct request *q)
{
    bool name = option_is(q->argv[2], "lib-name");

    if (!name && !option_is(q->argv[2], "lib-ver")) {
        write_error(client_answer(c), "ERR Unrecognized option '%.*s'",
                    (int)(q->argv[2].n < 128 ? q->argv[2].n : 128), q->argv[2].p);
    } else if (!client_name_valid(q->argv[3])) {
        write_error(client_answer(c),
                    "ERR %s cannot contain spaces, newlines or special characters.",
                    name ? "lib-name" : "lib-ver");
    } else {
        client_set_text(name ? &client_session(c)->lib_name : &client_session(c)->lib_ver,
                        q->argv[3]);
        write_status(client_answer(c), "OK");
    }
    return NEXT;
}

/* ---- LIST, INFO, KILL ---- */

static enum next info(struct client *c)
{
    struct buffer text = {0};

    client_describe(c, &text);
    write_text(client_answer(c), c->proto, buffer_slice(&text));
    buffer_done(&text);
    return NEXT;
}

static enum next list(struct client *c, const struct request *q)
{
    struct buffer text = {0};
    struct client_filter f = {.skip_me = false};
    int64_t id;

    if (q->argc == 4 && option_is(q->argv[2], "TYPE")) {
        f.by_type = true;
        if (!client_filter_type(&f, q->argv[3], client_answer(c)))
            return NEXT;
    } else if (q->argc > 3 && option_is(q->argv[2], "ID")) {
        for (uint32_t i = 3; i < q->argc; i++) {
            struct client *other;

            if (!slice_int(q->argv[i], &id)) {
                buffer_done(&text);
                write_error(client_answer(c), "ERR Invalid client ID");
                return NEXT;
            }
            other = client_by_id(c->all, (uint64_t)id);
            if (other != NULL && tenant_sees(c, other))
                client_describe(other, &text);
        }
        write_text(client_answer(c), c->proto, buffer_slice(&text));
        buffer_done(&text);
        return NEXT;
    } else if (q->argc != 2) {
        write_error(client_answer(c), "ERR syntax error");
        return NEXT;
    }
    for (list_each (node, &c->all->open)) {
        struct client *other = CONTAINER_OF(node, struct client, node);

        if (client_filter_matches(&f, other) && tenant_sees(c, other))
            client_describe(other, &text);
    }
    write_text(client_answer(c), c->proto, buffer_slice(&text));
    buffer_done(&text);
    return NEXT;
}

/* The caller dies last, and hears the answer first. */
static enum next kill_clients(struct client *c, const struct request *q)
{
    struct client_filter f;
    bool me = false;
    int64_t killed = 0;

    if (!client_filter_parse(&f, c, q, client_answer(c)))
        return NEXT;
    for (list_each_safe (node, next, &c->all->open)) {
        struct client *other = CONTAINER_OF(node, struct client, node);

        if (!tenant_sees(c, other) || !client_filter_matches(&f, other) ||
            (other == c && f.skip_me))
            continue;
        killed++;
        if (other == c)
            me = true;
        else
            client_close(other, CLOSE_KILLED);
    }
    if (f.old_form && killed == 0)
        write_error(client_answer(c), "ERR No such client");
    else if (f.old_form)
        write_status(client_answer(c), "OK");
    else
        write_int(client_answer(c), killed);
    if (me)
        client_end(c, CLOSE_KILLED);
    return me ? GONE : NEXT;
}

/* ---- REPLY, NO-EVICT ---- */

static enum next reply_mode(struct client *c, const struct request *q)
{
    struct session *m = client_session(c);

    if (option_is(q->argv[2], "ON")) {
        m->reply_mode = REPLY_ON;
        write_status(client_answer(c), "OK");
    } else if (option_is(q->argv[2], "OFF")) {
        m->reply_mode = REPLY_OFF;
    } else if (option_is(q->argv[2], "SKIP")) {
        if (m->reply_mode != REPLY_OFF)
            m->reply_mode = REPLY_SKIP_NEXT;
    } else {
        write_error(client_answer(c), "ERR syntax error");
    }
    client_settle(c);
    return NEXT;
}

static enum next no_evict(struct client *c, const struct request *q)
{
    bool on = option_is(q->argv[2], "ON");

    if (!on && !option_is(q->argv[2], "OFF")) {
        write_error(client_answer(c), "ERR syntax error");
        return NEXT;
    }
    c->no_evict = on;
    write_status(client_answer(c), "OK");
    return NEXT;
}

/* A subcommand that came after 7.0: the upstream's version decides whether there is such a one. */
static enum next newer(struct client *c, const struct request *q,
                       enum next (*serve)(struct client *, const struct request *))
{
    enum next next = NEXT;

    if (pool_server_version(c->all->pool) == 0 && client_link(c, &next) == NULL)
        return next;
    if (pool_server_version(c->all->pool) >= VERSION_7_2)
        return serve(c, q);
    unknown_subcommand(client_answer(c), "CLIENT", q->argv[1]);
    return NEXT;
}

static enum next no_touch(struct client *c, const struct request *q)
{
    return try_upstream(c, q, option_is(q->argv[2], "ON"));
}

static enum next redirection(struct client *c, const struct request *q)
{
    if (client_lent(c) == NULL)
        return pass_on(c, q);
    exchange_ask(c, client_lent(c), q->bytes, EX_REDIR, 0);
    return NEXT;
}

enum next client_command_serve(struct client *c, const struct request *q)
{
    const struct command *cmd = q->command;

    if (cmd->id == CMD_CLIENT && q->argc > 1)
        return try_upstream(c, q, true);
    if (!command_arity_ok(cmd, q->argc)) {
        wrong_arity(client_answer(c), cmd->name);
        return NEXT;
    }
    switch (cmd->id) {
    case CMD_CLIENT_ID:
        write_int(client_answer(c), (int64_t)c->id);
        return NEXT;
    case CMD_CLIENT_INFO:
        return info(c);
    case CMD_CLIENT_LIST:
        return list(c, q);
    case CMD_CLIENT_KILL:
        return kill_clients(c, q);
    case CMD_CLIENT_GETNAME:
        return c->mode == MODE_OWN && c->more->name_upstream ? client_ask_lent(c, q) : get_name(c);
    case CMD_CLIENT_SETNAME:
        return set_name(c, q);
    case CMD_CLIENT_SETINFO:
        return newer(c, q, set_info);
    case CMD_CLIENT_PAUSE:
    case CMD_CLIENT_UNPAUSE:
        return pause_serve(c, q);
    case CMD_CLIENT_REPLY:
        return reply_mode(c, q);
    case CMD_CLIENT_NO_EVICT:
        return no_evict(c, q);
    case CMD_CLIENT_NO_TOUCH:
        return newer(c, q, no_touch);
    case CMD_CLIENT_UNBLOCK:
        return unblock(c, q);
    case CMD_CLIENT_TRACKING:
        return tracking(c, q);
    case CMD_CLIENT_CACHING:
        return try_upstream(c, q, true);
    case CMD_CLIENT_GETREDIR:
    case CMD_CLIENT_TRACKINGINFO:
        return redirection(c, q);
    default: /* HELP: Redis knows */
        return pass_on(c, q);
    }
}
