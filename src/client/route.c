/* route.c - where a request goes that does not go straight to the shared link: what is refused to
 * whom, and which file has the rest of its way, by the state of the session and the command. */
#include "client/client.h"
#include "client/near.h"
#include "client/outage.h"
#include "client/quota.h"
#include "client/rules.h"
#include "client/tenants.h"
#include "client/turns.h"
#include "client/unknown.h"
#include "net/loop.h"
#include "resp/write.h"

#include <ctype.h>
#include <string.h>

/* Within MULTI a refusal spoils the transaction, as Redis' own would. */
enum next client_refuse(struct client *c, const struct request *q)
{
    if (tx_unclear(c))
        return client_wait(c, WAIT_DRAIN);
    if (c->more != NULL && c->more->in_multi)
        c->more->spoilt = true;
    c->all->count.commands_refused++;
    write_error(client_answer(c),
                "NOPERM '%s' is refused by larder: it administers the server. Set admin_commands = "
                "allow to let it pass",
                q->command->name);
    return NEXT;
}

/* Redis looks for what is wrong with the command before it asks for a login. */
static void refuse_stranger(struct client *c, const struct request *q)
{
    const struct command *cmd = q->command;
    char container[16];

    c->all->count.commands_refused++;
    if (cmd == NULL) {
        unknown_command(client_answer(c), q);
    } else if ((cmd->flags & CF_CONTAINER) != 0 && q->argc > 1) {
        for (size_t i = 0; i < sizeof container; i++)
            container[i] = (char)toupper(
                (unsigned char)cmd->name[i < strlen(cmd->name) ? i : strlen(cmd->name)]);
        container[sizeof container - 1] = 0;
        unknown_subcommand(client_answer(c), container, q->argv[1]);
    } else if (!command_arity_ok(cmd, q->argc)) {
        wrong_arity(client_answer(c), cmd->name);
    } else {
        write_error(client_answer(c), "%sNOAUTH Authentication required.",
                    cmd->id == CMD_EXEC ? "EXECABORT Transaction discarded because of: " : "");
    }
}

/* Redis closes at once, and logs: a web page may have made a browser send this. */
static bool is_http(const struct request *q)
{
    return slice_is(q->argv[0], "POST") || slice_is(q->argv[0], "Host:");
}

bool request_has_nul(const struct request *q)
{
    const struct command *cmd = q->command;
    bool container = cmd != NULL && (cmd->flags & CF_CONTAINER) != 0 && q->argc > 1;

    return (cmd == NULL && memchr(q->argv[0].p, 0, q->argv[0].n) != NULL) ||
           (container && memchr(q->argv[1].p, 0, q->argv[1].n) != NULL);
}

static enum next route_unknown(struct client *c, const struct request *q)
{
    struct link *l = lane_link_in(c->lane, c->db);

    /* What the lent link was asked for must be used, even if meanwhile the answer has come. */
    if (client_lent(c) == NULL && (c->more == NULL || !c->more->loan_refused) &&
        unknown_is_plain(&c->all->unknowns, q->argv[0], l))
        return client_ask(c, q);
    return borrow_serve(c, q);
}

static enum next route_plain(struct client *c, const struct request *q)
{
    const struct command *cmd = q->command;

    if (cmd == NULL)
        return route_unknown(c, q);
    switch ((enum route)cmd->route) {
    case ROUTE_SHARED:
        if (UNLIKELY(c->all->outage != NULL) && outage_serve(c, q))
            return NEXT;
        return c->all->near != NULL ? near_ask(c, q) : slide_ask(c, q);
    case ROUTE_LOCAL:
        return local_serve(c, q);
    case ROUTE_TX:
        return tx_serve(c, q);
    case ROUTE_SUBSCRIBE:
        return subscribe_serve(c, q);
    case ROUTE_BLOCK:
        if (UNLIKELY(c->all->outage != NULL) && outage_serve(c, q))
            return NEXT;
        return borrow_serve(c, q);
    case ROUTE_WAIT:
    case ROUTE_LENT:
    case ROUTE_MONITOR:
        return borrow_serve(c, q);
    case ROUTE_OWN:
        return borrow_own(c, q);
    }
    return NEXT;
}

