/* transaction.c - WATCH, MULTI, EXEC: a session with a link to itself while they are in force.
 *
 *     PLAIN --WATCH or MULTI, link lent--> TX --EXEC, DISCARD, UNWATCH answered,--> PLAIN
 *                                          |    nothing watched, no MULTI open
 *                                          +--- what larder does not model -------> OWN
 *
 * Whether MULTI or WATCH is in force is told from the replies, not from the requests: MULTI may be
 * refused, EXEC may be. The session goes back to its shared link when nothing is unanswered and
 * neither is in force; until then everything it says goes to the lent link, to be QUEUED or not. */
#include "client/client.h"
#include "net/loop.h"
#include "resp/write.h"

/* Commands that change the connection itself when EXEC runs them: what then holds cannot be told
 * from outside, so the session keeps the link. */
static bool changes_link(const struct command *cmd)
{
    return cmd != NULL &&
           (cmd->route == ROUTE_OWN || cmd->route == ROUTE_SUBSCRIBE ||
            cmd->route == ROUTE_MONITOR || cmd->id == CMD_AUTH || cmd->id == CMD_HELLO ||
            (cmd->id >= CMD_CLIENT && cmd->id < CMD_CLUSTER && cmd->id != CMD_CLIENT_PAUSE &&
             cmd->id != CMD_CLIENT_UNPAUSE));
}

static bool in_force(const struct session *m)
{
    return m->in_multi || m->watching;
}

/* Back to the shared link: everything is answered, nothing in force. */
void tx_leave(struct client *c)
{
    struct session *m = c->more;

    if (c->mode != MODE_TX || in_force(m))
        return;
    c->mode = MODE_PLAIN;
    loan_end(&m->loan, LOAN_CLEAN);
    client_settle(c);
    slide_tx_over(c);
    if (c->waits != WAIT_NOTHING)
        client_wake(c);
}

void tx_replied(struct client *c, enum exchange_kind kind, char type, struct slice bytes)
{
    struct session *m = c->more;
    bool aborted = slice_starts(bytes, SLICE("-EXECABORT"));

    m->multi_asked &= kind != EX_MULTI;
    if (kind == EX_EXEC || kind == EX_ABORT) {
        m->loan.patient = false;
        borrow_judged(c);
    }
    if (kind == EX_MULTI && type == '+' && !m->in_multi) {
        m->in_multi = true;
        m->wish = (struct pause_wish){0};
        m->spoilt = m->watch_refused;
        m->queued = m->tx_sent = m->cuts.n = m->walls.tx_names_n = 0;
    } else if (kind == EX_WATCH)
        m->watching |= type == '+';
    else if (kind == EX_UNWATCH)
        m->watching &= m->in_multi || type != '+'; /* within MULTI it is only queued */
    else if (kind != EX_MULTI && (type != '-' || aborted))
        m->in_multi = m->watching = m->watch_refused = false;
    if (c->mode == MODE_OWN && !m->in_multi)
        slide_tx_over(c);
    if (in_force(m) || c->mode != MODE_TX || c->owed > 1 || m->muted_owed > 0)
        return;
    if (m->want_exec_db && client_lent(c) != NULL) {
        m->want_exec_db = false;
        buffer_done(&c->all->scratch);
        write_command(&c->all->scratch, "CLIENT", "INFO", NULL);
        exchange_ask(c, client_lent(c), buffer_slice(&c->all->scratch), EX_EXEC_DB, 0);
        return;
    }
    tx_leave(c);
}

static enum next ask(struct client *c, const struct request *q, enum exchange_kind kind)
{
    if (link_full(client_lent(c)))
        return client_wait(c, WAIT_ROOM);
    exchange_ask(c, client_lent(c), q->bytes, kind, 0);
    if (kind == EX_EXEC)
        pause_asked(c);
    return NEXT;
}

/* Everything said may end the transaction: what follows EXEC, DISCARD or UNWATCH waits for their
 * replies, for it may belong on the shared link. */
static enum next ask_and_wait(struct client *c, const struct request *q, enum exchange_kind kind)
{
    enum next next = ask(c, q, kind);

    if (next == NEXT)
        (void)client_wait(c, c->more->loan.patient ? WAIT_BLOCKED : WAIT_DRAIN);
    return next;
}

/* Larder has not begun it, and the client was told. What it has sent behind that is meant for the
 * transaction and must not run outside: all or nothing. A client that waits for each reply knows.
 */
