/* health.c - LARDER HEALTH: whoever asks waits for the round trip that is under way, all for one.
 *
 * The lines are admin's; here is only the waiting. A session whose commands go to a link of its own
 * cannot wait: replies from there would pass its answer by. It is told what is known. */
#include "errands/health.h"

#include "client/near.h"

static void answer(struct client *c, struct buffer *out)
{
    const struct console *console = c->all->console;
    struct slice words[] = {SLICE("LARDER"), SLICE("HEALTH")};

    console->command(console->context, words, 2, c->proto, out);
}

static void on_known(void *context)
{
    struct clients *all = context;

    while (!list_empty(&all->health_waiters)) {
        struct held *h = first_waiting(&all->health_waiters);
        struct buffer text = {0};

        answer(h->client, &text);
        client_keep_promise(h, buffer_slice(&text));
        buffer_done(&text);
    }
}

const struct health *clients_health(const struct clients *all)
{
    return all->health;
}

enum next health_serve(struct client *c)
{
    struct clients *all = c->all;
    bool waits = c->mode == MODE_PLAIN && !client_is_muted(c) && c->promised < UINT16_MAX;

    if (!health_ask(all->health, on_known, all) && waits) {
        list_push_back(&all->health_waiters, &client_promise(c)->waiter.node);
        all->count.commands_local++;
        return NEXT;
    }
    answer(c, client_answer(c));
    return NEXT;
}
