/* hot.h - what the parts of the hot mode share.
 *
 *   hot.c          sessions and their connections, the loop
 *   hot_reads.c    reads: saying and judging them
 *   hot_writes.c   writes of all kinds, pipelines, transactions
 *   hot_counter.c  counters, WATCH
 *   hot_settle.c   writes of unknown outcome
 *   hot_end.c      faults, the comparison when all is quiet, the report
 *
 * A session asks one batch at a time. What it has asked stands in a queue of `ask`s, one for each
 * reply. The commands of a MULTI are answered QUEUED first; their asks wait in `queued` for the
 * reply of EXEC. */
#ifndef LARDER_TESTS_COHERENCE_HOT_H
#define LARDER_TESTS_COHERENCE_HOT_H

#include "truth.h"
#include "wire.h"

enum {
    DBS = 2,
    STRINGS = 4,
    HASHES = 2,
    KEYS = STRINGS + HASHES, /* of each database */
    COUNTERS = 2,
    COUNTER_DB = 2, /* is not flushed or swapped */
    ASK_KEYS = DBS * KEYS,
    ASKS = 64,
    QUEUED_MAX = 12,
    MADE_MAX = 1 << 24, /* a counter's highest value that is looked after */
    MADE_TIMES = 1 << 12,
    PRINTED_MAX = 3,      /* of each kind of fault */
    SILENCE_US = 30000000 /* longer than any deadline of larder */
};

/* What is counted as a violation. */
enum fault {
    FAULT_P1,     /* older than a write that was acknowledged through the same larder before */
    FAULT_P3,     /* a value past its deadline */
    FAULT_P4,     /* not what the same session wrote before, or what it writes behind */
    FAULT_SEEN,   /* older than such a write that is not acknowledged, but was seen already */
    FAULT_BYPASS, /* a read in MULTI, under WATCH or of a script, or Redis' own, older than any
                     write */
    FAULT_WATCH,  /* a lost update */
    FAULT_ALIEN,  /* what the key has never held */
    FAULT_AGE,    /* older than anything may be */
    FAULT_QUIET,  /* stale after all is quiet */
    FAULT_ODD,    /* an answer of the wrong shape */
    FAULTS
};

enum op {
    OP_GET,
    OP_MGET,
    OP_GETRANGE,
    OP_EXISTS,
    OP_PTTL,
    OP_HGET,
    OP_HMGET,
    OP_HGETALL,
    OP_EVAL_GET,
    OP_SET,
    OP_SET_PX,
    OP_MSET,
    OP_DEL,
    OP_RENAME,
    OP_PEXPIRE,
    OP_EVAL,
    OP_HSET_FIELD,
    OP_HSET,
    OP_MULTI,
    OP_BEHIND,
    OP_FLUSHDB,
    OP_SWAPDB,
    OP_INCR,
    OP_INCR_MULTI,
    OP_INCR_EVAL,
    OP_WATCH,
    OPS
};

enum ask_kind {
    ASK_NOTHING, /* any answer but an error */
    ASK_READ,
    ASK_WRITE,
    ASK_EXEC,      /* of the asks in `queued` */
    ASK_COUNT,     /* reads a counter */
    ASK_COUNT_UP,  /* adds one, the answer is what it made */
    ASK_COUNT_SET, /* SET in a WATCHed transaction */
};

struct counter {
    char name[16];
    uint64_t floor[VIA_COUNT]; /* the highest value made and acknowledged through that door */
    uint8_t *made;             /* a bit for each value */
    struct {
        uint64_t value, acked_us;
    } time[MADE_TIMES]; /* of the newest values */
};

struct ask {
    enum ask_kind kind;
    enum op op;
    enum sight sight;
    bool strict;   /* it must be as fresh as Redis itself */
    uint32_t mask; /* of the fields of a hash */
    uint32_t keys;
    struct key *key[ASK_KEYS];
    uint64_t at[ASK_KEYS]; /* the version written, or the least that may be read */
    uint64_t seen[ASK_KEYS];
    struct counter *counter;
    uint64_t count; /* the least that may be read, or what is set */
    uint64_t sent_us;
};

struct hot;

enum watch { NOT_WATCHING, WATCHED, WATCHED_AND_READ };

struct session {
    struct wire wire;
    struct hot *hot;
    int number, db, proto, port;
    enum via via;
    struct ask ask[ASKS];
    uint32_t first, asks; /* of the ring */
    struct ask queued[QUEUED_MAX];
    uint32_t n_queued;
    bool in_multi;          /* while commands are said */
    enum watch watch;       /* between WATCH and EXEC */
    bool leave;             /* something is wrong: connect anew */
    bool ready;             /* greeted */
    uint64_t own[ASK_KEYS]; /* its newest DONE version of each key, by number */
    uint64_t own_count[COUNTERS];
    uint64_t watched; /* the value read under WATCH */
    struct counter *watched_counter;
    uint64_t retry_us, ends_us; /* when to connect again; when to leave of its own accord */
};

struct hot_options {
    int port[VIA_COUNT];
    int seconds;
    uint64_t seed, settle_us, age_limit_us;
    uint64_t given_ms; /* what larder gives keys that are given no TTL; 0: none */
};

struct hot {
    struct hot_options options;
    int epoll;
    struct key key[DBS * KEYS];
    struct counter counter[COUNTERS];
    struct session *session;
    int sessions;
    uint64_t now_us, random, next_value;
    uint32_t write_percent;
    bool drain; /* a write to everything waits until all keys are free */
    bool quiet; /* nothing new is asked */
    uint64_t big_us;
    uint32_t big_writes;
    /* see hot_settle.c */
    struct wire settler;
    uint64_t settle_begun_us, settle_next_us;
    int settle_step;
    /* what came of it */
    uint64_t ops[OPS], fault[FAULTS], reads, stale, errors, unknown, lost, ended, age_max_us;
    uint64_t settled;
};

int hot_run(const struct hot_options *options);

/* Below `below`, deterministic but for what the servers do. */
uint32_t hot_random(struct hot *h, uint32_t below);

/* A new ask, in the queue or, in MULTI, among those queued. */
struct ask *ask_new(struct session *s, enum ask_kind kind, enum op op);
void say_multi(struct session *s);
void say_exec(struct session *s, enum op op);

/* hot_reads.c */
void say_some_read(struct session *s, bool strict);
void say_read_of(struct session *s, struct key *k, bool strict);
/* The element at `at` of a reply answers a. Returns the index behind it. */
uint32_t judge_read(struct session *s, const struct ask *a, const struct reply *r, uint32_t at);

/* hot_writes.c */
bool say_some_write(struct session *s); /* false: nothing is free to be written */
void judge_write(struct session *s, const struct ask *a, const struct token *answer);
void write_lost(struct session *s, const struct ask *a);
void say_big_write(struct session *s);
void say_set(struct session *s, struct key *k); /* whatever k is: afterwards it is clear */

/* hot_counter.c */
void say_count(struct session *s);
void judge_count(struct session *s, const struct ask *a, const struct token *answer);
bool counters_init(struct hot *h);
void counters_done(struct hot *h);

/* hot_end.c */
extern const char *const op_name[OPS];
/* A violation; the caller prints what it knows when this says so. */
bool hot_fault(struct hot *h, enum fault fault, const struct session *s, const struct ask *a);
/* Asks for peace, and waits until the servers are left alone. */
void hot_ask_for_peace(void);
void hot_compare(struct hot *h, int db);
/* False: something was wrong, or there was too little to see. */
bool hot_report(const struct hot *h);

/* hot_settle.c */
void settler_init(struct hot *h);
void settler_turn(struct hot *h);

#endif
