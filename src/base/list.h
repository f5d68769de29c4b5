/* list.h - doubly linked list whose nodes live in what they link. A list is a node of its own;
 * a node that is in no list points at itself, so leaving twice is harmless. */
#ifndef LARDER_BASE_LIST_H
#define LARDER_BASE_LIST_H

#include <stdbool.h>

#include "base/check.h"

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_leave(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

static inline void list_push_back(struct list *l, struct list *node)
{
    node->prev = l->prev;
    node->next = l;
    l->prev->next = node;
    l->prev = node;
}

static inline void list_push_front(struct list *l, struct list *node)
{
    list_push_back(l->next, node);
}

/* Moves everything of `from` to the end of `to`. */
static inline void list_move_all(struct list *from, struct list *to)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

/* for (list_each(node, &list)) ..., the safe one allowing that `node` leaves. */
#define list_each(n, l)                                                                            \
    struct list *n = (l)->next;                                                                    \
    n != (l);                                                                                      \
    n = n->next
#define list_each_safe(n, x, l)                                                                    \
    struct list *n = (l)->next, *x = n->next;                                                      \
    n != (l);                                                                                      \
    n = x, x = n->next

#endif
