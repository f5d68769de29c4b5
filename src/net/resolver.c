/* resolver.c - see resolver.h. A query is a job of the worker's. */
#include "net/resolver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/worker.h"

struct resolver_query {
    struct job job;
    char *host;
    uint16_t port;
    resolver_answer *answer; /* NULL once forgotten; the loop's */
    void *context;
    struct sock_address found[RESOLVER_ADDRESSES];
    size_t count;
    int error; /* of getaddrinfo */
};

struct resolver {
    struct worker *worker;
};

static void look_up(struct job *j)
{
    struct resolver_query *q = CONTAINER_OF(j, struct resolver_query, job);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *list = NULL;
    char port[8];

    (void)snprintf(port, sizeof port, "%u", q->port);
    q->error = getaddrinfo(q->host, port, &hints, &list);
    if (q->error != 0)
        return;
    for (struct addrinfo *a = list; a != NULL && q->count < RESOLVER_ADDRESSES; a = a->ai_next) {
        struct sock_address *to = &q->found[q->count++];

        *to = (struct sock_address){.len = a->ai_addrlen};
        memcpy(&to->storage, a->ai_addr, a->ai_addrlen);
    }
    freeaddrinfo(list);
}

static void query_free(struct job *j)
{
    struct resolver_query *q = CONTAINER_OF(j, struct resolver_query, job);

    free(q->host);
    free(q);
}

static void give_answer(struct job *j)
{
    struct resolver_query *q = CONTAINER_OF(j, struct resolver_query, job);

    if (q->answer != NULL)
        q->answer(q->context, q->found, q->count, q->count ? "" : gai_strerror(q->error));
    query_free(j);
}

static const struct job_ops query_ops = {look_up, give_answer, query_free};

struct resolver *resolver_new(struct loop *loop)
{
    struct resolver *r = must_calloc(1, sizeof *r);

    r->worker = worker_new(loop);
    return r;
}

void resolver_free(struct resolver *r)
{
    if (r == NULL)
        return;
    worker_free(r->worker);
    free(r);
}

struct resolver_query *resolver_ask(struct resolver *r, const char *host, uint16_t port,
                                    resolver_answer *answer, void *context)
{
    struct resolver_query *q = must_calloc(1, sizeof *q);

    q->job.ops = &query_ops;
    q->host = must_strdup(host);
    q->port = port;
    q->answer = answer;
    q->context = context;
    worker_ask(r->worker, &q->job);
    return q;
}

void resolver_forget(struct resolver *r, struct resolver_query *query)
{
    (void)r;
    if (query != NULL)
        query->answer = NULL;
}
