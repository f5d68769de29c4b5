/* subscriptions.c - see subscriptions.h. */
#include "client/subscriptions.h"

#include <stdlib.h>

#include "resp/reply.h"

static struct expected *at(struct subscriptions *s, uint32_t i)
{
    return &s->queue[(s->head + i) & (s->cap - 1)];
}

void subscriptions_expect(struct subscriptions *s, enum sub_kind kind, uint32_t frames)
{
    if (s->len == s->cap) {
        uint32_t cap = s->cap ? s->cap * 2 : 8;
        struct expected *queue = must_alloc(cap * sizeof *queue);

        for (uint32_t i = 0; i < s->len; i++)
            queue[i] = *at(s, i);
        free(s->queue);
        s->queue = queue;
        s->cap = cap;
        s->head = 0;
    }
    s->len++;
    *at(s, s->len - 1) = (struct expected){frames, (uint8_t)kind};
}

static void pop(struct subscriptions *s)
{
    s->head = (s->head + 1) & (s->cap - 1);
    s->len--;
    s->began = false;
}

/* One frame of the head has come. */
static void count_frame(struct subscriptions *s)
{
    struct expected *head;

    if (s->len == 0)
        return;
    head = at(s, 0);
    if (head->frames <= 1)
        pop(s);
    else
        head->frames--;
}

struct word {
    const char *text;
    enum sub_kind kind;
    int by;
};

static const struct word *confirmation(struct slice text)
{
    static const struct word words[] = {
        {"subscribe", SUB_CHANNEL, 1},     {"psubscribe", SUB_PATTERN, 1},
        {"ssubscribe", SUB_SHARD, 1},      {"unsubscribe", SUB_CHANNEL, -1},
        {"punsubscribe", SUB_PATTERN, -1}, {"sunsubscribe", SUB_SHARD, -1},
    };

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (slice_eq(text, slice_str(words[i].text)))
            return &words[i];
    }
    return NULL;
}

/* The number in a confirmation is of channels and patterns together, or of shard channels: what it
 * says beyond what we count is a change of this kind. */
static void learn(struct subscriptions *s, const struct word *w, int64_t total)
{
    int64_t before =
        w->kind == SUB_SHARD ? s->count[SUB_SHARD] : s->count[SUB_CHANNEL] + s->count[SUB_PATTERN];

    s->count[w->kind] += total - before;
    if (s->count[w->kind] < 0)
        s->count[w->kind] = 0;
}

void subscriptions_frame(struct subscriptions *s, struct slice frame)
{
    struct reply head, word, name, total;
    const struct word *w = NULL;

    if (!reply_read(&frame, &head))
        return;
    if ((head.type != '*' && head.type != '>') || head.number < 2 || !reply_read(&frame, &word)) {
        if (s->len > 0)
            pop(s); /* an error, for the command as a whole */
        return;
    }
    if (slice_eq(word.text, SLICE("message")) || slice_eq(word.text, SLICE("pmessage")) ||
        slice_eq(word.text, SLICE("smessage")))
        return;
    w = confirmation(word.text);
    if (w != NULL && s->len > 0 && !s->began) {
        struct expected *e = at(s, 0);

        s->began = true;
        if (e->frames == 0 && e->kind < SUB_KINDS)
            e->frames = s->count[e->kind] > 1 ? (uint32_t)s->count[e->kind] : 1;
    }
    if (w != NULL && reply_read(&frame, &name) && reply_read(&frame, &total) && total.type == ':')
        learn(s, w, total.number);
    count_frame(s);
}

bool subscriptions_none(const struct subscriptions *s)
{
    return s->count[SUB_CHANNEL] + s->count[SUB_PATTERN] + s->count[SUB_SHARD] == 0;
}

bool subscriptions_quiet(const struct subscriptions *s)
{
    return s->len == 0;
}

void subscriptions_done(struct subscriptions *s)
{
    free(s->queue);
    *s = (struct subscriptions){0};
}
