/* rules.h - what the policies ask of commands: the expiry of keys, and what is refused.
 *
 * rules.c      the way of a request: what must be put otherwise
 * refuse.c     what is refused
 * shape.c      how a write is worded, and what is said about it, so that its keys get their expiry
 * slide.c      reads that renew their key; renewals.c tells the upstream
 * immutable.c  SET .. NX of what exists
 * fence.c      LARDER GETLEASE and SETLEASE: nothing old is stored after a write
 * hide.c       larder's own keys, which no client sees */
#ifndef LARDER_CLIENT_RULES_H
#define LARDER_CLIENT_RULES_H

#include "base/counters.h"
#include "base/hash.h"
#include "client/client.h"
#include "command/expiry.h"
#include "policy/policies.h"

/* Of the scratch in which requests are worded anew, kept. */
#define SHAPE_KEEP_BYTES (64u * 1024u)

#define RULE_COUNTERS(X)                                                                           \
    X(expiries_given, TOTAL, "writes that carried no expiry and were given that of their policy")  \
    X(expiries_cut, TOTAL, "writes whose expiry was cut down to max_ttl")                          \
    X(expiries_failed, TOTAL,                                                                      \
      "writes that failed because the upstream refused to give the key its expiry")                \
    X(refused_deny, TOTAL, "commands refused: deny")                                               \
    X(refused_require_ttl, TOTAL, "writes refused: require_ttl")                                   \
    X(refused_max_value, TOTAL, "writes refused: max_value")                                       \
    X(refused_reserved, TOTAL, "commands refused: they named a key of larder's own")               \
    X(renewals, TOTAL, "times the upstream was told that reads had renewed a sliding key")         \
    X(renewals_swallowed, TOTAL, "reads of sliding keys that it need not be told of")              \
    X(expires_answered, TOTAL, "EXPIRE of sliding keys answered here, and told later if at all")   \
    X(immutable_answered, TOTAL, "SET .. NX of immutable keys known to exist, answered here")      \
    X(sliding_keys, LEVEL, "keys with a renewal that the upstream has not heard of")

struct rule_counters {
    RULE_COUNTERS(COUNTER_FIELD)
};

/* How a write is put, so that its keys get their expiry. */
struct shape {
    struct buffer words;          /* the request, worded anew; empty: as it is */
    struct buffer before, behind; /* commands of larder's about it */
    uint32_t before_n, behind_n;  /* so many */
    bool loose;                   /* not in a MULTI */
};

struct renewals;
struct seen;

struct rules {
    struct clients *all;
    const struct policies *policies;
    uint16_t in_force; /* enum policy_rule, of all policies */
    struct shape shape;
    struct renewals *renewals; /* NULL before a policy slides */
    struct seen *seen;         /* likewise */
    struct list *attempts;     /* SET .. NX under way, by key; NULL before a policy is immutable */
    struct hash_seed seed;     /* for jitter: the hash of how often it was drawn */
    uint64_t drawn;
    struct rule_counters count;
};

/* The indexes of keys of a request; on the stack while they are few. */
struct key_list {
    uint32_t few[64];
    uint32_t *v;
    uint32_t n;
    bool any; /* any key there is may be meant */
};

/* Those it may change; those it names. */
void keys_touched(const struct request *q, struct key_list *ret);
void keys_named(const struct request *q, struct key_list *ret);
void keys_done(struct key_list *k);

/* Sets a TTL, or ends one, without creating the key. */
static inline bool rules_set_expiry(const struct command *cmd)
{
    return cmd->id == CMD_EXPIRE || cmd->id == CMD_PEXPIRE || cmd->id == CMD_EXPIREAT ||
           cmd->id == CMD_PEXPIREAT || cmd->id == CMD_PERSIST || cmd->id == CMD_GETEX;
}

/* Commands that shape.c words; those, and all others that write. */
static inline bool rules_shaped(const struct command *cmd)
{
    return (cmd->flags & CF_CREATES) != 0 || rules_set_expiry(cmd);
}

static inline bool rules_puts(const struct command *cmd)
{
    return (cmd->flags & CF_WRITE) != 0 || rules_shaped(cmd);
}

