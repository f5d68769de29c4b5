/* truth.h - what each key has held, and whether an answer may say what it says.
 *
 * Of every key all versions are known, in the order in which Redis took them: a key has one writer
 * at a time, who sends the next write when the one before is answered (or behind it on the same
 * connection). A version is
 *
 *   PENDING  sent, not answered
 *   DONE     answered: Redis has held it
 *   UNKNOWN  its answer was an error or never came: Redis may have held it or not
 *
 * After an unknown write nothing is written until it is certain that it is not under way any more
 * (hot.c settles it), and what is written then does not depend on what was there; so an unknown
 * version never comes after a later one.
 *
 * An answer that was asked for at t through larder L may tell version i unless a later version was
 * DONE through L before t (P1), or behind it on the same connection (P4), or i was dead at t (P3).
 * Nor if anybody had been told of a later version before t that came through L: from the moment a
 * write is handed over its larder tells nobody what was before. */
#ifndef LARDER_TESTS_COHERENCE_TRUTH_H
#define LARDER_TESTS_COHERENCE_TRUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FIELDS = 3, VERSIONS = 4096, VALUE_MAX = 40100 };

/* Through which door a command went. */
enum via { VIA_A, VIA_B, VIA_DIRECT, VIA_COUNT };

enum outcome { PENDING, DONE, UNKNOWN };

struct version {
    uint64_t value[FIELDS]; /* ids; 0 = absent. A string has one field */
    uint64_t sent_us, acked_us;
    uint64_t ttl_ms; /* 0: none */
    enum via via;
    enum outcome outcome;
    int session;
    const char *op;
    bool wild;     /* nobody knows what it is: anything matches */
    bool unpushed; /* Redis tells nobody of it (SWAPDB) */
};

struct key {
    char name[16];
    int db;
    int number;              /* unique over all databases */
    int fields;              /* FIELDS: a hash; 1: a string */
    uint64_t given_ms;       /* the TTL that it may have though no write said so; 0: none */
    struct version *version; /* a ring of VERSIONS */
    uint64_t newest;
    uint64_t floor[VIA_COUNT]; /* the newest version that is DONE through that door */
    uint64_t seen[VIA_COUNT];  /* .. that came through that door and has been told to anybody */
    uint32_t pending;
    bool frozen;         /* an unknown write may still be under way */
    uint64_t unknown_us; /* since when */
    bool unclear;        /* its state is not certain: only writes that ask nothing of it */
};

/* What an answer said of a key. */
enum sight { SIGHT_VALUES, SIGHT_PRESENCE, SIGHT_TTL };

struct seen {
    enum sight sight;
    uint32_t mask; /* SIGHT_VALUES: of which fields */
    uint64_t value[FIELDS];
    int64_t n; /* SIGHT_PRESENCE: 0 or 1; SIGHT_TTL: as PTTL has it */
};

/* Who asked, when. */
struct asked {
    uint64_t floor, seen; /* of the key when it was asked */
    uint64_t own;         /* the asker's own newest DONE version before it on the connection */
    uint64_t ceiling;     /* the asker's own oldest version behind it on the connection, less one */
    uint64_t sent_us, replied_us;
    enum via via;
};

enum verdict { FINE, OLD, OWN_OLD, SEEN_OLD, TOO_EARLY, DEAD, ALIEN };

struct judgement {
    enum verdict verdict;
    uint64_t version; /* what it told, 0 when ALIEN */
    uint64_t first;   /* FINE: the oldest it may be as well */
    uint64_t age_us;  /* FINE: for how long a newer one had been acknowledged to anybody */
};

void key_init(struct key *k, const char *name, int db, int number, int fields);
void key_done(struct key *k);

struct version *key_version(const struct key *k, uint64_t i);

/* A new version; the caller fills in what the write says. Its index is k->newest. */
struct version *key_write(struct key *k, enum via via, int session, uint64_t now_us);

void key_acked(struct key *k, uint64_t i, uint64_t now_us);
void key_unknown(struct key *k, uint64_t i, uint64_t now_us);

/* Somebody was told version i, or one after it. */
void key_told(struct key *k, uint64_t i);

bool key_free(const struct key *k);

/* Whether it certainly is there, and without a deadline. */
bool key_is_there(const struct key *k);

struct judgement judge(const struct key *k, const struct seen *seen, const struct asked *by);

/* The text of a value; its length follows from its id. */
const char *value_text(uint64_t id, char text[VALUE_MAX]);

/* The id of a value, UINT64_MAX when the bytes are no such value. */
uint64_t value_id(const char *p, int64_t n);

/* Prints what the key was around the versions that the judgement speaks of. */
void key_print(const struct key *k, const struct seen *seen, const struct asked *by,
               const struct judgement *j);

#endif
