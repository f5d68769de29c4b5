/* namespace_inside.h - what namespace.c, which finds the names of a request, and namespace_write.c,
 * which writes it, share. Nobody else includes it. */
#ifndef LARDER_COMMAND_NAMESPACE_INSIDE_H
#define LARDER_COMMAND_NAMESPACE_INSIDE_H

#include "command/namespace.h"

#define FEW_MARKS 32u

/* How a name is put. */
enum mark_kind {
    MARK_KEY,
    MARK_PATTERN, /* of keys */
    MARK_CHANNEL,
    MARK_LISTEN,   /* .. to be subscribed to */
    MARK_CHANNELS, /* a pattern of channels */
};

/* The arguments that are names: ascending. On the stack while they are few. */
struct marks {
    uint32_t few[FEW_MARKS];
    uint8_t few_kinds[FEW_MARKS];
    uint32_t *at;
    uint8_t *kind;
    uint32_t n, room;
};

/* A request under way. */
struct put {
    const struct namespace *ns;
    const struct command *c;
    struct args *args;
    uint32_t offset; /* arguments before the command word: of LARDER FRESH */
    struct marks marks;
    const char *more; /* an option that comes behind it, with a pattern that is every key; NULL */
};

/* The request with its names put, of a multibulk of which p->args is; p->more NULL. */
void namespace_copy(const struct put *p, struct slice bytes, struct buffer *out);
/* .. of any, with the arguments that come to it. */
void namespace_anew(const struct put *p, struct buffer *out);
/* .. of a multibulk with one key, argv[1]. */
void namespace_simple(const struct namespace *ns, struct slice bytes, struct args *args,
                      struct buffer *out);

#endif
