/* outage_ask.c - requests that a policy could answer in the upstream's stead, while they are with
 * the upstream; and that answer, when the upstream's does not come.
 *
 * A read whose link broke is asked once more first, if it may be (retry.c).
 *
 * A request is asked as any, but by an asker of its own that remembers what it needs: of a read all
 * of it, of a write that may be dropped its head, so that no value is copied for that. Reads that
 * the near cache keeps have their own askers (fill.c, gather.c, again.c), which come here with the
 * request they remember. */
#include <stdlib.h>

#include "client/near.h"
#include "client/outage.h"
#include "client/retry.h"
#include "net/loop.h"
#include "resp/reply.h"
#include "resp/write.h"

struct deputy {
    struct asker asker;
    struct client *client;
    size_t n;
    bool write;
    char request[];
};

static const struct asker_ops deputy_ops;

bool outage_is_reply(struct slice reply)
{
    return slice_starts(reply, SLICE("-LOADING ")) || slice_starts(reply, SLICE("-MASTERDOWN "));
}

/* ---- asking ---- */

/* SET k v as SET k and nothing: what it is answered does not go by the value. */
static void word_head(const struct request *q, struct buffer *out)
{
    bool fields = q->command->id == CMD_HSET || q->command->id == CMD_HMSET;

    write_array(out, q->argc);
    for (uint32_t i = 0; i < q->argc; i++) {
        bool value = (q->command->id == CMD_SET && i == 2) ||
                     (q->command->id == CMD_MSET && i > 0 && i % 2 == 0) ||
                     (q->command->id == CMD_SETEX && i == 3) ||
                     (q->command->id == CMD_PSETEX && i == 3) || (fields && i > 1);

        write_bulk(out, value ? SLICE("") : q->argv[i]);
    }
}

bool outage_ask(struct client *c, struct link *l, const struct request *q)
{
    enum outage_act act = outage_judge(c->all->outage, q);
    struct buffer head = {0};
    struct deputy *d;

    if (act == OUTAGE_NOTHING || client_is_muted(c))
        return false;
    word_head(q, &head);
    d = must_alloc(sizeof *d + buffer_len(&head));
    *d = (struct deputy){
        .asker = {&deputy_ops}, .client = c, .n = buffer_len(&head), .write = act != OUTAGE_READ};
    memcpy(d->request, buffer_head(&head), d->n);
    buffer_done(&head);
    link_ask(l, &d->asker, q->bytes, 1, true);
    c->owed++;
    c->asked++;
    if (c->more != NULL)
        c->more->wait_ms = 0;
    return true;
}

/* ---- the answer in the upstream's stead ---- */

/* Of the request in text; *ret_out has it. `executed`: it may have been, so that no write is
 * answered. */
static bool word(struct client *c, struct slice text, bool executed, struct buffer *ret_out)
{
    static const struct request_limits any = {.max_bulk = UINT64_MAX, .max_request = UINT64_MAX};
    struct outage *o = c->all->outage;
    struct request_scan scan = {0};
    struct args args = {0};
    struct buffer none = {0};
    struct request q;
    uint64_t need;
    enum outage_act act;
    bool done = false;

    if (o == NULL || !c->open || text.n == 0)
        return false;
    CHECK(request_scan(&scan, text.p, text.n, &any, &args, &none, &need) == SCAN_OK);
    q = (struct request){.command = command_of(args.v, args.n), .argv = args.v, .argc = args.n};
    act = outage_judge(o, &q);
    if (act == OUTAGE_DROP && !executed) {
        outage_drop(c, &q, ret_out);
        done = true;
    } else if (act == OUTAGE_READ || (act == OUTAGE_OPEN && !executed)) {
        done = outage_word(c, &q, act, ret_out);
    }
    args_done(&args);
    return done;
}

bool outage_instead(struct client *c, struct slice request, bool begun)
{
    struct buffer out = {0};

    if (begun || c->half_out)
        return false;
    writes_answered(c, 1);
    if (!word(c, request, true, &out))
        return false;
    client_answer_now(c, buffer_slice(&out));
    buffer_done(&out);
    client_answered(c, 1);
    return true;
}

/* Being given its answer a client may close, and leave the list with all it waits for. */
void outage_waiters(struct list *waiters, struct slice request)
{
    struct list rest;

    list_init(&rest);
    while (!list_empty(waiters)) {
        struct held *h = first_waiting(waiters);
        struct buffer out = {0};

        if (word(h->client, request, true, &out)) {
            client_keep_promise(h, buffer_slice(&out));
        } else {
            list_leave(&h->waiter.node);
            list_push_back(&rest, &h->waiter.node);
        }
        buffer_done(&out);
    }
    list_move_all(&rest, waiters);
}

void outage_give(struct client **leader, struct list *waiters, struct slice request)
{
    if (*leader != NULL && outage_instead(*leader, request, false))
        *leader = NULL;
    outage_waiters(waiters, request);
}

/* ---- the answer ---- */

static void on_replies(struct asker *a, struct slice bytes, uint32_t n)
{
    struct deputy *d = CONTAINER_OF(a, struct deputy, asker);
    struct client *c = d->client;
    struct buffer out = {0};

    CHECK(n == 1);
    writes_answered(c, 1);
    if (UNLIKELY(outage_is_reply(bytes)) && word(c, slice_of(d->request, d->n), false, &out))
        bytes = buffer_slice(&out);
    if (c->open)
        client_put(c, bytes);
    buffer_done(&out);
    free(d);
    client_answered(c, 1);
}

static bool on_piece(struct asker *a, struct slice bytes, bool last)
{
    struct deputy *d = CONTAINER_OF(a, struct deputy, asker);
    struct client *c = d->client;
    bool full;

    writes_answered(c, 1);
    full = c->open && client_put_piece(c, bytes, c->link);
    c->half_out = !last;
    if (last) {
        free(d);
        client_answered(c, 1);
    }
    return full;
}

static void on_failed(struct asker *a, uint32_t n, enum link_failure why, bool begun)
{
    struct deputy *d = CONTAINER_OF(a, struct deputy, asker);
    struct client *c = d->client;

    (void)n;
    if ((d->write || !retry_reads(c, 1, why, begun)) &&
        !outage_stands_in(c, slice_of(d->request, d->n), why, begun))
        client_failed(c, 1, why, begun);
    free(d);
}

static const void *whose(struct asker *a)
{
    return CONTAINER_OF(a, struct deputy, asker)->client;
}

static const struct asker_ops deputy_ops = {on_replies, on_piece, on_failed, whose};