/* refuse.c */
/* True: it is refused, and its client told. */
MUST_USE
bool rules_refuse(struct client *c, const struct request *q);
/* .. it would be, with the error in *out. */
MUST_USE
bool rules_would_refuse(const struct rules *r, const struct request *q, struct buffer *out);

/* rules.c */
/* The rules (enum policy_rule) of the key's policy. */
MUST_USE
uint16_t rules_of(const struct rules *r, struct slice key);
/* Must the request go by rules_serve()? Asked of each that would go straight to the shared link. */
MUST_USE
bool rules_concern(const struct rules *r, const struct command *cmd, const struct args *args);
enum next rules_serve(struct client *c, const struct request *q);
/* LARDER FRESH: the same, but nothing is answered of what is known here, and reads are asked as
 * they are. rules may be NULL. */
enum next rules_fresh(struct client *c, const struct request *q);
/* How a write is put; *ret_put lives until the next. */
enum put {
    PUT_ANSWERED, /* not at all: it is answered */
    PUT_ASK,      /* *ret_put is to be asked */
    PUT_LEAD,     /* .. by immutable_ask() */
    PUT_LATER,    /* it cannot be told before what is due to the client has come */
};
MUST_USE
enum put rules_put(struct client *c, const struct request *q, struct request *ret_put);
/* q, a write, was put to the upstream: what reads have promised of its keys is over, it says what
 * holds from now on. */
void rules_asked(struct client *c, const struct request *q);
/* A request too large to collect, of which only the first arguments are known. */
enum large_rules {
    LARGE_PASSES,  /* no policy has a say */
    LARGE_SHAPED,  /* r->shape says what is to be said about it */
    LARGE_COLLECT, /* all of it must be known */
};
MUST_USE
enum large_rules rules_large(struct client *c, const struct request *q);
/* Goes on as if there were no policies: route.c. */
enum next client_route_on(struct client *c, const struct request *q);
void rules_free(struct rules *r);

/* shape.c */
void shape_begin(struct shape *s); /* empties it */
/* Adds to r->shape what policy p asks of q, a write of the key; x is what q says itself. */
void shape_key(struct rules *r, const struct request *q, struct slice key, const struct policy *p,
               const struct expiry *x);
/* COPY .. DB n: n, the database that its key is made in; else empty. */
MUST_USE
struct slice shape_other_db(const struct request *q);
/* Not to be put in a MULTI: it makes no key itself, or is a script. */
MUST_USE
bool shape_is_loose(const struct request *q, const struct expiry *x);
/* The key of larder's own that is about `key`, as one bulk string. `kind` stands behind the prefix
 * of the tenant whose the key is, so that a user of the upstream who is held to that prefix may use
 * it.
 */
void shape_own_key(struct buffer *out, const struct policies *p, struct slice kind,
                   struct slice key);
/* What s holds becomes the caller's: shape_free(). */
MUST_USE
struct shape *shape_take(struct shape *s);
/* Begins and ends a MULTI of larder's, with what is said before the write and behind it. */
void shape_open(struct client *c, struct link *l, const struct shape *s);
void shape_close(struct client *c, struct link *l, const struct shape *s);
/* The same without one, within a client's MULTI or not. The write is asked in between. */
void shape_before(struct client *c, struct link *l, const struct shape *s);
void shape_behind(struct client *c, struct link *l, const struct shape *s, enum exchange_kind kind);
/* Asks q, put as q->shape says, on the shared link l; on the lent link, within a MULTI of the
 * client's or not; the last of what is asked ends the loan if `lent`. */
void shape_ask(struct client *c, struct link *l, const struct request *q);
void shape_ask_lent(struct client *c, const struct request *q, bool lent);
/* The words that renew a sliding key for `left_ms`, and tell its deadline: so many replies, of
 * which the last is as PTTL's. */
MUST_USE
uint32_t shape_renewal(const struct clients *all, const struct policy *p, struct slice key,
                       uint64_t left_ms, struct buffer *out);

/* What is left of a key's time, in the words of a command; .. if left_ms is promised. */
enum ttl_word { TTL_SECONDS, TTL_MS, TTL_AT_SECONDS, TTL_AT_MS };
void shape_ttl(const struct clients *all, struct slice key, uint64_t left_ms, enum ttl_word word,
               struct buffer *out);
