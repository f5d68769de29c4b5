/* borrow.c - commands that need a link to themselves, for one command or for life.
 *
 *     drained? --no--> WAIT_DRAIN
 *        | yes
 *     loan lent? --no--> WAIT_LOAN --refused--> an error for this command, on with the next
 *        | yes
 *     the command goes to the lent link; WAIT_REPLY, or WAIT_BLOCKED when it may block for ever
 *        | reply
 *     the link is given back clean, the session goes on where it was
 *
 * A client that leaves in between takes the link down with it: else an element popped for it would
 * be lost, or its reply be somebody else's. */
#include "client/client.h"
#include "client/rules.h"
#include "net/loop.h"
#include "resp/write.h"

/* ---- loans ---- */

static struct client *of_loan(struct loan *loan)
{
    return CONTAINER_OF(loan, struct session, loan)->client;
}

static struct client *of_sub(struct loan *loan)
{
    return CONTAINER_OF(loan, struct session, sub)->client;
}

static void on_lent(struct loan *loan)
{
    client_wake(of_loan(loan));
}

/* Waits it for its link for subscriptions itself, or only somebody else? See redirect.c. */
static bool wants_sub(const struct client *c)
{
    return c->waits == WAIT_LOAN && !c->more->loan.waiting && c->more->awaits == 0;
}

static void on_sub_lent(struct loan *loan)
{
    struct client *c = of_sub(loan);

    if (wants_sub(c))
        client_wake(c);
    redirect_settled(c, NULL);
}

void borrow_note_refusal(struct client *c, struct slice error)
{
    struct session *m = c->more;

    m->loan_refused = true;
    buffer_done(&m->loan_error);
    buffer_add(&m->loan_error, error.p, error.n);
    client_wake(c);
}

static void on_refused(struct loan *loan, struct slice error)
{
    borrow_note_refusal(of_loan(loan), error);
}

static void on_sub_refused(struct loan *loan, struct slice error)
{
    struct client *c = of_sub(loan);

    if (wants_sub(c))
        borrow_note_refusal(c, error);
    redirect_settled(c, &error);
}

static void on_frame(struct loan *loan, struct slice bytes, bool first, bool last)
{
    struct client *c = of_loan(loan);

    if (c->mode == MODE_LISTEN || (c->mode == MODE_OWN && c->proto == 3))
        subscribe_frame(c, bytes, first, last);
    else if (c->open)
        client_put(c, bytes);
}

static void on_sub_frame(struct loan *loan, struct slice bytes, bool first, bool last)
{
    subscribe_frame(of_sub(loan), bytes, first, last);
}

static void on_sub_room(struct loan *loan)
{
    (void)loan; /* commands of pub/sub are queued whatever their size */
}

static void on_room(struct loan *loan)
{
    struct client *c = of_loan(loan);

    if (c->waits == WAIT_ROOM && buffer_len(&loan->link->out) < LINK_STREAM_BYTES / 2)
        client_wake(c);
}

/* The link that held the session's state is gone, and so is the state: as with Redis itself, the
 * client must begin anew. What was in flight has been answered by an error. */
static void on_lost(struct loan *loan, enum link_failure why)
{
    struct client *c = of_loan(loan);

    (void)why;
    if (!c->open)
        return;
    borrow_judged(c);
    if (c->mode != MODE_PLAIN || c->more->streaming)
        client_end(c, CLOSE_UPSTREAM);
    else if (c->waits == WAIT_REPLY || c->waits == WAIT_BLOCKED || c->waits == WAIT_ROOM)
        client_wake(c);
}

static void on_sub_lost(struct loan *loan, enum link_failure why)
{
    (void)why;
    client_count_listening(of_sub(loan));
    client_end(of_sub(loan), CLOSE_UPSTREAM);
}

const struct loan_ops session_loan_ops = {on_lent, on_refused, on_frame, on_room, on_lost};
const struct loan_ops session_sub_ops = {on_sub_lent, on_sub_refused, on_sub_frame, on_sub_room,
                                         on_sub_lost};

