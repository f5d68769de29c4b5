/* world.h - a pool before a scripted server, both in one loop.
 *
 * The server listens on 127.0.0.1, notes what each of its connections ("peers", in the order of
 * their coming) is asked, one line per command, answers HELLO, SELECT, DISCARD and UNWATCH by
 * itself and everything else when the test says so. */
#ifndef LARDER_TESTS_UPSTREAM_WORLD_H
#define LARDER_TESTS_UPSTREAM_WORLD_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/log.h"
#include "config/settings.h"
#include "net/loop.h"
#include "upstream/pool.h"

#define PEERS 32

struct peer {
    int fd; /* -1: closed */
    struct watch *watch;
    struct buffer in;    /* of a command that is not whole yet */
    struct buffer asked; /* the commands so far: words, blanks between them, a line each */
    struct buffer out;   /* not yet taken by the socket */
    bool closing;
};

struct world {
    struct log log;
    struct loop *loop;
    struct upstream_settings settings;
    struct pool *pool;
    struct lane *lane; /* the default one, RESP2; held */
    int server;
    struct watch *accepting;
    size_t peers;
    struct peer peer[PEERS];
    /* What it answers by itself; NULL: the test does. */
    const char *hello, *select, *discard, *unwatch;
    /* Looks at each command first: words with blanks between. What it returns is said,
     * NULL: as above, "!": the connection is closed. */
    const char *(*script)(size_t peer, struct slice line);
};

extern struct world w;

/* Fixture: the world with its defaults, and nothing connected. */
void world_begin(void);
void world_end(void);

/* Runs turns until what is waited for is so. A test that waits in vain ends by its time limit. */
#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        while (!(condition))                                                                       \
            turn(w.loop);                                                                          \
    } while (0)

/* The peer sends that; bytes may be large. */
void peer_say(size_t i, const char *text);
void peer_send(size_t i, const char *bytes, size_t n);
/* All of it is gone. */
bool peer_sent(size_t i);
void peer_close(size_t i);
/* Its connection was closed by the pool. */
bool peer_gone(size_t i);
/* Has it been asked exactly that, since the last time that was so? */
bool peer_asked(size_t i, const char *commands);
bool peer_idle(size_t i);

/* Lets some turns pass: before looking at what must not have happened, and to let what was asked
 * arrive. No test depends on their having been enough. */
void settle(void);

/* A shared link in database 0, brought up if there is none. */
struct link *shared_link(void);
/* Queues `n` commands given as lines of words. */
struct ear;
void ask(struct link *l, struct ear *e, const char *word, uint32_t n);

/* An asker that notes what it is told: "2(+A..+B..)" for two replies, "[..]" for a piece, "[..]$"
 * for the last one, "!1 lost" for a failure, with "begun" when it had begun. CR LF is shown as a
 * dot. */
struct ear {
    struct asker asker;
    struct buffer heard;
    uint32_t left; /* replies that have neither come nor failed */
    size_t bytes;  /* of pieces */
    unsigned pieces;
    bool quiet; /* pieces are counted, not noted */
    bool full;  /* says "I have more than I can send" */
    void (*then)(struct ear *e);
    struct link *link;
};

void ear_init(struct ear *e, bool whole);
void ear_done(struct ear *e);
/* What it was told since the last time, as text that lives until the next call. */
const char *ear_heard(struct ear *e);

/* A loan that notes: "lent", "refused (-ERR..)", "frame ..", "lost lost". */
struct borrower {
    struct loan loan;
    struct buffer noted;
    unsigned rooms; /* times it was told that there is room */
    void (*then)(struct borrower *b);
};

void borrower_init(struct borrower *b);
void borrower_done(struct borrower *b);
const char *borrower_noted(struct borrower *b);

#endif
