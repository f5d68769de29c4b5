/* near.h - the near cache as this room sees it: which requests it concerns, and what then happens.
 *
 * near_gets.c  GETs that are hits, one behind the other: the shortest way
 * near_look.c  looks on the shelf
 * loads.c    who is told to load a key, while the others are given its old value, or its last
 * near.c     is a request a question the cache may answer? answers it from the shelf
 * fill.c     asks upstream on a miss, once for all who ask meanwhile
 * fill_keep.c  judges the answer, and keeps it
 * again.c    asks once more for those who had joined, when the question came to nothing
 * several.c  MGET, EXISTS: per key
 * gather.c   MGET: some keys from the shelf, the rest in one question; gather_weave.c: too large
 * near_console.c  what it would do, and why, for LARDER KEY and WHY; LARDER FRESH
 * near_view.c     counters, flushes
 * writes.c   what may change keys: holds them from hand-over to reply */
#ifndef LARDER_CLIENT_NEAR_H
#define LARDER_CLIENT_NEAR_H

#include "base/histogram.h"
#include "cache/cache.h"
#include "client/client.h"
#include "net/loop.h"
#include "policy/policies.h"
#include "policy/refresh.h"
#include "upstream/invalidation.h"

/* Counted for each policy. */
#define NEAR_COUNTERS(X)                                                                           \
    X(hits, TOTAL, "reads answered from memory with a value")                                      \
    X(negative, TOTAL, "reads answered from memory: the key does not exist")                       \
    X(stale, TOTAL, "reads answered with a value known to be old")                                 \
    X(ahead, TOTAL,                                                                                \
      "reads told that their key is absent shortly before it was, to load it (refresh_ahead)")     \
    X(misses, TOTAL, "reads put to the upstream because nothing fresh was kept")                   \
    X(coalesced, TOTAL, "reads that waited for the same question of another client")               \
    X(bypassed, TOTAL,                                                                             \
      "reads put to the upstream, and not kept, because a write of the key or of the session was " \
      "under way, or the invalidation link is not trusted")                                        \
    X(fills, TOTAL, "answers kept")                                                                \
    X(discarded_changed, TOTAL,                                                                    \
      "answers not kept: the key may have changed while they were under way")                      \
    X(discarded_raced, TOTAL, "answers not kept: value and time to live do not go together")       \
    X(discarded_large, TOTAL, "answers not kept: larger than max_value, or than memory allows")    \
    X(discarded_error, TOTAL, "answers not kept: errors")                                          \
    X(discarded_settings, TOTAL,                                                                   \
      "answers not kept: of an absent key while negative_ttl is 0, of a hash whose fields may "    \
      "expire one by one (field_ttl)")                                                             \
    X(invalidated_push, TOTAL, "keys dropped because the upstream said that they changed")         \
    X(invalidated_write, TOTAL, "keys dropped because a client of this larder wrote them")

struct near_counters {
    NEAR_COUNTERS(COUNTER_FIELD)
};

/* Counted for all of them together. */
#define CACHE_COUNTERS(X)                                                                          \
    X(flushes_push, TOTAL,                                                                         \
      "times all was dropped because the upstream said that all may have "                         \
      "changed")                                                                                   \
    X(flushes_write, TOTAL,                                                                        \
      "times all was dropped because a client of this larder wrote what may "                      \
      "be any key")                                                                                \
    X(flushes_command, TOTAL, "times LARDER FLUSH was told to drop all, or a prefix")              \
    X(trust, LEVEL,                                                                                \
      "are kept replies served? 0 no: pushes do not come; 1 no: the invalidation link is silent; " \
      "2 yes; 3 yes, up to local_ttl: there are no pushes")                                        \
    X(entries, LEVEL, "replies kept")                                                              \
    X(bytes, LEVEL, "memory of the near cache, all that it takes to keep them counted")            \
    X(max_bytes, LEVEL, "what that may be at most: max_memory")                                    \
    X(evictions, TOTAL, "replies dropped to make room")                                            \
    X(expired, TOTAL, "replies dropped after their time")                                          \
    X(loads, LEVEL, "keys that a client is loading: stampede = stale, refresh_ahead")              \
    X(keys_under_way, LEVEL, "keys with a write unanswered or a question in the air")

