/* hot_settle.c - a write whose outcome is unknown freezes its keys. Nothing writes them until Redis
 * has answered two PINGs on another connection, with a pause before each: by then what was under
 * way has arrived or never will. Then their next write must be one that asks nothing of what was
 * there.
 *
 *   step 0: nothing is frozen   1: the first pause and PING   2: the second */
#include "hot.h"

static void settler_next(struct hot *h, int step)
{
    h->settle_step = step;
    h->settle_next_us = h->now_us + h->options.settle_us;
}

static void settler_replied(struct wire *w, const struct reply *r)
{
    struct hot *h = w->arg;

    h->now_us = clock_us();
    if (r->token[0].type == '-') { /* -LOADING */
        settler_next(h, 1);
        return;
    }
    if (h->settle_step == 1) {
        settler_next(h, 2);
        return;
    }
    for (int i = 0; i < DBS * KEYS; i++)
        if (h->key[i].frozen && h->key[i].unknown_us < h->settle_begun_us) {
            h->key[i].frozen = false;
            h->key[i].unclear = true;
            h->settled++;
        }
    h->settle_step = 0;
}

static void settler_ended(struct wire *w)
{
    struct hot *h = w->arg;

    settler_next(h, h->settle_step > 0 ? 1 : 0);
}

static const struct wire_owner settler_owner = {.replied = settler_replied, .ended = settler_ended};

void settler_turn(struct hot *h)
{
    struct wire *w = &h->settler;

    if (h->settle_step == 0) {
        for (int i = 0; i < DBS * KEYS && h->settle_step == 0; i++)
            if (h->key[i].frozen) {
                h->settle_begun_us = h->now_us;
                settler_next(h, 1);
            }
        return;
    }
    if (w->unanswered > 0 || h->now_us < h->settle_next_us)
        return;
    if (w->fd < 0 && !wire_open(w, h->options.port[VIA_DIRECT], h->epoll)) {
        settler_next(h, 1);
        return;
    }
    wire_say(w, "PING", NULL);
    wire_flush(w);
}

void settler_init(struct hot *h)
{
    h->settler = (struct wire){.fd = -1, .owner = &settler_owner, .arg = h};
}
