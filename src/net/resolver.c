/* resolver.c - see resolver.h.
 *
 *      loop --ask--> [asked] --thread: getaddrinfo--> [answered] --eventfd--> loop --> answer()
 *
 * The two lists and `stopping` are shared with the thread and guarded by the mutex; everything else
 * belongs to the loop. A query is freed by the loop alone. */
#include "net/resolver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/list.h"
#include "net/loop.h"

struct resolver_query {
    struct list node;
    char *host;
    uint16_t port;
    resolver_answer *answer; /* NULL once forgotten; the loop's */
    void *context;
    struct sock_address found[RESOLVER_ADDRESSES];
    size_t count;
    int error; /* of getaddrinfo */
};

struct resolver {
    struct loop *loop;
    struct watch *watch;
    int wake; /* eventfd */
    bool running;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    struct list asked, answered;
    bool stopping;
};

static void look_up(struct resolver_query *q)
{
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

static void *thread_main(void *arg)
{
    struct resolver *r = arg;
    uint64_t one = 1;

    (void)pthread_mutex_lock(&r->mutex);
    while (!r->stopping) {
        struct resolver_query *q;

        if (list_empty(&r->asked)) {
            (void)pthread_cond_wait(&r->cond, &r->mutex);
            continue;
        }
        q = CONTAINER_OF(r->asked.next, struct resolver_query, node);
        list_leave(&q->node);
        (void)pthread_mutex_unlock(&r->mutex);
        look_up(q);
        (void)pthread_mutex_lock(&r->mutex);
        list_push_back(&r->answered, &q->node);
        if (write(r->wake, &one, sizeof one) < 0)
            break;
    }
    (void)pthread_mutex_unlock(&r->mutex);
    return NULL;
}

static void query_free(struct resolver_query *q)
{
    free(q->host);
    free(q);
}

static void on_answered(void *context)
{
    struct resolver *r = context;
    struct list done;
    uint64_t n;

    list_init(&done);
    (void)pthread_mutex_lock(&r->mutex);
    if (read(r->wake, &n, sizeof n) > 0)
        list_move_all(&r->answered, &done);
    (void)pthread_mutex_unlock(&r->mutex);
    while (!list_empty(&done)) {
        struct resolver_query *q = CONTAINER_OF(done.next, struct resolver_query, node);

        list_leave(&q->node);
        if (q->answer != NULL)
            q->answer(q->context, q->found, q->count, q->count ? "" : gai_strerror(q->error));
        query_free(q);
    }
}

struct resolver *resolver_new(struct loop *loop)
{
    struct resolver *r = must_calloc(1, sizeof *r);

    r->loop = loop;
    r->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(r->wake >= 0);
    list_init(&r->asked);
    list_init(&r->answered);
    CHECK(pthread_mutex_init(&r->mutex, NULL) == 0 && pthread_cond_init(&r->cond, NULL) == 0);
    r->watch = loop_watch(loop, r->wake, on_answered, r);
    return r;
}

static void drop_all(struct list *l)
{
    while (!list_empty(l)) {
        struct resolver_query *q = CONTAINER_OF(l->next, struct resolver_query, node);

        list_leave(&q->node);
        query_free(q);
    }
}

void resolver_free(struct resolver *r)
{
    if (r == NULL)
        return;
    if (r->running) {
        (void)pthread_mutex_lock(&r->mutex);
        r->stopping = true;
        (void)pthread_cond_signal(&r->cond);
        (void)pthread_mutex_unlock(&r->mutex);
        (void)pthread_join(r->thread, NULL);
    }
    loop_unwatch(r->watch);
    (void)close(r->wake);
    drop_all(&r->asked);
    drop_all(&r->answered);
    (void)pthread_cond_destroy(&r->cond);
    (void)pthread_mutex_destroy(&r->mutex);
    free(r);
}

/* Signals are the loop's: the thread takes none. */
static void start_thread(struct resolver *r)
{
    sigset_t all, before;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    r->running = pthread_create(&r->thread, NULL, thread_main, r) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    CHECK(r->running);
}

struct resolver_query *resolver_ask(struct resolver *r, const char *host, uint16_t port,
                                    resolver_answer *answer, void *context)
{
    struct resolver_query *q = must_calloc(1, sizeof *q);

    if (!r->running)
        start_thread(r);
    q->host = must_strdup(host);
    q->port = port;
    q->answer = answer;
    q->context = context;
    (void)pthread_mutex_lock(&r->mutex);
    list_push_back(&r->asked, &q->node);
    (void)pthread_cond_signal(&r->cond);
    (void)pthread_mutex_unlock(&r->mutex);
    return q;
}

void resolver_forget(struct resolver *r, struct resolver_query *query)
{
    (void)r;
    if (query != NULL)
        query->answer = NULL;
}