enum next borrow_refused(struct client *c, enum loan_kind kind)
{
    struct session *m = c->more;
    struct slice error = buffer_slice(&m->loan_error);
    const char *trouble = pool_trouble(c->all->pool);

    m->loan_refused = false;
    if (error.n == 0 && pool_is_out(c->all->pool))
        return client_answer_away(c);
    c->all->count.unreached++;
    if (error.n > 0)
        buffer_add(client_answer(c), error.p, error.n);
    else if (trouble[0])
        write_error(client_answer(c), "UPSTREAM %s not reached: %s; the command was not executed",
                    pool_address(c->all->pool), trouble);
    else
        write_error(client_answer(c),
                    "UPSTREAM no connection became free within queue_timeout (see %s); the command "
                    "was not executed",
                    kind == LOAN_POOL ? "pool_size" : "max_lent");
    return NEXT;
}

/* A link for the session itself, in `loan`. When loan->link is not set afterwards, the result says
 * how it stands with the command. */
static enum next take_loan(struct client *c, struct loan *loan, enum loan_kind kind, int db)
{
    struct session *m = c->more;

    if (m->loan_refused)
        return borrow_refused(c, kind);
    if (!loan->waiting && pool_is_out(c->all->pool)) {
        buffer_done(&m->loan_error);
        return borrow_refused(c, kind);
    }
    if (!client_drained(c))
        return client_wait(c, WAIT_DRAIN);
    if (!loan->waiting && loan_ask(loan, c->lane, kind, db))
        return NEXT;
    return client_wait(c, WAIT_LOAN);
}

enum next borrow(struct client *c, enum loan_kind kind, int db)
{
    struct session *m = client_session(c);

    return m->loan.link != NULL ? NEXT : take_loan(c, &m->loan, kind, db);
}

enum next borrow_sub(struct client *c)
{
    struct session *m = client_session(c);

    return m->sub.link != NULL ? NEXT : take_loan(c, &m->sub, LOAN_LONG, -1);
}

/* The command is answered, the link free again: unless the session keeps it. */
void borrow_return(struct client *c, enum loan_end how)
{
    struct session *m = c->more;

    borrow_judged(c);
    if (m->loan.for_life || c->mode == MODE_TX) {
        m->loan.patient = false;
        return;
    }
    loan_end(&m->loan, how);
}

/* From now on the session keeps its link. */
void borrow_keep(struct client *c)
{
    loan_keep(&c->more->loan);
    c->more->watching = false;
    c->mode = MODE_OWN;
    client_settle(c);
}

/* A CLIENT subcommand that larder does not know was answered: if it succeeded, the link now has a
 * state that must stay with this session. */
void borrow_tried(struct client *c, bool keep)
{
    if (keep && c->more->loan.link != NULL)
        borrow_keep(c);
    else
        borrow_return(c, LOAN_CLEAN);
}

/* ---- commands ---- */

/* XREAD and XREADGROUP block only if told to, before STREAMS. */
static bool asks_to_block(const struct request *q)
{
    for (uint32_t i = 1; i + 1 < q->argc; i++) {
        if (option_is(q->argv[i], "STREAMS"))
            return false;
        if (option_is(q->argv[i], "BLOCK"))
            return true;
    }
    return false;
}

static bool may_block(const struct command *cmd)
{
    return cmd != NULL && (cmd->route == ROUTE_BLOCK || cmd->route == ROUTE_WAIT);
}

static enum next monitor(struct client *c, const struct request *q)
{
    struct session *m = c->more;

    m->loan.link->listening = true;
    m->loan.patient = true;
    m->monitor = true;
    c->mode = MODE_LISTEN;
    client_count_listening(c);
    client_settle(c);
    subscriptions_expect(&m->subs, SUB_KINDS, 1);
    link_ask_more(m->loan.link, q->bytes);
    return NEXT;
}

