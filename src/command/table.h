/* table.h - the vocabulary: every command larder knows, a row each, as data.
 *
 * The rows are generated (src/command/generate) from what a real server reports of itself
 * (src/command/redis-7.0.15.tsv: arity, flags, key positions) and what larder adds in
 * src/command/larder.tsv: the route, and where the facts of COMMAND are not enough. What sessions
 * of tenants may say of it, and what of that is a name, src/command/tenants.tsv says. */
#ifndef LARDER_COMMAND_TABLE_H
#define LARDER_COMMAND_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* How a command goes its way. */
enum route {
    ROUTE_SHARED,    /* on the session's shared link: everything ordinary */
    ROUTE_LOCAL,     /* answered or at least decided in larder: PING HELLO CLIENT SELECT INFO .. */
    ROUTE_TX,        /* MULTI EXEC DISCARD WATCH UNWATCH */
    ROUTE_BLOCK,     /* blocks always (BLPOP ..), or with BLOCK among its options (XREAD ..) */
    ROUTE_WAIT,      /* WAIT, WAITAOF: on a lent link, behind a fence */
    ROUTE_SUBSCRIBE, /* (P|S)SUBSCRIBE, (P|S)UNSUBSCRIBE */
    ROUTE_MONITOR,
    ROUTE_LENT, /* one command on a lent link, which is then given back: SCRIPT KILL, DEBUG .. */
    ROUTE_OWN,  /* changes its connection in a way larder does not model: a link for life */
};

/* CF_ and not CMD_, for so begin the ids of the rows (ids.h). */
enum command_flag {
    CF_READ = 1u << 0,      /* COMMAND's readonly */
    CF_WRITE = 1u << 1,     /* COMMAND's write */
    CF_ADMIN = 1u << 2,     /* refused unless admin_commands = allow (DESIGN.md 10) */
    CF_CACHEABLE = 1u << 3, /* deterministic read of keys a near cache may keep */
    CF_BLOCK_OPT = 1u << 4, /* ROUTE_BLOCK only with a BLOCK option: XREAD XREADGROUP */
    CF_NO_AUTH = 1u << 5,   /* may be said before logging in: AUTH HELLO QUIT RESET */
    CF_NO_DB = 1u << 6,     /* the db it runs in does not matter: SCRIPT KILL, CLIENT .. */
    CF_CONTAINER = 1u << 7, /* has subcommands: look again with command_sub() */
    CF_PUBSUB = 1u << 8,    /* COMMAND's pubsub */
    CF_MOVABLE = 1u << 9,   /* key positions depend on the arguments: `keys` names the rule */
    CF_BUSY_OK = 1u << 10,  /* COMMAND's allow_busy */
    CF_CREATES = 1u << 11,  /* may leave a key where there was none, one of command_touched()'s */
    CF_ONE_KEY = 1u << 12,  /* all that tenants' prefixes concern: argv[1] is a key */
};

/* How to find the keys where first/last/step do not say. */
enum key_rule {
    KEYS_FIXED,   /* first, last (negative: from the end), step; first == 0: none, and none of
                     the channels that COMMAND calls keys (SPUBLISH, SSUBSCRIBE) */
    KEYS_NUMKEYS, /* count at argv[first - 1], keys from argv[first]: EVAL FCALL ZUNION LMPOP .. */
    KEYS_STORE_NUMKEYS, /* a target at argv[1], count at argv[2], keys behind: ZUNIONSTORE .. */
    KEYS_PAIRS,         /* count at argv[1], keys and values behind, one about the other: MSETEX */
    KEYS_STREAMS,       /* behind STREAMS, the first half: XREAD XREADGROUP */
    KEYS_SORT,          /* argv[1], and STORE's argument: SORT */
    KEYS_GEORADIUS,     /* argv[1], and STORE's or STOREDIST's argument */
    KEYS_MIGRATE,       /* argv[3], or behind KEYS */
    KEYS_ALL,           /* unknown command: every argument may be one */
};

/* Which of the keys it names a command may change. */
enum touch_rule {
    TOUCH_NONE,   /* it reads, or has nothing to do with keys */
    TOUCH_KEYS,   /* all */
    TOUCH_FIRST,  /* the first, the others are its sources: BITOP, ZUNIONSTORE, PFMERGE .. */
    TOUCH_OTHERS, /* all but the first, which is its source: COPY, SORT, GEORADIUS */
    TOUCH_ANY,    /* any key there is, named or not: FLUSHALL, SWAPDB, REPLICAOF, DEBUG .. */
};