struct cache_counters {
    NEAR_COUNTERS(COUNTER_FIELD)
    CACHE_COUNTERS(COUNTER_FIELD)
};

/* What a policy has done; kept by name, so it outlives a reload. */
struct near_stats {
    char *name;
    struct near_counters count;
    struct histogram hit_us;    /* one hit in HIT_SAMPLE: from reading the request to the answer */
    struct histogram load_us;   /* from asking upstream to the answer */
    struct histogram loader_us; /* from telling a client that a key is absent to its write */
    struct load_time load_time; /* .. on average */
    uint32_t waits, waits_late; /* reads that waited for a load, lately; in vain */
    uint64_t no_park_ms;        /* nobody waits until then */
};

enum form {
    FORM_GET,    /* the key's plain value: kept for both protocols alike */
    FORM_EXACT,  /* the reply to exactly this request */
    FORM_EXISTS, /* of one key */
    FORM_HASH,   /* HGET, HMGET: also from a kept HGETALL */
};

/* Arguments behind the key longer than this are not kept by. */
#define ASK_BYTES 512u

/* Of the scratch in which questions are worded, kept. */
#define ASK_KEEP_BYTES (64u * 1024u)

/* A read of one key that a policy keeps. */
struct near_question {
    struct question q;
    const struct policy *policy;
    enum form form;
    char ask[ASK_BYTES];
};

enum concern {
    CONCERN_NONE,   /* goes its way as if there were no cache */
    CONCERN_BYPASS, /* the same because of the session: near_pass_by(), near_bypassed() */
    CONCERN_HIT,    /* the answer is known: near_give() */
    CONCERN_ASK,    /* a miss: near_ask() */
    CONCERN_WRITES, /* goes its way, but writes_note() must hear of it */
};

/* Where a question goes that nothing fresh is kept for. */
enum way {
    WAY_ASK,       /* upstream; the answer may be kept, the question joined */
    WAY_UNTRUSTED, /* upstream, and that is all: the invalidation link is silent or away */
    WAY_UNCOVERED, /* .. pushes about the key do not come yet */
    WAY_HELD,      /* .. a write of the key is under way */
};

struct near_scope {
    uint32_t login; /* see lane_login() */
    int32_t db;
};

enum field_ttl { FIELD_TTL_UNKNOWN, FIELD_TTL_NO, FIELD_TTL_YES };

struct near {
    struct clients *all;
    struct cache *cache;
    const struct policies *policies;
    const struct invalidation *invalidation;
    struct near_stats **stats; /* by policy number, of policies of before as well */
    bool *alive;               /* by policy number: in force, and keeping */
    size_t stats_count;        /* of both */
    struct near_stats **named; /* one for each name there has been: theirs is the memory */
    size_t named_count;
    struct near_scope *scopes;
    size_t scope_count;
    struct buffer words;         /* scratch: what is asked upstream */
    struct buffer pieces;        /* scratch: answers that are put together */
    struct slice answer;         /* of the hit just found: in the shelf, in `pieces`, or constant */
    struct block *block;         /* .. or all of this */
    struct args keys;            /* scratch: keys of a write */
    struct leases *leases;       /* NULL before a policy has stampede = wait */
    struct loads *loads;         /* NULL before a policy has stampede = stale, or refresh_ahead */
    uint64_t *linger;            /* by policy number: stale_ttl */
    uint64_t *outlive;           /* the same, of on_outage = stale */
    uint32_t sample;             /* hits since one was timed */
    const char *missed;          /* where the key stands that has just been looked for in vain */
    struct cache_counters count; /* what is not counted by policy; the sums, when asked for */
    uint8_t field_ttl;           /* enum field_ttl: can the upstream's hash fields expire? */
    /* Who compares hits with what the upstream says; so many are wanted now. */
    struct self_check *check;
    const uint32_t *check_due;
};

