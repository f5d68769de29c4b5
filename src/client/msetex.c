/* msetex.c - LARDER MSETEX ms key value ..: many keys, each under its policy, each with its answer.
 *
 *     LARDER MSETEX 60000 a 1 b 2      *2             the head of the reply
 *                                      SET a 1 PX ..  and then the reply of each SET as it comes,
 *                                      SET b 2 PX ..  or the error of what its policy refuses
 *
 * They travel together, on one link: one trip. Not in a MULTI: each succeeds or fails alone. */
#include <stdio.h>

#include "client/near.h"
#include "client/rules.h"
#include "net/loop.h"
#include "resp/write.h"

static void set_one(struct client *c, struct link *l, struct request *set)
{
    struct buffer words = {0};
    struct request put;

    write_request(&words, set->argv, set->argc);
    set->bytes = buffer_slice(&words);
    put = *set;
    if (c->all->rules == NULL || rules_put(c, set, &put) != PUT_ANSWERED) {
        uint32_t asked = c->asked;

        if (c->mode != MODE_PLAIN && put.shape != NULL)
            shape_ask_lent(c, &put, false);
        else if (put.shape != NULL)
            shape_ask(c, l, &put);
        else
            client_ask_on(c, l, &put);
        rules_asked(c, set);
        if (c->all->near != NULL)
            writes_note(c, set, c->asked != asked ? c->asked : c->more->muted_asked,
                        c->asked == asked);
    }
    buffer_done(&words);
}

static bool fits(struct client *c, const struct request *q, int64_t ms)
{
    if (q->argc % 2 == 0 || ms < 0) {
        write_error(client_answer(c),
                    "ERR LARDER MSETEX takes milliseconds, 0 or more, and then "
                    "keys, each with its value");
        return false;
    }
    if ((q->argc - 3) / 2 > c->all->settings->max_pending) {
        write_error(client_answer(c), "ERR LARDER MSETEX of more keys than max_pending");
        return false;
    }
    return true;
}

enum next msetex_serve(struct client *c, const struct request *q)
{
    char text[24];
    struct slice argv[5] = {SLICE("SET"), {0}, {0}, SLICE("PX"), {text, 0}};
    struct request set = {.command = command_row(CMD_SET), .argv = argv};
    enum next next = NEXT;
    struct link *l;
    int64_t ms;

    if (!slice_int(q->argv[2], &ms))
        ms = -1;
    if (!fits(c, q, ms))
        return NEXT;
    set.argc = ms > 0 ? 5 : 3;
    argv[4].n = (size_t)snprintf(text, sizeof text, "%lld", (long long)ms);
    if (c->all->pause.on && pause_effect(c, &set) != PAUSE_NOTHING)
        return client_wait(c, WAIT_PAUSE);
    l = c->mode == MODE_PLAIN ? client_link(c, &next) : client_lent(c);
    if (l == NULL)
        return next;
    write_array(client_answer(c), (q->argc - 3) / 2);
    for (uint32_t i = 3; i < q->argc; i += 2) {
        argv[1] = q->argv[i];
        argv[2] = q->argv[i + 1];
        set_one(c, l, &set);
    }
    return NEXT;
}
