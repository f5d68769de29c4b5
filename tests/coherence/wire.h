/* wire.h - the checker's connections: non-blocking, RESP2 or RESP3, all in one epoll.
 *
 * A wire belongs to its owner, who is told of each reply in the order of the requests and of the
 * end of the connection. Pushes are passed over. What is said on a wire stays in a buffer until
 * wire_flush(). Nothing here knows what is asked.
 *
 * wire_ask() is the exception for what needs no speed: it waits for the one reply. Use it on wires
 * that are in no loop. */
#ifndef LARDER_TESTS_COHERENCE_WIRE_H
#define LARDER_TESTS_COHERENCE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TOKENS_MAX = 256 };

/* One element of a reply; the elements of an aggregate follow it. */
struct token {
    char type; /* as in RESP; '_' for every kind of nil, '*' for arrays, maps and sets */
    int64_t
        n; /* the integer; the length in bytes; how many elements (two for each pair of a map) */
    const char *p; /* the bytes of a string, status or error, not ended by NUL */
};

struct reply {
    struct token token[TOKENS_MAX];
    uint32_t count;
};

struct wire;

struct wire_owner {
    void (*replied)(struct wire *w, const struct reply *r);
    void (*ended)(struct wire *w); /* the connection is gone; wire_open() may be called */
};

struct wire {
    const struct wire_owner *owner; /* NULL: in no loop */
    void *arg;                      /* the owner's */
    int epoll;
    int fd; /* -1: not connected */
    bool want_write;
    uint32_t unanswered;
    char *in, *out;
    size_t in_n, in_room, out_n, out_room, out_at;
};

/* Microseconds of CLOCK_MONOTONIC. */
uint64_t clock_us(void);

/* Connects to 127.0.0.1 (at once or fails) and joins the epoll, -1 for none. A wire is zeroed with
 * fd = -1 before its first use. */
bool wire_open(struct wire *w, int port, int epoll);

/* Closes without telling the owner. The wire may be opened again. */
void wire_close(struct wire *w);

/* Closes and releases the buffers. */
void wire_done(struct wire *w);

/* One request: words up to a NULL. */
void wire_say(struct wire *w, ...) __attribute__((sentinel));
void wire_say_words(struct wire *w, uint32_t count, const char *const *word);

/* Sends what was said; the rest goes when the socket takes it. */
void wire_flush(struct wire *w);

/* What epoll reported for a wire. */
void wire_event(struct wire *w, uint32_t events);

/* Waits up to timeout_ms for the reply to what was said; false: none came, the wire is closed. The
 * reply is good until the next call. */
bool wire_ask(struct wire *w, struct reply *ret_reply, int timeout_ms);

/* The index behind the element at `at` and all it holds. */
uint32_t reply_skip(const struct reply *r, uint32_t at);

/* Whether the element is a status, string or error that begins so. */
bool token_begins(const struct token *t, const char *text);

#endif
