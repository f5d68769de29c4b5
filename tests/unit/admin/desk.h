/* desk.h - a console before clients and a pool, and what it is asked. */
#ifndef LARDER_TESTS_ADMIN_DESK_H
#define LARDER_TESTS_ADMIN_DESK_H

#include <check.h>

#include "admin/admin.h"
#include "base/log.h"
#include "net/loop.h"
#include "resp/reply.h"
#include "upstream/pool.h"

#define CLIENTS 3

/* Each test is run for both. */
#define PROTO (_i + 2)

struct desk {
    struct log quiet;
    struct settings *settings;
    struct loop *loop;
    struct resolver *resolver;
    struct pool *pool;
    struct lane *lane;
    struct admin *admin;
    struct console console;
    struct clients *clients;
    struct listener *listener;
    int refusing, far_end[CLIENTS];
    char upstream[32]; /* its address */
    struct buffer out, text;
};

extern struct desk desk; /* a test has a process of its own */

void desk_begin(void);
void desk_end(void);
struct settings *load(const char *ini_text);
/* Begins a first connection to the upstream, which is under way until the loop runs. */
void dial(void);

/* LARDER and the words: one whole frame, its bytes until the next call. */
struct slice say(int proto, const struct slice *words, uint32_t n);
struct slice say1(int proto, const char *word);
struct slice say2(int proto, const char *word, const char *other);
struct reply next(struct slice *frames, char type);
const char *string(struct slice s);
/* A table: a bulk to RESP2, verbatim text to RESP3. */
const char *table(int proto, const char *word);
unsigned lines(const char *p);

#endif
