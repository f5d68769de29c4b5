/* outage_session.c - the first words of sessions that begin while the upstream is away: HELLO,
 * AUTH, SELECT and INFO, for clients that say them on each new connection before they read.
 *
 * They are answered only where some policy answers for the upstream, and by what it has said before
 * (upstream/recall.c); anything it has not said waits for it as ever. INFO is the little that
 * clients look for before they trust a connection. */
#include "client/login.h"
#include "client/outage.h"
#include "resp/write.h"

static bool speaks_for_it(const struct client *c)
{
    return UNLIKELY(c->all->outage != NULL) && outage_answers(c->all->outage) &&
           c->mode == MODE_PLAIN && outage_is_on(c->all);
}

/* .. in place of a link of the session's own: it neither has one nor is about to, and the upstream
 * has not refused it. */
static bool stands_in(const struct client *c)
{
    const struct session *m = c->more;

    return speaks_for_it(c) && m->loan.link == NULL && !m->loan.waiting &&
           (!m->loan_refused || buffer_len(&m->loan_error) == 0);
}

bool outage_hello(const struct client *c, const struct lane *lane, struct buffer *out)
{
    return speaks_for_it(c) && lane_recall_hello(lane, c->id, out);
}

bool outage_login(struct client *c, struct slice user, struct slice password, int32_t proto)
{
    struct lane *lane;
    struct buffer hello = {0};

    if (!stands_in(c))
        return false;
    lane = lane_recall(c->all->pool, user, password, proto ? proto : c->proto);
    if (lane == NULL)
        return false;
    if (proto == 0)
        write_status(&hello, "OK");
    else if (!lane_recall_hello(lane, c->id, &hello)) {
        lane_release(lane);
        return false;
    }
    if (proto != 0)
        client_set_proto(c, proto);
    client_join_lane(c, lane);
    c->more->loan_refused = false;
    buffer_add(client_answer(c), buffer_head(&hello), buffer_len(&hello));
    buffer_done(&hello);
    return true;
}

bool outage_select(struct client *c, int64_t db)
{
    if (!stands_in(c) || !pool_knows_db(c->all->pool, db))
        return false;
    c->more->loan_refused = false;
    local_selected(c, (int32_t)db, true);
    write_status(client_answer(c), "OK");
    return true;
}

bool outage_info(struct client *c)
{
    struct buffer text = {0};
    unsigned v;

    if (!speaks_for_it(c))
        return false;
    v = pool_server_version(c->all->pool);
    buffer_printf(&text,
                  "# Server\r\nredis_version:%u.%u.%u\r\nredis_mode:standalone\r\n"
                  "\r\n# Persistence\r\nloading:0\r\nasync_loading:0\r\n"
                  "\r\n# Replication\r\nrole:master\r\n\r\n# Cluster\r\ncluster_enabled:0\r\n\r\n",
                  v / 10000, v / 100 % 100, v % 100);
    c->all->console->info(c->all->console->context, &text);
    write_text(client_answer(c), c->proto, buffer_slice(&text));
    buffer_done(&text);
    return true;
}