/* near_life.c */
MUST_USE
struct near *near_new(struct clients *all, struct cache *cache);
void near_free(struct near *near);
void near_resettle(struct near *near, const struct policies *policies);

/* near_look.c: any answer to the question that is less than old_ms past its deadline, suspect or
 * not; as near_look(). */
MUST_USE
bool near_look_old(struct client *c, struct near_question *nq, const struct request *q,
                   uint64_t old_ms, struct entry *ret_entry);

/* near.c */
MUST_USE
enum concern near_concern(struct client *c, const struct command *cmd, const struct args *args,
                          uint32_t in_run);
/* Answers the GETs at the front of p[0..n) that are plain hits, and nothing else: returns how many
 * bytes of requests that were. What it leaves goes the way of every request. */
/* (near_gets.c) */
MUST_USE
size_t near_gets(struct client *c, const char *p, size_t n);
/* Answers the hit that near_concern() has just found. */
void near_give(struct client *c,
               bool more); /* more: requests stand behind it; answers go together */
MUST_USE
bool near_judge(struct client *c, const struct request *q, struct near_question *ret);
MUST_USE
bool near_one_key(const struct command *cmd, uint32_t argc);
MUST_USE
bool near_allowed(const struct client *c, uint32_t in_run);
MUST_USE
enum look near_look(struct client *c, struct near_question *nq, const struct request *q, bool peek,
                    struct entry *ret_entry);
/* As near_look(), for a value that has expired; q: of a question so worded. */
MUST_USE
bool near_look_past(struct near *near, const struct question *question, const struct request *q,
                    struct entry *ret_entry);
/* Looks, and has near_give() give it. */
MUST_USE
bool near_known(struct client *c, struct near_question *nq, const struct request *q,
                const struct args *args);
MUST_USE
enum way near_way(const struct near *near, struct slice key);
enum next near_ask(struct client *c, const struct request *q);
/* Asks a read upstream without a look at the cache, and counts that; only counts it. */
enum next near_pass_by(struct client *c, const struct request *q);
void near_bypassed(struct near *near, const struct command *cmd, const struct args *args);
/* A command on a hash; on all of one: fields that expire one by one matter. */
MUST_USE
bool near_is_hash(uint16_t id);
MUST_USE
bool near_is_whole_hash(uint16_t id);
MUST_USE
struct near_stats *near_stats_of(struct near *near, const struct policy *p);

/* While *near->check_due > 0: a hit that is served with e->bytes, to be compared with what the
 * upstream says; the same of one key of several. */
void near_check(struct client *c, const struct near_question *nq, const struct args *args,
                const struct entry *e);
void near_check_key(struct client *c, const struct near_question *nq, const struct entry *e);

/* That there is nothing, in the client's protocol. */
static inline struct slice near_null(const struct client *c)
{
    return c->proto == 3 ? SLICE("_\r\n") : SLICE("$-1\r\n");
}

/* The first of those who wait for a flight; there is one. */
static inline struct held *first_waiting(const struct list *waiters)
{
    return CONTAINER_OF(CONTAINER_OF(waiters->next, struct waiter, node), struct held, waiter);
}

/* The rest of near_ask(), of a question that nothing fresh is kept for. */
enum next near_ask_one(struct client *c, const struct request *q, const struct near_question *nq);
/* Names the question after the whole request; the head of such a name. */
MUST_USE
size_t near_ask_head(char *ask, uint16_t id, uint8_t proto);
MUST_USE
bool near_name_ask(struct near_question *nq, uint16_t id, uint8_t proto, const struct slice *argv,
                   uint32_t argc);