void tx_note_refused(struct client *c, const struct request *q)
{
    struct session *m = client_session(c);

    if (!q->more)
        return;
    if (q->command->id == CMD_MULTI)
        m->multi_refused = true;
    else
        m->watch_refused = true;
    client_settle(c);
}

/* Between a MULTI that larder refused and its EXEC. */
enum next tx_refused_serve(struct client *c, const struct request *q)
{
    uint16_t id = q->command != NULL ? q->command->id : CMD_UNKNOWN;

    if (id == CMD_EXEC)
        write_error(client_answer(c),
                    "EXECABORT Transaction discarded because of previous errors.");
    else if (id == CMD_DISCARD)
        write_status(client_answer(c), "OK");
    else
        write_error(client_answer(c),
                    "UPSTREAM the MULTI before it was refused; the command was not executed");
    if (id == CMD_EXEC || id == CMD_DISCARD) {
        c->more->multi_refused = c->more->watch_refused = false;
        client_settle(c);
    }
    return NEXT;
}

static enum next begin(struct client *c, const struct request *q, enum exchange_kind kind)
{
    struct session *m = client_session(c);
    enum next next;

    if (m->loan.link == NULL) {
        next = borrow(c, LOAN_POOL, c->db);
        if (m->loan.link == NULL && next == NEXT)
            tx_note_refused(c, q);
        if (m->loan.link == NULL)
            return next;
    }
    c->mode = MODE_TX;
    m->in_multi = m->watching = m->want_exec_db = false;
    client_settle(c);
    return ask_and_wait(c, q, kind);
}

/* A transaction that larder has spoilt is discarded in Redis, and the client told as Redis would.
 */
enum next tx_exec(struct client *c, const struct request *q)
{
    static const struct slice discard = {"*1\r\n$7\r\nDISCARD\r\n", 17};
    struct request instead = *q;

    if (!c->more->spoilt || !c->more->in_multi)
        return ask_and_wait(c, q, EX_EXEC);
    instead.bytes = discard;
    return ask_and_wait(c, &instead, EX_ABORT);
}

/* What larder cannot have queued spoils the transaction, as an error of Redis would. */
enum next tx_refuse(struct client *c, const char *what)
{
    c->more->spoilt = true;
    write_error(client_answer(c), "ERR %s within a transaction is refused by larder", what);
    return NEXT;
}

/* Whether a MULTI is in force is not known before it is answered: until then nothing can be told of
 * what stands behind it, as in tx_serve() and own_serve(). */
bool tx_unclear(const struct client *c)
{
    return (c->mode == MODE_TX && !c->more->in_multi && c->owed > 0) ||
           (c->mode == MODE_OWN && c->more->multi_asked);
}

/* Within MULTI it is queued. */
static enum next unwatch(struct client *c, const struct request *q)
{
    enum next next = ask_and_wait(c, q, EX_UNWATCH);

    c->more->tx_sent += next == NEXT && c->more->in_multi;
    return next;
}

enum next tx_serve(struct client *c, const struct request *q)
{
    uint16_t id = q->command != NULL ? q->command->id : CMD_UNKNOWN;

    if (c->mode == MODE_PLAIN) {
        if (id == CMD_MULTI || id == CMD_WATCH)
            return begin(c, q, id == CMD_MULTI ? EX_MULTI : EX_WATCH);
        /* EXEC, DISCARD without MULTI are Redis' to refuse; UNWATCH without WATCH does nothing. */
        return client_ask(c, q);
    }
    switch (id) {
    case CMD_MULTI:
        return ask(c, q, EX_MULTI);
    case CMD_WATCH:
        return ask(c, q, EX_WATCH);
    case CMD_EXEC:
        return tx_exec(c, q);
    case CMD_DISCARD:
        return ask_and_wait(c, q, EX_DISCARD);
    case CMD_UNWATCH:
        return unwatch(c, q);
    default:
        break;
    }
    if (!c->more->in_multi && c->owed > 0)
        return client_wait(c, WAIT_DRAIN); /* is the MULTI before it in force? */
    if (!c->more->in_multi)
        return watched_serve(c, q);
    if (id == CMD_LARDER)
        return tx_refuse(c, "LARDER");
    if (id == CMD_SELECT)
        c->more->want_exec_db = true;
    c->more->queued++;
    pause_queued(c, q);
    if (changes_link(q->command)) {
        c->more->name_upstream |= id == CMD_CLIENT_SETNAME;
        borrow_keep(c);
        return own_serve(c, q);
    }
    return client_ask_lent(c, q);
}
