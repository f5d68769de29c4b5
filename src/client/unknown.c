/* unknown.c - see unknown.h. A name is asked for once while larder lives: one that a module brings
 * later goes on over lent links, which is slower and never wrong. */
#include "client/unknown.h"

#include <ctype.h>
#include <stdlib.h>

#include "resp/reply.h"
#include "resp/write.h"
#include "upstream/link.h"

#define UNKNOWN_NAMES     128 /* remembered; random names from a client must not fill the memory */
#define UNKNOWN_NAME_SIZE 32

struct unknown {
    struct asker asker;
    char name[UNKNOWN_NAME_SIZE]; /* lower case */
    bool plain;
};

struct unknowns {
    size_t count;
    struct unknown names[UNKNOWN_NAMES];
};

void unknowns_free(struct unknowns *u)
{
    free(u);
}

/* The flags of the one row of the reply: "readonly" and not "blocking". */
static bool says_plain(struct slice reply)
{
    struct reply r, name, arity, flags, flag;
    bool reads = false;

    if (!reply_read(&reply, &r) || r.number != 1 || !reply_read(&reply, &r) || r.number < 3 ||
        (r.type != '*' && r.type != '~') || !reply_read(&reply, &name) ||
        !reply_read(&reply, &arity) || !reply_read(&reply, &flags))
        return false;
    for (int64_t i = 0; i < flags.number; i++) {
        if (!reply_read(&reply, &flag))
            return false;
        if (slice_eq(flag.text, SLICE("blocking")) || slice_eq(flag.text, SLICE("pubsub")))
            return false;
        reads |= slice_eq(flag.text, SLICE("readonly"));
    }
    return reads;
}

static void on_replies(struct asker *a, struct slice bytes, uint32_t n)
{
    struct unknown *name = CONTAINER_OF(a, struct unknown, asker);

    (void)n;
    name->plain = says_plain(bytes);
}

static void on_failed(struct asker *a, uint32_t n, enum link_failure why, bool begun)
{
    (void)a;
    (void)n;
    (void)why;
    (void)begun;
}

static const struct asker_ops ops = {on_replies, NULL, on_failed, NULL};

static bool lower(struct slice name, char *to)
{
    if (name.n == 0 || name.n >= UNKNOWN_NAME_SIZE)
        return false;
    for (size_t i = 0; i < name.n; i++)
        to[i] = (char)tolower((unsigned char)name.p[i]);
    to[name.n] = 0;
    return true;
}

bool unknown_is_plain(struct unknowns **u, struct slice name, struct link *l)
{
    char word[UNKNOWN_NAME_SIZE];
    struct unknown *fresh;

    if (!lower(name, word))
        return false;
    if (*u == NULL)
        *u = must_calloc(1, sizeof **u);
    for (size_t i = 0; i < (*u)->count; i++) {
        if (strcmp((*u)->names[i].name, word) == 0)
            return (*u)->names[i].plain;
    }
    if ((*u)->count == UNKNOWN_NAMES || l == NULL || link_full(l))
        return false;
    fresh = &(*u)->names[(*u)->count++];
    fresh->asker.ops = &ops;
    memcpy(fresh->name, word, sizeof word);
    link_say(l, &fresh->asker, "COMMAND", "INFO", fresh->name, NULL);
    return false;
}