enum next borrow_serve(struct client *c, const struct request *q)
{
    const struct command *cmd = q->command;
    struct session *m = client_session(c);
    bool patient = may_block(cmd) || m->unclear,
         monitors = cmd != NULL && cmd->route == ROUTE_MONITOR;
    enum next next;

    if (cmd != NULL && (cmd->flags & CF_BLOCK_OPT) != 0 && !asks_to_block(q))
        return client_ask(c, q);
    if (m->loan.link == NULL) {
        next = borrow(c, patient || monitors ? LOAN_LONG : LOAN_POOL,
                      cmd != NULL && (cmd->flags & CF_NO_DB) != 0 ? -1 : c->db);
        if (m->loan.link == NULL)
            return next;
    }
    if (monitors)
        return monitor(c, q);
    /* WAIT counts from the last command of its own connection: on a fresh one it would speak of
     * nothing. PING brings it up to date; the session's own writes are all answered by now. */
    if (cmd != NULL && cmd->route == ROUTE_WAIT)
        exchange_ask(c, m->loan.link, SLICE("*1\r\n$4\r\nPING\r\n"), EX_DROP, 0);
    if (q->shape != NULL)
        shape_ask_lent(c, q, true);
    else
        exchange_ask(c, m->loan.link, q->bytes, EX_LENT, 0);
    m->loan.patient = patient;
    (void)client_wait(c, patient ? WAIT_BLOCKED : WAIT_REPLY);
    return NEXT;
}

enum next borrow_own(struct client *c, const struct request *q)
{
    struct session *m = client_session(c);
    enum next next;

    if (m->loan.link == NULL) {
        next = borrow(c, LOAN_LONG, c->db);
        if (m->loan.link == NULL)
            return next;
    }
    borrow_keep(c);
    return own_serve(c, q);
}

/* ---- a session with a link for life ---- */

static enum next own_block(struct client *c, const struct request *q)
{
    if (!client_drained(c))
        return client_wait(c, WAIT_DRAIN);
    c->more->loan.patient = true;
    if (q->shape != NULL)
        shape_ask_lent(c, q, true);
    else
        exchange_ask(c, client_lent(c), q->bytes, EX_LENT, 0);
    (void)client_wait(c, WAIT_BLOCKED);
    return NEXT;
}

static enum next own_exchange(struct client *c, const struct request *q, enum exchange_kind kind)
{
    if (link_full(client_lent(c)))
        return client_wait(c, WAIT_ROOM);
    exchange_ask(c, client_lent(c), q->bytes, kind, 0);
    c->more->multi_asked |= kind == EX_MULTI;
    if (kind == EX_DISCARD)
        (void)client_wait(c, WAIT_DRAIN);
    return NEXT;
}

/* ---- what CLIENT PAUSE may hold up ---- */

void borrow_judged(struct client *c)
{
    c->more->unclear = false;
    client_settle(c);
}

static enum next unclear_own(struct client *c, const struct request *q)
{
    struct session *m = c->more;
    enum next next;

    if (q->command != NULL && q->command->id == CMD_EXEC) {
        if (m->multi_asked)
            return client_wait(c, WAIT_DRAIN);
        m->loan.patient = true;
        next = tx_exec(c, q);
    } else {
        next = own_block(c, q);
        m->queued += next == NEXT && m->in_multi;
        m->tx_sent += next == NEXT && m->in_multi && q->shape == NULL;
    }
    m->unclear = next == NEXT;
    return next;
}

/* Like a command that blocks, for so it is if Redis holds it up: without a deadline, and its client
 * takes the link along when it leaves, so that it is not executed after all. */
enum next borrow_unclear(struct client *c, const struct request *q)
{
    struct session *m = client_session(c);
    enum next next;