/* Empty, for wording what is asked upstream. */
MUST_USE
struct buffer *near_words(struct near *near);
MUST_USE
uint64_t near_clock_us(void);
/* The question of the key's plain value; false: no policy keeps it. */
MUST_USE
bool near_plain(struct near *near, struct client *c, struct slice key, struct near_question *ret);

/* fill.c */
/* On what terms an answer is kept: from the policy, as it was when it was asked for. */
struct fill_terms {
    uint64_t asked_ms, local_ttl, negative_ttl, max_value;
    uint16_t policy, command;
    uint8_t form;
    bool field_ttl;                /* HPTTL's reply is the last */
    bool leased;                   /* of what is absent somebody may be told to load it */
    bool loads;                    /* .. and nobody waits for that (loads.c) */
    uint64_t stale_ttl, lease_ttl; /* stale_ttl: 0 if nothing old is given */
};
struct fill_reply {
    struct slice value, ttl; /* the replies of PTTL, and of HPTTL behind it */
};
MUST_USE
struct fill_terms fill_terms_of(const struct near *near, const struct policy *policy,
                                enum form form, uint16_t command);
/* Could an absent key have been answered so: nothing, zero, empty, or an array of such? */
MUST_USE
bool looks_absent(struct slice value);
void fill_keep(struct near *near, const struct flight *flight, const struct question *question,
               const struct fill_terms *t, struct fill_reply reply);
void fill_lead(struct client *c);
enum next fill_ask(struct client *c, const struct request *q, const struct near_question *nq);
/* A question of larder's own. */
struct fill_order {
    struct link *link;
    struct slice request; /* empty: GET */
    struct question q;
    const struct policy *policy;
    enum form form;
    uint16_t command;
    struct list *waiters; /* who is to be given the answer: taken over; NULL: nobody, yet */
    bool settles, lapsed; /* asked about a lease; which has lapsed */
};
void fill_for(struct near *near, const struct fill_order *o);
/* Is it being asked already? */
MUST_USE
bool fill_under_way(struct near *near, const struct question *q);
/* Joins the question in the air, if there is one to be joined: the answer comes in its turn. */
MUST_USE
bool fill_join(struct client *c, const struct question *q);

/* again.c: for those who had joined: the request once more, for all in one, for each alone; an
 * error, or what their policy says in its place (`request` may be empty: nothing). None of them
 * waits with the list any more. */
void again_together(struct near *near, struct list *waiters, struct slice request);
void again_alone(struct near *near, struct list *waiters, struct slice request);
void again_tell(struct near *near, struct list *waiters, struct slice request,
                enum link_failure why);

/* several.c: MGET, EXISTS */
MUST_USE
enum concern several_look(struct client *c, const struct args *args);
enum next several_ask(struct client *c, const struct request *q);
MUST_USE
bool several_asked(const struct command *cmd, uint32_t argc);
MUST_USE
bool several_known(struct client *c, struct slice key, bool peek, struct near_question *nq,
                   struct entry *e);
/* Bytes of kept values that one answer is put together of. */
MUST_USE
size_t several_most(const struct client *c);
void several_count(struct near *near, const struct near_question *nq, const struct entry *e);

/* gather.c */
enum next mget_ask(struct client *c, const struct request *q);
/* Does the same MGET travel, so that this one would wait for it? */
MUST_USE
bool mget_joins(struct client *c, const struct request *q);

/* writes.c */
/* q has been asked: of its replies the last is number `at` (of the muted ones, if muted). */
void writes_note(struct client *c, const struct request *q, uint32_t at, bool muted);
/* A request too large to collect: of its arguments only the first are known. */
void writes_note_large(struct client *c, const struct command *cmd, const struct args *args,
                       uint32_t at);
/* More keys are kept from now on: what was handed over or queued before may change any. */
void writes_under_way(struct clients *all);
MUST_USE
bool may_write(const struct command *cmd);
/* The keys a request may change, of those that a policy keeps, into near->keys; true: any. */
MUST_USE
bool writes_touch(struct near *near, const struct request *q);

#endif