/* What becomes of a command that a tenant's session says. */
enum tenant_verdict {
    TENANT_REFUSED, /* as is whatever larder does not know */
    TENANT_PLAIN,   /* passes: there is no name in it */
    TENANT_NAMES,   /* passes, its names prefixed: namespace_put() */
    TENANT_OWN,     /* the client's room answers it for the tenant alone, or puts it otherwise */
    TENANT_SCRIPTS, /* refused unless the tenant may run scripts; then as TENANT_NAMES */
};

/* Which arguments name something, but for its keys. */
enum name_rule {
    NAMES_NONE,
    NAMES_CHANNEL,  /* argv[1] */
    NAMES_CHANNELS, /* argv[1] .. */
    NAMES_PATTERN,  /* argv[1] matches keys: KEYS */
    NAMES_PATTERNS, /* argv[1] .. match channels: PSUBSCRIBE */
    NAMES_FIND,     /* argv[2], which may be missing, matches channels: PUBSUB CHANNELS */
    NAMES_COUNT,    /* argv[2] .. are channels: PUBSUB NUMSUB */
    NAMES_SCAN,     /* MATCH's argument, which may be missing */
    NAMES_SORT,     /* the arguments of BY and GET lead to keys */
    NAMES_TRACKING, /* PREFIX's arguments: CLIENT TRACKING */
    NAMES_DEBUG,    /* DEBUG OBJECT key; the rest is refused */
    NAMES_LARDER,   /* LARDER MISS, GETLEASE, SETLEASE, MSETEX; FRESH and a command; no others */
};

struct command {
    const char *name; /* lower case; a subcommand as "client|list" */
    uint16_t id;      /* enum command_id */
    int8_t arity;     /* as COMMAND reports it, the container's word counted */
    uint8_t route;    /* enum route */
    uint16_t flags;   /* enum command_flag */
    uint8_t keys;     /* enum key_rule */
    int8_t first, last, step;
    uint8_t touched; /* enum touch_rule */
    uint8_t tenant;  /* enum tenant_verdict */
    uint8_t names;   /* enum name_rule */
    uint8_t reply;   /* enum strip_rule of resp/stripper.h: where its reply has names */
};

/* CMD_GET, CMD_CLIENT, CMD_CLIENT_LIST ..: one id a row, CMD_UNKNOWN = 0. */
#include "command/ids.h"

/* The row of a command word, in any case; NULL when unknown. For a container (CLIENT) its own row:
 * then command_sub() with the second word, NULL when that is unknown (the container's flags and
 * route hold then; any argument may be a key). A few nanoseconds.
 *
 * A word that holds a NUL byte is unknown here and must not be sent on: Redis 7.0 hashes all of it,
 * but compares as C strings, and so takes "CONFIG\0x" for CONFIG whenever both share a bucket. */
MUST_USE
const struct command *command_find(struct slice word);
MUST_USE
const struct command *command_sub(const struct command *container, struct slice word);

/* The row of a whole request (1 <= argc): of the subcommand where it names one, else of the word.
 */
MUST_USE
static inline const struct command *command_of(const struct slice *argv, uint32_t argc)
{
    const struct command *word = command_find(argv[0]), *sub;

    if (LIKELY(word == NULL || (word->flags & CF_CONTAINER) == 0 || argc < 2))
        return word;
    sub = command_sub(word, argv[1]);
    return sub != NULL ? sub : word;
}

/* Rows by id, for tests and consoles: 1 .. COMMAND_ROWS-1. */
MUST_USE
const struct command *command_row(enum command_id id);

/* Does argc satisfy the row's arity? */
static inline bool command_arity_ok(const struct command *c, uint32_t argc)
{
    return c->arity >= 0 ? argc == (uint32_t)c->arity : argc >= (uint32_t)-c->arity;
}

/* The indexes of the keys among argv (1 <= argc), at most `room`; returns how many there are in all
 * (which may be more than room). Of a subcommand's row argv begins with the container's word all
 * the same. -1 when the arguments do not fit arity or rule (numkeys not a number, odd STREAMS):
 * Redis 7.0 refuses such a command; a newer server may have other options, so do as if any key were
 * meant. c == NULL: KEYS_ALL. */
MUST_USE
int command_keys(const struct command *c, const struct slice *argv, uint32_t argc,
                 uint32_t *ret_index, uint32_t room);

/* The indexes of the keys that the request may change if it is executed, as command_keys() gives
 * keys: the target of COPY and SORT, not their source. TOUCHES_ANY: any key of the server may
 * change. Any argument may be such a key when c is NULL, when it is a container's row though there
 * is a subcommand (one that is not in the table), and when the arguments do not fit a command that
 * writes. Of a script: the keys it declares. EXEC touches nothing, what was queued before it does.
 */
#define TOUCHES_ANY (-1)
MUST_USE
int command_touched(const struct command *c, const struct slice *argv, uint32_t argc,
                    uint32_t *ret_index, uint32_t room);

#endif
