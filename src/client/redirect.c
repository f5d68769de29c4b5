/* redirect.c - CLIENT TRACKING .. REDIRECT: the client that is to hear of invalidations.
 *
 * The id that names it is larder's, and Redis has to be told that of a connection on which it can
 * push. If the client named has none of its own it is given one (its `sub` loan, for in RESP3 it
 * need not subscribe to hear); whoever names it waits meanwhile (session->awaits). From then on it
 * keeps that link for life: given back, it would bring the invalidations to somebody else. Where
 * Redis tells its id, in a reply or a push, that becomes larder's again. */
#include "client/redirect.h"

#include "client/tenants.h"

/* A link of its own that lasts; NULL: it has none. */
static struct link *lasting_link(const struct client *c)
{
    const struct session *m = c->more;

    if (m == NULL || m->sub.link != NULL)
        return m != NULL ? m->sub.link : NULL;
    return c->mode == MODE_LISTEN || c->mode == MODE_OWN ? m->loan.link : NULL;
}

/* The link on which `other` shall hear; NULL: c waits for it. */
static struct link *link_for(struct client *c, struct client *other)
{
    struct session *m = client_session(other);

    if (lasting_link(other) == NULL && !m->sub.waiting)
        (void)!loan_ask(&m->sub, other->lane, LOAN_LONG, -1);
    m->named = true;
    if (lasting_link(other) != NULL)
        return lasting_link(other);
    client_session(c)->awaits = other->id;
    (void)client_wait(c, WAIT_LOAN);
    return NULL;
}

uint64_t redirect_link_id(struct client *c, uint64_t id, enum next *ret_next)
{
    struct session *m = client_session(c);
    struct client *other = client_by_id(c->all, id);
    struct link *l;

    if (m->loan_refused) {
        *ret_next = borrow_refused(c, LOAN_LONG);
        return 0;
    }
    if (other == NULL || !tenant_sees(c, other))
        return INT64_MAX; /* Redis will not find that either */
    if (other == c && m->sub.link == NULL) {
        *ret_next = borrow(c, LOAN_LONG, c->db);
        l = m->loan.link;
    } else {
        l = link_for(c, other);
        *ret_next = LATER;
    }
    if (l == NULL)
        return 0;
    m->redirect_id = id;
    m->redirect_link = l->id;
    return l->id;
}

void redirect_settled(struct client *c, const struct slice *refusal)
{
    for (list_each_safe (node, next, &c->all->open)) {
        struct client *other = CONTAINER_OF(node, struct client, node);

        if (other->more == NULL || other->more->awaits != c->id)
            continue;
        other->more->awaits = 0;
        if (refusal != NULL)
            borrow_note_refusal(other, *refusal);
        else
            client_wake(other);
    }
}

uint64_t redirect_id(const struct client *c, uint64_t link_id)
{
    if (c->more != NULL && c->more->redirect_link == link_id)
        return c->more->redirect_id; /* who may have left since */
    for (list_each (node, &c->all->open)) {
        const struct client *other = CONTAINER_OF(node, struct client, node);
        const struct link *l = lasting_link(other);

        if (l != NULL && l->id == link_id)
            return other->id;
    }
    return link_id;
}
