/* sentinel.h - one Sentinel: asked where the master is, and listened to. What is made of it is
 * sentinels.c's business. */
#ifndef LARDER_UPSTREAM_SENTINEL_H
#define LARDER_UPSTREAM_SENTINEL_H

#include "upstream/sentinel_says.h"
#include "upstream/talk.h"

struct log;
struct sentinel;

/* From the loop, never from within a call of the owner's. */
struct sentinel_ops {
    /* What was asked is answered, or will not be: see `state`. */
    void (*told)(struct sentinel *s);
    /* It says that the master is another now. */
    void (*announced)(struct sentinel *s);
    /* It is listened to from now on: what it said before may have been missed. */
    void (*watched)(struct sentinel *s);
};

/* What came of the last question. */
#define SENTINEL_STATES(X)                                                                         \
    X(SENTINEL_NEW, "not asked yet")                                                               \
    X(SENTINEL_GOOD, "answers")                                                                    \
    X(SENTINEL_UNKNOWN, "knows no such master")                                                    \
    X(SENTINEL_REFUSES, "refuses")                                                                 \
    X(SENTINEL_AWAY, "does not answer")

#define SENTINEL_STATE_NAME(name, word) name,
enum sentinel_state { SENTINEL_STATES(SENTINEL_STATE_NAME) SENTINEL_STATE_COUNT };

const char *sentinel_state_word(enum sentinel_state state);

struct sentinel {
    struct talk ask, watch;
    const struct sentinel_ops *ops;
    void *owner;
    struct log *log;
    struct address address; /* strings are the sentinel's */
    const char *master, *user, *password;
    char name[300];        /* its address, as text */
    uint8_t due;           /* enum question: whose answer comes next */
    bool asked;            /* and not answered yet */
    bool auth_due, pinged; /* on the watch: the reply to AUTH, a PONG is to come */
    bool watching;         /* it has confirmed the subscription */
    enum sentinel_state state;
    struct place place; /* what it said last, while SENTINEL_GOOD */
    uint64_t epoch;     /* .. of that configuration; 0: it would not say */
    char trouble[280];  /* why it is not good, or not watched; "" */
    enum sentinel_state logged_state;
    char logged[280]; /* .. and the trouble of that line */
};

/* `master`, `user` and `password` are borrowed; the address is copied. */
void sentinel_init(struct sentinel *s, struct loop *loop, struct resolver *resolver,
                   const struct address *address);
void sentinel_done(struct sentinel *s);
/* It is spoken to with TLS where the settings say so; borrowed. */
void sentinel_secure(struct sentinel *s, const struct tls *tls);

/* Asks; told() will be called, within about patience_ms. What is under way is begun anew. */
void sentinel_ask(struct sentinel *s, uint64_t patience_ms);
/* Forgets the question; told() will not be called. */
void sentinel_leave(struct sentinel *s);
/* Listens to it, or makes sure that it is still there. */
void sentinel_watch(struct sentinel *s, uint64_t patience_ms);

#endif