/* Only Redis can tell whether CLIENT PAUSE holds it up. So it stays, even if meanwhile the pause is
 * over: a link is on its way. */
static bool is_unclear(const struct client *c, const struct request *q)
{
    return (c->more != NULL && c->more->unclear) ||
           (UNLIKELY(c->all->pause.on) && pause_effect(c, q) == PAUSE_UNCLEAR);
}

/* The state of the session is on a link to an upstream that is away. Who only listens is left
 * alone: what he is told comes by itself when it is back. */
static bool is_stuck(const struct client *c, const struct command *cmd)
{
    if (c->mode == MODE_LISTEN || (c->mode == MODE_OWN && client_lent(c)->raw))
        return false;
    return cmd == NULL || cmd->id != CMD_LARDER || c->more->in_multi;
}

/* It is told so at once, and must begin anew, as when the link breaks. */
static enum next cut_off(struct client *c)
{
    (void)client_answer_away(c);
    client_end(c, CLOSE_UPSTREAM);
    return GONE;
}

enum next client_route_on(struct client *c, const struct request *q)
{
    if (is_unclear(c, q))
        return borrow_unclear(c, q);
    switch ((enum mode)c->mode) {
    case MODE_PLAIN:
        return route_plain(c, q);
    case MODE_TX:
        return tx_serve(c, q);
    case MODE_LISTEN:
        return listen_serve(c, q);
    case MODE_OWN:
        return own_serve(c, q);
    }
    return NEXT;
}

enum next client_route(struct client *c, const struct request *q)
{
    const struct command *cmd = q->command;
    uint16_t id = cmd != NULL ? cmd->id : CMD_UNKNOWN;

    if (id == CMD_QUIT || id == CMD_RESET)
        return local_serve(c, q);
    if (UNLIKELY(q->throttled))
        return quota_hold(c, q);
    /* Redis looks its commands up as C strings: "CONFIG SET\0x" could pass for CONFIG SET there. */
    if (request_has_nul(q)) {
        unknown_command(client_answer(c), q);
        return NEXT;
    }
    if (UNLIKELY(c->tenant != NULL) && (q->put > NAMESPACE_PUT || tenant_forbids(c, q)))
        return tenant_refuse(c, q);
    if (cmd == NULL && is_http(q)) {
        log_warning(loop_log(c->all->loop),
                    "client: HTTP on a RESP port, id=%llu: perhaps an attack",
                    (unsigned long long)c->id);
        client_close(c, CLOSE_HTTP);
        return GONE;
    }
    if (!c->authenticated && (cmd == NULL || (cmd->flags & CF_NO_AUTH) == 0)) {
        refuse_stranger(c, q);
        return NEXT;
    }
    /* An upstream that wants a login larder cannot give: what larder answers itself is no more open
     * to strangers than the rest. */
    if (cmd != NULL && cmd->route == ROUTE_LOCAL && (cmd->flags & CF_NO_AUTH) == 0 &&
        lane_wants_login(c->lane)) {
        refuse_stranger(c, q);
        return NEXT;
    }
    if (cmd != NULL && (cmd->flags & c->all->refused_flags) != 0)
        return client_refuse(c, q);
    if (UNLIKELY(c->mode != MODE_PLAIN) && pool_is_out(c->all->pool) && is_stuck(c, cmd))
        return cut_off(c);
    if (UNLIKELY(c->all->pause.on) && !is_unclear(c, q) && pause_effect(c, q) == PAUSE_HOLDS)
        return client_wait(c, WAIT_PAUSE);
    if (c->owed + c->promised >= client_most_pending(c) || c->promised == UINT16_MAX) {
        c->all->count.paused_pending++;
        (void)client_wait(c, WAIT_PENDING);
        if (UNLIKELY(c->heavy))
            heavy_waits(c);
        if (UNLIKELY(c->tenant != NULL))
            quota_crowded(c);
        return LATER;
    }
    if (c->more != NULL && c->more->multi_refused)
        return tx_refused_serve(c, q);
    if (UNLIKELY(c->tenant != NULL) && cmd->tenant == TENANT_OWN && cmd->route == ROUTE_SHARED)
        return sweep_serve(c, q);
    return UNLIKELY(c->all->rules != NULL) ? rules_serve(c, q) : client_route_on(c, q);
}
