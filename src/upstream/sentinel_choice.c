/* sentinel_choice.c - see sentinel_choice.h. */
#include "upstream/sentinel_choice.h"

#include <stdlib.h>

void choice_init(struct choice *c, size_t n)
{
    *c = (struct choice){.n = n};
    c->answers = must_calloc(n, sizeof *c->answers);
    c->order = must_calloc(n, sizeof *c->order);
    for (size_t i = 0; i < n; i++)
        c->order[i] = i;
}

void choice_done(struct choice *c)
{
    free(c->answers);
    free(c->order);
}

void choice_begin(struct choice *c)
{
    c->confirmed = false;
    for (size_t i = 0; i < c->n; i++)
        c->answers[i].fresh = c->answers[i].tried = false;
}

static bool is_stale(const struct choice *c, const struct answer *a)
{
    return a->epoch < c->epoch && !c->distrust && !place_same(&a->place, &c->present);
}

bool choice_note(struct choice *c, size_t i, const struct place *place, uint64_t epoch)
{
    struct answer *a = &c->answers[i];

    *a = (struct answer){.place = *place, .epoch = epoch, .fresh = true};
    for (size_t k = 0; k < c->n; k++) {
        const struct answer *other = &c->answers[k];

        a->tried |= k != i && other->fresh && other->tried && place_same(&other->place, place);
    }
    if (c->confirmed && place_same(place, &c->present)) {
        a->tried = true;
        c->epoch = epoch > c->epoch ? epoch : c->epoch;
    }
    return is_stale(c, a);
}

bool choice_best(const struct choice *c, size_t *ret_i)
{
    const struct answer *best = NULL;

    for (size_t k = 0; k < c->n; k++) {
        const struct answer *a = &c->answers[c->order[k]];

        if (!a->fresh || a->tried || is_stale(c, a) || (c->confirmed && a->epoch <= c->epoch))
            continue;
        if (best == NULL || a->epoch > best->epoch)
            best = a;
    }
    if (best == NULL)
        return false;
    *ret_i = (size_t)(best - c->answers);
    return true;
}

void choice_try(struct choice *c, const struct place *place)
{
    for (size_t i = 0; i < c->n; i++) {
        struct answer *a = &c->answers[i];

        a->tried |= a->fresh && place_same(&a->place, place);
    }
}

static void to_the_front(struct choice *c, size_t by)
{
    size_t k = 0;

    while (c->order[k] != by)
        k++;
    for (; k > 0; k--)
        c->order[k] = c->order[k - 1];
    c->order[0] = by;
}

void choice_confirm(struct choice *c, const struct place *place, size_t by)
{
    c->present = *place;
    c->confirmed = true;
    c->distrust = false;
    if (by >= c->n)
        return;
    c->epoch = c->answers[by].epoch;
    for (size_t i = 0; i < c->n; i++) {
        const struct answer *a = &c->answers[i];

        if (a->fresh && place_same(&a->place, place) && a->epoch > c->epoch)
            c->epoch = a->epoch;
    }
    to_the_front(c, by);
}

void choice_doubt(struct choice *c)
{
    bool any = false;

    for (size_t i = 0; i < c->n; i++) {
        if (c->answers[i].fresh && c->answers[i].epoch >= c->epoch)
            return;
        any |= c->answers[i].fresh;
    }
    c->distrust |= any;
}
