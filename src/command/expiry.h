/* expiry.h - what a request itself says of the expiry of its key.
 *
 * Of use for commands that can create a key or set its expiry (CF_CREATES, the EXPIRE family,
 * GETEX, PERSIST); any other says nothing of it. Nothing here knows the time: whether an AT is past
 * is the upstream's to say. */
#ifndef LARDER_COMMAND_EXPIRY_H
#define LARDER_COMMAND_EXPIRY_H

#include <stdbool.h>
#include <stdint.h>

#include "command/table.h"

enum expiry_kind {
    EXPIRY_UNSAID,   /* nothing: HSET, INCR, MSET, SETNX, RENAME, HSETEX (its fields') .., and GETEX
                        without an option; never the EXPIRE family */
    EXPIRY_NONE,     /* SET without an option for it: `PX ms` may be appended; and RESTORE key 0, to
                        which nothing may */
    EXPIRY_KEEP,     /* SET .. KEEPTTL */
    EXPIRY_RELATIVE, /* EX PX, SETEX PSETEX, EXPIRE PEXPIRE, GETEX EX|PX, RESTORE key ms */
    EXPIRY_AT,       /* EXAT PXAT, EXPIREAT PEXPIREAT, GETEX EXAT|PXAT, RESTORE .. ABSTTL */
    EXPIRY_PERSIST,  /* PERSIST, GETEX PERSIST */
    EXPIRY_UNCLEAR,  /* wrong, or not understood: only the upstream can tell, and it may well take
                        it. The other fields are 0 then. */
};

struct expiry {
    uint8_t kind;     /* enum expiry_kind */
    bool seconds;     /* RELATIVE, AT: the number is in seconds, else in ms */
    bool conditional; /* SET .. NX|XX, SETNX, EXPIRE .. NX|XX|GT|LT: it may come to nothing */
    bool nx;          /* SET .. NX, SETNX */
    bool get;         /* SET .. GET: the reply is the value of before */
    uint32_t number;  /* RELATIVE, AT: index of the argument */
    uint32_t word;    /* RELATIVE, AT: index of the word that says the unit: EX, SETEX, EXPIRE ..,
                         of RESTORE its own */
    int64_t value;    /* RELATIVE, AT: the number, > 0; what is not is UNCLEAR (or, of EXPIRE's
                         family, a deletion: RELATIVE or AT with a value <= 0) */
};

/* argc >= 1; c may be NULL, or any command. The options are read as Redis 7.0 reads them; one it
 * does not know (of a newer server) makes it UNCLEAR, as does a wrong number of arguments, and a
 * number that overflows, or may, when the upstream adds its clock. So does one of EX PX EXAT PXAT
 * said twice: Redis takes the last, but with a unit changed in one of the two it would refuse it.
 *
 * MSETEX (Redis 8.4): KEEP, RELATIVE and AT are of all its keys; UNSAID without an option. */
MUST_USE
struct expiry command_expiry(const struct command *c, const struct slice *argv, uint32_t argc);

/* The word of the same command or option in milliseconds: PX for EX, PXAT, PSETEX, PEXPIRE,
 * PEXPIREAT; itself when it is one of these already, or any other. A literal, or `word`. */
MUST_USE
struct slice expiry_word_ms(struct slice word);

#endif