/* What a script that only reads is begun with: CLIENT PAUSE WRITE does not hold it up, where the
 * upstream has a word for that. */
MUST_USE
struct slice shape_read_only(const struct clients *all);

/* slide.c */
void sliding_use(struct rules *r);
/* Reads were put to the upstream: asks it when the sliding keys they name will expire. */
void slide_look(struct client *c, const struct request *q);
/* The same when the transaction is over in which they were read; it is over. */
void slide_later(struct client *c, const struct request *q);
/* (slide_tx_over() is in client.h.) Asks a read on the shared link, and looks. */
enum next slide_ask(struct client *c, const struct request *q);
/* TTL and its like: answered with what was promised. */
enum next slide_ttl(struct client *c, const struct request *q);
/* A plain EXPIRE or PEXPIRE of a sliding key: true: it is answered. It cannot be told before the
 * answer to a read in front of it has come: slide_will_know(). */
MUST_USE
bool slide_will_know(const struct client *c, struct slice key);
MUST_USE
bool slide_expire(struct client *c, struct slice key, uint64_t ttl_ms);
/* The deadline promised to who reads the key as c would, 0: none. */
MUST_USE
uint64_t slide_promised(struct client *c, struct slice key);
void slide_forget(struct client *c, struct slice key);

/* immutable.c */
#define ATTEMPT_BUCKETS 256u
/* SET .. NX, SETNX: true: it is answered, or will be, for the key is known to exist. */
MUST_USE
bool immutable_serve(struct client *c, const struct request *q);
/* Asks it; others may wait for what it is answered. */
enum next immutable_ask(struct client *c, const struct request *q);

/* msetex.c */
enum next msetex_serve(struct client *c, const struct request *q);

/* fence.c */
enum next fence_get(struct client *c, const struct request *q);
enum next fence_set(struct client *c, const struct request *q);
/* DEL of the key and, if it is fenced, of its token, as one request; r may be NULL. */
void fence_delete(const struct rules *r, struct slice key, struct buffer *out);
/* Adds to r->shape that the tokens of those keys that are fenced are void. */
void fence_void(struct client *c, const struct request *q, const struct key_list *touched,
                const struct expiry *x);

/* hide.c */
enum next hide_serve(struct client *c, const struct request *q);
/* Begins a script: ours(k), whether k is such a key; rest(l), what of a list is not. Its ARGV[1] is
 * hide_offset(). */
#define HIDE_LUA                                                                                   \
    "local n=tonumber(ARGV[1]) local function at(k,w) "                                            \
    "if n<0 then return k:find(w,1,true) end return k:sub(n+1,n+#w)==w end "                       \
    "local function ours(k) return at(k,'larder:deadline:') or at(k,'" LEASE_PREFIX                \
    "') or "                                                                                       \
    "at(k,'larder:fence:') end "                                                                   \
    "local function rest(l) local r={} for _,k in ipairs(l) do if not ours(k) then r[#r+1]=k end " \
    "end return r end "
/* Where in a key that c may see its like would begin; < 0: anywhere, for who sees all tenants'. */
#define HIDE_NOTHING INT32_MAX
MUST_USE
int32_t hide_offset(const struct client *c);

/* Are there keys of larder's own? Only where a policy needs them. */
static inline bool hide_on(const struct rules *r)
{
    return (r->in_force & (RULE_ABSOLUTE | RULE_FENCE | RULE_LEASE)) != 0;
}

static inline bool hide_is_internal(const struct rules *r, struct slice key)
{
    size_t n;

    if (!hide_on(r))
        return false;
    n = policies_owner(r->policies, key);
    key = slice_of(key.p + n, key.n - n);
    return slice_starts(key, SLICE("larder:")) &&
           (slice_starts(key, SLICE("larder:deadline:")) ||
            slice_starts(key, SLICE(LEASE_PREFIX)) || slice_starts(key, SLICE("larder:fence:")));
}

/* Commands that would show them. */
static inline bool hide_concerns(const struct rules *r, const struct command *cmd)
{
    return hide_on(r) && (cmd->id == CMD_KEYS || cmd->id == CMD_SCAN || cmd->id == CMD_RANDOMKEY ||
                          cmd->id == CMD_DBSIZE);
}

#endif