    if (c->mode != MODE_PLAIN)
        return unclear_own(c, q);
    if (m->loan_refused && buffer_len(&m->loan_error) == 0 && c->all->pause.on) {
        m->loan_refused = false; /* no link is free to find out: most of these are held up */
        borrow_judged(c);
        return client_wait(c, WAIT_PAUSE);
    }
    m->unclear = true;
    client_settle(c);
    next = borrow_serve(c, q);
    if (m->loan.link == NULL && !m->loan.waiting && next == NEXT)
        borrow_judged(c); /* refused, and told so */
    return next;
}

/* What larder answers from its own books even here. */
static bool is_own_books(const struct command *cmd)
{
    return cmd->id == CMD_LARDER || cmd->id == CMD_INFO ||
           (cmd->id >= CMD_CLIENT && cmd->id < CMD_CLUSTER);
}

static enum next own_by_id(struct client *c, const struct request *q)
{
    switch (q->command->id) {
    case CMD_MULTI:
        return own_exchange(c, q, EX_MULTI);
    case CMD_EXEC:
        return tx_exec(c, q);
    case CMD_DISCARD:
        return own_exchange(c, q, EX_DISCARD);
    case CMD_SELECT:
    case CMD_HELLO:
        return local_serve(c, q);
    case CMD_SYNC:
    case CMD_PSYNC:
        /* What follows is a replication stream, not RESP: handed on unread. */
        if (!client_drained(c))
            return client_wait(c, WAIT_DRAIN);
        client_lent(c)->raw = true;
        c->more->loan.patient = true;
        link_ask_more(client_lent(c), q->bytes);
        return NEXT;
    default:
        return client_ask_lent(c, q);
    }
}

enum next own_serve(struct client *c, const struct request *q)
{
    const struct command *cmd = q->command;

    if (client_lent(c)->raw) { /* REPLCONF ACK has no reply */
        link_ask_more(client_lent(c), q->bytes);
        return NEXT;
    }
    if (c->more->multi_asked) /* is it in force? Then all is QUEUED */
        return client_wait(c, WAIT_DRAIN);
    if (cmd == NULL || c->more->in_multi) {
        pause_queued(c, q);
        c->more->name_upstream |= cmd != NULL && cmd->id == CMD_CLIENT_SETNAME;
        if (cmd != NULL && (cmd->id == CMD_EXEC || cmd->id == CMD_DISCARD))
            return own_by_id(c, q);
        if (cmd != NULL && cmd->id == CMD_LARDER)
            return tx_refuse(c, "LARDER");
        return client_ask_lent(c, q);
    }
    if (is_own_books(cmd))
        return local_serve(c, q);
    switch ((enum route)cmd->route) {
    case ROUTE_SUBSCRIBE:
        return subscribe_serve(c, q);
    case ROUTE_MONITOR:
        return client_drained(c) ? monitor(c, q) : client_wait(c, WAIT_DRAIN);
    case ROUTE_BLOCK:
        if ((cmd->flags & CF_BLOCK_OPT) == 0 || asks_to_block(q))
            return own_block(c, q);
        return client_ask_lent(c, q);
    case ROUTE_WAIT:
        return own_block(c, q);
    case ROUTE_SHARED:
    case ROUTE_LOCAL:
    case ROUTE_TX:
    case ROUTE_LENT:
    case ROUTE_OWN:
        break;
    }
    return own_by_id(c, q);
}

/* Under WATCH, before MULTI: ordinary commands on the lent link, larder's own answers as ever; what
 * would need another link keeps this one for life. */
enum next watched_serve(struct client *c, const struct request *q)
{
    const struct command *cmd = q->command;

    if (cmd == NULL || cmd->route == ROUTE_SHARED || cmd->route == ROUTE_TX ||
        (cmd->route == ROUTE_BLOCK && (cmd->flags & CF_BLOCK_OPT) != 0 && !asks_to_block(q)))
        return client_ask_lent(c, q);
    if (cmd->route == ROUTE_LOCAL && cmd->id != CMD_AUTH && cmd->id != CMD_HELLO)
        return local_serve(c, q);
    borrow_keep(c);
    return own_serve(c, q);
}
