/* session.c - what a client has beyond the plain: a session is made when it is first needed, and
 * lives as long as the client. Most clients never have one. */
#include <stdlib.h>

#include "client/tenants.h"

static void on_wake(struct lane_waiter *w)
{
    client_wake(CONTAINER_OF(w, struct session, waiter)->client);
}

struct session *client_session(struct client *c)
{
    struct session *m = c->more;

    if (LIKELY(m != NULL))
        return m;
    m = c->more = must_calloc(1, sizeof *m);
    m->client = c;
    m->waiter.wake = on_wake;
    list_init(&m->waiter.node);
    list_init(&m->leases);
    list_init(&m->walls.quota);
    list_init(&m->loads);
    m->loan.ops = &session_loan_ops;
    m->sub.ops = &session_sub_ops;
    m->muted.ops = &muted_asker_ops;
    return m;
}

void session_free(struct session *m)
{
    if (m == NULL)
        return;
    client_drop_refs(m);
    while (m->held_first != NULL) {
        struct held *h = m->held_first;

        m->held_first = h->next;
        buffer_done(&h->bytes);
        free(h);
    }
    writes_forget(m->client);
    subscriptions_done(&m->subs);
    buffer_done(&m->loan_error);
    buffer_done(&m->shape_answer);
    buffer_done(&m->shape_error);
    buffer_done(&m->tx_read);
    free(m->cuts.v);
    tenant_forget(m);
    shape_free(m->large_shape);
    free(m->name);
    free(m->next_name);
    free(m->lib_name);
    free(m->lib_ver);
    free(m);
}

void client_settle(struct client *c)
{
    const struct session *m = c->more;
    bool special = m != NULL && (m->reply_mode != REPLY_ON || m->multi_refused || m->unclear);

    c->plain = c->open && c->authenticated && c->mode == MODE_PLAIN && !special && !c->ending;
}
