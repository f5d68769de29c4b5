/* namespace.h - a request with a tenant's prefix put before the names in it.
 *
 * From here on the rest of larder sees full names: what is kept, held, watched, asked and told is
 * of the tenant's keys because no other key can be named. Which arguments are names, the command's
 * row says: its key rule, and `names`. */
#ifndef LARDER_COMMAND_NAMESPACE_H
#define LARDER_COMMAND_NAMESPACE_H

#include "base/buffer.h"
#include "command/table.h"
#include "resp/request.h"

/* Copied at once, which is quicker than as many bytes as there are, if these are no more. */
#define NAMESPACE_SHORT_BYTES 16u

/* A tenant's prefix. */
struct namespace
{
    struct slice prefix;  /* owned; memory of NAMESPACE_SHORT_BYTES at least */
    struct slice pattern; /* .. what is special in a glob escaped; owned */
    bool scripts;         /* may it run scripts? */
};

void namespace_init(struct namespace *ns, struct slice prefix, bool scripts);
void namespace_done(struct namespace *ns);

enum namespace_result {
    NAMESPACE_AS_IS,   /* there is no name in it */
    NAMESPACE_PUT,     /* *out holds it; args are of it */
    NAMESPACE_REFUSED, /* not for tenants */
    NAMESPACE_ARITY,   /* wrong number of arguments */
    NAMESPACE_SYNTAX,  /* where its names stand cannot be told */
};

/* c: the row of the request in args (1 <= args->n); bytes: the request, RESP or inline. Appends the
 * request as RESP; args, which may grow, then is of what was appended, and valid until *out
 * changes. Of NAMES_LARDER, whatever follows FRESH is put by the rule of its own row. */
MUST_USE
enum namespace_result namespace_put(const struct namespace *ns, const struct command *c,
                                    struct slice bytes, struct args *args, struct buffer *out);

/* The beginning of a request that is too large to collect, of whose arguments args has those that
 * are whole: likewise, but its arity is the caller's to look at. NAMESPACE_AS_IS: it must be
 * collected, for where its names stand is not yet known. */
MUST_USE
enum namespace_result namespace_put_head(const struct namespace *ns, const struct command *c,
                                         struct slice head, struct args *args, struct buffer *out);

/* Does the key begin with the prefix? */
static inline bool namespace_has(const struct namespace *ns, struct slice key)
{
    return slice_starts(key, ns->prefix);
}

#endif
